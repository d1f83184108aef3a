//! The ESP-DL toolkit's evaluator for models whose values no image can hold: it leaves what Sub, Mul and
//! the mean pools give as it comes, outside the type's range and between its integers, and goes on
//! with that in float32.
//!
//! Layers with weights are the evaluator's QACC pipeline (accumulator clipped, shifted down with floor,
//! bias added, clipped), slopes are cut off at 2^-7 or 2^-15, only Add aligns its operands, everything
//! else is the ONNX operator; Max and Min compare with stored operands that nothing has scaled. Weights
//! that several layers share are scaled once for each of them, and all of them then read what comes of it.
//!
//! int8 sums are rounded to float32, as a chain of exact float32 additions gives them; int16 sums are exact,
//! where the evaluator's own depend on the order in which its machine adds.
//! Source: the graphs that the toolkit's evaluator runs, as it hands them to onnxruntime 1.7.

mod compute;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{QuantError, SimulateError};
use crate::exponent::{self, pow2};
use crate::graph::{Graph, Node};
use crate::model::FloatModel;
use crate::ops::{Binary, Op, resolve};
use crate::options::{Bits, Granularity};
use crate::report::Report;
use crate::simulate::{Output, TensorInfo};
use crate::sizes::Reading;
use compute::{Linear, Place, Shifts, Step};

/// What a file of [`Imitation::to_bytes`] begins with.
const MAGIC: &[u8] = b"FXPEVAL2";

/// A model as the toolkit's evaluator runs it.
#[derive(Clone, Debug)]
pub struct Imitation {
    header: Header,
    inputs: Vec<TensorInfo>,
    outputs: Vec<TensorInfo>,
    input_places: Vec<Place>,
    output_places: Vec<Place>,
    steps: Vec<(Step, Vec<Place>, Place)>,
    places: usize,
    /// Operands that are stored.
    stored: Vec<(Place, Vec<f32>)>,
}

/// What the file tells beside the ONNX model.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Header {
    bits: Bits,
    granularity: Granularity,
    /// How the ONNX file was read.
    reading: Reading,
    tensors: BTreeMap<String, Vec<i32>>,
}

/// True where the evaluator's values leave what an image's integers can be.
pub(crate) fn is_needed(graph: &Graph) -> bool {
    let unscaled = |op: &str| matches!(op, "Sub" | "Mul" | "AveragePool" | "GlobalAveragePool");
    (graph.nodes.iter()).any(|n| unscaled(&n.op) || keeps_floats(graph, n) || is_steep(graph, n))
        || shares_constants(graph)
}

/// Whether a maximum or minimum has a stored operand, which the evaluator leaves as it is.
fn keeps_floats(graph: &Graph, node: &Node) -> bool {
    matches!(node.op.as_str(), "Max" | "Min")
        && (node.inputs.iter()).any(|name| graph.constants.contains_key(name))
}

/// Whether a slope is too large for the evaluator's exponent. It then takes it all the same.
fn is_steep(graph: &Graph, node: &Node) -> bool {
    match node.op.as_str() {
        "LeakyRelu" => node.float("alpha", 0.01).abs() >= 1.0,
        "PRelu" => (node.input(1).and_then(|slopes| graph.floats(slopes)))
            .is_some_and(|slopes| slopes.iter().any(|s| s.abs() >= 1.0)),
        _ => false,
    }
}

/// Whether two layers have the same weights or biases.
fn shares_constants(graph: &Graph) -> bool {
    let mut read = (graph.nodes.iter())
        .filter(|n| matches!(n.op.as_str(), "Conv" | "Gemm"))
        .flat_map(|n| [n.input(1), n.input(2)].into_iter().flatten())
        .map(|name| graph.listed(name))
        .collect::<Vec<_>>();
    read.sort_unstable();
    read.windows(2).any(|pair| pair[0] == pair[1])
}

/// What the evaluator takes, of what the toolkit takes.
fn is_taken(graph: &Graph, node: &Node, op: &Op) -> bool {
    // Of what selects elements, Pad, Expand and Resize are refused; a pool's own padding isn't.
    if let Op::Select { .. } = op {
        return node.op == "Slice" || graph.is_part(node);
    }
    matches!(
        op,
        Op::Conv { .. }
            | Op::DepthwiseConv(_)
            | Op::Gemm { .. }
            | Op::Binary(_)
            | Op::AveragePool { .. }
            | Op::GlobalAveragePool
            | Op::MaxPool(_)
            | Op::GlobalMaxPool
            | Op::Relu
            | Op::LeakyRelu
            | Op::PRelu
            | Op::Concat { .. }
            | Op::Reshape
            | Op::Transpose { .. }
            | Op::Identity
    )
}

/// A layer's weights and biases on their way through the evaluator, by the table's names.
type Scaled = BTreeMap<String, Vec<f32>>;

struct Maker<'a> {
    graph: &'a Graph,
    header: &'a Header,
    scaled: Scaled,
}

fn fail<T>(node: &Node, reason: impl Into<String>) -> Result<T, QuantError> {
    Err(QuantError::Layer {
        layer: node.name.clone(),
        reason: reason.into(),
    })
}

impl Imitation {
    /// `report` is that of the same model.
    pub(crate) fn new(model: &FloatModel, report: &Report) -> Result<Imitation, QuantError> {
        let header = Header {
            bits: report.options.bits,
            granularity: report.options.granularity,
            reading: model.reading.clone(),
            tensors: report.tensors.clone(),
        };
        Self::made(model, header)
    }

    fn made(model: &FloatModel, header: Header) -> Result<Imitation, QuantError> {
        let graph = &model.graph;
        let mut maker = Maker {
            graph,
            header: &header,
            scaled: Scaled::new(),
        };
        let mut layers = Vec::new();
        for node in &graph.nodes {
            layers.push(maker.linear(node)?);
        }
        let mut places = BTreeMap::new();
        let mut place = |name: &str| {
            let next = places.len();
            *places.entry(name.to_owned()).or_insert(next)
        };
        let input_places = graph.inputs.iter().map(|n| place(n)).collect();
        let (mut steps, mut stored) = (Vec::new(), Vec::new());
        for (node, layer) in graph.nodes.iter().zip(layers) {
            let layer = layer.map(|l| maker.with_weights(node, l));
            let step = maker.step(node, layer)?;
            let inputs = maker.read(node).map(&mut place).collect();
            for name in maker
                .read(node)
                .filter(|n| graph.constants.contains_key(*n))
            {
                stored.push((place(name), maker.values(node, name)?));
            }
            steps.push((step, inputs, place(node.output())));
        }
        let output_places = graph.outputs.iter().map(|n| place(n)).collect();
        let infos = |names: &[String]| {
            let info = |name: &String| {
                Ok(TensorInfo {
                    name: name.clone(),
                    dims: graph.shape(name).unwrap_or_default().to_vec(),
                    exponent: maker.exponent(name)?,
                    bits: header.bits.width(),
                })
            };
            names
                .iter()
                .map(info)
                .collect::<Result<Vec<_>, QuantError>>()
        };
        Ok(Imitation {
            inputs: infos(&graph.inputs)?,
            outputs: infos(&graph.outputs)?,
            input_places,
            output_places,
            steps,
            places: places.len(),
            stored,
            header: header.clone(),
        })
    }

    /// The file: magic, the length of a JSON header, the header, the ONNX file that the model came from.
    pub fn to_bytes(&self, onnx: &[u8]) -> Vec<u8> {
        let header = serde_json::to_vec(&self.header).unwrap_or_default();
        let length = u32::try_from(header.len()).unwrap_or(u32::MAX);
        [MAGIC, &length.to_le_bytes(), &header, onnx].concat()
    }

    /// Whether a file is one of [`Imitation::to_bytes`].
    pub fn is(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC)
    }

    /// Reads a file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Imitation, QuantError> {
        let parts = bytes.strip_prefix(MAGIC).and_then(|rest| {
            let (length, rest) = rest.split_first_chunk::<4>()?;
            rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
        });
        let damaged = || QuantError::Imitation("it is cut off or damaged.".to_owned());
        let (header, onnx) = parts.ok_or_else(damaged)?;
        let header: Header = serde_json::from_slice(header).map_err(|_| damaged())?;
        if let Some((name, e)) = exponent::beyond(&header.tensors) {
            return Err(QuantError::Imitation(format!(
                "the exponent {e} of '{name}' is not between -100 and 100."
            )));
        }
        let model = FloatModel::from_onnx_as(onnx, &header.reading).map_err(|_| damaged())?;
        match model.problems() {
            [] => Self::made(&model, header).map_err(|e| match e {
                QuantError::NoExponent(name) => {
                    QuantError::Imitation(format!("it has no exponent for '{name}'."))
                }
                other => other,
            }),
            _ => Err(damaged()),
        }
    }

    /// The model's inputs.
    pub fn inputs(&self) -> &[TensorInfo] {
        &self.inputs
    }

    /// The model's outputs, with the exponents that the evaluator doesn't bring them to.
    pub fn outputs(&self) -> &[TensorInfo] {
        &self.outputs
    }

    /// One sample, floats in; out come the evaluator's values in units of 2^exponent, which need not
    /// be whole.
    pub fn run_raw(&self, inputs: &[&[f32]]) -> Result<Vec<Output>, SimulateError> {
        let quantized = (inputs.iter().zip(&self.inputs))
            .map(|(values, info)| {
                if values.iter().any(|v| v.is_nan()) {
                    return Err(SimulateError::NotANumber {
                        name: info.name.clone(),
                    });
                }
                let bits = self.header.bits;
                Ok((values.iter())
                    .map(|v| exponent::quantize(*v, info.exponent, bits))
                    .collect())
            })
            .collect::<Result<Vec<Vec<i32>>, _>>()?;
        let slices: Vec<&[i32]> = quantized.iter().map(Vec::as_slice).collect();
        self.run_integers(&slices)
    }

    /// As [`Imitation::run_raw`], of integers; those out of range are clipped.
    pub fn run_integers(&self, inputs: &[&[i32]]) -> Result<Vec<Output>, SimulateError> {
        if inputs.len() != self.inputs.len() {
            return Err(SimulateError::InputCount {
                want: self.inputs.len(),
                got: inputs.len(),
            });
        }
        let bits = self.header.bits;
        let mut values = vec![Vec::new(); self.places];
        for (at, operand) in &self.stored {
            values[*at].clone_from(operand);
        }
        for ((given, info), at) in inputs.iter().zip(&self.inputs).zip(&self.input_places) {
            let want = info.dims.iter().product();
            if given.len() != want {
                return Err(SimulateError::InputSize {
                    name: info.name.clone(),
                    want,
                    got: given.len(),
                });
            }
            values[*at] = (given.iter())
                .map(|v| (*v).clamp(bits.min(), bits.max()) as f32)
                .collect();
        }
        for (step, from, to) in &self.steps {
            let operands: Vec<&[f32]> = from.iter().map(|i| &values[*i][..]).collect();
            values[*to] = step.run(&operands, bits);
        }
        Ok((self.outputs.iter().zip(&self.output_places))
            .map(|(info, at)| Output {
                name: info.name.clone(),
                dims: info.dims.clone(),
                data: values[*at].clone(),
            })
            .collect())
    }
}

impl<'a> Maker<'a> {
    fn exponents(&self, name: &str) -> Result<&[i32], QuantError> {
        let found = self.header.tensors.get(self.graph.listed(name));
        match found.map(Vec::as_slice) {
            Some([]) | None => Err(QuantError::NoExponent(name.to_owned())),
            Some(exponents) => Ok(exponents),
        }
    }

    fn exponent(&self, name: &str) -> Result<i32, QuantError> {
        Ok(self.exponents(name)?[0])
    }

    /// The inputs of a node that are computed, and what those are compared with.
    fn read(&self, node: &'a Node) -> impl Iterator<Item = &'a str> {
        let constants = &self.graph.constants;
        let all = keeps_floats(self.graph, node);
        (node.inputs.iter())
            .map(String::as_str)
            .filter(move |n| !n.is_empty() && (all || !constants.contains_key(*n)))
    }

    /// Scales the weights and biases of a layer once more, as the evaluator does when it comes to it. The
    /// weights themselves are taken when all layers have been.
    fn linear(&mut self, node: &Node) -> Result<Option<Linear>, QuantError> {
        if !matches!(node.op.as_str(), "Conv" | "Gemm") {
            return Ok(None);
        }
        let (Some(x), Some(w)) = (node.input(0), node.input(1)) else {
            return fail(node, "its weights can't be read.");
        };
        let Some(dims) = self.graph.shape(w) else {
            return fail(node, "its weights can't be read.");
        };
        let bits = self.header.bits;
        let columns = node.op == "Gemm" && node.int("transB", 0) == 0;
        let outputs = dims[usize::from(columns)];
        let (from, to) = (self.exponent(x)?, self.exponent(node.output())?);
        let exponents = self.exponents(w)?.to_vec();
        let values = self.values(node, w)?;
        let each = values.len() / outputs.max(1);
        let channel = |i: usize| if columns { i % outputs } else { i / each };
        let scaled = (values.iter().enumerate())
            .map(|(i, v)| {
                exponent::quantize(*v, exponents[channel(i) % exponents.len()], bits) as f32
            })
            .collect();
        self.scaled.insert(self.graph.listed(w).to_owned(), scaled);
        let mut bias = vec![0.0; outputs];
        if let Some(b) = node.input(2) {
            let values = self.values(node, b)?;
            let per_channel = self.header.granularity == Granularity::PerChannel;
            let exponents = self.exponents(b)?.to_vec();
            let bits = if per_channel { Bits::I16 } else { bits };
            for (c, place) in bias.iter_mut().enumerate() {
                let e = exponents[c % exponents.len()];
                *place = exponent::quantize(values[c % values.len()], e, bits) as f32;
            }
            // What the sum had of it is gone; so it is for the next layer with the same.
            let zeros = vec![0.0; values.len()];
            self.scaled.insert(self.graph.listed(b).to_owned(), zeros);
        }
        let shifts = exponents.iter().map(|w| to - from - w);
        Ok(Some(Linear {
            weights: Vec::new(),
            outputs,
            columns,
            bias,
            shifts: match self.header.granularity {
                Granularity::PerTensor => Shifts::PerTensor(to - from - exponents[0]),
                Granularity::PerChannel => Shifts::PerChannel(shifts.collect()),
            },
        }))
    }

    fn with_weights(&self, node: &Node, linear: Linear) -> Linear {
        let name = node.input(1).map(|w| self.graph.listed(w));
        Linear {
            weights: (name.and_then(|n| self.scaled.get(n)).cloned()).unwrap_or_default(),
            ..linear
        }
    }

    /// A constant as it is by now.
    fn values(&self, node: &Node, name: &str) -> Result<Vec<f32>, QuantError> {
        if let Some(values) = self.scaled.get(self.graph.listed(name)) {
            return Ok(values.clone());
        }
        match self.graph.floats(name) {
            Some(values) => Ok(values.to_vec()),
            None => fail(node, format!("its constant '{name}' can't be read.")),
        }
    }

    fn step(&self, node: &'a Node, linear: Option<Linear>) -> Result<Step, QuantError> {
        let Ok((mut op, dims)) = resolve(self.graph, node) else {
            return fail(node, "it can't be taken.");
        };
        // Its onnxruntime divides by the whole window, also where that is over the padding's end.
        if let Op::AveragePool { count_pads, .. } = &mut op {
            let before = node.input(0).and_then(|n| self.graph.producer_of(n));
            *count_pads |= before.is_some_and(|i| {
                let before = &self.graph.nodes[i];
                before.op == "Pad" && self.graph.is_part(before)
            });
        }
        let operands = self.read(node).count();
        let wanted = match op {
            Op::Binary(_) => 2,
            Op::Concat { .. } => node.inputs.len(),
            _ => 1,
        };
        if !is_taken(self.graph, node, &op) || operands != wanted {
            return fail(
                node,
                format!(
                    "ESP-DL's evaluator doesn't take {}{}. Without --mimic-evaluator the device is \
                     predicted.",
                    node.op,
                    if operands == wanted {
                        ""
                    } else {
                        " with a constant"
                    }
                ),
            );
        }
        let slopes = match op {
            Op::LeakyRelu => vec![self.cut(node.float("alpha", 0.01))],
            Op::PRelu => {
                let name = node.input(1).unwrap_or_default();
                (self.values(node, name)?.iter())
                    .map(|s| self.cut(*s))
                    .collect()
            }
            _ => Vec::new(),
        };
        let mut aligned = [0; 3];
        if op == Op::Binary(Binary::Add) {
            let [a, b] = [0, 1].map(|i| self.exponent(&node.inputs[i]));
            let (a, b) = (a?, b?);
            let common = a.max(b);
            aligned = [
                a - common,
                b - common,
                common - self.exponent(node.output())?,
            ];
        }
        let shapes = self
            .read(node)
            .map(|n| self.graph.shape(n).unwrap_or_default().to_vec());
        Ok(Step {
            op,
            inputs: shapes.collect(),
            dims,
            linear,
            slopes,
            aligned,
        })
    }

    /// A slope at the evaluator's own exponent, cut off towards zero.
    fn cut(&self, slope: f32) -> f32 {
        let one = pow2(self.header.bits.width() as i32 - 1);
        (libm::trunc(f64::from(slope) * one) / one) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Arithmetic, Options, Samples, quantize};

    /// It is not a file that lacks the exponent then.
    #[test]
    fn an_exponent_that_quantizing_left_out_is_told_as_that() {
        let onnx = include_bytes!("../../../tests/fixtures/mlp/model.onnx");
        let model = FloatModel::from_onnx(onnx).unwrap();
        let size = model.inputs()[0].dims.iter().flatten().product();
        let data = vec![0.5; size];
        let options = Options {
            arithmetic: Arithmetic::Espdl,
            ..Options::default()
        };
        let samples = Samples::single(&data, size).unwrap();
        let mut report = quantize(&model, &samples, &options, &mut |_| ())
            .unwrap()
            .report;
        let output = &model.outputs()[0].name;
        report.tensors.remove(output);
        let error = Imitation::new(&model, &report).err().unwrap().to_string();
        assert!(
            error.contains(&format!("'{output}' was given no exponent")),
            "{error}"
        );
        assert!(error.contains("without --mimic-evaluator"), "{error}");
    }
}
