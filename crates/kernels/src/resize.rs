//! Rows and columns interpolated linearly.

use crate::shape::Hwc;

/// Fraction bits of a weight.
pub const WEIGHT_BITS: u32 = 14;

/// Which two rows (or columns) of the input one of the output lies between: first, second, and the
/// weight of the second in units of 2^-14.
pub type Between = [u16; 3];

/// `finish` makes an element of four times two weights times an element: the exact sum in units of
/// 2^-28. There are as many entries in `rows` and `columns` as the output has.
///
/// # Panics
///
/// If a slice is shorter than its shape says.
pub fn resize_linear<T: Copy + Into<i64>>(
    input: &[T],
    shape: Hwc,
    rows: &[Between],
    columns: &[Between],
    output: &mut [T],
    finish: &dyn Fn(i64) -> T,
) {
    let (w, c) = (shape.w as usize, shape.c as usize);
    let one = 1i64 << WEIGHT_BITS;
    let pixel = |y: u16, x: u16| &input[(usize::from(y) * w + usize::from(x)) * c..][..c];
    let mut pixels = output.chunks_exact_mut(c);
    for &[top, bottom, down] in rows {
        let down = i64::from(down);
        for (&[left, right, across], output) in columns.iter().zip(&mut pixels) {
            let across = i64::from(across);
            let corners = [
                (pixel(top, left), (one - down) * (one - across)),
                (pixel(top, right), (one - down) * across),
                (pixel(bottom, left), down * (one - across)),
                (pixel(bottom, right), down * across),
            ];
            for (channel, y) in output.iter_mut().enumerate() {
                let weighted = corners.map(|(pixel, weight)| pixel[channel].into() * weight);
                *y = finish(weighted.iter().sum());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::round_half_up_shift;

    #[test]
    fn a_quarter_of_the_way() {
        // One channel, 2 x 2.
        let x = [0i16, 8, 16, 1000];
        let shape = Hwc { h: 2, w: 2, c: 1 };
        let quarter = [0, 1, 1 << 12];
        let mut y = [0; 2];
        let put = |sum| round_half_up_shift(sum, 28) as i16;
        resize_linear(&x, shape, &[[0, 0, 0]], &[quarter, [1, 1, 9]], &mut y, &put);
        assert_eq!(y, [2, 8]);
        let mut y = [0];
        resize_linear(&x, shape, &[quarter], &[quarter], &mut y, &put);
        // (9*0 + 3*8 + 3*16 + 1000) / 16 = 67.
        assert_eq!(y, [67]);
    }
}
