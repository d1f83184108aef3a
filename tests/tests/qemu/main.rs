//! The flasher against the chip's own mask ROM and the real stub, in Espressif's QEMU; then the
//! firmware that was flashed, its link, and every network that it is to run, by the simulator's bits.
//!
//! `QEMU_ESP` names a `qemu-system-xtensa` with the machine `esp32s3`
//! (<https://github.com/espressif/qemu>); without it nothing is tried. `FIRMWARE` may name a folder with images
//! other than the prebuilt ones, `QEMU_ESP_DATA` one with QEMU's ROM files.
//!
//! Forks for PICSimLab have a UART that takes bit 27 of `UART_CONF0` for the choice of the clock
//! (`TICK_REF_ALWAYS_ON` in `hw/char/esp32_uart.c`; autobaud on the S3) and so lets in 128 bytes each 0.43 s:
//! the first block of the stub takes 21 s, the flasher waits 3.5 s ("stopped answering during
//! starting the stub"), and inputs of networks take minutes. There `uart_calc_baud` has to ignore that bit.
#![cfg(not(target_arch = "wasm32"))]

mod chip;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use chip::{Chip, Psram};
use fixpoint_flash::{Link, Options, manifest};
use fixpoint_protocol::host;
use fixpoint_quant::{Bits, Method, Request, Simulator, quantize};
use fixpoint_tests::models::{self, Network};
use fixpoint_tests::virtual_board::Firmware;

/// Bytes of flash; QEMU takes only sizes that a chip has.
const FLASH: usize = 4 << 20;
/// Bytes that every tensor must fit into where there is no PSRAM.
const INTERNAL: usize = 256 << 10;
/// Bytes of the smaller PSRAM.
const QUAD: usize = 2 << 20;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn width(bits: Bits) -> Request {
    Request {
        bits: Some(bits),
        ..Request::default()
    }
}

/// The image, and the bytes of its tensors.
fn quantized(network: &Network, request: &Request) -> (Vec<u8>, usize) {
    let calibration = network.calibration().take(32);
    let options = request.options();
    let made = quantize(&network.model, &calibration, &options, &mut |_| ());
    let made = made.unwrap_or_else(|error| panic!("{}: {error}", network.name));
    (made.image, made.report.arena_bytes)
}

/// One chip at a time: the ROM gives up on a host that is kept waiting.
static QUIET: Mutex<()> = Mutex::new(());

#[test]
fn the_real_rom_and_stub_take_the_session() {
    let Some(qemu) = chip::qemu() else { return };
    let _quiet = QUIET.lock().unwrap_or_else(PoisonError::into_inner);
    let flash = file("qemu-flash.bin");
    fs::write(&flash, vec![0xFF; FLASH]).unwrap();
    let options = Options {
        link: Link::Plain,
        reset_before: false,
        ..Options::default()
    };
    let firmware = Firmware::prebuilt().expect("firmware images");
    let network = &models::samples_of_the_page().expect("web/public/samples")[0];
    let image = |request: Request| quantized(network, &request).0;
    let (first, second) = (image(width(Bits::I8)), image(width(Bits::I16)));
    let third = image(Request {
        method: Some(Method::MinMax),
        ..width(Bits::I8)
    });
    let id = |image: &[u8]| Simulator::new(image).expect("an image of ours").id();
    // A first flash by the stub, and once more: nothing to do, by the ROM alone.
    for (again, stub) in [(false, true), (true, false)] {
        let mut chip = Chip::start(&qemu, &flash, true);
        let summary = chip.flash(firmware.plan(&first).expect("a plan"), options.clone());
        println!(
            "{}: {} B out, {} B in, {} round trips",
            if again {
                "nothing changed"
            } else {
                "first flash"
            },
            summary.progress.wire_out,
            summary.progress.wire_in,
            summary.progress.round_trips
        );
        assert_eq!(summary.stub, stub);
        assert_eq!(summary.segments.iter().all(|s| s.written == 0), again);
        assert_eq!(summary.chip.flash_bytes as usize, FLASH);
    }
    // Another model, written by the ROM's own commands.
    let mut chip = Chip::start(&qemu, &flash, true);
    let alone = firmware.plan_model_only(&second).expect("a plan");
    let summary = chip.flash(alone, options);
    assert!(!summary.stub && summary.segments[0].written > 0);
    drop(chip);

    let mut chip = Chip::start(&qemu, &flash, false);
    let (mut client, board) = chip.hello();
    println!("{board:?}");
    let runs = board.model.map(|model| model.id);
    assert_eq!(runs, Ok(id(&second)), "the record decides");
    client.update_model(third.clone());
    assert_eq!(
        chip.talk(&mut client),
        Some(host::Event::Updated(id(&third)))
    );
    drop(chip);
    let mut chip = Chip::start(&qemu, &flash, false);
    let (_, board) = chip.hello();
    assert_eq!(board.model.map(|model| model.id), Ok(id(&third)));
}

/// Boots the prebuilt firmware with the network and runs its first sample.
fn runs(qemu: &Path, network: &Network, bits: Bits) {
    let name = format!("{} {}", network.name, bits.name());
    let (image, arena) = quantized(network, &width(bits));
    let mut simulator = Simulator::new(&image).expect("an image of ours");
    let samples = network.evaluation().take(1);
    let expected = simulator.run_raw(&samples.get(0)).expect("a sample");
    let input = simulator.input_bytes(0, samples.get(0)[0]);
    let input = input.expect("a sample");

    let firmware = Firmware::prebuilt().expect("firmware images");
    let plan = firmware.plan(&image);
    let plan = plan.unwrap_or_else(|error| panic!("{name}: {error}"));
    let merged = manifest::merged(&manifest::parts(&plan)).expect("one image");
    let kinds: &[Psram] = match arena {
        arena if arena <= INTERNAL => &[Psram::None],
        arena if arena <= QUAD => &[Psram::Quad2, Psram::Octal8],
        _ => &[Psram::Octal8],
    };
    for &psram in kinds {
        let flash = file(&format!("qemu-{}.bin", name.replace(['/', ' '], "-")));
        let mut bytes = merged.clone();
        bytes.resize(FLASH, 0xFF);
        fs::write(&flash, bytes).unwrap();
        let mut chip = Chip::with_psram(qemu, &flash, false, psram);
        let (mut client, board) = chip.hello();
        let id = board.model.map(|model| model.id);
        assert_eq!(id, Ok(simulator.id()), "{name}, PSRAM {psram:?}");
        client.infer(vec![input.clone()]);
        let Some(host::Event::Inference(run)) = chip.talk(&mut client) else {
            panic!("{name}: no answer")
        };
        let found: Vec<_> = (run.outputs.iter().enumerate())
            .map(|(k, bytes)| simulator.decode_output(k, bytes).expect("an output"))
            .collect();
        assert_eq!(found, expected, "{name}, PSRAM {psram:?}");
        let line = format!("{name}: equal, PSRAM {psram:?}\n");
        let _ = std::io::stderr().write_all(line.as_bytes());
        drop(chip);
        fs::remove_file(&flash).unwrap();
    }
}

#[test]
fn networks_answer_with_the_simulators_bits() {
    let Some(qemu) = chip::qemu() else { return };
    let _quiet = QUIET.lock().unwrap_or_else(PoisonError::into_inner);
    let mut networks = models::samples_of_the_page().expect("web/public/samples");
    match models::public_names() {
        Some(names) => networks.extend(
            names
                .iter()
                .map(|name| models::public(name).unwrap_or_else(|error| panic!("{name}: {error}"))),
        ),
        None => println!("skipped: shared/data/models not there, so no public network is run"),
    }
    for network in &networks {
        for bits in [Bits::I8, Bits::I16] {
            runs(&qemu, network, bits);
        }
    }
}
