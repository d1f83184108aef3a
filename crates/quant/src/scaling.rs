//! Whose range decides the exponent of every activation.
//!
//! The ESP-DL toolkit's rules: the model's input rounds to nearest; what only moves or selects
//! values copies its input; the inputs and the output of a Concat all take the largest exponent
//! among them, back to what produced them; everything else takes the ceiling, and a fused
//! activation decides for its producer.
//!
//! The fixpoint arithmetic can change the exponent in more places, so there a Concat, a mean over
//! the whole image, a maximum, a minimum and an activation by itself take the ceiling of their own
//! range, and nothing is passed back.

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
    /// All inputs and the output have the same.
    Joined,
    /// Counts things: no scale.
    Zero,
}

/// True for nodes whose output has their input's exponent in the fixpoint arithmetic.
pub(crate) fn copies(graph: &Graph, node: &Node) -> bool {
    rule(graph, node, Arithmetic::Fixpoint) == Rule::First
}

fn rule(graph: &Graph, node: &Node, arithmetic: Arithmetic) -> Rule {
    let toolkit = arithmetic == Arithmetic::Espdl;
    match node.op.as_str() {
        // What is left of these may be there to change the exponent.
        "Identity" if graph.given.exponent(node.output()).is_some() => Rule::Own,
        "Concat" if toolkit => Rule::Joined,
        "GlobalAveragePool" | "Max" | "Min" | "Relu" | "LeakyRelu" | "PRelu" if toolkit => {
            Rule::First
        }
        "MaxPool" | "GlobalMaxPool" | "ReduceMax" | "ReduceMin" | "Reshape" | "Flatten"
        | "Transpose" | "Squeeze" | "Unsqueeze" | "Pad" | "Gather" | "Tile" | "Expand"
        | "Slice" | "Resize" | "DepthToSpace" | "SpaceToDepth" | "Identity" => Rule::First,
        "ArgMax" => Rule::Zero,
        _ => Rule::Own,
    }
}

/// Tensors that have to have the same exponent.
#[derive(Default)]
struct Groups<'g> {
    parent: BTreeMap<&'g str, &'g str>,
}

impl<'g> Groups<'g> {
    fn of(&self, name: &'g str) -> &'g str {
        let mut at = name;
        while let Some(parent) = self.parent.get(at) {
            at = parent;
        }
        at
    }

    fn join(&mut self, a: &'g str, b: &'g str) {
        let (a, b) = (self.of(a), self.of(b));
        if a != b {
            self.parent.insert(b, a);
        }
    }
}

/// The output of the activation behind a node, where the toolkit lets its range decide although it
/// is a layer of its own here: of its operators with an exponent of their own all but the linear ones,
/// which have it inside. GlobalAveragePool copies its input's exponent whatever follows.
fn joined_activation<'g>(graph: &'g Graph, i: usize, roles: &[Role]) -> Option<&'g str> {
    let node = &graph.nodes[i];
    let out = node.output();
    let own = matches!(node.op.as_str(), "Add" | "AveragePool" | "Mul" | "Sub");
    if !own || roles[i] != Role::Layer || !graph.is_private(out) {
        return None;
    }
    let next = *graph.consumers(out).first()?;
    let bends = matches!(
        graph.nodes[next].op.as_str(),
        "Relu" | "LeakyRelu" | "PRelu"
    );
    let fits = bends && roles[next] == Role::Layer && graph.nodes[next].input(0) == Some(out);
    fits.then(|| graph.nodes[next].output())
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
    let mut groups = Groups::default();
    // A group takes the largest.
    let mut wanted: BTreeMap<&str, i32> = BTreeMap::new();
    for name in &graph.inputs {
        wanted.insert(name, own(name, true));
    }
    let roles = roles(graph);
    for (i, node) in graph.nodes.iter().enumerate() {
        let out = node.output();
        let activation = match roles[i] {
            Role::Activated(a) => Some(graph.nodes[a].output()),
            _ if arithmetic == Arithmetic::Espdl => joined_activation(graph, i, &roles),
            _ => None,
        };
        if let Some(post) = activation {
            groups.join(out, post);
        }
        // A fused activation has had its exponent with its producer.
        if wanted.contains_key(out) {
            continue;
        }
        let rule = match roles[i] {
            Role::Table(_) => Rule::Own,
            _ => rule(graph, node, arithmetic),
        };
        match rule {
            Rule::First => {
                if let Some(first) = computed(graph, node).next() {
                    groups.join(first, out);
                }
            }
            Rule::Joined => {
                for input in computed(graph, node) {
                    groups.join(out, input);
                }
            }
            Rule::Zero => {
                wanted.insert(out, 0);
            }
            Rule::Own => {
                let e = own(activation.unwrap_or(out), false);
                wanted.insert(out, e);
                if let Some(post) = activation {
                    wanted.insert(post, e);
                }
            }
        }
    }
    let mut of_group: BTreeMap<&str, i32> = BTreeMap::new();
    for (name, e) in &wanted {
        let largest = of_group.entry(groups.of(name)).or_insert(*e);
        *largest = (*largest).max(*e);
    }
    let names = (graph.inputs.iter())
        .map(String::as_str)
        .chain(graph.nodes.iter().map(Node::output));
    names
        .map(|name| {
            let e = of_group.get(groups.of(name)).copied();
            (name.to_owned(), e.unwrap_or(0))
        })
        .collect()
}
