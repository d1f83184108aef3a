//! SPI1, the controller through which a program reads and writes the flash chip. User-defined
//! transactions only; names and places: ESP-IDF, `soc/spi_mem_reg.h`. The chip works at once.

use super::memory::Memory;

const CMD: u32 = 0x00;
const ADDR: u32 = 0x04;
const CTRL: u32 = 0x08;
const USER: u32 = 0x18;
const USER1: u32 = 0x1C;
const USER2: u32 = 0x20;
const MOSI_DLEN: u32 = 0x24;
const MISO_DLEN: u32 = 0x28;
const W0: u32 = 0x58;
const W15: u32 = W0 + 60;

/// CMD: starts a transaction, and reads as zero when it is over.
const CMD_USR: u32 = 1 << 18;
/// USER: there are bytes for the chip.
const USR_MOSI: u32 = 1 << 27;

/// A flash chip's status register.
const WRITE_ENABLED: u32 = 1 << 1;
/// Programming wraps inside one of these.
const FLASH_PAGE: u32 = 256;
pub(super) const SECTOR: u32 = 0x1000;

/// Registers and the chip behind them.
#[derive(Clone, Debug, Default)]
pub(super) struct Spi {
    address: u32,
    control: u32,
    user: [u32; 3],
    /// MOSI_DLEN, MISO_DLEN
    bits: [u32; 2],
    data: [u32; 16],
    write_enabled: bool,
}

impl Spi {
    pub(super) fn read(&self, offset: u32) -> Option<u32> {
        Some(match offset {
            CMD => 0,
            ADDR => self.address,
            CTRL => self.control,
            USER | USER1 | USER2 => self.user[(offset - USER) as usize / 4],
            MOSI_DLEN | MISO_DLEN => self.bits[(offset - MOSI_DLEN) as usize / 4],
            W0..=W15 => self.data[(offset - W0) as usize / 4],
            _ => return None,
        })
    }

    /// `None` also for a transaction that the chip here does not know.
    pub(super) fn write(&mut self, offset: u32, value: u32, memory: &mut Memory) -> Option<()> {
        match offset {
            CMD if value == CMD_USR => return self.transact(memory),
            ADDR => self.address = value,
            CTRL => self.control = value,
            USER | USER1 | USER2 => self.user[(offset - USER) as usize / 4] = value,
            MOSI_DLEN | MISO_DLEN => self.bits[(offset - MOSI_DLEN) as usize / 4] = value,
            W0..=W15 => self.data[(offset - W0) as usize / 4] = value,
            _ => return None,
        }
        Some(())
    }

    fn transact(&mut self, memory: &mut Memory) -> Option<()> {
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
                    let page = address / FLASH_PAGE * FLASH_PAGE;
                    for (n, byte) in (0..count.min(64)).zip(bytes) {
                        memory.program_flash(page + (address + n) % FLASH_PAGE, byte);
                    }
                }
            }
            _ => return None,
        }
        Some(())
    }
}
