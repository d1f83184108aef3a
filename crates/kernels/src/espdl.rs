//! The `espdl` arithmetic: what ESP-DL v1 computes, for prediction on hosts.
//!
//! Every shift is a floor shift and biases are at the output's exponent. Source of the rules: ESP-DL
//! at its last v1 commit (af7808ba), its tools' evaluator, and golden outputs of the chips printed in
//! its tutorials.

use crate::linear::{Finish, Shifts};
use crate::number::{Accumulator, Element, floor_shift};

/// What becomes of a sum of products before it is shifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    /// ESP32-S3, i8: saturates at 20 bits, once at the end.
    Clip20,
    /// ESP32-S3, i16: saturates at 40 bits, once at the end.
    Clip40,
    /// C kernels of the other chips: wraps at 32 bits, and so does what follows.
    Wrap32,
}

/// Activation on the shifted and biased sum, before saturation.
#[derive(Clone, Copy, Debug)]
pub enum Activation<'a> {
    None,
    Relu,
    /// One slope for all channels.
    LeakyRelu {
        slope: i16,
        exponent: i8,
    },
    /// A slope for each channel, padded to whole blocks.
    PRelu {
        slopes: &'a [i16],
        exponent: i8,
    },
}

/// Linear op: shift the sum, add the bias, activate, saturate.
///
/// With per-channel shifts it is the S3's three-step pipeline: `u = clip16((sum >> 4) + bias)`, then
/// `(u * f) >> 12` with `f = 2^(16 - shift)`, an integer, so 0 when shift > 16.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    /// One for each channel, padded to whole blocks.
    pub bias: &'a [i32],
    pub shifts: Shifts<'a>,
    pub activation: Activation<'a>,
    pub sum: Sum,
}

impl Linear<'_> {
    fn element<T: Element>(&self, channel: usize, sum: i64) -> T {
        let bias = self.bias[channel];
        let wrap = self.sum == Sum::Wrap32;
        let sum = match self.sum {
            Sum::Clip20 => sum.clamp(-(1 << 19), (1 << 19) - 1),
            Sum::Clip40 => sum.clamp(-(1 << 39), (1 << 39) - 1),
            Sum::Wrap32 => i64::from(sum as i32),
        };
        let shifted = match self.shifts {
            Shifts::Uniform(shift) if wrap && shift < 0 => {
                i64::from((sum as i32).wrapping_shl(shift.unsigned_abs().into()))
            }
            Shifts::Uniform(shift) => floor_shift(sum, shift.into()),
            Shifts::PerChannel(shifts) => {
                let shift = i32::from(shifts[channel]);
                let u = i16::saturate((sum >> 4) + i64::from(bias));
                if shift > 16 {
                    0
                } else {
                    (i64::from(u) << (16 - shift).min(47)) >> 12
                }
            }
        };
        let t = match self.shifts {
            Shifts::Uniform(_) if wrap => i64::from((shifted as i32).wrapping_add(bias)),
            Shifts::Uniform(_) => shifted.saturating_add(bias.into()),
            Shifts::PerChannel(_) => shifted,
        };
        let leak = |slope: i16, exponent: i8| {
            if t >= 0 {
                t
            } else if wrap {
                let product = (t as i32).wrapping_mul(slope.into());
                floor_shift(product.into(), -i32::from(exponent))
            } else {
                floor_shift(t.saturating_mul(slope.into()), -i32::from(exponent))
            }
        };
        T::saturate(match self.activation {
            Activation::None => t,
            Activation::Relu => t.max(0),
            Activation::LeakyRelu { slope, exponent } => leak(slope, exponent),
            Activation::PRelu { slopes, exponent } => leak(slopes[channel], exponent),
        })
    }
}

impl<T: Element, A: Accumulator, const B: usize> Finish<T, A, B> for Linear<'_> {
    #[inline(always)]
    fn start(&self, _block: usize) -> [A; B] {
        [A::ZERO; B]
    }

    fn finish(&self, block: usize, sums: &[A; B], output: &mut [T]) {
        for (lane, (y, sum)) in output.iter_mut().zip(sums).enumerate() {
            *y = self.element(block * B + lane, (*sum).into());
        }
    }
}

/// Element-wise sum: the operand with the smaller exponent is floor-shifted to the larger one, the
/// sum is floor-shifted to the output.
#[derive(Clone, Copy, Debug)]
pub struct Add {
    right_a: i32,
    right_b: i32,
    shift: i32,
    relu: bool,
}

impl Add {
    /// For operands at exponents `a` and `b` and a sum at `out`.
    pub fn new(a: i8, b: i8, out: i8, relu: bool) -> Self {
        let high = i32::from(a.max(b));
        Self {
            right_a: high - i32::from(a),
            right_b: high - i32::from(b),
            shift: i32::from(out) - high,
            relu,
        }
    }

    /// The sum of two elements.
    pub fn apply<T: Element>(&self, a: T, b: T) -> T {
        let sum = floor_shift(a.into(), self.right_a) + floor_shift(b.into(), self.right_b);
        floor_shift(sum, self.shift).to_element(self.relu)
    }
}

/// The same value at another exponent: one floor shift, then saturation.
pub fn requantize<T: Element>(x: T, shift: i32, relu: bool) -> T {
    floor_shift(x.into(), shift).to_element(relu)
}

/// Mean by a reciprocal: `k` is the largest with `floor(2^k / area) < max`, the sum is multiplied by
/// `2^k / count` (integer division) and floor-shifted. No golden vector exists for this rule.
#[derive(Clone, Copy, Debug)]
pub struct Mean {
    k: u32,
    shift: i32,
}

impl Mean {
    /// For windows of `area` elements, `shift` = output - input exponent; `max` is the element's
    /// largest value.
    pub fn new(area: u32, max: i32, shift: i32) -> Self {
        let mut k = 0;
        while k < 40 && (1u64 << (k + 1)) / u64::from(area.max(1)) < u64::from(max.unsigned_abs()) {
            k += 1;
        }
        Self { k, shift }
    }

    /// Mean of `count` elements.
    pub fn apply<T: Element>(&self, sum: i32, count: u32) -> T {
        let reciprocal = (1i64 << self.k) / i64::from(count.max(1));
        T::saturate(floor_shift(
            i64::from(sum).saturating_mul(reciprocal),
            self.shift + self.k as i32,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linear(shifts: Shifts<'_>, sum: Sum) -> Linear<'_> {
        Linear {
            bias: &[3, -3],
            shifts,
            activation: Activation::None,
            sum,
        }
    }

    #[test]
    fn floor_then_bias_then_saturate() {
        let op = linear(Shifts::Uniform(2), Sum::Clip20);
        assert_eq!(op.element::<i8>(0, 7), 4);
        assert_eq!(op.element::<i8>(0, -1), 2);
        assert_eq!(op.element::<i8>(0, -4), 2);
        assert_eq!(op.element::<i8>(0, -5), 1);
        // Saturating before the bias would give 124.
        assert_eq!(op.element::<i8>(1, 4 * 130), 127);
    }

    #[test]
    fn sums_saturate_or_wrap_by_chip() {
        let shifts = Shifts::Uniform(16);
        assert_eq!(linear(shifts, Sum::Clip20).element::<i8>(0, 1 << 25), 7 + 3);
        assert_eq!(
            linear(shifts, Sum::Clip20).element::<i8>(0, -(1 << 25)),
            -8 + 3
        );
        let shifts = Shifts::Uniform(30);
        assert_eq!(
            linear(shifts, Sum::Clip40).element::<i16>(0, i64::MAX),
            511 + 3
        );
        assert_eq!(
            linear(shifts, Sum::Clip40).element::<i16>(0, i64::MIN),
            -512 + 3
        );
        assert_eq!(
            linear(shifts, Sum::Wrap32).element::<i16>(0, 1 << 31),
            -2 + 3
        );
        assert_eq!(
            linear(Shifts::Uniform(-2), Sum::Wrap32).element::<i16>(0, 5),
            23
        );
    }

    #[test]
    fn per_channel_floors_twice_and_drops_large_shifts() {
        let shifts = [6, 17];
        let op = linear(Shifts::PerChannel(&shifts), Sum::Clip20);
        assert_eq!(op.element::<i8>(0, 16 * 8), (8 + 3) >> 2);
        assert_eq!(op.element::<i8>(0, -1), 0);
        assert_eq!(op.element::<i8>(0, -16 * 8), -2);
        assert_eq!(op.element::<i8>(1, 1 << 19), 0);
    }

    #[test]
    fn leaks_act_on_the_biased_value() {
        let mut op = linear(Shifts::Uniform(0), Sum::Clip40);
        op.activation = Activation::LeakyRelu {
            slope: 3,
            exponent: -3,
        };
        assert_eq!(op.element::<i16>(0, -4), -1);
        assert_eq!(op.element::<i16>(0, -3), 0);
        assert_eq!(op.element::<i16>(0, 5), 8);
        op.activation = Activation::PRelu {
            slopes: &[3, -8],
            exponent: -3,
        };
        assert_eq!(op.element::<i16>(1, -4), 7);
        op.activation = Activation::Relu;
        assert_eq!(op.element::<i16>(1, 1), 0);
    }

    #[test]
    fn operands_are_floored_to_the_larger_exponent() {
        let add = Add::new(-1, 0, 0, false);
        assert_eq!(add.apply(-1i8, 0i8), -1);
        assert_eq!(add.apply(1i8, 5i8), 5);
        assert_eq!(Add::new(0, 0, -1, false).apply(100i8, 20i8), 127);
        assert_eq!(Add::new(0, 0, 1, false).apply(-1i8, 0i8), -1);
        assert_eq!(requantize(-1i8, 1, false), -1);
        assert_eq!(requantize(-1i8, 1, true), 0);
    }

    #[test]
    fn a_mean_uses_an_integer_reciprocal() {
        // floor(2^9 / 9) = 56 < 127, floor(2^10 / 9) = 113 < 127, 2^11: 227.
        let mean = Mean::new(9, 127, 0);
        assert_eq!(mean.k, 10);
        assert_eq!(mean.apply::<i8>(90, 9), ((90 * 113) >> 10) as i8);
        assert_eq!(mean.apply::<i8>(-1, 9), -1);
    }
}
