//! Permutation of up to four dimensions.

/// Output dimension `i` is input dimension `permutation[i]`; `dims` are the input's. Shapes with
/// fewer dimensions are padded in front with ones that stay in place.
///
/// # Panics
///
/// If a slice is shorter than its shape says or `permutation` isn't one of 0..4.
pub fn transpose<T: Copy>(
    input: &[T],
    dims: [usize; 4],
    permutation: [usize; 4],
    output: &mut [T],
) {
    let mut strides = [1; 4];
    for axis in (0..3).rev() {
        strides[axis] = strides[axis + 1] * dims[axis + 1];
    }
    let [n, h, w, c] = permutation.map(|axis| dims[axis]);
    let [step_n, step_h, step_w, step_c] = permutation.map(|axis| strides[axis]);
    let mut output = output.iter_mut();
    for i in 0..n {
        for j in 0..h {
            for k in 0..w {
                let start = i * step_n + j * step_h + k * step_w;
                for (l, y) in output.by_ref().take(c).enumerate() {
                    *y = input[start + l * step_c];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_move_to_the_front_and_back() {
        // H=2, W=2, C=3.
        let hwc: [i8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        let mut chw = [0; 12];
        transpose(&hwc, [1, 2, 2, 3], [0, 3, 1, 2], &mut chw);
        assert_eq!(chw, [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]);
        let mut back = [0; 12];
        transpose(&chw, [1, 3, 2, 2], [0, 2, 3, 1], &mut back);
        assert_eq!(back, hwc);
    }
}
