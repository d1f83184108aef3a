//! The ONNX project's node tests: a model of one node, inputs, and what must come out.
#![allow(unreachable_pub, reason = "shared by test binaries")]

use std::path::Path;

use prost::Message;
use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;

/// A tensor of a test, as floats; `float` tells whether it was float32.
pub struct Value {
    pub data: Vec<f32>,
    pub float: bool,
    proto: pb::TensorProto,
}

pub struct Case {
    pub name: String,
    pub op: String,
    /// With everything but the computed inputs as initializers.
    pub model: Vec<u8>,
    pub inputs: Vec<Value>,
    pub outputs: Vec<Value>,
}

/// Inputs that are weights or settings, by operator: these are stored in real models.
fn stored(op: &str, i: usize) -> bool {
    match op {
        "Conv"
        | "ConvTranspose"
        | "Gemm"
        | "PRelu"
        | "BatchNormalization"
        | "Clip"
        | "Pow"
        | "Resize"
        | "Upsample"
        | "Dropout"
        | "Div"
        | "LSTM"
        | "GRU"
        | "LayerNormalization"
        | "InstanceNormalization" => i > 0,
        "Pad" => i > 1,
        _ => false,
    }
}

fn value(bytes: &[u8]) -> Option<Value> {
    let proto = pb::TensorProto::decode(bytes).ok()?;
    let raw = &proto.raw_data;
    let data: Vec<f32> = match DataType::try_from(proto.data_type).ok()? {
        DataType::Float if raw.is_empty() => proto.float_data.clone(),
        DataType::Float => raw
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect(),
        DataType::Int64 if raw.is_empty() => proto.int64_data.iter().map(|v| *v as f32).collect(),
        DataType::Int64 => raw
            .chunks_exact(8)
            .map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f32)
            .collect(),
        DataType::Int32 | DataType::Bool => Vec::new(),
        _ => return None,
    };
    Some(Value {
        data,
        float: proto.data_type == DataType::Float as i32,
        proto,
    })
}

/// Reads a case; None when it isn't one node of float32 and settings. `Err` names the kind of data
/// that can't be read.
pub fn load(folder: &Path) -> Option<Result<Case, (String, String)>> {
    let mut model =
        pb::ModelProto::decode(&*std::fs::read(folder.join("model.onnx")).ok()?).ok()?;
    let graph = model.graph.as_mut()?;
    let [node] = graph.node.as_slice() else {
        return None;
    };
    let op = node.op_type.clone();
    let names = node.input.clone();
    if !node.domain.is_empty() {
        return None;
    }
    let case = folder.file_name()?.to_string_lossy().into_owned();
    let other = |what: &str| Some(Err((op.clone(), what.to_owned())));
    let data = folder.join("test_data_set_0");
    let read = |stem: &str, i: usize| std::fs::read(data.join(format!("{stem}_{i}.pb"))).ok();
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    let mut kept = Vec::new();
    for (i, info) in graph.input.iter().enumerate() {
        let Some(value) = read("input", i).as_deref().and_then(value) else {
            return other("not float32");
        };
        let at = names.iter().position(|n| *n == info.name).unwrap_or(0);
        if value.float && !stored(&op, at) {
            if value.data.is_empty() {
                return other("no elements");
            }
            inputs.push(value);
            kept.push(info.clone());
        } else if at == 0 {
            return other("not float32");
        } else {
            let mut constant = value.proto;
            constant.name = info.name.clone();
            graph.initializer.push(constant);
        }
    }
    for i in 0..graph.output.len() {
        match read("output", i).as_deref().and_then(value) {
            Some(value) => outputs.push(value),
            None => return other("not float32"),
        }
    }
    graph.input = kept;
    Some(Ok(Case {
        name: case,
        op,
        model: model.encode_to_vec(),
        inputs,
        outputs,
    }))
}
