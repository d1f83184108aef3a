//! Ops that are done straight from their records: convolutions as an accelerator takes them, and Reshape. What parsing
//! has checked isn't checked again, but for what safe slices and the accelerator check: to decode all of a record takes
//! as long as the kernels of a small layer.

use crate::accelerator::{Accelerator, Convolution, Prepared};
use crate::format::{ALIGN, Arithmetic, Element, OpKind, Storage, Sums};
use crate::image::Model;
use crate::memory::{Arena, Place, window, words};
use fixpoint_kernels::Hwc;

/// Where a window begins in the record of a convolution with one input.
const WINDOW_AT: usize = 56;
/// One of one element, which all of a fully connected layer's are.
const POINT: [u32; 5] = [0x1_0001, 0x1_0001, 0x1_0001, 0, 0];

/// What is read of a tensor's record.
struct Tensor<'a> {
    place: Place,
    what: u32,
    rank: u32,
    dims: &'a [u32; 4],
}

impl<'a> Tensor<'a> {
    #[inline(always)]
    fn new(model: &Model<'a>, index: u32) -> Option<Self> {
        let [_, offset, bytes, what, rank, dims @ ..] =
            model.tensor_words((index & 0xffff) as usize)?;
        let [_, _, constant, _] = what.to_le_bytes();
        Some(Self {
            place: Place {
                offset: *offset,
                bytes: *bytes,
                constant: constant != 0,
            },
            what: *what,
            rank: rank & 0xff,
            dims: dims.first_chunk()?,
        })
    }

    fn element(&self) -> Option<Element> {
        Element::from_code(self.what as u8)
    }

    #[inline(always)]
    fn hwc(&self) -> Option<Hwc> {
        let last = Storage::ChannelsLast as u32;
        match (self.what >> 24 == last, self.rank, self.dims) {
            (true, 4, &[_, c, h, w]) => Some(Hwc { h, w, c }),
            (true, 3, &[_, c, w, _]) => Some(Hwc { h: 1, w, c }),
            _ => None,
        }
    }

    /// All elements as channels of one pixel.
    fn pixel(&self, element: Element) -> Hwc {
        let c = match element {
            Element::I8 => self.place.bytes,
            Element::I16 => self.place.bytes / 2,
        };
        Hwc { h: 1, w: 1, c }
    }
}

/// Does the op whose record begins there if it is one of these: the record's length, and where the output is.
// By itself: the compiler for the chip gives up on frames that are too large.
#[inline(never)]
pub(super) fn run(
    accelerator: &mut dyn Accelerator,
    model: &Model<'_>,
    record: u32,
    arena: &mut Arena<'_>,
) -> Option<(u32, Place)> {
    let record = model.op_record(record)?;
    let &[what, length, _, _, tensors] = words(record)?;
    let is = |kind: OpKind| what as u16 == kind as u16;
    let (is_depthwise, is_reshape) = (is(OpKind::DepthwiseConv2d), is(OpKind::Reshape));
    let is_windowed = is_depthwise || is(OpKind::Conv2d);
    (is_windowed || is_reshape || is(OpKind::FullyConnected)).then_some(())?;
    let (input, output) = (
        Tensor::new(model, tensors)?,
        Tensor::new(model, tensors >> 16)?,
    );
    let (others, y) = arena.split(output.place)?;
    let place = input.place;
    let x = match place.constant {
        true => model.from(place.offset)?.get(..place.bytes as usize),
        false => others.tensor(place),
    };
    if is_reshape {
        if let Some(x) = x {
            (x.len() == y.len()).then_some(())?;
            y.copy_from_slice(x);
        }
        return Some((length, output.place));
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
    let sums = Sums::from_code([(kinds >> 24) as u8, parts])?;
    let element = input.element()?;
    let (window_words, shape, out) = match is_windowed {
        true => (
            words(record.get(WINDOW_AT..)?)?,
            input.hwc()?,
            output.hwc()?,
        ),
        false => (&POINT, input.pixel(element), output.pixel(element)),
    };
    let task = Convolution {
        element,
        input: x?,
        shape,
        window: window(window_words),
        weights: model.from(weights)?,
        out,
        rows: 0..out.h,
        depthwise: is_depthwise,
        sums,
        prepared: Prepared {
            bytes: model.from(records)?,
            each: usize::from(each) * ALIGN as usize,
        },
    };
    let done = accelerator.convolve(&task, y);
    done.then_some((length, output.place))
}
