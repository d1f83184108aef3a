//! SPI1, the controller through which a program reads and writes the flash chip (chip select 0) and
//! sends PSRAM its commands (chip select 1). User-defined transactions only; names and places: ESP-IDF,
//! `soc/spi_mem_reg.h`. The chips work at once.

use super::memory::Memory;
use super::psram::{Lines, Psram, Transaction};

const CMD: u32 = 0x00;
const ADDR: u32 = 0x04;
const CTRL: u32 = 0x08;
const CLOCK: u32 = 0x14;
const USER: u32 = 0x18;
const USER1: u32 = 0x1C;
const USER2: u32 = 0x20;
const MOSI_DLEN: u32 = 0x24;
const MISO_DLEN: u32 = 0x28;
const MISC: u32 = 0x34;
const CACHE_FCTRL: u32 = 0x3C;
const W0: u32 = 0x58;
const W15: u32 = W0 + 60;
const DDR: u32 = 0xE0;

/// CMD: starts a transaction, and reads as zero when it is over.
const CMD_USR: u32 = 1 << 18;
/// USER: which phases there are; without a bit, none.
const USR_COMMAND: u32 = 1 << 31;
const USR_ADDR: u32 = 1 << 30;
const USR_DUMMY: u32 = 1 << 29;
const USR_MISO: u32 = 1 << 28;
const USR_MOSI: u32 = 1 << 27;
/// CTRL, USER and DDR: fields that say how many lines there are, and what they hold for one, four and eight.
const LINES: [u32; 3] = [0x0190_43F0, 0xF000, 0b1_1101];
const ONE_LINE: [u32; 3] = [0, 0, 0];
const FOUR_LINES: [u32; 3] = [0x0100_0100, 0x8000, 0];
const EIGHT_LINES: [u32; 3] = [0x0000_0270, 0, 1];
/// MISC: chip selects that are not used.
const CS_DIS: u32 = 0b11;

const NO_CHIP: &str = "SPI1: neither chip select alone";
const NO_LINES: &str = "SPI1: lines other than one, four in quad commands or eight on both edges";
const FLASH_LINES: &str = "SPI1: flash is modelled on one line only";
const FLASH_COMMAND: &str = "SPI1: no command of the flash chip that is modelled";

/// A flash chip's status register.
const WRITE_ENABLED: u32 = 1 << 1;
/// Programming wraps inside one of these.
const FLASH_PAGE: u32 = 256;
pub(super) const SECTOR: u32 = 0x1000;

/// Registers and the chip behind them.
#[derive(Clone, Debug)]
pub(super) struct Spi {
    address: u32,
    control: u32,
    user: [u32; 3],
    /// MOSI_DLEN, MISO_DLEN
    bits: [u32; 2],
    data: [u32; 16],
    clock: u32,
    misc: u32,
    cache_fctrl: u32,
    ddr: u32,
    write_enabled: bool,
    /// Why the last write was refused, if it was.
    pub(super) objection: Option<&'static str>,
}

impl Spi {
    /// As a reset leaves it: chip select 1 isn't used.
    pub(super) fn new() -> Self {
        Self {
            address: 0,
            control: 0,
            user: [0; 3],
            bits: [0; 2],
            data: [0; 16],
            clock: 0x0003_0103,
            misc: 0b10,
            cache_fctrl: 0,
            ddr: 0,
            write_enabled: false,
            objection: None,
        }
    }

    pub(super) fn read(&self, offset: u32) -> Option<u32> {
        Some(match offset {
            CMD => 0,
            ADDR => self.address,
            CTRL => self.control,
            USER | USER1 | USER2 => self.user[(offset - USER) as usize / 4],
            MOSI_DLEN | MISO_DLEN => self.bits[(offset - MOSI_DLEN) as usize / 4],
            W0..=W15 => self.data[(offset - W0) as usize / 4],
            CLOCK => self.clock,
            MISC => self.misc,
            CACHE_FCTRL => self.cache_fctrl,
            DDR => self.ddr,
            _ => return None,
        })
    }

    /// `None` also for a transaction that isn't modelled, with an objection.
    pub(super) fn write(
        &mut self,
        offset: u32,
        value: u32,
        memory: &mut Memory,
        psram: &mut Psram,
    ) -> Option<()> {
        match offset {
            CMD if value == CMD_USR => {
                self.objection = self.transact(memory, psram).err();
                return self.objection.is_none().then_some(());
            }
            ADDR => self.address = value,
            CTRL => self.control = value,
            USER | USER1 | USER2 => self.user[(offset - USER) as usize / 4] = value,
            MOSI_DLEN | MISO_DLEN => self.bits[(offset - MOSI_DLEN) as usize / 4] = value,
            W0..=W15 => self.data[(offset - W0) as usize / 4] = value,
            CLOCK => self.clock = value,
            MISC => self.misc = value,
            CACHE_FCTRL => self.cache_fctrl = value,
            DDR => self.ddr = value,
            _ => return None,
        }
        Some(())
    }

    fn lines(&self) -> Result<Lines, &'static str> {
        let mut fields = [self.control, self.user[0], self.ddr];
        for (field, mask) in fields.iter_mut().zip(LINES) {
            *field &= mask;
        }
        match fields {
            ONE_LINE => Ok(Lines::One),
            FOUR_LINES => Ok(Lines::Four),
            EIGHT_LINES => Ok(Lines::Eight),
            _ => Err(NO_LINES),
        }
    }

    fn transact(&mut self, memory: &mut Memory, psram: &mut Psram) -> Result<(), &'static str> {
        let lines = self.lines()?;
        match self.misc & CS_DIS {
            0b01 => psram.transact(&self.transaction(lines)),
            0b10 if lines == Lines::One => self.flash(memory).ok_or(FLASH_COMMAND),
            0b10 => Err(FLASH_LINES),
            _ => Err(NO_CHIP),
        }
    }

    fn transaction(&self, lines: Lines) -> Transaction {
        let [user, user_1, user_2] = self.user;
        let count = |phase: u32, field: u32| match user & phase {
            0 => 0,
            _ => field + 1,
        };
        Transaction {
            lines,
            command: user_2 & 0xFFFF,
            command_bits: count(USR_COMMAND, user_2 >> 28),
            address: (self.address, count(USR_ADDR, user_1 >> 26)),
            dummy_clocks: count(USR_DUMMY, user_1 & 0x3F),
            out: (self.data[0], count(USR_MOSI, self.bits[0] & 0x3FF)),
            in_bits: count(USR_MISO, self.bits[1] & 0x3FF),
        }
    }

    fn flash(&mut self, memory: &mut Memory) -> Option<()> {
        let address = self.address & 0xFF_FFFF;
        match self.user[2] & 0xFF {
            // Write enable, write disable.
            command @ (0x06 | 0x04) => self.write_enabled = command == 0x06,
            // Read status.
            0x05 => self.data[0] = if self.write_enabled { WRITE_ENABLED } else { 0 },
            // Erase a sector.
            0x20 => {
                if std::mem::take(&mut self.write_enabled) {
                    memory.erase_flash(address / SECTOR * SECTOR);
                }
            }
            // Program up to a page.
            0x02 => {
                let count = match self.user[0] & USR_MOSI {
                    0 => 0,
                    _ => ((self.bits[0] & 0x3FF) + 1) / 8,
                };
                if std::mem::take(&mut self.write_enabled) {
                    let bytes = self.data.iter().flat_map(|word| word.to_le_bytes());
                    let bytes: Vec<u8> = bytes.take(count as usize).collect();
                    let page = address / FLASH_PAGE * FLASH_PAGE;
                    let places = (0..count).map(|n| page + (address + n) % FLASH_PAGE);
                    memory.program_flash(places, &bytes);
                }
            }
            _ => return None,
        }
        Some(())
    }
}
