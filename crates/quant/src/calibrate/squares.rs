//! The exponent with the least squared error, for activations and for weights.

use crate::exponent::{self, pow2};
use crate::options::Bits;

/// Exponents tried below the one that clips nothing: at 2^-5 of the range even int16 has lost
/// whatever is beyond.
const FINER: i32 = 5;

/// Squared errors of one tensor's values at each candidate exponent.
#[derive(Clone, Debug)]
pub(crate) struct SquaredErrors {
    bits: Bits,
    /// The exponent that clips nothing; candidates go down from it.
    highest: i32,
    sums: [f64; FINER as usize + 1],
}

impl SquaredErrors {
    /// For values of at most this magnitude; None for zeros, which have no exponent.
    pub(crate) fn new(magnitude: f32, bits: Bits) -> Option<Self> {
        Some(SquaredErrors {
            bits,
            highest: exponent::ceil(magnitude, bits)?,
            sums: [0.0; FINER as usize + 1],
        })
    }

    pub(crate) fn take(&mut self, values: &[f32]) {
        let (low, high) = (f64::from(self.bits.min()), f64::from(self.bits.max()));
        for (finer, sum) in (0..).zip(&mut self.sums) {
            let (down, up) = (pow2(finer - self.highest), pow2(self.highest - finer));
            *sum += (values.iter())
                .map(|v| {
                    let v = f64::from(*v);
                    let error = v - (v * down).round_ties_even().clamp(low, high) * up;
                    error * error
                })
                .sum::<f64>();
        }
    }

    /// The best candidate; of several equally good ones the one that clips least.
    pub(crate) fn exponent(&self) -> i32 {
        let mut best = 0;
        for (finer, sum) in self.sums.iter().enumerate() {
            if *sum < self.sums[best] {
                best = finer;
            }
        }
        (self.highest - best as i32).max(exponent::MIN_EXPONENT)
    }
}

/// The best exponent for values that are all at hand; None for zeros.
pub(crate) fn of_values(values: &[f32], bits: Bits) -> Option<i32> {
    let magnitude = values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    let mut errors = SquaredErrors::new(magnitude, bits)?;
    errors.take(values);
    Some(errors.exponent())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_an_outlier_when_that_costs_less() {
        // At -6 the outlier is exact and 4000 values are off by up to 2^-7; at -7 it loses 1/128.
        let mut values: Vec<f32> = (0..4000)
            .map(|i| (i as f32 / 4000.0 + 0.1) / 64.0)
            .collect();
        values.push(1.0);
        assert_eq!(exponent::ceil(1.0, Bits::I8), Some(-6));
        assert_eq!(of_values(&values, Bits::I8), Some(-7));
        // One outlier twice as large is worth a bit.
        values.push(40.0);
        assert_eq!(of_values(&values, Bits::I8), Some(-1));
    }

    #[test]
    fn exact_values_keep_the_exponent_that_clips_nothing() {
        assert_eq!(of_values(&[1.0, -0.5], Bits::I8), Some(-6));
        // -2 is exact at -14 too, as -32768, which matters only when another value is not at -13.
        assert_eq!(of_values(&[0.0; 4], Bits::I8), None);
        assert_eq!(
            of_values(&[f32::from_bits(1)], Bits::I8),
            Some(exponent::MIN_EXPONENT)
        );
    }
}
