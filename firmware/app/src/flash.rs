//! The flash: read as the data cache shows it, written through SPI1. And where PSRAM is shown.
//!
//! The flash MMU has 512 entries of 64 KiB each for data at 0x3C000000 and code at 0x42000000
//! (ESP-IDF, `soc/ext_mem_defs.h`). The app itself uses the first few. Those used here lie beyond
//! the ones the bootloader maps through, so no stale cache line can be in the way.
//!
//! Only the model slot that does not run is ever written, and the record in it
//! (`fixpoint_device::slot`).

use fixpoint_device::{ErrorCode, ModelStore};
use fixpoint_runtime::Block16;

use crate::regs::{DCACHE_SYNC_ADDR, DCACHE_SYNC_CTRL, DCACHE_SYNC_SIZE, MMU_ENTRY_0};

const PAGE: u32 = 0x1_0000;
const SECTOR: u32 = 0x1000;
const DROM: u32 = 0x3C00_0000;
/// PSRAM lies between the app and [`TABLE_ENTRY`].
const PSRAM_ENTRY: u32 = 0x10;
const TABLE_ENTRY: u32 = 0x100;
const APP_ENTRY: u32 = 0x104;
const MODEL_ENTRY: u32 = 0x120;
const MAX_ENTRIES: u32 = 0x200;
/// Flags of an MMU entry that shows nothing, and of one that shows PSRAM.
const UNMAPPED: u32 = 1 << 14;
const PSRAM: u32 = 1 << 15;

const TABLE_OFFSET: u32 = 0x8000;
const TABLE_BYTES: u32 = 0xC00;
/// Type of a partition that holds a model image; same number in the flasher's `partition.rs`.
const MODEL_TYPE: u8 = 0x40;
/// Model partitions that are looked at.
const MAX_SLOTS: usize = 4;
/// Longest app image looked through for its digest.
const MAX_APP_BYTES: u32 = 0x10_0000;

const ERASE_SECTOR: u32 = 0x20;
const PROGRAM: u32 = 0x02;
/// Bytes the controller sends at once.
const BURST: usize = 64;
/// A program command stays inside one of these.
const FLASH_PAGE: u32 = 256;

// SAFETY: assembly in `support.S`, call0 ABI, matching signatures.
unsafe extern "C" {
    fn map_flash(entry: u32, page: u32, count: u32);
    fn flash_write(command: u32, address: u32, data: *const u32, bytes: u32) -> u32;
}

/// What the model partitions hold.
pub(crate) struct Models {
    /// The model to run, at a 16-byte aligned address, or why there is none.
    pub(crate) image: Result<&'static [u8], ErrorCode>,
    /// The slot for the next one.
    pub(crate) spare: Option<Spare>,
}

#[derive(Clone, Copy)]
struct Slot {
    offset: u32,
    size: u32,
    /// First MMU entry of its window.
    entry: u32,
}

/// Maps the model partitions and chooses the one to run.
pub(crate) fn find_models() -> Models {
    let table = window(TABLE_ENTRY, TABLE_OFFSET, TABLE_BYTES);
    let mut slots = [None; MAX_SLOTS];
    let mut free_entry = MODEL_ENTRY;
    let mut places = slots.iter_mut();
    for entry in table.chunks_exact(32) {
        let &[0xAA, 0x50, kind, _, a, b, c, d, e, f, g, h, ..] = entry else {
            break;
        };
        let offset = u32::from_le_bytes([a, b, c, d]);
        let size = u32::from_le_bytes([e, f, g, h]);
        let pages = (u64::from(offset % PAGE) + u64::from(size)).div_ceil(u64::from(PAGE));
        let odd = offset % SECTOR != 0 || size % SECTOR != 0 || pages == 0;
        if kind != MODEL_TYPE || odd || pages > u64::from(MAX_ENTRIES - free_entry) {
            continue;
        }
        let Some(place) = places.next() else {
            break;
        };
        let bytes = window(free_entry, offset, size);
        let slot = Slot {
            offset,
            size,
            entry: free_entry,
        };
        *place = Some((slot, bytes));
        free_entry += (offset % PAGE + size).div_ceil(PAGE);
    }
    let choice = fixpoint_device::choose(slots.iter().flatten().map(|&(_, bytes)| bytes));
    let spare = choice
        .spare
        .and_then(|index| slots.iter().flatten().nth(index));
    Models {
        image: choice.image,
        spare: spare.map(|&(slot, _)| Spare {
            slot,
            rank: choice.rank,
        }),
    }
}

/// The first four bytes of the SHA-256 at the end of the running image; 0 when it has none.
///
/// The bootloader maps the image's first page at the start of the data window (`link.ld`).
pub(crate) fn runtime_id() -> u32 {
    const PAGE_NUMBER: u32 = 0x3FFF;
    let offset = (MMU_ENTRY_0.read() & PAGE_NUMBER) * PAGE;
    let image = window(APP_ENTRY, offset, MAX_APP_BYTES);
    let word = |at: u32| {
        let bytes = image.get(at as usize..)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*bytes))
    };
    let digest = || {
        let (&segments, &hashed) = (image.get(1)?, image.get(23)?);
        let mut at = 24u32;
        for _ in 0..segments {
            at = at.checked_add(8)?.checked_add(word(at + 4)?)?;
        }
        // Behind a checksum that ends a row of 16 bytes.
        let end = (at / 16).checked_add(1)?.checked_mul(16)?;
        word(end).filter(|_| hashed == 1)
    };
    digest().unwrap_or(0)
}

/// `length` bytes of flash from `offset` on, shown from MMU entry `entry` on, which nothing else
/// may use before or after.
fn window(entry: u32, offset: u32, length: u32) -> &'static [u8] {
    let start = offset % PAGE;
    // SAFETY: the range of entries is free (see above) and, by the callers' limits, in the table.
    unsafe { map_flash(entry, offset / PAGE, (start + length).div_ceil(PAGE)) };
    let address = DROM + entry * PAGE + start;
    // SAFETY: mapped just now, read-only, and any bytes are valid `u8`s.
    unsafe { core::slice::from_raw_parts(address as *const u8, length as usize) }
}

/// Shows the first `bytes` of PSRAM, as much as there is room for, read anew if they were shown before:
/// the address, and how many blocks.
pub(crate) fn show_psram(bytes: u32) -> (u32, u32) {
    let pages = (bytes / PAGE).min(TABLE_ENTRY - PSRAM_ENTRY);
    // SAFETY: nothing else uses these entries.
    unsafe { map_flash(PSRAM_ENTRY, PSRAM, pages) };
    (
        DROM + PSRAM_ENTRY * PAGE,
        pages * (PAGE / size_of::<Block16>() as u32),
    )
}

/// Puts `bytes` from `address` on, where PSRAM is shown, from the data cache into it.
pub(crate) fn write_back(address: u32, bytes: u32) {
    const WRITE_BACK: u32 = 1 << 1;
    const DONE: u32 = 1 << 3;
    DCACHE_SYNC_ADDR.write(address);
    // In lines of at least 16 bytes. Lines behind these hold nothing that is newer than what they show.
    DCACHE_SYNC_SIZE.write(bytes / 16);
    DCACHE_SYNC_CTRL.modify(WRITE_BACK, WRITE_BACK);
    // Bounded like the waits of `map_flash`.
    let mut patience = 0x1_0000;
    while DCACHE_SYNC_CTRL.read() & DONE == 0 && patience > 0 {
        patience -= 1;
    }
}

/// The model slot that does not run.
pub(crate) struct Spare {
    slot: Slot,
    /// Of the model that runs.
    rank: u32,
}

impl Spare {
    /// The slot's bytes as they are in flash now: taking a page away and mapping it anew drops its cache
    /// lines (a mapping that stays the same keeps what was read through it in Espressif's QEMU).
    fn fresh(&self, offset: u32, length: u32) -> &[u8] {
        let start = self.slot.offset % PAGE + offset;
        let first = start / PAGE;
        let count = (start % PAGE + length).div_ceil(PAGE);
        let entry = self.slot.entry + first;
        // SAFETY: entries of this slot's window, showing what they showed before.
        unsafe {
            map_flash(entry, UNMAPPED, count);
            map_flash(entry, self.slot.offset / PAGE + first, count);
        }
        let address = DROM + self.slot.entry * PAGE + start;
        // SAFETY: inside the window; written only between borrows, as `erase` and `program` take `&mut self`.
        unsafe { core::slice::from_raw_parts(address as *const u8, length as usize) }
    }

    fn inside(&self, offset: u32, length: u32) -> bool {
        offset
            .checked_add(length)
            .is_some_and(|end| end <= self.slot.size)
    }
}

impl ModelStore for Spare {
    fn bytes(&self) -> u32 {
        self.slot.size
    }

    fn running_rank(&self) -> u32 {
        self.rank
    }

    fn erase(&mut self, offset: u32) -> bool {
        if !self.inside(offset, SECTOR) {
            return false;
        }
        let address = self.slot.offset + offset;
        // SAFETY: a sector of the slot that nothing runs from; `&mut self`, so nobody looks at it.
        let busy = unsafe { flash_write(ERASE_SECTOR, address, core::ptr::null(), 0) };
        busy == 0
    }

    fn program(&mut self, offset: u32, bytes: &[u8]) -> bool {
        let Ok(length) = u32::try_from(bytes.len()) else {
            return false;
        };
        if !self.inside(offset, length) {
            return false;
        }
        let mut address = self.slot.offset + offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let in_page = (FLASH_PAGE - address % FLASH_PAGE) as usize;
            let (burst, behind) = rest.split_at(rest.len().min(BURST).min(in_page));
            // A copy in RAM, in words: `bytes` need be neither.
            let mut words = [0; BURST / 4];
            for (word, four) in words.iter_mut().zip(burst.chunks(4)) {
                let mut padded = [0xFF; 4];
                padded[..four.len()].copy_from_slice(four);
                *word = u32::from_le_bytes(padded);
            }
            // SAFETY: inside the slot, see `erase`; at most 64 bytes, inside one page of flash.
            let busy = unsafe { flash_write(PROGRAM, address, words.as_ptr(), burst.len() as u32) };
            if busy != 0 {
                return false;
            }
            address += burst.len() as u32;
            rest = behind;
        }
        self.fresh(offset, length) == bytes
    }

    fn look(&mut self, bytes: u32, see: &mut dyn FnMut(&[u8])) {
        if self.inside(0, bytes) {
            see(self.fresh(0, bytes));
        }
    }
}
