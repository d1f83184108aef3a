//! Operators that work element by element.

use super::{
    Function, Op, Refusal, Resolved, broadcast, data_input, input_dims, refuse, scalar, weights,
};
use crate::graph::{Graph, Node};

/// Arithmetic of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Sub,
    Mul,
    Max,
    Min,
}

impl Binary {
    /// The operator of that name.
    pub(crate) fn of(op: &str) -> Option<Binary> {
        Some(match op {
            "Add" => Binary::Add,
            "Sub" => Binary::Sub,
            "Mul" => Binary::Mul,
            "Max" => Binary::Max,
            "Min" => Binary::Min,
            _ => return None,
        })
    }

    pub(crate) fn at(self, a: f64, b: f64) -> f64 {
        match self {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Max => a.max(b),
            Binary::Min => a.min(b),
        }
    }
}

pub(super) fn binary(graph: &Graph, node: &Node, op: Binary) -> Result<Resolved, Refusal> {
    if node.inputs.len() != 2 {
        return refuse(format!(
            "it has {} operands; two are supported.",
            node.inputs.len()
        ));
    }
    let a = input_dims(graph, node, 0)?;
    let b = input_dims(graph, node, 1)?;
    let fixed =
        [0, 1].map(|i| (node.input(i)).is_some_and(|name| graph.constants.contains_key(name)));
    if fixed == [true, true] {
        return refuse(
            "both its operands are constants that could not be computed beforehand. Simplify the \
             model with onnxsim.",
        );
    }
    for i in (0..2).filter(|i| fixed[*i]) {
        weights(graph, node, i)?;
    }
    match broadcast(a, b) {
        Some(dims) => Ok((Op::Binary(op), dims)),
        None => refuse(format!(
            "its operands {a:?} and {b:?} can't be broadcast to one shape."
        )),
    }
}

/// Division: a function where one operand is a single number. By other constants it is a product
/// by the time it gets here.
pub(super) fn div(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let (a, b) = (input_dims(graph, node, 0)?, input_dims(graph, node, 1)?);
    let single = [0, 1].map(|i| node.input(i).and_then(|n| scalar(graph, n)));
    match single {
        [None, Some(0.0)] => refuse("it divides by zero."),
        [None, Some(_)] | [Some(_), None] => match broadcast(a, b) {
            Some(dims) => Ok((Op::Quotient, dims)),
            None => refuse("its operands can't be broadcast to one shape."),
        },
        _ if (node.input(1)).is_some_and(|n| graph.constants.contains_key(n)) => {
            weights(graph, node, 1)?;
            refuse("it divides by zero, or divides a constant.")
        }
        _ => refuse(
            "division by a computed tensor is not supported; by a constant it is. Leave the \
             normalisation out of the model.",
        ),
    }
}

/// A function of one number, from its table.
pub(super) fn function(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let dims = data_input(graph, node)?;
    match Function::of(graph, node) {
        Some(f) => Ok((Op::Function(f), dims.to_vec())),
        None if node.op == "Clip" => refuse(
            "its limits are computed by other nodes, or are not single numbers. Export them as \
             constants.",
        ),
        None => refuse("its second operand is not a single constant number."),
    }
}

pub(super) fn leaky_relu(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let alpha = node.float("alpha", 0.01);
    if !alpha.is_finite() || alpha < 0.0 {
        return refuse(format!("its alpha {alpha} is not a positive number."));
    }
    Ok((Op::LeakyRelu, data_input(graph, node)?.to_vec()))
}

pub(super) fn prelu(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let dims = data_input(graph, node)?;
    let (slope_dims, slopes) = weights(graph, node, 1)?;
    let channels = dims.get(1).copied().unwrap_or(1);
    // (C, 1, 1) and the like: aligned with the channels when written behind each other.
    let channel_axis = |d: usize| d + dims.len() == slope_dims.len() + 1;
    let per_channel = slopes.len() == channels
        && (slope_dims.iter().enumerate()).all(|(d, n)| *n == 1 || channel_axis(d));
    if slopes.len() != 1 && !per_channel {
        return refuse(format!(
            "it has slopes of shape {slope_dims:?}; one, or one for each of the {channels} \
             channels is supported."
        ));
    }
    Ok((Op::PRelu, dims.to_vec()))
}
