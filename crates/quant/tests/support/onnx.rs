//! Small ONNX files, built in code.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test binary uses a part of it"
)]

use prost::Message;
use tract_onnx::pb;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::prelude::{Framework, InferenceModelExt, IntoRunnable, Tensor};

pub enum Value {
    Int(i64),
    Float(f32),
    Ints(Vec<i64>),
    Str(&'static str),
    Strs(Vec<&'static str>),
}

/// Reproducible values in -1..1.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        ((self.0 >> 40) as f32 / (1u32 << 23) as f32) - 1.0
    }

    pub fn many(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.next()).collect()
    }
}

pub struct Net {
    pub model: pb::ModelProto,
    pub random: Random,
}

fn value_info(name: &str, dims: &[i64]) -> pb::ValueInfoProto {
    use pb::tensor_shape_proto::dimension::Value as Dim;
    let dim = dims.iter().map(|d| pb::tensor_shape_proto::Dimension {
        value: Some(match d {
            -1 => Dim::DimParam("N".into()),
            d => Dim::DimValue(*d),
        }),
        ..Default::default()
    });
    pb::ValueInfoProto {
        name: name.into(),
        r#type: Some(pb::TypeProto {
            value: Some(pb::type_proto::Value::TensorType(pb::type_proto::Tensor {
                elem_type: DataType::Float as i32,
                shape: Some(pb::TensorShapeProto { dim: dim.collect() }),
            })),
            ..Default::default()
        }),
        ..Default::default()
    }
}

impl Net {
    /// A model with the input `x`.
    pub fn new(input: &[i64]) -> Net {
        Net {
            model: pb::ModelProto {
                ir_version: 7,
                opset_import: vec![pb::OperatorSetIdProto {
                    version: 13,
                    ..Default::default()
                }],
                graph: Some(pb::GraphProto {
                    name: "net".into(),
                    input: vec![value_info("x", input)],
                    ..Default::default()
                }),
                ..Default::default()
            },
            random: Random(7),
        }
    }

    pub fn graph(&mut self) -> &mut pb::GraphProto {
        self.model.graph.as_mut().unwrap()
    }

    pub fn input(mut self, name: &str, dims: &[i64]) -> Net {
        let info = value_info(name, dims);
        self.graph().input.push(info);
        self
    }

    pub fn weights(mut self, name: &str, dims: &[i64], data: Vec<f32>) -> Net {
        assert_eq!(data.len() as i64, dims.iter().product::<i64>());
        self.graph().initializer.push(pb::TensorProto {
            name: name.into(),
            dims: dims.to_vec(),
            data_type: DataType::Float as i32,
            raw_data: data.iter().flat_map(|v| v.to_le_bytes()).collect(),
            ..Default::default()
        });
        self
    }

    pub fn random_weights(mut self, name: &str, dims: &[i64], scale: f32) -> Net {
        let n = dims.iter().product::<i64>() as usize;
        let data = self.random.many(n).iter().map(|v| v * scale).collect();
        self.weights(name, dims, data)
    }

    pub fn ints(mut self, name: &str, data: &[i64]) -> Net {
        self.graph().initializer.push(pb::TensorProto {
            name: name.into(),
            dims: vec![data.len() as i64],
            data_type: DataType::Int64 as i32,
            int64_data: data.to_vec(),
            ..Default::default()
        });
        self
    }

    /// Stored integers of a narrow type; a scalar when `dims` is empty.
    pub fn typed(mut self, name: &str, dims: &[i64], kind: DataType, data: &[i64]) -> Net {
        assert_eq!(data.len() as i64, dims.iter().product::<i64>());
        self.graph().initializer.push(pb::TensorProto {
            name: name.into(),
            dims: dims.to_vec(),
            data_type: kind as i32,
            int32_data: data.iter().map(|v| *v as i32).collect(),
            ..Default::default()
        });
        self
    }

    /// A node named after its output.
    pub fn node(self, op: &str, inputs: &[&str], output: &str, attrs: &[(&str, Value)]) -> Net {
        self.named_node(&format!("n_{output}"), op, inputs, output, attrs)
    }

    /// A node with several outputs, named after the first.
    pub fn node_many(
        self,
        op: &str,
        inputs: &[&str],
        outputs: &[&str],
        attrs: &[(&str, Value)],
    ) -> Net {
        let mut net = self.node(op, inputs, outputs[0], attrs);
        let node = net.graph().node.last_mut().unwrap();
        node.output = outputs.iter().map(|o| (*o).into()).collect();
        net
    }

    pub fn opset(mut self, version: i64) -> Net {
        self.model.opset_import[0].version = version;
        self
    }

    pub fn named_node(
        mut self,
        name: &str,
        op: &str,
        inputs: &[&str],
        output: &str,
        attrs: &[(&str, Value)],
    ) -> Net {
        let attribute = (attrs.iter())
            .map(|(name, value)| {
                let mut a = pb::AttributeProto {
                    name: (*name).into(),
                    ..Default::default()
                };
                let kind = match value {
                    Value::Int(v) => {
                        a.i = *v;
                        AttributeType::Int
                    }
                    Value::Float(v) => {
                        a.f = *v;
                        AttributeType::Float
                    }
                    Value::Ints(v) => {
                        a.ints = v.clone();
                        AttributeType::Ints
                    }
                    Value::Str(v) => {
                        a.s = v.as_bytes().to_vec();
                        AttributeType::String
                    }
                    Value::Strs(v) => {
                        a.strings = v.iter().map(|v| v.as_bytes().to_vec()).collect();
                        AttributeType::Strings
                    }
                };
                a.r#type = kind as i32;
                a
            })
            .collect();
        self.graph().node.push(pb::NodeProto {
            name: name.into(),
            op_type: op.into(),
            input: inputs.iter().map(|i| (*i).into()).collect(),
            output: vec![output.into()],
            attribute,
            ..Default::default()
        });
        self
    }

    pub fn output(mut self, name: &str) -> Net {
        self.graph().output.push(pb::ValueInfoProto {
            name: name.into(),
            ..Default::default()
        });
        self
    }

    pub fn encode(&self) -> Vec<u8> {
        self.model.encode_to_vec()
    }

    /// The file as it is, through the float engine directly: what the import must not change.
    pub fn run(&self, dims: &[usize], data: &[f32]) -> Vec<Vec<f32>> {
        self.run_all(&[dims.to_vec()], &[data])
    }

    /// The same for any number of inputs.
    pub fn run_all(&self, dims: &[Vec<usize>], data: &[&[f32]]) -> Vec<Vec<f32>> {
        let mut model = self.model.clone();
        let inputs = &mut model.graph.as_mut().unwrap().input;
        for (input, dims) in inputs.iter_mut().zip(dims) {
            let fixed: Vec<i64> = dims.iter().map(|d| *d as i64).collect();
            *input = value_info(&input.name.clone(), &fixed);
        }
        let plan = tract_onnx::onnx()
            .model_for_proto_model(&model)
            .unwrap()
            // Not optimised: that would be the same engine in the same way as the crate's own.
            .into_typed()
            .unwrap()
            .into_runnable()
            .unwrap();
        let inputs = (dims.iter().zip(data))
            .map(|(dims, data)| Tensor::from_shape(dims, data).unwrap().into())
            .collect();
        (plan.run(inputs).unwrap().iter())
            .map(|t| {
                let t = t.cast_to::<f32>().unwrap();
                let view = t.to_plain_array_view::<f32>().unwrap();
                view.iter().copied().collect()
            })
            .collect()
    }
}
