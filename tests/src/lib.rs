//! One suite for every backend.
//!
//! On a host, `cases` writes small model images with inputs and the outputs that `oracle`, a
//! naive implementation of the definitions, expects; all of it goes into one file of *vectors*.
//! [`run_vectors`] plays that file on any backend: host, browser, chip.
//!
//! Whole networks run on the virtual board: the page's samples, and the public ones where `shared/`
//! stands beside the checkout (`models`, `virtual_board`).
#![no_std]
#![forbid(unsafe_code)]

#[cfg(all(feature = "std", not(target_arch = "wasm32")))]
extern crate std;

#[cfg(all(feature = "std", not(target_arch = "wasm32")))]
pub mod cases;
#[cfg(all(feature = "std", not(target_arch = "wasm32")))]
pub mod models;
#[cfg(all(feature = "std", not(target_arch = "wasm32")))]
pub mod oracle;
#[cfg(all(feature = "std", not(target_arch = "wasm32")))]
pub mod random;
pub mod runner;
#[cfg(all(feature = "std", not(target_arch = "wasm32")))]
pub mod virtual_board;

pub use runner::{Failure, Summary, run_vectors};
