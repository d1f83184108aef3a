//! Instruction words in the manual's notation, read at compile time.

use crate::Op;
use crate::operand::{Bits, Coding, Kind, Operand};
use crate::table::{Class, Row};

const OPERANDS: usize = 8;
const PIECES: usize = 5;

/// What the syntax and the word of a line say.
pub(super) struct Word {
    name: &'static str,
    opcode: u32,
    kinds: [Kind; OPERANDS],
    pieces: [[Bits; PIECES]; OPERANDS],
    piece_counts: [usize; OPERANDS],
    count: usize,
}

impl Word {
    /// Stops the build when the two don't fit together.
    pub(super) const fn read(syntax: &'static str, word: &'static str) -> Self {
        let mut read = Self {
            name: syntax,
            opcode: 0,
            kinds: [Kind::Ar; OPERANDS],
            pieces: [[Bits { low: 0, width: 0 }; PIECES]; OPERANDS],
            piece_counts: [0; OPERANDS],
            count: 0,
        };
        let text = syntax.as_bytes();
        let (mut starts, mut ends) = ([0; OPERANDS], [0; OPERANDS]);
        let mut at = skip(text, 0, b' ');
        read.name = syntax.split_at(at).0;
        while at < text.len() {
            at += 1;
            starts[read.count] = at;
            at = skip(text, at, b',');
            ends[read.count] = at;
            read.kinds[read.count] = kind(text.split_at(at).0.split_at(starts[read.count]).1);
            read.count += 1;
            at += 1;
        }

        let word = word.as_bytes();
        let mut highest = [[0; PIECES]; OPERANDS];
        let mut low = bits(word);
        assert!(low == 24 || low == 32, "a word has 24 or 32 bits");
        let mut at = 0;
        while at < word.len() {
            let start = at;
            at = skip(word, at, b' ');
            if word[start].is_ascii_digit() {
                let mut digit = start;
                while digit < at {
                    low -= 1;
                    read.opcode |= ((word[digit] - b'0') as u32) << low;
                    digit += 1;
                }
            } else {
                let bracket = skip(word, start, b'[');
                let (high, bottom) = range(word, bracket);
                let width = high - bottom + 1;
                low -= width;
                let name = word.split_at(bracket).0.split_at(start).1;
                let mut operand = 0;
                while !same(
                    text.split_at(ends[operand]).0.split_at(starts[operand]).1,
                    name,
                ) {
                    operand += 1;
                    assert!(
                        operand < read.count,
                        "the word has an operand the syntax lacks"
                    );
                }
                // Pieces come in any order; here the most significant goes first.
                let mut place = read.piece_counts[operand];
                while place > 0 && highest[operand][place - 1] < high {
                    highest[operand][place] = highest[operand][place - 1];
                    read.pieces[operand][place] = read.pieces[operand][place - 1];
                    place -= 1;
                }
                highest[operand][place] = high;
                read.pieces[operand][place] = Bits {
                    low: low as u8,
                    width: width as u8,
                };
                read.piece_counts[operand] += 1;
            }
            at += 1;
        }
        let mut operand = 0;
        while operand < read.count {
            let (mut piece, mut rest) = (0, highest[operand][0] + 1);
            while piece < read.piece_counts[operand] {
                assert!(
                    highest[operand][piece] + 1 == rest,
                    "bits of an operand are missing"
                );
                rest -= read.pieces[operand][piece].width as u32;
                piece += 1;
            }
            assert!(rest == 0, "bits of an operand are missing");
            operand += 1;
        }
        read
    }

    /// The operands, of which the first [`Word::count`] count.
    pub(super) const fn operands(&'static self) -> [Operand; OPERANDS] {
        let none = Operand {
            kind: Kind::Ar,
            bits: &[],
        };
        let (mut all, mut i) = ([none; OPERANDS], 0);
        while i < self.count {
            all[i] = Operand {
                kind: self.kinds[i],
                bits: self.pieces[i].split_at(self.piece_counts[i]).0,
            };
            i += 1;
        }
        all
    }

    pub(super) const fn row(
        &self,
        op: Op,
        operands: &'static [Operand; OPERANDS],
        class: Class,
    ) -> Row {
        Row::new(
            op,
            self.name,
            self.opcode,
            operands.split_at(self.count).0,
            class,
        )
    }
}

/// What an operand is follows from its name.
const fn kind(name: &[u8]) -> Kind {
    match name {
        [b'q', ..] => Kind::Q,
        [b'f', ..] => Kind::F,
        [b'a', ..] => Kind::Ar,
        b"imm16" | b"imm16f" => Kind::Immediate(Coding::Signed { shift: 4, plus: 0 }),
        b"imm8" => Kind::Immediate(Coding::Signed { shift: 3, plus: 0 }),
        b"imm4" => Kind::Immediate(Coding::Signed { shift: 2, plus: 0 }),
        b"imm2" => Kind::Immediate(Coding::Unsigned { shift: 1, plus: 0 }),
        _ => Kind::Immediate(Coding::Unsigned { shift: 0, plus: 0 }),
    }
}

/// Where `end` is from `at` on, else the text's end.
const fn skip(text: &[u8], mut at: usize, end: u8) -> usize {
    while at < text.len() && text[at] != end {
        at += 1;
    }
    at
}

const fn same(one: &[u8], other: &[u8]) -> bool {
    let mut i = 0;
    while i < one.len() && i < other.len() && one[i] == other[i] {
        i += 1;
    }
    i == one.len() && i == other.len()
}

/// Bits of a whole word.
const fn bits(word: &[u8]) -> u32 {
    let (mut total, mut at) = (0, 0);
    while at < word.len() {
        let end = skip(word, at, b' ');
        if word[at].is_ascii_digit() {
            total += (end - at) as u32;
        } else {
            let (high, low) = range(word, skip(word, at, b'['));
            total += high - low + 1;
        }
        at = end + 1;
    }
    total
}

/// `[high:low]` or `[bit]` at `bracket`; a field has at most ten bits.
const fn range(word: &[u8], bracket: usize) -> (u32, u32) {
    let high = (word[bracket + 1] - b'0') as u32;
    let low = match word[bracket + 2] {
        b':' => (word[bracket + 3] - b'0') as u32,
        _ => high,
    };
    (high, low)
}

/// The lines of a family, and the way from its instructions to them.
macro_rules! rows {
    ($family:ident {
        $($op:ident $(($($argument:path),*))? : $syntax:literal $word:literal;)*
    }) => {
        impl $family {
            /// The family's lines of the table.
            pub const ROWS: &'static [$crate::table::Row] = {
                static ROWS: &[$crate::table::Row] = &[$({
                    const WORD: &$crate::pie::word::Word =
                        &$crate::pie::word::Word::read($syntax, $word);
                    const OP: $family = $family::$op $(($($argument),*))?;
                    const OPERANDS: &[$crate::operand::Operand; 8] = &WORD.operands();
                    WORD.row($crate::Op::Pie($crate::Pie::$family(OP)), OPERANDS, OP.class())
                }),*];
                ROWS
            };

            /// The instruction's line.
            pub fn row(self) -> &'static $crate::table::Row {
                match self {
                    $(Self::$op $(($($argument),*))? => {
                        const LINE: &$crate::table::Row =
                            $crate::pie::word::line($family::ROWS, $syntax);
                        LINE
                    })*
                }
            }
        }
    };
}
pub(super) use rows;

/// The line of a syntax.
pub(super) const fn line(rows: &'static [Row], syntax: &str) -> &'static Row {
    let name = syntax.as_bytes();
    let name = name.split_at(skip(name, 0, b' ')).0;
    let mut i = 0;
    while !same(rows[i].name.as_bytes(), name) {
        i += 1;
    }
    &rows[i]
}
