//! Convolutions whose outputs are each made of the pixel in its place: all pixels, one after another, are one row,
//! and each is one piece. What such a layer takes before its kernel is most of what small ones take.

use core::marker::PhantomData;
use core::mem::MaybeUninit;

use fixpoint_runtime::accelerator::Convolution;
use fixpoint_runtime::format::Element;

use super::{Parts, ROOM, Share};
use crate::record::{HEADER, Record, Scratch, VECTOR};
use crate::unit::{Kernel, Run, Unit};

/// Half a vector.
const HALF: usize = VECTOR / 2;

/// Such a layer, whose arrays are as long as its shapes say.
pub(crate) struct Points<'a> {
    pub(super) element: Element,
    pub(super) x: *const u8,
    pub(super) y: *mut u8,
    weights: *const u8,
    pub(super) records: *const u8,
    /// Bytes of a record.
    pub(super) each: usize,
    pixels: u32,
    /// Channels of a pixel, and its bytes.
    channels: u32,
    pub(super) pixel: usize,
    /// Bytes of a pixel's results.
    pub(super) results: usize,
    /// Vectors between two splits; none if lanes aren't split.
    part_vectors: u32,
    /// Inputs, weights and records, which are read, and the output, which is written.
    arrays: PhantomData<&'a mut [u8]>,
}

impl<'a> Points<'a> {
    /// Whether a task is such a layer: the window is one element, and moves by one.
    #[inline(always)]
    pub(crate) fn are_of(task: &Convolution<'_>) -> bool {
        let w = task.window;
        let ones = (w.kernel_h ^ 1) | (w.kernel_w ^ 1) | (w.stride_h ^ 1) | (w.stride_w ^ 1);
        !task.depthwise && ones | w.pad_top | w.pad_bottom | w.pad_left | w.pad_right == 0
    }

    /// Such a task if its arrays are as long as its shapes say, none of its
    /// sizes is extraordinary, and the unit can do it.
    #[inline(never)]
    pub(crate) fn new(
        task: &'a Convolution<'_>,
        output: &'a mut [u8],
        place: &'a mut MaybeUninit<Self>,
    ) -> Option<&'a Self> {
        let (shape, out, rows, each) = (task.shape, task.out, &task.rows, task.prepared.each);
        let [h, w, c, n] = [shape.h, shape.w, shape.c, out.c].map(|count| count as usize);
        let double = u32::from(task.element == Element::I16);
        let count = rows.end.checked_sub(rows.start)?;
        let (pixel, results, block) = (c << double, n << double, c.wrapping_mul(VECTOR));
        let blocks = results.div_ceil(VECTOR);
        let (all, pixels) = (h.wrapping_mul(w), (count as usize).wrapping_mul(w));
        // There are no more pixels than in all of the input.
        let factors = h | w | all | c | block | n | results | each;
        let small = factors >> (usize::BITS / 2) == 0;
        let places = task.input.as_ptr().addr() | output.as_ptr().addr();
        let vectors = task.prepared.bytes.as_ptr().addr() | each | task.weights.as_ptr().addr();
        let right = small
            && out.h == shape.h
            && out.w == shape.w
            && rows.end <= out.h
            && c > 0
            && n > 0
            && each >= ROOM * VECTOR
            && pixels * results == output.len()
            && all * pixel <= task.input.len()
            && blocks * block <= task.weights.len()
            && blocks * each <= task.prepared.bytes.len()
            && vectors.is_multiple_of(VECTOR)
            && places & double as usize == 0;
        right.then_some(())?;
        let part_vectors = match Parts::of(task.element, c, false, task.sums)? {
            None => 0,
            Some(Parts::Vectors(vectors)) => vectors as u32,
            // All of a pixel.
            Some(_) => i32::MAX as u32,
        };
        let before = rows.start as usize * w * pixel;
        Some(place.write(Self {
            element: task.element,
            x: task.input.as_ptr().wrapping_add(before),
            y: output.as_mut_ptr(),
            weights: task.weights.as_ptr(),
            records: task.prepared.bytes.as_ptr(),
            each,
            pixels: pixels as u32,
            channels: shape.c,
            pixel,
            results,
            part_vectors,
            arrays: PhantomData,
        }))
    }

    /// All of the output: its blocks, one row, all pixels.
    #[inline(always)]
    pub(crate) fn whole(&self) -> Share {
        [
            0..self.results.div_ceil(VECTOR) as u32,
            0..1,
            0..self.pixels,
        ]
    }

    /// Bytes of a block's weights.
    pub(crate) fn block(&self) -> usize {
        self.channels as usize * VECTOR
    }

    /// Multiply-accumulates.
    pub(crate) fn work(&self) -> u64 {
        let double = u32::from(self.element == Element::I16);
        let outputs = self.pixels as usize * (self.results >> double);
        outputs as u64 * u64::from(self.channels)
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
        let [blocks, _, columns] = share;
        let before = columns.start as usize;
        let double = u32::from(self.element == Element::I16);
        let x = self.x.wrapping_add(before * self.pixel);
        let y = self.y.wrapping_add(before * self.results);
        let pixels = columns.end.wrapping_sub(columns.start);
        // There is nothing behind the only pixel.
        let step = if pixels == 1 { 0 } else { self.results };
        let [inputs, outputs] = [x.addr() | self.pixel, y.addr() | step];
        let aligned = inputs.is_multiple_of(VECTOR);
        // For blocks whose lanes aren't split.
        let kernel = match aligned {
            true if outputs.is_multiple_of(VECTOR) => Kernel::Point,
            true if outputs.is_multiple_of(HALF) && double == 0 => Kernel::PointHalves,
            true => Kernel::Aligned,
            false if self.pixel == HALF && (inputs | outputs).is_multiple_of(HALF) => {
                match double {
                    0 => Kernel::PointEights,
                    _ => Kernel::Unaligned,
                }
            }
            false => Kernel::Unaligned,
        };
        // Of a piece: whole vectors, and the bytes in front of them.
        let (vectors, head) = match aligned {
            true => (self.pixel / VECTOR, 0),
            false => ((self.pixel - 1) / VECTOR, (self.pixel - 1) % VECTOR + 1),
        };
        let block = self.block();
        let mut run = Run {
            x: match head {
                0 => x,
                _ => x.wrapping_sub(VECTOR - head),
            },
            x_step: self.pixel as i32,
            y,
            y_step: self.results as i32,
            pixels,
            weights: self.weights,
            vectors: vectors as u32,
            head: (head >> double) as u32,
            w_gap: block as i32,
            record: self.records,
            whole: match outputs.is_multiple_of(VECTOR) {
                true => self.results as i32,
                false => 0,
            },
            part_vectors: self.part_vectors,
            part_pieces: if aligned { 0 } else { 1 },
            most_sparse: Run::sparse((self.each / VECTOR - ROOM) as u32),
            ..Run::new(scratch.as_mut_ptr().cast(), self.each, VECTOR >> double)
        };
        // SAFETY: `new` has checked that there is a record.
        let first = unsafe { core::slice::from_raw_parts(self.records, self.each) };
        if Record::dots(first).is_some() && self.dots(unit, &mut run, first, share).is_some() {
            return Some(());
        }
        let mut at = blocks.start as usize;
        while at < blocks.end as usize && columns.start < columns.end {
            // SAFETY: `new` has checked that each block has a record, and shares have blocks of the layer.
            let record = unsafe {
                core::slice::from_raw_parts(self.records.wrapping_add(at * self.each), self.each)
            };
            // Only the last block may have fewer.
            let bytes = self.results - at * VECTOR;
            let kernel = match kernel {
                Kernel::Point if bytes < VECTOR => Kernel::Aligned,
                _ => kernel,
            };
            // Kernels of points find in a record themselves what there is, if it is plain.
            let mut splits = false;
            if kernel.is_point() && Record::is_plain(record, run.most_sparse) {
                run.record = record.as_ptr().wrapping_add(HEADER);
            } else {
                splits = Record::begin(record, &mut run)?;
            }
            // Whether lanes are split depends on the biases, and how on what is proved.
            (!splits || self.part_vectors > 0).then_some(())?;
            run.weights = self.weights.wrapping_add(at * block);
            run.y = y.wrapping_add(at * VECTOR);
            if bytes < VECTOR {
                run.lanes = (bytes >> double) as u32;
                run.whole = match bytes == HALF && outputs.is_multiple_of(HALF) {
                    true => -run.y_step,
                    false => 0,
                };
            }
            let kernel = match (splits, aligned) {
                (false, _) => kernel,
                (true, true) => Kernel::AlignedSplit,
                (true, false) => Kernel::UnalignedSplit,
            };
            // Blocks with results for all lanes.
            let mut count = 1;
            if kernel.is_point() {
                let whole = (self.results / VECTOR).min(blocks.end as usize);
                count = whole.saturating_sub(at).max(1);
            }
            run.blocks = count as u32;
            // SAFETY: `new` has checked the lengths of input, weights, records and output; the scratch is live.
            unsafe { unit.run(self.element, kernel, &mut run) };
            at += match kernel.is_point() {
                true => count - run.blocks as usize,
                false => 1,
            };
        }
        Some(())
    }
}
