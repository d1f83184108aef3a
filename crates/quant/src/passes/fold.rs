//! Nodes whose inputs are all constant: shape arithmetic that exporters leave behind, and weights
//! that pass through a Transpose or a scale.

use super::clean;
use crate::given::GivenConstant;
use crate::graph::{Attr, Constant, Data, Graph, Node};
use crate::ops;

pub(super) fn constants(graph: &mut Graph) -> Vec<String> {
    let mut changes = Vec::new();
    let mut i = 0;
    while i < graph.nodes.len() {
        let node = graph.nodes[i].clone();
        match evaluate(graph, &node) {
            Some(value) if !graph.is_output(node.output()) => {
                let given = turned(graph, &node);
                graph.add_constant(node.output(), value);
                if let Some(given) = given {
                    (graph.given.constants).insert(node.output().to_owned(), given);
                }
                graph.nodes.remove(i);
                changes.push(format!("computed {} '{}'", node.op, node.name));
                // Shapes behind this one may have become known.
                ops::infer_shapes(graph);
            }
            _ => i += 1,
        }
    }
    // With more shapes known, more is known to do nothing.
    if !changes.is_empty() {
        changes.extend(clean::identities(graph));
    }
    changes
}

/// The file's integers of a constant that is only turned or reshaped.
fn turned(graph: &Graph, node: &Node) -> Option<GivenConstant> {
    let mut given = (graph.given.constants.get(node.input(0)?)).cloned()?;
    let whole = given.exponents.len() == 1;
    match node.op.as_str() {
        "Identity" => {}
        "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" if whole => {}
        "Transpose" => {
            let rank = graph.shape(node.input(0)?)?.len();
            given.axis = match node.ints("perm") {
                Some(perm) => (perm.iter()).position(|p| *p == given.axis as i64)?,
                None => rank.checked_sub(1 + given.axis)?,
            };
            given.integers = None;
        }
        _ => return None,
    }
    Some(given)
}

/// What a node computes of constants alone.
pub(crate) fn evaluate(graph: &Graph, node: &Node) -> Option<Constant> {
    if node.op == "Shape" {
        let dims = graph.shape(node.input(0)?)?;
        // A part of them since opset 15.
        let rank = dims.len() as i64;
        let place = |given: i64| {
            let at = if given < 0 { given + rank } else { given };
            at.clamp(0, rank) as usize
        };
        let (start, end) = (place(node.int("start", 0)), place(node.int("end", rank)));
        let part = dims.get(start..end).unwrap_or(&[]);
        return Some(Constant::ints(
            vec![part.len()],
            part.iter().map(|d| *d as i64).collect(),
        ));
    }
    let inputs = (node.inputs.iter())
        .filter(|n| !n.is_empty())
        .map(|n| graph.constants.get(n))
        .collect::<Option<Vec<_>>>()?;
    let first = inputs.first().copied();
    match node.op.as_str() {
        "ConstantOfShape" => {
            let dims = (first?.as_ints()?.iter())
                .map(|d| usize::try_from(*d).ok())
                .collect::<Option<Vec<_>>>()?;
            if !ops::fits(&dims) {
                return None;
            }
            let len = dims.iter().product();
            match node.attrs.get("value") {
                Some(Attr::Tensor(t)) => match &t.data {
                    Data::Int(v) => Some(Constant::ints(dims, vec![*v.first()?; len])),
                    Data::Float(v) => Some(Constant::float(dims, vec![*v.first()?; len])),
                    Data::Unreadable(_) => None,
                },
                _ => Some(Constant::float(dims, vec![0.0; len])),
            }
        }
        "Identity" => first.cloned(),
        "Cast" => cast(first?, node.int("to", 0)),
        "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" => {
            let value = first?;
            let dims = ops::reshaped_dims(graph, node, &value.dims).ok()?;
            (dims.iter().product::<usize>() == value.len()).then(|| Constant {
                dims,
                data: value.data.clone(),
            })
        }
        "Transpose" => transpose(first?, node.ints("perm")),
        "Expand" => expand(first?, inputs.get(1)?),
        "Concat" => concat(&inputs, node.int("axis", 0)),
        "Gather" => gather(first?, inputs.get(1)?, node.int("axis", 0)),
        "Slice" => slice(graph, node, first?),
        "Add" | "Sub" | "Mul" | "Div" => arithmetic(&node.op, first?, inputs.get(1)?),
        "Sqrt" => map(first?, libm::sqrtf),
        "Neg" => map(first?, |v| -v),
        "Reciprocal" => map(first?, |v| 1.0 / v),
        _ => None,
    }
}

/// A constant repeated to a shape.
fn expand(value: &Constant, shape: &Constant) -> Option<Constant> {
    let shape = (shape.as_ints()?.iter())
        .map(|d| usize::try_from(*d).ok())
        .collect::<Option<Vec<_>>>()?;
    let dims = ops::broadcast(&value.dims, &shape).filter(|dims| ops::fits(dims))?;
    let at = |flat| repeated(&value.dims, &dims, flat);
    let count = dims.iter().product();
    let data = match &value.data {
        Data::Float(v) => Data::Float(
            (0..count)
                .map(|to| v.get(at(to)).copied())
                .collect::<Option<_>>()?,
        ),
        Data::Int(v) => Data::Int(
            (0..count)
                .map(|to| v.get(at(to)).copied())
                .collect::<Option<_>>()?,
        ),
        Data::Unreadable(_) => return None,
    };
    Some(Constant { dims, data })
}

/// Whether an ONNX type is float32 here: that, float16 or double.
pub(super) fn is_float(kind: i64) -> bool {
    matches!(kind, 1 | 10 | 11)
}

fn cast(value: &Constant, to: i64) -> Option<Constant> {
    let data = match (&value.data, to) {
        (Data::Float(v), to) if is_float(to) => Data::Float(v.clone()),
        (Data::Int(v), to) if is_float(to) => Data::Float(v.iter().map(|v| *v as f32).collect()),
        (Data::Float(v), 6 | 7) => Data::Int(v.iter().map(|v| *v as i64).collect()),
        (Data::Int(v), 6 | 7) => Data::Int(v.clone()),
        _ => return None,
    };
    Some(Constant {
        dims: value.dims.clone(),
        data,
    })
}

fn map(value: &Constant, f: impl Fn(f32) -> f32) -> Option<Constant> {
    let v = value.as_floats()?;
    Some(Constant::float(
        value.dims.clone(),
        v.iter().map(|v| f(*v)).collect(),
    ))
}

/// The constant with its dimensions permuted; `perm` None reverses them.
pub(super) fn transpose(value: &Constant, perm: Option<&[i64]>) -> Option<Constant> {
    let rank = value.dims.len();
    let perm: Vec<usize> = match perm {
        Some(p) => (p.iter())
            .map(|p| usize::try_from(*p).ok().filter(|p| *p < rank))
            .collect::<Option<_>>()?,
        None => (0..rank).rev().collect(),
    };
    if perm.len() != rank || (0..rank).any(|d| !perm.contains(&d)) {
        return None;
    }
    let dims: Vec<usize> = perm.iter().map(|p| value.dims[*p]).collect();
    let mut strides = vec![1; rank];
    for i in (1..rank).rev() {
        strides[i - 1] = strides[i] * value.dims[i];
    }
    let source = |mut flat: usize| {
        let mut at = 0;
        for i in (0..rank).rev() {
            at += flat % dims[i] * strides[perm[i]];
            flat /= dims[i];
        }
        at
    };
    let len = value.len();
    let data = match &value.data {
        Data::Float(v) => Data::Float((0..len).map(|i| v[source(i)]).collect()),
        Data::Int(v) => Data::Int((0..len).map(|i| v[source(i)]).collect()),
        Data::Unreadable(_) => return None,
    };
    Some(Constant { dims, data })
}

/// Only of vectors and scalars, which is what shape arithmetic needs.
fn concat(inputs: &[&Constant], axis: i64) -> Option<Constant> {
    if axis != 0 && axis != -1 || inputs.iter().any(|c| c.dims.len() != 1) {
        return None;
    }
    if inputs.iter().all(|c| c.as_ints().is_some()) {
        let all: Vec<i64> = (inputs.iter())
            .flat_map(|c| c.as_ints().unwrap_or(&[]).iter().copied())
            .collect();
        return Some(Constant::ints(vec![all.len()], all));
    }
    let all = (inputs.iter())
        .map(|c| c.as_floats())
        .collect::<Option<Vec<_>>>()?
        .concat();
    Some(Constant::float(vec![all.len()], all))
}

fn gather(value: &Constant, index: &Constant, axis: i64) -> Option<Constant> {
    let [n] = *value.dims.as_slice() else {
        return None;
    };
    if axis != 0 && axis != -1 {
        return None;
    }
    let at = (index.as_ints()?.iter())
        .map(|&i| {
            let i = if i < 0 { i + n as i64 } else { i };
            usize::try_from(i).ok().filter(|i| *i < n)
        })
        .collect::<Option<Vec<_>>>()?;
    let data = match &value.data {
        Data::Float(v) => Data::Float(at.iter().map(|i| v[*i]).collect()),
        Data::Int(v) => Data::Int(at.iter().map(|i| v[*i]).collect()),
        Data::Unreadable(_) => return None,
    };
    Some(Constant {
        dims: index.dims.clone(),
        data,
    })
}

fn slice(graph: &Graph, node: &Node, value: &Constant) -> Option<Constant> {
    let [n] = *value.dims.as_slice() else {
        return None;
    };
    let at = |i: usize, attr: &str| -> Option<i64> {
        match node.input(i) {
            Some(name) => graph.int_values(name)?.first().copied(),
            None => node.ints(attr)?.first().copied(),
        }
    };
    let clamp = |v: i64| (if v < 0 { v + n as i64 } else { v }).clamp(0, n as i64) as usize;
    if at(4, "steps").is_some_and(|s| s != 1) {
        return None;
    }
    let (start, end) = (clamp(at(1, "starts")?), clamp(at(2, "ends")?));
    let range = start..end.max(start);
    let data = match &value.data {
        Data::Float(v) => Data::Float(v.get(range.clone())?.to_vec()),
        Data::Int(v) => Data::Int(v.get(range.clone())?.to_vec()),
        Data::Unreadable(_) => return None,
    };
    Some(Constant {
        dims: vec![range.len()],
        data,
    })
}

/// Which element of a tensor of shape `from` is at `flat` when it is repeated to the shape `to`.
fn repeated(from: &[usize], to: &[usize], mut flat: usize) -> usize {
    let (mut at, mut stride) = (0, 1);
    let skip = to.len() - from.len();
    for i in (0..to.len()).rev() {
        let k = flat % to[i];
        flat /= to[i];
        if i >= skip {
            if from[i - skip] > 1 {
                at += k * stride;
            }
            stride *= from[i - skip];
        }
    }
    at
}

fn arithmetic(op: &str, a: &Constant, b: &Constant) -> Option<Constant> {
    let dims = ops::broadcast(&a.dims, &b.dims).filter(|d| ops::fits(d))?;
    let index = |c: &Constant, flat| repeated(&c.dims, &dims, flat);
    let len: usize = dims.iter().product();
    let data = match (&a.data, &b.data) {
        (Data::Float(x), Data::Float(y)) => {
            let f = |x: f32, y: f32| match op {
                "Add" => x + y,
                "Sub" => x - y,
                "Mul" => x * y,
                _ => x / y,
            };
            Data::Float(
                (0..len)
                    .map(|i| f(x[index(a, i)], y[index(b, i)]))
                    .collect(),
            )
        }
        (Data::Int(x), Data::Int(y)) => {
            let f = |x: i64, y: i64| match op {
                "Add" => x.checked_add(y),
                "Sub" => x.checked_sub(y),
                "Mul" => x.checked_mul(y),
                _ => x.checked_div(y),
            };
            Data::Int(
                (0..len)
                    .map(|i| f(x[index(a, i)], y[index(b, i)]))
                    .collect::<Option<_>>()?,
            )
        }
        _ => return None,
    };
    Some(Constant { dims, data })
}
