//! The operand lists of the base instruction set, in the order of assembly text, by the formats of
//! the Xtensa ISA Reference Manual (RRR, RRI8, BRI12, CALL...).

use crate::operand::{ADDI_N, Anchor, B4CONST, B4CONSTU, Bits, Coding, Kind, Operand};

const fn bits(low: u8, width: u8) -> Bits {
    Bits { low, width }
}

const fn operand(kind: Kind, bits: &'static [Bits]) -> Operand {
    Operand { kind, bits }
}

const fn number(bits: &'static [Bits], coding: Coding) -> Operand {
    operand(Kind::Immediate(coding), bits)
}

const fn unsigned(shift: u8, plus: i32) -> Coding {
    Coding::Unsigned { shift, plus }
}

const fn signed(shift: u8, plus: i32) -> Coding {
    Coding::Signed { shift, plus }
}

const fn branch(bits: &'static [Bits], coding: Coding) -> Operand {
    operand(Kind::Label(Anchor::Here, coding), bits)
}

const T: &[Bits] = &[bits(4, 4)];
const S: &[Bits] = &[bits(8, 4)];
const R: &[Bits] = &[bits(12, 4)];
const SR: &[Bits] = &[bits(8, 8)];
const IMM8: &[Bits] = &[bits(16, 8)];

const AT: Operand = operand(Kind::Ar, T);
const AS: Operand = operand(Kind::Ar, S);
const AR: Operand = operand(Kind::Ar, R);

const PLAIN: Coding = unsigned(0, 0);
const LABEL8: Operand = branch(IMM8, signed(0, 4));

pub(crate) const NONE: &[Operand] = &[];
pub(crate) const RRR: &[Operand] = &[AR, AS, AT];
pub(crate) const RR_ST: &[Operand] = &[AR, AS];
pub(crate) const RR_RT: &[Operand] = &[AR, AT];
/// Destination in `t`: `nsa`, `mov.n`, `rer`.
pub(crate) const RR_TS: &[Operand] = &[AT, AS];
pub(crate) const R_S: &[Operand] = &[AS];

pub(crate) const ADDI: &[Operand] = &[AT, AS, number(IMM8, signed(0, 0))];
pub(crate) const ADDMI: &[Operand] = &[AT, AS, number(IMM8, signed(8, 0))];
pub(crate) const ADDI_NARROW: &[Operand] = &[AR, AS, number(T, Coding::Table(&ADDI_N))];
pub(crate) const MOVI: &[Operand] = &[AT, number(&[bits(8, 4), bits(16, 8)], signed(0, 0))];
pub(crate) const MOVI_NARROW: &[Operand] = &[AS, number(&[bits(4, 3), bits(12, 4)], Coding::Movi7)];
pub(crate) const EXTUI: &[Operand] = &[
    AR,
    AT,
    number(&[bits(16, 1), bits(8, 4)], PLAIN),
    number(&[bits(20, 4)], unsigned(0, 1)),
];
/// `sext`, `clamps`: a bit position from 7 to 22.
pub(crate) const SIGN_BIT: &[Operand] = &[AR, AS, number(T, unsigned(0, 7))];

pub(crate) const SLLI: &[Operand] = &[AR, AS, number(&[bits(20, 1), bits(4, 4)], Coding::From32)];
pub(crate) const SRAI: &[Operand] = &[AR, AT, number(&[bits(20, 1), bits(8, 4)], PLAIN)];
pub(crate) const SRLI: &[Operand] = &[AR, AT, number(S, PLAIN)];
pub(crate) const SSAI: &[Operand] = &[number(&[bits(4, 1), bits(8, 4)], PLAIN)];

pub(crate) const LOAD8: &[Operand] = &[AT, AS, number(IMM8, unsigned(0, 0))];
pub(crate) const LOAD16: &[Operand] = &[AT, AS, number(IMM8, unsigned(1, 0))];
pub(crate) const LOAD32: &[Operand] = &[AT, AS, number(IMM8, unsigned(2, 0))];
pub(crate) const LOAD32_NARROW: &[Operand] = &[AT, AS, number(R, unsigned(2, 0))];
/// Window spills: -64 to -4.
pub(crate) const LOAD32_BACK: &[Operand] = &[AT, AS, number(R, Coding::Negative { shift: 2 })];
pub(crate) const LITERAL: &[Operand] = &[
    AT,
    operand(
        Kind::Label(Anchor::NextWord, Coding::Negative { shift: 2 }),
        &[bits(8, 16)],
    ),
];
pub(crate) const CACHE: &[Operand] = &[AS, number(IMM8, unsigned(2, 0))];
pub(crate) const BRANCH: &[Operand] = &[AS, AT, LABEL8];
pub(crate) const BRANCH_BIT: &[Operand] = &[AS, number(&[bits(12, 1), bits(4, 4)], PLAIN), LABEL8];
pub(crate) const BRANCH_CONST: &[Operand] = &[AS, number(R, Coding::Table(&B4CONST)), LABEL8];
pub(crate) const BRANCH_CONSTU: &[Operand] = &[AS, number(R, Coding::Table(&B4CONSTU)), LABEL8];
pub(crate) const BRANCH_ZERO: &[Operand] = &[AS, branch(&[bits(12, 12)], signed(0, 4))];
pub(crate) const BRANCH_NARROW: &[Operand] =
    &[AS, branch(&[bits(4, 2), bits(12, 4)], unsigned(0, 4))];
pub(crate) const LOOP_END: &[Operand] = &[AS, branch(IMM8, unsigned(0, 4))];
pub(crate) const JUMP: &[Operand] = &[branch(&[bits(6, 18)], signed(0, 4))];
pub(crate) const CALL: &[Operand] = &[operand(
    Kind::Label(Anchor::Word, signed(2, 4)),
    &[bits(6, 18)],
)];

pub(crate) const SPECIAL: &[Operand] = &[AT, operand(Kind::Special, SR)];
pub(crate) const USER_READ: &[Operand] = &[AR, operand(Kind::User, &[bits(8, 4), bits(4, 4)])];
pub(crate) const USER_WRITE: &[Operand] = &[AT, operand(Kind::User, SR)];
pub(crate) const LEVEL: &[Operand] = &[number(S, PLAIN)];
pub(crate) const RSIL: &[Operand] = &[AT, number(S, PLAIN)];
pub(crate) const BREAK: &[Operand] = &[number(S, PLAIN), number(T, PLAIN)];

pub(crate) const ENTRY: &[Operand] = &[AS, number(&[bits(12, 12)], unsigned(3, 0))];
pub(crate) const ROTW: &[Operand] = &[number(T, signed(0, 0))];
