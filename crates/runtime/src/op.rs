//! Op records: decoding, and every rule that ties an op to its tensors.

use crate::bytes::Fields;
use crate::error::ImageError;
use crate::format::{
    ALIGN, Accumulator, Arithmetic, Element, MAX_ALIGNMENT, MAX_OP_INPUTS, OP_HEADER_BYTES, OpKind,
    SHIFT_RANGE, round_up,
};
use crate::image::{Model, Tensor};
use crate::memory::integers;
use fixpoint_kernels::{Hwc, Shifts, Window};

/// Largest pooling window, so that a sum of 16-bit elements fits 32 bits.
const MAX_POOL_AREA: u64 = 1 << 16;

/// A decoded op whose tensors and arrays have been checked.
pub(crate) struct Op<'a> {
    pub(crate) index: u16,
    pub(crate) kind: OpKind,
    pub(crate) name: &'a str,
    /// Bytes of the record.
    pub(crate) length: u32,
    pub(crate) inputs: [Option<Tensor<'a>>; MAX_OP_INPUTS],
    pub(crate) output: Tensor<'a>,
    pub(crate) body: Body<'a>,
    pub(crate) macs: u64,
}

pub(crate) enum Body<'a> {
    /// A fully connected op is a convolution of one position.
    Conv2d(Linear<'a>, Sliding),
    DepthwiseConv2d(Linear<'a>, Sliding),
    MaxPool(Sliding),
    AveragePool(Sliding, bool),
    GlobalAveragePool(Hwc),
    Add {
        relu: bool,
    },
    Requantize {
        relu: bool,
    },
    Softmax {
        group: usize,
    },
    Reshape,
    Transpose([usize; 4], [usize; 4]),
}

/// A window, the shape it slides over and the shape that comes out.
pub(crate) struct Sliding {
    pub(crate) window: Window,
    pub(crate) input: Hwc,
    pub(crate) output: Hwc,
}

pub(crate) struct Linear<'a> {
    pub(crate) weights: &'a [u8],
    pub(crate) bias: &'a [u8],
    pub(crate) shifts: Shifts<'a>,
    pub(crate) accumulator: Accumulator,
    pub(crate) activation: Activation<'a>,
}

#[cfg_attr(
    not(feature = "espdl"),
    expect(dead_code, reason = "slopes belong to the espdl arithmetic")
)]
#[derive(Clone, Copy)]
pub(crate) enum Activation<'a> {
    None,
    Relu,
    LeakyRelu(i16, i8),
    PRelu(&'a [i16], i8),
}

struct Reader<'m, 'a> {
    model: &'m Model<'a>,
    fields: Fields<'a>,
}

type Checked<T> = Result<T, &'static str>;

const SHORT: &str = "the record is cut short";

impl<'a> Op<'a> {
    /// Decodes and checks op `index`, whose record starts at `offset` of the records.
    pub(crate) fn decode(model: &Model<'a>, index: u16, offset: u32) -> Result<Self, ImageError> {
        let record = model.op_record(offset).unwrap_or_default();
        let bad = |reason| ImageError::Op { index, reason };
        let mut fields = Fields::new(record);
        let code = fields.u16().ok_or(bad(SHORT))?;
        let kind = OpKind::from_code(code).ok_or(ImageError::UnknownOp { index, kind: code })?;
        Self::check(model, index, kind, record).map_err(bad)
    }

    fn check(model: &Model<'a>, index: u16, kind: OpKind, record: &'a [u8]) -> Checked<Self> {
        let mut fields = Fields::new(record);
        fields.u16().ok_or(SHORT)?;
        let input_count = fields.u8().ok_or(SHORT)?;
        let output_count = fields.u8().ok_or(SHORT)?;
        let length = fields.u32().ok_or(SHORT)?;
        let name = fields.u32().ok_or(SHORT)?;
        if fields.u32().ok_or(SHORT)? != 0 {
            return Err("a reserved field is used");
        }
        if length < OP_HEADER_BYTES || !length.is_multiple_of(ALIGN) {
            return Err("the record's length is not a multiple of 16");
        }
        let record = record.get(..length as usize).ok_or(SHORT)?;
        let name = model.name_at(name).ok_or("the name is not UTF-8")?;
        if usize::from(input_count) != if kind == OpKind::Add { 2 } else { 1 } || output_count != 1
        {
            return Err("the number of inputs or outputs is wrong for its kind");
        }
        let mut fields = Fields::new(record);
        fields.skip(OP_HEADER_BYTES as usize).ok_or(SHORT)?;
        let own = model.tensors - model.ops + index;
        let mut inputs = [None; MAX_OP_INPUTS];
        for input in inputs.iter_mut().take(input_count.into()) {
            let tensor = fields.u16().ok_or(SHORT)?;
            if tensor >= own {
                return Err("it reads a tensor before it is written");
            }
            *input = Some(
                model
                    .tensor(tensor.into())
                    .ok_or("a tensor is unreadable")?,
            );
        }
        if fields.u16().ok_or(SHORT)? != own {
            return Err("its output is not the tensor in its place of the table");
        }
        if input_count.is_multiple_of(2) {
            fields.u16().ok_or(SHORT)?;
        }
        let output = model.tensor(own.into()).ok_or("a tensor is unreadable")?;
        let first = inputs[0].ok_or(SHORT)?;
        let mut reader = Reader { model, fields };
        for input in inputs.iter().flatten() {
            check_pair(kind, input, &output)?;
        }
        let body = reader.body(kind, &first, inputs[1].as_ref(), &output)?;
        let macs = match &body {
            Body::Conv2d(_, s) => {
                u64::from(output.elements()) * taps(&s.window) * u64::from(s.input.c)
            }
            Body::DepthwiseConv2d(_, s) => u64::from(output.elements()) * taps(&s.window),
            _ => 0,
        };
        Ok(Self {
            index,
            kind,
            name,
            length,
            inputs,
            output,
            body,
            macs,
        })
    }
}

fn taps(window: &Window) -> u64 {
    u64::from(window.kernel_h) * u64::from(window.kernel_w)
}

/// Rules that hold for every op: element types, and no harmful overlap.
fn check_pair(kind: OpKind, input: &Tensor<'_>, output: &Tensor<'_>) -> Checked<()> {
    if input.element != output.element {
        return Err("input and output have different element types");
    }
    let apart = input.constant || input.end() <= output.offset || output.end() <= input.offset;
    let in_place = matches!(
        kind,
        OpKind::Add | OpKind::Relu | OpKind::Requantize | OpKind::Reshape
    ) && input.offset == output.offset
        && input.bytes == output.bytes;
    if !(apart || in_place) {
        return Err("its output overlaps an input that it still reads");
    }
    Ok(())
}

fn same_exponent(input: &Tensor<'_>, output: &Tensor<'_>) -> Checked<()> {
    if input.exponent == output.exponent {
        Ok(())
    } else {
        Err("input and output must have the same exponent")
    }
}

fn same_length(input: &Tensor<'_>, output: &Tensor<'_>) -> Checked<()> {
    if input.elements() == output.elements() {
        Ok(())
    } else {
        Err("input and output must have the same number of elements")
    }
}

fn mean_shift(input: &Tensor<'_>, output: &Tensor<'_>) -> Checked<()> {
    let shift = i32::from(output.exponent) - i32::from(input.exponent);
    if (-31..=46).contains(&shift) {
        Ok(())
    } else {
        Err("the exponents of input and output are too far apart")
    }
}

impl<'a> Reader<'_, 'a> {
    fn body(
        &mut self,
        kind: OpKind,
        input: &Tensor<'a>,
        second: Option<&Tensor<'a>>,
        output: &Tensor<'a>,
    ) -> Checked<Body<'a>> {
        Ok(match kind {
            OpKind::Conv2d => {
                let linear = self.fields;
                self.fields.skip(24).ok_or(SHORT)?;
                let sliding = self.sliding(input, output)?;
                self.fields = linear;
                let each = taps(&sliding.window)
                    .checked_mul(sliding.input.c.into())
                    .ok_or("the filter is too large")?;
                Body::Conv2d(self.linear(input.element, each, sliding.output.c)?, sliding)
            }
            OpKind::DepthwiseConv2d => {
                let linear = self.fields;
                self.fields.skip(24).ok_or(SHORT)?;
                let sliding = self.sliding(input, output)?;
                if sliding.input.c != sliding.output.c {
                    return Err("a depthwise convolution keeps the number of channels");
                }
                self.fields = linear;
                let each = taps(&sliding.window);
                let linear = self.linear(input.element, each, sliding.output.c)?;
                Body::DepthwiseConv2d(linear, sliding)
            }
            OpKind::FullyConnected => {
                let shape = |c| Hwc { h: 1, w: 1, c };
                let each = input.elements().into();
                let linear = self.linear(input.element, each, output.elements())?;
                let sliding = Sliding {
                    window: Window::new(1, 1),
                    input: shape(input.elements()),
                    output: shape(output.elements()),
                };
                Body::Conv2d(linear, sliding)
            }
            OpKind::MaxPool => {
                same_exponent(input, output)?;
                Body::MaxPool(self.pool(input, output)?)
            }
            OpKind::AveragePool => {
                mean_shift(input, output)?;
                let sliding = self.pool(input, output)?;
                Body::AveragePool(sliding, self.flag()?)
            }
            OpKind::GlobalAveragePool => {
                mean_shift(input, output)?;
                let shape = input.hwc().ok_or("the input must be channels-last")?;
                if output.elements() != shape.c {
                    return Err("the output must have one element for each channel");
                }
                if u64::from(shape.h) * u64::from(shape.w) > MAX_POOL_AREA {
                    return Err("the window has more than 65536 elements");
                }
                Body::GlobalAveragePool(shape)
            }
            OpKind::Add => {
                let second = second.ok_or(SHORT)?;
                same_length(input, output)?;
                same_length(second, output)?;
                let apart = i32::from(input.exponent).abs_diff(second.exponent.into());
                if apart > MAX_ALIGNMENT {
                    return Err("the exponents of the operands are too far apart");
                }
                Body::Add { relu: self.flag()? }
            }
            OpKind::Relu | OpKind::Requantize => {
                same_length(input, output)?;
                Body::Requantize {
                    relu: kind == OpKind::Relu,
                }
            }
            OpKind::Softmax => {
                same_length(input, output)?;
                let group = self.fields.u32().ok_or(SHORT)?;
                if group == 0 || !input.elements().is_multiple_of(group) {
                    return Err("the elements are not a whole number of groups");
                }
                if !(-30..=0).contains(&output.exponent) {
                    return Err("the output's exponent is not between -30 and 0");
                }
                if self.model.arithmetic() != Arithmetic::Fixpoint {
                    return Err("softmax exists in the fixpoint arithmetic only");
                }
                Body::Softmax {
                    group: group as usize,
                }
            }
            OpKind::Reshape => {
                same_exponent(input, output)?;
                same_length(input, output)?;
                Body::Reshape
            }
            OpKind::Transpose => {
                same_exponent(input, output)?;
                same_length(input, output)?;
                self.transpose(input)?
            }
        })
    }

    fn flag(&mut self) -> Checked<bool> {
        match self.fields.u8().ok_or(SHORT)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err("a flag is neither 0 nor 1"),
        }
    }

    fn sliding(&mut self, input: &Tensor<'a>, output: &Tensor<'a>) -> Checked<Sliding> {
        let window = self.window().ok_or(SHORT)?;
        let shapes = input.hwc().zip(output.hwc());
        let (input, output) = shapes.ok_or("input and output must be channels-last")?;
        if window.output(input.h, input.w) != Some((output.h, output.w)) {
            return Err("the output's shape disagrees with the window");
        }
        Ok(Sliding {
            window,
            input,
            output,
        })
    }

    fn pool(&mut self, input: &Tensor<'a>, output: &Tensor<'a>) -> Checked<Sliding> {
        let sliding = self.sliding(input, output)?;
        if sliding.input.c != sliding.output.c {
            return Err("a pool keeps the number of channels");
        }
        if taps(&sliding.window) > MAX_POOL_AREA {
            return Err("the window has more than 65536 elements");
        }
        Ok(sliding)
    }

    fn window(&mut self) -> Option<Window> {
        let f = &mut self.fields;
        Some(Window {
            kernel_h: f.u16()?,
            kernel_w: f.u16()?,
            stride_h: f.u16()?,
            stride_w: f.u16()?,
            dilation_h: f.u16()?,
            dilation_w: f.u16()?,
            pad_top: f.u16()?,
            pad_left: f.u16()?,
            pad_bottom: f.u16()?,
            pad_right: f.u16()?,
        })
    }

    fn transpose(&mut self, input: &Tensor<'a>) -> Checked<Body<'a>> {
        let f = &mut self.fields;
        let rank = usize::from(f.u8().ok_or(SHORT)?);
        let front = 4usize.checked_sub(rank).ok_or("more than 4 dimensions")?;
        let mut permutation = [0, 1, 2, 3];
        let mut seen = [false; 4];
        for i in 0..4 {
            let axis = usize::from(f.u8().ok_or(SHORT)?);
            if i < rank {
                if axis >= rank {
                    return Err("the permutation names a dimension that isn't there");
                }
                permutation[front + i] = front + axis;
            }
        }
        for axis in permutation {
            seen[axis] = true;
        }
        if seen != [true; 4] {
            return Err("the permutation names a dimension twice");
        }
        f.skip(3).ok_or(SHORT)?;
        let mut dims = [1; 4];
        let mut elements = 1u64;
        for i in 0..rank {
            let dim = f.u32().ok_or(SHORT)?;
            elements = elements.saturating_mul(dim.into());
            dims[front + i] = dim as usize;
        }
        if elements != u64::from(input.elements()) {
            return Err("the dimensions disagree with the input");
        }
        Ok(Body::Transpose(dims, permutation))
    }

    /// `each` weights for each of `channels` outputs.
    fn linear(&mut self, element: Element, each: u64, channels: u32) -> Checked<Linear<'a>> {
        let f = &mut self.fields;
        let (weights, bias) = (f.u32().ok_or(SHORT)?, f.u32().ok_or(SHORT)?);
        let (shifts, slopes) = (f.u32().ok_or(SHORT)?, f.u32().ok_or(SHORT)?);
        if f.u8().ok_or(SHORT)? != 1 {
            return Err("the weight layout is unknown");
        }
        let accumulator = Accumulator::from_bits(f.u8().ok_or(SHORT)?)
            .ok_or("the accumulator's width is unknown")?;
        let activation = f.u8().ok_or(SHORT)?;
        let shift = f.i8().ok_or(SHORT)?;
        let slope_exponent = f.i8().ok_or(SHORT)?;
        f.skip(3).ok_or(SHORT)?;

        let lanes = u64::from(element.lanes());
        let padded = u64::from(channels).next_multiple_of(lanes);
        let fixpoint = self.model.arithmetic() == Arithmetic::Fixpoint;
        let narrow = accumulator == Accumulator::Bits32;
        let bias_bytes = if narrow || !fixpoint { 4 } else { 8 };
        let weight_bytes = each
            .checked_mul(padded)
            .and_then(|n| n.checked_mul(element.bytes().into()))
            .ok_or("the filter is too large")?;
        let weights = self.array(weights, weight_bytes)?;
        let bias = self.array(bias, padded * bias_bytes)?;
        let top = if narrow { 31 } else { *SHIFT_RANGE.end() };
        let in_range = |shift: &i8| (*SHIFT_RANGE.start()..=top).contains(&i32::from(*shift));
        let shifts = if shifts == 0 {
            if !in_range(&shift) {
                return Err("a shift is out of range");
            }
            Shifts::Uniform(shift)
        } else {
            let shifts = integers(self.array(shifts, padded)?).ok_or("misaligned shifts")?;
            if !shifts.iter().all(in_range) {
                return Err("a shift is out of range");
            }
            Shifts::PerChannel(shifts)
        };
        let activation = match activation {
            0 => Activation::None,
            1 => Activation::Relu,
            2 | 3 if fixpoint => {
                return Err("leaky activations exist in the espdl arithmetic only");
            }
            2 => match integers(self.array(slopes, 2)?) {
                Some(&[slope]) => Activation::LeakyRelu(slope, slope_exponent),
                _ => return Err("misaligned slopes"),
            },
            3 => Activation::PRelu(
                integers(self.array(slopes, padded * 2)?).ok_or("misaligned slopes")?,
                slope_exponent,
            ),
            _ => return Err("the activation is unknown"),
        };
        Ok(Linear {
            weights,
            bias,
            shifts,
            accumulator,
            activation,
        })
    }

    fn array(&self, offset: u32, length: u64) -> Checked<&'a [u8]> {
        let reason = "an array is outside the image or misaligned";
        if !offset.is_multiple_of(ALIGN) {
            return Err(reason);
        }
        // Whole blocks, so that the vector unit may read past the last element.
        let whole = u32::try_from(round_up(length)).map_err(|_| reason)?;
        let bytes = self.model.slice(offset, whole).ok_or(reason)?;
        bytes.get(..length as usize).ok_or(reason)
    }
}
