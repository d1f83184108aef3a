//! Plan and exponents to integers: one image op for every layer of the plan.

mod elementwise;
mod espdl;
mod linear;

use std::collections::BTreeMap;

use fixpoint_kernels::Window as ImageWindow;

use crate::error::QuantError;
use crate::exponent;
use crate::graph::Graph;
use crate::image::{
    self, Activation, Element, EspdlChip, Image, ImageBuilder, Rearrange, Storage, TensorDef,
};
use crate::ops::{Binary, Op, Reduction, Window};
use crate::options::{Arithmetic, Bits, Chip, Options};
use crate::plan::{Kind, Layer, Layout, Plan};

/// An image with what the report tells about each of its ops.
pub(crate) struct Lowered {
    pub(crate) image: Image,
    pub(crate) layers: Vec<LayerFacts>,
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
    /// Type of every tensor of the plan.
    elements: Vec<Element>,
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
        elements: elements(plan, options.bits),
    };
    let arithmetic = match options.arithmetic {
        Arithmetic::Fixpoint => image::Arithmetic::Fixpoint,
        Arithmetic::Espdl => image::Arithmetic::Espdl(match options.chip {
            Chip::Esp32S3 => EspdlChip::S3,
            Chip::Esp32 | Chip::Esp32S2 | Chip::Esp32C3 => EspdlChip::C,
        }),
    };
    let mut builder = ImageBuilder::new(&graph.name, arithmetic);
    // Boards get them anew for each run (`fixpoint_protocol`), and so does the simulator.
    builder.keep_inputs(false);
    let mut ids = BTreeMap::new();
    for &i in &plan.inputs {
        ids.insert(i, builder.input(context.tensor(i)));
    }
    let mut layers = Vec::new();
    for layer in &plan.layers {
        let (op, facts) = context.layer(layer)?;
        let mut inputs = Vec::new();
        for i in &layer.inputs {
            inputs.push(match &plan.tensors[*i].constant {
                Some(values) => {
                    let (def, integers) = context.constant(layer, *i, values);
                    builder.constant(def, integers)
                }
                None => ids[i],
            });
        }
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
    Ok(Lowered { image, layers })
}

/// Everything has the activations' type, but positions that int8 can't hold, and what is only
/// another view of them.
fn elements(plan: &Plan, bits: Bits) -> Vec<Element> {
    let usual = match bits {
        Bits::I8 => Element::I8,
        Bits::I16 => Element::I16,
    };
    let mut elements = vec![usual; plan.tensors.len()];
    for layer in &plan.layers {
        let wide = match &layer.kind {
            Kind::Compute(Op::ArgMax { axis }) => {
                plan.tensors[layer.inputs[0]].dims[*axis] > bits.max() as usize + 1
            }
            Kind::Alias | Kind::Permute(_) | Kind::Join(_) | Kind::Compute(Op::Identity) => {
                elements[layer.inputs[0]] == Element::I16
            }
            _ => false,
        };
        if wide {
            elements[layer.output] = Element::I16;
        }
    }
    elements
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
            element: self.elements[i],
            exponent: self.exponent(i),
        }
    }

    fn fail<T>(&self, layer: &Layer, reason: impl Into<String>) -> Result<T, QuantError> {
        Err(QuantError::Layer {
            layer: layer.name.clone(),
            reason: reason.into(),
        })
    }

    fn espdl(&self) -> bool {
        self.options.arithmetic == Arithmetic::Espdl
    }

    /// Refuses what ESP-DL doesn't have, or computes in floats.
    fn fixpoint_only(&self, layer: &Layer, what: &str) -> Result<(), QuantError> {
        match self.espdl() {
            true => self.fail(
                layer,
                format!(
                    "{what} exists in the fixpoint arithmetic only. Take that, or remove the layer."
                ),
            ),
            false => Ok(()),
        }
    }

    fn layer(&self, layer: &Layer) -> Result<(image::Op, LayerFacts), QuantError> {
        let mut facts = LayerFacts {
            op: match (layer.node, &layer.kind) {
                (_, Kind::Table(program)) if program.ops.len() > 1 => "Lookup".to_owned(),
                (Some(i), _) => self.graph.nodes[i].op.clone(),
                (None, Kind::Permute(_)) => "Transpose".to_owned(),
                (None, Kind::Join(_)) => "DepthToSpace".to_owned(),
                (None, Kind::Compute(_)) => "Mul".to_owned(),
                (None, _) => "Reshape".to_owned(),
            },
            ..LayerFacts::default()
        };
        let op = match &layer.kind {
            Kind::Alias => image::Op::Reshape,
            Kind::Permute(p) => image::Op::Rearrange(Rearrange::transpose(&p.dims, &p.perm)),
            Kind::Rows => image::Op::Conv2d {
                linear: self.linear(layer, &mut facts)?,
                window: ImageWindow::new(1, 1),
                groups: 1,
            },
            Kind::Phases(transposed, phases) => image::Op::Conv2d {
                linear: phases.linear(&self.linear(layer, &mut facts)?),
                window: phases.window(),
                groups: transposed.groups,
            },
            Kind::Join(phases) => {
                let channels = self.plan.tensors[layer.output].dims[1];
                match phases.rearrange(channels) {
                    Some(rearrange) => image::Op::Rearrange(rearrange),
                    None => image::Op::Reshape,
                }
            }
            Kind::Table(program) => self.table(layer, program, &mut facts)?,
            Kind::Compute(op) => self.compute(layer, op, &mut facts)?,
        };
        Ok((op, facts))
    }

    fn compute(
        &self,
        layer: &Layer,
        op: &Op,
        facts: &mut LayerFacts,
    ) -> Result<image::Op, QuantError> {
        let first = layer.inputs[0];
        Ok(match op {
            Op::Conv { window, groups } => image::Op::Conv2d {
                linear: self.linear(layer, facts)?,
                window: self.window(layer, window)?,
                groups: *groups,
            },
            Op::DepthwiseConv(window) => {
                facts.op = "DepthwiseConv".to_owned();
                image::Op::DepthwiseConv2d {
                    linear: self.linear(layer, facts)?,
                    window: self.window(layer, window)?,
                }
            }
            Op::ConvTranspose(transposed) => image::Op::ConvTranspose2d {
                linear: self.linear(layer, facts)?,
                window: self.window(layer, &transposed.window)?,
                groups: transposed.groups,
            },
            Op::Gemm { .. } => image::Op::FullyConnected {
                linear: self.linear(layer, facts)?,
            },
            Op::MatMul => {
                self.fixpoint_only(layer, "a product of two computed matrices")?;
                image::Op::MatMul
            }
            Op::MaxPool(window) => image::Op::MaxPool {
                window: self.window(layer, window)?,
            },
            Op::GlobalMaxPool => {
                let dims = &self.plan.tensors[first].dims;
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
            Op::Binary(operation) => image::Op::Binary {
                operation: match operation {
                    Binary::Add => image::Operation::Add,
                    Binary::Sub => image::Operation::Sub,
                    Binary::Mul => image::Operation::Mul,
                    Binary::Max => image::Operation::Max,
                    Binary::Min => image::Operation::Min,
                },
                activation: self.activation(layer, 0)?,
            },
            Op::Identity if self.exponent(first) == self.exponent(layer.output) => {
                image::Op::Reshape
            }
            Op::Identity => image::Op::Requantize {
                activation: Activation::None,
            },
            Op::Relu | Op::LeakyRelu | Op::PRelu => self.bend(layer)?,
            Op::Softmax { axis } => {
                if self.espdl() {
                    facts.warnings.push(
                        "ESP-DL computes Softmax in floats, this in integers: last places may differ".to_owned(),
                    );
                }
                image::Op::Softmax { axis: *axis }
            }
            Op::Reduce { kind, axes } => image::Op::Reduce {
                reduction: match kind {
                    Reduction::Mean => image::Reduction::Mean,
                    Reduction::Sum => image::Reduction::Sum,
                    Reduction::Max => image::Reduction::Max,
                    Reduction::Min => image::Reduction::Min,
                },
                axes: axes.clone(),
            },
            Op::ArgMax { axis } => image::Op::ArgMax {
                axis: *axis,
                last: false,
            },
            Op::Concat { axis } => image::Op::Concat { axis: *axis },
            Op::Select { axes, fill } => {
                let fill = exponent::quantize(*fill, self.exponent(first), self.options.bits);
                let input = self.tensor(first);
                image::Op::Rearrange(Rearrange::select(&input, axes, fill as i16))
            }
            Op::ResizeLinear { rows, columns } => {
                let dims = &self.plan.tensors[first].dims;
                let height = if dims.len() == 4 { dims[2] } else { 1 };
                image::Op::ResizeLinear {
                    rows: between(rows, height),
                    columns: between(columns, dims[dims.len() - 1]),
                }
            }
            Op::Function(_)
            | Op::Quotient
            | Op::Reshape
            | Op::Transpose { .. }
            | Op::DepthToSpace { .. }
            | Op::SpaceToDepth { .. } => {
                return self.fail(layer, "it was not planned. Please report this model.");
            }
        })
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

    /// A stored operand as integers: the exponent of constants, its ceiling. Concat in the espdl
    /// arithmetic wants the output's, extremes there the other operand's.
    fn constant(&self, layer: &Layer, id: usize, values: &[f32]) -> (TensorDef, Vec<i16>) {
        let bits = self.options.bits;
        let largest = values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let own = exponent::ceil(largest, bits).unwrap_or(exponent::of_zeros(bits));
        let other = (layer.inputs.iter().copied())
            .find(|i| self.plan.tensors[*i].constant.is_none())
            .map_or(own, |i| self.exponent(i));
        let e = match &layer.kind {
            Kind::Compute(Op::Concat { .. }) if self.espdl() => self.exponent(layer.output),
            Kind::Compute(Op::Binary(Binary::Max | Binary::Min)) if self.espdl() => other,
            Kind::Compute(Op::Binary(Binary::Mul)) => own,
            // Below the other operand's last bit there is nothing to be had.
            _ => own.max(other - 24),
        };
        let def = TensorDef {
            exponent: e,
            ..self.tensor(id)
        };
        let integers = (values.iter())
            .map(|v| exponent::quantize(*v, e, bits) as i16)
            .collect();
        (def, integers)
    }
}

/// Neighbours and weights as the device takes them; `size` is the input's.
fn between(places: &[(usize, f64)], size: usize) -> Vec<image::Between> {
    let one = f64::from(1u32 << image::WEIGHT_BITS);
    let narrow = |v: usize| u16::try_from(v).unwrap_or(u16::MAX);
    (places.iter())
        .map(|(first, weight)| {
            let weight = (weight * one).round_ties_even() as u16;
            [narrow(*first), narrow((first + 1).min(size - 1)), weight]
        })
        .collect()
}
