//! Registers of the ESP32-S3 that the firmware touches, by their names in the Technical Reference
//! Manual (chapter in brackets) or, where that is silent, in ESP-IDF's register headers.

// SAFETY: assembly in `support.S`, call0 ABI, matching signatures.
unsafe extern "C" {
    fn reg_read(address: u32) -> u32;
    fn reg_write(address: u32, value: u32);
    fn cycle_count() -> u32;
}

/// One memory-mapped register.
#[derive(Clone, Copy)]
pub(crate) struct Reg(u32);

impl Reg {
    pub(crate) const fn address(self) -> u32 {
        self.0
    }

    /// The register so many words behind this one.
    pub(crate) const fn behind(self, words: u32) -> Self {
        Self(self.0 + 4 * words)
    }

    pub(crate) fn read(self) -> u32 {
        // SAFETY: every `Reg` is a constant of this file, a readable word of a peripheral.
        unsafe { reg_read(self.0) }
    }

    pub(crate) fn write(self, value: u32) {
        // SAFETY: as above; what the writes do is the business of the modules next to this one.
        unsafe { reg_write(self.0, value) }
    }

    /// Replaces the bits of `mask` by those of `value`.
    pub(crate) fn modify(self, mask: u32, value: u32) {
        self.write(self.read() & !mask | value & mask);
    }
}

/// CCOUNT: cycles of this core, wrapping at 32 bits.
pub(crate) fn cycles() -> u32 {
    // SAFETY: reads a special register.
    unsafe { cycle_count() }
}

// [UART Controller]
pub(crate) const UART0_FIFO: Reg = Reg(0x6000_0000);
pub(crate) const UART0_CLKDIV: Reg = Reg(0x6000_0014);
pub(crate) const UART0_STATUS: Reg = Reg(0x6000_001C);
pub(crate) const UART0_CLK_CONF: Reg = Reg(0x6000_0078);
pub(crate) const UART0_ID: Reg = Reg(0x6000_0080);

// The controllers of flash and PSRAM, which the manual doesn't describe: 1 sends commands, 0 serves the caches.
pub(crate) const SPI1_CMD: Reg = Reg(0x6000_2000);
pub(crate) const SPI1_ADDR: Reg = Reg(0x6000_2004);
pub(crate) const SPI1_CTRL: Reg = Reg(0x6000_2008);
pub(crate) const SPI1_CLOCK: Reg = Reg(0x6000_2014);
pub(crate) const SPI1_USER: Reg = Reg(0x6000_2018);
pub(crate) const SPI1_USER1: Reg = Reg(0x6000_201C);
pub(crate) const SPI1_USER2: Reg = Reg(0x6000_2020);
pub(crate) const SPI1_MOSI_DLEN: Reg = Reg(0x6000_2024);
pub(crate) const SPI1_MISC: Reg = Reg(0x6000_2034);
pub(crate) const SPI1_CACHE_FCTRL: Reg = Reg(0x6000_203C);
pub(crate) const SPI1_W0: Reg = Reg(0x6000_2058);
pub(crate) const SPI1_DDR: Reg = Reg(0x6000_20E0);
pub(crate) const SPI0_MISC: Reg = Reg(0x6000_3034);
pub(crate) const SPI0_CACHE_SCTRL: Reg = Reg(0x6000_3040);
pub(crate) const SPI0_SRAM_CMD: Reg = Reg(0x6000_3044);
pub(crate) const SPI0_SRAM_DRD_CMD: Reg = Reg(0x6000_3048);
pub(crate) const SPI0_SRAM_DWR_CMD: Reg = Reg(0x6000_304C);
pub(crate) const SPI0_SRAM_CLK: Reg = Reg(0x6000_3050);
pub(crate) const SPI0_SMEM_AC: Reg = Reg(0x6000_30DC);
pub(crate) const SPI0_SMEM_DDR: Reg = Reg(0x6000_30E4);

// [eFuse Controller], BLOCK1
pub(crate) const EFUSE_BLOCK1_4: Reg = Reg(0x6000_7054);
pub(crate) const EFUSE_BLOCK1_5: Reg = Reg(0x6000_7058);

// [IO MUX and GPIO Matrix]
pub(crate) const IO_MUX_GPIO0: Reg = Reg(0x6000_9004);

// [USB Serial/JTAG Controller]
pub(crate) const USB_EP1: Reg = Reg(0x6003_8000);
pub(crate) const USB_EP1_CONF: Reg = Reg(0x6003_8004);

// [Low-power Management], watchdogs in [Watchdog Timers]
pub(crate) const RTC_OPTIONS0: Reg = Reg(0x6000_8000);
pub(crate) const RTC_WDT_CONFIG0: Reg = Reg(0x6000_8098);
pub(crate) const RTC_WDT_WPROTECT: Reg = Reg(0x6000_80B0);
pub(crate) const RTC_SWD_CONF: Reg = Reg(0x6000_80B4);
pub(crate) const RTC_SWD_WPROTECT: Reg = Reg(0x6000_80B8);
pub(crate) const RTC_SW_CPU_STALL: Reg = Reg(0x6000_80BC);

// [Timer Group]
pub(crate) const TIMG0_WDT_CONFIG0: Reg = Reg(0x6001_F048);
pub(crate) const TIMG0_WDT_WPROTECT: Reg = Reg(0x6001_F064);
pub(crate) const TIMG1_WDT_CONFIG0: Reg = Reg(0x6002_0048);
pub(crate) const TIMG1_WDT_WPROTECT: Reg = Reg(0x6002_0064);

// [System Registers], clock tree in [Reset and Clock]
pub(crate) const SYSTEM_CORE_1_CONTROL_0: Reg = Reg(0x600C_0000);
pub(crate) const SYSTEM_CORE_1_CONTROL_1: Reg = Reg(0x600C_0004);
pub(crate) const SYSTEM_CPU_PER_CONF: Reg = Reg(0x600C_0010);
pub(crate) const SYSTEM_SYSCLK_CONF: Reg = Reg(0x600C_0060);

// [External Memory], what is to be done with lines of the data cache: bits of CTRL, first address, number.
pub(crate) const DCACHE_SYNC_CTRL: Reg = Reg(0x600C_4028);
pub(crate) const DCACHE_SYNC_ADDR: Reg = Reg(0x600C_402C);
pub(crate) const DCACHE_SYNC_SIZE: Reg = Reg(0x600C_4030);

// [External Memory], which cores have a bus to the data cache and to the instruction cache.
pub(crate) const DCACHE_CTRL1: Reg = Reg(0x600C_4004);
pub(crate) const ICACHE_CTRL1: Reg = Reg(0x600C_4064);

// [External Memory], the flash MMU: page number of the first 64 KiB of the data window.
pub(crate) const MMU_ENTRY_0: Reg = Reg(0x600C_5000);
