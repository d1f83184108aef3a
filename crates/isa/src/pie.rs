//! The vector instructions of the ESP32-S3 ("processor instruction extensions", PIE): the 220 that
//! chapter 1 of its Technical Reference Manual documents (version 1.8).
//!
//! One file per family, in the manual's grouping. A line of a table gives the instruction, its
//! assembly syntax and its instruction word in the manual's notation, most significant bit first:
//! `qu[2:1]` are bits 2 and 1 of operand `qu`. Where the manual contradicts itself, the line says
//! what Espressif's assembler emits:
//!
//! - `ee.vldbc.32.ip` steps by -512 to 508 like the other `imm4` (its page says 252);
//! - `ee.st.accx.ip` steps by multiples of 8, from -1024 to 1016 (its page says 4), which has been
//!   measured on a chip;
//! - the word of `mv.qr` has a bit too few, the syntax of `st.qr` another name;
//! - `sel2` of `ee.srcmb.*` and `ee.srs.accx` is printed as 0; the other value is undocumented.

mod accumulate;
mod arithmetic;
mod compare;
mod exchange;
mod fft;
mod memory;
mod shift;
mod word;

pub use accumulate::{Accumulate, Mac};
pub use arithmetic::Arithmetic;
pub use compare::{Compare, Relation};
pub use exchange::Exchange;
pub use fft::Fft;
pub use memory::{Broadcast, Half, Memory, Part, Step};
pub use shift::Shift;

use crate::table::{Class, Row};

/// Signed lanes of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    S8,
    S16,
    S32,
}

/// Lanes that multiply and that accumulators take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    S8,
    S16,
    U8,
    U16,
}

/// Bits of a lane, where its sign doesn't matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    W8,
    W16,
    W32,
}

/// What an arithmetic instruction does to memory beside its work: 16 bytes at `as`, which then steps
/// by 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    Nothing,
    Load,
    Store,
}

impl Beside {
    const fn class(self) -> Class {
        match self {
            Self::Nothing => Class::Vector,
            Self::Load => Class::VectorLoad,
            Self::Store => Class::VectorStore,
        }
    }
}

/// The vector instructions, by family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pie {
    Memory(Memory),
    Exchange(Exchange),
    Arithmetic(Arithmetic),
    Accumulate(Accumulate),
    Compare(Compare),
    Shift(Shift),
    Fft(Fft),
}

impl Pie {
    /// Their lines of the table.
    pub const ROWS: [&'static [Row]; 7] = [
        Memory::ROWS,
        Exchange::ROWS,
        Arithmetic::ROWS,
        Accumulate::ROWS,
        Compare::ROWS,
        Shift::ROWS,
        Fft::ROWS,
    ];

    /// The instruction's line.
    pub fn row(self) -> &'static Row {
        match self {
            Self::Memory(op) => op.row(),
            Self::Exchange(op) => op.row(),
            Self::Arithmetic(op) => op.row(),
            Self::Accumulate(op) => op.row(),
            Self::Compare(op) => op.row(),
            Self::Shift(op) => op.row(),
            Self::Fft(op) => op.row(),
        }
    }
}

macro_rules! user_registers {
    ($($name:ident $number:literal $text:literal;)*) => {
        /// Numbers of the user registers, for `rur` and `wur` (manual, section 1.5.1.2; numbers as
        /// Espressif's assembler has them).
        pub mod user {
            $(pub const $name: u8 = $number;)*
        }

        const USER_REGISTERS: &[(u8, &str)] = &[$(($number, $text)),*];
    };
}

user_registers! {
    ACCX_0 0 "accx_0";
    ACCX_1 1 "accx_1";
    QACC_H_0 2 "qacc_h_0";
    QACC_H_1 3 "qacc_h_1";
    QACC_H_2 4 "qacc_h_2";
    QACC_H_3 5 "qacc_h_3";
    QACC_H_4 6 "qacc_h_4";
    QACC_L_0 7 "qacc_l_0";
    QACC_L_1 8 "qacc_l_1";
    QACC_L_2 9 "qacc_l_2";
    QACC_L_3 10 "qacc_l_3";
    QACC_L_4 11 "qacc_l_4";
    GPIO_OUT 12 "gpio_out";
    SAR_BYTE 13 "sar_byte";
    FFT_BIT_WIDTH 14 "fft_bit_width";
    UA_STATE_0 15 "ua_state_0";
    UA_STATE_1 16 "ua_state_1";
    UA_STATE_2 17 "ua_state_2";
    UA_STATE_3 18 "ua_state_3";
    THREADPTR 231 "threadptr";
    FCR 232 "fcr";
    FSR 233 "fsr";
}

/// The user register's name in assembly.
pub fn user_register_name(number: u8) -> Option<&'static str> {
    let mut all = USER_REGISTERS.iter();
    all.find(|(other, _)| *other == number)
        .map(|(_, name)| *name)
}

/// The user register of that name, in either case.
pub(crate) fn user_register(name: &str) -> Option<u8> {
    let mut all = USER_REGISTERS.iter();
    all.find(|(_, other)| other.eq_ignore_ascii_case(name))
        .map(|(number, _)| *number)
}
