//! Exponents that change where an operator can't change them.

use std::collections::BTreeMap;

use crate::graph::{Graph, Node};
use crate::scaling;

/// Behind an operator that keeps its input's exponent, but whose output the file gives another, an
/// Identity that changes it. Whatever only moves or selects values commutes with that.
pub(crate) fn settle(graph: &mut Graph) -> Vec<String> {
    if graph.given.is_empty() {
        return Vec::new();
    }
    infer(graph);
    let mut changes = Vec::new();
    let mut exponents: BTreeMap<String, i32> = BTreeMap::new();
    for name in &graph.inputs {
        if let Some(e) = graph.given.exponent(name) {
            exponents.insert(name.clone(), e);
        }
    }
    let mut i = 0;
    while i < graph.nodes.len() {
        let node = &graph.nodes[i];
        let out = node.output().to_owned();
        let copied = match scaling::copies(graph, node) {
            true => (scaling::computed(graph, node).next()).and_then(|n| exponents.get(n).copied()),
            false => None,
        };
        let given = graph.given.exponent(&out);
        if let (Some(from), Some(to)) = (copied, given)
            && from != to
        {
            let before = graph.fresh_name(&format!("{out}/unscaled"));
            let dims = graph.shape(&out).map(<[usize]>::to_vec);
            graph.nodes[i].outputs[0] = before.clone();
            if let Some(dims) = dims {
                graph.shapes.insert(before.clone(), dims);
            }
            changes.push(format!(
                "'{out}' goes from 2^{from} to 2^{to} behind '{}'",
                graph.nodes[i].name
            ));
            let name = graph.fresh_name(&format!("{out}/rescale"));
            let identity = Node {
                name,
                op: "Identity".into(),
                inputs: vec![before],
                outputs: vec![out.clone()],
                attrs: BTreeMap::new(),
            };
            i += 1;
            graph.nodes.insert(i, identity);
        }
        if let Some(e) = given.or(copied) {
            exponents.insert(out, e);
        }
        i += 1;
    }
    changes
}

/// What a tensor without an exponent needs follows from what is only moved or selected of it.
fn infer(graph: &mut Graph) {
    for i in (0..graph.nodes.len()).rev() {
        let node = &graph.nodes[i];
        let Some(e) = graph.given.exponent(node.output()) else {
            continue;
        };
        if !scaling::copies(graph, node) {
            continue;
        }
        let Some(first) = scaling::computed(graph, node).next().map(str::to_owned) else {
            continue;
        };
        if graph.given.exponent(&first).is_none() {
            graph.given.activations.insert(first, e);
        }
    }
}
