//! Products and quotients.

use fixpoint_isa::{Instruction, Multiply};

use super::Cpu;
use crate::{Cause, Trap};

/// # Errors
/// When a division's divisor is zero.
#[inline]
pub(super) fn execute(cpu: &mut Cpu, op: Multiply, i: &Instruction) -> Result<(), Trap> {
    use Multiply as M;
    let (s, t) = (cpu.get(i.reg[1]), cpu.get(i.reg[2]));
    let (ss, st) = (s as i32, t as i32);
    let zero = Trap::exception(Cause::IntegerDivideByZero);
    let value = match op {
        M::Mul16u => (s & 0xFFFF) * (t & 0xFFFF),
        M::Mul16s => (i32::from(s as i16) * i32::from(t as i16)) as u32,
        M::Mull => s.wrapping_mul(t),
        M::Muluh => ((u64::from(s) * u64::from(t)) >> 32) as u32,
        M::Mulsh => ((i64::from(ss) * i64::from(st)) >> 32) as u32,
        M::Quou => s.checked_div(t).ok_or(zero)?,
        M::Remu => s.checked_rem(t).ok_or(zero)?,
        // The one quotient that doesn't fit wraps to itself, its remainder is zero.
        M::Quos if t != 0 => ss.wrapping_div(st) as u32,
        M::Rems if t != 0 => ss.wrapping_rem(st) as u32,
        M::Quos | M::Rems => return Err(zero),
    };
    cpu.set(i.reg[0], value);
    Ok(())
}
