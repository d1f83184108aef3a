//! What the runs of a block share: images of the lanes, masks, limits.
//!
//! An *image of the lanes* is 48 bytes: lower 128 bits of the lower half of the lanes, of the upper
//! half, upper 32 bits of the lower half, of the upper half, 8 bytes of zeros. Each half is 160 bits,
//! lanes from the lowest bits up: the order in which the unit loads and stores them.
//!
//! | at | what |
//! |---|---|
//! | -48 | if lanes are split: the image at the end, of the biases' upper bits |
//! | 0 | the image at the start: the biases, or their lower bits |
//! | 48 | four vectors: weights of the last taps of a 3x3 depthwise run |
//! | 112 | the drain's masks, a vector for each step |
//! | .. | smallest and largest result, a vector of each |

use fixpoint_kernels::Shifts;

use crate::convolution::Layer;
use crate::unit::SPLIT;

/// Bytes of a vector register.
pub(crate) const VECTOR: usize = 16;
/// Bytes of an image of the lanes.
pub(crate) const IMAGE: usize = 48;
/// Vectors of weights within a record.
pub(crate) const WEIGHTS: usize = 4;
/// Where the masks begin.
pub(crate) const MASKS: usize = IMAGE + WEIGHTS * VECTOR;
/// Most steps of a drain; more than there are lanes, less than there are shifts.
const STEPS: usize = 24;

/// No product of 8-bit elements is above 2 to this.
const PRODUCT_BITS: u32 = 14;

/// Bytes where a vector may be loaded from.
#[repr(C, align(16))]
pub(crate) struct Aligned<const N: usize>(pub(crate) [u8; N]);

/// How a block's lanes become elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drain {
    /// By how much sums are shifted when the drain begins: not, but for lanes that are split.
    above: u32,
    /// The largest shift of a lane.
    last: u32,
    // As in a `Run`.
    pub(crate) rest_shift: u32,
    pub(crate) one_split: u8,
    pub(crate) first_shift: u32,
    pub(crate) more_shifts: u32,
}

/// The block's part of a [`crate::Run`].
pub(crate) struct Record {
    bytes: Aligned<{ IMAGE + MASKS + (STEPS + 4) * VECTOR }>,
}

/// The shift of `channel`; `None` if it is to the left or there is no such channel.
fn shift(shifts: &Shifts<'_>, channel: usize) -> Option<u32> {
    let shift = match shifts {
        Shifts::Uniform(shift) => *shift,
        Shifts::PerChannel(shifts) => *shifts.get(channel)?,
    };
    u32::try_from(shift).ok()
}

impl Drain {
    /// Of the block whose channels begin at `first`; `None` if the block is none for the unit.
    pub(crate) fn new(layer: &Layer<'_>, first: usize) -> Option<Self> {
        let (mut least, mut most, mut bias) = (u32::MAX, 0, 0);
        for channel in layer.channels(first) {
            let shift = shift(&layer.shifts, channel)?;
            (least, most) = (least.min(shift), most.max(shift));
            bias = bias.max(layer.bias.get(channel)?.unsigned_abs());
        }
        let mut drain = Self {
            above: 0,
            last: layer.lane_bits - 1,
            rest_shift: 0,
            one_split: 1,
            first_shift: 0,
            more_shifts: 0,
        };
        if layer.parts.is_some() {
            drain.above = least.min(SPLIT);
            if least < SPLIT {
                // So that the rest, and a 1 above it, are elements after the shift.
                (SPLIT - least < 7).then_some(())?;
                drain.rest_shift = least;
                drain.one_split = 1 << (SPLIT - least);
            }
            // The largest sum there can be, whatever the weights, must fit the lanes at the end.
            let most_sum = bias
                .checked_add((layer.sum_products() as u64) << PRODUCT_BITS)?
                .checked_add(1 << SPLIT)?;
            (most_sum < ((1 << 19) - 1) << drain.above).then_some(())?;
        }
        drain.first_shift = drain.of(least);
        drain.more_shifts = drain.of(most) - drain.first_shift;
        ((drain.more_shifts as usize) < STEPS).then_some(drain)
    }

    /// The shift in the drain that is for a channel's `shift`. One beyond a lane's bits is one to
    /// its sign.
    fn of(&self, shift: u32) -> u32 {
        (shift - self.above).min(self.last)
    }
}

impl Record {
    pub(crate) const EMPTY: Self = Self {
        bytes: Aligned([0; IMAGE + MASKS + (STEPS + 4) * VECTOR]),
    };

    /// Where a run's [`crate::Run::record`] points.
    pub(crate) fn start(&self) -> *const u8 {
        self.bytes.0.as_ptr().wrapping_add(IMAGE)
    }

    /// Fills it in for the block whose channels begin at `first`. `None` if the layer has not the
    /// arrays that its shape asks for.
    pub(crate) fn fill(
        &mut self,
        layer: &Layer<'_>,
        first: usize,
        drain: &Drain,
        weights: &[u8],
    ) -> Option<()> {
        let splits = layer.parts.is_some();
        let bias = |channel| layer.bias.get(channel);
        let (high, rest) = self.bytes.0.split_first_chunk_mut::<IMAGE>()?;
        let (start, rest) = rest.split_first_chunk_mut::<IMAGE>()?;
        if splits {
            let above = SPLIT - drain.above;
            *high = layer.image(first, |channel| Some(bias(channel)? >> SPLIT << above))?;
            *start = layer.image(first, |channel| Some(bias(channel)? & ((1 << SPLIT) - 1)))?;
        } else {
            *start = layer.image(first, bias)?;
        }
        let (places, rest) = rest.split_at_mut_checked(WEIGHTS * VECTOR)?;
        places.get_mut(..weights.len())?.copy_from_slice(weights);
        let (masks, limits) =
            rest.split_at_mut_checked((drain.more_shifts as usize + 1) * VECTOR)?;
        masks.fill(0);
        for (lane, channel) in layer.channels(first).enumerate() {
            let step = drain.of(shift(&layer.shifts, channel)?) - drain.first_shift;
            let at = step as usize * VECTOR + lane * layer.width;
            masks.get_mut(at..)?.get_mut(..layer.width)?.fill(0xff);
        }
        let (limits, _) = limits.as_chunks_mut::<VECTOR>();
        for (vector, limit) in limits.iter_mut().zip([layer.low, layer.high]) {
            for element in vector.chunks_exact_mut(layer.width) {
                element.copy_from_slice(limit.to_le_bytes().get(..layer.width)?);
            }
        }
        Some(())
    }
}

/// The image of lanes of 40 bits, or of pairs of 20 bits.
pub(crate) fn image_of(lanes: &[u64; 8]) -> [u8; IMAGE] {
    let mut image = [0; IMAGE];
    let (halves, _) = lanes.as_chunks::<4>();
    for (half, [a, b, c, d]) in halves.iter().enumerate() {
        let low = [a | b << 40, b >> 24 | c << 16 | d << 56].map(u64::to_le_bytes);
        let top = ((d >> 8) as u32).to_le_bytes();
        image[VECTOR * half..][..8].copy_from_slice(&low[0]);
        image[VECTOR * half + 8..][..8].copy_from_slice(&low[1]);
        image[2 * VECTOR + 4 * half..][..4].copy_from_slice(&top);
    }
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_lie_as_the_unit_stores_them() {
        // Narrow lane i holds i + 1: the image of a chip after one product each.
        let pairs = core::array::from_fn(|pair: usize| {
            let first = 2 * pair as u64 + 1;
            first | ((first + 1) << 20)
        });
        let image = image_of(&pairs);
        assert_eq!(image[..5], [1, 0, 0x20, 0, 0]);
        assert_eq!(image[5..10], [3, 0, 0x40, 0, 0]);
        // Lane 6 begins at bit 120 of the lower half, lane 7 at bit 140.
        assert_eq!((image[15], &image[32..36]), (7, &[0, 0x80, 0, 0][..]));
        assert_eq!(image[16..21], [9, 0, 0xa0, 0, 0]);
        let wide = image_of(&core::array::from_fn(|i| {
            (-1 - i as i64) as u64 & ((1 << 40) - 1)
        }));
        assert_eq!(
            wide[..10],
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff]
        );
        assert_eq!(wide[36..40], [0xff; 4]);
        assert_eq!(wide[40..], [0; 8]);
    }
}
