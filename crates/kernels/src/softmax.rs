//! Softmax in integers.

use crate::exp2_table::EXP2;
use crate::number::{Element, Limits};

/// round(log2(e) * 2^30).
const LOG2_E: u64 = 1_549_082_005;

/// Fraction bits of an exponent of two.
const FRACTION: u32 = 24;

/// exp(-difference * 2^exponent) in units of 2^-30.
///
/// The power of two is split into a whole part, a shift that rounds half up, and a fraction, for
/// which a table of 257 values is interpolated linearly. Off by less than 2^-19 in all.
fn exp_minus(difference: u32, exponent: i8) -> u32 {
    if difference == 0 {
        return EXP2[0];
    }
    let drop = 30 - FRACTION as i32 - i32::from(exponent);
    // 17 + 31 bits at most.
    let product = u64::from(difference) * LOG2_E;
    let power = match drop {
        // exp of less than -2^6: nothing is left at 2^-30.
        ..0 => return 0,
        0..=63 => product >> drop,
        _ => 0,
    };
    let whole = power >> FRACTION;
    if whole > 30 {
        return 0;
    }
    let at = (power >> (FRACTION - 8)) as usize & 0xff;
    let between = power as u32 & 0xffff;
    let (low, high) = (EXP2[at], EXP2[at + 1]);
    // The difference of neighbours is less than 2^22 and `between` has 16 bits.
    let value = low - ((u64::from(low - high) * u64::from(between)) >> 16) as u32;
    match whole as u32 {
        0 => value,
        whole => (value + (1 << (whole - 1))) >> whole,
    }
}

/// Softmax over each `length` elements that lie `inner` apart, from `exponent` to `out_exponent`.
///
/// Each output is `p * 2^-out_exponent / sum(p)`, rounded half up, saturated, where `p` is
/// the integer exponential of the distance to the largest element. `out_exponent` is between
/// -30 and 0.
///
/// # Panics
///
/// If `length` or `inner` is 0 or the lengths differ.
pub fn softmax<T: Element>(
    input: &[T],
    length: usize,
    inner: usize,
    exponent: i8,
    output: &mut [T],
    out_exponent: i8,
) {
    let mut powers = Powers {
        exponent,
        known: 0,
        table: [0; PLACES],
    };
    if size_of::<T>() == 1 && input.len() > PLACES {
        powers.know_all();
    }
    let scale = u32::from(out_exponent.unsigned_abs()).min(30);
    let groups = input.chunks_exact(length * inner);
    for (x, y) in groups.zip(output.chunks_exact_mut(length * inner)) {
        for lane in 0..inner {
            group(
                &x[lane..],
                length,
                inner,
                &mut powers,
                scale,
                &mut y[lane..],
            );
        }
    }
}

/// As many as there are differences of 8-bit elements.
const PLACES: usize = 256;

/// What `exp_minus` gives for one exponent: of each difference of 8-bit elements, if all are known, or else of the
/// first elements of a group.
struct Powers {
    exponent: i8,
    known: usize,
    table: [u32; PLACES],
}

impl Powers {
    #[inline(never)]
    fn know_all(&mut self) {
        for (difference, power) in (0..).zip(&mut self.table) {
            *power = exp_minus(difference, self.exponent);
        }
        self.known = PLACES;
    }

    /// Of element `at` of a group, for the first time.
    #[inline(always)]
    fn first(&mut self, at: usize, difference: u32) -> u32 {
        if self.known > 0 {
            return self.table[difference as usize % PLACES];
        }
        let power = exp_minus(difference, self.exponent);
        if let Some(place) = self.table.get_mut(at) {
            *place = power;
        }
        power
    }

    /// And once more.
    #[inline(always)]
    fn again(&self, at: usize, difference: u32) -> u32 {
        let at = if self.known > 0 {
            difference as usize
        } else {
            at
        };
        match self.table.get(at) {
            Some(power) => *power,
            None => exp_minus(difference, self.exponent),
        }
    }
}

/// One group: `length` elements that lie `step` apart.
#[inline(never)]
fn group<T: Element>(
    input: &[T],
    length: usize,
    step: usize,
    powers: &mut Powers,
    scale: u32,
    output: &mut [T],
) {
    let mut largest = i32::MIN;
    for at in 0..length {
        largest = largest.max(input[at * step].into());
    }
    let difference = |at: usize| -> u32 {
        let x: i32 = input[at * step].into();
        largest.wrapping_sub(x) as u32
    };
    let mut sum = 0u64;
    for at in 0..length {
        sum += u64::from(powers.first(at, difference(at)));
    }
    let divisor = Divisor::new(sum, scale);
    for at in 0..length {
        let quotient = divisor.ratio(powers.again(at, difference(at)));
        output[at * step] = Limits::ALL.clamp_narrow(quotient as i32);
    }
}

/// What many are divided by, after they were multiplied by `2^scale`.
struct Divisor {
    sum: u64,
    half: u64,
    /// `2^scale`.
    times: u32,
    /// Bits of `sum` below its first 16.
    below: u32,
    /// The first 16 and one more.
    above: u32,
}

impl Divisor {
    #[inline(never)]
    fn new(sum: u64, scale: u32) -> Self {
        let below = (48 - sum.leading_zeros().min(48)) * u32::from(scale <= 15);
        Self {
            sum,
            half: sum / 2,
            times: 1 << scale,
            below,
            above: (sum >> below) as u32 + 1,
        }
    }

    /// `part * 2^scale / sum`, rounded half up; `part` is not above `sum`.
    ///
    /// Where there is no division of 64 bits it takes hundreds of steps. The first 16 bits of the sum, rounded
    /// up, give a quotient of up to 15 bits that is never too large, and too small by three at most.
    #[inline(never)]
    fn ratio(&self, part: u32) -> u32 {
        // By a product, as shifts of 64 bits are longer.
        let mut rest = u64::from(part) * u64::from(self.times) + self.half;
        if self.below == 0 {
            return (rest / self.sum) as u32;
        }
        let mut quotient = (rest >> self.below) as u32 / self.above;
        rest -= u64::from(quotient) * self.sum;
        while rest >= self.sum {
            rest -= self.sum;
            quotient += 1;
        }
        quotient
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use libm::{exp, exp2};

    #[test]
    fn table_and_constant_are_what_they_say() {
        for (i, value) in EXP2.iter().enumerate() {
            let exact = exp2(30.0 - i as f64 / 256.0);
            assert!((exact - f64::from(*value)).abs() <= 0.5001, "entry {i}");
        }
        let exact = core::f64::consts::LOG2_E * f64::from(1 << 30);
        assert!((exact - LOG2_E as f64).abs() <= 0.5);
    }

    #[test]
    fn exponential_is_within_the_documented_error() {
        for exponent in [-20i8, -15, -9, -7, -4, -1, 0, 1, 5, 6] {
            for difference in (0..70_000u32).step_by(7).chain([1, 2, 3, 255, 65_535]) {
                let difference = difference.min(65_535);
                let exact = exp(-f64::from(difference) * exp2(f64::from(exponent)));
                let got = f64::from(exp_minus(difference, exponent)) / f64::from(1 << 30);
                assert!(
                    (exact - got).abs() < exp2(-19.0),
                    "exp(-{difference} * 2^{exponent}) = {exact}, got {got}"
                );
            }
        }
        assert_eq!(exp_minus(65_535, 127), 0);
        assert_eq!(exp_minus(65_535, -128), 1 << 30);
    }

    fn ratio(part: u32, scale: u32, sum: u64) -> u32 {
        Divisor::new(sum, scale).ratio(part)
    }

    #[test]
    fn ratios_round_half_up_with_any_sum() {
        for (part, scale, sum, expected) in [
            (1, 0, 2, 1),
            (1, 0, 3, 0),
            (1, 7, 3, 43),
            (1 << 30, 30, 1 << 30, 1 << 30),
            (3, 1, 4, 2),
            (1, 1, 4, 1),
            (0x7fff_ffff, 15, 0x7fff_ffff, 1 << 15),
            // 2^45 / 2^31 and what is just below: 16384 and 16383.99.
            (1 << 30, 15, 1 << 31, 16384),
            ((1 << 30) - 1, 15, 1 << 31, 16384),
            (1 << 30, 7, 1000 << 30, 0),
            (1 << 30, 10, 1000 << 30, 1),
        ] {
            assert_eq!(ratio(part, scale, sum), expected, "{part} / {sum}");
        }
        // The two ways agree: by the first bits, and by division of 64 bits.
        for part in [0u64, 1, 77, 123_456, 1 << 29, (1 << 30) - 1, 1 << 30] {
            for sum in [1 << 30, (1 << 30) + 1, 1_500_000_001, (1 << 31) - 1] {
                let exact = |scale: u32| ((part << scale) + sum / 2) / sum;
                for scale in [0, 1, 7, 8, 9, 15, 16, 17, 30] {
                    assert_eq!(u64::from(ratio(part as u32, scale, sum)), exact(scale));
                }
            }
        }
    }

    #[test]
    fn any_ratio_is_the_quotient() {
        let mut state = 7u64;
        for _ in 0..200_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            // Of 1 to 62 bits.
            let sum = (state >> 2).max(1) >> (state % 62);
            let sum = sum.max(1);
            let part = (state >> 20) % (sum.min(1 << 30) + 1);
            for scale in [7, 8, 15] {
                let exact = ((part << scale) + sum / 2) / sum;
                let got = ratio(part as u32, scale, sum);
                assert_eq!(u64::from(got), exact, "{part} * 2^{scale} / {sum}");
            }
        }
    }

    #[test]
    fn probabilities() {
        let mut y = [0i8; 4];
        softmax(&[5i8, 5, 5, 5], 4, 1, 0, &mut y, -7);
        assert_eq!(y, [32; 4]);
        softmax(&[127i8, -128, -128, -128], 4, 1, 0, &mut y, -7);
        assert_eq!(y, [127, 0, 0, 0]);
        softmax(&[-128i8, -128, 127, 127], 2, 1, -1, &mut y, -7);
        assert_eq!(y, [64; 4]);
        softmax(&[-128i8, 127, -128, 127], 2, 2, -1, &mut y, -7);
        assert_eq!(y, [64; 4]);
        // Many pairs have their powers in a table, a few have not.
        let many: std::vec::Vec<i8> = (-128..=127).flat_map(|x| [-128, x]).collect();
        let mut y = std::vec![0; many.len()];
        for exponent in [-7, -4, 0] {
            softmax(&many, 2, 1, exponent, &mut y, -7);
            for (x, y) in many.chunks_exact(2).zip(y.chunks_exact(2)) {
                let mut few = [0; 2];
                softmax(x, 2, 1, exponent, &mut few, -7);
                assert_eq!(y, few, "{x:?} * 2^{exponent}");
            }
        }
        let mut y = [0i16; 2];
        softmax(&[0i16, 1], 2, 1, 0, &mut y, -15);
        assert_eq!(y, [8813, 23955]);
        softmax(&[i16::MIN, i16::MAX], 2, 1, -128, &mut y, -15);
        assert_eq!(y, [16384, 16384]);
    }
}
