//! What each ONNX operator means here: its attributes checked, the shape of its output, or why it
//! can't be quantized.

mod elementwise;
mod function;
mod linear;
mod rearrange;
mod recurrent;
mod reduce;
mod refusal;
mod resample;
mod resize;
mod shapes;
mod window;

use crate::graph::{Data, Graph, Node};

pub(crate) use elementwise::Binary;
pub(crate) use function::{Function, scalar};
pub(crate) use linear::product_dims;
pub(crate) use rearrange::Selection;
pub(crate) use recurrent::{Recurrent, recurrent};
pub(crate) use reduce::Reduction;
pub(crate) use refusal::Refusal;
use refusal::{refuse, unsupported_op};
pub(crate) use resample::{Matrix, matrices};
pub(crate) use shapes::{
    broadcast, fits, infer_shapes, macs, pad_amounts, reduce_axes, reduced, reshaped_dims,
};
pub(crate) use window::{Transposed, Window};

/// A checked operator.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    /// Channels in `groups` groups that don't see each other.
    Conv {
        window: Window,
        groups: usize,
    },
    /// One filter for each channel.
    DepthwiseConv(Window),
    ConvTranspose(Transposed),
    /// y = x W + b for every row x, with W `[inputs][outputs]`, or `[outputs][inputs]` when
    /// `trans_b`.
    Gemm {
        trans_b: bool,
    },
    /// Of two computed tensors.
    MatMul,
    MaxPool(Window),
    AveragePool {
        window: Window,
        count_pads: bool,
    },
    GlobalMaxPool,
    GlobalAveragePool,
    /// Operands are broadcast; one of them may be a constant.
    Binary(Binary),
    Relu,
    /// The same elements, perhaps at another exponent.
    Identity,
    /// Negative values times a constant: one, or one per channel.
    LeakyRelu,
    PRelu,
    Function(Function),
    /// With a single number as one of the operands.
    Quotient,
    Softmax {
        axis: usize,
    },
    Reduce {
        kind: Reduction,
        axes: Vec<usize>,
    },
    ArgMax {
        axis: usize,
    },
    /// The same elements in row-major order under another shape.
    Reshape,
    Transpose {
        perm: Vec<usize>,
    },
    Concat {
        axis: usize,
    },
    /// Slice, Pad, Gather, Expand, Tile, Resize of the nearest: the same elements at other
    /// places. The input may lack leading dimensions of one.
    Select {
        axes: Selection,
        fill: f32,
    },
    /// For every output row and column the earlier one of two neighbours and the weight, 0 to 1,
    /// of the later one.
    ResizeLinear {
        rows: Vec<(usize, f64)>,
        columns: Vec<(usize, f64)>,
    },
    /// Channels to pixels; `columns_first`: the block's place is the faster part of the channel
    /// (mode CRD), otherwise the slower one (DCR).
    DepthToSpace {
        block: usize,
        columns_first: bool,
    },
    SpaceToDepth {
        block: usize,
    },
}

type Resolved = (Op, Vec<usize>);

/// Checks a node and works out its output shape. Shapes of its inputs must be in the graph.
pub(crate) fn resolve(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let (op, dims) = checked(graph, node)?;
    if dims.contains(&0) {
        return refuse(format!(
            "its output {dims:?} has no elements. Export the model with sizes that leave some, or take the node out."
        ));
    }
    if !shapes::fits(&dims) {
        return refuse(format!(
            "its output {dims:?} is too large for any device this is for."
        ));
    }
    Ok((op, dims))
}

fn checked(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let op = node.op.as_str();
    if node.output().is_empty() && (FUNCTIONS.contains(&op) || OPERATORS.contains(&op)) {
        return refuse("it has no output. Export the model again.");
    }
    if let Some(name) = empty_operand(graph, node) {
        return refuse(format!(
            "its operand '{name}' has no elements. Take it out of the model, or export the model again."
        ));
    }
    if let Some(binary) = Binary::of(op) {
        return elementwise::binary(graph, node, binary);
    }
    if let Some(reduction) = Reduction::of(op) {
        return reduce::reduce(graph, node, reduction);
    }
    match op {
        "Conv" => window::conv(graph, node),
        "ConvTranspose" => window::conv_transpose(graph, node),
        "Gemm" => linear::gemm(graph, node),
        "MatMul" => linear::matmul(graph, node),
        "MaxPool" => window::max_pool(graph, node),
        "AveragePool" => window::average_pool(graph, node),
        "GlobalAveragePool" => Ok((Op::GlobalAveragePool, window::global(graph, node)?)),
        "GlobalMaxPool" => Ok((Op::GlobalMaxPool, window::global(graph, node)?)),
        "Div" => elementwise::div(graph, node),
        "Relu" => Ok((Op::Relu, data_input(graph, node)?.to_vec())),
        "Identity" => Ok((Op::Identity, data_input(graph, node)?.to_vec())),
        "LeakyRelu" => elementwise::leaky_relu(graph, node),
        "PRelu" => elementwise::prelu(graph, node),
        "ArgMax" => reduce::arg_max(graph, node),
        "Softmax" => reduce::softmax(graph, node),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => rearrange::reshape(graph, node),
        "Transpose" => rearrange::transpose(graph, node),
        "Concat" => rearrange::concat(graph, node),
        "Slice" => rearrange::slice(graph, node),
        "Pad" => rearrange::pad(graph, node),
        "Expand" => rearrange::expand(graph, node),
        "Gather" => rearrange::gather(graph, node),
        "Tile" => rearrange::tile(graph, node),
        "Resize" => resize::resize(graph, node),
        "DepthToSpace" | "SpaceToDepth" => rearrange::depth_to_space(graph, node),
        _ if FUNCTIONS.contains(&op) => elementwise::function(graph, node),
        "LSTM" | "GRU" => {
            recurrent(graph, node)?;
            refuse("it could not be written out as its steps. Simplify the model with onnxsim.")
        }
        _ => Err(unsupported_op(graph, node)),
    }
}

/// Operators that are functions of one number; Relu and LeakyRelu have kernels of their own.
const FUNCTIONS: [&str; 26] = [
    "Abs",
    "Ceil",
    "Celu",
    "Clip",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "Log",
    "Mish",
    "Neg",
    "Pow",
    "Reciprocal",
    "Round",
    "Selu",
    "Sigmoid",
    "Sign",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Swish",
    "Tanh",
    "ThresholdedRelu",
];

/// Other operators that [`resolve`] knows.
const OPERATORS: [&str; 38] = [
    "Add",
    "ArgMax",
    "AveragePool",
    "Concat",
    "Conv",
    "ConvTranspose",
    "DepthToSpace",
    "Div",
    "Expand",
    "Flatten",
    "Gather",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Identity",
    "LeakyRelu",
    "MatMul",
    "Max",
    "MaxPool",
    "Min",
    "Mul",
    "PRelu",
    "Pad",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Resize",
    "Slice",
    "Softmax",
    "SpaceToDepth",
    "Squeeze",
    "Sub",
    "Tile",
    "Transpose",
    "Unsqueeze",
];

/// Operators that become others, whatever their attributes.
const WRITTEN_OUT: [&str; 14] = [
    "ArgMin",
    "GRU",
    "InstanceNormalization",
    "LSTM",
    "LayerNormalization",
    "LogSoftmax",
    "LpNormalization",
    "Mean",
    "ReduceL1",
    "ReduceL2",
    "ReduceSumSquare",
    "Split",
    "Sum",
    "Upsample",
];

/// True for operators that can be quantized, if their attributes can.
pub(crate) fn is_known(op: &str) -> bool {
    FUNCTIONS.contains(&op) || OPERATORS.contains(&op) || WRITTEN_OUT.contains(&op)
}

/// A stored operand of nothing. Resize has such in place of what it leaves out.
fn empty_operand<'n>(graph: &Graph, node: &'n Node) -> Option<&'n str> {
    let empty = |name: &&String| graph.floats(name).is_some_and(<[f32]>::is_empty);
    let named = node.inputs.iter().find(empty)?;
    (!matches!(node.op.as_str(), "Resize" | "Upsample")).then_some(named)
}

/// An attribute that names an axis of `rank` dimensions.
fn axis_of(node: &Node, attr: &str, default: i64, rank: usize) -> Result<usize, Refusal> {
    let given = node.int(attr, default);
    let axis = if given < 0 {
        given + rank as i64
    } else {
        given
    };
    match usize::try_from(axis) {
        Ok(axis) if axis < rank => Ok(axis),
        _ => refuse(format!("its axis {given} is outside its input.")),
    }
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
