//! The registers of the chip, as far as the firmware uses them. Names and addresses: ESP32-S3 Technical
//! Reference Manual and, where that is silent, ESP-IDF's register headers.

use super::memory::{Buses, MMU_ENTRIES, Memory};
use super::psram::Psram;
use super::second::{self, Second};
use super::spi::Spi;
use super::uart::Uart;
use super::usb::Usb;
use super::watchdog::{SuperWatchdog, Watchdog};

const UART0: u32 = 0x6000_0000;
const SPI1: u32 = 0x6000_2000;
const SPI0: u32 = 0x6000_3000;
const EFUSE: u32 = 0x6000_7000;
const IO_MUX: u32 = 0x6000_9000;
const RTC_CNTL: u32 = 0x6000_8000;
const TIMG0: u32 = 0x6001_F000;
const TIMG1: u32 = 0x6002_0000;
const USB: u32 = 0x6003_8000;
const SYSTEM: u32 = 0x600C_0000;
const EXTMEM: u32 = 0x600C_4000;
const MMU_TABLE: u32 = 0x600C_5000;
/// Bytes of a peripheral's block of registers.
const BLOCK: u32 = 0x1000;

const RTC_OPTIONS0: u32 = 0x00;
const RTC_WDT_CONFIG0: u32 = 0x98;
const RTC_WDT_WPROTECT: u32 = 0xB0;
const RTC_SW_CPU_STALL: u32 = 0xBC;
const RTC_SWD_CONF: u32 = 0xB4;
const RTC_SWD_WPROTECT: u32 = 0xB8;
const RTC_OPTION1: u32 = 0x12C;
/// OPTIONS0.SW_SYS_RST.
const SW_SYS_RST: u32 = 1 << 31;

const TIMG_WDT_CONFIG0: u32 = 0x48;
const TIMG_WDT_WPROTECT: u32 = 0x64;

const CPU_PER_CONF: u32 = 0x10;
const SYSCLK_CONF: u32 = 0x60;

const DCACHE_CTRL: u32 = 0x000;
const DCACHE_CTRL1: u32 = 0x004;
const DCACHE_SYNC_CTRL: u32 = 0x028;
const DCACHE_SYNC_ADDR: u32 = 0x02C;
const DCACHE_SYNC_SIZE: u32 = 0x030;
const ICACHE_CTRL1: u32 = 0x064;
const DCACHE_FREEZE: u32 = 0x150;
/// DCACHE_CTRL1 and ICACHE_CTRL1: a bit for each core, set while its bus is shut.
const SHUT: [u32; 2] = [1, 2];
/// DCACHE_SYNC_CTRL: what is asked for, and the answer.
const SYNC_ASKED: u32 = 0b111;
const SYNC_DONE: u32 = 1 << 3;
/// DCACHE_FREEZE: asked, and the answer.
const FREEZE_ASKED: u32 = 1;
const FREEZE_DONE: u32 = 1 << 2;

/// Why the chip resets itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// The program asked for it (RTC_CNTL_OPTIONS0).
    Software,
    RtcWatchdog,
    TimerGroup0Watchdog,
    TimerGroup1Watchdog,
    SuperWatchdog,
}

impl Reset {
    /// As the ROM prints it after the reset.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Software => "0x3 (RTC_SW_SYS_RST)",
            Self::RtcWatchdog => "0x10 (RTCWDT_RTC_RST)",
            Self::TimerGroup0Watchdog => "0x7 (TG0WDT_SYS_RST)",
            Self::TimerGroup1Watchdog => "0x8 (TG1WDT_SYS_RST)",
            Self::SuperWatchdog => "0x12 (SUPER_WDT_RESET)",
        }
    }
}

/// What a read of a register tells of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Poll {
    /// It looked for bytes from its host and found none.
    Idle,
    /// It looked for bytes, or for room for its own.
    Unclear,
    /// It does something else.
    Busy,
}

/// All of them, and what they want of the machine.
#[derive(Clone, Debug)]
pub(super) struct Peripherals {
    pub(super) uart: Uart,
    pub(super) usb: Usb,
    pub(super) spi: Spi,
    psram: Psram,
    rtc_watchdog: Watchdog,
    timer_groups: [Watchdog; 2],
    super_watchdog: SuperWatchdog,
    options0: u32,
    option1: u32,
    sw_cpu_stall: u32,
    cpu_per_conf: u32,
    sysclk_conf: u32,
    dcache_ctrl: u32,
    dcache_freeze: u32,
    dcache_sync: [u32; 3],
    /// Reads in a row that found nothing to do.
    pub(super) idle_polls: u32,
    pub(super) reset: Option<Reset>,
    pub(super) second: Second,
    /// Time since boot when the current stretch of instructions began.
    pub(super) now_ns: u64,
}

impl Peripherals {
    /// As the bootloader leaves them.
    pub(super) fn new(usb_host: bool, second: Second, psram: Psram) -> Self {
        Self {
            uart: Uart::new(),
            usb: Usb::new(usb_host),
            spi: Spi::new(),
            psram,
            rtc_watchdog: Watchdog::rtc(),
            timer_groups: [Watchdog::timer_group(), Watchdog::timer_group()],
            super_watchdog: SuperWatchdog::new(),
            options0: 0x1C00_A000,
            option1: 0,
            sw_cpu_stall: 0,
            // 80 MHz of the 480 MHz PLL.
            cpu_per_conf: 1 << 2,
            sysclk_conf: 1 << 10 | 1,
            // 32-byte lines, on.
            dcache_ctrl: 1 << 3 | 1,
            dcache_freeze: 0,
            dcache_sync: [SYNC_DONE, 0, 0],
            idle_polls: 0,
            reset: None,
            second,
            now_ns: 0,
        }
    }

    /// Hz of the cores.
    pub(super) fn cpu_hz(&self) -> u64 {
        const XTAL_HZ: u64 = 40_000_000;
        match self.sysclk_conf >> 10 & 3 {
            1 => match self.cpu_per_conf & 3 {
                0 => 80_000_000,
                1 => 160_000_000,
                _ => 240_000_000,
            },
            2 => 17_500_000,
            _ => XTAL_HZ / u64::from((self.sysclk_conf & 0x3FF) + 1),
        }
    }

    /// A word; `None` where no register is modelled.
    pub(super) fn read(&mut self, address: u32, memory: &Memory) -> Option<u32> {
        let (block, offset) = (address & !(BLOCK - 1), address & (BLOCK - 1));
        let poll = match block {
            UART0 => self.uart.poll(offset),
            USB => self.usb.poll(offset),
            _ => Poll::Busy,
        };
        match poll {
            Poll::Idle => self.idle_polls = self.idle_polls.saturating_add(1),
            Poll::Unclear => {}
            Poll::Busy => self.idle_polls = 0,
        }
        match block {
            UART0 => self.uart.read(offset),
            USB => self.usb.read(offset),
            SPI1 => self.spi.read(offset),
            SPI0 => self.psram.read(offset),
            EFUSE => self.psram.efuse(offset),
            IO_MUX => self.psram.read_pin(offset),
            RTC_CNTL => match offset {
                RTC_OPTIONS0 => Some(self.options0),
                RTC_WDT_CONFIG0..=RTC_WDT_WPROTECT => {
                    self.rtc_watchdog.read(offset - RTC_WDT_CONFIG0)
                }
                RTC_SWD_CONF | RTC_SWD_WPROTECT => {
                    Some(self.super_watchdog.read(offset - RTC_SWD_CONF))
                }
                RTC_SW_CPU_STALL => Some(self.sw_cpu_stall),
                RTC_OPTION1 => Some(self.option1),
                _ => None,
            },
            TIMG0 | TIMG1 => match offset {
                TIMG_WDT_CONFIG0..=TIMG_WDT_WPROTECT => {
                    let group = usize::from(block == TIMG1);
                    self.timer_groups[group].read(offset - TIMG_WDT_CONFIG0)
                }
                _ => None,
            },
            SYSTEM => match offset {
                second::CONTROL_0 | second::CONTROL_1 => Some(self.second.control(offset)),
                CPU_PER_CONF => Some(self.cpu_per_conf),
                SYSCLK_CONF => Some(self.sysclk_conf),
                _ => None,
            },
            EXTMEM => match offset {
                DCACHE_CTRL => Some(self.dcache_ctrl),
                DCACHE_CTRL1 => Some(shut(memory, |buses| buses.data)),
                ICACHE_CTRL1 => Some(shut(memory, |buses| buses.code)),
                DCACHE_FREEZE => Some(self.dcache_freeze),
                DCACHE_SYNC_CTRL => Some(self.dcache_sync[0]),
                DCACHE_SYNC_ADDR => Some(self.dcache_sync[1]),
                DCACHE_SYNC_SIZE => Some(self.dcache_sync[2]),
                _ => None,
            },
            MMU_TABLE => memory.mmu_entry(mmu_index(offset)?),
            _ => None,
        }
    }

    /// A word; `None` where no register is modelled.
    pub(super) fn write(&mut self, address: u32, value: u32, memory: &mut Memory) -> Option<()> {
        let (block, offset) = (address & !(BLOCK - 1), address & (BLOCK - 1));
        self.idle_polls = 0;
        let now = self.now_ns;
        match block {
            UART0 => return self.uart.write(offset, value),
            USB => return self.usb.write(offset, value),
            SPI0 | SPI1 | IO_MUX => {
                let written = match block {
                    SPI0 => self.psram.write(offset, value),
                    SPI1 => self.spi.write(offset, value, memory, &mut self.psram),
                    _ => self.psram.write_pin(offset, value),
                };
                memory.set_wiring(self.psram.wiring());
                return written;
            }
            RTC_CNTL => match offset {
                RTC_OPTIONS0 => {
                    self.options0 = value & !SW_SYS_RST;
                    self.second.set_stall(self.options0, self.sw_cpu_stall);
                    if value & SW_SYS_RST != 0 {
                        self.reset = Some(Reset::Software);
                    }
                }
                RTC_WDT_CONFIG0..=RTC_WDT_WPROTECT => {
                    let offset = offset - RTC_WDT_CONFIG0;
                    return self.rtc_watchdog.write(offset, value, now);
                }
                RTC_SWD_CONF | RTC_SWD_WPROTECT => {
                    let offset = offset - RTC_SWD_CONF;
                    self.super_watchdog.write(offset, value, now);
                }
                RTC_SW_CPU_STALL => {
                    self.sw_cpu_stall = value;
                    self.second.set_stall(self.options0, self.sw_cpu_stall);
                }
                RTC_OPTION1 => self.option1 = value,
                _ => return None,
            },
            TIMG0 | TIMG1 => match offset {
                TIMG_WDT_CONFIG0..=TIMG_WDT_WPROTECT => {
                    let group = usize::from(block == TIMG1);
                    let offset = offset - TIMG_WDT_CONFIG0;
                    return self.timer_groups[group].write(offset, value, now);
                }
                _ => return None,
            },
            SYSTEM => match offset {
                second::CONTROL_0 | second::CONTROL_1 => self.second.set_control(offset, value),
                CPU_PER_CONF => self.cpu_per_conf = value,
                SYSCLK_CONF => self.sysclk_conf = value,
                _ => return None,
            },
            EXTMEM => match offset {
                DCACHE_CTRL => self.dcache_ctrl = value,
                DCACHE_CTRL1 => open(memory, value, |buses, open| buses.data = open),
                ICACHE_CTRL1 => open(memory, value, |buses, open| buses.code = open),
                DCACHE_FREEZE => {
                    let done = if value & FREEZE_ASKED != 0 {
                        FREEZE_DONE
                    } else {
                        0
                    };
                    self.dcache_freeze = value & !FREEZE_DONE | done;
                }
                // No cache stands between, so what is asked for is done.
                DCACHE_SYNC_CTRL => self.dcache_sync[0] = value & !SYNC_ASKED | SYNC_DONE,
                DCACHE_SYNC_ADDR => self.dcache_sync[1] = value,
                DCACHE_SYNC_SIZE => self.dcache_sync[2] = value,
                _ => return None,
            },
            MMU_TABLE => return memory.set_mmu_entry(mmu_index(offset)?, value),
            _ => return None,
        }
        Some(())
    }

    /// The watchdog that has run out, if one has.
    pub(super) fn bitten(&self) -> Option<Reset> {
        let now = self.now_ns;
        let [first, second] = &self.timer_groups;
        [
            (self.rtc_watchdog.bites(now), Reset::RtcWatchdog),
            (first.bites(now), Reset::TimerGroup0Watchdog),
            (second.bites(now), Reset::TimerGroup1Watchdog),
            (self.super_watchdog.bites(now), Reset::SuperWatchdog),
        ]
        .into_iter()
        .find_map(|(bites, reset)| bites.then_some(reset))
    }
}

/// DCACHE_CTRL1 or ICACHE_CTRL1.
fn shut(memory: &Memory, is_open: impl Fn(Buses) -> bool) -> u32 {
    let bit = |core: usize| match is_open(memory.buses(core)) {
        true => 0,
        false => SHUT[core],
    };
    bit(0) | bit(1)
}

/// Writes one of them.
fn open(memory: &mut Memory, value: u32, set: impl Fn(&mut Buses, bool)) {
    for (core, shut) in SHUT.into_iter().enumerate() {
        let mut buses = memory.buses(core);
        set(&mut buses, value & shut == 0);
        memory.set_buses(core, buses);
    }
}

fn mmu_index(offset: u32) -> Option<usize> {
    let index = offset as usize / 4;
    (index < MMU_ENTRIES).then_some(index)
}
