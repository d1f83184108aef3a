//! Along some dimensions many elements become one.

use crate::number::Element;
use crate::shape::{RANK, dense_strides};

/// What becomes of the elements that are taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    Mean,
    Sum,
    Max,
    Min,
}

/// Takes the elements along the dimensions named in `reduced` together; `finish(sum or extreme,
/// count)` is the result. At most 65536 elements become one, so that sums fit.
///
/// # Panics
///
/// If a slice is shorter than its shape says.
pub fn reduce<T: Element>(
    reduction: Reduction,
    input: &[T],
    dims: [u32; RANK],
    reduced: [bool; RANK],
    output: &mut [T],
    finish: &dyn Fn(i32, u32) -> T,
) {
    // The smallest is what is left of the largest when all bits are turned over.
    let (first, turn) = match reduction {
        Reduction::Mean | Reduction::Sum => (0, 0),
        Reduction::Max => (i32::MIN, 0),
        Reduction::Min => (i32::MIN, -1),
    };
    let is_sum = matches!(reduction, Reduction::Mean | Reduction::Sum);
    let line = |mut value: i32, start: usize, count: usize, step: usize| {
        // Not through a reference, behind which it could change with every element.
        let (turn, mut at) = (turn, start);
        let mut next = || -> i32 {
            let x = input[at];
            at += step;
            x.into()
        };
        if is_sum {
            for _ in 0..count {
                value = value.wrapping_add(next());
            }
        } else {
            for _ in 0..count {
                value = value.max(next() ^ turn);
            }
        }
        value
    };
    let mut output = output.iter_mut();
    let mut put = |value, count| {
        if let Some(y) = output.next() {
            *y = finish(value ^ turn, count);
        }
    };
    let mut work = Reducer {
        first,
        taken: &[],
        count: 1,
        line: &line,
        put: &mut put,
    };
    work.all(dims, reduced);
}

/// A dimension: how many elements, and how far apart they lie.
type Level = (u32, i32);

/// The same code for every element type.
struct Reducer<'a> {
    /// What a result begins with.
    first: i32,
    /// The dimensions that are taken together, from the outside in.
    taken: &'a [Level],
    /// Elements that become one.
    count: u32,
    /// So far, from which element on, how many, and how far apart they lie.
    line: &'a dyn Fn(i32, usize, usize, usize) -> i32,
    put: &'a mut dyn FnMut(i32, u32),
}

impl<'a> Reducer<'a> {
    #[inline(never)]
    fn all(&mut self, dims: [u32; RANK], reduced: [bool; RANK]) {
        let strides = dense_strides(dims);
        let mut levels = [[(1, 0); RANK]; 2];
        let mut counts = [0; 2];
        let mut before = None;
        for ((dim, stride), reduced) in dims.into_iter().zip(strides).zip(reduced) {
            if dim == 1 {
                continue;
            }
            let kind = usize::from(reduced);
            // Neighbours of one kind are one dimension.
            if before != Some(kind) {
                counts[kind] += 1;
            }
            let level = &mut levels[kind][counts[kind] - 1];
            *level = (level.0 * dim, stride);
            before = Some(kind);
        }
        let [kept, taken] = &levels;
        let taken = &taken[..counts[1]];
        let mut work = Reducer {
            taken,
            count: taken.iter().map(|(dim, _)| dim).product(),
            first: self.first,
            line: self.line,
            put: self.put,
        };
        work.results(&kept[..counts[0]], 0);
    }

    /// The results along some dimensions, from an element on.
    fn results(&mut self, kept: &[Level], mut start: i32) {
        let Some(((dim, stride), inner)) = kept.split_first() else {
            let value = self.value(self.taken, start, self.first);
            return (self.put)(value, self.count);
        };
        for _ in 0..*dim {
            self.results(inner, start);
            start = start.wrapping_add(*stride);
        }
    }

    fn value(&self, taken: &[Level], mut start: i32, mut value: i32) -> i32 {
        let Some(((dim, stride), inner)) = taken.split_first() else {
            return (self.line)(value, start as usize, 1, 1);
        };
        if inner.is_empty() {
            return (self.line)(value, start as usize, *dim as usize, *stride as usize);
        }
        for _ in 0..*dim {
            value = self.value(inner, start, value);
            start = start.wrapping_add(*stride);
        }
        value
    }
}

/// Where the largest of `length` elements is that lie `inner` apart; of equal ones the first, or the
/// last. `put` gets the results in order.
///
/// # Panics
///
/// If `length * inner` is 0.
pub fn arg_max<T: Element>(
    input: &[T],
    length: usize,
    inner: usize,
    last: bool,
    mut put: impl FnMut(usize),
) {
    for group in input.chunks_exact(length * inner) {
        for lane in 0..inner {
            let (mut best, mut at) = (group[lane], 0);
            for i in 1..length {
                let x = group[i * inner + lane];
                if x > best || (last && x == best) {
                    (best, at) = (x, i);
                }
            }
            put(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_taken_together() {
        let x: [i8; 6] = [1, -2, 3, 4, 5, -128];
        let dims = [1, 1, 1, 1, 2, 3];
        let mut axes = [false; RANK];
        axes[RANK - 1] = true;
        let put = |value: i32, count: u32| (value + count as i32) as i8;
        let mut y = [0; 2];
        reduce(Reduction::Sum, &x, dims, axes, &mut y, &put);
        assert_eq!(y, [5, -116]);
        reduce(Reduction::Min, &x, dims, axes, &mut y, &put);
        assert_eq!(y, [1, -125]);
        let mut y = [0; 3];
        axes = [false; RANK];
        axes[RANK - 2] = true;
        reduce(Reduction::Max, &x, dims, axes, &mut y, &put);
        assert_eq!(y, [6, 7, 5]);
    }

    #[test]
    fn the_first_or_last_of_equals() {
        let mut y = [9; 2];
        let mut found = y.iter_mut();
        arg_max(&[5i8, 1, 5, 7, 3, 7], 3, 2, false, |at| {
            *found.next().unwrap() = at;
        });
        assert_eq!(y, [0, 1]);
        let mut found = y.iter_mut();
        arg_max(&[5i8, 1, 5, 7, 3, 7], 3, 2, true, |at| {
            *found.next().unwrap() = at;
        });
        assert_eq!(y, [1, 2]);
    }
}
