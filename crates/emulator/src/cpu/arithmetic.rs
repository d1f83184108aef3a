//! Sums, comparisons, conditional moves, bit fields: register to register.

use fixpoint_isa::{Arithmetic, Instruction};

use super::Cpu;

/// Executes one; nothing of this family can fail.
#[inline]
pub(super) fn execute(cpu: &mut Cpu, op: Arithmetic, i: &Instruction) {
    use Arithmetic as A;
    let (s, t) = (cpu.get(i.reg[1]), cpu.get(i.reg[2]));
    let value = match op {
        A::Add | A::AddN => s.wrapping_add(t),
        A::Addx2 => (s << 1).wrapping_add(t),
        A::Addx4 => (s << 2).wrapping_add(t),
        A::Addx8 => (s << 3).wrapping_add(t),
        A::Sub => s.wrapping_sub(t),
        A::Subx2 => (s << 1).wrapping_sub(t),
        A::Subx4 => (s << 2).wrapping_sub(t),
        A::Subx8 => (s << 3).wrapping_sub(t),
        A::And => s & t,
        A::Or => s | t,
        A::Xor => s ^ t,
        A::Neg => s.wrapping_neg(),
        A::Abs => (s as i32).unsigned_abs(),
        A::Addi | A::AddiN | A::Addmi => s.wrapping_add_signed(i.imm[0]),
        A::Movi | A::MoviN => i.imm[0] as u32,
        A::MovN => s,
        A::Extui => s >> (i.imm[0] & 31) & ones(i.imm[1]),
        A::Sext => {
            let unused = (31 - i.imm[0]) & 31;
            (((s << unused) as i32) >> unused) as u32
        }
        A::Clamps => {
            let limit = 1i32 << (i.imm[0] & 31);
            (s as i32).clamp(-limit, limit - 1) as u32
        }
        A::Min => (s as i32).min(t as i32) as u32,
        A::Max => (s as i32).max(t as i32) as u32,
        A::Minu => s.min(t),
        A::Maxu => s.max(t),
        A::Moveqz if t != 0 => return,
        A::Movnez if t == 0 => return,
        A::Movltz if t as i32 >= 0 => return,
        A::Movgez if (t as i32) < 0 => return,
        A::Moveqz | A::Movnez | A::Movltz | A::Movgez => s,
        // Bits above the highest one that differs from the sign, the sign itself left out.
        A::Nsa => (s ^ ((s as i32) >> 31) as u32).leading_zeros() - 1,
        A::Nsau => s.leading_zeros(),
        A::Nop | A::NopN => return,
    };
    cpu.set(i.reg[0], value);
}

/// A mask of `width` bits, 1 to 16.
fn ones(width: i32) -> u32 {
    (1 << (width & 31)) - 1
}
