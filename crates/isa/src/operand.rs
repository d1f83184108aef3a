//! Where an operand's bits lie in the instruction, and what number they stand for.

/// What an operand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// General register `a0..a15`.
    Ar,
    /// Special register, by its number.
    Special,
    /// User register, by its number.
    User,
    /// Floating-point register `f0..f15`.
    F,
    /// Vector register `q0..q7`.
    Q,
    /// A number.
    Immediate(Coding),
    /// A place in the code or a literal; the number is relative to an [`Anchor`].
    Label(Anchor, Coding),
}

/// What a label is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The instruction's address.
    Here,
    /// The word that holds the instruction's first byte.
    Word,
    /// The first word boundary at or after the instruction.
    NextWord,
}

impl Anchor {
    /// The address that this anchor is for an instruction at `pc`.
    pub const fn address(self, pc: u32) -> u32 {
        match self {
            Self::Here => pc,
            Self::Word => pc & !3,
            Self::NextWord => pc.wrapping_add(3) & !3,
        }
    }
}

/// The number that a field of `width` bits stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `(field << shift) + plus`.
    Unsigned { shift: u8, plus: i32 },
    /// `(field << shift) + plus`, the field in two's complement.
    Signed { shift: u8, plus: i32 },
    /// `32 - field`.
    From32,
    /// One of sixteen.
    Table(&'static [i32; 16]),
    /// Seven bits: -32 to 95.
    Movi7,
    /// Bits above the field are ones: `(field - 2^width) << shift`.
    Negative { shift: u8 },
}

/// `B4CONST`: what `beqi` and its like compare with.
pub const B4CONST: [i32; 16] = [-1, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256];
/// `B4CONSTU`: what `bltui` and `bgeui` compare with.
pub const B4CONSTU: [i32; 16] = [
    32768, 65536, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256,
];
/// What `addi.n` adds.
pub const ADDI_N: [i32; 16] = [-1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

impl Coding {
    /// The number for `field`, which has `width` bits.
    pub const fn value(self, field: u32, width: u8) -> i32 {
        match self {
            Self::Unsigned { shift, plus } => ((field << shift) as i32).wrapping_add(plus),
            Self::Signed { shift, plus } => {
                let unused = 32 - width as u32;
                let field = ((field << unused) as i32) >> unused;
                (field << shift).wrapping_add(plus)
            }
            Self::From32 => 32 - field as i32,
            Self::Table(table) => table[(field & 15) as usize],
            Self::Movi7 if field >= 96 => field as i32 - 128,
            Self::Movi7 => field as i32,
            Self::Negative { shift } => ((field as i64 - (1i64 << width)) << shift) as i32,
        }
    }

    /// The field for `value`, if there is one.
    pub fn field(self, value: i32, width: u8) -> Option<u32> {
        let limit = ((1u64 << width) - 1) as u32;
        let field = match self {
            Self::Unsigned { shift, plus } | Self::Signed { shift, plus } => {
                (value.wrapping_sub(plus) >> shift) as u32 & limit
            }
            Self::From32 => 32i32.wrapping_sub(value) as u32,
            Self::Table(table) => table.iter().position(|&entry| entry == value)? as u32,
            Self::Movi7 => value as u32 & limit,
            Self::Negative { shift } => (value >> shift) as u32 & limit,
        };
        (field <= limit && self.value(field, width) == value).then_some(field)
    }
}

/// A run of bits in the instruction word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits {
    pub low: u8,
    pub width: u8,
}

/// One operand of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    pub kind: Kind,
    /// Its pieces in the instruction word, the most significant first.
    pub bits: &'static [Bits],
}

impl Operand {
    /// Bits in all.
    pub const fn width(&self) -> u8 {
        let (mut width, mut i) = (0, 0);
        while i < self.bits.len() {
            width += self.bits[i].width;
            i += 1;
        }
        width
    }

    /// The instruction bits it occupies.
    pub const fn mask(&self) -> u32 {
        let (mut mask, mut i) = (0, 0);
        while i < self.bits.len() {
            let piece = self.bits[i];
            mask |= ((1 << piece.width) - 1) << piece.low;
            i += 1;
        }
        mask
    }

    /// Its field out of an instruction word.
    pub fn extract(&self, word: u32) -> u32 {
        self.bits.iter().fold(0, |field, piece| {
            field << piece.width | word >> piece.low & ((1 << piece.width) - 1)
        })
    }

    /// `field` in its place in an instruction word.
    pub fn place(&self, mut field: u32) -> u32 {
        let mut word = 0;
        for piece in self.bits.iter().rev() {
            word |= (field & ((1 << piece.width) - 1)) << piece.low;
            field >>= piece.width;
        }
        word
    }
}
