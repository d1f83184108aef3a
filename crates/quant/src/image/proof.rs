//! What can be proved of a layer's sums, for the chip's vector unit (see [`fixpoint_vector`]).

use super::{
    Accumulator, Activation, Arithmetic, Element, ImageBuilder, Node, Op, Source, TensorId,
};
use fixpoint_runtime::format::Sums;
use fixpoint_vector::{Channel, prove};

/// One channel for each bias and shift; `weights` one channel after another, each in the order of
/// its products. Biases have their rounding constants.
pub(super) fn sums(
    builder: &ImageBuilder,
    node: &Node,
    accumulator: Accumulator,
    weights: &[i16],
    bias: &[i64],
    shifts: &[i32],
) -> Sums {
    let (rows, depthwise) = match &node.op {
        Op::Conv2d {
            window, groups: 1, ..
        } => (window.kernel_h.into(), false),
        Op::FullyConnected { .. } => (1, false),
        Op::DepthwiseConv2d { window, .. } => (window.kernel_h.into(), true),
        _ => return Sums::Unproved,
    };
    if builder.arithmetic != Arithmetic::Fixpoint {
        return Sums::Unproved;
    }
    let [input] = node.inputs[..] else {
        return Sums::Unproved;
    };
    match builder.def(input).element {
        Element::I16 if accumulator == Accumulator::Bits64 => Sums::Unproved,
        Element::I16 => Sums::Whole,
        Element::I8 => {
            let each = (weights.len() / bias.len().max(1)).max(1);
            let channels: Vec<Channel<'_>> = (weights.chunks_exact(each).zip(bias).zip(shifts))
                .map(|((weights, bias), shift)| Channel {
                    weights,
                    bias: *bias,
                    shift: *shift,
                })
                .collect();
            prove(&channels, rows, not_negative(builder, input), depthwise)
        }
    }
}

/// Whether no element of a tensor can be negative, by what made it.
fn not_negative(builder: &ImageBuilder, id: TensorId) -> bool {
    if let Source::Constant(values) = &builder.tensors[id.0].1 {
        return values.iter().all(|value| *value >= 0);
    }
    let Some(node) = builder.nodes.iter().find(|node| node.output == id) else {
        return false;
    };
    let inputs = || (node.inputs.iter()).all(|input| not_negative(builder, *input));
    let rectified = |activation: &Activation| match activation {
        Activation::Relu => true,
        Activation::Clip { low, .. } => *low >= 0,
        _ => false,
    };
    match &node.op {
        Op::Conv2d { linear, .. }
        | Op::ConvTranspose2d { linear, .. }
        | Op::DepthwiseConv2d { linear, .. }
        | Op::FullyConnected { linear } => rectified(&linear.activation),
        Op::Binary { activation, .. } => rectified(activation),
        Op::Requantize { activation } => {
            rectified(activation) || *activation == Activation::None && inputs()
        }
        Op::Lookup { table } => table.iter().all(|value| *value >= 0),
        Op::Softmax { .. } => true,
        Op::AveragePool { .. } | Op::GlobalAveragePool | Op::Reshape | Op::Concat { .. } => {
            inputs()
        }
        Op::Rearrange(rearrange) => rearrange.fill >= 0 && inputs(),
        // A window with nothing but padding gives the smallest value.
        Op::MaxPool { window } => {
            let reached = window.dilation_h == 1
                && window.dilation_w == 1
                && window.pad_top.max(window.pad_bottom) < window.kernel_h
                && window.pad_left.max(window.pad_right) < window.kernel_w;
            reached && inputs()
        }
        _ => false,
    }
}
