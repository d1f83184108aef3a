//! Convolutions channel by channel over 3x3 taps that read their input where it is and leave out the padding around it
//! ([`Kernel::Depthwise3x3Padded`]): one call does all pixels, however their windows are clipped. As of
//! [`super::points`], what such a layer takes before its kernel is much of what small ones take.

use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::Range;

use fixpoint_runtime::accelerator::{Convolution, Sums};
use fixpoint_runtime::format::Element;

use super::{ROOM, Share, layer};
use crate::record::{HEADER, Record, Scratch, VECTOR};
use crate::unit::{Kernel, Run, Unit};

/// Taps in a row, and rows of them.
pub(super) const TAPS: u32 = 3;
/// Bytes of a block's weights.
pub(super) const BLOCK: usize = (TAPS * TAPS) as usize * VECTOR;

/// Such a layer, whose arrays are as long as its shapes say.
pub(crate) struct Padded<'a> {
    task: &'a Convolution<'a>,
    y: *mut u8,
    /// Bytes of the output.
    outputs: usize,
    blocks: u32,
    /// Bytes of a pixel, of the input or the output, and of a row of each.
    pixel: usize,
    row: usize,
    y_row: usize,
    output: PhantomData<&'a mut [u8]>,
}

/// Whether windows that move by `stride` are that many, at `size` elements with so much padding on both sides together.
#[inline(always)]
fn slides(size: u32, pads: u32, stride: u32, windows: u32) -> bool {
    // Of places for a window, the last: a large number if there is none.
    let room = size.wrapping_add(pads).wrapping_sub(TAPS);
    let last = windows.wrapping_sub(1);
    room <= u32::from(u16::MAX)
        && last <= room
        && room.wrapping_sub(last.wrapping_mul(stride)) < stride
}

/// Windows along an axis, those clipped before and behind and whole ones, and the first element that they see.
struct Windows {
    before: u32,
    whole: u32,
    behind: u32,
    first: u32,
}

impl Windows {
    /// Those of `range` among `all`, at `size` elements behind so much padding; `None` if none is whole.
    #[inline(always)]
    fn new(range: &Range<u32>, all: u32, stride: u32, pad: u32, size: u32) -> Option<Self> {
        let before = if range.start == 0 { pad } else { 0 };
        let sees = (all - 1) * stride + TAPS;
        let behind = match range.end == all {
            true => sees.saturating_sub(pad + size),
            false => 0,
        };
        let whole = (range.end - range.start).wrapping_sub(before + behind);
        (whole.cast_signed() > 0).then_some(Self {
            before,
            whole,
            behind,
            first: range.start * stride + before - pad,
        })
    }
}

impl<'a> Padded<'a> {
    /// Whether a task is such a layer: at most one row or column of taps is in the padding on each side.
    #[inline(always)]
    pub(crate) fn are_of(task: &Convolution<'_>) -> bool {
        let w = task.window;
        let pads = w.pad_top | w.pad_bottom | w.pad_left | w.pad_right;
        let dilated = (w.dilation_h ^ 1) | (w.dilation_w ^ 1);
        let other = (w.kernel_h ^ TAPS as u16) | (w.kernel_w ^ TAPS as u16);
        task.depthwise && pads <= 1 && dilated | other == 0
    }

    /// Such a task if its arrays are as long as its shapes say, elements are at multiples of 16, none of its sizes is
    /// extraordinary, and the unit can do it.
    #[inline(never)]
    pub(crate) fn new(
        task: &'a Convolution<'a>,
        y: *mut u8,
        outputs: usize,
        place: &'a mut MaybeUninit<Self>,
    ) -> Option<&'a Self> {
        let (shape, out, each) = (task.shape, task.out, task.prepared.each);
        let window = task.window;
        let down = u32::from(window.pad_top) + u32::from(window.pad_bottom);
        let across = u32::from(window.pad_left) + u32::from(window.pad_right);
        let double = u32::from(task.element == Element::I16);
        let count = task.rows.end.checked_sub(task.rows.start)?;
        let (h, w, c) = (shape.h as usize, shape.w as usize, shape.c as usize);
        let pixel = c << double;
        let (all, blocks) = (h.wrapping_mul(w), pixel / VECTOR);
        // Windows are no more than elements, as there is so little padding.
        let (wide, pixels) = (out.w as usize, count.wrapping_mul(out.w) as usize);
        let small = (h | w | all | c | pixel | each) >> (usize::BITS / 2) == 0;
        let places = task.input.as_ptr().addr() | y.addr() | pixel;
        let arrays = task.prepared.bytes.as_ptr().addr() | each | task.weights.as_ptr().addr();
        let right = small
            && c > 0
            && shape.c == out.c
            && slides(shape.h, down, window.stride_h.into(), out.h)
            && slides(shape.w, across, window.stride_w.into(), out.w)
            && task.rows.end <= out.h
            && (places | arrays).is_multiple_of(VECTOR)
            && each >= ROOM * VECTOR
            && pixels * pixel == outputs
            && all * pixel <= task.input.len()
            && blocks * BLOCK <= task.weights.len()
            && blocks * each <= task.prepared.bytes.len()
            // Sums of 16-bit products need no proof.
            && (double == 0 || task.sums == Sums::Whole);
        right.then(|| {
            &*place.write(Self {
                task,
                y,
                outputs,
                blocks: blocks as u32,
                pixel,
                row: w * pixel,
                y_row: wide * pixel,
                output: PhantomData,
            })
        })
    }

    /// All of the output.
    #[inline(always)]
    pub(crate) fn whole(&self) -> Share {
        [0..self.blocks, self.task.rows.clone(), 0..self.task.out.w]
    }

    /// Multiply-accumulates, padding included.
    pub(crate) fn work(&self) -> u64 {
        let outputs = self.outputs >> u32::from(self.task.element == Element::I16);
        outputs as u64 * u64::from(TAPS * TAPS)
    }

    /// Does a share of it, or answers `None`.
    // By itself: what lies behind the scratch on the stack is too far away for some of LLVM's code.
    #[inline(never)]
    pub(crate) fn run(&self, unit: &mut impl Unit, share: &Share) -> Option<()> {
        self.runs(unit, share, &mut MaybeUninit::uninit())
    }

    #[inline(never)]
    fn runs(
        &self,
        unit: &mut impl Unit,
        share: &Share,
        scratch: &mut MaybeUninit<Scratch>,
    ) -> Option<()> {
        let (task, [blocks, rows, columns]) = (self.task, share);
        let (window, each) = (task.window, task.prepared.each);
        let (shape, out) = (task.shape, task.out);
        let (stride_h, stride_w) = (u32::from(window.stride_h), u32::from(window.stride_w));
        let (top, left) = (window.pad_top.into(), window.pad_left.into());
        let (Some(down), Some(across)) = (
            Windows::new(rows, out.h, stride_h, top, shape.h),
            Windows::new(columns, out.w, stride_w, left, shape.w),
        ) else {
            return self.otherwise(unit, share, blocks.clone());
        };
        // Results have no gaps between rows.
        if columns.end - columns.start != out.w {
            return self.otherwise(unit, share, blocks.clone());
        }
        let (pixel, row) = (self.pixel as i32, self.row as i32);
        let x_step = pixel.wrapping_mul(stride_w as i32);
        // A window whose first column is left out begins with the second, and one whose last is doesn't step on.
        let (left, right) = (across.before as i32, across.behind as i32);
        let stepped =
            (left + across.whole as i32).wrapping_mul(x_step) + (2 * right - left) * pixel;
        let x = task
            .input
            .as_ptr()
            .wrapping_add(down.first as usize * self.row);
        let before = (rows.start - task.rows.start) as usize;
        let y = self.y.wrapping_add(before * self.y_row);
        let most_steps = (each / VECTOR - ROOM) as u32;
        let lanes = VECTOR >> u32::from(task.element == Element::I16);
        let mut run = Run {
            x,
            x_gap: row.wrapping_mul(stride_h as i32).wrapping_sub(stepped),
            y,
            y_step: pixel,
            pixels: across.whole,
            rows: down.whole,
            weights: task.weights.as_ptr(),
            pieces: down.before,
            groups: down.behind,
            head: (across.behind * Run::LAST).wrapping_sub(across.before * Run::FIRST),
            x_piece: row,
            x_group: x_step - 2 * pixel - 2 * row,
            record: task.prepared.bytes.as_ptr(),
            x_tap: pixel - 2 * row,
            x_block: VECTOR as i32,
            most_shifts: Run::shifts_3x3(most_steps),
            most_sparse: Run::sparse(most_steps),
            ..Run::new(scratch.as_mut_ptr().cast(), each, lanes)
        };
        let mut block = blocks.start;
        while block < blocks.end {
            let at = block as usize;
            let record = task.prepared.bytes.as_ptr().wrapping_add(at * each);
            // SAFETY: `new` has checked that each block has a record, at multiples of 16, and shares have blocks of the
            // layer.
            let what = unsafe { record.cast::<u32>().read() };
            if !Record::is_of_3x3(what, &run) {
                self.otherwise(unit, share, block..block + 1)?;
                block += 1;
                continue;
            }
            run.record = record.wrapping_add(HEADER);
            run.weights = task.weights.as_ptr().wrapping_add(at * BLOCK);
            run.x = x.wrapping_add(at * VECTOR);
            run.y = y.wrapping_add(at * VECTOR);
            run.blocks = blocks.end - block;
            // SAFETY: `new` has checked the lengths of input, weights, records and output; windows lie over the input but
            // for the rows and columns that are said to be left out, and results are this share's, of the blocks that
            // follow, too. The scratch is live.
            unsafe { unit.run(task.element, Kernel::Depthwise3x3Padded, &mut run) };
            block = blocks.end - run.blocks;
        }
        Some(())
    }

    /// Does blocks of a share that this kernel can't.
    #[cold]
    #[inline(never)]
    fn otherwise(&self, unit: &mut impl Unit, share: &Share, blocks: Range<u32>) -> Option<()> {
        let [_, rows, columns] = share.clone();
        let mut place = MaybeUninit::uninit();
        layer(self.task, self.y, self.outputs, &mut place)?.run(unit, &[blocks, rows, columns])
    }
}
