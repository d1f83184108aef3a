//! [`Kernel::Depthwise3x3Padded`] in portable code: what each window leaves out.
//!
//! [`Kernel::Depthwise3x3Padded`]: crate::Kernel::Depthwise3x3Padded

use crate::unit::Run;

/// Taps along one axis that aren't left out, a bit each, and their steps.
struct Line {
    taps: u32,
    steps: [i32; 2],
}

impl Line {
    /// Those of a window `step` apart, that leaves out its first tap or its last.
    fn new(first: bool, last: bool, step: i32) -> Self {
        let unless = |left_out: bool| if left_out { 0 } else { step };
        Self {
            taps: 7 & !u32::from(first) & !(u32::from(last) << 2),
            steps: [unless(first), unless(last)],
        }
    }
}

/// Does a block: `window` is told each pixel, as for [`crate::Kernel::Depthwise3x3`].
pub(crate) fn windows(run: &Run, mut window: impl FnMut(&Run)) {
    let sides = run.head.cast_signed();
    let (left, right) = (sides < 0, sides & Run::LAST as i32 != 0);
    let row = run.x_piece;
    let pixel = run.x_tap + 2 * row;
    let x_step = run.x_group + 2 * pixel + 2 * row;
    let (rows, pixels) = (
        run.pieces + run.rows + run.groups,
        u32::from(left) + run.pixels + u32::from(right),
    );
    let (mut x, mut y) = (run.x, run.y);
    for at in 0..rows {
        let (above, below) = (at < run.pieces, at + run.groups >= rows);
        let down = Line::new(above, below, row);
        for at in 0..pixels {
            let (first, last) = (left && at == 0, right && at + 1 == pixels);
            let across = Line::new(first, last, pixel);
            let three = (down.taps & 1) | (down.taps & 2) << 2 | (down.taps & 4) << 4;
            let [x_piece, w_gap] = down.steps;
            let [x_tap, x_group] = across.steps;
            window(&Run {
                x,
                y,
                pixels: 1,
                rows: 1,
                vectors: three * across.taps,
                x_piece,
                w_gap,
                x_tap,
                x_group,
                ..*run
            });
            let step = match (first, last) {
                (true, _) => x_step - pixel,
                (_, true) => 2 * pixel,
                _ => x_step,
            };
            x = x.wrapping_offset(step as isize);
            y = y.wrapping_offset(run.y_step as isize);
        }
        let gap = run.x_gap - if above { row } else { 0 };
        x = x.wrapping_offset(gap as isize);
    }
}
