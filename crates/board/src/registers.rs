//! The registers a loader session looks at.

use fixpoint_emulator::s3::psram_words;

use crate::{Options, Personality};
use std::collections::BTreeMap;

const MAGIC: u32 = 0x4000_1000;
const EFUSE_MAC_LOW: u32 = 0x6000_7044;
const EFUSE_MAC_HIGH: u32 = 0x6000_7048;
const EFUSE_WORD_3: u32 = 0x6000_7050;
const EFUSE_WORD_4: u32 = 0x6000_7054;
const EFUSE_WORD_5: u32 = 0x6000_7058;
const SPI_CMD: u32 = 0x6000_2000;
const SPI_USR: u32 = 0x6000_2018;
const SPI_USR2: u32 = 0x6000_2020;
const SPI_MISO_DLEN: u32 = 0x6000_2028;
const SPI_W0: u32 = 0x6000_2058;
const OPTION1: u32 = 0x6000_812C;
const WDT_PROTECT: u32 = 0x6000_80B0;
const WDT_CONFIG: u32 = 0x6000_8098;
const WDT_KEY: u32 = 0x50D8_3AA1;
const WDT_ENABLE: u32 = 1 << 31;
/// Stage 0 resets the whole chip.
const WDT_RESET_SYSTEM: u32 = 5 << 28;
/// What the ROM's console is on; 3 is USB-OTG.
const UART_BUFFER_NUMBER: u32 = 0x3FCE_F14C;

pub(crate) struct Registers {
    words: BTreeMap<u32, u32>,
    flash_id: u32,
}

impl Registers {
    pub(crate) fn new(options: &Options, flash_id: u32) -> Self {
        let [a, b, c, d, e, f] = options.mac;
        let magic = match options.chip_id {
            0 => 0x00F0_1D83,
            2 => 0x0000_07C6,
            9 => 9,
            _ => 0x6921_506F,
        };
        let [word_4, word_5] = psram_words(options.psram_bytes);
        let words = [
            (MAGIC, magic),
            (EFUSE_MAC_LOW, u32::from_be_bytes([c, d, e, f])),
            (EFUSE_MAC_HIGH, u32::from_be_bytes([0, 0, a, b])),
            // Revision v0.2, as on common modules.
            (EFUSE_WORD_3, 2 << 18),
            (EFUSE_WORD_4, word_4),
            (EFUSE_WORD_5, word_5),
            (
                UART_BUFFER_NUMBER,
                if options.personality == Personality::UsbOtg {
                    3
                } else {
                    0
                },
            ),
        ];
        Self {
            words: words.into(),
            flash_id,
        }
    }

    pub(crate) fn read(&self, address: u32) -> u32 {
        self.words.get(&address).copied().unwrap_or(0)
    }

    pub(crate) fn write(&mut self, address: u32, value: u32, mask: u32) {
        if address < 0x6000_0000 || (EFUSE_MAC_LOW..0x6000_7100).contains(&address) {
            return;
        }
        if address == WDT_CONFIG && self.read(WDT_PROTECT) != WDT_KEY {
            return;
        }
        let word = self.words.entry(address).or_default();
        *word = *word & !mask | value & mask;
        if address == SPI_CMD && value & 1 << 18 != 0 {
            self.words.insert(SPI_CMD, 0);
            let reads_id = self.read(SPI_USR2) == 7 << 28 | 0x9F
                && self.read(SPI_USR) == 1 << 31 | 1 << 28
                && self.read(SPI_MISO_DLEN) == 23;
            let answer = if reads_id { self.flash_id } else { 0 };
            self.words.insert(SPI_W0, answer);
        }
    }

    /// Whether a reset leads into the loader whatever IO0 says.
    pub(crate) fn forces_download(&self) -> bool {
        self.read(OPTION1) & 1 != 0
    }

    /// What a reset leaves: only the always-on domain.
    pub(crate) fn reset(&mut self, options: &Options) {
        let kept = self.read(OPTION1);
        *self = Self::new(options, self.flash_id);
        self.words.insert(OPTION1, kept);
    }

    /// The USB peripheral's reset leaves the RTC watchdog running.
    pub(crate) fn start_watchdog(&mut self) {
        self.words.insert(WDT_CONFIG, WDT_ENABLE);
    }

    /// Whether the watchdog was told to reset the chip.
    pub(crate) fn watchdog_resets(&self) -> bool {
        self.watchdog_runs() && self.read(WDT_CONFIG) & 7 << 28 == WDT_RESET_SYSTEM
    }

    pub(crate) fn watchdog_runs(&self) -> bool {
        self.read(WDT_CONFIG) & WDT_ENABLE != 0
    }
}
