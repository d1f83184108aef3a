//! Rows and columns interpolated linearly.

use crate::number::{Element, Limits, round_half_up_shift, rounding_constant};
use crate::shape::Hwc;

/// Fraction bits of a weight.
pub const WEIGHT_BITS: u32 = 14;

/// Which two rows (or columns) of the input one of the output lies between: first, second, and the
/// weight of the second in units of 2^-14.
pub type Between = [u16; 3];

/// Each element of the output is that of four of the input's times two weights each, exactly, and one shift
/// from units of 2^-28 that rounds half up: `shift`, 28 for outputs at the input's exponent. There are as many
/// entries in `rows` and `columns` as the output has.
///
/// # Panics
///
/// If a slice is shorter than its shape says.
pub fn resize_linear<T: Element>(
    input: &[T],
    shape: Hwc,
    rows: &[Between],
    columns: &[Between],
    output: &mut [T],
    shift: i32,
) {
    // What is above has the weight of both rows, and its difference to what is below that of the lower row: the
    // first is a multiple of 2^14, so that the second can lose its bits below that first, and 32 are enough.
    let later = shift - WEIGHT_BITS as i32;
    let half = rounding_constant(later) as i32;
    let is_narrow = (1..=31).contains(&later);
    let c = shape.c as usize;
    each_pixel(shape, rows, columns, &mut |at, corners, [down, across]| {
        // Not through references, behind which they could change with every element.
        let (later, half, is_narrow) = (later, half, is_narrow);
        let [above_left, above_right, below_left, below_right] = *corners;
        let above_left = &input[above_left..][..c];
        let above_right = &input[above_right..][..c];
        let below_left = &input[below_left..][..c];
        let below_right = &input[below_right..][..c];
        for (channel, y) in output[at..][..c].iter_mut().enumerate() {
            // Of 16 and 14 bits, and so less than 30.
            let between = |left: &[T], right: &[T]| {
                let (left, right): (i32, i32) = (left[channel].into(), right[channel].into());
                (left << WEIGHT_BITS) + (right - left) * across
            };
            let above = between(above_left, above_right);
            let further = between(below_left, below_right) - above;
            let further = i64::from(further) * i64::from(down);
            let value = match is_narrow {
                true => (above + (further >> WEIGHT_BITS) as i32 + half) >> later,
                false => any_shift((i64::from(above) << WEIGHT_BITS) + further, shift),
            };
            *y = Limits::ALL.clamp_narrow(value);
        }
    });
}

/// Elements have no more than 16 bits.
#[inline(never)]
fn any_shift(sum: i64, shift: i32) -> i32 {
    round_half_up_shift(sum, shift).clamp(-0x8000, 0x7fff) as i32
}

/// What is done with a pixel.
type PixelOf<'f> = dyn FnMut(usize, &[usize; 4], [i32; 2]) + 'f;

/// `pixel(place, corners, weights)` for each pixel of the output: its place in the output, those of the four
/// pixels of the input, and the weights of the lower two and of the right two.
#[inline(never)]
fn each_pixel(shape: Hwc, rows: &[Between], columns: &[Between], pixel: &mut PixelOf<'_>) {
    let (w, c) = (shape.w as usize, shape.c as usize);
    let mut at = 0;
    for &[top, bottom, down] in rows {
        let (top, bottom) = (usize::from(top) * w, usize::from(bottom) * w);
        let down = i32::from(down);
        for &[left, right, across] in columns {
            let (left, right) = (usize::from(left), usize::from(right));
            let corners = [
                (top + left) * c,
                (top + right) * c,
                (bottom + left) * c,
                (bottom + right) * c,
            ];
            pixel(at, &corners, [down, across.into()]);
            at += c;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_way() {
        // One channel, 2 x 2.
        let x = [0i16, 8, 16, 1000];
        let shape = Hwc { h: 2, w: 2, c: 1 };
        let quarter = [0, 1, 1 << 12];
        let mut y = [0; 2];
        resize_linear(&x, shape, &[[0, 0, 0]], &[quarter, [1, 1, 9]], &mut y, 28);
        assert_eq!(y, [2, 8]);
        let mut y = [0];
        resize_linear(&x, shape, &[quarter], &[quarter], &mut y, 28);
        // (9*0 + 3*8 + 3*16 + 1000) / 16 = 67.
        assert_eq!(y, [67]);
    }

    #[test]
    fn any_shift_of_the_largest_sums_rounds_half_up() {
        let shape = Hwc { h: 2, w: 2, c: 1 };
        let (low, high) = (i16::MIN, i16::MAX);
        for x in [
            [low; 4],
            [high; 4],
            [low, high, low, high],
            [low, low, high, high],
            [high, high, low, low],
            [high, low, low, high],
            [-1, 0, 3, -2],
        ] {
            let values = x.map(i64::from);
            for (down, across) in [0, 1, 0x1999, 0x3333, 1 << 14]
                .into_iter()
                .flat_map(|down| [0, 1, 1 << 13, 1 << 14].map(|across| (down, across)))
            {
                let row =
                    |y: usize| values[2 * y] * ((1 << 14) - across) + values[2 * y + 1] * across;
                let sum = row(0) * ((1 << 14) - down) + row(1) * down;
                for shift in -16..=62 {
                    let mut y = [0];
                    let (rows, columns) = ([[0, 1, down as u16]], [[0, 1, across as u16]]);
                    resize_linear(&x, shape, &rows, &columns, &mut y, shift);
                    // In 128 bits, in which nothing saturates.
                    let twice = match shift {
                        ..0 => i128::from(sum) << (1 - shift),
                        _ => (i128::from(sum) * 2) >> shift,
                    };
                    let expected = ((twice + 1) >> 1).clamp(-32768, 32767) as i16;
                    assert_eq!(y, [expected], "{x:?} {down} {across} >> {shift}");
                }
            }
        }
    }
}
