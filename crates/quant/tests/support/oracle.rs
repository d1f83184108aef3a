//! ESP-DL's integers computed naively, from the ONNX file and the toolkit's exponents: channels
//! first, 64 bits, one element after another. Shares nothing with the crate.
#![allow(unreachable_pub, reason = "a module of a test binary")]

use std::collections::BTreeMap;
use std::path::Path;

use prost::Message;
use tract_onnx::pb;

/// What of the toolkit is followed.
#[derive(Clone, Copy)]
pub struct Rules {
    /// 8 or 16.
    pub bits: u32,
    pub per_channel: bool,
    /// The evaluator's own ways: slopes cut off at a fixed exponent, Sub and Mul left as they come.
    pub evaluator: bool,
}

#[derive(Clone)]
struct Tensor {
    dims: Vec<usize>,
    data: Vec<i64>,
}

pub struct Oracle {
    graph: pb::GraphProto,
    exponents: BTreeMap<String, Vec<i32>>,
    rules: Rules,
}

fn floor_shift(v: i64, right: i32) -> i64 {
    if right >= 0 {
        v >> right.min(63)
    } else {
        v << -right
    }
}

impl Oracle {
    pub fn new(model: &Path, exponents: BTreeMap<String, Vec<i32>>, rules: Rules) -> Oracle {
        let bytes = std::fs::read(model).unwrap();
        let graph = pb::ModelProto::decode(&bytes[..]).unwrap().graph.unwrap();
        Oracle {
            graph,
            exponents,
            rules,
        }
    }

    fn clip(&self, v: i64, bits: u32) -> i64 {
        v.clamp(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    }

    fn quantize(&self, v: f32, e: i32, bits: u32) -> i64 {
        self.clip(
            (f64::from(v) * libm::ldexp(1.0, -e)).round_ties_even() as i64,
            bits,
        )
    }

    fn e(&self, name: &str) -> i32 {
        self.exponents.get(name).unwrap_or_else(|| panic!("{name}"))[0]
    }

    fn constant(&self, name: &str) -> Option<(Vec<usize>, Vec<f32>)> {
        let t = self.graph.initializer.iter().find(|t| t.name == name)?;
        let data = match t.raw_data.is_empty() {
            true => t.float_data.clone(),
            false => (t.raw_data.chunks_exact(4))
                .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
                .collect(),
        };
        Some((t.dims.iter().map(|d| *d as usize).collect(), data))
    }

    fn reader(&self, name: &str) -> Option<&pb::NodeProto> {
        let mut readers = (self.graph.node.iter()).filter(|n| n.input.iter().any(|i| i == name));
        let first = readers.next()?;
        readers.next().is_none().then_some(first)
    }

    /// The graph's only output for one sample, channels first.
    pub fn run(&self, x: &[f32]) -> Vec<i64> {
        let input = &self.graph.input[0];
        let Some(pb::type_proto::Value::TensorType(t)) = &input.r#type.as_ref().unwrap().value
        else {
            panic!("the input is no tensor");
        };
        let dims = (t.shape.as_ref().unwrap().dim.iter())
            .map(|d| match d.value {
                Some(pb::tensor_shape_proto::dimension::Value::DimValue(v)) => v as usize,
                _ => 1,
            })
            .collect();
        let e = self.e(&input.name);
        let data = x.iter().map(|v| self.quantize(*v, e, self.rules.bits));
        let mut values = BTreeMap::from([(
            input.name.clone(),
            Tensor {
                dims,
                data: data.collect(),
            },
        )]);
        for node in &self.graph.node {
            if !values.contains_key(&node.output[0]) {
                let (names, value) = self.node(node, &values);
                values.extend(names.into_iter().map(|name| (name, value.clone())));
            }
        }
        values.remove(&self.graph.output[0].name).unwrap().data
    }

    /// The tensors that a node writes; all those that run inside a layer with weights.
    fn node(&self, n: &pb::NodeProto, values: &BTreeMap<String, Tensor>) -> (Vec<String>, Tensor) {
        let out = n.output[0].clone();
        let a = &values[&n.input[0]];
        let value = match n.op_type.as_str() {
            "Conv" | "Gemm" | "MatMul" => return self.linear(n, a),
            "Relu" => map(a, |v| v.max(0)),
            "MaxPool" => self.max_pool(n, a),
            "GlobalMaxPool" => Tensor {
                dims: vec![1, a.dims[1], 1, 1],
                data: (a.data.chunks(a.dims[2] * a.dims[3]))
                    .map(|c| *c.iter().max().unwrap())
                    .collect(),
            },
            "Transpose" => transpose(a, &ints(n, "perm")),
            "Reshape" => Tensor {
                dims: vec![1, a.data.len()],
                data: a.data.clone(),
            },
            "Concat" => {
                let parts: Vec<&Tensor> = n.input.iter().map(|i| &values[i]).collect();
                let mut dims = a.dims.clone();
                dims[1] = parts.iter().map(|p| p.dims[1]).sum();
                Tensor {
                    dims,
                    data: parts.iter().flat_map(|p| p.data.clone()).collect(),
                }
            }
            "Add" | "Sub" | "Mul" => {
                let b = &values[&n.input[1]];
                let (ea, eb, eo) = (self.e(&n.input[0]), self.e(&n.input[1]), self.e(&out));
                let m = ea.max(eb);
                let one = |x: i64, y: i64| match n.op_type.as_str() {
                    "Sub" if self.rules.evaluator => x - y,
                    "Mul" if self.rules.evaluator => x * y,
                    "Mul" => self.clip(floor_shift(x * y, eo - ea - eb), self.rules.bits),
                    op => {
                        let (x, y) = (x >> (m - ea), y >> (m - eb));
                        let sum = if op == "Add" { x + y } else { x - y };
                        self.clip(floor_shift(sum, eo - m), self.rules.bits)
                    }
                };
                Tensor {
                    dims: a.dims.clone(),
                    data: a
                        .data
                        .iter()
                        .zip(&b.data)
                        .map(|(x, y)| one(*x, *y))
                        .collect(),
                }
            }
            other => panic!("the oracle doesn't know {other}"),
        };
        (vec![out], value)
    }

    /// A layer with weights, the bias Add of a MatMul and the activation behind it.
    fn linear(&self, n: &pb::NodeProto, x: &Tensor) -> (Vec<String>, Tensor) {
        let mut out = n.output[0].clone();
        let mut names = vec![out.clone()];
        let mut bias = n.input.get(2).cloned();
        if n.op_type == "MatMul" {
            let add = self.reader(&out).filter(|n| n.op_type == "Add").unwrap();
            bias = add.input.iter().find(|i| **i != out).cloned();
            out = add.output[0].clone();
            names.push(out.clone());
        }
        let activation = (self.reader(&out))
            .filter(|n| matches!(n.op_type.as_str(), "Relu" | "LeakyRelu" | "PRelu"));
        if let Some(a) = activation {
            out = a.output[0].clone();
            names.push(out.clone());
        }
        let (dims, w) = self.constant(&n.input[1]).unwrap();
        let transposed = n.op_type == "Gemm" && int(n, "transB", 0) == 1;
        // Sums over x at `positions` times weights: (x, w) index pairs for each output element.
        let (channels, terms): (usize, Vec<Vec<(usize, usize)>>) = match n.op_type.as_str() {
            "Conv" => self.taps(n, x, &dims),
            _ => {
                let (k, o) = if transposed {
                    (dims[1], dims[0])
                } else {
                    (dims[0], dims[1])
                };
                let at = |i: usize, c: usize| if transposed { c * k + i } else { i * o + c };
                (
                    o,
                    (0..o)
                        .map(|c| (0..k).map(|i| (i, at(i, c))).collect())
                        .collect(),
                )
            }
        };
        let spatial = terms.len() / channels;
        let exponents = &self.exponents[&n.input[1]];
        let exponent = |c: usize| exponents[c % exponents.len()];
        let (ei, eo) = (self.e(&n.input[0]), self.e(&out));
        let bias = bias.and_then(|b| self.constant(&b)).map(|(_, b)| b);
        let bits = self.rules.bits;
        let sum_bits = if bits == 8 { 20 } else { 40 };
        let channel_of = |j: usize| match n.op_type.as_str() {
            "Conv" => j / (w.len() / channels),
            _ if transposed => j / dims[1],
            _ => j % channels,
        };
        let w: Vec<i64> = (w.iter().enumerate())
            .map(|(j, v)| self.quantize(*v, exponent(channel_of(j)), bits))
            .collect();
        let one = |(at, terms): (usize, &Vec<(usize, usize)>)| {
            let c = at / spatial;
            let sum: i64 = (terms.iter()).map(|(i, j)| x.data[*i] * w[*j]).sum();
            let sum = self.clip(sum, sum_bits);
            let shift = eo - ei - exponent(c);
            let b = bias.as_ref().map_or(0.0, |b| b[c]);
            let t = if self.rules.per_channel {
                let b = self.quantize(b, ei + exponent(c) + 4, 16);
                let u = self.clip((sum >> 4) + b, 16);
                (u * libm::ldexp(1.0, 16 - shift) as i64) >> 12
            } else {
                floor_shift(sum, shift) + self.quantize(b, eo, bits)
            };
            self.clip(self.activate(activation, t, c), bits)
        };
        let data = terms.iter().enumerate().map(one).collect();
        let mut dims = vec![1, channels];
        if n.op_type == "Conv" {
            dims.extend(self.out_size(n, x, &[dims_of(&self.constant(&n.input[1]).unwrap().0)]));
        }
        (names, Tensor { dims, data })
    }

    fn activate(&self, node: Option<&pb::NodeProto>, t: i64, channel: usize) -> i64 {
        let Some(node) = node else { return t };
        if t >= 0 {
            return t;
        }
        let (slope, e) = match node.op_type.as_str() {
            "Relu" => return 0,
            "LeakyRelu" => {
                let alpha = node.attribute.iter().find(|a| a.name == "alpha");
                (
                    alpha.map_or(0.01, |a| a.f),
                    self.e(&format!("{}_alpha", node.name)),
                )
            }
            _ => {
                let (_, slopes) = self.constant(&node.input[1]).unwrap();
                (slopes[channel % slopes.len()], self.e(&node.input[1]))
            }
        };
        let bits = self.rules.bits;
        if self.rules.evaluator {
            let cut = (f64::from(slope) * libm::ldexp(1.0, bits as i32 - 1)) as i64;
            return (t * cut) >> (bits - 1);
        }
        floor_shift(t * self.quantize(slope, e, bits), -e)
    }

    fn out_size(&self, n: &pb::NodeProto, x: &Tensor, kernel: &[[usize; 2]]) -> Vec<usize> {
        let (pads, strides, dilations) = self.window(n, x, kernel[0]);
        (0..2)
            .map(|i| {
                let span = (kernel[0][i] - 1) * dilations[i] + 1;
                (x.dims[2 + i] + pads[i] + pads[2 + i] - span) / strides[i] + 1
            })
            .collect()
    }

    fn window(
        &self,
        n: &pb::NodeProto,
        x: &Tensor,
        kernel: [usize; 2],
    ) -> ([usize; 4], [usize; 2], [usize; 2]) {
        let or = |name: &str, default: &[i64]| {
            let found = ints(n, name);
            if found.is_empty() {
                default.to_vec()
            } else {
                found
            }
        };
        let two = |v: Vec<i64>| [v[0] as usize, v[1] as usize];
        let strides = two(or("strides", &[1, 1]));
        let dilations = two(or("dilations", &[1, 1]));
        let auto = n
            .attribute
            .iter()
            .find(|a| a.name == "auto_pad")
            .map(|a| &a.s[..]);
        let pads = match auto {
            Some(b"SAME_UPPER") => {
                let total = [0, 1].map(|i| {
                    let size = x.dims[2 + i];
                    ((size.div_ceil(strides[i]) - 1) * strides[i]
                        + (kernel[i] - 1) * dilations[i]
                        + 1)
                    .saturating_sub(size)
                });
                [
                    total[0] / 2,
                    total[1] / 2,
                    total[0] - total[0] / 2,
                    total[1] - total[1] / 2,
                ]
            }
            _ => {
                let p = or("pads", &[0; 4]);
                [p[0] as usize, p[1] as usize, p[2] as usize, p[3] as usize]
            }
        };
        (pads, strides, dilations)
    }

    fn taps(
        &self,
        n: &pb::NodeProto,
        x: &Tensor,
        dims: &[usize],
    ) -> (usize, Vec<Vec<(usize, usize)>>) {
        let kernel = [dims[2], dims[3]];
        let size = self.out_size(n, x, &[kernel]);
        let (pads, strides, dilations) = self.window(n, x, kernel);
        let group = int(n, "group", 1) as usize;
        let (outputs, inputs) = (dims[0], dims[1]);
        let mut terms = Vec::new();
        for o in 0..outputs {
            for at in 0..size[0] * size[1] {
                let (oy, ox) = (at / size[1], at % size[1]);
                let mut pairs = Vec::new();
                for i in 0..inputs {
                    let channel = o / (outputs / group) * inputs + i;
                    for k in 0..kernel[0] * kernel[1] {
                        let (ky, kx) = (k / kernel[1], k % kernel[1]);
                        let y = (oy * strides[0] + ky * dilations[0]).checked_sub(pads[0]);
                        let x_at = (ox * strides[1] + kx * dilations[1]).checked_sub(pads[1]);
                        if let (Some(y), Some(x_at)) = (y, x_at)
                            && y < x.dims[2]
                            && x_at < x.dims[3]
                        {
                            let from = (channel * x.dims[2] + y) * x.dims[3] + x_at;
                            pairs.push((from, (o * inputs + i) * kernel[0] * kernel[1] + k));
                        }
                    }
                }
                terms.push(pairs);
            }
        }
        (outputs, terms)
    }

    fn max_pool(&self, n: &pb::NodeProto, x: &Tensor) -> Tensor {
        let kernel = ints(n, "kernel_shape");
        let dims = [x.dims[1], 1, kernel[0] as usize, kernel[1] as usize];
        let mut each = n.clone();
        each.attribute.push(pb::AttributeProto {
            name: "group".into(),
            i: x.dims[1] as i64,
            ..Default::default()
        });
        let (_, terms) = self.taps(&each, x, &dims);
        let data = terms
            .iter()
            .map(|t| t.iter().map(|(i, _)| x.data[*i]).max().unwrap());
        let mut out = vec![1, x.dims[1]];
        out.extend(self.out_size(n, x, &[[dims[2], dims[3]]]));
        Tensor {
            data: data.collect(),
            dims: out,
        }
    }
}

fn dims_of(weights: &[usize]) -> [usize; 2] {
    [weights[2], weights[3]]
}

fn map(t: &Tensor, f: impl Fn(i64) -> i64) -> Tensor {
    Tensor {
        dims: t.dims.clone(),
        data: t.data.iter().map(|v| f(*v)).collect(),
    }
}

fn ints(n: &pb::NodeProto, name: &str) -> Vec<i64> {
    let found = n.attribute.iter().find(|a| a.name == name);
    found.map_or(Vec::new(), |a| a.ints.clone())
}

fn int(n: &pb::NodeProto, name: &str, default: i64) -> i64 {
    let found = n.attribute.iter().find(|a| a.name == name);
    found.map_or(default, |a| a.i)
}

fn transpose(t: &Tensor, perm: &[i64]) -> Tensor {
    let dims: Vec<usize> = perm.iter().map(|p| t.dims[*p as usize]).collect();
    let stride = |axis: usize| t.dims[axis + 1..].iter().product::<usize>();
    let data = (0..t.data.len())
        .map(|mut flat| {
            let mut from = 0;
            for (d, p) in dims.iter().zip(perm).rev() {
                from += flat % d * stride(*p as usize);
                flat /= d;
            }
            t.data[from]
        })
        .collect();
    Tensor { dims, data }
}
