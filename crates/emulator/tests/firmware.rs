//! The image that boards get, booted from flash as the page writes it.

use std::path::Path;

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
