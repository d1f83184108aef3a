//! Facts of the ESP32-S3: registers, eFuse fields, security flags, flash ids.
//!
//! Register addresses and field positions are those of the ESP32-S3 technical reference manual
//! (eFuse controller, SPI1, low-power management).

use crate::error::FlashError;
use crate::plan::ESP32S3_CHIP_ID;
use espflash::target::Chip;

/// Reads as a number that differs between chip families.
pub(crate) const MAGIC_REGISTER: u32 = 0x4000_1000;
pub(crate) const MAGIC: u32 = 9;

/// eFuse BLOCK1 words 0, 1, 3 and 5: MAC, revision and package.
pub(crate) const EFUSE_WORDS: [u32; 4] = [0x6000_7044, 0x6000_7048, 0x6000_7050, 0x6000_7058];
/// eFuse BLOCK1 word 4: PSRAM.
pub(crate) const EFUSE_WORD_4: u32 = 0x6000_7054;

pub(crate) const SPI_CMD: u32 = 0x6000_2000;
pub(crate) const SPI_USR: u32 = 0x6000_2018;
pub(crate) const SPI_USR2: u32 = 0x6000_2020;
pub(crate) const SPI_MISO_DLEN: u32 = 0x6000_2028;
pub(crate) const SPI_W0: u32 = 0x6000_2058;
/// Bit of [`SPI_CMD`] that starts a user-defined transaction and stays set while it runs.
pub(crate) const SPI_CMD_USR: u32 = 1 << 18;

/// Address, value, mask.
pub(crate) type RegisterWrite = (u32, u32, u32);
const ALL: u32 = u32::MAX;

/// Sends the flash command 9F (read identification) and receives 24 bits.
pub(crate) const READ_FLASH_ID: [RegisterWrite; 5] = [
    (SPI_MISO_DLEN, 23, ALL),
    (SPI_USR, 1 << 31 | 1 << 28, ALL),
    (SPI_USR2, 7 << 28 | 0x9F, ALL),
    (SPI_W0, 0, ALL),
    (SPI_CMD, SPI_CMD_USR, ALL),
];

/// Stops the RTC watchdog and makes the super watchdog feed itself. A reset through the USB
/// peripheral leaves both running, and they would end the session after a few seconds.
pub(crate) const QUIET_WATCHDOGS: [RegisterWrite; 6] = [
    (0x6000_80B0, 0x50D8_3AA1, ALL),
    (0x6000_8098, 0, ALL),
    (0x6000_80B0, 0, ALL),
    (0x6000_80B8, 0x8F1D_312A, ALL),
    (0x6000_80B4, 1 << 31, 1 << 31),
    (0x6000_80B8, 0, ALL),
];

/// Clears the request to start in the loader again, which survives a reset.
pub(crate) const CLEAR_FORCED_DOWNLOAD: [RegisterWrite; 1] = [(0x6000_812C, 0, 1)];

/// eFuse BLOCK2 word 4: version of the block's layout.
pub(crate) const EFUSE_BLOCK_VERSION: u32 = 0x6000_706C;

/// Lets the RTC watchdog reset the whole chip within a few milliseconds: the way out where there are
/// no reset lines.
pub(crate) const WATCHDOG_RESET: [RegisterWrite; 4] = [
    (0x6000_80B0, 0x50D8_3AA1, ALL),
    (0x6000_809C, 2_000, ALL),
    (0x6000_8098, 1 << 31 | 5 << 28 | 1 << 8 | 2, ALL),
    (0x6000_80B0, 0, ALL),
];

/// Answer of GET_SECURITY_INFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SecurityInfo {
    flags: u32,
    flash_crypt_cnt: u8,
    chip_id: u32,
}

impl SecurityInfo {
    pub(crate) const BYTES: usize = 20;

    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let word = |at: usize| {
            Some(u32::from_le_bytes(
                payload.get(at..at + 4)?.try_into().ok()?,
            ))
        };
        Some(Self {
            flags: word(0)?,
            flash_crypt_cnt: *payload.get(4)?,
            chip_id: word(12)?,
        })
    }

    /// Why this board must not be flashed, if so.
    pub(crate) fn objection(&self) -> Option<FlashError> {
        if self.chip_id != u32::from(ESP32S3_CHIP_ID) {
            return Some(wrong_chip_id(self.chip_id));
        }
        if self.flags & 1 << 2 != 0 {
            Some(FlashError::SecureDownloadMode)
        } else if self.flags & 1 != 0 {
            Some(FlashError::SecureBoot)
        } else if self.flash_crypt_cnt.count_ones() % 2 == 1 {
            Some(FlashError::FlashEncryption)
        } else {
            None
        }
    }
}

fn wrong_chip_id(id: u32) -> FlashError {
    let known = u16::try_from(id)
        .ok()
        .and_then(|id| Chip::try_from(id).ok());
    let found = match known {
        Some(Chip::Esp32) => "ESP32".into(),
        Some(chip) => chip.to_string().to_uppercase().replace("ESP32", "ESP32-"),
        None => format!("unknown chip (number {id})"),
    };
    FlashError::WrongChip { found }
}

/// Names a chip that has no GET_SECURITY_INFO by its magic register.
pub(crate) fn wrong_chip_magic(magic: u32) -> FlashError {
    let found = match magic {
        0x00F0_1D83 => "ESP32".into(),
        0x0000_07C6 => "ESP32-S2".into(),
        0xFFF0_C101 => "ESP8266".into(),
        other => format!("unknown chip (magic {other:#010x})"),
    };
    FlashError::WrongChip { found }
}

/// `aa:bb:cc:dd:ee:ff` from eFuse BLOCK1 words 0 and 1.
pub(crate) fn mac(w0: u32, w1: u32) -> String {
    let bytes = [&w1.to_be_bytes()[2..], &w0.to_be_bytes()[..]].concat();
    let hex: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
    hex.join(":")
}

/// Chip revision, major * 100 + minor, as image headers count it. From eFuse BLOCK1 words 3 and 5.
pub(crate) fn revision(w3: u32, w5: u32) -> u16 {
    let major = w5 >> 24 & 3;
    let minor = (w5 >> 23 & 1) << 3 | w3 >> 18 & 7;
    (major * 100 + minor) as u16
}

/// The first chips have another number in that place, told by the version of the eFuse blocks.
pub(crate) fn is_revision_0(w3: u32, block_version: u32) -> bool {
    w3 >> 18 & 7 == 0 && w3 >> 24 & 7 == 1 && block_version & 3 == 1
}

/// `v0.2`.
pub(crate) fn revision_name(revision: u16) -> String {
    format!("v{}.{}", revision / 100, revision % 100)
}

/// Revisions that an image asks for, from its header; what is out of range is what ESP-IDF writes
/// for "any".
pub(crate) fn wanted_revisions(image: &[u8]) -> std::ops::RangeInclusive<u16> {
    let field = |at: usize| {
        image
            .get(at..at + 2)
            .map_or(0, |field| u16::from_le_bytes([field[0], field[1]]))
    };
    let most = match field(17) {
        0 => u16::MAX,
        most => most,
    };
    field(15)..=most
}

/// PSRAM in the package in bytes, from eFuse BLOCK1 words 4 and 5.
pub(crate) fn psram_bytes(w4: u32, w5: u32) -> u32 {
    let megabytes = match (w5 >> 19 & 1) << 2 | w4 >> 3 & 3 {
        1 => 8,
        2 => 2,
        3 => 16,
        4 => 4,
        _ => 0,
    };
    megabytes << 20
}

/// Flash size in bytes from its identification, `None` when no flash answered or its size is
/// outside 256 KiB to 256 MiB.
pub(crate) fn flash_bytes(id: u32) -> Option<u32> {
    match id >> 16 & 0xFF {
        code @ 0x12..=0x19 => Some(1 << code),
        code @ 0x32..=0x39 => Some(1 << (code - 0x20)),
        0x1A | 0x20 | 0x3A => Some(64 << 20),
        0x1B | 0x21 => Some(128 << 20),
        0x1C | 0x22 => Some(256 << 20),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_the_rom_was_seen_to_answer() {
        let mut answer = [0; 20];
        answer[11] = 0x0C;
        answer[12] = 9;
        assert_eq!(SecurityInfo::parse(&answer).unwrap().objection(), None);
        assert_eq!(flash_bytes(0x1640C8), Some(4 << 20));
        assert_eq!(flash_bytes(0x3840C8), Some(16 << 20));
        assert_eq!((flash_bytes(0), flash_bytes(0xFF_FFFF)), (None, None));
        assert_eq!(mac(0x1234_5678, 0x0000_7CDF), "7c:df:12:34:56:78");
        assert_eq!(revision_name(revision(2 << 18, 0)), "v0.2");
        assert_eq!(revision(1 << 18, 1 << 23 | 1 << 24), 109);
        assert!(is_revision_0(1 << 24, 1) && !is_revision_0(1 << 24 | 1 << 18, 1));
        let psram = [(0, 0), (1 << 3, 0), (2 << 3, 0), (3 << 3, 0), (0, 1 << 19)];
        let megabytes = psram.map(|(w4, w5)| psram_bytes(w4, w5) >> 20);
        assert_eq!(megabytes, [0, 8, 2, 16, 4]);
    }

    #[test]
    fn names_other_chips_and_protections() {
        let info = |flags, flash_crypt_cnt, chip_id| SecurityInfo {
            flags,
            flash_crypt_cnt,
            chip_id,
        };
        let wrong = |found: &str| {
            Some(FlashError::WrongChip {
                found: found.into(),
            })
        };
        assert_eq!(info(0, 0, 5).objection(), wrong("ESP32-C3"));
        assert_eq!(info(0, 0, 0).objection(), wrong("ESP32"));
        assert_eq!(
            info(0, 0, 77).objection(),
            wrong("unknown chip (number 77)")
        );
        assert_eq!(info(1, 0, 9).objection(), Some(FlashError::SecureBoot));
        assert_eq!(
            info(5, 0, 9).objection(),
            Some(FlashError::SecureDownloadMode)
        );
        assert_eq!(info(0, 7, 9).objection(), Some(FlashError::FlashEncryption));
        assert_eq!(info(0, 3, 9).objection(), None);
        assert_eq!(wrong_chip_magic(0x00F0_1D83), wrong("ESP32").unwrap());
    }
}
