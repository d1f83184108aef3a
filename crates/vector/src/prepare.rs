//! The records of a layer's blocks (`crate::record`), made when its image is written.

use fixpoint_kernels::fixpoint::{Bias, Linear};
use fixpoint_kernels::{Element as Number, Shifts};
use fixpoint_runtime::accelerator::Convolution;

use crate::convolution::Layer;
use crate::convolution::dots::PART;
use crate::image::{IMAGE, image_of};
use crate::record::{BOUNDS, HEADER, IS_SPARSE, STEPS, VECTOR};
use crate::unit::{Kernel, LIST, LONG, SPARSE, SPLIT};

/// Most vectors for the biases' upper bits when lanes join the short way.
const BIAS_VECTORS: usize = 8;
/// No product of 8-bit elements is above 2 to this.
const PRODUCT_BITS: u32 = 14;
/// Bytes of the longest record.
const MOST: usize = HEADER + BOUNDS + (STEPS + 1) * VECTOR + BIAS_VECTORS * VECTOR + DOTS;
/// Most bytes for [`Kernel::Dots`]: no record has more than 255 vectors.
const DOTS: usize = 3 << 10;

/// Tells the record of each block of a task, whose input is not looked at, for what becomes of its sums: a multiple
/// of 16 bytes. Blocks that are `whole` by themselves ([`crate::prove`]) aren't split, even if the layer is. `None` if
/// a block is none for the unit, which then doesn't do the layer.
pub fn prepare<T: Number>(
    task: &Convolution<'_>,
    finish: &Linear<'_, T>,
    whole: impl Fn(usize) -> bool,
    mut record: impl FnMut(&[u8]),
) -> Option<()> {
    if finish.leak.is_some() {
        return None;
    }
    let finish = Finish {
        bias: finish.bias,
        shifts: finish.shifts,
        low: finish.limits.low.into(),
        high: finish.limits.high.into(),
    };
    let layer = Layer::of_weights(task)?;
    let firsts = (0..layer.channels_out()).step_by(layer.lanes());
    for (block, first) in firsts.enumerate() {
        let mut own = Block::new(&layer, &finish, first, whole(block))?;
        own.dots(&layer, &finish);
        record(own.bytes());
    }
    Some(())
}

/// What becomes of sums, whatever the type of the elements.
struct Finish<'a> {
    bias: Bias<'a>,
    shifts: Shifts<'a>,
    low: i16,
    high: i16,
}

impl Finish<'_> {
    fn shift(&self, channel: usize) -> Option<i32> {
        Some(match self.shifts {
            Shifts::Uniform(shift) => i32::from(shift),
            Shifts::PerChannel(all) => i32::from(*all.get(channel)?),
        })
    }
}

/// A record that grows.
struct Block {
    bytes: [u8; MOST],
    used: usize,
}

/// Lanes that are split.
struct Join {
    shift: u32,
    one_split: u8,
    /// Vectors that are kept, or none, and then the image.
    kept: usize,
    list: [[i8; VECTOR]; BIAS_VECTORS],
    image: [u8; IMAGE],
}

impl Block {
    fn new(layer: &Layer<'_>, finish: &Finish<'_>, first: usize, whole: bool) -> Option<Self> {
        let lanes = layer.channels(first).len();
        let mut shifts = [0; VECTOR];
        let mut biases = [0; VECTOR];
        for (lane, channel) in layer.channels(first).enumerate() {
            shifts[lane] = finish.shift(channel)?;
            biases[lane] = finish.bias.get(channel)?;
        }
        let own = &shifts[..lanes];
        let least = own.iter().copied().min()?;
        let most = own.iter().copied().max()?;
        let least = u32::try_from(least).ok()?;
        let join = match whole {
            true => None,
            false => Join::new(layer, least, &biases)?,
        };
        // By how much sums are shifted when the drain begins.
        let above = join.as_ref().map_or(0, |_| least.min(SPLIT));
        // A shift beyond a lane's bits is one to its sign.
        let last = above + layer.lane_bits() - 1;
        let [least, most] = [least, most.unsigned_abs()].map(|shift| shift.min(last));
        let more = most - least;
        // Too many steps are none for the record.
        (more < STEPS as u32).then_some(())?;

        let mut block = Self {
            bytes: [0; MOST],
            used: 0,
        };
        let (one_split, kept, shift) = match &join {
            Some(join) => (join.one_split, join.kept as u8, join.shift),
            None => (0, 0, 0),
        };
        let mut sparse = 0;
        if layer.width == 1 && join.is_none() {
            sparse = sparse_steps(
                |shift| own.iter().any(|own| (*own).min(most as i32) == shift),
                least as i32,
                more,
            );
        }
        let first = (least - above) as u8 | if sparse != 0 { IS_SPARSE } else { 0 };
        block.push(&[first, more as u8, one_split, kept]);
        block.push(&shift.to_le_bytes());
        block.push(&sparse.to_le_bytes());
        block.push(&[0; 4]);
        let mask = match (&join, layer.lane_bits()) {
            (Some(_), _) => (1 << SPLIT) - 1,
            (None, bits) => (1 << bits) - 1,
        };
        block.push(&lanes_image(&biases, mask, layer.width));
        for step in 0..=more as i32 {
            let (low, high) = (finish.low, finish.high);
            let none = if layer.width == 1 { -128 } else { i16::MIN };
            block.vector(layer.width, |lane| {
                let shift = shifts[lane].min(most as i32);
                if shift == least as i32 + step {
                    high
                } else {
                    none
                }
            });
            if step == 0 {
                block.vector(layer.width, |_| low);
            }
        }
        if let Some(join) = &join {
            match join.kept {
                0 => block.push(&join.image),
                kept => {
                    for vector in &join.list[..kept] {
                        block.push(&vector.map(|byte| byte as u8));
                    }
                }
            }
        }
        Some(block)
    }

    /// Appends what [`Kernel::Dots`] reads, if that is faster and there is room.
    fn dots(&mut self, layer: &Layer<'_>, finish: &Finish<'_>) -> Option<()> {
        let cut = layer.cut()?;
        let channels = layer.channels_out();
        let (least, most) = match layer.width {
            1 => (i8::MIN.into(), i8::MAX.into()),
            _ => (i16::MIN, i16::MAX),
        };
        // It knows no other limits.
        let all = (finish.low, finish.high) == (least, most);
        (all && channels * cut.channel() * VECTOR <= DOTS).then_some(())?;
        let (lanes, width, products) = (layer.lanes(), layer.width, layer.sum_products());
        let weight = |channel, product| layer.weight((product * lanes + channel) * width);
        let mut facts = [(0i64, 0u32, 0u32); VECTOR];
        for (channel, (start, shift, too_much)) in facts[..channels].iter_mut().enumerate() {
            let bias = finish.bias.get(channel)?;
            *shift = finish.shift(channel)?.try_into().ok()?;
            let mut most = bias.unsigned_abs();
            for product in 0..products {
                let weight = match *weight(channel, product)? {
                    [low, high] => i16::from_le_bytes([low, high]).unsigned_abs(),
                    ref bytes => i8::from_le_bytes([*bytes.first()?]).unsigned_abs().into(),
                };
                most = most.checked_add(u64::from(weight) * u64::from(least.unsigned_abs()))?;
            }
            // No sum is as far from zero as 2 to this, and sums that begin with that more are not negative: the shift
            // gives 31 bits of them.
            let bits = (u64::BITS - most.leading_zeros()).max(*shift);
            (*shift < 32 && bits <= 38 && bits - *shift <= 30).then_some(())?;
            *start = bias + (1 << bits);
            *too_much = 1 << (bits - *shift);
        }
        let begin = self.used;
        let vectors = products * width / VECTOR;
        let parts = cut.parts * PART;
        for (channel, (start, shift, too_much)) in facts[..channels].iter().enumerate() {
            self.push(&start.to_le_bytes());
            self.push(&shift.to_le_bytes());
            self.push(&too_much.to_le_bytes());
            for at in 0..parts + cut.last {
                let vector = if at < parts {
                    at
                } else {
                    vectors - cut.last + at - parts
                };
                for lane in 0..lanes {
                    let weight = weight(channel, vector * lanes + lane)?;
                    let counts = at < parts || vector >= parts;
                    self.push(if counts { weight } else { &[0; 2][..width] });
                }
            }
        }
        self.bytes[12] = u8::try_from(begin / VECTOR).ok()?;
        Some(())
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.used]
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.used..][..bytes.len()].copy_from_slice(bytes);
        self.used += bytes.len();
    }

    /// Elements of `width` bytes.
    fn vector(&mut self, width: usize, element: impl Fn(usize) -> i16) {
        for lane in 0..VECTOR / width {
            self.push(&element(lane).to_le_bytes()[..width]);
        }
    }
}

impl Join {
    /// How lanes join, if they are to be split; the least shift of the block is `least`.
    fn new(layer: &Layer<'_>, least: u32, biases: &[i64; VECTOR]) -> Option<Option<Self>> {
        if layer.parts.is_none() {
            return Some(None);
        }
        let most = biases.iter().map(|bias| bias.unsigned_abs()).max()?;
        let products = layer.sum_products() as u64;
        // Whether a lane holds every sum of the block, whatever the weights.
        if products < 32 && (products << PRODUCT_BITS) + most < 1 << 19 {
            return Some(None);
        }
        let above = least.min(SPLIT);
        // So that a 1 above the split, and a rest, are elements after the shift.
        (SPLIT - above < 7).then_some(())?;
        // The largest sum there can be, whatever the weights, and a lane must fit the lanes.
        let most_sum = most
            .checked_add(products << PRODUCT_BITS)?
            .checked_add(1 << 20)?;
        (most_sum < ((1 << 19) - 1) << above).then_some(())?;
        let mut join = Self {
            shift: above,
            one_split: 1 << (SPLIT - above),
            kept: (most >> SPLIT) as usize / i8::MAX as usize + 1,
            list: [[0; VECTOR]; BIAS_VECTORS],
            image: [0; IMAGE],
        };
        let mut left = biases.map(|bias| bias >> SPLIT);
        if join.kept <= BIAS_VECTORS && join.kept + layer.splits()? <= LIST {
            for vector in &mut join.list[..join.kept] {
                for (place, left) in vector.iter_mut().zip(&mut left) {
                    *place = (*left).clamp(i8::MIN.into(), i8::MAX.into()) as i8;
                    *left -= i64::from(*place);
                }
            }
        } else {
            join.shift = LONG + if above < SPLIT { above } else { 0 };
            join.kept = 0;
            let upper = left.map(|bias| bias << (SPLIT - above));
            join.image = lanes_image(&upper, (1 << 20) - 1, 1);
        }
        Some(Some(join))
    }
}

/// Which of the steps behind the first shift are those of a lane, a bit each, or 0 if it is as well to take all.
fn sparse_steps(has: impl Fn(i32) -> bool, least: i32, more: u32) -> u32 {
    let steps = (0..more as i32).fold(0, |steps, step| {
        steps | u32::from(has(least + 1 + step)) << step
    });
    let count = steps.count_ones();
    let fewer = 4 * count + 2 < 3 * more || more > Kernel::MOST_3X3_SHIFTS;
    if fewer && count <= SPARSE { steps } else { 0 }
}

/// The image of the bits in `mask` of each value: sixteen lanes of 20 bits, or the first eight of 40.
fn lanes_image(values: &[i64; VECTOR], mask: u64, width: usize) -> [u8; IMAGE] {
    let bits = |lane: usize| values[lane] as u64 & mask;
    image_of(&core::array::from_fn(|at| match width {
        1 => bits(2 * at) | bits(2 * at + 1) << 20,
        _ => bits(at),
    }))
}
