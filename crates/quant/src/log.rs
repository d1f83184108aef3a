//! The text that the ESP-DL toolkit prints about a quantized model.

use std::fmt::Write;

use crate::graph::{Graph, Node};
use crate::report::Report;

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
    for layer in &report.layers {
        let node = graph.nodes.iter().find(|n| n.name == layer.name);
        if layer.inserted || node.is_some_and(Node::is_activation) {
            continue;
        }
        for absorbed in graph.absorbed_by(&layer.name) {
            let e = (report.tensors.get(absorbed.output())).and_then(|e| e.first());
            let _ = writeln!(
                text,
                "{} layer name: {}, output_exponent: {}",
                absorbed.op,
                graph.name_in_file(&absorbed.name),
                e.copied().unwrap_or(layer.output_exponent)
            );
        }
        let _ = writeln!(
            text,
            "{} layer name: {}, output_exponent: {}",
            layer.op,
            graph.name_in_file(&layer.name),
            layer.output_exponent
        );
    }
    text
}
