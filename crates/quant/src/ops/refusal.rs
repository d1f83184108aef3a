//! Why a node can't be quantized, in words.

use crate::graph::Node;
use crate::quantized::is_quantized_op;

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

pub(super) fn unsupported_op(node: &Node) -> String {
    let advice = match node.op.as_str() {
        "BatchNormalization" => {
            "its parameters are not stored, or it is in training mode. Export the model in \
             inference mode."
        }
        "Dropout" => {
            "it is in training mode, or its mask is an output. Export the model in inference mode."
        }
        "LSTM" | "GRU" => {
            "it is written out step by step, which takes a fixed sequence of at most 64 steps, batch 1, \
             stored weights, the usual functions and no peepholes."
        }
        "Split" => "its parts are computed at run time, or don't add up. Simplify it with onnxsim.",
        "LayerNormalization" | "InstanceNormalization" => {
            "its scale and bias are computed by other nodes. Only stored ones are supported."
        }
        op if is_quantized_op(op) => {
            "what its integers stand for can't be told. Export the float model instead."
        }
        "If" | "Loop" | "Scan" => {
            "control flow can't be quantized. Export the model in inference mode and simplify it \
             with onnxsim."
        }
        "Ceil" | "Floor" | "Round" | "Sign" => {
            "functions that jump can't be interpolated in int16. Remove it, or do it after the model."
        }
        "Shape" | "Cast" => {
            "this operator is supported only where it works on constants (shape arithmetic). \
             Simplify the model with onnxsim, or remove it."
        }
        _ => "this operator is not supported yet. Remove or replace it before export.",
    };
    advice.to_owned()
}
