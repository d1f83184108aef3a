//! What instructions read and write, and which registers still matter behind each of them.
//!
//! Registers are bits: `a0` to `a15`, and the shift amount. Calls follow the call0 ABI: arguments in `a2` to
//! `a7`, results in `a2` to `a5`, `a12` to `a15` kept.

use std::collections::HashMap;
use std::ops::Range;

use super::line::Line;

/// A set of registers.
pub(super) type Set = u32;

const SHIFT_AMOUNT: Set = 1 << 16;
const ALL: Set = (1 << 17) - 1;
const ARGUMENTS: Set = 0b1111_1110;
const CLOBBERED: Set = 0b1111_1111_1101 | SHIFT_AMOUNT;
const AT_RETURN: Set = 0b1111_0000_0011_1111;

/// The set of a register's name; nothing for any other operand.
pub(super) fn register(operand: &str) -> Set {
    let number = operand
        .strip_prefix('a')
        .and_then(|n| n.parse::<u32>().ok());
    number.filter(|&n| n < 16).map_or(0, |n| 1 << n)
}

/// What an instruction does besides computing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing: operand 0 is its result, the others are what it reads.
    Pure,
    /// Operand 0 comes from the address that operands 1 and 2 add to. It may be a device's register.
    Load,
    /// Operand 0 goes there.
    Store,
    /// Sets the shift amount, or waits.
    Other,
    /// Goes to the label that is the last operand, or on.
    Branch,
    Jump,
    /// Goes to where a register says.
    JumpTo,
    Call,
    Return,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Effects {
    pub(super) kind: Kind,
    pub(super) reads: Set,
    pub(super) writes: Set,
}

/// `None` for what isn't known.
pub(super) fn effects(name: &str, operands: &[String]) -> Option<Effects> {
    let of = |range: Range<usize>| {
        let operands = operands.get(range).unwrap_or_default();
        operands
            .iter()
            .fold(0, |set, operand| set | register(operand))
    };
    let all = of(0..operands.len());
    let rest = of(1..operands.len());
    let kind = |kind, reads, writes| {
        Some(Effects {
            kind,
            reads,
            writes,
        })
    };
    match name {
        "mov" | "movi" | "l32r" | "add" | "addi" | "addmi" | "addx2" | "addx4" | "addx8"
        | "sub" | "subx2" | "subx4" | "subx8" | "and" | "or" | "xor" | "neg" | "abs" | "mull"
        | "muluh" | "mulsh" | "quou" | "quos" | "remu" | "rems" | "sext" | "extui" | "slli"
        | "srli" | "srai" | "min" | "max" | "minu" | "maxu" | "nsa" | "nsau" => {
            kind(Kind::Pure, rest, of(0..1))
        }
        "sll" | "srl" | "sra" | "src" => kind(Kind::Pure, rest | SHIFT_AMOUNT, of(0..1)),
        "l32i" | "l16ui" | "l16si" | "l8ui" => kind(Kind::Load, rest, of(0..1)),
        "s32i" | "s16i" | "s8i" => kind(Kind::Store, all, 0),
        "ssl" | "ssr" | "ssai" => kind(Kind::Other, all, SHIFT_AMOUNT),
        "memw" => kind(Kind::Other, 0, 0),
        "beqz" | "bnez" | "bltz" | "bgez" | "beq" | "bne" | "blt" | "bge" | "bltu" | "bgeu"
        | "beqi" | "bnei" | "blti" | "bgei" | "bltui" | "bgeui" => kind(Kind::Branch, all, 0),
        "j" => kind(Kind::Jump, 0, 0),
        "jx" => kind(Kind::JumpTo, all, 0),
        "call0" => kind(Kind::Call, ARGUMENTS, CLOBBERED),
        "callx0" => kind(Kind::Call, ARGUMENTS | all, CLOBBERED),
        "ret" => kind(Kind::Return, AT_RETURN, 0),
        _ => None,
    }
}

/// The lines of each function that lies in flash and has no instruction that isn't known.
pub(super) fn known_functions(lines: &[Line]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = None;
    let mut in_flash = false;
    for (at, line) in lines.iter().enumerate() {
        match line {
            Line::Other(text) if text.trim().starts_with(".section") => {
                let section = text.trim().trim_start_matches(".section").trim();
                in_flash = section.starts_with(".text") && !section.starts_with(".text.iram");
            }
            Line::Other(text) if text.contains("@function") => {
                start = in_flash.then_some(at);
            }
            Line::Other(text) if text.starts_with(".Lfunc_end") => {
                found.extend(start.take().map(|start| start..at));
            }
            Line::Instruction(name, operands) if effects(name, operands).is_none() => start = None,
            _ => {}
        }
    }
    found
}

/// The label that a line is.
pub(super) fn label(line: &Line) -> Option<&str> {
    let Line::Other(text) = line else { return None };
    let (label, _) = text.split_once(':')?;
    (!label.contains(char::is_whitespace) && !label.starts_with('#')).then_some(label)
}

/// The registers that are read behind each line of a function before they are written.
pub(super) struct Liveness {
    start: usize,
    /// In front of each line, and behind the last.
    before: Vec<Set>,
    at: HashMap<String, usize>,
}

impl Liveness {
    pub(super) fn of(lines: &[Line], function: &Range<usize>) -> Self {
        let start = function.start;
        let at = function
            .clone()
            .filter_map(|at| Some((label(&lines[at])?.to_owned(), at - start)));
        let mut found = Self {
            start,
            before: vec![0; function.len() + 1],
            at: at.collect(),
        };
        // Where control falls out of the function, nothing is known.
        found.before[function.len()] = ALL;
        loop {
            let mut changed = false;
            for at in function.clone().rev() {
                let now = found.in_front(&lines[at], at);
                changed |= now != found.before[at - start];
                found.before[at - start] = now;
            }
            if !changed {
                return found;
            }
        }
    }

    /// Looks again at the lines between the labels around `at`.
    pub(super) fn refresh(&mut self, lines: &[Line], function: &Range<usize>, at: usize) {
        let is_label = |&at: &usize| label(&lines[at]).is_some();
        let end = (at..function.end).find(is_label).unwrap_or(function.end);
        for at in (function.start..end).rev().take_while(|at| !is_label(at)) {
            self.before[at - self.start] = self.in_front(&lines[at], at);
        }
    }

    fn in_front(&self, line: &Line, at: usize) -> Set {
        let next = self.behind(at);
        let Line::Instruction(name, operands) = line else {
            return next;
        };
        let Some(effects) = effects(name, operands) else {
            return ALL;
        };
        let on = match effects.kind {
            Kind::Branch => next | self.at_label(operands),
            Kind::Jump => self.at_label(operands),
            Kind::JumpTo => ALL,
            Kind::Return => 0,
            _ => next,
        };
        on & !effects.writes | effects.reads
    }

    /// Behind the line `at`, if control goes on there.
    pub(super) fn behind(&self, at: usize) -> Set {
        self.before[at - self.start + 1]
    }

    /// Where a jump with these operands goes.
    pub(super) fn at_label(&self, operands: &[String]) -> Set {
        let place = operands.last().and_then(|label| self.at.get(label));
        place.map_or(ALL, |&place| self.before[place])
    }
}
