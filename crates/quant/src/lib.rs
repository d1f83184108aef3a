//! From an ONNX file to a model image for the runtime, in steps that can be watched:
//! import, graph passes, float calibration, exponents, integer constants, image, report.
//!
//! [`FloatModel::from_onnx`] reads the file, [`FloatModel::inspect`] shows it, [`quantize`] makes
//! the image and the [`Report`], [`Simulator`] runs an image exactly as the chip does.
//! No threads, no clock, no files: the same code runs in the browser.

#![forbid(unsafe_code)]

mod batch;
mod calibrate;
mod equalize;
mod error;
mod evaluate;
mod exponent;
mod export;
mod float;
mod fusion;
mod given;
mod graph;
pub mod image;
mod imitation;
mod import;
mod inspect;
mod layers;
mod linear;
mod log;
mod lower;
mod measure;
mod model;
mod ops;
mod options;
mod passes;
mod plan;
mod quantize;
mod quantized;
mod report;
mod samples;
mod scaling;
mod simulate;
mod sizes;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;
mod table;

pub use error::{ImportError, QuantError, SimulateError, Unsupported};
pub use evaluate::{Evaluation, evaluate, evaluate_float};
pub use export::{Export, ExportError, ExportedFile, export_espdl};
pub use imitation::Imitation;
pub use inspect::{Fate, Inspection, NodeInfo, PassInfo, Quantization, ValueInfo};
pub use layers::{Difference, Layer};
pub use model::{FloatModel, FloatRunner};
pub use options::{Arithmetic, Bits, Chip, Granularity, Method, Options, Request};
pub use quantize::{Progress, Quantized, Stage, quantization_table, quantize};
pub use report::{LayerReport, Report, TensorReport};
pub use samples::Samples;
pub use simulate::{Output, Port, RawOutput, Simulator, TensorInfo};
pub use sizes::{OpenSize, Reading};
pub use table::{SavedOptions, SavedTable, Table, TableError};
