//! The second core: started once, then it waits in internal RAM for what this one hands over.

use fixpoint_vector::{Cores, Job};

use crate::regs::*;
use crate::soc::CPU_HZ;

// SAFETY: assembly in `start.S`, call0 ABI, matching signatures.
unsafe extern "C" {
    fn second_start() -> !;
    fn second_give(function: u32, argument: u32);
    fn second_works() -> u32;
}

/// Cycles that it may take to come up: a hundred times what the mask ROM needs.
const START_PATIENCE: u32 = CPU_HZ / 100;
/// Cycles that a job may take, nine seconds: more than any layer does that fits the chip.
const JOB_PATIENCE: u32 = 1 << 31;

const RUNSTALL: u32 = 1;
const CLKGATE_EN: u32 = 2;
const RESETING: u32 = 4;

/// Core 1, as seen by core 0.
pub(crate) struct Second {
    answers: bool,
}

impl Second {
    /// Starts it as ESP-IDF does (`start_other_core` in its `cpu_start.c`), and waits a little for its
    /// answer.
    ///
    /// To be called before the arena is used: the mask ROM's stack for core 1 ends where the arena does.
    pub(crate) fn start() -> Self {
        const STALL_LOW: u32 = 0b11;
        const STALL_HIGH: u32 = 0b11_1111 << 20;
        const SHUT_CORE_1: u32 = 1 << 1;
        let mut second = Self { answers: true };
        // Anything that isn't zero: it is cleared by core 1's first instructions.
        // SAFETY: core 1 is held in reset.
        unsafe { second_give(1, 0) };
        SYSTEM_CORE_1_CONTROL_1.write(0);
        RTC_OPTIONS0.modify(STALL_LOW, 0);
        RTC_SW_CPU_STALL.modify(STALL_HIGH, 0);
        DCACHE_CTRL1.modify(SHUT_CORE_1, 0);
        ICACHE_CTRL1.modify(SHUT_CORE_1, 0);
        SYSTEM_CORE_1_CONTROL_0.write(CLKGATE_EN | RESETING);
        SYSTEM_CORE_1_CONTROL_0.write(CLKGATE_EN);
        // The ROM, which core 1 is in, calls what it finds there.
        SYSTEM_CORE_1_CONTROL_1.write(second_start as *const () as u32);
        second.wait(START_PATIENCE);
        second
    }

    /// Waits until it has nothing more to do; one that takes too long is given up for good.
    fn wait(&mut self, patience: u32) -> bool {
        let start = cycles();
        // SAFETY: reads a word.
        while unsafe { second_works() } != 0 {
            if cycles().wrapping_sub(start) >= patience {
                SYSTEM_CORE_1_CONTROL_0.write(RESETING | RUNSTALL);
                self.answers = false;
                return false;
            }
        }
        true
    }
}

impl Cores for Second {
    fn are_two(&self) -> bool {
        self.answers
    }

    fn both(&mut self, first: Job<'_>, mut second: Job<'_>) {
        if self.answers {
            let argument = (&raw mut second) as u32;
            // SAFETY: core 1 is idle, as each job is waited for, and `second` lives longer than its job.
            unsafe { second_give(do_job as *const () as u32, argument) };
            first();
            if self.wait(JOB_PATIENCE) {
                return;
            }
        } else {
            first();
        }
        second();
    }
}

/// What core 1 calls.
///
/// # Safety
/// `job` is the one that [`Second::both`] waits for.
unsafe extern "C" fn do_job(job: *mut Job<'_>) {
    // SAFETY: the caller's promise; core 0 doesn't touch it meanwhile.
    unsafe { (*job)() }
}
