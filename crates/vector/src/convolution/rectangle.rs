//! Rectangles of pixels as runs.

use core::mem::MaybeUninit;
use core::ops::Range;

use fixpoint_kernels::linear::Line;

use super::{Layer, Parts, Share};
use crate::record::VECTOR;
use crate::segments::{Cut, Segment};
use crate::unit::{Kernel, Run, Unit};

/// Blocks of which a run says much the same, and what it says of the first.
struct Group {
    blocks: Range<u32>,
    first: usize,
    /// Whether lanes are split, whether shifts are far apart, and how many channels there are.
    kind: (bool, bool, u32),
    weights: *const u8,
    record: *const u8,
}

/// What [`Run::x_span`] is.
pub(super) fn span(run: &Run) -> i32 {
    let row = run
        .x_step
        .wrapping_mul(run.pixels as i32)
        .wrapping_add(run.x_gap);
    row.wrapping_mul(run.rows as i32)
}

impl Layer<'_> {
    /// Does a share rectangle by rectangle.
    #[inline(never)]
    pub(super) fn rectangles(
        &self,
        unit: &mut impl Unit,
        run: &mut Run,
        share: &Share,
    ) -> Option<()> {
        let [blocks, rows, columns] = share;
        let (h, w) = (self.shape.h as usize, self.shape.w as usize);
        let (mut rows_cut, mut columns_cut) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        let rows = Cut::set(&mut rows_cut, Line::rows(self.window), h, rows);
        let columns = Cut::set(&mut columns_cut, Line::columns(self.window), w, columns);
        let mut block = blocks.start;
        while block < blocks.end {
            let (first, splits) = self.begin(run, block)?;
            let mut group = Group {
                blocks: block..blocks.end,
                first,
                kind: (splits, run.far, run.lanes),
                weights: run.weights,
                record: run.record,
            };
            rows.each(|rows| {
                columns.each(|columns| self.blocks(unit, run, &mut group, rows, columns));
            });
            (group.blocks.end > block).then_some(())?;
            block = group.blocks.end;
        }
        Some(())
    }

    /// Does the blocks of a share whose lanes are split, from `block` to the first that isn't, which it tells.
    #[inline(never)]
    pub(super) fn split_blocks(
        &self,
        unit: &mut impl Unit,
        run: &mut Run,
        block: u32,
        [blocks, rows, columns]: &Share,
    ) -> Option<u32> {
        let end = self.split_until(block, blocks.end);
        self.rectangles(unit, run, &[block..end, rows.clone(), columns.clone()])?;
        Some(end)
    }

    /// Does a rectangle of blocks, up to the first of another kind, where the group then ends: it is empty if
    /// there is a block that can't be done. The first has been begun, and is again then.
    #[inline(never)]
    fn blocks(
        &self,
        unit: &mut impl Unit,
        run: &mut Run,
        group: &mut Group,
        rows: &Segment,
        columns: &Segment,
    ) {
        let Range { start, end } = group.blocks;
        if end <= start {
            return;
        }
        (run.weights, run.record) = (group.weights, group.record);
        let kernel = self.rectangle(run, group.first, rows, columns, group.kind.0);
        let at_once = kernel.does_blocks();
        run.blocks = if at_once { end - start } else { 1 };
        let mut block = start;
        let mut weights = run.weights;
        loop {
            // SAFETY: `prepare` has checked the lengths of input, weights, records and output, and the
            // windows of the rectangle lie inside the input; the scratch is live.
            unsafe { unit.run(self.element, kernel, run) };
            if at_once {
                group.blocks.end = end - run.blocks;
                return;
            }
            block += 1;
            if end - start == 1 {
                return;
            }
            let begun = if block < end {
                self.begin(run, block)
            } else {
                None
            };
            if block < end && begun.is_none() {
                group.blocks.end = start;
                return;
            }
            let same = begun.is_some_and(|(_, splits)| (splits, run.far, run.lanes) == group.kind);
            if !same {
                group.blocks.end = block;
                // It has been before.
                let _ = self.begin(run, start);
                return;
            }
            // What is said of a rectangle holds for the next block.
            weights = weights.wrapping_add(self.steps().block);
            run.weights = weights;
            run.x = run.x.wrapping_offset(run.x_block as isize);
            run.y = run.y.wrapping_add(VECTOR);
        }
    }

    /// Fills in what a run says of a rectangle of pixels, for the block of channels that begins at
    /// `first` and whose weights the run has; which kernel does it.
    #[inline(always)]
    pub(super) fn rectangle(
        &self,
        run: &mut Run,
        first: usize,
        rows: &Segment,
        columns: &Segment,
        splits: bool,
    ) -> Kernel {
        let steps = self.steps();
        run.rows = rows.count as u32;
        run.pixels = columns.count as u32;
        (run.x_step, run.y_step) = (steps.x, steps.y as i32);
        if columns.count == 1 {
            // A column is taken for a row: from row to row is farther than from pixel to pixel.
            (run.pixels, run.rows) = (run.rows, 1);
            (run.x_step, run.y_step) = (steps.x_row, steps.y_row as i32);
            (run.x_gap, run.y_gap) = (0, 0);
        } else {
            let pixels = columns.count as i32;
            run.x_gap = (steps.x_row).wrapping_sub(steps.x.wrapping_mul(pixels));
            run.y_gap = (steps.y_row as i32).wrapping_sub((steps.y as i32).wrapping_mul(pixels));
        }
        run.whole = match run.lanes as usize * self.width {
            _ if steps.stores_whole => run.y_step,
            8 if (steps.y | self.output.addr()).is_multiple_of(8) => -run.y_step,
            _ => 0,
        };
        let block = first * self.width;
        let row = rows.first - self.rows.start as usize;
        let place = row * steps.y_row + columns.first * steps.y;
        run.y = self.output.wrapping_add(place + block);
        let channel = if self.depthwise { block } else { 0 };
        let place = rows.input * steps.row + columns.input * steps.pixel;
        run.x = self.input.as_ptr().wrapping_add(place + channel);
        self.pieces(run, rows, columns, splits)
    }

    /// Fills in what a run says of its pieces; which kernel does it.
    #[inline(always)]
    fn pieces(&self, run: &mut Run, rows: &Segment, columns: &Segment, splits: bool) -> Kernel {
        let (steps, kernel_w) = (self.steps(), usize::from(self.window.kernel_w));
        let (taps_h, taps_w) = (rows.taps, columns.taps);
        let empty = taps_h == 0 || taps_w == 0;
        let may_be_3x3 = steps.is_3x3 && !splits && !empty;
        if may_be_3x3 && !run.far {
            let (down, across) = (rows.inside, columns.inside);
            // Three bits for each row.
            run.vectors = ((down & 1) | (down & 2) << 2 | (down & 4) << 4) * across;
            // From the first to the second, and on to the third, if it is from one inside to another.
            let step = |inside, both, step| if inside & both == both { step } else { 0 };
            run.x_tap = step(across, 3, steps.tap);
            run.x_group = step(across, 6, steps.tap);
            run.x_piece = step(down, 3, steps.tap_row);
            run.w_gap = step(down, 6, steps.tap_row);
            run.x_span = span(run);
            return Kernel::Depthwise3x3;
        }
        let tap = self.products() * VECTOR;
        let before = rows.kernel * kernel_w + columns.kernel;
        run.weights = run.weights.wrapping_add(before * tap);
        run.x_tap = steps.tap;
        run.groups = 1;
        run.pieces = taps_h as u32;
        run.x_piece = steps.tap_row;
        run.w_gap = ((kernel_w - taps_w) * tap) as i32;
        run.head = 0;
        if empty {
            run.pieces = 0;
        }
        let whole = taps_h == usize::from(self.window.kernel_h) && taps_w == kernel_w;
        // Rows or vectors.
        let row_vectors = kernel_w * self.products() / VECTOR;
        let (part_rows, part_vectors) = match self.parts {
            Some(Parts::Rows(rows)) => (rows, 0),
            Some(Parts::Across(vectors)) if whole && self.elements_aligned() => (0, vectors),
            Some(Parts::Across(vectors)) => (vectors / row_vectors, 0),
            Some(Parts::Vectors(vectors)) => (0, vectors),
            None => (0, 0),
        };
        run.part_pieces = part_rows.max(1) as u32;
        if self.depthwise || empty {
            run.vectors = taps_w as u32;
            return match self.elements_aligned() {
                _ if splits => Kernel::DepthwiseSplit,
                true => Kernel::DepthwiseAligned,
                false => Kernel::DepthwiseUnaligned,
            };
        }
        let mut products = taps_w * self.products();
        if self.pieces_apart() {
            products = self.products();
            run.groups = taps_h as u32;
            run.pieces = taps_w as u32;
            run.x_piece = steps.tap;
            run.x_group = steps.tap_row - steps.tap * taps_w as i32;
            run.w_group = run.w_gap;
            run.w_gap = 0;
            if part_rows > 0 {
                run.part_pieces *= taps_w as u32;
            }
        }
        let lanes = self.lanes();
        if self.elements_aligned() {
            run.vectors = (products / lanes) as u32;
            run.part_vectors = match part_rows {
                0 => part_vectors as u32,
                _ => run.part_pieces * run.vectors,
            };
            let within = matches!(self.parts, Some(Parts::Vectors(_)));
            run.part_pieces = if within { 0 } else { u32::MAX };
            let one = run.groups == 1 && run.pieces == 1 && run.whole > 0;
            if one {
                run.w_gap = steps.block as i32;
            }
            return match (splits, one) {
                (true, _) => Kernel::AlignedSplit,
                (false, true) => Kernel::Point,
                (false, false) => Kernel::Aligned,
            };
        }
        run.part_vectors = if part_rows > 0 {
            i32::MAX as u32
        } else {
            part_vectors as u32
        };
        run.vectors = ((products - 1) / lanes) as u32;
        let head = (products - 1) % lanes + 1;
        run.head = head as u32;
        run.x = run.x.wrapping_sub((lanes - head) * self.width);
        let nines = self.width == 1
            && (run.groups, run.pieces, run.vectors, run.head) == (1, 3, 0, 9)
            && run.w_gap == 0
            && run.whole != 0;
        match splits {
            true => Kernel::UnalignedSplit,
            false if nines => Kernel::Nines,
            false => Kernel::Unaligned,
        }
    }
}
