//! Core 1: how it is started and held, what it costs while it waits, and what time both take.

use fixpoint_emulator::boot::{Application, Segment};
use fixpoint_emulator::s3::{Machine, Options, Outcome};
use fixpoint_isa::{Branch, Instruction, Op, assemble};

const CODE: u32 = 0x4037_8000;
const CODE_OF_1: u32 = CODE + 0x400;
/// Words in SRAM: a job, a sign that core 1 is there, its answer, its PRID.
const MAILBOX: u32 = 0x3FC9_0000;
const JOB: i32 = 0;
const THERE: i32 = 4;
const ANSWER: i32 = 8;
const PRID: i32 = 12;

const SYSTEM: u32 = 0x600C_0000;
const RTC_CNTL: u32 = 0x6000_8000;
const EXTMEM: u32 = 0x600C_4000;
const RUNSTALL: u32 = 1;
const CLKGATE_EN: u32 = 2;
const RESETING: u32 = 4;

/// A program as bytes, written down instruction by instruction.
#[derive(Default)]
struct Program(Vec<u8>);

impl Program {
    fn put(&mut self, instruction: &Instruction) -> &mut Self {
        let bytes = instruction.encode().expect("operands that fit");
        self.0.extend(&bytes[..usize::from(instruction.length)]);
        self
    }

    fn line(&mut self, line: &str) -> &mut Self {
        self.put(&assemble(line).expect(line))
    }

    fn here(&self) -> usize {
        self.0.len()
    }

    /// A branch on `register`, or a jump, back to `target`.
    fn back(&mut self, op: Branch, register: u8, target: usize) -> &mut Self {
        let row = Op::Branch(op).row();
        let mut instruction = Instruction {
            op: row.op,
            length: row.length,
            reg: [0; _],
            imm: [0; _],
        };
        instruction.reg[0] = register;
        instruction.imm[0] = target as i32 - self.here() as i32;
        if !(-100..100).contains(&instruction.imm[0]) {
            panic!("too far");
        }
        self.put(&instruction)
    }

    /// `register` becomes `value`; a15 is used up.
    fn set(&mut self, register: u8, value: u32) -> &mut Self {
        let [first, rest @ ..] = value.to_be_bytes();
        self.line(&format!("movi a{register}, {first}"));
        for byte in rest {
            self.line(&format!("slli a{register}, a{register}, 8"))
                .line(&format!("movi a15, {byte}"))
                .line(&format!("or a{register}, a{register}, a15"));
        }
        self
    }

    /// A register of a peripheral becomes `value`; a14 and a13 are used up.
    fn write(&mut self, address: u32, value: u32) -> &mut Self {
        self.set(14, address)
            .set(13, value)
            .line("s32i a13, a14, 0")
    }

    /// Goes round until the word at a6 + `offset` isn't zero; it is in a7 then.
    fn wait_for(&mut self, offset: i32) -> &mut Self {
        let start = self.here();
        self.line("memw").line(&format!("l32i a7, a6, {offset}"));
        self.back(Branch::Beqz, 7, start)
    }

    /// Takes about three cycles for each of `rounds`; a8 is used up.
    fn spend(&mut self, rounds: u32) -> &mut Self {
        self.set(8, rounds);
        let start = self.here();
        self.line("addi a8, a8, -1").back(Branch::Bnez, 8, start)
    }

    /// Core 0's part of starting core 1 at `entry`: reset, then the address, as ESP-IDF does it.
    fn start_core_1(&mut self, entry: u32) -> &mut Self {
        self.set(6, MAILBOX)
            .write(SYSTEM, CLKGATE_EN | RESETING)
            .write(SYSTEM, CLKGATE_EN)
            .write(SYSTEM + 4, entry)
    }

    fn stand_still(&mut self) -> &mut Self {
        let here = self.here();
        self.back(Branch::J, 0, here)
    }
}

/// Core 1 tells that it is there, waits for a job, spends `rounds`, and answers the job plus one.
fn one_job(rounds: u32) -> Program {
    let mut program = Program::default();
    program
        .set(6, MAILBOX)
        .line("movi a7, 1")
        .line(&format!("s32i a7, a6, {THERE}"))
        .wait_for(JOB)
        .spend(rounds)
        .line("addi a7, a7, 1")
        .line(&format!("s32i a7, a6, {ANSWER}"))
        .line("rsr a7, prid")
        .line(&format!("s32i a7, a6, {PRID}"))
        .stand_still();
    program
}

fn machine(core_0: &Program, core_1: &Program, at: u32, options: Options) -> Machine {
    let mut flash = vec![0xFF; 0x3_0000];
    let mut segments = Vec::new();
    for (program, address, place) in [(core_0, CODE, 0x1000), (core_1, at, 0x1_0400)] {
        flash[place..place + program.0.len()].copy_from_slice(&program.0);
        segments.push(Segment {
            address,
            size: program.0.len() as u32,
            at: place as u32,
        });
    }
    let application = Application {
        entry: CODE,
        segments,
    };
    Machine::new(&flash, &application, options).expect("segments that fit")
}

fn word(machine: &Machine, offset: i32) -> u32 {
    let bytes = machine.memory::<4>(MAILBOX.wrapping_add_signed(offset));
    u32::from_le_bytes(bytes.expect("memory"))
}

/// Core 0 starts core 1, spends `before`, hands it job 41, spends `beside` and waits for the answer.
fn hand_over(before: u32, beside: u32) -> Program {
    let mut program = Program::default();
    program
        .start_core_1(CODE_OF_1)
        .wait_for(THERE)
        .spend(before)
        .line("movi a7, 41")
        .line("s32i a7, a6, 0")
        .line("rsr a9, ccount")
        .spend(beside)
        .wait_for(ANSWER)
        .line("rsr a10, ccount")
        .stand_still();
    program
}

#[test]
fn a_job_is_handed_over_and_answered() {
    let (first, second) = (hand_over(100_000, 1), one_job(1));
    let mut machine = machine(&first, &second, CODE_OF_1, Options::default());
    assert_eq!(machine.run(1_000_000), Outcome::Budget);
    assert_eq!((word(&machine, ANSWER), word(&machine, PRID)), (42, 0xABAB));
    // What it did while it waited is not executed.
    let instructions = machine.take_counts(1).class(fixpoint_emulator::Class::Load);
    assert!((1..10).contains(&instructions), "{instructions}");
}

#[test]
fn time_is_that_of_the_slower_core() {
    // Rounds beside each other, and the cycles from handing over to having the answer.
    for (beside, job, expected) in [
        (1, 10_000, 40_000),
        (10_000, 1, 40_000),
        (10_000, 10_000, 40_000),
        (20_000, 10_000, 80_000),
    ] {
        let (first, second) = (hand_over(1, beside), one_job(job));
        let mut machine = machine(&first, &second, CODE_OF_1, Options::default());
        assert_eq!(machine.run(1_000_000), Outcome::Budget);
        assert_eq!(word(&machine, ANSWER), 42);
        let [start, end] = [machine.cpu(0).a[9], machine.cpu(0).a[10]];
        let took = end - start;
        assert!(
            (expected..expected + 500).contains(&took),
            "{beside} beside {job}: {took} cycles"
        );
    }
}

#[test]
fn every_run_is_the_same() {
    let (first, second) = (hand_over(77, 5_000), one_job(6_000));
    let end = |budget| {
        let mut machine = machine(&first, &second, CODE_OF_1, Options::default());
        for _ in 0..200_000 / budget {
            assert_eq!(machine.run(budget), Outcome::Budget);
        }
        assert_eq!(word(&machine, ANSWER), 42);
        machine.cpu(0).a
    };
    let whole = end(200_000);
    for budget in [2, 16, 1_000] {
        assert_eq!(end(budget), whole, "{budget}");
    }
}

#[test]
fn it_stays_in_the_rom_without_an_address_or_when_it_is_broken() {
    let mut first = Program::default();
    first
        .set(6, MAILBOX)
        .write(SYSTEM, CLKGATE_EN | RESETING)
        .write(SYSTEM, CLKGATE_EN)
        .stand_still();
    let mut waiting = machine(&first, &one_job(1), CODE_OF_1, Options::default());
    assert_eq!(waiting.run(100_000), Outcome::Budget);
    assert_eq!(word(&waiting, THERE), 0);

    let broken = Options {
        core_1_broken: true,
        ..Options::default()
    };
    let mut broken = machine(&hand_over(1, 1), &one_job(1), CODE_OF_1, broken);
    assert_eq!(broken.run(100_000), Outcome::Budget);
    assert_eq!(word(&broken, THERE), 0);
    assert_eq!(broken.take_counts(1).total.instructions, 0);
}

#[test]
fn what_holds_it() {
    // Each is written while core 1 is let go otherwise: the register, the value, and one that lets go.
    for (register, hold, release) in [
        (SYSTEM, CLKGATE_EN | RUNSTALL, CLKGATE_EN),
        (SYSTEM, 0, CLKGATE_EN),
        (RTC_CNTL, 0x1C00_A002, 0x1C00_A000),
        (RTC_CNTL + 0xBC, 0x21 << 20, 0x86 << 20),
    ] {
        let mut first = Program::default();
        // Both halves of the code that stalls, and then one of them or something else decides.
        first.set(6, MAILBOX);
        if register & 0xFFFF_F000 == RTC_CNTL {
            first
                .write(RTC_CNTL, 0x1C00_A002)
                .write(RTC_CNTL + 0xBC, 0x21 << 20);
        }
        first
            .write(SYSTEM, CLKGATE_EN | RESETING)
            .write(SYSTEM, if register == SYSTEM { hold } else { CLKGATE_EN })
            .write(SYSTEM + 4, CODE_OF_1)
            .spend(1_000)
            .line(&format!("l32i a2, a6, {THERE}"))
            .write(register, release)
            .spend(1_000)
            .line(&format!("l32i a3, a6, {THERE}"))
            .stand_still();
        let mut machine = machine(&first, &one_job(1), CODE_OF_1, Options::default());
        assert_eq!(machine.run(20_000), Outcome::Budget);
        let [held, let_go] = [machine.cpu(0).a[2], machine.cpu(0).a[3]];
        assert_eq!((held, let_go), (0, 1), "{register:#x} {hold:#x}");
    }
}

#[test]
fn a_reset_ends_what_it_does() {
    let mut first = Program::default();
    first
        .start_core_1(CODE_OF_1)
        .wait_for(THERE)
        .write(SYSTEM, CLKGATE_EN | RESETING)
        .line("movi a7, 41")
        .line("s32i a7, a6, 0")
        .stand_still();
    let mut machine = machine(&first, &one_job(1), CODE_OF_1, Options::default());
    assert_eq!(machine.run(100_000), Outcome::Budget);
    assert_eq!((word(&machine, THERE), word(&machine, ANSWER)), (1, 0));
}

#[test]
fn flash_is_seen_when_its_bus_is_open() {
    const IN_FLASH: u32 = 0x4200_0400;
    for open in [false, true] {
        let mut first = Program::default();
        if open {
            first.write(EXTMEM + 0x04, 0).write(EXTMEM + 0x64, 0);
        }
        first.start_core_1(IN_FLASH).wait_for(THERE).stand_still();
        let mut machine = machine(&first, &one_job(1), IN_FLASH, Options::default());
        let outcome = machine.run(100_000);
        assert_eq!(word(&machine, THERE), u32::from(open), "{outcome}");
        match open {
            true => assert_eq!(outcome, Outcome::Budget),
            false => assert_eq!(
                outcome.to_string(),
                format!(
                    "core 1 at {IN_FLASH:#010x}: fetch from {IN_FLASH:#010x}: this core's buses to \
                     the caches are shut (EXTMEM_DCACHE_CTRL1, EXTMEM_ICACHE_CTRL1)"
                )
            ),
        }
    }
}

#[test]
fn core_0_waits_for_an_interrupt_beside_core_1() {
    let mut first = Program::default();
    first.start_core_1(CODE_OF_1).line("waiti 0").stand_still();
    let mut second = Program::default();
    second.set(6, MAILBOX).line("movi a7, 0");
    let again = second.here();
    second.line("addi a7, a7, 1").line("s32i a7, a6, 8");
    second.back(Branch::J, 0, again);
    let mut machine = machine(&first, &second, CODE_OF_1, Options::default());
    assert_eq!(machine.run(100_000), Outcome::Budget);
    let rounds = word(&machine, ANSWER);
    assert!((30_000..34_000).contains(&rounds), "{rounds}");
    // Time is the same for both.
    let [first, second] = [0, 1].map(|core| machine.cpu(core).cycles);
    assert!(first.abs_diff(second) < 1_000, "{first}, {second}");
}

/// Core 0 (or both) waits for its timer, 1,000 cycles each time, and counts in a7.
fn ticking(then: &str) -> Program {
    let mut program = Program::default();
    program
        .set(2, CODE)
        .line("wsr a2, vecbase")
        .line("movi a2, 64")
        .line("rsr a3, ccount")
        .line("addi a3, a3, 100")
        .line("wsr a3, ccompare0")
        .line("wsr a2, intenable")
        .line("rsil a2, 0");
    let again = program.here();
    program.line(then).back(Branch::J, 0, again);
    program.0.resize(0x340, 0);
    program
        .line("rsr a3, ccompare0")
        .line("addmi a3, a3, 1024")
        .line("wsr a3, ccompare0")
        .line("addi a7, a7, 1")
        .line("rfe");
    program
}

#[test]
fn a_timer_ends_waiting_and_goes_round_loops() {
    for (then, instructions) in [("waiti 0", 7), ("nop", 1024 * 2 / 4)] {
        let mut machine = machine(&ticking(then), &one_job(1), CODE_OF_1, Options::default());
        assert_eq!(machine.run(100_000), Outcome::Budget, "{then}");
        let cpu = machine.cpu(0);
        // `waiti` takes no instructions; each `nop` and its jump take four cycles.
        let expected = 100_000 / instructions;
        assert!(
            cpu.a[7].abs_diff(expected) <= expected / 10,
            "{then}: {}",
            cpu.a[7]
        );
        let time = u64::from(cpu.a[7]) * 1024;
        assert!(cpu.cycles.abs_diff(time) < 5_000, "{then}: {}", cpu.cycles);
    }
}

#[test]
fn timers_are_seen_that_interrupt_nobody() {
    let mut first = Program::default();
    first
        .line("rsr a3, ccount")
        .line("addi a3, a3, 100")
        .line("wsr a3, ccompare1")
        .line("rsr a4, interrupt")
        .spend(100)
        .line("rsr a5, interrupt")
        .line("wsr a3, ccompare1")
        .line("rsr a6, interrupt")
        .stand_still();
    let mut machine = machine(&first, &one_job(1), CODE_OF_1, Options::default());
    assert_eq!(machine.run(1_000), Outcome::Budget);
    assert_eq!(machine.cpu(0).a[4..7], [0, 1 << 15, 0]);
    // Any time may pass.
    machine.skip(u32::MAX);
}

/// What stops a program that loads from an address into a7 or stores a7 there.
fn stopped(access: &str, address: u32) -> String {
    let mut first = Program::default();
    first
        .line("movi a7, 255")
        .line("wsr a7, cpenable")
        .set(14, address)
        .line(access)
        .stand_still();
    // Core 1's code makes the bootloader map flash.
    let outcome = machine(&first, &one_job(1), 0x4200_0400, Options::default()).run(1_000);
    let Outcome::Stopped { stop, .. } = outcome else {
        panic!("{access}: {outcome}")
    };
    stop.trap.to_string()
}

#[test]
fn what_is_not_modelled_is_named() {
    const LOAD: &str = "l32i a7, a14, 0";
    const STORE: &str = "s32i a7, a14, 0";
    for (access, address, expected) in [
        (
            STORE,
            u32::MAX,
            "store to 0xffffffff, where nothing is modelled",
        ),
        (
            LOAD,
            0xFFFF_FFFD,
            "load from 0xfffffffd, where nothing is modelled",
        ),
        (
            "ee.vst.128.ip q0, a14, 16",
            u32::MAX,
            "store to 0xfffffff0, where nothing is modelled",
        ),
        (
            LOAD,
            0x6000_4000,
            "load from 0x60004000, where nothing is modelled",
        ),
        (
            "l8ui a7, a14, 0",
            0x6000_0000,
            "load from 0x60000000: registers are modelled for aligned accesses of 32 bits only",
        ),
        (
            STORE,
            0x6000_7054,
            "store to 0x60007054: of this register only reads are modelled, or other values than \
             this one",
        ),
        (
            STORE,
            0x3C00_0000,
            "store to 0x3c000000: flash can't be written through its cache",
        ),
    ] {
        assert_eq!(stopped(access, address), expected, "{access}");
    }
}

#[test]
fn a_word_behind_shut_buses_is_named() {
    let mut second = Program::default();
    second
        .set(14, 0x3C00_0000)
        .line("l32i a7, a14, 0")
        .stand_still();
    let mut first = Program::default();
    // An entry of the MMU's table, for both.
    first.write(EXTMEM + 0x1000, 0);
    first.start_core_1(CODE_OF_1).stand_still();
    let mut machine = machine(&first, &second, CODE_OF_1, Options::default());
    let text = machine.run(100_000).to_string();
    let expected = "load from 0x3c000000: this core's buses to the caches are shut";
    assert!(text.contains(expected), "{text}");
}
