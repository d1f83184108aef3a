//! Where memory is seen, and what stops a program elsewhere.

use fixpoint_emulator::s3::{Options, Outcome};

use crate::{CODE_OF_1, EXTMEM, Program, machine, one_job};

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

/// Stores a word at the first address and gives what is read at the second.
fn seen(stored: u32, read: u32) -> u32 {
    let mut first = Program::default();
    first
        .set(14, stored)
        .set(7, 0x1234_5678)
        .line("s32i a7, a14, 0");
    first.set(14, read).line("l32i a5, a14, 0").stand_still();
    let mut machine = machine(&first, &one_job(1), CODE_OF_1, Options::default());
    assert_eq!(
        machine.run(1_000),
        Outcome::Budget,
        "{stored:#x}, {read:#x}"
    );
    machine.cpu(0).a[5]
}

#[test]
fn sram_1_is_seen_from_both_buses() {
    // Words far apart; the two views lie 0x6F_0000 apart.
    for (data, code) in [
        (0x3FC8_9000, 0x4037_9000),
        (0x3FCA_4320, 0x4039_4320),
        (0x3FCE_FFFC, 0x403D_FFFC),
    ] {
        assert_eq!(seen(data, code), 0x1234_5678);
        assert_eq!(seen(code, data), 0x1234_5678);
    }
    // SRAM 0 and SRAM 2 have one each.
    assert_eq!(seen(0x4037_4000, 0x4037_4000), 0x1234_5678);
    assert_eq!(seen(0x3FCF_4000, 0x3FCF_4000), 0x1234_5678);
    assert_eq!(seen(0x3FCF_4000, 0x403D_4000), 0);
}

#[test]
fn an_unknown_instruction_is_named_with_its_bytes() {
    let mut first = Program::default();
    // A row of zeros is `ill`; this is the reserved QRST group FP2.
    first.0.extend([0x00, 0x00, 0xFF]);
    let outcome = machine(&first, &one_job(1), CODE_OF_1, Options::default()).run(10);
    let text = outcome.to_string();
    assert_eq!(text, "core 0 at 0x40378000: unknown instruction 00 00 ff");
}
