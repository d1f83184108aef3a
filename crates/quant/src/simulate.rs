//! The exact simulator, and accuracy over labelled samples.

use serde::{Deserialize, Serialize};

use crate::error::{QuantError, SimulateError};
use crate::model::FloatModel;
use crate::samples::Samples;

/// A float output by name, ONNX order.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    pub name: String,
    pub dims: Vec<usize>,
    pub data: Vec<f32>,
}

/// An output's integers, ONNX order; real value = integer * 2^exponent.
#[derive(Clone, Debug, PartialEq)]
pub struct RawOutput {
    pub name: String,
    pub dims: Vec<usize>,
    pub exponent: i32,
    /// Element width: 8 or 16.
    pub bits: u32,
    pub data: Vec<i32>,
}

/// A model input or output of an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TensorInfo {
    pub name: String,
    /// ONNX order, batch 1.
    pub dims: Vec<usize>,
    pub exponent: i32,
    /// Element width: 8 or 16.
    pub bits: u32,
}

/// Runs a model image with the kernels that run on the chip.
pub struct Simulator {}

impl Simulator {
    /// Takes any bytes; refuses what is not a sound image.
    pub fn new(_image: &[u8]) -> Result<Simulator, SimulateError> {
        Err(SimulateError::Image(String::new()))
    }

    /// The image's inputs.
    pub fn inputs(&self) -> &[TensorInfo] {
        &[]
    }

    /// The image's outputs.
    pub fn outputs(&self) -> &[TensorInfo] {
        &[]
    }

    /// One sample, floats in ONNX order in and out: quantize, run, scale.
    pub fn run(&mut self, _inputs: &[&[f32]]) -> Result<Vec<Output>, SimulateError> {
        Err(SimulateError::Image(String::new()))
    }

    /// One sample, floats in, the outputs' integers out.
    pub fn run_raw(&mut self, _inputs: &[&[f32]]) -> Result<Vec<RawOutput>, SimulateError> {
        Err(SimulateError::Image(String::new()))
    }

    /// One sample given as integers in ONNX order (out of range: clipped), integers out.
    pub fn run_integers(&mut self, _inputs: &[&[i32]]) -> Result<Vec<RawOutput>, SimulateError> {
        Err(SimulateError::Image(String::new()))
    }

    /// The bytes that the board gets for input `i`: quantized, in the image's storage order.
    pub fn input_bytes(&self, _i: usize, _values: &[f32]) -> Result<Vec<u8>, SimulateError> {
        Err(SimulateError::Image(String::new()))
    }

    /// The integers, in ONNX order, of output `i` as bytes that came from the board.
    pub fn decode_output(&self, _i: usize, _bytes: &[u8]) -> Result<RawOutput, SimulateError> {
        Err(SimulateError::Image(String::new()))
    }
}

/// Accuracy over samples: arg-max of the first output against the labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Fraction 0..1 of right answers; None without labels.
    pub accuracy: Option<f64>,
    pub n: usize,
    /// Fraction 0..1 of answers equal to the reference's; None without a reference.
    pub agreement: Option<f64>,
    /// Arg-max of the first output for every sample.
    pub predictions: Vec<u32>,
}

/// Accuracy of the float model. `progress(done, total)` is called after every sample.
pub fn evaluate_float(
    _model: &FloatModel,
    _samples: &Samples<'_>,
    _labels: Option<&[u32]>,
    _progress: &mut dyn FnMut(usize, usize),
) -> Result<Evaluation, QuantError> {
    Err(QuantError::NoSamples)
}

/// Accuracy of an image, and how often it agrees with `reference` (the float model's predictions).
pub fn evaluate(
    _simulator: &mut Simulator,
    _samples: &Samples<'_>,
    _labels: Option<&[u32]>,
    _reference: Option<&[u32]>,
    _progress: &mut dyn FnMut(usize, usize),
) -> Result<Evaluation, SimulateError> {
    Err(SimulateError::Image(String::new()))
}
