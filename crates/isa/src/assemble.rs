//! A line of assembly text to an instruction: for the vector instructions, which LLVM's assembler
//! doesn't know, and as the inverse of [`crate::Text`].

use core::fmt;

use crate::operand::{Coding, Kind};
use crate::pie::user_register;
use crate::{Instruction, NUMBERS, REGISTERS, Row, rows, special};

/// Why a line is no instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssembleError<'t> {
    /// No instruction has that name.
    Name(&'t str),
    /// Another number of operands than the instruction has.
    Count {
        row: &'static str,
        expected: usize,
        found: usize,
    },
    /// Text that the instruction can't have at that operand, the first of which is 1.
    Operand {
        row: &'static str,
        position: usize,
        text: &'t str,
        expected: Expected,
    },
}

/// What an operand may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    kind: Kind,
    width: u8,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Ar => f.write_str("a register a0 to a15"),
            Kind::F => f.write_str("a register f0 to f15"),
            Kind::Q => f.write_str("a register q0 to q7"),
            Kind::Special => f.write_str("a special register"),
            Kind::User => f.write_str("a user register"),
            Kind::Label(..) => f.write_str("nothing: labels are for the assembler of the base set"),
            Kind::Immediate(coding) => {
                let (low, high) = match coding {
                    Coding::Signed { .. } => (1 << (self.width - 1), (1 << (self.width - 1)) - 1),
                    _ => (0, (1u32 << self.width) - 1),
                };
                let (low, high) = (
                    coding.value(low, self.width),
                    coding.value(high, self.width),
                );
                match coding {
                    Coding::Unsigned { shift, .. } | Coding::Signed { shift, .. } => {
                        write!(f, "a number from {low} to {high}")?;
                        if shift > 0 {
                            write!(f, " by steps of {}", 1 << shift)?;
                        }
                        Ok(())
                    }
                    _ => f.write_str("one of the instruction's numbers"),
                }
            }
        }
    }
}

impl fmt::Display for AssembleError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "there is no instruction `{name}`"),
            Self::Count {
                row,
                expected,
                found,
            } => write!(f, "{row} takes {expected} operands, not {found}"),
            Self::Operand {
                row,
                position,
                text,
                expected,
            } => write!(
                f,
                "operand {position} of {row} can't be `{text}`; it takes {expected}"
            ),
        }
    }
}

impl core::error::Error for AssembleError<'_> {}

/// The instruction of a line such as `ee.vld.128.ip q0, a2, 16`: a name in either case and operands
/// between commas, without label or comment. Numbers are decimal or, after `0x`, hexadecimal. User
/// registers are named as in `rur.accx_0 a2`. Instructions with labels are refused.
///
/// # Errors
/// When there is no such instruction, or it can't have such operands.
pub fn assemble(line: &str) -> Result<Instruction, AssembleError<'_>> {
    let line = line.trim();
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    // `rur.accx_0 a2` is `rur a2, accx_0`.
    let (name, user) = match name.split_once('.') {
        Some((base, user)) if user_register(user).is_some() => (base, Some(user)),
        _ => (name, None),
    };
    let row = rows()
        .find(|row| row.name.eq_ignore_ascii_case(name))
        .ok_or(AssembleError::Name(name))?;
    let operands = || {
        let written = rest.split(',').map(str::trim);
        written.filter(|_| !rest.trim().is_empty()).chain(user)
    };
    let found = operands().count();
    if found != row.operands.len() {
        return Err(AssembleError::Count {
            row: row.name,
            expected: row.operands.len(),
            found,
        });
    }
    encode_operands(row, operands())
}

fn encode_operands<'t>(
    row: &'static Row,
    texts: impl Iterator<Item = &'t str>,
) -> Result<Instruction, AssembleError<'t>> {
    let mut instruction = Instruction {
        op: row.op,
        length: row.length,
        reg: [0; REGISTERS],
        imm: [0; NUMBERS],
    };
    let (mut registers, mut numbers) = (instruction.reg.iter_mut(), instruction.imm.iter_mut());
    for (index, (operand, text)) in row.operands.iter().zip(texts).enumerate() {
        let width = operand.width();
        let register = |prefix, count| register(text, prefix, count);
        let read = match operand.kind {
            Kind::Ar => register('a', 16),
            Kind::F => register('f', 16),
            Kind::Q => register('q', 8),
            Kind::Special => special::number(text),
            Kind::User => user_register(text),
            Kind::Label(..) => None,
            Kind::Immediate(coding) => {
                let value = number(text).filter(|value| coding.field(*value, width).is_some());
                if let (Some(value), Some(place)) = (value, numbers.next()) {
                    *place = value;
                    continue;
                }
                None
            }
        };
        match (read, registers.next()) {
            (Some(register), Some(place)) => *place = register,
            _ => {
                return Err(AssembleError::Operand {
                    row: row.name,
                    position: index + 1,
                    text,
                    expected: Expected {
                        kind: operand.kind,
                        width,
                    },
                });
            }
        }
    }
    Ok(instruction)
}

fn register(text: &str, prefix: char, count: u8) -> Option<u8> {
    let text = if prefix == 'a' && text.eq_ignore_ascii_case("sp") {
        "a1"
    } else {
        text
    };
    let digits = text.strip_prefix([prefix, prefix.to_ascii_uppercase()])?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse().ok().filter(|_| plain)?;
    (number < count).then_some(number)
}

fn number(text: &str) -> Option<i32> {
    let (negative, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if !magnitude.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let hexadecimal = magnitude
        .strip_prefix("0x")
        .or(magnitude.strip_prefix("0X"));
    let magnitude = match hexadecimal {
        Some(digits) => i32::from_str_radix(digits, 16).ok()?,
        None => magnitude.parse().ok()?,
    };
    Some(if negative { -magnitude } else { magnitude })
}
