//! What a board says about itself and its model.

use crate::fields::Reader;
use crate::{ErrorCode, FrameWriter, Malformed, Sink};

/// A firmware's version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Changes when something stops working as before.
    pub major: u8,
    /// Changes when something is added.
    pub minor: u8,
    /// Changes for repairs.
    pub patch: u8,
}

impl core::fmt::Display for Version {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Reply to `Hello`.
///
/// | bytes | field | |
/// |---|---|---|
/// | 0..2 | `protocol` u16 | 0..8 never change |
/// | 2..4 | `chip` u16 | |
/// | 4..7 | `firmware` 3 x u8 | |
/// | 7 | flags u8 | bit 0: `virtual_board` |
/// | 8..12 | `cpu_hz` u32 | |
/// | 12..16 | `flash_bytes` u32 | |
/// | 16..20 | `arena_available` u32 | |
/// | 20..24 | `arena_needed` u32 | |
/// | 24..28 | `model_id` u32 | |
/// | 28..32 | `model_bytes` u32 | |
/// | 32..34 | `problem` u16 | 0: a model is ready |
/// | 34..36 | `inputs` u16 | |
/// | 36..38 | `outputs` u16 | |
/// | 38..40 | `layers` u16 | |
/// | 40..44 | `frames_dropped` u32 | |
/// | 44.. | `model_name`, `problem_text` | each: length u8, UTF-8 |
/// | then | `runtime_id` u32, `model_room` u32, `cores` u32, `psram_bytes` u32, `psram_available` u32, `constants` u32 ([`Constants`]) | absent from old firmware: 0 |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info<'a> {
    /// Version of the protocol the firmware speaks.
    pub protocol: u16,
    /// Espressif's chip number; 9 is the ESP32-S3.
    pub chip: u16,
    /// The firmware's version.
    pub firmware: Version,
    /// Whether this is a model of a board in software: its cycle counts are no measurements.
    pub virtual_board: bool,
    /// Clock of the cycle counts, in Hz.
    pub cpu_hz: u32,
    /// Size of the flash chip in bytes; 0 when unknown.
    pub flash_bytes: u32,
    /// Bytes of internal memory a model may use for its tensors.
    pub arena_available: u32,
    /// Bytes the model uses; 0 without a readable model.
    pub arena_needed: u32,
    /// The image's own identification (its CRC); 0 without a readable model.
    pub model_id: u32,
    /// Size of the image in bytes; 0 without a readable model.
    pub model_bytes: u32,
    /// Why no model can be run.
    pub problem: Option<ErrorCode>,
    /// Number of inputs; 0 without a runnable model, like the two below.
    pub inputs: u16,
    /// Number of outputs.
    pub outputs: u16,
    /// Number of layers.
    pub layers: u16,
    /// Frames from the host that arrived broken since the start.
    pub frames_dropped: u32,
    /// The model's name, at most 255 bytes.
    pub model_name: &'a str,
    /// The runtime's own words for `problem`, at most 255 bytes; may be empty.
    pub problem_text: &'a str,
    /// The first four bytes of the SHA-256 at the end of the runtime's image in flash; 0 when unknown.
    pub runtime_id: u32,
    /// Bytes of the place for a second model that the board can write itself; 0 when it can't.
    pub model_room: u32,
    /// CPU cores that run the model; 0 when unknown.
    pub cores: u32,
    /// PSRAM in the chip's package in bytes; 0 when there is none, or unknown.
    pub psram_bytes: u32,
    /// Bytes of it that a model may use for its tensors when they don't fit internal memory; 0 when it does not answer.
    pub psram_available: u32,
    /// Where the model's constants are read from.
    pub constants: Constants,
}

/// Where a model's constants are read from while it runs; the number on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Constants {
    /// Where they were flashed; also from firmware that doesn't tell.
    #[default]
    Flash = 0,
    /// A copy in internal memory.
    Internal = 1,
    /// A copy in PSRAM.
    Psram = 2,
}

impl Constants {
    /// Numbers that aren't known are [`Constants::Flash`].
    fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Internal,
            2 => Self::Psram,
            _ => Self::Flash,
        }
    }
}

impl<'a> Info<'a> {
    pub(crate) fn read(mut fields: Reader<'a>) -> Result<Self, Malformed> {
        Ok(Info {
            protocol: fields.u16()?,
            chip: fields.u16()?,
            firmware: Version {
                major: fields.u8()?,
                minor: fields.u8()?,
                patch: fields.u8()?,
            },
            virtual_board: fields.u8()? & 1 != 0,
            cpu_hz: fields.u32()?,
            flash_bytes: fields.u32()?,
            arena_available: fields.u32()?,
            arena_needed: fields.u32()?,
            model_id: fields.u32()?,
            model_bytes: fields.u32()?,
            problem: match fields.u16()? {
                0 => None,
                number => Some(ErrorCode::from_number(number)),
            },
            inputs: fields.u16()?,
            outputs: fields.u16()?,
            layers: fields.u16()?,
            frames_dropped: fields.u32()?,
            model_name: fields.text()?,
            problem_text: fields.text()?,
            runtime_id: fields.appended_u32(),
            model_room: fields.appended_u32(),
            cores: fields.appended_u32(),
            psram_bytes: fields.appended_u32(),
            psram_available: fields.appended_u32(),
            constants: Constants::from_number(fields.appended_u32()),
        })
    }

    pub(crate) fn write<S: Sink + ?Sized>(&self, frame: &mut FrameWriter<'_, S>) {
        frame.u16(self.protocol);
        frame.u16(self.chip);
        frame.bytes(&[
            self.firmware.major,
            self.firmware.minor,
            self.firmware.patch,
        ]);
        frame.u8(u8::from(self.virtual_board));
        for value in [
            self.cpu_hz,
            self.flash_bytes,
            self.arena_available,
            self.arena_needed,
            self.model_id,
            self.model_bytes,
        ] {
            frame.u32(value);
        }
        frame.u16(self.problem.map_or(0, ErrorCode::number));
        frame.u16(self.inputs);
        frame.u16(self.outputs);
        frame.u16(self.layers);
        frame.u32(self.frames_dropped);
        frame.text(self.model_name);
        frame.text(self.problem_text);
        frame.u32(self.runtime_id);
        frame.u32(self.model_room);
        frame.u32(self.cores);
        frame.u32(self.psram_bytes);
        frame.u32(self.psram_available);
        frame.u32(self.constants as u32);
    }
}

/// Width of a tensor's elements; the number on the wire is its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// One byte, signed.
    I8,
    /// Two bytes, signed, little-endian.
    I16,
}

impl Element {
    /// Bytes of one element: 1 or 2.
    pub const fn bytes(self) -> u8 {
        match self {
            Element::I8 => 1,
            Element::I16 => 2,
        }
    }

    fn from_bytes(bytes: u8) -> Result<Self, Malformed> {
        match bytes {
            1 => Ok(Element::I8),
            2 => Ok(Element::I16),
            _ => Err(Malformed),
        }
    }
}

/// An input or output: `real = integer * 2^exponent`.
///
/// `index u16, element bytes u8, exponent i8, flags u8 (bit 0: channels last), rank u8, bytes u32,
/// dims u32 x rank, name (length u8, UTF-8)`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorInfo<'a> {
    /// Its number among the inputs or outputs.
    pub index: u16,
    /// Element width.
    pub element: Element,
    /// Power of two of one unit.
    pub exponent: i8,
    /// Whether the bytes hold (H,W,C) where the dimensions say (1,C,H,W), or (L,C) for (1,C,L).
    pub channels_last: bool,
    /// Size in bytes, without padding.
    pub bytes: u32,
    /// ONNX dimensions, batch included.
    pub dims: Dims<'a>,
    /// Its ONNX name, at most 255 bytes.
    pub name: &'a str,
}

/// Dimensions of a tensor, in ONNX order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dims<'a> {
    /// As the board has them.
    Values(&'a [u32]),
    /// As they came over the line: four bytes each.
    Wire(&'a [[u8; 4]]),
}

impl Dims<'_> {
    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        match self {
            Dims::Values(values) => values.len(),
            Dims::Wire(values) => values.len(),
        }
    }

    /// The dimensions one by one.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.rank()).map(|axis| match self {
            Dims::Values(values) => values[axis],
            Dims::Wire(values) => u32::from_le_bytes(values[axis]),
        })
    }

    /// How many of them are sent. More than 16 are in no image; clipping keeps the frame within its
    /// limit.
    fn sent(&self) -> u8 {
        self.rank().min(16) as u8
    }

    fn write<S: Sink + ?Sized>(&self, frame: &mut FrameWriter<'_, S>) {
        for dim in self.iter().take(self.sent().into()) {
            frame.u32(dim);
        }
    }
}

impl<'a> TensorInfo<'a> {
    pub(crate) fn read(mut fields: Reader<'a>) -> Result<Self, Malformed> {
        let index = fields.u16()?;
        let element = Element::from_bytes(fields.u8()?)?;
        let exponent = fields.i8()?;
        let channels_last = fields.u8()? & 1 != 0;
        let rank = fields.u8()?;
        let bytes = fields.u32()?;
        let dims = Dims::Wire(fields.quads(usize::from(rank))?);
        Ok(TensorInfo {
            index,
            element,
            exponent,
            channels_last,
            bytes,
            dims,
            name: fields.text()?,
        })
    }

    pub(crate) fn write<S: Sink + ?Sized>(&self, frame: &mut FrameWriter<'_, S>) {
        frame.u16(self.index);
        frame.u8(self.element.bytes());
        frame.bytes(&self.exponent.to_le_bytes());
        frame.u8(u8::from(self.channels_last));
        frame.u8(self.dims.sent());
        frame.u32(self.bytes);
        self.dims.write(frame);
        frame.text(self.name);
    }
}

/// A layer as the runtime executes it, for the rows of a profile.
///
/// `index u16, element bytes u8, output exponent i8, output bytes u32, name, operator (each: length u8,
/// UTF-8), flags u8 (bit 0: channels last), rank u8, dims u32 x rank`; old firmware ends at the operator:
/// no dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerInfo<'a> {
    /// Its number in the order of execution.
    pub index: u16,
    /// Element width of its output.
    pub element: Element,
    /// Exponent of its output.
    pub exponent: i8,
    /// Size of its output in bytes.
    pub bytes: u32,
    /// Its name, at most 255 bytes.
    pub name: &'a str,
    /// What it does, as the image names it (`Conv`, `Add`...).
    pub operator: &'a str,
    /// Whether its output's bytes hold (H,W,C) where the dimensions say (1,C,H,W), or (L,C) for (1,C,L).
    pub channels_last: bool,
    /// ONNX dimensions of its output, batch included; none when unknown.
    pub dims: Dims<'a>,
}

impl<'a> LayerInfo<'a> {
    pub(crate) fn read(mut fields: Reader<'a>) -> Result<Self, Malformed> {
        Ok(LayerInfo {
            index: fields.u16()?,
            element: Element::from_bytes(fields.u8()?)?,
            exponent: fields.i8()?,
            bytes: fields.u32()?,
            name: fields.text()?,
            operator: fields.text()?,
            channels_last: fields.appended_u8() & 1 != 0,
            dims: {
                let rank = fields.appended_u8();
                Dims::Wire(fields.quads(usize::from(rank))?)
            },
        })
    }

    pub(crate) fn write<S: Sink + ?Sized>(&self, frame: &mut FrameWriter<'_, S>) {
        frame.u16(self.index);
        frame.u8(self.element.bytes());
        frame.bytes(&self.exponent.to_le_bytes());
        frame.u32(self.bytes);
        frame.text(self.name);
        frame.text(self.operator);
        frame.u8(u8::from(self.channels_last));
        frame.u8(self.dims.sent());
        self.dims.write(frame);
    }
}
