//! PSRAM in the package, and what of SPI0, of the pins and of the eFuses its bring-up touches. Names and
//! fields: ESP-IDF, `soc/spi_mem_reg.h`, `soc/io_mux_reg.h`, `soc/efuse_reg.h`; commands and latencies: data
//! sheets of AP Memory's APS1604M (quad) and APS6408L (octal), and what ESP-IDF sends
//! (`esp_psram_impl_ap_quad.c`, `esp_psram_impl_octal.c`).
//!
//! A chip answers the cache once it has the mode, and SPI0 the phases, clock and pins, that fit each other.
//! Until then an access is an error that says what doesn't fit. Where there is no chip, nothing takes what is
//! stored, and lines that nobody drives are read as ones.

use super::cache::{Times, cycles};

/// By ESP-IDF, above this the time at which lines are sampled has to be found by trying.
const UNTUNED_MHZ: u32 = 40;
/// MHz of the controllers' clock as the bootloader leaves it.
const CONTROLLER_MHZ: u32 = 80;
/// Bits of a cache line.
const LINE: u32 = 32 * 8;

const MISC: u32 = 0x34;
const SCTRL: u32 = 0x40;
const SRAM_CMD: u32 = 0x44;
const DRD_CMD: u32 = 0x48;
const DWR_CMD: u32 = 0x4C;
const SRAM_CLK: u32 = 0x50;
const SMEM_AC: u32 = 0xDC;
const SMEM_DDR: u32 = 0xE4;
const MISC_CS1_DIS: u32 = 1 << 1;

/// IO_MUX: GPIO26, chip select 1, to GPIO37, the strobe of the octal bus.
const FIRST_PIN: u32 = 26;
const PINS: usize = 12;
const PIN_0: u32 = 0x04;
const INPUT: u32 = 1 << 9;
const FUNCTION_1: u32 = 1 << 12;

/// eFuse BLOCK1, words 4 and 5.
const EFUSE_WORD_4: u32 = 0x54;
const EFUSE_WORD_5: u32 = 0x58;

/// What becomes of accesses to PSRAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wiring {
    /// No chip is there.
    Nothing,
    /// It can't be reached as things are; why.
    Wrong(&'static str),
    Answers(Times),
}

/// Data lines of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lines {
    One,
    Four,
    /// Both edges of the clock.
    Eight,
}

/// A transaction of SPI1 with chip select 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transaction {
    pub(super) lines: Lines,
    pub(super) command: u32,
    pub(super) command_bits: u32,
    /// And how many bits of it are sent.
    pub(super) address: (u32, u32),
    pub(super) dummy_clocks: u32,
    /// The first word of what is sent, and how many bits.
    pub(super) out: (u32, u32),
    pub(super) in_bits: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chip {
    None,
    Quad { reset_enabled: bool, quad: bool },
    Octal { mode_0: u8 },
}

#[derive(Clone, Debug)]
pub(super) struct Psram {
    chip: Chip,
    efuse: [u32; 2],
    misc: u32,
    sctrl: u32,
    sram_cmd: u32,
    read_command: u32,
    write_command: u32,
    sram_clk: u32,
    smem_ac: u32,
    smem_ddr: u32,
    pins: [u32; PINS],
}

/// Words 4 and 5 of eFuse BLOCK1 for a package with so many bytes of PSRAM: PSRAM_CAP, numbers as
/// esptool reads them. 0 for a size that there isn't.
pub fn psram_words(bytes: u32) -> [u32; 2] {
    let capacity = match bytes >> 20 {
        8 => 1,
        2 => 2,
        16 => 3,
        4 => 4,
        _ => 0,
    };
    [(capacity & 3) << 3, (capacity >> 2) << 19]
}

impl Psram {
    /// As a reset and the bootloader leave it. `bytes`: in the package, as its eFuses say: 2 or 4 MiB
    /// are quad chips, 8 or 16 MiB octal ones. `broken`: the chip never answers.
    pub(super) fn new(bytes: u32, broken: bool) -> Self {
        let chip = match bytes >> 20 {
            _ if broken => Chip::None,
            8 | 16 => Chip::Octal { mode_0: 0x09 },
            2 | 4 => Chip::Quad {
                reset_enabled: false,
                quad: false,
            },
            _ => Chip::None,
        };
        let mut pins = [INPUT; PINS];
        // The upper half of the octal bus.
        pins[7..].fill(INPUT | FUNCTION_1);
        Self {
            chip,
            efuse: psram_words(bytes),
            misc: MISC_CS1_DIS,
            sctrl: 1 << 22 | 1 << 20 | 23 << 14 | 1 << 6 | 1 << 5 | 1 << 4,
            sram_cmd: 0,
            read_command: 0,
            write_command: 0,
            sram_clk: 0x0003_0103,
            smem_ac: 0,
            smem_ddr: 0,
            pins,
        }
    }

    pub(super) fn efuse(&self, offset: u32) -> Option<u32> {
        match offset {
            EFUSE_WORD_4 => Some(self.efuse[0]),
            EFUSE_WORD_5 => Some(self.efuse[1]),
            _ => None,
        }
    }

    fn pin(offset: u32) -> Option<usize> {
        let number = offset.checked_sub(PIN_0 + 4 * FIRST_PIN)? / 4;
        (offset.is_multiple_of(4) && number < PINS as u32).then_some(number as usize)
    }

    pub(super) fn read_pin(&self, offset: u32) -> Option<u32> {
        Self::pin(offset).map(|pin| self.pins[pin])
    }

    pub(super) fn write_pin(&mut self, offset: u32, value: u32) -> Option<()> {
        self.pins[Self::pin(offset)?] = value;
        Some(())
    }

    fn register(&mut self, offset: u32) -> Option<&mut u32> {
        Some(match offset {
            MISC => &mut self.misc,
            SCTRL => &mut self.sctrl,
            SRAM_CMD => &mut self.sram_cmd,
            DRD_CMD => &mut self.read_command,
            DWR_CMD => &mut self.write_command,
            SRAM_CLK => &mut self.sram_clk,
            SMEM_AC => &mut self.smem_ac,
            SMEM_DDR => &mut self.smem_ddr,
            _ => return None,
        })
    }

    /// A register of SPI0.
    pub(super) fn read(&mut self, offset: u32) -> Option<u32> {
        self.register(offset).copied()
    }

    pub(super) fn write(&mut self, offset: u32, value: u32) -> Option<()> {
        *self.register(offset)? = value;
        Some(())
    }

    /// What the chip does with a transaction.
    ///
    /// # Errors
    /// When that isn't modelled.
    pub(super) fn transact(&mut self, t: &Transaction) -> Result<(), &'static str> {
        let only_command = t.address.1 == 0 && t.dummy_clocks == 0 && t.out.1 == 0;
        match &mut self.chip {
            Chip::None => {}
            _ if t.in_bits > 0 => return Err("reading from PSRAM through SPI1 isn't modelled"),
            Chip::Quad {
                reset_enabled,
                quad,
            } => {
                if !only_command || t.command_bits != 8 {
                    return Err("of quad PSRAM only commands of 8 bits by themselves are modelled");
                }
                // What comes on other lines than it listens to is no command for it.
                if (t.lines == Lines::Four) != *quad {
                    return Ok(());
                }
                let enabled = std::mem::take(reset_enabled);
                match t.command {
                    0x66 => *reset_enabled = true,
                    0x99 if enabled => *quad = false,
                    0x99 => {}
                    0x35 => *quad = true,
                    0xF5 => *quad = false,
                    _ => return Err("quad PSRAM: not one of the commands 35h, 66h, 99h, F5h"),
                }
            }
            Chip::Octal { mode_0 } => {
                if t.lines != Lines::Eight {
                    return Ok(());
                }
                // A register write has no latency; the second byte, of the other edge, is dropped.
                let wanted = (0xC0C0, 16, (0, 32), 0, 16);
                let sent = (
                    t.command,
                    t.command_bits,
                    t.address,
                    t.dummy_clocks,
                    t.out.1,
                );
                if sent != wanted {
                    return Err("octal PSRAM: not the write of mode register 0 (C0C0h)");
                }
                *mode_0 = t.out.0.to_le_bytes()[0];
            }
        }
        Ok(())
    }

    fn function(&self, pin: u32) -> u32 {
        self.pins[(pin - FIRST_PIN) as usize] >> 12 & 7
    }

    /// Whether the chip answers the cache as things are.
    pub(super) fn wiring(&self) -> Wiring {
        let found = match self.chip {
            Chip::None => return Wiring::Nothing,
            Chip::Quad { quad, .. } => self.common().and_then(|mhz| self.quad(quad, mhz)),
            Chip::Octal { mode_0 } => self.common().and_then(|mhz| self.octal(mode_0, mhz)),
        };
        found.map_or_else(Wiring::Wrong, Wiring::Answers)
    }

    /// What both kinds need; MHz of the bus.
    fn common(&self) -> Result<u32, &'static str> {
        let mhz = match self.sram_clk >> 31 {
            0 => CONTROLLER_MHZ / ((self.sram_clk >> 16 & 0xFF) + 1),
            _ => CONTROLLER_MHZ,
        };
        let setup_and_hold = self.smem_ac & 3 == 3;
        let inputs = self.pins[1..7].iter().all(|pin| pin & INPUT != 0);
        let ways = [
            (
                (26..=32).all(|pin| self.function(pin) == 0) && inputs,
                "PSRAM: the pins GPIO26 to GPIO32 aren't SPI's",
            ),
            (
                self.misc & MISC_CS1_DIS == 0,
                "PSRAM: SPI0 doesn't use chip select 1 (SPI_MEM_MISC)",
            ),
            (
                mhz <= UNTUNED_MHZ,
                "PSRAM: above 40 MHz its timing has to be tuned, which isn't modelled",
            ),
            (
                setup_and_hold,
                "PSRAM: no times before and after chip select (SPI_MEM_SPI_SMEM_AC)",
            ),
        ];
        ways.into_iter()
            .find_map(|(right, what)| (!right).then_some(what))
            .map_or(Ok(mhz), Err)
    }

    fn quad(&self, quad: bool, mhz: u32) -> Result<Times, &'static str> {
        const DUMMY: u32 = 6;
        // Commands of reads and writes, addresses of 24 bits, dummies for reads, all on four lines.
        let sctrl = 1 << 20 | 23 << 14 | (DUMMY - 1) << 6 | 1 << 5 | 1 << 4 | 1 << 2;
        let fields = 1 << 21 | 1 << 20 | 0x3F << 14 | 0x3F << 6 | 0b11_1111;
        if !quad {
            return Err("PSRAM: the chip isn't in its quad mode");
        }
        if self.sctrl & fields != sctrl || self.smem_ddr & 1 != 0 {
            return Err("PSRAM: the phases aren't those of a quad chip (SPI_MEM_CACHE_SCTRL)");
        }
        if self.read_command != 7 << 28 | 0xEB || self.write_command != 7 << 28 | 0x38 {
            return Err("PSRAM: not the commands of a quad chip (SPI_MEM_SRAM_DRD_CMD, DWR_CMD)");
        }
        let around = self.around();
        Ok(Times {
            read: cycles(around + 2 + 6 + DUMMY + LINE / 4, mhz),
            write: cycles(around + 2 + 6 + LINE / 4, mhz),
        })
    }

    fn octal(&self, mode_0: u8, mhz: u32) -> Result<Times, &'static str> {
        // Mode register 0: latency the same for every access, of code 2, ten clocks, without which the
        // chip may double it; the first falls into the address. Writes: five as from power-on.
        const MODE: u8 = 1 << 5 | 2 << 2;
        const READ: u32 = 10 - 1;
        const WRITE: u32 = 5 - 1;
        // Half clocks of latency, addresses and commands of four and two bytes.
        let sctrl = (2 * WRITE - 1) << 22
            | 1 << 21
            | 1 << 20
            | 31 << 14
            | (2 * READ - 1) << 6
            | 1 << 5
            | 1 << 4
            | 1 << 3
            | 1;
        let fields = 0x3F << 22 | 1 << 21 | 1 << 20 | 0x3F << 14 | 0x3F << 6 | 0b11_1111;
        if mode_0 & 0x3C != MODE {
            return Err("PSRAM: the chip's latency isn't fixed at ten clocks (mode register 0)");
        }
        let pins = &self.pins[7..];
        let eight = pins
            .iter()
            .all(|pin| pin >> 12 & 7 == 4 && pin & INPUT != 0);
        if !eight {
            return Err("PSRAM: the pins GPIO33 to GPIO37 aren't SPI's");
        }
        if self.sctrl & fields != sctrl {
            return Err("PSRAM: the phases aren't those of an octal chip (SPI_MEM_CACHE_SCTRL)");
        }
        if self.smem_ddr & 0x1F != 0b11 || self.sram_cmd >> 18 & 0x1F != 0x1F {
            return Err(
                "PSRAM: not eight lines on both edges (SPI_MEM_SRAM_CMD, SPI_MEM_SPI_SMEM_DDR)",
            );
        }
        if self.read_command != 15 << 28 || self.write_command != 15 << 28 | 0x8080 {
            return Err("PSRAM: not the commands of an octal chip (SPI_MEM_SRAM_DRD_CMD, DWR_CMD)");
        }
        let around = self.around();
        Ok(Times {
            read: cycles(around + 1 + 2 + READ + LINE / 16, mhz),
            write: cycles(around + 1 + 2 + WRITE + LINE / 16, mhz),
        })
    }

    /// Clocks before and after chip select, and between two.
    fn around(&self) -> u32 {
        let setup = (self.smem_ac >> 2 & 0x1F) + 1;
        let hold = (self.smem_ac >> 7 & 0x1F) + 1;
        setup + hold + (self.smem_ac >> 25 & 0x3F)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Register and value, in ESP-IDF's order: pins, times of chip select, phases, clock of 40 MHz.
    const QUAD: [(u32, u32); 7] = [
        (SMEM_AC, 0b11),
        (MISC, 0),
        (SRAM_CLK, 0x1_0001),
        (SCTRL, 0x0015_C174),
        (DWR_CMD, 0x7000_0038),
        (DRD_CMD, 0x7000_00EB),
        (SMEM_DDR, 0),
    ];
    const OCTAL: [(u32, u32); 8] = [
        (SMEM_AC, 2 << 25 | 3 << 7 | 3 << 2 | 3),
        (MISC, 0),
        (SRAM_CLK, 0x1_0001),
        (SCTRL, 0x01F7_C479),
        (DWR_CMD, 0xF000_8080),
        (DRD_CMD, 0xF000_0000),
        (SMEM_DDR, 0b11),
        (SRAM_CMD, 0x7C_0000),
    ];

    fn command(lines: Lines, command: u32) -> Transaction {
        Transaction {
            lines,
            command,
            command_bits: 8,
            address: (0, 0),
            dummy_clocks: 0,
            out: (0, 0),
            in_bits: 0,
        }
    }

    fn mode_0(value: u32) -> Transaction {
        Transaction {
            command_bits: 16,
            address: (0, 32),
            out: (value, 16),
            ..command(Lines::Eight, 0xC0C0)
        }
    }

    fn quad() -> Psram {
        let mut psram = Psram::new(2 << 20, false);
        for (register, value) in QUAD {
            psram.write(register, value).unwrap();
        }
        psram
    }

    fn octal() -> Psram {
        let mut psram = Psram::new(8 << 20, false);
        for (register, value) in OCTAL {
            psram.write(register, value).unwrap();
        }
        for pin in 33..=37 {
            psram.write_pin(4 + 4 * pin, 4 << 12 | INPUT).unwrap();
        }
        psram
    }

    fn what(psram: &Psram) -> &'static str {
        match psram.wiring() {
            Wiring::Wrong(what) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_quad_chip_answers_in_its_quad_mode() {
        let mut psram = quad();
        assert!(what(&psram).contains("quad mode"));
        // Reset only behind its enable.
        for (lines, code) in [
            (Lines::Four, 0xF5),
            (Lines::One, 0x66),
            (Lines::One, 0x99),
            (Lines::One, 0x35),
        ] {
            psram.transact(&command(lines, code)).unwrap();
        }
        // 2 + (2 + 6 + 6 + 64) and 2 + (2 + 6 + 64) clocks of six cycles.
        let times = Times {
            read: 480,
            write: 444,
        };
        assert_eq!(psram.wiring(), Wiring::Answers(times));
        // On one line it hears nothing any more; leaving the mode is a command on four.
        psram.transact(&command(Lines::One, 0xF5)).unwrap();
        assert_eq!(psram.wiring(), Wiring::Answers(times));
        psram.transact(&command(Lines::Four, 0xF5)).unwrap();
        assert!(what(&psram).contains("quad mode"));
        assert!(psram.transact(&command(Lines::One, 0x9F)).is_err());
    }

    #[test]
    fn an_octal_chip_answers_with_the_latency_that_is_waited_for() {
        let mut psram = octal();
        assert!(what(&psram).contains("latency"));
        psram.transact(&mode_0(0x28)).unwrap();
        // 4 + 4 + 2 clocks around 1 + 2 + 9 + 16 and 1 + 2 + 4 + 16.
        let times = Times {
            read: 228,
            write: 198,
        };
        assert_eq!(psram.wiring(), Wiring::Answers(times));
        assert!(psram.transact(&command(Lines::Eight, 0x99)).is_err());
    }

    #[test]
    fn every_step_of_the_bring_up_is_needed() {
        // But for the clock, which is slow enough as a reset leaves it, and what a reset leaves right.
        let needed = |register: &u32| ![SRAM_CLK, SMEM_DDR].contains(register);
        for register in QUAD
            .map(|(register, _)| register)
            .iter()
            .filter(|r| needed(r))
        {
            let register = *register;
            let mut psram = quad();
            psram.transact(&command(Lines::One, 0x35)).unwrap();
            let fresh = Psram::new(2 << 20, false).read(register).unwrap();
            psram.write(register, fresh).unwrap();
            assert!(!what(&psram).is_empty(), "{register:#x}");
        }
        for (register, _) in OCTAL {
            if register == SRAM_CLK {
                continue;
            }
            let mut psram = octal();
            psram.transact(&mode_0(0x28)).unwrap();
            let fresh = Psram::new(8 << 20, false).read(register).unwrap();
            psram.write(register, fresh).unwrap();
            assert!(!what(&psram).is_empty(), "{register:#x}");
        }
        let mut psram = octal();
        psram.transact(&mode_0(0x28)).unwrap();
        psram.write_pin(4 + 4 * 35, 1 << 12 | INPUT).unwrap();
        assert!(what(&psram).contains("GPIO33"));
        let mut psram = octal();
        psram.write(SRAM_CLK, 1 << 31).unwrap();
        assert!(what(&psram).contains("40 MHz"));
    }

    #[test]
    fn without_a_chip_nothing_answers_whatever_the_efuses_tell() {
        assert_eq!(Psram::new(0, false).wiring(), Wiring::Nothing);
        let broken = Psram::new(16 << 20, true);
        assert_eq!(broken.wiring(), Wiring::Nothing);
        assert_eq!(broken.efuse(EFUSE_WORD_4), Some(3 << 3));
        let words = |bytes| {
            let psram = Psram::new(bytes, false);
            (psram.efuse(EFUSE_WORD_4), psram.efuse(EFUSE_WORD_5))
        };
        assert_eq!(words(4 << 20), (Some(0), Some(1 << 19)));
        assert_eq!(words(2 << 20), (Some(2 << 3), Some(0)));
    }
}
