//! Which of two models runs: the record that host and board keep beside each.
//!
//! A model partition ("slot") holds an image from its first byte on, and in its last 4 KiB sector
//! a record, little-endian:
//!
//! | bytes | field | |
//! |---|---|---|
//! | 0..4 | magic | `FXPS` |
//! | 4..8 | sequence u32 | 1 or more; the slot with the largest one is preferred |
//! | 8..12 | image bytes u32 | |
//! | 12..16 | image id u32 | the image's own CRC |
//! | 16..20 | crc u32 | CRC-32 (ISO-HDLC) of bytes 0..16 |
//!
//! **Rule of choice**: a slot whose record is whole and names the image that lies in it ranks by its
//! sequence, any other slot ranks 0. The board runs the image of the highest rank that it accepts,
//! of equal ranks the first. A new model is written into the slot that does not run, read back, and
//! only then given a record with the next sequence: wherever the power fails, the old model runs, and if
//! the new one turns out broken, the old one runs as well.

use crate::CRC;

/// Bytes of an encoded record.
pub const RECORD_BYTES: usize = 20;

/// Bytes at the end of a slot that belong to its record: one flash sector.
pub const RECORD_SECTOR: u32 = 0x1000;

const MAGIC: [u8; 4] = *b"FXPS";

/// What a slot's record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Preference; 0 is not valid.
    pub sequence: u32,
    /// Size of the image.
    pub bytes: u32,
    /// The image's CRC, by which it is known.
    pub id: u32,
}

impl Record {
    /// The record's bytes in flash.
    pub fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut record = [0; RECORD_BYTES];
        record[..4].copy_from_slice(&MAGIC);
        record[4..8].copy_from_slice(&self.sequence.to_le_bytes());
        record[8..12].copy_from_slice(&self.bytes.to_le_bytes());
        record[12..16].copy_from_slice(&self.id.to_le_bytes());
        let crc = CRC.checksum(&record[..16]);
        record[16..].copy_from_slice(&crc.to_le_bytes());
        record
    }

    /// Reads the first bytes of a record sector; `None` for anything but a whole record.
    pub fn decode(sector: &[u8]) -> Option<Self> {
        let record = sector.first_chunk::<RECORD_BYTES>()?;
        let word = |at: usize| {
            u32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]])
        };
        let whole = record[..4] == MAGIC && word(16) == CRC.checksum(&record[..16]);
        let record = Record {
            sequence: word(4),
            bytes: word(8),
            id: word(12),
        };
        (whole && record.sequence > 0).then_some(record)
    }

    /// The rank of a slot that holds the image `id`, by the rule of choice.
    pub fn rank(record: Option<Self>, id: u32) -> u32 {
        record
            .filter(|record| record.id == id)
            .map_or(0, |record| record.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::{RECORD_BYTES, Record};

    const RECORD: Record = Record {
        sequence: 7,
        bytes: 0x1234,
        id: 0xCAFE_F00D,
    };

    #[test]
    fn only_a_whole_record_counts() {
        let bytes = RECORD.encode();
        assert_eq!(&bytes[..8], b"FXPS\x07\0\0\0");
        assert_eq!(Record::decode(&bytes), Some(RECORD));
        for bit in 0..RECORD_BYTES * 8 {
            let mut torn = bytes;
            torn[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Record::decode(&torn), None, "bit {bit}");
        }
        // Programming that stopped somewhere leaves ones.
        for end in 0..RECORD_BYTES {
            let mut torn = [0xFF; RECORD_BYTES];
            torn[..end].copy_from_slice(&bytes[..end]);
            assert_eq!(Record::decode(&torn), None, "{end} bytes");
            assert_eq!(Record::decode(&bytes[..end]), None, "{end} bytes");
        }
        let zero = Record {
            sequence: 0,
            ..RECORD
        };
        assert_eq!(Record::decode(&zero.encode()), None);
    }

    #[test]
    fn a_record_of_another_image_ranks_lowest() {
        assert_eq!(Record::rank(Some(RECORD), 0xCAFE_F00D), 7);
        assert_eq!(Record::rank(Some(RECORD), 1), 0);
        assert_eq!(Record::rank(None, 0xCAFE_F00D), 0);
    }
}
