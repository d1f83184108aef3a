//! What each operator computes there: float32 values in ONNX order.

use crate::exponent::pow2;
use crate::ops::{Binary, Op, Window};
use crate::options::Bits;

/// Index of a tensor.
pub(super) type Place = usize;

/// Shifts of a layer's sums, out - in - weight exponents.
#[derive(Clone, Debug)]
pub(super) enum Shifts {
    PerTensor(i32),
    PerChannel(Vec<i32>),
}

/// A layer with weights; all integers.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    /// In ONNX order.
    pub(super) weights: Vec<f32>,
    pub(super) outputs: usize,
    /// `[inputs][outputs]`.
    pub(super) columns: bool,
    pub(super) bias: Vec<f32>,
    pub(super) shifts: Shifts,
}

#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) op: Op,
    pub(super) inputs: Vec<Vec<usize>>,
    pub(super) dims: Vec<usize>,
    pub(super) linear: Option<Linear>,
    pub(super) slopes: Vec<f32>,
    /// Of Add: powers of two that bring the operands to the larger exponent, and the sum to its own.
    pub(super) aligned: [i32; 3],
}

fn clip(v: f64, bits: u32) -> f64 {
    let end = pow2(bits as i32 - 1);
    v.clamp(-end, end - 1.0)
}

impl Step {
    pub(super) fn run(&self, operands: &[&[f32]], bits: Bits) -> Vec<f32> {
        let x = operands.first().copied().unwrap_or_default();
        let width = bits.width();
        match &self.op {
            Op::Conv { window, groups } => self.conv(x, window, *groups, bits),
            Op::DepthwiseConv(window) => self.conv(x, window, self.dims[1], bits),
            Op::Gemm { .. } => self.gemm(x, bits),
            Op::Binary(binary) => self.binary(*binary, operands, width),
            Op::AveragePool { window, count_pads } => self.windows(window, |taps| {
                let count = match count_pads {
                    true => window.kernel[0] * window.kernel[1],
                    false => taps.len(),
                };
                mean(taps.iter().map(|i| x[*i]), count)
            }),
            Op::MaxPool(window) => self.windows(window, |taps| {
                taps.iter().fold(f32::NEG_INFINITY, |m, i| m.max(x[*i]))
            }),
            Op::GlobalAveragePool => (self.channels(x))
                .map(|c| mean(c.iter().copied(), c.len()))
                .collect(),
            Op::GlobalMaxPool => (self.channels(x))
                .map(|c| c.iter().fold(f32::NEG_INFINITY, |m, v| m.max(*v)))
                .collect(),
            Op::Relu => x.iter().map(|v| v.max(0.0)).collect(),
            Op::LeakyRelu | Op::PRelu => {
                let inner: usize = self.dims.iter().skip(2).product();
                (x.iter().enumerate())
                    .map(|(i, v)| {
                        let slope = self.slopes[i / inner % self.slopes.len()];
                        let y = if *v < 0.0 { v * slope } else { *v };
                        clip(f64::from(y).floor(), width) as f32
                    })
                    .collect()
            }
            Op::Concat { axis } => self.concat(*axis, operands),
            Op::Transpose { perm } => self.moved(x, |at, out| {
                for (to, from) in perm.iter().enumerate() {
                    at[*from] = out[to];
                }
                true
            }),
            Op::Select { axes, .. } => {
                // The input may lack leading dimensions of one.
                let missing = axes.len() - self.inputs[0].len();
                self.moved(x, |at, out| {
                    for (axis, place) in axes.iter().enumerate() {
                        match (place[out[axis]], axis.checked_sub(missing)) {
                            (Some(from), Some(axis)) => at[axis] = from,
                            (Some(_), None) => {}
                            (None, _) => return false,
                        }
                    }
                    true
                })
            }
            _ => x.to_vec(),
        }
    }

    fn channels<'x>(&self, x: &'x [f32]) -> impl Iterator<Item = &'x [f32]> {
        x.chunks(x.len() / self.dims[1])
    }

    /// A value for every place of the output, from the input's elements in the window there.
    fn windows(&self, window: &Window, value: impl Fn(&[usize]) -> f32) -> Vec<f32> {
        let [h, w] = image(&self.inputs[0]);
        let [rows, columns] = image(&self.dims);
        let mut taps = Vec::new();
        let mut out = Vec::with_capacity(self.dims.iter().product());
        for c in 0..self.dims[1] {
            for at in 0..rows * columns {
                taps.clear();
                let inside = within(window, [h, w], [at / columns, at % columns]);
                taps.extend(inside.map(|(_, y, x)| (c * h + y) * w + x));
                out.push(value(&taps));
            }
        }
        out
    }

    fn conv(&self, x: &[f32], window: &Window, groups: usize, bits: Bits) -> Vec<f32> {
        let Some(linear) = &self.linear else {
            return Vec::new();
        };
        let [h, w] = image(&self.inputs[0]);
        let [rows, columns] = image(&self.dims);
        let taps = window.kernel[0] * window.kernel[1];
        let (outputs, inner) = (linear.outputs, self.inputs[0][1] / groups);
        let mut out = vec![0.0; outputs * rows * columns];
        for at in 0..rows * columns {
            let inside: Vec<_> = within(window, [h, w], [at / columns, at % columns]).collect();
            for o in 0..outputs {
                let first = o / (outputs / groups) * inner;
                let mut sum = 0.0;
                for i in 0..inner {
                    let weights = &linear.weights[(o * inner + i) * taps..][..taps];
                    let channel = &x[(first + i) * h * w..][..h * w];
                    for (tap, y, x) in &inside {
                        sum += f64::from(channel[y * w + x]) * f64::from(weights[*tap]);
                    }
                }
                out[o * rows * columns + at] = linear.finish(sum, o, bits);
            }
        }
        out
    }

    fn gemm(&self, x: &[f32], bits: Bits) -> Vec<f32> {
        let Some(linear) = &self.linear else {
            return Vec::new();
        };
        let inputs = linear.weights.len() / linear.outputs;
        let mut out = Vec::with_capacity(self.dims.iter().product());
        for row in x.chunks(inputs) {
            for o in 0..linear.outputs {
                let weight = |i: usize| match linear.columns {
                    true => linear.weights[i * linear.outputs + o],
                    false => linear.weights[o * inputs + i],
                };
                let sum = (row.iter().enumerate())
                    .map(|(i, v)| f64::from(*v) * f64::from(weight(i)))
                    .sum();
                out.push(linear.finish(sum, o, bits));
            }
        }
        out
    }

    fn binary(&self, binary: Binary, operands: &[&[f32]], width: u32) -> Vec<f32> {
        let operand = |k: usize| {
            let (x, dims) = (operands[k], &self.inputs[k]);
            let missing = self.dims.len() - dims.len();
            self.places(move |out| {
                (dims.iter().enumerate()).fold(0, |at, (axis, d)| {
                    at * d + if *d == 1 { 0 } else { out[axis + missing] }
                })
            })
            .map(move |i| x[i])
        };
        let pairs = operand(0).zip(operand(1));
        if binary != Binary::Add {
            return pairs
                .map(|(a, b)| binary.at(f64::from(a), f64::from(b)) as f32)
                .collect();
        }
        let [a_up, b_up, up] = self.aligned;
        // One operand is brought to the other's exponent, the second where they have the same.
        pairs
            .map(|(a, b)| {
                let (mut a, mut b) = (f64::from(a), f64::from(b));
                match a_up < b_up {
                    true => a = (a * pow2(a_up)).floor(),
                    false => b = (b * pow2(b_up)).floor(),
                }
                let sum = f64::from((a + b) as f32);
                clip((sum * pow2(up)).floor(), width) as f32
            })
            .collect()
    }

    fn concat(&self, axis: usize, operands: &[&[f32]]) -> Vec<f32> {
        let before: usize = self.dims[..axis].iter().product();
        let each = |x: &[f32]| x.len() / before;
        (0..before)
            .flat_map(|i| (operands.iter()).flat_map(move |x| &x[i * each(x)..][..each(x)]))
            .copied()
            .collect()
    }

    /// `from` sets the input's indices for those of the output, or tells that nothing is there.
    fn moved(&self, x: &[f32], from: impl Fn(&mut [usize], &[usize]) -> bool) -> Vec<f32> {
        let dims = &self.inputs[0];
        let mut at = vec![0; dims.len()];
        self.places(|out| match from(&mut at, out) {
            true => (at.iter().zip(dims)).fold(0, |flat, (i, d)| flat * d + i),
            false => usize::MAX,
        })
        .map(|i| x.get(i).copied().unwrap_or(0.0))
        .collect()
    }

    /// `place` of every element's indices, in row-major order.
    fn places(&self, mut place: impl FnMut(&[usize]) -> usize) -> impl Iterator<Item = usize> {
        let mut out = vec![0; self.dims.len()];
        (0..self.dims.iter().product::<usize>()).map(move |_| {
            let at = place(&out);
            for (i, d) in out.iter_mut().zip(&self.dims).rev() {
                *i += 1;
                if *i < *d {
                    break;
                }
                *i = 0;
            }
            at
        })
    }
}

fn mean(values: impl Iterator<Item = f32>, count: usize) -> f32 {
    let sum: f64 = values.map(f64::from).sum();
    sum as f32 / count as f32
}

/// Rows and columns; 1-D tensors have one row.
fn image(dims: &[usize]) -> [usize; 2] {
    match *dims {
        [_, _, h, w] => [h, w],
        [_, _, w] => [1, w],
        _ => [1, 1],
    }
}

/// The window's elements inside the image when it stands at `place`: tap, row, column.
fn within(
    window: &Window,
    size: [usize; 2],
    place: [usize; 2],
) -> impl Iterator<Item = (usize, usize, usize)> {
    let Window {
        kernel,
        stride,
        dilation,
        pads,
    } = *window;
    let along = move |axis: usize, k: usize| {
        (place[axis] * stride[axis] + k * dilation[axis])
            .checked_sub(pads[axis])
            .filter(|at| *at < size[axis])
    };
    (0..kernel[0] * kernel[1]).filter_map(move |tap| {
        let y = along(0, tap / kernel[1])?;
        Some((tap, y, along(1, tap % kernel[1])?))
    })
}

impl Linear {
    /// A sum of output `o` through the evaluator's pipeline.
    fn finish(&self, sum: f64, o: usize, bits: Bits) -> f32 {
        let sum = match bits {
            Bits::I8 => clip(f64::from(sum as f32), 20),
            Bits::I16 => sum.clamp(-pow2(39), pow2(39)),
        };
        let bias = f64::from(self.bias[o]);
        let y = match &self.shifts {
            Shifts::PerTensor(shift) => (sum * pow2(-shift)).floor() + bias,
            Shifts::PerChannel(shifts) => {
                let u = clip((sum / 16.0).floor() + bias, 16);
                let factor = libm::trunc(pow2(16 - shifts[o % shifts.len()]));
                (u * factor / 4096.0).floor()
            }
        };
        clip(y, bits.width()) as f32
    }
}
