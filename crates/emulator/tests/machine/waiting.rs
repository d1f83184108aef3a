//! Waiting for interrupts, and timers.

use fixpoint_emulator::s3::{Options, Outcome};
use fixpoint_isa::Branch;

use crate::{ANSWER, CODE, CODE_OF_1, MAILBOX, Program, machine, one_job, word};

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
