//! The vector instructions against a second implementation, written line by line from the operations
//! in the manual, and against values measured on chips.

mod bits;
mod chip;
mod known;
mod machine;
mod measured;
mod model;
mod qemu;

use fixpoint_emulator::Trap;
use fixpoint_isa::pie::Pie;
use fixpoint_isa::{Op, decode};

use machine::{Machine, Numbers};

/// Random states for each instruction.
const STATES: usize = 150;

#[test]
fn every_instruction_does_what_the_model_does() {
    let mut numbers = Numbers(0x0051_AE57_A7E5_EED5);
    let (mut cases, mut refused) = (0, 0);
    for row in Pie::ROWS.iter().copied().flatten() {
        let mut described = 0;
        for _ in 0..STATES {
            let word = row.opcode | numbers.next() & !row.mask;
            let instruction = decode(&word.to_le_bytes()).expect(row.name);
            let Op::Pie(op) = instruction.op else {
                panic!("{} decodes to another instruction", row.name)
            };
            let text = instruction.text(0).to_string();
            let before = Machine::random(&mut numbers);
            let mut found = before.clone();
            let result = found.execute(op, &instruction);
            match model::run(&text, &before) {
                Some(expected) => {
                    assert_eq!(result, Ok(()), "{text}");
                    found.assert_is(&expected, &before, &text);
                    described += 1;
                }
                None => {
                    assert!(matches!(result, Err(Trap::Unsupported { .. })), "{text}");
                    found.assert_is(&before, &before, &text);
                    refused += 1;
                }
            }
            cases += 1;
        }
        assert!(
            described > STATES / 10,
            "{}: {described} states described",
            row.name
        );
    }
    println!("{cases} cases, {refused} of them selections without a description");
}

#[test]
fn without_its_coprocessor_nothing_happens() {
    let mut numbers = Numbers(7);
    for row in Pie::ROWS.iter().copied().flatten() {
        let instruction = decode(&row.opcode.to_le_bytes()).expect(row.name);
        let Op::Pie(op) = instruction.op else {
            panic!("{} decodes to another instruction", row.name)
        };
        let mut before = Machine::random(&mut numbers);
        before.cpu.cpenable = 0;
        let mut found = before.clone();
        let result = found.execute(op, &instruction);
        if row.name.contains("gpio") {
            assert_eq!(result, Ok(()), "{}", row.name);
            continue;
        }
        assert!(
            matches!(result, Err(Trap::Exception { .. })),
            "{}",
            row.name
        );
        found.assert_is(&before, &before, row.name);
    }
}

#[test]
fn outside_of_memory_nothing_happens() {
    let mut numbers = Numbers(8);
    let mut trapped = 0;
    for row in Pie::ROWS.iter().copied().flatten() {
        let instruction = decode(&row.opcode.to_le_bytes()).expect(row.name);
        let Op::Pie(op) = instruction.op else {
            panic!("{} decodes to another instruction", row.name)
        };
        let mut before = Machine::random(&mut numbers);
        before.cpu.a = [0xFFFF_0000; 16];
        let mut found = before.clone();
        if let Err(Trap::Unmapped { .. }) = found.execute(op, &instruction) {
            found.assert_is(&before, &before, row.name);
            trapped += 1;
        }
    }
    println!("{trapped} instructions access memory");
    assert!(trapped > 100);
}
