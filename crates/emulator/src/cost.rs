//! Estimated cycles: a simple model of the core's five-stage pipeline. What it waits for flash and PSRAM
//! behind the data cache is added (`s3/cache.rs`); code in flash behind its own cache, and two cores at one
//! internal memory, cost more on the chip. Each core has its own
//! count, and the one that is behind goes on (`s3.rs`): what both do together takes the slower one's time.
//!
//! | what | cycles |
//! |---|---|
//! | any instruction | 1 |
//! | a taken branch, a jump, a call, a return | 2 more: what was fetched behind it is dropped |
//! | going round a zero-overhead loop | none more |
//! | using what the instruction before loaded or multiplied | 1 more |
//! | using what the vector instruction before has late | 1 more |
//! | a division | 10 more |
//!
//! The stages and the one-cycle wait behind loads: Xtensa ISA Reference Manual, section 1.3, and the
//! configuration's `XCHAL_DATA_PIPE_DELAY` of 1. The divider's time depends on its operands; 10 is
//! about the middle of what is known of LX cores.

mod vector;

use fixpoint_isa::operand::Kind;
use fixpoint_isa::{Class, Instruction, Memory, Op};

/// Cycles more when a branch is taken.
pub const TAKEN: u64 = 2;
const WAIT: u32 = 1;
const DIVIDE: u32 = 10;

/// Cycles of `instruction` behind `before`, if it isn't a branch that is taken.
pub fn cycles(before: Option<&Instruction>, instruction: &Instruction) -> u32 {
    let row = instruction.op.row();
    let mut cycles = 1;
    if row.class == Class::Divide {
        cycles += DIVIDE;
    }
    let late = before.filter(|before| {
        matches!(before.op.row().class, Class::Load | Class::Multiply)
            && uses(instruction, before.reg[0])
    });
    if late.is_some() || before.is_some_and(|before| vector::waits(before, instruction)) {
        cycles += WAIT;
    }
    cycles
}

/// Whether general register `register` is among what `instruction` reads.
fn uses(instruction: &Instruction, register: u8) -> bool {
    let row = instruction.op.row();
    let general = row
        .operands
        .iter()
        .filter(|operand| !matches!(operand.kind, Kind::Immediate(_) | Kind::Label(..)));
    let first_is_written = match row.class {
        Class::Arithmetic | Class::Multiply | Class::Divide => !sets_shift_amount(instruction),
        Class::Load => !matches!(instruction.op, Op::Memory(Memory::S32c1i)),
        _ => false,
    };
    instruction
        .reg
        .iter()
        .zip(general)
        .skip(usize::from(first_is_written))
        .any(|(&number, operand)| operand.kind == Kind::Ar && number == register)
}

fn sets_shift_amount(instruction: &Instruction) -> bool {
    use fixpoint_isa::Shift as S;
    matches!(
        instruction.op,
        Op::Shift(S::Ssr | S::Ssl | S::Ssa8l | S::Ssa8b | S::Ssai)
    )
}

#[cfg(test)]
mod tests {
    use fixpoint_isa::decode;

    use super::cycles;

    #[test]
    fn a_value_on_its_way_is_waited_for() {
        let load = decode(&[0x28, 0x03]).unwrap(); // l32i.n a2, a3, 0
        let uses = decode(&[0x2A, 0x42]).unwrap(); // add.n a4, a2, a2
        let other = decode(&[0x3A, 0x23]).unwrap(); // add.n a2, a3, a3
        let store = decode(&[0x29, 0x03]).unwrap(); // s32i.n a2, a3, 0
        let quou = decode(&[0x50, 0x64, 0xC2]).unwrap(); // quou a6, a4, a5
        assert_eq!(cycles(None, &uses), 1);
        assert_eq!(cycles(Some(&load), &uses), 2);
        assert_eq!(cycles(Some(&load), &other), 1);
        assert_eq!(cycles(Some(&load), &store), 2);
        assert_eq!(cycles(Some(&other), &store), 1);
        assert_eq!(cycles(None, &quou), 11);
    }
}
