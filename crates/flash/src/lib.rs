//! Flashing an ESP32-S3 over a byte stream: the loader session as a state machine without I/O.
//!
//! [`plan`] says what goes where, [`Flasher`] gets it there and proves it; the caller owns the
//! port and the clock. The protocol is that of the chip's mask ROM and of Espressif's RAM stub.
//!
//! What a session guarantees: success is claimed only after the flash's own MD5 of every segment
//! was right; what the board already holds is not sent; a session that ends anywhere in between
//! leaves the old runtime and the old model in service (order of writes: `session.rs`), never a mixture;
//! other chips and protected ones are not touched.

#![forbid(unsafe_code)]

mod arrange;
mod chip;
mod connect;
mod diagnosis;
mod error;
mod flasher;
pub mod image;
mod line;
mod loader;
pub mod manifest;
mod packet;
pub mod partition;
pub mod plan;
mod port;
mod reset;
mod session;
mod slip;
mod start;
mod stub;
mod write;

pub use error::FlashError;
pub use fixpoint_protocol::host::{Diagnosis, Wanted};
pub use flasher::{
    Action, ChipInfo, Event, Flasher, Link, Options, Outcome, Phase, Progress, SegmentSummary,
    Start, Summary,
};
pub use plan::{FlashPlan, Prebuilt, Role, Segment, Slot, TensorMemory};
pub use port::PortTrouble;
