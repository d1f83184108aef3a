//! A job run by the firmware's own code in the emulator, and what each of its layers took there.

use std::collections::BTreeMap;

use fixpoint_emulator::Trap;
use fixpoint_emulator::elf::Elf;
use fixpoint_emulator::sim::{End, Sim};
use fixpoint_isa::Class;
use fixpoint_runtime::{AlignedBytes, Block16};

#[path = "../../../firmware/selftest/src/job.rs"]
#[expect(unreachable_pub, reason = "public in the library that it belongs to")]
mod job;

/// As `firmware/selftest` has them.
const JOB_ADDRESS: u32 = 0x0100_0000;
const WISHES_ADDRESS: u32 = 0x00ff_fff0;
const UNIT_AND_MARKS: u8 = 3;
const MARK: u32 = 100;
const SIMCALL_BYTES: u32 = 3;
const MEMORY_BYTES: usize = 128 << 20;
const PATIENCE: u64 = 20_000_000_000;
/// The chip's clock.
pub(crate) const HZ: f64 = 240e6;

/// What one layer took, with the decoding of its record.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Layer {
    pub(crate) instructions: u64,
    /// Estimated (`crates/emulator/src/cost.rs`).
    pub(crate) cycles: u64,
    /// Those of the instructions that the vector unit executed.
    #[allow(dead_code, reason = "one of two tests shows it")]
    pub(crate) vector: u64,
}

/// What a job took with the vector unit.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    /// What the program said.
    pub(crate) text: String,
    pub(crate) layers: Vec<Layer>,
    /// Cycles by the address of the code, of all layers.
    #[allow(dead_code, reason = "one of two tests shows it")]
    pub(crate) blocks: BTreeMap<u32, u64>,
}

/// Runs a job with the vector unit.
///
/// # Panics
/// When the program doesn't end as it should.
pub(crate) fn measured(elf: &Elf<'_>, job: &[u8]) -> Measured {
    let mut sim = Sim::load(MEMORY_BYTES, elf).expect("segments in memory");
    sim.memory
        .place(JOB_ADDRESS, job)
        .expect("room for the job");
    let wishes = [UNIT_AND_MARKS, 0, 0, 0];
    sim.memory
        .place(WISHES_ADDRESS, &wishes)
        .expect("room for a word");
    let mut found = Measured::default();
    let mut running = false;
    loop {
        match sim.run(PATIENCE) {
            End::Exit(0) => break,
            End::Stopped(stop)
                if matches!(stop.trap, Trap::Unsupported { .. }) && sim.core.cpu.a[2] == MARK =>
            {
                let counts = sim.core.take_counts();
                // Marks come in pairs: a layer begins, and it ends.
                if running {
                    let unit = [
                        Class::Vector,
                        Class::VectorMultiply,
                        Class::VectorLoad,
                        Class::VectorStore,
                    ];
                    for (address, cost) in &counts.blocks {
                        *found.blocks.entry(*address).or_default() += cost.cycles;
                    }
                    found.layers.push(Layer {
                        instructions: counts.total.instructions,
                        cycles: counts.total.cycles,
                        vector: unit.map(|class| counts.class(class)).iter().sum(),
                    });
                }
                running = !running;
                sim.core.cpu.pc += SIMCALL_BYTES;
            }
            end => panic!("{end}\n{}", String::from_utf8_lossy(&sim.output)),
        }
    }
    found.text = String::from_utf8_lossy(&sim.output).into_owned();
    found
}

/// A job of one image and one input.
pub(crate) fn job_of(image: &[u8], inputs: &[u8]) -> Vec<u8> {
    let word = |n: usize| u32::try_from(n).expect("a small job").to_le_bytes();
    let mut job = b"FXJB".to_vec();
    job.extend(word(image.len()));
    job.extend(word(1));
    job.extend(word(inputs.len()));
    job.extend(image);
    job.resize(16 + image.len().next_multiple_of(16), 0);
    job.extend(inputs);
    job
}

/// What the same job gives on the host, with the portable kernels.
///
/// # Panics
/// When the job can't be done.
pub(crate) fn on_host(job: &[u8]) -> String {
    let mut arena = vec![Block16::ZERO; (32 << 20) / 16];
    let mut text = String::new();
    job::run(
        AlignedBytes::new(job).as_ref(),
        &mut arena,
        &mut (),
        || (),
        &mut text,
    )
    .expect("a job of ours");
    text
}
