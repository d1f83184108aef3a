//! What a session costs on the wire, beside esptool's: four scenarios, with the images that are
//! flashed and a model of 200 kB.

mod bench;
#[path = "bench/clients.rs"]
mod clients;

use bench::{Images, Random, drive_with, holds_flash};
use clients::{Esptool, Wire, esptool, run, said};
use fixpoint_board::{BootMode, Options as BoardOptions, VirtualBoard};
use fixpoint_flash::{FlashPlan, Flasher, Link, Options, partition};
use std::fs;
use std::path::Path;

/// Spread as trained weights are: sums of four small numbers.
fn weights(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random(seed);
    let mut weight = || (0..4).map(|_| random.below(63) as i32 - 31).sum::<i32>() as u8;
    (0..length).map(|_| weight()).collect()
}

fn images() -> Images {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware/prebuilt");
    let read = |name: &str| fs::read(folder.join(name)).expect("firmware/prebuilt");
    Images {
        bootloader: read("bootloader.bin"),
        table: partition::build(&partition::default_layout()).unwrap(),
        runtime: read("runtime.bin"),
        model: bench::adder_with(&weights(1, 200_000)),
    }
}

/// A session over a line without reset lines, as esptool has it here.
fn ours(flash: &[u8], plan: &FlashPlan) -> (Vec<u8>, Wire) {
    let options = BoardOptions {
        boot_mode: BootMode::HeldInLoader,
        ..BoardOptions::default()
    };
    let mut board = VirtualBoard::new(Some(flash.to_vec()), options);
    let options = Options {
        link: Link::Plain,
        reset_before: false,
        ..Options::default()
    };
    let mut wire = Wire::default();
    let mut flasher = Flasher::new(plan.clone(), options);
    let (outcome, _) = drive_with(&mut flasher, &mut board, |_, board, _| {
        wire.see(board.wire_bytes());
    });
    outcome.unwrap();
    assert!(holds_flash(board.flash(), plan));
    (board.flash().to_vec(), wire)
}

/// esptool with the same files at the same places.
fn theirs(tool: &Esptool, flash: &[u8], plan: &FlashPlan) -> Wire {
    let mut arguments: Vec<String> = [
        "write-flash",
        "--flash-mode",
        "keep",
        "--flash-freq",
        "keep",
    ]
    .iter()
    .chain(&["--flash-size", "keep"])
    .map(|&argument| argument.to_owned())
    .collect();
    for segment in &plan.segments {
        let name = format!("wire-{}.bin", segment.name.replace(' ', "-"));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&path, &segment.bytes).unwrap();
        arguments.push(format!("{:#x}", segment.offset));
        arguments.push(path.to_str().unwrap().to_owned());
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (output, _, wire) = run(tool, true, flash.to_vec(), &arguments);
    said(&output);
    wire
}

#[test]
fn four_scenarios_beside_esptool() {
    let first = images();
    let mut new_runtime = images();
    // Another release: the same program, with other constants from the middle on.
    let middle = new_runtime.runtime.len() / 2;
    for byte in new_runtime.runtime[middle..].iter_mut().step_by(97) {
        *byte = byte.wrapping_add(1);
    }
    bench::seal(&mut new_runtime.runtime);
    let new_model = Images {
        model: bench::adder_with(&weights(2, 200_000)),
        ..images()
    };
    let blank = vec![0xFF; 4 << 20];
    let (flashed, _) = ours(&blank, &first.plan());
    let model_alone = fixpoint_flash::plan::model_only(&first.table, &new_model.model).unwrap();
    let scenarios = [
        ("first flash", &blank, first.plan(), first.plan()),
        ("nothing changed", &flashed, first.plan(), first.plan()),
        ("model changed", &flashed, new_model.plan(), model_alone),
        (
            "runtime changed",
            &flashed,
            new_runtime.plan(),
            new_runtime.plan(),
        ),
    ];
    let total = first.plan().total_bytes();
    let tool = esptool();
    println!(
        "images of {total} B, a model of {} B among them; bytes out, bytes in, round trips",
        first.model.len()
    );
    println!("{:16} {:>26} {:>26}", "", "fixpoint", "esptool");
    let mut rows = Vec::new();
    for (name, flash, plan, their_plan) in &scenarios {
        let (_, ours) = ours(flash, plan);
        let theirs = tool.as_ref().map(|tool| theirs(tool, flash, their_plan));
        let show = |wire: &Wire| format!("{:>8} {:>8} {:>8}", wire.out, wire.back, wire.turns);
        let beside = theirs.as_ref().map_or("not there".into(), show);
        println!("{name:16} {:>26} {beside:>26}", show(&ours));
        rows.push((ours, theirs));
    }
    let limit = new_model.model.len() as u64 * 105 / 100;
    assert!(rows[2].0.both() <= limit, "{:?}", rows[2].0);
    // Without esptool: a fiftieth of what any flashing of these images takes.
    assert!(rows[1].0.both() * 50 <= rows[0].0.both(), "{:?}", rows[1].0);
    let (Some(first), Some(same)) = (&rows[0].1, &rows[1].1) else {
        return;
    };
    // The older one uploads a stub of another licence that is some 3 KB smaller.
    if tool.is_some_and(|tool| !tool.before_5) {
        assert!(rows[0].0.both() <= first.both());
    }
    assert!(rows[1].0.both() * 50 <= same.both());
}
