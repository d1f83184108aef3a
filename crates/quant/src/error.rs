//! The crate's errors: sentences for the user, with what to do next.

use thiserror::Error;

/// The file can't be read as a model at all. Everything less than that is a problem listed by
/// [`crate::FloatModel::problems`], so that the rest of the graph can still be shown.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ImportError {
    #[error(
        "This is not an ONNX file, or it is cut off ({0}). Export the model again and drop the .onnx file."
    )]
    NotOnnx(String),
    #[error("The ONNX file holds no graph. Export the model again, with its weights inside.")]
    NoGraph,
    #[error(
        "The graph has {nodes} nodes; {most} is the most that is accepted. Use a smaller model."
    )]
    TooLarge { nodes: usize, most: usize },
}

/// A node that can't be quantized.
#[derive(Clone, Debug, Error, PartialEq)]
#[error("Node '{node}' ({op}): {reason}")]
pub struct Unsupported {
    pub node: String,
    pub op: String,
    /// What is the matter and what to do about it.
    pub reason: String,
}

/// Quantizing or calibrating failed.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum QuantError {
    #[error("The model can't be quantized as it is:\n{}", .0.join("\n"))]
    Model(Vec<String>),
    #[error("These options don't go together: {0}")]
    Options(String),
    #[error("There are no calibration samples. Give at least one, better 100.")]
    NoSamples,
    #[error("{0}")]
    Samples(String),
    #[error("The float reference could not run the model: {0}")]
    Float(String),
    #[error("Layer '{layer}': {reason}")]
    Layer { layer: String, reason: String },
    #[error("The model image could not be written: {0}")]
    Image(String),
    #[error(
        "ESP-DL's evaluator can't be mimicked: '{0}' was given no exponent. Quantize without --mimic-evaluator."
    )]
    NoExponent(String),
    /// A file of [`crate::Imitation`] that can't be used.
    #[error("The file of ESP-DL's evaluator can't be read: {0} Quantize the model again.")]
    Imitation(String),
    #[error(transparent)]
    Simulate(#[from] SimulateError),
}

/// The simulator refused an image or its inputs.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum SimulateError {
    #[error("The model image is refused: {0}")]
    Image(String),
    #[error("The model has {want} inputs, {got} were given.")]
    InputCount { want: usize, got: usize },
    #[error("Input '{name}' has {want} elements, {got} were given.")]
    InputSize {
        name: String,
        want: usize,
        got: usize,
    },
    #[error("Input '{name}' holds a value that is not a number. Check the preprocessing.")]
    NotANumber { name: String },
    #[error("The model could not be run: {0}")]
    Run(String),
    #[error("The model image can't be run as the {chip}: {why}")]
    Chip {
        chip: &'static str,
        why: &'static str,
    },
    #[error("{labels} labels for {samples} samples.")]
    Labels { labels: usize, samples: usize },
}
