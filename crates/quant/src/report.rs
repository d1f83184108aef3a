//! `report.json`: what was decided, and how well it does on the calibration samples.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::options::Options;

/// The whole report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Name of the ONNX graph.
    pub model: String,
    pub options: Options,
    /// True when the exponents and integers are those that the file of an already quantized model
    /// came with.
    #[serde(default)]
    pub given: bool,
    pub calibration_samples: usize,
    /// Samples that SQNR and saturation were measured on: the first ones of the calibration set.
    pub measured_samples: usize,
    pub inputs: Vec<TensorReport>,
    pub outputs: Vec<TensorReport>,
    /// In execution order; an activation fused into its producer has no entry of its own.
    pub layers: Vec<LayerReport>,
    /// For each op of the image the layer that it is part of: some layers are done in strips, a few rows at a time.
    /// Empty where each op is a layer.
    #[serde(default)]
    pub steps: Vec<usize>,
    /// Exponents by ONNX tensor name, with the keys of the ESP-DL toolkit's table: activations,
    /// weights (one exponent, or one per output channel) and biases.
    pub tensors: BTreeMap<String, Vec<i32>>,
    /// Multiply-accumulates of one inference.
    pub macs: u64,
    pub image_bytes: usize,
    pub arena_bytes: usize,
    /// Things the user should know, one sentence each.
    pub warnings: Vec<String>,
}

/// A model input or output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TensorReport {
    pub name: String,
    /// ONNX order, batch 1.
    pub dims: Vec<usize>,
    pub exponent: i32,
    /// Smallest and largest value seen in calibration.
    pub range: [f32; 2],
}

/// One executed layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerReport {
    pub name: String,
    /// Conv, DepthwiseConv, Gemm, MaxPool, ...
    pub op: String,
    /// The activation fused into the layer, if any.
    pub activation: Option<String>,
    /// True for a reordering in memory that has no node in the ONNX graph.
    pub inserted: bool,
    pub inputs: Vec<String>,
    /// Name of the ONNX tensor the layer writes: after the fused activation.
    pub output: String,
    /// ONNX order, batch 1.
    pub output_dims: Vec<usize>,
    pub output_exponent: i32,
    /// Empty without weights, one for per-tensor, one per output channel for per-channel: the
    /// model's channels, also where a transposed convolution runs as an ordinary one with more of them
    /// (`output_dims`), of which several are then the same channel's.
    pub weight_exponents: Vec<i32>,
    /// Powers of two by which the output's channels are larger than the model's, so that the quiet
    /// ones use more of the range; the weights behind make up for it. Of the model's channels, as `weight_exponents`. Empty where all are 0.
    #[serde(default)]
    pub channel_powers: Vec<i32>,
    /// Smallest and largest float value of the output seen in calibration, with those powers.
    pub range: [f32; 2],
    /// Signal to quantization noise of the output, in dB, the errors of all layers before
    /// included. None when there is no error at all or no signal.
    pub sqnr_db: Option<f64>,
    /// Fraction 0..1 of the output's integers at an end of the range whose float value lies
    /// beyond it.
    pub saturation: f64,
    pub macs: u64,
    /// Signed bits that the largest possible accumulator of this layer needs, from the weights.
    pub accumulator_bits: Option<u32>,
    /// Weights and biases in the image.
    pub weight_bytes: usize,
    /// The output in the arena.
    pub output_bytes: usize,
}
