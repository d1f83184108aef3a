//! Why a node can't be quantized, in words.

use super::WRITTEN_OUT;
use crate::graph::{Graph, Node};
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

/// Why a node is refused that no operator here is.
pub(super) fn unsupported_op(graph: &Graph, node: &Node) -> Refusal {
    let op = node.op.as_str();
    let dims = node.input(0).and_then(|name| graph.shape(name));
    let advice = match (op, dims) {
        ("Shape" | "Cast", None) => return Refusal::UnknownInput,
        (op, None) if WRITTEN_OUT.contains(&op) => return Refusal::UnknownInput,
        ("LayerNormalization" | "InstanceNormalization", Some(dims)) => normalization(node, dims),
        ("Split", Some(dims)) => split(graph, node, dims),
        (op, Some(dims)) if WRITTEN_OUT.contains(&op) => format!(
            "its attributes don't fit its input {dims:?}, or are computed at run time. Simplify the model with onnxsim."
        ),
        _ => advice(op).to_owned(),
    };
    Refusal::Unsupported(advice)
}

fn normalization(node: &Node, dims: &[usize]) -> String {
    let rank = dims.len();
    if node.op == "InstanceNormalization" && rank < 3 {
        return format!(
            "its input {dims:?} has nothing behind the channels to normalise; (1, C, L) or (1, C, H, W) is needed."
        );
    }
    let axis = node.int("axis", -1);
    if node.op == "LayerNormalization" && rank == 0 {
        return "its input is a single number, which has no axis to normalise. Take it out of the model.".to_owned();
    }
    if node.op == "LayerNormalization" && !(-(rank as i64)..rank as i64).contains(&axis) {
        return format!("its axis {axis} is outside its input {dims:?}.");
    }
    match node.input(1) {
        None => "its scale is missing. Export the model again.".to_owned(),
        Some(_) => "its scale or bias is computed by other nodes, or not float32. Only stored ones are supported."
            .to_owned(),
    }
}

fn split(graph: &Graph, node: &Node, dims: &[usize]) -> String {
    let sizes = match node.input(1) {
        Some(name) => graph.int_values(name),
        None => node.ints("split"),
    };
    match sizes {
        Some(sizes) => format!(
            "its {} parts {sizes:?} don't add up to its axis {} of {dims:?}.",
            node.outputs.len(),
            node.int("axis", 0)
        ),
        None => "its parts are computed at run time, or its axis is outside its input. Simplify the model with onnxsim."
            .to_owned(),
    }
}

fn advice(op: &str) -> &'static str {
    match op {
        "BatchNormalization" => {
            "its parameters are not stored, or it is in training mode. Export the model in \
             inference mode."
        }
        "Dropout" => {
            "it is in training mode, or its mask is an output. Export the model in inference mode."
        }
        op if is_quantized_op(op) => {
            "what its integers stand for can't be told. Export the float model instead."
        }
        "If" | "Loop" | "Scan" => {
            "control flow can't be quantized. Export the model in inference mode and simplify it \
             with onnxsim."
        }
        "Shape" | "Cast" => {
            "this operator is supported only where it works on constants (shape arithmetic). \
             Simplify the model with onnxsim, or remove it."
        }
        _ => "this operator is not supported yet. Remove or replace it before export.",
    }
}
