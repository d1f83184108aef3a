//! Kernels with a ring, as [`Kernel::Depthwise3x3Halves`], in portable code: their rows, and what that one does to vectors of halves.
//!
//! [`Kernel::Depthwise3x3Halves`]: crate::Kernel::Depthwise3x3Halves

use crate::record::{Aligned, HEADER, STEPS, VECTOR, WORD};
use crate::unit::{Ring, Run};

/// Bytes of half a vector.
const HALF: usize = VECTOR / 2;
/// Vectors of a block's weights.
const TAPS: usize = 9;
/// Vectors of a record: header, image, bounds.
const RECORD: usize = 4 + STEPS + 1;

/// Weights and record of a block whose halves are the same.
#[repr(C)]
pub(crate) struct Doubled(Aligned<{ (TAPS + RECORD) * VECTOR / WORD }>);

impl Doubled {
    /// Those of a run; the run then says where they are.
    ///
    /// # Safety
    ///
    /// As [`crate::Unit`] says.
    pub(crate) unsafe fn of(run: &Run, place: &mut core::mem::MaybeUninit<Self>) -> Run {
        let weights: *mut u8 = place.as_mut_ptr().cast();
        let record = weights.wrapping_add(TAPS * VECTOR);
        let bounds = run.more_shifts as usize + 2;
        // SAFETY: the caller's promise; there is room for a record with all steps.
        unsafe {
            let double = |from: *const u8, to: *mut u8, vectors: usize| {
                for at in 0..vectors {
                    let half = from.add(at * VECTOR);
                    to.add(at * VECTOR).copy_from(half, HALF);
                    to.add(at * VECTOR + HALF).copy_from(half, HALF);
                }
            };
            double(run.weights, weights, TAPS);
            let header = run.record.wrapping_sub(HEADER);
            record.copy_from(header, HEADER + 3 * VECTOR);
            // The image: what is of the lower lanes, and their upper bits.
            record.add(2 * VECTOR).copy_from(run.record, VECTOR);
            let upper = run.record.add(2 * VECTOR);
            record.add(3 * VECTOR + WORD).copy_from(upper, WORD);
            double(run.record.add(3 * VECTOR), record.add(4 * VECTOR), bounds);
        }
        Run {
            weights,
            record: record.wrapping_add(HEADER),
            lanes: (VECTOR as u32) / (HALF as u32) * run.lanes,
            ..*run
        }
    }
}

impl Ring {
    /// Copies the row `at` to its place in the ring, and steps on.
    ///
    /// # Safety
    ///
    /// As [`crate::Unit`] says.
    unsafe fn copy(&self, row: i32, lanes: u32, from: *const u8, to: *mut u8) {
        let inside = usize::try_from(row).is_ok_and(|row| row < self.inside as usize);
        if self.head == Self::ANY {
            for at in 0..self.both {
                let pixel = from.wrapping_add((at * self.pixel) as usize);
                let vector = to.wrapping_add(at as usize * VECTOR);
                // SAFETY: the caller's promise.
                unsafe {
                    match inside {
                        true => vector.copy_from(pixel, lanes as usize),
                        false => vector.write_bytes(0, VECTOR),
                    }
                }
            }
            return;
        }
        let count = self.head + self.both + self.tail;
        for at in 0..count {
            let pixel = from.wrapping_add((at * self.pixel) as usize);
            let vector = to.wrapping_add(at as usize * VECTOR);
            let there = [at >= self.head, at < self.head + self.both];
            for (half, there) in there.into_iter().enumerate() {
                if !there {
                    continue;
                }
                let source = match (inside, half) {
                    (false, _) => self.zeros,
                    (true, 0) => pixel,
                    (true, _) => pixel.wrapping_offset(self.other as isize),
                };
                // SAFETY: the caller's promise.
                unsafe { vector.add(half * HALF).copy_from(source, HALF) };
            }
        }
    }
}

/// Does a block: for each row of windows its rows are in the ring, and `windows` is told where.
///
/// # Safety
///
/// As [`crate::Unit`] says.
pub(crate) unsafe fn rows(run: &Run, mut windows: impl FnMut(&Run)) {
    // SAFETY: the caller's promise.
    let ring = unsafe { &mut *run.ring };
    let pitch = run.x_piece as usize;
    // Where the one is that has `at` before it.
    let slot = |at: u32| (run.x.cast_mut()).wrapping_add(at as usize % 3 * pitch);
    let mut copied = 0;
    for row in 0..run.rows {
        let top = row * ring.stride;
        while copied < top + 3 {
            let from = ring.from.wrapping_add((copied * ring.row) as usize);
            let to = slot(copied).wrapping_add(ring.before as usize);
            // SAFETY: the caller's promise.
            unsafe { ring.copy(ring.at + copied as i32, run.lanes, from, to) };
            copied += 1;
        }
        let step = |at: u32| (slot(at + 1).addr() as i32).wrapping_sub(slot(at).addr() as i32);
        let row_step = run.y_step + run.x_tap;
        let y_row = (row_step * run.pixels as i32 + run.y_gap) as isize;
        windows(&Run {
            x: slot(top),
            x_piece: step(top),
            w_gap: step(top + 1),
            x_tap: VECTOR as i32,
            x_group: VECTOR as i32,
            vectors: 0x1ff,
            y: run.y.wrapping_offset(y_row * row as isize),
            y_step: row_step,
            rows: 1,
            ..*run
        });
    }
    ring.from = ring.from.wrapping_add(VECTOR);
}
