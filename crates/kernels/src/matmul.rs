//! Product of two matrices of activations.

use crate::number::{Accumulator, Element};
use crate::shape::{RANK, Walk, repeated_strides};

/// Columns that are summed side by side.
const LANES: usize = 16;

/// `(.., M, K)` by `(.., K, N)`: `finish` makes elements of the sums of `K` products. An operand with
/// a size of 1 along one of the first four dimensions is repeated there.
///
/// # Panics
///
/// If a slice is shorter than its shape says.
pub fn matmul<T: Element, A: Accumulator>(
    a: &[T],
    dims_a: [u32; RANK],
    b: &[T],
    dims_b: [u32; RANK],
    output: &mut [T],
    out: [u32; RANK],
    finish: &dyn Fn(i64) -> T,
) {
    let [rows, inner] = [dims_a[RANK - 2] as usize, dims_a[RANK - 1] as usize];
    let columns = dims_b[RANK - 1] as usize;
    let mut batches = out;
    batches[RANK - 2..].fill(1);
    let starts = |dims: [u32; RANK]| Walk::new(batches, repeated_strides(dims, batches));
    let products = output.chunks_exact_mut(rows * columns);
    for ((a_at, b_at), product) in starts(dims_a).zip(starts(dims_b)).zip(products) {
        let a = &a[a_at as usize..][..rows * inner];
        let b = &b[b_at as usize..][..inner * columns];
        for (x, y) in a.chunks_exact(inner).zip(product.chunks_exact_mut(columns)) {
            for (block, lanes) in y.chunks_mut(LANES).enumerate() {
                let mut sums = [A::ZERO; LANES];
                for (k, x) in x.iter().enumerate() {
                    let row = &b[k * columns + block * LANES..][..lanes.len()];
                    for (sum, w) in sums.iter_mut().zip(row) {
                        *sum = sum.add_product((*x).into(), (*w).into());
                    }
                }
                for (y, sum) in lanes.iter_mut().zip(sums) {
                    *y = finish(sum.into());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_are_repeated_over_batches() {
        // Two (1, 2) by one (2, 3).
        let a = [1i8, 2, -1, 100];
        let b = [1i8, 0, 3, 4, 5, 6];
        let mut y = [0; 6];
        let put = |sum: i64| i8::saturate(sum);
        matmul::<_, i32>(
            &a,
            [1, 1, 1, 2, 1, 2],
            &b,
            [1, 1, 1, 1, 2, 3],
            &mut y,
            [1, 1, 1, 2, 1, 3],
            &put,
        );
        assert_eq!(y, [9, 10, 15, 127, 127, 127]);
    }
}
