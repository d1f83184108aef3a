//! The `fixpoint` arithmetic, the one that the chip executes: exact sums, then one shift that rounds
//! half up, then saturation or a narrower clamp.

use crate::elementwise::{self, CHUNK, Operation, Row};
use crate::linear::{Finish, Shifts, Slopes};
use crate::number::{
    Accumulator, Element, Limits, div_round_half_up, div_round_half_up_narrow, round_half_up_shift,
    round_half_up_shift_narrow,
};

pub use crate::number::rounding_constant;

/// Slopes of a leaky ReLU: real = int * 2^exponent.
#[derive(Clone, Copy, Debug)]
pub struct Leak<'a> {
    pub slopes: Slopes<'a>,
    pub exponent: i8,
}

/// The shift and activation of an exact value: negative ones are multiplied by the slope first. One
/// shift that rounds half up, for either sign.
///
/// The activation acts on the exact sum, not on the rounded result: one rounding instead of two, and
/// a negative range that is larger than the output's doesn't saturate before it is scaled down, which
/// matters because the output's exponent is made for what comes *after* the activation. On the vector
/// unit an element-wise leak is `max(x, 0)`, plus `min(x, 0)` times the slope in QACC, which is
/// preloaded with the rounding constant.
///
/// `shift` and `shift - exponent` are at most 62; `value * slope` fits 63 bits.
#[inline(never)]
pub fn leaky(value: i64, shift: i32, slope: i16, exponent: i8) -> i64 {
    if value >= 0 {
        round_half_up_shift(value, shift)
    } else {
        let scaled = value.wrapping_mul(slope.into());
        round_half_up_shift(scaled, shift - i32::from(exponent))
    }
}

/// Biases with rounding constants, one for each channel, padded to whole blocks.
#[derive(Clone, Copy, Debug)]
pub enum Bias<'a> {
    Narrow(&'a [i32]),
    Wide(&'a [i64]),
}

impl Bias<'_> {
    /// The bias of `channel`, or `None` past the end.
    pub fn get(&self, channel: usize) -> Option<i64> {
        match self {
            Self::Narrow(bias) => bias.get(channel).map(|bias| i64::from(*bias)),
            Self::Wide(bias) => bias.get(channel).copied(),
        }
    }
}

/// y = clamp((bias + sum(x * w)) >> shift), the rounding constant being part of the bias. With a
/// leak: [`leaky`] of bias + sum(x * w).
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a, T> {
    pub bias: Bias<'a>,
    pub shifts: Shifts<'a>,
    pub leak: Option<Leak<'a>>,
    pub limits: Limits<T>,
}

impl<T: Element, A: Accumulator, const B: usize> Finish<T, A, B> for Linear<'_, T> {
    #[inline(always)]
    fn start(&self, block: usize, sums: &mut [A; B]) {
        match self.bias {
            Bias::Narrow(all) => {
                for (sum, bias) in sums.iter_mut().zip(&all[block * B..][..B]) {
                    *sum = A::wrap((*bias).into());
                }
            }
            Bias::Wide(all) => {
                for (sum, bias) in sums.iter_mut().zip(&all[block * B..][..B]) {
                    *sum = A::wrap(*bias);
                }
            }
        }
    }

    #[inline(always)]
    fn finish(&self, block: usize, sums: &[A; B], output: &mut [T]) {
        match &self.leak {
            None => {
                let mut room = [0; B];
                let shifts = self.shifts.block(block, &mut room);
                for ((y, sum), shift) in output.iter_mut().zip(sums).zip(shifts) {
                    *y = sum.floor_shift((*shift).into()).to_element(self.limits);
                }
            }
            Some(leak) => self.finish_leaky(leak, block, sums, output),
        }
    }
}

impl<T: Element> Linear<'_, T> {
    /// By itself, as each kernel would have its own copy.
    #[inline(never)]
    fn finish_leaky<A: Accumulator, const B: usize>(
        &self,
        leak: &Leak<'_>,
        block: usize,
        sums: &[A; B],
        output: &mut [T],
    ) {
        let mut room = [0; B];
        let shifts = self.shifts.block(block, &mut room);
        for (lane, ((y, sum), shift)) in output.iter_mut().zip(sums).zip(shifts).enumerate() {
            let slope = leak.slopes.of(block * B + lane);
            let shift = (*shift).into();
            // What a damaged bias leads to is any number.
            let exact = i64::wrapping_sub((*sum).into(), rounding_constant(shift));
            *y = self.limits.clamp(leaky(exact, shift, slope, leak.exponent));
        }
    }
}

/// Element-wise operation on two operands: sums, differences and extremes bring both exactly to the
/// smaller exponent, products are exact anyhow; then one shift that rounds half up.
#[derive(Clone, Copy, Debug)]
pub struct Binary<T> {
    pub operation: Operation,
    /// By how many places each operand is moved up to the smaller exponent; 0 for products.
    pub left: [u32; 2],
    /// From there to the result.
    pub shift: i32,
    pub limits: Limits<T>,
    /// Whether everything on the way fits 32 bits.
    narrow: bool,
}

impl<T: Element> Binary<T> {
    /// For operands at exponents `a` and `b` and a result at `out`. The exponents of the operands
    /// differ by at most 46, unless they are multiplied.
    pub fn new(operation: Operation, a: i8, b: i8, out: i8, limits: Limits<T>) -> Self {
        let (a, b, out) = (i32::from(a), i32::from(b), i32::from(out));
        let (low, [left_a, left_b]) = match operation {
            Operation::Mul => (a + b, [0, 0]),
            _ => {
                let low = a.min(b);
                (low, [a, b].map(|e| (e - low).clamp(0, 46).unsigned_abs()))
            }
        };
        let shift = out - low;
        Self {
            operation,
            left: [left_a, left_b],
            shift,
            limits,
            narrow: Self::is_narrow(operation, [left_a, left_b], shift),
        }
    }

    fn is_narrow(operation: Operation, left: [u32; 2], shift: i32) -> bool {
        let least: i64 = T::MIN.into();
        let most = match operation {
            Operation::Mul => least * least,
            _ => left.iter().map(|left| -least << left).sum(),
        };
        let most = match shift {
            -31..=0 => most << -shift,
            1..=31 => most + rounding_constant(shift),
            _ => return false,
        };
        most <= i32::MAX.into()
    }

    /// The result for two elements.
    #[inline(never)]
    pub fn apply(&self, a: T, b: T) -> T {
        let (a, b): (i64, i64) = (a.into(), b.into());
        // Products are not aligned.
        let (a, b) = (a << self.left[0], b << self.left[1]);
        let exact = match self.operation {
            Operation::Add => a + b,
            Operation::Sub => a - b,
            Operation::Mul => a * b,
            Operation::Max => a.max(b),
            Operation::Min => a.min(b),
        };
        self.limits.clamp(round_half_up_shift(exact, self.shift))
    }

    /// [`Self::apply`] along a row of the output.
    ///
    /// # Panics
    ///
    /// If an operand has fewer elements than the output.
    pub fn row(&self, a: &Row<'_, T>, b: &Row<'_, T>, output: &mut [T]) {
        elementwise::chunks(a, b, output, |a, b, y| {
            if self.narrow {
                let exact = exact_narrow(self.operation, self.left, a, b);
                for (y, exact) in y.iter_mut().zip(exact) {
                    let value = round_half_up_shift_narrow(exact, self.shift);
                    *y = self.limits.clamp_narrow(value);
                }
            } else {
                for (y, (a, b)) in y.iter_mut().zip(a.iter().zip(b)) {
                    *y = self.apply(T::wrap((*a).into()), T::wrap((*b).into()));
                }
            }
        });
    }
}

/// What [`Binary::apply`] shifts, where it fits. The same code for every element type.
fn exact_narrow(
    operation: Operation,
    left: [u32; 2],
    a: &[i32; CHUNK],
    b: &[i32; CHUNK],
) -> [i32; CHUNK] {
    let mut exact = *a;
    let [left_a, left_b] = left;
    for (a, b) in exact.iter_mut().zip(b) {
        let (aligned_a, aligned_b) = (*a << left_a, b << left_b);
        *a = match operation {
            Operation::Add => aligned_a + aligned_b,
            Operation::Sub => aligned_a - aligned_b,
            // Products are not aligned.
            Operation::Mul => aligned_a * aligned_b,
            Operation::Max => aligned_a.max(aligned_b),
            Operation::Min => aligned_a.min(aligned_b),
        };
    }
    exact
}

/// The same value at another exponent: one shift that rounds half up, then saturation.
#[inline(always)]
pub fn requantize<T: Element>(x: T, shift: i32, limits: Limits<T>) -> T {
    if (-15..=15).contains(&shift) {
        limits.clamp_narrow(round_half_up_shift_narrow(x.into(), shift))
    } else {
        limits.clamp(round_half_up_shift(x.into(), shift))
    }
}

/// Mean of `count` elements, rounded half up once, at an exponent larger by `shift`.
///
/// `shift` is between -31 and 46, `count` between 1 and 65536.
pub fn mean<T: Element>(sum: i32, count: u32, shift: i32) -> T {
    T::saturate(exact_mean(sum, count, shift))
}

/// The same code for every element type.
#[inline(never)]
fn exact_mean(sum: i32, count: u32, shift: i32) -> i64 {
    // Means of small integers fit 32 bits on the way as well.
    if (-15..=14).contains(&shift) && count <= 1 << 16 {
        let (up, down) = (shift.min(0).unsigned_abs(), shift.max(0).unsigned_abs());
        let raised = sum << up;
        if raised >> up == sum {
            return div_round_half_up_narrow(raised, (count << down) as i32).into();
        }
    }
    let (sum, count) = (i64::from(sum), i64::from(count));
    if shift >= 0 {
        div_round_half_up(sum, count << shift.min(46))
    } else {
        div_round_half_up(sum << shift.unsigned_abs().min(31), count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary<T: Element>(operation: Operation, exponents: [i8; 3], a: T, b: T) -> T {
        let [ea, eb, ey] = exponents;
        Binary::new(operation, ea, eb, ey, Limits::ALL).apply(a, b)
    }

    #[test]
    fn a_sum_rounds_once() {
        let add = |exponents, a: i8, b: i8| binary(Operation::Add, exponents, a, b);
        // 1 * 2^-1 + 1 * 2^-1 at exponent 0.
        assert_eq!(add([-1, -1, 0], 1, 1), 1);
        assert_eq!(add([-1, -1, 0], -1, 0), 0);
        assert_eq!(add([-1, -1, 0], -1, -2), -1);
        // Rounding each operand by itself would give 2.
        assert_eq!(add([-2, -2, 0], 2, 3), 1);
        assert_eq!(add([0, -3, -3], 100, 1), 127);
        assert_eq!(add([0, -3, -3], -100, 1), -128);
        let relu = Limits { low: 0, high: 127 };
        let sum = Binary::new(Operation::Add, 0, 0, 0, relu);
        assert_eq!(sum.apply(-100i8, 1), 0);
        let wide = |e, a: i16, b: i16| binary(Operation::Add, e, a, b);
        assert_eq!(wide([46, 0, 46], i16::MIN, i16::MIN), i16::MIN);
        assert_eq!(wide([0, 0, 127], i16::MAX, i16::MAX), 0);
    }

    #[test]
    fn other_operations_are_exact_until_the_shift() {
        use Operation::{Max, Min, Mul, Sub};
        assert_eq!(binary(Sub, [0, -1, 0], 5i8, 1), 5);
        assert_eq!(binary(Sub, [0, -1, 0], 5i8, 2), 4);
        assert_eq!(binary(Sub, [0, 0, 0], i8::MIN, i8::MAX), i8::MIN);
        assert_eq!(binary(Sub, [0, 0, 1], i16::MAX, i16::MIN), i16::MAX);
        assert_eq!(binary(Mul, [-4, -4, -7], 12i8, 1), 6);
        assert_eq!(binary(Mul, [-4, -4, -7], -11i8, 1), -5);
        assert_eq!(binary(Mul, [-15, -15, -15], i16::MIN, i16::MIN), i16::MAX);
        assert_eq!(binary(Mul, [-128, -128, 127], i16::MIN, i16::MIN), 0);
        assert_eq!(binary(Mul, [127, 127, -128], 1i8, -1), i8::MIN);
        // 3 * 2^-1 is above 1 and rounds to 2; 2 * 2^0 is above 3 * 2^-1.
        assert_eq!(binary(Max, [-1, 0, 0], 3i8, 1), 2);
        assert_eq!(binary(Max, [-1, 0, -1], 3i8, 2), 4);
        assert_eq!(binary(Min, [-1, 0, -1], 3i8, 2), 3);
    }

    #[test]
    fn a_leak_acts_on_the_exact_value() {
        // -5 * 1/4 at a shift of 0 and of 1: -1.25 and -0.625.
        assert_eq!(leaky(-5, 0, 1, -2), -1);
        assert_eq!(leaky(-5, 1, 1, -2), -1);
        assert_eq!(leaky(-2, 0, 1, -2), 0);
        assert_eq!(leaky(5, 1, 1, -2), 3);
        assert_eq!(leaky(-3, 0, -1, 0), 3);
        assert_eq!(leaky(-(1 << 40), 10, i16::MAX, -15), -(32767 << 15));
        // Rounding first would give -1 * 3/8 = -0.375, so 0; exactly it is -1.5 * 3/8 = -0.5625.
        let finish = Linear {
            bias: Bias::Narrow(&[-6 + 2]),
            shifts: Shifts::Uniform(2),
            leak: Some(Leak {
                slopes: Slopes::Uniform(3),
                exponent: -3,
            }),
            limits: Limits::<i8>::ALL,
        };
        let mut y = [0i8];
        Finish::<i8, i32, 1>::finish(&finish, 0, &[-6 + 2], &mut y);
        assert_eq!(y, [-1]);
    }

    #[test]
    fn a_mean_rounds_ties_up() {
        assert_eq!(mean::<i8>(1, 2, 0), 1);
        assert_eq!(mean::<i8>(-1, 2, 0), 0);
        assert_eq!(mean::<i8>(-3, 2, 0), -1);
        assert_eq!(mean::<i8>(-128 * 9, 9, 0), -128);
        assert_eq!(mean::<i8>(127 * 9, 9, -1), 127);
        assert_eq!(mean::<i8>(6, 1, 2), 2);
        assert_eq!(mean::<i8>(5, 1, 2), 1);
        assert_eq!(mean::<i16>(i32::MAX, 65536, -31), i16::MAX);
        assert_eq!(mean::<i16>(i32::MIN, 65536, 46), 0);
        assert_eq!(mean::<i16>(i32::MIN, 65536, 0), i16::MIN);
    }

    #[test]
    fn a_requantized_element_saturates() {
        let all = Limits::ALL;
        assert_eq!(requantize(64i8, -1, all), 127);
        assert_eq!(requantize(-65i8, -1, all), -128);
        assert_eq!(requantize(3i8, 1, all), 2);
        assert_eq!(requantize(-3i8, 1, all), -1);
        assert_eq!(requantize(-3i8, 1, Limits { low: 0, high: 6 }), 0);
        assert_eq!(requantize(100i8, 1, Limits { low: 0, high: 6 }), 6);
        assert_eq!(requantize(-128i8, 200, all), 0);
        assert_eq!(requantize(1i8, -200, all), 127);
    }
}
