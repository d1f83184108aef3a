//! A net whose maps don't fit the chip's internal memory: done in strips they do, and the report is still of layers.

#[path = "support/onnx.rs"]
mod onnx;
mod support;

use fixpoint_quant::image::{
    Activation, Arithmetic, Element, ImageBuilder, Linear, NEAR_ROOM, Op, Shifts, Storage,
    TensorDef, Window,
};
use fixpoint_quant::{Bits, FloatModel, Options, Quantized, Samples, Simulator, quantize};
use onnx::{Net, Random, Value};

const SIZE: usize = 112;

/// Maps of 32 x 112 x 112 between the first layers, then small ones; samples.
fn large() -> (Net, Vec<f32>) {
    let strided = [
        ("strides", Value::Ints(vec![2, 2])),
        ("pads", Value::Ints(vec![1; 4])),
    ];
    let padded = [("pads", Value::Ints(vec![1; 4]))];
    let net = Net::new(&[1, 3, SIZE as i64, SIZE as i64])
        .random_weights("a", &[32, 3, 3, 3], 0.4)
        .random_weights("b", &[32, 32, 1, 1], 0.4)
        .random_weights("c", &[8, 32, 3, 3], 0.2)
        .random_weights("d", &[8, 8, 3, 3], 0.3)
        .node("Conv", &["x", "a"], "first", &padded)
        .node("Relu", &["first"], "first relu", &[])
        .node("Conv", &["first relu", "b"], "second", &[])
        .node("Sigmoid", &["second"], "bent", &[])
        .node("Conv", &["bent", "c"], "third", &strided)
        .node("Conv", &["third", "d"], "y", &strided)
        .output("y");
    (net, Random(5).many(3 * SIZE * SIZE))
}

fn quantized(net: &Net, data: &[f32], bits: Bits) -> Quantized {
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    let samples = Samples::single(data, data.len()).unwrap();
    let options = Options {
        bits,
        ..Options::default()
    };
    quantize(&model, &samples, &options, &mut |_| ()).unwrap()
}

#[test]
fn layers_in_strips_are_reported_as_layers() {
    let (net, data) = large();
    for (bits, least_db) in [(Bits::I8, 20.0), (Bits::I16, 60.0)] {
        let q = quantized(&net, &data, bits);
        let report = &q.report;
        // With the input, which is kept, and in 8 bits 400 KB twice as a whole.
        assert!(
            report.arena_bytes <= NEAR_ROOM as usize,
            "{}",
            report.arena_bytes
        );
        assert_eq!(report.layers.len(), 5);
        let ops = Simulator::new(&q.image).unwrap().layers().unwrap();
        assert_eq!(report.steps.len(), ops.len());
        assert!(ops.len() > 5);
        // What is computed of a layer is all of it, and rows that two strips see.
        for (index, layer) in report.layers.iter().enumerate() {
            let macs: u64 = (ops.iter().zip(&report.steps))
                .filter(|(_, step)| **step == index)
                .map(|(op, _)| op.macs)
                .sum();
            let range = layer.macs..=layer.macs + layer.macs / 2;
            assert!(range.contains(&macs), "{}: {macs}", layer.name);
            assert!(layer.sqnr_db.is_some_and(|db| db > least_db), "{layer:?}");
        }
        let dims = [1, 3, SIZE, SIZE];
        let want = net.run(&dims, &data);
        let got = Simulator::new(&q.image).unwrap().run(&[&data]).unwrap();
        let (mut signal, mut noise) = (0.0f64, 0.0f64);
        for (a, b) in got[0].data.iter().zip(&want[0]) {
            signal += f64::from(b * b);
            noise += f64::from((a - b) * (a - b));
        }
        let db = 10.0 * libm::log10(signal / noise);
        assert!(db > least_db, "{bits:?}: {db:.1} dB");
        // The report's figure is of the same elements.
        let reported = report.layers[4].sqnr_db.unwrap();
        assert!((reported - db).abs() < 0.01, "{reported} and {db}");
    }
}

/// Two layers with 512 KB between them.
fn pair(strips: bool) -> Vec<u8> {
    let mut builder = ImageBuilder::new("pair", Arithmetic::Fixpoint);
    builder.strips(strips);
    let tensor = |channels, size| TensorDef {
        name: format!("{channels} x {size}"),
        dims: vec![1, channels, size, size],
        storage: Storage::ChannelsLast,
        element: Element::I8,
        exponent: -4,
    };
    let linear = |products: usize, channels: usize| Linear {
        weights: (0..products * channels)
            .map(|at| (at * 37 % 101) as i16 - 50)
            .collect(),
        bias: (0..channels).map(|at| at as i64 * 91 - 700).collect(),
        shifts: Shifts::PerChannel((0..channels).map(|at| 5 + at as i32 % 3).collect()),
        activation: Activation::Relu,
        accumulator: None,
    };
    let conv = |linear, stride| Op::Conv2d {
        linear,
        window: Window::new(3, 3).stride(stride, stride).pads(1, 1, 1, 1),
        groups: 1,
    };
    let x = builder.input(tensor(3, 128));
    let first = conv(linear(27, 32), 1);
    let hidden = builder.op("first", first, &[x], tensor(32, 128));
    let second = conv(linear(288, 8), 2);
    let y = builder.op("second", second, &[hidden], tensor(8, 64));
    builder.output(y);
    builder.to_bytes().unwrap()
}

#[test]
fn strips_change_no_result_but_what_memory_it_takes() {
    let input: Vec<u8> = (0..3 * 128 * 128).map(|at| (at * 73 % 251) as u8).collect();
    let [whole, strips] = [false, true].map(|strips| {
        let mut simulator = Simulator::new(&pair(strips)).unwrap();
        let outputs = simulator.layer_bytes(&[&input]).unwrap();
        (
            outputs.last().cloned(),
            outputs.len(),
            simulator.arena_bytes(),
        )
    });
    assert_eq!(whole.0, strips.0);
    assert_eq!(whole.1, 2);
    assert!(strips.1 > 2);
    assert!(whole.2 > 512 << 10 && strips.2 <= NEAR_ROOM as usize);
}
