//! The instruction set of the ESP32-S3's two Xtensa LX7 cores as one table, and what follows from it:
//! decoding, encoding, assembly text.
//!
//! The base instructions are in `base.rs`, the vector instructions (PIE) in `pie.rs`; both are lists
//! of [`Row`]s. What instructions do is not said here but in the emulator.

#![no_std]
#![forbid(unsafe_code)]

mod assemble;
mod base;
mod format;
pub mod operand;
pub mod pie;
pub mod special;
mod table;
mod text;

use core::fmt;

pub use assemble::{AssembleError, Expected, assemble};
pub use base::{Arithmetic, Branch, Loop, Memory, Multiply, Shift, Special, Window};
use operand::Kind;
pub use pie::Pie;
pub use table::{Class, Row, length};
pub use text::Text;

/// Which instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Arithmetic(Arithmetic),
    Shift(Shift),
    Multiply(Multiply),
    Branch(Branch),
    Loop(Loop),
    Memory(Memory),
    Special(Special),
    Window(Window),
    Pie(Pie),
}

impl Op {
    /// The instruction's line of the table.
    pub fn row(self) -> &'static Row {
        match self {
            Self::Arithmetic(op) => op.row(),
            Self::Shift(op) => op.row(),
            Self::Multiply(op) => op.row(),
            Self::Branch(op) => op.row(),
            Self::Loop(op) => op.row(),
            Self::Memory(op) => op.row(),
            Self::Special(op) => op.row(),
            Self::Window(op) => op.row(),
            Self::Pie(op) => op.row(),
        }
    }
}

/// Every instruction, base and vector.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    [
        Arithmetic::ROWS,
        Memory::ROWS,
        Branch::ROWS,
        Shift::ROWS,
        Multiply::ROWS,
        Loop::ROWS,
        Special::ROWS,
        Window::ROWS,
    ]
    .into_iter()
    .chain(Pie::ROWS)
    .flatten()
}

/// Most register operands that an instruction has.
pub const REGISTERS: usize = 7;
/// Most other operands that an instruction has.
pub const NUMBERS: usize = 3;

/// A decoded instruction: register operands and numbers, each in the order of assembly text.
///
/// `s32i a3, a1, 8` has `reg = [3, 1, ..]` and `imm = [8, ..]`. A label is a number relative to its
/// [`operand::Anchor`]. Unused places are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub op: Op,
    /// Bytes: 2, 3 or 4.
    pub length: u8,
    pub reg: [u8; REGISTERS],
    pub imm: [i32; NUMBERS],
}

/// Bytes that are no instruction of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// More bytes are needed: this many in all.
    Short { length: u8 },
    /// No line of the table fits. Bytes by the instruction's length, zeros behind.
    Unknown { bytes: [u8; 4], length: u8 },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { length } => write!(f, "an instruction of {length} bytes is cut off"),
            Self::Unknown { bytes, length } => {
                f.write_str("unknown instruction")?;
                bytes[..usize::from(*length).min(4)]
                    .iter()
                    .try_for_each(|byte| write!(f, " {byte:02x}"))
            }
        }
    }
}

impl core::error::Error for DecodeError {}

/// The instruction at the start of `bytes`, which may be longer.
///
/// # Errors
/// When there are too few bytes or they are no instruction.
pub fn decode(bytes: &[u8]) -> Result<Instruction, DecodeError> {
    let &[first, ..] = bytes else {
        return Err(DecodeError::Short { length: 1 });
    };
    let length = length(first);
    let Some(used) = bytes.get(..usize::from(length)) else {
        return Err(DecodeError::Short { length });
    };
    let mut whole = [0; 4];
    whole[..used.len()].copy_from_slice(used);
    let word = u32::from_le_bytes(whole);
    let row = rows().find(|row| row.length == length && row.matches(word));
    let row = row.ok_or(DecodeError::Unknown {
        bytes: whole,
        length,
    })?;
    let mut instruction = Instruction {
        op: row.op,
        length,
        reg: [0; REGISTERS],
        imm: [0; NUMBERS],
    };
    let (mut registers, mut numbers) = (0, 0);
    for operand in row.operands {
        let field = operand.extract(word);
        match operand.kind {
            Kind::Immediate(coding) | Kind::Label(_, coding) => {
                instruction.imm[numbers] = coding.value(field, operand.width());
                numbers += 1;
            }
            _ => {
                instruction.reg[registers] = field as u8;
                registers += 1;
            }
        }
    }
    Ok(instruction)
}

impl Instruction {
    /// The instruction's bytes, of which the first [`Instruction::length`] count; `None` when an
    /// operand can't be encoded.
    pub fn encode(&self) -> Option<[u8; 4]> {
        let row = self.op.row();
        let mut word = row.opcode;
        let (mut registers, mut numbers) = (self.reg.iter(), self.imm.iter());
        for operand in row.operands {
            let field = match operand.kind {
                Kind::Immediate(coding) | Kind::Label(_, coding) => {
                    coding.field(*numbers.next()?, operand.width())?
                }
                _ => {
                    let number = u32::from(*registers.next()?);
                    (number >> operand.width() == 0).then_some(number)?
                }
            };
            word |= operand.place(field);
        }
        Some(word.to_le_bytes())
    }

    /// The instruction with its label, if it has one, as the target's address.
    pub fn resolved(mut self, pc: u32) -> Self {
        let mut number = 0;
        for operand in self.op.row().operands {
            match operand.kind {
                Kind::Label(anchor, _) => {
                    let target = anchor.address(pc).wrapping_add_signed(self.imm[number]);
                    self.imm[number] = target as i32;
                    return self;
                }
                Kind::Immediate(_) => number += 1,
                _ => {}
            }
        }
        self
    }

    /// Assembly text at `pc`. Not for [`Instruction::resolved`] ones.
    pub fn text(self, pc: u32) -> Text {
        Text {
            instruction: self,
            pc,
        }
    }
}
