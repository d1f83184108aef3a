//! What `fixpoint inspect` and the page show about a model before it is quantized.

use serde::{Deserialize, Serialize};

use crate::sizes::OpenSize;

/// The graph as it is in the file, what the passes did, and the graph that will be quantized.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inspection {
    pub name: String,
    pub producer: String,
    pub opset: i64,
    pub inputs: Vec<ValueInfo>,
    pub outputs: Vec<ValueInfo>,
    /// Weights and biases in the file, in elements.
    pub parameters: u64,
    pub macs: u64,
    /// The file's nodes in order.
    pub original: Vec<NodeInfo>,
    /// The nodes after the passes, in execution order.
    pub nodes: Vec<NodeInfo>,
    /// Every pass in the order it ran, those that changed nothing included.
    pub passes: Vec<PassInfo>,
    /// How the file is quantized already; None for a float model.
    pub quantization: Option<Quantization>,
    /// Sizes that the file leaves open.
    pub open: Vec<OpenSize>,
    /// What stands in the way of quantizing, one explained sentence each; empty when nothing does.
    pub problems: Vec<String>,
}

/// What the file of an already quantized model is like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantization {
    /// QDQ, QLinear or dynamic.
    pub form: String,
    /// The scheme in words; of one that isn't ours a tensor that shows it.
    pub scheme: String,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of a quantized model's integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Exponents and weights are used as they are.
    Taken,
    /// Only the values of the weights are kept; everything is quantized anew.
    Requantized,
    /// Neither yet: the scheme is not ours, and quantizing anew wasn't asked for.
    Refused,
}

/// A tensor by name; `dims` in ONNX order with batch 1, None where it could not be worked out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValueInfo {
    pub name: String,
    pub dims: Option<Vec<usize>>,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeInfo {
    pub name: String,
    pub op: String,
    /// Names of the tensors read, constants included.
    pub inputs: Vec<String>,
    pub outputs: Vec<ValueInfo>,
    pub macs: u64,
    pub supported: bool,
    /// Why not, and what to do.
    pub reason: Option<String>,
}

/// One graph pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PassInfo {
    pub name: String,
    /// What the pass is for.
    pub description: String,
    /// One line for every change it made.
    pub changes: Vec<String>,
    /// Nodes in the graph when it began and when it was done.
    pub nodes_before: usize,
    pub nodes_after: usize,
}
