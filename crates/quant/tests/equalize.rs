//! Channels in front of depthwise convolutions are brought to a common range.

#[path = "support/onnx.rs"]
mod onnx;

use fixpoint_quant::{
    Arithmetic, FloatModel, Granularity, Method, Options, Quantized, Samples, Simulator,
    quantization_table, quantize,
};
use onnx::{Net, Value};

const LEAST: Options = Options {
    bits: fixpoint_quant::Bits::I8,
    granularity: Granularity::PerChannel,
    method: Method::Mse,
    arithmetic: Arithmetic::Fixpoint,
    input_exponent: None,
    chip: fixpoint_quant::Chip::Esp32S3,
    mimic_evaluator: false,
};

/// 0, 1/16, ... 15/16
fn samples() -> Vec<f32> {
    (0..16u8).map(|i| f32::from(i) / 16.0).collect()
}

/// Channels x and x/16, an activation, and depthwise factors that make x/2 of both.
fn net(activation: &str) -> Net {
    Net::new(&[1, 1, 4, 4])
        .weights("w", &[2, 1, 1, 1], vec![1.0, 0.0625])
        .weights("b", &[2], vec![0.0, 0.0])
        .node("Conv", &["x", "w", "b"], "t", &[])
        .node(activation, &["t"], "h", &[])
        .weights("v", &[2, 1, 1, 1], vec![0.5, 8.0])
        .node("Conv", &["h", "v"], "y", &[("group", Value::Int(2))])
        .output("y")
}

fn attempt(net: &Net, options: &Options) -> Quantized {
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    let data = samples();
    let samples = Samples::single(&data, 16).unwrap();
    quantize(&model, &samples, options, &mut |_| ()).unwrap()
}

fn outputs(q: &Quantized) -> Vec<f32> {
    let mut simulator = Simulator::new(&q.image).unwrap();
    simulator.run(&[&samples()]).unwrap().remove(0).data
}

#[test]
fn quiet_channels_use_the_range() {
    let q = attempt(&net("Relu"), &LEAST);
    let hidden = &q.report.layers[0];
    assert_eq!(hidden.channel_powers, [0, 4]);
    assert_eq!(hidden.range, [0.0, 0.9375]);
    // 1.0 and 0.0625 times 16 are both 64 at 2^-6.
    assert_eq!(hidden.weight_exponents, [-6, -6]);
    assert!(q.report.layers[1].channel_powers.is_empty());
    let y = outputs(&q);
    let half: Vec<f32> = samples().iter().map(|v| v / 2.0).collect();
    assert_eq!((&y[..16], &y[16..]), (&half[..], &half[..]));
    // Without, the second channel has three bits.
    let plain = attempt(
        &net("Relu"),
        &Options {
            method: Method::MinMax,
            ..LEAST
        },
    );
    assert!(plain.report.layers[0].channel_powers.is_empty());
    let y = outputs(&plain);
    assert_eq!(y[..16], half);
    assert_ne!(y[16..], half);
}

/// The table is for ESP-DL, whose graph is the model's own.
#[test]
fn the_toolkit_s_table_stays_that_of_the_model() {
    let net = net("Relu");
    let q = attempt(&net, &LEAST);
    assert_eq!(q.report.tensors["h"], [-7]);
    assert_eq!(q.report.tensors["w"], [-6, -10]);
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    let data = samples();
    let samples = Samples::single(&data, 16).unwrap();
    for arithmetic in [Arithmetic::Espdl, Arithmetic::Fixpoint] {
        let options = Options {
            arithmetic,
            ..LEAST
        };
        let table = quantization_table(&model, &samples, &options).unwrap();
        assert_eq!(table, q.report.tensors);
    }
}

#[test]
fn only_where_factors_commute() {
    let untouched = |net: &Net| {
        let q = attempt(net, &LEAST);
        let touched = (q.report.layers.iter()).find(|l| !l.channel_powers.is_empty());
        assert!(touched.is_none(), "{touched:?}");
    };
    untouched(&net("Sigmoid"));
    untouched(&net("HardSwish"));
    // The values in between are asked for.
    untouched(&net("Relu").output("h"));
    // The consumer sums over channels.
    untouched(
        &Net::new(&[1, 1, 4, 4])
            .weights("w", &[2, 1, 1, 1], vec![1.0, 0.0625])
            .node("Conv", &["x", "w"], "h", &[])
            .weights("v", &[1, 2, 1, 1], vec![0.5, 8.0])
            .node("Conv", &["h", "v"], "y", &[])
            .output("y"),
    );
    // Something else reads the weights.
    untouched(
        &Net::new(&[1, 2, 4, 2])
            .weights("w", &[2, 1, 1, 1], vec![1.0, 0.0625])
            .node("Conv", &["x", "w"], "h", &[("group", Value::Int(2))])
            .node("Conv", &["h", "w"], "y", &[("group", Value::Int(2))])
            .output("y"),
    );
}

/// A depthwise layer that is both consumer and producer, with two outputs for each channel.
#[test]
fn chains_and_multipliers_keep_the_result() {
    let net = Net::new(&[1, 1, 4, 4])
        .weights("w", &[2, 1, 1, 1], vec![1.0, 0.0625])
        .node("Conv", &["x", "w"], "h", &[])
        .weights("v", &[4, 1, 1, 1], vec![0.5, 0.125, 8.0, 2.0])
        .node("Conv", &["h", "v"], "t", &[("group", Value::Int(2))])
        .node("LeakyRelu", &["t"], "i", &[])
        .weights("u", &[4, 1, 1, 1], vec![1.0, 4.0, 1.0, 4.0])
        .node("Conv", &["i", "u"], "y", &[("group", Value::Int(4))])
        .output("y");
    let q = attempt(&net, &LEAST);
    let powers: Vec<&[i32]> = (q.report.layers.iter())
        .map(|l| &l.channel_powers[..])
        .collect();
    // The slope in between is a layer of its own, of the same powers.
    assert_eq!(powers, [&[0, 4][..], &[0, 2, 0, 2], &[0, 2, 0, 2], &[]]);
    let half: Vec<f32> = samples().iter().map(|v| v / 2.0).collect();
    for y in outputs(&q).chunks(16) {
        assert_eq!(y, half);
    }
}
