//! PRelu with slopes that no layer has.

use super::simplify::node;
use crate::graph::{Constant, Graph, Node};
use crate::ops;

/// Slopes that differ by more than the channel: max(x, 0) + slope * min(x, 0), broadcast.
pub(super) fn rewrite(graph: &mut Graph, prelu: &Node) -> Option<(Vec<Node>, String)> {
    let (input, slopes) = (prelu.input(0)?.to_owned(), prelu.input(1)?.to_owned());
    graph.floats(&slopes)?;
    let dims = graph.shape(&input)?.to_vec();
    let runs = match dims[..] {
        [_, _] | [1, _, _] | [1, _, _, _] => ops::resolve(graph, prelu).is_ok(),
        _ => false,
    };
    let fits = ops::broadcast(&dims, graph.shape(&slopes)?).is_some_and(|d| d == dims);
    if runs || !fits || graph.constants.contains_key(&input) {
        return None;
    }
    let output = prelu.output().to_owned();
    let [positive, negative, scaled, zero] = ["positive", "negative", "scaled", "zero"]
        .map(|part| graph.fresh_name(&format!("{output}/{part}")));
    graph.add_constant(&zero, Constant::float(vec![], vec![0.0]));
    let new = vec![
        node(graph, &prelu.name, "Relu", &[&input], &positive),
        node(graph, &prelu.name, "Min", &[&input, &zero], &negative),
        node(graph, &prelu.name, "Mul", &[&negative, &slopes], &scaled),
        node(graph, &prelu.name, "Add", &[&positive, &scaled], &output),
    ];
    let change = format!("PRelu '{}' became Relu plus slopes times Min", prelu.name);
    Some((new, change))
}
