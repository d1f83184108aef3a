//! Whose range decides the exponent of every activation.
//!
//! In the espdl arithmetic that is what the ESP-DL toolkit does ([`toolkit`]).
//!
//! The fixpoint arithmetic can change the exponent in more places, so there a Concat, a mean over
//! the whole image, a maximum, a minimum and an activation by itself take the ceiling of their own
//! range, and nothing is passed back.

mod toolkit;

use std::collections::BTreeMap;

use crate::fusion::{Role, roles};
use crate::graph::{Graph, Node};
use crate::options::Arithmetic;

/// Where an operator's output takes its exponent from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Its own range.
    Own,
    /// Its first computed input.
    First,
    /// Counts things: no scale.
    Zero,
}

/// True for nodes whose output has their input's exponent in the fixpoint arithmetic.
pub(crate) fn copies(graph: &Graph, node: &Node) -> bool {
    rule(graph, node, Arithmetic::Fixpoint) == Rule::First
}

/// The tensor whose exponent a node's output has in ESP-DL's toolkit, if it has that of another one.
pub(crate) fn toolkit_source<'g>(graph: &Graph, node: &'g Node) -> Option<&'g str> {
    match rule(graph, node, Arithmetic::Espdl) {
        Rule::First => computed(graph, node).next(),
        Rule::Own | Rule::Zero => None,
    }
}

fn rule(graph: &Graph, node: &Node, arithmetic: Arithmetic) -> Rule {
    let toolkit = arithmetic == Arithmetic::Espdl;
    match node.op.as_str() {
        // What is left of these may be there to change the exponent.
        "Identity" if graph.given.exponent(node.output()).is_some() => Rule::Own,
        "Concat" | "GlobalAveragePool" | "Max" | "Min" if toolkit => Rule::First,
        "Relu" | "LeakyRelu" | "PRelu" if toolkit => Rule::First,
        "MaxPool" | "GlobalMaxPool" | "ReduceMax" | "ReduceMin" | "Reshape" | "Flatten"
        | "Transpose" | "Squeeze" | "Unsqueeze" | "Pad" | "Gather" | "Tile" | "Expand"
        | "Slice" | "Resize" | "DepthToSpace" | "SpaceToDepth" | "Identity" => Rule::First,
        "ArgMax" => Rule::Zero,
        _ => Rule::Own,
    }
}

/// The inputs of a node that are not constant.
pub(crate) fn computed<'g>(graph: &Graph, node: &'g Node) -> impl Iterator<Item = &'g str> {
    let fixed: Vec<bool> = (node.inputs.iter())
        .map(|n| n.is_empty() || graph.constants.contains_key(n))
        .collect();
    (node.inputs.iter().zip(fixed))
        .filter(|(_, fixed)| !fixed)
        .map(|(n, _)| n.as_str())
}

/// Exponents of all activations by name. `own(tensor, is_input)` is what a tensor's range asks for.
pub(crate) fn assign(
    graph: &Graph,
    arithmetic: Arithmetic,
    own: &mut dyn FnMut(&str, bool) -> i32,
) -> BTreeMap<String, i32> {
    match arithmetic {
        Arithmetic::Espdl => toolkit::assign(graph, own),
        Arithmetic::Fixpoint => fixpoint(graph, own),
    }
}

fn fixpoint(graph: &Graph, own: &mut dyn FnMut(&str, bool) -> i32) -> BTreeMap<String, i32> {
    let mut of: BTreeMap<&str, i32> = BTreeMap::new();
    for name in &graph.inputs {
        of.insert(name, own(name, true));
    }
    let roles = roles(graph, Arithmetic::Fixpoint);
    for (i, node) in graph.nodes.iter().enumerate() {
        let out = node.output();
        // A fused activation has had its exponent with its producer.
        if of.contains_key(out) {
            continue;
        }
        let post = match roles[i] {
            Role::Activated(a) => Some(graph.nodes[a].output()),
            _ => None,
        };
        let rule = match roles[i] {
            Role::Table(_) => Rule::Own,
            _ => rule(graph, node, Arithmetic::Fixpoint),
        };
        let e = match rule {
            Rule::First => (computed(graph, node).next()).and_then(|n| of.get(n).copied()),
            Rule::Zero => Some(0),
            Rule::Own => Some(own(post.unwrap_or(out), false)),
        };
        for name in [Some(out), post].into_iter().flatten() {
            of.insert(name, e.unwrap_or(0));
        }
    }
    (of.into_iter())
        .map(|(name, e)| (name.to_owned(), e))
        .collect()
}
