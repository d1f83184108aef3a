//! Elements in another order: repeated, left out, or filled up. And one tensor after another.

use crate::shape::RANK;

/// One axis of a rearranged tensor: what each index adds to the place in the input.
#[derive(Clone, Copy, Debug)]
pub enum Axis<'a> {
    /// The index times this.
    Step(i32),
    /// An entry for each index; a negative one stands for the fill.
    Table(&'a [i32]),
}

/// An element's bytes; those of an 8-bit one are the first.
pub type Bytes = [u8; 2];

/// The output, counted through `sizes` with the last fastest, at `i0..i5` is the input's element at
/// `start` plus what each axis adds, or `fill`. Elements have `width` bytes, 1 or 2.
///
/// Bytes, so that there is one of it for all elements, and as many at a time as lie side by side on
/// both sides.
///
/// # Panics
///
/// If an element is outside the input or a table is shorter than its size.
pub fn rearrange(
    input: &[u8],
    width: usize,
    start: i32,
    sizes: [u32; RANK],
    axes: &[Axis<'_>; RANK],
    fill: Bytes,
    output: &mut [u8],
) {
    let mut levels = [(1, Axis::Step(0)); RANK];
    let mut count = 0;
    for (size, axis) in sizes.into_iter().zip(axes) {
        if let Axis::Step(step) = *axis {
            if size == 1 {
                continue;
            }
            // One step of the level outside is as far as all of this one: they are one level.
            if let Some((outer, Axis::Step(far))) = levels[..count].last_mut()
                && *far == step.wrapping_mul(size as i32)
            {
                *outer *= size;
                *far = step;
                continue;
            }
        }
        levels[count] = (size, *axis);
        count += 1;
    }
    let mut levels = &levels[..count];
    if let Some(((_, Axis::Step(1)), outer)) = levels.split_last() {
        levels = outer;
    }
    let mover = Mover { input, width, fill };
    mover.levels(levels, start, output);
}

/// Where from, and what where there is nothing.
struct Mover<'a> {
    input: &'a [u8],
    width: usize,
    fill: Bytes,
}

impl Mover<'_> {
    /// A part of the output, which is counted through `levels`, each a size and an axis; what none of
    /// them counts lies side by side in the input as well.
    fn levels(&self, levels: &[(u32, Axis<'_>)], base: i32, output: &mut [u8]) {
        let Some(((size, axis), inner)) = levels.split_first() else {
            return self.run(base, output);
        };
        let size = *size as usize;
        let each = output.len() / size;
        match inner {
            [] if each == self.width => return self.elements(axis, size, (base, 0), output),
            [] => return self.runs(axis, base, each, output),
            [(count, last)] if each == *count as usize * self.width => {
                if let Axis::Step(step) = *axis {
                    return self.elements(last, *count as usize, (base, step), output);
                }
            }
            _ => {}
        }
        let mut before = None;
        for at in 0..size {
            let offset = match axis {
                Axis::Step(step) => step.wrapping_mul(at as i32),
                Axis::Table(table) => table[at],
            };
            let part = at * each;
            if before == Some(offset) {
                output.copy_within(part - each..part, part);
            } else {
                let part = &mut output[part..part + each];
                match axis {
                    Axis::Table(_) if offset < 0 => self.nothing(part),
                    _ => self.levels(inner, base.wrapping_add(offset), part),
                }
            }
            before = Some(offset);
        }
    }

    /// A part that lies side by side in the input.
    #[inline(always)]
    fn run(&self, base: i32, output: &mut [u8]) {
        let from = base as usize * self.width;
        output.copy_from_slice(&self.input[from..][..output.len()]);
    }

    /// An axis of such parts, of `each` bytes. Those that follow one another in the input are one.
    fn runs(&self, axis: &Axis<'_>, base: i32, each: usize, output: &mut [u8]) {
        let table = match axis {
            Axis::Table(table) => table,
            Axis::Step(step) => {
                let mut base = base;
                for part in output.chunks_exact_mut(each) {
                    self.run(base, part);
                    base = base.wrapping_add(*step);
                }
                return;
            }
        };
        let run = (each / self.width) as i32;
        let mut entries = table.iter().peekable();
        let mut rest = output;
        while let (Some(first), false) = (entries.next(), rest.is_empty()) {
            let mut count = each;
            if *first < 0 {
                while count < rest.len() && entries.next_if(|next| **next < 0).is_some() {
                    count += each;
                }
            } else {
                let mut end = first.wrapping_add(run);
                while count < rest.len() && entries.next_if(|next| **next == end).is_some() {
                    count += each;
                    end = end.wrapping_add(run);
                }
            }
            let (part, behind) = rest.split_at_mut(count);
            match first {
                ..0 => self.nothing(part),
                _ => self.run(base.wrapping_add(*first), part),
            }
            rest = behind;
        }
    }

    /// Elements by themselves, in lines of `count` that begin one after another in the input.
    fn elements(&self, axis: &Axis<'_>, count: usize, starts: (i32, i32), output: &mut [u8]) {
        if self.width == 1 {
            return lines(self.input, axis, count, starts, self.fill[0], output);
        }
        let ((input, _), (output, _)) = (self.input.as_chunks(), output.as_chunks_mut());
        lines(input, axis, count, starts, self.fill, output);
    }

    #[inline(never)]
    fn nothing(&self, output: &mut [u8]) {
        let [low, high] = self.fill;
        if self.width == 1 || low == high {
            output.fill(low);
        } else {
            for y in output.chunks_exact_mut(2) {
                y.copy_from_slice(&self.fill);
            }
        }
    }
}

/// Each line an axis; they begin at `base` and so much further each.
fn lines<T: Copy>(
    input: &[T],
    axis: &Axis<'_>,
    count: usize,
    (mut base, further): (i32, i32),
    fill: T,
    output: &mut [T],
) {
    for line in output.chunks_exact_mut(count) {
        match axis {
            Axis::Step(step) => {
                let mut at = base;
                for y in line {
                    *y = input[at as usize];
                    at = at.wrapping_add(*step);
                }
            }
            Axis::Table(table) => {
                for (y, offset) in line.iter_mut().zip(*table) {
                    *y = match offset {
                        ..0 => fill,
                        _ => input[base.wrapping_add(*offset) as usize],
                    };
                }
            }
        }
        base = base.wrapping_add(further);
    }
}

/// Puts a tensor into a larger one along an axis: of each `row` bytes of the output those from `at`
/// become the next `part` bytes of the input.
///
/// # Panics
///
/// If `part` or `row` is 0, or a part doesn't fit a row.
pub fn insert(input: &[u8], part: usize, output: &mut [u8], row: usize, at: usize) {
    for (x, y) in input.chunks_exact(part).zip(output.chunks_exact_mut(row)) {
        y[at..at + part].copy_from_slice(x);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    const ONE: Axis<'_> = Axis::Step(0);

    fn bytes(elements: &[i16]) -> Vec<u8> {
        elements.iter().flat_map(|x| x.to_le_bytes()).collect()
    }

    /// Both widths give the same elements.
    #[track_caller]
    fn holds(x: &[i16], start: i32, sizes: [u32; RANK], axes: [Axis<'_>; RANK], expected: &[i16]) {
        let mut wide = std::vec![0; 2 * expected.len()];
        let fill = 9i16.to_le_bytes();
        rearrange(&bytes(x), 2, start, sizes, &axes, fill, &mut wide);
        assert_eq!(wide, bytes(expected), "16 bits");
        let narrow = |elements: &[i16]| elements.iter().map(|x| *x as u8).collect::<Vec<_>>();
        let mut y = std::vec![0; expected.len()];
        rearrange(&narrow(x), 1, start, sizes, &axes, fill, &mut y);
        assert_eq!(y, narrow(expected), "8 bits");
    }

    #[test]
    fn channels_move_to_the_front_and_back() {
        // H=2, W=2, C=3.
        let hwc = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        let chw = [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11];
        let axes = [ONE, ONE, ONE, Axis::Step(1), Axis::Step(6), Axis::Step(3)];
        holds(&hwc, 0, [1, 1, 1, 3, 2, 2], axes, &chw);
        let axes = [ONE, ONE, ONE, Axis::Step(2), Axis::Step(1), Axis::Step(4)];
        holds(&chw, 0, [1, 1, 1, 2, 2, 3], axes, &hwc);
    }

    #[test]
    fn tables_fill_and_steps_turn() {
        let x = [1, 2, 3, 4];
        let table = [-1, 3, 0, -1];
        let axes = [ONE, ONE, ONE, ONE, Axis::Step(0), Axis::Table(&table)];
        let y = [9, 4, 1, 9, 9, 4, 1, 9];
        holds(&x, 0, [1, 1, 1, 1, 2, 4], axes, &y);
        let axes = [ONE, ONE, ONE, ONE, ONE, Axis::Step(-2)];
        holds(&x, 3, [1, 1, 1, 1, 1, 2], axes, &[4, 2]);
        let rows = [-5, 2];
        let axes = [ONE, ONE, ONE, ONE, Axis::Table(&rows), Axis::Step(1)];
        holds(&x, 0, [1, 1, 1, 1, 2, 2], axes, &[9, 9, 3, 4]);
        // A table of one entry, in front of everything.
        let axes = [Axis::Table(&[1]), ONE, ONE, ONE, ONE, Axis::Step(1)];
        holds(&x, 1, [1, 1, 1, 1, 1, 2], axes, &[3, 4]);
        let axes = [Axis::Table(&[-1]), ONE, ONE, ONE, ONE, Axis::Step(1)];
        holds(&x, 1, [1, 1, 1, 1, 1, 2], axes, &[9, 9]);
        holds(&x, 2, [1; RANK], [ONE; RANK], &[3]);
    }

    #[test]
    fn neighbours_are_copied_together_and_repetitions_from_before() {
        // Pixels of two channels, two of them each way, with a frame, doubled.
        let x = [1, 2, 3, 4, 5, 6, 7, 8];
        let (rows, columns) = ([-1, 0, 4, -1], [-1, 0, 2, -1]);
        let (rows, columns) = (Axis::Table(&rows), Axis::Table(&columns));
        let axes = [ONE, ONE, ONE, rows, columns, Axis::Step(1)];
        let mut framed = [9; 32];
        framed[10..14].copy_from_slice(&x[..4]);
        framed[18..22].copy_from_slice(&x[4..]);
        holds(&x, 0, [1, 1, 1, 4, 4, 2], axes, &framed);
        let (rows, columns) = ([0, 0, 4, 4], [2, 2, 0, 0]);
        let (rows, columns) = (Axis::Table(&rows), Axis::Table(&columns));
        let axes = [ONE, ONE, ONE, rows, columns, Axis::Step(1)];
        let doubled = [
            3, 4, 3, 4, 1, 2, 1, 2, 3, 4, 3, 4, 1, 2, 1, 2, //
            7, 8, 7, 8, 5, 6, 5, 6, 7, 8, 7, 8, 5, 6, 5, 6,
        ];
        holds(&x, 0, [1, 1, 1, 4, 4, 2], axes, &doubled);
        // Every other pixel of a row, twice.
        let axes = [
            ONE,
            ONE,
            Axis::Step(0),
            Axis::Step(0),
            Axis::Step(4),
            Axis::Step(1),
        ];
        let y = [1, 2, 5, 6, 1, 2, 5, 6, 1, 2, 5, 6, 1, 2, 5, 6];
        holds(&x, 0, [1, 1, 2, 2, 2, 2], axes, &y);
    }

    #[test]
    fn parts_lie_side_by_side() {
        let mut y = [0; 6];
        insert(&[1, 2], 1, &mut y, 3, 0);
        insert(&[3, 4, 5, 6], 2, &mut y, 3, 1);
        assert_eq!(y, [1, 3, 4, 2, 5, 6]);
    }
}
