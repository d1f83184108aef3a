//! What the runs of a block share: images of the lanes, masks, limits.
//!
//! An *image of the lanes* is 48 bytes: lower 128 bits of the lower half of the lanes, of the upper
//! half, upper 32 bits of the lower half, of the upper half, 8 bytes of zeros. Each half is 160 bits,
//! lanes from the lowest bits up: the order in which the unit loads and stores them.
//!
//! | at | what |
//! |---|---|
//! | -48 | if lanes are split and join the long way: the image at the end, of the biases' upper bits |
//! | 0 | the image at the start: the biases, or their lower bits |
//! | 48 | four vectors: weights of the last taps of a 3x3 depthwise run |
//! | 112 | the drain's masks, a vector for each step |
//! | .. | smallest and largest result, a vector of each |

use fixpoint_kernels::Shifts;
use fixpoint_runtime::accelerator::Bias;

use crate::convolution::Layer;
use crate::unit::{LIST, SCRATCH, SPLIT};

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
/// Most vectors for the biases' upper bits when lanes join the short way.
const BIAS_VECTORS: u32 = 8;
/// No product of 8-bit elements is above 2 to this.
const PRODUCT_BITS: u32 = 14;

/// Shifts that the sums of most channels don't have.
const FAR: u8 = 18;

const WORD: usize = size_of::<u32>();

/// Words where a vector may be loaded from, their bytes as in the unit's memory.
#[repr(C, align(16))]
pub(crate) struct Aligned<const N: usize>([u32; N]);

/// The block's part of a [`crate::Run`].
pub(crate) struct Record {
    /// From -48 on.
    words: Aligned<{ (IMAGE + MASKS + (STEPS + 4) * VECTOR) / WORD }>,
    scratch: Aligned<{ SCRATCH / WORD }>,
    pub(crate) first_shift: u32,
    pub(crate) more_shifts: u32,
    pub(crate) join_shift: u32,
    pub(crate) one_split: u8,
    pub(crate) kept: u32,
    /// Whether lanes are split.
    pub(crate) splits: bool,
}

impl Record {
    pub(crate) const EMPTY: Self = Self {
        words: Aligned([0; _]),
        scratch: Aligned([0; _]),
        first_shift: 0,
        more_shifts: 0,
        join_shift: 0,
        one_split: 0,
        kept: 0,
        splits: false,
    };

    /// Where a run's [`crate::Run::record`] and [`crate::Run::scratch`] point.
    pub(crate) fn places(&mut self) -> (*const u8, *mut u8) {
        let words = self.words.0.as_ptr().cast::<u8>();
        (
            words.wrapping_add(IMAGE),
            self.scratch.0.as_mut_ptr().cast(),
        )
    }

    /// Fills it in for the block whose channels begin at `first`; `weights` go to their place in it.
    /// `None` if the block is none for the unit, or the layer has not the arrays that it asks for.
    pub(crate) fn fill(
        &mut self,
        layer: &Layer<'_>,
        first: usize,
        block: &[u8],
        weights: &[u32],
    ) -> Option<()> {
        let channels = layer.channels(first);
        let mut shifts = [0; VECTOR];
        match &layer.shifts {
            Shifts::Uniform(shift) => shifts = [u8::try_from(*shift).ok()?; VECTOR],
            Shifts::PerChannel(all) => {
                for (place, shift) in shifts.iter_mut().zip(all.get(channels.clone())?) {
                    *place = u8::try_from(*shift).ok()?;
                }
            }
        }
        let lanes = channels.len();
        let (mut least, mut most) = extremes(shifts.iter().take(lanes));
        let mut constant = Constants::NONE;
        if layer.parts.is_some() && most >= FAR {
            constant = Constants::find(layer, first, &shifts, block)?;
            let others = shifts.iter().take(lanes).enumerate();
            let others = others.filter(|(lane, _)| constant.of(*lane).is_none());
            (least, most) = extremes(others.map(|(_, shift)| shift));
        }
        let (least, most) = (u32::from(least), u32::from(most));
        // By how much sums are shifted when the drain begins.
        let mut above = 0;
        if layer.lane_bits == 40 {
            let mut bias = [0; 8];
            let mask = (1 << 40) - 1;
            match layer.bias {
                Bias::Narrow(all) => {
                    for (place, bias) in bias.iter_mut().zip(all.get(channels)?) {
                        *place = i64::from(*bias) as u64 & mask;
                    }
                }
                Bias::Wide(all) => {
                    for (place, bias) in bias.iter_mut().zip(all.get(channels)?) {
                        *place = *bias as u64 & mask;
                    }
                }
            }
            write_image(self.image(IMAGE)?, &bias);
        } else {
            let mut narrowed = [0; VECTOR];
            let bias = match layer.bias {
                // Arrays are padded to whole blocks.
                Bias::Narrow(all) => all.get(first..)?.first_chunk()?,
                Bias::Wide(all) => {
                    for (place, bias) in narrowed.iter_mut().zip(all.get(channels)?) {
                        *place = i32::try_from(*bias).ok()?;
                    }
                    &narrowed
                }
            };
            let mut others = [0; VECTOR];
            let bias = if constant.lanes == 0 {
                bias
            } else {
                for (lane, (place, bias)) in others.iter_mut().zip(bias).enumerate() {
                    if constant.of(lane).is_none() {
                        *place = *bias;
                    }
                }
                &others
            };
            let mut bits = 20;
            self.splits = false;
            if let Some(splits) = layer.splits()
                && !fits_a_lane(layer, bias, lanes)
            {
                self.splits = true;
                bits = SPLIT;
                above = least.min(SPLIT);
                self.join(layer, above, splits, bias, lanes)?;
            }
            write_pairs(self.image(IMAGE)?, bias, bits);
        }
        // A shift beyond a lane's bits is one to its sign.
        let of = |shift: u32| (shift - above).min(layer.lane_bits - 1);
        self.first_shift = of(least);
        self.more_shifts = of(most) - self.first_shift;

        let words = self.words.0.get_mut(2 * IMAGE / WORD..)?;
        let (places, words) = words.split_at_mut_checked(WEIGHTS * VECTOR / WORD)?;
        places.get_mut(..weights.len())?.copy_from_slice(weights);
        // Masks of too many steps are none for the record.
        let masks = (self.more_shifts as usize + 1) * VECTOR / WORD;
        (self.more_shifts < STEPS as u32).then_some(())?;
        let (masks, limits) = words.split_at_mut_checked(masks)?;
        let steps = Steps {
            first: least.min(above + layer.lane_bits - 1),
            last: above + layer.lane_bits - 1,
        };
        steps.set_masks(masks, shifts.get(..lanes)?, layer.width, &constant);
        for (vector, limit) in limits
            .chunks_exact_mut(VECTOR / WORD)
            .zip([layer.low, layer.high])
        {
            let [low, high] = limit.to_le_bytes();
            let bytes = if layer.width == 1 {
                [low; WORD]
            } else {
                [low, high, low, high]
            };
            vector.fill(u32::from_ne_bytes(bytes));
            for lane in (0..lanes).filter(|_| constant.lanes != 0) {
                // What is masked is zero, and then both limits are what it is to be.
                if let Some(value) = constant.of(lane) {
                    // Not `clamp`, whose panic for limits in the wrong order takes a kilobyte.
                    let value = value.max(layer.low).min(layer.high) as u8;
                    let word = vector.get_mut(lane / WORD)?;
                    let shift = lane % WORD * 8;
                    let others = u32::from_le(*word) & !(0xff << shift);
                    *word = (others | u32::from(value) << shift).to_le();
                }
            }
        }
        Some(())
    }

    /// How `lanes` lanes join that are split up to `splits` times, and then are shifted by `above`.
    #[inline(never)]
    fn join(
        &mut self,
        layer: &Layer<'_>,
        above: u32,
        splits: usize,
        bias: &[i32; VECTOR],
        lanes: usize,
    ) -> Option<()> {
        // So that a 1 above the split, and a rest, are elements after the shift.
        (SPLIT - above < 7).then_some(())?;
        self.one_split = 1 << (SPLIT - above);
        // The largest sum there can be, whatever the weights, and a lane must fit the lanes.
        let most = bias
            .iter()
            .take(lanes)
            .map(|bias| bias.unsigned_abs())
            .max()?;
        let most_sum = u64::from(most)
            .checked_add((layer.sum_products() as u64) << PRODUCT_BITS)?
            .checked_add(1 << 20)?;
        (most_sum < ((1 << 19) - 1) << above).then_some(())?;

        let vectors = (most >> SPLIT) / i8::MAX.unsigned_abs() as u32 + 1;
        if vectors <= BIAS_VECTORS && vectors as usize + splits <= LIST {
            self.join_shift = above;
            self.kept = vectors;
            let list = self.scratch.0.get_mut(IMAGE / WORD..)?;
            let (list, _) = list.split_at_mut_checked(vectors as usize * (VECTOR / WORD))?;
            list.fill(0);
            for (lane, bias) in bias.iter().enumerate().take(lanes) {
                let (mut left, mut at) = (bias >> SPLIT, lane / WORD);
                while left != 0 {
                    let some = left.clamp(i8::MIN.into(), i8::MAX.into());
                    *list.get_mut(at)? |= u32::to_le(u32::from(some as u8) << (lane % WORD * 8));
                    left -= some;
                    at += VECTOR / WORD;
                }
            }
            return Some(());
        }
        self.join_shift = if above < SPLIT { above } else { 0 };
        self.kept = 0;
        let upper = bias.map(|bias| bias >> SPLIT << (SPLIT - above));
        write_pairs(self.image(0)?, &upper, 20);
        Some(())
    }

    /// The place of the image that begins at byte `at`.
    fn image(&mut self, at: usize) -> Option<&mut [u32; IMAGE / WORD]> {
        self.words.0.get_mut(at / WORD..)?.first_chunk_mut()
    }
}

/// The smallest and the largest of `shifts`; where there are none, one that is as good as any.
fn extremes<'s>(shifts: impl Iterator<Item = &'s u8>) -> (u8, u8) {
    let (mut least, mut most) = (u8::MAX, 0);
    for shift in shifts {
        (least, most) = (least.min(*shift), most.max(*shift));
    }
    if least > most {
        return (SPLIT as u8, SPLIT as u8);
    }
    (least, most)
}

/// Whether a lane holds every sum of a block, whatever the weights.
fn fits_a_lane(layer: &Layer<'_>, bias: &[i32; VECTOR], lanes: usize) -> bool {
    let products = (layer.sum_products() as u64) << PRODUCT_BITS;
    if products >= 1 << 19 {
        return false;
    }
    let most = bias
        .iter()
        .take(lanes)
        .map(|bias| bias.unsigned_abs())
        .max();
    u64::from(most.unwrap_or(0)) + products < 1 << 19
}

/// Lanes whose results don't depend on the input: the bias is so large, and with it the shift, that
/// no sum of products carries as far as the result. A network has such channels where training has left
/// nothing but the bias; neither fit the lanes beside those of others.
struct Constants {
    lanes: u32,
    values: [i16; VECTOR],
}

impl Constants {
    const NONE: Self = Self {
        lanes: 0,
        values: [0; VECTOR],
    };

    /// Of shifts beyond what sums of others have. `block` begins with the block's weights.
    fn find(layer: &Layer<'_>, first: usize, shifts: &[u8; VECTOR], block: &[u8]) -> Option<Self> {
        let mut found = Self::NONE;
        for (lane, channel) in layer.channels(first).enumerate() {
            let shift = *shifts.get(lane)?;
            if !(FAR..=40).contains(&shift) {
                continue;
            }
            let bias = layer.bias.get(channel)?;
            // The result without products, and how far it is from the next below.
            let value = bias >> shift;
            let rest = bias - (value << shift);
            let weights = block
                .get(..layer.sum_products() * VECTOR)?
                .as_chunks::<VECTOR>()
                .0;
            let weights = weights.iter().filter_map(|weights| weights.get(lane));
            let sum: u32 = weights
                .map(|weight| u32::from((*weight as i8).unsigned_abs()))
                .sum();
            // No element is above 128.
            let most = i64::from(sum) << 7;
            if rest >= most && rest + most < 1 << shift {
                found.lanes |= 1 << lane;
                *found.values.get_mut(lane)? = value.clamp(-128, 127) as i16;
            }
        }
        Some(found)
    }

    fn of(&self, lane: usize) -> Option<i16> {
        (self.lanes >> lane & 1 == 1).then(|| self.values.get(lane).copied())?
    }
}

/// The shifts of a drain.
struct Steps {
    first: u32,
    last: u32,
}

impl Steps {
    /// Sets the elements of `width` bytes in the masks of their steps.
    // By itself, as all of it fits the registers then.
    #[inline(never)]
    fn set_masks(&self, masks: &mut [u32], shifts: &[u8], width: usize, constant: &Constants) {
        masks.fill(0);
        let ones = if width == 1 { 0xff } else { 0xffff };
        for (lane, shift) in shifts.iter().enumerate() {
            if constant.lanes >> lane & 1 == 1 {
                continue;
            }
            let step = u32::from(*shift).min(self.last) - self.first;
            let at = lane * width;
            if let Some(mask) = masks.get_mut(step as usize * (VECTOR / WORD) + at / WORD) {
                *mask |= u32::to_le(ones << (at % WORD * 8));
            }
        }
    }
}

/// The image of lanes of 20 bits that hold so many bits of `values`.
#[inline(never)]
fn write_pairs(image: &mut [u32; IMAGE / WORD], values: &[i32; VECTOR], bits: u32) {
    let lane = |lane: usize| values[lane] as u32 & ((1 << bits) - 1);
    write_image(
        image,
        &core::array::from_fn(|pair| {
            u64::from(lane(2 * pair)) | u64::from(lane(2 * pair + 1)) << 20
        }),
    );
}

/// The image of lanes of 40 bits.
fn write_image(image: &mut [u32; IMAGE / WORD], lanes: &[u64; 8]) {
    for (half, [a, b, c, d]) in lanes.as_chunks::<4>().0.iter().enumerate() {
        let low = a | b << 40;
        let high = b >> 24 | c << 16 | d << 56;
        let parts = [low, low >> 32, high, high >> 32].map(|part| (part as u32).to_le());
        image[4 * half..][..4].copy_from_slice(&parts);
        image[8 + half] = ((d >> 8) as u32).to_le();
    }
}

/// The bytes of the image of lanes of 40 bits, or of pairs of 20 bits.
#[cfg(any(test, feature = "model"))]
pub(crate) fn image_of(lanes: &[u64; 8]) -> [u8; IMAGE] {
    let mut image = [0; IMAGE / WORD];
    write_image(&mut image, lanes);
    let words = image.map(u32::to_ne_bytes);
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
