//! Random programs on the whole chip, on one core or both.

use std::collections::BTreeMap;

use fixpoint_emulator::Trap;
use fixpoint_emulator::boot::{Application, Segment};
use fixpoint_emulator::s3::{Machine, Options, Outcome};

use crate::program::{Program, Style};
use crate::{Random, cases};

const BASES: [u32; 2] = [0x4037_8000, 0x4038_4000];
/// Instructions of a run.
const BUDGET: u64 = 10_000;

/// How runs ended, and what they executed.
#[derive(Default)]
struct Tally {
    programs: usize,
    executed: u64,
    by_core_1: u64,
    classes: [u64; fixpoint_emulator::Class::ALL.len()],
    ends: BTreeMap<String, usize>,
}

impl Tally {
    fn print(&self, title: &str) {
        let Self {
            programs,
            executed,
            by_core_1,
            ..
        } = self;
        println!("{executed} instructions in {programs} {title}, {by_core_1} of them on core 1");
        for (class, count) in fixpoint_emulator::Class::ALL.iter().zip(self.classes) {
            print!("{class:?} {count}, ");
        }
        println!("ends: {:?}", self.ends);
    }
}

fn options(random: &mut Random) -> Options {
    Options {
        psram_bytes: [0, 2, 4, 8][random.below(4)] << 20,
        psram_broken: random.below(4) == 0,
        usb_host: random.below(2) == 0,
        core_1_broken: random.below(16) == 0,
        power_fails_in: (random.below(8) == 0).then_some(random.below(4) as u64),
    }
}

fn machine(random: &mut Random, style: Style) -> Option<Machine> {
    let second = style.second.map(|_| Style {
        base: BASES[1],
        second: None,
        ..style
    });
    let mut flash = vec![0xFF; 0x8_0000];
    // Data seen through the cache.
    let mut segments = vec![Segment {
        address: 0x3C00_0100,
        size: 0x1_8000,
        at: 0x4_0100,
    }];
    for (style, at) in [Some(style), second]
        .into_iter()
        .flatten()
        .zip([0x1_0000, 0x2_0000])
    {
        let code = Program::bytes(random, style);
        flash[at..at + code.len()].copy_from_slice(&code);
        segments.push(Segment {
            address: style.base,
            size: code.len() as u32,
            at: at as u32,
        });
    }
    let application = Application {
        entry: style.base + Program::ENTRY,
        segments,
    };
    Machine::new(&flash, &application, options(random)).ok()
}

fn play(random: &mut Random, style: Style, tally: &mut Tally) {
    let mut machine = machine(random, style).expect("segments that fit");
    let mut end = "budget".to_owned();
    for _ in 0..3 {
        machine.uart_input(&random.next().to_le_bytes());
        machine.usb_input(&random.next().to_le_bytes());
        match machine.run(BUDGET) {
            Outcome::Budget => {}
            Outcome::Idle => {
                machine.skip(random.below(1_000) as u32);
                end = "idle".into();
            }
            Outcome::Reset(reset) => {
                end = reset.text().into();
                break;
            }
            Outcome::Stopped { stop, .. } => {
                end = match stop.trap {
                    Trap::Unmapped { access, .. } => format!("nothing to {access:?}"),
                    Trap::Unmodelled { what, .. } | Trap::Unsupported { what } => what.into(),
                    Trap::Unknown { .. } => "unknown".into(),
                    trap => trap.to_string(),
                };
                break;
            }
        }
    }
    let counts = [0, 1].map(|core| machine.take_counts(core));
    let total: u64 = counts.iter().map(|c| c.total.instructions).sum();
    for counts in &counts {
        let classes: u64 = counts.classes.iter().sum();
        assert_eq!(counts.total.instructions, classes);
        for (sum, count) in tally.classes.iter_mut().zip(counts.classes) {
            *sum += count;
        }
    }
    // Exceptions count as executed, instructions that raise them don't.
    assert!(total <= machine.executed());
    machine.written_flash();
    tally.programs += 1;
    tally.executed += machine.executed();
    tally.by_core_1 += counts[1].total.instructions;
    *tally.ends.entry(end).or_default() += 1;
}

#[test]
fn random_programs() {
    let mut random = Random(2);
    let mut tally = Tally::default();
    for number in 0..cases(400) {
        let style = Style {
            base: BASES[0],
            slots: 200 + random.below(800),
            wild: [100_000, 2_000][random.below(2)],
            peripherals: [100_000, 300][random.below(2)],
            changes_itself: random.below(8) == 0,
            second: (number % 2 == 0).then_some(BASES[1] + Program::ENTRY),
        };
        play(&mut random, style, &mut tally);
    }
    tally.print("programs");
    assert!(tally.executed > 1_000 * tally.programs as u64);
    assert!(tally.by_core_1 > 100 * tally.programs as u64);
    assert!(tally.classes.iter().all(|count| *count > 1_000));
}

#[test]
fn random_accesses_to_peripherals() {
    let mut random = Random(4);
    let mut tally = Tally::default();
    for number in 0..cases(1_500) {
        let style = Style {
            base: BASES[0],
            slots: 300,
            wild: 100_000,
            peripherals: 2,
            changes_itself: false,
            second: (number % 4 == 0).then_some(BASES[1] + Program::ENTRY),
        };
        play(&mut random, style, &mut tally);
    }
    tally.print("programs that access peripherals");
    assert!(tally.executed > 50 * tally.programs as u64);
}
