//! The `fixpoint` arithmetic, the one that the chip executes: exact sums, then one shift that rounds
//! half up, then saturation.

use crate::linear::{Finish, Shifts};
use crate::number::{Accumulator, Element, div_round_half_up, round_half_up_shift};

pub use crate::number::rounding_constant;

/// y = saturate((bias + sum(x * w)) >> shift), the rounding constant being part of the bias; then
/// ReLU if asked.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a, A> {
    /// One for each channel, padded to whole blocks.
    pub bias: &'a [A],
    pub shifts: Shifts<'a>,
    pub relu: bool,
}

impl<T: Element, A: Accumulator, const B: usize> Finish<T, A, B> for Linear<'_, A> {
    #[inline(always)]
    fn start(&self, block: usize) -> [A; B] {
        let mut sums = [A::ZERO; B];
        sums.copy_from_slice(&self.bias[block * B..][..B]);
        sums
    }

    #[inline(always)]
    fn finish(&self, block: usize, sums: &[A; B], output: &mut [T]) {
        let shifts = self.shifts.block::<B>(block);
        for ((y, sum), shift) in output.iter_mut().zip(sums).zip(shifts) {
            *y = sum.floor_shift(shift.into()).to_element(self.relu);
        }
    }
}

/// Element-wise sum: both operands brought exactly to the smaller exponent, added, one shift that
/// rounds half up.
#[derive(Clone, Copy, Debug)]
pub struct Add {
    left_a: u32,
    left_b: u32,
    shift: i32,
    relu: bool,
}

impl Add {
    /// For operands at exponents `a` and `b` and a sum at `out`. The exponents of the operands
    /// differ by at most 46.
    pub fn new(a: i8, b: i8, out: i8, relu: bool) -> Self {
        let low = i32::from(a.min(b));
        Self {
            left_a: (i32::from(a) - low).unsigned_abs().min(46),
            left_b: (i32::from(b) - low).unsigned_abs().min(46),
            shift: i32::from(out) - low,
            relu,
        }
    }

    /// The sum of two elements.
    #[inline(always)]
    pub fn apply<T: Element>(&self, a: T, b: T) -> T {
        let (a, b): (i64, i64) = (a.into(), b.into());
        let sum = (a << self.left_a) + (b << self.left_b);
        round_half_up_shift(sum, self.shift).to_element(self.relu)
    }
}

/// The same value at another exponent: one shift that rounds half up, then saturation.
#[inline(always)]
pub fn requantize<T: Element>(x: T, shift: i32, relu: bool) -> T {
    round_half_up_shift(x.into(), shift).to_element(relu)
}

/// Mean of `count` elements, rounded half up once, at an exponent larger by `shift`.
///
/// `shift` is between -31 and 46, `count` between 1 and 65536.
pub fn mean<T: Element>(sum: i32, count: u32, shift: i32) -> T {
    let (numerator, denominator) = if shift >= 0 {
        (i64::from(sum), i64::from(count) << shift.min(46))
    } else {
        (
            i64::from(sum) << shift.unsigned_abs().min(31),
            i64::from(count),
        )
    };
    T::saturate(div_round_half_up(numerator, denominator))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_rounds_once() {
        // 1 * 2^-1 + 1 * 2^-1 at exponent 0.
        assert_eq!(Add::new(-1, -1, 0, false).apply(1i8, 1i8), 1);
        assert_eq!(Add::new(-1, -1, 0, false).apply(-1i8, 0i8), 0);
        assert_eq!(Add::new(-1, -1, 0, false).apply(-1i8, -2i8), -1);
        // Rounding each operand by itself would give 2.
        assert_eq!(Add::new(-2, -2, 0, false).apply(2i8, 3i8), 1);
        assert_eq!(Add::new(0, -3, -3, false).apply(100i8, 1i8), 127);
        assert_eq!(Add::new(0, -3, -3, false).apply(-100i8, 1i8), -128);
        assert_eq!(Add::new(0, 0, 0, true).apply(-100i8, 1i8), 0);
        assert_eq!(
            Add::new(46, 0, 46, false).apply(i16::MIN, i16::MIN),
            i16::MIN
        );
        assert_eq!(Add::new(0, 0, 127, false).apply(i16::MAX, i16::MAX), 0);
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
        assert_eq!(requantize(64i8, -1, false), 127);
        assert_eq!(requantize(-65i8, -1, false), -128);
        assert_eq!(requantize(3i8, 1, false), 2);
        assert_eq!(requantize(-3i8, 1, false), -1);
        assert_eq!(requantize(-3i8, 1, true), 0);
        assert_eq!(requantize(-128i8, 200, false), 0);
        assert_eq!(requantize(1i8, -200, false), 127);
    }
}
