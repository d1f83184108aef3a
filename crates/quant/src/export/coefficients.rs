//! `<name>.cpp` and `<name>.hpp`: filters, biases and activations as the toolkit writes them.

use std::fmt::Write;

use super::order::{self, Shape};
use super::{Context, ExportError, mangle};
use crate::exponent;
use crate::graph::Node;
use crate::options::Bits;
use crate::table::{slope_key, weight_rows};

/// Values in a row of the file.
const ROW: usize = 512;

/// The `.cpp` and the `.hpp`.
pub(super) fn files(context: &Context<'_>) -> Result<(String, String), ExportError> {
    let name = context.name;
    let mut files = Files {
        cpp: format!("#include \"{name}.hpp\"\nusing namespace dl;\n\nnamespace {name}\n{{\n"),
        hpp: format!(
            "#pragma once\n\n#include <stdint.h>\n#include \"dl_constant.hpp\"\n\nnamespace {name}\n{{\n"
        ),
    };
    for node in &context.graph.nodes {
        match node.op.as_str() {
            "Conv" | "Gemm" => {
                let layer = mangle(&node.name);
                files.linear(context, node, &layer)?;
                if let Some(activation) = context.activation_of(node) {
                    files.activation(context, activation, &layer)?;
                }
            }
            "Relu" | "LeakyRelu" | "PRelu"
                if context.layer_of(node).is_none() && context.stands_alone(node) =>
            {
                files.activation(context, node, &mangle(&node.name))?;
            }
            _ => {}
        }
    }
    files.cpp.push_str("}\n");
    files.hpp.push_str("}\n");
    Ok((files.cpp, files.hpp))
}

struct Files {
    cpp: String,
    hpp: String,
}

impl Files {
    fn linear(&mut self, c: &Context<'_>, node: &Node, layer: &str) -> Result<(), ExportError> {
        let bits = c.table.bits;
        let unreadable = || ExportError::node(node, "its weights can't be read.");
        let weight = node.input(1).ok_or_else(unreadable)?;
        let (rows, outputs) = weight_rows(c.graph, node).ok_or_else(unreadable)?;
        let exponents = c.table.many(weight, outputs)?;
        let shape = filter_shape(c, node, outputs, rows.len())?;
        let row = rows.len() / outputs;
        let exponent = |at: usize| exponents[at / row % exponents.len()];
        // Gemm filters are never padded.
        let values = order::order(shape, bits, c.chip, node.op == "Conv").into_iter();
        let values = values.map(|at| match at {
            Some(at) => exponent::quantize(rows[at], exponent(at), bits),
            None => 0,
        });
        let element = c.element();
        self.array(element, &format!("{layer}_filter_element"), values);
        let exponent = match c.per_channel() {
            false => exponents[0].to_string(),
            true => {
                let list: Vec<String> = exponents.iter().map(i32::to_string).collect();
                let _ = writeln!(
                    self.cpp,
                    "    const static int8_t {layer}_filter_exponent[] = {{{}}};",
                    list.join(", ")
                );
                format!("{layer}_filter_exponent, {outputs}")
            }
        };
        let dims = match shape.depthwise {
            true => [shape.height, shape.width, outputs, 1],
            false => [shape.height, shape.width, shape.inputs, outputs],
        };
        let dilations = match node.ints("dilations") {
            Some([h, w]) => [*h, *w],
            Some([w]) => [1, *w],
            _ => [1, 1],
        };
        self.constant(
            "Filter",
            element,
            layer,
            "filter",
            &format!(
                "{layer}_filter_element, {exponent}, {{{}}}, {{{}, {}}}",
                dims.map(|d| d.to_string()).join(", "),
                dilations[0],
                dilations[1]
            ),
        );
        let Some(bias) = node.input(2) else {
            return Ok(());
        };
        let values = c.graph.floats(bias).ok_or_else(unreadable)?;
        let (bias_bits, shown, exponents) = match c.per_channel() {
            true => (Bits::I16, -128, c.table.many(bias, outputs)?),
            false => {
                let e = c.table.one(bias)?;
                (bits, e, vec![e])
            }
        };
        let values = (values.iter().enumerate())
            .map(|(o, v)| exponent::quantize(*v, exponents[o % exponents.len()], bias_bits));
        let element = c.bias_element();
        self.array(element, &format!("{layer}_bias_element"), values);
        // As Python prints a tuple: a row keeps both its dimensions.
        let shape = match c.graph.shape(bias) {
            Some([rows, columns]) => format!("{rows}, {columns}"),
            _ => format!("{outputs},"),
        };
        let arguments = format!("{layer}_bias_element, {shown}, {{{shape}}}");
        self.constant("Bias", element, layer, "bias", &arguments);
        Ok(())
    }

    fn activation(&mut self, c: &Context<'_>, node: &Node, layer: &str) -> Result<(), ExportError> {
        let element = c.element();
        let (kind, slopes, exponent) = match slopes(c, node)? {
            None => {
                self.constant("Activation", element, layer, "activation", "ReLU");
                return Ok(());
            }
            Some(slopes) => slopes,
        };
        let values = (slopes.iter()).map(|s| exponent::quantize(*s, exponent, c.table.bits));
        self.array(element, &format!("{layer}_activation_element"), values);
        // The first dimension of what the file has, also where that is 1 and the channels come behind.
        let stored = (node.input(1)).and_then(|name| c.graph.shape(name)?.first().copied());
        let arguments = format!(
            "{kind}, {layer}_activation_element, {exponent}, {{{},}}",
            stored.unwrap_or(slopes.len())
        );
        self.constant("Activation", element, layer, "activation", &arguments);
        Ok(())
    }

    fn array(&mut self, element: &str, name: &str, values: impl Iterator<Item = i32>) {
        let values: Vec<String> = values.map(|v| format!("{v:>6}")).collect();
        let rows: Vec<String> = values.chunks(ROW).map(|row| row.join(", ")).collect();
        let _ = writeln!(
            self.cpp,
            "    const static __attribute__((aligned(16))) {element} {name}[] = {{\n        {}}};\n",
            rows.join(",\n        ")
        );
    }

    /// The object, its accessor, and the accessor's declaration.
    fn constant(&mut self, class: &str, element: &str, layer: &str, part: &str, arguments: &str) {
        let _ = writeln!(
            self.cpp,
            "    const static {class}<{element}> {layer}_{part}({arguments});\n    \
             const {class}<{element}> *get_{layer}_{part}()\n    {{\n    \treturn &{layer}_{part};\n    }}\n"
        );
        let _ = writeln!(
            self.hpp,
            "    const dl::{class}<{element}> *get_{layer}_{part}();"
        );
    }
}

fn filter_shape(
    context: &Context<'_>,
    node: &Node,
    outputs: usize,
    len: usize,
) -> Result<Shape, ExportError> {
    if node.op == "Gemm" {
        return Ok(Shape {
            height: 1,
            width: 1,
            inputs: len / outputs,
            outputs,
            depthwise: false,
        });
    }
    let dims = node.input(1).and_then(|n| context.graph.shape(n));
    let (inputs, height, width) = match dims {
        Some(&[_, inputs, height, width]) => (inputs, height, width),
        Some(&[_, inputs, width]) => (inputs, 1, width),
        _ => return Err(ExportError::node(node, "its weights have an odd shape.")),
    };
    let depthwise = order::is_depthwise(context.graph, node);
    if node.int("group", 1) > 1 && !depthwise {
        return Err(ExportError::node(
            node,
            "ESP-DL v1 has no grouped convolution but the depthwise one.",
        ));
    }
    Ok(Shape {
        height,
        width,
        inputs,
        outputs,
        depthwise,
    })
}

/// Kind, slopes and exponent.
type Slopes = (&'static str, Vec<f32>, i32);

/// Those of a LeakyRelu or PRelu; None for Relu.
pub(super) fn slopes(context: &Context<'_>, node: &Node) -> Result<Option<Slopes>, ExportError> {
    Ok(match node.op.as_str() {
        "LeakyRelu" => {
            let exponent = context.table.one(&slope_key(context.graph, node))?;
            Some(("LeakyReLU", vec![node.float("alpha", 0.01)], exponent))
        }
        "PRelu" => {
            let missing = || ExportError::node(node, "its slopes can't be read.");
            let name = node.input(1).ok_or_else(missing)?;
            let slopes = context.graph.floats(name).ok_or_else(missing)?;
            Some(("PReLU", slopes.to_vec(), context.table.one(name)?))
        }
        "Relu" => None,
        op => {
            let reason = format!("ESP-DL v1 has no {op} inside or behind a layer. Use Relu.");
            return Err(ExportError::node(node, &reason));
        }
    })
}
