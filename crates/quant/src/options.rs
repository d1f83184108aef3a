//! What the user may choose before quantizing.

use serde::{Deserialize, Serialize};

/// Element type of every activation and weight of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bits {
    #[serde(rename = "int8")]
    I8,
    #[serde(rename = "int16")]
    I16,
}

impl Bits {
    /// Width in bits: 8 or 16.
    pub fn width(self) -> u32 {
        match self {
            Bits::I8 => 8,
            Bits::I16 => 16,
        }
    }

    /// Largest integer, 127 or 32767.
    pub fn max(self) -> i32 {
        (1 << (self.width() - 1)) - 1
    }

    /// Smallest integer, -128 or -32768.
    pub fn min(self) -> i32 {
        -self.max() - 1
    }

    /// The name the ESP-DL toolkit uses.
    pub fn name(self) -> &'static str {
        match self {
            Bits::I8 => "int8",
            Bits::I16 => "int16",
        }
    }
}

/// Whether the weights of a layer share one exponent or have one for every output channel.
/// Activations are always per tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Granularity {
    PerTensor,
    PerChannel,
}

impl Granularity {
    /// The name the ESP-DL toolkit uses.
    pub fn name(self) -> &'static str {
        match self {
            Granularity::PerTensor => "per-tensor",
            Granularity::PerChannel => "per-channel",
        }
    }
}

/// How the range of an activation is derived from the calibration samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    MinMax,
    Entropy,
    Percentile,
    Mse,
}

impl Method {
    /// The name on the command line and in the report.
    pub fn name(self) -> &'static str {
        match self {
            Method::MinMax => "minmax",
            Method::Entropy => "entropy",
            Method::Percentile => "percentile",
            Method::Mse => "mse",
        }
    }
}

/// Which of the two integer arithmetics the image is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arithmetic {
    /// Fixpoint's own: exact accumulation, one round-half-up shift. What the firmware runs.
    Fixpoint,
    /// ESP-DL's legacy rules: floor shifts, bias in the output exponent. For prediction only.
    Espdl,
}

impl Arithmetic {
    /// The name on the command line and in the report.
    pub fn name(self) -> &'static str {
        match self {
            Arithmetic::Fixpoint => "fixpoint",
            Arithmetic::Espdl => "espdl",
        }
    }
}

/// Everything that decides the bytes of the image, apart from the model and the samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    pub bits: Bits,
    pub granularity: Granularity,
    pub method: Method,
    pub arithmetic: Arithmetic,
    /// Overrides the exponent that calibration gives the model's input.
    #[serde(default)]
    pub input_exponent: Option<i8>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            bits: Bits::I8,
            granularity: Granularity::PerTensor,
            method: Method::MinMax,
            arithmetic: Arithmetic::Fixpoint,
            input_exponent: None,
        }
    }
}
