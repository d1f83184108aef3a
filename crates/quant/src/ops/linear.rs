//! Dense layers: Gemm, and MatMul with stored or computed operands.

use super::{Op, Refusal, Resolved, check_bias, data_input, input_dims, refuse, weights};
use crate::graph::{Graph, Node};

/// Gemm with fixed weights; the input is one row, or several that are handled alike.
pub(super) fn gemm(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let dims = data_input(graph, node)?;
    let &[rows, k] = dims else {
        return refuse(format!(
            "its input has the shape {dims:?}; a flat (1, K) one is needed. Add a Flatten before it."
        ));
    };
    if node.int("transA", 0) != 0 {
        return refuse("a transposed input (transA) is not supported.");
    }
    if node.float("alpha", 1.0) != 1.0 || node.float("beta", 1.0) != 1.0 {
        return refuse("alpha and beta other than 1 could not be folded into its weights.");
    }
    let trans_b = node.int("transB", 0) != 0;
    let (dims, _) = weights(graph, node, 1)?;
    let (inputs, outputs) = match (dims, trans_b) {
        (&[i, o], false) => (i, o),
        (&[o, i], true) => (i, o),
        _ => return refuse(format!("its weights have the shape {dims:?}.")),
    };
    if inputs != k || outputs == 0 || rows == 0 {
        return refuse(format!(
            "its weights take {inputs} values, its input has {k}."
        ));
    }
    check_bias(graph, node, 2, outputs)?;
    Ok((Op::Gemm { trans_b }, vec![rows, outputs]))
}

/// MatMul: with 2-D weights every row of the input goes through a dense layer; otherwise both
/// operands are computed.
pub(super) fn matmul(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let a = data_input(graph, node)?;
    let b = input_dims(graph, node, 1)?;
    let fixed = (node.input(1)).is_some_and(|n| graph.constants.contains_key(n));
    let (Some((&k, head)), true) = (a.split_last(), !b.is_empty()) else {
        return refuse("a matrix product needs two matrices.");
    };
    let out = match product_dims(a, b) {
        Some(out) => out,
        None => {
            return refuse(format!(
                "its operands {a:?} and {b:?} don't fit each other."
            ));
        }
    };
    if fixed {
        let (dims, _) = weights(graph, node, 1)?;
        return match *dims {
            [i, o] if i == k && o > 0 && !head.is_empty() => Ok((Op::Gemm { trans_b: false }, out)),
            _ => refuse(format!(
                "a stored second operand has to be one matrix (K, N), not {dims:?}."
            )),
        };
    }
    if a.len() < 2 || b.len() < 2 {
        return refuse("a matrix product of two computed tensors needs matrices, not vectors.");
    }
    Ok((Op::MatMul, out))
}

/// Shape of a matrix product with NumPy's rules; None when the operands don't fit.
pub(crate) fn product_dims(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let (m, k) = match *a {
        [k] => (None, k),
        [.., m, k] => (Some(m), k),
        _ => return None,
    };
    let (inner, n) = match *b {
        [k] => (k, None),
        [.., k, n] => (k, Some(n)),
        _ => return None,
    };
    if inner != k {
        return None;
    }
    let batch = |d: &[usize]| d[..d.len().saturating_sub(2)].to_vec();
    let mut out = super::broadcast(&batch(a), &batch(b))?;
    out.extend(m);
    out.extend(n);
    Some(out)
}
