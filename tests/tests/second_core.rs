//! The image for the chip on one core and on two: the host's bits both times, and the time it takes.
//!
//! `cargo xtask bench device` prints the table; without the Xtensa build this is skipped.
#![cfg(not(target_arch = "wasm32"))]

use std::env;

use fixpoint_board::{Fault, Options};
use fixpoint_protocol::Constants;
use fixpoint_protocol::host::{self, Inference};
use fixpoint_quant::image::{Activation, Element, Linear, Shifts, Window};
use fixpoint_quant::{Bits, Request, Simulator, quantize};
use fixpoint_runtime::{AlignedBytes, Block16, Model, run};
use fixpoint_tests::models;
use fixpoint_tests::random::Random;
use fixpoint_tests::virtual_board::{Bench, Firmware};

mod layer;
use layer::Shape;

const HZ: f64 = 240e6;

/// One layer of a table.
struct Row {
    layer: Shape,
    /// How much faster two cores are to be at least.
    at_least: f64,
}

fn rows() -> Vec<Row> {
    use Element::{I8, I16};
    let square = |kernel, stride| Window::new(kernel, kernel).stride(stride, stride);
    let row = |name, element, input, outputs, window, at_least| Row {
        layer: Shape {
            name,
            element,
            input,
            outputs,
            window,
            depthwise: false,
        },
        at_least,
    };
    let depthwise = |row: Row| Row {
        layer: row.layer.depthwise(),
        ..row
    };
    let padded = square(3, 1).pads(1, 1, 1, 1);
    vec![
        row("conv 1x1", I8, [64, 20, 20], 64, square(1, 1), 1.8),
        row("conv 1x1", I8, [72, 20, 20], 33, square(1, 1), 1.8),
        row("conv 1x1", I16, [64, 20, 20], 64, square(1, 1), 1.8),
        row("conv 3x3 s2", I16, [32, 19, 23], 16, square(3, 2), 1.8),
        row("conv 3x3 padded", I16, [32, 12, 12], 32, padded, 1.8),
        depthwise(row(
            "depthwise 3x3",
            I8,
            [32, 50, 50],
            32,
            square(3, 1),
            1.8,
        )),
        depthwise(row(
            "depthwise 3x3 padded",
            I8,
            [64, 24, 24],
            64,
            padded,
            1.7,
        )),
        // What is read of its record, and reading it, is done once.
        row("fully connected", I16, [784, 1, 1], 100, square(1, 1), 1.38),
        // Too little to be worth handing over.
        row("conv 1x1", I8, [16, 5, 5], 16, square(1, 1), 0.9),
    ]
}

/// Weights, biases and a shift for it.
fn linear(layer: &Shape, random: &mut Random) -> Linear {
    let each = layer.products();
    // So small that sums of 8-bit products are proved to fit the vector unit's lanes.
    let most = match layer.bits() {
        8 => (2000 / each).clamp(1, 127) as i64,
        _ => layer.high(),
    };
    let shift = (layer.bits() - 2) as i32;
    Linear {
        weights: (0..layer.outputs * each)
            .map(|_| random.between(-most, most) as i16)
            .collect(),
        bias: (0..layer.outputs)
            .map(|_| random.between(-1 << shift, 1 << shift))
            .collect(),
        shifts: Shifts::PerTensor(shift),
        activation: Activation::None,
        accumulator: None,
    }
}

/// What the portable kernels give for it here.
fn on_host(image: &[u8], input: &[u8]) -> Vec<u8> {
    let image = AlignedBytes::new(image);
    let model = Model::parse(image.as_ref()).expect("an image of ours");
    let mut arena = vec![Block16::ZERO; model.arena_bytes() as usize / 16 + 1];
    let place = model.input_mut(&mut arena, 0).expect("an input");
    place.copy_from_slice(input);
    run(&model, &mut arena, &mut ()).expect("an arena that suffices");
    model.output(&arena, 0).expect("an output").to_vec()
}

/// What a board gave, the run, and the instructions that each core executed for it.
fn on_board(
    firmware: &Firmware,
    cores: u32,
    image: &[u8],
    input: &[u8],
) -> (Vec<u8>, Inference, [u64; 2], host::Board) {
    let options = Options {
        faults: match cores {
            1 => vec![Fault::SecondCoreDead],
            _ => Vec::new(),
        },
        ..Options::default()
    };
    let plan = firmware.plan(image).expect("room in flash");
    let mut bench = Bench::flashed_on(options, plan).expect("a board");
    let board = bench.connect().expect("an answer");
    assert_eq!(board.cores, cores, "{}", bench.console);
    bench.take_counts();
    let mut run = bench.infer(vec![input.to_vec()]).expect("a result");
    let instructions = bench.take_counts().map(|core| core.total.instructions);
    (run.outputs.remove(0), run, instructions, board)
}

/// The images just built, where there are any.
fn built() -> Option<Firmware> {
    env::var_os("FIRMWARE")?;
    Some(Firmware::prebuilt().expect("the images just built"))
}

#[test]
fn two_cores_give_the_bits_of_one_and_take_less_time() {
    let Some(firmware) = built() else {
        println!("skipped: no Xtensa build; run `cargo xtask firmware selftest`");
        return;
    };
    let mut random = Random(5);
    println!(
        "{:<22} {:<4} {:<18} {:>10} {:>10} {:>8}   instructions of each core",
        "layer on two cores", "type", "shape", "us on one", "us on two", "speed-up"
    );
    let mut slow = Vec::new();
    for Row {
        layer: shape,
        at_least,
    } in rows()
    {
        let linear = linear(&shape, &mut random);
        let (image, input) = shape.build(linear, &mut random);
        let expected = on_host(&image, &input);
        let (output, one, alone, _) = on_board(&firmware, 1, &image, &input);
        assert!(output == expected, "{} on one core", shape.name);
        assert_eq!(alone[1], 0, "{}: a broken core worked", shape.name);
        let (output, two, both, _) = on_board(&firmware, 2, &image, &input);
        assert!(output == expected, "{} on two cores", shape.name);
        let [one, two] = [one, two].map(|run| {
            let cycles = run.layer_cycles.last().copied();
            f64::from(cycles.expect("layers"))
        });
        let speed_up = one / two;
        println!(
            "{:<22} {:<4} {:<18} {:>10.0} {:>10.0} {:>8.2}   {} and {}",
            shape.name,
            shape.element_name(),
            shape.sizes(),
            one / HZ * 1e6,
            two / HZ * 1e6,
            speed_up,
            both[0],
            both[1],
        );
        // One core only when that is all that pays.
        let shared = at_least > 1.0;
        if speed_up < at_least || (both[1] > 1_000) != shared {
            slow.push(format!("{} {:?}: {speed_up:.2}", shape.name, shape.input));
        }
    }
    assert!(slow.is_empty(), "not as fast as it was: {slow:#?}");
}

/// Whole networks, in int8 and in int16 if that fits.
#[test]
fn networks_have_the_simulators_bits_on_two_cores() {
    let Some(firmware) = built() else {
        println!("skipped: no Xtensa build; run `cargo xtask firmware selftest`");
        return;
    };
    let mut networks = models::samples_of_the_page().expect("the page's samples");
    match models::public_names() {
        // Those as they were exported are the same networks.
        Some(names) => networks.extend(
            (names.iter().filter(|name| !name.ends_with("/raw")))
                .map(|name| models::public(name).unwrap_or_else(|error| panic!("{name}: {error}"))),
        ),
        None => println!("skipped: shared/data/models not there"),
    }
    println!(
        "{:<28} {:<5} {:>10} {:>10} {:>8}  tensors, weights",
        "network on two cores", "type", "ms on one", "ms on two", "speed-up"
    );
    for (network, bits) in networks
        .iter()
        .flat_map(|network| [Bits::I8, Bits::I16].map(|bits| (network, bits)))
    {
        let request = Request {
            bits: Some(bits),
            ..Request::default()
        };
        let calibration = network.calibration().take(8);
        let options = request.options();
        let made = quantize(&network.model, &calibration, &options, &mut |_| ()).expect("an image");
        let mut simulator = Simulator::new(&made.image).expect("an image of ours");
        let samples = network.evaluation().take(1);
        let input = simulator
            .input_bytes(0, samples.get(0)[0])
            .expect("a sample");
        let expected = simulator
            .run_raw(&samples.get(0))
            .expect("a sample")
            .remove(0);
        let mut places = String::new();
        let times = [1, 2].map(|cores| {
            let (output, run, _, board) = on_board(&firmware, cores, &made.image, &input);
            let found = simulator.decode_output(0, &output).expect("an output");
            assert_eq!(found, expected, "{} {} {cores}", network.name, bits.name());
            let needed = board.model.as_ref().map_or(0, |model| model.arena_needed);
            let tensors = match needed > board.arena_available {
                true => Constants::Psram,
                false => Constants::Internal,
            };
            places = format!("{tensors:?}, {:?}", board.constants).to_lowercase();
            run.cycles as f64 / HZ * 1e3
        });
        let [one, two] = times;
        println!(
            "{:<28} {:<5} {one:>10.2} {two:>10.2} {:>8.2}  {places}",
            network.name,
            bits.name(),
            one / two
        );
        assert!(two <= one * 1.01, "{}: two are slower", network.name);
    }
}
