//! The definitions, written naively and apart from the kernels: channels-first tensors, one loop per
//! index, exact integers.

mod nd;

pub use nd::{Nd, arg_max, binary, concat, lookup, matmul, reduce, resize_linear};

use std::vec;
use std::vec::Vec;

/// A tensor in ONNX order: channels, rows, columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chw {
    pub c: usize,
    pub h: usize,
    pub w: usize,
    pub values: Vec<i64>,
}

impl Chw {
    fn at(&self, c: usize, y: i64, x: i64) -> Option<i64> {
        let (y, x) = (usize::try_from(y).ok()?, usize::try_from(x).ok()?);
        (y < self.h && x < self.w).then(|| self.values[(c * self.h + y) * self.w + x])
    }

    /// Channels last.
    pub fn hwc(&self) -> Vec<i64> {
        let mut values = Vec::new();
        for y in 0..self.h {
            for x in 0..self.w {
                for c in 0..self.c {
                    values.push(self.values[(c * self.h + y) * self.w + x]);
                }
            }
        }
        values
    }
}

/// Kernel, stride, dilation (rows, columns) and pads (top, left, bottom, right).
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    pub pads: [usize; 4],
}

impl Geometry {
    /// Rows and columns that come out of `h` x `w`; `None` if the window doesn't fit.
    pub fn output(&self, h: usize, w: usize) -> Option<(usize, usize)> {
        let along = |axis: usize, size: usize| {
            let reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1;
            let padded = size + self.pads[axis] + self.pads[axis + 2];
            Some(padded.checked_sub(reach)? / self.stride[axis] + 1)
        };
        Some((along(0, h)?, along(1, w)?))
    }

    /// For each output pixel, every tap as (ky, kx, y, x); y and x may be outside the input.
    fn windows(&self, h: usize, w: usize) -> Vec<Vec<(usize, usize, i64, i64)>> {
        let (rows, columns) = self.output(h, w).expect("the window fits");
        let mut windows = Vec::new();
        for oy in 0..rows {
            for ox in 0..columns {
                let mut taps = Vec::new();
                for ky in 0..self.kernel[0] {
                    for kx in 0..self.kernel[1] {
                        let y = oy * self.stride[0] + ky * self.dilation[0];
                        let x = ox * self.stride[1] + kx * self.dilation[1];
                        let (y, x) = (
                            y as i64 - self.pads[0] as i64,
                            x as i64 - self.pads[1] as i64,
                        );
                        taps.push((ky, kx, y, x));
                    }
                }
                windows.push(taps);
            }
        }
        windows
    }
}

fn clamp(value: i128, bits: u32) -> i64 {
    value.clamp(-(1 << (bits - 1)), (1 << (bits - 1)) - 1) as i64
}

/// floor(value / 2^shift).
fn floor(value: i128, shift: i32) -> i128 {
    match shift {
        0.. => value.div_euclid(1 << shift),
        _ => value * (1 << -shift),
    }
}

/// floor(numerator / denominator + 1/2).
fn half_up(numerator: i128, denominator: i128) -> i128 {
    (2 * numerator + denominator).div_euclid(2 * denominator)
}

/// value / 2^shift, rounded half up.
fn half_up_shift(value: i128, shift: i32) -> i128 {
    match shift {
        0.. => half_up(value, 1 << shift),
        _ => value * (1 << -shift),
    }
}

/// Which definitions apply; `bits` is 8 or 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    Fixpoint,
    EspdlS3,
    EspdlC,
}

/// What follows the sum of products of a linear op.
#[derive(Clone, Debug)]
pub struct Tail {
    pub rules: Rules,
    pub bits: u32,
    pub bias: Vec<i64>,
    pub shifts: Vec<i32>,
    pub per_channel: bool,
    pub relu: bool,
    /// Smallest and largest result.
    pub clip: Option<[i64; 2]>,
    /// Slopes and their exponent.
    pub slopes: Option<(Vec<i64>, i32)>,
}

impl Tail {
    fn finish(&self, channel: usize, sum: i128) -> i64 {
        let (bias, shift) = (i128::from(self.bias[channel]), self.shifts[channel]);
        let wrap = |v: i128| {
            if self.rules == Rules::EspdlC {
                i128::from(v as i32)
            } else {
                v
            }
        };
        let slope =
            |slopes: &[i64]| i128::from(slopes[if slopes.len() == 1 { 0 } else { channel }]);
        let value = match self.rules {
            Rules::Fixpoint => {
                let exact = sum + bias;
                match &self.slopes {
                    Some((slopes, exponent)) if exact < 0 => {
                        half_up_shift(exact * slope(slopes), shift - exponent)
                    }
                    _ => half_up_shift(exact, shift),
                }
            }
            _ => {
                let width = if self.bits == 8 { 20 } else { 40 };
                let sum = match self.rules {
                    Rules::EspdlS3 => i128::from(clamp(sum, width)),
                    _ => wrap(sum),
                };
                let biased = if self.per_channel {
                    let u = i128::from(clamp(floor(sum, 4) + bias, 16));
                    let factor = if shift > 16 { 0 } else { 1i128 << (16 - shift) };
                    floor(u * factor, 12)
                } else {
                    wrap(wrap(floor(sum, shift)) + bias)
                };
                match &self.slopes {
                    Some((slopes, exponent)) if biased < 0 => {
                        floor(wrap(biased * slope(slopes)), -exponent)
                    }
                    _ => biased,
                }
            }
        };
        let value = clamp(if self.relu { value.max(0) } else { value }, self.bits);
        match self.clip {
            Some([low, high]) => value.clamp(low, high),
            None => value,
        }
    }
}

/// Weights `[O][I/groups][KH][KW]`.
pub fn convolve(input: &Chw, weights: &[i64], g: &Geometry, groups: usize, tail: &Tail) -> Chw {
    let (h, w) = g.output(input.h, input.w).expect("the window fits");
    let channels = tail.bias.len();
    let inner = input.c / groups;
    let mut values = vec![0; channels * h * w];
    for (at, window) in g.windows(input.h, input.w).iter().enumerate() {
        for o in 0..channels {
            let first = o / (channels / groups) * inner;
            let mut sum = 0i128;
            for i in 0..inner {
                for &(ky, kx, y, x) in window {
                    let weight = weights[((o * inner + i) * g.kernel[0] + ky) * g.kernel[1] + kx];
                    sum += i128::from(input.at(first + i, y, x).unwrap_or(0)) * i128::from(weight);
                }
            }
            values[o * h * w + at] = tail.finish(o, sum);
        }
    }
    Chw {
        c: channels,
        h,
        w,
        values,
    }
}

/// Every input element is spread over `h` x `w` outputs, as ONNX defines ConvTranspose. Weights
/// `[O][I/groups][KH][KW]`.
pub fn convolve_transposed(
    input: &Chw,
    weights: &[i64],
    g: &Geometry,
    [h, w]: [usize; 2],
    groups: usize,
    tail: &Tail,
) -> Chw {
    let channels = tail.bias.len();
    let (inner, outer) = (input.c / groups, channels / groups);
    let mut sums = vec![0i128; channels * h * w];
    for i in 0..input.c {
        for y in 0..input.h {
            for x in 0..input.w {
                let element = i128::from(input.values[(i * input.h + y) * input.w + x]);
                for o in i / inner * outer..(i / inner + 1) * outer {
                    for ky in 0..g.kernel[0] {
                        for kx in 0..g.kernel[1] {
                            let oy = y * g.stride[0] + ky * g.dilation[0];
                            let ox = x * g.stride[1] + kx * g.dilation[1];
                            let place = oy.checked_sub(g.pads[0]).zip(ox.checked_sub(g.pads[1]));
                            if let Some((oy, ox)) = place
                                && oy < h
                                && ox < w
                            {
                                let at = ((o * inner + i % inner) * g.kernel[0] + ky) * g.kernel[1];
                                let weight = i128::from(weights[at + kx]);
                                sums[(o * h + oy) * w + ox] += element * weight;
                            }
                        }
                    }
                }
            }
        }
    }
    let finish = |(at, sum): (usize, &i128)| tail.finish(at / (h * w), *sum);
    Chw {
        c: channels,
        h,
        w,
        values: sums.iter().enumerate().map(finish).collect(),
    }
}

/// Maximum over the part of each window that is inside.
pub fn max_pool(input: &Chw, g: &Geometry, bits: u32) -> Chw {
    pool(input, g, |inside, _| {
        inside.iter().copied().max().unwrap_or(-(1 << (bits - 1)))
    })
}

/// Mean at an exponent larger by `shift`.
pub fn average_pool(
    input: &Chw,
    g: &Geometry,
    count_pad: bool,
    shift: i32,
    bits: u32,
    rules: Rules,
) -> Chw {
    let area = g.kernel[0] * g.kernel[1];
    pool(input, g, |inside, _| {
        let count = if count_pad { area } else { inside.len() } as i128;
        if count == 0 {
            return 0;
        }
        let sum = i128::from(inside.iter().sum::<i64>());
        let value = match rules {
            Rules::Fixpoint if shift >= 0 => half_up(sum, count << shift),
            Rules::Fixpoint => half_up(sum << -shift, count),
            _ => {
                let limit = (1i128 << (bits - 1)) - 1;
                let k = (0..60)
                    .rev()
                    .find(|k| (1i128 << k) / (area as i128) < limit);
                let k = k.unwrap_or(0);
                floor(sum * ((1i128 << k) / count), shift + k)
            }
        };
        clamp(value, bits)
    })
}

fn pool(input: &Chw, g: &Geometry, f: impl Fn(&[i64], usize) -> i64) -> Chw {
    let (h, w) = g.output(input.h, input.w).expect("the window fits");
    let windows = g.windows(input.h, input.w);
    let mut values = Vec::new();
    for c in 0..input.c {
        for window in &windows {
            let inside = window.iter().filter_map(|&(_, _, y, x)| input.at(c, y, x));
            values.push(f(&inside.collect::<Vec<_>>(), c));
        }
    }
    Chw {
        c: input.c,
        h,
        w,
        values,
    }
}

/// The same values at an exponent larger by `shift`, negative ones times the slope of their channel;
/// channels vary fastest.
pub fn requantize(x: &[i64], shift: i32, tail: &Activation, bits: u32, rules: Rules) -> Vec<i64> {
    let one = |(i, x): (usize, &i64)| {
        let x = i128::from(*x);
        let value = match (rules, &tail.slopes) {
            (Rules::Fixpoint, Some((slopes, exponent))) if x < 0 => {
                half_up_shift(x * i128::from(slopes[i % slopes.len()]), shift - exponent)
            }
            (Rules::Fixpoint, _) => half_up_shift(x, shift),
            (_, Some((slopes, exponent))) if x < 0 => {
                let product = floor(x * i128::from(slopes[i % slopes.len()]), -exponent);
                // Stored without saturation.
                match bits {
                    8 => i128::from(product as i8),
                    _ => i128::from(product as i16),
                }
            }
            _ => floor(x, shift),
        };
        clamp(value, bits).clamp(tail.low, tail.high)
    };
    x.iter().enumerate().map(one).collect()
}

/// What happens to a value of its own.
#[derive(Clone, Debug)]
pub struct Activation {
    pub low: i64,
    pub high: i64,
    /// Slopes and their exponent.
    pub slopes: Option<(Vec<i64>, i32)>,
}

/// Softmax of one group: exponentials in units of 2^-30 from a table of 2^(-i/256), interpolated
/// linearly over 16 bits, with 24 fraction bits in the exponent of two.
pub fn softmax(x: &[i64], exponent: i32, out_exponent: i32, bits: u32) -> Vec<i64> {
    let table = |i: i128| (libm::exp2(30.0 - i as f64 / 256.0) + 0.5).floor() as i128;
    let log2_e = (core::f64::consts::LOG2_E * (1i64 << 30) as f64).round() as i128;
    let largest = i128::from(x.iter().copied().max().unwrap_or(0));
    let power = |x: &i64| {
        let distance = largest - i128::from(*x);
        let drop = 6 - exponent;
        if distance > 0 && drop < 0 {
            return 0;
        }
        let t = if drop > 63 {
            0
        } else {
            (distance * log2_e) >> drop.max(0)
        };
        let (whole, part) = (t >> 24, t & 0xff_ffff);
        if whole > 30 {
            return 0;
        }
        let (i, between) = (part >> 16, part & 0xffff);
        let value = table(i) - (((table(i) - table(i + 1)) * between) >> 16);
        half_up(value, 1 << whole)
    };
    let powers: Vec<i128> = x.iter().map(power).collect();
    let sum: i128 = powers.iter().sum();
    powers
        .iter()
        .map(|p| clamp(((p << -out_exponent) + sum / 2) / sum, bits))
        .collect()
}
