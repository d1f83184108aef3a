//! Random programs that go on: valid instructions of every class whose accesses mostly lie in memory or at
//! registers that are modelled, whose jumps go to instructions, and whose exceptions and interrupts are
//! handled.
//!
//! A program begins with its vectors; then come literals, a start, and slots of eight bytes, each an
//! instruction or two and `nop`s. A handler goes on at the slot behind the one that raised its exception.
//!
//! | registers | hold |
//! |---|---|
//! | a0, a1 | addresses of slots |
//! | a2 to a8 | anything |
//! | a9 | a small step |
//! | a10 to a14 | addresses |
//! | a15 | the address of a peripheral's register, for the instruction behind it |

use fixpoint_isa::operand::Kind;
use fixpoint_isa::{Class, Instruction, Op, Row, Special, assemble, decode, rows};

use crate::Random;
use crate::registers::{
    CMD_USR, EFUSE, EFUSE_END, EXTMEM, FREE, READ, REGISTERS, SPI1_CMD, VALUES,
};

const LITERALS: u32 = 0x400;
const START: u32 = 0x1400;
const SLOTS: u32 = 0x1600;
const SLOT: u32 = 8;
/// Slots between two that set the addresses again.
const STRETCH: usize = 24;

/// What a program is like.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    /// Where it lies; a multiple of 1024.
    pub(crate) base: u32,
    pub(crate) slots: usize,
    /// Of so many slots, one may do anything.
    pub(crate) wild: usize,
    /// Of so many slots, one accesses a peripheral.
    pub(crate) peripherals: usize,
    /// Whether its addresses may be those of its own code.
    pub(crate) changes_itself: bool,
    /// Where core 1 is to begin, if it is started.
    pub(crate) second: Option<u32>,
}

pub(crate) struct Program<'r> {
    random: &'r mut Random,
    style: Style,
    bytes: Vec<u8>,
    literals: Vec<u32>,
}

impl<'r> Program<'r> {
    /// Where the program begins.
    pub(crate) const ENTRY: u32 = START;

    pub(crate) fn bytes(random: &'r mut Random, style: Style) -> Vec<u8> {
        let mut program = Self {
            random,
            style,
            bytes: Vec::new(),
            literals: Vec::new(),
        };
        program.vectors();
        program.fill(START);
        program.start();
        program.fill(SLOTS);
        for slot in 0..style.slots {
            if slot % STRETCH < 8 {
                let register = [0, 1, 9, 10, 11, 12, 13, 14][slot % STRETCH];
                program.set(register);
            } else {
                program.slot();
            }
        }
        program.jump(SLOTS);
        let place = LITERALS as usize;
        for (at, literal) in (place..).step_by(4).zip(&program.literals) {
            program.bytes[at..at + 4].copy_from_slice(&literal.to_le_bytes());
        }
        assert!(place + 4 * program.literals.len() <= START as usize);
        program.bytes
    }

    fn here(&self) -> u32 {
        self.style.base + self.bytes.len() as u32
    }

    fn fill(&mut self, offset: u32) {
        assert!(self.bytes.len() <= offset as usize);
        self.bytes.resize(offset as usize, 0);
    }

    fn put(&mut self, instruction: &Instruction) {
        let bytes = instruction.encode().expect("operands that fit");
        self.bytes.extend(&bytes[..usize::from(instruction.length)]);
    }

    fn lines(&mut self, lines: &str) {
        for line in lines.split(';') {
            let line = line.trim();
            self.put(&assemble(line).unwrap_or_else(|error| panic!("{line}: {error}")));
        }
    }

    /// Fills up a slot with `nop`s.
    fn end_slot(&mut self) {
        match (SLOT - self.bytes.len() as u32 % SLOT) % SLOT {
            0 => {}
            3 => self.lines("nop"),
            5 => self.lines("nop; nop.n"),
            2 => self.lines("nop.n"),
            4 => self.lines("nop.n; nop.n"),
            6 => self.lines("nop; nop"),
            left => panic!("{left} bytes are left"),
        }
    }

    fn vectors(&mut self) {
        let later = "rsr a2, ccount; addmi a2, a2, 2048; wsr a2, ccompare0; addmi a2, a2, 2048; \
                     wsr a2, ccompare1; addmi a2, a2, 2048; wsr a2, ccompare2";
        for (level, offset) in [(2, 0x180), (3, 0x1C0), (4, 0x200), (5, 0x240)] {
            self.fill(offset);
            self.lines(&format!("wsr a2, excsave{level}; {later}; movi a2, -1"));
            self.lines(&format!(
                "wsr a2, intclear; rsr a2, excsave{level}; rfi {level}"
            ));
        }
        for (offset, at, back) in [
            (0x300, "epc1", "rfe"),
            (0x340, "epc1", "rfe"),
            (0x3C0, "depc", "rfde"),
        ] {
            self.fill(offset);
            self.lines("wsr a2, excsave1");
            if offset == 0x340 {
                self.lines(later);
            }
            self.lines(&format!("rsr a2, {at}; srli a2, a2, 3; slli a2, a2, 3"));
            self.lines(&format!(
                "addi a2, a2, 8; wsr a2, {at}; rsr a2, excsave1; {back}"
            ));
        }
    }

    /// `l32r`
    fn literal(&mut self, register: u8, value: u32) {
        let known = self.literals.iter().position(|literal| *literal == value);
        let index = known.unwrap_or_else(|| {
            // When there are no more, any.
            if self.literals.len() == ((START - LITERALS) / 4) as usize {
                return self.random.below(self.literals.len());
            }
            self.literals.push(value);
            self.literals.len() - 1
        });
        let target = self.style.base + LITERALS + 4 * index as u32;
        let row = rows().find(|row| row.name == "l32r").expect("l32r");
        let mut instruction = plain(row);
        instruction.reg[0] = register;
        instruction.imm[0] = target.wrapping_sub((self.here() + 3) & !3) as i32;
        self.put(&instruction);
    }

    fn jump(&mut self, offset: u32) {
        let row = rows().find(|row| row.name == "j").expect("j");
        let mut instruction = plain(row);
        instruction.imm[0] = relative(row, self.here(), self.style.base + offset);
        self.put(&instruction);
    }

    fn start(&mut self) {
        self.literal(2, self.style.base);
        self.lines("wsr a2, vecbase; movi a2, 255; wsr a2, cpenable");
        let ps = [0x20, 0x00, 0x2F][self.random.below(3)];
        self.lines(&format!("movi a2, {ps}; wsr a2, ps; rsync"));
        for register in 1..=7 {
            let slot = self.any_slot();
            self.literal(2, slot);
            self.lines(&format!("wsr a2, epc{register}"));
        }
        self.lines("wsr a2, depc");
        if let Some(second) = self.style.second {
            self.literal(15, 0x600C_0000);
            self.lines("movi a2, 6; s32i a2, a15, 0; movi a2, 2; s32i a2, a15, 0");
            self.literal(2, second);
            self.lines("s32i a2, a15, 4");
        }
        for register in [0, 1, 9, 10, 11, 12, 13, 14] {
            self.set(register);
        }
        self.jump(SLOTS);
    }

    fn any_slot(&mut self) -> u32 {
        let slot = self.random.below(self.style.slots) as u32;
        self.style.base + SLOTS + SLOT * slot
    }

    /// A slot that gives a register what it is for.
    fn set(&mut self, register: u8) {
        let value = match register {
            0 | 1 => self.any_slot(),
            9 => 16 * self.random.below(8) as u32,
            _ => self.address(register == 14),
        };
        self.literal(register, value);
        self.end_slot();
    }

    /// An address with memory on both sides, mostly.
    fn address(&mut self, only_loads: bool) -> u32 {
        let base = match self.random.below(12) {
            0 | 1 if only_loads => 0x3C00_8000,
            1 => 0x3FCF_4000,
            2 => 0x5000_1000,
            3 => 0x600F_F000,
            4 if self.style.changes_itself => self.style.base - 0x4037_8000 + 0x3FC8_8000 + SLOTS,
            5 => 0x403C_0000,
            // Where two pages meet.
            6 => 0x3FC9_7E00,
            // Where memory ends, and where addresses do.
            7 if self.random.below(self.style.wild) == 0 => {
                [0x3FCF_FE00, 0x3FC8_8000, 0x3C01_FE00, 0xFFFF_FE00][self.random.below(4)]
            }
            _ => 0x3FCA_0000,
        };
        let near = self.random.below(0x400) as u32;
        match self.random.below(3) {
            0 => base.wrapping_add(near),
            _ => base.wrapping_add(near / 16 * 16),
        }
    }

    fn slot(&mut self) {
        let style = self.style;
        if self.random.below(style.peripherals) == 0 {
            let (first, words) = REGISTERS[self.random.below(REGISTERS.len())];
            let address = first + 4 * self.random.below(words as usize) as u32;
            let stores = match address {
                SPI1_CMD => {
                    self.literal(2, CMD_USR);
                    self.end_slot();
                    true
                }
                // Those are only read.
                EFUSE..EFUSE_END => self.random.below(200) == 0,
                // Every change here makes the cores forget their code, which takes its time.
                EXTMEM.. => self.random.below(40) == 0,
                _ => self.random.below(2) == 0,
            };
            let register = match address {
                SPI1_CMD => 2,
                _ => 2 + self.random.below(7),
            };
            self.literal(15, address);
            let access = if stores { "s32i" } else { "l32i" };
            self.lines(&format!("{access} a{register}, a15, 0"));
        } else if self.random.below(style.peripherals) == 0 {
            let value = VALUES[self.random.below(VALUES.len())];
            let register = 2 + self.random.below(7);
            self.literal(register as u8, value);
        } else if self.random.below(2_000) == 0 {
            self.lines("waiti 0");
        } else if self.random.below(style.wild) == 0 {
            self.wild();
        } else {
            self.instruction();
        }
        self.end_slot();
    }

    fn wild(&mut self) {
        let row = self.row(|_| true);
        let word = row.opcode | self.random.next() as u32 & !row.mask;
        self.bytes
            .extend(&word.to_le_bytes()[..usize::from(row.length)]);
    }

    fn row(&mut self, wanted: impl Fn(&Row) -> bool) -> &'static Row {
        let all: Vec<_> = rows().filter(|row| wanted(row)).collect();
        all[self.random.below(all.len())]
    }

    /// An instruction of a class, each class as often as another, but for those that jump.
    fn instruction(&mut self) {
        let mut class = Class::ALL[self.random.below(Class::ALL.len())];
        if matches!(class, Class::Branch | Class::Jump) {
            class = Class::ALL[self.random.below(Class::ALL.len())];
        }
        // At the end of the program no label may be in reach.
        for _ in 0..50 {
            let row = self.row(|row| row.class == class && leads_on(row));
            let word = row.opcode | self.random.next() as u32 & !row.mask;
            let mut instruction = decode(&word.to_le_bytes()).expect(row.name);
            self.give_registers(row, &mut instruction);
            if self.give_label(row, &mut instruction) && instruction.encode().is_some() {
                self.put(&instruction);
                return;
            }
        }
    }

    fn give_registers(&mut self, row: &Row, instruction: &mut Instruction) {
        let vector = matches!(row.op, Op::Pie(_));
        let steps = [".ip", ".xp", ".incp", ".decp", "xq.32"];
        let accesses = match vector {
            true if matches!(row.class, Class::VectorLoad | Class::VectorStore) => true,
            true => steps.iter().any(|step| row.name.contains(step)),
            false => matches!(row.class, Class::Load | Class::Store),
        };
        let stores = matches!(row.class, Class::Store | Class::VectorStore);
        let stores = stores || row.name.contains(".st");
        // The base of `l32i a2, a10, 0`, `ee.vld.128.ip q0, a10, 16`.
        let base = usize::from(!vector || row.name.starts_with("ee.fft.ams.s16.st"));
        let general = row.operands.iter().filter(|o| o.kind == Kind::Ar).count();
        let mut seen = 0;
        let registers = row
            .operands
            .iter()
            .filter(|operand| !matches!(operand.kind, Kind::Immediate(_) | Kind::Label(..)));
        for (operand, register) in registers.zip(&mut instruction.reg) {
            match operand.kind {
                Kind::Ar => {
                    let is_base = accesses && seen == base;
                    let is_step = accesses && vector && seen + 1 == general && seen > base;
                    *register = match row.name {
                        "jx" | "callx0" => self.random.below(2) as u8,
                        "ret" | "ret.n" => 0,
                        _ if is_base => 10 + self.random.below(if stores { 4 } else { 5 }) as u8,
                        _ if is_step => 9,
                        _ => 2 + self.random.below(7) as u8,
                    };
                    seen += 1;
                }
                Kind::Special => {
                    let all = FREE.len() + if row.name == "rsr" { READ.len() } else { 0 };
                    let index = self.random.below(all);
                    let free = FREE.get(index).copied();
                    *register = free.unwrap_or_else(|| READ[index - FREE.len()]);
                }
                Kind::User => {
                    // But FFT_BIT_WIDTH, of which many are refused.
                    let number = self.random.below(19) as u8;
                    *register = if number == 14 { 231 } else { number };
                }
                _ => {}
            }
        }
        // Of these, one selection has a description.
        if row.name.starts_with("ee.srs") || row.name.starts_with("ee.srcmb") {
            instruction.imm[0] = 0;
        }
        if row.name.starts_with("loop") {
            // Short ones, or none would end.
            instruction.reg[0] = [9, 2][usize::from(self.random.below(20) == 0)];
        }
    }

    /// A label becomes a slot, behind this one for a loop; `false` when none is in reach.
    fn give_label(&mut self, row: &Row, instruction: &mut Instruction) -> bool {
        let label = row
            .operands
            .iter()
            .find(|o| matches!(o.kind, Kind::Label(..)));
        let Some(label) = label else {
            return true;
        };
        let here = self.bytes.len() as u32;
        if row.name == "l32r" {
            let target = self.style.base + LITERALS + 4 * self.random.below(60) as u32;
            let Kind::Label(anchor, _) = label.kind else {
                return false;
            };
            instruction.imm[0] = target.wrapping_sub(anchor.address(self.here())) as i32;
            return true;
        }
        let behind = match row.name.starts_with("loop") {
            true => 1 + self.random.below(12) as i32,
            false => self.random.below(40) as i32 - 12,
        };
        let end = SLOTS as i32 + (SLOT as usize * self.style.slots) as i32;
        let target = (here as i32 + 8 * behind).clamp(SLOTS as i32, end) as u32;
        // The label is among the numbers, perhaps behind an immediate.
        let index = row
            .operands
            .iter()
            .filter(|o| matches!(o.kind, Kind::Immediate(_) | Kind::Label(..)))
            .position(|o| o.kind == label.kind)
            .expect("the label");
        instruction.imm[index] = relative(row, self.here(), self.style.base + target);
        true
    }
}

/// The number for a label at `target` in an instruction at `here`.
fn relative(row: &Row, here: u32, target: u32) -> i32 {
    let anchor = row.operands.iter().find_map(|operand| match operand.kind {
        Kind::Label(anchor, _) => Some(anchor),
        _ => None,
    });
    target.wrapping_sub(anchor.expect("a label").address(here)) as i32
}

/// Whether something comes behind it that the program knows of: neither an end nor, mostly, a refusal.
fn leads_on(row: &Row) -> bool {
    !matches!(
        row.op,
        Op::Window(_)
            | Op::Special(
                Special::Break
                    | Special::BreakN
                    | Special::Simcall
                    | Special::Waiti
                    | Special::Rer
                    | Special::Wer
                    | Special::Rfi
            )
    ) && row.name != "ee.bitrev"
}

fn plain(row: &Row) -> Instruction {
    Instruction {
        op: row.op,
        length: row.length,
        reg: [0; fixpoint_isa::REGISTERS],
        imm: [0; fixpoint_isa::NUMBERS],
    }
}
