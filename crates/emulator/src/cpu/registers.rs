//! The registers of one core.

use super::Vector;

/// PS, the processor state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ps(pub u32);

impl Ps {
    const INTLEVEL: u32 = 0xF;
    const EXCM: u32 = 1 << 4;
    const UM: u32 = 1 << 5;
    /// INTLEVEL, EXCM, UM, RING, OWB, CALLINC, WOE.
    const WRITABLE: u32 = 0x7_0FFF;

    pub fn excm(self) -> bool {
        self.0 & Self::EXCM != 0
    }

    pub fn set_excm(&mut self, on: bool) {
        self.0 = self.0 & !Self::EXCM | if on { Self::EXCM } else { 0 };
    }

    /// Whether exceptions go to the user vector.
    pub fn user_mode(self) -> bool {
        self.0 & Self::UM != 0
    }

    pub fn interrupt_level(self) -> u32 {
        self.0 & Self::INTLEVEL
    }

    pub fn set_interrupt_level(&mut self, level: u32) {
        self.0 = self.0 & !Self::INTLEVEL | level & Self::INTLEVEL;
    }

    pub fn write(&mut self, value: u32) {
        self.0 = value & Self::WRITABLE;
    }
}

/// The state of one core.
#[derive(Clone, Debug)]
pub struct Cpu {
    /// Address of the instruction that is next.
    pub pc: u32,
    /// General registers. Without windows there are sixteen.
    pub a: [u32; 16],
    /// Shift amount, 0 to 63.
    pub sar: u32,
    pub lbeg: u32,
    pub lend: u32,
    pub lcount: u32,
    pub scompare1: u32,
    pub ps: Ps,
    pub vecbase: u32,
    /// EPC1 to EPC7 at 1 to 7, DEPC at 0.
    pub epc: [u32; 8],
    /// EPS2 to EPS7 at 2 to 7.
    pub eps: [u32; 8],
    /// EXCSAVE1 to EXCSAVE7 at 1 to 7.
    pub excsave: [u32; 8],
    pub misc: [u32; 4],
    pub exccause: u32,
    pub excvaddr: u32,
    /// One bit per coprocessor; the vector unit is number 3.
    pub cpenable: u32,
    pub intenable: u32,
    /// Interrupts that are asserted: those of the timers and of software.
    pub interrupt: u32,
    pub ccompare: [u32; 3],
    /// Cycles up to which CCOUNT was compared with CCOMPARE0 to 2.
    pub(crate) compared: u64,
    /// Cycles since reset, by the cost model. The low 32 bits plus `ccount_offset` are CCOUNT.
    pub cycles: u64,
    pub ccount_offset: u32,
    pub windowstart: u32,
    pub threadptr: u32,
    /// Tells the cores apart.
    pub prid: u32,
    /// Whether loads and stores need no alignment, as on the ESP32-S3.
    pub unaligned: bool,
    /// `waiti` waits for an interrupt.
    pub waiting: bool,
    /// Floating-point registers as bits: only the vector unit's loads and stores know them.
    pub f: [u32; 16],
    pub vector: Vector,
}

/// VECBASE after reset.
const RESET_VECBASE: u32 = 0x4000_0000;

impl Cpu {
    /// A core of the ESP32-S3 that has just been reset and continues at `pc`.
    pub fn new(pc: u32, prid: u32) -> Self {
        Self {
            pc,
            a: [0; 16],
            sar: 0,
            lbeg: 0,
            lend: 0,
            lcount: 0,
            scompare1: 0,
            // Reset: level 15, EXCM.
            ps: Ps(0x1F),
            vecbase: RESET_VECBASE,
            epc: [0; 8],
            eps: [0; 8],
            excsave: [0; 8],
            misc: [0; 4],
            exccause: 0,
            excvaddr: 0,
            cpenable: 0,
            intenable: 0,
            interrupt: 0,
            ccompare: [0; 3],
            compared: 0,
            cycles: 0,
            ccount_offset: 0,
            windowstart: 1,
            threadptr: 0,
            prid,
            unaligned: true,
            waiting: false,
            f: [0; 16],
            vector: Vector::default(),
        }
    }

    /// General register `number`, of which four bits count.
    #[inline]
    pub fn get(&self, number: u8) -> u32 {
        self.a[usize::from(number & 15)]
    }

    /// Sets general register `number`, of which four bits count.
    #[inline]
    pub fn set(&mut self, number: u8, value: u32) {
        self.a[usize::from(number & 15)] = value;
    }

    /// CCOUNT.
    pub fn ccount(&self) -> u32 {
        (self.cycles as u32).wrapping_add(self.ccount_offset)
    }
}
