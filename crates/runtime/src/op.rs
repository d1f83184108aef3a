//! Op records: decoding, and every rule that ties an op to its tensors.

mod layout;
mod linear;
mod plain;

use crate::bytes::Fields;
use crate::error::ImageError;
use crate::format::{ALIGN, Accumulator, Element, OP_HEADER_BYTES, OpKind, Operation, Reduction};
use crate::image::{Model, Tensor};
use crate::memory::{Integer, integers, words};
use fixpoint_kernels::fixpoint::Leak;
use fixpoint_kernels::linear::Sweep;
use fixpoint_kernels::rearrange::Axis;
use fixpoint_kernels::resize::Between;
use fixpoint_kernels::{Hwc, Limits, RANK, Shifts, Window};

/// A decoded op whose tensors and arrays have been checked.
pub(crate) struct Op<'a> {
    pub(crate) index: u16,
    pub(crate) kind: OpKind,
    /// Where its name is.
    pub(crate) name: u32,
    /// Bytes of the record.
    pub(crate) length: u32,
    pub(crate) inputs: Inputs<'a>,
    /// The first of them.
    pub(crate) first: Tensor<'a>,
    pub(crate) output: Tensor<'a>,
    pub(crate) body: Body<'a>,
}

/// Tensor indices of an op's inputs; at least one.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    indices: &'a [[u8; 2]],
}

impl<'a> Inputs<'a> {
    pub(crate) fn len(&self) -> usize {
        self.indices.len()
    }

    pub(crate) fn first(&self) -> u16 {
        self.indices
            .first()
            .map_or(0, |index| u16::from_le_bytes(*index))
    }

    pub(crate) fn get(&self, model: &Model<'a>, at: usize) -> Option<Tensor<'a>> {
        model.bare_tensor(u16::from_le_bytes(*self.indices.get(at)?).into())
    }
}

pub(crate) enum Body<'a> {
    /// Also transposed and fully connected, which is a convolution of one position.
    Conv2d(Linear<'a>, Sweep, Hwc, Hwc),
    DepthwiseConv2d(Linear<'a>, Sliding),
    MaxPool(Sliding),
    /// Also global.
    AveragePool(Sliding, bool),
    Binary(Operation, Bounds),
    Requantize(Activation<'a>),
    Softmax(Along),
    Reshape,
    Rearrange {
        start: i32,
        fill: i16,
        sizes: [u32; RANK],
        axes: [Axis<'a>; RANK],
    },
    /// The table's bytes, and its step bits.
    Lookup(&'a [u8], u32),
    /// Elements of the output from one place along the axis to the next.
    Concat {
        inner: usize,
        axis: usize,
    },
    Reduce(Reduction, [bool; RANK]),
    ArgMax(Along, bool),
    /// Sums of 32 bits for i8, of 64 bits for i16.
    MatMul,
    ResizeLinear(Hwc, &'a [Between], &'a [Between]),
}

/// Elements along an axis, and how far apart they lie.
pub(crate) struct Along {
    pub(crate) length: usize,
    pub(crate) inner: usize,
}

/// A window, the shape it slides over and the shape that comes out.
pub(crate) struct Sliding {
    pub(crate) window: Window,
    pub(crate) input: Hwc,
    pub(crate) output: Hwc,
}

impl Sliding {
    /// Whether there is one position, of a window that covers the whole input and nothing else.
    pub(crate) fn is_global(&self) -> bool {
        let Window {
            kernel_h, kernel_w, ..
        } = self.window;
        let covers = (kernel_h.into(), kernel_w.into()) == (self.input.h, self.input.w);
        let (stride_h, stride_w) = (self.window.stride_h, self.window.stride_w);
        covers && self.window == Window::new(kernel_h, kernel_w).stride(stride_h, stride_w)
    }
}

pub(crate) struct Linear<'a> {
    pub(crate) weights: &'a [u8],
    pub(crate) bias: &'a [u8],
    pub(crate) shifts: Shifts<'a>,
    pub(crate) accumulator: Accumulator,
    pub(crate) activation: Activation<'a>,
}

#[derive(Clone, Copy)]
pub(crate) struct Activation<'a> {
    pub(crate) leak: Option<Leak<'a>>,
    pub(crate) bounds: Bounds,
}

/// Smallest and largest result.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    low: i16,
    high: i16,
}

impl Bounds {
    fn new(low: i16, high: i16, element: Element) -> Checked<Self> {
        let (least, most) = element.range();
        if low > high || i32::from(low) < least || i32::from(high) > most {
            return Err("the smallest or largest result is out of range");
        }
        Ok(Self { low, high })
    }

    pub(crate) fn limits<T: fixpoint_kernels::Element>(self) -> Limits<T> {
        Limits {
            low: T::saturate(self.low.into()),
            high: T::saturate(self.high.into()),
        }
    }
}

/// How much of an op is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Its record and its tensors, and that its arrays are in the image.
    Record,
    /// Each element of its arrays as well, which is done once.
    Arrays,
}

struct Reader<'m, 'a> {
    model: &'m Model<'a>,
    fields: Fields<'a>,
    depth: Depth,
}

type Checked<T> = Result<T, &'static str>;

/// Why an op is refused, without saying which: an op isn't copied for that.
pub(crate) enum Refusal {
    Reason(&'static str),
    UnknownKind(u16),
}

impl From<&'static str> for Refusal {
    fn from(reason: &'static str) -> Self {
        Self::Reason(reason)
    }
}

impl Refusal {
    /// The same of op `index`.
    pub(crate) fn of(&self, index: u16) -> ImageError {
        match *self {
            Self::Reason(reason) => ImageError::Op { index, reason },
            Self::UnknownKind(kind) => ImageError::UnknownOp { index, kind },
        }
    }
}

const SHORT: &str = "the record is cut short";
const RESERVED: &str = "a reserved field is used";

impl<'a> Op<'a> {
    /// Decodes and checks op `index`, whose record starts at `offset` of the records.
    #[inline(never)]
    pub(crate) fn decode(
        model: &Model<'a>,
        index: u16,
        offset: u32,
        depth: Depth,
    ) -> Result<Self, Refusal> {
        let record = model.op_record(offset).unwrap_or_default();
        let header = *words(record).ok_or(SHORT)?;
        let code = header[0] as u16;
        let kind = OpKind::from_code(code).ok_or(Refusal::UnknownKind(code))?;
        Self::check(model, index, kind, header, record, depth)
    }

    #[inline(always)]
    fn check(
        model: &Model<'a>,
        index: u16,
        kind: OpKind,
        [what, length, name, reserved]: [u32; 4],
        record: &'a [u8],
        depth: Depth,
    ) -> Result<Self, Refusal> {
        let [_, _, input_count, output_count] = what.to_le_bytes();
        if reserved != 0 {
            return Err(RESERVED.into());
        }
        if length < OP_HEADER_BYTES || !length.is_multiple_of(ALIGN) {
            return Err("the record's length is not a multiple of 16".into());
        }
        let record = record.get(..length as usize).ok_or(SHORT)?;
        let expected = match kind {
            OpKind::Binary | OpKind::MatMul => 2..=2,
            OpKind::Concat => 1..=u8::MAX,
            _ => 1..=1,
        };
        if !expected.contains(&input_count) || output_count != 1 {
            return Err("the number of inputs or outputs is wrong for its kind".into());
        }
        let mut fields = Fields::new(record);
        fields.skip(OP_HEADER_BYTES as usize).ok_or(SHORT)?;
        let own = model.tensors - model.ops + index;
        let (indices, _) = fields.rest().as_chunks();
        let indices = indices.get(..input_count.into()).ok_or(SHORT)?;
        // What isn't needed to run it safely is checked once.
        let parsing = depth == Depth::Arrays;
        let later = |index: &[u8; 2]| u16::from_le_bytes(*index) >= own;
        if parsing && indices.iter().any(later) {
            return Err("it reads a tensor before it is written".into());
        }
        fields.skip(2 * usize::from(input_count)).ok_or(SHORT)?;
        if fields.u16().ok_or(SHORT)? != own {
            return Err("its output is not the tensor in its place of the table".into());
        }
        if input_count.is_multiple_of(2) {
            fields.u16().ok_or(SHORT)?;
        }
        let inputs = Inputs { indices };
        let unreadable = "a tensor is unreadable";
        let output = model.bare_tensor(own.into()).ok_or(unreadable)?;
        let first = inputs.get(model, 0).ok_or(unreadable)?;
        for at in 0..if parsing { inputs.len() } else { 0 } {
            check_pair(kind, &inputs.get(model, at).ok_or(unreadable)?, &output)?;
        }
        let mut reader = Reader {
            model,
            fields,
            depth,
        };
        let body = reader.body(kind, &inputs, &first, &output)?;
        Ok(Self {
            index,
            kind,
            name,
            length,
            inputs,
            first,
            output,
            body,
        })
    }
}

impl Op<'_> {
    /// Multiply-accumulates in one run.
    pub(crate) fn macs(&self) -> u64 {
        self.body.macs(&self.output, self.first.stored()[RANK - 1])
    }

    /// What it computes, for people.
    pub(crate) fn operator(&self) -> &'static str {
        match &self.body {
            Body::Binary(Operation::Add, _) => "Add",
            Body::Binary(Operation::Sub, _) => "Sub",
            Body::Binary(Operation::Mul, _) => "Mul",
            Body::Binary(Operation::Max, _) => "Max",
            Body::Binary(Operation::Min, _) => "Min",
            Body::Reduce(Reduction::Mean, _) => "ReduceMean",
            Body::Reduce(Reduction::Sum, _) => "ReduceSum",
            Body::Reduce(Reduction::Max, _) => "ReduceMax",
            Body::Reduce(Reduction::Min, _) => "ReduceMin",
            _ => self.kind.name(),
        }
    }
}

impl Body<'_> {
    /// Multiply-accumulates; `inner` is the last stored dimension of the first input.
    fn macs(&self, output: &Tensor<'_>, inner: u32) -> u64 {
        match self {
            Body::Conv2d(_, sweep, shape, out) => {
                let positions = match sweep.direction {
                    fixpoint_kernels::linear::Direction::Forward => out,
                    fixpoint_kernels::linear::Direction::Transposed => shape,
                };
                let each = u64::from(shape.c) / sweep.groups as u64 * u64::from(out.c);
                u64::from(positions.h)
                    * u64::from(positions.w)
                    * u64::from(taps(&sweep.window))
                    * each
            }
            Body::DepthwiseConv2d(_, s) => {
                u64::from(output.elements()) * u64::from(taps(&s.window))
            }
            Body::MatMul => u64::from(output.elements()) * u64::from(inner),
            _ => 0,
        }
    }
}

fn taps(window: &Window) -> u32 {
    u32::from(window.kernel_h) * u32::from(window.kernel_w)
}

/// Rules that hold for every op: element types, and no harmful overlap.
fn check_pair(kind: OpKind, input: &Tensor<'_>, output: &Tensor<'_>) -> Checked<()> {
    let wider = kind == OpKind::ArgMax && output.element == Element::I16;
    if input.element != output.element && !wider {
        return Err("input and output have different element types");
    }
    let apart = input.constant || input.end() <= output.offset || output.end() <= input.offset;
    let in_place = matches!(
        kind,
        OpKind::Binary | OpKind::Requantize | OpKind::Lookup | OpKind::Reshape
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

impl<'a> Reader<'_, 'a> {
    fn body(
        &mut self,
        kind: OpKind,
        inputs: &Inputs<'a>,
        input: &Tensor<'a>,
        output: &Tensor<'a>,
    ) -> Checked<Body<'a>> {
        let second = inputs.get(self.model, 1);
        match kind {
            OpKind::Conv2d | OpKind::ConvTranspose2d => self.convolution(kind, input, output),
            OpKind::DepthwiseConv2d => self.depthwise(input, output),
            OpKind::FullyConnected => self.fully_connected(input, output),
            OpKind::MatMul => self.matmul(input, &second.ok_or(SHORT)?, output),
            OpKind::MaxPool => {
                same_exponent(input, output)?;
                Ok(Body::MaxPool(self.pool(input, output)?))
            }
            OpKind::AveragePool => self.average_pool(input, output),
            OpKind::GlobalAveragePool => self.global_average_pool(input, output),
            OpKind::Binary => self.binary(input, &second.ok_or(SHORT)?, output),
            OpKind::Requantize => self.requantize(input, output),
            OpKind::Lookup => self.lookup(input, output),
            OpKind::Softmax => self.softmax(input, output),
            OpKind::Reduce => self.reduce(input, output),
            OpKind::ArgMax => self.arg_max(input, output),
            OpKind::Reshape => {
                same_exponent(input, output)?;
                same_length(input, output)?;
                Ok(Body::Reshape)
            }
            OpKind::Rearrange => self.rearrange(input, output),
            OpKind::Concat => self.concat(inputs, output),
            OpKind::ResizeLinear => self.resize_linear(input, output),
        }
    }

    fn flag(&mut self) -> Checked<bool> {
        match self.fields.u8().ok_or(SHORT)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err("a flag is neither 0 nor 1"),
        }
    }

    fn axis(&mut self) -> Checked<usize> {
        let axis = usize::from(self.fields.u8().ok_or(SHORT)?);
        if axis < RANK {
            Ok(axis)
        } else {
            Err("there is no such axis")
        }
    }

    fn along(&mut self, tensor: &Tensor<'a>) -> Checked<Along> {
        let axis = self.axis()?;
        let dims = tensor.stored();
        Ok(Along {
            length: dims[axis] as usize,
            inner: dims[axis + 1..].iter().product::<u32>() as usize,
        })
    }

    fn i16(&mut self) -> Checked<i16> {
        Ok(self.fields.u16().ok_or(SHORT)?.cast_signed())
    }

    fn bounds(&mut self, element: Element) -> Checked<Bounds> {
        Bounds::new(self.i16()?, self.i16()?, element)
    }

    fn integers<T: Integer>(&self, offset: u32, count: u32) -> Checked<&'a [T]> {
        let bytes = count
            .checked_mul(size_of::<T>() as u32)
            .ok_or("an array is too large")?;
        integers(self.array(offset, bytes)?).ok_or("an array is misaligned")
    }

    // In place, as each layer has four or more.
    #[inline(always)]
    fn array(&self, offset: u32, length: u32) -> Checked<&'a [u8]> {
        let reason = "an array is outside the image or misaligned";
        if !offset.is_multiple_of(ALIGN) {
            return Err(reason);
        }
        // Whole blocks, so that the vector unit may read past the last element.
        let whole = length.checked_add(ALIGN - 1).ok_or(reason)? & !(ALIGN - 1);
        let bytes = self.model.slice(offset, whole).ok_or(reason)?;
        bytes.get(..length as usize).ok_or(reason)
    }
}
