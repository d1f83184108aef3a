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

/// The chip whose sums and weight order the `espdl` arithmetic and the export follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Chip {
    Esp32,
    Esp32S2,
    /// With a vector unit; the only one that Fixpoint's own firmware runs on.
    #[default]
    Esp32S3,
    Esp32C3,
}

impl Chip {
    /// The name that the ESP-DL toolkit and the command line use.
    pub fn name(self) -> &'static str {
        match self {
            Chip::Esp32 => "esp32",
            Chip::Esp32S2 => "esp32s2",
            Chip::Esp32S3 => "esp32s3",
            Chip::Esp32C3 => "esp32c3",
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
    /// Espdl arithmetic: the chip that is predicted.
    #[serde(default)]
    pub chip: Chip,
    /// Espdl arithmetic: what the toolkit's evaluator computes where that differs from the chip.
    #[serde(default)]
    pub mimic_evaluator: bool,
}

impl Default for Options {
    fn default() -> Self {
        Request::default().options()
    }
}

/// What was asked for; the rest is left to [`Request::options`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Request {
    pub bits: Option<Bits>,
    pub granularity: Option<Granularity>,
    pub method: Option<Method>,
    pub arithmetic: Option<Arithmetic>,
    pub input_exponent: Option<i8>,
    pub chip: Option<Chip>,
    pub mimic_evaluator: Option<bool>,
}

impl Request {
    /// The one place where defaults are: int8 in the fixpoint arithmetic, one exponent per channel,
    /// the least squared error, which is what keeps most accuracy. Who names a granularity or a
    /// method, int16 or the espdl arithmetic gets what the ESP-DL toolkit does by default for what
    /// is left: per tensor, min-max.
    pub fn options(&self) -> Options {
        let bits = self.bits.unwrap_or(Bits::I8);
        let arithmetic = self.arithmetic.unwrap_or(Arithmetic::Fixpoint);
        let open = self.granularity.is_none() && self.method.is_none();
        let (granularity, method) = match (bits, arithmetic) {
            (Bits::I8, Arithmetic::Fixpoint) if open => (Granularity::PerChannel, Method::Mse),
            _ => (Granularity::PerTensor, Method::MinMax),
        };
        Options {
            bits,
            granularity: self.granularity.unwrap_or(granularity),
            method: self.method.unwrap_or(method),
            arithmetic,
            input_exponent: self.input_exponent,
            chip: self.chip.unwrap_or_default(),
            mimic_evaluator: self.mimic_evaluator.unwrap_or(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(request: Request) -> (Granularity, Method) {
        let options = request.options();
        (options.granularity, options.method)
    }

    #[test]
    fn what_is_left_open_is_the_best_known_or_the_toolkit_s() {
        let toolkit = (Granularity::PerTensor, Method::MinMax);
        let best = (Granularity::PerChannel, Method::Mse);
        let request = Request::default;
        assert_eq!(chosen(request()), best);
        let bits = Some(Bits::I8);
        assert_eq!(chosen(Request { bits, ..request() }), best);
        let bits = Some(Bits::I16);
        assert_eq!(chosen(Request { bits, ..request() }), toolkit);
        let arithmetic = Some(Arithmetic::Espdl);
        assert_eq!(
            chosen(Request {
                arithmetic,
                ..request()
            }),
            toolkit
        );
        let granularity = Some(Granularity::PerTensor);
        assert_eq!(
            chosen(Request {
                granularity,
                ..request()
            }),
            toolkit
        );
        let method = Some(Method::Entropy);
        let entropy = (Granularity::PerTensor, Method::Entropy);
        assert_eq!(
            chosen(Request {
                method,
                ..request()
            }),
            entropy
        );
    }
}
