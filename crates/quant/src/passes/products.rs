//! Gemm and MatMul in forms that no layer has: transposed or stored first operands, biases that
//! are not one row.

use super::simplify::node;
use crate::graph::{Attr, Constant, Data, Graph, Node};
use crate::ops;

/// The nodes that a Gemm or MatMul becomes, and what was changed.
pub(super) fn rewrite(graph: &mut Graph, product: &Node) -> Option<(Vec<Node>, String)> {
    stored_first(graph, product)
        .or_else(|| transposed(graph, product))
        .or_else(|| bias(graph, product))
}

fn matrix(graph: &Graph, name: &str) -> Option<[usize; 2]> {
    graph.shape(name)?.try_into().ok()
}

fn transpose(graph: &Graph, stem: &str, from: &str, to: &str) -> Node {
    let mut turn = node(graph, stem, "Transpose", &[from], to);
    turn.attrs.insert("perm".into(), Attr::Ints(vec![1, 0]));
    turn
}

/// A stored matrix times a computed one: the transposed product, whose weights the stored one are.
fn stored_first(graph: &mut Graph, product: &Node) -> Option<(Vec<Node>, String)> {
    let (a, b) = (product.input(0)?, product.input(1)?);
    graph.floats(a)?;
    if graph.constants.contains_key(b) {
        return None;
    }
    let (_, [rows, columns]) = (matrix(graph, a)?, matrix(graph, b)?);
    let output = product.output().to_owned();
    let (trans_a, trans_b) = (product.int("transA", 0) != 0, product.int("transB", 0) != 0);
    let mut new = Vec::new();
    let turned = match trans_b {
        true => b.to_owned(),
        false => {
            let name = graph.fresh_name(&format!("{output}/columns"));
            graph.shapes.insert(name.clone(), vec![columns, rows]);
            new.push(transpose(graph, &product.name, b, &name));
            name
        }
    };
    let across = graph.fresh_name(&format!("{output}/transposed"));
    let mut gemm = product.clone();
    gemm.op = "Gemm".into();
    gemm.inputs = vec![turned, a.to_owned()];
    gemm.outputs = vec![across.clone()];
    gemm.attrs.remove("transA");
    (gemm.attrs).insert("transB".into(), Attr::Int(i64::from(!trans_a)));
    gemm.attrs.remove("beta");
    new.push(gemm);
    let added = added(graph, product);
    let back = match added {
        Some(_) => graph.fresh_name(&format!("{output}/product")),
        None => output.clone(),
    };
    new.push(transpose(graph, &product.name, &across, &back));
    if let Some(added) = added {
        new.push(node(graph, &product.name, "Add", &[&back, &added], &output));
    }
    let change = format!("'{}' became the transposed product", product.name);
    Some((new, change))
}

/// The bias of a Gemm as an operand of an Add, times beta.
fn added(graph: &mut Graph, gemm: &Node) -> Option<String> {
    let bias = gemm.input(2)?.to_owned();
    let beta = gemm.float("beta", 1.0);
    if beta == 1.0 {
        return Some(bias);
    }
    let stored = graph.constants.get(&bias)?;
    let values = stored.as_floats()?.iter().map(|v| v * beta).collect();
    let scaled = Constant::float(stored.dims.clone(), values);
    let name = graph.fresh_name(&format!("{bias}/beta"));
    graph.add_constant(&name, scaled);
    Some(name)
}

/// A transposed input: a Transpose before it.
fn transposed(graph: &mut Graph, gemm: &Node) -> Option<(Vec<Node>, String)> {
    let input = gemm.input(0)?;
    if gemm.int("transA", 0) == 0 || graph.constants.contains_key(input) {
        return None;
    }
    matrix(graph, input)?;
    let name = graph.fresh_name(&format!("{}/rows", gemm.output()));
    let turn = transpose(graph, &gemm.name, input, &name);
    let mut plain = gemm.clone();
    plain.attrs.remove("transA");
    plain.inputs[0] = name;
    let change = format!(
        "the input of '{}' is transposed by a node of its own",
        gemm.name
    );
    Some((vec![turn, plain], change))
}

/// A bias of one number is one for each column; one that differs by row is added afterwards.
fn bias(graph: &mut Graph, gemm: &Node) -> Option<(Vec<Node>, String)> {
    if gemm.op != "Gemm" {
        return None;
    }
    let stored = graph.constants.get(gemm.input(2)?)?;
    let [_, columns] = matrix(graph, gemm.output())?;
    let dims = stored.dims.clone();
    let Data::Float(values) = &stored.data else {
        return None;
    };
    let one_row = dims.iter().rev().skip(1).all(|d| *d == 1);
    if values.len() == columns && one_row {
        return None;
    }
    if let ([value], true) = (&values[..], one_row) {
        let row = Constant::float(vec![columns], vec![*value; columns]);
        let name = graph.fresh_name(&format!("{}/bias", gemm.output()));
        graph.add_constant(&name, row);
        let mut plain = gemm.clone();
        plain.inputs[2] = name;
        let change = format!("the bias of '{}' is repeated", gemm.name);
        return Some((vec![plain], change));
    }
    ops::broadcast(graph.shape(gemm.output())?, &dims)?;
    let added = added(graph, gemm)?;
    let product = graph.fresh_name(&format!("{}/product", gemm.output()));
    let mut plain = gemm.clone();
    plain.inputs.truncate(2);
    plain.outputs = vec![product.clone()];
    plain.attrs.remove("beta");
    let add = node(graph, &gemm.name, "Add", &[&product, &added], gemm.output());
    let change = format!("the bias of '{}' is added by a node of its own", gemm.name);
    Some((vec![plain, add], change))
}
