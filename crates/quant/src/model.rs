//! A model as it came from the ONNX file.

use crate::error::{ImportError, QuantError};
use crate::inspect::{Inspection, ValueInfo};
use crate::simulate::Output;

/// A parsed ONNX model, before and after the graph passes.
#[derive(Clone, Debug)]
pub struct FloatModel {}

impl FloatModel {
    /// Reads an ONNX file. Fails only when there is no graph to show; what stands in the way of
    /// quantizing is listed by [`FloatModel::problems`].
    pub fn from_onnx(_bytes: &[u8]) -> Result<FloatModel, ImportError> {
        Err(ImportError::NoGraph)
    }

    /// The model's inputs, ONNX order, batch 1.
    pub fn inputs(&self) -> &[ValueInfo] {
        &[]
    }

    /// The model's outputs, ONNX order, batch 1.
    pub fn outputs(&self) -> &[ValueInfo] {
        &[]
    }

    /// What stands in the way of quantizing; empty when nothing does.
    pub fn problems(&self) -> &[String] {
        &[]
    }

    /// Nodes before and after the passes, with what each pass changed.
    pub fn inspect(&self) -> Inspection {
        unreachable!()
    }

    /// Prepares the float reference (slow: build it once, run it often).
    pub fn runner(&self) -> Result<FloatRunner, QuantError> {
        Err(QuantError::NoSamples)
    }
}

/// The float reference for one model.
pub struct FloatRunner {}

impl FloatRunner {
    /// Runs one sample: one slice per input, ONNX order, batch 1.
    pub fn run(&self, _inputs: &[&[f32]]) -> Result<Vec<Output>, QuantError> {
        Err(QuantError::NoSamples)
    }
}
