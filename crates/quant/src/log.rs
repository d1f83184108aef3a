//! The text that the ESP-DL toolkit prints about a quantized model.

use std::fmt::Write;

use crate::fusion::{Role, roles};
use crate::graph::{Graph, Node};
use crate::options::Arithmetic;
use crate::report::Report;

/// What a line is about: a layer, and the tensor whose exponent it tells.
pub(crate) type Line<'g> = (&'g Node, &'g str);

/// The lines for the layers of a model, by rules found from the toolkit's logs: nodes come in the file's
/// order. An activation prints the line of what is before it, with its own exponent; what has an
/// activation for its only reader prints none. So what an activation and others read has two lines. A part of
/// an operator that the toolkit takes whole has none.
pub(crate) fn lines(graph: &Graph, arithmetic: Arithmetic) -> Vec<Line<'_>> {
    let roles = roles(graph, arithmetic);
    let activation =
        |i: usize| graph.nodes[i].is_activation() || roles.contains(&Role::Activated(i));
    let bent = |node: &Node| match graph.consumers(node.output())[..] {
        [only] => activation(only) && graph.nodes[only].input(0) == Some(node.output()),
        _ => false,
    };
    let place = |node: &Node| graph.places.get(node.output()).copied();
    let mut lines: Vec<Line<'_>> = Vec::new();
    let mut absorbed = graph.absorbed.iter().peekable();
    for (i, node) in graph.nodes.iter().enumerate() {
        while let Some(taken) = absorbed.next_if(|a| place(&a.node) < place(node)) {
            lines.push((&taken.node, taken.node.output()));
        }
        if bent(node) || graph.is_part(node) {
            continue;
        }
        let before = (node.input(0).filter(|_| activation(i))).and_then(|n| graph.producer_of(n));
        lines.push((before.map_or(node, |b| &graph.nodes[b]), node.output()));
    }
    lines
}

/// "Quantized model info:", the input, and one line per layer.
pub(crate) fn quantized_model_info(report: &Report, graph: &Graph) -> String {
    let mut text = String::from("Quantized model info:\n");
    for input in &report.inputs {
        // Writing to a String never fails.
        let _ = writeln!(
            text,
            "model input name: {}, exponent: {}",
            input.name, input.exponent
        );
    }
    for (node, tensor) in lines(graph, report.options.arithmetic) {
        let layer = (report.layers.iter()).find(|l| !l.inserted && l.name == node.name);
        // A transpose without a layer of its own is done by the next.
        let moved = node.op == "Transpose" || graph.absorbed.iter().any(|a| a.node == *node);
        // The rest became part of another layer.
        if layer.is_none() && !moved && !node.is_activation() {
            continue;
        }
        let read = || (report.layers.iter()).find(|l| l.output == tensor);
        let listed = || {
            (report.tensors.get(tensor))
                .and_then(|e| e.first())
                .copied()
        };
        let exponent = (read().or(layer).map(|l| l.output_exponent)).or_else(listed);
        let _ = writeln!(
            text,
            "{} layer name: {}, output_exponent: {}",
            layer.map_or(node.op.as_str(), |l| &l.op),
            graph.name_in_file(&node.name),
            exponent.unwrap_or_default()
        );
    }
    text
}
