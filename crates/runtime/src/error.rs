//! What can be wrong with an image, and what can go wrong in a run.

use core::error::Error;
use core::fmt;

/// Why bytes were refused as a model image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImageError {
    /// The image does not start at an address that is a multiple of 16.
    Misaligned,
    /// Fewer bytes than the header, or than the header says.
    Truncated { have: u32, need: u32 },
    /// The first four bytes are not `FXPM`.
    BadMagic,
    /// A format version that this build doesn't read.
    Version { found: u16, supported: u16 },
    /// The bytes don't match their CRC-32.
    Checksum { found: u32, computed: u32 },
    /// A header field or a table is outside its range.
    Header { reason: &'static str },
    /// A tensor record breaks a rule.
    Tensor { index: u16, reason: &'static str },
    /// An op record breaks a rule.
    Op { index: u16, reason: &'static str },
    /// An op of a kind that this build doesn't know.
    UnknownOp { index: u16, kind: u16 },
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Misaligned => f.write_str(
                "the model image is not at a 16-byte aligned address; copy it to aligned memory first",
            ),
            Self::Truncated { have, need } => write!(
                f,
                "the model image is cut short: {have} bytes of {need}; write or download it again"
            ),
            Self::BadMagic => {
                f.write_str("these bytes are not a Fixpoint model image; quantize a model to get one")
            }
            Self::Version { found, supported } => write!(
                f,
                "the model image has format version {found} and this build reads version {supported}; quantize the model again with the same release"
            ),
            Self::Checksum { found, computed } => write!(
                f,
                "the model image is damaged (CRC-32 {computed:08x}, expected {found:08x}); write or download it again"
            ),
            // Reasons by themselves: `{}` can pad a `str`, which takes 700 bytes on a board.
            Self::Header { reason } => {
                f.write_str("the model image's header is invalid: ")?;
                f.write_str(reason)
            }
            Self::Tensor { index, reason } => {
                write!(f, "tensor {index} of the model image is invalid: ")?;
                f.write_str(reason)
            }
            Self::Op { index, reason } => {
                write!(f, "layer {index} of the model image is invalid: ")?;
                f.write_str(reason)
            }
            Self::UnknownOp { index, kind } => write!(
                f,
                "layer {index} of the model image is of kind {kind}, which this build doesn't know; update the runtime"
            ),
        }
    }
}

impl Error for ImageError {}

/// Why a parsed model could not be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunError {
    /// The arena is smaller than `model.arena_bytes()`.
    ArenaTooSmall { have: u32, need: u32 },
    /// The image asks for the ESP-DL arithmetic and this build leaves it out.
    ArithmeticNotBuilt,
    /// A record that was valid when parsed no longer is: the memory behind the image changed.
    ImageChanged(ImageError),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ArenaTooSmall { have, need } => write!(
                f,
                "the model needs {need} bytes of memory for activations and {have} are there; use a smaller model or input"
            ),
            Self::ArithmeticNotBuilt => f.write_str(
                "the model is quantized for the ESP-DL arithmetic, which this build doesn't run; quantize it with --arithmetic fixpoint",
            ),
            Self::ImageChanged(error) => {
                write!(f, "the model image changed while it was in use: {error}")
            }
        }
    }
}

impl Error for RunError {}
