//! Integer kernels, and the two arithmetics they run in.
//!
//! Every kernel is a plain function over slices: activations are dense, rows x columns x channels,
//! `i8` or `i16`; a value stands for `int * 2^exponent`. The host simulator, the page and the chip
//! run this same code. No floating point, no allocation; sizes are checked once, by
//! `fixpoint-runtime`, when an image is parsed.
#![no_std]
#![forbid(unsafe_code)]

pub mod elementwise;
#[cfg(feature = "espdl")]
pub mod espdl;
mod exp2_table;
pub mod fixpoint;
pub mod linear;
pub mod lookup;
pub mod matmul;
pub mod number;
pub mod pool;
pub mod rearrange;
pub mod reduce;
pub mod resize;
pub mod shape;
pub mod softmax;

pub use linear::{Shifts, Slopes};
pub use number::{Accumulator, Element, Limits};
pub use shape::{Hwc, RANK, Window};
