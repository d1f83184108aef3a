//! The registers that hold core 1 and let it go, and what it does in the mask ROM until it runs the
//! program's code.
//!
//! Out of reset both cores go through the ROM's start. On core 1 it leaves all memory but its stack
//! alone, then reads CORE_1_CONTROL_1 until that isn't zero, and calls the address that it finds there
//! (the ROM's `main` at 0x40043A2C; its `ets_set_appcpu_boot_addr` writes that register).

/// SYSTEM_CORE_1_CONTROL_0 and _1.
pub(super) const CONTROL_0: u32 = 0x00;
pub(super) const CONTROL_1: u32 = 0x04;
/// Bits of CONTROL_0.
const RUNSTALL: u32 = 1;
const CLKGATE_EN: u32 = 2;
const RESETING: u32 = 4;

/// RTC_CNTL_OPTIONS0 has two bits of core 1's stall code, RTC_CNTL_SW_CPU_STALL the other six.
const STALL_LOW: u32 = 0b11;
const STALL_HIGH_SHIFT: u32 = 20;
const STALL_HIGH: u32 = 0b11_1111;
const STALL: u32 = 0x86;

/// The ROM's stack for core 1 when it calls the program: below the end of `stack_app`, two frames.
const ROM_STACK: u32 = 0x3FCE_D6F0;
/// PS then: windows enabled, user mode, a call by 8 registers.
const ROM_PS: u32 = 0x6_0020;

/// How far core 1 has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Reset,
    Rom,
    Program,
}

/// Core 1 as core 0 controls it.
#[derive(Clone, Debug)]
pub(super) struct Second {
    control: [u32; 2],
    stall: [u32; 2],
    stage: Stage,
    /// It never comes out of its ROM.
    broken: bool,
    /// One of its registers was written, and the machine has not looked since.
    pub(super) touched: bool,
}

impl Second {
    pub(super) fn new(broken: bool) -> Self {
        Self {
            control: [RESETING, 0],
            stall: [0; 2],
            stage: Stage::Reset,
            broken,
            touched: false,
        }
    }

    /// CONTROL_0 or CONTROL_1.
    pub(super) fn control(&self, offset: u32) -> u32 {
        self.control[usize::from(offset == CONTROL_1)]
    }

    pub(super) fn set_control(&mut self, offset: u32, value: u32) {
        self.control[usize::from(offset == CONTROL_1)] = value;
        self.touched = true;
        let reset = self.control[0] & RESETING != 0;
        self.stage = match self.stage {
            _ if reset => Stage::Reset,
            Stage::Reset => Stage::Rom,
            stage => stage,
        };
    }

    /// RTC_CNTL_OPTIONS0 and RTC_CNTL_SW_CPU_STALL, whose other bits are others' business.
    pub(super) fn set_stall(&mut self, options0: u32, sw_cpu_stall: u32) {
        self.stall = [
            options0 & STALL_LOW,
            sw_cpu_stall >> STALL_HIGH_SHIFT & STALL_HIGH,
        ];
        self.touched = true;
    }

    /// Whether it has a clock and isn't held.
    fn moves(&self) -> bool {
        let [low, high] = self.stall;
        self.control[0] & (RUNSTALL | CLKGATE_EN) == CLKGATE_EN && high << 2 | low != STALL
    }

    /// Whether it executes the program.
    pub(super) fn runs(&self) -> bool {
        self.stage == Stage::Program && self.moves()
    }

    /// Where it comes to the program now, told once: address, stack pointer and PS.
    pub(super) fn enters(&mut self) -> Option<(u32, u32, u32)> {
        let address = self.control[1];
        let called = self.stage == Stage::Rom && self.moves() && address != 0 && !self.broken;
        called.then(|| {
            self.stage = Stage::Program;
            (address, ROM_STACK, ROM_PS)
        })
    }
}
