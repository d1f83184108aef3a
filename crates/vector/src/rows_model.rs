//! [`Kernel::DepthwiseFives`] in portable code: which rows of taps each row of windows has.
//!
//! [`Kernel::DepthwiseFives`]: crate::Kernel::DepthwiseFives

use crate::model::stage;
use crate::record::{HEADER, IS_SPARSE, VECTOR};
use crate::unit::Run;

/// Taps of a row.
const TAPS: usize = 5;

/// Does block after block of elements of so many bytes: `windows` is told each row of windows, all of whose taps are inside.
///
/// # Safety
///
/// As [`crate::Unit`] says.
pub(crate) unsafe fn blocks(run: &mut Run, width: usize, mut windows: impl FnMut(&Run)) {
    loop {
        let bytes = VECTOR.min(run.head as usize);
        let header = run.record.wrapping_sub(HEADER);
        // SAFETY: the caller's promise.
        let [first, more] = unsafe {
            stage(&mut *run.staging, bytes);
            header.cast::<[u8; 2]>().read()
        };
        for row in 0..run.rows as i32 {
            let top = run.x_group + row * run.groups as i32;
            let above = (-top).max(0);
            let end = (run.pieces as i32).min(run.w_group - top);
            let place = (row * run.groups as i32 + above) * run.x_piece;
            let y_row = run.y_step * run.pixels as i32 + run.y_gap;
            windows(&Run {
                x: run.x.wrapping_offset(place as isize),
                y: run.y.wrapping_offset((row * y_row) as isize),
                rows: 1,
                weights: (run.weights).wrapping_add(above as usize * TAPS * VECTOR),
                pieces: (end - above) as u32,
                groups: 1,
                w_gap: 0,
                vectors: TAPS as u32,
                x_tap: VECTOR as i32,
                head: 0,
                first_shift: (first & !IS_SPARSE).into(),
                more_shifts: more.into(),
                lanes: (bytes / width) as u32,
                ..*run
            });
        }
        run.blocks -= 1;
        let next = run.record.wrapping_add(run.record_step as usize);
        // SAFETY: the caller's promise.
        let further = || unsafe { next.wrapping_sub(HEADER).cast::<u32>().read() >> 8 };
        if run.blocks == 0 || further() > run.most_sparse {
            return;
        }
        run.record = next;
        run.weights = run.weights.wrapping_offset(run.w_gap as isize);
        run.y = run.y.wrapping_add(VECTOR);
        run.head -= VECTOR as u32;
    }
}
