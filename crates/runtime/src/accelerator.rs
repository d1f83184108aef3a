//! Where a target may do some of the work its own way, with the same bits.

use core::ops::Range;

use crate::format::Element as Format;
use fixpoint_kernels::fixpoint::{Binary, Leak};
use fixpoint_kernels::{Element, Hwc, Limits, Window};

/// Faster kernels of a target. Each method does the whole task and answers `true`; or it answers
/// `false`, with anything in the output, and then the portable kernel does it. The portable kernels
/// define the bits.
pub trait Accelerator {
    /// A convolution, with the bytes of its output.
    fn convolve(&mut self, task: &Convolution<'_>, output: &mut [u8]) -> bool {
        let _ = (task, output);
        false
    }

    /// The largest elements of windows of 8-bit elements, as `fixpoint_kernels::pool::max_pool`.
    fn max_pool_i8(&mut self, task: &Pooling<'_, i8>, output: &mut [i8]) -> bool {
        let _ = (task, output);
        false
    }

    /// The same for 16-bit elements.
    fn max_pool_i16(&mut self, task: &Pooling<'_, i16>, output: &mut [i16]) -> bool {
        let _ = (task, output);
        false
    }

    /// The means of windows of 8-bit elements, as `fixpoint_kernels::pool::average_pool` with
    /// `fixpoint_kernels::fixpoint::mean`.
    fn average_pool_i8(&mut self, task: &Averaging<'_, i8>, output: &mut [i8]) -> bool {
        let _ = (task, output);
        false
    }

    /// The same for 16-bit elements.
    fn average_pool_i16(&mut self, task: &Averaging<'_, i16>, output: &mut [i16]) -> bool {
        let _ = (task, output);
        false
    }

    /// `output[i] = table[input[i] + 128]`, in place where there is no input. The table has 256 entries.
    fn lookup_i8(&mut self, input: Option<&[i8]>, table: &[i8], output: &mut [i8]) -> bool {
        let _ = (input, table, output);
        false
    }

    /// `fixpoint_kernels::lookup::lookup` with steps of `2^step_bits`: at least 2, at most 2^13.
    fn lookup_i16(
        &mut self,
        input: Option<&[i16]>,
        table: &[i16],
        step_bits: u32,
        output: &mut [i16],
    ) -> bool {
        let _ = (input, table, step_bits, output);
        false
    }

    /// The sums over all pixels of some channels, of which `first` is the first: at most 16. The
    /// number of pixels times the largest element fits 31 bits.
    fn sum_pixels_i8(
        &mut self,
        input: &[i8],
        channels: usize,
        first: usize,
        sums: &mut [i32],
    ) -> bool {
        let _ = (input, channels, first, sums);
        false
    }

    /// The same for 16-bit elements.
    fn sum_pixels_i16(
        &mut self,
        input: &[i16],
        channels: usize,
        first: usize,
        sums: &mut [i32],
    ) -> bool {
        let _ = (input, channels, first, sums);
        false
    }

    /// An element-wise operation on 8-bit elements.
    fn combine_i8(&mut self, task: &Combination<'_, i8>, output: &mut [i8]) -> bool {
        let _ = (task, output);
        false
    }

    /// An element-wise operation on 16-bit elements.
    fn combine_i16(&mut self, task: &Combination<'_, i16>, output: &mut [i16]) -> bool {
        let _ = (task, output);
        false
    }

    /// A leak of 8-bit elements, in place: how many it has done, from the first on. The others are what they
    /// were.
    fn bend_i8(&mut self, task: &Bending<'_, i8>, output: &mut [i8]) -> usize {
        let _ = (task, output);
        0
    }

    /// The same for 16-bit elements.
    fn bend_i16(&mut self, task: &Bending<'_, i16>, output: &mut [i16]) -> usize {
        let _ = (task, output);
        0
    }
}

/// Does nothing: every task goes to the portable kernels.
impl Accelerator for () {}

/// What `fixpoint_kernels::linear` computes in the fixpoint arithmetic: Conv2D, DepthwiseConv2D, and
/// FullyConnected as a Conv2D of one position, without a leak. Layouts are those of [`crate::format`]; weights and
/// records may be followed by anything. Biases, shifts and limits are in the records. A task may be a part of a layer, some rows of its output: what is done of one
/// layer in parts, on two cores or one after another, has the same bits.
#[derive(Clone, Debug)]
pub struct Convolution<'a> {
    /// Of input, weights and output, which are bytes here: what takes a task is as long for both types.
    pub element: Format,
    pub input: &'a [u8],
    pub shape: Hwc,
    pub window: &'a Window,
    /// Blocked, padded to whole blocks.
    pub weights: &'a [u8],
    /// The shape of the layer's whole output.
    pub out: Hwc,
    /// The rows of it that are to be computed, in `0..out.h`. The output given with the task has these
    /// rows and no other.
    pub rows: Range<u32>,
    pub depthwise: bool,
    pub sums: Sums,
    pub prepared: Prepared<'a>,
}

/// What the writer has prepared for a vector unit: a record for each block of output channels, as
/// `fixpoint_vector` describes it. Where there is none, the layer is none for the unit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prepared<'a> {
    /// The records, one after another.
    pub bytes: &'a [u8],
    /// Bytes of each, a multiple of 16.
    pub each: usize,
}

/// What the writer has proved about sums of 8-bit products, beyond that they fit the accumulator.
///
/// A *lane* is a signed accumulator of 20 bits that saturates. The proofs are spelled out in
/// `fixpoint_vector`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sums {
    /// Nothing, but for 8-bit elements what no weights can change: see there.
    Unproved,
    /// Bias and any of the products, in any order, stay within a lane.
    Whole,
    /// Products of so many consecutive rows of the kernel do, split off to one another.
    Rows(u8),
    /// So many times 16 consecutive products within a row of the kernel do, split off likewise. If that is
    /// at least a row, the kernel's products are so many each, from the first on, and as many whole rows
    /// as they are at least, which ever these be.
    Vectors(u8),
}

/// Windows over an input.
#[derive(Clone, Copy, Debug)]
pub struct Pooling<'a, T> {
    pub input: &'a [T],
    pub shape: Hwc,
    pub window: &'a Window,
    pub out: Hwc,
}

/// Means over windows.
#[derive(Clone, Copy, Debug)]
pub struct Averaging<'a, T> {
    pub pooling: Pooling<'a, T>,
    /// Whether a window counts as many elements as it has, or those inside the input.
    pub count_include_pad: bool,
    /// By how much the output's exponent is larger.
    pub shift: i32,
}

/// `output[i] = binary.apply(a[i], b[i])`, where operands may be repeated.
#[derive(Clone, Copy, Debug)]
pub struct Combination<'a, T> {
    pub binary: &'a Binary<T>,
    pub a: &'a Part<'a, T>,
    pub b: &'a Part<'a, T>,
}

/// An operand of a [`Combination`].
#[derive(Clone, Copy, Debug)]
pub struct Part<'a, T> {
    /// `None` if it is the output's own memory, which is then changed in place.
    pub values: Option<&'a [T]>,
    /// How many elements it has; a divisor of the output's.
    pub period: usize,
}

impl<'a, T> Part<'a, T> {
    pub(crate) fn new(values: Option<&'a [T]>, period: usize) -> Self {
        Self { values, period }
    }
}

/// `fixpoint_kernels::fixpoint::leaky` of each element, clamped.
#[derive(Clone, Copy, Debug)]
pub struct Bending<'a, T> {
    pub leak: &'a Leak<'a>,
    /// Elements of a pixel, one after another; each has its slope.
    pub channels: usize,
    /// By how much the output's exponent is larger.
    pub shift: i32,
    pub limits: Limits<T>,
}

/// An element type, and its methods of an accelerator.
pub(crate) trait Accelerated: Element {
    fn combine(
        accelerator: &mut dyn Accelerator,
        task: &Combination<'_, Self>,
        output: &mut [Self],
    ) -> bool;

    fn sum_pixels(
        accelerator: &mut dyn Accelerator,
        input: &[Self],
        channels: usize,
        first: usize,
        sums: &mut [i32],
    ) -> bool;

    fn max_pool(
        accelerator: &mut dyn Accelerator,
        task: &Pooling<'_, Self>,
        output: &mut [Self],
    ) -> bool;

    fn average_pool(
        accelerator: &mut dyn Accelerator,
        task: &Averaging<'_, Self>,
        output: &mut [Self],
    ) -> bool;

    fn lookup(
        accelerator: &mut dyn Accelerator,
        input: Option<&[Self]>,
        table: &[Self],
        step_bits: u32,
        output: &mut [Self],
    ) -> bool;

    fn bend(
        accelerator: &mut dyn Accelerator,
        task: &Bending<'_, Self>,
        output: &mut [Self],
    ) -> usize;
}

impl Accelerated for i8 {
    fn combine(
        accelerator: &mut dyn Accelerator,
        task: &Combination<'_, Self>,
        output: &mut [Self],
    ) -> bool {
        accelerator.combine_i8(task, output)
    }

    fn sum_pixels(
        accelerator: &mut dyn Accelerator,
        input: &[Self],
        channels: usize,
        first: usize,
        sums: &mut [i32],
    ) -> bool {
        accelerator.sum_pixels_i8(input, channels, first, sums)
    }

    fn max_pool(
        accelerator: &mut dyn Accelerator,
        task: &Pooling<'_, Self>,
        output: &mut [Self],
    ) -> bool {
        accelerator.max_pool_i8(task, output)
    }

    fn average_pool(
        accelerator: &mut dyn Accelerator,
        task: &Averaging<'_, Self>,
        output: &mut [Self],
    ) -> bool {
        accelerator.average_pool_i8(task, output)
    }

    fn lookup(
        accelerator: &mut dyn Accelerator,
        input: Option<&[Self]>,
        table: &[Self],
        step_bits: u32,
        output: &mut [Self],
    ) -> bool {
        step_bits == 0 && accelerator.lookup_i8(input, table, output)
    }

    fn bend(
        accelerator: &mut dyn Accelerator,
        task: &Bending<'_, Self>,
        output: &mut [Self],
    ) -> usize {
        accelerator.bend_i8(task, output)
    }
}

impl Accelerated for i16 {
    fn combine(
        accelerator: &mut dyn Accelerator,
        task: &Combination<'_, Self>,
        output: &mut [Self],
    ) -> bool {
        accelerator.combine_i16(task, output)
    }

    fn sum_pixels(
        accelerator: &mut dyn Accelerator,
        input: &[Self],
        channels: usize,
        first: usize,
        sums: &mut [i32],
    ) -> bool {
        accelerator.sum_pixels_i16(input, channels, first, sums)
    }

    fn max_pool(
        accelerator: &mut dyn Accelerator,
        task: &Pooling<'_, Self>,
        output: &mut [Self],
    ) -> bool {
        accelerator.max_pool_i16(task, output)
    }

    fn average_pool(
        accelerator: &mut dyn Accelerator,
        task: &Averaging<'_, Self>,
        output: &mut [Self],
    ) -> bool {
        accelerator.average_pool_i16(task, output)
    }

    fn lookup(
        accelerator: &mut dyn Accelerator,
        input: Option<&[Self]>,
        table: &[Self],
        step_bits: u32,
        output: &mut [Self],
    ) -> bool {
        (1..=13).contains(&step_bits) && accelerator.lookup_i16(input, table, step_bits, output)
    }

    fn bend(
        accelerator: &mut dyn Accelerator,
        task: &Bending<'_, Self>,
        output: &mut [Self],
    ) -> usize {
        accelerator.bend_i16(task, output)
    }
}
