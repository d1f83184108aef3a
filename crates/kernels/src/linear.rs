//! Convolution over blocked weights: Conv2D, DepthwiseConv2D, and FullyConnected, which is a
//! Conv2D of one position.
//!
//! `B` output channels are summed side by side, so that a compiler (or the chip's vector unit) can
//! use one register for them.

use crate::number::{Accumulator, Element};
use crate::shape::{Hwc, Window};

/// How an arithmetic starts a block of sums and turns it into elements.
pub trait Finish<T: Element, A: Accumulator, const B: usize> {
    /// Sums of channels `block * B ..` before the first product.
    fn start(&self, block: usize) -> [A; B];

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
    /// Shifts of channels `block * B ..`.
    #[inline(always)]
    pub(crate) fn block<const B: usize>(&self, block: usize) -> [i8; B] {
        match self {
            Self::Uniform(shift) => [*shift; B],
            Self::PerChannel(shifts) => {
                let mut lanes = [0; B];
                lanes.copy_from_slice(&shifts[block * B..][..B]);
                lanes
            }
        }
    }
}

/// Position of a window's first tap, and which taps meet the input.
struct Taps {
    /// Kernel indices `first..end` are inside the input.
    first: usize,
    end: usize,
    /// Input index of tap 0 plus `pad`.
    start: usize,
    pad: usize,
    dilation: usize,
}

impl Taps {
    fn new(at: usize, stride: u16, dilation: u16, pad: u16, kernel: u16, size: u32) -> Self {
        let (dilation, pad) = (usize::from(dilation), usize::from(pad));
        let start = at * usize::from(stride);
        // Tap k is at start + k * dilation - pad, and 0 <= that < size.
        let first = pad.saturating_sub(start).div_ceil(dilation);
        let end = (size as usize + pad)
            .saturating_sub(start)
            .div_ceil(dilation)
            .min(usize::from(kernel));
        Self {
            first,
            end,
            start,
            pad,
            dilation,
        }
    }

    /// Pairs of kernel index and input index.
    fn iter(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (start, pad, dilation) = (self.start, self.pad, self.dilation);
        (self.first..self.end).map(move |k| (k, start + k * dilation - pad))
    }
}

/// Calls `tap(kernel index, input position)` for each tap of the window at (`oy`, `ox`) that lies
/// inside the input. Positions count pixels.
#[inline(always)]
pub(crate) fn for_each_tap(
    window: &Window,
    shape: Hwc,
    oy: usize,
    ox: usize,
    mut tap: impl FnMut(usize, usize),
) {
    let rows = Taps::new(
        oy,
        window.stride_h,
        window.dilation_h,
        window.pad_top,
        window.kernel_h,
        shape.h,
    );
    let columns = Taps::new(
        ox,
        window.stride_w,
        window.dilation_w,
        window.pad_left,
        window.kernel_w,
        shape.w,
    );
    for (ky, iy) in rows.iter() {
        for (kx, ix) in columns.iter() {
            tap(
                ky * usize::from(window.kernel_w) + kx,
                iy * shape.w as usize + ix,
            );
        }
    }
}

/// Convolution over all input channels. Weights `[O/B][KH][KW][I][B]`, the padding is zero.
///
/// `output` has `out.h * out.w * out.c` elements and `out` is the window's output for `shape`.
///
/// # Panics
///
/// If a slice is shorter than its shape says.
pub fn conv2d<T, A, F, const B: usize>(
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
    let channels = shape.c as usize;
    let filter = usize::from(window.kernel_h) * usize::from(window.kernel_w) * channels * B;
    let pixels = output.chunks_exact_mut(out.c as usize);
    for (at, pixel) in pixels.enumerate() {
        let (oy, ox) = (at / out.w as usize, at % out.w as usize);
        for (block, lanes) in pixel.chunks_mut(B).enumerate() {
            let weights = &weights[block * filter..][..filter];
            let mut sums = finish.start(block);
            for_each_tap(window, shape, oy, ox, |tap, position| {
                let x = &input[position * channels..][..channels];
                let w = &weights[tap * channels * B..][..channels * B];
                multiply_accumulate(&mut sums, x, w);
            });
            finish.finish(block, &sums, lanes);
        }
    }
}

#[inline(always)]
fn multiply_accumulate<T: Element, A: Accumulator, const B: usize>(
    sums: &mut [A; B],
    x: &[T],
    w: &[T],
) {
    // A copy that never leaves registers: through the reference, every step would store.
    let mut local = *sums;
    let (rows, _) = w.as_chunks::<B>();
    for (x, row) in x.iter().zip(rows) {
        let x: i16 = (*x).into();
        for lane in 0..B {
            local[lane] = local[lane].add_product(x, row[lane].into());
        }
    }
    *sums = local;
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
    let channels = shape.c as usize;
    let filter = usize::from(window.kernel_h) * usize::from(window.kernel_w) * B;
    let pixels = output.chunks_exact_mut(out.c as usize);
    for (at, pixel) in pixels.enumerate() {
        let (oy, ox) = (at / out.w as usize, at % out.w as usize);
        for (block, lanes) in pixel.chunks_mut(B).enumerate() {
            let weights = &weights[block * filter..][..filter];
            let mut sums = finish.start(block);
            for_each_tap(window, shape, oy, ox, |tap, position| {
                let x = &input[position * channels + block * B..][..lanes.len()];
                let w = &weights[tap * B..][..B];
                for ((sum, x), w) in sums.iter_mut().zip(x).zip(w) {
                    *sum = sum.add_product((*x).into(), (*w).into());
                }
            });
            finish.finish(block, &sums, lanes);
        }
    }
}
