//! What of an ELF file is needed: what to load where, the entry, and the functions' names.

use std::fmt;

/// A loadable part: bytes of the file at an address, zeros behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    pub address: u32,
    pub bytes: &'a [u8],
    /// Bytes in memory, at least as many as in the file.
    pub size: u32,
}

/// A function, or a label in assembly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    pub name: String,
    pub address: u32,
    /// Bytes; labels have none.
    pub size: u32,
}

/// An ELF file for Xtensa.
#[derive(Clone, Debug)]
pub struct Elf<'a> {
    pub entry: u32,
    pub segments: Vec<Segment<'a>>,
    /// By address.
    pub symbols: Vec<Symbol>,
}

/// The bytes are no 32-bit little-endian ELF executable for Xtensa, or are cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotElf(&'static str);

impl fmt::Display for NotElf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an ELF file for Xtensa: {}", self.0)
    }
}

impl std::error::Error for NotElf {}

const XTENSA: u16 = 94;
const LOAD: u32 = 1;
const SYMBOLS: u32 = 2;
/// Symbol types that can be in code: without type, function.
const NO_TYPE: u8 = 0;
const FUNCTION: u8 = 2;

impl<'a> Elf<'a> {
    /// # Errors
    /// When the bytes are not such a file.
    pub fn parse(file: &'a [u8]) -> Result<Self, NotElf> {
        let header = file.get(..52).ok_or(NotElf("too short"))?;
        if !header.starts_with(b"\x7FELF\x01\x01") {
            return Err(NotElf("another magic, width or byte order"));
        }
        if half(header, 18) != XTENSA {
            return Err(NotElf("for another machine"));
        }
        let table = |offset: u32, size: u16, count: u16| {
            let rows = usize::from(size).max(1);
            part(file, offset, u32::from(size) * u32::from(count)).map(|t| t.chunks_exact(rows))
        };
        let programs = table(word(header, 28), half(header, 42), half(header, 44))?;
        let mut segments = Vec::new();
        for program in programs.filter(|p| p.len() >= 32 && word(p, 0) == LOAD) {
            let size = word(program, 16);
            let bytes = part(file, word(program, 4), size)?;
            segments.push(Segment {
                // Physical and virtual addresses are the same here.
                address: word(program, 8),
                bytes,
                size: word(program, 20).max(size),
            });
        }
        let sections: Vec<&[u8]> = table(word(header, 32), half(header, 46), half(header, 48))?
            .filter(|section| section.len() >= 40)
            .collect();
        let mut symbols = Vec::new();
        for section in sections.iter().filter(|s| word(s, 4) == SYMBOLS) {
            let names = sections.get(word(section, 24) as usize);
            let names = names.ok_or(NotElf("a symbol table without names"))?;
            let names = part(file, word(names, 16), word(names, 20))?;
            let entries = part(file, word(section, 16), word(section, 20))?;
            symbols.extend(entries.chunks_exact(16).filter_map(|e| symbol(e, names)));
        }
        symbols.sort_by(|a, b| (a.address, &a.name).cmp(&(b.address, &b.name)));
        Ok(Self {
            entry: word(header, 24),
            segments,
            symbols,
        })
    }
}

fn symbol(entry: &[u8], names: &[u8]) -> Option<Symbol> {
    let kind = entry[12] & 15;
    let section = half(entry, 14);
    let (undefined, reserved) = (section == 0, section >= 0xFF00);
    if !matches!(kind, NO_TYPE | FUNCTION) || undefined || reserved {
        return None;
    }
    let name = names.get(word(entry, 0) as usize..)?;
    let name = name.split(|&byte| byte == 0).next()?;
    if name.is_empty() {
        return None;
    }
    Some(Symbol {
        name: String::from_utf8_lossy(name).into_owned(),
        address: word(entry, 4),
        size: word(entry, 8),
    })
}

fn part(file: &[u8], offset: u32, size: u32) -> Result<&[u8], NotElf> {
    let start = offset as usize;
    let end = start.checked_add(size as usize);
    end.and_then(|end| file.get(start..end))
        .ok_or(NotElf("a part lies beyond its end"))
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
