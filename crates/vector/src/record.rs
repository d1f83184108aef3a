//! What the runs of a block share: images of the lanes (`crate::image`), bounds of the drain.
//!
//! | at | what |
//! |---|---|
//! | -48 | if lanes are split and join the long way: the image at the end, of the biases' upper bits |
//! | 0 | the image at the start: the biases, or their lower bits |
//! | 48 | four vectors, in which a 3x3 depthwise run has the weights of its last taps |
//! | 112 | the *bounds* of the drain's first step: the largest result in the lanes whose shift this is, and the least number in the others |
//! | 128 | the smallest result in all lanes |
//! | 144 | the bounds of the other steps |
//!
//! The greatest of the smallest result and of each step's lesser of lanes and bounds is the result.

use core::mem::{MaybeUninit, offset_of};
use core::{ptr, slice};

use fixpoint_kernels::Shifts;
use fixpoint_runtime::accelerator::Bias;

use crate::convolution::Layer;
use crate::convolution::staged::STAGED;
use crate::image::{IMAGE, Image, write_image, write_pairs};
use crate::unit::{Bounds, LIST, LONG, SCRATCH, SPLIT};

/// Bytes of a vector register.
pub(crate) const VECTOR: usize = 16;
/// Vectors of weights within a record.
pub(crate) const WEIGHTS: usize = 4;
/// Where the bounds begin.
pub(crate) const BOUNDS: usize = IMAGE + WEIGHTS * VECTOR;
/// Most steps of a drain; more than there are lanes, less than there are shifts.
const STEPS: usize = 24;
/// Most vectors for the biases' upper bits when lanes join the short way.
const BIAS_VECTORS: u32 = 8;
/// No product of 8-bit elements is above 2 to this.
const PRODUCT_BITS: u32 = 14;

/// Shifts that the sums of most channels don't have.
const FAR: i32 = 18;

pub(crate) const WORD: usize = size_of::<u32>();

/// Words where a vector may be loaded from, their bytes as in the unit's memory.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(crate) struct Aligned<const N: usize>([u32; N]);

/// Vectors of the bounds, with two that may be read behind the last.
const VECTORS: usize = STEPS + 3;

/// What is written before it is read: a kilobyte isn't to be cleared for each layer.
#[repr(C)]
pub(crate) struct Space {
    /// From -48 on.
    _words: Aligned<{ (IMAGE + BOUNDS + VECTORS * VECTOR) / WORD }>,
    _scratch: Aligned<{ SCRATCH / WORD }>,
    _staged: Aligned<{ STAGED * VECTOR / WORD }>,
}

/// The block's part of a [`crate::Run`].
pub(crate) struct Record<'s> {
    space: &'s mut MaybeUninit<Space>,
    pub(crate) first_shift: u32,
    pub(crate) more_shifts: u32,
    pub(crate) join_shift: u32,
    pub(crate) one_split: u8,
    pub(crate) kept: u32,
    /// Whether lanes are split.
    pub(crate) splits: bool,
    /// A shift that all lanes have.
    uniform: Aligned<{ VECTOR / WORD }>,
    constants: Option<Constants>,
    /// What the unit is to make of the bounds.
    pub(crate) asked: Bounds,
}

impl<'s> Record<'s> {
    pub(crate) fn new(space: &'s mut MaybeUninit<Space>) -> Self {
        Self {
            space,
            first_shift: 0,
            more_shifts: 0,
            join_shift: 0,
            one_split: 0,
            kept: 0,
            splits: false,
            uniform: Aligned([0; _]),
            constants: None,
            asked: Bounds {
                to: ptr::null_mut(),
                shifts: ptr::null(),
                more: 0,
                least: 0,
                one: 1,
                most: 0,
                low: 0,
                high: 0,
                none: 0,
            },
        }
    }

    /// Where a run's [`crate::Run::record`] and [`crate::Run::scratch`] point.
    pub(crate) fn places(&mut self) -> (*mut u8, *mut u8) {
        let space = self.space.as_mut_ptr().cast::<u8>();
        let scratch = space.wrapping_add(offset_of!(Space, _scratch));
        (space.wrapping_add(IMAGE), scratch)
    }

    /// Where [`STAGED`] vectors can be.
    pub(crate) fn staged(&mut self) -> *mut u8 {
        let space = self.space.as_mut_ptr().cast::<u8>();
        space.wrapping_add(offset_of!(Space, _staged))
    }

    /// Fills it in for the block whose channels begin at `first`, and with whose weights `block` begins,
    /// but for the bounds, which the unit is to make, and [`Self::end`].
    /// `None` if the block is none for the unit, or the layer has not the arrays that it asks for.
    // What is seldom done, and each of the loops, is by itself: all of it fits the registers then.
    #[inline(never)]
    pub(crate) fn fill(&mut self, layer: &Layer<'_>, first: usize, block: &[u8]) -> Option<()> {
        let channels = layer.channels(first);
        let shifts = match &layer.shifts {
            Shifts::Uniform(shift) => {
                self.uniform = Aligned([u32::from_ne_bytes([*shift as u8; WORD]); _]);
                slice::from_ref(shift)
            }
            Shifts::PerChannel(all) => all.get(channels)?,
        };
        let (mut least, mut most) = extremes(shifts.iter());
        // One that is negative is for the portable kernel.
        (least >= 0).then_some(())?;
        self.constants = None;
        if layer.parts.is_some() && most >= FAR {
            let found = Constants::find(layer, first, block)?;
            if let Shifts::PerChannel(_) = layer.shifts {
                (least, most) = found.extremes_of_others(shifts);
            }
            self.constants = Some(found);
        }
        let [least, most] = [least, most].map(i32::unsigned_abs);
        // By how much sums are shifted when the drain begins.
        let above = match layer.lane_bits {
            40 => self.set_wide_biases(layer, first)?,
            _ => self.set_biases(layer, first, least)?,
        };
        // A shift beyond a lane's bits is one to its sign.
        let last = above + layer.lane_bits - 1;
        let [least, most] = [least, most].map(|shift| shift.min(last));
        self.first_shift = least - above;
        self.more_shifts = most - least;
        // Too many steps are none for the record.
        (self.more_shifts < STEPS as u32).then_some(())?;
        let none = if layer.width == 1 { 0x80 } else { i16::MIN };
        self.asked = Bounds {
            to: self.bounds(),
            shifts: match layer.shifts {
                Shifts::Uniform(_) => self.uniform.0.as_ptr().cast(),
                Shifts::PerChannel(_) => shifts.as_ptr(),
            },
            more: self.more_shifts,
            least: least as i16,
            one: 1,
            most: most as i16,
            low: layer.low,
            high: layer.high,
            none,
        };
        Some(())
    }

    /// What is to be done when there are bounds.
    pub(crate) fn end(&mut self, layer: &Layer<'_>) {
        if self.constants.is_some() {
            self.set_constants(layer);
        }
    }

    #[inline(never)]
    fn set_wide_biases(&mut self, layer: &Layer<'_>, first: usize) -> Option<u32> {
        let mut lanes = [0; 8];
        for (place, channel) in lanes.iter_mut().zip(layer.channels(first)) {
            *place = layer.bias.get(channel)? as u64 & ((1 << 40) - 1);
        }
        write_image(self.start(), &lanes);
        Some(0)
    }

    /// The image at the start, and how lanes join if they are split; by how much they are shifted then.
    #[inline(never)]
    fn set_biases(&mut self, layer: &Layer<'_>, first: usize, least: u32) -> Option<u32> {
        let mut others;
        let bias = match (layer.bias, &self.constants) {
            // Arrays are padded to whole blocks.
            (Bias::Narrow(all), None) => all.get(first..)?.first_chunk()?,
            (_, constants) => {
                others = [0; VECTOR];
                for (lane, channel) in layer.channels(first).enumerate() {
                    let constant = constants.as_ref().and_then(|constants| constants.of(lane));
                    if constant.is_none() {
                        *others.get_mut(lane)? = layer.bias.get(channel)?.try_into().ok()?;
                    }
                }
                &others
            }
        };
        self.splits = false;
        let (mut mask, mut above) = ((1 << 20) - 1, 0);
        if layer.parts.is_some() {
            let lanes = layer.channels(first).len();
            let biases = bias.iter().take(lanes);
            let most = biases.map(|bias| bias.unsigned_abs()).max()?;
            self.splits = !fits_a_lane(layer, most);
            if self.splits {
                (mask, above) = ((1 << SPLIT) - 1, least.min(SPLIT));
                self.join(layer, above, most, bias)?;
            }
        }
        write_pairs(self.start(), bias, mask);
        Some(above)
    }

    /// What is constant is the lower limit, and no step's.
    #[inline(never)]
    fn set_constants(&mut self, layer: &Layer<'_>) -> Option<()> {
        let constants = self.constants.take()?;
        let (low, high) = (layer.low, layer.high);
        for (lane, value) in constants.values.iter().enumerate() {
            if constants.of(lane).is_none() {
                continue;
            }
            // Not `clamp`, whose panic for limits in the wrong order takes a kilobyte.
            let value = value.max(&low).min(&high);
            let vectors = self.more_shifts as usize + 2;
            // SAFETY: so many the unit has made.
            let bounds = unsafe { slice::from_raw_parts_mut(self.bounds(), vectors * VECTOR) };
            for (at, vector) in bounds.chunks_exact_mut(VECTOR).enumerate() {
                *vector.get_mut(lane)? = if at == 1 { *value as u8 } else { 0x80 };
            }
        }
        Some(())
    }

    /// How lanes join that are split, and then are shifted by `above`; no bias is beyond ±`most`.
    #[inline(never)]
    fn join(
        &mut self,
        layer: &Layer<'_>,
        above: u32,
        most: u32,
        bias: &[i32; VECTOR],
    ) -> Option<()> {
        // So that a 1 above the split, and a rest, are elements after the shift.
        (SPLIT - above < 7).then_some(())?;
        self.one_split = 1 << (SPLIT - above);
        // The largest sum there can be, whatever the weights, and a lane must fit the lanes.
        let most_sum = u64::from(most)
            .checked_add((layer.sum_products() as u64) << PRODUCT_BITS)?
            .checked_add(1 << 20)?;
        (most_sum < ((1 << 19) - 1) << above).then_some(())?;

        let vectors = (most >> SPLIT) / i8::MAX.unsigned_abs() as u32 + 1;
        if vectors <= BIAS_VECTORS && vectors as usize + layer.splits()? <= LIST {
            self.join_shift = above;
            self.kept = vectors;
            let list = self.list(vectors as usize);
            let (first, list) = list.split_first_chunk_mut::<{ VECTOR / WORD }>()?;
            for (word, [a, b, c, d]) in first.iter_mut().zip(bias.as_chunks::<WORD>().0) {
                let of = |bias: &i32| saturated(bias >> SPLIT);
                *word = u32::from_ne_bytes([of(a), of(b), of(c), of(d)]);
            }
            if vectors > 1 {
                list_rest(list, bias);
            }
            return Some(());
        }
        self.join_shift = LONG + if above < SPLIT { above } else { 0 };
        self.kept = 0;
        let upper = bias.map(|bias| bias >> SPLIT << (SPLIT - above));
        write_pairs(self.above(), &upper, (1 << 20) - 1);
        Some(())
    }

    /// The first vectors of the scratch's list.
    #[inline(always)]
    fn list(&mut self, vectors: usize) -> &mut [u32] {
        let (_, scratch) = self.places();
        let words = vectors.min(LIST) * (VECTOR / WORD);
        // SAFETY: the scratch has so many words behind an image, and they are written first.
        unsafe {
            let list = scratch.add(IMAGE).cast::<u32>();
            list.write_bytes(0, words);
            slice::from_raw_parts_mut(list, words)
        }
    }

    /// Where the bounds begin.
    fn bounds(&mut self) -> *mut u8 {
        self.places().0.wrapping_add(BOUNDS)
    }

    /// The image at the start.
    fn start(&mut self) -> &mut Image {
        // SAFETY: it is there, and may be anything.
        unsafe { &mut *self.places().0.cast() }
    }

    /// The image at the end.
    fn above(&mut self) -> &mut Image {
        // SAFETY: as above.
        unsafe { &mut *self.places().0.sub(IMAGE).cast() }
    }
}

/// The element that is nearest, as a byte.
#[inline(always)]
fn saturated(value: i32) -> u8 {
    value.clamp(i8::MIN.into(), i8::MAX.into()) as u8
}

/// What of the biases' upper bits the list's first vector doesn't hold, vector by vector.
#[inline(never)]
fn list_rest(list: &mut [u32], bias: &[i32; VECTOR]) {
    let mut left = bias.map(|bias| bias >> SPLIT);
    for vector in list.chunks_exact_mut(VECTOR / WORD) {
        for (word, left) in vector.iter_mut().zip(left.as_chunks_mut::<WORD>().0) {
            for left in left.iter_mut() {
                *left -= i32::from(saturated(*left) as i8);
            }
            *word = u32::from_ne_bytes(left.map(saturated));
        }
    }
}

/// The smallest and the largest of `shifts`; where there are none, one that is as good as any.
fn extremes<'s>(shifts: impl Iterator<Item = &'s i8>) -> (i32, i32) {
    // Words, so that they need no signs anew.
    let (mut least, mut most) = (i32::MAX, i32::MIN);
    for shift in shifts {
        let shift = i32::from(*shift);
        (least, most) = (least.min(shift), most.max(shift));
    }
    if least > most {
        return (SPLIT as i32, SPLIT as i32);
    }
    (least, most)
}

/// Whether a lane holds every sum of a block, whatever the weights, if no bias is beyond ±`most`.
fn fits_a_lane(layer: &Layer<'_>, most: u32) -> bool {
    let products = layer.sum_products();
    products < 32 && (products << PRODUCT_BITS) as u64 + u64::from(most) < 1 << 19
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
    #[inline(never)]
    fn find(layer: &Layer<'_>, first: usize, block: &[u8]) -> Option<Self> {
        let mut found = Self::NONE;
        for (lane, channel) in layer.channels(first).enumerate() {
            let shift = match layer.shifts {
                Shifts::Uniform(shift) => shift,
                Shifts::PerChannel(all) => *all.get(channel)?,
            };
            if !(FAR..=40).contains(&i32::from(shift)) {
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

    #[inline(never)]
    fn extremes_of_others(&self, shifts: &[i8]) -> (i32, i32) {
        let others = shifts.iter().enumerate();
        let others = others.filter(|(lane, _)| self.of(*lane).is_none());
        extremes(others.map(|(_, shift)| shift))
    }

    fn of(&self, lane: usize) -> Option<i16> {
        (self.lanes >> lane & 1 == 1).then(|| self.values.get(lane).copied())?
    }
}
