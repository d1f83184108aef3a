//! What a client learns from a board, owned.

use std::string::String;
use std::vec::Vec;

use crate::{Constants, Element, ErrorCode, Info, LayerInfo, TensorInfo, Version};

/// A board that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    /// Espressif's chip number; 9 is the ESP32-S3.
    pub chip: u16,
    /// The firmware's version.
    pub firmware: Version,
    /// A board in software, whose cycle counts are no measurements.
    pub virtual_board: bool,
    /// Clock of the cycle counts, in Hz.
    pub cpu_hz: u32,
    /// Size of the flash chip in bytes; 0 when unknown.
    pub flash_bytes: u32,
    /// Bytes of internal memory a model may use for its tensors.
    pub arena_available: u32,
    /// Broken frames the board has received since its start.
    pub frames_dropped: u32,
    /// Which build of the runtime it is: first four bytes of its image's SHA-256; 0 when unknown.
    pub runtime_id: u32,
    /// Bytes of the place for a second model that the board can write itself; 0 when it can't.
    pub model_room: u32,
    /// CPU cores that run the model; 0 when unknown.
    pub cores: u32,
    /// PSRAM in the package in bytes; 0 when there is none, or unknown.
    pub psram_bytes: u32,
    /// Bytes of it for the tensors of models that need more than internal memory; 0 when it does not answer.
    pub psram_available: u32,
    /// Where the model's constants are read from.
    pub constants: Constants,
    /// The model it runs, or why there is none.
    pub model: Result<Model, Problem>,
}

impl Board {
    /// The chip's name.
    pub fn chip_name(&self) -> &'static str {
        match self.chip {
            9 => "ESP32-S3",
            _ => "an unknown chip",
        }
    }
}

/// The model on a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The image's identification: its CRC.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Size of the image in bytes.
    pub bytes: u32,
    /// Bytes of memory for its tensors.
    pub arena_needed: u32,
    /// Number of layers.
    pub layers: u16,
    /// What goes in, in ONNX order.
    pub inputs: Vec<Tensor>,
    /// What comes out.
    pub outputs: Vec<Tensor>,
}

/// An input or output: `real = integer * 2^exponent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// ONNX name.
    pub name: String,
    /// ONNX dimensions, batch included.
    pub dims: Vec<u32>,
    /// Element width.
    pub element: Element,
    /// Power of two of one unit.
    pub exponent: i8,
    /// Whether the bytes hold (H,W,C) for (1,C,H,W), or (L,C) for (1,C,L).
    pub channels_last: bool,
    /// Size in bytes.
    pub bytes: u32,
}

impl From<TensorInfo<'_>> for Tensor {
    fn from(info: TensorInfo<'_>) -> Self {
        Tensor {
            name: info.name.into(),
            dims: info.dims.iter().collect(),
            element: info.element,
            exponent: info.exponent,
            channels_last: info.channels_last,
            bytes: info.bytes,
        }
    }
}

/// A layer, for the rows of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// What it does.
    pub operator: String,
    /// Size of its output in bytes.
    pub bytes: u32,
    /// Exponent of its output.
    pub exponent: i8,
    /// Element width of its output.
    pub element: Element,
    /// ONNX dimensions of its output, batch included; none when the firmware doesn't tell.
    pub dims: Vec<u32>,
    /// Whether the output's bytes hold (H,W,C) for (1,C,H,W), or (L,C) for (1,C,L).
    pub channels_last: bool,
}

impl From<LayerInfo<'_>> for Layer {
    fn from(info: LayerInfo<'_>) -> Self {
        Layer {
            name: info.name.into(),
            operator: info.operator.into(),
            bytes: info.bytes,
            exponent: info.exponent,
            element: info.element,
            dims: info.dims.iter().collect(),
            channels_last: info.channels_last,
        }
    }
}

/// Why a board that answers can't run anything. `Display` is a sentence for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Stable number.
    pub code: ErrorCode,
    /// The firmware's own words; may be empty.
    pub text: String,
    /// Bytes of memory the model needs, when it could be read.
    pub arena_needed: u32,
    /// Bytes of memory there are for them: internal, or in PSRAM where that has more.
    pub arena_available: u32,
    /// PSRAM in the package in bytes, whether or not it answers.
    pub psram_bytes: u32,
}

impl Problem {
    pub(crate) fn of(info: &Info<'_>) -> Option<Self> {
        info.problem.map(|code| Problem {
            code,
            text: info.problem_text.into(),
            arena_needed: info.arena_needed,
            arena_available: info.arena_available.max(info.psram_available),
            psram_bytes: info.psram_bytes,
        })
    }
}

impl core::fmt::Display for Problem {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.code {
            ErrorCode::NoModelPartition => f.write_str(
                "The board has no model partition: flash it from here, which also writes the partition table.",
            ),
            ErrorCode::ModelBlank => {
                f.write_str("The board has no model yet: flash one.")
            }
            ErrorCode::ModelRefused => write!(
                f,
                "The board refuses the model in its flash: {}. Quantize it with this release and flash it again.",
                self.text.trim_end_matches('.')
            ),
            ErrorCode::ArenaTooSmall => write!(
                f,
                "The model needs {} bytes of memory for its tensors and the board has {}{}: use a smaller model or input{}.",
                self.arena_needed,
                self.arena_available,
                match self.psram_bytes {
                    0 => " and no PSRAM",
                    bytes if bytes > self.arena_available => ", as its PSRAM does not answer",
                    _ => "",
                },
                if self.psram_bytes == 0 { ", or a board with PSRAM" } else { "" }
            ),
            ErrorCode::ModelUnmapped => f.write_str(
                "The board could not map the model's flash into memory: flash the firmware and the model again.",
            ),
            code => {
                write!(f, "The board has no model that it can run (code {})", code.number())?;
                if self.text.is_empty() {
                    f.write_str(": flash the firmware and the model again.")
                } else {
                    write!(f, ": {}", self.text)
                }
            }
        }
    }
}

/// The result of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inference {
    /// Every output's bytes as stored, in the order of the model's outputs.
    pub outputs: Vec<Vec<u8>>,
    /// CPU cycles of the whole run.
    pub cycles: u64,
    /// Cycles of each layer; shorter than the model when the firmware keeps fewer.
    pub layer_cycles: Vec<u32>,
    /// Layers executed.
    pub layers: u16,
}
