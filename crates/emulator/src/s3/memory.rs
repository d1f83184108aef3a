//! The chip's memories and where a core sees them (ESP32-S3 Technical Reference Manual, System and
//! Memory; the flash MMU: ESP-IDF, `soc/ext_mem_defs.h`).
//!
//! | addresses | what | access |
//! |---|---|---|
//! | 0x3C000000, 32 MiB | flash and PSRAM through the MMU, in pages of 64 KiB | data; flash read only |
//! | 0x42000000, 32 MiB | the same pages | instructions, words |
//! | 0x3FC88000..0x3FCF0000 | SRAM 1, 416 KiB | data |
//! | 0x40378000..0x403E0000 | SRAM 1 | instructions, words |
//! | 0x40370000..0x40378000 | SRAM 0, 32 KiB, of which the instruction cache has its part | instructions, words |
//! | 0x3FCF0000..0x3FD00000 | SRAM 2, 64 KiB, of which the data cache has its part | data |
//! | 0x600FE000, 8 KiB | RTC fast memory | both |
//! | 0x50000000, 8 KiB | RTC slow memory | both |

use std::collections::BTreeSet;

use super::spi::SECTOR;
use crate::{Access, Cause, Trap};

/// What is mapped as one piece. Half an MMU page, as SRAM isn't aligned to more.
const PAGE_BITS: u32 = 15;
const PAGE: u32 = 1 << PAGE_BITS;
/// The part of the address space that is mapped by pages.
const MAP_START: u32 = 0x3C00_0000;
const MAP_END: u32 = 0x4400_0000;

const DATA_CACHE: u32 = 0x3C00_0000;
const INSTRUCTION_CACHE: u32 = 0x4200_0000;
/// Bytes that one entry of the MMU table maps.
const MMU_PAGE: u32 = 0x1_0000;
/// Entries of the MMU table.
pub(super) const MMU_ENTRIES: usize = 512;
const MMU_INVALID: u32 = 1 << 14;
const MMU_PSRAM: u32 = 1 << 15;
const MMU_PAGE_NUMBER: u32 = 0x3FFF;

const SRAM0: u32 = 0;
const SRAM0_BYTES: u32 = 0x8000;
const SRAM1: u32 = SRAM0 + SRAM0_BYTES;
const SRAM1_BYTES: u32 = 0x6_8000;
const SRAM2: u32 = SRAM1 + SRAM1_BYTES;
const SRAM2_BYTES: u32 = 0x1_0000;
const RTC_FAST: u32 = SRAM2 + SRAM2_BYTES;
const RTC_SLOW: u32 = RTC_FAST + RTC_BYTES;
const RTC_BYTES: u32 = 0x2000;
/// Where flash starts in the memory here, and PSRAM behind it.
const FLASH: u32 = 0x8_8000;

const _: () = assert!(RTC_SLOW + RTC_BYTES <= FLASH && FLASH.is_multiple_of(PAGE));

const RTC_FAST_ADDRESS: u32 = 0x600F_E000;
const RTC_SLOW_ADDRESS: u32 = 0x5000_0000;

/// Flags of a mapped page, beside its place in memory.
const LOAD: u32 = 1;
const STORE: u32 = 2;
const FETCH: u32 = 4;
/// On the instruction bus: data only as aligned words.
const WORDS: u32 = 8;

/// Code is watched for changes in pieces of this size.
const CODE_PAGE: usize = 4096;

/// All memories in one piece, and the map of it.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    bytes: Vec<u8>,
    flash_bytes: u32,
    psram_bytes: u32,
    /// For every page from [`MAP_START`]: where it lies in `bytes`, and flags. Zero: nothing is there.
    map: Vec<u32>,
    mmu: [u32; MMU_ENTRIES],
    /// Pieces of `bytes` that code was fetched from.
    code: Vec<bool>,
    pub(super) code_changed: bool,
    /// Sectors of flash, by their offset, that were written and not yet told of.
    written: BTreeSet<u32>,
}

impl Memory {
    /// Flash holds `flash` (at most 32 MiB count); PSRAM and SRAM are zero.
    pub(super) fn new(flash: &[u8], psram_bytes: u32) -> Self {
        let flash = &flash[..flash.len().min(32 << 20)];
        let flash_bytes = (flash.len() as u32).next_multiple_of(MMU_PAGE);
        let psram_bytes = psram_bytes.min(32 << 20).next_multiple_of(MMU_PAGE);
        let mut bytes = vec![0; FLASH as usize];
        bytes.extend_from_slice(flash);
        bytes.resize((FLASH + flash_bytes) as usize, 0xFF);
        bytes.resize((FLASH + flash_bytes + psram_bytes) as usize, 0);
        let mut memory = Self {
            code: vec![false; bytes.len() / CODE_PAGE + 1],
            bytes,
            flash_bytes,
            psram_bytes,
            map: vec![0; ((MAP_END - MAP_START) >> PAGE_BITS) as usize],
            mmu: [MMU_INVALID; MMU_ENTRIES],
            code_changed: false,
            written: BTreeSet::new(),
        };
        memory.show(
            0x4037_0000,
            SRAM0,
            SRAM0_BYTES,
            LOAD | STORE | FETCH | WORDS,
        );
        memory.show(
            0x4037_8000,
            SRAM1,
            SRAM1_BYTES,
            LOAD | STORE | FETCH | WORDS,
        );
        memory.show(0x3FC8_8000, SRAM1, SRAM1_BYTES, LOAD | STORE);
        memory.show(0x3FCF_0000, SRAM2, SRAM2_BYTES, LOAD | STORE);
        memory
    }

    fn show(&mut self, address: u32, place: u32, bytes: u32, flags: u32) {
        for offset in (0..bytes).step_by(PAGE as usize) {
            let page = (address + offset - MAP_START) >> PAGE_BITS;
            self.map[page as usize] = if flags == 0 {
                0
            } else {
                (place + offset) | flags
            };
        }
    }

    pub(super) fn mmu_entry(&self, index: usize) -> Option<u32> {
        self.mmu.get(index).copied()
    }

    /// Writes an entry of the MMU table, which both cores share; data and code see the same pages.
    pub(super) fn set_mmu_entry(&mut self, index: usize, value: u32) -> Option<()> {
        *self.mmu.get_mut(index)? = value;
        let offset = u64::from(value & MMU_PAGE_NUMBER) * u64::from(MMU_PAGE);
        let (start, size, flags) = match value & MMU_PSRAM {
            0 => (FLASH, self.flash_bytes, LOAD),
            _ => (FLASH + self.flash_bytes, self.psram_bytes, LOAD | STORE),
        };
        let valid = value & MMU_INVALID == 0 && offset < u64::from(size);
        let (place, flags) = match valid {
            true => (start + offset as u32, flags),
            false => (0, 0),
        };
        let code = if valid { flags | FETCH | WORDS } else { 0 };
        let address = index as u32 * MMU_PAGE;
        self.show(DATA_CACHE + address, place, MMU_PAGE, flags);
        self.show(INSTRUCTION_CACHE + address, place, MMU_PAGE, code);
        self.code_changed = true;
        Some(())
    }

    /// Places `bytes` as a loader does, in RAM only and whole.
    pub(super) fn place(&mut self, address: u32, bytes: &[u8]) -> Option<()> {
        for (at, &byte) in (address..).zip(bytes) {
            let index = self.locate(at, STORE, 1).map(|(index, _)| index);
            let index = index.or_else(|| rtc(at, 1))?;
            *self.bytes.get_mut(index)? = byte;
        }
        Some(())
    }

    /// Where `width` bytes at `address` lie, and the page's flags; `None` when no page with `flag` is
    /// mapped there or the bytes are in two pages.
    #[inline(always)]
    fn locate(&self, address: u32, flag: u32, width: u32) -> Option<(usize, u32)> {
        let page = address.wrapping_sub(MAP_START) >> PAGE_BITS;
        let &entry = self.map.get(page as usize)?;
        let offset = address & (PAGE - 1);
        let inside = entry & flag != 0 && offset + width <= PAGE;
        inside.then_some((((entry & !(PAGE - 1)) + offset) as usize, entry))
    }

    /// As [`Memory::locate`], for data.
    ///
    /// # Errors
    /// When the instruction bus is asked for anything but aligned words.
    #[inline(always)]
    fn find(&self, address: u32, flag: u32, width: u32) -> Result<Option<usize>, Trap> {
        let Some((at, flags)) = self.locate(address, flag, width) else {
            return Ok(None);
        };
        if flags & WORDS != 0 && (width != 4 || address & 3 != 0) {
            return Err(Trap::Exception {
                cause: Cause::LoadStoreError,
                address: Some(address),
            });
        }
        Ok(Some(at))
    }

    /// `N` bytes at `address`, if memory is there.
    #[inline(always)]
    pub(super) fn load<const N: usize>(&self, address: u32) -> Result<Option<[u8; N]>, Trap> {
        if let Some(at) = self.find(address, LOAD, N as u32)? {
            return Ok(self.bytes.get(at..at + N).and_then(|b| b.try_into().ok()));
        }
        self.load_slowly(address)
    }

    #[cold]
    fn load_slowly<const N: usize>(&self, address: u32) -> Result<Option<[u8; N]>, Trap> {
        if let Some(at) = rtc(address, N as u32) {
            return Ok(self.bytes.get(at..at + N).and_then(|b| b.try_into().ok()));
        }
        let mut value = [0; N];
        if N == 1 {
            return Ok(None);
        }
        // Bytes in two pages.
        for (at, byte) in (address..).zip(&mut value) {
            match self.load::<1>(at)? {
                Some([found]) => *byte = found,
                None => return Ok(None),
            }
        }
        Ok(Some(value))
    }

    /// Stores at `address`, if memory is there that can be written.
    #[inline(always)]
    pub(super) fn store<const N: usize>(
        &mut self,
        address: u32,
        value: [u8; N],
    ) -> Result<Option<()>, Trap> {
        let Some(at) = self.find(address, STORE, N as u32)? else {
            return self.store_slowly(address, value);
        };
        Ok(self.put(at, value))
    }

    #[inline(always)]
    fn put<const N: usize>(&mut self, at: usize, value: [u8; N]) -> Option<()> {
        self.bytes.get_mut(at..at + N)?.copy_from_slice(&value);
        let (first, last) = (at / CODE_PAGE, (at + N - 1) / CODE_PAGE);
        self.code_changed |= self.code[first] | self.code[last];
        Some(())
    }

    #[cold]
    fn store_slowly<const N: usize>(
        &mut self,
        address: u32,
        value: [u8; N],
    ) -> Result<Option<()>, Trap> {
        if let Some(at) = rtc(address, N as u32) {
            return Ok(self.put(at, value));
        }
        if N == 1 {
            return match self.find(address, LOAD, 1)? {
                Some(_) => Err(Trap::Unmodelled {
                    access: Access::Store,
                    address,
                    what: "flash can't be written through its cache",
                }),
                None => Ok(None),
            };
        }
        for (at, byte) in (address..).zip(value) {
            if self.store::<1>(at, [byte])?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }

    /// Four bytes of code; behind the end of what is mapped, zeros.
    pub(super) fn fetch(&mut self, address: u32) -> Option<[u8; 4]> {
        let mut code = [0; 4];
        for (offset, byte) in (0..).zip(&mut code) {
            let at = address.wrapping_add(offset);
            let found = self.locate(at, FETCH, 1).map(|(at, _)| at);
            let found = found.or_else(|| rtc(at, 1));
            let found = found.and_then(|at| Some((at, *self.bytes.get(at)?)));
            match found {
                Some((at, value)) => {
                    *byte = value;
                    self.code[at / CODE_PAGE] = true;
                }
                None if offset == 0 => return None,
                None => break,
            }
        }
        Some(code)
    }

    /// Sets the sector at `offset` to ones.
    pub(super) fn erase_flash(&mut self, offset: u32) {
        for at in offset..offset + SECTOR {
            self.change_flash(at, |_| 0xFF);
        }
    }

    /// Clears the bits of a byte of flash that are clear in `value`.
    pub(super) fn program_flash(&mut self, offset: u32, value: u8) {
        self.change_flash(offset, |byte| byte & value);
    }

    /// Behind the end of the chip nothing happens.
    fn change_flash(&mut self, offset: u32, change: impl Fn(u8) -> u8) {
        if offset >= self.flash_bytes {
            return;
        }
        let at = (FLASH + offset) as usize;
        if let Some(byte) = self.bytes.get(at).copied() {
            self.put(at, [change(byte)]);
            self.written.insert(offset / SECTOR * SECTOR);
        }
    }

    /// What was written since the last call, by whole sectors.
    pub(super) fn written_flash(&mut self) -> Vec<(u32, Vec<u8>)> {
        let sector = |offset: u32| {
            let start = (FLASH + offset) as usize;
            let bytes = self.bytes.get(start..start + SECTOR as usize);
            (offset, bytes.map(<[u8]>::to_vec).unwrap_or_default())
        };
        std::mem::take(&mut self.written)
            .into_iter()
            .map(sector)
            .collect()
    }

    /// No code is known any more.
    pub(super) fn forget_code(&mut self) {
        self.code.fill(false);
        self.code_changed = false;
    }
}

/// Where RTC memory lies that has `width` bytes at `address`.
fn rtc(address: u32, width: u32) -> Option<usize> {
    [(RTC_FAST_ADDRESS, RTC_FAST), (RTC_SLOW_ADDRESS, RTC_SLOW)]
        .into_iter()
        .find_map(|(start, place)| {
            let offset = address.wrapping_sub(start);
            (offset < RTC_BYTES && offset + width <= RTC_BYTES).then(|| (place + offset) as usize)
        })
}
