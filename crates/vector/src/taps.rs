//! The taps of a window that lie inside the input, along one axis.

use core::ops::Range;

use fixpoint_kernels::{Hwc, Window};

/// Kernel indices `first..end` are inside; tap k is at `start + k * dilation - pad`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taps {
    pub(crate) first: usize,
    pub(crate) end: usize,
    start: usize,
    dilation: usize,
    pad: usize,
}

impl Taps {
    pub(crate) fn rows(window: &Window, shape: Hwc, oy: usize) -> Self {
        let start = oy * usize::from(window.stride_h);
        let size = shape.h as usize;
        Self::new(
            start,
            window.dilation_h,
            window.pad_top,
            window.kernel_h,
            size,
        )
    }

    pub(crate) fn columns(window: &Window, shape: Hwc, ox: usize) -> Self {
        let start = ox * usize::from(window.stride_w);
        let size = shape.w as usize;
        Self::new(
            start,
            window.dilation_w,
            window.pad_left,
            window.kernel_w,
            size,
        )
    }

    /// Output columns whose windows lie inside the input from side to side; may be none.
    pub(crate) fn inner_columns(window: &Window, shape: Hwc, out: Hwc) -> Range<usize> {
        let (pad, stride) = (usize::from(window.pad_left), usize::from(window.stride_w));
        let reach = usize::from(window.kernel_w.saturating_sub(1)) * usize::from(window.dilation_w);
        // Column x begins at x * stride - pad >= 0 and ends at that + reach < w.
        let first = pad.div_ceil(stride);
        let end = match (shape.w as usize + pad).checked_sub(reach + 1) {
            Some(last) => last / stride + 1,
            None => 0,
        };
        first..end.min(out.w as usize).max(first)
    }

    fn new(start: usize, dilation: u16, pad: u16, kernel: u16, size: usize) -> Self {
        let (dilation, pad) = (usize::from(dilation), usize::from(pad));
        let first = pad.saturating_sub(start).div_ceil(dilation);
        let end = (size + pad).saturating_sub(start).div_ceil(dilation);
        Self {
            first,
            end: end.min(kernel.into()).max(first),
            start,
            dilation,
            pad,
        }
    }

    pub(crate) fn indices(&self) -> Range<usize> {
        self.first..self.end
    }

    /// Where tap `k`, one of [`Self::indices`], lies in the input.
    pub(crate) fn at(&self, k: usize) -> usize {
        (self.start + k * self.dilation).saturating_sub(self.pad)
    }
}
