//! Why a node can't be quantized, in words.

use crate::graph::{Graph, Node};

/// Why a node has no [`Op`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Refusal {
    /// The node itself can't be quantized; the sentence says why and what to do.
    Unsupported(String),
    /// An earlier node's output has no known shape, so nothing can be said about this one.
    UnknownInput,
}

pub(super) fn refuse<T>(why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Unsupported(why.into()))
}

pub(super) fn unsupported_op(graph: &Graph, node: &Node) -> String {
    let advice = match node.op.as_str() {
        "MatMul" => {
            let constant = node
                .input(1)
                .is_some_and(|w| graph.constants.contains_key(w));
            return if constant {
                "only a matrix product of a (1, K) tensor with a 2-D weight is supported. Flatten \
                 its input first."
                    .to_owned()
            } else {
                "a matrix product of two computed tensors is not supported yet. Only fixed \
                 weights are."
                    .to_owned()
            };
        }
        "BatchNormalization" => {
            "its parameters could not be folded into the layer before it. Put it directly after a \
             convolution or a dense layer, and export in inference mode."
        }
        "Pad" => {
            "padding that can't be merged into the next convolution or pooling is not supported \
             yet. Use constant zero padding directly before a Conv."
        }
        "Clip" => {
            "clipping (ReLU6) is not supported yet. Train with plain ReLU, or replace it before \
             export."
        }
        "QuantizeLinear" | "DequantizeLinear" | "QLinearConv" | "QLinearMatMul" | "ConvInteger" => {
            "the model is already quantized. Export the float model instead."
        }
        "If" | "Loop" | "Scan" => {
            "control flow can't be quantized. Export the model in inference mode and simplify it \
             with onnxsim."
        }
        "Shape" | "Gather" | "Cast" | "Slice" | "Concat" => {
            "this operator is supported only where it works on constants (shape arithmetic). \
             Simplify the model with onnxsim, or remove it."
        }
        _ => "this operator is not supported yet. Remove or replace it before export.",
    };
    advice.to_owned()
}
