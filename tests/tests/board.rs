//! Whole networks on the virtual board: quantized, flashed with the prebuilt firmware through the
//! loader, run by the emulator over the link, vector unit included. The board's bits are the
//! simulator's; what can't run is refused with an error that says why.
#![cfg(not(target_arch = "wasm32"))]

use std::io::Write;

use fixpoint_board::{Fault, Options, VirtualBoard};
use fixpoint_flash::{TensorMemory, manifest};
use fixpoint_protocol::ErrorCode;
use fixpoint_quant::image::{
    Activation, Arithmetic, Element, ImageBuilder, Linear, Op, Shifts, Storage, TensorDef, Window,
};
use fixpoint_quant::{Bits, Request, Simulator, quantize};
use fixpoint_runtime::format::checksum;
use fixpoint_tests::models::{self, Network};
use fixpoint_tests::random::Random;
use fixpoint_tests::virtual_board::{Bench, Firmware};

/// A line that is seen although the test passes.
fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The board's bits were the simulator's.
    Equal,
    /// The tensors don't fit the chip's memory.
    NoMemory,
}

/// Quantizes, flashes a board as most are, and compares on the first `runs` samples.
fn on_the_board(network: &Network, bits: Bits, runs: usize) -> End {
    on_a_board(network, bits, runs, Options::default())
}

fn on_a_board(network: &Network, bits: Bits, runs: usize, kind: Options) -> End {
    let name = format!("{} {}", network.name, bits.name());
    let request = Request {
        bits: Some(bits),
        ..Request::default()
    };
    let calibration = network.calibration().take(32);
    let made = quantize(
        &network.model,
        &calibration,
        &request.options(),
        &mut |_| (),
    );
    let made = made.unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut simulator = Simulator::new(&made.image).expect("an image of ours");
    let samples = network.evaluation().take(runs);
    let expected: Vec<_> = (0..samples.len())
        .map(|i| simulator.run_raw(&samples.get(i)).expect("a sample"))
        .collect();

    let firmware = Firmware::prebuilt().expect("firmware/prebuilt");
    // An image beyond its place in flash is refused here: see `plan` in `fixpoint-flash`.
    let plan = firmware.plan(&made.image);
    let plan = plan.unwrap_or_else(|error| panic!("{name}: {error}"));
    let (psram, dead) = (kind.psram_bytes, kind.faults.contains(&Fault::PsramDead));
    let bench = Bench::flashed_on(kind, plan);
    let mut bench = bench.unwrap_or_else(|error| panic!("{name}: {error}"));
    let board = bench
        .connect()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let mapped = psram.min(15 << 20);
    let answers = match (dead, mapped) {
        (true, _) | (_, 0) => 0,
        _ => mapped - TensorMemory::PSRAM_MARGINS,
    };
    let found = (board.psram_bytes, board.psram_available);
    assert_eq!(found, (psram, answers), "{name}");
    let model = match board.model {
        Ok(model) => model,
        Err(problem) if problem.code == ErrorCode::ArenaTooSmall => {
            let (needed, room) = (problem.arena_needed, problem.arena_available);
            assert_eq!(needed as usize, made.report.arena_bytes, "{name}");
            assert!(
                needed > room && room > 256 << 10,
                "{name}: {needed} of {room}"
            );
            note(&format!("{name}: {problem}"));
            let text = problem.to_string();
            match (board.psram_bytes, dead) {
                (0, _) => assert!(text.contains("and no PSRAM"), "{text}"),
                (_, true) => assert!(text.contains("does not answer"), "{text}"),
                _ => assert!(needed > 15 << 20, "{text}"),
            }
            return End::NoMemory;
        }
        Err(problem) => panic!("{name}: {problem}"),
    };
    assert_eq!(model.id, simulator.id(), "{name}");
    bench.take_instructions();
    for (i, expected) in expected.iter().enumerate() {
        let input = simulator
            .input_bytes(0, samples.get(i)[0])
            .expect("a sample");
        let run = bench.infer(vec![input]);
        let run = run.unwrap_or_else(|error| panic!("{name}: {error}\n{}", bench.console));
        assert_eq!(run.outputs.len(), expected.len(), "{name}");
        for (k, (bytes, expected)) in run.outputs.iter().zip(expected).enumerate() {
            let found = simulator
                .decode_output(k, bytes)
                .expect("the output's bytes");
            assert_eq!(&found, expected, "{name}, sample {i}");
        }
    }
    let each = bench.take_instructions() / expected.len() as u64;
    note(&format!(
        "{name}: equal on {} samples, {:.1} M instructions each",
        expected.len(),
        each as f64 / 1e6
    ));
    End::Equal
}

/// What the page ships runs as the page says.
#[test]
fn samples_of_the_page() {
    for network in models::samples_of_the_page().expect("web/public/samples") {
        for bits in [Bits::I8, Bits::I16] {
            assert_eq!(on_the_board(&network, bits, 10), End::Equal);
        }
    }
}

/// `ends`: in int8 and in int16.
fn public(name: &str, ends: [End; 2]) {
    if models::public_names().is_none() {
        println!("skipped: shared/data/models not there, so {name} isn't run on the virtual board");
        return;
    }
    let network = models::public(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    for (bits, end) in [Bits::I8, Bits::I16].into_iter().zip(ends) {
        assert_eq!(
            on_the_board(&network, bits, 1),
            end,
            "{name} {}",
            bits.name()
        );
    }
}

/// What a board without a model says when it starts.
fn boot_text(kind: Options) -> String {
    let firmware = Firmware::prebuilt().expect("firmware/prebuilt");
    let plan = firmware.plan_without_model().expect("a plan");
    let flash = manifest::merged(&manifest::parts(&plan)).expect("one image");
    let mut board = VirtualBoard::new(Some(flash), kind);
    (0..50).for_each(|_| board.tick(10));
    String::from_utf8_lossy(&board.read()).into_owned()
}

/// A tensor whose channels are no whole vectors is the first in PSRAM: kernels begin to read in front of it.
#[test]
fn a_tensor_at_the_start_of_psram() {
    let firmware = Firmware::prebuilt().expect("firmware/prebuilt");
    for megabytes in [2, 8] {
        let side = 110;
        let tensor = |name: &str, channels| TensorDef {
            name: name.to_owned(),
            dims: vec![1, channels, side, side],
            storage: Storage::ChannelsLast,
            element: Element::I8,
            exponent: 0,
        };
        let linear = Linear {
            weights: (0..3 * 34).map(|at| at % 11 - 5).collect(),
            bias: vec![40, -3, 7],
            shifts: Shifts::PerTensor(6),
            activation: Activation::None,
            accumulator: None,
        };
        let op = Op::Conv2d {
            linear,
            window: Window::new(1, 1),
            groups: 1,
        };
        let mut builder = ImageBuilder::new("at the start", Arithmetic::Fixpoint);
        let x = builder.input(tensor("x", 34));
        let y = builder.op("conv", op, &[x], tensor("y", 3));
        builder.output(y);
        let image = builder.to_bytes().expect("an image");
        let mut random = Random(5);
        let input: Vec<u8> = (0..34 * side * side)
            .map(|_| random.between(0, 255) as u8)
            .collect();
        let mut simulator = Simulator::new(&image).expect("an image of ours");
        let values: Vec<i32> = (input.iter())
            .map(|byte| i32::from(byte.cast_signed()))
            .collect();
        // As ONNX has them: channels first.
        let planes: Vec<i32> = (0..34)
            .flat_map(|c| values.iter().skip(c).step_by(34).copied())
            .collect();
        let expected = simulator.run_integers(&[&planes]).expect("a run");
        let kind = Options {
            psram_bytes: megabytes << 20,
            ..Options::default()
        };
        let plan = firmware.plan(&image).expect("room in flash");
        let mut bench = Bench::flashed_on(kind, plan).expect("a board");
        bench
            .connect()
            .expect("the board")
            .model
            .expect("the model");
        let run = bench.infer(vec![input]);
        let run = run.unwrap_or_else(|error| panic!("{error}\n{}", bench.console));
        let found = simulator.decode_output(0, &run.outputs[0]);
        assert_eq!(found.expect("an output"), expected[0], "{megabytes} MiB");
    }
}

/// Nothing checks what a vector unit's records say before they are used: whatever it is, the board goes on.
#[test]
fn records_with_more_shifts_than_there_is_room_for() {
    let firmware = Firmware::prebuilt().expect("firmware/prebuilt");
    let tensor = |name: &str| TensorDef {
        name: name.to_owned(),
        dims: vec![1, 16, 8, 8],
        storage: Storage::ChannelsLast,
        element: Element::I8,
        exponent: 0,
    };
    let linear = Linear {
        weights: (0..16 * 9).map(|at| at % 11 - 5).collect(),
        bias: vec![0; 16],
        shifts: Shifts::PerChannel((0..16).map(|channel| 6 + channel.min(14)).collect()),
        activation: Activation::None,
        accumulator: None,
    };
    let op = Op::DepthwiseConv2d {
        linear,
        window: Window::new(3, 3).pads(1, 1, 1, 1),
    };
    let mut builder = ImageBuilder::new("records", Arithmetic::Fixpoint);
    let x = builder.input(tensor("x"));
    // The second layer is what lies behind the first one's record.
    let between = builder.op("first", op.clone(), &[x], tensor("between"));
    let y = builder.op("second", op, &[between], tensor("y"));
    builder.output(y);
    let image = builder.to_bytes().expect("an image");
    let word = |image: &[u8], at: usize| {
        u32::from_le_bytes(image[at..at + 4].try_into().expect("a word")) as usize
    };
    let op = word(&image, 36);
    let record = word(&image, op + 52);
    for steps in [13, 14, 15, 16, 20, 31] {
        let mut image = image.clone();
        // A record of 480 bytes, and in it a list of so many.
        image[op + 39] = 30;
        image[record] |= 0x80;
        image[record + 1] = steps;
        image[record + 8..record + 12].copy_from_slice(&((1u32 << steps) - 1).to_le_bytes());
        let sum = checksum(&image).expect("a header");
        image[12..16].copy_from_slice(&sum.to_le_bytes());
        let plan = firmware.plan(&image).expect("room in flash");
        let mut bench = Bench::flashed_on(Options::default(), plan).expect("a board");
        (bench.connect().expect("the board").model).expect("the model");
        for _ in 0..2 {
            let run = bench.infer(vec![vec![3; 16 * 64]]);
            let run = run.unwrap_or_else(|e| panic!("{steps}: {e}\n{}", bench.console));
            assert_eq!(run.outputs[0].len(), 16 * 64);
        }
    }
}

/// Boards with other PSRAM, or none, or one that is dead: what needs none runs everywhere.
#[test]
fn other_memory() {
    let sample = &models::samples_of_the_page().expect("web/public/samples")[0];
    let large = models::public_names().map(|_| models::public("ulf_slim_320").expect("a model"));
    if large.is_none() {
        println!("skipped: shared/data/models not there, so no model that needs PSRAM is run");
    }
    let kinds = [
        (2, false, End::Equal),
        (16, false, End::Equal),
        (0, false, End::NoMemory),
        (8, true, End::NoMemory),
        (2, true, End::NoMemory),
    ];
    for (megabytes, dead, end) in kinds {
        let kind = || Options {
            psram_bytes: megabytes << 20,
            faults: if dead {
                vec![Fault::PsramDead]
            } else {
                Vec::new()
            },
            ..Options::default()
        };
        assert_eq!(on_a_board(sample, Bits::I8, 1, kind()), End::Equal);
        let text = boot_text(kind());
        assert_eq!(text.contains("PSRAM does not answer"), dead, "{text}");
        if let Some(large) = &large {
            assert_eq!(
                on_a_board(large, Bits::I8, 1, kind()),
                end,
                "{megabytes} MiB"
            );
        }
    }
}

macro_rules! networks {
    ($($test:ident $name:literal $int8:ident $int16:ident;)*) => {
        $(
            #[test]
            fn $test() {
                public($name, [End::$int8, End::$int16]);
            }
        )*

        /// A model that is added to `shared/` is added here.
        #[test]
        fn no_public_model_is_forgotten() {
            match models::public_names() {
                Some(names) => assert_eq!(names, [$($name),*]),
                None => println!("skipped: shared/data/models not there"),
            }
        }
    };
}

networks! {
    streaming_network "espdl_stream" Equal Equal;
    resnet8 "mlperf_ic_resnet8" Equal Equal;
    resnet8_as_exported "mlperf_ic_resnet8/raw" Equal Equal;
    keyword_spotting "mlperf_kws_dscnn" Equal Equal;
    keyword_spotting_as_exported "mlperf_kws_dscnn/raw" Equal Equal;
    visual_wake_words "mlperf_vww_mobilenet" Equal Equal;
    visual_wake_words_as_exported "mlperf_vww_mobilenet/raw" Equal Equal;
    text_direction "pp_ocr_cls" Equal Equal;
    face_detector "ulf_slim_320" Equal Equal;
}
