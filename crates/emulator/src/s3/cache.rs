//! What waiting for flash and PSRAM costs: the data cache's lines without their bytes, and the bus behind
//! it, which both cores share.
//!
//! | what | clocks of the memory's bus | source |
//! |---|---|---|
//! | a line from flash, DIO | 8 command, 12 address, 4 mode, 128 data | command BBh of the flash chips' data sheets |
//! | a line from flash, QIO | 8, 6, 6 mode and dummy, 64 | EBh |
//! | a line from flash, one line or dual and quad output only | 8, 24, 8, then 256, 128 or 64 | 0Bh, 3Bh, 6Bh |
//! | a line from or to PSRAM | what the registers of SPI0 say (`psram.rs`) | |
//!
//! The cache is what the mask ROM sets up and ESP-IDF has as its default (`Kconfig.cache`): 32 KiB, 8 ways,
//! lines of 32 bytes. It writes back, so a line that was stored to costs its way out as well when it is
//! replaced. That the line replaced is the one unused for longest is an assumption: no manual says. Hits cost
//! nothing beyond the load. Cycles are those at 240 MHz. Code from flash goes through the other cache, which
//! isn't modelled.

const LINE_BITS: u32 = 5;
const LINE: u32 = 1 << LINE_BITS;
const WAYS: usize = 8;
const SETS: u32 = 32 * 1024 / LINE / WAYS as u32;
/// The cores' clock that the cycles are of.
pub(super) const CORE_MHZ: u32 = 240;

/// Cycles that a line takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) read: u32,
    pub(super) write: u32,
}

/// A line that is there. Zero: none is.
#[derive(Clone, Copy, Debug, Default)]
struct Line(u32);

impl Line {
    const THERE: u32 = 1;
    /// It isn't in memory yet as it is here: only PSRAM is ever stored to.
    const CHANGED: u32 = 2;

    fn holds(self, address: u32) -> bool {
        self.0 & Self::THERE != 0 && (self.0 ^ address) & !(LINE - 1) == 0
    }
}

#[derive(Clone, Debug)]
pub(super) struct Cache {
    /// In the order in which they were used, the last one first.
    sets: Vec<[Line; WAYS]>,
    flash: Times,
    psram: Times,
    /// The core's time when it went on, and what it has waited since.
    now: u64,
    waited: u64,
    /// Until then the bus is in use.
    busy_until: u64,
}

impl Cache {
    /// Flash is read as the header of the bootloader in it says.
    pub(super) fn new(flash: &[u8]) -> Self {
        Self {
            sets: vec![Default::default(); SETS as usize],
            flash: flash_times(flash),
            psram: Times::default(),
            now: 0,
            waited: 0,
            busy_until: 0,
        }
    }

    pub(super) fn set_psram(&mut self, times: Times) {
        self.psram = times;
    }

    /// Nothing is in it any more.
    pub(super) fn forget(&mut self) {
        self.sets.fill(Default::default());
    }

    /// A core goes on at this cycle of its own.
    pub(super) fn start(&mut self, now: u64) {
        (self.now, self.waited) = (now, 0);
    }

    #[inline(always)]
    pub(super) fn waited(&self) -> u64 {
        self.waited
    }

    #[inline(always)]
    pub(super) fn access(&mut self, address: u32, psram: bool, store: bool) {
        let set = &mut self.sets[(address >> LINE_BITS & (SETS - 1)) as usize];
        if set[0].holds(address) {
            set[0].0 |= if store { Line::CHANGED } else { 0 };
            return;
        }
        self.search(address, psram, store);
    }

    fn search(&mut self, address: u32, psram: bool, store: bool) {
        let set = &mut self.sets[(address >> LINE_BITS & (SETS - 1)) as usize];
        let found = set.iter().position(|line| line.holds(address));
        let last = found.unwrap_or(WAYS - 1);
        let mut line = set[last];
        set.copy_within(..last, 1);
        let mut cycles = 0;
        if found.is_none() {
            if line.0 & Line::CHANGED != 0 {
                cycles += self.psram.write;
            }
            line = Line(address & !(LINE - 1) | Line::THERE);
            cycles += match psram {
                true => self.psram.read,
                false => self.flash.read,
            };
        }
        line.0 |= if store { Line::CHANGED } else { 0 };
        set[0] = line;
        if cycles > 0 {
            let asked = self.now + self.waited;
            self.busy_until = self.busy_until.max(asked) + u64::from(cycles);
            self.waited = self.busy_until - self.now;
        }
    }
}

/// Cycles of `clocks` clocks of a bus of so many MHz.
pub(super) fn cycles(clocks: u32, mhz: u32) -> u32 {
    (clocks * CORE_MHZ).div_ceil(mhz.max(1))
}

/// From the bytes of the image header that tell the loader mode and clock (ESP-IDF, App Image Format).
fn flash_times(flash: &[u8]) -> Times {
    let bits = 8 * LINE;
    let clocks = match flash.get(2) {
        Some(0) => 8 + 6 + 6 + bits / 4,
        Some(1) => 8 + 24 + 8 + bits / 4,
        Some(3) => 8 + 24 + 8 + bits / 2,
        Some(4 | 5) => 8 + 24 + 8 + bits,
        // Also where nothing is told: what our images have.
        _ => 8 + 12 + 4 + bits / 2,
    };
    let mhz = match flash.get(3).map(|byte| byte & 0xF) {
        Some(0xF) => 80,
        Some(1) => 26,
        Some(2) => 20,
        _ => 40,
    };
    Times {
        read: cycles(clocks, mhz),
        write: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Dual at 40 MHz: 152 clocks of six cycles each.
    const DIO: u64 = 912;
    const FLASH: u32 = 0x3C00_0000;

    fn cache() -> Cache {
        let mut cache = Cache::new(&[0xE9, 3, 2, 0x20]);
        cache.set_psram(Times {
            read: 100,
            write: 10,
        });
        cache
    }

    #[test]
    fn a_line_is_waited_for_once() {
        let mut cache = cache();
        for address in [FLASH, FLASH + 31, FLASH + 32, FLASH] {
            cache.access(address, false, false);
        }
        assert_eq!(cache.waited(), 2 * DIO);
        cache.forget();
        cache.access(FLASH, false, false);
        assert_eq!(cache.waited(), 3 * DIO);
    }

    #[test]
    fn the_ninth_line_of_a_set_replaces_the_one_unused_for_longest() {
        let mut cache = cache();
        let line = |n: u32| FLASH + n * 4096;
        (0..8).for_each(|n| cache.access(line(n), false, false));
        cache.access(line(0), false, false);
        assert_eq!(cache.waited(), 8 * DIO);
        cache.access(line(8), false, false);
        cache.access(line(0), false, false);
        assert_eq!(cache.waited(), 9 * DIO);
        cache.access(line(1), false, false);
        assert_eq!(cache.waited(), 10 * DIO);
    }

    #[test]
    fn what_was_stored_to_is_written_back() {
        let mut cache = cache();
        let line = |n: u32| FLASH + n * 4096;
        cache.access(line(0), true, true);
        (1..8).for_each(|n| cache.access(line(n), true, false));
        assert_eq!(cache.waited(), 800);
        cache.access(line(8), true, false);
        assert_eq!(cache.waited(), 910);
        cache.access(line(9), true, false);
        assert_eq!(cache.waited(), 1010);
    }

    #[test]
    fn a_core_waits_until_the_other_has_its_line() {
        let mut cache = cache();
        cache.start(1000);
        cache.access(FLASH, false, false);
        cache.start(1100);
        cache.access(FLASH + 64, false, false);
        assert_eq!(cache.waited(), 2 * DIO - 100);
    }
}
