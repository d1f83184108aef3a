//! Operators that move, repeat or select elements.

use super::{Op, Refusal, Resolved, axis_of, data_input, input_dims, refuse, reshaped_dims};
use crate::graph::{Graph, Node};

/// For every axis, which of its indices the output has there, in order; None is the fill.
pub(crate) type Selection = Vec<Vec<Option<usize>>>;

/// Every index of every axis.
fn everything(dims: &[usize]) -> Selection {
    (dims.iter()).map(|d| (0..*d).map(Some).collect()).collect()
}

fn select(axes: Selection, fill: f32) -> Result<Resolved, Refusal> {
    let out = axes.iter().map(Vec::len).collect();
    Ok((Op::Select { axes, fill }, out))
}

pub(super) fn transpose(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
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

pub(super) fn reshape(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
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

pub(super) fn concat(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let mut out = input_dims(graph, node, 0)?.to_vec();
    let axis = axis_of(node, "axis", 1, out.len())?;
    out[axis] = 0;
    for i in 0..node.inputs.len() {
        let dims = input_dims(graph, node, i)?;
        let same =
            dims.len() == out.len() && (0..out.len()).all(|d| d == axis || dims[d] == out[d]);
        if !same {
            return refuse(format!(
                "its inputs {out:?} and {dims:?} don't fit together."
            ));
        }
        out[axis] += dims[axis];
    }
    Ok((Op::Concat { axis }, out))
}

pub(super) fn slice(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let dims = data_input(graph, node)?;
    let list = |i: usize, attr: &str| -> Result<Option<Vec<i64>>, Refusal> {
        match node.input(i) {
            Some(name) => match graph.int_values(name) {
                Some(v) => Ok(Some(v.to_vec())),
                None => {
                    refuse("its bounds are computed at run time. Simplify the model with onnxsim.")
                }
            },
            None => Ok(node.ints(attr).map(<[i64]>::to_vec)),
        }
    };
    let (Some(starts), Some(ends)) = (list(1, "starts")?, list(2, "ends")?) else {
        return refuse("its starts or ends are missing.");
    };
    let axes = list(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = list(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
        return refuse("its starts, ends, axes and steps differ in number.");
    }
    let mut selected = everything(dims);
    for (i, &axis) in axes.iter().enumerate() {
        let Some(axis) = axis_in(axis, dims.len()) else {
            return refuse(format!("its axis {axis} is outside its input {dims:?}."));
        };
        let (n, step) = (dims[axis] as i64, steps[i]);
        let wrap = |v: i64| if v < 0 { v.saturating_add(n) } else { v };
        let (start, end) = match step {
            1.. => (wrap(starts[i]).clamp(0, n), wrap(ends[i]).clamp(0, n)),
            ..=-1 => (
                wrap(starts[i]).clamp(-1, n - 1),
                wrap(ends[i]).clamp(-1, n - 1),
            ),
            0 => return refuse("its step is 0."),
        };
        let distance = (end - start) * step.signum();
        let count = distance.max(0).unsigned_abs().div_ceil(step.unsigned_abs());
        selected[axis] = (0..count as i64)
            .map(|k| usize::try_from(start + k * step).ok())
            .collect();
    }
    select(selected, 0.0)
}

pub(super) fn pad(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let dims = data_input(graph, node)?;
    let rank = dims.len();
    let Some(pads) = super::pad_amounts(graph, node) else {
        return refuse("its pads are computed at run time. Simplify the model with onnxsim.");
    };
    let value = match node.input(2) {
        Some(name) => match graph.floats(name) {
            Some(&[v]) => v,
            _ => return refuse("its padding value is not one stored number."),
        },
        None => node.float("value", 0.0),
    };
    if !value.is_finite() {
        return refuse("its padding value is not finite.");
    }
    if pads.len() != 2 * rank || pads.iter().any(|p| p.abs() > 1 << 20) {
        return refuse(format!("its pads {pads:?} don't fit its input {dims:?}."));
    }
    let mode = node.str("mode", "constant");
    let mut selected = Vec::new();
    for d in 0..rank {
        let n = dims[d] as i64;
        let (before, after) = (pads[d], pads[d + rank]);
        if n + before + after < 0 {
            return refuse(format!(
                "its pads {pads:?} take away more than its input {dims:?} has."
            ));
        }
        let axis = (-before..n + after).map(|at| match mode.as_str() {
            "constant" => Some((0..n).contains(&at).then_some(at)),
            "edge" => Some(Some(at.clamp(0, n - 1))),
            "wrap" => Some(Some(at.rem_euclid(n))),
            // Mirrored at the ends, which are not repeated, back and forth as often as needed.
            "reflect" => {
                let period = (2 * (n - 1)).max(1);
                let at = at.rem_euclid(period);
                Some(Some(at.min(period - at).min(n - 1)))
            }
            _ => None,
        });
        let axis = axis.collect::<Option<Vec<Option<i64>>>>();
        let Some(axis) = axis else {
            return refuse(format!("its mode '{mode}' is not known."));
        };
        selected.push(
            axis.into_iter()
                .map(|at| at.map(|at| at as usize))
                .collect(),
        );
    }
    select(selected, value)
}

/// Gather with stored indices in one list.
pub(super) fn gather(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let dims = data_input(graph, node)?;
    let axis = axis_of(node, "axis", 0, dims.len())?;
    let indices = node.input(1).and_then(|n| graph.constants.get(n));
    let Some(indices) = indices.filter(|c| c.dims.len() == 1) else {
        return refuse("only stored indices are supported. Simplify the model with onnxsim.");
    };
    let mut selected = everything(dims);
    let list = (indices.as_ints().unwrap_or(&[]).iter())
        .map(|i| axis_in(*i, dims[axis]).map(Some))
        .collect::<Option<Vec<_>>>();
    match list {
        Some(list) => selected[axis] = list,
        None => return refuse(format!("its indices are outside its input {dims:?}.")),
    }
    select(selected, 0.0)
}

pub(super) fn expand(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let dims = data_input(graph, node)?;
    let Some(shape) = node.input(1).and_then(|n| graph.int_values(n)) else {
        return refuse("its shape is computed at run time. Simplify the model with onnxsim.");
    };
    let target = (shape.iter())
        .map(|d| usize::try_from(*d).ok().filter(|d| *d <= 1 << 26))
        .collect::<Option<Vec<_>>>();
    let Some(out) = target
        .and_then(|t| super::broadcast(dims, &t))
        .filter(|o| super::fits(o))
    else {
        return refuse(format!("{dims:?} can't be expanded to {shape:?}."));
    };
    let mut from = vec![1; out.len() - dims.len()];
    from.extend(dims);
    let axes = (from.iter().zip(&out))
        .map(|(n, m)| (0..*m).map(|i| Some(i % n)).collect())
        .collect();
    select(axes, 0.0)
}

pub(super) fn tile(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let dims = data_input(graph, node)?;
    let Some(repeats) = node.input(1).and_then(|n| graph.int_values(n)) else {
        return refuse("its repeats are computed at run time. Simplify the model with onnxsim.");
    };
    let sizes = (dims.iter().zip(repeats))
        .map(|(d, r)| usize::try_from(*r).ok()?.checked_mul(*d))
        .collect::<Option<Vec<_>>>();
    let Some(sizes) = sizes.filter(|s| repeats.len() == dims.len() && super::fits(s)) else {
        return refuse(format!(
            "its repeats {repeats:?} don't fit its input {dims:?}."
        ));
    };
    let axes = (dims.iter().zip(sizes))
        .map(|(n, m)| (0..m).map(|i| Some(i % n)).collect())
        .collect();
    select(axes, 0.0)
}

fn axis_in(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(axis).ok().filter(|a| *a < rank)
}

/// Blocks of channels to blocks of pixels.
pub(super) fn depth_to_space(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let dims = data_input(graph, node)?;
    let block = node.int("blocksize", 0);
    let Some(b) = usize::try_from(block).ok().filter(|b| (1..=64).contains(b)) else {
        return refuse(format!("its blocksize {block} is not valid."));
    };
    match *dims {
        [1, c, h, w] if node.op == "DepthToSpace" && c % (b * b) == 0 => {
            let columns_first = match node.str("mode", "DCR").as_str() {
                "DCR" => false,
                "CRD" => true,
                other => return refuse(format!("its mode '{other}' is not known.")),
            };
            let op = Op::DepthToSpace {
                block: b,
                columns_first,
            };
            Ok((op, vec![1, c / (b * b), h * b, w * b]))
        }
        [1, c, h, w] if node.op == "SpaceToDepth" && h % b == 0 && w % b == 0 => Ok((
            Op::SpaceToDepth { block: b },
            vec![1, c * b * b, h / b, w / b],
        )),
        _ => refuse(format!(
            "its input {dims:?} is not one image that blocks of {b} divide."
        )),
    }
}
