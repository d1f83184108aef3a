//! The graph as ONNX for tract, around what tract 0.23.9 does wrong or stops at.

use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;

use crate::graph::{Attr, Constant, Data, Graph, Node};
use crate::ops::{Op, Selection, Window, resolve};

/// A model with the tensors `outputs` as outputs, in that order.
pub(super) fn model(graph: &Graph, outputs: &[String]) -> pb::ModelProto {
    let value = |name: &str, dims: Option<&[usize]>| pb::ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(pb::TypeProto {
            value: Some(pb::type_proto::Value::TensorType(pb::type_proto::Tensor {
                elem_type: DataType::Float as i32,
                shape: dims.map(|dims| pb::TensorShapeProto {
                    dim: (dims.iter())
                        .map(|d| pb::tensor_shape_proto::Dimension {
                            value: Some(pb::tensor_shape_proto::dimension::Value::DimValue(
                                *d as i64,
                            )),
                            ..Default::default()
                        })
                        .collect(),
                }),
            })),
            ..Default::default()
        }),
        ..Default::default()
    };
    pb::ModelProto {
        ir_version: 7,
        opset_import: vec![pb::OperatorSetIdProto {
            // What changed up to 10 is Slice and Upsample, which tract doesn't get.
            version: graph.opset.max(10),
            ..Default::default()
        }],
        graph: Some(pb::GraphProto {
            name: graph.name.clone(),
            node: (graph.nodes.iter().enumerate())
                .flat_map(|(i, n)| nodes(graph, i, n))
                .collect(),
            initializer: (graph.constants.iter())
                .map(|(name, c)| tensor(name, c))
                .collect(),
            input: (graph.inputs.iter())
                .map(|name| value(name, graph.shape(name)))
                .collect(),
            output: outputs.iter().map(|name| value(name, None)).collect(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Node `i` as tract gets it.
fn nodes(graph: &Graph, i: usize, node: &Node) -> Vec<pb::NodeProto> {
    let mut proto = pb::NodeProto {
        // tract wants node names that differ.
        name: format!("{i} {}", node.name),
        op_type: node.op.clone(),
        input: node.inputs.clone(),
        output: node.outputs.clone(),
        attribute: node.attrs.iter().map(|(k, v)| attribute(k, v)).collect(),
        ..Default::default()
    };
    if let Ok((op, dims)) = resolve(graph, node)
        && let Some(window) = explicit(&op)
    {
        let [top, left, bottom, right] = window.pads.map(|pad| pad as i64);
        let mut pads = match dims.len() {
            3 => vec![left, right],
            _ => vec![top, left, bottom, right],
        };
        let implied = ["auto_pad", "pads", "output_shape"];
        proto
            .attribute
            .retain(|a| !implied.contains(&a.name.as_str()));
        if matches!(op, Op::ConvTranspose(_))
            && let Some(mut behind) = padding_behind(graph, node, window, &dims)
        {
            // What is cut off and put there again stays; tract 0.23.9 would cut first, and find less than nothing.
            let ends = pads.len() - behind.len();
            for (pad, behind) in pads[ends..].iter_mut().zip(&mut behind) {
                let kept = (*pad).min(*behind);
                *pad -= kept;
                *behind -= kept;
            }
            proto.attribute.retain(|a| a.name != "output_padding");
            proto
                .attribute
                .push(attribute("output_padding", &Attr::Ints(behind)));
        }
        proto.attribute.push(attribute("pads", &Attr::Ints(pads)));
    }
    // From a Slice tract 0.23.9 makes a Downsample, of which it forgets where to begin when it merges it
    // into a convolution; it knows no negative pads, and not every way to find the nearest.
    if matches!(node.op.as_str(), "Slice" | "Pad" | "Resize")
        && let Ok((Op::Select { axes, fill }, _)) = resolve(graph, node)
    {
        return selected(graph, i, node, &axes, fill);
    }
    // Without the axes, of which tract 0.23.9 removes two from the end in an order that stops the program.
    if matches!(node.op.as_str(), "Squeeze" | "Unsqueeze")
        && let Ok((Op::Reshape, dims)) = resolve(graph, node)
    {
        let (shape, constant) = list(graph, i, node, "shape", &dims);
        proto.op_type = "Reshape".to_owned();
        proto.input = vec![node.inputs[0].clone(), shape];
        proto.attribute.clear();
        return vec![constant, proto];
    }
    // Positions are whole numbers in ONNX, and go on as floats here.
    if node.op == "ArgMax" {
        let whole = graph.fresh_name(&format!("{i} {} whole", node.name));
        let cast = pb::NodeProto {
            name: format!("{i} {} as floats", node.name),
            op_type: "Cast".to_owned(),
            input: vec![whole.clone()],
            output: node.outputs.clone(),
            attribute: vec![attribute("to", &Attr::Int(DataType::Float as i64))],
            ..Default::default()
        };
        proto.output = vec![whole];
        return vec![proto, cast];
    }
    // tract 0.23.9 leaves out the first factor of alpha * (exp(x / alpha) - 1). An Elu has it.
    if node.op == "Celu" {
        return celu(graph, i, node);
    }
    // tract 0.23.9 merges `constant - convolution` into the convolution with the wrong sign.
    // a + (-b) is the same float.
    if node.op == "Sub"
        && let Some(subtrahend) = node.input(1)
    {
        let negated = graph.fresh_name(&format!("{i} {subtrahend} negated"));
        let neg = pb::NodeProto {
            name: format!("{i} {} negated", node.name),
            op_type: "Neg".to_owned(),
            input: vec![subtrahend.to_owned()],
            output: vec![negated.clone()],
            ..Default::default()
        };
        proto.op_type = "Add".to_owned();
        proto.input[1] = negated;
        return vec![neg, proto];
    }
    vec![proto]
}

/// The window of an operator whose pads tract is to be told. tract 0.23.9 moves strides of a later
/// convolution into an earlier one, which finds other pads for them if it has to find them by itself; of
/// a transposed convolution it stops the program where the output is smaller than its default.
fn explicit(op: &Op) -> Option<&Window> {
    match op {
        Op::Conv { window, .. } | Op::DepthwiseConv(window) => Some(window),
        Op::ConvTranspose(transposed) => Some(&transposed.window),
        _ => None,
    }
}

/// By how much the output of a transposed convolution is longer than its window makes it.
fn padding_behind(
    graph: &Graph,
    node: &Node,
    window: &Window,
    output: &[usize],
) -> Option<Vec<i64>> {
    let input = graph.shape(node.input(0)?)?;
    let extra = (2..output.len()).map(|d| {
        let k = d + 4 - output.len() - 2;
        let span = (window.kernel[k] - 1) * window.dilation[k] + 1;
        let full = (input[d] - 1) * window.stride[k] + span;
        (output[d] + window.pads[k] + window.pads[k + 2]) as i64 - full as i64
    });
    Some(extra.collect())
}

/// A node that holds whole numbers, and what its output is called.
fn list(
    graph: &Graph,
    i: usize,
    node: &Node,
    what: &str,
    values: &[usize],
) -> (String, pb::NodeProto) {
    let name = graph.fresh_name(&format!("{i} {} {what}", node.name));
    let data = Data::Int(values.iter().map(|v| *v as i64).collect());
    let dims = vec![values.len()];
    let value = attribute("value", &Attr::Tensor(Constant { dims, data }));
    let constant = pb::NodeProto {
        name: name.clone(),
        op_type: "Constant".to_owned(),
        output: vec![name.clone()],
        attribute: vec![value],
        ..Default::default()
    };
    (name, constant)
}

/// Picks `axes` of what node `i` reads, one axis after another, and puts `fill` around them.
fn selected(
    graph: &Graph,
    i: usize,
    node: &Node,
    axes: &Selection,
    fill: f32,
) -> Vec<pb::NodeProto> {
    let mut nodes = Vec::new();
    let mut from = node.inputs[0].clone();
    for (axis, picked) in axes.iter().enumerate() {
        let to = graph.fresh_name(&format!("{i} {} axis {axis}", node.name));
        let picked: Vec<usize> = picked.iter().flatten().copied().collect();
        let (indices, constant) = list(graph, i, node, &format!("indices {axis}"), &picked);
        nodes.push(constant);
        nodes.push(pb::NodeProto {
            name: to.clone(),
            op_type: "Gather".to_owned(),
            input: vec![from, indices],
            output: vec![to.clone()],
            attribute: vec![attribute("axis", &Attr::Int(axis as i64))],
            ..Default::default()
        });
        from = to;
    }
    let filled = |axis: &Vec<Option<usize>>| {
        let before = axis.iter().take_while(|k| k.is_none()).count();
        let after = axis[before..].iter().filter(|k| k.is_none()).count();
        [before as i64, after as i64]
    };
    let amounts: Vec<[i64; 2]> = axes.iter().map(filled).collect();
    let mut last = pb::NodeProto {
        name: format!("{i} {}", node.name),
        op_type: "Identity".to_owned(),
        input: vec![from],
        output: node.outputs.clone(),
        ..Default::default()
    };
    if amounts.iter().any(|a| *a != [0, 0]) {
        last.op_type = "Pad".to_owned();
        let amounts: Vec<usize> = (0..2)
            .flat_map(|k| amounts.iter().map(move |a| a[k] as usize))
            .collect();
        if graph.opset < 11 {
            let pads = amounts.iter().map(|a| *a as i64).collect();
            last.attribute = vec![
                attribute("pads", &Attr::Ints(pads)),
                attribute("value", &Attr::Float(fill)),
            ];
        } else {
            let (pads, constant) = list(graph, i, node, "pads", &amounts);
            nodes.push(constant);
            let (value, constant) = number(graph, i, node, "fill", fill);
            nodes.push(constant);
            last.input.extend([pads, value]);
        }
    }
    nodes.push(last);
    nodes
}

/// A node that holds one number, and what its output is called.
fn number(graph: &Graph, i: usize, node: &Node, what: &str, value: f32) -> (String, pb::NodeProto) {
    let (name, mut constant) = list(graph, i, node, what, &[]);
    let value = Constant::float(vec![], vec![value]);
    constant.attribute = vec![attribute("value", &Attr::Tensor(value))];
    (name, constant)
}

/// Celu(x) as alpha * Elu(x / alpha).
fn celu(graph: &Graph, i: usize, node: &Node) -> Vec<pb::NodeProto> {
    let alpha = node.float("alpha", 1.0);
    let (inverse, divisor) = number(graph, i, node, "1/alpha", 1.0 / alpha);
    let (factor, multiplier) = number(graph, i, node, "alpha", alpha);
    let [small, bent] =
        ["divided", "bent"].map(|what| graph.fresh_name(&format!("{i} {} {what}", node.name)));
    let step = |name: String, op: &str, input: Vec<String>, output: String| pb::NodeProto {
        name,
        op_type: op.to_owned(),
        input,
        output: vec![output],
        ..Default::default()
    };
    let x = node.inputs[0].clone();
    vec![
        divisor,
        multiplier,
        step(small.clone(), "Mul", vec![x, inverse], small.clone()),
        step(bent.clone(), "Elu", vec![small], bent.clone()),
        step(
            format!("{i} {}", node.name),
            "Mul",
            vec![bent, factor],
            node.outputs[0].clone(),
        ),
    ]
}

fn attribute(name: &str, value: &Attr) -> pb::AttributeProto {
    use pb::attribute_proto::AttributeType as T;
    let mut a = pb::AttributeProto {
        name: name.to_owned(),
        ..Default::default()
    };
    let kind = match value {
        Attr::Int(v) => {
            a.i = *v;
            T::Int
        }
        Attr::Float(v) => {
            a.f = *v;
            T::Float
        }
        Attr::Str(v) => {
            a.s = v.clone().into_bytes();
            T::String
        }
        Attr::Ints(v) => {
            a.ints = v.clone();
            T::Ints
        }
        Attr::Floats(v) => {
            a.floats = v.clone();
            T::Floats
        }
        Attr::Strings(v) => {
            a.strings = v.iter().map(|s| s.clone().into_bytes()).collect();
            T::Strings
        }
        Attr::Tensor(v) => {
            a.t = Some(tensor(name, v));
            T::Tensor
        }
        Attr::Other => T::Undefined,
    };
    a.r#type = kind as i32;
    a
}

fn tensor(name: &str, constant: &Constant) -> pb::TensorProto {
    let mut t = pb::TensorProto {
        name: name.to_owned(),
        dims: constant.dims.iter().map(|d| *d as i64).collect(),
        ..Default::default()
    };
    match &constant.data {
        Data::Float(v) => {
            t.data_type = DataType::Float as i32;
            t.raw_data = v.iter().flat_map(|v| v.to_le_bytes()).collect();
        }
        Data::Int(v) => {
            t.data_type = DataType::Int64 as i32;
            t.raw_data = v.iter().flat_map(|v| v.to_le_bytes()).collect();
        }
        Data::Unreadable(_) => t.data_type = DataType::Undefined as i32,
    }
    t
}
