//! The image that boards get, booted from flash as the page writes it.

use std::path::Path;
use std::time::Instant;

use fixpoint_emulator::boot::{Boot, boot};
use fixpoint_emulator::s3::{Machine, Options, Outcome};

/// Where the default partition table has its parts.
const BOOTLOADER: usize = 0;
const TABLE: usize = 0x8000;
const RUNTIME: usize = 0x1_0000;

/// Flash with what the page writes, and no model.
fn flash() -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware/prebuilt");
    let mut flash = vec![0xFF; 4 << 20];
    for (start, name) in [
        (BOOTLOADER, "bootloader.bin"),
        (TABLE, "partition-table.bin"),
        (RUNTIME, "runtime.bin"),
    ] {
        let bytes = std::fs::read(folder.join(name)).expect("firmware/prebuilt");
        flash[start..start + bytes.len()].copy_from_slice(&bytes);
    }
    flash
}

fn booted(options: Options) -> Machine {
    let (flash, mut log) = (flash(), String::new());
    let Boot::Application(application) = boot(&flash, "0x1 (POWERON)", &mut log) else {
        panic!("{log}");
    };
    Machine::new(&flash, &application, options).expect("segments that fit")
}

#[test]
fn it_starts_and_waits_for_its_host() {
    let mut machine = booted(Options {
        usb_host: true,
        ..Options::default()
    });
    let outcome = machine.run(100_000_000);
    let text = String::from_utf8_lossy(&machine.uart_output()).into_owned();
    assert_eq!(outcome, Outcome::Idle, "{text} {outcome}");
    println!("{text} after {} instructions", machine.executed());
    assert!(text.contains("\nFixpoint runtime 0.1.0, arena "), "{text}");
    assert!(text.contains("no model to run"), "{text}");
    assert_eq!(String::from_utf8_lossy(&machine.usb_output()), text);
}

/// With no host on the USB line the program waits for one, 50 ms long: mostly reads of registers.
#[test]
fn it_waits_for_a_usb_host_in_vain() {
    let mut machine = booted(Options::default());
    let start = Instant::now();
    let outcome = machine.run(100_000_000);
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(outcome, Outcome::Idle);
    let counts = machine.take_counts(0);
    let second = machine.take_counts(1);
    let executed = counts.total.instructions + second.total.instructions;
    assert_eq!(executed, machine.executed());
    // 50 ms at 240 MHz is 12 million cycles.
    assert!(counts.total.cycles > 12_000_000, "{:?}", counts.total);
    println!(
        "{} instructions, {} cycles, {:.0} million instructions a second",
        counts.total.instructions,
        counts.total.cycles,
        counts.total.instructions as f64 / seconds / 1e6
    );
}
