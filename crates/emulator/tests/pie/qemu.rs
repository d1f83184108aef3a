//! The vector instructions in Espressif's QEMU: the same registers and the same memory after every
//! case, or a difference that [`crate::known`] names and the manual decides.
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
use fixpoint_isa::{Instruction, Op, Row, decode};

use crate::chip::{FREE, STRIDE, in_qemu};
use crate::known::{KNOWN, Known, Step};
use crate::machine::{Machine, Memory, Numbers, SIZE, START};
use crate::{chip, model};

/// Of the data that every batch begins with.
const SEED: u32 = 0x5EED;
/// Instructions of a stream.
const STREAM: usize = 8;
/// Cases of one run of QEMU.
const BATCH: usize = 1_000;
/// States in which an instruction is tried before it is taken that none is as wanted.
const TRIES: usize = 5_000;
/// Registers with small numbers: shifts and counts; all others have addresses.
const COUNTS: std::ops::Range<usize> = 11..14;

fn number(variable: &str, otherwise: usize) -> usize {
    let text = std::env::var(variable);
    text.map_or(otherwise, |text| text.parse().expect(variable))
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

/// A state with a description, half of the time without what much of the list is about.
fn state(numbers: &mut Numbers) -> Machine {
    let mut machine = Machine::random(numbers);
    let cpu = &mut machine.cpu;
    for register in COUNTS {
        let limit = [8, 16, 32, 64, 200][numbers.below(5) as usize];
        cpu.a[register] = numbers.below(limit);
    }
    cpu.vector.gpio_in = 0;
    // The other widths have no description.
    cpu.vector.fft_bit_width = 3 + cpu.vector.fft_bit_width % 8;
    if numbers.below(16) == 0 {
        for _ in 0..4 {
            cpu.vector.q[numbers.below(8) as usize] = u128::MAX / 0xFFFF * 0x8000;
        }
    }
    if numbers.below(2) == 0 {
        cpu.vector.accx >>= 1 + numbers.below(20);
        for half in 0..2 {
            // The top bits of lanes of 20 bits, and with them those of 40.
            let mut words = cpu.vector.qacc.words(half);
            for lane in 1..=8 {
                let bit = 20 * lane - 1;
                words[bit / 32] &= !(1 << (bit % 32));
            }
            cpu.vector.qacc.set_words(half, words);
        }
    }
    machine.memory = Memory::new(SEED);
    machine
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

    /// Adds a case of as many instructions, chosen by `next`, each a step that is `wanted`. Each does
    /// here what the model does. Whether there was one.
    fn push(
        &mut self,
        numbers: &mut Numbers,
        count: usize,
        mut next: impl FnMut(&mut Numbers) -> &'static Row,
        wanted: impl Fn(Option<&'static Known>) -> bool,
    ) -> bool {
        let mut machine = state(numbers);
        let mut before = chip::words(&machine);
        let mut case = Vec::new();
        for _ in 0..TRIES {
            if case.is_empty() {
                machine = state(numbers);
                before = chip::words(&machine);
            }
            let row = next(numbers);
            let Some((instruction, new)) = self.step(row, &machine, numbers, &wanted) else {
                continue;
            };
            machine = new;
            for (address, bytes) in std::mem::take(&mut machine.memory.stores) {
                for (address, byte) in (address..).zip(bytes) {
                    self.writers.insert(address, self.cases.len());
                    Rc::make_mut(&mut self.changed).insert(address, byte);
                }
            }
            case.push(instruction);
            if case.len() == count {
                self.before.extend(before);
                self.after.extend(chip::words(&machine));
                self.cases.push(case);
                return true;
            }
        }
        assert!(case.is_empty(), "a stream that ends: {case:?}");
        false
    }

    /// A random form of an instruction, and what it makes of a state, if it is one that is wanted.
    /// Selections without a description, and addresses outside, are not.
    fn step(
        &self,
        row: &'static Row,
        machine: &Machine,
        numbers: &mut Numbers,
        wanted: impl Fn(Option<&'static Known>) -> bool,
    ) -> Option<(Instruction, Machine)> {
        let instruction = random(row, numbers);
        let text = instruction.text(0).to_string();
        let Op::Pie(op) = instruction.op else {
            panic!("{text} is no vector instruction")
        };
        let mut old = machine.clone();
        old.memory.changed = Rc::clone(&self.changed);
        let mut new = old.clone();
        new.execute(op, &instruction).ok()?;
        if !wanted(Step::new(row.name, &text, &old, &new).known()) {
            return None;
        }
        let expected = model::run(&text, &old).expect(&text);
        new.assert_is(&expected, &old, &text);
        new.memory.changed = Rc::default();
        Some((instruction, new))
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

/// What came of cases with one thing in common.
fn differing(batch: Batch, qemu: &Path) -> (usize, String) {
    let cases = batch.cases.len();
    match batch.differences(qemu) {
        Some(different) => {
            let first = different.first().map(|case| texts(case).join("; "));
            let example = first.map_or(String::new(), |text| format!(", as {text}"));
            (
                different.len(),
                format!("{} of {cases}{example}", different.len()),
            )
        }
        None => (cases, "QEMU does not get to the end".to_owned()),
    }
}

fn texts(case: &[Instruction]) -> Vec<String> {
    case.iter().map(|i| i.text(0).to_string()).collect()
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
    let mut unexplained = Vec::new();
    let (mut comparable, mut compared, mut listed) = (Vec::new(), 0, 0);
    let mut seen = vec![None; KNOWN.len()];
    for &row in &rows {
        let mut batch = Batch::new(&data);
        let pushed = (0..states)
            .take_while(|_| batch.push(&mut numbers, 1, |_| row, |known| known.is_none()))
            .count();
        if pushed > 0 {
            let (count, said) = differing(batch, &qemu);
            if count > 0 {
                println!("{}: {said}", row.name);
                unexplained.push(row.name);
            }
            assert_eq!(pushed, states, "{}", row.name);
            compared += pushed;
            comparable.push(row);
        }
        for (index, entry) in KNOWN.iter().enumerate() {
            if !entry.is_of(row.name) {
                continue;
            }
            let mut batch = Batch::new(&data);
            let is_entry = |known: Option<&Known>| known.is_some_and(|known| known.is_same(entry));
            let pushed = (0..states)
                .take_while(|_| batch.push(&mut numbers, 1, |_| row, is_entry))
                .count();
            if pushed == 0 {
                continue;
            }
            let (count, said) = differing(batch, &qemu);
            let Known { condition, why, .. } = entry;
            println!("{}, {condition}: {said}: {why}", row.name);
            *seen[index].get_or_insert(0) += count;
            listed += pushed;
        }
    }
    println!(
        "{compared} cases of one instruction as here, {states} of each of {} of {} instructions; \
         {listed} more under a listed condition",
        comparable.len(),
        rows.len(),
    );
    assert_eq!(unexplained, Vec::<&str>::new(), "without a reason");
    // Some show only now and then.
    for (entry, count) in KNOWN.iter().zip(seen).filter(|_| states >= 20) {
        let Known { condition, why, .. } = entry;
        assert_ne!(
            count,
            Some(0),
            "nothing differs any more: {condition}: {why}"
        );
    }

    let (mut done, mut executed) = (0, BTreeSet::new());
    while done < streams {
        let mut batch = Batch::new(&data);
        while batch.cases.len() < BATCH.min(streams - done) {
            let mut next =
                |numbers: &mut Numbers| comparable[numbers.below(comparable.len() as u32) as usize];
            batch.push(&mut numbers, STREAM, &mut next, |known| known.is_none());
        }
        done += batch.cases.len();
        executed.extend(batch.cases.iter().flatten().map(|i| i.op.row().name));
        let different = batch.differences(&qemu).expect("QEMU gets to the end");
        let texts: Vec<_> = different.iter().map(|case| texts(case)).collect();
        assert!(
            texts.is_empty(),
            "{} streams differ, as {:?}",
            texts.len(),
            texts[0]
        );
    }
    println!(
        "{done} streams of {STREAM} instructions, of {} kinds, as here",
        executed.len()
    );
}
