//! What a line of the instruction table says, and the macro that the tables are written with.

use crate::Op;
use crate::operand::Operand;

/// What an instruction counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Arithmetic,
    Multiply,
    Divide,
    Branch,
    Jump,
    Loop,
    Load,
    Store,
    /// Special registers, synchronization, caches, exceptions.
    Special,
    /// Vector arithmetic and moves.
    Vector,
    /// Vector arithmetic of the multiplier, with or without a load or store beside it.
    VectorMultiply,
    /// Vector loads, with or without other work beside them.
    VectorLoad,
    /// Vector stores, with or without other work beside them.
    VectorStore,
}

impl Class {
    pub const ALL: [Self; 13] = [
        Self::Arithmetic,
        Self::Multiply,
        Self::Divide,
        Self::Branch,
        Self::Jump,
        Self::Loop,
        Self::Load,
        Self::Store,
        Self::Special,
        Self::Vector,
        Self::VectorMultiply,
        Self::VectorLoad,
        Self::VectorStore,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Arithmetic => "arithmetic",
            Self::Multiply => "multiply",
            Self::Divide => "divide",
            Self::Branch => "branch",
            Self::Jump => "jump",
            Self::Loop => "loop",
            Self::Load => "load",
            Self::Store => "store",
            Self::Special => "special",
            Self::Vector => "vector",
            Self::VectorMultiply => "vector multiply",
            Self::VectorLoad => "vector load",
            Self::VectorStore => "vector store",
        }
    }
}

/// One instruction of the table.
#[derive(Debug)]
pub struct Row {
    pub op: Op,
    /// In assembly.
    pub name: &'static str,
    /// The bits of the opcode, zeros elsewhere.
    pub opcode: u32,
    /// Which bits are opcode.
    pub mask: u32,
    /// Bytes: 2, 3 or 4.
    pub length: u8,
    /// In the order of assembly text.
    pub operands: &'static [Operand],
    pub class: Class,
}

impl Row {
    pub(crate) const fn new(
        op: Op,
        name: &'static str,
        opcode: u32,
        operands: &'static [Operand],
        class: Class,
    ) -> Self {
        let length = length(opcode as u8);
        let (mut mask, mut i) = (u32::MAX >> (32 - 8 * length as u32), 0);
        while i < operands.len() {
            assert!(
                mask & operands[i].mask() == operands[i].mask(),
                "operands overlap"
            );
            mask &= !operands[i].mask();
            i += 1;
        }
        assert!(opcode & !mask == 0, "the opcode has a bit in an operand");
        Self {
            op,
            name,
            opcode,
            mask,
            length,
            operands,
            class,
        }
    }

    pub(crate) fn matches(&self, word: u32) -> bool {
        word & self.mask == self.opcode
    }
}

/// Bytes of the instruction that starts with `first`: four where the low four bits are 14 or 15
/// (vector instructions), two from 8 to 13 (density option), else three.
pub const fn length(first: u8) -> u8 {
    match first & 15 {
        14.. => 4,
        8.. => 2,
        _ => 3,
    }
}

/// Makes an enumeration of every family and its lines of the table.
macro_rules! families {
    ($(
        $(#[$about:meta])*
        $family:ident {
            $($op:ident $name:literal $opcode:literal $operands:ident $class:ident;)*
        }
    )*) => {
        $(
            $(#[$about])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            #[repr(u8)]
            pub enum $family {
                $($op,)*
            }

            impl $family {
                /// The family's lines of the table, in the order of the enumeration.
                pub const ROWS: &'static [$crate::table::Row] = {
                    static ROWS: &[$crate::table::Row] = &[$(
                        $crate::table::Row::new(
                            $crate::Op::$family($family::$op),
                            $name,
                            $opcode,
                            $operands,
                            $crate::table::Class::$class,
                        ),
                    )*];
                    ROWS
                };

                /// The instruction's line.
                pub fn row(self) -> &'static $crate::table::Row {
                    &Self::ROWS[self as usize]
                }
            }
        )*
    };
}
pub(crate) use families;
