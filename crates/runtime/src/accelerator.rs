//! Where a target may do some of the work its own way, with the same bits.

use core::ops::Range;

use fixpoint_kernels::{Element, Hwc, Limits, Shifts, Window};

/// Faster kernels of a target. Each method does the whole task and answers `true`, or leaves the
/// output as it was and answers `false`; then the portable kernel does it. The portable kernels
/// define the bits.
pub trait Accelerator {
    /// A convolution of 8-bit elements.
    fn convolve_i8(&mut self, task: &Convolution<'_, i8>, output: &mut [i8]) -> bool {
        let _ = (task, output);
        false
    }

    /// A convolution of 16-bit elements.
    fn convolve_i16(&mut self, task: &Convolution<'_, i16>, output: &mut [i16]) -> bool {
        let _ = (task, output);
        false
    }
}

/// Does nothing: every task goes to the portable kernels.
impl Accelerator for () {}

/// What `fixpoint_kernels::linear` computes in the fixpoint arithmetic: Conv2D, DepthwiseConv2D, and
/// FullyConnected as a Conv2D of one position. Layouts are those of [`crate::format`]; slices are as
/// long as the shapes say. A task may be a part of a layer, some rows of its output: what is done of one
/// layer in parts, on two cores or one after another, has the same bits.
#[derive(Clone, Debug)]
pub struct Convolution<'a, T> {
    pub input: &'a [T],
    pub shape: Hwc,
    pub window: &'a Window,
    /// Blocked, padded to whole blocks.
    pub weights: &'a [T],
    pub bias: Bias<'a>,
    pub shifts: Shifts<'a>,
    pub limits: Limits<T>,
    /// The shape of the layer's whole output.
    pub out: Hwc,
    /// The rows of it that are to be computed, in `0..out.h`. The output given with the task has these
    /// rows and no other.
    pub rows: Range<u32>,
    pub depthwise: bool,
    pub sums: Sums,
}

/// Biases with rounding constants, one for each channel, padded to whole blocks.
#[derive(Clone, Copy, Debug)]
pub enum Bias<'a> {
    Narrow(&'a [i32]),
    Wide(&'a [i64]),
}

impl Bias<'_> {
    /// The bias of `channel`, or `None` past the end.
    pub fn get(&self, channel: usize) -> Option<i64> {
        match self {
            Self::Narrow(bias) => bias.get(channel).map(|bias| i64::from(*bias)),
            Self::Wide(bias) => bias.get(channel).copied(),
        }
    }
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
    /// So many times 16 consecutive products within a row of the kernel do, split off likewise.
    Vectors(u8),
}

/// An element type, and its methods of an accelerator.
pub(crate) trait Accelerated: Element {
    fn convolve(
        accelerator: &mut dyn Accelerator,
        task: &Convolution<'_, Self>,
        output: &mut [Self],
    ) -> bool;
}

impl Accelerated for i8 {
    fn convolve(
        accelerator: &mut dyn Accelerator,
        task: &Convolution<'_, Self>,
        output: &mut [Self],
    ) -> bool {
        accelerator.convolve_i8(task, output)
    }
}

impl Accelerated for i16 {
    fn convolve(
        accelerator: &mut dyn Accelerator,
        task: &Convolution<'_, Self>,
        output: &mut [Self],
    ) -> bool {
        accelerator.convolve_i16(task, output)
    }
}
