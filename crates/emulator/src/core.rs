//! Running one core.

use std::fmt;

use fixpoint_isa::{Class, Op};

use crate::blocks::Blocks;
use crate::counts::Counts;
use crate::cpu::{Cpu, Next, wrap};
use crate::{Bus, Trap, cost};

/// Why a core stands still before its time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// All instructions that it was given are done.
    Budget,
    /// `waiti`, and no interrupt.
    Waiting,
    /// [`Bus::event`].
    Event,
    /// It reads the same words again and again and goes on when one of them changes
    /// ([`Core::polled`]); only if [`Core::stops_polling`].
    Polling,
}

/// What could not be emulated, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    pub pc: u32,
    pub trap: Trap,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {:#010x}: {}", self.pc, self.trap)
    }
}

impl std::error::Error for Stop {}

/// A core with its decoded code.
#[derive(Clone, Debug)]
pub struct Core {
    pub cpu: Cpu,
    blocks: Blocks,
    executed: u64,
    /// Whether a loop that only looks at memory pauses the core.
    pub stops_polling: bool,
}

impl Core {
    pub fn new(cpu: Cpu) -> Self {
        Self {
            cpu,
            blocks: Blocks::new(),
            executed: 0,
            stops_polling: false,
        }
    }

    /// Instructions executed so far.
    pub fn executed(&self) -> u64 {
        self.executed
    }

    /// Counts since this was last called.
    pub fn take_counts(&mut self) -> Counts {
        self.blocks.take_counts()
    }

    /// Code has changed, or what is mapped where.
    pub fn forget_code(&mut self) {
        self.blocks.clear();
    }

    /// Executes about `budget` instructions: a block that was begun is ended.
    ///
    /// # Errors
    /// When an instruction can't be emulated; exceptions go to their vector instead. The core's `pc`
    /// is that instruction's.
    pub fn run<B: Bus>(&mut self, bus: &mut B, budget: u64) -> Result<Pause, Stop> {
        let end = self.executed.saturating_add(budget);
        let mut waited = bus.waited();
        while self.executed < end {
            if self.cpu.intenable != 0 && self.cpu.take_interrupt() {
                self.cpu.waiting = false;
            }
            if self.cpu.waiting {
                return Ok(Pause::Waiting);
            }
            let done = self.block(bus);
            let waited_before = std::mem::replace(&mut waited, bus.waited());
            self.cpu.cycles += waited - waited_before;
            match done {
                Ok(false) => {}
                Ok(true) => return Ok(Pause::Polling),
                Err((pc, trap)) => {
                    self.cpu.pc = pc;
                    let Trap::Exception { cause, address } = trap else {
                        return Err(Stop { pc, trap });
                    };
                    // So that faulting for ever ends as well.
                    self.executed += 1;
                    self.cpu.cycles += 1;
                    self.cpu.raise(cause, address);
                }
            }
            if bus.event() {
                return Ok(Pause::Event);
            }
        }
        Ok(Pause::Budget)
    }

    /// Executes the block at `pc`; whether it would only do the same again.
    ///
    /// # Errors
    /// The trap, and the instruction that it belongs to.
    #[inline]
    fn block<B: Bus>(&mut self, bus: &mut B) -> Result<bool, (u32, Trap)> {
        let start = self.cpu.pc;
        let number = self.blocks.at(bus, start).map_err(|trap| (start, trap))?;
        let (block, code) = self.blocks.block(number);
        let Some((last, straight)) = code.split_last() else {
            return Ok(false);
        };
        let cpu = &mut self.cpu;
        for (done, instruction) in straight.iter().enumerate() {
            if let Err(trap) = cpu.straight(bus, instruction) {
                return Err(self.left(number, done, trap));
            }
        }
        cpu.pc = block.end.wrapping_sub(u32::from(last.length));
        let before = cpu.cycles;
        cpu.cycles += u64::from(block.cycles);
        let mut polls = false;
        match cpu.execute(bus, last) {
            Ok(Next::Fall) => cpu.pc = wrap(cpu, block.end),
            Ok(Next::To(target)) => {
                cpu.pc = target;
                cpu.cycles += cost::TAKEN;
                block.taken += 1;
                polls = block.polls && target == start;
            }
            Err(trap) => {
                cpu.cycles = before;
                let done = straight.len();
                return Err(self.left(number, done, trap));
            }
        }
        block.executed += 1;
        self.executed += u64::from(block.count);
        if cpu.intenable != 0 {
            cpu.pass_timers();
        }
        if let Op::Special(_) = last.op {
            // LEND may have been written.
            let end = cpu.lend;
            self.blocks.end_at(end);
        }
        Ok(polls && self.stops_polling)
    }

    /// The words that the loop at `pc` reads, when [`Pause::Polling`] was told.
    pub fn polled<B: Bus>(&mut self, bus: &mut B) -> Vec<u32> {
        let Ok(number) = self.blocks.at(bus, self.cpu.pc) else {
            return Vec::new();
        };
        let (_, code) = self.blocks.block(number);
        let cpu = &self.cpu;
        code.iter()
            .filter(|i| i.op.row().class == Class::Load)
            .map(|i| cpu.get(i.reg[1]).wrapping_add_signed(i.imm[0]))
            .collect()
    }

    /// Of block `number`, `done` instructions were executed and the next one trapped.
    #[cold]
    fn left(&mut self, number: usize, done: usize, trap: Trap) -> (u32, Trap) {
        let (block, code) = self.blocks.block(number);
        let bytes: u32 = code[..done].iter().map(|i| u32::from(i.length)).sum();
        let pc = block.start.wrapping_add(bytes);
        self.blocks.left_early(number, done);
        self.executed += done as u64;
        self.cpu.cycles += done as u64;
        (pc, trap)
    }
}
