//! Ops that are done straight from their records: convolutions as an accelerator takes them, and Reshape. What parsing
//! has checked isn't checked again, but for what safe slices and the accelerator check: to decode all of a record takes
//! as long as the kernels of a small layer.

use crate::accelerator::{Accelerator, Convolution, Prepared};
use crate::format::{ALIGN, Arithmetic, Element, OpKind, Storage, Sums};
use crate::image::Model;
use crate::memory::{Arena, Place, words};
use crate::op::window;
use fixpoint_kernels::{Hwc, Window};

/// Where a window begins in the record of a convolution with one input.
const WINDOW_AT: usize = 56;

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
    fn pixel(&self) -> Option<Hwc> {
        let c = self.place.bytes / self.element()?.bytes();
        Some(Hwc { h: 1, w: 1, c })
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
    let kind = OpKind::from_code(what as u16)?;
    let is_windowed = matches!(kind, OpKind::Conv2d | OpKind::DepthwiseConv2d);
    let is_reshape = kind == OpKind::Reshape;
    (is_windowed || is_reshape || kind == OpKind::FullyConnected).then_some(())?;
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
    let (window, shape, out) = match is_windowed {
        true => {
            let words = *words(record.get(WINDOW_AT..)?)?;
            (window(words), input.hwc()?, output.hwc()?)
        }
        false => (Window::new(1, 1), input.pixel()?, output.pixel()?),
    };
    let task = Convolution {
        element: input.element()?,
        input: x?,
        shape,
        window: &window,
        weights: model.from(weights)?,
        out,
        rows: 0..out.h,
        depthwise: kind == OpKind::DepthwiseConv2d,
        sums,
        prepared: Prepared {
            bytes: model.from(records)?,
            each: usize::from(each) * ALIGN as usize,
        },
    };
    let done = accelerator.convolve(&task, y);
    done.then_some((length, output.place))
}
