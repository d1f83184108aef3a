//! Integer kernels, and the two arithmetics they run in.
//!
//! Every kernel is a plain function over slices: activations are dense, rows x columns x channels,
//! `i8` or `i16`; a value stands for `int * 2^exponent`. The host simulator, the page and the chip
//! run this same code. No floating point, no allocation, no panics on the sizes that
//! `fixpoint-runtime` has checked.
#![no_std]
#![forbid(unsafe_code)]

pub mod shape;

pub use shape::{Hwc, Window};
