//! The table as a whole: it is unambiguous, and decoding undoes encoding.

use fixpoint_isa::operand::{Kind, Operand};
use fixpoint_isa::{DecodeError, Instruction, decode, rows};

/// A small generator of test numbers (xorshift); the seed makes runs repeatable.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as u32
    }
}

#[test]
fn every_row_round_trips() {
    let mut numbers = Numbers(0x5EED_1234_5678_9ABC);
    for row in rows() {
        let free: u32 = row.operands.iter().map(Operand::mask).fold(0, |a, b| a | b);
        let patterns = [0, u32::MAX].into_iter();
        let random: Vec<u32> = (0..200).map(|_| numbers.next()).collect();
        for pattern in patterns.chain(random) {
            let word = row.opcode | pattern & free;
            let bytes = word.to_le_bytes();
            let decoded = decode(&bytes[..usize::from(row.length)]).expect(row.name);
            assert_eq!(decoded.op, row.op, "{} {word:#x}", row.name);
            assert_eq!(decoded.encode(), Some(bytes), "{} {word:#x}", row.name);
        }
    }
}

#[test]
fn no_two_rows_fit_the_same_bytes() {
    let rows: Vec<_> = rows().collect();
    for (index, a) in rows.iter().enumerate() {
        for b in &rows[index + 1..] {
            let both = a.mask & b.mask;
            let apart = a.length != b.length || a.opcode & both != b.opcode & both;
            assert!(apart, "{} and {}", a.name, b.name);
            assert_ne!(a.name, b.name);
        }
    }
}

#[test]
fn operands_that_do_not_fit_are_refused() {
    for row in rows() {
        let mut instruction = decode(&row.opcode.to_le_bytes()).expect(row.name);
        let (mut registers, mut values) = (0, 0);
        for operand in row.operands {
            match operand.kind {
                Kind::Immediate(_) | Kind::Label(..) => {
                    let before = std::mem::replace(&mut instruction.imm[values], i32::MAX);
                    assert_eq!(instruction.encode(), None, "{} operand {values}", row.name);
                    instruction.imm[values] = before;
                    values += 1;
                }
                _ => {
                    let limit = 1u32 << operand.width();
                    if let Ok(limit) = u8::try_from(limit) {
                        let before = std::mem::replace(&mut instruction.reg[registers], limit);
                        assert_eq!(instruction.encode(), None, "{}", row.name);
                        instruction.reg[registers] = before;
                    }
                    registers += 1;
                }
            }
        }
    }
}

#[test]
fn any_bytes_are_decoded_or_refused() {
    let mut numbers = Numbers(99);
    for _ in 0..200_000 {
        let bytes = numbers.next().to_le_bytes();
        for end in 0..=4 {
            match decode(&bytes[..end]) {
                Ok(Instruction { length, .. }) => assert!(usize::from(length) <= end),
                Err(DecodeError::Short { length }) => assert!(usize::from(length) > end),
                Err(DecodeError::Unknown { length, .. }) => assert!(usize::from(length) <= end),
            }
        }
    }
}
