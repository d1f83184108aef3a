//! Channels of linear ops whose result no input can change.
//!
//! Training leaves such channels: all weights have become nothing beside the bias, or the sum stays below a ReLU
//! whatever the input is. Their biases and shifts are far from those of other channels, which the vector unit pays
//! for (see [`fixpoint_vector`]). So their weights become zero, and bias and shift what gives the same result beside
//! the channels of the same block.

use super::range::Range;
use super::record::bounds;
use super::{Element, Linear, Shifts};
use fixpoint_kernels::fixpoint::rounding_constant;
use fixpoint_vector::Span;

/// Shifts that elements can be moved up by within 64 bits, and more than layers have.
const SHIFTS: i32 = 40;

/// Where the weights of a channel are.
pub(super) struct Layout<'a> {
    pub(super) element: Element,
    /// Products of an output.
    pub(super) products: usize,
    /// Of a channel and one of its products, among the weights.
    pub(super) index: &'a dyn Fn(usize, usize) -> usize,
}

impl Layout<'_> {
    /// The weights of a channel, in the order of its products.
    pub(super) fn weights(&self, linear: &Linear, channel: usize) -> Vec<i16> {
        (0..self.products)
            .map(|product| linear.weights[(self.index)(channel, product)])
            .collect()
    }
}

/// The same op for inputs in a range and zeros, in the fixpoint arithmetic, with constant channels as they are
/// cheapest; `None` if there are none. With a leak none is looked for. Channels of one `block` are computed together.
pub(super) fn settled(
    linear: &Linear,
    layout: &Layout<'_>,
    block: &dyn Fn(usize) -> usize,
    range: Range,
) -> Option<Linear> {
    let channels = linear.bias.len();
    let shifts = linear.shifts.of_channels(channels);
    let constants = constants(linear, layout, range)?;
    if constants.iter().all(Option::is_none) {
        return None;
    }
    let mut settled = linear.clone();
    // The least shift of the others in the block, or else of the layer.
    let least = |of: Option<usize>| {
        let others = (0..channels).filter(|channel| constants[*channel].is_none());
        let same = others.filter(|channel| of.is_none_or(|of| block(*channel) == of));
        let all = same.map(|channel| shifts[channel]);
        all.filter(|shift| *shift >= 0).min()
    };
    for (channel, value) in constants.iter().enumerate() {
        let Some(value) = value else { continue };
        let own = shifts[channel];
        let shift = match &linear.shifts {
            Shifts::PerTensor(_) => own,
            Shifts::PerChannel(_) => {
                let shift = least(Some(block(channel))).or_else(|| least(None));
                // Its own is of another kind, but no sum needs more bits with it than before.
                shift
                    .filter(|shift| fits(layout.element, *value, *shift))
                    .unwrap_or(own)
            }
        };
        for at in 0..layout.products {
            settled.weights[(layout.index)(channel, at)] = 0;
        }
        settled.bias[channel] = value << shift;
        if let Shifts::PerChannel(shifts) = &mut settled.shifts {
            shifts[channel] = shift;
        }
    }
    Some(settled)
}

/// The results of channels that are the same for all inputs in a range, and zeros; `None` if there is a leak.
pub(super) fn constants(
    linear: &Linear,
    layout: &Layout<'_>,
    range: Range,
) -> Option<Vec<Option<i64>>> {
    let limits = bounds(&linear.activation, layout.element)?.map(i64::from);
    let shifts = linear.shifts.of_channels(linear.bias.len());
    let channels = linear.bias.iter().zip(&shifts).enumerate();
    Some(
        channels
            .map(|(channel, (bias, shift))| {
                let weights = layout.weights(linear, channel);
                constant(&weights, *bias, *shift, limits, range)
            })
            .collect(),
    )
}

/// Whether the vector unit's lanes hold a bias for this result, and its rounding constant.
fn fits(element: Element, value: i64, shift: i32) -> bool {
    let bits = match element {
        Element::I8 => 19,
        Element::I16 => 39,
    };
    (0..=SHIFTS).contains(&shift) && (value << shift).abs() + rounding_constant(shift) < 1 << bits
}

/// The result of a channel if it is the same for all inputs.
fn constant(
    weights: &[i16],
    bias: i64,
    shift: i32,
    [low, high]: [i64; 2],
    range: Range,
) -> Option<i64> {
    if !(0..=SHIFTS).contains(&shift) {
        return None;
    }
    let span = Span::of(weights, range.map(i64::from));
    let result = |sum: i64| {
        let start = bias.checked_add(rounding_constant(shift))?;
        Some((start.checked_add(sum)? >> shift).max(low).min(high))
    };
    let value = result(span.low)?;
    (value == result(span.high)?).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Activation;

    const ALL: Range = [-128, 127];
    const NOT_NEGATIVE: Range = [0, 127];

    #[test]
    fn what_no_input_changes_is_constant() {
        let limits = [-128, 127];
        let of =
            |weights: &[i16], bias, shift, range| constant(weights, bias, shift, limits, range);
        // (100 + 8) >> 4 and the like: 6 until 111 + 8 = 119 >> 4 = 7.
        assert_eq!(of(&[], 100, 4, ALL), Some(6));
        assert_eq!(of(&[0, 0], 100, 4, ALL), Some(6));
        assert_eq!(of(&[0, 1], 100, 4, ALL), None);
        // 2^13 + 127 * 10 stays below 2^14: all round to 1 of 2^14 only from 2^13 on.
        assert_eq!(of(&[10], (1 << 14) - 1, 14, NOT_NEGATIVE), Some(1));
        assert_eq!(of(&[-10], (1 << 14) - 1, 14, NOT_NEGATIVE), Some(1));
        assert_eq!(of(&[-10], 1 << 13, 14, NOT_NEGATIVE), None);
        assert_eq!(of(&[10], 1 << 13, 14, NOT_NEGATIVE), Some(1));
        assert_eq!(of(&[10], 1 << 13, 14, ALL), None);
        // Beyond the limits, whatever comes: 127 * 2^4 + 2 * 127 * 5.
        assert_eq!(of(&[5, -5], 4000, 4, ALL), Some(127));
        assert_eq!(of(&[5, -5], 3200, 4, ALL), None);
        // No shift by a negative number, no number beyond 64 bits.
        assert_eq!(of(&[], 1, -1, ALL), None);
        assert_eq!(of(&[1], i64::MAX, 4, ALL), None);
        assert_eq!(of(&[1], i64::MIN + 200, 4, ALL), Some(-128));
    }

    #[test]
    fn a_dead_channel_takes_the_shift_of_its_block() {
        let linear = Linear {
            // Five channels of two products.
            weights: vec![3, -2, 1, 1, 0, 0, -7, -7, 90, 90],
            bias: vec![10, -20_000, 1 << 20, 0, 5],
            shifts: Shifts::PerChannel(vec![7, 5, 14, 8, 9]),
            activation: Activation::Relu,
            accumulator: None,
        };
        let layout = Layout {
            element: Element::I8,
            products: 2,
            index: &|channel, at| 2 * channel + at,
        };
        let settled =
            |linear: &Linear| settled(linear, &layout, &|channel| channel / 4, NOT_NEGATIVE);
        // The second is 0 for all inputs, the third 2^20 / 2^14 = 64, the fourth 0 as inputs aren't negative.
        let cheapest = settled(&linear).expect("constant channels");
        assert_eq!(cheapest.weights, [3, -2, 0, 0, 0, 0, 0, 0, 90, 90]);
        assert_eq!(cheapest.bias, [10, 0, 64 << 7, 0, 5]);
        let shifts = Shifts::PerChannel(vec![7, 7, 7, 7, 9]);
        assert_eq!(cheapest.shifts, shifts);
        // 64 * 2^13 + 2^12 is more than a lane holds.
        let far = Linear {
            weights: vec![90, 90, 1, 1, 0, 0, -7, -7, 90, 90],
            shifts: Shifts::PerChannel(vec![13, 5, 9, 13, 9]),
            bias: vec![10, -20_000, 64 << 9, 0, 5],
            ..linear.clone()
        };
        let kept = settled(&far).expect("constant channels");
        assert_eq!(kept.shifts, Shifts::PerChannel(vec![13, 13, 9, 13, 9]));
        assert_eq!(kept.bias, [10, 0, 64 << 9, 0, 5]);
        // A leak has no limits.
        let activation = Activation::LeakyRelu {
            slope: 1,
            exponent: -3,
        };
        let leaky = Linear {
            activation,
            ..linear
        };
        assert!(settled(&leaky).is_none());
    }
}
