//! Nothing that can be in flash or in memory makes the emulator panic or run for ever. Seeds are fixed;
//! `SURVIVAL=10` plays ten times as many cases.

mod chip;
mod image;
mod program;
#[path = "../support/random.rs"]
mod random;
mod registers;

use fixpoint_emulator::boot::{Boot, boot};
use fixpoint_emulator::s3::{Machine, Options};
use fixpoint_emulator::sim::{End, Sim};
use fixpoint_isa::{Class, rows};
use random::Random;

impl Random {
    /// A number that is often near a boundary or an address.
    fn word(&mut self) -> u32 {
        let near: [u32; 7] = [
            0,
            0x8000_0000,
            0x3FC8_8000,
            0x4037_8000,
            0x3C00_0000,
            0x6000_0000,
            0x600C_5000,
        ];
        let spread = self.next() as u32 >> self.below(32);
        near[self.below(near.len())].wrapping_add(spread)
    }

    /// Instructions with random operands, and now and then anything; one in `wild` may leave.
    fn code(&mut self, instructions: usize, wild: usize) -> Vec<u8> {
        let rows: Vec<_> = rows().collect();
        let calm: Vec<_> = rows
            .iter()
            .filter(|row| row.class == Class::Arithmetic)
            .collect();
        let mut code = Vec::new();
        for _ in 0..instructions {
            let bytes = self.next() as u32;
            if self.below(wild) > 0 {
                let row = calm[self.below(calm.len())];
                let word = row.opcode | bytes & !row.mask;
                code.extend(&word.to_le_bytes()[..usize::from(row.length)]);
                continue;
            }
            let row = rows[self.below(rows.len())];
            match self.below(12) {
                0 => code.extend(bytes.to_le_bytes()),
                _ => {
                    let word = row.opcode | bytes & !row.mask;
                    code.extend(&word.to_le_bytes()[..usize::from(row.length)]);
                }
            }
        }
        code
    }
}

/// So many cases, or as many more as `SURVIVAL` says.
fn cases(count: usize) -> usize {
    let times = std::env::var("SURVIVAL").map(|text| text.parse().expect("SURVIVAL is a number"));
    count * times.unwrap_or(1)
}

#[test]
fn random_code_in_plain_memory() {
    let mut random = Random(1);
    let (mut stopped, mut executed) = (0, 0);
    let count = cases(4_000);
    for _ in 0..count {
        let mut sim = Sim::new(0x8000, 0x1000);
        let code = random.code(200, 1);
        sim.memory.place(0x1000, &code).expect("room");
        sim.memory.place(0x2340, &[0x00, 0x30, 0x00]).expect("room"); // rfe
        sim.core.cpu.vecbase = 0x2000;
        sim.core.cpu.cpenable = random.next() as u32;
        sim.core.cpu.ps.write(random.next() as u32);
        for register in 0..16 {
            sim.core.cpu.a[register] = random.word() & [0x7FFF, u32::MAX][random.below(2)];
        }
        stopped += u32::from(matches!(sim.run(2_000), End::Stopped(_)));
        executed += sim.core.executed();
        let counts = sim.core.take_counts();
        assert_eq!(
            counts.total.instructions,
            counts.classes.iter().sum::<u64>()
        );
    }
    println!(
        "{executed} random instructions, {stopped} of {count} programs stopped by what is unknown"
    );
    assert!(executed > 10_000);
}

#[test]
fn damaged_flash() {
    let whole = image::prebuilt();
    let mut random = Random(3);
    // Headers of the images and the table, then anywhere.
    let places = [0..64, 0x8000..0x8080, 0x1_0000..0x1_0140, 0..0x3_8000];
    for round in 0..cases(400) {
        let mut flash = whole.clone();
        let place = places[round % places.len()].clone();
        for _ in 0..=random.below(3) {
            let at = place.start + random.below(place.len());
            flash[at] = [random.next() as u8, 0, 0xFF][random.below(3)];
        }
        if random.below(8) == 0 {
            flash.truncate(random.below(0x3_0000));
        }
        let mut log = String::new();
        if let Boot::Application(application) = boot(&flash, "0x1 (POWERON)", &mut log)
            && let Ok(mut machine) = Machine::new(&flash, &application, Options::default())
        {
            machine.run(20_000);
        }
        assert!(log.starts_with("ESP-ROM:"));
    }
    // The program itself damaged, with nobody checking sums.
    let mut log = String::new();
    let Boot::Application(application) = boot(&whole, "0x1 (POWERON)", &mut log) else {
        panic!("{log}");
    };
    for _ in 0..cases(150) {
        let mut flash = whole.clone();
        for _ in 0..40 {
            flash[0x1_0120 + random.below(0x1_8000)] = random.next() as u8;
        }
        if let Ok(mut machine) = Machine::new(&flash, &application, Options::default()) {
            machine.run(100_000);
        }
    }
}
