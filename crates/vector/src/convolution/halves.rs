//! Convolutions channel by channel over 3x3 taps whose pixels are not at multiples of 16. Rows are copied to a
//! ring of three (`crate::Ring`), with zeros where the padding is. Where pixels are at multiples of 8, a block of
//! all channels is copied, and stored, half by half. The last block has half of them: its vectors are of two
//! pixels, one of the left half of the columns and one of the right; with an odd number of columns both have the
//! middle one, and store the same. Other pixels are copied and stored wherever they are, a word at a time: the last block
//! comes first, as what its last word has too much goes to the next pixel's first block.

use super::{Layer, STAGED, Share};
use crate::record::{VECTOR, WORD};
use crate::unit::{Kernel, Ring, Run, Unit};

/// Taps in a row, and rows of them.
const TAPS: usize = super::padded::TAPS as usize;
/// Bytes of half a vector.
const HALF: usize = VECTOR / 2;
/// Vectors of a row of the ring.
const MOST: usize = STAGED / TAPS;

/// Where zeros are copied from.
#[repr(align(16))]
struct Zeros([u8; VECTOR]);
static ZEROS: Zeros = Zeros([0; VECTOR]);

impl Layer<'_> {
    /// Whether a layer is done half by half.
    pub(super) fn in_halves(&self) -> bool {
        let window = self.window;
        let all = self.pixel() | self.input.as_ptr().addr() | self.output.addr();
        self.depthwise
            && (window.kernel_h, window.kernel_w) == (3, 3)
            && (window.dilation_h, window.dilation_w) == (1, 1)
            // No row is stepped over.
            && usize::from(window.stride_h) <= TAPS
            && usize::from(window.stride_w) <= MOST - TAPS
            && match all % VECTOR {
                0 => false,
                HALF => self.pixel() % VECTOR == HALF,
                _ => self.width == 1,
            }
    }

    /// Whether elements are where a vector's halves may be.
    pub(super) fn at_halves(&self) -> bool {
        (self.pixel() | self.input.as_ptr().addr() | self.output.addr()).is_multiple_of(HALF)
    }

    /// Does a share of it.
    #[inline(never)]
    pub(super) fn halves(
        &self,
        unit: &mut impl Unit,
        run: &mut Run,
        share: &Share,
        memory: *mut u8,
    ) -> Option<()> {
        let [blocks, rows, columns] = share;
        let whole = (self.channels_out() / self.lanes()) as u32;
        let overwritten = !self.channels_out().is_multiple_of(WORD)
            && (blocks.start, whole > 0) == (0, true)
            && *columns == (0..self.out.w);
        if !overwritten || rows.is_empty() {
            return self.rings(unit, run, share, memory, false);
        }
        // The last pixel, behind which is another's share, is exact.
        let end = rows.end - 1;
        let last = whole..blocks.end;
        let but_last = [last.clone(), rows.start..end, columns.clone()];
        self.rings(unit, run, &but_last, memory, true)?;
        let others = [last, end..rows.end, columns.clone()];
        self.rings(unit, run, &others, memory, false)?;
        let first = [0..whole.min(blocks.end), rows.clone(), columns.clone()];
        self.rings(unit, run, &first, memory, false)
    }

    /// Does a share by as many columns as there is room for, and stores `words` instead of lanes.
    #[inline(never)]
    fn rings(
        &self,
        unit: &mut impl Unit,
        run: &mut Run,
        [blocks, rows, columns]: &Share,
        memory: *mut u8,
        words: bool,
    ) -> Option<()> {
        let whole = (self.channels_out() / self.lanes()) as u32;
        let most = ((MOST - TAPS) / usize::from(self.window.stride_w) + 1) as u32;
        let halves = self.at_halves();
        for last in [false, true] {
            let blocks = match last {
                false => blocks.start..blocks.end.min(whole),
                true => blocks.start.max(whole)..blocks.end,
            };
            let both = last && halves;
            let most = if both { 2 * most } else { most };
            let mut left = columns.start;
            while left < columns.end && !blocks.is_empty() && !rows.is_empty() {
                let right = columns.end.min(left + most);
                let share = [blocks.clone(), rows.clone(), left..right];
                self.ring(unit, run, &share, memory, (both, words))?;
                left = right;
            }
        }
        Some(())
    }

    /// Does columns for which there is room: vectors of two pixels if `both`.
    fn ring(
        &self,
        unit: &mut impl Unit,
        run: &mut Run,
        share: &Share,
        memory: *mut u8,
        (both, words): (bool, bool),
    ) -> Option<()> {
        let [blocks, rows, columns] = share;
        let (steps, window) = (self.steps(), self.window);
        let count = columns.end - columns.start;
        // Columns of a vector's halves, and how far apart they are.
        let pixels = if both { count.div_ceil(2) } else { count };
        let apart = (count - pixels) as usize;
        let first = self.across(&(columns.start..columns.start + pixels));
        let second = self.across(&(columns.end - pixels..columns.end));
        let head = first.before.checked_sub(second.before)?;
        let (end, second_end) = (first.before + first.count, second.before + second.count);
        let both_there = second_end.checked_sub(first.before)?;
        let tail = end.checked_sub(second_end)?;
        let (kernel, head) = match self.at_halves() {
            true => (Kernel::Depthwise3x3Halves, head as u32),
            false => (Kernel::Depthwise3x3Any, Ring::ANY),
        };
        let (other, y_other, half) = match (both, head) {
            (true, _) => (apart * steps.x as usize, apart * steps.y, 0),
            (false, Ring::ANY) => (HALF, 0, HALF),
            (false, _) => (HALF, HALF, HALF),
        };
        // Of the input, where the ring's rows and columns begin: the padding may be there.
        let top = rows.start as i32 * i32::from(window.stride_h) - i32::from(window.pad_top);
        let left = columns.start as i32 * i32::from(window.stride_w) - i32::from(window.pad_left);
        let place = (top as isize * steps.row as isize)
            + (left as isize + second.before as isize) * steps.pixel as isize;
        let pitch = first.size * VECTOR;
        // SAFETY: there is room for `STAGED` vectors, and rows have no more than `MOST`.
        unsafe { unit.clear(memory, (TAPS * first.size) as u32) };
        let mut block = blocks.start;
        while block < blocks.end {
            let (channel, splits) = self.begin(run, block)?;
            if splits || run.far {
                run.x_block = VECTOR as i32;
                let share = [block..block + 1, rows.clone(), columns.clone()];
                self.rectangles(unit, run, &share)?;
                block += 1;
                continue;
            }
            let at = channel * self.width;
            let mut ring = Ring {
                from: (self.input.as_ptr()).wrapping_offset(place + at as isize),
                row: steps.row as u32,
                pixel: steps.pixel as u32,
                other: other as i32,
                head,
                both: both_there as u32,
                tail: tail as u32,
                before: (second.before * VECTOR) as u32,
                at: top,
                inside: self.shape.h,
                stride: window.stride_h.into(),
                half: half as u32,
                zeros: ZEROS.0.as_ptr(),
            };
            (run.x, run.x_block) = (memory, 0);
            run.x_step = (usize::from(window.stride_w) * VECTOR) as i32;
            run.x_piece = pitch as i32;
            let row = (rows.start - self.rows.start) as usize;
            run.y = (self.output)
                .wrapping_add(row * steps.y_row + columns.start as usize * steps.y + at);
            run.x_tap = -(y_other as i32);
            run.y_step = (y_other + steps.y) as i32;
            run.y_gap = (steps.y_row - pixels as usize * steps.y) as i32;
            (run.pixels, run.rows) = (pixels, rows.len() as u32);
            run.blocks = blocks.end - block;
            run.ring = &raw mut ring;
            run.whole = match words {
                true => run.lanes.next_multiple_of(WORD as u32),
                false => run.lanes,
            } as i32;
            // SAFETY: windows lie over the input or its padding, and so do these pixels and rows, of which
            // the ring has those that are in the input; the results are this share's.
            unsafe { unit.run(self.element, kernel, run) };
            block = blocks.end - run.blocks;
        }
        Some(())
    }
}
