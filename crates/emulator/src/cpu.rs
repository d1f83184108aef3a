//! One Xtensa LX7 core: its registers, and what each instruction does, in a file per family.

mod arithmetic;
mod branch;
mod exception;
mod loops;
mod memory;
mod multiply;
pub mod pie;
mod registers;
mod shift;
pub mod special;
mod vector;

use fixpoint_isa::{Instruction, Op};

use crate::{Bus, Trap};
pub(crate) use loops::wrap;
pub use registers::{Cpu, Ps};
pub use vector::Vector;

/// Where it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// With the instruction behind, or at the loop's start.
    Fall,
    To(u32),
}

impl Cpu {
    /// Executes an instruction of which it is known that it goes on with the one behind it.
    ///
    /// # Errors
    /// When it doesn't.
    #[inline(always)]
    pub(crate) fn straight<B: Bus>(&mut self, bus: &mut B, i: &Instruction) -> Result<(), Trap> {
        match i.op {
            Op::Arithmetic(op) => {
                arithmetic::execute(self, op, i);
                Ok(())
            }
            Op::Shift(op) => {
                shift::execute(self, op, i);
                Ok(())
            }
            Op::Multiply(op) => multiply::execute(self, op, i),
            Op::Memory(op) => memory::execute(self, bus, op, i),
            Op::Pie(op) => pie::execute(self, bus, op, i),
            Op::Branch(_) | Op::Loop(_) | Op::Special(_) | Op::Window(_) => Ok(()),
        }
    }

    /// Executes any instruction, at `pc`, which stays.
    ///
    /// # Errors
    /// See [`Trap`].
    #[inline(always)]
    pub(crate) fn execute<B: Bus>(&mut self, bus: &mut B, i: &Instruction) -> Result<Next, Trap> {
        match i.op {
            Op::Branch(op) => Ok(branch::execute(self, op, i)),
            Op::Loop(op) => Ok(loops::execute(self, op, i)),
            Op::Special(op) => special::execute(self, op, i),
            Op::Window(op) => special::window(op),
            _ => self.straight(bus, i).map(|()| Next::Fall),
        }
    }
}

/// Whether a block of code ends with this instruction: it may jump, or change how others work.
pub(crate) fn ends_block(op: Op) -> bool {
    matches!(
        op,
        Op::Branch(_) | Op::Loop(_) | Op::Special(_) | Op::Window(_)
    )
}
