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

/// An operand of [`broadcast`]: its elements, or none if it is the output's own memory; and its step
/// from one element to the next along each of the output's dimensions, 0 where it is repeated.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a, T> {
    pub values: Option<&'a [T]>,
    pub strides: [i32; RANK],
}

/// `output[i] = f(a[..], b[..])` over `dims`, with operands that are repeated along some of them. An
/// operand in the output's memory is repeated along none.
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
    let (outer, row) = Walk::rows(dims);
    let step = |operand: &Operand<'_, T>| operand.strides[RANK - 1].unsigned_abs() as usize;
    let (step_a, step_b) = (step(&a), step(&b));
    let mut starts_b = Walk::new(outer, b.strides);
    let starts_a = Walk::new(outer, a.strides);
    for ((start_a, start_b), y) in starts_a
        .zip(&mut starts_b)
        .zip(output.chunks_exact_mut(row as usize))
    {
        let a = a.values.map(|values| &values[start_a as usize..]);
        let b = b.values.map(|values| &values[start_b as usize..]);
        for (i, y) in y.iter_mut().enumerate() {
            let a = a.map_or(*y, |values| values[i * step_a]);
            let b = b.map_or(*y, |values| values[i * step_b]);
            *y = f(a, b);
        }
    }
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

/// `output[i] = f(a[i], b[i])`.
pub fn binary<T: Copy>(a: &[T], b: &[T], output: &mut [T], f: impl Fn(T, T) -> T) {
    for ((y, a), b) in output.iter_mut().zip(a).zip(b) {
        *y = f(*a, *b);
    }
}

/// `buffer[i] = f(buffer[i], other[i])`.
pub fn binary_in_place<T: Copy>(buffer: &mut [T], other: &[T], f: impl Fn(T, T) -> T) {
    for (x, other) in buffer.iter_mut().zip(other) {
        *x = f(*x, *other);
    }
}
