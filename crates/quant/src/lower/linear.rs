//! Layers with weights, and the activations inside them.

use super::{Context, LayerFacts};
use crate::error::QuantError;
use crate::exponent;
use crate::graph::Node;
use crate::image::{Activation, Linear, Shifts};
use crate::linear::{self, GivenIntegers, Integers, Parameters};
use crate::ops::{Function, Op};
use crate::options::{Bits, Granularity};
use crate::plan::{Kind, Layer, Layout, onnx_index};
use crate::table::{given_weight_exponents, settled_weight_exponents, weight_rows};

impl Context<'_> {
    pub(super) fn linear(
        &self,
        layer: &Layer,
        facts: &mut LayerFacts,
    ) -> Result<Linear, QuantError> {
        let Some(node) = layer.node.map(|i| &self.graph.nodes[i]) else {
            return self.fail(layer, "it has no node.");
        };
        let Some((rows, outputs)) = weight_rows(self.graph, node) else {
            return self.fail(layer, "its weights can't be read.");
        };
        let rows = self.stored_rows(layer, node, rows, outputs);
        let given = self.given(node, outputs);
        let fixed = given_weight_exponents(self.graph, node, outputs);
        let integers = linear::convert(
            &Parameters {
                weights: &rows,
                bias: node.input(2).and_then(|b| self.graph.floats(b)),
                outputs,
                input_exponent: self.exponent(layer.inputs[0]),
                output_exponent: self.exponent(layer.output),
                given,
            },
            self.options,
        )?;
        match fixed {
            Some(exponents) => self.check_given(layer, &rows, &integers, &exponents)?,
            None if !self.graph.given.is_empty() => facts.warnings.push(format!(
                "its weights are floats in the file and are rounded to {} here",
                self.options.bits.name()
            )),
            None => {}
        }
        let activation = self.activation(layer, outputs)?;
        facts.weight_bytes = weight_bytes(&integers, self.options.bits);
        facts.weight_exponents = integers.weight_exponents;
        facts.accumulator_bits = Some(integers.accumulator_bits);
        facts.warnings.extend(integers.warnings.iter().cloned());
        let mut weights = integers.weights;
        if matches!(layer.kind, Kind::Compute(Op::DepthwiseConv(_))) {
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

    /// What the file of a quantized model says of a layer's integers, or a table of its weights'.
    fn given(&self, node: &Node, outputs: usize) -> GivenIntegers<'_> {
        let given = &self.graph.given;
        let bias = node.input(2).and_then(|name| given.constants.get(name));
        GivenIntegers {
            weights: settled_weight_exponents(self.graph, node, outputs),
            bias: bias.and_then(|b| Some((b.integers.as_deref()?, &b.exponents[..]))),
        }
    }

    /// The file's weights have to be the layer's, integer by integer. (An image has others for channels that no input
    /// changes, with the same results.)
    fn check_given(
        &self,
        layer: &Layer,
        rows: &[f32],
        integers: &Integers,
        exponents: &[i32],
    ) -> Result<(), QuantError> {
        let each = rows.len() / exponents.len();
        let kept = (rows.iter().zip(&integers.weights).enumerate()).all(|(i, (w, q))| {
            f64::from(*w) == f64::from(*q) * exponent::pow2(exponents[i / each])
        });
        if kept {
            return Ok(());
        }
        self.fail(
            layer,
            format!(
                "its weights are not {} at the file's exponents any more: another layer was merged \
                 into them, or they are wider. Quantize the model anew (--requantize).",
                self.options.bits.name()
            ),
        )
    }

    /// Each output's weights in the order in which the layer's input is stored.
    fn stored_rows(&self, layer: &Layer, node: &Node, rows: Vec<f32>, outputs: usize) -> Vec<f32> {
        let row = rows.len() / outputs;
        let order: Vec<usize> = match &layer.kind {
            Kind::Compute(Op::Conv { .. } | Op::ConvTranspose(_)) | Kind::Phases(..) => {
                // [I][KH][KW] to [KH][KW][I]: the same reordering as an image's.
                let dims = node.input(1).and_then(|n| self.graph.shape(n));
                let taps: usize = dims.map_or(1, |d| d[2..].iter().product());
                let layout = Layout::Flat {
                    channels: row / taps,
                    spatial: taps,
                };
                onnx_index(layout, &[row])
            }
            Kind::Compute(Op::Gemm { .. }) => self.plan.tensors[layer.inputs[0]].onnx_index(),
            _ => return rows,
        };
        (0..outputs)
            .flat_map(|o| order.iter().map(move |i| o * row + i))
            .map(|i| rows[i])
            .collect()
    }

    /// The activation behind a layer, or the node itself where it is one.
    pub(super) fn activation(
        &self,
        layer: &Layer,
        outputs: usize,
    ) -> Result<Activation, QuantError> {
        match layer.activation {
            Some(a) => self.activation_of(layer, &self.graph.nodes[a], outputs),
            None => Ok(Activation::None),
        }
    }

    pub(super) fn activation_of(
        &self,
        layer: &Layer,
        node: &Node,
        outputs: usize,
    ) -> Result<Activation, QuantError> {
        let slopes = match node.op.as_str() {
            "Relu" => return Ok(Activation::Relu),
            "Clip" => {
                return match Function::of(self.graph, node) {
                    Some(Function::Clip { low, high }) => Ok(self.clip(layer, low, high)),
                    _ => self.fail(layer, "the limits of its Clip can't be read."),
                };
            }
            "LeakyRelu" => vec![node.float("alpha", 0.01)],
            _ => {
                let stored = node.input(1).and_then(|n| self.graph.floats(n));
                let stored = stored.unwrap_or(&[]);
                (0..outputs)
                    .map(|c| stored.get(c % stored.len().max(1)).copied().unwrap_or(0.0))
                    .collect()
            }
        };
        let bits = self.options.bits;
        let largest = slopes.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let mimic = self.options.mimic_evaluator;
        let e = match exponent::ceil(largest, bits) {
            Some(e) if !mimic => e,
            _ => exponent::of_zeros(bits),
        };
        let Ok(slope_exponent) = i8::try_from(e) else {
            return self.fail(layer, "its slopes are too large.");
        };
        let slopes: Vec<i16> = (slopes.iter())
            .map(|s| match mimic {
                // The evaluator cuts slopes off at a fixed exponent, whatever the table says.
                true => (f64::from(*s) * exponent::pow2(-e)) as i16,
                false => exponent::quantize(*s, e, bits) as i16,
            })
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

    /// Limits as integers at the output's exponent.
    pub(super) fn clip(&self, layer: &Layer, low: f64, high: f64) -> Activation {
        let scale = exponent::pow2(-self.exponent(layer.output));
        let bits = self.options.bits;
        let limit = |v: f64| {
            let q = (v * scale).round_ties_even();
            q.clamp(f64::from(bits.min()), f64::from(bits.max())) as i16
        };
        Activation::Clip {
            low: limit(low),
            high: limit(high),
        }
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
