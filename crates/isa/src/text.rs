//! Instructions as assembly text.

use core::fmt;

use crate::operand::Kind;
use crate::{Instruction, pie, special};

/// An instruction at an address; its text names label targets by address.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    pub instruction: Instruction,
    pub pc: u32,
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = self.instruction.op.row();
        f.write_str(row.name)?;
        let mut registers = self.instruction.reg.iter();
        let mut numbers = self.instruction.imm.iter();
        for (index, operand) in row.operands.iter().enumerate() {
            f.write_str(if index == 0 { " " } else { ", " })?;
            match operand.kind {
                Kind::Immediate(_) => write!(f, "{}", numbers.next().unwrap_or(&0))?,
                Kind::Label(anchor, _) => {
                    let offset = *numbers.next().unwrap_or(&0);
                    let target = anchor.address(self.pc).wrapping_add_signed(offset);
                    write!(f, "{target:#x}")?;
                }
                kind => register(f, kind, *registers.next().unwrap_or(&0))?,
            }
        }
        Ok(())
    }
}

fn register(f: &mut fmt::Formatter<'_>, kind: Kind, number: u8) -> fmt::Result {
    let name = match kind {
        Kind::Q => return write!(f, "q{number}"),
        Kind::F => return write!(f, "f{number}"),
        Kind::Special => special::name(number),
        Kind::User => pie::user_register_name(number),
        _ => return write!(f, "a{number}"),
    };
    match name {
        Some(name) => f.write_str(name),
        None => write!(f, "{number}"),
    }
}
