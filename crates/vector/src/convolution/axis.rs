//! What the windows of a share see of the input.

use core::ops::Range;

use super::{Layer, Share};

/// An axis of what windows see.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    /// Vectors or rows.
    pub(super) size: usize,
    /// Of them in front of the input.
    pub(super) before: usize,
    /// Where the input begins, and how much of it there is.
    pub(super) input: usize,
    pub(super) count: usize,
}

impl Axis {
    /// What the windows of so many `taps` at `positions` see of `size` elements.
    #[inline(never)]
    fn new(positions: &Range<u32>, taps: u16, stride: u16, pad: u16, size: u32) -> Self {
        let between = positions.len().saturating_sub(1);
        let reach = between * usize::from(stride) + usize::from(taps);
        let (first, pad) = (
            positions.start as usize * usize::from(stride),
            usize::from(pad),
        );
        let before = pad.saturating_sub(first).min(reach);
        let input = (first + before).saturating_sub(pad).min(size as usize);
        Self {
            size: reach,
            before,
            input,
            count: (reach - before).min(size as usize - input),
        }
    }
}

impl Layer<'_> {
    /// Rows and columns that windows see.
    pub(super) fn axes(&self, [_, rows, columns]: &Share) -> [Axis; 2] {
        let (window, size) = (self.window, self.shape.h);
        let (taps, stride, pad) = (window.kernel_h, window.stride_h, window.pad_top);
        [
            Axis::new(rows, taps, stride, pad, size),
            self.across(columns),
        ]
    }

    /// Columns that windows see.
    #[inline(never)]
    pub(super) fn across(&self, columns: &Range<u32>) -> Axis {
        let (window, size) = (self.window, self.shape.w);
        let (taps, stride, pad) = (window.kernel_w, window.stride_w, window.pad_left);
        Axis::new(columns, taps, stride, pad, size)
    }
}
