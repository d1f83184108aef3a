//! What can be proved of a layer's sums, for the chip's vector unit (see [`fixpoint_vector`]).

use super::range::Range;
use super::{Accumulator, Arithmetic, Element, ImageBuilder, Node, Op};
use fixpoint_runtime::format::Sums;
use fixpoint_vector::{Channel, prove};

/// What is proved of a layer's sums.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) layer: Sums,
    /// Of each block by itself, whether lanes hold all of its sums.
    pub(super) whole: Vec<bool>,
}

/// One channel for each bias and shift; `weights` one channel after another, each in the order of
/// its products. Biases have their rounding constants; elements of the input are in `range`.
pub(super) fn sums(
    builder: &ImageBuilder,
    node: &Node,
    range: Range,
    accumulator: Accumulator,
    weights: &[i16],
    bias: &[i64],
    shifts: &[i32],
) -> Proof {
    let same = |layer| Proof {
        layer,
        whole: Vec::new(),
    };
    let (rows, depthwise) = match &node.op {
        Op::Conv2d {
            window, groups: 1, ..
        } => (window.kernel_h.into(), false),
        Op::FullyConnected { .. } => (1, false),
        Op::DepthwiseConv2d { window, .. } => (window.kernel_h.into(), true),
        _ => return same(Sums::Unproved),
    };
    if builder.arithmetic != Arithmetic::Fixpoint {
        return same(Sums::Unproved);
    }
    let [input] = node.inputs[..] else {
        return same(Sums::Unproved);
    };
    match builder.def(input).element {
        Element::I16 if accumulator == Accumulator::Bits64 => same(Sums::Unproved),
        Element::I16 => same(Sums::Whole),
        Element::I8 => {
            let each = (weights.len() / bias.len().max(1)).max(1);
            let channels: Vec<Channel<'_>> = (weights.chunks_exact(each).zip(bias).zip(shifts))
                .map(|((weights, bias), shift)| Channel {
                    weights,
                    bias: *bias,
                    shift: *shift,
                })
                .collect();
            let prove = |channels| prove(channels, rows, range, depthwise);
            let lanes = Element::I8.lanes() as usize;
            Proof {
                layer: prove(&channels),
                whole: (channels.chunks(lanes))
                    .map(|block| prove(block) == Sums::Whole)
                    .collect(),
            }
        }
    }
}
