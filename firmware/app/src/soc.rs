//! Bringing the chip into the state the runtime wants: no watchdogs, full speed, a known baud rate.

use crate::regs::*;

/// Core clock after [`full_speed`], in Hz.
pub(crate) const CPU_HZ: u32 = 240_000_000;

const WDT_KEY: u32 = 0x50D8_3AA1;
const SWD_KEY: u32 = 0x8F1D_312A;

/// Stops every watchdog: the RTC one guards the bootloader and is left running by it, the super
/// watchdog feeds itself from here on (TRM, Watchdog Timers).
pub(crate) fn stop_watchdogs() {
    for (protect, config) in [
        (RTC_WDT_WPROTECT, RTC_WDT_CONFIG0),
        (TIMG0_WDT_WPROTECT, TIMG0_WDT_CONFIG0),
        (TIMG1_WDT_WPROTECT, TIMG1_WDT_CONFIG0),
    ] {
        protect.write(WDT_KEY);
        config.write(0);
        protect.write(0);
    }
    const SWD_AUTO_FEED: u32 = 1 << 31;
    RTC_SWD_WPROTECT.write(SWD_KEY);
    RTC_SWD_CONF.modify(SWD_AUTO_FEED, SWD_AUTO_FEED);
    RTC_SWD_WPROTECT.write(0);
}

/// CPU at 240 MHz from the 480 MHz PLL, which the bootloader has started and locked (it leaves the
/// CPU at 80 MHz of the same PLL). APB stays at 80 MHz, as it does for every PLL speed, so flash
/// timing and peripherals are unaffected (TRM, Reset and Clock, CPU clock).
pub(crate) fn full_speed() {
    const CPUPERIOD_SEL: u32 = 0b11;
    const CPUPERIOD_240_MHZ: u32 = 2;
    const PLL_FREQ_480_MHZ: u32 = 1 << 2;
    const SOC_CLK_SEL: u32 = 0b11 << 10;
    const SOC_CLK_PLL: u32 = 1 << 10;
    SYSTEM_CPU_PER_CONF.modify(
        CPUPERIOD_SEL | PLL_FREQ_480_MHZ,
        CPUPERIOD_240_MHZ | PLL_FREQ_480_MHZ,
    );
    SYSTEM_SYSCLK_CONF.modify(SOC_CLK_SEL, SOC_CLK_PLL);
}

/// UART0 stays at the baud rate the ROM set as long as the crystal clocks it, which is how ROM and
/// bootloader leave it: then changing the CPU's clock changes nothing. Were it clocked by anything
/// else, it is put on the crystal here, at 115200 baud.
pub(crate) fn keep_baud_rate() {
    const SCLK_SEL: u32 = 0b11 << 20;
    const SCLK_XTAL: u32 = 0b11 << 20;
    const SCLK_DIV_NUM: u32 = 0xFF << 12;
    const SCLK_DIV_FRACTION: u32 = 0xFFF;
    const UPDATE: u32 = 1 << 31;
    const XTAL_HZ: u32 = 40_000_000;
    const BAUD: u32 = 115_200;
    if UART0_CLK_CONF.read() & SCLK_SEL == SCLK_XTAL {
        return;
    }
    // Sixteenths of a clock: whole clocks in bits 11:0, the rest in bits 23:20.
    let divider = (XTAL_HZ * 16 + BAUD / 2) / BAUD;
    UART0_CLK_CONF.modify(SCLK_SEL | SCLK_DIV_NUM | SCLK_DIV_FRACTION, SCLK_XTAL);
    UART0_CLKDIV.write(divider >> 4 | (divider & 0xF) << 20);
    UART0_ID.modify(UPDATE, UPDATE);
}

/// Spends `milliseconds` at [`CPU_HZ`].
pub(crate) fn wait(milliseconds: u32) {
    for _ in 0..milliseconds {
        let start = cycles();
        while cycles().wrapping_sub(start) < CPU_HZ / 1000 {}
    }
}

/// Software reset of the whole digital system.
pub(crate) fn restart() -> ! {
    const SW_SYS_RST: u32 = 1 << 31;
    loop {
        RTC_OPTIONS0.modify(SW_SYS_RST, SW_SYS_RST);
    }
}
