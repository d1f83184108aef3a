//! What a run needs for each block: images of the lanes, masks.
//!
//! An *image of the lanes* is 48 bytes: lower 128 bits of the lower half of the lanes, of the upper
//! half, upper 32 bits of the lower half, of the upper half, 8 bytes of zeros. Each half is 160 bits,
//! lanes from the lowest bits up: the order in which the unit loads and stores them.

use fixpoint_kernels::Shifts;
use fixpoint_runtime::accelerator::{Convolution, Sums};

use crate::lanes::{Lanes, VECTOR};

/// Bytes of an image of the lanes.
pub(crate) const IMAGE: usize = 48;
/// Most vectors of weights within a record: those of 3x3 taps.
pub(crate) const WEIGHTS: usize = 9;
/// Most different shifts of a block; more than there are lanes, less than there are shifts.
pub(crate) const SHIFTS: usize = 24;

/// Bytes where a vector may be loaded from.
#[repr(C, align(16))]
pub(crate) struct Aligned<const N: usize>(pub(crate) [u8; N]);

/// The block's part of a [`crate::Run`].
pub(crate) struct Record {
    /// The start; weights, if any; masks; and what a kernel reads past their end.
    pub(crate) bytes: Aligned<{ IMAGE + (WEIGHTS + SHIFTS + 2) * VECTOR }>,
    pub(crate) first_shift: u32,
    pub(crate) more_shifts: u32,
    pub(crate) split: u32,
    pub(crate) rest: Aligned<IMAGE>,
    pub(crate) high_start: Aligned<IMAGE>,
}

/// The largest shift that splits lanes: `2^(split + 7)` still fits one.
pub(crate) const MOST_SPLIT: u32 = 12;

/// The shift of `channel`; `None` if it is to the left or there is no such channel.
pub(crate) fn shift(shifts: &Shifts<'_>, channel: usize) -> Option<u32> {
    let shift = match shifts {
        Shifts::Uniform(shift) => *shift,
        Shifts::PerChannel(shifts) => *shifts.get(channel)?,
    };
    u32::try_from(shift).ok()
}

impl Record {
    pub(crate) const EMPTY: Self = Self {
        bytes: Aligned([0; IMAGE + (WEIGHTS + SHIFTS + 2) * VECTOR]),
        first_shift: 0,
        more_shifts: 0,
        split: 0,
        rest: Aligned([0; IMAGE]),
        high_start: Aligned([0; IMAGE]),
    };

    /// Fills it in for the block whose channels begin at `first` and of which `lanes` exist.
    /// `weights` go between start and masks. `None` if the block is none for the unit.
    pub(crate) fn fill<T: Lanes>(
        &mut self,
        task: &Convolution<'_, T>,
        first: usize,
        lanes: usize,
        weights: &[[u8; VECTOR]],
    ) -> Option<()> {
        let (mut least, mut most) = (u32::MAX, 0);
        for lane in 0..lanes {
            let shift = shift(&task.shifts, first + lane)?;
            (least, most) = (least.min(shift), most.max(shift));
        }
        self.split = match task.sums {
            Sums::Rows(_) | Sums::Vectors(_) => least.min(MOST_SPLIT),
            Sums::Whole => 0,
            Sums::Unproved => return None,
        };
        let split = self.split;
        let part = |shift: u32| (shift - split).min(T::BITS - 1);
        self.first_shift = part(least);
        self.more_shifts = part(most) - part(least);
        if self.more_shifts as usize >= SHIFTS {
            return None;
        }

        let mut start = [0; VECTOR];
        for (lane, start) in start.iter_mut().enumerate().take(lanes) {
            *start = task.bias.get(first + lane)?;
        }
        let (image, rest) = self.bytes.0.split_first_chunk_mut::<IMAGE>()?;
        if split > 0 {
            let below = (1i64 << split) - 1;
            *image = lanes_image::<T>(&start.map(|bias| bias & below));
            self.rest.0 = lanes_image::<T>(&[below; VECTOR]);
            self.high_start.0 = lanes_image::<T>(&start.map(|bias| bias >> split));
        } else {
            *image = lanes_image::<T>(&start);
        }
        let (vectors, _) = rest.as_chunks_mut::<VECTOR>();
        let (places, masks) = vectors.split_at_mut_checked(weights.len())?;
        places.copy_from_slice(weights);
        let masks = masks.get_mut(..=self.more_shifts as usize)?;
        masks.fill([0; VECTOR]);
        for lane in 0..lanes {
            let step = part(shift(&task.shifts, first + lane)?) - self.first_shift;
            let mask = masks.get_mut(step as usize)?;
            let (elements, _) = mask.as_chunks_mut::<1>();
            let width = VECTOR / T::COUNT;
            elements
                .get_mut(lane * width..(lane + 1) * width)?
                .fill([0xff]);
        }
        Some(())
    }
}

/// The image of lanes that hold `values`, of which the first `T::COUNT` count.
pub(crate) fn lanes_image<T: Lanes>(values: &[i64; VECTOR]) -> [u8; IMAGE] {
    let mut image = [0; IMAGE];
    let lane_mask = (1i64 << T::BITS) - 1;
    for half in 0..2 {
        let mut bytes = [0; 20];
        let (groups, _) = bytes.as_chunks_mut::<5>();
        for (at, group) in groups.iter_mut().enumerate() {
            // Forty bits: two narrow lanes or a wide one.
            let at = half * 4 + at;
            let bits = if T::BITS == 20 {
                values[2 * at] & lane_mask | (values[2 * at + 1] & lane_mask) << 20
            } else {
                values[at] & lane_mask
            };
            group.copy_from_slice(&bits.to_le_bytes()[..5]);
        }
        image[16 * half..][..16].copy_from_slice(&bytes[..16]);
        image[32 + 4 * half..][..4].copy_from_slice(&bytes[16..]);
    }
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_lie_as_the_unit_stores_them() {
        // Lane i holds i + 1: the image of a chip after one product each.
        let image = lanes_image::<i8>(&core::array::from_fn(|i| i as i64 + 1));
        assert_eq!(image[..5], [1, 0, 0x20, 0, 0]);
        assert_eq!(image[5..10], [3, 0, 0x40, 0, 0]);
        // Lane 6 begins at bit 120 of the lower half, lane 7 at bit 140.
        assert_eq!((image[15], &image[32..36]), (7, &[0, 0x80, 0, 0][..]));
        assert_eq!(image[16..21], [9, 0, 0xa0, 0, 0]);
        let wide = lanes_image::<i16>(&core::array::from_fn(|i| -1 - i as i64));
        assert_eq!(
            wide[..10],
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff]
        );
        assert_eq!(wide[36..40], [0xff; 4]);
        assert_eq!(wide[40..], [0; 8]);
    }
}
