//! Operators that take several elements together: reductions, arg-max, softmax.

use super::{Op, Refusal, Resolved, axis_of, data_input, reduce_axes, refuse};
use crate::graph::{Graph, Node};

/// What a reduction makes of its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reduction {
    Mean,
    Sum,
    Max,
    Min,
}

impl Reduction {
    /// The operator of that name.
    pub(crate) fn of(op: &str) -> Option<Reduction> {
        Some(match op {
            "ReduceMean" => Reduction::Mean,
            "ReduceSum" => Reduction::Sum,
            "ReduceMax" => Reduction::Max,
            "ReduceMin" => Reduction::Min,
            _ => return None,
        })
    }
}

pub(super) fn reduce(graph: &Graph, node: &Node, kind: Reduction) -> Result<Resolved, Refusal> {
    let dims = data_input(graph, node)?;
    let Some((axes, keep)) = reduce_axes(graph, node, dims.len()) else {
        return refuse(
            "its axes are computed at run time or outside its input. Simplify the model with \
             onnxsim.",
        );
    };
    let out = super::reduced(dims, &axes, keep);
    Ok((Op::Reduce { kind, axes }, out))
}

pub(super) fn arg_max(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let dims = data_input(graph, node)?;
    let axis = axis_of(node, "axis", 0, dims.len())?;
    if node.int("select_last_index", 0) != 0 {
        return refuse("the last of several equal maxima (select_last_index) is not supported.");
    }
    let out = super::reduced(dims, &[axis], node.int("keepdims", 1) != 0);
    Ok((Op::ArgMax { axis }, out))
}

pub(super) fn softmax(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let dims = data_input(graph, node)?;
    let default = if graph.opset >= 13 { -1 } else { 1 };
    let axis = axis_of(node, "axis", default, dims.len())?;
    Ok((Op::Softmax { axis }, dims.to_vec()))
}
