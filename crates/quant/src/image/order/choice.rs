//! Which order of channels costs least.

use std::cmp::Ordering;

use fixpoint_kernels::fixpoint::rounding_constant;
use fixpoint_vector::{Channel, prove};

use super::super::constant::{Layout, constants};
use super::super::range::Ranges;
use super::super::{Element, ImageBuilder, Node, Op};
use super::{Order, channels, lanes, products};
use fixpoint_runtime::format::Sums;

/// Instructions of a shift by one more, for a pixel of a block (`firmware/asm/parts.inc`).
const STEP: u64 = 3;
/// What a pixel of a block takes more where lanes are split: about that of 64 products, and of the depthwise kernels,
/// of which those over 3x3 taps know no split (`cargo xtask bench device`).
const SPLIT: u64 = 45;
const SPLIT_DEPTHWISE: u64 = 100;
/// What it takes to go on to blocks of the other kind, for all pixels.
const CHANGE: u64 = 300;
/// Far more than a lane holds.
const MOST_BIAS: i64 = 1 << 40;
/// Multiply-accumulates from which on two cores share a layer.
const SHARED: u64 = fixpoint_vector::LEAST;

/// An op that makes channels of a space in blocks.
pub(super) struct Maker {
    lanes: usize,
    depthwise: bool,
    pixels: u64,
    /// Multiply-accumulates.
    work: u64,
    /// `None` for what no input changes, which suits every block.
    channels: Vec<Option<Facts>>,
}

#[derive(Clone, Copy)]
struct Facts {
    shift: i32,
    /// Whether a lane holds all of its sums.
    whole: bool,
}

impl Maker {
    /// `None` if the node isn't one, or has a single block.
    pub(super) fn new(builder: &ImageBuilder, ranges: &Ranges, node: &Node) -> Option<Self> {
        let [input] = node.inputs[..] else {
            return None;
        };
        let (range, input, output) = (
            ranges.of(input),
            builder.def(input),
            builder.def(node.output),
        );
        let (linear, each) = products(input, &node.op)?;
        let (rows, depthwise) = match &node.op {
            Op::DepthwiseConv2d { window, .. } => (window.kernel_h, true),
            Op::Conv2d { window, .. } => (window.kernel_h, false),
            Op::FullyConnected { .. } => (1, false),
            _ => return None,
        };
        let (count, lanes) = (channels(output), lanes(input.element));
        (count > lanes).then_some(())?;
        let layout = Layout {
            element: input.element,
            products: each,
            index: &|channel, at| match depthwise {
                true => at * count + channel,
                false => channel * each + at,
            },
        };
        let constants = constants(linear, &layout, range)?;
        let shifts = linear.shifts.of_channels(count);
        let facts = |channel: usize| {
            let shift = shifts[channel];
            let weights = layout.weights(linear, channel);
            // Whether biases are sound is looked at later.
            let bias = linear.bias[channel].clamp(-MOST_BIAS, MOST_BIAS) + rounding_constant(shift);
            let alone = Channel {
                weights: &weights,
                bias,
                shift,
            };
            let whole = input.element == Element::I16
                || prove(&[alone], rows.into(), range, depthwise) == Sums::Whole;
            constants[channel]
                .is_none()
                .then_some(Facts { shift, whole })
        };
        Some(Self {
            lanes,
            depthwise,
            pixels: output.elements() / count as u64,
            work: output.elements().saturating_mul(each as u64),
            channels: (0..count).map(facts).collect(),
        })
    }

    /// Instructions beyond those that every order takes.
    fn cost(&self, order: &[usize]) -> u64 {
        let mut splits = None;
        let mut changes = 0;
        let mut block = |block: &[usize]| {
            let facts = || block.iter().filter_map(|channel| self.channels[*channel]);
            let shifts = || facts().map(|facts| facts.shift.clamp(0, 63) as u64);
            let (least, most) = (shifts().min().unwrap_or(0), shifts().max().unwrap_or(0));
            let mut steps = most - least;
            if self.depthwise && self.lanes == 16 {
                // The kernels over 3x3 taps leave out those that are no lane's, for four instructions each.
                let different = shifts().fold(0u64, |all, shift| all | 1 << shift);
                steps = steps.min(u64::from(different.count_ones()) * 4 / 3);
            }
            let is_whole = facts().all(|facts| facts.whole);
            changes += u64::from(
                splits
                    .replace(!is_whole)
                    .is_some_and(|before| before == is_whole),
            );
            let split = match (is_whole, self.depthwise) {
                (true, _) => 0,
                (false, false) => SPLIT,
                (false, true) => SPLIT_DEPTHWISE,
            };
            STEP * steps + split
        };
        let blocks: u64 = order.chunks(self.lanes).map(&mut block).sum();
        blocks * self.pixels + changes * CHANGE
    }

    /// Channels with the same are best together.
    fn key(&self, channel: usize) -> (bool, i32) {
        match self.channels[channel] {
            Some(facts) => (facts.whole, facts.shift),
            None => (true, i32::MAX),
        }
    }
}

/// The cheapest order for all that make channels of a space, of those that sort them by what one op wants and then by
/// what the others do; `None` if that is the one they have.
pub(super) fn choose(makers: &[Maker]) -> Option<Order> {
    let count = makers.first()?.channels.len();
    let cost = |order: &Order| makers.iter().map(|maker| maker.cost(order)).sum::<u64>();
    let own: Order = (0..count).collect();
    let costs: Vec<u64> = makers.iter().map(|maker| maker.cost(&own)).collect();
    let dearest = sorted(makers.len(), |one, other| costs[other].cmp(&costs[one]));
    let (mut best, mut least) = (None, cost(&own));
    for first in makers {
        let order = sorted(count, |one, other| {
            let others = dearest.iter().map(|at| &makers[*at]);
            let mut wishes = [first].into_iter().chain(others);
            let by = |maker: &Maker| maker.key(one).cmp(&maker.key(other));
            (wishes.find_map(|maker| Some(by(maker)).filter(|order| order.is_ne())))
                .unwrap_or(Ordering::Equal)
        });
        let order = match makers.iter().any(|maker| maker.work >= SHARED) {
            true => dealt(&order, makers),
            false => order,
        };
        let cost = cost(&order);
        if cost < least {
            (best, least) = (Some(order), cost);
        }
    }
    best
}

/// So many numbers in an order, equal ones as they were. By insertion: each of the standard library's sorts would be a
/// hundredth of what the page may have.
fn sorted(count: usize, compare: impl Fn(usize, usize) -> Ordering) -> Order {
    let mut order = Order::with_capacity(count);
    for next in 0..count {
        let at = order.partition_point(|known| compare(*known, next).is_le());
        order.insert(at, next);
    }
    order
}

/// Whole blocks dealt to the two halves in turn, so that two cores have as much to do each.
fn dealt(order: &[usize], makers: &[Maker]) -> Order {
    let lanes = makers.iter().map(|maker| maker.lanes).max().unwrap_or(1);
    let blocks = order.chunks_exact(lanes);
    let last = blocks.remainder();
    let (even, odd) = (blocks.clone().step_by(2), blocks.skip(1).step_by(2));
    even.chain(odd).chain([last]).flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 8 bits, one pixel for each weight of its cost.
    fn maker(pixels: u64, channels: &[Option<(i32, bool)>]) -> Maker {
        let facts = |(shift, whole)| Facts { shift, whole };
        Maker {
            lanes: 16,
            depthwise: false,
            pixels,
            work: 0,
            channels: channels.iter().map(|c| c.map(facts)).collect(),
        }
    }

    #[test]
    fn channels_with_the_same_shift_become_neighbours() {
        let by_turns: Vec<_> = (0..32).map(|c| Some((5 + 4 * (c % 2), true))).collect();
        let order = choose(&[maker(100, &by_turns)]).expect("a better one");
        let expected: Vec<usize> = (0..32).step_by(2).chain((1..32).step_by(2)).collect();
        assert_eq!(order, expected);
        // Nothing is better than blocks that are alike.
        let alike: Vec<_> = (0..32).map(|c| Some((5 + c / 16, true))).collect();
        assert_eq!(choose(&[maker(100, &alike)]), None);
    }

    #[test]
    fn constants_go_where_they_cost_nothing_and_splits_together() {
        let mut channels: Vec<_> = (0..34).map(|_| Some((5, true))).collect();
        channels[3] = None;
        channels[20] = Some((5, false));
        channels[21] = Some((9, false));
        let order = choose(&[maker(100, &channels)]).expect("a better one");
        assert_eq!(order[..3], [20, 21, 0]);
        assert_eq!(order.last(), Some(&3));
    }

    #[test]
    fn what_costs_more_decides() {
        let halves: Vec<_> = (0..32).map(|c| Some((5 + 4 * (c / 16), true))).collect();
        let by_turns: Vec<_> = (0..32).map(|c| Some((5 + 4 * (c % 2), true))).collect();
        let of = |a, b| choose(&[maker(a, &halves), maker(b, &by_turns)]);
        assert_eq!(of(100, 10), None);
        let order = of(10, 100).expect("a better one");
        assert_eq!(order[..4], [0, 2, 4, 6]);
    }

    #[test]
    fn cores_get_blocks_in_turn() {
        let channels: Vec<_> = (0..70).map(|c| Some((5 + c % 5, true))).collect();
        let mut shared = maker(100, &channels);
        shared.work = SHARED;
        let order = choose(&[shared]).expect("a better one");
        let shifts: Vec<usize> = order.iter().map(|c| c % 5).collect();
        // Sorted are 14 of each shift: blocks 0, 2, then 1, 3, then the rest.
        assert_eq!(shifts[..16], [&[0; 14][..], &[1; 2]].concat());
        assert_eq!(shifts[16..32], [&[2; 10][..], &[3; 6]].concat());
        assert_eq!(shifts[32..48], [&[1; 12][..], &[2; 4]].concat());
        assert_eq!(shifts[64..], [4; 6]);
    }
}
