//! Images of the lanes.
//!
//! An *image of the lanes* is 48 bytes: lower 128 bits of the lower half of the lanes, of the upper
//! half, upper 32 bits of the lower half, of the upper half, 8 bytes of zeros. Each half is 160 bits,
//! lanes from the lowest bits up: the order in which the unit loads and stores them.

/// Bytes of an image of the lanes.
pub(crate) const IMAGE: usize = 48;

/// The image of lanes of 40 bits, or of pairs of 20 bits.
pub(crate) fn image_of(lanes: &[u64; 8]) -> [u8; IMAGE] {
    let mut image = [0; IMAGE];
    for (half, [a, b, c, d]) in lanes.as_chunks::<4>().0.iter().enumerate() {
        let low = a | b << 40;
        let high = b >> 24 | c << 16 | d << 56;
        image[16 * half..][..8].copy_from_slice(&low.to_le_bytes());
        image[16 * half + 8..][..8].copy_from_slice(&high.to_le_bytes());
        image[32 + 4 * half..][..4].copy_from_slice(&((d >> 8) as u32).to_le_bytes());
    }
    image
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
