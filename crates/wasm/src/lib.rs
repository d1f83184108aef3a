//! What the page calls: thin handles over the other crates, and nothing of its own.
//!
//! This is the only crate that knows JavaScript. Objects live on this side and JavaScript holds an
//! opaque handle with a `free()`; plain data (reports, tensor lists, progress) crosses as objects
//! whose field names are those of `report.json`. Every failure is an `Error` whose `code` is one of
//! the words in [`Code`](error::Code) and whose message says what happened and what to do next.
//!
//! Nothing here blocks on anything outside: the page decides in which worker a call runs, moves the
//! bytes of the serial port, and tells the time.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod board;
mod error;
mod export;
mod flash;
mod link;
mod plain;
mod predict;
mod quantize;
mod samples;
mod simulate;
mod table;

pub use board::VirtualBoard;
pub use export::{export_espdl, table_pickle, zip_files};
pub use flash::{Flasher, diagnose, flash_files, port_trouble};
pub use link::Link;
pub use predict::predict;
pub use quantize::{Model, Quantized, options, quantize};
pub use samples::Samples;
pub use simulate::Simulator;
