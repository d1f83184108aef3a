//! The integers of a layer with weights: exponents, rounding, bias, and whether its sums fit.

use crate::calibrate::squares;
use crate::error::QuantError;
use crate::exponent;
use crate::options::{Arithmetic, Bits, Granularity, Method, Options};

/// Per-channel weight exponents of the ESP-DL toolkit never go below this.
const ESPDL_CHANNEL_FLOOR: i32 = -15;

/// Float parameters of one layer; weights `[outputs][elements per output]`, as stored.
pub(crate) struct Parameters<'a> {
    pub(crate) weights: &'a [f32],
    pub(crate) bias: Option<&'a [f32]>,
    pub(crate) outputs: usize,
    pub(crate) input_exponent: i32,
    pub(crate) output_exponent: i32,
    /// What a quantized file says.
    pub(crate) given: GivenIntegers<'a>,
}

/// Integers of a layer that are not ours to choose.
#[derive(Clone, Debug, Default)]
pub(crate) struct GivenIntegers<'a> {
    /// Weight exponents, one for each output.
    pub(crate) weights: Option<Vec<i32>>,
    /// The bias and its exponents: one, or one for each output.
    pub(crate) bias: Option<(&'a [i64], &'a [i32])>,
}

impl GivenIntegers<'_> {
    /// The bias of output `c` at exponent `e`, where it is one exactly.
    fn bias_at(&self, c: usize, e: i32) -> Option<i64> {
        let (integers, exponents) = self.bias?;
        let left = exponents[c % exponents.len()] - e;
        ((0..31).contains(&left)).then(|| integers[c % integers.len()] << left)
    }
}

/// Integer parameters of one layer.
#[derive(Debug)]
pub(crate) struct Integers {
    pub(crate) weights: Vec<i16>,
    pub(crate) bias: Vec<i64>,
    /// One, or one per output channel.
    pub(crate) weight_exponents: Vec<i32>,
    /// One, or one per output channel.
    pub(crate) shifts: Vec<i32>,
    /// Signed bits that hold every sum this layer can form.
    pub(crate) accumulator_bits: u32,
    pub(crate) warnings: Vec<String>,
}

/// The toolkit's table entry for weights: `[1]` or `[outputs]`, rows `[outputs][...]`.
pub(crate) fn table_weight_exponents(
    weights: &[f32],
    outputs: usize,
    options: &Options,
) -> Vec<i32> {
    match options.granularity {
        Granularity::PerTensor => vec![whole_exponent(weights, options)],
        Granularity::PerChannel => rows(weights, outputs)
            .map(|row| {
                let e = best_exponent(row, options).unwrap_or(ESPDL_CHANNEL_FLOOR);
                e.max(ESPDL_CHANNEL_FLOOR)
            })
            .collect(),
    }
}

/// One exponent for all weights of a layer.
fn whole_exponent(weights: &[f32], options: &Options) -> i32 {
    best_exponent(weights, options).unwrap_or(exponent::of_zeros(options.bits))
}

/// None for zeros. Only mse chooses anything but the exponent that clips nothing.
pub(crate) fn best_exponent(weights: &[f32], options: &Options) -> Option<i32> {
    match options.method {
        Method::Mse => squares::of_values(weights, options.bits),
        Method::MinMax | Method::Entropy | Method::Percentile => {
            exponent::ceil(largest(weights), options.bits)
        }
    }
}

fn rows(weights: &[f32], outputs: usize) -> impl Iterator<Item = &[f32]> {
    weights.chunks(weights.len() / outputs)
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |m, v| v.abs().max(m))
}

/// Signed bits of the narrowest accumulator for sums whose magnitude is at most `bound`.
fn bits_for(bound: u128) -> u32 {
    129 - bound.leading_zeros()
}

/// The largest sum of one channel: every input at the end of its range with the worst sign.
fn bound(weights: &[i16], bias: i64, shift: i32, bits: Bits) -> u128 {
    let worst_input = u128::from(bits.min().unsigned_abs());
    let sum: u128 = weights.iter().map(|w| u128::from(w.unsigned_abs())).sum();
    let rounding = match shift {
        1..=62 => 1u128 << (shift - 1),
        _ => 0,
    };
    sum * worst_input + u128::from(bias.unsigned_abs()) + rounding
}

/// `value * 2^-exponent` rounded half to even, within +-`limit`.
fn round(value: f32, exponent: i32, low: f64, high: f64) -> i64 {
    let scaled = f64::from(value) * exponent::pow2(-exponent);
    scaled.round_ties_even().clamp(low, high) as i64
}

/// Converts a layer's parameters for the arithmetic that the options name.
pub(crate) fn convert(p: &Parameters<'_>, options: &Options) -> Result<Integers, QuantError> {
    match options.arithmetic {
        Arithmetic::Fixpoint => Ok(fixpoint(p, options)),
        Arithmetic::Espdl => Ok(espdl(p, options)),
    }
}

/// Weights of one channel at exponent `e`.
fn round_row(row: &[f32], e: i32, bits: Bits) -> Vec<i16> {
    (row.iter())
        .map(|w| exponent::quantize(*w, e, bits) as i16)
        .collect()
}

/// The largest shift from sums of so many 8-bit products to the output by which finer weights still show there.
///
/// Rounding errors of weights are up to half a step, 1/sqrt(12) on average. With all inputs at the end of their range
/// those of n products come to 127 * sqrt(n / 12) on average, which the shift is to make an eighth of the output's last
/// place: the rounding of the output itself is 1/sqrt(12) of it.
fn most_shift(products: usize) -> i32 {
    let noise = 64 * 127 * 127 * products as u64;
    let shift = (0..MOST_SHIFT).find(|shift| 12 << (2 * shift) >= noise);
    shift.unwrap_or(MOST_SHIFT)
}

/// The largest that the vector unit's kernels are made for.
const MOST_SHIFT: i32 = 14;

fn fixpoint(p: &Parameters<'_>, options: &Options) -> Integers {
    let bits = options.bits;
    let bias_of = |c: usize| p.bias.map_or(0.0, |b| b[c % b.len()]);
    let mut out = Integers {
        weights: Vec::with_capacity(p.weights.len()),
        bias: Vec::with_capacity(p.outputs),
        weight_exponents: Vec::new(),
        shifts: Vec::new(),
        accumulator_bits: 0,
        warnings: Vec::new(),
    };
    let whole = whole_exponent(p.weights, options);
    // What the chip's vector accumulators hold, the largest shift that shows in the output, and the largest bias.
    let (wanted, most_shift, most_bias) = match bits {
        Bits::I8 => (32, most_shift(p.weights.len() / p.outputs), 1 << 22),
        Bits::I16 => (40, 38, u64::MAX),
    };
    let most = f64::from(1u32 << 31) * f64::from(1u32 << 30);
    for (c, row) in rows(p.weights, p.outputs).enumerate() {
        let mut e = match (&p.given.weights, options.granularity) {
            (Some(given), _) => given[c],
            (None, Granularity::PerTensor) => whole,
            (None, Granularity::PerChannel) => best_exponent(row, options).unwrap_or(whole),
        };
        loop {
            let weights = round_row(row, e, bits);
            let shift = p.output_exponent - p.input_exponent - e;
            let rounded = || round(bias_of(c), p.input_exponent + e, -most, most);
            let bias = (p.given.bias_at(c, p.input_exponent + e)).unwrap_or_else(rounded);
            let need = bits_for(bound(&weights, bias, shift, bits));
            // A channel with tiny weights, or small ones and a large bias, would need sums wider than
            // the vector unit has, or one more step of its drain, for weight bits that the output can't
            // show. A coarser exponent loses nothing there. Per tensor the exponent is the rule's, and
            // the sum gets wider.
            let too_fine = need > wanted || shift > most_shift || bias.unsigned_abs() >= most_bias;
            let free = p.given.weights.is_none();
            if free && options.granularity == Granularity::PerChannel && too_fine && e < 40 {
                e += 1;
                continue;
            }
            out.accumulator_bits = out.accumulator_bits.max(need);
            out.weights.extend(weights);
            out.bias.push(bias);
            out.weight_exponents.push(e);
            out.shifts.push(shift);
            break;
        }
    }
    if options.granularity == Granularity::PerTensor {
        out.weight_exponents.truncate(1);
        out.shifts.truncate(1);
    }
    out
}

fn espdl(p: &Parameters<'_>, options: &Options) -> Integers {
    let bits = options.bits;
    let exponents = match (&p.given.weights, options.granularity) {
        (Some(given), Granularity::PerTensor) => given[..1].to_vec(),
        (Some(given), Granularity::PerChannel) => given.clone(),
        (None, _) => table_weight_exponents(p.weights, p.outputs, options),
    };
    let per_channel = options.granularity == Granularity::PerChannel;
    // Per tensor the bias is of the activations' type at the output's exponent; per channel it is
    // 16 bits wide at input + weight + 4.
    let bias_bits = if per_channel { Bits::I16 } else { bits };
    let mut out = Integers {
        weights: Vec::with_capacity(p.weights.len()),
        bias: Vec::with_capacity(p.outputs),
        shifts: (exponents.iter())
            .map(|e| p.output_exponent - p.input_exponent - e)
            .collect(),
        weight_exponents: exponents,
        accumulator_bits: 0,
        warnings: Vec::new(),
    };
    let mut clipped = 0;
    for (c, row) in rows(p.weights, p.outputs).enumerate() {
        let e = out.weight_exponents[c % out.weight_exponents.len()];
        let weights = round_row(row, e, bits);
        let bias_exponent = match per_channel {
            true => p.input_exponent + e + 4,
            false => p.output_exponent,
        };
        let value = p.bias.map_or(0.0, |b| b[c % b.len()]);
        let bias = exponent::quantize(value, bias_exponent, bias_bits);
        let exact = f64::from(value) * exponent::pow2(-bias_exponent);
        if (exact - f64::from(bias)).abs() > 0.5 {
            clipped += 1;
        }
        out.accumulator_bits = (out.accumulator_bits).max(bits_for(bound(&weights, 0, 0, bits)));
        out.weights.extend(weights);
        out.bias.push(i64::from(bias));
    }
    if clipped > 0 {
        out.warnings.push(format!(
            "{clipped} of {} biases don't fit ESP-DL's {} bias and are clipped",
            p.outputs,
            bias_bits.name()
        ));
    }
    if per_channel && out.shifts.iter().any(|s| *s > 16) {
        out.warnings
            .push("some channels need a shift above 16, which ESP-DL turns into zero".to_owned());
    }
    let chip_bits = match bits {
        Bits::I8 => 20,
        Bits::I16 => 40,
    };
    if out.accumulator_bits > chip_bits {
        out.warnings.push(format!(
            "sums may need {} bits; ESP-DL saturates them at {chip_bits} on the ESP32-S3",
            out.accumulator_bits
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(bits: Bits, granularity: Granularity, arithmetic: Arithmetic) -> Options {
        Options {
            bits,
            granularity,
            method: Method::MinMax,
            arithmetic,
            ..Options::default()
        }
    }

    #[test]
    fn accumulator_width_is_sharp() {
        assert_eq!(bits_for(0), 1);
        assert_eq!(bits_for(1), 2);
        assert_eq!(bits_for(127), 8);
        assert_eq!(bits_for(128), 9);
        assert_eq!(bits_for((1 << 31) - 1), 32);
        assert_eq!(bits_for(1 << 31), 33);
    }

    #[test]
    fn all_zero_channel_has_an_exponent() {
        let weights = [0.0, 0.0, 0.5, -0.25];
        let o = options(Bits::I8, Granularity::PerChannel, Arithmetic::Fixpoint);
        assert_eq!(table_weight_exponents(&weights, 2, &o), [-15, -7]);
        let p = Parameters {
            weights: &weights,
            bias: Some(&[3.0, 0.0]),
            outputs: 2,
            input_exponent: -7,
            output_exponent: -5,
            given: GivenIntegers::default(),
        };
        let i = convert(&p, &o).unwrap();
        assert_eq!(i.weights[..2], [0, 0]);
        assert_eq!(i.bias[0], 3 << 14);
    }

    #[test]
    fn tiny_channel_with_large_bias_keeps_to_32_bits() {
        let weights = [1e-9, -1e-9, 0.5, 0.5];
        let p = Parameters {
            weights: &weights,
            bias: Some(&[100.0, 0.0]),
            outputs: 2,
            input_exponent: -7,
            output_exponent: -5,
            given: GivenIntegers::default(),
        };
        let o = options(Bits::I8, Granularity::PerChannel, Arithmetic::Fixpoint);
        let i = convert(&p, &o).unwrap();
        assert!(i.accumulator_bits <= 32, "{}", i.accumulator_bits);
        let exact = 100.0 * exponent::pow2(-(i.weight_exponents[0] - 7));
        assert_eq!(i.bias[0] as f64, exact.round_ties_even());
        assert_eq!(i.weight_exponents[1], -7);
    }

    #[test]
    fn exponents_are_no_finer_than_the_output_shows() {
        let weights = [1e-9, -1e-9, 0.5, 0.5, 0.01, -0.01];
        let p = Parameters {
            weights: &weights,
            bias: Some(&[0.25, 0.0, 1000.0]),
            outputs: 3,
            input_exponent: -7,
            output_exponent: -4,
            given: GivenIntegers::default(),
        };
        let o = options(Bits::I8, Granularity::PerChannel, Arithmetic::Fixpoint);
        let i = convert(&p, &o).unwrap();
        // Sums of two products are shifted by 9 at most, -4 + 7 + 6; 1000 / 2^-13 is above 2^22.
        assert_eq!(i.weight_exponents, [-6, -6, -5]);
        assert_eq!(i.bias, [1 << 11, 0, 1000 << 12]);
        assert_eq!(i.weights[..2], [0, 0]);
    }

    #[test]
    fn more_products_show_finer_weights() {
        // 127 * sqrt(n / 12) * 8 is 293, 880, 3319 and 14081.
        let shifts = [1, 9, 128, 2304].map(most_shift);
        assert_eq!(shifts, [9, 10, 12, 14]);
        assert_eq!(most_shift(1 << 20), 14);
    }

    #[test]
    fn espdl_bias_clips_to_its_type() {
        let p = Parameters {
            weights: &[0.5],
            bias: Some(&[10.0]),
            outputs: 1,
            input_exponent: -7,
            output_exponent: -7,
            given: GivenIntegers::default(),
        };
        let o = options(Bits::I8, Granularity::PerTensor, Arithmetic::Espdl);
        let i = convert(&p, &o).unwrap();
        assert_eq!(i.bias, [127]);
        assert_eq!(i.warnings.len(), 1);
    }
}
