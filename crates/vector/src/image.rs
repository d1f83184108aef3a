//! Images of the lanes.
//!
//! An *image of the lanes* is 48 bytes: lower 128 bits of the lower half of the lanes, of the upper
//! half, upper 32 bits of the lower half, of the upper half, 8 bytes of zeros. Each half is 160 bits,
//! lanes from the lowest bits up: the order in which the unit loads and stores them.

use core::mem::MaybeUninit;

use crate::record::{VECTOR, WORD};

/// Bytes of an image of the lanes.
pub(crate) const IMAGE: usize = 48;

/// An image that is to be written.
pub(crate) type Image = [MaybeUninit<u32>; IMAGE / WORD];

/// The image of lanes of 20 bits that hold the bits of `values` in `mask`.
#[inline(never)]
pub(crate) fn write_pairs(image: &mut Image, values: &[i32; VECTOR], mask: u32) {
    let [low @ .., e0, e1, f0, f1] = image;
    f0.write(0);
    f1.write(0);
    // Eight bytes of zeros behind them.
    let high = [e0, e1];
    let halves = values.as_chunks::<8>().0.iter();
    let places = low.as_chunks_mut::<4>().0.iter_mut().zip(high);
    for (values, (low, high)) in halves.zip(places) {
        // One by one: `map` would copy them.
        let [a, b, c, d, e, f, g, h] = values;
        let of = |value: &i32| *value as u32 & mask;
        let [a, b, c, d] = [of(a), of(b), of(c), of(d)];
        let [e, f, g, h] = [of(e), of(f), of(g), of(h)];
        let [first, second, third, fourth] = low;
        first.write((a | b << 20).to_le());
        second.write((b >> 12 | c << 8 | d << 28).to_le());
        third.write((d >> 4 | e << 16).to_le());
        fourth.write((e >> 16 | f << 4 | g << 24).to_le());
        high.write((g >> 8 | h << 12).to_le());
    }
}

/// The image of lanes of 40 bits.
pub(crate) fn write_image(image: &mut Image, lanes: &[u64; 8]) {
    for (half, [a, b, c, d]) in lanes.as_chunks::<4>().0.iter().enumerate() {
        let low = a | b << 40;
        let high = b >> 24 | c << 16 | d << 56;
        for (at, part) in [low, low >> 32, high, high >> 32].into_iter().enumerate() {
            image[4 * half + at].write((part as u32).to_le());
        }
        image[8 + half].write(((d >> 8) as u32).to_le());
        image[10 + half].write(0);
    }
}

/// The bytes of the image of lanes of 40 bits, or of pairs of 20 bits.
#[cfg(any(test, feature = "model"))]
pub(crate) fn image_of(lanes: &[u64; 8]) -> [u8; IMAGE] {
    let mut image: Image = [MaybeUninit::new(0); IMAGE / WORD];
    write_image(&mut image, lanes);
    // SAFETY: all of it was written.
    let words = image.map(|word| unsafe { word.assume_init() }.to_ne_bytes());
    core::array::from_fn(|at| words[at / WORD][at % WORD])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_lie_as_the_unit_stores_them() {
        // Lane i holds i + 1: the image of a chip after one product each.
        let pair = |pair: usize| {
            let first = 2 * pair as u64 + 1;
            first | ((first + 1) << 20)
        };
        let narrow = image_of(&core::array::from_fn(pair));
        assert_eq!(narrow[..5], [1, 0, 0x20, 0, 0]);
        assert_eq!(narrow[5..10], [3, 0, 0x40, 0, 0]);
        // Lane 6 begins at bit 120 of the lower half, lane 7 at bit 140.
        assert_eq!((narrow[15], &narrow[32..36]), (7, &[0, 0x80, 0, 0][..]));
        assert_eq!(narrow[16..21], [9, 0, 0xa0, 0, 0]);
        let wide = image_of(&core::array::from_fn(|lane| {
            (-1 - lane as i64) as u64 & ((1 << 40) - 1)
        }));
        assert_eq!(
            wide[..10],
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff]
        );
        assert_eq!(wide[36..40], [0xff; 4]);
        assert_eq!(wide[40..], [0; 8]);
    }
}
