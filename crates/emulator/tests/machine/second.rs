//! Core 1: how it is started and held, what it costs while it waits, and what time both take.

use fixpoint_emulator::s3::{Options, Outcome};

use crate::{
    ANSWER, CLKGATE_EN, CODE_OF_1, EXTMEM, MAILBOX, PRID, Program, RESETING, RTC_CNTL, RUNSTALL,
    SYSTEM, THERE, machine, one_job, word,
};

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
