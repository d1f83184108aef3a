//! The registers of one core.

use super::Vector;

/// The state of one core.
#[derive(Clone, Debug)]
pub struct Cpu {
    /// Address of the instruction that is next.
    pub pc: u32,
    /// General registers. Without windows there are sixteen.
    pub a: [u32; 16],
    /// SAR: 6 bits.
    pub sar: u32,
    pub lbeg: u32,
    pub lend: u32,
    pub lcount: u32,
    /// One bit per coprocessor; the vector unit is number 3.
    pub cpenable: u32,
    pub vector: Vector,
}
