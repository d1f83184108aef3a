//! Convolutions channel by channel over 3x3 taps that read their input where it is and leave out the padding around it
//! ([`Kernel::Depthwise3x3Padded`]): one call does all pixels, however their windows are clipped.

use core::ops::Range;

use super::{Layer, Share};
use crate::unit::{Kernel, Run, Unit};

/// Taps in a row, and rows of them.
pub(super) const TAPS: usize = 3;

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
    /// Of them behind the input.
    fn behind(&self) -> usize {
        self.size - self.before - self.count
    }

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

/// Windows of a share, those clipped before and behind, and whole ones.
pub(super) struct Padded {
    rows: [usize; 3],
    columns: [usize; 3],
    /// Where the input is that windows see, in bytes.
    place: usize,
}

impl Layer<'_> {
    /// How a share is done so, if it is: rows are whole, at most one row or column of taps is in the padding on each side,
    /// and some windows are whole.
    #[inline(never)]
    pub(super) fn padded(&self, share: &Share) -> Option<Padded> {
        let one = (self.window.dilation_h, self.window.dilation_w) == (1, 1);
        let [_, rows, columns] = share;
        (self.steps().is_3x3 && one && columns.len() == self.out.w as usize).then_some(())?;
        let [down, across] = self.axes(share);
        let windows = |axis: &Axis, positions: &Range<u32>| {
            let (before, behind) = (axis.before, axis.behind());
            let whole = positions.len().saturating_sub(before + behind);
            (before.max(behind) <= 1 && whole > 0).then_some([before, whole, behind])
        };
        Some(Padded {
            rows: windows(&down, rows)?,
            columns: windows(&across, columns)?,
            place: down.input * self.steps().row + across.input * self.steps().pixel,
        })
    }

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

    /// Does a share of it.
    #[inline(never)]
    pub(super) fn in_place(
        &self,
        unit: &mut impl Unit,
        run: &mut Run,
        share: &Share,
        padded: &Padded,
    ) -> Option<()> {
        let [blocks, rows, columns] = share;
        let steps = self.steps();
        let [above, down, below] = padded.rows;
        let [left, across, right] = padded.columns;
        let (pixel, row) = (steps.pixel as i32, steps.row as i32);
        let mut block = blocks.start;
        while block < blocks.end {
            let (first, splits) = self.begin(run, block)?;
            if splits || run.far {
                let share = [block..block + 1, rows.clone(), columns.clone()];
                self.rectangles(unit, run, &share)?;
                block += 1;
                continue;
            }
            let at = first * self.width;
            run.x = self.input.as_ptr().wrapping_add(padded.place + at);
            run.x_piece = row;
            run.x_tap = pixel - 2 * row;
            run.x_group = steps.x - 2 * pixel - 2 * row;
            // A window whose first column is left out begins with the second, and one whose last is doesn't step on.
            let stepped =
                (left + across) as i32 * steps.x + (2 * right as i32 - left as i32) * pixel;
            run.x_gap = steps.x_row.wrapping_sub(stepped);
            (run.pieces, run.rows, run.groups) = (above as u32, down as u32, below as u32);
            run.pixels = across as u32;
            run.head = (right as u32 * Run::LAST).wrapping_sub(left as u32 * Run::FIRST);
            let y = (rows.start - self.rows.start) as usize * steps.y_row;
            run.y = self.output.wrapping_add(y + at);
            run.y_step = steps.y as i32;
            run.blocks = blocks.end - block;
            // SAFETY: windows lie over the input but for the rows and columns that are said to be left out, and results
            // are this share's, of the blocks that follow, too.
            unsafe { unit.run(self.element, Kernel::Depthwise3x3Padded, run) };
            block = blocks.end - run.blocks;
        }
        Some(())
    }
}
