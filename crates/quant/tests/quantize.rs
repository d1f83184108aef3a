//! Options, refusals and odd samples.

#[path = "support/onnx.rs"]
mod onnx;
mod support;

use fixpoint_quant::{
    Arithmetic, Bits, FloatModel, Granularity, Method, Options, QuantError, Samples, SimulateError,
    Simulator, quantize,
};
use onnx::{Net, Random};

fn dense() -> Net {
    Net::new(&[-1, 4])
        .random_weights("w", &[4, 3], 0.5)
        .random_weights("b", &[3], 0.5)
        .node("Gemm", &["x", "w", "b"], "y", &[])
        .output("y")
}

fn attempt(
    net: &Net,
    data: &[f32],
    options: &Options,
) -> Result<fixpoint_quant::Quantized, QuantError> {
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    let samples = Samples::single(data, 4).unwrap();
    quantize(&model, &samples, options, &mut |_| ())
}

#[test]
fn missing_features_say_so() {
    let espdl = Options {
        arithmetic: Arithmetic::Espdl,
        bits: Bits::I16,
        granularity: Granularity::PerChannel,
        ..Options::default()
    };
    assert!(matches!(
        attempt(&dense(), &[0.5; 8], &espdl),
        Err(QuantError::Options(_))
    ));
    let entropy = Options {
        bits: Bits::I16,
        method: Method::Entropy,
        ..Options::default()
    };
    let error = attempt(&dense(), &[0.5; 8], &entropy).unwrap_err();
    assert!(error.to_string().contains("int8 only"), "{error}");
}

/// One hidden value far outside the others: min-max keeps it and loses the rest.
#[test]
fn methods_that_clip_follow_the_bulk() {
    let identity = |at: u32| if at.is_multiple_of(5) { 1.0 } else { 0.0 };
    let net = Net::new(&[1, 4])
        .weights("w", &[4, 4], (0..16).map(identity).collect())
        .node("Gemm", &["x", "w"], "y", &[])
        .output("y");
    let mut data: Vec<f32> = Random(4).many(80_000).iter().map(|v| v / 8.0).collect();
    data[4321] = 3.0;
    let bulk = data
        .iter()
        .filter(|v| **v < 3.0)
        .fold(0.0f32, |m, v| m.max(v.abs()));
    assert!((0.12..0.125).contains(&bulk), "{bulk}");
    // Squared errors, outlier plus 80,000 roundings of a twelfth of a squared step:
    // 0 + 6.5 at -5, 1.0 + 1.6 at -6, 4.0 + 0.4 at -7.
    for (method, exponent) in [
        (Method::MinMax, -5),
        (Method::Percentile, -9),
        (Method::Mse, -6),
    ] {
        let options = Options {
            method,
            ..Options::default()
        };
        let q = attempt(&net, &data, &options).unwrap();
        assert_eq!(q.report.tensors["y"], [exponent], "{method:?}");
        assert_eq!(q.report.warnings, [] as [String; 0]);
    }
}

/// The toolkit stops on such a tensor.
#[test]
fn entropy_falls_back_to_the_range_and_says_so() {
    let net = Net::new(&[1, 4])
        .weights("w", &[4, 1], vec![1.0; 4])
        .node("Gemm", &["x", "w"], "y", &[])
        .output("y");
    let options = Options {
        granularity: Granularity::PerTensor,
        method: Method::Entropy,
        ..Options::default()
    };
    let q = attempt(&net, &[0.5; 8], &options).unwrap();
    assert_eq!(q.report.tensors["y"], [-5]);
    let [warning] = &q.report.warnings[..] else {
        panic!("{:?}", q.report.warnings);
    };
    assert!(
        warning.contains("'y'") && warning.contains("about equally large"),
        "{warning}"
    );
}

#[test]
fn unusable_samples_are_refused() {
    let options = Options::default();
    let model = FloatModel::from_onnx(&dense().encode()).unwrap();
    let none = Samples::single(&[], 4).unwrap();
    assert_eq!(
        quantize(&model, &none, &options, &mut |_| ()).unwrap_err(),
        QuantError::NoSamples
    );
    let narrow = Samples::single(&[0.5; 6], 3).unwrap();
    let error = quantize(&model, &narrow, &options, &mut |_| ()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("has 4 elements [1, 4], the sample has 3"),
        "{error}"
    );
    let error = attempt(&dense(), &[0.5, f32::NAN, 0.0, 0.0], &options).unwrap_err();
    assert!(error.to_string().contains("finite"), "{error}");
    assert!(Samples::single(&[0.5; 7], 4).is_none());
}

#[test]
fn models_with_problems_are_refused_with_all_of_them() {
    let net = dense()
        .node("NonZero", &["y"], "e", &[])
        .node("Sin", &["e"], "z", &[])
        .output("z");
    let QuantError::Model(problems) = attempt(&net, &[0.5; 4], &Options::default()).unwrap_err()
    else {
        panic!("wrong error");
    };
    assert!(problems[0].contains("NonZero"), "{problems:?}");
}

#[test]
fn all_zero_samples_are_reported_and_work() {
    let net = Net::new(&[1, 4])
        .random_weights("w", &[4, 3], 0.5)
        .node("Gemm", &["x", "w"], "y", &[])
        .output("y");
    let q = attempt(&net, &[0.0; 8], &Options::default()).unwrap();
    assert_eq!(q.report.warnings.len(), 2, "{:?}", q.report.warnings);
    assert_eq!(q.report.inputs[0].exponent, -7);
    let mut simulator = Simulator::new(&q.image).unwrap();
    assert_eq!(simulator.run_raw(&[&[0.0; 4]]).unwrap()[0].data, [0, 0, 0]);
}

#[test]
fn the_input_exponent_can_be_set() {
    let data = Random(2).many(40);
    let options = Options {
        input_exponent: Some(-5),
        ..Options::default()
    };
    let q = attempt(&dense(), &data, &options).unwrap();
    assert_eq!(q.report.inputs[0].exponent, -5);
    assert_eq!(q.report.tensors["x"], [-5]);
}

#[test]
fn input_rounds_half_to_even_and_clips() {
    let data = Random(2).many(40);
    let options = Options {
        input_exponent: Some(-7),
        ..Options::default()
    };
    let simulator = Simulator::new(&attempt(&dense(), &data, &options).unwrap().image).unwrap();
    let step = 1.0 / 128.0;
    let bytes = simulator
        .input_bytes(0, &[0.5 * step, 1.5 * step, -1.5 * step, 1.0])
        .unwrap();
    assert_eq!(bytes, [0u8, 2, 254, 127]);
    assert!(matches!(
        simulator.input_bytes(0, &[f32::NAN; 4]),
        Err(SimulateError::NotANumber { .. })
    ));
    assert!(matches!(
        simulator.input_bytes(0, &[0.0; 3]),
        Err(SimulateError::InputSize {
            want: 4,
            got: 3,
            ..
        })
    ));
}

#[test]
fn the_report_survives_json_and_lists_the_table() {
    let data = Random(2).many(40);
    let q = attempt(&dense(), &data, &Options::default()).unwrap();
    let text = serde_json::to_string_pretty(&q.report).unwrap();
    let back: fixpoint_quant::Report = serde_json::from_str(&text).unwrap();
    assert_eq!(back, q.report);
    let keys: Vec<_> = q.report.tensors.keys().map(String::as_str).collect();
    assert_eq!(keys, ["b", "w", "x", "y"]);
    let layer = &q.report.layers[0];
    assert_eq!((layer.op.as_str(), layer.macs), ("Gemm", 12));
    assert!(layer.accumulator_bits.unwrap() <= 32);
    assert!(layer.range[0] <= layer.range[1]);
}

/// Saturation counts what lies beyond the range, and only that.
#[test]
fn saturation_is_measured() {
    let data = Random(2).many(400);
    let fits = attempt(&dense(), &data, &Options::default()).unwrap();
    assert!(fits.report.layers[0].saturation < 0.02);
    // An identity layer whose input is clipped at a quarter of its range.
    let net = Net::new(&[1, 4])
        .weights(
            "w",
            &[4, 4],
            (0..16)
                .map(|i| if i % 5 == 0 { 1.0 } else { 0.0 })
                .collect(),
        )
        .node("Gemm", &["x", "w"], "y", &[])
        .output("y");
    let q = attempt(&net, &data, &Options::default()).unwrap();
    assert!(q.report.layers[0].sqnr_db.unwrap() > 30.0);
    let clipped = Options {
        input_exponent: Some(-9),
        ..Options::default()
    };
    let worse = attempt(&net, &data, &clipped).unwrap();
    assert!(worse.report.layers[0].sqnr_db.unwrap() < 10.0);
}

#[test]
fn any_image_bytes_are_answered() {
    let data = Random(2).many(40);
    let image = attempt(&dense(), &data, &Options::default()).unwrap().image;
    assert!(Simulator::new(&image).is_ok());
    for cut in 0..image.len() {
        assert!(Simulator::new(&image[..cut]).is_err());
    }
    for at in 0..image.len() {
        let mut damaged = image.clone();
        damaged[at] ^= 0x10;
        assert!(Simulator::new(&damaged).is_err(), "byte {at}");
    }
}

/// tract's optimizer left a node that can't run in this network of two layers in a row.
#[test]
fn two_layers_without_anything_in_between_run() {
    let net = onnx::Net::new(&[1, 2, 3, 2])
        .ints("flat", &[-1, 12])
        .ints("again", &[-1, 12])
        .random_weights("w", &[4, 12], 0.5)
        .random_weights("b", &[4], 0.3)
        .random_weights("v", &[4, 8], 0.5)
        .random_weights("c", &[8], 0.3)
        .node("Reshape", &["x", "flat"], "f", &[])
        .node(
            "Gemm",
            &["f", "w", "b"],
            "g",
            &[("transB", onnx::Value::Int(1))],
        )
        .node("Gemm", &["g", "v", "c"], "h", &[])
        .node("Relu", &["h"], "y", &[])
        .node("Reshape", &["x", "again"], "z", &[])
        .output("y")
        .output("z");
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    let data = onnx::Random(2).many(12 * 8);
    let samples = Samples::single(&data, 12).unwrap();
    let report = quantize(&model, &samples, &Options::default(), &mut |_| ())
        .unwrap()
        .report;
    assert!(report.layers.iter().all(|l| l.sqnr_db.unwrap() > 20.0));
}

/// In 16 bits nothing but another computation makes layers differ by 40 dB; `size` elements are a sample.
fn layers_are_those_of_the_float_run(net: &Net, size: usize) {
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    let data = Random(2).many(size * 8);
    let samples = Samples::single(&data, size).unwrap();
    let options = Options {
        bits: Bits::I16,
        ..Options::default()
    };
    let report = quantize(&model, &samples, &options, &mut |_| ())
        .unwrap()
        .report;
    let layers = &report.layers;
    assert!(
        layers.iter().all(|l| l.sqnr_db.unwrap() > 40.0),
        "{layers:?}"
    );
}

/// tract's optimizer gave the first layer the strides of the second, and with them other pads.
#[test]
fn strides_behind_a_convolution_that_finds_its_pads_stay() {
    for same in ["SAME_LOWER", "SAME_UPPER"] {
        let net = onnx::Net::new(&[1, 9, 8, 4])
            .random_weights("w", &[8, 9, 3, 3], 0.2)
            .random_weights("v", &[1, 8, 1, 2], 0.5)
            .node(
                "Conv",
                &["x", "w"],
                "c",
                &[
                    ("auto_pad", onnx::Value::Str(same)),
                    ("strides", onnx::Value::Ints(vec![2, 2])),
                ],
            )
            .node(
                "Conv",
                &["c", "v"],
                "y",
                &[
                    ("pads", onnx::Value::Ints(vec![0, 1, 0, 1])),
                    ("strides", onnx::Value::Ints(vec![2, 2])),
                ],
            )
            .output("y");
        layers_are_those_of_the_float_run(&net, 288);
    }
}

/// tract's optimizer made it a stride of the convolution, which begins at 0.
#[test]
fn a_slice_with_steps_behind_a_convolution_begins_where_it_should() {
    let net = Net::new(&[1, 2, 6, 9])
        .random_weights("w", &[2, 1, 1, 1], 0.5)
        .ints("starts", &[1])
        .ints("ends", &[1000])
        .ints("axes", &[3])
        .ints("steps", &[2])
        .node(
            "Conv",
            &["x", "w"],
            "c",
            &[
                ("group", onnx::Value::Int(2)),
                ("strides", onnx::Value::Ints(vec![2, 2])),
            ],
        )
        .node("Slice", &["c", "starts", "ends", "axes", "steps"], "y", &[])
        .output("y");
    layers_are_those_of_the_float_run(&net, 108);
}
