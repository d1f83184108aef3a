//! Models that are quantized already: QDQ (QuantizeLinear and DequantizeLinear around float
//! operators), QLinear (operators on integers), and what has no scale until it runs
//! (DynamicQuantizeLinear with MatMulInteger or ConvInteger).
//!
//! [`read`] turns any of them into a graph of float operators, as if the model had never been
//! quantized but for its weights, which keep the values that the integers stand for. Where the
//! scheme is ours (signed integers around zero point 0, powers of two as scales), the exponents go
//! into [`Graph::given`] and are used as they are: every tensor that the file rounds is rounded
//! there and nowhere else, and the weights are the file's integers. Any other scheme is an error
//! that can be answered by asking to quantize anew, from the same graph.
//!
//! int8 and int16 in one file become int16, with what is int8 clamped to its range. Where weights alone
//! are integers they are kept, and the rest is calibrated.
//!
//! # Where results differ from other runtimes
//!
//! A layer of ours sums exactly and rounds once, half up. ONNX's QuantizeLinear rounds half to even;
//! onnxruntime computes `sum * scale` in float32 before it does. So a result that lies exactly
//! between two integers (one in 2^s, where s is the layer's shift) comes out one higher here when
//! the lower one is even. Tables (Sigmoid, Tanh, ...) round half to even like ONNX. Softmax and
//! linear Resize are integer algorithms and may differ by a step; so may a LeakyRelu or PRelu whose
//! slope the integers can't hold.

mod qlinear;
mod reader;
mod scheme;
mod settle;

use std::collections::BTreeMap;

use tract_onnx::pb::tensor_proto::DataType;

use crate::graph::Graph;
use crate::import;
use reader::Reader;
pub(crate) use settle::settle;

/// Types of the file's integer tensors by name: stored ones and inputs.
pub(crate) type Types = BTreeMap<String, DataType>;

/// What [`read`] found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// None for a float model.
    pub(crate) form: Option<Form>,
    /// The scheme in words.
    pub(crate) scheme: String,
    /// What stands in the way of taking the model as it is.
    pub(crate) problems: Vec<String>,
    /// One line for each operator that was taken apart.
    pub(crate) changes: Vec<String>,
    /// The file's tensor names, where the graph now has another.
    pub(crate) alias: BTreeMap<String, String>,
}

/// How a file is quantized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// QuantizeLinear and DequantizeLinear around float operators.
    Qdq,
    /// Operators on integers.
    QLinear,
    /// Scales found while it runs.
    Dynamic,
}

impl Form {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Form::Qdq => "QDQ",
            Form::QLinear => "QLinear",
            Form::Dynamic => "dynamic",
        }
    }
}

/// True for operators that only quantized models have.
pub(crate) fn is_quantized_op(op: &str) -> bool {
    let op = bare(op);
    matches!(
        op,
        "QuantizeLinear"
            | "DequantizeLinear"
            | "DynamicQuantizeLinear"
            | "MatMulInteger"
            | "ConvInteger"
    ) || qlinear::of(op).is_some()
}

/// An operator's name without onnxruntime's domain, which has the same operators for more types.
fn bare(op: &str) -> &str {
    op.strip_prefix("com.microsoft.").unwrap_or(op)
}

/// Rewrites a quantized graph; a float one stays as it is. `anew`: the scheme is forgotten, the
/// weights are kept.
pub(crate) fn read(graph: &mut Graph, types: &Types, anew: bool) -> Found {
    if !graph.nodes.iter().any(|n| is_quantized_op(&n.op)) {
        let unscaled = graph.inputs.iter().filter(|n| types.contains_key(*n));
        return Found {
            problems: unscaled.map(|n| import::not_float(n)).collect(),
            ..Found::default()
        };
    }
    Reader::new(graph, types, anew).run()
}
