//! Along some dimensions many elements become one.

use crate::number::Element;
use crate::shape::{RANK, Walk, dense_strides};

/// What becomes of the elements that are taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    Mean,
    Sum,
    Max,
    Min,
}

impl Reduction {
    fn step(self) -> fn(i32, i32) -> i32 {
        match self {
            Self::Mean | Self::Sum => i32::wrapping_add,
            Self::Max => i32::max,
            Self::Min => i32::min,
        }
    }
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
    let mut output = output.iter_mut();
    let get = |at: usize| input[at].into();
    values(reduction, dims, reduced, &get, &mut |value, count| {
        if let Some(y) = output.next() {
            *y = finish(value, count);
        }
    });
}

/// The same code for every element type.
fn values(
    reduction: Reduction,
    dims: [u32; RANK],
    reduced: [bool; RANK],
    get: &dyn Fn(usize) -> i32,
    put: &mut dyn FnMut(i32, u32),
) {
    let only = |wanted: bool| {
        let mut part = [1; RANK];
        for axis in 0..RANK {
            if reduced[axis] == wanted {
                part[axis] = dims[axis];
            }
        }
        part
    };
    let strides = dense_strides(dims);
    let (kept, taken) = (
        Walk::new(only(false), strides),
        Walk::new(only(true), strides),
    );
    let count = only(true).iter().product();
    let step = reduction.step();
    for start in kept {
        let all = taken.clone().map(|offset| get((start + offset) as usize));
        put(all.reduce(step).unwrap_or_default(), count);
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
