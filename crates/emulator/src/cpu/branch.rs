//! Branches, jumps and calls. Labels are [`Instruction::resolved`] addresses.

use fixpoint_isa::{Branch, Instruction};

use super::{Cpu, Next};

/// Where it goes on after the branch at `cpu.pc`.
#[inline]
pub(super) fn execute(cpu: &mut Cpu, op: Branch, i: &Instruction) -> Next {
    use Branch as B;
    let (s, t) = (cpu.get(i.reg[0]), cpu.get(i.reg[1]));
    let (first, second) = (i.imm[0] as u32, i.imm[1] as u32);
    let bit = |number: u32| s >> (number & 31) & 1 != 0;
    let branch = |taken, target| match taken {
        true => Next::To(target),
        false => Next::Fall,
    };
    match op {
        B::Bnone => branch(s & t == 0, first),
        B::Bany => branch(s & t != 0, first),
        B::Ball => branch(!s & t == 0, first),
        B::Bnall => branch(!s & t != 0, first),
        B::Beq => branch(s == t, first),
        B::Bne => branch(s != t, first),
        B::Blt => branch((s as i32) < t as i32, first),
        B::Bge => branch(s as i32 >= t as i32, first),
        B::Bltu => branch(s < t, first),
        B::Bgeu => branch(s >= t, first),
        B::Bbc => branch(!bit(t), first),
        B::Bbs => branch(bit(t), first),
        B::Bbci => branch(!bit(first), second),
        B::Bbsi => branch(bit(first), second),
        B::Beqz | B::BeqzN => branch(s == 0, first),
        B::Bnez | B::BnezN => branch(s != 0, first),
        B::Bltz => branch((s as i32) < 0, first),
        B::Bgez => branch(s as i32 >= 0, first),
        B::Beqi => branch(s == first, second),
        B::Bnei => branch(s != first, second),
        B::Blti => branch((s as i32) < first as i32, second),
        B::Bgei => branch(s as i32 >= first as i32, second),
        B::Bltui => branch(s < first, second),
        B::Bgeui => branch(s >= first, second),
        B::J => Next::To(first),
        B::Jx => Next::To(s),
        B::Ret | B::RetN => Next::To(cpu.a[0]),
        B::Call0 => {
            cpu.a[0] = cpu.pc.wrapping_add(3);
            Next::To(first)
        }
        B::Callx0 => {
            cpu.a[0] = cpu.pc.wrapping_add(3);
            Next::To(s)
        }
    }
}
