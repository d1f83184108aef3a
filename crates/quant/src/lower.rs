//! Plan and exponents to integers: one image op for every layer of the plan.

use std::collections::BTreeMap;

use fixpoint_kernels::Window as ImageWindow;

use crate::error::QuantError;
use crate::exponent;
use crate::graph::{Graph, Node};
use crate::image::{
    self, Activation, Element, EspdlChip, Image, ImageBuilder, Linear, Shifts, Storage, TensorDef,
};
use crate::linear::{self, Integers, Parameters};
use crate::ops::{Op, Window};
use crate::options::{Arithmetic, Bits, Granularity, Options};
use crate::plan::{Kind, Layer, Layout, Plan, onnx_index};
use crate::table::weight_rows;

/// An image with what the report tells about each of its ops.
pub(crate) struct Lowered {
    pub(crate) image: Image,
    pub(crate) layers: Vec<LayerFacts>,
    pub(crate) bits: Bits,
}

/// Facts about one layer, in the order of the plan.
#[derive(Default)]
pub(crate) struct LayerFacts {
    pub(crate) op: String,
    pub(crate) weight_exponents: Vec<i32>,
    pub(crate) accumulator_bits: Option<u32>,
    pub(crate) weight_bytes: usize,
    pub(crate) warnings: Vec<String>,
}

struct Context<'a> {
    graph: &'a Graph,
    plan: &'a Plan,
    exponents: &'a BTreeMap<String, i32>,
    options: &'a Options,
}

/// Writes the image.
pub(crate) fn lower(
    graph: &Graph,
    plan: &Plan,
    exponents: &BTreeMap<String, i32>,
    options: &Options,
) -> Result<Lowered, QuantError> {
    let context = Context {
        graph,
        plan,
        exponents,
        options,
    };
    let arithmetic = match options.arithmetic {
        Arithmetic::Fixpoint => image::Arithmetic::Fixpoint,
        Arithmetic::Espdl => image::Arithmetic::Espdl(EspdlChip::S3),
    };
    let mut builder = ImageBuilder::new(&graph.name, arithmetic);
    let mut ids = BTreeMap::new();
    for &i in &plan.inputs {
        ids.insert(i, builder.input(context.tensor(i)));
    }
    let mut layers = Vec::new();
    for layer in &plan.layers {
        let (op, facts) = context.layer(layer)?;
        let inputs: Vec<_> = layer.inputs.iter().map(|i| ids[i]).collect();
        let output = context.tensor(layer.output);
        ids.insert(layer.output, builder.op(&layer.name, op, &inputs, output));
        layers.push(facts);
    }
    for i in &plan.outputs {
        builder.output(ids[i]);
    }
    let image = builder
        .finish()
        .map_err(|e| QuantError::Image(e.to_string()))?;
    Ok(Lowered {
        image,
        layers,
        bits: options.bits,
    })
}

impl Context<'_> {
    fn exponent(&self, tensor: usize) -> i32 {
        let name = &self.plan.tensors[tensor].source;
        self.exponents.get(name).copied().unwrap_or(0)
    }

    fn tensor(&self, i: usize) -> TensorDef {
        let tensor = &self.plan.tensors[i];
        TensorDef {
            name: tensor.name.clone(),
            dims: tensor.dims.clone(),
            storage: match tensor.layout {
                Layout::ChannelsLast => Storage::ChannelsLast,
                // A flattened image is only read by dense layers whose columns know its order.
                Layout::AsOnnx | Layout::Flat { .. } => Storage::AsOnnx,
            },
            element: match self.options.bits {
                Bits::I8 => Element::I8,
                Bits::I16 => Element::I16,
            },
            exponent: self.exponent(i),
        }
    }

    fn fail<T>(&self, layer: &Layer, reason: impl Into<String>) -> Result<T, QuantError> {
        Err(QuantError::Layer {
            layer: layer.name.clone(),
            reason: reason.into(),
        })
    }

    fn layer(&self, layer: &Layer) -> Result<(image::Op, LayerFacts), QuantError> {
        let mut facts = LayerFacts {
            op: match layer.node {
                Some(i) => self.graph.nodes[i].op.clone(),
                None => "Transpose".to_owned(),
            },
            ..LayerFacts::default()
        };
        let espdl = self.options.arithmetic == Arithmetic::Espdl;
        let op = match &layer.kind {
            Kind::Alias => image::Op::Reshape,
            Kind::Permute { dims, perm } => {
                image::Op::Rearrange(image::Rearrange::transpose(dims, perm))
            }
            Kind::Compute(op) => match op {
                Op::Conv(window) => image::Op::Conv2d {
                    linear: self.linear(layer, op, &mut facts)?,
                    window: self.window(layer, window)?,
                    groups: 1,
                },
                Op::DepthwiseConv(window) => {
                    facts.op = "DepthwiseConv".to_owned();
                    image::Op::DepthwiseConv2d {
                        linear: self.linear(layer, op, &mut facts)?,
                        window: self.window(layer, window)?,
                    }
                }
                Op::Gemm { .. } => image::Op::FullyConnected {
                    linear: self.linear(layer, op, &mut facts)?,
                },
                Op::MaxPool(window) => image::Op::MaxPool {
                    window: self.window(layer, window)?,
                },
                Op::GlobalMaxPool => {
                    let dims = &self.plan.tensors[layer.inputs[0]].dims;
                    let whole = match dims[2..] {
                        [h, w] => [h, w],
                        _ => [1, dims[2]],
                    };
                    let window = Window {
                        kernel: whole,
                        stride: [1, 1],
                        dilation: [1, 1],
                        pads: [0; 4],
                    };
                    image::Op::MaxPool {
                        window: self.window(layer, &window)?,
                    }
                }
                Op::AveragePool { window, count_pads } => image::Op::AveragePool {
                    window: self.window(layer, window)?,
                    count_include_pad: *count_pads,
                },
                Op::GlobalAveragePool => image::Op::GlobalAveragePool,
                Op::Add => image::Op::Binary {
                    operation: image::Operation::Add,
                    activation: match layer.activation {
                        Some(_) => Activation::Relu,
                        None => Activation::None,
                    },
                },
                Op::Relu => image::Op::Requantize {
                    activation: Activation::Relu,
                },
                Op::LeakyRelu | Op::PRelu => {
                    return self.fail(
                        layer,
                        "a LeakyRelu or PRelu that does not directly follow a convolution or \
                         dense layer is not supported yet. Use Relu.",
                    );
                }
                Op::Softmax { axis } => {
                    if espdl {
                        return self.fail(
                            layer,
                            "ESP-DL computes Softmax in floating point, which is not modelled \
                             yet. Remove the Softmax, or take the fixpoint arithmetic.",
                        );
                    }
                    image::Op::Softmax { axis: *axis }
                }
                Op::Reshape | Op::Transpose { .. } => image::Op::Reshape,
            },
        };
        Ok((op, facts))
    }

    fn window(&self, layer: &Layer, w: &Window) -> Result<ImageWindow, QuantError> {
        let small = |v: usize| u16::try_from(v).ok();
        let window = || {
            Some(ImageWindow {
                kernel_h: small(w.kernel[0])?,
                kernel_w: small(w.kernel[1])?,
                stride_h: small(w.stride[0])?,
                stride_w: small(w.stride[1])?,
                dilation_h: small(w.dilation[0])?,
                dilation_w: small(w.dilation[1])?,
                pad_top: small(w.pads[0])?,
                pad_left: small(w.pads[1])?,
                pad_bottom: small(w.pads[2])?,
                pad_right: small(w.pads[3])?,
            })
        };
        match window() {
            Some(w) => Ok(w),
            None => self.fail(layer, "its window is larger than 65535."),
        }
    }

    fn linear(&self, layer: &Layer, op: &Op, facts: &mut LayerFacts) -> Result<Linear, QuantError> {
        let Some(node) = layer.node.map(|i| &self.graph.nodes[i]) else {
            return self.fail(layer, "it has no node.");
        };
        let Some((rows, outputs)) = weight_rows(self.graph, node) else {
            return self.fail(layer, "its weights can't be read.");
        };
        let rows = self.stored_rows(layer, op, node, rows, outputs);
        let integers = linear::convert(
            &Parameters {
                weights: &rows,
                bias: node.input(2).and_then(|b| self.graph.floats(b)),
                outputs,
                input_exponent: self.exponent(layer.inputs[0]),
                output_exponent: self.exponent(layer.output),
            },
            self.options,
        )?;
        let activation = self.activation(layer, outputs)?;
        facts.weight_bytes = weight_bytes(&integers, self.options.bits);
        facts.weight_exponents = integers.weight_exponents;
        facts.accumulator_bits = Some(integers.accumulator_bits);
        facts.warnings = integers.warnings;
        let mut weights = integers.weights;
        if matches!(op, Op::DepthwiseConv(_)) {
            // Rows of one channel to [KH][KW][C].
            let taps = weights.len() / outputs;
            weights = (0..weights.len())
                .map(|i| weights[i % outputs * taps + i / outputs])
                .collect();
        }
        Ok(Linear {
            weights,
            bias: integers.bias,
            shifts: match self.options.granularity {
                Granularity::PerTensor => Shifts::PerTensor(integers.shifts[0]),
                Granularity::PerChannel => Shifts::PerChannel(integers.shifts),
            },
            activation,
            accumulator: None,
        })
    }

    /// Each output's weights in the order in which the layer's input is stored.
    fn stored_rows(
        &self,
        layer: &Layer,
        op: &Op,
        node: &Node,
        rows: Vec<f32>,
        outputs: usize,
    ) -> Vec<f32> {
        let row = rows.len() / outputs;
        let order: Vec<usize> = match op {
            Op::Conv(_) => {
                // [I][KH][KW] to [KH][KW][I]: the same reordering as an image's.
                let inputs = node
                    .input(1)
                    .and_then(|n| self.graph.shape(n))
                    .map_or(1, |d| d[1]);
                let layout = Layout::Flat {
                    channels: inputs,
                    spatial: row / inputs,
                };
                onnx_index(layout, &[row])
            }
            Op::Gemm { .. } => self.plan.tensors[layer.inputs[0]].onnx_index(),
            _ => return rows,
        };
        (0..outputs)
            .flat_map(|o| order.iter().map(move |i| o * row + i))
            .map(|i| rows[i])
            .collect()
    }

    fn activation(&self, layer: &Layer, outputs: usize) -> Result<Activation, QuantError> {
        let Some(node) = layer.activation.map(|a| &self.graph.nodes[a]) else {
            return Ok(Activation::None);
        };
        if node.op == "Relu" {
            return Ok(Activation::Relu);
        }
        if self.options.arithmetic == Arithmetic::Fixpoint {
            return self.fail(
                layer,
                format!(
                    "{} '{}' is not supported in the fixpoint arithmetic yet. Use Relu, or the \
                     espdl arithmetic for a prediction.",
                    node.op, node.name
                ),
            );
        }
        let slopes = match node.op.as_str() {
            "LeakyRelu" => vec![node.float("alpha", 0.01)],
            _ => {
                let stored = node
                    .input(1)
                    .and_then(|n| self.graph.floats(n))
                    .unwrap_or(&[]);
                (0..outputs)
                    .map(|c| stored.get(c % stored.len().max(1)).copied().unwrap_or(0.0))
                    .collect()
            }
        };
        let bits = self.options.bits;
        let largest = slopes.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let e = exponent::ceil(largest, bits).unwrap_or(exponent::of_zeros(bits));
        let Ok(slope_exponent) = i8::try_from(e) else {
            return self.fail(layer, "its slopes are too large.");
        };
        let slopes: Vec<i16> = (slopes.iter())
            .map(|s| exponent::quantize(*s, e, bits) as i16)
            .collect();
        Ok(match node.op.as_str() {
            "LeakyRelu" => Activation::LeakyRelu {
                slope: slopes[0],
                exponent: slope_exponent,
            },
            _ => Activation::PRelu {
                slopes,
                exponent: slope_exponent,
            },
        })
    }
}

/// Weights and biases as they are counted for the report, without padding.
fn weight_bytes(integers: &Integers, bits: Bits) -> usize {
    let bias = match bits {
        Bits::I8 => 4,
        Bits::I16 => 8,
    };
    integers.weights.len() * bits.width() as usize / 8 + integers.bias.len() * bias
}
