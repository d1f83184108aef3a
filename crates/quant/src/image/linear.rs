//! Linear ops on their way into an image: blocked weights, biases with rounding constants, and the
//! proof that sums fit.

use super::constant::{Layout, settled};
use super::range::Ranges;
use super::records::Records;
use super::{
    Accumulator, Activation, Arithmetic, BuildError, Element, EspdlChip, ImageBuilder, Linear,
    Node, Op, Shifts, proof, records,
};
use fixpoint_kernels::fixpoint::rounding_constant;
use fixpoint_runtime::format::{SHIFT_RANGE, Sums};

/// A linear op in the image's order and padding.
pub(super) struct Lowered {
    pub(super) weights: Vec<i16>,
    pub(super) bias: Vec<i64>,
    pub(super) shifts: Shifts,
    pub(super) activation: Activation,
    pub(super) accumulator: Accumulator,
    pub(super) groups: u16,
    pub(super) sums: Sums,
    /// Of each block, whether lanes hold its sums.
    pub(super) whole: Vec<bool>,
    /// For the vector unit, in the fixpoint arithmetic.
    pub(super) records: Records,
}

/// Lowers the linear part of `node`; `None` if it has none.
pub(super) fn lower(
    builder: &ImageBuilder,
    ranges: &Ranges,
    node: &Node,
) -> Result<Option<Lowered>, BuildError> {
    let bad = |reason: String| BuildError::new(&node.name, reason);
    let (linear, taps, groups, depthwise) = match &node.op {
        Op::Conv2d {
            linear,
            window,
            groups,
        }
        | Op::ConvTranspose2d {
            linear,
            window,
            groups,
        } => (linear, taps(window), *groups, false),
        Op::DepthwiseConv2d { linear, window } => (linear, taps(window), 1, true),
        Op::FullyConnected { linear } => (linear, 1, 1, false),
        _ => return Ok(None),
    };
    let [input] = node.inputs[..] else {
        return Err(bad("the op has one input".into()));
    };
    let range = ranges.of(input);
    let (input, output) = (builder.def(input), builder.def(node.output));
    let fully_connected = matches!(node.op, Op::FullyConnected { .. });
    let channels_of = |def: &super::TensorDef| {
        if fully_connected {
            usize::try_from(def.elements()).ok()
        } else {
            def.channels()
        }
    };
    let last = || bad("the tensors must be channels-last (1, C, H, W) or (1, C, L)".into());
    let (inner, channels) = channels_of(input)
        .zip(channels_of(output))
        .ok_or_else(last)?;
    let divides = |channels: usize| channels.checked_rem(groups) == Some(0);
    let header_groups = u16::try_from(groups)
        .ok()
        .filter(|_| divides(inner) && divides(channels));
    let Some(header_groups) = header_groups else {
        return Err(bad(format!(
            "{inner} input and {channels} output channels are no {groups} groups of equal size"
        )));
    };
    let inner = if depthwise { 1 } else { inner / groups };
    let expected = (taps as u128) * (inner as u128) * (channels as u128);
    if linear.weights.len() as u128 != expected || linear.bias.len() != channels {
        return Err(bad(format!(
            "{} weights and {} biases were given, {expected} and {channels} are needed",
            linear.weights.len(),
            linear.bias.len(),
        )));
    }
    let (low, high) = input.element.range();
    if linear
        .weights
        .iter()
        .any(|w| !(low..=high).contains(&i32::from(*w)))
    {
        return Err(bad("a weight doesn't fit the element type".into()));
    }
    let shifts = linear.shifts.of_channels(channels);
    if shifts.len() != channels {
        return Err(bad(
            "the number of shifts is not the number of channels".into()
        ));
    }
    if let Some(shift) = shifts.iter().find(|shift| !SHIFT_RANGE.contains(shift)) {
        return Err(bad(format!("a shift by {shift} is out of range")));
    }
    if let Activation::PRelu { slopes, .. } = &linear.activation
        && slopes.len() != channels
    {
        return Err(bad(
            "the number of slopes is not the number of channels".into()
        ));
    }
    let each = taps * inner;
    let index = |channel: usize, tap: usize, i: usize| {
        if depthwise {
            tap * channels + channel
        } else {
            (channel * taps + tap) * inner + i
        }
    };

    let lanes = input.element.lanes() as usize;
    let members = channels / groups;
    // Each group is padded to whole blocks.
    let padded_members = members.next_multiple_of(lanes);
    let place = |channel: usize| channel / members * padded_members + channel % members;
    let padded = groups * padded_members;
    let layout = Layout {
        element: input.element,
        products: each,
        index: &|channel, at| index(channel, at / inner, at % inner),
    };
    let settled = match builder.arithmetic {
        Arithmetic::Fixpoint => settled(linear, &layout, &|channel| place(channel) / lanes, range),
        Arithmetic::Espdl(_) => None,
    };
    let linear = settled.as_ref().unwrap_or(linear);
    let shifts = linear.shifts.of_channels(channels);
    let mut weights = vec![0; padded * taps * inner];
    let mut totals = vec![0u64; channels];
    for (channel, total) in totals.iter_mut().enumerate() {
        let (block, lane) = (place(channel) / lanes, place(channel) % lanes);
        for tap in 0..taps {
            for i in 0..inner {
                let weight = linear.weights[index(channel, tap, i)];
                weights[((block * taps + tap) * inner + i) * lanes + lane] = weight;
                *total += u64::from(weight.unsigned_abs());
            }
        }
    }

    let mut bias = linear.bias.clone();
    let accumulator = match builder.arithmetic {
        Arithmetic::Fixpoint => {
            for (bias, shift) in bias.iter_mut().zip(&shifts) {
                *bias = bias.saturating_add(rounding_constant(*shift));
            }
            let needed = totals
                .iter()
                .zip(&linear.bias)
                .zip(&shifts)
                .map(|((total, bias), shift)| bound(*total, input.element, *bias, *shift))
                .max()
                .unwrap_or(0);
            check_leak(&linear.activation, needed).map_err(bad)?;
            let narrowest = narrowest(needed)
                .ok_or_else(|| bad("its sums don't fit 64 bits; use smaller weights".into()))?;
            chosen(linear, narrowest)
                .ok_or_else(|| bad(format!("its sums need {} bits", narrowest.bits())))?
        }
        Arithmetic::Espdl(chip) => {
            check_espdl(linear, input.element).map_err(bad)?;
            let total = totals.iter().copied().max().unwrap_or(0);
            match chip {
                // The C kernels wrap at 32 bits, and wrapping sums may be wrapped early.
                EspdlChip::C => Accumulator::Bits32,
                EspdlChip::S3 => narrowest(bound(total, input.element, 0, 0))
                    .ok_or_else(|| bad("its sums don't fit 64 bits".into()))?,
            }
        }
    };
    let mut in_order = Vec::with_capacity(channels * each);
    for channel in 0..channels {
        in_order.extend(layout.weights(linear, channel));
    }
    let proof = proof::sums(builder, node, range, accumulator, &in_order, &bias, &shifts);
    let mut activation = linear.activation.clone();
    if let Activation::PRelu { slopes, .. } = &mut activation {
        *slopes = pad(slopes, padded, place);
    }
    let mut lowered = Lowered {
        weights,
        bias: pad(&bias, padded, place),
        shifts: match &linear.shifts {
            Shifts::PerChannel(_) => Shifts::PerChannel(pad(&shifts, padded, place)),
            uniform => uniform.clone(),
        },
        activation,
        accumulator,
        groups: header_groups,
        sums: proof.layer,
        whole: proof.whole,
        records: Records::default(),
    };
    if builder.arithmetic == Arithmetic::Fixpoint {
        lowered.records = records::of(node, (input, output), &lowered);
    }
    Ok(Some(lowered))
}

/// Values of channels at their places among the padded ones.
fn pad<T: Copy + Default>(values: &[T], padded: usize, place: impl Fn(usize) -> usize) -> Vec<T> {
    let mut out = vec![T::default(); padded];
    for (channel, value) in values.iter().enumerate() {
        out[place(channel)] = *value;
    }
    out
}

/// Sums are multiplied by slopes in 64 bits.
fn check_leak(activation: &Activation, bound: u128) -> Result<(), String> {
    let steepest = match activation {
        Activation::LeakyRelu { slope, .. } => slope.unsigned_abs(),
        Activation::PRelu { slopes, .. } => {
            let all = slopes.iter().map(|slope| slope.unsigned_abs());
            all.max().unwrap_or(0)
        }
        Activation::None | Activation::Relu | Activation::Clip { .. } => 0,
    };
    match bound.checked_mul(steepest.into()) {
        Some(product) if product < 1 << 62 => Ok(()),
        _ => Err("its sums times the slopes don't fit 63 bits; use smaller weights".into()),
    }
}

/// Of a window.
pub(super) fn taps(window: &super::Window) -> usize {
    usize::from(window.kernel_h) * usize::from(window.kernel_w)
}

/// No partial sum of a channel is larger: sum|w| * max|x| + |bias| + rounding constant.
fn bound(total: u64, element: Element, bias: i64, shift: i32) -> u128 {
    let (low, _) = element.range();
    u128::from(total) * u128::from(low.unsigned_abs())
        + u128::from(bias.unsigned_abs())
        + u128::from(rounding_constant(shift).unsigned_abs())
        // A 32-bit sum has only 31 bits to drop.
        + u128::from(if shift > 31 { 1u64 << 31 } else { 0 })
}

fn narrowest(bound: u128) -> Option<Accumulator> {
    [
        (31, Accumulator::Bits32),
        (39, Accumulator::Bits40),
        (63, Accumulator::Bits64),
    ]
    .into_iter()
    .find(|(bits, _)| bound < 1 << bits)
    .map(|(_, accumulator)| accumulator)
}

fn chosen(linear: &Linear, narrowest: Accumulator) -> Option<Accumulator> {
    match linear.accumulator {
        Some(asked) => (asked.bits() >= narrowest.bits()).then_some(asked),
        None => Some(narrowest),
    }
}

fn check_espdl(linear: &Linear, element: Element) -> Result<(), String> {
    let per_channel = matches!(linear.shifts, Shifts::PerChannel(_));
    if per_channel && element == Element::I16 {
        return Err("ESP-DL knows per-channel shifts in 8 bits only".into());
    }
    if linear.bias.iter().any(|bias| i16::try_from(*bias).is_err()) {
        return Err("a bias doesn't fit 16 bits".into());
    }
    Ok(())
}
