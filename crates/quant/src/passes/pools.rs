//! Pools whose output size is rounded up.

use super::simplify::{ints, node};
use crate::graph::{Attr, Graph, Node};
use crate::ops;

/// An output size that is rounded up needs padding at the end, which a pool can be told.
pub(super) fn ceil_mode(graph: &mut Graph, pool: &Node) -> Option<(Vec<Node>, String)> {
    if pool.int("ceil_mode", 0) == 0 {
        return None;
    }
    if pool.int("count_include_pad", 0) != 0 {
        return counted_pads(graph, pool);
    }
    let window = match ops::resolve(graph, pool).ok()?.0 {
        ops::Op::MaxPool(window) | ops::Op::AveragePool { window, .. } => window,
        _ => return None,
    };
    let spatial = graph.shape(pool.input(0)?)?.len().checked_sub(2)?;
    let pads = match (spatial, window.pads) {
        (2, pads) => pads.to_vec(),
        (_, [_, left, _, right]) => vec![left, right],
    };
    let mut new = pool.clone();
    for name in ["ceil_mode", "auto_pad"] {
        new.attrs.remove(name);
    }
    let pads = pads.iter().map(|p| *p as i64).collect();
    new.attrs.insert("pads".into(), Attr::Ints(pads));
    Some((
        vec![new],
        format!("'{}' pads to its rounded size", pool.name),
    ))
}

/// Of a mean whose output size is rounded up, the zeros that were asked for count, those behind them that
/// the rounding wants don't: a Pad adds the former.
fn counted_pads(graph: &mut Graph, pool: &Node) -> Option<(Vec<Node>, String)> {
    let mut new = pool.clone();
    new.attrs.remove("count_include_pad");
    let (op, dims) = ops::resolve(graph, &new).ok()?;
    let ops::Op::AveragePool { window, .. } = op else {
        return None;
    };
    let change = format!("'{}' counts its pads", pool.name);
    let input = pool.input(0)?.to_owned();
    let from = graph.shape(&input)?.to_vec();
    let spatial = from.len().checked_sub(2)?;
    if !matches!(pool.str("auto_pad", "NOTSET").as_str(), "NOTSET" | "") {
        return None;
    }
    let given = match pool.ints("pads") {
        Some(pads) => pads.to_vec(),
        None => vec![0; 2 * spatial],
    };
    let mut amounts = vec![0; 2 * from.len()];
    let mut rest = vec![0; 2 * spatial];
    for k in 0..spatial {
        let axis = k + 2 - spatial;
        let span = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
        let end = (dims[k + 2] - 1) * window.stride[axis] + span;
        let (before, after) = (given[k], given[k + spatial]);
        let wanted = end as i64 - from[k + 2] as i64 - before;
        amounts[k + 2] = before;
        amounts[k + 2 + from.len()] = wanted.clamp(0, after);
        rest[k + spatial] = (wanted - after).max(0);
    }
    new.attrs.remove("ceil_mode");
    // Without any behind them, all are counted.
    if rest.iter().all(|r| *r == 0) {
        let axes = |offset: usize| amounts[offset + 2..].iter().take(spatial);
        let pads = axes(0).chain(axes(from.len())).copied().collect();
        new.attrs.insert("pads".into(), Attr::Ints(pads));
        new.attrs.insert("count_include_pad".into(), Attr::Int(1));
        return Some((vec![new], change));
    }
    let mut nodes = Vec::new();
    if amounts.iter().any(|a| *a != 0) {
        let padded = graph.fresh_name(&format!("{}/padded", pool.output()));
        let mut pad = node(graph, &pool.name, "Pad", &[&input], &padded);
        if graph.opset < 11 {
            pad.attrs.insert("pads".into(), Attr::Ints(amounts));
        } else {
            let name = ints(graph, &format!("{}/counted", pool.output()), amounts);
            pad.inputs.push(name);
        }
        new.inputs[0] = padded;
        nodes.push(pad);
    }
    new.attrs.insert("pads".into(), Attr::Ints(rest));
    nodes.push(new);
    Some((nodes, change))
}
