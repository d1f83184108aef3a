//! Going to an exception or interrupt vector (Xtensa ISA Reference Manual, section 4.4; vector offsets
//! and interrupts of the ESP32-S3's configuration).

use super::Cpu;
use crate::{Cause, Trap};

const KERNEL_VECTOR: u32 = 0x300;
const USER_VECTOR: u32 = 0x340;
const DOUBLE_VECTOR: u32 = 0x3C0;
/// Vectors of interrupt levels 2 to 5.
const LEVEL_VECTORS: [u32; 4] = [0x180, 0x1C0, 0x200, 0x240];

/// The interrupts of levels 1 to 5.
const LEVELS: [u32; 5] = [
    0x0006_37FF,
    0x0038_0000,
    0x28C0_8800,
    0x5300_0000,
    0x8401_0000,
];
/// The highest level that PS.EXCM masks.
const EXCM_LEVEL: u32 = 3;

/// The interrupts of CCOMPARE0 to 2.
pub(super) const TIMERS: [u32; 3] = [1 << 6, 1 << 15, 1 << 16];

impl Cpu {
    /// The instruction at `pc` raised an exception: on to its vector.
    pub(crate) fn raise(&mut self, cause: Cause, address: Option<u32>) {
        let vector = if self.ps.excm() {
            self.epc[0] = self.pc;
            DOUBLE_VECTOR
        } else {
            self.epc[1] = self.pc;
            match self.ps.user_mode() {
                true => USER_VECTOR,
                false => KERNEL_VECTOR,
            }
        };
        self.exccause = cause as u32;
        if let Some(address) = address {
            self.excvaddr = address;
        }
        self.ps.set_excm(true);
        self.pc = self.vecbase.wrapping_add(vector);
    }

    /// Asserts the interrupts of timers that CCOUNT has passed since this was last called.
    pub(crate) fn pass_timers(&mut self) {
        let passed = self.cycles - std::mem::replace(&mut self.compared, self.cycles);
        let now = self.ccount();
        for (compare, interrupt) in self.ccompare.iter().zip(TIMERS) {
            if u64::from(now.wrapping_sub(*compare)) < passed {
                self.interrupt |= interrupt;
            }
        }
    }

    /// Cycles until a timer interrupts what the core does or waits for; `None` if none will.
    pub(crate) fn timer_due(&self) -> Option<u64> {
        let now = self.ccount();
        let timers = self.ccompare.iter().zip(TIMERS);
        let due = timers.filter(|(_, interrupt)| self.is_let_through(*interrupt));
        due.map(|(compare, _)| match compare.wrapping_sub(now) {
            0 => 1 << 32,
            cycles => u64::from(cycles),
        })
        .min()
    }

    /// Whether one of these interrupts is enabled and not masked.
    fn is_let_through(&self, interrupts: u32) -> bool {
        let masked = self.masked_level();
        let levels = (1..).zip(LEVELS).filter(|(level, _)| *level > masked);
        let open = levels.fold(0, |all, (_, level)| all | level);
        interrupts & self.intenable & open != 0
    }

    /// Interrupts up to this level wait.
    fn masked_level(&self) -> u32 {
        let level = self.ps.interrupt_level();
        match self.ps.excm() {
            true => level.max(EXCM_LEVEL),
            false => level,
        }
    }

    /// Takes the highest enabled interrupt, if one is asserted and not masked.
    pub(crate) fn take_interrupt(&mut self) -> bool {
        let asserted = self.interrupt & self.intenable;
        if asserted == 0 {
            return false;
        }
        let masked = self.masked_level();
        for level in (1..=5u32).rev() {
            if level <= masked || asserted & LEVELS[level as usize - 1] == 0 {
                continue;
            }
            self.waiting = false;
            if level == 1 {
                self.raise(Cause::Level1Interrupt, None);
            } else {
                self.epc[level as usize] = self.pc;
                self.eps[level as usize] = self.ps.0;
                self.ps.set_interrupt_level(level);
                self.ps.set_excm(true);
                self.pc = self.vecbase.wrapping_add(LEVEL_VECTORS[level as usize - 2]);
            }
            return true;
        }
        false
    }

    /// The vector unit's instructions ask this first.
    ///
    /// # Errors
    /// When CPENABLE has the vector unit switched off.
    #[inline]
    pub fn needs_vector_unit(&self) -> Result<(), Trap> {
        if self.cpenable & 1 << 3 != 0 {
            return Ok(());
        }
        Err(Trap::exception(Cause::Coprocessor3Disabled))
    }
}
