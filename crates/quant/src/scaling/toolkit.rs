//! The ESP-DL toolkit's exponents, as its calibrator gives them.
//!
//! 1. The model's inputs and what computes anew have an exponent of their own. Where activations
//!    follow, the range behind the last of them decides, whatever goes into the first one: also into
//!    a Concat, Max, Min or Reshape.
//! 2. What moves or selects values has none of its own otherwise: its *origin* is found by going
//!    back through first inputs.
//! 3. Every Concat, in graph order, raises the origins of its inputs to the largest among them. What
//!    a later Concat raises again does not go back to the others of an earlier one.
//! 4. A pool, Flatten, Resize, Slice, Squeeze or Transpose that has an activation for its only reader
//!    passes its exponent back to its origin; Expand, Pad and Reshape don't. With several readers it has its origin's, and the activation
//!    has its own.
//! 5. Everything has its origin's exponent.

use std::collections::{BTreeMap, BTreeSet};

use super::{Rule, computed, rule};
use crate::fusion::{Role, roles};
use crate::graph::Graph;
use crate::options::Arithmetic;

pub(super) fn assign(
    graph: &Graph,
    own: &mut dyn FnMut(&str, bool) -> i32,
) -> BTreeMap<String, i32> {
    let roles = roles(graph, Arithmetic::Espdl);
    let fused: BTreeSet<usize> = (roles.iter())
        .filter_map(|role| match role {
            Role::Activated(a) => Some(*a),
            _ => None,
        })
        .collect();
    let activation = |i: usize| {
        let alone = graph.nodes[i].is_activation() && !matches!(roles[i], Role::Table(_));
        fused.contains(&i) || alone
    };
    // With several readers these keep their input's exponent, and an activation behind them has one of
    // its own.
    let moved = |i: usize| {
        let layer = matches!(roles[i], Role::Layer | Role::Activated(_)) && !activation(i);
        let copies = layer && rule(graph, &graph.nodes[i], Arithmetic::Espdl) == Rule::First;
        let keeps = matches!(
            graph.nodes[i].op.as_str(),
            "Concat" | "Expand" | "Max" | "Min" | "Pad" | "Reshape"
        );
        copies && !keeps
    };
    let joins = |name: &str| {
        (graph.producer_of(name)).is_none_or(|i| !moved(i) || graph.consumers(name).len() == 1)
    };
    // The last activation behind a tensor: of several readers the last one's.
    let mut bent: BTreeMap<&str, &str> = BTreeMap::new();
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        let first = computed(graph, node).next();
        if let Some(input) = first.filter(|name| activation(i) && joins(name)) {
            let last = bent.get(node.output()).copied();
            bent.entry(input).or_insert(last.unwrap_or(node.output()));
        }
    }
    let mut origin: BTreeMap<&str, &str> = BTreeMap::new();
    // Whose range decides for an origin; None where nothing is scaled.
    let mut decides: BTreeMap<&str, Option<(&str, bool)>> = BTreeMap::new();
    for name in &graph.inputs {
        origin.insert(name, name);
        decides.insert(name, Some((name, true)));
    }
    // Origins that what is behind them decides for, in graph order.
    let mut back: Vec<(&str, &str)> = Vec::new();
    for (i, node) in graph.nodes.iter().enumerate() {
        let out = node.output();
        let rule = match roles[i] {
            Role::Table(_) => Rule::Own,
            _ if fused.contains(&i) => Rule::First,
            _ => rule(graph, node, Arithmetic::Espdl),
        };
        let first = (computed(graph, node).next()).and_then(|name| origin.get(name).copied());
        let copied = first.filter(|_| rule == Rule::First);
        match (bent.get(out), copied) {
            (None, Some(from)) if !activation(i) || node.input(0).is_some_and(joins) => {
                origin.insert(out, from);
            }
            (Some(_), Some(from)) if activation(i) && node.input(0).is_some_and(joins) => {
                origin.insert(out, from);
            }
            (behind, copied) => {
                origin.insert(out, out);
                let own = (behind.copied().unwrap_or(out), false);
                decides.insert(out, (rule != Rule::Zero).then_some(own));
                if let Some(from) = copied.filter(|_| moved(i)) {
                    back.push((from, out));
                }
            }
        }
    }
    // An activation right behind the model's input.
    for (input, behind) in &bent {
        if graph.inputs.iter().any(|name| name == input) {
            decides.insert(input, Some((behind, false)));
        }
    }
    let mut exponents: BTreeMap<&str, i32> = (decides.iter())
        .map(|(name, range)| (*name, range.map_or(0, |(of, input)| own(of, input))))
        .collect();
    for node in graph.nodes.iter().filter(|n| n.op == "Concat") {
        let origins: Vec<&str> = computed(graph, node)
            .filter_map(|name| origin.get(name).copied())
            .collect();
        let largest = origins.iter().map(|name| exponents[name]).max();
        for name in origins {
            exponents.extend(largest.map(|e| (name, e)));
        }
    }
    for (from, behind) in back.into_iter().rev() {
        exponents.insert(from, exponents[behind]);
    }
    (origin.iter())
        .map(|(name, origin)| ((*name).to_owned(), exponents[origin]))
        .collect()
}
