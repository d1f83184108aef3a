//! Zero-overhead loops: when the instruction before LEND is done and LCOUNT isn't zero, it goes on at
//! LBEG.

use fixpoint_isa::{Instruction, Loop};

use super::{Cpu, Next};

/// Starts a loop at the instruction behind `cpu.pc`.
#[inline]
pub(super) fn execute(cpu: &mut Cpu, op: Loop, i: &Instruction) -> Next {
    let count = cpu.get(i.reg[0]);
    let end = i.imm[0] as u32;
    cpu.lcount = count.wrapping_sub(1);
    cpu.lbeg = cpu.pc.wrapping_add(3);
    cpu.lend = end;
    let skipped = match op {
        // A count of zero loops 2^32 times.
        Loop::Loop => false,
        Loop::Loopnez => count == 0,
        Loop::Loopgtz => count as i32 <= 0,
    };
    if skipped { Next::To(end) } else { Next::Fall }
}

/// Where it goes on behind an instruction that ends at `next` and didn't jump.
#[inline]
pub(crate) fn wrap(cpu: &mut Cpu, next: u32) -> u32 {
    if next == cpu.lend && cpu.lcount != 0 && !cpu.ps.excm() {
        cpu.lcount -= 1;
        return cpu.lbeg;
    }
    next
}
