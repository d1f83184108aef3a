//! Elements in another order: repeated, left out, or filled up. And one tensor after another.

use crate::shape::{RANK, Walk};

/// One axis of a rearranged tensor: what each index adds to the place in the input.
#[derive(Clone, Copy, Debug)]
pub enum Axis<'a> {
    /// The index times this.
    Step(i32),
    /// An entry for each index; a negative one stands for the fill.
    Table(&'a [i32]),
}

impl Axis<'_> {
    /// `None` where there is nothing in the input.
    fn offset(&self, index: u32) -> Option<i32> {
        match self {
            Self::Step(step) => Some(step.wrapping_mul(index as i32)),
            Self::Table(table) => Some(table[index as usize]).filter(|offset| *offset >= 0),
        }
    }
}

/// The output, counted through `sizes` with the last fastest, at `i0..i5` is the input's element at
/// `start` plus what each axis adds, or `fill`.
///
/// # Panics
///
/// If an element is outside the input or a table is shorter than its size.
pub fn rearrange<T: Copy>(
    input: &[T],
    start: i32,
    sizes: [u32; RANK],
    axes: &[Axis<'_>; RANK],
    fill: T,
    output: &mut [T],
) {
    let (outer, row) = Walk::rows(sizes);
    let mut walk = Walk::new(outer, [0; RANK]);
    for y in output.chunks_exact_mut(row as usize) {
        let at = *walk.position();
        walk.next();
        let mut base = Some(start);
        for (axis, index) in axes.iter().zip(at).take(RANK - 1) {
            base = base.and_then(|base| Some(base.wrapping_add(axis.offset(index)?)));
        }
        match (base, &axes[RANK - 1]) {
            (None, _) => y.fill(fill),
            (Some(base), Axis::Step(1)) => {
                y.copy_from_slice(&input[base as usize..][..y.len()]);
            }
            (Some(base), axis) => {
                for (index, y) in y.iter_mut().enumerate() {
                    *y = match axis.offset(index as u32) {
                        Some(offset) => input[base.wrapping_add(offset) as usize],
                        None => fill,
                    };
                }
            }
        }
    }
}

/// Puts a tensor into a larger one along an axis: of each `row` elements of the output those from
/// `at` become what `f` makes of the next `part` elements of the input.
///
/// # Panics
///
/// If `part` or `row` is 0, or a part doesn't fit a row.
pub fn insert<T: Copy>(
    input: &[T],
    part: usize,
    output: &mut [T],
    row: usize,
    at: usize,
    mut f: impl FnMut(&[T], &mut [T]),
) {
    for (x, y) in input.chunks_exact(part).zip(output.chunks_exact_mut(row)) {
        f(x, &mut y[at..at + part]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::dense_strides;

    #[test]
    fn channels_move_to_the_front_and_back() {
        // H=2, W=2, C=3.
        let hwc: [i8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        let one = Axis::Step(0);
        let mut chw = [0; 12];
        let axes = [one, one, one, Axis::Step(1), Axis::Step(6), Axis::Step(3)];
        rearrange(&hwc, 0, [1, 1, 1, 3, 2, 2], &axes, 0, &mut chw);
        assert_eq!(chw, [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]);
        let mut back = [0; 12];
        let axes = [one, one, one, Axis::Step(2), Axis::Step(1), Axis::Step(4)];
        rearrange(&chw, 0, [1, 1, 1, 2, 2, 3], &axes, 0, &mut back);
        assert_eq!(back, hwc);
    }

    #[test]
    fn tables_fill_and_steps_turn() {
        let x = [1i16, 2, 3, 4];
        let one = Axis::Step(0);
        let table = [-1, 3, 0, -1];
        let axes = [one, one, one, one, Axis::Step(0), Axis::Table(&table)];
        let mut y = [0; 8];
        rearrange(&x, 0, [1, 1, 1, 1, 2, 4], &axes, 9, &mut y);
        assert_eq!(y, [9, 4, 1, 9, 9, 4, 1, 9]);
        let axes = [one, one, one, one, one, Axis::Step(-2)];
        let mut y = [0; 2];
        rearrange(&x, 3, [1, 1, 1, 1, 1, 2], &axes, 0, &mut y);
        assert_eq!(y, [4, 2]);
        let rows = [-5, 2];
        let axes = [one, one, one, one, Axis::Table(&rows), Axis::Step(1)];
        let mut y = [0; 4];
        rearrange(&x, 0, [1, 1, 1, 1, 2, 2], &axes, 7, &mut y);
        assert_eq!(y, [7, 7, 3, 4]);
        assert_eq!(dense_strides([1, 1, 1, 2, 3, 4]), [24, 24, 24, 12, 4, 1]);
    }

    #[test]
    fn parts_lie_side_by_side() {
        let mut y = [0i8; 6];
        insert(&[1, 2], 1, &mut y, 3, 0, |x, y| y.copy_from_slice(x));
        insert(&[3, 4, 5, 6], 2, &mut y, 3, 1, |x, y| {
            y.copy_from_slice(&[x[1], x[0]]);
        });
        assert_eq!(y, [1, 4, 3, 2, 6, 5]);
    }
}
