//! What the vector instructions do.

use fixpoint_isa::{Instruction, Pie};

use super::Cpu;
use crate::{Bus, Trap};

/// Executes one vector instruction. The caller advances the program counter.
///
/// # Errors
/// When memory can't be accessed or the vector unit is switched off (CPENABLE).
pub fn execute<B: Bus>(
    _cpu: &mut Cpu,
    _bus: &mut B,
    _op: Pie,
    _instruction: &Instruction,
) -> Result<(), Trap> {
    Err(Trap::Unsupported {
        what: "vector instructions are not emulated",
    })
}

/// The user register `number` of the vector unit, for `rur`; `None` when there is none.
pub fn read_user(_cpu: &Cpu, _number: u8) -> Option<u32> {
    None
}

/// Sets a user register of the vector unit, for `wur`; `None` when there is none.
pub fn write_user(_cpu: &mut Cpu, _number: u8, _value: u32) -> Option<()> {
    None
}
