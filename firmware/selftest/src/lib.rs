//! Runs in QEMU what the host asks for, with the crates of the chip compiled for Xtensa, and prints
//! the result: for a file of vectors (`fixpoint_tests::runner`) how many passed, for a job (`job.rs`)
//! bit for bit what the host prints for it.
#![no_std]

mod job;

use core::fmt::{self, Write};
use core::panic::PanicInfo;

use fixpoint_runtime::Block16;
use fixpoint_runtime::accelerator::Accelerator;
use fixpoint_tests::runner;
use fixpoint_unit::Pie;

// SAFETY: assembly in `start.S`, call0 ABI, matching signatures.
unsafe extern "C" {
    fn semihost_write(bytes: *const u8, length: u32);
    fn semihost_exit(code: u32) -> !;
    fn semihost_mark();
}

// SAFETY: the linker script defines them; only their addresses mean anything.
unsafe extern "C" {
    static _job_start: u8;
    static _wishes: u32;
    static mut _arena_start: Block16;
    static mut _arena_end: Block16;
}

const JOB_BYTES: usize = 32 << 20;

/// Wish of the host: this core has a vector unit, which is to be used.
const UNIT: u32 = 1;
/// Wish of the host: to be told where layers begin and end, by a call of an emulator.
const MARKS: u32 = 2;

/// QEMU's standard output.
struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: pointer and length of a live string.
        unsafe { semihost_write(text.as_ptr(), text.len() as u32) };
        Ok(())
    }
}

fn tell_mark() {
    // SAFETY: changes nothing here.
    unsafe { semihost_mark() }
}

fn exit(code: u32) -> ! {
    // SAFETY: ends the machine.
    unsafe { semihost_exit(code) }
}

/// Called by `start.S`.
#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    let start = &raw mut _arena_start;
    let end = &raw mut _arena_end;
    // SAFETY: RAM set apart by the linker script for the job and for the arena; `main` runs once,
    // and QEMU's RAM starts out as zeros.
    let (job, arena) = unsafe {
        (
            core::slice::from_raw_parts(&raw const _job_start, JOB_BYTES),
            core::slice::from_raw_parts_mut(
                start,
                (end.addr() - start.addr()) / size_of::<Block16>(),
            ),
        )
    };
    // SAFETY: a word of RAM that the host may have set; zero otherwise.
    let wishes = unsafe { (&raw const _wishes).read_volatile() };
    let mark: fn() = if wishes & MARKS != 0 {
        tell_mark
    } else {
        || ()
    };
    let (mut pie, mut none) = ((wishes & UNIT != 0).then(Pie::accelerator), ());
    let accelerator: &mut dyn Accelerator = match &mut pie {
        Some(pie) => pie,
        None => &mut none,
    };
    if job.starts_with(&runner::MAGIC) {
        match runner::run_vectors(job, arena, accelerator) {
            Ok(summary) => {
                let _ = writeln!(
                    Console,
                    "vectors: {} passed, {} skipped",
                    summary.passed, summary.skipped
                );
                exit(0)
            }
            Err(failure) => {
                let _ = writeln!(Console, "error: {failure}");
                exit(1)
            }
        }
    }
    match job::run(job, arena, accelerator, mark, &mut Console) {
        Ok(()) => exit(0),
        Err(error) => {
            let _ = writeln!(Console, "error: {error}");
            exit(1)
        }
    }
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    let _ = writeln!(Console, "error: {info}");
    exit(2)
}

/// Called by `vectors.S` on a stack of its own.
#[unsafe(no_mangle)]
extern "C" fn exception_report(vector: u32, cause: u32, epc: u32, address: u32) -> ! {
    let _ = writeln!(
        Console,
        "error: exception {cause} at {epc:#010x}, address {address:#010x}, vector {vector:#x}"
    );
    exit(3)
}
