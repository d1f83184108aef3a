//! What each ONNX operator means here: its attributes checked, the shape of its output, or why it
//! can't be quantized.

mod refusal;
mod shapes;
mod window;

use crate::graph::{Data, Graph, Node};

pub(crate) use refusal::Refusal;
use refusal::{refuse, unsupported_op};
pub(crate) use shapes::{
    broadcast, fits, infer_shapes, macs, pad_amounts, reduce_axes, reshaped_dims,
};
pub(crate) use window::Window;

/// A checked operator.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    Conv(Window),
    DepthwiseConv(Window),
    /// y = x W + b with W `[inputs][outputs]`, or `[outputs][inputs]` when `trans_b`.
    Gemm {
        trans_b: bool,
    },
    MaxPool(Window),
    AveragePool {
        window: Window,
        count_pads: bool,
    },
    GlobalMaxPool,
    GlobalAveragePool,
    Add,
    Relu,
    /// Negative values times a constant: one, or one per channel.
    LeakyRelu,
    PRelu,
    Softmax {
        axis: usize,
    },
    /// The same elements in row-major order under another shape.
    Reshape,
    Transpose {
        perm: Vec<usize>,
    },
}

type Resolved = (Op, Vec<usize>);

/// Checks a node and works out its output shape. Shapes of its inputs must be in the graph.
pub(crate) fn resolve(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let (op, dims) = checked(graph, node)?;
    if !shapes::fits(&dims) {
        return refuse(format!(
            "its output {dims:?} is too large for any device this is for."
        ));
    }
    Ok((op, dims))
}

fn checked(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    if node.outputs.is_empty() || node.outputs[0].is_empty() {
        return refuse("it has no output. Export the model again.");
    }
    match node.op.as_str() {
        "Conv" => window::conv(graph, node),
        "Gemm" => gemm(graph, node),
        "MaxPool" => window::max_pool(graph, node),
        "AveragePool" => window::average_pool(graph, node),
        "GlobalAveragePool" => Ok((Op::GlobalAveragePool, window::global(graph, node)?)),
        "GlobalMaxPool" => Ok((Op::GlobalMaxPool, window::global(graph, node)?)),
        "Add" => add(graph, node),
        "Relu" => Ok((Op::Relu, data_input(graph, node)?.to_vec())),
        "LeakyRelu" => leaky_relu(graph, node),
        "PRelu" => prelu(graph, node),
        "Softmax" => softmax(graph, node),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => reshape(graph, node),
        "Transpose" => transpose(graph, node),
        _ => refuse(unsupported_op(graph, node)),
    }
}

/// True for operators that [`resolve`] knows, whatever their attributes.
pub(crate) fn is_known(op: &str) -> bool {
    matches!(
        op,
        "Conv"
            | "Gemm"
            | "MaxPool"
            | "AveragePool"
            | "GlobalAveragePool"
            | "GlobalMaxPool"
            | "Add"
            | "Relu"
            | "LeakyRelu"
            | "PRelu"
            | "Softmax"
            | "Reshape"
            | "Flatten"
            | "Squeeze"
            | "Unsqueeze"
            | "Transpose"
    )
}

fn input_dims<'g>(graph: &'g Graph, node: &Node, i: usize) -> Result<&'g [usize], Refusal> {
    let Some(name) = node.input(i) else {
        return refuse(format!("its input {i} is missing. Export the model again."));
    };
    graph.shape(name).ok_or(Refusal::UnknownInput)
}

/// The first input's dims; must be computed, not constant, and have batch 1.
fn data_input<'g>(graph: &'g Graph, node: &Node) -> Result<&'g [usize], Refusal> {
    let dims = input_dims(graph, node, 0)?;
    if node
        .input(0)
        .is_some_and(|n| graph.constants.contains_key(n))
    {
        return refuse(
            "its input is a constant that could not be computed beforehand. Simplify the model \
             with onnxsim.",
        );
    }
    Ok(dims)
}

fn weights<'g>(
    graph: &'g Graph,
    node: &Node,
    i: usize,
) -> Result<(&'g [usize], &'g [f32]), Refusal> {
    let Some(name) = node.input(i) else {
        return refuse("its weights are missing. Export the model again.");
    };
    let Some(constant) = graph.constants.get(name) else {
        // Missing from the file: the import has said so.
        if graph.producer_of(name).is_none() && !graph.inputs.iter().any(|i| i == name) {
            return Err(Refusal::UnknownInput);
        }
        return refuse(format!(
            "its weights '{name}' are computed by other nodes. Only stored weights are supported; \
             simplify the model with onnxsim."
        ));
    };
    match constant.as_floats() {
        Some(values) if values.iter().all(|v| v.is_finite()) => Ok((&constant.dims, values)),
        Some(_) => refuse(format!(
            "its weights '{name}' hold a value that is not a finite number. Train it again."
        )),
        None if matches!(constant.data, Data::Unreadable(_)) => Err(Refusal::UnknownInput),
        None => refuse(format!(
            "its weights '{name}' are not float32. Export the float model."
        )),
    }
}

fn check_bias(graph: &Graph, node: &Node, i: usize, outputs: usize) -> Result<(), Refusal> {
    if node.input(i).is_none() {
        return Ok(());
    }
    let (_, bias) = weights(graph, node, i)?;
    if bias.len() != outputs {
        return refuse(format!(
            "its bias has {} values for {outputs} outputs.",
            bias.len()
        ));
    }
    Ok(())
}

fn gemm(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let dims = data_input(graph, node)?;
    let &[1, k] = dims else {
        return refuse(format!(
            "its input has the shape {dims:?}; a flat (1, K) one is needed. Add a Flatten before it."
        ));
    };
    if node.int("transA", 0) != 0 {
        return refuse("a transposed input (transA) is not supported.");
    }
    if node.float("alpha", 1.0) != 1.0 || node.float("beta", 1.0) != 1.0 {
        return refuse("alpha and beta other than 1 could not be folded into its weights.");
    }
    let trans_b = node.int("transB", 0) != 0;
    let (dims, _) = weights(graph, node, 1)?;
    let (inputs, outputs) = match (dims, trans_b) {
        (&[i, o], false) => (i, o),
        (&[o, i], true) => (i, o),
        _ => return refuse(format!("its weights have the shape {dims:?}.")),
    };
    if inputs != k || outputs == 0 {
        return refuse(format!(
            "its weights take {inputs} values, its input has {k}."
        ));
    }
    check_bias(graph, node, 2, outputs)?;
    Ok((Op::Gemm { trans_b }, vec![1, outputs]))
}

fn add(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let a = input_dims(graph, node, 0)?;
    let b = input_dims(graph, node, 1)?;
    for i in 0..2 {
        let name = node.input(i).unwrap_or("");
        if graph.constants.contains_key(name) {
            return refuse(format!(
                "adding the constant '{name}' is supported only as the bias directly after a \
                 convolution or dense layer."
            ));
        }
    }
    if a != b {
        return refuse(format!(
            "its operands have different shapes, {a:?} and {b:?}; broadcasting is not supported yet."
        ));
    }
    Ok((Op::Add, a.to_vec()))
}

fn leaky_relu(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let alpha = node.float("alpha", 0.01);
    if !alpha.is_finite() || alpha < 0.0 {
        return refuse(format!("its alpha {alpha} is not a positive number."));
    }
    Ok((Op::LeakyRelu, data_input(graph, node)?.to_vec()))
}

fn prelu(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let dims = data_input(graph, node)?;
    let (_, slopes) = weights(graph, node, 1)?;
    let channels = dims.get(1).copied().unwrap_or(1);
    if slopes.len() != channels && slopes.len() != 1 {
        return refuse(format!(
            "it has {} slopes; one, or one for each of the {channels} channels is supported.",
            slopes.len()
        ));
    }
    Ok((Op::PRelu, dims.to_vec()))
}

fn softmax(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let dims = data_input(graph, node)?;
    let rank = dims.len() as i64;
    let default = if graph.opset >= 13 { -1 } else { 1 };
    let axis = node.int("axis", default);
    let axis = if axis < 0 { axis + rank } else { axis };
    if !(0..rank).contains(&axis) {
        return refuse(format!("its axis {axis} is outside its input."));
    }
    let axis = axis as usize;
    if graph.opset < 13 && dims[axis + 1..].iter().any(|d| *d != 1) {
        return refuse(
            "softmax over several dimensions at once (opset below 13) is not supported. Export \
             with opset 13.",
        );
    }
    Ok((Op::Softmax { axis }, dims.to_vec()))
}

fn transpose(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let dims = data_input(graph, node)?;
    let perm = match node.ints("perm") {
        Some(p) => p.to_vec(),
        None => (0..dims.len() as i64).rev().collect(),
    };
    let mut seen = vec![false; dims.len()];
    for &p in &perm {
        match usize::try_from(p).ok().and_then(|p| seen.get_mut(p)) {
            Some(s) if !*s => *s = true,
            _ => {
                return refuse(format!(
                    "its perm {perm:?} does not fit its input {dims:?}."
                ));
            }
        }
    }
    if perm.len() != dims.len() {
        return refuse(format!(
            "its perm {perm:?} does not fit its input {dims:?}."
        ));
    }
    let perm: Vec<usize> = perm.iter().map(|p| *p as usize).collect();
    let out = perm.iter().map(|p| dims[*p]).collect();
    Ok((Op::Transpose { perm }, out))
}

fn reshape(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let dims = data_input(graph, node)?;
    let out = reshaped_dims(graph, node, dims)?;
    if out.iter().product::<usize>() != dims.iter().product::<usize>() {
        return refuse(format!(
            "the shape {out:?} doesn't hold the elements of {dims:?}. Only the batch dimension may \
             be left open."
        ));
    }
    Ok((Op::Reshape, out))
}
