//! The whole chip with small programs: core 1, waiting and timers, memory, and what isn't modelled.

mod named;
mod second;
mod waiting;

use fixpoint_emulator::boot::{Application, Segment};
use fixpoint_emulator::s3::{Machine, Options};
use fixpoint_isa::{Branch, Instruction, Op, assemble};

pub(crate) const CODE: u32 = 0x4037_8000;
pub(crate) const CODE_OF_1: u32 = CODE + 0x400;
/// Words in SRAM: a job, a sign that core 1 is there, its answer, its PRID.
pub(crate) const MAILBOX: u32 = 0x3FC9_0000;
pub(crate) const JOB: i32 = 0;
pub(crate) const THERE: i32 = 4;
pub(crate) const ANSWER: i32 = 8;
pub(crate) const PRID: i32 = 12;

pub(crate) const SYSTEM: u32 = 0x600C_0000;
pub(crate) const RTC_CNTL: u32 = 0x6000_8000;
pub(crate) const EXTMEM: u32 = 0x600C_4000;
pub(crate) const RUNSTALL: u32 = 1;
pub(crate) const CLKGATE_EN: u32 = 2;
pub(crate) const RESETING: u32 = 4;

/// A program as bytes, written down instruction by instruction.
#[derive(Default)]
pub(crate) struct Program(pub(crate) Vec<u8>);

impl Program {
    pub(crate) fn put(&mut self, instruction: &Instruction) -> &mut Self {
        let bytes = instruction.encode().expect("operands that fit");
        self.0.extend(&bytes[..usize::from(instruction.length)]);
        self
    }

    pub(crate) fn line(&mut self, line: &str) -> &mut Self {
        self.put(&assemble(line).expect(line))
    }

    pub(crate) fn here(&self) -> usize {
        self.0.len()
    }

    /// A branch on `register`, or a jump, back to `target`.
    pub(crate) fn back(&mut self, op: Branch, register: u8, target: usize) -> &mut Self {
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
    pub(crate) fn set(&mut self, register: u8, value: u32) -> &mut Self {
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
    pub(crate) fn write(&mut self, address: u32, value: u32) -> &mut Self {
        self.set(14, address)
            .set(13, value)
            .line("s32i a13, a14, 0")
    }

    /// Goes round until the word at a6 + `offset` isn't zero; it is in a7 then.
    pub(crate) fn wait_for(&mut self, offset: i32) -> &mut Self {
        let start = self.here();
        self.line("memw").line(&format!("l32i a7, a6, {offset}"));
        self.back(Branch::Beqz, 7, start)
    }

    /// Takes about three cycles for each of `rounds`; a8 is used up.
    pub(crate) fn spend(&mut self, rounds: u32) -> &mut Self {
        self.set(8, rounds);
        let start = self.here();
        self.line("addi a8, a8, -1").back(Branch::Bnez, 8, start)
    }

    /// Core 0's part of starting core 1 at `entry`: reset, then the address, as ESP-IDF does it.
    pub(crate) fn start_core_1(&mut self, entry: u32) -> &mut Self {
        self.set(6, MAILBOX)
            .write(SYSTEM, CLKGATE_EN | RESETING)
            .write(SYSTEM, CLKGATE_EN)
            .write(SYSTEM + 4, entry)
    }

    pub(crate) fn stand_still(&mut self) -> &mut Self {
        let here = self.here();
        self.back(Branch::J, 0, here)
    }
}

/// Core 1 tells that it is there, waits for a job, spends `rounds`, and answers the job plus one.
pub(crate) fn one_job(rounds: u32) -> Program {
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

pub(crate) fn machine(core_0: &Program, core_1: &Program, at: u32, options: Options) -> Machine {
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

pub(crate) fn word(machine: &Machine, offset: i32) -> u32 {
    let bytes = machine.memory::<4>(MAILBOX.wrapping_add_signed(offset));
    u32::from_le_bytes(bytes.expect("memory"))
}
