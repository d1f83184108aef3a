//! Float model and calibration samples in, image and report out.

use serde::{Deserialize, Serialize};

use crate::error::QuantError;
use crate::model::FloatModel;
use crate::options::Options;
use crate::report::Report;
use crate::samples::Samples;

/// What [`quantize`] is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Running the float model over the samples.
    Calibrate,
    /// Choosing exponents, rounding constants, writing the image.
    Convert,
    /// Comparing the simulator with the float model layer by layer.
    Measure,
}

/// Reported now and then; `done` of `total` steps of the stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub stage: Stage,
    pub done: usize,
    pub total: usize,
}

/// The result of [`quantize`].
#[derive(Clone, Debug)]
pub struct Quantized {
    /// The model image, as written to the model partition (`model.fxp`).
    pub image: Vec<u8>,
    /// What goes into `report.json`.
    pub report: Report,
    /// The lines ESP-DL's toolkit prints.
    pub log: String,
}

/// Quantizes `model` with the ranges seen on `calibration`.
pub fn quantize(
    _model: &FloatModel,
    _calibration: &Samples<'_>,
    _options: &Options,
    _progress: &mut dyn FnMut(Progress),
) -> Result<Quantized, QuantError> {
    Err(QuantError::NoSamples)
}
