//! The partition table of ESP-IDF: 32-byte entries, then one entry with their MD5.
//!
//! Layout of an entry (little-endian): `AA 50`, type u8, subtype u8, offset u32, size u32,
//! name `[u8; 16]` (zero-padded), flags u32. The closing entry is `EB EB`, fourteen `FF` and the
//! MD5 of all entries before it. The table fills 0xC00 bytes, unused space is `FF`.
//! Rule from ESP-IDF's partition table documentation.

use md5::{Digest, Md5};
use thiserror::Error;

/// Where the table lies in flash.
pub const TABLE_OFFSET: u32 = 0x8000;
/// Bytes the table occupies.
pub const TABLE_BYTES: usize = 0xC00;
/// Type of a partition that holds a model image. ESP-IDF leaves 0x40..=0xFE to applications.
pub const MODEL_TYPE: u8 = 0x40;

const ENTRY_BYTES: usize = 32;
const MAX_ENTRIES: usize = TABLE_BYTES / ENTRY_BYTES - 1;
const SECTOR: u32 = 0x1000;
const APP_ALIGNMENT: u32 = 0x1_0000;

/// One partition: offset and size in bytes of flash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    pub name: String,
    pub kind: u8,
    pub subtype: u8,
    pub offset: u32,
    pub size: u32,
    pub flags: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TableError {
    #[error("the partition table ends inside an entry")]
    Truncated,
    #[error("the partition table has an unknown entry {0:#06x}")]
    UnknownEntry(u16),
    #[error("the partition table does not match its MD5")]
    Md5,
    #[error("the partition table has no closing MD5 entry")]
    Unclosed,
    #[error("partition {0:?} has a name that is longer than 15 bytes or not plain text")]
    Name(String),
    #[error("partition {0:?} is not aligned to its sector (or, for an app, to 64 KiB)")]
    Alignment(String),
    #[error("partition {0:?} overlaps another one or the table itself")]
    Overlap(String),
    #[error("the partition table has more than {MAX_ENTRIES} entries")]
    TooMany,
}

/// Type of an application partition. Subtypes: 0x00 the factory app, 0x10.. the OTA slots.
pub const APP_TYPE: u8 = 0x00;
/// Type and subtype of the partition that says which OTA slot starts.
pub const OTA_DATA: (u8, u8) = (0x01, 0x00);

/// The 4 MB layout the firmware is built for: two places each for the app and for the model, so
/// that a new one is complete before the old one is let go.
pub fn default_layout() -> Vec<Partition> {
    let partition = |name: &str, kind, subtype, offset, size| Partition {
        name: name.into(),
        kind,
        subtype,
        offset,
        size,
        flags: 0,
    };
    vec![
        partition("otadata", OTA_DATA.0, OTA_DATA.1, 0x9000, 0x2000),
        partition("app0", APP_TYPE, 0x10, 0x1_0000, 0x7_0000),
        partition("app1", APP_TYPE, 0x11, 0x8_0000, 0x7_0000),
        partition("model0", MODEL_TYPE, 0x00, 0x10_0000, 0x18_0000),
        partition("model1", MODEL_TYPE, 0x01, 0x28_0000, 0x18_0000),
    ]
}

/// Encodes a table of [`TABLE_BYTES`] bytes.
pub fn build(partitions: &[Partition]) -> Result<Vec<u8>, TableError> {
    check(partitions)?;
    let mut table = Vec::with_capacity(TABLE_BYTES);
    for partition in partitions {
        table.extend_from_slice(&[0xAA, 0x50, partition.kind, partition.subtype]);
        table.extend_from_slice(&partition.offset.to_le_bytes());
        table.extend_from_slice(&partition.size.to_le_bytes());
        let mut name = [0; 16];
        name[..partition.name.len()].copy_from_slice(partition.name.as_bytes());
        table.extend_from_slice(&name);
        table.extend_from_slice(&partition.flags.to_le_bytes());
    }
    let digest = Md5::digest(&table);
    table.extend_from_slice(&[0xEB, 0xEB]);
    table.extend_from_slice(&[0xFF; 14]);
    table.extend_from_slice(&digest);
    table.resize(TABLE_BYTES, 0xFF);
    Ok(table)
}

/// Decodes a table; bytes after its closing entry are ignored.
pub fn parse(table: &[u8]) -> Result<Vec<Partition>, TableError> {
    let mut partitions = Vec::new();
    for (index, entry) in table.chunks(ENTRY_BYTES).enumerate() {
        let entry: &[u8; ENTRY_BYTES] = entry.try_into().map_err(|_| TableError::Truncated)?;
        let word = |at: usize| {
            u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]])
        };
        match [entry[0], entry[1]] {
            [0xAA, 0x50] => {
                let end = entry[12..28].iter().position(|&b| b == 0).unwrap_or(16);
                partitions.push(Partition {
                    name: String::from_utf8_lossy(&entry[12..12 + end]).into_owned(),
                    kind: entry[2],
                    subtype: entry[3],
                    offset: word(4),
                    size: word(8),
                    flags: word(28),
                });
                if partitions.len() > MAX_ENTRIES {
                    return Err(TableError::TooMany);
                }
            }
            [0xEB, 0xEB] => {
                let digest = Md5::digest(&table[..index * ENTRY_BYTES]);
                if digest[..] != entry[16..] {
                    return Err(TableError::Md5);
                }
                check(&partitions)?;
                return Ok(partitions);
            }
            other => return Err(TableError::UnknownEntry(u16::from_be_bytes(other))),
        }
    }
    Err(TableError::Unclosed)
}

fn check(partitions: &[Partition]) -> Result<(), TableError> {
    if partitions.len() > MAX_ENTRIES {
        return Err(TableError::TooMany);
    }
    let table_end = u64::from(TABLE_OFFSET + SECTOR);
    for (index, partition) in partitions.iter().enumerate() {
        let name = || partition.name.clone();
        if partition.name.len() > 15 || partition.name.chars().any(|c| c.is_control()) {
            return Err(TableError::Name(name()));
        }
        let alignment = if partition.kind == 0 {
            APP_ALIGNMENT
        } else {
            SECTOR
        };
        if !partition.offset.is_multiple_of(alignment) || !partition.size.is_multiple_of(SECTOR) {
            return Err(TableError::Alignment(name()));
        }
        let span = |p: &Partition| (u64::from(p.offset), u64::from(p.offset) + u64::from(p.size));
        let (start, end) = span(partition);
        let overlaps = partitions[..index]
            .iter()
            .map(span)
            .any(|(s, e)| start < e && s < end);
        if start < table_end || end > u64::from(u32::MAX) || overlaps {
            return Err(TableError::Overlap(name()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_matches_the_format() {
        let table = build(&default_layout()).unwrap();
        assert_eq!(table.len(), TABLE_BYTES);
        assert_eq!(table[32..44], [0xAA, 0x50, 0, 0x10, 0, 0, 1, 0, 0, 0, 7, 0]);
        assert_eq!(&table[44..49], b"app0\0");
        assert_eq!(
            table[160..176],
            [[0xEB; 2].as_slice(), &[0xFF; 14]].concat()
        );
        assert_eq!(parse(&table).unwrap(), default_layout());
    }

    #[test]
    fn every_flipped_bit_of_the_used_part_is_refused() {
        let table = build(&default_layout()).unwrap();
        for bit in 0..192 * 8 {
            let mut broken = table.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            let padding = (162..176).contains(&(bit / 8));
            assert_eq!(parse(&broken).is_err(), !padding, "bit {bit}");
        }
    }

    #[test]
    fn refuses_overlap_misalignment_and_any_short_table() {
        let mut overlapping = default_layout();
        overlapping[3].offset = 0xE_0000;
        assert_eq!(
            build(&overlapping),
            Err(TableError::Overlap("model0".into()))
        );
        let mut odd = default_layout();
        odd[1].offset = 0x1_1000;
        assert_eq!(build(&odd), Err(TableError::Alignment("app0".into())));
        let table = build(&default_layout()).unwrap();
        for end in 0..192 {
            assert!(parse(&table[..end]).is_err());
        }
        assert!(parse(&table[..192]).is_ok());
    }
}
