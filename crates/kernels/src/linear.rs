//! Convolution over blocked weights: Conv2D, DepthwiseConv2D, and FullyConnected, which is a
//! Conv2D of one position.
//!
//! `B` output channels are summed side by side, so that a compiler (or the chip's vector unit) can
//! use one register for them.

use crate::number::{Accumulator, Element};
use crate::shape::{Hwc, Window};

/// How an arithmetic starts a block of sums and turns it into elements.
pub trait Finish<T: Element, A: Accumulator, const B: usize> {
    /// Sums of channels `block * B ..` before the first product, into what is 0.
    fn start(&self, block: usize, sums: &mut [A; B]);

    /// The elements of channels `block * B ..`; `output` may be shorter than `B`.
    fn finish(&self, block: usize, sums: &[A; B], output: &mut [T]);
}

/// Right shifts of a linear op.
#[derive(Clone, Copy, Debug)]
pub enum Shifts<'a> {
    /// One for all channels.
    Uniform(i8),
    /// One for each channel, padded to whole blocks.
    PerChannel(&'a [i8]),
}

impl Shifts<'_> {
    /// Shifts of channels `block * B ..`; they may be written to `room`.
    #[inline(always)]
    pub(crate) fn block<'a, const B: usize>(
        &'a self,
        block: usize,
        room: &'a mut [i8; B],
    ) -> &'a [i8] {
        match self {
            Self::Uniform(shift) => {
                *room = [*shift; B];
                room
            }
            Self::PerChannel(shifts) => &shifts[block * B..][..B],
        }
    }
}

/// Slopes of leaky activations.
#[derive(Clone, Copy, Debug)]
pub enum Slopes<'a> {
    /// One for all channels.
    Uniform(i16),
    /// One for each channel, padded to whole blocks in a linear op.
    PerChannel(&'a [i16]),
}

impl Slopes<'_> {
    /// The slope of a channel.
    #[inline(always)]
    pub fn of(&self, channel: usize) -> i16 {
        match self {
            Self::Uniform(slope) => *slope,
            Self::PerChannel(slopes) => slopes[channel],
        }
    }
}

/// The taps of a window that meet the input, along one axis: an arithmetic progression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taps {
    /// Kernel index of the first.
    pub kernel: usize,
    /// From one to the next.
    pub kernel_step: usize,
    /// Input index of the first.
    pub input: usize,
    /// From one to the next.
    pub input_step: isize,
    /// How many there are.
    pub count: usize,
}

/// One axis of a window.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    /// In front of the input.
    pub pad: usize,
}

impl Line {
    /// The window from top to bottom.
    pub fn rows(window: &Window) -> Self {
        Self {
            kernel: window.kernel_h.into(),
            stride: window.stride_h.into(),
            dilation: window.dilation_h.into(),
            pad: window.pad_top.into(),
        }
    }

    /// The window from left to right.
    pub fn columns(window: &Window) -> Self {
        Self {
            kernel: window.kernel_w.into(),
            stride: window.stride_w.into(),
            dilation: window.dilation_w.into(),
            pad: window.pad_left.into(),
        }
    }

    /// Tap k is at `at * stride + k * dilation - pad`, inside if that is in `0..size`.
    #[inline(never)]
    pub fn taps(self, at: usize, size: usize) -> Taps {
        let start = at * self.stride;
        let first = self.pad.saturating_sub(start).div_ceil(self.dilation);
        let end = (size + self.pad)
            .saturating_sub(start)
            .div_ceil(self.dilation)
            .min(self.kernel);
        Taps {
            kernel: first,
            kernel_step: 1,
            input: (start + first * self.dilation).saturating_sub(self.pad),
            input_step: self.dilation as isize,
            count: end.saturating_sub(first),
        }
    }

    /// The other way round: input i reaches, through tap k, the output at
    /// `i * stride + k * dilation - pad`.
    #[inline(never)]
    fn taps_transposed(self, at: usize, size: usize) -> Taps {
        let target = at + self.pad;
        let mut taps = Taps {
            kernel: 0,
            kernel_step: 1,
            input: 0,
            input_step: 0,
            count: 0,
        };
        let mut previous = None;
        for k in 0..self.kernel {
            let Some(left) = target.checked_sub(k * self.dilation) else {
                break;
            };
            let i = left / self.stride;
            if left % self.stride != 0 || i >= size {
                continue;
            }
            // The solutions of i * stride + k * dilation = target are equally spaced.
            match previous {
                None => (taps.kernel, taps.input) = (k, i),
                Some((before, from)) if taps.count == 1 => {
                    taps.kernel_step = k - before;
                    taps.input_step = i as isize - from as isize;
                }
                Some(_) => {}
            }
            previous = Some((k, i));
            taps.count += 1;
        }
        taps
    }
}

impl Taps {
    /// Pairs of kernel index and input index.
    #[inline(always)]
    fn iter(self) -> impl Iterator<Item = (usize, usize)> {
        let (mut k, mut i) = (self.kernel, self.input);
        (0..self.count).map(move |_| {
            let pair = (k, i);
            k += self.kernel_step;
            i = i.wrapping_add_signed(self.input_step);
            pair
        })
    }
}

/// Which way a window slides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The window slides over the input.
    Forward,
    /// The window slides over the output: a transposed convolution.
    Transposed,
}

/// The taps of a window at one position of the output that lie inside the input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    rows: Taps,
    columns: Taps,
    kernel_w: usize,
    input_w: usize,
}

impl Spot {
    /// Calls `tap(kernel index, input position)` for each. Positions count pixels.
    #[inline(always)]
    pub(crate) fn each(&self, mut tap: impl FnMut(usize, usize)) {
        for (ky, iy) in self.rows.iter() {
            for (kx, ix) in self.columns.iter() {
                tap(ky * self.kernel_w + kx, iy * self.input_w + ix);
            }
        }
    }
}

/// Calls `spot(position, taps there)` for each position of the output in order. Once for all kernels.
#[inline(never)]
pub(crate) fn each_spot(
    window: &Window,
    direction: Direction,
    shape: Hwc,
    out: Hwc,
    spot: &mut dyn FnMut(usize, &Spot),
) {
    let (rows, columns) = (Line::rows(window), Line::columns(window));
    let (h, w) = (shape.h as usize, shape.w as usize);
    let taps = |line: Line, at, size| match direction {
        Direction::Forward => line.taps(at, size),
        Direction::Transposed => line.taps_transposed(at, size),
    };
    let mut position = 0;
    for oy in 0..out.h as usize {
        let rows = taps(rows, oy, h);
        for ox in 0..out.w as usize {
            let taps = Spot {
                rows,
                columns: taps(columns, ox, w),
                kernel_w: columns.kernel,
                input_w: w,
            };
            spot(position, &taps);
            position += 1;
        }
    }
}

/// How the kernel of a convolution is applied.
#[derive(Clone, Copy, Debug)]
pub struct Sweep {
    pub window: Window,
    pub direction: Direction,
    /// Input and output channels are divided into so many groups of equal size that have nothing to
    /// do with each other. At least 1.
    pub groups: usize,
}

/// Convolution over the input channels of each group. Weights `[G][O/G/B][KH][KW][I/G][B]`, the
/// padding is zero. Blocks that `finish` sees are counted through all groups.
///
/// `output` has `out.h * out.w * out.c` elements and `out` is the window's output for `shape`, or
/// for a transposed convolution `shape` is the window's output for `out`.
///
/// # Panics
///
/// If `B` is not [`Element::LANES`], or a slice is shorter than its shape says.
pub fn conv2d<T, A, F, const B: usize>(
    input: &[T],
    shape: Hwc,
    sweep: &Sweep,
    weights: &[T],
    output: &mut [T],
    out: Hwc,
    finish: &F,
) where
    T: Element,
    A: Accumulator,
    F: Finish<T, A, B>,
{
    assert!(B == T::LANES);
    convolve(input, shape, sweep, false, weights, output, out, finish);
}

/// One filter per channel. Weights `[C/B][KH][KW][B]`, the padding is zero.
///
/// # Panics
///
/// If a slice is shorter than its shape says.
pub fn depthwise_conv2d<T, A, F, const B: usize>(
    input: &[T],
    shape: Hwc,
    window: &Window,
    weights: &[T],
    output: &mut [T],
    out: Hwc,
    finish: &F,
) where
    T: Element,
    A: Accumulator,
    F: Finish<T, A, B>,
{
    let sweep = Sweep {
        window: *window,
        direction: Direction::Forward,
        groups: 1,
    };
    convolve(input, shape, &sweep, true, weights, output, out, finish);
}

/// Both: they differ in which channels of the input a block needs, and in how its lanes are summed.
#[expect(clippy::too_many_arguments, reason = "those of the two, and which")]
#[inline(never)]
fn convolve<T, A, F, const B: usize>(
    input: &[T],
    shape: Hwc,
    sweep: &Sweep,
    depthwise: bool,
    weights: &[T],
    output: &mut [T],
    out: Hwc,
    finish: &F,
) where
    T: Element,
    A: Accumulator,
    F: Finish<T, A, B>,
{
    let Sweep {
        window,
        direction,
        groups,
    } = sweep;
    let (channels, all) = (shape.c as usize, out.c as usize);
    let (inner, outer) = match depthwise {
        true => (1, all),
        false => (channels / groups, all / groups),
    };
    let filter = usize::from(window.kernel_h) * usize::from(window.kernel_w) * inner * B;
    let blocks = outer.div_ceil(B);
    each_spot(window, *direction, shape, out, &mut |position, spot| {
        let pixel = &mut output[position * all..][..all];
        for (group, members) in pixel.chunks_exact_mut(outer).enumerate() {
            for (block, lanes) in members.chunks_mut(B).enumerate() {
                let (first, count) = match depthwise {
                    true => (block * B, lanes.len()),
                    false => (group * inner, inner),
                };
                let block = group * blocks + block;
                let weights = &weights[block * filter..][..filter];
                let mut sums = [A::ZERO; B];
                finish.start(block, &mut sums);
                spot.each(|tap, position| {
                    let x = &input[position * channels + first..][..count];
                    let w = &weights[tap * inner * B..][..inner * B];
                    match depthwise {
                        true => A::add_lanes(&mut sums, x, w),
                        false => A::add_rows(&mut sums, x, w),
                    }
                });
                finish.finish(block, &sums, lanes);
            }
        }
    });
}
