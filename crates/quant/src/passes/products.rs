//! Gemm and MatMul in forms that no layer has: transposed or stored first operands, two computed ones,
//! biases that are not one row.

use super::simplify::node;
use crate::graph::{Attr, Constant, Data, Graph, Node};
use crate::ops;

/// The nodes that a Gemm or MatMul becomes, and what was changed.
pub(super) fn rewrite(graph: &mut Graph, product: &Node) -> Option<(Vec<Node>, String)> {
    stored_first(graph, product)
        .or_else(|| transposed(graph, product))
        .or_else(|| computed(graph, product))
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
    let added = added(graph, product, &mut new);
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

/// The bias of a Gemm as an operand of an Add, times beta; what scales a computed one is written to `new`.
fn added(graph: &mut Graph, gemm: &Node, new: &mut Vec<Node>) -> Option<String> {
    let bias = gemm.input(2)?.to_owned();
    let beta = gemm.float("beta", 1.0);
    if beta == 1.0 {
        return Some(bias);
    }
    let name = graph.fresh_name(&format!("{}/bias", gemm.output()));
    let stored = graph.constants.get(&bias);
    let Some((dims, values)) = stored.and_then(|c| Some((c.dims.clone(), c.as_floats()?))) else {
        new.push(scaled(graph, gemm, &bias, beta, &name));
        return Some(name);
    };
    let values = values.iter().map(|v| v * beta).collect();
    graph.add_constant(&name, Constant::float(dims, values));
    Some(name)
}

/// A Mul with a number.
fn scaled(graph: &mut Graph, gemm: &Node, from: &str, by: f32, to: &str) -> Node {
    let factor = graph.fresh_name(&format!("{to}/factor"));
    graph.add_constant(&factor, Constant::float(vec![], vec![by]));
    let mut mul = node(graph, &gemm.name, "Mul", &[from, &factor], to);
    mul.name = graph.fresh_name(&format!("{to}/mul"));
    mul
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

/// A Gemm of two computed matrices: MatMul, with nodes of their own for what else a Gemm does.
fn computed(graph: &mut Graph, gemm: &Node) -> Option<(Vec<Node>, String)> {
    let (a, b) = (gemm.input(0)?.to_owned(), gemm.input(1)?.to_owned());
    let stored = [&a, &b].iter().any(|n| graph.constants.contains_key(*n));
    if gemm.op != "Gemm" || stored {
        return None;
    }
    let (_, [rows, columns]) = (matrix(graph, &a)?, matrix(graph, &b)?);
    let output = gemm.output().to_owned();
    let alpha = gemm.float("alpha", 1.0);
    let mut new = Vec::new();
    let mut right = b;
    if gemm.int("transB", 0) != 0 {
        let name = graph.fresh_name(&format!("{output}/turned"));
        graph.shapes.insert(name.clone(), vec![columns, rows]);
        new.push(transpose(graph, &gemm.name, &right, &name));
        right = name;
    }
    // What is written last has the name of the output.
    let biased = gemm.input(2).is_some();
    let part = |graph: &Graph, last: bool, what: &str| match last {
        true => output.clone(),
        false => graph.fresh_name(&format!("{output}/{what}")),
    };
    let mut product = part(graph, alpha == 1.0 && !biased, "product");
    new.push(node(graph, &gemm.name, "MatMul", &[&a, &right], &product));
    if alpha != 1.0 {
        let to = part(graph, !biased, "scaled");
        new.push(scaled(graph, gemm, &product, alpha, &to));
        product = to;
    }
    if let Some(bias) = added(graph, gemm, &mut new) {
        new.push(node(graph, &gemm.name, "Add", &[&product, &bias], &output));
    }
    let change = format!("'{}' of two computed matrices became MatMul", gemm.name);
    Some((new, change))
}

/// A bias of one number is one for each column; one that differs by row, or is computed, is added afterwards.
fn bias(graph: &mut Graph, gemm: &Node) -> Option<(Vec<Node>, String)> {
    if gemm.op != "Gemm" {
        return None;
    }
    let name = gemm.input(2)?;
    let [_, columns] = matrix(graph, gemm.output())?;
    let dims = graph.shape(name)?.to_vec();
    if let Some(stored) = graph.constants.get(name) {
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
    }
    ops::broadcast(graph.shape(gemm.output())?, &dims)?;
    let mut plain = gemm.clone();
    plain.inputs.truncate(2);
    plain.outputs = vec![graph.fresh_name(&format!("{}/product", gemm.output()))];
    plain.attrs.remove("beta");
    let product = plain.output().to_owned();
    let mut new = vec![plain];
    let added = added(graph, gemm, &mut new)?;
    new.push(node(
        graph,
        &gemm.name,
        "Add",
        &[&product, &added],
        gemm.output(),
    ));
    let change = format!("the bias of '{}' is added by a node of its own", gemm.name);
    Some((new, change))
}
