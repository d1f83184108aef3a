//! Shapes: of the operators that only rearrange, and of a whole graph.

use super::{Refusal, product_dims, refuse, resolve};
use crate::graph::{Graph, Node};

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
            Err(_) => {
                shape_of_removable(graph, node).filter(|dims| fits(dims) && !dims.contains(&0))
            }
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
        "Identity" | "Dropout" | "BatchNormalization" | "Cast" | "QuantizeLinear"
        | "DequantizeLinear" => Some(input.to_vec()),
        "Add" | "Mul" | "Sub" | "Div" | "Max" | "Min" | "Sum" | "Mean" | "Pow" => {
            (node.inputs.iter()).try_fold(input.to_vec(), |dims, name| {
                broadcast(&dims, graph.shape(name)?)
            })
        }
        "Gemm" => {
            let &[rows, columns] = input else {
                return None;
            };
            let &[first, last] = graph.shape(node.input(1)?)? else {
                return None;
            };
            let turned = |name: &str| node.int(name, 0) != 0;
            let rows = if turned("transA") { columns } else { rows };
            Some(vec![rows, if turned("transB") { first } else { last }])
        }
        "MatMul" => product_dims(input, graph.shape(node.input(1)?)?),
        "Gather" => {
            let axis = axis_in(node.int("axis", 0), input.len())?;
            let index = graph.shape(node.input(1)?)?;
            Some([&input[..axis], index, &input[axis + 1..]].concat())
        }
        _ => None,
    }
}

fn axis_in(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(axis).ok().filter(|a| *a < rank)
}

/// `dims` with the `axes` gone, or kept as ones.
pub(crate) fn reduced(dims: &[usize], axes: &[usize], keep: bool) -> Vec<usize> {
    (dims.iter().enumerate())
        .filter_map(|(i, d)| match (axes.contains(&i), keep) {
            (true, true) => Some(1),
            (true, false) => None,
            (false, _) => Some(*d),
        })
        .collect()
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

/// Pads of a Pad node, all the befores and then all the afters: from the attribute
/// (opset < 11) or the second input, which may be for some axes only.
pub(crate) fn pad_amounts(graph: &Graph, node: &Node) -> Option<Vec<i64>> {
    let given = match node.input(1) {
        Some(name) => graph.int_values(name)?,
        None => node.ints("pads")?,
    };
    let Some(axes) = node.input(3) else {
        return Some(given.to_vec());
    };
    let rank = graph.shape(node.input(0)?)?.len();
    let axes = graph.int_values(axes)?;
    let mut pads = vec![0; 2 * rank];
    for (i, axis) in axes.iter().enumerate() {
        let axis = axis_in(*axis, rank)?;
        pads[axis] = *given.get(i)?;
        pads[axis + rank] = *given.get(i + axes.len())?;
    }
    Some(pads)
}

/// Axes of a reduction, as indices in ascending order, and whether they stay as ones.
pub(crate) fn reduce_axes(graph: &Graph, node: &Node, rank: usize) -> Option<(Vec<usize>, bool)> {
    let given = match node.input(1) {
        Some(name) => graph.int_values(name)?,
        None => node.ints("axes").unwrap_or(&[]),
    };
    let mut axes = (given.iter())
        .map(|a| axis_in(*a, rank))
        .collect::<Option<Vec<_>>>()?;
    if axes.is_empty() && node.int("noop_with_empty_axes", 0) == 0 {
        axes = (0..rank).collect();
    }
    axes.sort_unstable();
    axes.dedup();
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
        "ConvTranspose" => {
            let input = node.input(0).and_then(|n| graph.shape(n)).unwrap_or(&[]);
            elements(input) * elements(weights.get(1..).unwrap_or(&[]))
        }
        "Gemm" | "MatMul" => {
            let input = node.input(0).and_then(|n| graph.shape(n)).unwrap_or(&[]);
            elements(out) * input.last().map_or(0, |k| *k as u64)
        }
        _ => 0,
    }
}
