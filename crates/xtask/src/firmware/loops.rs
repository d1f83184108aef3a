//! Zero-overhead loops where a core can fetch them. The first instruction of the body of `loop`, `loopnez` and
//! `loopgtz` must lie within one word that is fetched, here of four bytes (GNU as, "Automatic Instruction
//! Alignment"; `XCHAL_INST_FETCH_WIDTH` of the ESP32-S3). llvm-mc doesn't see to that. Narrow instructions in
//! front of a loop are made wide until it is so (`narrowed` in `shorten`), which costs bytes and no instruction.

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::ops::Range;

use anyhow::{Context, Result, bail};

/// Bytes of a word that is fetched.
const FETCHED: usize = 4;

/// Where the assembler names a narrow instruction that can be wide, in front of its number.
const NAMED: &str = "narrow_at_";

/// How symbols begin behind which an image has literals, which are no instructions (`link.ld`).
const LITERALS: &str = "_literals";

/// Macros for what `narrowed` wrote, behind which its text goes: each is counted by the assembler, and those whose
/// number is in `wide` become the wide instruction. With `named`, each is a symbol in the object.
pub(super) fn widths(wide: &BTreeSet<u32>, named: bool) -> String {
    let mut text = String::new();
    for number in wide {
        let _ = writeln!(text, "\t.set wide_{number}, 1");
    }
    let name = if named {
        format!("{NAMED}\\@:\n")
    } else {
        String::new()
    };
    let _ = write!(
        text,
        ".macro narrow name, operands:vararg\n{name}\
         .ifdef wide_\\@\n\\name \\operands\n.else\n\\name\\().n \\operands\n.endif\n.endm\n\
         .macro narrow_mov to, from\n{name}\
         .ifdef wide_\\@\nor \\to, \\from, \\from\n.else\nmov.n \\to, \\from\n.endif\n.endm\n"
    );
    text
}

/// Numbers of narrow instructions in an object that have to be wide so that all loops are aligned; none when they are.
///
/// # Errors
/// When there are too few in some function.
pub(super) fn to_widen(object: &[u8]) -> Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for section in sections(object)? {
        let loops = section.loops();
        // What is in front of a function's start, which is at a word, doesn't move it.
        let start = |found: &Loop| {
            (section.symbols.iter())
                .filter(|symbol| symbol.global && symbol.at <= found.at)
                .fold(0, |from, symbol| from.max(symbol.at))
        };
        for function in loops.chunk_by(|one, other| start(one) == start(other)) {
            if function.iter().all(|found| found.missing(0) == 0) {
                continue;
            }
            // In front of each loop, behind the first instruction of the last one's body.
            let mut from = start(&function[0]);
            let mut movable = Vec::new();
            for found in function {
                movable.push(section.narrow(from..found.at));
                from = found.body() + found.first;
            }
            let Some(counts) = widened(function, &movable, 0) else {
                bail!(
                    "{} and others of its function can't be aligned by making narrow instructions wide: \
                     put a `nop.n` in front of the function's label",
                    function[0]
                );
            };
            for (movable, count) in movable.iter().zip(counts) {
                numbers.extend(movable.iter().rev().take(count));
            }
        }
    }
    Ok(numbers)
}

/// How many of the instructions in front of each loop are to be wide, as few as possible; the first loop is moved by
/// `before` bytes.
fn widened(loops: &[Loop], movable: &[Vec<u32>], before: usize) -> Option<Vec<usize>> {
    let (Some((first, others)), Some((instructions, further))) =
        (loops.split_first(), movable.split_first())
    else {
        return Some(Vec::new());
    };
    (0..FETCHED.min(instructions.len() + 1))
        .filter(|count| first.missing(before + count) == 0)
        .filter_map(|count| {
            let mut counts = vec![count];
            counts.extend(widened(others, further, before + count)?);
            Some(counts)
        })
        .min_by_key(|counts| counts.iter().sum::<usize>())
}

/// Looks at every loop of a linked image.
///
/// # Errors
/// When the first instruction of a loop isn't within one word, with all such loops.
pub(super) fn check(elf: &[u8]) -> Result<()> {
    let mut misaligned = Vec::new();
    for section in sections(elf)? {
        let loops = section.loops();
        misaligned.extend(
            (loops.iter())
                .filter(|found| found.missing(0) > 0)
                .map(|found| format!("{found} (at {:#x})", section.address + found.at)),
        );
    }
    if !misaligned.is_empty() {
        bail!(
            "the first instruction of a loop's body must not cross a word of {FETCHED} bytes; these do:\n  {}",
            misaligned.join("\n  ")
        );
    }
    Ok(())
}

struct Section<'e> {
    name: &'e str,
    address: usize,
    bytes: &'e [u8],
    /// By place.
    symbols: Vec<Symbol<'e>>,
}

struct Symbol<'e> {
    /// From the section's start, in bytes.
    at: usize,
    name: &'e str,
    global: bool,
}

struct Loop<'e> {
    section: &'e str,
    function: &'e str,
    /// From the section's start, in bytes; sections begin at words.
    at: usize,
    /// Bytes of the body's first instruction.
    first: usize,
}

impl Loop<'_> {
    fn body(&self) -> usize {
        self.at + 3
    }

    /// Bytes that the loop should begin later once it is moved by `before` bytes.
    fn missing(&self, before: usize) -> usize {
        let body = self.body() + before;
        let fits = |later: &usize| (body + later) % FETCHED + self.first <= FETCHED;
        (0..FETCHED).find(fits).unwrap_or_default()
    }
}

impl fmt::Display for Loop<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Loop {
            section,
            function,
            at,
            ..
        } = self;
        write!(f, "the loop in {function} ({section}+{at:#x})")
    }
}

impl<'e> Section<'e> {
    /// Numbers of the instructions in a range that could be wide.
    fn narrow(&self, range: Range<usize>) -> Vec<u32> {
        let mut found: Vec<(usize, u32)> = (self.symbols.iter())
            .filter(|symbol| range.contains(&symbol.at) && length(self.bytes[symbol.at]) == 2)
            .filter_map(|symbol| {
                let number = symbol.name.strip_prefix(NAMED)?;
                Some((symbol.at, number.parse().ok()?))
            })
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, number)| number).collect()
    }

    /// Instruction by instruction from every symbol: what lies between is filled up with anything.
    fn loops(&self) -> Vec<Loop<'e>> {
        let mut loops = Vec::new();
        let mut function = "";
        for (index, symbol) in self.symbols.iter().enumerate() {
            if !symbol.name.starts_with(NAMED) && !symbol.name.is_empty() {
                function = symbol.name;
            }
            if function.starts_with(LITERALS) {
                continue;
            }
            let next = self.symbols.get(index + 1);
            let end = next.map_or(self.bytes.len(), |next| next.at);
            let mut at = symbol.at;
            // A loop's body, which is there, may begin at the next symbol.
            while at < end && at + 3 < self.bytes.len() {
                if self.bytes[at] == 0x76 && (8..=10).contains(&(self.bytes[at + 1] >> 4)) {
                    loops.push(Loop {
                        section: self.name,
                        function,
                        at,
                        first: length(self.bytes[at + 3]),
                    });
                }
                at += length(self.bytes[at]);
            }
        }
        loops
    }
}

/// Bytes of an instruction by its first one: of the base, the narrow and the vector instructions.
fn length(first: u8) -> usize {
    match first & 15 {
        0..=7 => 3,
        8..=13 => 2,
        _ => 4,
    }
}

/// The sections with instructions of a little-endian ELF32 object or image.
fn sections(elf: &[u8]) -> Result<Vec<Section<'_>>> {
    let part = |at: usize, size: usize| elf.get(at..at + size).context("the ELF is cut short");
    let number = |at: usize, size: usize| -> Result<usize> {
        let bytes = part(at, size)?.iter().rev();
        Ok(bytes.fold(0, |number, byte| number << 8 | usize::from(*byte)))
    };
    let text = |at: usize| -> Result<&str> {
        let rest = elf.get(at..).context("the ELF is cut short")?;
        let end = rest.iter().position(|byte| *byte == 0);
        Ok(std::str::from_utf8(&rest[..end.unwrap_or_default()])?)
    };
    let (table, count, names) = (number(32, 4)?, number(48, 2)?, number(50, 2)?);
    // ELF: name, type, flags, address, offset, size, link.
    let header = |section: usize, word: usize| number(table + 40 * section + 4 * word, 4);
    let mut found: Vec<(usize, Section)> = Vec::new();
    for index in 0..count {
        // With contents, and executable.
        if header(index, 1)? == 1 && header(index, 2)? & 4 != 0 {
            let section = Section {
                name: text(header(names, 4)? + header(index, 0)?)?,
                address: header(index, 3)?,
                bytes: part(header(index, 4)?, header(index, 5)?)?,
                symbols: Vec::new(),
            };
            found.push((index, section));
        }
    }
    for index in 0..count {
        // The table of symbols: name, value, size, kind and binding, other, section.
        if header(index, 1)? != 2 {
            continue;
        }
        let strings = header(header(index, 6)?, 4)?;
        let (from, size) = (header(index, 4)?, header(index, 5)?);
        for symbol in (from..from + size).step_by(16) {
            let of = number(symbol + 14, 2)?;
            let Some((_, section)) = found.iter_mut().find(|(index, _)| *index == of) else {
                continue;
            };
            let at = number(symbol + 4, 4)?.wrapping_sub(section.address);
            if at < section.bytes.len() {
                section.symbols.push(Symbol {
                    at,
                    name: text(strings + number(symbol, 4)?)?,
                    global: number(symbol + 12, 1)? >> 4 == 1,
                });
            }
        }
    }
    let mut sections: Vec<Section> = found.into_iter().map(|(_, section)| section).collect();
    for section in &mut sections {
        section.symbols.sort_by_key(|symbol| symbol.at);
    }
    Ok(sections)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPNEZ: [u8; 3] = [0x76, 0x92, 0x05];
    const NOP: [u8; 3] = [0xF0, 0x20, 0x00];
    const NOP_N: [u8; 2] = [0x3D, 0xF0];
    const VECTOR: [u8; 4] = [0x0F, 0, 0, 0];

    fn code<'e>(bytes: &'e [u8], symbols: &[usize]) -> Section<'e> {
        let symbol = |at: &usize| Symbol {
            at: *at,
            name: "f",
            global: true,
        };
        Section {
            name: ".text",
            address: 0,
            bytes,
            symbols: symbols.iter().map(symbol).collect(),
        }
    }

    /// Bytes that the only loop in `parts` should begin later.
    fn missing(parts: &[&[u8]]) -> usize {
        let bytes = parts.concat();
        let section = code(&bytes, &[0]);
        let loops = section.loops();
        assert_eq!(loops.len(), 1);
        loops[0].missing(0)
    }

    #[test]
    fn the_first_instruction_of_a_body_is_within_a_word() {
        // The body begins at byte 3: even two bytes cross.
        assert_eq!(missing(&[&LOOPNEZ, &NOP_N]), 1);
        assert_eq!(missing(&[&LOOPNEZ, &NOP]), 1);
        assert_eq!(missing(&[&LOOPNEZ, &VECTOR]), 1);
        // At byte 5, which is 1 in its word.
        assert_eq!(missing(&[&NOP_N, &LOOPNEZ, &NOP_N]), 0);
        assert_eq!(missing(&[&NOP_N, &LOOPNEZ, &NOP]), 0);
        assert_eq!(missing(&[&NOP_N, &LOOPNEZ, &VECTOR]), 3);
        // At byte 6, which is 2.
        assert_eq!(missing(&[&NOP, &LOOPNEZ, &NOP_N]), 0);
        assert_eq!(missing(&[&NOP, &LOOPNEZ, &NOP]), 2);
        assert_eq!(missing(&[&NOP, &LOOPNEZ, &VECTOR]), 2);
        // At byte 8.
        assert_eq!(missing(&[&NOP, &NOP_N, &LOOPNEZ, &VECTOR]), 0);
    }

    #[test]
    fn instructions_are_counted_from_symbols_on() {
        // A byte that fills, read as an instruction, would swallow the loop.
        let bytes = [&[0][..], &LOOPNEZ, &NOP_N].concat();
        assert!(code(&bytes, &[0]).loops().is_empty());
        assert_eq!(code(&bytes, &[0, 1]).loops().len(), 1);
        assert_eq!(code(&bytes, &[0, 1, 4]).loops().len(), 1);
        // A literal with the bytes of a loop is none.
        let mut literals = code(&bytes, &[1]);
        literals.symbols[0].name = "_literals_iram";
        assert!(literals.loops().is_empty());
        // The bytes of a loop within another instruction are none.
        let bytes = [&[0x00][..], &LOOPNEZ, &NOP_N].concat();
        assert!(code(&bytes, &[0]).loops().is_empty());
    }

    /// An ELF32 with one section of code and the symbols `f`, global, and `narrow_at_` by number.
    fn elf(bytes: &[u8], narrow: &[(u32, u32)], address: u32) -> Vec<u8> {
        let mut strings = b"\0.text\0f\0".to_vec();
        let mut symbols = vec![[0u32; 4], [7, address, 0, 0x0001_0010]];
        for (number, at) in narrow {
            symbols.push([strings.len() as u32, address + at, 0, 0x0001_0000]);
            strings.extend(format!("{NAMED}{number}\0").bytes());
        }
        let symbols: Vec<u8> = (symbols.iter().flatten())
            .flat_map(|word| word.to_le_bytes())
            .collect();
        let code_at = 52 + 4 * 40;
        let symbols_at = code_at + bytes.len() as u32;
        let strings_at = symbols_at + symbols.len() as u32;
        let mut elf = vec![0; 52];
        elf[32] = 52;
        elf[48] = 4;
        elf[50] = 3;
        for header in [
            [0; 10],
            [1, 1, 6, address, code_at, bytes.len() as u32, 0, 0, 4, 0],
            [0, 2, 0, 0, symbols_at, symbols.len() as u32, 3, 0, 4, 16],
            [0, 3, 0, 0, strings_at, strings.len() as u32, 0, 0, 1, 0],
        ] {
            elf.extend(header.iter().flat_map(|word: &u32| word.to_le_bytes()));
        }
        elf.extend(bytes);
        elf.extend(symbols);
        elf.extend(strings);
        elf
    }

    #[test]
    fn images_with_misaligned_loops_are_refused_by_name() {
        let aligned = [&NOP[..], &NOP_N, &LOOPNEZ, &NOP].concat();
        check(&elf(&aligned, &[], 0x4037_8000)).expect("aligned");
        let crossing = [&NOP[..], &LOOPNEZ, &NOP].concat();
        let error = check(&elf(&crossing, &[], 0x4037_8000)).expect_err("crosses a word");
        let error = error.to_string();
        assert!(
            error.contains("the loop in f (.text+0x3) (at 0x40378003)"),
            "{error}"
        );
    }

    #[test]
    fn the_nearest_narrow_instructions_become_wide() {
        // Bodies at 9 and 18, of which the second wants two bytes. Neither the first instruction of the first body
        // nor what is in front may change, unless there is too little behind.
        let code = |second: &[u8]| {
            let front = [&NOP_N[..], &NOP_N, &NOP_N, &LOOPNEZ];
            [
                &front.concat(),
                &NOP_N[..],
                &NOP_N,
                &NOP_N,
                &LOOPNEZ,
                second,
            ]
            .concat()
        };
        let narrow = [(1, 0), (2, 9), (3, 11), (4, 13)];
        let widen = |second: &[u8], narrow: &[(u32, u32)]| {
            to_widen(&elf(&code(second), narrow, 0)).map_err(|error| error.to_string())
        };
        assert_eq!(widen(&NOP_N, &narrow), Ok(vec![]));
        assert_eq!(widen(&VECTOR, &narrow), Ok(vec![4, 3]));
        // The first body can be one byte later, the second then wants only one more.
        assert_eq!(widen(&VECTOR, &narrow[..3]), Ok(vec![1, 3]));
        let error = widen(&VECTOR, &narrow[1..3]).expect_err("only one");
        assert!(error.contains("the loop in f (.text+0x6)"), "{error}");
    }
}
