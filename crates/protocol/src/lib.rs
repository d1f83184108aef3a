//! Messages and framing between a host (page, command line) and a board that runs a model.
//!
//! This page is the specification of the wire. Everything is little-endian; a programme in any
//! language can speak it from what is written here.
//!
//! # Frames
//!
//! ```text
//! 00 | COBS( version u8, kind u8, sequence u16, payload 0..=1024 bytes, crc u32 ) | 00
//! ```
//!
//! * COBS is Cheshire and Baker's consistent overhead byte stuffing: no byte between the two
//!   delimiters is zero. Two delimiters in a row are an empty frame and mean nothing, so that one
//!   may always be sent to end whatever came before.
//! * `crc` is CRC-32 (ISO-HDLC, the one of zip and Ethernet) over everything in the frame before it.
//! * `version` is [`VERSION`] and lies in 1..=8: a control character that no console text has in
//!   that place, which lets a receiver tell text from a frame after two bytes.
//! * Everything outside frames is **console text**: the chip's boot log and panic messages share
//!   the line. A receiver hands it on as text; a board ignores it.
//! * A frame that is cut, garbled or too long is dropped and counted. The delimiter that ends a
//!   broken frame also starts the next one, so a lost delimiter costs one frame, not all of them.
//!
//! # Conversation
//!
//! The host sends a request and waits: there is never more than one in flight, so a board needs
//! room for one frame only. The reply carries the request's sequence number; replies with another
//! number are late duplicates and are ignored. A host that gets no reply sends the same bytes again.
//! **Every request may therefore be repeated**: it gives the same reply and leaves the board in the
//! same state. `Run` is the only one for which a board must remember something (see there).
//!
//! | kind | request | payload | reply |
//! |---|---|---|---|
//! | 0x01 | [`Hello`](Request::Hello) | none | [`Info`](Reply::Info) |
//! | 0x02 | [`Tensor`](Request::Tensor) | direction u8 (0 input, 1 output), 0 u8, index u16 | [`Tensor`](Reply::Tensor) |
//! | 0x03 | [`Layer`](Request::Layer) | index u16 | [`Layer`](Reply::Layer) |
//! | 0x04 | [`WriteInput`](Request::WriteInput) | input u16, 0 u16, offset u32, bytes | [`Ack`](Reply::Ack) |
//! | 0x05 | [`Run`](Request::Run) | options u32 (0) | [`Progress`](Reply::Progress)..., [`Result`](Reply::Result) |
//! | 0x06 | [`ReadOutput`](Request::ReadOutput) | output u16, length u16, offset u32 | [`Output`](Reply::Output) |
//! | 0x07 | [`Profile`](Request::Profile) | first layer u16 | [`Profile`](Reply::Profile) |
//! | 0x10 | [`Step`](Request::Step) | layer u16 | [`Progress`](Reply::Progress)..., [`Result`](Reply::Result) |
//! | 0x11 | [`ReadLayer`](Request::ReadLayer) | layer u16, length u16, offset u32 | [`Output`](Reply::Output) |
//! | 0x12..=0x1F | kept for more of these | | |
//! | 0x20 | [`ModelBegin`](Request::ModelBegin) | bytes u32, id u32 | [`Ack`](Reply::Ack) |
//! | 0x21 | [`ModelWrite`](Request::ModelWrite) | offset u32, bytes | [`Ack`](Reply::Ack) |
//! | 0x22 | [`ModelVerify`](Request::ModelVerify) | none | [`Ack`](Reply::Ack) |
//! | 0x23 | [`ModelActivate`](Request::ModelActivate) | id u32 | [`Ack`](Reply::Ack) |
//! | 0x24..=0x2F | kept for more of these | | |
//!
//! | kind | reply | payload |
//! |---|---|---|
//! | 0x81 | `Info` | see [`Info`] |
//! | 0x82 | `Tensor` | see [`TensorInfo`] |
//! | 0x83 | `Layer` | see [`LayerInfo`] |
//! | 0x84 | `Ack` | detail u32 (for `WriteInput` and `ModelWrite`: bytes there so far) |
//! | 0x85 | `Result` | cycles u64, layers u16 |
//! | 0x86 | `Output` | output u16, 0 u16, offset u32, bytes |
//! | 0x87 | `Profile` | first u16, recorded layers u16, cycles u32 each |
//! | 0x88 | `Progress` | layers done u16, layers in all u16 |
//! | 0xFF | `Error` | code u16, 0 u16, detail u32, text (length u8, UTF-8) |
//!
//! ## One inference
//!
//! 1. `WriteInput` for input 0 from offset 0 upwards in pieces, then input 1, and so on: each
//!    input's bytes as the image stores them (element width, channels last where
//!    [`TensorInfo::channels_last`] says so). A piece may be repeated; one that would leave a gap
//!    is refused with [`ErrorCode::InputGap`]. Writing input 0 at offset 0 starts anew. Writing
//!    anything makes the results of an earlier run unreadable, since they may lie in the same memory.
//! 2. `Run`. The board answers `Progress` at once, again about four times a second while it works, and
//!    `Result` at the end. A run uses its inputs up: the same memory holds later layers. So a
//!    board answers a `Run` with the sequence number of the last finished run, when nothing was
//!    written since, with the same `Result` and does not run again; any other `Run`
//!    without complete inputs is refused with [`ErrorCode::InputMissing`].
//! 3. `ReadOutput` and `Profile`, as often as wanted.
//!
//! ## Layer by layer
//!
//! Layers share memory, so a layer's output is there only until a later one runs. Instead of `Run`,
//! a host that wants to see it sends `Step`: the board executes every layer that has not run yet up to and
//! including the one named, and stops. `Result` has the cycles and layers so far. `ReadLayer` reads
//! the output of the layer that ran last (any other is refused with [`ErrorCode::NoResult`]), its bytes as
//! stored; the number in the reply is the layer's. A `Step` to the layer that ran last is
//! acknowledged again; one to a layer before it is refused with [`ErrorCode::InputMissing`], as
//! the inputs have to be written again. After a `Step` to the last layer `ReadOutput` and `Profile` are
//! answered as after `Run`; before that, `Profile` has the layers that ran.
//!
//! ## A new model
//!
//! The board has two places for a model ([`slot`]) and runs the one; a new model goes into the other:
//!
//! 1. `ModelBegin` with the image's size and id (its CRC). The `Ack` says how many bytes are there
//!    already: 0, or all of them when the other place holds just this image.
//! 2. `ModelWrite` from offset 0 upwards in pieces. A piece that was written before is
//!    acknowledged again; one that would leave a gap is refused with [`ErrorCode::ModelGap`].
//! 3. `ModelVerify`: the board reads back what is in flash and checks it as it does before running a
//!    model. `Ack` with the id, or [`ErrorCode::ModelBroken`].
//! 4. `ModelActivate` with the id: the board writes the record that prefers the new model and, after
//!    the `Ack`, restarts. When the model with that id already runs, there is nothing to do but the `Ack`, so that
//!    this one may be repeated as well.
//!
//! Until the record is whole the old model runs after any restart, and when the new one is refused
//! then, the old one runs. [`ErrorCode::NoModelSlot`]: this board can't; use the loader.
//!
//! # Versions
//!
//! Never change, in any version: the framing, the place of `version`, `kind` and `sequence`,
//! `Hello` (kind 0x01), the first eight bytes of `Info`, and `Error` (kind 0xFF). Within a version fields are
//! only appended: readers ignore bytes after those they know and treat absent ones as zero; new
//! requests get new numbers, and a board answers what it doesn't know with
//! [`ErrorCode::UnknownRequest`]. A change that old readers would misread takes a new version.
//!
//! A board answers a frame of another version with an `Error` of its own version
//! ([`ErrorCode::OtherVersion`], detail = its version). The host driver then stops and
//! says which side is older and what to do: flash the board again from this page, or reload the page.
//!
//! # Why this encoding
//!
//! Fixed little-endian fields, written by hand: the largest parts of the traffic are slices that go straight
//! between the line and the arena without a copy, the specification fits this page, and the
//! board's side needs neither serde's generated code nor varints. There is no
//! allocation, no float, no atomics and no `usize` on the wire.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(feature = "host")]
extern crate std;

mod decode;
mod error;
mod fields;
mod frame;
mod message;
mod model;
pub mod slot;

#[cfg(feature = "host")]
pub mod host;

pub use decode::{Counters, Decoder, Step};
pub use error::ErrorCode;
pub use fields::Malformed;
pub use frame::{Frame, FrameWriter, Sink, TooLong};
pub use message::{Cycles, Direction, MAX_CYCLES, Reply, Request};
pub use model::{Constants, Dims, Element, Info, LayerInfo, TensorInfo, Version};

/// Version of the protocol this crate speaks.
pub const VERSION: u8 = 1;

/// Versions that can be told from text; see the frame rules above.
pub const VERSIONS: core::ops::RangeInclusive<u8> = 1..=8;

/// Most payload bytes a frame carries.
pub const MAX_PAYLOAD: usize = 1024;

/// Bytes before and after the payload: version, kind, sequence; CRC.
pub const HEADER_BYTES: usize = 4;

/// Bytes of the CRC-32 at the end of a frame.
pub const CRC_BYTES: usize = 4;

/// Most bytes between the two delimiters of a frame.
pub const MAX_ENCODED: usize = {
    let plain = HEADER_BYTES + MAX_PAYLOAD + CRC_BYTES;
    plain + plain / 254 + 1
};

/// Most bytes of tensor data in one `WriteInput` or `Output`.
pub const MAX_DATA: usize = MAX_PAYLOAD - 8;

/// Most bytes of a model in one `ModelWrite`.
pub const MAX_MODEL_DATA: usize = MAX_PAYLOAD - 4;

/// Bytes of buffer a [`Decoder`] needs: one more than any right frame fills.
pub const BUFFER_BYTES: usize = MAX_ENCODED + 1;

// A static, so that its table of 1 KB is in the firmware once.
pub(crate) static CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
