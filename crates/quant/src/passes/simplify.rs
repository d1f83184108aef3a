//! Operators that are another way to write operators which run.

use super::{clean, compound, pools, products, recurrent, slopes};
use crate::graph::{Attr, Constant, Graph, Node};
use crate::ops;

/// Most pieces that one node is cut into.
const MAX_PIECES: usize = 256;

/// Rewrites one node at a time until none is left that can be.
pub(super) fn operators(graph: &mut Graph) -> Vec<String> {
    let mut changes = Vec::new();
    let mut i = 0;
    while i < graph.nodes.len() {
        let node = graph.nodes[i].clone();
        match rewrite(graph, &node) {
            Some((new, change)) => {
                graph.nodes.splice(i..=i, new);
                ops::infer_shapes(graph);
                changes.push(change);
            }
            None => i += 1,
        }
    }
    // What reduced to nothing.
    if !changes.is_empty() {
        changes.extend(clean::identities(graph));
    }
    changes
}

fn rewrite(graph: &mut Graph, node: &Node) -> Option<(Vec<Node>, String)> {
    match node.op.as_str() {
        "Split" => split(graph, node),
        "Gather" => gather(graph, node),
        "Sum" | "Mean" | "Max" | "Min" | "Add" | "Mul" => several_operands(graph, node),
        "ArgMax" if node.int("select_last_index", 0) != 0 => last_index(graph, node),
        "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ArgMax" => reduction(graph, node),
        "ArgMin" => arg_min(graph, node),
        "Div" => divide(graph, node).or_else(|| compound::quotient(graph, node)),
        "LSTM" | "GRU" => recurrent::rewrite(graph, node),
        "LogSoftmax" => compound::log_softmax(graph, node),
        "LayerNormalization" | "InstanceNormalization" => compound::normalization(graph, node),
        "ReduceL1" | "ReduceL2" | "ReduceSumSquare" => compound::norm(graph, node),
        "LpNormalization" => compound::unit_length(graph, node),
        "Gemm" | "MatMul" => products::rewrite(graph, node),
        "PRelu" => slopes::rewrite(graph, node),
        "Upsample" => upsample(graph, node),
        "Pad" => pad(graph, node),
        "Resize" => compound::resize(graph, node),
        "MaxPool" | "AveragePool" => pools::ceil_mode(graph, node),
        _ => None,
    }
}

/// A node that writes `output`.
pub(super) fn node(graph: &Graph, stem: &str, op: &str, inputs: &[&str], output: &str) -> Node {
    Node {
        name: graph.fresh_name(&format!("{stem}/{}", op.to_lowercase())),
        op: op.into(),
        inputs: inputs.iter().map(|i| (*i).to_owned()).collect(),
        outputs: vec![output.to_owned()],
        attrs: Default::default(),
    }
}

pub(super) fn ints(graph: &mut Graph, stem: &str, values: Vec<i64>) -> String {
    let name = graph.fresh_name(stem);
    graph.add_constant(&name, Constant::ints(vec![values.len()], values));
    name
}

/// A Slice, as it is written in the graph's opset.
pub(super) fn slice(
    graph: &mut Graph,
    stem: &str,
    input: &str,
    output: &str,
    axis: i64,
    range: (i64, i64),
) -> Node {
    let mut slice = node(graph, stem, "Slice", &[input], output);
    slice.name = graph.fresh_name(&format!("{output}/slice"));
    if graph.opset < 10 {
        for (name, v) in [("starts", range.0), ("ends", range.1), ("axes", axis)] {
            slice.attrs.insert(name.into(), Attr::Ints(vec![v]));
        }
        return slice;
    }
    for (name, v) in [("starts", range.0), ("ends", range.1), ("axes", axis)] {
        let name = ints(graph, &format!("{output}/{name}"), vec![v]);
        slice.inputs.push(name);
    }
    slice
}

pub(super) fn axis_in(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(axis).ok().filter(|a| *a < rank)
}

/// Split: one Slice for each output that is used.
fn split(graph: &mut Graph, split: &Node) -> Option<(Vec<Node>, String)> {
    let input = split.input(0)?.to_owned();
    let dims = graph.shape(&input)?.to_vec();
    let axis = axis_in(split.int("axis", 0), dims.len())?;
    let parts = split.outputs.len();
    let sizes: Vec<i64> = match (split.input(1), split.ints("split")) {
        (Some(name), _) => graph.int_values(name)?.to_vec(),
        (None, Some(sizes)) => sizes.to_vec(),
        (None, None) => {
            let each = dims[axis].div_ceil(parts) as i64;
            (0..parts as i64)
                .map(|i| each.min(dims[axis] as i64 - i * each).max(0))
                .collect()
        }
    };
    let fits = sizes.len() == parts
        && sizes.iter().all(|s| *s >= 0)
        && sizes.iter().sum::<i64>() == dims[axis] as i64;
    if !fits || parts > MAX_PIECES {
        return None;
    }
    let mut at = 0;
    let mut new = Vec::new();
    for (output, size) in split.outputs.iter().zip(&sizes) {
        let range = (at, at + size);
        at += size;
        let used = !graph.consumers(output).is_empty() || graph.is_output(output);
        if !output.is_empty() && used {
            new.push(slice(
                graph,
                &split.name,
                &input,
                output,
                axis as i64,
                range,
            ));
        }
    }
    let change = format!("Split '{}' became {} slices", split.name, new.len());
    Some((new, change))
}

/// Gather with stored indices in one list; what shape the list has is a Reshape's business.
fn gather(graph: &mut Graph, gather: &Node) -> Option<(Vec<Node>, String)> {
    if graph.constants.contains_key(gather.input(0)?) {
        return None;
    }
    let dims = graph.shape(gather.input(0)?)?.to_vec();
    let axis = axis_in(gather.int("axis", 0), dims.len())?;
    let indices = graph.constants.get(gather.input(1)?)?;
    let (index_dims, values) = (indices.dims.clone(), indices.as_ints()?.to_vec());
    if index_dims.len() == 1 {
        return None;
    }
    let output = gather.output().to_owned();
    let mut list = gather.clone();
    list.inputs[1] = ints(graph, &format!("{output}/indices"), values);
    list.outputs = vec![graph.fresh_name(&format!("{output}/gathered"))];
    let out = [&dims[..axis], &index_dims, &dims[axis + 1..]].concat();
    let target = out.iter().map(|d| *d as i64).collect();
    let shape = ints(graph, &format!("{output}/shape"), target);
    let reshape = node(
        graph,
        &gather.name,
        "Reshape",
        &[list.output(), &shape],
        &output,
    );
    let change = format!("Gather '{}' takes its indices in one list", gather.name);
    Some((vec![list, reshape], change))
}

/// Sum, Max, Min and Mean of any number of operands: two at a time.
fn several_operands(graph: &mut Graph, many: &Node) -> Option<(Vec<Node>, String)> {
    let op = match many.op.as_str() {
        "Sum" | "Mean" => "Add",
        other => other,
    };
    let n = many.inputs.len();
    if n == 2 && op == many.op || n == 0 || n > MAX_PIECES {
        return None;
    }
    let output = many.output().to_owned();
    let mut new = Vec::new();
    let mut sum = many.inputs[0].clone();
    if n == 1 {
        new.push(node(graph, &many.name, "Identity", &[&sum], &output));
        return Some((new, format!("{} '{}' has one operand", many.op, many.name)));
    }
    for (i, operand) in many.inputs.iter().enumerate().skip(1) {
        let last = i + 1 == n && many.op != "Mean";
        let out = match last {
            true => output.clone(),
            false => graph.fresh_name(&format!("{output}/{i}")),
        };
        let mut step = node(graph, &many.name, op, &[&sum, operand], &out);
        step.name = match last {
            true => many.name.clone(),
            false => graph.fresh_name(&format!("{}/{i}", many.name)),
        };
        new.push(step);
        sum = out;
    }
    if many.op == "Mean" {
        let factor = graph.fresh_name(&format!("{output}/factor"));
        graph.add_constant(&factor, Constant::float(vec![], vec![1.0 / n as f32]));
        new.push(node(graph, &many.name, "Mul", &[&sum, &factor], &output));
    }
    let change = format!("{} '{}' of {n} operands, two at a time", many.op, many.name);
    Some((new, change))
}

/// Reductions keep their dimensions; a Reshape drops them. A mean over rows and columns is
/// GlobalAveragePool, a maximum GlobalMaxPool.
fn reduction(graph: &mut Graph, reduce: &Node) -> Option<(Vec<Node>, String)> {
    let dims = graph.shape(reduce.input(0)?)?.to_vec();
    if graph.constants.contains_key(reduce.input(0)?) {
        return None;
    }
    let arg = reduce.op == "ArgMax";
    let (axes, keep) = match arg {
        true => (
            vec![axis_in(reduce.int("axis", 0), dims.len())?],
            reduce.int("keepdims", 1) != 0,
        ),
        false => ops::reduce_axes(graph, reduce, dims.len())?,
    };
    if axes.is_empty() {
        let copy = node(
            graph,
            &reduce.name,
            "Identity",
            &reduce.inputs[..1]
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>(),
            reduce.output(),
        );
        return Some((
            vec![copy],
            format!("{} '{}' reduces nothing", reduce.op, reduce.name),
        ));
    }
    let whole = matches!(dims.len(), 3 | 4)
        && dims[0] == 1
        && axes[..] == *(2..dims.len()).collect::<Vec<_>>();
    let pool = match reduce.op.as_str() {
        "ReduceMean" if whole => Some("GlobalAveragePool"),
        "ReduceMax" if whole => Some("GlobalMaxPool"),
        _ => None,
    };
    if keep && pool.is_none() {
        return None;
    }
    let output = reduce.output().to_owned();
    let mut kept = reduce.clone();
    if let Some(pool) = pool {
        kept.op = pool.into();
        kept.attrs.clear();
        kept.inputs.truncate(1);
    }
    let change = match pool {
        Some(pool) => format!("{} '{}' became {pool}", reduce.op, reduce.name),
        None => format!("{} '{}' keeps its dimensions", reduce.op, reduce.name),
    };
    let mut new = Vec::new();
    if keep {
        new.push(kept);
    } else {
        let pooled = graph.fresh_name(&format!("{output}_pooled"));
        if pool.is_none() {
            kept.attrs.insert("keepdims".into(), Attr::Int(1));
        }
        kept.outputs = vec![pooled.clone()];
        new.push(kept);
        let target = (ops::reduced(&dims, &axes, false).iter())
            .map(|d| *d as i64)
            .collect();
        let shape = ints(graph, &format!("{output}_shape"), target);
        let mut reshape = node(graph, &reduce.name, "Reshape", &[&pooled, &shape], &output);
        reshape.name = graph.fresh_name(&format!("{}_reshape", reduce.name));
        new.push(reshape);
    }
    Some((new, change))
}

/// The last of several largest elements is the first from behind.
fn last_index(graph: &mut Graph, max: &Node) -> Option<(Vec<Node>, String)> {
    let (input, output) = (max.input(0)?.to_owned(), max.output().to_owned());
    let dims = graph.shape(&input)?.to_vec();
    let axis = axis_in(max.int("axis", 0), dims.len())?;
    let count = dims[axis];
    let [turned, place, last] =
        ["turned", "from_behind", "last"].map(|part| graph.fresh_name(&format!("{output}/{part}")));
    let mut gather = node(graph, &max.name, "Gather", &[&input], &turned);
    let backwards = ints(
        graph,
        &format!("{output}/backwards"),
        (0..count as i64).rev().collect(),
    );
    gather.inputs.push(backwards);
    gather.attrs.insert("axis".into(), Attr::Int(axis as i64));
    let mut first = max.clone();
    first.attrs.remove("select_last_index");
    first.inputs[0] = turned;
    first.outputs = vec![place.clone()];
    graph.add_constant(&last, Constant::float(vec![], vec![(count - 1) as f32]));
    let mut sub = node(graph, &max.name, "Sub", &[&last, &place], &output);
    sub.name = graph.fresh_name(&format!("{}/sub", max.name));
    let change = format!("ArgMax '{}' counts from behind", max.name);
    Some((vec![gather, first, sub], change))
}

/// The smallest element is the largest of the negated ones.
fn arg_min(graph: &mut Graph, min: &Node) -> Option<(Vec<Node>, String)> {
    let negated = graph.fresh_name(&format!("{}/negated", min.output()));
    let neg = node(graph, &min.name, "Neg", &[min.input(0)?], &negated);
    let mut max = min.clone();
    max.op = "ArgMax".into();
    max.inputs[0] = negated;
    let change = format!("ArgMin '{}' became ArgMax of the negated values", min.name);
    Some((vec![neg, max], change))
}

/// Division by a constant is a product; of a constant it is a product with the reciprocal.
fn divide(graph: &mut Graph, div: &Node) -> Option<(Vec<Node>, String)> {
    let (a, b) = (div.input(0)?.to_owned(), div.input(1)?.to_owned());
    let fixed = [&a, &b].map(|n| graph.constants.contains_key(n));
    let inverse = graph.fresh_name(&format!("{}/reciprocal", div.output()));
    let mut product = div.clone();
    product.op = "Mul".into();
    let mut new = Vec::new();
    match fixed {
        [false, true] => {
            let values = graph.floats(&b)?.to_vec();
            // A single number stays a division: it joins other functions of one number exactly.
            let single = values.len() == 1 && graph.shape(&a) == graph.shape(div.output());
            if single || values.iter().any(|v| *v == 0.0 || !v.is_finite()) {
                return None;
            }
            let dims = graph.shape(&b)?.to_vec();
            let values = values.iter().map(|v| 1.0 / v).collect();
            graph.add_constant(&inverse, Constant::float(dims, values));
            product.inputs = vec![a, inverse];
        }
        [true, false] => {
            if graph.floats(&a)?.len() == 1 && graph.shape(&b) == graph.shape(div.output()) {
                return None;
            }
            new.push(node(graph, &div.name, "Reciprocal", &[&b], &inverse));
            product.inputs = vec![a, inverse];
        }
        _ => return None,
    }
    new.push(product);
    Some((new, format!("Div '{}' became Mul", div.name)))
}

/// Upsample is Resize of opset 10, which later opsets only extended. Before opset 9 its scales are an
/// attribute.
fn upsample(graph: &mut Graph, up: &Node) -> Option<(Vec<Node>, String)> {
    let mut resize = up.clone();
    resize.op = "Resize".into();
    if up.input(1).is_none() {
        let Some(Attr::Floats(scales)) = resize.attrs.remove("scales") else {
            return None;
        };
        let name = graph.fresh_name(&format!("{}/scales", up.output()));
        graph.add_constant(&name, Constant::float(vec![scales.len()], scales));
        resize.inputs = vec![up.input(0)?.to_owned(), name];
    }
    Some((
        vec![resize],
        format!("Upsample '{}' became Resize", up.name),
    ))
}

/// Pads of all axes in one list, and a value only where it is used.
fn pad(graph: &mut Graph, pad: &Node) -> Option<(Vec<Node>, String)> {
    let constant = pad.str("mode", "constant") == "constant";
    if pad.input(3).is_none() && (constant || pad.input(2).is_none()) {
        return None;
    }
    let pads = ops::pad_amounts(graph, pad)?;
    let mut new = pad.clone();
    new.inputs.truncate(if constant { 3 } else { 2 });
    new.inputs[1] = ints(graph, &format!("{}/pads", pad.output()), pads);
    while new.inputs.last().is_some_and(String::is_empty) {
        new.inputs.pop();
    }
    Some((vec![new], format!("'{}' has pads for all axes", pad.name)))
}

/// BatchNormalization that no layer before it took in: one multiplication and one addition for
/// each channel. On images that is a convolution with one tap, which rounds once.
pub(super) fn batch_normalization(graph: &mut Graph) -> Vec<String> {
    let mut changes = Vec::new();
    let mut i = 0;
    while i < graph.nodes.len() {
        let node = graph.nodes[i].clone();
        i += 1;
        if let Some(new) = unfused_batch_normalization(graph, &node) {
            changes.push(format!("'{}' became {}", node.name, new[0].op));
            graph.nodes.splice(i - 1..i, new);
            ops::infer_shapes(graph);
        }
    }
    changes
}

fn unfused_batch_normalization(graph: &mut Graph, bn: &Node) -> Option<Vec<Node>> {
    if bn.op != "BatchNormalization" || bn.int("training_mode", 0) != 0 {
        return None;
    }
    let dims = graph.shape(bn.input(0)?)?.to_vec();
    let channels = *dims.get(1)?;
    let values = |k: usize| {
        (graph.floats(bn.input(k)?))
            .filter(|v| v.len() == channels && v.iter().all(|v| v.is_finite()))
    };
    let (scale, offset, mean, variance) = (values(1)?, values(2)?, values(3)?, values(4)?);
    let epsilon = bn.float("epsilon", 1e-5);
    let factor: Vec<f32> = (scale.iter().zip(variance))
        .map(|(s, v)| s / libm::sqrtf(v + epsilon))
        .collect();
    let shift: Vec<f32> = (0..channels)
        .map(|c| offset[c] - mean[c] * factor[c])
        .collect();
    let output = bn.output().to_owned();
    let stem = format!("{output}/batch_normalization");
    let (weight, bias) = (
        graph.fresh_name(&format!("{stem}_factor")),
        graph.fresh_name(&format!("{stem}_shift")),
    );
    if matches!(dims.len(), 3 | 4) && dims[0] == 1 {
        let mut kernel = vec![1; dims.len()];
        kernel[0] = channels;
        graph.add_constant(&weight, Constant::float(kernel, factor));
        graph.add_constant(&bias, Constant::float(vec![channels], shift));
        let mut conv = bn.clone();
        conv.op = "Conv".into();
        conv.inputs = vec![bn.input(0)?.to_owned(), weight, bias];
        conv.outputs.truncate(1);
        let ones = Attr::Ints(vec![1; dims.len() - 2]);
        conv.attrs = [
            ("group".to_owned(), Attr::Int(channels as i64)),
            ("kernel_shape".to_owned(), ones),
        ]
        .into();
        return Some(vec![conv]);
    }
    let column: Vec<usize> = [channels]
        .into_iter()
        .chain(std::iter::repeat_n(1, dims.len() - 2))
        .collect();
    graph.add_constant(&weight, Constant::float(column.clone(), factor));
    graph.add_constant(&bias, Constant::float(column, shift));
    let scaled = graph.fresh_name(&format!("{output}/scaled"));
    Some(vec![
        node(graph, &bn.name, "Mul", &[bn.input(0)?, &weight], &scaled),
        node(graph, &bn.name, "Add", &[&scaled, &bias], &output),
    ])
}
