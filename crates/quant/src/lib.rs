//! From an ONNX file to a model image for the runtime, in steps that can be watched:
//! import, graph passes, float calibration, exponents, integer constants, image, report.
//!
//! [`FloatModel::from_onnx`] reads the file, [`FloatModel::inspect`] shows it, [`quantize`] makes
//! the image and the [`Report`], [`Simulator`] runs an image exactly as the chip does.
//! No threads, no clock, no files: the same code runs in the browser.

#![forbid(unsafe_code)]

mod error;
pub mod image;
mod inspect;
mod model;
mod options;
mod quantize;
mod report;
mod samples;
mod simulate;

pub use error::{ImportError, QuantError, SimulateError, Unsupported};
pub use inspect::{Inspection, NodeInfo, PassInfo, ValueInfo};
pub use model::{FloatModel, FloatRunner};
pub use options::{Arithmetic, Bits, Granularity, Method, Options};
pub use quantize::{Progress, Quantized, Stage, quantize};
pub use report::{LayerReport, Report, TensorReport};
pub use samples::Samples;
pub use simulate::{
    Evaluation, Output, RawOutput, Simulator, TensorInfo, evaluate, evaluate_float,
};
