//! Getting bitcode out of what rustc leaves: an `ar` archive whose members are bitcode, or ELF
//! objects that carry it in a section.

use anyhow::{Context, Result, bail};

const BITCODE: &[u8] = b"BC\xC0\xDE";
const ELF: &[u8] = b"\x7FELF";

/// The bitcode of every member of a static library, in the archive's order.
///
/// # Errors
/// When the archive is malformed or a member has no bitcode.
pub(super) fn bitcode(archive: &[u8]) -> Result<Vec<&[u8]>> {
    let mut modules = Vec::new();
    for member in members(archive)? {
        if member.starts_with(BITCODE) {
            modules.push(member);
        } else if member.starts_with(ELF) {
            let section = section(member, ".llvmbc")?
                .context("an object without bitcode is in the library")?;
            modules.push(section);
        } else {
            bail!("the library has a member that is neither bitcode nor ELF");
        }
    }
    Ok(modules)
}

/// The contents of an archive's members, without its symbol table and name table.
fn members(archive: &[u8]) -> Result<Vec<&[u8]>> {
    const HEADER: usize = 60;
    let mut rest = archive
        .strip_prefix(b"!<arch>\n")
        .context("not an ar archive")?;
    let mut members = Vec::new();
    while !rest.is_empty() {
        let (header, body) = rest
            .split_at_checked(HEADER)
            .context("the archive ends inside a header")?;
        let size: usize = std::str::from_utf8(&header[48..58])?
            .trim()
            .parse()
            .context("size of an archive member")?;
        let (member, after) = body
            .split_at_checked(size)
            .context("the archive ends inside a member")?;
        let name = std::str::from_utf8(&header[..16])?.trim_end();
        if !matches!(name, "/" | "//" | "/SYM64/") {
            members.push(member);
        }
        rest = after.get(size % 2..).unwrap_or_default();
    }
    Ok(members)
}

/// The bytes of a section of a little-endian ELF32 object.
fn section<'e>(elf: &'e [u8], name: &str) -> Result<Option<&'e [u8]>> {
    let half = |at: usize| -> Result<usize> {
        let bytes = elf.get(at..at + 2).context("the object is cut short")?;
        Ok(usize::from(u16::from_le_bytes([bytes[0], bytes[1]])))
    };
    let word = |at: usize| -> Result<usize> {
        let bytes = elf.get(at..at + 4).context("the object is cut short")?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize)
    };
    if elf.get(4..6) != Some(&[1, 1]) {
        bail!("the object is not a little-endian ELF32");
    }
    let (table, entry, count, names) = (word(32)?, half(46)?, half(48)?, half(50)?);
    let names_at = word(table + names * entry + 16)?;
    for index in 0..count {
        let header = table + index * entry;
        let text = elf.get(names_at + word(header)?..).unwrap_or_default();
        if text.strip_prefix(name.as_bytes()).and_then(<[u8]>::first) == Some(&0) {
            let (offset, size) = (word(header + 16)?, word(header + 20)?);
            return Ok(Some(
                elf.get(offset..offset + size)
                    .context("the object's section is cut short")?,
            ));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = b"!<arch>\n".to_vec();
        for (name, content) in members {
            bytes.extend(format!("{name:<48}{:<10}`\n", content.len()).bytes());
            bytes.extend(*content);
            bytes.resize(bytes.len().next_multiple_of(2), b'\n');
        }
        bytes
    }

    #[test]
    fn tables_are_skipped_and_odd_members_padded() {
        let bytes = archive(&[
            ("/", b"symbols"),
            ("//", b"names"),
            ("a.o/", b"BC\xC0\xDE1"),
            ("/12", b"BC\xC0\xDE22"),
        ]);
        let modules = bitcode(&bytes).expect("well-formed");
        assert_eq!(modules, [b"BC\xC0\xDE1".as_slice(), b"BC\xC0\xDE22"]);
    }

    #[test]
    fn anything_else_is_refused() {
        assert!(bitcode(b"no archive").is_err());
        assert!(bitcode(&archive(&[("a.o/", b"text")])).is_err());
        let cut = archive(&[("a.o/", b"BC\xC0\xDE1")]);
        assert!(bitcode(&cut[..cut.len() - 3]).is_err());
    }
}
