//! Convolutions channel by channel over 3x3 taps whose input is *staged*: a block's channels of each pixel
//! are copied to a vector, one after another, with zeros where the padding is. Then no window is clipped,
//! and elements are at multiples of 16. That pays for small maps, of which most windows are clipped, and
//! for eight channels of 8 bits, which lie at multiples of 8 only.

use core::ops::Range;
use core::slice;

use super::{Layer, Share};
use crate::record::VECTOR;
use crate::unit::{Kernel, Run, Staging, Unit};

/// Vectors that can be staged at once.
pub(crate) const STAGED: usize = 160;
/// About how many instructions a rectangle of pixels takes beside its pixels.
const RECTANGLE: usize = 128;
/// Taps in a row, and rows of them.
const TAPS: usize = 3;

/// Where zeros are copied from.
#[repr(align(16))]
struct Zeros([u8; VECTOR]);
static ZEROS: Zeros = Zeros([0; VECTOR]);

/// How a share is staged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stage {
    /// Vectors, [`STAGED`] of them.
    memory: *mut u8,
    pub(super) kernel: Kernel,
    /// Whether all rows are there at once, or only those of one row of windows.
    whole: bool,
    /// Whether zeros are already where they stay.
    cleared: bool,
}

/// An axis of what is staged.
#[derive(Clone, Copy, Debug)]
struct Axis {
    /// Vectors or rows.
    size: usize,
    /// Of them in front of the input.
    before: usize,
    /// Where the input begins, and how much of it there is.
    input: usize,
    count: usize,
}

impl Axis {
    /// What the windows at `positions` see of `size` elements.
    fn new(positions: &Range<u32>, stride: u16, pad: u16, size: u32) -> Self {
        let reach = (positions.len().saturating_sub(1)) * usize::from(stride) + TAPS;
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
    /// How a share of so many rectangles is staged, if it is.
    pub(super) fn stage(&self, share: &Share, rectangles: usize, memory: *mut u8) -> Option<Stage> {
        let window = self.window;
        let is_3x3 = self.depthwise && (window.kernel_h, window.kernel_w) == (3, 3);
        (is_3x3 && (window.dilation_h, window.dilation_w) == (1, 1)).then_some(())?;
        let others = rectangles.checked_sub(1)?;
        let [rows, columns] = self.axes(share);
        let vectors = rows.size.saturating_mul(columns.size);
        let whole = vectors <= STAGED;
        let half = self.width == 1
            && self.out.c == 8
            && (self.input.as_ptr().addr() | self.output.addr()).is_multiple_of(8);
        let pays = self.steps.is_3x3 && whole && 2 * vectors < RECTANGLE * others;
        (half || pays).then_some(Stage {
            memory,
            kernel: match half {
                true => Kernel::Depthwise3x3Half,
                false => Kernel::Depthwise3x3,
            },
            whole,
            cleared: false,
        })
    }

    fn axes(&self, [_, rows, columns]: &Share) -> [Axis; 2] {
        let window = self.window;
        [
            Axis::new(rows, window.stride_h, window.pad_top, self.shape.h),
            Axis::new(columns, window.stride_w, window.pad_left, self.shape.w),
        ]
    }

    /// Does the block of a share that begins at channel `first`, which the run has all about but where
    /// elements are.
    #[inline(never)]
    pub(super) fn staged(
        &self,
        unit: &mut impl Unit,
        stage: &mut Stage,
        run: &mut Run,
        first: usize,
        share: &Share,
    ) {
        let [blocks, rows, columns] = share;
        let stride = usize::from(self.window.stride_w).max(1);
        let most = match stage.whole {
            true => columns.len(),
            false => (STAGED / TAPS - TAPS) / stride + 1,
        };
        for at in columns.clone().step_by(most) {
            let columns = at..columns.end.min(at + most as u32);
            let share = [blocks.clone(), rows.clone(), columns];
            self.staged_columns(unit, stage, run, first, &share);
        }
    }

    #[inline(never)]
    fn staged_columns(
        &self,
        unit: &mut impl Unit,
        stage: &mut Stage,
        run: &mut Run,
        first: usize,
        share: &Share,
    ) {
        let [_, share_rows, share_columns] = share;
        let [rows, columns] = self.axes(share);
        let steps = &self.steps;
        let (pitch, block) = (columns.size * VECTOR, first * self.width);
        let pads = columns.count < columns.size || rows.count < rows.size;
        // If all is there, zeros stay from block to block.
        if pads && !(stage.whole && stage.cleared) {
            stage.cleared = true;
            let kept = if stage.whole { rows.size } else { TAPS };
            let place = stage.memory.cast::<u32>();
            // SAFETY: so many vectors are there, by `stage` or as columns are cut.
            unsafe { slice::from_raw_parts_mut(place, kept * pitch / 4) }.fill(0);
        }
        let mut copy = Staging {
            from: self.input.as_ptr(),
            to: stage.memory,
            step: steps.pixel as u32,
            pixels: columns.count as u32,
            rows: rows.count as u32,
            from_gap: steps.row.wrapping_sub(columns.count * steps.pixel) as i32,
            to_gap: ((columns.size - columns.count) * VECTOR) as i32,
            half: (stage.kernel == Kernel::Depthwise3x3Half).into(),
        };
        let input = columns.input * steps.pixel + block;
        let from = self
            .input
            .as_ptr()
            .wrapping_add(rows.input * steps.row + input);
        let to = stage.memory.wrapping_add(columns.before * VECTOR);
        run.pixels = share_columns.len() as u32;
        run.x_step = (usize::from(self.window.stride_w) * VECTOR) as i32;
        run.y_step = steps.y as i32;
        (run.x_tap, run.x_group) = (VECTOR as i32, VECTOR as i32);
        run.vectors = 0x1ff;
        let row = share_rows.start as usize - self.rows.start as usize;
        let place = row * steps.y_row + share_columns.start as usize * steps.y;
        run.y = self.output.wrapping_add(place + block);
        let y_gap = steps.y_row - share_columns.len() * steps.y;
        let stride_h = usize::from(self.window.stride_h);
        if stage.whole {
            copy.from = from;
            copy.to = to.wrapping_add(rows.before * pitch);
            // SAFETY: windows lie over the input, and so do these pixels; there is room for them.
            unsafe { unit.stage(&copy) };
            run.x = stage.memory;
            run.rows = share_rows.len() as u32;
            run.x_gap = (stride_h * pitch) as i32 - run.x_step * run.pixels as i32;
            run.y_gap = y_gap as i32;
            (run.x_piece, run.w_gap) = (pitch as i32, pitch as i32);
            // SAFETY: as `runs` says; all taps lie in what is staged.
            unsafe { unit.run(self.element, stage.kernel, run) };
            return;
        }
        (run.rows, run.x_gap, run.y_gap) = (1, 0, 0);
        copy.rows = 1;
        // Rows go round: where the one is that has `at` before it.
        let slot = |at: usize| (at % TAPS * pitch) as i32;
        let mut done = 0;
        for row in 0..share_rows.len() {
            let top = row * stride_h;
            for at in done.max(top)..top + TAPS {
                copy.to = to.wrapping_offset(slot(at) as isize);
                (copy.from, copy.step) = (ZEROS.0.as_ptr(), 0);
                if let Some(inside) = at.checked_sub(rows.before)
                    && inside < rows.count
                {
                    copy.from = from.wrapping_add(inside * steps.row);
                    copy.step = steps.pixel as u32;
                }
                // SAFETY: as above.
                unsafe { unit.stage(&copy) };
            }
            done = top + TAPS;
            run.x = stage.memory.wrapping_offset(slot(top) as isize);
            run.x_piece = slot(top + 1) - slot(top);
            run.w_gap = slot(top + 2) - slot(top + 1);
            // SAFETY: as above.
            unsafe { unit.run(self.element, stage.kernel, run) };
            run.y = run.y.wrapping_add(steps.y_row);
        }
    }
}
