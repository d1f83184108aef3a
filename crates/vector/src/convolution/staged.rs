//! Convolutions channel by channel over 3x3 taps whose input is *staged*: a block's channels of each pixel
//! are copied to a vector, one after another, with zeros where the padding is. Then no window is clipped,
//! and that pays for small maps, of which most windows are clipped. What lies at multiples of 8 is done in
//! `halves`.

use core::ops::Range;
use core::ptr;

use fixpoint_runtime::format::Element;

use super::rectangle::span;
use super::{Layer, Share};
use crate::record::VECTOR;
use crate::unit::{Kernel, Run, Staging, Unit};

/// Vectors that can be staged at once.
pub(crate) const STAGED: usize = 160;
/// About how many instructions a rectangle of pixels takes beside its pixels, a tile, and a block of either;
/// and a row that is copied beside its vectors.
const RECTANGLE: usize = 250;
const TILE: usize = 400;
const BLOCK: usize = 115;
const ROW: usize = 5;
/// Taps in a row, and rows of them.
pub(super) const TAPS: usize = 3;

/// How a share is staged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stage {
    /// Vectors, [`STAGED`] of them.
    memory: *mut u8,
    /// Rows of results that make a tile.
    rows: usize,
}

/// An axis of what is staged.
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
    /// About how many rectangles windows are in along it: clipped before and behind, and whole.
    fn pieces(&self) -> usize {
        1 + usize::from(self.before > 0) + usize::from(self.before + self.count < self.size)
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

/// Windows that are staged.
struct Staged {
    copy: Staging,
    /// Elements of the first channel, and results.
    from: *const u8,
    y: *mut u8,
    y_gap: i32,
    /// Bytes of a row.
    pitch: usize,
    x_gap: i32,
}

impl Layer<'_> {
    /// How a share is staged, if it is.
    pub(super) fn stage(&self, share: &Share, memory: *mut u8) -> Option<Stage> {
        let window = self.window;
        let one = (window.dilation_h, window.dilation_w) == (1, 1);
        (self.steps().is_3x3 && one).then_some(())?;
        let asked = share[1].len();
        (asked > 0).then_some(())?;
        let stride_h = usize::from(window.stride_h);
        let blocks = share[0].len();
        // No more than there are pads; what is copied is about as much as windows step over.
        let padded = |before, after| 1 + usize::from(before > 0) + usize::from(after > 0);
        let most =
            padded(window.pad_top, window.pad_bottom) * padded(window.pad_left, window.pad_right);
        let least = 2 * blocks * (asked - 1) * stride_h * self.shape.w as usize;
        if least >= most * (BLOCK * blocks + RECTANGLE) {
            return None;
        }
        let [rows, columns] = self.axes(share);
        // As many rows as there is room for.
        let most = (STAGED / columns.size).checked_sub(TAPS)? / stride_h + 1;
        let rectangles = rows.pieces() * columns.pieces();
        let tiles = asked.div_ceil(most);
        // Neighbouring tiles have rows in common.
        let copied = rows.count + (tiles - 1) * TAPS.saturating_sub(stride_h);
        let staged = blocks * ((2 * columns.count + ROW) * copied + BLOCK * tiles) + TILE * tiles;
        let pays = staged < rectangles * (BLOCK * blocks + RECTANGLE);
        pays.then_some(Stage {
            memory,
            rows: asked.div_ceil(tiles),
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

    /// Does a share tile by tile.
    #[inline(never)]
    pub(super) fn staged(
        &self,
        unit: &mut impl Unit,
        stage: &Stage,
        run: &mut Run,
        share: &Share,
    ) -> Option<()> {
        let [blocks, rows, columns] = share;
        let mut top = rows.start;
        while top < rows.end {
            let bottom = rows.end.min(top + stage.rows.max(1) as u32);
            let tile = [blocks.clone(), top..bottom, columns.clone()];
            self.tile(unit, stage, run, &tile)?;
            top = bottom;
        }
        Some(())
    }

    /// Does a tile, block by block.
    #[inline(always)]
    fn tile(&self, unit: &mut impl Unit, stage: &Stage, run: &mut Run, tile: &Share) -> Option<()> {
        let [blocks, rows, columns] = tile;
        let mut staged = self.clear(unit, stage, tile);
        let mut block = blocks.start;
        while block < blocks.end {
            let (first, splits) = self.begin(run, block)?;
            if splits || run.far {
                run.staging = ptr::null_mut();
                run.x_block = VECTOR as i32;
                self.rectangles(
                    unit,
                    run,
                    &[block..block + 1, rows.clone(), columns.clone()],
                )?;
                block += 1;
                continue;
            }
            self.begin_tile(stage, &staged, run, tile);
            run.y = staged.y.wrapping_add(first * self.width);
            staged.copy.from = staged.from.wrapping_add(first * self.width);
            run.blocks = blocks.end - block;
            run.staging = &raw mut staged.copy;
            let kernel = match (self.element, run.y_gap) {
                (Element::I8, 0) => Kernel::Depthwise3x3Staged,
                _ => Kernel::Depthwise3x3,
            };
            // SAFETY: windows lie over the input, and so do these pixels; there is room for them, by
            // `stage`. For the run as `blocks` says; all taps lie in what is staged.
            unsafe { unit.run(self.element, kernel, run) };
            block = blocks.end - run.blocks;
        }
        Some(())
    }

    /// Where the windows of a tile are staged, and zeros where there is padding: they stay.
    #[inline(always)]
    fn clear(&self, unit: &mut impl Unit, stage: &Stage, tile: &Share) -> Staged {
        let [share_rows, share_columns] = [tile[1].len(), tile[2].len()];
        let [rows, columns] = self.axes(tile);
        let steps = self.steps();
        let pitch = columns.size * VECTOR;
        if columns.count < columns.size || rows.count < rows.size {
            // SAFETY: so many vectors are there, by `stage` or as columns are cut.
            unsafe { unit.clear(stage.memory, (rows.size * columns.size) as u32) };
        }
        let place = rows.input * steps.row + columns.input * steps.pixel;
        let before = columns.before + rows.before * columns.size;
        let row = tile[1].start as usize - self.rows.start as usize;
        let y = row * steps.y_row + tile[2].start as usize * steps.y;
        let x_step = usize::from(self.window.stride_w) * VECTOR;
        let x_row = usize::from(self.window.stride_h) * pitch;
        let several = share_rows > 1;
        let from = self.input.as_ptr().wrapping_add(place);
        let mut copy = Staging {
            from,
            to: stage.memory.wrapping_add(before * VECTOR),
            step: steps.pixel as u32,
            pixels: columns.count as u32,
            rows: rows.count as u32,
            from_gap: steps.row.wrapping_sub(columns.count * steps.pixel) as i32,
            to_gap: ((columns.size - columns.count) * VECTOR) as i32,
            kind: Staging::ANY,
        };
        if copy.from_gap == 0 && copy.rows > 0 && (1..=Staging::MOST_SHORT).contains(&copy.pixels) {
            copy.kind = Staging::SHORT;
        }
        Staged {
            from,
            copy,
            y: self.output.wrapping_add(y),
            y_gap: if several {
                (steps.y_row - share_columns * steps.y) as i32
            } else {
                0
            },
            pitch,
            x_gap: if several {
                x_row as i32 - (x_step * share_columns) as i32
            } else {
                0
            },
        }
    }

    /// Fills in what a run says of a tile.
    fn begin_tile(&self, stage: &Stage, staged: &Staged, run: &mut Run, tile: &Share) {
        run.x = stage.memory;
        run.x_step = (usize::from(self.window.stride_w) * VECTOR) as i32;
        run.y_step = self.steps().y as i32;
        run.pixels = tile[2].len() as u32;
        run.rows = tile[1].len() as u32;
        (run.x_gap, run.y_gap) = (staged.x_gap, staged.y_gap);
        (run.x_tap, run.x_group) = (VECTOR as i32, VECTOR as i32);
        (run.x_piece, run.w_gap) = (staged.pitch as i32, staged.pitch as i32);
        run.vectors = 0x1ff;
        run.x_block = 0;
        run.x_span = span(run);
    }
}
