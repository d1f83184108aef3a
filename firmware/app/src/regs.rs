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

// [External Memory], which cores have a bus to the data cache and to the instruction cache.
pub(crate) const DCACHE_CTRL1: Reg = Reg(0x600C_4004);
pub(crate) const ICACHE_CTRL1: Reg = Reg(0x600C_4064);

// [External Memory], the flash MMU: page number of the first 64 KiB of the data window.
pub(crate) const MMU_ENTRY_0: Reg = Reg(0x600C_5000);
