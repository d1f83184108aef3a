//! One Xtensa LX7 core: its registers, and what each instruction does, in a file per family.

pub mod pie;
mod registers;
mod vector;

pub use registers::Cpu;
pub use vector::Vector;
