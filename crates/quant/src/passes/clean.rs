//! Removal of nodes and constants that do nothing.

use std::collections::BTreeMap;

use super::bypass;
use super::fold::is_float;
use crate::graph::{Constant, Data, Graph, Node};
use crate::ops;

pub(super) fn identities(graph: &mut Graph) -> Vec<String> {
    let mut changes = Vec::new();
    let mut i = 0;
    while i < graph.nodes.len() {
        let node = graph.nodes[i].clone();
        if let Some(from) = node.input(0).filter(|_| does_nothing(graph, &node))
            && bypass(graph, i, from)
        {
            changes.push(format!("removed {} '{}'", node.op, node.name));
        } else {
            // Those that the ESP-DL toolkit knows keep their line in its log.
            let known = matches!(
                node.op.as_str(),
                "Flatten" | "Identity" | "Pad" | "Transpose"
            );
            if does_nothing(graph, &node) && !known {
                let node = &mut graph.nodes[i];
                node.op = "Identity".into();
                node.inputs.truncate(1);
                node.outputs.truncate(1);
                node.attrs.clear();
                changes.push(format!("'{}' became Identity", node.name));
            }
            i += 1;
        }
    }
    changes
}

fn does_nothing(graph: &Graph, node: &Node) -> bool {
    let Some(dims) = node.input(0).and_then(|n| graph.shape(n)) else {
        return node.op == "Identity" || node.op == "Dropout" && !drops(graph, node);
    };
    match node.op.as_str() {
        "Identity" => true,
        // In inference a Dropout passes its input on; its mask is read by nobody.
        "Dropout" => {
            !drops(graph, node) && (node.outputs.get(1)).is_none_or(|mask| is_free(graph, mask))
        }
        "Flatten" => ops::reshaped_dims(graph, node, dims).is_ok_and(|out| out == dims),
        "Pad" => ops::pad_amounts(graph, node).is_some_and(|p| p.iter().all(|p| *p == 0)),
        "Tile" => graph.shape(node.output()) == Some(dims),
        "Sum" | "Mean" => node.inputs.len() == 1,
        "Clip" => match ops::Function::of(graph, node) {
            Some(ops::Function::Clip { low, high }) => {
                low.is_infinite() && high.is_infinite() && low < high
            }
            _ => false,
        },
        "Transpose" => {
            (node.ints("perm")).is_some_and(|p| p.iter().enumerate().all(|(i, p)| *p == i as i64))
        }
        // Activations are float32 throughout; a Cast to floats keeps them. One to int32 (6) or
        // int64 (7) keeps what is whole anyway.
        "Cast" => match node.int("to", 0) {
            to if is_float(to) => !node.input(0).is_some_and(|n| is_int(graph, n)),
            6 | 7 => node.input(0).is_some_and(|n| is_position(graph, n)),
            _ => false,
        },
        _ => false,
    }
}

/// Whether nobody reads a tensor.
fn is_free(graph: &Graph, name: &str) -> bool {
    name.is_empty() || graph.consumers(name).is_empty() && !graph.is_output(name)
}

/// Whether a Dropout is in training mode, or might be.
fn drops(graph: &Graph, node: &Node) -> bool {
    let training = match node.input(2) {
        Some(name) => graph.int_values(name).is_none_or(|v| v.first() != Some(&0)),
        None => false,
    };
    let ratio = match node.input(1) {
        Some(name) => graph.floats(name).and_then(|v| v.first().copied()),
        None => Some(0.5),
    };
    training && ratio != Some(0.0)
}

/// Whether a tensor is where the largest or smallest elements are.
fn is_position(graph: &Graph, name: &str) -> bool {
    let producer = graph.producer_of(name).map(|i| graph.nodes[i].op.as_str());
    matches!(producer, Some("ArgMax" | "ArgMin"))
}

fn is_int(graph: &Graph, name: &str) -> bool {
    graph.int_values(name).is_some()
}

/// Operators that the ESP-DL toolkit takes, MatMul as what its optimizer makes a Gemm of.
const TOOLKIT: [&str; 28] = [
    "Add",
    "AveragePool",
    "Concat",
    "Conv",
    "Expand",
    "Flatten",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "LeakyRelu",
    "MatMul",
    "Max",
    "MaxPool",
    "Min",
    "Mul",
    "PRelu",
    "Pad",
    "Relu",
    "Reshape",
    "Resize",
    "Shape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Squeeze",
    "Sub",
    "Tanh",
    "Transpose",
];

/// Whether the toolkit takes a model as it is, or with BatchNormalization only where its optimizer has a
/// layer for it.
fn is_toolkits(graph: &Graph) -> bool {
    graph.nodes.iter().all(|node| {
        let before = || graph.producer_of(node.input(0)?).map(|i| &graph.nodes[i]);
        let fused = || before().is_some_and(|b| matches!(b.op.as_str(), "Conv" | "Gemm"));
        TOOLKIT.contains(&node.op.as_str()) || node.op == "BatchNormalization" && fused()
    })
}

/// Transpose after Transpose: removed when they cancel, merged when they don't. The toolkit keeps both, so
/// its table and log have them; of a model that it takes they are left to the plan, which moves nothing
/// twice.
pub(super) fn transpose_pairs(graph: &mut Graph) -> Vec<String> {
    let mut changes = Vec::new();
    if is_toolkits(graph) {
        return changes;
    }
    let mut i = 0;
    while i < graph.nodes.len() {
        let second = graph.nodes[i].clone();
        let merged = merged_perm(graph, &second);
        let Some((source, first, perm)) = merged else {
            i += 1;
            continue;
        };
        if perm.iter().enumerate().all(|(k, p)| *p == k as i64) {
            if !bypass(graph, i, &source) {
                i += 1;
                continue;
            }
            changes.push(format!("'{first}' and '{}' cancel", second.name));
        } else {
            let node = &mut graph.nodes[i];
            node.inputs[0] = source;
            node.attrs
                .insert("perm".into(), crate::graph::Attr::Ints(perm));
            changes.push(format!("merged '{first}' into '{}'", second.name));
        }
        drop_dead_transposes(graph);
        i = 0;
    }
    changes
}

/// For a Transpose that reads a Transpose: what that one reads, its name, the combined perm.
fn merged_perm(graph: &Graph, second: &Node) -> Option<(String, String, Vec<i64>)> {
    if second.op != "Transpose" {
        return None;
    }
    let first = &graph.nodes[graph.producer_of(second.input(0)?)?];
    if first.op != "Transpose" || graph.given.exponent(first.output()).is_some() {
        return None;
    }
    let (p, q) = (first.ints("perm")?, second.ints("perm")?);
    let perm = (q.iter())
        .map(|k| usize::try_from(*k).ok().and_then(|k| p.get(k)).copied())
        .collect::<Option<Vec<_>>>()?;
    Some((first.input(0)?.to_owned(), first.name.clone(), perm))
}

pub(super) fn unused(graph: &mut Graph) -> Vec<String> {
    let mut changes = Vec::new();
    let dead = |graph: &Graph, n: &Node| {
        (n.outputs.iter()).all(|o| !graph.is_output(o) && graph.consumers(o).is_empty())
    };
    while let Some(i) = graph.nodes.iter().rposition(|n| dead(graph, n)) {
        let node = graph.nodes.remove(i);
        changes.push(format!("removed {} '{}'", node.op, node.name));
    }
    changes
}

fn drop_dead_transposes(graph: &mut Graph) {
    let dead = |graph: &Graph, n: &Node| {
        n.op == "Transpose"
            && !graph.is_output(n.output())
            && graph.consumers(n.output()).is_empty()
    };
    while let Some(i) = graph.nodes.iter().position(|n| dead(graph, n)) {
        graph.nodes.remove(i);
    }
}

pub(super) fn initializers(graph: &mut Graph) -> Vec<String> {
    let mut changes = Vec::new();
    let unused = graph.drop_unused_constants();
    if unused > 0 {
        changes.push(format!("dropped {unused} unused"));
    }
    // Bit patterns, so that NaN and -0.0 are told apart like any other value.
    let key = |c: &Constant| -> Option<(Vec<usize>, Vec<u64>)> {
        let bits = match &c.data {
            Data::Float(v) => v.iter().map(|v| u64::from(v.to_bits())).collect(),
            Data::Int(v) => v.iter().map(|v| *v as u64).collect(),
            Data::Unreadable(_) => return None,
        };
        Some((c.dims.clone(), bits))
    };
    // The first in the file gives its name, as in ONNX's optimizer, which the ESP-DL toolkit uses.
    let mut first: BTreeMap<(bool, Vec<usize>, Vec<u64>), String> = BTreeMap::new();
    let mut twins = Vec::new();
    let mut in_order: Vec<(&String, &Constant)> = graph.constants.iter().collect();
    in_order.sort_by_key(|(name, _)| graph.places.get(*name).copied().unwrap_or(usize::MAX));
    for (name, constant) in in_order {
        let Some((dims, bits)) = key(constant) else {
            continue;
        };
        let key = (constant.as_ints().is_some(), dims, bits);
        match first.get(&key) {
            Some(keep) => twins.push((name.clone(), keep.clone())),
            None => {
                first.insert(key, name.clone());
            }
        }
    }
    for (name, keep) in twins {
        let shape_only = (graph.consumers(&name).iter()).all(|i| {
            matches!(
                graph.nodes[*i].op.as_str(),
                "Reshape" | "Squeeze" | "Unsqueeze"
            )
        });
        changes.push(format!("'{name}' is the same as '{keep}'"));
        // Weights stay apart: a layer's may be scaled. Only the toolkit's table has them under one name.
        match shape_only {
            true => graph.rewire(&name, &keep),
            false => {
                graph.twins.insert(name, keep);
            }
        }
    }
    graph.drop_unused_constants();
    changes
}
