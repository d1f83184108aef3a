//! From a range to an exponent: the ESP-DL toolkit's rules, exactly.
//!
//! With M the largest integer (127 or 32767) and a the largest magnitude of a tensor:
//! everything but the model's input gets ceil(log2(a / M)), the input round(log2(a / M)), or in
//! the fixpoint arithmetic ceil(log2(a / (M + 1))), unless the calibration method chooses another.
//! Nothing here takes a logarithm: a is compared with M * 2^e, and both are exact in f64 (a has 24
//! significant bits, M has 15, and the exponents stay far from the ends of f64's range). So the
//! same range gives the same exponent on every machine.
//!
//! The range itself comes from float sums, whose last bits may depend on the machine. Only when a
//! lies within such an error of M * 2^e can two machines choose different exponents.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::options::Bits;

/// Exponents are kept within this; a tensor that would need less holds nothing but noise.
pub(crate) const MIN_EXPONENT: i32 = -100;

/// What a file may give as an exponent: f32 has no larger values, and products of three stay in f64.
pub(crate) const GIVEN: RangeInclusive<i32> = MIN_EXPONENT..=100;

/// The first exponent that a file may not give, with its tensor.
pub(crate) fn beyond(exponents: &BTreeMap<String, Vec<i32>>) -> Option<(&str, i32)> {
    (exponents.iter())
        .flat_map(|(name, list)| list.iter().map(|e| (name.as_str(), *e)))
        .find(|(_, e)| !GIVEN.contains(e))
}

/// 2^e, exactly. `e` within -1022..=1023.
pub(crate) fn pow2(e: i32) -> f64 {
    debug_assert!((-1022..=1023).contains(&e));
    f64::from_bits(((e + 1023) as u64) << 52)
}

/// A power of two not far below `a / max`, to start the search from.
fn start(a: f64, max: f64) -> i32 {
    // Difference of the binary exponents: wrong by one at most.
    let exponent = |v: f64| ((v.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    exponent(a) - exponent(max) - 2
}

/// The smallest exponent at which `a` is at most `most`.
/// None for zero (there is no such exponent) and for what is not finite.
fn at_most(a: f32, most: f64) -> Option<i32> {
    let a = f64::from(a.abs());
    if a == 0.0 || !a.is_finite() {
        return None;
    }
    let mut e = start(a, most);
    while a > most * pow2(e) {
        e += 1;
    }
    Some(e.max(MIN_EXPONENT))
}

/// ceil(log2(a / M)): the smallest exponent at which `a` is not clipped.
pub(crate) fn ceil(a: f32, bits: Bits) -> Option<i32> {
    at_most(a, f64::from(bits.max()))
}

/// round(log2(a / M)), for the model's input. a / M = 2^(e + 1/2) never happens: the square root
/// of two is not a fraction.
pub(crate) fn round(a: f32, bits: Bits) -> Option<i32> {
    let (a, max) = (f64::from(a.abs()), f64::from(bits.max()));
    if a == 0.0 || !a.is_finite() {
        return None;
    }
    // a <= M * 2^(e + 1/2), squared: 48 and 30 significant bits, both exact.
    let mut e = start(a, max) - 1;
    while a * a > max * max * pow2(2 * e + 1) {
        e += 1;
    }
    Some(e.max(MIN_EXPONENT))
}

/// For the model's input in the fixpoint arithmetic: the smallest exponent at which `a` loses at most
/// one step. So 1 keeps every bit of images between 0 and 1, and nothing else is clipped, of which
/// [`round`] clips up to 29 %.
pub(crate) fn within_a_step(a: f32, bits: Bits) -> Option<i32> {
    at_most(a, f64::from(bits.max()) + 1.0)
}

/// 127 * 2^(1/4): the largest integer an entropy threshold may have.
const THRESHOLD_MAX: f64 = 151.029_303_605_345_57;

/// ceil(log2(t / 127) - 1/4), for an int8 tensor whose entropy threshold is `t` > 0: values up to
/// 19 % above the largest integer may be clipped.
pub(crate) fn of_threshold(t: f64) -> i32 {
    let mut e = start(t, THRESHOLD_MAX);
    while t > THRESHOLD_MAX * pow2(e) {
        e += 1;
    }
    e.max(MIN_EXPONENT)
}

/// The exponent for a tensor that is zero throughout: one that gives it the range [-1, 1).
pub(crate) fn of_zeros(bits: Bits) -> i32 {
    1 - bits.width() as i32
}

/// The integer for `value` at `exponent`: nearest, ties to even, clipped to the type.
/// The one rule for constants and for inputs.
pub(crate) fn quantize(value: f32, exponent: i32, bits: Bits) -> i32 {
    let q = (f64::from(value) * pow2(-exponent)).round_ties_even();
    q.clamp(f64::from(bits.min()), f64::from(bits.max())) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceil_changes_just_above_max() {
        assert_eq!(ceil(127.0 / 128.0, Bits::I8), Some(-7));
        assert_eq!(ceil(127.01 / 128.0, Bits::I8), Some(-6));
        assert_eq!(ceil(-127.0 / 128.0, Bits::I8), Some(-7));
        assert_eq!(ceil(32767.0 / 32768.0, Bits::I16), Some(-15));
        assert_eq!(ceil(32767.01 / 32768.0, Bits::I16), Some(-14));
        let next_up = f32::from_bits((127.0f32 / 128.0).to_bits() + 1);
        assert_eq!(ceil(next_up, Bits::I8), Some(-6));
        assert_eq!(ceil(15.937968, Bits::I8), Some(-2));
        assert_eq!(ceil(11.830135, Bits::I16), Some(-11));
        assert_eq!(ceil(40.502132, Bits::I16), Some(-9));
    }

    #[test]
    fn input_loses_a_step_at_most() {
        assert_eq!(within_a_step(1.0, Bits::I8), Some(-7));
        assert_eq!(within_a_step(-1.0, Bits::I16), Some(-15));
        assert_eq!(within_a_step(1.000_1, Bits::I8), Some(-6));
        assert_eq!(within_a_step(0.6, Bits::I16), Some(-15));
        // Standardized pixels, of which `round` would clip those above 2.
        assert_eq!(within_a_step(2.64, Bits::I16), Some(-13));
        assert_eq!(round(2.64, Bits::I16), Some(-14));
        assert_eq!(within_a_step(255.0, Bits::I8), Some(1));
        assert_eq!(within_a_step(256.5, Bits::I8), Some(2));
        assert_eq!(within_a_step(0.0, Bits::I8), None);
        assert_eq!(within_a_step(f32::INFINITY, Bits::I8), None);
        assert_eq!(
            within_a_step(f32::from_bits(1), Bits::I16),
            Some(MIN_EXPONENT)
        );
    }

    #[test]
    fn input_rounds_to_nearest() {
        assert_eq!(round(1.0, Bits::I8), Some(-7));
        assert_eq!(round(1.0, Bits::I16), Some(-15));
        assert_eq!(round(1.403, Bits::I8), Some(-7));
        assert_eq!(round(1.4035, Bits::I8), Some(-6));
        assert_eq!(round(-1.4035, Bits::I8), Some(-6));
        assert_eq!(round(255.0, Bits::I8), Some(1));
        assert_eq!(round(255.0, Bits::I16), Some(-7));
    }

    #[test]
    fn thresholds_switch_a_quarter_of_an_octave_above_max() {
        // The toolkit's switch point, measured by bisection: between these two.
        for e in [-12, -7, 0, 3] {
            assert_eq!(of_threshold(151.029_299 * pow2(e)), e);
            assert_eq!(of_threshold(151.029_315 * pow2(e)), e + 1);
        }
        assert_eq!(of_threshold(127.0), 0);
        // MNIST's, with the exponents the toolkit gave them.
        assert_eq!(
            [5.802428, 9.972905, 21.002571].map(of_threshold),
            [-4, -3, -2]
        );
    }

    #[test]
    fn extremes_have_an_exponent() {
        assert_eq!(ceil(f32::MAX, Bits::I8), Some(122));
        assert_eq!(ceil(f32::MAX, Bits::I16), Some(114));
        assert_eq!(ceil(f32::from_bits(1), Bits::I8), Some(MIN_EXPONENT));
        assert_eq!(round(f32::from_bits(1), Bits::I16), Some(MIN_EXPONENT));
        assert_eq!(ceil(0.0, Bits::I8), None);
        assert_eq!(ceil(f32::INFINITY, Bits::I8), None);
        assert_eq!(round(f32::NAN, Bits::I8), None);
    }

    #[test]
    fn every_power_boundary_is_sharp() {
        for bits in [Bits::I8, Bits::I16] {
            for e in -40..40 {
                let edge = (f64::from(bits.max()) * pow2(e)) as f32;
                assert_eq!(ceil(edge, bits), Some(e));
                let above = f32::from_bits(edge.to_bits() + 1);
                assert_eq!(ceil(above, bits), Some(e + 1));
            }
        }
    }

    #[test]
    fn constants_round_half_to_even_and_clip() {
        let half = 1.0f32 / 256.0;
        assert_eq!(quantize(half, -7, Bits::I8), 0);
        assert_eq!(quantize(3.0 * half, -7, Bits::I8), 2);
        assert_eq!(quantize(5.0 * half, -7, Bits::I8), 2);
        assert_eq!(quantize(-3.0 * half, -7, Bits::I8), -2);
        assert_eq!(quantize(1.0, -7, Bits::I8), 127);
        assert_eq!(quantize(-1.0, -7, Bits::I8), -128);
        assert_eq!(quantize(-2.0, -7, Bits::I8), -128);
        assert_eq!(quantize(f32::MAX, -100, Bits::I16), 32767);
    }
}
