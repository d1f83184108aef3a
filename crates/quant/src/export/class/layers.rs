//! The members: which class of ESP-DL v1 each layer is, and the arguments of its constructor.

use super::super::{ExportError, coefficients, mangle, order};
use super::{Member, Value, Writer, shape};
use crate::graph::{Graph, Node};
use crate::ops::{self, Function, Op, Window};
use crate::plan::{Kind, Layer, Layout, Permutation, PlanTensor};

impl Writer<'_> {
    pub(super) fn layer(&mut self, layer: &Layer) -> Result<Result<(), String>, ExportError> {
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
            Kind::Rows | Kind::Table(_) | Kind::Phases(..) | Kind::Join(_) => {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_within_their_quotes() {
        assert_eq!(quoted("a\"b\\"), "\"a_b_\"");
    }
}
