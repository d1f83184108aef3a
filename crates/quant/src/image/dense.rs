//! Convolutions in groups as dense ones, with zeros for the channels of other groups: the vector unit's kernels
//! know no groups, and the portable kernel takes a hundred times as long. Sums are exact, so that products with
//! zero change no bit, and no bound either.

use super::encode::encode;
use super::linear::{Lowered, lower};
use super::plan::Plan;
use super::range::Ranges;
use super::{
    Arithmetic, BuildError, Element, ImageBuilder, Linear, MODEL_ROOM, NEAR_ROOM, Node, Op,
};

/// Cycles of the vector unit for ten products at most: 0.09 to 0.3 instructions each (`cargo xtask bench device`).
pub(super) const VECTOR_TEN_PRODUCTS: u64 = 3;
/// Cycles for a byte that has to come from flash or PSRAM (`fixpoint_emulator`'s cache
/// model waits for about six).
pub(super) const FAR_BYTE: u64 = 6;

/// Cycles of the portable kernel for a product, of which it computes a whole block also where a group has fewer
/// channels: the least that `fixpoint predict` shows for groups of one block and more.
fn portable_product(element: Element) -> u64 {
    match element {
        Element::I8 => 8,
        Element::I16 => 22,
    }
}

/// A layer that could be dense.
struct Candidate {
    node: usize,
    dense: Lowered,
    /// Bytes that the image grows by.
    bytes: u64,
    /// Cycles that are saved if weights are in internal memory, and if they are not.
    near: i64,
    far: i64,
}

/// Puts dense layers in the place of those with groups that they are faster than, as long as the image fits its
/// place: those first that save most for their bytes.
pub(super) fn spread(
    builder: &ImageBuilder,
    ranges: &Ranges,
    lowered: &mut [Option<Lowered>],
    plan: &Plan,
) -> Result<(), BuildError> {
    if builder.arithmetic != Arithmetic::Fixpoint || !builder.dense_groups {
        return Ok(());
    }
    let mut candidates = Vec::new();
    for (index, node) in builder.nodes.iter().enumerate() {
        if let Some(grouped) = &lowered[index] {
            candidates.extend(candidate(builder, ranges, index, node, grouped)?);
        }
    }
    if candidates.is_empty() {
        return Ok(());
    }
    candidates.sort_by_key(|candidate| -candidate.near / candidate.bytes.max(1) as i64);
    let grouped: Vec<_> = lowered.iter().map(Option::as_ref).collect();
    let mut image = encode(builder, &grouped, plan, false)?.len() as u64;
    for candidate in candidates {
        let grown = image + candidate.bytes;
        let saved = match grown + plan.bytes <= NEAR_ROOM.into() {
            true => candidate.near,
            false => candidate.far,
        };
        if saved > 0 && grown <= MODEL_ROOM.into() {
            image = grown;
            lowered[candidate.node] = Some(candidate.dense);
        }
    }
    Ok(())
}

/// The layer without groups, if it has some and the vector unit takes it then.
fn candidate(
    builder: &ImageBuilder,
    ranges: &Ranges,
    index: usize,
    node: &Node,
    grouped: &Lowered,
) -> Result<Option<Candidate>, BuildError> {
    let Op::Conv2d {
        linear,
        window,
        groups: groups @ 2..,
    } = &node.op
    else {
        return Ok(None);
    };
    let input = builder.def(node.inputs[0]);
    let width = u64::from(input.element.bytes());
    let (weights, lanes) = (linear.weights.len() as u64, grouped.weights.len() as u64);
    let all = weights.saturating_mul(*groups as u64);
    // What can't fit isn't even made.
    if all.saturating_mul(width) > MODEL_ROOM.into() {
        return Ok(None);
    }
    let dense = Node {
        op: Op::Conv2d {
            linear: Linear {
                weights: dense(
                    &linear.weights,
                    linear.bias.len(),
                    *groups,
                    input.channels(),
                ),
                ..linear.clone()
            },
            window: *window,
            groups: 1,
        },
        ..node.clone()
    };
    let Some(dense) = lower(builder, ranges, &dense)?.filter(|dense| dense.records.each > 0) else {
        return Ok(None);
    };
    let output = builder.def(node.output);
    let pixels = output.elements() / linear.bias.len().max(1) as u64;
    let bytes = (dense.weights.len() as u64).saturating_mul(width);
    let cycles = |count: u64, each: u64| count.saturating_mul(pixels).saturating_mul(each) as i64;
    let near = cycles(lanes, portable_product(input.element))
        - cycles(dense.weights.len() as u64, VECTOR_TEN_PRODUCTS) / 10;
    Ok(Some(Candidate {
        node: index,
        near,
        far: near - bytes.saturating_mul(FAR_BYTE) as i64,
        bytes: (bytes + dense.records.bytes.len() as u64).saturating_sub(lanes * width),
        dense,
    }))
}

/// `[O][KH KW][I/groups]` to `[O][KH KW][I]`.
fn dense(weights: &[i16], outputs: usize, groups: usize, inputs: Option<usize>) -> Vec<i16> {
    let (inputs, members) = (inputs.unwrap_or(0), outputs / groups);
    let (inner, row) = (inputs / groups, weights.len() / outputs.max(1));
    let mut all = Vec::with_capacity(weights.len() * groups);
    for (output, weights) in weights.chunks_exact(row.max(1)).enumerate() {
        let before = output / members * inner;
        for tap in weights.chunks_exact(inner.max(1)) {
            let start = all.len();
            all.resize(start + before, 0);
            all.extend(tap);
            all.resize(start + inputs, 0);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Shifts, Storage, TensorDef, Window};
    use fixpoint_runtime::AlignedBytes;

    /// Multiply-accumulates of a layer in `groups` as it is in the image, and the image's bytes.
    fn written(channels: usize, groups: usize, size: usize, dense: bool) -> (u64, usize) {
        let tensor = |name: &str| TensorDef {
            name: name.to_owned(),
            dims: vec![1, channels, size, size],
            storage: Storage::ChannelsLast,
            element: Element::I8,
            exponent: 0,
        };
        let mut builder = ImageBuilder::new("grouped", Arithmetic::Fixpoint);
        let x = builder.input(tensor("x"));
        let linear = Linear {
            weights: vec![1; channels * channels / groups],
            bias: vec![0; channels],
            shifts: Shifts::PerTensor(8),
            activation: crate::image::Activation::None,
            accumulator: None,
        };
        let op = Op::Conv2d {
            linear,
            window: Window::new(1, 1),
            groups,
        };
        let y = builder.op("layer", op, &[x], tensor("y"));
        builder.output(y);
        builder.dense_groups(dense);
        let bytes = builder.to_bytes().unwrap();
        let image = AlignedBytes::new(&bytes);
        let model = fixpoint_runtime::Model::parse(image.as_ref()).unwrap();
        (model.layers().map(|layer| layer.macs).sum(), bytes.len())
    }

    #[test]
    fn layers_are_dense_where_that_pays_and_fits() {
        let macs = |channels, groups, size| written(channels, groups, size, true).0;
        assert_eq!(macs(64, 4, 8), 64 * 64 * 64);
        assert_eq!(written(64, 4, 8, false).0, 64 * 64 * 64 / 4);
        // As many products as that are not worth it: 8 cycles for each of the group's, 0.3 for each of all.
        assert_eq!(macs(512, 16, 2), 4 * 512 * 512);
        assert_eq!(macs(512, 32, 2), 4 * 512 * 512 / 32);
        // One pixel of weights that have no room in internal memory.
        assert_eq!(macs(1024, 2, 1), 1024 * 1024 / 2);
        // 1,440,000 bytes fit, 1,638,400 don't.
        let (all, bytes) = written(1200, 4, 4, true);
        assert_eq!(all, 16 * 1200 * 1200);
        assert!(bytes <= MODEL_ROOM as usize);
        assert_eq!(macs(1280, 4, 4), 16 * 1280 * 1280 / 4);
    }

    #[test]
    fn zeros_stand_for_the_channels_of_other_groups() {
        // Two groups of two inputs and one output, two taps.
        let weights = [1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(
            dense(&weights, 2, 2, Some(4)),
            [1, 2, 0, 0, 3, 4, 0, 0, 0, 0, 5, 6, 0, 0, 7, 8]
        );
        // Three of one input and two outputs each.
        assert_eq!(
            dense(&[1, 2, 3, 4, 5, 6], 6, 3, Some(3)),
            [1, 0, 0, 2, 0, 0, 0, 3, 0, 0, 4, 0, 0, 0, 5, 0, 0, 6]
        );
    }
}
