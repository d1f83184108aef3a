//! Ops that are done straight from their records: convolutions as an accelerator takes them, and Reshape. What parsing
//! has checked isn't checked again, but for what safe slices and the accelerator check: to decode all of a record takes
//! as long as the kernels of a small layer.

use crate::accelerator::{Accelerator, Convolution, Prepared};
use crate::format::{ALIGN, Arithmetic, Element, OpKind, Storage, Sums};
use crate::image::{Model, WORDS as TENSOR_WORDS};
use crate::memory::{Arena, window, words};
use fixpoint_kernels::Hwc;

/// Where a window begins in the record of a convolution with one input.
const WINDOW_AT: usize = 56;
/// One of one element, which all of a fully connected layer's are.
const POINT: [u32; 5] = [0x1_0001, 0x1_0001, 0x1_0001, 0, 0];

/// A tensor's record (`crate::format`): its name, offset, bytes; element, exponent, constant and storage; rank.
type Tensor = [u32; TENSOR_WORDS];

#[inline(always)]
fn hwc(tensor: &Tensor) -> Option<Hwc> {
    let &[_, _, _, what, rank, _, c, ref rest @ ..] = tensor;
    let last = Storage::ChannelsLast as u32;
    match (what >> 24 == last, rank & 0xff, rest) {
        (true, 4, &[h, w, ..]) => Some(Hwc { h, w, c }),
        (true, 3, &[w, ..]) => Some(Hwc { h: 1, w, c }),
        _ => None,
    }
}

/// All elements as channels of one pixel.
fn pixel(tensor: &Tensor, element: Element) -> Hwc {
    let &[_, _, bytes, ..] = tensor;
    let c = bytes >> u32::from(element == Element::I16);
    Hwc { h: 1, w: 1, c }
}

/// Does the op whose record begins there if it is one of these: the record's length, and the output.
// By itself: the compiler for the chip gives up on frames that are too large.
#[inline(never)]
pub(super) fn run<'a>(
    accelerator: &mut dyn Accelerator,
    model: &Model<'_>,
    record: u32,
    arena: &'a mut Arena<'_>,
) -> Option<(u32, &'a [u8])> {
    let record = model.op_record(record)?;
    let &[what, length, _, _, tensors] = words(record)?;
    let is = |kind: OpKind| what as u16 == kind as u16;
    let (is_depthwise, is_reshape) = (is(OpKind::DepthwiseConv2d), is(OpKind::Reshape));
    let is_windowed = is_depthwise || is(OpKind::Conv2d);
    (is_windowed || is_reshape || is(OpKind::FullyConnected)).then_some(())?;
    let input = model.tensor_words((tensors & 0xffff) as usize)?;
    let output = model.tensor_words((tensors >> 16) as usize)?;
    let place = |tensor: &Tensor| (tensor[1], tensor[2]);
    let (x, y) = arena.pair(place(input), place(output))?;
    let is_constant = input[3] & 0xff_0000 != 0;
    let x = match is_constant {
        true => model.from(input[1])?.get(..input[2] as usize),
        false => x,
    };
    if is_reshape {
        if let Some(x) = x {
            (x.len() == y.len()).then_some(())?;
            y.copy_from_slice(x);
        }
        return Some((length, y));
    }
    let &[
        _,
        _,
        _,
        _,
        _,
        weights,
        _,
        _,
        kinds,
        rest,
        _,
        leak,
        _,
        records,
    ] = words(record)?;
    // Records of blocks are of one group's, without a leak, in the fixpoint arithmetic.
    let [_, _, parts, each] = rest.to_le_bytes();
    let is_one = rest & 0xffff == 1 && leak & 0xff == 0 && each > 0;
    (is_one && model.arithmetic() == Arithmetic::Fixpoint).then_some(())?;
    // What is called comes first: what is known across calls is kept on the stack.
    let sums = Sums::from_code([(kinds >> 24) as u8, parts])?;
    let (weights, records) = (model.from(weights)?, model.from(records)?);
    // What the compiler for the chip makes of `Element::from_code` takes longer here.
    const I8: u8 = Element::I8.code();
    const I16: u8 = Element::I16.code();
    let element = match input[3] as u8 {
        I8 => Element::I8,
        I16 => Element::I16,
        _ => return None,
    };
    let (window_words, shape, out) = match is_windowed {
        true => (words(record.get(WINDOW_AT..)?)?, hwc(input)?, hwc(output)?),
        false => (&POINT, pixel(input, element), pixel(output, element)),
    };
    let task = Convolution {
        element,
        input: x?,
        shape,
        window: window(window_words),
        weights,
        out,
        rows: 0..out.h,
        depthwise: is_depthwise,
        sums,
        prepared: Prepared {
            bytes: records,
            each: usize::from(each) * ALIGN as usize,
        },
    };
    let done = accelerator.convolve(&task, y);
    done.then_some((length, &*y))
}
