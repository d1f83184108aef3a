//! What the mask ROM and ESP-IDF's second-stage bootloader make of the flash, and what they print.
//!
//! The bootloader's code is not run; what it checks is: image header, chip, checksum and SHA-256,
//! the partition table's entries and MD5, and the choice between two apps (OTA data).

use md5::{Digest as _, Md5};
use sha2::Sha256;
use std::fmt::Write;

const BOOTLOADER: u32 = 0;
const TABLE: u32 = 0x8000;
const TABLE_BYTES: u32 = 0xC00;
const IMAGE_MAGIC: u8 = 0xE9;
const CHIP_ID: u16 = 9;

/// How a start ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Boot {
    /// The bootloader jumps to the application.
    Application(Application),
    /// The ROM found no bootloader and repeats this line.
    NoBootloader { repeated: String },
    /// The bootloader found nothing to start.
    NoApplication,
}

/// An image that ROM and bootloader take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    pub entry: u32,
    pub segments: Vec<Segment>,
}

/// A part of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where the program wants it.
    pub address: u32,
    /// Bytes.
    pub size: u32,
    /// Offset in flash.
    pub at: u32,
}

/// What the bootloader does with a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Entries of the flash MMU's table, with their values.
    Mapped(Vec<(u32, u32)>),
    /// Copied to where it belongs.
    Loaded,
    /// Its address and its place in flash differ modulo the MMU's page.
    Impossible,
}

/// Bytes that one entry of the flash MMU's table maps.
const MMU_PAGE: u32 = 0x1_0000;

impl Segment {
    /// Whether it is seen through the cache and not copied.
    fn is_mapped(&self) -> bool {
        matches!(self.address >> 24, 0x3C | 0x3D | 0x42 | 0x43)
    }

    /// What the bootloader does with it.
    pub fn start(&self) -> Start {
        if !self.is_mapped() {
            return Start::Loaded;
        }
        if self.address % MMU_PAGE != self.at % MMU_PAGE {
            return Start::Impossible;
        }
        let pages = (self.address % MMU_PAGE)
            .saturating_add(self.size)
            .div_ceil(MMU_PAGE);
        let entry = self.address % (32 << 20) / MMU_PAGE;
        let page = self.at / MMU_PAGE;
        Start::Mapped((0..pages).map(|n| (entry + n, page + n)).collect())
    }
}

struct Entry {
    kind: u8,
    subtype: u8,
    offset: u32,
    size: u32,
    label: String,
}

/// Starts what is in `flash` after a reset for the reason `reset`; what is printed goes to `log`.
pub fn boot(flash: &[u8], reset: &str, log: &mut String) -> Boot {
    let _ = write!(
        log,
        "ESP-ROM:esp32s3-20210327\r\nBuild:Mar 27 2021\r\n\
         rst:{reset},boot:0x8 (SPI_FAST_FLASH_BOOT)\r\n"
    );
    let bootloader = match image(flash, BOOTLOADER) {
        Ok(image) => image,
        Err(_) => {
            let header = part(flash, BOOTLOADER, 4).unwrap_or(&[0xFF; 4]);
            let header = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
            let repeated = if header as u8 == IMAGE_MAGIC {
                "ets_loader.c 78 \r\nSHA-256 comparison failed\r\n".to_owned()
            } else {
                format!("invalid header: {header:#010x}\r\n")
            };
            log.push_str(&repeated);
            return Boot::NoBootloader { repeated };
        }
    };
    log.push_str("SPIWP:0xee\r\nmode:DIO, clock div:1\r\n");
    for Segment { address, size, .. } in &bootloader.segments {
        let _ = write!(log, "load:{address:#010x},len:{size:#x}\r\n");
    }
    let _ = write!(log, "entry {:#010x}\r\n", bootloader.entry);
    second_stage(flash, log)
}

fn second_stage(flash: &[u8], log: &mut String) -> Boot {
    log.push_str("I (24) boot: ESP-IDF 2nd stage bootloader (virtual board)\r\n");
    let Some(entries) = table(flash) else {
        log.push_str("E (33) flash_parts: partition table is missing or damaged\r\n");
        log.push_str("E (34) boot: Failed to verify partition table\r\n");
        return Boot::NoApplication;
    };
    log.push_str("I (32) boot: Partition Table:\r\n");
    log.push_str("I (33) boot: ## Label            Usage          Type ST Offset   Length\r\n");
    for (index, entry) in entries.iter().enumerate() {
        let usage = match (entry.kind, entry.subtype) {
            (0, 0) => "factory app",
            (0, 0x10..=0x1F) => "OTA app",
            (1, 0) => "OTA data",
            _ => "Unknown data",
        };
        let _ = write!(
            log,
            "I (33) boot: {index:2} {:<16} {usage:<16} {:02x} {:02x} {:08x} {:08x}\r\n",
            entry.label, entry.kind, entry.subtype, entry.offset, entry.size
        );
    }
    for app in order(flash, &entries) {
        match image(flash, app.offset).and_then(|image| described(flash, image)) {
            Ok(image) => {
                loaded(app, &image, log);
                return Boot::Application(image);
            }
            Err(reason) => {
                let label = &app.label;
                let _ = write!(log, "E (36) esp_image: {reason}\r\n");
                let _ = write!(
                    log,
                    "E (36) boot: app partition {label} is not bootable\r\n"
                );
            }
        }
    }
    log.push_str("E (36) boot: No bootable app partitions in the partition table\r\n");
    Boot::NoApplication
}

fn loaded(app: &Entry, image: &Application, log: &mut String) {
    for (index, segment) in image.segments.iter().enumerate() {
        let Segment { address, size, at } = segment;
        let mapped = segment.is_mapped();
        let _ = write!(
            log,
            "I (36) esp_image: segment {index}: paddr={at:08x} vaddr={address:08x} \
             size={size:05x}h ({size:6}) {}\r\n",
            if mapped { "map" } else { "load" }
        );
    }
    let _ = write!(
        log,
        "I (41) boot: Loaded app from partition at offset {:#x}\r\n",
        app.offset
    );
}

/// The order in which the bootloader tries app partitions: the one that the OTA data selects, then
/// those before it down to the factory app, then those behind it. Without valid OTA data: factory, or
/// the first OTA slot.
fn order<'e>(flash: &[u8], entries: &'e [Entry]) -> Vec<&'e Entry> {
    let factory = entries.iter().find(|e| e.kind == 0 && e.subtype == 0);
    let slots: Vec<&Entry> = (0x10..0x20)
        .map_while(|st| entries.iter().find(|e| e.kind == 0 && e.subtype == st))
        .collect();
    let data = entries.iter().find(|e| (e.kind, e.subtype) == (1, 0));
    let chosen = data
        .and_then(|data| selected(flash, data.offset))
        .filter(|_| !slots.is_empty())
        .map(|sequence| (sequence - 1) as usize % slots.len());
    match (chosen, factory) {
        (Some(chosen), _) => {
            let (before, from) = slots.split_at(chosen);
            let first = from.iter().take(1).chain(before.iter().rev());
            let rest = from.iter().skip(1);
            first.copied().chain(factory).chain(rest.copied()).collect()
        }
        (None, Some(factory)) => [factory].into_iter().chain(slots).collect(),
        (None, None) => slots,
    }
}

/// The highest valid sequence number of the two sectors of OTA data.
fn selected(flash: &[u8], offset: u32) -> Option<u32> {
    let entry = |at| {
        let entry = part(flash, at, 32)?;
        let (sequence, crc) = (word(entry), word(&entry[28..]));
        // CRC-32 from a register of zeros, over the sequence number alone.
        let sum = entry[..4].iter().fold(0u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| {
                crc >> 1 ^ if crc & 1 != 0 { 0xEDB8_8320 } else { 0 }
            })
        });
        (sequence != u32::MAX && sequence != 0 && !sum == crc).then_some(sequence)
    };
    entry(offset).max(entry(offset.saturating_add(0x1000)))
}

/// The app descriptor stands at the start of the first segment, which is data seen through the cache.
fn described(flash: &[u8], image: Application) -> Result<Application, String> {
    const DESCRIPTOR_MAGIC: u32 = 0xABCD_5432;
    const DESCRIPTOR_BYTES: u32 = 256;
    let first = image.segments.first().filter(|segment| {
        matches!(segment.address >> 24, 0x3C | 0x3D) && segment.size >= DESCRIPTOR_BYTES
    });
    let magic = first
        .and_then(|segment| part(flash, segment.at, 4))
        .map(word);
    match magic {
        Some(DESCRIPTOR_MAGIC) => Ok(image),
        Some(magic) => Err(format!("app descriptor has invalid magic {magic:#010x}")),
        None => Err("the first segment is not data with an app descriptor".into()),
    }
}

/// `size` bytes of flash from `offset` on, if it has them.
fn part(flash: &[u8], offset: u32, size: u32) -> Option<&[u8]> {
    let start = offset as usize;
    flash.get(start..start.checked_add(size as usize)?)
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// Checks an image as ROM and bootloader do: header, chip, segments, checksum, SHA-256.
fn image(flash: &[u8], start: u32) -> Result<Application, String> {
    let cut = || format!("image at {start:#x} reaches beyond the flash");
    let get = |at: u32, size: u32| part(flash, start.saturating_add(at), size).ok_or_else(cut);
    let header = get(0, 24)?;
    if header[0] != IMAGE_MAGIC {
        return Err(format!(
            "image at {start:#x} has invalid magic byte (nothing flashed here?)"
        ));
    }
    let chip = u16::from_le_bytes([header[12], header[13]]);
    if chip != CHIP_ID {
        return Err(format!(
            "image at {start:#x} is for chip {chip}, not for this one"
        ));
    }
    let (count, hashed) = (header[1], header[23] == 1);
    let entry = word(&header[4..]);
    let mut segments = Vec::new();
    let mut checksum = 0xEF;
    let mut at = 24;
    for _ in 0..count {
        let head = get(at, 8)?;
        let (address, size) = (word(head), word(&head[4..]));
        let data = get(at.saturating_add(8), size)?;
        checksum = data.iter().fold(checksum, |sum: u8, byte| sum ^ byte);
        segments.push(Segment {
            address,
            size,
            at: start + at + 8,
        });
        at = at.saturating_add(8).saturating_add(size);
    }
    // The checksum is the last byte of a 16-byte row.
    let end = (at / 16 + 1) * 16;
    if get(end - 1, 1)?[0] != checksum {
        return Err(format!("Checksum failed. Calculated {checksum:#x}"));
    }
    if hashed && get(end, 32)? != Sha256::digest(get(0, end)?).as_slice() {
        return Err("image hash failed - image is corrupt".into());
    }
    Ok(Application { entry, segments })
}

fn table(flash: &[u8]) -> Option<Vec<Entry>> {
    let table = part(flash, TABLE, TABLE_BYTES)?;
    let mut entries = Vec::new();
    for (index, entry) in table.chunks_exact(32).enumerate() {
        match (entry[0], entry[1]) {
            (0xAA, 0x50) => {
                let label: Vec<u8> = entry[12..28]
                    .iter()
                    .copied()
                    .take_while(|&b| b != 0)
                    .collect();
                entries.push(Entry {
                    kind: entry[2],
                    subtype: entry[3],
                    offset: word(&entry[4..]),
                    size: word(&entry[8..]),
                    label: String::from_utf8_lossy(&label).into_owned(),
                });
            }
            (0xEB, 0xEB) => {
                let sum = Md5::digest(&table[..index * 32]);
                return (sum.as_slice() == &entry[16..]).then_some(entries);
            }
            _ => return None,
        }
    }
    None
}
