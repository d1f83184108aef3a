//! Reads a model image in place and executes it over a caller's arena. No allocation, no floating
//! point; the host simulator, the page and the chip run this crate.
//!
//! ```ignore
//! let model = Model::parse(image)?;                  // 16-byte aligned bytes, checked once
//! let mut arena = [Block16::ZERO; 1024];             // at least model.arena_bytes()
//! model.input_mut(&mut arena, 0).unwrap().copy_from_slice(&input);
//! run(&model, &mut arena, &mut ())?;
//! let output = model.output(&arena, 0).unwrap();
//! ```
#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod accelerator;
mod bytes;
pub mod error;
pub mod format;
pub mod image;
pub mod memory;
mod op;
mod run;

pub use error::{ImageError, RunError};
pub use format::{Accumulator, Arithmetic, Element, EspdlChip, OpKind, Storage};
pub use image::{Layer, Model, Tensor};
#[cfg(feature = "alloc")]
pub use memory::AlignedBytes;
pub use memory::Arena;
pub use memory::Block16;
pub use run::{Observer, Position, run, run_on, run_to};
