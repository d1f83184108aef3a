//! The chip: two cores, memories and peripherals, from the moment the second-stage bootloader jumps to
//! the application. Sans-io: bytes of both serial lines go in and come out by calls, and time passes
//! only as instructions are executed or [`Machine::skip`] says so.

mod cache;
mod memory;
mod peripherals;
mod psram;
mod second;
mod soc;
mod spi;
mod uart;
mod usb;
mod watchdog;

use std::fmt;

use crate::boot::{Application, Start};
use crate::counts::Counts;
use crate::cpu::Cpu;
use crate::{Core, Pause, Stop};
use memory::Memory;
use peripherals::Peripherals;
pub use peripherals::Reset;
use psram::Psram;
pub use psram::psram_words;
use second::Second;
use soc::Soc;

/// PRID of core 0 and core 1.
const PRIDS: [u32; 2] = [0xCDCD, 0xABAB];
/// Where the bootloader's stack stood: the application has its own.
const BOOTLOADER_STACK: u32 = 0x3FCE_B900;
/// PS as the bootloader leaves it: user mode, windows enabled, interrupts not masked.
const BOOTLOADER_PS: u32 = 0x6_0020;
/// Instructions between two looks at the watchdogs.
const STRETCH: u64 = 100_000;
/// Instructions of one core between two looks at the other, while both work.
const STRETCH_OF_TWO: u64 = 100;
/// Instructions between two polls of a program that only waits.
const POLLING: u64 = 100;

/// What is chosen about a chip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Bytes of PSRAM in the package, which its eFuses tell: 2 or 4 MiB, quad, or 8 or 16 MiB, octal;
    /// anything else is a package without.
    pub psram_bytes: u32,
    /// The PSRAM never answers, whatever the eFuses tell.
    pub psram_broken: bool,
    /// Whether a host takes what the USB Serial/JTAG controller sends.
    pub usb_host: bool,
    /// Core 1 never leaves its ROM, as if it were broken.
    pub core_1_broken: bool,
    /// The operation of the flash, an erasure or a programming counted from 0, in the middle of which the power
    /// fails: it and those behind it leave no more behind. See [`Machine::power_failed`].
    pub power_fails_in: Option<u64>,
}

/// Why [`Machine::run`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The instructions that it was given are done.
    Budget,
    /// The program waits for bytes from its host.
    Idle,
    /// The chip resets itself: everything but the always-on domain is gone.
    Reset(Reset),
    /// Something is not modelled.
    Stopped { core: usize, stop: Stop },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Budget => f.write_str("still runs"),
            Self::Idle => f.write_str("waits for its host"),
            Self::Reset(reset) => write!(f, "reset {}", reset.text()),
            Self::Stopped { core, stop } => write!(f, "core {core} {stop}"),
        }
    }
}

/// What core 1 does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activity {
    /// Nothing: it is held.
    Held,
    Works,
    /// It looks at the same words of memory again and again. Nothing is executed until one of them is
    /// written; its time passes with core 0's.
    Polls,
}

/// An ESP32-S3 that runs an application.
///
/// The core that is behind in cycles goes on next, so that both are at the same time within
/// a hundred instructions, and every run is the same.
#[derive(Clone, Debug)]
pub struct Machine {
    cores: [Core; 2],
    core_1: Activity,
    soc: Soc,
    /// Cycles of core 0 up to which `now_ns` was counted.
    counted_cycles: u64,
    /// Instructions when the last row of polls began.
    polling_since: u64,
}

impl Machine {
    /// The chip as the bootloader starts `application` of `flash`: segments loaded and mapped, core 1
    /// halted, the RTC watchdog running.
    ///
    /// # Errors
    /// When a segment can't be where it wants to be: its index.
    pub fn new(flash: &[u8], application: &Application, options: Options) -> Result<Self, usize> {
        let mut cpu = Cpu::new(application.entry, PRIDS[0]);
        cpu.a[1] = BOOTLOADER_STACK;
        cpu.ps.write(BOOTLOADER_PS);
        let mut memory = Memory::new(flash, options.psram_bytes);
        let psram = Psram::new(options.psram_bytes, options.psram_broken);
        memory.set_wiring(psram.wiring());
        memory.supply.fails_in = options.power_fails_in;
        for (index, segment) in application.segments.iter().enumerate() {
            let done = match segment.start() {
                Start::Mapped(entries) => entries
                    .into_iter()
                    .try_for_each(|(entry, page)| memory.set_mmu_entry(entry as usize, page)),
                Start::Loaded => {
                    let start = segment.at as usize;
                    let bytes = flash.get(start..start.saturating_add(segment.size as usize));
                    bytes.and_then(|bytes| memory.place(segment.address, bytes))
                }
                Start::Impossible => None,
            };
            done.ok_or(index)?;
        }
        memory.forget_code();
        Ok(Self {
            cores: [Core::new(cpu), Core::new(Cpu::new(0, PRIDS[1]))],
            core_1: Activity::Held,
            soc: Soc {
                memory,
                peripherals: Peripherals::new(
                    options.usb_host,
                    Second::new(options.core_1_broken),
                    psram,
                ),
                called: false,
            },
            counted_cycles: 0,
            polling_since: 0,
        })
    }

    /// Runs until there is something to say, for about `budget` instructions of core 0 at most; while that
    /// waits for an interrupt, of core 1.
    pub fn run(&mut self, budget: u64) -> Outcome {
        let mut left = budget;
        while left > 0 {
            let before = self.cores.each_ref().map(Core::executed);
            if let Some(outcome) = self.stretch(left) {
                return outcome;
            }
            let waits = self.cores[0].cpu.waiting;
            for (core, before) in self.cores.iter().zip(before).take(1 + usize::from(waits)) {
                left = left.saturating_sub(core.executed() - before);
            }
        }
        Outcome::Budget
    }

    fn stretch(&mut self, budget: u64) -> Option<Outcome> {
        let [first, second] = &self.cores;
        let behind = second.cpu.cycles < first.cpu.cycles;
        let done = match self.core_1 {
            Activity::Works if behind => self.run_core_1(),
            // Not less, whatever the budget: it must not change who goes on when.
            Activity::Works => self.core(0, STRETCH_OF_TWO),
            _ => self.core(0, budget.min(STRETCH)),
        };
        let waits = match done {
            Ok(pause) => pause == Pause::Waiting && !self.sleep(),
            Err(outcome) => return Some(outcome),
        };
        if let Some(reset) = self.keep_time() {
            return Some(Outcome::Reset(reset));
        }
        self.soc.called = false;
        if std::mem::take(&mut self.soc.peripherals.second.touched) {
            self.control_core_1();
        }
        if std::mem::take(&mut self.soc.memory.polled_written) {
            self.wake_core_1();
        }
        let idle = waits || self.only_polls();
        (idle && self.core_1 != Activity::Works).then_some(Outcome::Idle)
    }

    /// Core 0 waits for an interrupt: its time passes up to a timer's, or with core 1's. `false` if nothing
    /// will come.
    fn sleep(&mut self) -> bool {
        let [first, second] = &mut self.cores;
        let cycles = match (first.cpu.timer_due(), self.core_1) {
            (Some(cycles), _) => cycles,
            (None, Activity::Works) => {
                let behind = second.cpu.cycles.saturating_sub(first.cpu.cycles);
                behind + STRETCH_OF_TWO
            }
            (None, _) => return false,
        };
        first.cpu.cycles += cycles;
        first.cpu.pass_timers();
        true
    }

    /// Core 1 is behind: it goes on until it isn't, or waits for core 0. The answer is for core 0.
    fn run_core_1(&mut self) -> Result<Pause, Outcome> {
        match self.core(1, STRETCH_OF_TWO)? {
            Pause::Polling => {
                let words = self.cores[1].polled(&mut self.soc);
                let interrupted = self.cores[1].cpu.timer_due().is_some();
                if !interrupted && self.soc.memory.watch(&words) {
                    self.core_1 = Activity::Polls;
                }
            }
            Pause::Waiting => {
                let core = &mut self.cores[1].cpu;
                match core.timer_due() {
                    Some(cycles) => {
                        core.cycles += cycles;
                        core.pass_timers();
                    }
                    // Nothing else interrupts it.
                    None => self.core_1 = Activity::Polls,
                }
            }
            Pause::Budget | Pause::Event => {}
        }
        Ok(Pause::Budget)
    }

    fn wake_core_1(&mut self) {
        if self.core_1 == Activity::Polls {
            let now = self.cores[0].cpu.cycles;
            let core = &mut self.cores[1].cpu;
            core.cycles = core.cycles.max(now);
            self.core_1 = Activity::Works;
        }
    }

    /// Registers that hold core 1 or let it go were written.
    fn control_core_1(&mut self) {
        let second = &mut self.soc.peripherals.second;
        let now = self.cores[0].cpu.cycles;
        if let Some((address, stack, ps)) = second.enters() {
            let mut cpu = Cpu::new(address, PRIDS[1]);
            cpu.a[1] = stack;
            cpu.ps.write(ps);
            cpu.cycles = now;
            cpu.compared = now;
            self.cores[1].cpu = cpu;
            self.cores[1].stops_polling = true;
        }
        match (second.runs(), self.core_1) {
            (true, Activity::Held) => {
                self.core_1 = Activity::Polls;
                self.wake_core_1();
            }
            (true, _) => {}
            (false, _) => self.core_1 = Activity::Held,
        }
    }

    fn core(&mut self, number: usize, budget: u64) -> Result<Pause, Outcome> {
        self.soc.memory.turn_to(number);
        self.soc.memory.cache.start(self.cores[number].cpu.cycles);
        let pause = self.cores[number].run(&mut self.soc, budget);
        if self.soc.memory.code_changed {
            self.soc.memory.forget_code();
            self.cores.iter_mut().for_each(Core::forget_code);
            self.wake_core_1();
        }
        pause.map_err(|stop| Outcome::Stopped { core: number, stop })
    }

    /// Brings the time up to core 0's cycles; what resets the chip now, if anything does.
    fn keep_time(&mut self) -> Option<Reset> {
        let peripherals = &mut self.soc.peripherals;
        let cycles = self.cores[0].cpu.cycles;
        let passed = cycles - std::mem::replace(&mut self.counted_cycles, cycles);
        let (hz, giga) = (peripherals.cpu_hz(), 1_000_000_000);
        peripherals.now_ns += passed / hz * giga + passed % hz * giga / hz;
        let asked = peripherals.reset.take();
        asked.or_else(|| peripherals.bitten())
    }

    /// Whether core 0 did nothing but look for bytes, over and over, since it last began to.
    fn only_polls(&mut self) -> bool {
        let polls = u64::from(self.soc.peripherals.idle_polls);
        let executed = self.cores[0].executed();
        if polls < 2 * u64::from(soc::IDLE_POLLS) {
            if polls <= u64::from(soc::IDLE_POLLS) {
                self.polling_since = executed;
            }
            return false;
        }
        let instructions = executed - self.polling_since;
        self.soc.peripherals.idle_polls = 0;
        instructions < polls * POLLING
    }

    /// Lets `milliseconds` pass in which nothing is executed, as when the program only waits.
    pub fn skip(&mut self, milliseconds: u32) -> Option<Reset> {
        let cycles = self.soc.peripherals.cpu_hz() / 1000 * u64::from(milliseconds);
        for core in &mut self.cores {
            core.cpu.cycles += cycles;
            core.cpu.pass_timers();
        }
        self.keep_time()
    }

    /// Bytes from the host on UART0.
    pub fn uart_input(&mut self, bytes: &[u8]) {
        self.soc.peripherals.uart.received.extend(bytes);
    }

    /// What UART0 has sent since the last call.
    pub fn uart_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.soc.peripherals.uart.sent)
    }

    /// Bytes from the host on USB Serial/JTAG.
    pub fn usb_input(&mut self, bytes: &[u8]) {
        self.soc.peripherals.usb.received.extend(bytes);
    }

    /// What USB Serial/JTAG has sent since the last call.
    pub fn usb_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.soc.peripherals.usb.sent)
    }

    /// Sectors of flash that the program has erased or programmed since the last call: offset, and
    /// their 4096 bytes.
    pub fn written_flash(&mut self) -> Vec<(u32, Vec<u8>)> {
        self.soc.memory.written_flash()
    }

    /// Erasures and programmings of the flash so far.
    pub fn flash_operations(&self) -> u64 {
        self.soc.memory.supply.operations
    }

    /// Whether the power failed by [`Options::power_fails_in`]: nothing that the program has done since then
    /// happened on a chip.
    pub fn power_failed(&self) -> bool {
        self.soc.memory.supply.failed()
    }

    /// Core 0 or 1.
    pub fn cpu(&self, core: usize) -> &Cpu {
        &self.cores[core & 1].cpu
    }

    /// Instructions that both cores have executed.
    pub fn executed(&self) -> u64 {
        self.cores.iter().map(Core::executed).sum()
    }

    /// Counts of a core since this was last called.
    pub fn take_counts(&mut self, core: usize) -> Counts {
        self.cores[core & 1].take_counts()
    }

    /// `N` bytes of memory as a core sees them.
    pub fn memory<const N: usize>(&self, address: u32) -> Option<[u8; N]> {
        self.soc.memory.peek(address).ok()?
    }
}
