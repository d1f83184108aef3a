//! The ESP-DL toolkit's exponents, as its calibrator gives them.
//!
//! 1. The model's inputs and what computes anew have an exponent of their own. Where activations
//!    follow, the range behind the last of them decides, whatever goes into the first one: also into
//!    a Concat, Max, Min or Reshape.
//! 2. What moves or selects values has none of its own otherwise: its *origin* is found by going
//!    back through first inputs.
//! 3. Every Concat, in graph order, raises the origins of its inputs to the largest among them. What
//!    a later Concat raises again does not go back to the others of an earlier one.
//! 4. A Concat, pool, Flatten, Resize, Slice, Squeeze or Transpose that has an activation for its only reader
//!    passes its exponent back to its origin, a Concat to all its inputs' origins, when it is its turn; from
//!    there on they have one exponent, whatever a later Concat raises. Expand, Pad and Reshape don't. With several readers a
//!    pool and the like have their origin's, and an activation behind has its own. So has an activation that is not
//!    the last one behind a tensor.
//! 5. Everything has its origin's exponent.

use std::collections::{BTreeMap, BTreeSet};

use super::{Rule, computed, rule};
use crate::fusion::{Role, roles};
use crate::graph::Graph;
use crate::options::Arithmetic;

/// Origins that have become one.
#[derive(Default)]
struct Same<'g>(BTreeMap<&'g str, &'g str>);

impl<'g> Same<'g> {
    fn of(&self, mut origin: &'g str) -> &'g str {
        while let Some(next) = self.0.get(origin) {
            origin = next;
        }
        origin
    }

    /// `from` has the exponent of `to` from now on.
    fn join(&mut self, from: &'g str, to: &'g str) {
        let (from, to) = (self.of(from), self.of(to));
        if from != to {
            self.0.insert(from, to);
        }
    }
}

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
    let apart = |name: &str| {
        (graph.producer_of(name)).is_some_and(|i| moved(i) && graph.consumers(name).len() > 1)
    };
    // The last activation behind a tensor: of several readers the last one's.
    let mut bent: BTreeMap<&str, &str> = BTreeMap::new();
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        let first = computed(graph, node).next();
        if let Some(input) = first.filter(|name| activation(i) && !apart(name)) {
            let last = bent.get(node.output()).copied();
            bent.entry(input).or_insert(last.unwrap_or(node.output()));
        }
    }
    // An activation that decides for what it reads has the same exponent.
    let decisive = |i: usize| {
        let node = &graph.nodes[i];
        let last = bent.get(node.output()).copied();
        (node.input(0))
            .is_some_and(|name| bent.get(name).copied() == Some(last.unwrap_or(node.output())))
    };
    let mut origin: BTreeMap<&str, &str> = BTreeMap::new();
    // Whose range decides for an origin; None where nothing is scaled.
    let mut decides: BTreeMap<&str, Option<(&str, bool)>> = BTreeMap::new();
    for name in &graph.inputs {
        origin.insert(name, name);
        decides.insert(name, Some((name, true)));
    }
    // By what decides for it, an origin before it.
    let mut back: BTreeMap<&str, &str> = BTreeMap::new();
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
            (None, Some(from)) if !activation(i) || decisive(i) => {
                origin.insert(out, from);
            }
            (Some(_), Some(from)) if activation(i) && decisive(i) => {
                origin.insert(out, from);
            }
            (behind, copied) => {
                origin.insert(out, out);
                let own = (behind.copied().unwrap_or(out), false);
                decides.insert(out, (rule != Rule::Zero).then_some(own));
                if let Some(from) = copied.filter(|_| moved(i)) {
                    back.insert(out, from);
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
    let mut same = Same::default();
    for node in &graph.nodes {
        let out = node.output();
        if let Some(from) = back.get(out) {
            same.join(from, out);
        }
        if node.op != "Concat" {
            continue;
        }
        let origins = || computed(graph, node).filter_map(|name| origin.get(name).copied());
        if bent.contains_key(out) && graph.consumers(out).len() == 1 {
            origins().for_each(|from| same.join(from, out));
            continue;
        }
        let largest = origins().map(|from| exponents[same.of(from)]).max();
        for from in origins() {
            exponents.extend(largest.map(|e| (same.of(from), e)));
        }
    }
    (origin.iter())
        .map(|(name, origin)| ((*name).to_owned(), exponents[same.of(origin)]))
        .collect()
}
