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

use super::cache::Cache;
use super::psram::Wiring;
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
/// Behind the data cache, which has to fetch it.
const CACHED: u32 = 16;
/// Beside [`CACHED`]: it is PSRAM.
const IN_PSRAM: u32 = 32;

/// Memory is watched for changes in pieces of this size.
const CODE_PAGE: usize = 4096;
/// Code was fetched from a piece.
const CODE: u8 = 1;
/// A core waits for a word in it to be written.
const POLLED: u8 = 2;

const OPEN: Buses = Buses {
    data: true,
    code: true,
};
const SHUT: Buses = Buses {
    data: false,
    code: false,
};

/// A core's two ways to what the MMU maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Buses {
    pub(super) data: bool,
    pub(super) code: bool,
}

/// All memories in one piece, and the map of it.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    bytes: Vec<u8>,
    flash_bytes: u32,
    psram_bytes: u32,
    /// For every page from [`MAP_START`]: where it lies in `bytes`, and flags. Zero: nothing is there.
    map: Vec<u32>,
    mmu: [u32; MMU_ENTRIES],
    /// The map of the other core: what isn't before the caches' buses is the same.
    other_map: Vec<u32>,
    /// Whose map is in use.
    core: usize,
    /// By core: whether its buses to the data cache and to the instruction cache are open.
    buses: [Buses; 2],
    /// What is known of pieces of `bytes`: [`CODE`], [`POLLED`].
    code: Vec<u8>,
    pub(super) code_changed: bool,
    /// Places in `bytes` of words that a core waits for, and whether one of them was written.
    polled: Vec<usize>,
    pub(super) polled_written: bool,
    /// Sectors of flash, by their offset, that were written and not yet told of.
    written: BTreeSet<u32>,
    /// What becomes of accesses to PSRAM.
    wiring: Wiring,
    pub(super) supply: Supply,
    pub(super) cache: Cache,
}

/// The flash chip's power, which can be made to fail in the middle of an operation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Supply {
    /// Erasures and programmings so far.
    pub(super) operations: u64,
    /// The operation, counted from 0, that it fails in.
    pub(super) fails_in: Option<u64>,
}

/// What is done of an operation.
enum Share {
    All,
    Half,
    Nothing,
}

impl Supply {
    fn next(&mut self) -> Share {
        let here = self.operations;
        self.operations += 1;
        match self.fails_in {
            Some(at) if here == at => Share::Half,
            Some(at) if here > at => Share::Nothing,
            _ => Share::All,
        }
    }

    pub(super) fn failed(&self) -> bool {
        self.fails_in.is_some_and(|at| self.operations > at)
    }
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
            code: vec![0; bytes.len() / CODE_PAGE + 1],
            bytes,
            flash_bytes,
            psram_bytes,
            map: vec![0; ((MAP_END - MAP_START) >> PAGE_BITS) as usize],
            other_map: vec![0; ((MAP_END - MAP_START) >> PAGE_BITS) as usize],
            core: 0,
            // The bootloader opens those of its own core. What it does to the other's is its own
            // affair (in ESP-IDF it depends on how it was built): they are shut, as after a reset.
            buses: [OPEN, SHUT],
            polled: Vec::new(),
            polled_written: false,
            mmu: [MMU_INVALID; MMU_ENTRIES],
            code_changed: false,
            written: BTreeSet::new(),
            wiring: Wiring::Nothing,
            supply: Supply::default(),
            cache: Cache::new(flash),
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
        self.show_to([0, 1], address, place, bytes, flags);
    }

    fn show_to<const N: usize>(
        &mut self,
        cores: [usize; N],
        address: u32,
        place: u32,
        bytes: u32,
        flags: u32,
    ) {
        for offset in (0..bytes).step_by(PAGE as usize) {
            let page = ((address + offset - MAP_START) >> PAGE_BITS) as usize;
            for core in cores {
                let map = match core == self.core {
                    true => &mut self.map,
                    false => &mut self.other_map,
                };
                map[page] = match flags {
                    0 => 0,
                    _ => (place + offset) | flags,
                };
            }
        }
    }

    /// From now on it is `core` that loads, stores and fetches.
    pub(super) fn turn_to(&mut self, core: usize) {
        if self.core != core {
            std::mem::swap(&mut self.map, &mut self.other_map);
            self.core = core;
        }
    }

    /// Opens and shuts the buses of `core` to the caches.
    pub(super) fn set_buses(&mut self, core: usize, buses: Buses) {
        if self.buses[core & 1] == buses {
            return;
        }
        self.buses[core & 1] = buses;
        for index in 0..MMU_ENTRIES {
            self.map_entry(index, [core & 1]);
        }
        self.code_changed = true;
    }

    /// Whether the other core has something at `address`, and this one's bus is shut.
    pub(super) fn is_shut(&self, address: u32) -> bool {
        let page = (address.wrapping_sub(MAP_START) >> PAGE_BITS) as usize;
        self.map.get(page) == Some(&0) && self.other_map.get(page).is_some_and(|entry| *entry != 0)
    }

    pub(super) fn buses(&self, core: usize) -> Buses {
        self.buses[core & 1]
    }

    pub(super) fn mmu_entry(&self, index: usize) -> Option<u32> {
        self.mmu.get(index).copied()
    }

    /// Writes an entry of the MMU table, which both cores share; data and code see the same pages.
    pub(super) fn set_mmu_entry(&mut self, index: usize, value: u32) -> Option<()> {
        *self.mmu.get_mut(index)? = value;
        self.map_entry(index, [0, 1]);
        self.cache.forget();
        self.code_changed = true;
        Some(())
    }

    /// Shows `cores` what the entry says.
    fn map_entry<const N: usize>(&mut self, index: usize, cores: [usize; N]) {
        let value = self.mmu[index];
        let offset = u64::from(value & MMU_PAGE_NUMBER) * u64::from(MMU_PAGE);
        let (start, size, flags) = match (value & MMU_PSRAM, self.wiring) {
            (0, _) => (FLASH, self.flash_bytes, LOAD),
            (_, Wiring::Answers(_)) => {
                let start = FLASH + self.flash_bytes;
                (start, self.psram_bytes, LOAD | STORE | IN_PSRAM)
            }
            _ => (0, 0, 0),
        };
        let valid = value & MMU_INVALID == 0 && offset < u64::from(size);
        let (place, flags) = match valid {
            true => (start + offset as u32, flags),
            false => (0, 0),
        };
        let (code, flags) = match valid {
            true => (flags & (LOAD | STORE) | FETCH | WORDS, flags | CACHED),
            false => (0, 0),
        };
        let address = index as u32 * MMU_PAGE;
        for core in cores {
            let Buses { data, code: fetch } = self.buses[core];
            let shown = |open: bool, flags| if open { flags } else { 0 };
            let (data, code) = (shown(data, flags), shown(fetch, code));
            self.show_to([core], DATA_CACHE + address, place, MMU_PAGE, data);
            self.show_to([core], INSTRUCTION_CACHE + address, place, MMU_PAGE, code);
        }
    }

    /// Places `bytes` as a loader does, in RAM only and whole.
    pub(super) fn place(&mut self, address: u32, bytes: &[u8]) -> Option<()> {
        for (at, &byte) in from(address).zip(bytes) {
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

    /// `N` bytes at `address`, if memory is there, as a core loads them.
    #[inline(always)]
    pub(super) fn load<const N: usize>(&mut self, address: u32) -> Result<Option<[u8; N]>, Trap> {
        self.pass_cache(address, LOAD);
        self.peek(address)
    }

    /// The same without the core's waiting for it.
    #[inline(always)]
    pub(super) fn peek<const N: usize>(&self, address: u32) -> Result<Option<[u8; N]>, Trap> {
        if let Some(at) = self.find(address, LOAD, N as u32)? {
            return Ok(self.bytes.get(at..at + N).and_then(|b| b.try_into().ok()));
        }
        self.load_slowly(address)
    }

    /// What is behind the data cache takes time if it isn't in it.
    #[inline(always)]
    fn pass_cache(&mut self, address: u32, access: u32) {
        let page = address.wrapping_sub(MAP_START) >> PAGE_BITS;
        if let Some(&entry) = self.map.get(page as usize)
            && entry & CACHED != 0
        {
            self.cache
                .access(address, entry & IN_PSRAM != 0, access & STORE != 0);
        }
    }

    /// Says what becomes of accesses to PSRAM from now on.
    pub(super) fn set_wiring(&mut self, wiring: Wiring) {
        if self.wiring == wiring {
            return;
        }
        self.wiring = wiring;
        if let Wiring::Answers(times) = wiring {
            self.cache.set_psram(times);
        }
        for index in 0..MMU_ENTRIES {
            if self.mmu[index] & (MMU_PSRAM | MMU_INVALID) == MMU_PSRAM {
                self.map_entry(index, [0, 1]);
            }
        }
        self.code_changed = true;
    }

    /// Whether `address` is shown to be in PSRAM, where none answers: then nothing takes what is stored,
    /// and the lines are read as nobody drives them.
    ///
    /// # Errors
    /// When PSRAM is there and the controllers aren't set up for it: what is wrong.
    fn floats(&self, access: Access, address: u32) -> Result<bool, Trap> {
        let index = (address.wrapping_sub(DATA_CACHE) / MMU_PAGE) as usize;
        let entry = self.mmu.get(index).copied().unwrap_or(MMU_INVALID);
        match (entry & (MMU_PSRAM | MMU_INVALID), self.wiring) {
            (MMU_PSRAM, Wiring::Nothing) => Ok(true),
            (MMU_PSRAM, Wiring::Wrong(what)) => Err(Trap::Unmodelled {
                access,
                address,
                what,
            }),
            _ => Ok(false),
        }
    }

    #[cold]
    fn load_slowly<const N: usize>(&self, address: u32) -> Result<Option<[u8; N]>, Trap> {
        if let Some(at) = rtc(address, N as u32) {
            return Ok(self.bytes.get(at..at + N).and_then(|b| b.try_into().ok()));
        }
        if self.floats(Access::Load, address)? {
            return Ok(Some([0xFF; N]));
        }
        let mut value = [0; N];
        if N == 1 {
            return Ok(None);
        }
        // Bytes in two pages.
        for (at, byte) in from(address).zip(&mut value) {
            match self.peek::<1>(at)? {
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
        self.pass_cache(address, STORE);
        Ok(self.put(at, value))
    }

    #[inline(always)]
    fn put<const N: usize>(&mut self, at: usize, value: [u8; N]) -> Option<()> {
        self.bytes.get_mut(at..at + N)?.copy_from_slice(&value);
        let (first, last) = (at / CODE_PAGE, (at + N - 1) / CODE_PAGE);
        let known = self.code[first] | self.code[last];
        if known != 0 {
            self.touched(known, at, N);
        }
        Some(())
    }

    /// Something was written to `bytes` bytes from `at` on, in a piece that is watched.
    #[cold]
    fn touched(&mut self, known: u8, at: usize, bytes: usize) {
        self.code_changed |= known & CODE != 0;
        let hit = |&word: &usize| at < word + 4 && word < at + bytes;
        self.polled_written |= self.polled.iter().any(hit);
    }

    /// Watches the words at `addresses`, and no others any more: [`Memory::polled_written`]. `false`
    /// if one of them is not in memory.
    pub(super) fn watch(&mut self, addresses: &[u32]) -> bool {
        for place in std::mem::take(&mut self.polled) {
            self.code[place / CODE_PAGE] &= !POLLED;
        }
        self.polled_written = false;
        for &address in addresses {
            let Some((place, _)) = self.locate(address & !3, LOAD, 4) else {
                return false;
            };
            self.polled.push(place);
            self.code[place / CODE_PAGE] |= POLLED;
        }
        true
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
        if self.floats(Access::Store, address)? {
            return Ok(Some(()));
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
        for (at, byte) in from(address).zip(value) {
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
                    self.code[at / CODE_PAGE] |= CODE;
                }
                None if offset == 0 => return None,
                None => break,
            }
        }
        Some(code)
    }

    /// Sets the sector at `offset` to ones.
    pub(super) fn erase_flash(&mut self, offset: u32) {
        match self.supply.next() {
            Share::All => (offset..offset + SECTOR).for_each(|at| self.change_flash(at, |_| 0xFF)),
            // All cells go over together: some bits have, some have not.
            Share::Half => (offset..offset + SECTOR / 2)
                .for_each(|at| self.change_flash(at, |byte| byte | 0x5A_u8.rotate_left(at % 8))),
            Share::Nothing => {}
        }
    }

    /// Clears the bits of flash that are clear in `bytes`, which lie at `places`.
    pub(super) fn program_flash(&mut self, places: impl Iterator<Item = u32>, bytes: &[u8]) {
        let done = match self.supply.next() {
            Share::All => bytes.len(),
            Share::Half => bytes.len() / 2,
            Share::Nothing => 0,
        };
        for (at, value) in places.zip(&bytes[..done]) {
            self.change_flash(at, |byte| byte & value);
        }
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
        self.code.iter_mut().for_each(|known| *known &= !CODE);
        self.code_changed = false;
    }
}

/// `address` and those behind it, at the end of the address space as well.
fn from(address: u32) -> impl Iterator<Item = u32> {
    (0u32..).map(move |offset| address.wrapping_add(offset))
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
