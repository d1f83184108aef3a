//! PSRAM in the package, brought up once, before anything is in it.
//!
//! The slow way that needs no tuning: 40 MHz, both edges of it on eight lines for octal chips (ESP32-S3R8,
//! R16V), one edge on four for quad ones (R2), as ESP-IDF does for `SPIRAM_SPEED_40M`
//! (`esp_psram_impl_octal.c`, `esp_psram_impl_ap_quad.c`; names of registers and fields:
//! `soc/spi_mem_reg.h`). What the ROM's functions for single transactions do to SPI1 is written out. How flash
//! is accessed stays as it is. Whether it worked is told by what lines at both ends hold after they have been
//! out of the cache.

use fixpoint_runtime::Block16;

use crate::flash;
use crate::regs::*;

/// One register: the bits of `mask` get `value`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Step {
    register: u32,
    mask: u32,
    value: u32,
}

// SAFETY: assembly in `support.S`, call0 ABI, matching signatures.
unsafe extern "C" {
    fn play(steps: *mut Step, count: u32);
}

const ALL: u32 = !0;

const fn to(register: Reg, mask: u32, value: u32) -> Step {
    Step {
        register: register.address(),
        mask,
        value,
    }
}

/// A pin: function, and bit 9, an input.
const fn pin(number: u32, function: u32) -> Step {
    const INPUT: u32 = 1 << 9;
    const STRONGEST: u32 = 0b11 << 10;
    let flash = number > 26 && number < 33;
    // The pins that flash is on as well keep their strength.
    let strength = if flash { 0 } else { STRONGEST };
    to(
        IO_MUX_GPIO0.behind(number),
        0b111 << 12 | INPUT | strength,
        function << 12 | INPUT | strength,
    )
}

const START: Step = to(SPI1_CMD, ALL, 1 << 18);
/// 20 MHz for commands, 40 MHz for the cache: the controllers' 80 MHz divided by 4 and 2.
const COMMAND_CLOCK: Step = to(SPI1_CLOCK, ALL, 0x0003_0103);
const CACHE_CLOCK: Step = to(SPI0_SRAM_CLK, ALL, 0x0001_0001);
/// Chip select 1 instead of 0 on SPI1, beside it on SPI0.
const SELECT: Step = to(SPI1_MISC, 0b11, 0b01);
const SELECT_TOO: Step = to(SPI0_MISC, 0b10, 0);
/// Times around chip select.
const AROUND: u32 = 0x3F << 25 | 0x1F << 7 | 0x1F << 2 | 0b11;
/// CTRL: write protect high, one line. USER: a command, and fields that are set with it.
const ONE_LINE: u32 = 1 << 21;
const COMMAND: u32 = 1 << 31;
const USER: u32 = 0xFF00_F000;
const PHASES: u32 = 0x0FFF_CFFF;

const fn quad_command(code: u32) -> Step {
    to(SPI1_USER2, ALL, 7 << 28 | code)
}

const QUAD: [Step; 26] = [
    pin(26, 0),
    pin(27, 0),
    pin(28, 0),
    to(SPI0_SMEM_AC, AROUND, 0b11),
    COMMAND_CLOCK,
    SELECT,
    // Out of the quad mode that an earlier start may have left it in: a command on four lines.
    to(SPI1_CTRL, ALL, ONE_LINE | 1 << 24 | 1 << 8),
    to(SPI1_DDR, 0b1_1101, 0),
    to(SPI1_USER, USER, COMMAND | 1 << 15),
    quad_command(0xF5),
    START,
    // Reset, and into quad mode, on one line.
    to(SPI1_CTRL, ALL, ONE_LINE),
    to(SPI1_USER, USER, COMMAND),
    quad_command(0x66),
    START,
    quad_command(0x99),
    START,
    quad_command(0x35),
    START,
    SELECT_TOO,
    CACHE_CLOCK,
    // Commands, addresses of 24 bits and six clocks before what is read.
    to(
        SPI0_CACHE_SCTRL,
        PHASES,
        1 << 20 | 23 << 14 | 5 << 6 | 1 << 5 | 1 << 4 | 1 << 2,
    ),
    to(SPI0_SRAM_CMD, 0x7F_FC00, 0),
    to(SPI0_SRAM_DWR_CMD, ALL, 7 << 28 | 0x38),
    to(SPI0_SRAM_DRD_CMD, ALL, 7 << 28 | 0xEB),
    to(SPI0_SMEM_DDR, 0b1_1111, 0),
];

const OCTAL: [Step; 28] = [
    pin(26, 0),
    pin(27, 0),
    pin(28, 0),
    pin(33, 4),
    pin(34, 4),
    pin(35, 4),
    pin(36, 4),
    pin(37, 4),
    to(SPI0_SMEM_AC, AROUND, 2 << 25 | 3 << 7 | 3 << 2 | 0b11),
    COMMAND_CLOCK,
    SELECT,
    // Mode register 0: the latency of reads fixed at ten clocks, full drive strength.
    to(SPI1_CTRL, ALL, ONE_LINE | 1 << 13 | 1 << 9 | 0b111 << 4),
    to(SPI1_DDR, 0b1_1111, 0b11),
    to(SPI1_CACHE_FCTRL, 0b10, 0b10),
    to(SPI1_USER, USER, COMMAND | 1 << 30 | 1 << 27),
    to(SPI1_USER1, ALL, 31 << 26),
    to(SPI1_USER2, ALL, 15 << 28 | 0xC0C0),
    to(SPI1_ADDR, ALL, 0),
    to(SPI1_MOSI_DLEN, ALL, 15),
    to(SPI1_W0, ALL, 0x28),
    START,
    SELECT_TOO,
    CACHE_CLOCK,
    // Commands, addresses of 32 bits, nine clocks before what is read and four before what is written, told
    // in edges.
    to(
        SPI0_CACHE_SCTRL,
        PHASES,
        7 << 22 | 1 << 21 | 1 << 20 | 31 << 14 | 17 << 6 | 0b11_1001,
    ),
    to(SPI0_SRAM_DWR_CMD, ALL, 15 << 28 | 0x8080),
    to(SPI0_SRAM_DRD_CMD, ALL, 15 << 28),
    to(SPI0_SMEM_DDR, 0b1_1111, 0b11),
    to(SPI0_SRAM_CMD, 0x7F_FC00, 0x7C_0000),
];

/// What of SPI1 is changed here, and is as before afterwards.
const BORROWED: [Reg; 8] = [
    SPI1_CTRL,
    SPI1_CLOCK,
    SPI1_USER,
    SPI1_USER1,
    SPI1_USER2,
    SPI1_MISC,
    SPI1_CACHE_FCTRL,
    SPI1_DDR,
];

/// Bytes in the package, by eFuse BLOCK1: PSRAM_CAP, as `fixpoint_flash` reads it.
pub(crate) fn in_package() -> u32 {
    let megabytes = match EFUSE_BLOCK1_5.read() >> 17 & 0b100 | EFUSE_BLOCK1_4.read() >> 3 & 0b11 {
        1 => 8,
        2 => 2,
        3 => 16,
        4 => 4,
        _ => 0,
    };
    megabytes << 20
}

/// Bytes at either end that nothing is kept in (`fixpoint_flash::TensorMemory` knows them).
const MARGIN: u32 = 64;

/// The memory in a PSRAM of `bytes` bytes; nothing when it does not answer. To be called once.
pub(crate) fn start(bytes: u32) -> &'static mut [Block16] {
    if bytes == 0 {
        return &mut [];
    }
    let before = BORROWED.map(Reg::read);
    // Copies in RAM: while the steps are played, nothing is read from flash.
    let (mut quad, mut octal);
    let steps: &mut [Step] = if bytes < 8 << 20 {
        quad = QUAD;
        &mut quad
    } else {
        octal = OCTAL;
        &mut octal
    };
    // SAFETY: what the steps do is said above; core 1 waits in internal RAM.
    unsafe { play(steps.as_mut_ptr(), steps.len() as u32) };
    for (register, value) in BORROWED.into_iter().zip(before) {
        register.write(value);
    }
    let (start, blocks) = flash::show_psram(bytes);
    if !keeps(start, blocks) {
        return &mut [];
    }
    // Kernels read whole vectors that begin in front of a tensor or end behind it, and there is nothing around
    // the pages that are shown.
    let (start, blocks) = (
        start + MARGIN,
        blocks - 2 * MARGIN / size_of::<Block16>() as u32,
    );
    // SAFETY: shown there from now on, to nobody else; any bytes are valid.
    unsafe { core::slice::from_raw_parts_mut(start as *mut Block16, blocks as usize) }
}

/// Whether lines at both ends hold what was written after they have been out of the cache.
fn keeps(start: u32, blocks: u32) -> bool {
    /// A few lines of the cache, whatever their size.
    const WORDS: u32 = 64;
    let bytes = blocks * size_of::<Block16>() as u32;
    let ends = [start, start + bytes - 4 * WORDS];
    let words = || {
        ends.into_iter()
            .flat_map(|end| (0..WORDS).map(move |n| end + 4 * n))
    };
    let pattern = |address: u32| address.wrapping_mul(0x9E37_79B1);
    for address in words() {
        // SAFETY: a word of PSRAM, which nothing is in yet.
        unsafe { (address as *mut u32).write_volatile(pattern(address)) };
    }
    for end in ends {
        flash::write_back(end, 4 * WORDS);
    }
    flash::show_psram(bytes);
    // SAFETY: as above.
    words().all(|address| unsafe { (address as *const u32).read_volatile() } == pattern(address))
}
