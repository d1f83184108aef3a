//! ONNX protobuf to [`Graph`]. Takes anything that decodes; what is wrong inside becomes a list
//! of problems, so that the rest of the graph can be shown.

use std::collections::{BTreeMap, BTreeSet};

use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::prelude::Framework;

use crate::error::ImportError;
use crate::graph::{Attr, Constant, Data, Graph, Node};
use crate::quantized::Types;
use crate::sizes::{OpenSize, Sizes};

/// The largest constant that is accepted, in elements; nothing bigger fits the chip's flash.
const MAX_ELEMENTS: usize = 1 << 26;

/// The most nodes; the graph is searched in quadratic time, and such a model would never fit.
const MAX_NODES: usize = 4096;

/// What a file holds.
pub(crate) struct Imported {
    pub(crate) graph: Graph,
    /// Of tensors that are not float32.
    pub(crate) types: Types,
    pub(crate) open: Vec<OpenSize>,
    pub(crate) problems: Vec<String>,
}

/// Decodes the file.
pub(crate) fn decode(bytes: &[u8]) -> Result<pb::ModelProto, ImportError> {
    if bytes.is_empty() {
        return Err(ImportError::NotOnnx("it is empty".into()));
    }
    tract_onnx::onnx()
        .proto_model_for_read(&mut &*bytes)
        .map_err(|e| ImportError::NotOnnx(e.root_cause().to_string()))
}

/// Builds the graph, with the sizes `given` where the file leaves them open. The problems are
/// sentences about things that make the model unusable as a whole (weights elsewhere, missing
/// tensors); unsupported operators are found later.
pub(crate) fn import(
    model: &pb::ModelProto,
    given: &BTreeMap<String, usize>,
) -> Result<Imported, ImportError> {
    let proto = model.graph.as_ref().ok_or(ImportError::NoGraph)?;
    if proto.node.is_empty() {
        return Err(ImportError::NoGraph);
    }
    if proto.node.len() > MAX_NODES {
        return Err(ImportError::TooLarge {
            nodes: proto.node.len(),
            most: MAX_NODES,
        });
    }
    let mut problems = Vec::new();
    let mut types = Types::new();
    let mut graph = Graph {
        name: proto.name.clone(),
        producer: format!("{} {}", model.producer_name, model.producer_version)
            .trim()
            .to_owned(),
        opset: opset(model),
        ..Graph::default()
    };
    if graph.opset < 7 {
        problems.push(format!(
            "The model uses ONNX opset {}; 7 to 21 are understood. Export it again with opset 13.",
            graph.opset
        ));
    }
    for tensor in &proto.initializer {
        let constant = constant(tensor);
        if let (Data::Int(_), Ok(kind)) = (&constant.data, DataType::try_from(tensor.data_type)) {
            types.insert(tensor.name.clone(), kind);
        }
        if let Data::Unreadable(why) = &constant.data {
            problems.push(format!(
                "The weights '{}' can't be read: {why}",
                tensor.name
            ));
        }
        graph.add_constant(&tensor.name, constant);
    }
    if !proto.sparse_initializer.is_empty() {
        problems.push("The model has sparse weights. Export it with dense ones.".to_owned());
    }
    let mut sizes = Sizes::new(given);
    for input in &proto.input {
        // Old exporters list the weights among the inputs.
        if graph.constants.contains_key(&input.name) {
            continue;
        }
        graph.inputs.push(input.name.clone());
        match input_shape(input, &mut sizes) {
            Ok((dims, kind)) => {
                (graph.shapes).extend(dims.map(|dims| (input.name.clone(), dims)));
                if kind != DataType::Float {
                    types.insert(input.name.clone(), kind);
                }
            }
            Err(why) => problems.push(why),
        }
    }
    let (open, unsaid) = sizes.into_found();
    problems.extend(unsaid);
    graph.outputs = proto.output.iter().map(|o| o.name.clone()).collect();
    graph.numbered = graph.inputs.len() + proto.initializer.len() + 1;
    for (i, proto) in proto.node.iter().enumerate() {
        graph.numbered += proto.output.len();
        let node = import_node(i, proto);
        if node.op == "Constant" {
            let stored = proto.attribute.iter().find_map(|a| a.t.as_ref());
            if let Some(Ok(kind)) = stored.map(|t| DataType::try_from(t.data_type)) {
                types.insert(node.output().to_owned(), kind);
            }
            match constant_node(&node) {
                Some(value) => {
                    if let Data::Unreadable(why) = &value.data {
                        problems.push(format!("The constant '{}' can't be read: {why}", node.name));
                    }
                    graph.add_constant(node.output(), value);
                }
                None => problems.push(format!(
                    "The Constant node '{}' holds neither a tensor nor numbers. Simplify the model with onnxsim.",
                    node.name
                )),
            }
            continue;
        }
        graph.nodes.push(node);
    }
    sort(&mut graph, &mut problems);
    let written = graph.nodes.iter().map(Node::output).enumerate();
    let stored = proto.initializer.iter().map(|t| t.name.as_str());
    graph.places = (stored.enumerate().chain(written))
        .map(|(i, name)| (name.to_owned(), i))
        .collect();
    check_interface(&graph, &mut problems);
    Ok(Imported {
        graph,
        types,
        open,
        problems,
    })
}

fn opset(model: &pb::ModelProto) -> i64 {
    (model.opset_import.iter())
        .find(|o| o.domain.is_empty() || o.domain == "ai.onnx")
        .map(|o| o.version)
        .unwrap_or(0)
}

fn check_interface(graph: &Graph, problems: &mut Vec<String>) {
    if graph.inputs.is_empty() {
        problems.push("The model has no input: all its inputs have stored values.".into());
    }
    if graph.outputs.is_empty() {
        problems.push("The model names no output. Export it again with one.".into());
    }
}

/// Its dimensions, None while one of them is open, and its type: float32, which wider and narrower
/// floats are read as, or integers that a quantized model may have a scale for.
fn input_shape(
    input: &pb::ValueInfoProto,
    sizes: &mut Sizes<'_>,
) -> Result<(Option<Vec<usize>>, DataType), String> {
    use pb::tensor_shape_proto::dimension::Value as Dim;
    let name = &input.name;
    let Some(pb::type_proto::Value::TensorType(tensor)) =
        input.r#type.as_ref().and_then(|t| t.value.as_ref())
    else {
        return Err(format!("The input '{name}' is not a tensor."));
    };
    use DataType::{Double, Float, Float16, Int8, Int16, Uint8, Uint16};
    let kind = match DataType::try_from(tensor.elem_type) {
        Ok(Float | Float16 | Double) => Float,
        Ok(kind @ (Int8 | Int16 | Uint8 | Uint16)) => kind,
        _ => return Err(not_float(name)),
    };
    let Some(shape) = &tensor.shape else {
        return Err(format!(
            "The input '{name}' has no shape. Export the model with a fixed input shape."
        ));
    };
    let mut dims = Vec::new();
    for (i, dim) in shape.dim.iter().enumerate() {
        dims.push(match &dim.value {
            Some(Dim::DimValue(v)) if (1..=1 << 20).contains(v) => Some(*v as usize),
            Some(Dim::DimValue(v)) if *v > 1 << 20 || i > 0 && *v == 0 => {
                return Err(format!(
                    "Dimension {i} of the input '{name}' is {v}. Export the model with the size that its input has."
                ));
            }
            Some(Dim::DimParam(word)) => sizes.size(name, i, word),
            _ => sizes.size(name, i, ""),
        });
    }
    // All are asked for before one that is open ends this.
    let Some(dims) = dims.into_iter().collect::<Option<Vec<usize>>>() else {
        return Ok((None, kind));
    };
    if dims
        .iter()
        .try_fold(1usize, |n, d| n.checked_mul(*d))
        .is_none_or(|n| n > MAX_ELEMENTS)
    {
        return Err(format!("The input '{name}' is too large."));
    }
    Ok((Some(dims), kind))
}

/// The sentence for an input that is not float32, nor quantized with a scale.
pub(crate) fn not_float(name: &str) -> String {
    format!(
        "The input '{name}' is not float32, and the model doesn't say what its integers stand for. \
         Export the model with a float input."
    )
}

fn import_node(index: usize, node: &pb::NodeProto) -> Node {
    let mut op = node.op_type.clone();
    if !node.domain.is_empty() && node.domain != "ai.onnx" {
        op = format!("{}.{op}", node.domain);
    }
    let attrs = (node.attribute.iter())
        .map(|a| (a.name.clone(), attribute(a)))
        .collect::<BTreeMap<_, _>>();
    // Unnamed nodes are told apart by what they write; those the toolkit names get that later.
    let name = if node.name.is_empty() && op == "Constant" {
        format!("constant {index}")
    } else {
        node.name.clone()
    };
    Node {
        name,
        op,
        inputs: node.input.clone(),
        outputs: node.output.clone(),
        attrs,
    }
}

fn attribute(a: &pb::AttributeProto) -> Attr {
    use pb::attribute_proto::AttributeType as T;
    // Writers before IR version 2 left the type out; the filled field tells it then.
    match T::try_from(a.r#type).unwrap_or(T::Undefined) {
        T::Int => Attr::Int(a.i),
        T::Float => Attr::Float(a.f),
        T::String => Attr::Str(String::from_utf8_lossy(&a.s).into_owned()),
        T::Ints => Attr::Ints(a.ints.clone()),
        T::Floats => Attr::Floats(a.floats.clone()),
        T::Strings => Attr::Strings(
            (a.strings.iter())
                .map(|s| String::from_utf8_lossy(s).into_owned())
                .collect(),
        ),
        T::Tensor => {
            a.t.as_ref()
                .map_or(Attr::Other, |t| Attr::Tensor(constant(t)))
        }
        T::Undefined if !a.ints.is_empty() => Attr::Ints(a.ints.clone()),
        T::Undefined if !a.s.is_empty() => Attr::Str(String::from_utf8_lossy(&a.s).into_owned()),
        T::Undefined if a.f != 0.0 => Attr::Float(a.f),
        T::Undefined if a.t.is_none() && a.g.is_none() => Attr::Int(a.i),
        _ => Attr::Other,
    }
}

fn constant_node(node: &Node) -> Option<Constant> {
    let scalar = Vec::new;
    node.attrs
        .iter()
        .find_map(|(name, value)| match (name.as_str(), value) {
            ("value", Attr::Tensor(t)) => Some(t.clone()),
            ("value_float", Attr::Float(v)) => Some(Constant::float(scalar(), vec![*v])),
            ("value_floats", Attr::Floats(v)) => Some(Constant::float(vec![v.len()], v.clone())),
            ("value_int", Attr::Int(v)) => Some(Constant::ints(scalar(), vec![*v])),
            ("value_ints", Attr::Ints(v)) => Some(Constant::ints(vec![v.len()], v.clone())),
            _ => None,
        })
}

/// A tensor's values, from whichever field holds them.
pub(crate) fn constant(t: &pb::TensorProto) -> Constant {
    let unreadable = |why: &str| Constant {
        dims: Vec::new(),
        data: Data::Unreadable(why.to_owned()),
    };
    if t.data_location
        .is_some_and(|l| l == DataLocation::External as i32)
    {
        return unreadable(
            "they are in a separate file next to the model. Save the model again with its \
             weights inside (onnx.save_model(..., save_as_external_data=False)).",
        );
    }
    let mut dims = Vec::with_capacity(t.dims.len());
    let mut len = 1usize;
    for &d in &t.dims {
        let d = match usize::try_from(d) {
            Ok(d) => d,
            Err(_) => return unreadable("their shape is negative. Export the model again."),
        };
        len = match len.checked_mul(d) {
            Some(n) if n <= MAX_ELEMENTS => n,
            _ => return unreadable("they are too large for any device this is for."),
        };
        dims.push(d);
    }
    let values = match DataType::try_from(t.data_type) {
        Ok(DataType::Float) => floats(t, 4, |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
        Ok(DataType::Double) if t.raw_data.is_empty() => {
            Data::Float(t.double_data.iter().map(|v| *v as f32).collect())
        }
        Ok(DataType::Double) => floats(t, 8, |b| {
            f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32
        }),
        Ok(DataType::Int64) if t.raw_data.is_empty() => Data::Int(t.int64_data.clone()),
        Ok(DataType::Int64) => ints(t, 8, |b| {
            i64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])
        }),
        Ok(DataType::Int32) => ints(t, 4, |b| {
            i64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        }),
        Ok(DataType::Int16) => ints(t, 2, |b| i64::from(i16::from_le_bytes([b[0], b[1]]))),
        Ok(DataType::Int8) => ints(t, 1, |b| i64::from(b[0] as i8)),
        Ok(DataType::Uint8 | DataType::Bool) => ints(t, 1, |b| i64::from(b[0])),
        Ok(DataType::Uint16) => ints(t, 2, |b| i64::from(u16::from_le_bytes([b[0], b[1]]))),
        Ok(DataType::Float16) if t.raw_data.is_empty() => {
            Data::Float(t.int32_data.iter().map(|v| half(*v as u16)).collect())
        }
        Ok(DataType::Float16) => floats(t, 2, |b| half(u16::from_le_bytes([b[0], b[1]]))),
        Ok(other) => Data::Unreadable(format!(
            "their type {} is not known here. Export the model in float32.",
            other.as_str_name()
        )),
        Err(_) => Data::Unreadable("their type is unknown. Export the model again.".to_owned()),
    };
    let have = match &values {
        Data::Float(v) => v.len(),
        Data::Int(v) => v.len(),
        Data::Unreadable(_) => len,
    };
    if have != len {
        return unreadable(&format!(
            "{have} values for a shape of {len}: the file is cut off or damaged. Export it again."
        ));
    }
    Constant { dims, data: values }
}

/// A float16 by its bits (IEEE 754 binary16); every one is a float32.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let fraction = f32::from(bits & 0x3ff);
    sign * match bits >> 10 & 0x1f {
        // Steps of 2^-24.
        0 => fraction / 16_777_216.0,
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        exponent => {
            f32::from_bits((u32::from(exponent) + 112) << 23 | u32::from(bits & 0x3ff) << 13)
        }
    }
}

fn floats(t: &pb::TensorProto, width: usize, read: impl Fn(&[u8]) -> f32) -> Data {
    if t.raw_data.is_empty() {
        return Data::Float(t.float_data.clone());
    }
    Data::Float(t.raw_data.chunks_exact(width).map(read).collect())
}

fn ints(t: &pb::TensorProto, width: usize, read: impl Fn(&[u8]) -> i64) -> Data {
    if t.raw_data.is_empty() {
        return Data::Int(t.int32_data.iter().map(|v| i64::from(*v)).collect());
    }
    Data::Int(t.raw_data.chunks_exact(width).map(read).collect())
}

/// Puts the nodes in execution order (stable: a sorted file stays as it is) and reports tensors
/// that nothing provides.
fn sort(graph: &mut Graph, problems: &mut Vec<String>) {
    let mut known: BTreeSet<String> = graph.constants.keys().cloned().collect();
    known.extend(graph.inputs.iter().cloned());
    let written: BTreeSet<String> = (graph.nodes.iter())
        .flat_map(|n| n.outputs.iter().cloned())
        .collect();
    for node in &graph.nodes {
        for input in node.inputs.iter().filter(|i| !i.is_empty()) {
            if !known.contains(input) && !written.contains(input) {
                problems.push(format!(
                    "Node '{}' ({}) reads '{input}', which nothing provides: the weights are \
                     missing from the file. Export the model with its weights inside.",
                    node.name, node.op
                ));
                known.insert(input.clone());
            }
        }
    }
    for output in &graph.outputs {
        if !known.contains(output) && !written.contains(output) {
            problems.push(format!("The output '{output}' is written by no node."));
        }
    }
    let mut waiting = std::mem::take(&mut graph.nodes);
    while !waiting.is_empty() {
        let ready = waiting
            .iter()
            .position(|n| n.inputs.iter().all(|i| i.is_empty() || known.contains(i)));
        let Some(i) = ready else {
            problems.push(format!(
                "The graph runs in a circle through node '{}'. Export the model again.",
                waiting[0].name
            ));
            graph.nodes.append(&mut waiting);
            return;
        };
        let node = waiting.remove(i);
        known.extend(node.outputs.iter().filter(|o| !o.is_empty()).cloned());
        graph.nodes.push(node);
    }
}
