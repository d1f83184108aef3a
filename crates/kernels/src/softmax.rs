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
#[inline(never)]
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
        known: None,
    };
    let scale = u32::from(out_exponent.unsigned_abs()).min(30);
    let mut groups = |powers: &Powers<'_>, room: &mut [i32]| {
        let groups = input.chunks_exact(length * inner);
        for (x, y) in groups.zip(output.chunks_exact_mut(length * inner)) {
            for lane in 0..inner {
                let (x, y) = (&x[lane..], &mut y[lane..]);
                group(x, length, inner, powers, room, scale, y);
            }
        }
    };
    // Zeros take their time.
    if length <= FEW && input.len() <= PLACES {
        return groups(&powers, &mut [0; FEW]);
    }
    let is_narrow = size_of::<T>() == 1;
    let mut table = [0; PLACES];
    if length == 2 && (input.len() > 2 * PLACES || !is_narrow) {
        let mut pairs = Pairs {
            exponent,
            scale,
            known: is_narrow.then_some(&mut table),
        };
        pairs.give(input, inner, output);
        return;
    }
    if is_narrow && input.len() > PLACES {
        powers.know_all(&mut table);
    }
    groups(&powers, &mut [0; PLACES]);
}

/// Elements of a group that are few.
const FEW: usize = 16;
/// As many as there are differences of 8-bit elements.
const PLACES: usize = 256;

/// What `exp_minus` gives for one exponent; of differences of 8-bit elements it may be known before.
struct Powers<'a> {
    exponent: i8,
    known: Option<&'a [i32; PLACES]>,
}

impl<'a> Powers<'a> {
    #[inline(never)]
    fn know_all(&mut self, table: &'a mut [i32; PLACES]) {
        for (difference, power) in (0..).zip(table.iter_mut()) {
            *power = exp_minus(difference, self.exponent) as i32;
        }
        self.known = Some(table);
    }

    /// Makes elements their powers; the sum of them.
    #[inline(never)]
    fn take(&self, elements: &mut [i32], largest: i32) -> u64 {
        let mut sum = 0u64;
        for x in elements {
            let difference = largest.wrapping_sub(*x) as u32;
            // At most 2^30.
            *x = match self.known {
                Some(table) => table[difference as usize % PLACES],
                None => exp_minus(difference, self.exponent) as i32,
            };
            sum += u64::from(*x as u32);
        }
        sum
    }
}

/// Groups of two elements, the classes of detectors: what they give depends on their difference alone.
struct Pairs<'a> {
    exponent: i8,
    scale: u32,
    /// For each difference of 8-bit elements what the larger and the lesser element give, the larger's in the low half; 0
    /// if nobody has asked yet: the larger's is half of all at least, which isn't 0.
    known: Option<&'a mut [i32; PLACES]>,
}

impl Pairs<'_> {
    #[inline(never)]
    fn give<T: Element>(&mut self, input: &[T], inner: usize, output: &mut [T]) {
        let (mut at, mut lane) = (0, inner);
        while let (Some(a), Some(b)) = (input.get(at), input.get(at + inner)) {
            let (a, b): (i32, i32) = ((*a).into(), (*b).into());
            let difference = a.abs_diff(b);
            let known = self.known.as_ref();
            let mut both = known.map_or(0, |known| known[difference as usize % PLACES]);
            if both == 0 {
                both = self.ask::<T>(difference);
            }
            let larger = T::wrap((both as i16).into());
            let lesser = T::wrap(((both >> 16) as i16).into());
            (output[at], output[at + inner]) = if a >= b {
                (larger, lesser)
            } else {
                (lesser, larger)
            };
            (at, lane) = (at + 1, lane - 1);
            if lane == 0 {
                (at, lane) = (at + inner, inner);
            }
        }
    }

    #[inline(never)]
    fn ask<T: Element>(&mut self, difference: u32) -> i32 {
        let [larger, lesser] = ratios(difference, self.exponent, self.scale);
        let narrow = |ratio| -> i32 { Limits::<T>::ALL.clamp_narrow(ratio).into() };
        let both = narrow(larger) & 0xffff | narrow(lesser) << 16;
        if let Some(known) = &mut self.known {
            known[difference as usize % PLACES] = both;
        }
        both
    }
}

/// What a pair with that difference gives in units of `2^-scale`, the larger element first.
#[inline(never)]
fn ratios(difference: u32, exponent: i8, scale: u32) -> [i32; 2] {
    let lesser = exp_minus(difference, exponent);
    let sum = EXP2[0] + lesser;
    let mut ratios = [EXP2[0] as i32, lesser as i32];
    Divisor::of_bits(sum.into(), scale, sum >> 31).divide(&mut ratios);
    ratios
}

/// One group: `length` elements that lie `step` apart. As many as there is `room` for at a time, and if that isn't
/// all of them they are read three times.
#[inline(never)]
fn group<T: Element>(
    input: &[T],
    length: usize,
    step: usize,
    powers: &Powers<'_>,
    room: &mut [i32],
    scale: u32,
    output: &mut [T],
) {
    let read = |first: usize, part: &mut [i32]| {
        let mut at = first * step;
        for x in part {
            *x = input[at].into();
            at += step;
        }
    };
    let places = room.len();
    let parts = match length <= places {
        true => 1,
        false => length.div_ceil(places),
    };
    let end = |part: usize| (length - part * places).min(places);
    let (mut largest, mut sum) = (i32::MIN, 0);
    for part in 0..parts {
        let elements = &mut room[..end(part)];
        read(part * places, elements);
        for x in elements {
            largest = largest.max(*x);
        }
    }
    for part in 0..parts {
        let elements = &mut room[..end(part)];
        if parts > 1 {
            read(part * places, elements);
        }
        sum += powers.take(elements, largest);
    }
    let divisor = Divisor::new(sum, scale);
    for part in 0..parts {
        let elements = &mut room[..end(part)];
        if parts > 1 {
            read(part * places, elements);
            powers.take(elements, largest);
        }
        divisor.divide(elements);
        let mut at = part * places * step;
        for quotient in elements {
            output[at] = Limits::ALL.clamp_narrow(*quotient);
            at += step;
        }
    }
}

/// What many are divided by, after they were multiplied by `2^scale`.
struct Divisor {
    sum: u64,
    scale: u32,
    /// `2^61` by the first 31 bits of `sum`: never too large, and too small by less than eight.
    inverse: u32,
    /// Bits that are left out behind the point of a product with it, and those that are kept.
    left_out: u32,
    fraction: u32,
}

impl Divisor {
    /// `sum` is at least 2^30.
    #[inline(always)]
    fn new(sum: u64, scale: u32) -> Self {
        Self::of_bits(sum, scale, 33 - sum.leading_zeros().min(33))
    }

    /// The same of a `sum` that has so many bits more than 31.
    #[inline(never)]
    fn of_bits(sum: u64, scale: u32, below: u32) -> Self {
        // One more if that leaves anything out.
        let first = (sum >> below) + u64::from(below > 0);
        // Each quotient by 17 bits, rounded up, leaves less than 2^-14 of the rest.
        let high = (first >> 15) as u32 + 1;
        let mut inverse = ((1 << 31) / high) << 15;
        for _ in 0..2 {
            let rest = (1u64 << 61).wrapping_sub(u64::from(inverse) * first);
            inverse = inverse.wrapping_add((rest >> 15) as u32 / high);
        }
        let fraction = (30 + below).saturating_sub(scale);
        Self {
            sum,
            scale,
            inverse,
            left_out: fraction.saturating_sub(31),
            fraction: fraction.min(31),
        }
    }

    /// Makes parts their [`Self::ratio`].
    #[inline(never)]
    fn divide(&self, parts: &mut [i32]) {
        for part in parts {
            *part = self.ratio(*part as u32) as i32;
        }
    }

    /// `part * 2^scale / sum`, rounded half up; `part` is not above `sum`, nor above 2^30.
    ///
    /// Where there is no division of 64 bits it takes hundreds of steps. The product with the inverse is never
    /// too large, and too small by less than eight in its last place: if those don't change the result, it is
    /// exact.
    #[inline(always)]
    fn ratio(&self, part: u32) -> u32 {
        if self.fraction > 0 {
            let product = ((u64::from(part << 1) * u64::from(self.inverse)) >> 32) as u32;
            let least = (product >> self.left_out) + (1 << (self.fraction - 1));
            let quotient = least >> self.fraction;
            if (least + 8) >> self.fraction == quotient {
                return quotient;
            }
        }
        self.exact(part)
    }

    #[cold]
    #[inline(never)]
    fn exact(&self, part: u32) -> u32 {
        (((u64::from(part) << self.scale) + self.sum / 2) / self.sum) as u32
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
            (1 << 30, 30, 1 << 30, 1 << 30),
            (1 << 30, 15, 1 << 30, 1 << 15),
            // A third, and ties.
            (1 << 30, 7, 3 << 30, 43),
            (1 << 29, 0, 1 << 30, 1),
            ((1 << 29) - 1, 0, 1 << 30, 0),
            (3 << 22, 7, 1 << 30, 2),
            ((3 << 22) - 1, 7, 1 << 30, 1),
            // 2^45 / 2^31 and what is just below: 16384 and 16383.99.
            (1 << 30, 15, 1 << 31, 16384),
            ((1 << 30) - 1, 15, 1 << 31, 16384),
            (1 << 30, 7, 1000 << 30, 0),
            (1 << 30, 10, 1000 << 30, 1),
            (1 << 30, 30, 1 << 62, 0),
        ] {
            assert_eq!(ratio(part, scale, sum), expected, "{part} / {sum}");
        }
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
    fn the_inverse_is_as_near_as_it_says() {
        for above in [0, 1, 0x7fff, 0x8000, 0x8001, 0x2aaa_aaaa, 0x3fff_ffff] {
            for sum in [(1u64 << 30) + above, ((1 << 30) + above) << 9] {
                let inverse = Divisor::new(sum, 0).inverse.into();
                let exact = (1u128 << (61 + if sum >> 31 > 0 { 9 } else { 0 })) / u128::from(sum);
                assert!((exact - 7..=exact).contains(&inverse), "{sum}");
            }
        }
    }

    #[test]
    fn any_ratio_is_the_quotient() {
        let mut state = 7u64;
        for round in 0..400_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            // Of 31 to 62 bits.
            let bits = (state >> 40) % 32;
            let sum = ((state >> 2) >> bits) | (1 << 30);
            for scale in [7, 8, 15] {
                // Any part, and those around a tie.
                let odd = u128::from(2 * (state % 200) + 1);
                let tie = ((u128::from(sum) * odd) >> (scale + 1)).min(1 << 30) as u64;
                let part = match round % 2 {
                    0 => (state >> 20) % ((1 << 30) + 1),
                    _ => (tie + state % 5).saturating_sub(2),
                };
                let part = part.min(sum).min(1 << 30);
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
        // Many pairs are found by their differences, many threes have their powers in a table, a few have not.
        for length in [2, 3] {
            let both = |x: i8| [[-128, x, 5], [x, -128, x]];
            let many = (-128..=127).flat_map(both);
            let many: std::vec::Vec<i8> = many.flat_map(|x| x.into_iter().take(length)).collect();
            let mut y = std::vec![0; many.len()];
            for (exponent, out) in [(-7, -7), (-4, -7), (0, -7), (-4, 0), (-4, -8)] {
                softmax(&many, length, 1, exponent, &mut y, out);
                for (x, y) in many.chunks_exact(length).zip(y.chunks_exact(length)) {
                    let mut few = std::vec![0; length];
                    softmax(x, length, 1, exponent, &mut few, out);
                    assert_eq!(y, few, "{x:?} * 2^{exponent} to 2^{out}");
                }
            }
        }
        // Pairs that lie apart.
        let apart: std::vec::Vec<i8> = (0..600).map(|i| (i * 37 % 256 - 128) as i8).collect();
        let mut y = std::vec![0; 600];
        softmax(&apart, 2, 300, -4, &mut y, -7);
        for lane in 0..300 {
            let mut few = [0; 2];
            softmax(&[apart[lane], apart[lane + 300]], 2, 1, -4, &mut few, -7);
            assert_eq!([y[lane], y[lane + 300]], few);
        }
        // Pairs of 16 bits are groups in which a third element has no weight.
        for (difference, out) in (0..30_000i16)
            .step_by(7)
            .zip([-15, -15, 0, -30].into_iter().cycle())
        {
            let (large, exponent) = (i16::MAX, -9);
            let three = [large - difference, large, i16::MIN];
            let (mut pair, mut group) = ([0; 2], [0; 3]);
            softmax(&three[..2], 2, 1, exponent, &mut pair, out);
            softmax(&three, 3, 1, exponent, &mut group, out);
            assert_eq!(pair, group[..2], "{difference} to 2^{out}");
        }
        let mut y = [0i16; 2];
        softmax(&[0i16, 1], 2, 1, 0, &mut y, -15);
        assert_eq!(y, [8813, 23955]);
        softmax(&[i16::MIN, i16::MAX], 2, 1, -128, &mut y, -15);
        assert_eq!(y, [16384, 16384]);
    }
}
