//! An ESP32-S3 in software, small and exact for what the project's firmware uses: the same bytes that
//! a board gets run here, natively and in the page.
//!
//! [`cpu`] is one Xtensa core over a [`Bus`]. What is not modelled is an error that names it, never a
//! silent zero.

#![forbid(unsafe_code)]

mod blocks;
pub mod boot;
mod bus;
mod core;
pub mod cost;
mod counts;
pub mod cpu;
pub mod elf;
pub mod s3;
pub mod sim;
mod trap;

pub use bus::Bus;
pub use core::{Core, Pause, Stop};
pub use counts::{Cost, Counts};
pub use fixpoint_isa::Class;
pub use trap::{Access, Cause, Trap};
