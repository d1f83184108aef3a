//! Element by element, into another tensor or in place.

use crate::shape::{RANK, Walk};

/// What is done with two elements; the arithmetics say how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Add,
    Sub,
    Mul,
    Max,
    Min,
}

/// Elements that are worked on together.
pub const CHUNK: usize = 16;

/// An operand of [`broadcast`]: its elements, or none if it is the output's own memory; and its step
/// from one element to the next along each of the output's dimensions, 0 where it is repeated.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a, T> {
    pub values: Option<&'a [T]>,
    pub strides: [i32; RANK],
}

impl<T> Operand<'_, T> {
    /// After how many of the output's elements it is repeated: their number if it isn't, 1 if it is one
    /// element. `None` if it is repeated along a dimension behind one that it is not repeated along.
    pub fn period(&self, dims: [u32; RANK]) -> Option<usize> {
        let (mut period, mut repeated) = (1, false);
        for (dim, stride) in dims.into_iter().zip(self.strides).rev() {
            match (dim, stride) {
                (1, _) => {}
                (_, 0) => repeated = true,
                _ if repeated => return None,
                (dim, _) => period *= dim as usize,
            }
        }
        Some(period)
    }
}

/// Consecutive elements of an operand, or none if it is the output's own memory.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a, T> {
    pub values: Option<&'a [T]>,
    /// From one element to the next; 0 where it is repeated.
    pub step: usize,
}

impl<T: Copy + Into<i32>> Row<'_, T> {
    /// As many elements as `own` has, from the one at `first` on; `own` is the output there.
    #[inline(always)]
    fn read(&self, first: usize, own: &[T], to: &mut [i32; CHUNK]) {
        match self.values {
            None => {
                for (to, x) in to.iter_mut().zip(own) {
                    *to = (*x).into();
                }
            }
            Some(values) => {
                let from = values[first * self.step..].iter();
                if self.step == 1 {
                    for (to, x) in to.iter_mut().zip(from) {
                        *to = (*x).into();
                    }
                } else {
                    for (at, to) in to.iter_mut().take(own.len()).enumerate() {
                        *to = values[(first + at) * self.step].into();
                    }
                }
            }
        }
    }
}

/// A row of the output in chunks: `f(a, b, y)`.
///
/// # Panics
///
/// If an operand has fewer elements than the output.
#[inline(always)]
pub fn chunks<T: Copy + Into<i32>>(
    a: &Row<'_, T>,
    b: &Row<'_, T>,
    output: &mut [T],
    mut f: impl FnMut(&[i32; CHUNK], &[i32; CHUNK], &mut [T]),
) {
    let (mut x, mut w) = ([0; CHUNK], [0; CHUNK]);
    for (at, y) in output.chunks_mut(CHUNK).enumerate() {
        a.read(at * CHUNK, y, &mut x);
        b.read(at * CHUNK, y, &mut w);
        f(&x, &w, y);
    }
}

/// What is done with a row of both operands and of the output.
pub type RowOf<'f, T> = dyn FnMut(Row<'_, T>, Row<'_, T>, &mut [T]) + 'f;

/// `row(a, b, output)` for every row of `dims`, with operands that are repeated along some of them. An
/// operand in the output's memory is repeated along none.
///
/// # Panics
///
/// If a slice is shorter than its shape says.
pub fn rows<T: Copy>(
    dims: [u32; RANK],
    a: Operand<'_, T>,
    b: Operand<'_, T>,
    output: &mut [T],
    row_of: &mut RowOf<'_, T>,
) {
    let (outer, row) = Walk::rows(dims);
    let step = |operand: &Operand<'_, T>| operand.strides[RANK - 1].unsigned_abs() as usize;
    let (step_a, step_b) = (step(&a), step(&b));
    let mut starts_b = Walk::new(outer, b.strides);
    let starts_a = Walk::new(outer, a.strides);
    for ((start_a, start_b), y) in starts_a
        .zip(&mut starts_b)
        .zip(output.chunks_exact_mut(row as usize))
    {
        let a = Row {
            values: a.values.map(|values| &values[start_a as usize..]),
            step: step_a,
        };
        let b = Row {
            values: b.values.map(|values| &values[start_b as usize..]),
            step: step_b,
        };
        row_of(a, b, y);
    }
}

/// `output[i] = f(a[..], b[..])` over `dims`, as [`rows`].
///
/// # Panics
///
/// If a slice is shorter than its shape says.
pub fn broadcast<T: Copy>(
    dims: [u32; RANK],
    a: Operand<'_, T>,
    b: Operand<'_, T>,
    output: &mut [T],
    f: &dyn Fn(T, T) -> T,
) {
    rows(dims, a, b, output, &mut |a, b, y| {
        for (i, y) in y.iter_mut().enumerate() {
            let a_i = a.values.map_or(*y, |values| values[i * a.step]);
            let b_i = b.values.map_or(*y, |values| values[i * b.step]);
            *y = f(a_i, b_i);
        }
    });
}

/// `output[i] = f(input[i])`.
pub fn unary<T: Copy>(input: &[T], output: &mut [T], f: impl Fn(T) -> T) {
    for (y, x) in output.iter_mut().zip(input) {
        *y = f(*x);
    }
}

/// `buffer[i] = f(buffer[i])`.
pub fn unary_in_place<T: Copy>(buffer: &mut [T], f: impl Fn(T) -> T) {
    for x in buffer {
        *x = f(*x);
    }
}
