//! The text that the ESP-DL toolkit prints about a quantized model.

use std::fmt::Write;

use crate::report::Report;

/// "Quantized model info:", the input, and one line per layer.
pub(crate) fn quantized_model_info(report: &Report) -> String {
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
        if layer.inserted {
            continue;
        }
        let _ = writeln!(
            text,
            "{} layer name: {}, output_exponent: {}",
            layer.op, layer.name, layer.output_exponent
        );
    }
    text
}
