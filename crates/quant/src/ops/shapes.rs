//! Shapes: of the operators that only rearrange, and of a whole graph.

use super::{Refusal, refuse, resolve};
use crate::graph::{Attr, Graph, Node};

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

/// The most elements that a tensor may have; no device this is for holds more.
const MAX_ELEMENTS: usize = 1 << 26;

/// False for tensors that no device this is for can hold.
pub(crate) fn fits(dims: &[usize]) -> bool {
    (dims.iter())
        .try_fold(1usize, |n, d| n.checked_mul(*d))
        .is_some_and(|n| n <= MAX_ELEMENTS)
}

/// Works out every shape that follows from the ones known, in execution order.
pub(crate) fn infer_shapes(graph: &mut Graph) {
    for i in 0..graph.nodes.len() {
        let node = &graph.nodes[i];
        let dims = match resolve(graph, node) {
            Ok((_, dims)) => Some(dims),
            Err(_) => shape_of_removable(graph, node).filter(|dims| fits(dims)),
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
                .map(|i| {
                    let grown = (input[i] as i64)
                        .checked_add(pads[i])?
                        .checked_add(pads[i + rank])?;
                    usize::try_from(grown).ok()
                })
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
