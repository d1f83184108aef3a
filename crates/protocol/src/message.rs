//! Requests and replies; the table in the crate's documentation is the contract.

use crate::fields::Reader;
use crate::{
    ErrorCode, Frame, FrameWriter, Info, LayerInfo, MAX_DATA, MAX_MODEL_DATA, MAX_PAYLOAD,
    Malformed, Sink, TensorInfo, TooLong,
};

/// Which end of the model a tensor is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Written by the host.
    Input,
    /// Read by the host.
    Output,
}

/// What a host asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Who are you, and what model have you?
    Hello,
    /// Describe an input or output.
    Tensor {
        /// Which list.
        direction: Direction,
        /// Number in it.
        index: u16,
    },
    /// Describe a layer.
    Layer {
        /// Number in the order of execution.
        index: u16,
    },
    /// Stage a piece of an input.
    WriteInput {
        /// Which input.
        input: u16,
        /// Where the piece goes, in bytes.
        offset: u32,
        /// At most [`MAX_DATA`] bytes.
        bytes: &'a [u8],
    },
    /// Run the model on the staged inputs.
    Run {
        /// Kept for later: 0.
        options: u32,
    },
    /// Fetch a piece of an output.
    ReadOutput {
        /// Which output.
        output: u16,
        /// How many bytes; a board sends at most [`MAX_DATA`].
        length: u16,
        /// From where, in bytes.
        offset: u32,
    },
    /// Fetch cycle counts of the last run.
    Profile {
        /// From which layer.
        first: u16,
    },
    /// Execute the layers that have not run yet, up to and including this one.
    Step {
        /// Number in the order of execution.
        layer: u16,
    },
    /// Fetch a piece of the output of the layer that ran last.
    ReadLayer {
        /// Its number.
        layer: u16,
        /// How many bytes; a board sends at most [`MAX_DATA`].
        length: u16,
        /// From where, in bytes.
        offset: u32,
    },
    /// Announce a model for the place that does not run.
    ModelBegin {
        /// Size of the image.
        bytes: u32,
        /// The image's CRC.
        id: u32,
    },
    /// Write a piece of it.
    ModelWrite {
        /// Where the piece goes, in bytes.
        offset: u32,
        /// At most [`MAX_MODEL_DATA`](crate::MAX_MODEL_DATA) bytes.
        bytes: &'a [u8],
    },
    /// Read it back and check it.
    ModelVerify,
    /// Prefer it from now on, and restart.
    ModelActivate {
        /// The image's CRC.
        id: u32,
    },
}

pub(crate) mod kind {
    pub(crate) const HELLO: u8 = 0x01;
    pub(crate) const TENSOR: u8 = 0x02;
    pub(crate) const LAYER: u8 = 0x03;
    pub(crate) const WRITE_INPUT: u8 = 0x04;
    pub(crate) const RUN: u8 = 0x05;
    pub(crate) const READ_OUTPUT: u8 = 0x06;
    pub(crate) const PROFILE: u8 = 0x07;
    pub(crate) const STEP: u8 = 0x10;
    pub(crate) const READ_LAYER: u8 = 0x11;
    pub(crate) const MODEL_BEGIN: u8 = 0x20;
    pub(crate) const MODEL_WRITE: u8 = 0x21;
    pub(crate) const MODEL_VERIFY: u8 = 0x22;
    pub(crate) const MODEL_ACTIVATE: u8 = 0x23;

    pub(crate) const REPLY_INFO: u8 = 0x81;
    pub(crate) const REPLY_TENSOR: u8 = 0x82;
    pub(crate) const REPLY_LAYER: u8 = 0x83;
    pub(crate) const REPLY_ACK: u8 = 0x84;
    pub(crate) const REPLY_RESULT: u8 = 0x85;
    pub(crate) const REPLY_OUTPUT: u8 = 0x86;
    pub(crate) const REPLY_PROFILE: u8 = 0x87;
    pub(crate) const REPLY_PROGRESS: u8 = 0x88;
    pub(crate) const REPLY_ERROR: u8 = 0xFF;
}

impl<'a> Request<'a> {
    /// Reads a request; `Ok(None)` for a kind this version doesn't have.
    pub fn read(frame: &Frame<'a>) -> Result<Option<Self>, Malformed> {
        let mut fields = Reader::new(frame.payload);
        Ok(Some(match frame.kind {
            kind::HELLO => Request::Hello,
            kind::TENSOR => {
                let direction = match fields.u8()? {
                    0 => Direction::Input,
                    1 => Direction::Output,
                    _ => return Err(Malformed),
                };
                fields.u8()?;
                Request::Tensor {
                    direction,
                    index: fields.u16()?,
                }
            }
            kind::LAYER => Request::Layer {
                index: fields.u16()?,
            },
            kind::WRITE_INPUT => {
                let input = fields.u16()?;
                fields.u16()?;
                Request::WriteInput {
                    input,
                    offset: fields.u32()?,
                    bytes: fields.rest(),
                }
            }
            kind::RUN => Request::Run {
                options: fields.u32()?,
            },
            kind::READ_OUTPUT => Request::ReadOutput {
                output: fields.u16()?,
                length: fields.u16()?,
                offset: fields.u32()?,
            },
            kind::PROFILE => Request::Profile {
                first: fields.u16()?,
            },
            kind::STEP => Request::Step {
                layer: fields.u16()?,
            },
            kind::READ_LAYER => Request::ReadLayer {
                layer: fields.u16()?,
                length: fields.u16()?,
                offset: fields.u32()?,
            },
            kind::MODEL_BEGIN => Request::ModelBegin {
                bytes: fields.u32()?,
                id: fields.u32()?,
            },
            kind::MODEL_WRITE => Request::ModelWrite {
                offset: fields.u32()?,
                bytes: fields.rest(),
            },
            kind::MODEL_VERIFY => Request::ModelVerify,
            kind::MODEL_ACTIVATE => Request::ModelActivate { id: fields.u32()? },
            _ => return Ok(None),
        }))
    }

    /// The number on the wire.
    pub fn kind(&self) -> u8 {
        match self {
            Request::Hello => kind::HELLO,
            Request::Tensor { .. } => kind::TENSOR,
            Request::Layer { .. } => kind::LAYER,
            Request::WriteInput { .. } => kind::WRITE_INPUT,
            Request::Run { .. } => kind::RUN,
            Request::ReadOutput { .. } => kind::READ_OUTPUT,
            Request::Profile { .. } => kind::PROFILE,
            Request::Step { .. } => kind::STEP,
            Request::ReadLayer { .. } => kind::READ_LAYER,
            Request::ModelBegin { .. } => kind::MODEL_BEGIN,
            Request::ModelWrite { .. } => kind::MODEL_WRITE,
            Request::ModelVerify => kind::MODEL_VERIFY,
            Request::ModelActivate { .. } => kind::MODEL_ACTIVATE,
        }
    }

    /// Sends the request as one frame.
    pub fn write<S: Sink + ?Sized>(&self, sequence: u16, sink: &mut S) -> Result<(), TooLong> {
        match *self {
            Request::WriteInput { bytes, .. } => fits(bytes, MAX_DATA)?,
            Request::ModelWrite { bytes, .. } => fits(bytes, MAX_MODEL_DATA)?,
            _ => {}
        }
        let mut frame = FrameWriter::new(sink, self.kind(), sequence);
        match *self {
            Request::Hello => {}
            Request::Tensor { direction, index } => {
                frame.u8(match direction {
                    Direction::Input => 0,
                    Direction::Output => 1,
                });
                frame.u8(0);
                frame.u16(index);
            }
            Request::Layer { index } | Request::Step { layer: index } => {
                frame.u16(index);
            }
            Request::WriteInput {
                input,
                offset,
                bytes,
            } => {
                frame.u16(input);
                frame.u16(0);
                frame.u32(offset);
                frame.bytes(bytes);
            }
            Request::Run { options } => {
                frame.u32(options);
            }
            Request::ReadOutput {
                output,
                length,
                offset,
            }
            | Request::ReadLayer {
                layer: output,
                length,
                offset,
            } => {
                frame.u16(output);
                frame.u16(length);
                frame.u32(offset);
            }
            Request::Profile { first } => {
                frame.u16(first);
            }
            Request::ModelBegin { bytes, id } => {
                frame.u32(bytes);
                frame.u32(id);
            }
            Request::ModelWrite { offset, bytes } => {
                frame.u32(offset);
                frame.bytes(bytes);
            }
            Request::ModelVerify => {}
            Request::ModelActivate { id } => {
                frame.u32(id);
            }
        }
        frame.finish();
        Ok(())
    }
}

fn fits(bytes: &[u8], most: usize) -> Result<(), TooLong> {
    if bytes.len() > most {
        return Err(TooLong {
            bytes: bytes.len() + MAX_PAYLOAD - most,
        });
    }
    Ok(())
}

/// Cycle counts of layers, as the board has them or as they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cycles<'a> {
    /// As the board has them.
    Values(&'a [u32]),
    /// As they came over the line: four bytes each.
    Wire(&'a [[u8; 4]]),
}

impl Cycles<'_> {
    /// The counts one by one.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let count = match self {
            Cycles::Values(values) => values.len(),
            Cycles::Wire(values) => values.len(),
        };
        (0..count).map(|at| match self {
            Cycles::Values(values) => values[at],
            Cycles::Wire(values) => u32::from_le_bytes(values[at]),
        })
    }
}

/// What a board answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// To `Hello`.
    Info(Info<'a>),
    /// To `Tensor`.
    Tensor(TensorInfo<'a>),
    /// To `Layer`.
    Layer(LayerInfo<'a>),
    /// To `WriteInput` and the requests about a new model.
    Ack {
        /// Bytes of that input or model there so far; for `ModelVerify` the image's CRC.
        detail: u32,
    },
    /// To `Run` and `Step`, at their end.
    Result {
        /// CPU cycles the model took so far, without the time spent on the link.
        cycles: u64,
        /// Layers executed so far.
        layers: u16,
    },
    /// To `ReadOutput` and `ReadLayer`.
    Output {
        /// Which output, or which layer.
        output: u16,
        /// Where the piece starts, in bytes.
        offset: u32,
        /// At most [`MAX_DATA`] bytes.
        bytes: &'a [u8],
    },
    /// To `Profile`.
    Profile {
        /// Layer of the first count.
        first: u16,
        /// Layers that have a count; a firmware with little memory may keep fewer than the model has.
        recorded: u16,
        /// Cycles per layer.
        cycles: Cycles<'a>,
    },
    /// To `Run` and `Step`, before and during them: the board is at work.
    Progress {
        /// Layers finished.
        done: u16,
        /// Layers in all.
        layers: u16,
    },
    /// To any request.
    Error {
        /// What is wrong.
        code: ErrorCode,
        /// A number that belongs to the code.
        detail: u32,
        /// The firmware's own words; may be empty.
        text: &'a str,
    },
}

/// Most counts in one `Profile` reply.
pub const MAX_CYCLES: usize = (crate::MAX_PAYLOAD - 4) / 4;

impl<'a> Reply<'a> {
    /// Reads a reply; `Ok(None)` for a kind this version doesn't have.
    pub fn read(frame: &Frame<'a>) -> Result<Option<Self>, Malformed> {
        let mut fields = Reader::new(frame.payload);
        Ok(Some(match frame.kind {
            kind::REPLY_INFO => Reply::Info(Info::read(fields)?),
            kind::REPLY_TENSOR => Reply::Tensor(TensorInfo::read(fields)?),
            kind::REPLY_LAYER => Reply::Layer(LayerInfo::read(fields)?),
            kind::REPLY_ACK => Reply::Ack {
                detail: fields.u32()?,
            },
            kind::REPLY_RESULT => Reply::Result {
                cycles: fields.u64()?,
                layers: fields.u16()?,
            },
            kind::REPLY_OUTPUT => {
                let output = fields.u16()?;
                fields.u16()?;
                Reply::Output {
                    output,
                    offset: fields.u32()?,
                    bytes: fields.rest(),
                }
            }
            kind::REPLY_PROFILE => Reply::Profile {
                first: fields.u16()?,
                recorded: fields.u16()?,
                cycles: Cycles::Wire(fields.rest().as_chunks::<4>().0),
            },
            kind::REPLY_PROGRESS => Reply::Progress {
                done: fields.u16()?,
                layers: fields.u16()?,
            },
            kind::REPLY_ERROR => {
                let code = ErrorCode::from_number(fields.u16()?);
                fields.u16()?;
                Reply::Error {
                    code,
                    detail: fields.u32()?,
                    text: fields.text()?,
                }
            }
            _ => return Ok(None),
        }))
    }

    /// The number on the wire.
    pub fn kind(&self) -> u8 {
        match self {
            Reply::Info(_) => kind::REPLY_INFO,
            Reply::Tensor(_) => kind::REPLY_TENSOR,
            Reply::Layer(_) => kind::REPLY_LAYER,
            Reply::Ack { .. } => kind::REPLY_ACK,
            Reply::Result { .. } => kind::REPLY_RESULT,
            Reply::Output { .. } => kind::REPLY_OUTPUT,
            Reply::Profile { .. } => kind::REPLY_PROFILE,
            Reply::Progress { .. } => kind::REPLY_PROGRESS,
            Reply::Error { .. } => kind::REPLY_ERROR,
        }
    }

    /// Sends the reply as one frame.
    pub fn write<S: Sink + ?Sized>(&self, sequence: u16, sink: &mut S) -> Result<(), TooLong> {
        if let Reply::Output { bytes, .. } = *self {
            fits(bytes, MAX_DATA)?;
        }
        let mut frame = FrameWriter::new(sink, self.kind(), sequence);
        match *self {
            Reply::Info(info) => {
                info.write(&mut frame);
            }
            Reply::Tensor(tensor) => {
                tensor.write(&mut frame);
            }
            Reply::Layer(layer) => {
                layer.write(&mut frame);
            }
            Reply::Ack { detail } => {
                frame.u32(detail);
            }
            Reply::Result { cycles, layers } => {
                frame.u64(cycles);
                frame.u16(layers);
            }
            Reply::Output {
                output,
                offset,
                bytes,
            } => {
                frame.u16(output);
                frame.u16(0);
                frame.u32(offset);
                frame.bytes(bytes);
            }
            Reply::Profile {
                first,
                recorded,
                cycles,
            } => {
                frame.u16(first);
                frame.u16(recorded);
                for count in cycles.iter().take(MAX_CYCLES) {
                    frame.u32(count);
                }
            }
            Reply::Progress { done, layers } => {
                frame.u16(done);
                frame.u16(layers);
            }
            Reply::Error { code, detail, text } => {
                frame.u16(code.number());
                frame.u16(0);
                frame.u32(detail);
                frame.text(text);
            }
        }
        frame.finish();
        Ok(())
    }
}
