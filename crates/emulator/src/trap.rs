//! Why an instruction did not end as it usually does.

use std::fmt;

/// Causes of exceptions, as EXCCAUSE has them (Xtensa ISA Reference Manual, table 4-64).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cause {
    IllegalInstruction = 0,
    Syscall = 1,
    LoadStoreError = 3,
    Level1Interrupt = 4,
    IntegerDivideByZero = 6,
    Privileged = 8,
    LoadStoreAlignment = 9,
    Coprocessor0Disabled = 32,
    /// The vector unit's.
    Coprocessor3Disabled = 35,
}

/// A kind of access to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Fetch,
    Load,
    Store,
}

/// Anything but going on with the next instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// The core goes to its exception vector.
    Exception { cause: Cause, address: Option<u32> },
    /// Nothing is modelled at this address.
    Unmapped { access: Access, address: u32 },
    /// The address is modelled, but not what was done with it.
    Unmodelled {
        access: Access,
        address: u32,
        what: &'static str,
    },
    /// The instruction, or what it would do, is not emulated.
    Unsupported { what: &'static str },
    /// No instruction of the table.
    Unknown { bytes: [u8; 4], length: u8 },
    /// `break`: for a debugger, of which there is none.
    Break,
    /// `simcall`, of which the machine `sim` makes something.
    Simcall,
}

impl Trap {
    pub const fn exception(cause: Cause) -> Self {
        Self::Exception {
            cause,
            address: None,
        }
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = |access| match access {
            Access::Fetch => "fetch from",
            Access::Load => "load from",
            Access::Store => "store to",
        };
        match *self {
            Self::Exception { cause, address } => {
                write!(f, "exception {} ({cause:?})", cause as u8)?;
                address.map_or(Ok(()), |address| write!(f, " at address {address:#010x}"))
            }
            Self::Unmapped { access, address } => {
                write!(
                    f,
                    "{} {address:#010x}, where nothing is modelled",
                    verb(access)
                )
            }
            Self::Unmodelled {
                access,
                address,
                what,
            } => write!(f, "{} {address:#010x}: {what}", verb(access)),
            Self::Unsupported { what } => f.write_str(what),
            Self::Unknown { bytes, length } => {
                write!(
                    f,
                    "{}",
                    fixpoint_isa::DecodeError::Unknown { bytes, length }
                )
            }
            Self::Break => f.write_str("a break instruction, without a debugger"),
            Self::Simcall => f.write_str("a simcall, which only the machine `sim` answers"),
        }
    }
}
