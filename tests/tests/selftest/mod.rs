//! The program of `firmware/selftest`, in the emulator with and without the vector kernels, and in QEMU.

use std::path::Path;
use std::process::Command;
use std::time::Instant;
use std::{env, fs};

use fixpoint_emulator::elf::Elf;
use fixpoint_emulator::sim::{End, Sim};

/// As `firmware/selftest/link.ld` and `start.S` expect it.
pub(crate) const JOB_ADDRESS: u32 = 0x0100_0000;
pub(crate) const WISHES_ADDRESS: u32 = 0x00ff_fff0;
pub(crate) const MEMORY_BYTES: usize = 128 << 20;
const UNIT: u8 = 1;
/// Instructions that a job may take in the emulator.
const PATIENCE: u64 = 100_000_000_000;

/// What the program says about the job, both in the emulator and in QEMU.
pub(crate) fn on_xtensa(elf: &Path, bytes: &[u8]) -> String {
    let portable = emulated(elf, bytes, 0);
    assert_eq!(portable, in_qemu(elf, bytes), "the emulator, and QEMU");
    let vector = emulated(elf, bytes, UNIT);
    assert_eq!(
        vector, portable,
        "the vector kernels, and the portable ones"
    );
    vector
}

fn emulated(elf: &Path, bytes: &[u8], wishes: u8) -> String {
    let file = fs::read(elf).expect("the Xtensa build");
    let program = Elf::parse(&file).expect("an ELF file for Xtensa");
    let mut sim = Sim::load(MEMORY_BYTES, &program).expect("segments in the memory");
    sim.memory
        .place(JOB_ADDRESS, bytes)
        .expect("room for the job");
    sim.memory
        .place(WISHES_ADDRESS, &[wishes, 0, 0, 0])
        .expect("room for a word");
    let start = Instant::now();
    let end = sim.run(PATIENCE);
    let text = String::from_utf8_lossy(&sim.output).into_owned();
    assert_eq!(end, End::Exit(0), "{end}\n{text}");
    let total = sim.core.take_counts().total;
    println!(
        "emulated: {} instructions, about {} cycles, in {:.2} s",
        total.instructions,
        total.cycles,
        start.elapsed().as_secs_f64()
    );
    text
}

fn in_qemu(elf: &Path, bytes: &[u8]) -> String {
    // Two tests may run at once.
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("job");
    let file = env::temp_dir().join(format!("fixpoint-{name}-{}.bin", std::process::id()));
    fs::write(&file, bytes).expect("a place for temporary files");
    let output = Command::new("qemu-system-xtensa")
        .args(["-M", "sim", "-cpu", "dc233c", "-m", "128M", "-semihosting"])
        .args(["-nographic", "-monitor", "none", "-serial", "none"])
        .arg("-device")
        .arg(format!("loader,file={},cpu-num=0", elf.display()))
        .arg("-device")
        .arg(format!(
            "loader,file={},addr={JOB_ADDRESS:#x},force-raw=on",
            file.display()
        ))
        .output()
        .expect("qemu-system-xtensa (Debian: qemu-system-misc)");
    fs::remove_file(&file).ok();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "QEMU ended with {}\n{text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}
