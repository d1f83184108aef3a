//! The runtime on the ESP32-S3: brings the chip up, finds the model in flash, and answers the host.
//!
//! Started by ESP-IDF's second-stage bootloader, without ESP-IDF behind it: no interrupts, no heap;
//! core 0 does everything but what it hands to core 1. Nothing is ever written to flash but the model slot that does not run.
#![no_std]

mod console;
mod descriptor;
mod fault;
mod flash;
mod psram;
mod regs;
mod second;
mod soc;

use core::fmt::Write;

use fixpoint_device::{Arenas, Board, LINES, Server, Version};
use fixpoint_runtime::Block16;
use fixpoint_unit::Pie;
use fixpoint_vector::{Cores, LEAST, TwoVectors};

use console::{Console, Line, LineSink};
use second::Second;

const VERSION: &str = env!("CARGO_PKG_VERSION");

const BOARD: Board = Board {
    // ESP32-S3, in the numbering of Espressif's image headers.
    chip: 9,
    firmware: Version {
        major: number(env!("CARGO_PKG_VERSION_MAJOR")),
        minor: number(env!("CARGO_PKG_VERSION_MINOR")),
        patch: number(env!("CARGO_PKG_VERSION_PATCH")),
    },
    virtual_board: false,
    cpu_hz: soc::CPU_HZ,
    flash_bytes: 0,
    runtime_id: 0,
    cores: 0,
    psram_bytes: 0,
};

const _: () = assert!(Line::ALL.len() == LINES);

// SAFETY: the linker script defines them; only their addresses mean anything.
unsafe extern "C" {
    static mut _arena_start: Block16;
    static mut _arena_end: Block16;
}

/// All internal RAM that nothing else uses.
///
/// # Safety
/// To be called once: the slice is exclusive.
unsafe fn arena() -> &'static mut [Block16] {
    let start = &raw mut _arena_start;
    let end = &raw mut _arena_end;
    let blocks = (end.addr() - start.addr()) / size_of::<Block16>();
    // SAFETY: the region is 16-byte aligned RAM outside every section, zeroed before it becomes a
    // slice, and exclusive by the caller's promise.
    unsafe {
        start.write_bytes(0, blocks);
        core::slice::from_raw_parts_mut(start, blocks)
    }
}

/// Called by `start.S` with a stack and cleared statics.
#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    soc::stop_watchdogs();
    fault::guard_stacks();
    soc::keep_baud_rate();
    soc::full_speed();
    let cores = Second::start();

    let mut console = Console::new();
    // SAFETY: the only call.
    let internal = unsafe { arena() };
    let board = Board {
        cores: 1 + u8::from(cores.are_two()),
        psram_bytes: psram::in_package(),
        ..BOARD
    };
    let external = psram::start(board.psram_bytes);
    let _ = console.write_str("\nFixpoint runtime ");
    let _ = console.write_str(VERSION);
    let _ = writeln!(
        console,
        ", arena {} bytes, PSRAM {} bytes, {} cores",
        size_of_val(internal),
        size_of_val(external),
        board.cores
    );
    if external.is_empty() && board.psram_bytes > 0 {
        let _ = writeln!(console, "Fixpoint: PSRAM does not answer");
    }
    let mut models = flash::find_models();
    let board = Board {
        runtime_id: flash::runtime_id(),
        ..board
    };
    let arenas = Arenas { internal, external };
    let mut server = Server::new(board, models.image, arenas, regs::cycles);
    if let Some(spare) = &mut models.spare {
        server = server.with_store(spare);
    }
    let mut accelerator = TwoVectors {
        cores,
        unit: Pie::on(),
        least: LEAST,
    };
    server.accelerate(&mut accelerator);
    let _ = match (server.model(), server.problem()) {
        (Some(model), None) => writeln!(console, "Fixpoint: model {:08x} ready", model.id()),
        (_, problem) => {
            // The number only: the names of all codes take a kilobyte, and `info` tells the host.
            let code = problem.map_or(0, |code| code.number());
            writeln!(console, "Fixpoint: no model to run, code {code}")
        }
    };
    loop {
        let mut buffer = [0; 64];
        for (index, line) in Line::ALL.into_iter().enumerate() {
            let bytes = console.receive(line, &mut buffer);
            if bytes.is_empty() {
                continue;
            }
            let mut sink = LineSink {
                console: &mut console,
                line,
            };
            server.on_line(index, bytes, &mut sink);
            console.flush();
            fault::check_stacks();
            if server.wants_restart() {
                // What was sent last is still on its way through FIFO and cable.
                soc::wait(50);
                soc::restart();
            }
        }
    }
}

/// `text` as a number, for the version fields that Cargo gives as text.
const fn number(text: &str) -> u8 {
    let bytes = text.as_bytes();
    let (mut value, mut i) = (0, 0);
    while i < bytes.len() {
        value = value * 10 + (bytes[i] - b'0');
        i += 1;
    }
    value
}
