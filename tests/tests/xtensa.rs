//! The runtime compiled for Xtensa, in the project's emulator (with the portable kernels, and with the
//! vector unit's) and in QEMU, against the same runtime on the host: every layer of every model below
//! must hash to the same value, and every output must have the same bytes.
//!
//! `cargo xtask firmware selftest` builds the Xtensa side and runs this; without it (a plain `cargo
//! test`) there is nothing to run and the test says so.
#![cfg(not(target_arch = "wasm32"))]

use std::path::{Path, PathBuf};
use std::{env, fs};

use fixpoint_emulator::elf::Elf;
use fixpoint_emulator::sim::{End, Sim};
use fixpoint_quant::{Arithmetic, Bits, FloatModel, Granularity, Options, Samples, Simulator};
use fixpoint_runtime::{AlignedBytes, Block16};

#[path = "../../firmware/selftest/src/job.rs"]
#[expect(unreachable_pub, reason = "public in the library that it belongs to")]
mod job;
mod selftest;

use selftest::{JOB_ADDRESS, MEMORY_BYTES, WISHES_ADDRESS, on_xtensa};

const CASES: usize = 3;

/// A float model, and samples of its one input.
struct Subject {
    name: String,
    onnx: Vec<u8>,
    samples: Vec<f32>,
}

#[test]
fn vectors_pass_on_xtensa() {
    let Some(elf) = env::var_os("FIXPOINT_SELFTEST").map(PathBuf::from) else {
        println!("skipped: no Xtensa build; run `cargo xtask firmware selftest`");
        return;
    };
    let cases = fixpoint_tests::cases::all();
    let text = on_xtensa(&elf, &fixpoint_tests::cases::encode(&cases));
    // The chip's build leaves the legacy arithmetic out, and says so.
    let counts: Vec<usize> = text
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    assert!(
        matches!(counts[..], [passed, skipped] if passed > 0 && passed + skipped == cases.len()),
        "{text}"
    );
    println!("{}", text.trim_end());
}

#[test]
fn xtensa_gives_the_bits_of_the_host() {
    let Some(elf) = env::var_os("FIXPOINT_SELFTEST").map(PathBuf::from) else {
        println!("skipped: no Xtensa build; run `cargo xtask firmware selftest`");
        return;
    };
    let mut subjects: Vec<Subject> = ["mlp", "maxpool_chain", "tf2onnx_cnn"].map(fixture).into();
    match mnist() {
        Some(subject) => subjects.push(subject),
        None => println!("skipped: MNIST, as shared/ is not there"),
    }
    let mut ran = 0;
    for subject in &subjects {
        let model = FloatModel::from_onnx(&subject.onnx).expect("a model of ours");
        if !model.problems().is_empty() {
            println!("skipped: {}: {}", subject.name, model.problems().join("; "));
            continue;
        }
        for (bits, granularity) in [
            (Bits::I8, Granularity::PerTensor),
            (Bits::I8, Granularity::PerChannel),
            (Bits::I16, Granularity::PerTensor),
        ] {
            let options = Options {
                bits,
                granularity,
                arithmetic: Arithmetic::Fixpoint,
                ..Options::default()
            };
            let job = prepare(&model, &subject.samples, &options);
            let host = on_host(&job);
            assert!(host.lines().count() > CASES, "{host}");
            let chip = on_xtensa(&elf, &job);
            assert_eq!(chip, host, "{} {bits:?} {granularity:?}", subject.name);
            println!(
                "{} {bits:?} {granularity:?}: {} lines equal",
                subject.name,
                host.lines().count()
            );
            ran += 1;
        }
    }
    assert!(ran >= 3, "no model could be compared");
}

#[test]
fn memory_is_copied_and_filled_as_it_is_to_be() {
    let Some(elf) = env::var_os("FIXPOINT_SELFTEST").map(PathBuf::from) else {
        println!("skipped: no Xtensa build; run `cargo xtask firmware selftest`");
        return;
    };
    let file = fs::read(elf).expect("the Xtensa build");
    let elf = Elf::parse(&file).expect("an ELF file for Xtensa");
    let mut sim = Sim::load(MEMORY_BYTES, &elf).expect("segments in the memory");
    // As the start-up code leaves it: loops don't go round in an exception.
    sim.core.cpu.ps.set_excm(false);
    let mut call = |name: &str, before: &[u8], arguments: &[u32]| {
        let symbol = elf.symbols.iter().find(|symbol| symbol.name == name);
        sim.memory.place(JOB_ADDRESS, before).expect("room");
        // It returns to `mov.n a4, a2`, `movi.n a2, 90` and a simcall, of which none has that number.
        let stop = [0x4D, 0x02, 0x5C, 0xA2, 0x00, 0x51, 0x00];
        sim.memory.place(WISHES_ADDRESS, &stop).expect("room");
        sim.core.cpu.pc = symbol.expect(name).address;
        sim.core.cpu.a[0] = WISHES_ADDRESS;
        sim.core.cpu.a[2..2 + arguments.len()].copy_from_slice(arguments);
        let end = sim.run(100_000);
        assert!(
            matches!(end, End::Stopped(_)),
            "{name} {arguments:?}: {end}"
        );
        assert_eq!(sim.core.cpu.pc, WISHES_ADDRESS + 4, "{name} {arguments:?}");
        let after = sim.memory.get(JOB_ADDRESS, before.len());
        let after = after.expect("still there").to_vec();
        (sim.core.cpu.a[4], sim.core.cpu.a[3], after)
    };
    let words = |value: u64| [value as u32, (value >> 32) as u32];
    let factors = [
        0,
        1,
        3,
        0xffff,
        0x1_0000,
        0xfffe_ffff,
        0x1234_5678_9abc_def0,
        u64::MAX,
    ];
    for (a, b) in factors.iter().flat_map(|a| factors.map(|b| (*a, b))) {
        let arguments = [words(a), words(b)].concat();
        let (low, high, _) = call("__muldi3", &[], &arguments);
        assert_eq!([low, high], words(a.wrapping_mul(b)), "{a:#x} {b:#x}");
        if let Some(quotient) = a.checked_div(b) {
            let (low, high, _) = call("__udivdi3", &[], &arguments);
            assert_eq!([low, high], words(quotient), "{a:#x} / {b:#x}");
        }
    }
    let before: Vec<u8> = (0..96u8).map(|at| at.wrapping_mul(37)).collect();
    for count in [0, 1, 3, 4, 7, 8, 9, 11, 15, 16, 17, 31, 40] {
        for (from, to) in (0..4).flat_map(|from| (0..4).map(move |to| (from, 48 + to))) {
            let [x, y] = [from, to].map(|at| JOB_ADDRESS + at as u32);
            let mut copied = before.clone();
            copied.copy_within(from..from + count, to);
            let (start, _, found) = call("memcpy", &before, &[y, x, count as u32]);
            assert_eq!((start, found), (y, copied), "{count} from {from} to {to}");
            let mut filled = before.clone();
            filled[to..to + count].fill(0xa5);
            let (start, _, found) = call("memset", &before, &[y, 0x1a5, count as u32]);
            assert_eq!((start, found), (y, filled), "{count} at {to}");
        }
        for (from, to) in (0..12).flat_map(|from| (0..12).map(move |to| (from, to))) {
            let [x, y] = [from, to].map(|at| JOB_ADDRESS + at as u32);
            let mut moved = before.clone();
            moved.copy_within(from..from + count, to);
            let (start, _, found) = call("memmove", &before, &[y, x, count as u32]);
            assert_eq!((start, found), (y, moved), "{count} from {from} to {to}");
        }
    }
}

/// Quantizes and packs image and inputs.
fn prepare(model: &FloatModel, samples: &[f32], options: &Options) -> Vec<u8> {
    let elements = model.inputs()[0].dims.iter().flatten().product();
    let calibration = Samples::single(samples, elements).expect("whole samples");
    let image = fixpoint_quant::quantize(model, &calibration, options, &mut |_| ())
        .expect("a model of ours quantizes")
        .image;
    let simulator = Simulator::new(&image).expect("an image of ours");
    let cases: Vec<Vec<u8>> = (0..CASES)
        .map(|case| {
            let sample = calibration.get(case * (calibration.len() / CASES));
            simulator.input_bytes(0, sample[0]).expect("its own input")
        })
        .collect();
    let word = |n: usize| u32::try_from(n).expect("a small job").to_le_bytes();
    let mut job = b"FXJB".to_vec();
    job.extend(word(image.len()));
    job.extend(word(cases.len()));
    job.extend(word(cases[0].len()));
    job.extend(&image);
    job.resize(16 + image.len().next_multiple_of(16), 0);
    job.extend(cases.concat());
    job
}

fn on_host(bytes: &[u8]) -> String {
    let mut arena = vec![Block16::ZERO; (32 << 20) / 16];
    let mut text = String::new();
    let job = AlignedBytes::new(bytes);
    job::run(job.as_ref(), &mut arena, &mut (), || (), &mut text).expect("a job of ours");
    text
}

fn fixture(name: &str) -> Subject {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name);
    let read = |file: &str| fs::read(folder.join(file));
    let samples = read("calib.npy").or_else(|_| read("input.npy"));
    Subject {
        name: name.to_owned(),
        onnx: read("model.onnx").expect("the fixture's model"),
        samples: floats(&samples.expect("the fixture's samples")),
    }
}

/// The data of a version 1 `.npy` with little-endian float32.
fn floats(npy: &[u8]) -> Vec<f32> {
    let header = usize::from(u16::from_le_bytes([npy[8], npy[9]]));
    assert!(
        String::from_utf8_lossy(&npy[10..10 + header]).contains("'<f4', 'fortran_order': False")
    );
    npy[10 + header..]
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect()
}

/// ESP-DL's tutorial model with every 50th test image of the first 5000.
fn mnist() -> Option<Subject> {
    let shared = env::var_os("FIXPOINT_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let folder = shared.join("data/espdl/mnist");
    let onnx = fs::read(folder.join("mnist_model_example.onnx")).ok()?;
    let zipped = fs::read(folder.join("t10k-images-idx3-ubyte.gz")).ok()?;
    // Ten bytes of gzip header and a file name, as its flags say.
    assert_eq!(zipped[3] & !8, 0, "a gzip header with more than a name");
    let name = if zipped[3] & 8 == 0 {
        0
    } else {
        zipped[10..].iter().position(|&b| b == 0)? + 1
    };
    let images = miniz_oxide::inflate::decompress_to_vec(&zipped[10 + name..]).ok()?;
    let samples = images[16..]
        .chunks_exact(28 * 28)
        .take(5000)
        .step_by(50)
        .flatten()
        .map(|&pixel| f32::from(pixel) / 255.0)
        .collect();
    Some(Subject {
        name: "mnist".to_owned(),
        onnx,
        samples,
    })
}
