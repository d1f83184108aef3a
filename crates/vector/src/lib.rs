//! Convolutions on a vector unit whose registers have 16 bytes and whose accumulators are sixteen
//! lanes of 20 bits (8-bit elements) or eight of 40 bits (16-bit elements): the ESP32-S3's, which
//! multiplies one element by sixteen (eight) weights, adds the products to the lanes and loads the
//! next weights, all in one instruction.
//!
//! This crate cuts a task into [`Run`]s for kernels in assembly ([`Unit`]), and says when their sums
//! are exact. The same bits as the portable kernels come out; it names no target.
//!
//! # One run
//!
//! The output channels of one block (sixteen or eight, layout 1 of the image format), for a rectangle
//! of pixels whose windows are clipped alike: a layer has one such rectangle, or nine with padding on
//! all sides. (Kernels over 3x3 taps channel by channel do every rectangle: taps that are clipped read an
//! element that is inside, and weigh nothing, or are left out. One over rows of five taps
//! does tiles of windows: rows of taps that are clipped are left out, and the input is copied with zeros beside it.) Its products are *pieces*: elements and weights that both lie one after another in
//! memory. For each pixel the kernel loads the lanes with the biases, adds the pieces' products, and
//! drains the lanes.
//!
//! # The drain: a shift for each channel
//!
//! The one way from lanes to elements (`SRCMB`) shifts all lanes alike to the right, leaves the
//! result in the lanes and saturates it to elements beside. Shifts of a block lie close together, so
//! the lanes are shifted by the smallest of them, then again and again by one, which is exact because
//! floor(floor(s / 2^a) / 2^b) = floor(s / 2^(a + b)). Each step has its *bounds*: the largest result in
//! the lanes whose shift this is, and in the others the least number there is. The lesser of elements
//! and bounds is kept if it is greater than what is kept already, and that begins with the smallest
//! result: so each lane's element comes from its own step, and is within the limits. Three instructions
//! a step; where shifts lie far apart, the depthwise 3x3 kernels leave out those that are no lane's, for four
//! instructions a step. A shift beyond a lane's bits is one to its sign.
//!
//! # Sums of 8-bit products
//!
//! Lanes saturate, at ±(2^19 - 1). An element is in `low..=high`, as follows from what made the tensor: not negative
//! behind a ReLU, what the entries of a table are; with the padding's zero among them, so `low` is 0 at most and `high`
//! at least. So with `P` the sum of the positive weights of a channel times `high` and of the negative ones times `low`,
//! and `N` the reverse, every
//! sum of some of the products lies in `-N..=P`, whatever the order and whatever the padding leaves
//! out. [`prove`] finds the largest part of a channel's products that is safe:
//!
//! - all of them: bias - N and bias + P fit a lane ([`Sums::Whole`]); blocks of which it is true aren't split, even if
//!   others of the layer are;
//! - else a *part*, rows of the kernel or vectors of products (within a row, or, where no tap is clipped,
//!   whichever row they belong to): after each part the lanes are *split*. With a = [`SPLIT`] the
//!   lanes give `t = floor(s / 2^a)`, which is kept, and go on from the rest `s mod 2^a`. A part is
//!   safe if `P <= 127 * 2^a` and `N < 2^(a+7)` for it, as then `t` is an 8-bit element and the shift
//!   gives it without saturation. The sum starts with bias mod 2^a.
//!
//! Any 31 products are a safe part, so there is always one, and nothing need be proved.
//!
//! At the end the sum is `S = 2^a * T + L`, where `T` is floor(bias / 2^a) and all `t`, and `L` what the
//! lanes hold after the last part. Let `m` be the smallest shift of the block, but at most `a`. The
//! lanes are shifted by `m`, and what `T` is the sum of, kept as a list of vectors of 8-bit elements, is
//! added times `2^(a-m)`, which is to be an element, too: a - m < 7. So they hold
//! `2^(a-m) * T + floor(L / 2^m) = floor(S / 2^m)`, and the drain shifts by what `m` leaves of each shift.
//!
//! That is the *short* join. Where biases are so large, or splits so many, that the list doesn't hold
//! them, there is the *long* one: floor(bias / 2^a) is an image of the lanes, to which a full list is
//! added, and the last part is split as well. Its rest, shifted by `m`, is an element; if m = a,
//! it decides nothing.
//!
//! Either way no lane may saturate: |bias| and 2^14 for each product, and 2^20 for what is added out of
//! order, must be less than 2^(19+m). A layer of which this isn't so, or whose shifts are too far apart
//! or to the left, is left to the portable kernel.
//!
//! 16-bit products need no proof beyond an accumulator of 40 bits, which is what these lanes have.
#![no_std]

#[cfg(test)]
extern crate std;

mod convolution;
#[cfg(feature = "model")]
mod dots_model;
#[cfg(feature = "model")]
mod element_model;
mod elements;
mod image;
mod leak;
mod means;
#[cfg(feature = "model")]
mod model;
#[cfg(feature = "model")]
mod padded_model;
mod pixels;
mod prepare;
mod proof;
mod record;
#[cfg(feature = "model")]
mod ring_model;
#[cfg(feature = "model")]
mod rows_model;
mod segments;
mod two;
mod unit;

#[cfg(doc)]
use fixpoint_runtime::accelerator::Sums;
use fixpoint_runtime::accelerator::{
    Accelerator, Averaging, Bending, Combination, Convolution, Pooling,
};

pub use elements::{Combine, ElementUnit, Spread, Stretch};
pub use means::Mean;
#[cfg(feature = "model")]
pub use model::Model;
pub use pixels::{Column, Windowed};
pub use prepare::prepare;
pub use proof::{Channel, Span, prove};
pub use two::{Cores, Job, LEAST, TwoVectors};
pub use unit::{Kernel, LIST, LONG, Ring, Run, SCRATCH, SPARSE, SPLIT, Staging, Unit};

/// An accelerator over a vector unit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vector<U>(pub U);

impl<U: Unit + ElementUnit> Accelerator for Vector<U> {
    fn combine_i8(&mut self, task: &Combination<'_, i8>, output: &mut [i8]) -> bool {
        // SAFETY: `combine` makes stretches of operands and results that are there.
        let call = |kernel, stretch: &Stretch| unsafe { self.0.combine_i8(kernel, stretch) };
        elements::combine(task, output, call).is_some()
    }

    fn combine_i16(&mut self, task: &Combination<'_, i16>, output: &mut [i16]) -> bool {
        // SAFETY: `combine` makes stretches of operands and results that are there.
        let call = |kernel, stretch: &Stretch| unsafe { self.0.combine_i16(kernel, stretch) };
        elements::combine(task, output, call).is_some()
    }

    fn bend_i8(&mut self, task: &Bending<'_, i8>, output: &mut [i8]) -> usize {
        // SAFETY: `bend` makes stretches of operands and results that are there.
        let call = |kernel, stretch: &Stretch| unsafe { self.0.combine_i8(kernel, stretch) };
        leak::bend(task, output, call).unwrap_or(0)
    }

    fn bend_i16(&mut self, task: &Bending<'_, i16>, output: &mut [i16]) -> usize {
        // SAFETY: `bend` makes stretches of operands and results that are there.
        let call = |kernel, stretch: &Stretch| unsafe { self.0.combine_i16(kernel, stretch) };
        leak::bend(task, output, call).unwrap_or(0)
    }

    fn max_pool_i8(&mut self, task: &Pooling<'_, i8>, output: &mut [i8]) -> bool {
        // SAFETY: `max_pool` makes windows of what is there.
        let call = |taps: &Windowed| unsafe { self.0.max_i8(taps) };
        pixels::max_pool(task, output, call).is_some()
    }

    fn max_pool_i16(&mut self, task: &Pooling<'_, i16>, output: &mut [i16]) -> bool {
        // SAFETY: `max_pool` makes windows of what is there.
        let call = |taps: &Windowed| unsafe { self.0.max_i16(taps) };
        pixels::max_pool(task, output, call).is_some()
    }

    fn average_pool_i8(&mut self, task: &Averaging<'_, i8>, output: &mut [i8]) -> bool {
        // SAFETY: `average_pool` makes windows of what is there.
        let call = |taps: &Windowed, mean: &Mean| unsafe { self.0.mean_i8(taps, mean) };
        means::average_pool(task, output, call).is_some()
    }

    fn average_pool_i16(&mut self, task: &Averaging<'_, i16>, output: &mut [i16]) -> bool {
        // SAFETY: `average_pool` makes windows of what is there.
        let call = |taps: &Windowed, mean: &Mean| unsafe { self.0.mean_i16(taps, mean) };
        means::average_pool(task, output, call).is_some()
    }

    fn lookup_i8(&mut self, input: Option<&[i8]>, table: &[i8], output: &mut [i8]) -> bool {
        // SAFETY: `lookup` gives places that are there.
        let call = |x, table, y, vectors, room| unsafe {
            self.0.lookup_i8(x, table, y, vectors, room);
        };
        elements::lookup(input, table, output, call).is_some()
    }

    fn lookup_i16(
        &mut self,
        input: Option<&[i16]>,
        table: &[i16],
        step_bits: u32,
        output: &mut [i16],
    ) -> bool {
        // SAFETY: `interpolate` gives places that are there.
        let call = |x, table, y, count| unsafe { self.0.lookup_i16(x, table, y, count, step_bits) };
        elements::interpolate(input, table, step_bits, output, call).is_some()
    }

    fn sum_pixels_i8(
        &mut self,
        input: &[i8],
        channels: usize,
        first: usize,
        sums: &mut [i32],
    ) -> bool {
        // SAFETY: `sum` makes columns of what is there.
        let call = |column: &mut Column| unsafe { self.0.sum_i8(column) };
        pixels::sum(input, channels, first, sums, call).is_some()
    }

    fn sum_pixels_i16(
        &mut self,
        input: &[i16],
        channels: usize,
        first: usize,
        sums: &mut [i32],
    ) -> bool {
        // SAFETY: `sum` makes columns of what is there.
        let call = |column: &mut Column| unsafe { self.0.sum_i16(column) };
        pixels::sum(input, channels, first, sums, call).is_some()
    }

    fn convolve(&mut self, task: &Convolution<'_>, output: &mut [u8]) -> bool {
        convolution::convolve(&mut self.0, task, output).is_some()
    }
}
