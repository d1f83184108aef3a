//! What each ONNX operator means here: its attributes checked, the shape of its output, or why it
//! can't be quantized.

use crate::graph::{Attr, Graph, Node};

/// A sliding window over rows and columns; 1-D operators have one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    /// Top, left, bottom, right.
    pub(crate) pads: [usize; 4],
}

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

/// Why a node has no [`Op`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Refusal {
    /// The node itself can't be quantized; the sentence says why and what to do.
    Unsupported(String),
    /// An earlier node's output has no known shape, so nothing can be said about this one.
    UnknownInput,
}

type Resolved = (Op, Vec<usize>);

fn refuse<T>(why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Unsupported(why.into()))
}

/// Checks a node and works out its output shape. Shapes of its inputs must be in the graph.
pub(crate) fn resolve(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    if node.outputs.is_empty() || node.outputs[0].is_empty() {
        return refuse("it has no output. Export the model again.");
    }
    match node.op.as_str() {
        "Conv" => conv(graph, node),
        "Gemm" => gemm(graph, node),
        "MaxPool" => max_pool(graph, node),
        "AveragePool" => average_pool(graph, node),
        "GlobalAveragePool" => Ok((Op::GlobalAveragePool, global(graph, node)?)),
        "GlobalMaxPool" => Ok((Op::GlobalMaxPool, global(graph, node)?)),
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

fn unsupported_op(graph: &Graph, node: &Node) -> String {
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

/// Dims (1, C, H, W), or (1, C, L) with one row, as C, rows, columns.
fn image_input(graph: &Graph, node: &Node) -> Result<[usize; 3], Refusal> {
    match *data_input(graph, node)? {
        [1, c, h, w] => Ok([c, h, w]),
        [1, c, l] => Ok([c, 1, l]),
        ref dims => refuse(format!(
            "its input has the shape {dims:?}; (1, C, H, W) or (1, C, L) is needed."
        )),
    }
}

fn like_input(
    graph: &Graph,
    node: &Node,
    c: usize,
    h: usize,
    w: usize,
) -> Result<Vec<usize>, Refusal> {
    Ok(match input_dims(graph, node, 0)?.len() {
        3 => vec![1, c, w],
        _ => vec![1, c, h, w],
    })
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

fn pair(node: &Node, name: &str, spatial: usize, default: i64) -> Result<[usize; 2], Refusal> {
    let defaults = [default; 2];
    let values = node.ints(name).unwrap_or(&defaults[..spatial]);
    let small = |v: i64| usize::try_from(v).ok().filter(|v| (1..=65535).contains(v));
    let pair = match (values, spatial) {
        (&[h, w], 2) => small(h).zip(small(w)),
        (&[w], 1) => small(w).map(|w| (1, w)),
        _ => None,
    };
    match pair {
        Some((h, w)) => Ok([h, w]),
        None => refuse(format!("its {name} {values:?} is not valid here.")),
    }
}

/// The window of a convolution or pool, and its output rows and columns.
fn window(
    graph: &Graph,
    node: &Node,
    kernel: Option<[usize; 2]>,
) -> Result<(Window, [usize; 2]), Refusal> {
    let [_, h, w] = image_input(graph, node)?;
    let spatial = input_dims(graph, node, 0)?.len() - 2;
    let kernel = match (kernel, node.ints("kernel_shape")) {
        (Some(k), None) => k,
        (None, None) => return refuse("its kernel_shape is missing."),
        (known, Some(_)) => {
            let given = pair(node, "kernel_shape", spatial, 1)?;
            if known.is_some_and(|k| k != given) {
                return refuse("its kernel_shape differs from its weights.");
            }
            given
        }
    };
    let stride = pair(node, "strides", spatial, 1)?;
    let dilation = pair(node, "dilations", spatial, 1)?;
    let input = [h, w];
    let span = [0, 1].map(|i| (kernel[i] - 1) * dilation[i] + 1);
    let mut pads = [0; 4];
    match node.str("auto_pad", "NOTSET").as_str() {
        "NOTSET" | "" => {
            if let Some(given) = node.ints("pads") {
                let small = (given.iter())
                    .map(|&p| usize::try_from(p).ok().filter(|p| *p <= 65535))
                    .collect::<Option<Vec<_>>>();
                pads = match (small.as_deref(), spatial) {
                    (Some(&[t, l, b, r]), 2) => [t, l, b, r],
                    (Some(&[l, r]), 1) => [0, l, 0, r],
                    _ => return refuse(format!("its pads {given:?} are not valid here.")),
                };
            }
        }
        "VALID" => {}
        same @ ("SAME_UPPER" | "SAME_LOWER") => {
            for i in 0..2 {
                let out = input[i].div_ceil(stride[i]);
                let total = ((out - 1) * stride[i] + span[i]).saturating_sub(input[i]);
                let (less, more) = (total / 2, total - total / 2);
                let (before, after) = if same == "SAME_UPPER" {
                    (less, more)
                } else {
                    (more, less)
                };
                pads[i] = before;
                pads[i + 2] = after;
            }
        }
        other => return refuse(format!("its auto_pad '{other}' is not known.")),
    }
    let ceil = node.int("ceil_mode", 0) != 0;
    let mut output = [0; 2];
    for i in 0..2 {
        let padded = input[i] + pads[i] + pads[i + 2];
        let Some(room) = padded.checked_sub(span[i]) else {
            return refuse(format!(
                "its window of {} does not fit its padded input of {padded}.",
                span[i]
            ));
        };
        output[i] = room / stride[i] + 1;
        if ceil && room % stride[i] != 0 {
            return refuse(
                "rounding the output size up (ceil_mode) is not supported. Export with \
                 ceil_mode=0 or pad the input.",
            );
        }
    }
    Ok((
        Window {
            kernel,
            stride,
            dilation,
            pads,
        },
        output,
    ))
}

fn conv(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let [c, _, _] = image_input(graph, node)?;
    let (dims, _) = weights(graph, node, 1)?;
    let (outputs, per_group, kernel) = match *dims {
        [o, i, h, w] => (o, i, [h, w]),
        [o, i, w] => (o, i, [1, w]),
        ref d => return refuse(format!("its weights have the shape {d:?}.")),
    };
    if dims.len() != input_dims(graph, node, 0)?.len() || outputs == 0 || dims.contains(&0) {
        return refuse("its weights don't fit its input.");
    }
    check_bias(graph, node, 2, outputs)?;
    let (window, [h, w]) = window(graph, node, Some(kernel))?;
    let out = like_input(graph, node, outputs, h, w)?;
    match node.int("group", 1) {
        1 if per_group == c => Ok((Op::Conv(window), out)),
        g if g as usize == c && per_group == 1 && outputs == c => {
            Ok((Op::DepthwiseConv(window), out))
        }
        1 => refuse(format!(
            "its weights take {per_group} channels, its input has {c}."
        )),
        g => refuse(format!(
            "a convolution with {g} groups over {c} channels is not supported yet; only 1 group \
             and depthwise (groups = input channels = output channels) are."
        )),
    }
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

fn max_pool(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let [c, _, _] = image_input(graph, node)?;
    if node.outputs.get(1).is_some_and(|o| !o.is_empty()) {
        return refuse("its second output (indices) is not supported.");
    }
    let (window, [h, w]) = window(graph, node, None)?;
    Ok((Op::MaxPool(window), like_input(graph, node, c, h, w)?))
}

fn average_pool(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let [c, _, _] = image_input(graph, node)?;
    let (window, [h, w]) = window(graph, node, None)?;
    let op = Op::AveragePool {
        window,
        count_pads: node.int("count_include_pad", 0) != 0,
    };
    Ok((op, like_input(graph, node, c, h, w)?))
}

fn global(graph: &Graph, node: &Node) -> Result<Vec<usize>, Refusal> {
    let [c, _, _] = image_input(graph, node)?;
    like_input(graph, node, c, 1, 1)
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

/// Output dims of Reshape, Flatten, Squeeze and Unsqueeze.
pub(crate) fn reshaped_dims(
    graph: &Graph,
    node: &Node,
    dims: &[usize],
) -> Result<Vec<usize>, Refusal> {
    let rank = dims.len() as i64;
    let axis_in = |axis: i64, rank: i64| -> Result<usize, Refusal> {
        let a = if axis < 0 { axis + rank } else { axis };
        if (0..rank.max(1)).contains(&a) {
            Ok(a as usize)
        } else {
            refuse(format!("its axis {axis} is outside its input {dims:?}."))
        }
    };
    match node.op.as_str() {
        "Flatten" => {
            let axis = node.int("axis", 1);
            let axis = if axis == rank {
                dims.len()
            } else {
                axis_in(axis, rank)?
            };
            Ok(vec![
                dims[..axis].iter().product(),
                dims[axis..].iter().product(),
            ])
        }
        "Squeeze" | "Unsqueeze" => {
            let axes = match (node.input(1), node.ints("axes")) {
                (Some(name), _) => match graph.int_values(name) {
                    Some(v) => v.to_vec(),
                    None => {
                        return refuse(
                            "its axes are computed at run time. Simplify the model with onnxsim.",
                        );
                    }
                },
                (None, Some(v)) => v.to_vec(),
                (None, None) if node.op == "Squeeze" => {
                    return Ok(dims.iter().copied().filter(|d| *d != 1).collect());
                }
                (None, None) => return refuse("its axes are missing."),
            };
            if node.op == "Squeeze" {
                let mut drop = Vec::new();
                for a in axes {
                    drop.push(axis_in(a, rank)?);
                }
                if drop.iter().any(|a| dims.get(*a) != Some(&1)) {
                    return refuse("it removes a dimension that is not 1.");
                }
                return Ok((dims.iter().enumerate())
                    .filter(|(i, _)| !drop.contains(i))
                    .map(|(_, d)| *d)
                    .collect());
            }
            let total = dims.len() + axes.len();
            let mut ones = Vec::new();
            for a in axes {
                ones.push(axis_in(a, total as i64)?);
            }
            let mut rest = dims.iter();
            let mut out = Vec::new();
            for i in 0..total {
                if ones.contains(&i) {
                    out.push(1);
                } else {
                    match rest.next() {
                        Some(d) => out.push(*d),
                        None => return refuse("its axes are given twice."),
                    }
                }
            }
            Ok(out)
        }
        _ => {
            let target = match node.input(1) {
                Some(name) => graph.int_values(name),
                None => node.ints("shape"),
            };
            let Some(target) = target else {
                return refuse(
                    "its target shape is computed at run time. Simplify the model with onnxsim.",
                );
            };
            explicit_shape(dims, target, node.int("allowzero", 0) != 0)
        }
    }
}

fn explicit_shape(dims: &[usize], target: &[i64], allow_zero: bool) -> Result<Vec<usize>, Refusal> {
    let mut out = Vec::with_capacity(target.len());
    let mut open = None;
    for (i, &t) in target.iter().enumerate() {
        match t {
            -1 if open.is_none() => {
                open = Some(i);
                out.push(1);
            }
            0 if !allow_zero && i < dims.len() => out.push(dims[i]),
            t if t > 0 && t <= 1 << 26 => out.push(t as usize),
            _ => return refuse(format!("its target shape {target:?} is not valid.")),
        }
    }
    let known = (out.iter()).try_fold(1usize, |n, d| n.checked_mul(*d));
    let Some(known) = known.filter(|n| *n > 0) else {
        return refuse(format!("its target shape {target:?} is not valid."));
    };
    if let Some(i) = open {
        out[i] = dims.iter().product::<usize>() / known;
    }
    Ok(out)
}

/// Works out every shape that follows from the ones known, in execution order.
pub(crate) fn infer_shapes(graph: &mut Graph) {
    for i in 0..graph.nodes.len() {
        let node = &graph.nodes[i];
        let dims = match resolve(graph, node) {
            Ok((_, dims)) => Some(dims),
            Err(_) => shape_of_removable(graph, node),
        };
        let name = node.output().to_owned();
        match dims {
            Some(dims) if !name.is_empty() => {
                graph.shapes.insert(name, dims);
            }
            _ => {
                graph.shapes.remove(&name);
            }
        }
    }
}

/// Shapes of operators that the passes remove, so that what follows them is understood.
fn shape_of_removable(graph: &Graph, node: &Node) -> Option<Vec<usize>> {
    let input = graph.shape(node.input(0)?)?;
    match node.op.as_str() {
        "Identity" | "Dropout" | "BatchNormalization" | "Cast" | "Clip" | "Sigmoid" | "Tanh"
        | "HardSigmoid" | "HardSwish" | "Elu" | "Gelu" | "Exp" | "Sqrt" | "Neg" | "Abs" | "Erf" => {
            Some(input.to_vec())
        }
        "Add" | "Mul" | "Sub" | "Div" => broadcast(input, graph.shape(node.input(1)?)?),
        "MatMul" => {
            let weights = graph.shape(node.input(1)?)?;
            let (&k, head) = input.split_last()?;
            match *weights {
                [i, o] if i == k => Some(head.iter().copied().chain([o]).collect()),
                _ => None,
            }
        }
        "Gemm" => {
            let weights = graph.shape(node.input(1)?)?;
            let outputs = if node.int("transB", 0) != 0 { 0 } else { 1 };
            Some(vec![*input.first()?, *weights.get(outputs)?])
        }
        "Pad" => {
            let pads = pad_amounts(graph, node)?;
            let rank = input.len();
            if pads.len() != 2 * rank {
                return None;
            }
            (0..rank)
                .map(|i| usize::try_from(input[i] as i64 + pads[i] + pads[i + rank]).ok())
                .collect()
        }
        "ReduceMean" => {
            let (axes, keep) = reduce_axes(graph, node, input.len())?;
            let mut out = Vec::new();
            for (i, d) in input.iter().enumerate() {
                match (axes.contains(&i), keep) {
                    (true, true) => out.push(1),
                    (true, false) => {}
                    (false, _) => out.push(*d),
                }
            }
            Some(out)
        }
        "Concat" => {
            let axis = node.int("axis", 0);
            let rank = input.len() as i64;
            let axis = usize::try_from(if axis < 0 { axis + rank } else { axis }).ok()?;
            let mut out = input.to_vec();
            *out.get_mut(axis)? = 0;
            for name in &node.inputs {
                let dims = graph.shape(name)?;
                out[axis] += dims.get(axis)?;
            }
            Some(out)
        }
        _ => None,
    }
}

/// NumPy broadcasting of two shapes.
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], i: usize| match (i + s.len()).checked_sub(rank) {
        Some(k) => s[k],
        None => 1,
    };
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

/// Pads of a Pad node: from the attribute (opset < 11) or the second input.
pub(crate) fn pad_amounts<'g>(graph: &'g Graph, node: &'g Node) -> Option<&'g [i64]> {
    match node.input(1) {
        Some(name) => graph.int_values(name),
        None => node.ints("pads"),
    }
}

/// Axes of a reduction, as indices, and whether they stay as ones.
pub(crate) fn reduce_axes(graph: &Graph, node: &Node, rank: usize) -> Option<(Vec<usize>, bool)> {
    let axes = match node.input(1) {
        Some(name) => graph.int_values(name)?.to_vec(),
        None => match node.attrs.get("axes") {
            Some(Attr::Ints(v)) => v.clone(),
            _ => (0..rank as i64).collect(),
        },
    };
    let axes = (axes.iter())
        .map(|&a| {
            let a = if a < 0 { a + rank as i64 } else { a };
            usize::try_from(a).ok().filter(|a| *a < rank)
        })
        .collect::<Option<Vec<_>>>()?;
    Some((axes, node.int("keepdims", 1) != 0))
}

/// Multiply-accumulates of a node whose shapes are known; 0 for anything without weights.
pub(crate) fn macs(graph: &Graph, node: &Node) -> u64 {
    let Some(out) = graph.shape(node.output()) else {
        return 0;
    };
    let Some(weights) = node.input(1).and_then(|w| graph.shape(w)) else {
        return 0;
    };
    let elements = |d: &[usize]| d.iter().map(|v| *v as u64).product::<u64>();
    match node.op.as_str() {
        "Conv" => elements(out) * elements(weights.get(1..).unwrap_or(&[])),
        "Gemm" | "MatMul" => elements(weights),
        _ => 0,
    }
}
