//! `<name>_model.hpp`: the model's class, which the toolkit's tutorial has one write by hand: layers
//! as members, constructor, `build` and `call`, which frees each tensor after its last reader.
//!
//! Layers and their parameters: `include/layer` of ESP-DL v1. Its tensors are images (rows, columns,
//! channels) without a batch axis, which is how the plan stores them too.

use std::fmt::Write;

use super::{Context, ExportError, coefficients, mangle, order};
use crate::graph::{Graph, Node};
use crate::ops::{self, Function, Op, Window};
use crate::plan::{Kind, Layer, Layout, Permutation, PlanTensor};

/// A header and the class in it.
pub(super) struct Class {
    pub(super) name: String,
    pub(super) text: String,
}

/// One member: `<class><arguments of the template> l<number>(<arguments>)`.
struct Member {
    /// `Conv2D`, and the header's name after `dl_layer_`.
    class: &'static str,
    header: &'static str,
    template: String,
    arguments: String,
    inputs: Vec<Value>,
    /// Takes its inputs as one list.
    list: bool,
    comment: String,
}

/// Where a tensor of the plan is found in C++.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Input,
    /// Output of a member, by its number.
    Member(usize),
}

impl Value {
    fn text(self) -> String {
        match self {
            Value::Input => "input".to_owned(),
            Value::Member(i) => format!("this->l{}.get_output()", i + 1),
        }
    }
}

struct Writer<'a> {
    context: &'a Context<'a>,
    members: Vec<Member>,
    /// Slopes that the coefficient files don't have, as definitions.
    slopes: Vec<String>,
    /// By tensor of the plan: where it is, and its shape there.
    values: Vec<Option<(Value, Vec<usize>)>>,
}

/// Shape of a tensor in ESP-DL.
pub(super) fn shape(tensor: &PlanTensor) -> Vec<usize> {
    let dims = &tensor.dims;
    match (tensor.layout, &dims[..]) {
        (Layout::ChannelsLast, &[_, c, h, w]) => vec![h, w, c],
        (Layout::ChannelsLast, &[_, c, l]) => vec![1, l, c],
        (_, [1, rest @ ..]) if !rest.is_empty() => rest.to_vec(),
        _ => dims.clone(),
    }
}

/// The class; the inner error says why ESP-DL can't run the model.
pub(super) fn class(context: &Context<'_>) -> Result<Result<Class, String>, ExportError> {
    let plan = context.plan;
    let [input] = plan.inputs[..] else {
        return Ok(Err("ESP-DL's models have one input.".to_owned()));
    };
    let mut writer = Writer {
        context,
        members: Vec::new(),
        slopes: Vec::new(),
        values: vec![None; plan.tensors.len()],
    };
    writer.values[input] = Some((Value::Input, shape(&plan.tensors[input])));
    for layer in &plan.layers {
        if let Err(why) = writer.layer(layer)? {
            return Ok(Err(format!("'{}': {why}", layer.name)));
        }
    }
    let outputs: Vec<Value> = (plan.outputs.iter())
        .filter_map(|i| writer.values[*i].as_ref())
        .map(|(value, _)| *value)
        .collect();
    if outputs.contains(&Value::Input) {
        return Ok(Err("an output is the input.".to_owned()));
    }
    Ok(Ok(Class {
        name: class_name(context.name),
        text: text(context, &writer, &outputs),
    }))
}

/// `mnist_coefficient` to `MnistCoefficientModel`.
fn class_name(name: &str) -> String {
    let mut class: String = (name.split('_'))
        .filter_map(|word| {
            let mut letters = word.chars();
            let first = letters.next()?.to_ascii_uppercase();
            Some(format!("{first}{}", letters.as_str()))
        })
        .collect();
    if class.starts_with(|c: char| c.is_ascii_digit()) {
        class.insert(0, '_');
    }
    class + "Model"
}

impl Writer<'_> {
    fn layer(&mut self, layer: &Layer) -> Result<Result<(), String>, ExportError> {
        let plan = self.context.plan;
        let node = layer.node.map(|i| &self.context.graph.nodes[i]);
        let out = &plan.tensors[layer.output];
        let mut inputs = Vec::new();
        for i in &layer.inputs {
            match &self.values[*i] {
                Some(found) => inputs.push(found.clone()),
                None => {
                    let why = "one of its operands is stored in the model, and ESP-DL's files have \
                               no place for it.";
                    return Ok(Err(why.to_owned()));
                }
            }
        }
        let Some((first, dims)) = inputs.first().cloned() else {
            return Ok(Err("it has no input.".to_owned()));
        };
        let name = quoted(&layer.name);
        let made = match &layer.kind {
            Kind::Alias => self.reshaped(first, &dims, &shape(out), layer),
            Kind::Table(program)
                if matches!(program.function(), Some(Function::Sigmoid | Function::Tanh)) =>
            {
                let exponent = self.context.table.one(&out.source)?;
                let element = self.context.element();
                let (class, header) = match program.function() {
                    Some(Function::Tanh) => ("TanH", "tanh"),
                    _ => ("Sigmoid", "sigmoid"),
                };
                self.add(Member {
                    class,
                    header,
                    template: format!("{element}, {element}, QIQO"),
                    arguments: format!("{exponent}, {name}"),
                    inputs: vec![first],
                    list: false,
                    comment: format!("{class} '{}'", layer.name),
                })
            }
            Kind::Rows | Kind::Table(_) => {
                let op = node.map_or("it", |n| &n.op);
                return Ok(Err(format!("ESP-DL v1 has no layer for {op} here.")));
            }
            Kind::Permute(Permutation { dims: from, perm }) => {
                let flat = self.reshaped(first, &dims, from, layer);
                let to: Vec<usize> = perm.iter().map(|p| from[*p]).collect();
                let turned = self.transposed(flat, perm, layer);
                self.reshaped(turned, &to, &shape(out), layer)
            }
            Kind::Compute(op) => {
                let Some(node) = node else {
                    return Ok(Err("it has no node.".to_owned()));
                };
                // A flattened image is still rows first, while the weights are in ONNX's order.
                let source = &plan.tensors[layer.inputs[0]];
                let first = match (op, source.layout) {
                    (Op::Gemm { .. }, Layout::Flat { channels, spatial }) => {
                        let image = self.reshaped(first, &dims, &[spatial, channels], layer);
                        self.transposed(image, &[1, 0], layer)
                    }
                    (Op::Softmax { .. }, _) => {
                        // ESP-DL takes the third axis for the channels.
                        let channels = dims.last().copied().unwrap_or(1);
                        let rows = dims.iter().product::<usize>() / channels.max(1);
                        self.reshaped(first, &dims, &[1, rows, channels], layer)
                    }
                    _ => first,
                };
                let rest = inputs.iter().skip(1).map(|(value, _)| *value);
                let inputs: Vec<Value> = std::iter::once(first).chain(rest).collect();
                match self.compute(op, node, layer, &name, inputs)? {
                    Ok(value) => value,
                    Err(why) => return Ok(Err(why)),
                }
            }
        };
        self.values[layer.output] = Some((made, shape(out)));
        Ok(Ok(()))
    }

    fn compute(
        &mut self,
        op: &Op,
        node: &Node,
        layer: &Layer,
        name: &str,
        inputs: Vec<Value>,
    ) -> Result<Result<Value, String>, ExportError> {
        let context = self.context;
        let element = context.element();
        let plan = context.plan;
        let exponent = context.table.one(&plan.tensors[layer.output].source)?;
        let constants = mangle(&node.name);
        let mut template = element.to_owned();
        let mut list = false;
        let (class, header, arguments) = match op {
            Op::Conv { window, .. } | Op::DepthwiseConv(window) => {
                template = format!("{element}, {}", context.bias_element());
                let (class, header) = match order::is_depthwise(context.graph, node) {
                    true => ("DepthwiseConv2D", "depthwise_conv2d"),
                    false => ("Conv2D", "conv2d"),
                };
                let arguments = format!(
                    "{exponent}, {}, {}, {name}",
                    self.constants(layer, node, &constants),
                    padding_and_strides(window)
                );
                (class, header, arguments)
            }
            Op::Gemm { .. } => {
                template = format!("{element}, {}", context.bias_element());
                let constants = self.constants(layer, node, &constants);
                let arguments = format!("{exponent}, {constants}, true, {name}");
                ("FullyConnected", "fullyconnected", arguments)
            }
            Op::MaxPool(window) => {
                let [h, w] = window.kernel;
                let arguments = format!("{{{h}, {w}}}, {}, {name}", padding_and_strides(window));
                ("MaxPool2D", "max_pool2d", arguments)
            }
            Op::AveragePool { window, .. } => {
                let [h, w] = window.kernel;
                let arguments = format!(
                    "{exponent}, {{{h}, {w}}}, {}, {name}",
                    padding_and_strides(window)
                );
                ("AvgPool2D", "avg_pool2d", arguments)
            }
            Op::GlobalMaxPool => ("GlobalMaxPool2D", "global_max_pool2d", name.to_owned()),
            Op::GlobalAveragePool => (
                "GlobalAveragePool2D",
                "global_avg_pool2d",
                format!("{exponent}, {name}"),
            ),
            Op::Select { fill, .. } if node.op == "Pad" => {
                let out = &plan.tensors[layer.output];
                let Some(paddings) = paddings(context.graph, node, out) else {
                    return Ok(Err("ESP-DL v1 has no layer for such a Pad.".to_owned()));
                };
                let fill = crate::exponent::quantize(*fill, exponent, context.table.bits);
                let arguments = format!("{{{paddings}}}, {{{fill}}}, dl::PADDING_CONSTANT, {name}");
                ("Pad", "pad", arguments)
            }
            Op::Relu => ("Relu", "relu", name.to_owned()),
            Op::Softmax { .. } => {
                template = format!("{element}, {element}, QIQO");
                ("Softmax", "softmax", format!("{exponent}, {name}"))
            }
            Op::LeakyRelu | Op::PRelu => {
                let Some((_, slopes, exponent)) = coefficients::slopes(context, node)? else {
                    return Ok(Err("its slopes can't be read.".to_owned()));
                };
                let elements = match context.written(node) {
                    Some(layer) => format!("{}::get_{layer}_activation()->element", context.name),
                    None => self.slopes(&constants, &slopes, exponent),
                };
                match op {
                    Op::PRelu => {
                        let arguments = format!("{elements}, {exponent}, {name}");
                        ("PRelu", "prelu", arguments)
                    }
                    _ => {
                        let arguments = format!("{elements}[0], {exponent}, {name}");
                        ("LeakyRelu", "leakyrelu", arguments)
                    }
                }
            }
            _ => {
                let activation = match layer.activation {
                    Some(a) => {
                        let activation = mangle(&context.graph.nodes[a].name);
                        format!("{}::get_{activation}_activation()", context.name)
                    }
                    None => "NULL".to_owned(),
                };
                let with_exponent = format!("{exponent}, {activation}, {name}");
                match node.op.as_str() {
                    "Add" => ("Add2D", "add2d", with_exponent),
                    "Sub" => ("Sub2D", "sub2d", with_exponent),
                    "Mul" => ("Mul2D", "mul2d", with_exponent),
                    "Max" => ("Max2D", "max2d", name.to_owned()),
                    "Min" => ("Min2D", "min2d", name.to_owned()),
                    "Concat" => {
                        list = true;
                        let out = &plan.tensors[layer.output];
                        let axis = stored_axis(out, node.int("axis", 1));
                        ("Concat", "concat", format!("{axis}, {name}"))
                    }
                    op => return Ok(Err(format!("ESP-DL v1 has no layer for {op}."))),
                }
            }
        };
        if inputs.len() > 2 && !list {
            return Ok(Err("ESP-DL v1 takes two operands at most.".to_owned()));
        }
        Ok(Ok(self.add(Member {
            class,
            header,
            template,
            arguments,
            inputs,
            list,
            comment: format!("{} '{}'", node.op, node.name),
        })))
    }

    /// Defines slopes in the header, and says what they are called there.
    fn slopes(&mut self, node: &str, slopes: &[f32], exponent: i32) -> String {
        let bits = self.context.table.bits;
        let values: Vec<String> = (slopes.iter())
            .map(|s| crate::exponent::quantize(*s, exponent, bits).to_string())
            .collect();
        let name = format!("{node}_slopes");
        self.slopes.push(format!(
            "static const {} {name}[] __attribute__((aligned(16))) = {{{}}};",
            self.context.element(),
            values.join(", ")
        ));
        name
    }

    /// Filter, bias and activation of a layer with weights.
    fn constants(&self, layer: &Layer, node: &Node, name: &str) -> String {
        let space = self.context.name;
        let bias = match node.input(2) {
            Some(_) => format!("{space}::get_{name}_bias()"),
            None => "NULL".to_owned(),
        };
        let activation = match layer.activation {
            Some(_) => format!("{space}::get_{name}_activation()"),
            None => "NULL".to_owned(),
        };
        format!("{space}::get_{name}_filter(), {bias}, {activation}")
    }

    fn reshaped(&mut self, value: Value, from: &[usize], to: &[usize], layer: &Layer) -> Value {
        if from == to {
            return value;
        }
        let arguments = format!("{{{}}}, {}", join(to), quoted(&layer.name));
        self.add(Member {
            class: "Reshape",
            header: "reshape",
            template: self.context.element().to_owned(),
            arguments,
            inputs: vec![value],
            list: false,
            comment: format!("shape of '{}'", layer.name),
        })
    }

    fn transposed(&mut self, value: Value, perm: &[usize], layer: &Layer) -> Value {
        let arguments = format!("{{{}}}, {}", join(perm), quoted(&layer.name));
        self.add(Member {
            class: "Transpose",
            header: "transpose",
            template: self.context.element().to_owned(),
            arguments,
            inputs: vec![value],
            list: false,
            comment: format!("order of '{}'", layer.name),
        })
    }

    fn add(&mut self, member: Member) -> Value {
        self.members.push(member);
        Value::Member(self.members.len() - 1)
    }
}

/// Axis of ONNX as ESP-DL counts it.
fn stored_axis(tensor: &PlanTensor, axis: i64) -> i64 {
    let rank = tensor.dims.len() as i64;
    let axis = if axis < 0 { axis + rank } else { axis };
    match (tensor.layout, rank) {
        (Layout::ChannelsLast, 4) => [0, 2, 0, 1][axis.clamp(0, 3) as usize],
        (Layout::ChannelsLast, _) => [0, 2, 1][axis.clamp(0, 2) as usize],
        _ => axis - 1,
    }
}

/// Before and after each dimension of a tensor as ESP-DL has it; None for other modes than constant, for
/// what cuts off, and for the batch.
fn paddings(graph: &Graph, node: &Node, tensor: &PlanTensor) -> Option<String> {
    let amounts = ops::pad_amounts(graph, node)?;
    let rank = amounts.len() / 2;
    let stored: Vec<usize> = match (tensor.layout, rank) {
        (Layout::ChannelsLast, 4) => vec![2, 3, 1],
        (Layout::AsOnnx, _) => (1..rank).collect(),
        _ => return None,
    };
    let possible = node.str("mode", "constant") == "constant"
        && rank == tensor.dims.len()
        && amounts.iter().all(|a| *a >= 0)
        && amounts[0] == 0
        && amounts[rank] == 0;
    let pairs = stored.iter().flat_map(|d| [amounts[*d], amounts[d + rank]]);
    let texts: Vec<String> = pairs.map(|a| a.to_string()).collect();
    possible.then(|| texts.join(", "))
}

/// `<type>, {top, bottom, left, right}, <rows>, <columns>`
fn padding_and_strides(window: &Window) -> String {
    let [top, left, bottom, right] = window.pads;
    let [rows, columns] = window.stride;
    match window.pads {
        [0, 0, 0, 0] => format!("dl::PADDING_VALID, {{}}, {rows}, {columns}"),
        _ => {
            format!("dl::PADDING_NOT_SET, {{{top}, {bottom}, {left}, {right}}}, {rows}, {columns}")
        }
    }
}

fn join(values: &[usize]) -> String {
    let texts: Vec<String> = values.iter().map(usize::to_string).collect();
    texts.join(", ")
}

/// A C string: what could end it or start an escape is left out.
fn quoted(name: &str) -> String {
    let safe: String = (name.chars())
        .map(|c| match c {
            '"' | '\\' => '_',
            c if c.is_control() => '_',
            c => c,
        })
        .collect();
    format!("\"{safe}\"")
}

fn text(context: &Context<'_>, writer: &Writer<'_>, outputs: &[Value]) -> String {
    let members = &writer.members;
    let (element, class) = (context.element(), class_name(context.name));
    let mut headers: Vec<&str> = members.iter().map(|m| m.header).collect();
    headers.sort_unstable();
    headers.dedup();
    let mut text = String::from(
        "#pragma once\n\n#include <stdint.h>\n#include \"dl_layer_model.hpp\"\n#include \"dl_layer_base.hpp\"\n",
    );
    // Writing to a String never fails.
    for header in headers {
        let _ = writeln!(text, "#include \"dl_layer_{header}.hpp\"");
    }
    let _ = write!(
        text,
        "#include \"{}.hpp\"\n\n{}class {class} : public dl::layer::Model<{element}>\n{{\nprivate:\n",
        context.name,
        writer
            .slopes
            .iter()
            .map(|s| format!("{s}\n\n"))
            .collect::<String>()
    );
    for (i, m) in members.iter().enumerate() {
        let comment = m.comment.replace(['\n', '\r', '\\'], "_");
        let _ = writeln!(
            text,
            "    dl::layer::{}<{}> l{}; // {comment}",
            m.class,
            m.template,
            i + 1
        );
    }
    let initial: Vec<String> = (members.iter().enumerate())
        .map(|(i, m)| format!("          l{}({})", i + 1, m.arguments))
        .collect();
    let _ = write!(
        text,
        "\npublic:\n    {class}()\n        : {}\n    {{\n    }}\n",
        initial.join(",\n").trim_start()
    );
    for (k, output) in outputs.iter().enumerate() {
        let number = if outputs.len() > 1 {
            format!("_{k}")
        } else {
            String::new()
        };
        let _ = write!(
            text,
            "\n    dl::Tensor<{element}> &get_output{number}()\n    {{\n        return {};\n    }}\n",
            output.text()
        );
    }
    let _ = write!(
        text,
        "\n    void build(dl::Tensor<{element}> &input)\n    {{\n"
    );
    for (i, m) in members.iter().enumerate() {
        let _ = writeln!(text, "        this->l{}.build({});", i + 1, inputs(m));
    }
    let _ = write!(
        text,
        "    }}\n\n    void call(dl::Tensor<{element}> &input)\n    {{\n"
    );
    for (i, m) in members.iter().enumerate() {
        let _ = writeln!(text, "        this->l{}.call({});", i + 1, inputs(m));
        let mut freed: Vec<Value> = Vec::new();
        for &value in &m.inputs {
            let again = members[i + 1..].iter().any(|m| m.inputs.contains(&value));
            if !again && !outputs.contains(&value) && !freed.contains(&value) {
                let _ = writeln!(text, "        {}.free_element();", value.text());
                freed.push(value);
            }
        }
    }
    text.push_str("    }\n};\n");
    text
}

fn inputs(member: &Member) -> String {
    let values = member.inputs.iter().map(|v| v.text());
    match member.list {
        false => values.collect::<Vec<_>>().join(", "),
        true => {
            let addresses: Vec<String> = values.map(|v| format!("&{v}")).collect();
            format!("{{{}}}", addresses.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_in_cpp() {
        assert_eq!(class_name("mnist_coefficient"), "MnistCoefficientModel");
        assert_eq!(class_name("_2d"), "_2dModel");
        assert_eq!(quoted("a\"b\\"), "\"a_b_\"");
    }
}
