//! The board's side of the link: takes bytes from the line, answers with frames, runs the model.
//!
//! The firmware and the virtual board both run this. What it keeps besides the arena is in
//! [`Server`] itself and stays below 4 KB: a receive buffer per line and the cycle counts of
//! the last run. Bytes of inputs and outputs go straight between the line and the arena.
//!
//! ```ignore
//! let mut server = Server::new(BOARD, Ok(image), &mut ARENA, CycleCounter);
//! loop {
//!     let bytes = uart.read();
//!     server.on_bytes(bytes, &mut uart);
//! }
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(test)]
extern crate std;

mod arenas;
mod choice;
mod run;
mod server;
mod store;
mod text;

pub use arenas::Arenas;
pub use choice::{Choice, choose};
pub use fixpoint_protocol::{ErrorCode, Sink, Version, slot};
pub use run::Clock;
pub use server::{Board, LINES, PROFILED_LAYERS, Server};
pub use store::ModelStore;
