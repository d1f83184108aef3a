//! The `espdl` arithmetic: what ESP-DL v1 computes, for prediction on hosts.
//!
//! Every shift is a floor shift and biases are at the output's exponent. Source of the rules: ESP-DL
//! at its last v1 commit (af7808ba), its tools' evaluator, and golden outputs of the chips printed in
//! its tutorials.

use crate::elementwise::Operation;
use crate::fixpoint::Leak;
use crate::linear::{Finish, Shifts};
use crate::number::{Accumulator, Element, Limits, floor_shift};

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

/// Linear op: shift the sum, add the bias, activate, saturate. Leaky activations multiply what is
/// negative by the slope and shift once more; ReLU is part of the limits.
///
/// With per-channel shifts it is the S3's three-step pipeline: `u = clip16((sum >> 4) + bias)`, then
/// `(u * f) >> 12` with `f = 2^(16 - shift)`, an integer, so 0 when shift > 16.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a, T> {
    /// One for each channel, padded to whole blocks.
    pub bias: &'a [i32],
    pub shifts: Shifts<'a>,
    pub leak: Option<Leak<'a>>,
    pub limits: Limits<T>,
    pub sum: Sum,
}

impl<T: Element> Linear<'_, T> {
    fn element(&self, channel: usize, sum: i64) -> T {
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
        self.limits.clamp(match self.leak {
            Some(leak) if t < 0 => {
                let slope = leak.slopes.of(channel);
                let product = if wrap {
                    (t as i32).wrapping_mul(slope.into()).into()
                } else {
                    t.saturating_mul(slope.into())
                };
                floor_shift(product, -i32::from(leak.exponent))
            }
            _ => t,
        })
    }
}

impl<T: Element, A: Accumulator, const B: usize> Finish<T, A, B> for Linear<'_, T> {
    #[inline(always)]
    fn start(&self, _block: usize, _sums: &mut [A; B]) {}

    fn finish(&self, block: usize, sums: &[A; B], output: &mut [T]) {
        for (lane, (y, sum)) in output.iter_mut().zip(sums).enumerate() {
            *y = self.element(block * B + lane, (*sum).into());
        }
    }
}

/// Element-wise operation. Sums and differences: the operand with the smaller exponent is
/// floor-shifted to the larger one, the result is floor-shifted to the output. Products are
/// floor-shifted once. Extremes are compared as they are, at one exponent.
///
/// No golden vector exists for differences and products: Sub2D follows Add2D by symmetry, Mul2D is
/// what the machine code of the 2021 library does.
#[derive(Clone, Copy, Debug)]
pub struct Binary<T> {
    operation: Operation,
    right_a: i32,
    right_b: i32,
    shift: i32,
    limits: Limits<T>,
}

impl<T: Element> Binary<T> {
    /// For operands at exponents `a` and `b` and a result at `out`.
    pub fn new(operation: Operation, a: i8, b: i8, out: i8, limits: Limits<T>) -> Self {
        let (a, b, out) = (i32::from(a), i32::from(b), i32::from(out));
        let high = match operation {
            Operation::Mul => a + b,
            _ => a.max(b),
        };
        Self {
            operation,
            right_a: high - a,
            right_b: high - b,
            shift: out - high,
            limits,
        }
    }

    /// The result for two elements.
    pub fn apply(&self, a: T, b: T) -> T {
        let (a, b): (i64, i64) = (a.into(), b.into());
        let (low_a, low_b) = (floor_shift(a, self.right_a), floor_shift(b, self.right_b));
        let value = match self.operation {
            Operation::Add => low_a + low_b,
            Operation::Sub => low_a - low_b,
            Operation::Mul => a * b,
            Operation::Max => a.max(b),
            Operation::Min => a.min(b),
        };
        self.limits.clamp(floor_shift(value, self.shift))
    }
}

/// The same value at another exponent: one floor shift, then saturation.
pub fn requantize<T: Element>(x: T, shift: i32, limits: Limits<T>) -> T {
    limits.clamp(floor_shift(x.into(), shift))
}

/// A leaky ReLU that is a layer of its own: what is negative is multiplied by the slope,
/// floor-shifted, and stored without saturation.
pub fn leaky<T: Element>(x: T, slope: i16, exponent: i8) -> T {
    let x: i64 = x.into();
    if x >= 0 {
        T::wrap(x)
    } else {
        T::wrap(floor_shift(x * i64::from(slope), -i32::from(exponent)))
    }
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
    use crate::linear::Slopes;

    fn linear<T: Element>(shifts: Shifts<'_>, sum: Sum) -> Linear<'_, T> {
        Linear {
            bias: &[3, -3],
            shifts,
            leak: None,
            limits: Limits::ALL,
            sum,
        }
    }

    #[test]
    fn floor_then_bias_then_saturate() {
        let op = linear::<i8>(Shifts::Uniform(2), Sum::Clip20);
        assert_eq!(op.element(0, 7), 4);
        assert_eq!(op.element(0, -1), 2);
        assert_eq!(op.element(0, -4), 2);
        assert_eq!(op.element(0, -5), 1);
        // Saturating before the bias would give 124.
        assert_eq!(op.element(1, 4 * 130), 127);
    }

    #[test]
    fn sums_saturate_or_wrap_by_chip() {
        let shifts = Shifts::Uniform(16);
        assert_eq!(linear::<i8>(shifts, Sum::Clip20).element(0, 1 << 25), 7 + 3);
        assert_eq!(
            linear::<i8>(shifts, Sum::Clip20).element(0, -(1 << 25)),
            -8 + 3
        );
        let shifts = Shifts::Uniform(30);
        assert_eq!(
            linear::<i16>(shifts, Sum::Clip40).element(0, i64::MAX),
            511 + 3
        );
        assert_eq!(
            linear::<i16>(shifts, Sum::Clip40).element(0, i64::MIN),
            -512 + 3
        );
        assert_eq!(
            linear::<i16>(shifts, Sum::Wrap32).element(0, 1 << 31),
            -2 + 3
        );
        assert_eq!(
            linear::<i16>(Shifts::Uniform(-2), Sum::Wrap32).element(0, 5),
            23
        );
    }

    #[test]
    fn per_channel_floors_twice_and_drops_large_shifts() {
        let shifts = [6, 17];
        let op = linear::<i8>(Shifts::PerChannel(&shifts), Sum::Clip20);
        assert_eq!(op.element(0, 16 * 8), (8 + 3) >> 2);
        assert_eq!(op.element(0, -1), 0);
        assert_eq!(op.element(0, -16 * 8), -2);
        assert_eq!(op.element(1, 1 << 19), 0);
    }

    #[test]
    fn leaks_act_on_the_biased_value() {
        let mut op = linear::<i16>(Shifts::Uniform(0), Sum::Clip40);
        op.leak = Some(Leak {
            slopes: Slopes::Uniform(3),
            exponent: -3,
        });
        assert_eq!(op.element(0, -4), -1);
        assert_eq!(op.element(0, -3), 0);
        assert_eq!(op.element(0, 5), 8);
        op.leak = Some(Leak {
            slopes: Slopes::PerChannel(&[3, -8]),
            exponent: -3,
        });
        assert_eq!(op.element(1, -4), 7);
        op.leak = None;
        op.limits.low = 0;
        assert_eq!(op.element(1, 1), 0);
        assert_eq!(leaky(-5i8, 3, -3), -2);
        assert_eq!(leaky(5i8, 3, -3), 5);
        assert_eq!(leaky(-128i8, 127, -6), 2);
    }

    #[test]
    fn operands_are_floored_to_the_larger_exponent() {
        let binary =
            |operation, [a, b, out]: [i8; 3]| Binary::new(operation, a, b, out, Limits::<i8>::ALL);
        let add = binary(Operation::Add, [-1, 0, 0]);
        assert_eq!(add.apply(-1, 0), -1);
        assert_eq!(add.apply(1, 5), 5);
        assert_eq!(binary(Operation::Add, [0, 0, -1]).apply(100, 20), 127);
        assert_eq!(binary(Operation::Add, [0, 0, 1]).apply(-1, 0), -1);
        assert_eq!(binary(Operation::Sub, [0, -1, 0]).apply(3, -1), 4);
        assert_eq!(binary(Operation::Mul, [-4, -4, -7]).apply(-1, 1), -1);
        assert_eq!(binary(Operation::Max, [-4, -4, -4]).apply(-1, 1), 1);
        assert_eq!(binary(Operation::Min, [-4, -4, -4]).apply(-1, 1), -1);
        assert_eq!(requantize(-1i8, 1, Limits::ALL), -1);
        assert_eq!(requantize(-1i8, 1, Limits { low: 0, high: 5 }), 0);
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
