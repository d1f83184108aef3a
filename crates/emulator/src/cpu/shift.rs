//! Shifts. A shift by register takes its amount from SAR, six bits, which the `ss*` set.

use fixpoint_isa::{Instruction, Shift};

use super::Cpu;

/// Executes one; nothing of this family can fail.
#[inline]
pub(super) fn execute(cpu: &mut Cpu, op: Shift, i: &Instruction) {
    use Shift as S;
    let first = cpu.get(i.reg[0]);
    let sar = match op {
        S::Ssr => first & 31,
        S::Ssl => 32 - (first & 31),
        S::Ssa8l => (first & 3) << 3,
        S::Ssa8b => 32 - ((first & 3) << 3),
        S::Ssai => i.imm[0] as u32,
        _ => return shift(cpu, op, i),
    };
    cpu.sar = sar;
}

#[inline]
fn shift(cpu: &mut Cpu, op: Shift, i: &Instruction) {
    use Shift as S;
    let (s, t) = (cpu.get(i.reg[1]), cpu.get(i.reg[2]));
    let amount = i.imm[0] as u32;
    let value = match op {
        // 1 to 32.
        S::Slli => s.checked_shl(amount).unwrap_or(0),
        S::Srai => ((s as i32) >> (amount & 31)) as u32,
        S::Srli => s >> (amount & 31),
        S::Src => (joined(s, t) >> cpu.sar) as u32,
        S::Srl => (u64::from(s) >> cpu.sar) as u32,
        // SAR is 32 minus the amount.
        S::Sll => (joined(s, 0) >> cpu.sar) as u32,
        S::Sra => (i64::from(s as i32) >> cpu.sar) as u32,
        S::Ssr | S::Ssl | S::Ssa8l | S::Ssa8b | S::Ssai => return,
    };
    cpu.set(i.reg[0], value);
}

fn joined(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}
