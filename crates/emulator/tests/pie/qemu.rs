//! The vector instructions in Espressif's QEMU: the same registers and the same memory after every
//! case, or a difference that [`DIFFERS`] names and the manual decides.
//!
//! `QEMU_ESP` names a `qemu-system-xtensa` with the machine `esp32s3`, `QEMU_ESP_DATA` its folder of ROM
//! files; without it nothing is tried. Every case is also held against the model, so that where QEMU has
//! something else, the manual's operations have what is here. `PIE_STATES` and `PIE_STREAMS` are the
//! numbers of cases: states of each instruction alone, and streams of eight.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use fixpoint_isa::operand::Kind;
use fixpoint_isa::pie::Pie;
use fixpoint_isa::{Class, Instruction, Op, Row, decode};

use crate::chip::{FREE, STRIDE, in_qemu};
use crate::machine::{Machine, Memory, Numbers, SIZE, START};
use crate::{chip, model};

/// Instructions that QEMU executes otherwise, by the beginning and the end of their names, and why what
/// is here stands: what the Technical Reference Manual has, or a chip. Numbers are those of issues of
/// <https://github.com/espressif/qemu>.
const DIFFERS: &[(&str, &str, &str)] = &[
    (
        "ee.ldxq.32",
        "",
        "one word too low (162); the manual adds no word",
    ),
    (
        "ee.stxq.32",
        "",
        "one word too low (162); the manual adds no word",
    ),
    (
        "ee.ldf.",
        "",
        "a register named twice keeps the other result; the manual's operation names the lower part last",
    ),
    (
        "ee.get_gpio_in",
        "",
        "its pins are its own; here all are low",
    ),
    (
        "ee.cmul.",
        "",
        "written before all operands are read (164; manual 1.7, a chip), sums wrapped at 32 bits, SAR of 32 and above (163)",
    ),
    (
        "ee.vadds.",
        "",
        "saturates to the negated maximum (161); the manual and a chip have the minimum",
    ),
    (
        "ee.vsubs.",
        "",
        "saturates to the negated maximum (161); the manual and a chip have the minimum",
    ),
    (
        "ee.vmul.",
        "",
        "SAR of 32 and above (163): undefined in C, everything shifted out in the manual",
    ),
    (
        "ee.vprelu.",
        "",
        "factor and shift are not cut to the bits that the manual names",
    ),
    (
        "ee.vrelu.",
        "",
        "factor and shift are not cut to the bits that the manual names",
    ),
    (
        "ee.srs.accx",
        "",
        "shift not cut, result not saturated to 32 bits, as the manual and a chip have it",
    ),
    (
        "ee.srcmb.",
        "",
        "shift not cut to the bits that the manual names",
    ),
    (
        "ee.vmulas.s16.accx",
        "",
        "ACCX with bit 39 set is not taken as negative; the manual has 40 signed bits",
    ),
    (
        "ee.vmulas.s8.accx",
        "",
        "ACCX with bit 39 set is not taken as negative; the manual has 40 signed bits",
    ),
    (
        "ee.vmulas.s",
        "",
        "lanes of QACC saturate to the negated maximum (161); the manual and a chip have the minimum",
    ),
    (
        "ee.vsmulas.s",
        "",
        "lanes of QACC saturate to the negated maximum (161); the manual and a chip have the minimum",
    ),
    (
        "ee.vmulas.u",
        ".qup",
        "written before all operands are read, against section 1.7 of the manual; QACC as in 165",
    ),
    (
        "ee.vmulas.u",
        "",
        "lanes of QACC saturate as signed ones (165); the manual has them unsigned",
    ),
    (
        "ee.slcxxp.2q",
        "",
        "the count is not cut to four bits (166), by which it may end; the manual cuts it",
    ),
    (
        "ee.srcxxp.2q",
        "",
        "the count is not cut to four bits (166), by which it may end; the manual cuts it",
    ),
    (
        "ee.src.q.",
        "",
        "written before all operands are read, against section 1.7 of the manual",
    ),
    (
        "ee.vsl.32",
        "",
        "SAR of 32 and above (163): undefined in C, everything shifted out in the manual",
    ),
    (
        "ee.vsr.32",
        "",
        "SAR of 32 and above (163): undefined in C, the sign stays in the manual",
    ),
    (
        "ee.bitrev",
        "",
        "the value is not cut to the width; the manual and words from a chip are",
    ),
    (
        "ee.fft.vst.r32.decp",
        "",
        "zeros shifted in; the manual shifts the sign",
    ),
    ("ee.fft.ams.", "", "eight operands end it"),
    ("ee.fft.cmul.s16.st", "", "eight operands end it"),
    (
        "ee.fft.",
        "",
        "written before all operands are read, against section 1.7 of the manual",
    ),
];

/// Of the data that every batch begins with.
const SEED: u32 = 0x5EED;
/// Instructions of a stream.
const STREAM: usize = 8;
/// Streams of one run of QEMU.
const BATCH: usize = 1_000;

fn number(variable: &str, otherwise: usize) -> usize {
    let text = std::env::var(variable);
    text.map_or(otherwise, |text| text.parse().expect(variable))
}

fn reason(name: &str) -> Option<&'static str> {
    let mut all = DIFFERS.iter();
    let found = all.find(|(start, end, _)| name.starts_with(start) && name.ends_with(end));
    found.map(|(_, _, reason)| *reason)
}

fn name(instruction: &Instruction) -> &'static str {
    instruction.op.row().name
}

/// A random form of an instruction whose general registers are free ones.
fn random(row: &Row, numbers: &mut Numbers) -> Instruction {
    let word = row.opcode | numbers.next() & !row.mask;
    let mut instruction = decode(&word.to_le_bytes()).expect(row.name);
    let registers = row
        .operands
        .iter()
        .filter(|operand| !matches!(operand.kind, Kind::Immediate(_) | Kind::Label(..)));
    for (operand, register) in registers.zip(&mut instruction.reg) {
        if operand.kind == Kind::Ar {
            *register = FREE.start + numbers.below(u32::from(FREE.end - FREE.start)) as u8;
        }
    }
    instruction
}

/// Cases that share one memory, one after the other.
struct Batch {
    data: Vec<u8>,
    changed: Rc<BTreeMap<u32, u8>>,
    /// The case that stored last.
    writers: BTreeMap<u32, usize>,
    cases: Vec<Vec<Instruction>>,
    before: Vec<u32>,
    after: Vec<u32>,
}

impl Batch {
    fn new(data: &[u8]) -> Self {
        Self {
            data: data.to_vec(),
            changed: Rc::default(),
            writers: BTreeMap::new(),
            cases: Vec::new(),
            before: Vec::new(),
            after: Vec::new(),
        }
    }

    /// Adds a case of as many instructions, chosen by `next`. Each does here what the model does.
    fn push(
        &mut self,
        numbers: &mut Numbers,
        count: usize,
        mut next: impl FnMut(&mut Numbers) -> &'static Row,
    ) {
        let mut machine = Machine::random(numbers);
        machine.cpu.vector.gpio_in = 0;
        // The other widths have no description.
        machine.cpu.vector.fft_bit_width = 3 + machine.cpu.vector.fft_bit_width % 8;
        machine.memory = Memory::new(SEED);
        let before = chip::words(&machine);
        let mut case = Vec::new();
        while case.len() < count {
            let row = next(numbers);
            // Selections without a description, and addresses outside, are drawn again.
            for _ in 0..50 {
                let instruction = random(row, numbers);
                let text = instruction.text(0).to_string();
                let Op::Pie(op) = instruction.op else {
                    panic!("{text} is no vector instruction")
                };
                let old = self.with_memory(&machine);
                let mut new = old.clone();
                if new.execute(op, &instruction).is_err() {
                    continue;
                }
                let expected = model::run(&text, &old).expect(&text);
                new.assert_is(&expected, &old, &text);
                for (address, bytes) in std::mem::take(&mut new.memory.stores) {
                    for (address, byte) in (address..).zip(bytes) {
                        self.writers.insert(address, self.cases.len());
                        machine.memory.changed = Rc::default();
                        Rc::make_mut(&mut self.changed).insert(address, byte);
                    }
                }
                machine = new;
                machine.memory.changed = Rc::default();
                case.push(instruction);
                break;
            }
        }
        self.before.extend(before);
        self.after.extend(chip::words(&machine));
        self.cases.push(case);
    }

    fn with_memory(&self, machine: &Machine) -> Machine {
        let mut machine = machine.clone();
        machine.memory.changed = Rc::clone(&self.changed);
        machine
    }

    /// The cases in which QEMU differs; `None` when it doesn't get to the end.
    fn differences(mut self, qemu: &Path) -> Option<Vec<Vec<Instruction>>> {
        let (states, data) = in_qemu(qemu, &self.cases, &self.before, &self.data)?;
        for (address, byte) in self.changed.iter() {
            self.data[(address - START) as usize] = *byte;
        }
        let mut different: BTreeSet<usize> = (0..self.cases.len())
            .filter(|case| {
                let range = case * STRIDE / 4..(case + 1) * STRIDE / 4;
                states[range.clone()] != self.after[range]
            })
            .collect();
        let bytes = self.data.iter().zip(&data).zip(START..);
        for (_, address) in bytes.filter(|((ours, theirs), _)| ours != theirs) {
            // A store where nobody stored here may be any case's; one is enough to be seen.
            different.insert(self.writers.get(&address).copied().unwrap_or(0));
        }
        Some(
            different
                .iter()
                .map(|case| self.cases[*case].clone())
                .collect(),
        )
    }
}

#[test]
fn as_in_espressifs_qemu() {
    let Some(qemu) = std::env::var_os("QEMU_ESP").map(PathBuf::from) else {
        println!("skipped: QEMU_ESP does not name Espressif's qemu-system-xtensa");
        return;
    };
    let (states, streams) = (number("PIE_STATES", 100), number("PIE_STREAMS", 5_000));
    let mut numbers = Numbers(0x0E5B_0000_5E33_0001);
    let memory = Memory::new(SEED);
    let data: Vec<u8> = (START..START + SIZE as u32)
        .map(|address| memory.byte(address))
        .collect();
    let rows: Vec<&'static Row> = Pie::ROWS.iter().copied().flatten().collect();
    let (mut equal, mut ending, mut known) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut unexplained = Vec::new();
    let mut count = 0;
    for &row in &rows {
        let mut batch = Batch::new(&data);
        for _ in 0..states {
            batch.push(&mut numbers, 1, |_| row);
        }
        count += states;
        let said = match batch.differences(&qemu) {
            Some(different) if different.is_empty() => {
                equal.push(row);
                ending.push(row);
                continue;
            }
            Some(different) => {
                ending.push(row);
                format!(
                    "{} of {states} cases, as {}",
                    different.len(),
                    different[0][0].text(0)
                )
            }
            None => "QEMU does not get to the end".to_owned(),
        };
        known.insert(row.name);
        match reason(row.name) {
            Some(reason) => println!("differs: {}: {said}: {reason}", row.name),
            None => {
                println!("differs: {}: {said}", row.name);
                unexplained.push(row.name);
            }
        }
    }
    println!(
        "{count} cases of one instruction, {} instructions: {} as here in every case, {} not",
        rows.len(),
        equal.len(),
        known.len()
    );
    assert_eq!(unexplained, Vec::<&str>::new(), "without a reason");

    // What was different must not go to memory, where later cases would find it.
    let loading: Vec<_> = (ending.iter().copied())
        .filter(|row| row.class != Class::VectorStore)
        .collect();
    for (title, pool) in [
        ("only what was equal", &equal),
        ("all but stores", &loading),
    ] {
        let mut different = Vec::new();
        for _ in 0..streams.div_ceil(BATCH) {
            let mut batch = Batch::new(&data);
            for _ in 0..BATCH.min(streams) {
                batch.push(&mut numbers, STREAM, |numbers| {
                    pool[numbers.below(pool.len() as u32) as usize]
                });
            }
            different.extend(batch.differences(&qemu).expect("QEMU gets to the end"));
        }
        let count = streams.div_ceil(BATCH) * BATCH.min(streams);
        println!(
            "{count} streams of {STREAM} instructions, {title}: {} differ",
            different.len()
        );
        for case in different {
            let has_known = case
                .iter()
                .any(|instruction| known.contains(name(instruction)));
            let text: Vec<_> = case.iter().map(|i| i.text(0).to_string()).collect();
            assert!(has_known, "a difference without a reason: {text:?}");
        }
    }
}
