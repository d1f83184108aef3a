//! Convolutions channel by channel over rows of five taps (`Kernel::DepthwiseFives`), tile by tile: elements are
//! *staged*, a vector for each pixel, with zeros beside them where the padding is. A row of taps that is in the padding
//! is left out.

use core::ptr;

use super::{Layer, Share};
use crate::record::VECTOR;
use crate::unit::{Kernel, Run, Staging, Unit};

/// Vectors that can be staged at once.
const STAGED: u32 = super::STAGED as u32;
/// Taps of a row.
const TAPS: u32 = 5;
/// Most rows of taps: one window can be staged.
const MOST_ROWS: u16 = (STAGED / TAPS) as u16;
/// Rows of windows that a tile has at least, if it can: of each tile rows of taps are staged again.
const ROWS: u32 = 3;

impl Layer<'_> {
    /// Whether a layer is done so.
    #[inline(always)]
    pub(super) fn is_in_rows(&self) -> bool {
        let window = self.window;
        self.depthwise
            && window.kernel_w == TAPS as u16
            && window.dilation_h | window.dilation_w == 1
            // Each window has a row that is inside.
            && window.pad_top.max(window.pad_bottom) < window.kernel_h
            && window.kernel_h <= MOST_ROWS
            && self.at_halves()
    }

    /// Does a share, all blocks of a kind at once.
    #[inline(never)]
    pub(super) fn in_rows(
        &self,
        unit: &mut impl Unit,
        run: &mut Run,
        share: &Share,
        memory: *mut u8,
    ) -> Option<()> {
        let [blocks, rows, columns] = share;
        let [high, wide] = self.tile_of(columns.end - columns.start);
        let mut block = blocks.start;
        while block < blocks.end {
            let (first, splits) = self.begin(run, block)?;
            if splits {
                block = self.split_blocks(unit, run, block, share)?;
                continue;
            }
            let (weights, record) = (run.weights, run.record);
            run.blocks = 0;
            let (mut top, mut left) = (rows.start, columns.start);
            while top < rows.end {
                let bottom = rows.end.min(top + high);
                let right = columns.end.min(left + wide);
                (run.weights, run.record) = (weights, record);
                run.blocks = blocks.end - block;
                let tile = [0..0, top..bottom, left..right];
                self.row_tile(unit, run, (first, memory), &tile);
                left = right;
                if left >= columns.end {
                    (top, left) = (bottom, columns.start);
                }
            }
            block = blocks.end - run.blocks;
        }
        Some(())
    }

    /// Most rows and columns of a tile, of a share of so many columns.
    #[inline(always)]
    fn tile_of(&self, columns: u32) -> [u32; 2] {
        let (window, h) = (self.window, self.shape.h);
        let kernel_h = u32::from(window.kernel_h);
        let stride_h = u32::from(window.stride_h.max(1));
        let stride_w = u32::from(window.stride_w.max(1));
        let wanted = h.min(kernel_h + (ROWS - 1) * stride_h);
        let mut tiles = 0;
        loop {
            tiles += 1;
            let between = columns.saturating_sub(1) / tiles;
            // Rows of taps.
            let most = STAGED / (between * stride_w + TAPS);
            if most >= wanted || between == 0 {
                let high = match most >= h {
                    true => u16::MAX.into(),
                    false => (most - kernel_h) / stride_h + 1,
                };
                return [high, between + 1];
            }
        }
    }

    /// Does a tile of the blocks from that of a channel on, staged in memory.
    #[inline(never)]
    fn row_tile(
        &self,
        unit: &mut impl Unit,
        run: &mut Run,
        (first, memory): (usize, *mut u8),
        tile: &Share,
    ) {
        let (steps, window) = (self.steps(), self.window);
        let [down, across] = self.axes(tile);
        let [_, rows, columns] = tile;
        let at = first * self.width;
        let place = down.input * steps.row + across.input * steps.pixel + at;
        let mut staging = Staging {
            from: self.input.as_ptr().wrapping_add(place),
            to: memory.wrapping_add(across.before * VECTOR),
            step: steps.pixel as u32,
            pixels: across.count as u32,
            rows: down.count as u32,
            from_gap: steps.row.wrapping_sub(across.count * steps.pixel) as i32,
            to_gap: ((across.size - across.count) * VECTOR) as i32,
            kind: match self.elements_aligned() {
                true => Staging::ANY,
                false => Staging::HALVES,
            },
        };
        // SAFETY: so many vectors are there, by `tile_of`.
        unsafe { unit.clear(memory, (down.count * across.size) as u32) };
        let pitch = across.size * VECTOR;
        run.x = memory.wrapping_sub(down.before * pitch);
        run.x_step = i32::from(window.stride_w) * VECTOR as i32;
        run.x_piece = pitch as i32;
        run.x_group = -(down.before as i32);
        run.w_group = down.count as i32;
        run.groups = window.stride_h.into();
        run.pieces = window.kernel_h.into();
        run.w_gap = steps.block as i32;
        run.head = (self.channels_out() * self.width - at) as u32;
        let row = (rows.start - self.rows.start) as usize;
        let y = row * steps.y_row + columns.start as usize * steps.y + at;
        run.y = self.output.wrapping_add(y);
        run.y_step = steps.y as i32;
        (run.pixels, run.rows) = (columns.end - columns.start, rows.end - rows.start);
        run.y_gap = (steps.y_row as i32).wrapping_sub(steps.y as i32 * run.pixels as i32);
        run.staging = &raw mut staging;
        // SAFETY: windows lie over the input or its padding, and so do these pixels, for which there is room, by
        // `tile_of`; the results are this share's.
        unsafe { unit.run(self.element, Kernel::DepthwiseFives, run) };
        run.staging = ptr::null_mut();
    }
}
