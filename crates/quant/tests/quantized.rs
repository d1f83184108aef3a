//! Models that are quantized already: taken bit for bit where the scheme is ours, explained and
//! quantized anew where it isn't.

#[path = "support/onnx.rs"]
mod onnx;
mod support;

use fixpoint_quant::{
    Arithmetic, Bits, Fate, FloatModel, Granularity, ImportError, Method, Options, Quantized,
    Reading, Report, Samples, Simulator, quantize,
};
use onnx::{Net, Random, Value};
use support::{fixture, npy};
use tract_onnx::pb::tensor_proto::DataType;

fn file(name: &str) -> Vec<u8> {
    std::fs::read(fixture("quantized").join(name).join("model.onnx")).unwrap()
}

fn array(name: &str, array: &str) -> Vec<f32> {
    npy(&fixture("quantized").join(name).join(array)).data
}

fn taken(model: &FloatModel, options: &Options) -> Quantized {
    assert_eq!(model.problems(), [] as [String; 0]);
    assert_eq!(model.quantization().unwrap().fate, Fate::Taken);
    quantize(model, &Samples::none(), options, &mut |_| ()).unwrap()
}

fn simulate(quantized: &Quantized, input: &[f32], each: usize) -> Vec<f32> {
    let mut simulator = Simulator::new(&quantized.image).unwrap();
    (input.chunks(each))
        .flat_map(|x| simulator.run(&[x]).unwrap().swap_remove(0).data)
        .collect()
}

fn exponent(report: &Report, output: &str) -> i32 {
    let layer = report.layers.iter().find(|l| l.output == output);
    layer.unwrap_or_else(|| panic!("{output}")).output_exponent
}

#[test]
fn a_file_in_our_scheme_is_taken_bit_for_bit() {
    for (name, bits, granularity) in [
        ("ort_int8_per_channel", Bits::I8, Granularity::PerChannel),
        ("ort_int8_per_tensor", Bits::I8, Granularity::PerTensor),
        ("ort_qlinear", Bits::I8, Granularity::PerChannel),
        ("ort_int16", Bits::I16, Granularity::PerTensor),
        ("torch_qat", Bits::I8, Granularity::PerTensor),
    ] {
        let model = FloatModel::from_onnx(&file(name)).unwrap();
        let quantized = taken(&model, &Options::default());
        let report = &quantized.report;
        assert!(report.given, "{name}");
        assert_eq!(report.options.bits, bits, "{name}");
        assert_eq!(report.options.granularity, granularity, "{name}");
        let want = array(name, "output.npy");
        let input = array(name, "x.npy");
        let got = simulate(&quantized, &input, input.len() / 6);
        assert_eq!(got, want, "{name}");
        // With samples there is a report on them, and the same image.
        let samples = Samples::single(&input, input.len() / 6).unwrap();
        let measured = quantize(&model, &samples, &Options::default(), &mut |_| ()).unwrap();
        assert_eq!(measured.image, quantized.image, "{name}");
        assert!(measured.report.layers.iter().any(|l| l.sqnr_db.is_some()));
    }
}

#[test]
fn exponents_are_the_files() {
    let model = FloatModel::from_onnx(&file("ort_int8_per_channel")).unwrap();
    let report = taken(&model, &Options::default()).report;
    assert_eq!(report.inputs[0].exponent, -5);
    let outputs = ["r1", "c2", "r2", "g", "m", "a", "y"];
    assert_eq!(
        outputs.map(|o| exponent(&report, o)),
        [-2, -3, -2, -6, -2, -3, -4]
    );
    // From the file's scales: 0.00048828125, 0.001953125, ...
    assert_eq!(report.layers[0].weight_exponents[..3], [-11, -9, -8]);
    // Relu joins the layer before it, which has the same scale.
    assert_eq!(report.layers[0].activation.as_deref(), Some("Relu"));
    assert_eq!(report.tensors["m"], [-2]);
}

#[test]
fn inspection_tells_the_kind() {
    for (name, form, fate, words) in [
        ("ort_int8_per_channel", "QDQ", Fate::Taken, "int8"),
        ("ort_int16", "QDQ", Fate::Taken, "int16"),
        ("ort_qlinear", "QLinear", Fate::Taken, "per channel"),
        ("ort_uint8_asymmetric", "QDQ", Fate::Refused, "uint8"),
        ("ort_dynamic", "dynamic", Fate::Refused, "run time"),
    ] {
        let seen = FloatModel::from_onnx(&file(name)).unwrap().inspect();
        let quantization = seen.quantization.unwrap();
        assert_eq!((&*quantization.form, quantization.fate), (form, fate));
        assert!(quantization.scheme.contains(words), "{quantization:?}");
        // The file's nodes are shown as they are, with shapes.
        assert!(
            seen.original
                .iter()
                .all(|n| n.supported || fate == Fate::Refused)
        );
        let pass = &seen.passes[0];
        assert_eq!(pass.name, "read_quantization");
        assert!(!pass.changes.is_empty());
        assert_eq!(pass.nodes_before, seen.original.len());
    }
    let float = Net::new(&[1, 2]).node("Relu", &["x"], "y", &[]).output("y");
    let seen = FloatModel::from_onnx(&float.encode()).unwrap().inspect();
    assert_eq!(seen.quantization, None);
    assert!(seen.passes.iter().all(|p| p.name != "read_quantization"));
}

fn again(bytes: &[u8]) -> Result<FloatModel, ImportError> {
    let reading = Reading {
        anew: true,
        ..Reading::default()
    };
    FloatModel::from_onnx_as(bytes, &reading)
}

/// What the file computes in floats, against onnxruntime's run of its integers.
fn anew(name: &str, tolerance: f32) -> FloatModel {
    let model = again(&file(name)).unwrap();
    assert_eq!(model.problems(), [] as [String; 0], "{name}");
    assert_eq!(model.quantization().unwrap().fate, Fate::Requantized);
    let (input, theirs) = (array(name, "x.npy"), array(name, "onnxruntime.npy"));
    let runner = model.runner().unwrap();
    let each = input.len() / 6;
    let ours: Vec<f32> = (input.chunks(each))
        .flat_map(|x| runner.run(&[x]).unwrap().swap_remove(0).data)
        .collect();
    let worst = |a: &[f32]| (a.iter().zip(&theirs)).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(worst(&ours) < tolerance, "{name}: {}", worst(&ours));
    let samples = Samples::single(&input, each).unwrap();
    let options = Options {
        bits: Bits::I16,
        granularity: Granularity::PerTensor,
        method: Method::MinMax,
        ..Options::default()
    };
    let quantized = quantize(&model, &samples, &options, &mut |_| ()).unwrap();
    assert!(!quantized.report.given);
    let got = simulate(&quantized, &input, each);
    assert!(worst(&got) < tolerance, "{name}: {}", worst(&got));
    model
}

#[test]
fn another_scheme_is_explained_and_can_be_quantized_anew() {
    let name = "ort_uint8_asymmetric";
    let refused = FloatModel::from_onnx(&file(name)).unwrap();
    let [problem] = refused.problems() else {
        panic!("{:?}", refused.problems());
    };
    for words in [
        "quantized already (QDQ)",
        "powers of two",
        "'x' is uint8 with scale 0.0",
        "(a zero point); 'r1' is uint8",
        "more",
        "zero point 0",
        "--requantize",
        "calibration",
    ] {
        assert!(problem.contains(words), "{words} not in: {problem}");
    }
    let error = quantize(&refused, &Samples::none(), &Options::default(), &mut |_| ());
    assert!(error.unwrap_err().to_string().contains("--requantize"));
    // Steps of the output: 13.4 / 255; the largest value is 6.6.
    let model = anew(name, 0.25);
    // onnxruntime left the Relus out: the ranges of 'r1' and 'r2' begin at zero instead (and that
    // of 'm', which isn't negative anyway).
    let nodes = model.inspect().nodes;
    let clipped = nodes.iter().filter(|n| n.op == "Clip");
    let clipped: Vec<_> = clipped.map(|n| n.outputs[0].name.as_str()).collect();
    assert_eq!(clipped, ["r1", "r2", "m"]);
    anew("ort_int8_per_channel", 0.5);
}

#[test]
fn dynamic_quantization_is_explained_and_can_be_quantized_anew() {
    let refused = FloatModel::from_onnx(&file("ort_dynamic")).unwrap();
    let [problem] = refused.problems() else {
        panic!("{:?}", refused.problems());
    };
    assert!(
        problem.contains("dynamically") && problem.contains("--requantize"),
        "{problem}"
    );
    anew("ort_dynamic", 0.25);
}

/// Damage anywhere in a quantized file: an answer, never a panic, and an image only of sound ones.
#[test]
fn any_damage_is_answered() {
    let mut random = Random(11);
    let mut pick = |n: usize| (random.next().abs() * n as f32) as usize % n;
    let mut usable = 0;
    for name in [
        "ort_qlinear",
        "torch_qat",
        "ort_dynamic",
        "ort_uint8_asymmetric",
    ] {
        let bytes = file(name);
        for _ in 0..300 {
            let mut damaged = bytes.clone();
            for _ in 0..2 {
                damaged[pick(bytes.len())] ^= 1 << pick(8);
            }
            for model in [FloatModel::from_onnx(&damaged), again(&damaged)] {
                let Ok(model) = model else {
                    continue;
                };
                usable += 1;
                let _ = model.inspect();
                if model.is_given() {
                    let _ = quantize(&model, &Samples::none(), &Options::default(), &mut |_| ());
                }
            }
        }
    }
    assert!(
        usable > 1000,
        "only {usable} damaged files got past the decoder"
    );
}

/// `scale` and zero point of a tensor.
fn with_scale(net: Net, name: &str, scale: f32, kind: DataType, zero: i64) -> Net {
    net.weights(&format!("{name}_s"), &[], vec![scale]).typed(
        &format!("{name}_z"),
        &[],
        kind,
        &[zero],
    )
}

/// QuantizeLinear and DequantizeLinear: `t` to `t_q` to `t_d`.
fn qdq(net: Net, t: &str, scale: f32, kind: DataType, zero: i64) -> Net {
    let [s, z, q, d] = ["s", "z", "q", "d"].map(|k| format!("{t}_{k}"));
    with_scale(net, t, scale, kind, zero)
        .node("QuantizeLinear", &[t, &s, &z], &q, &[])
        .node("DequantizeLinear", &[&q, &s, &z], &d, &[])
}

#[test]
fn unsigned_integers_around_their_middle_are_signed_ones() {
    let net = |kind: DataType, zero: i64, weights: &[i64]| {
        let net = Net::new(&[1, 2]);
        let net = qdq(net, "x", 0.25, kind, zero);
        let net = with_scale(net, "w", 0.5, kind, zero)
            .typed("w", &[2, 2], kind, weights)
            .node("DequantizeLinear", &["w", "w_s", "w_z"], "w_d", &[])
            .node("MatMul", &["x_d", "w_d"], "t", &[]);
        let net = qdq(net, "t", 1.0, kind, zero).output("t_d");
        let model = FloatModel::from_onnx(&net.encode()).unwrap();
        taken(&model, &Options::default())
    };
    let signed = net(DataType::Int8, 0, &[1, -2, 3, -128]);
    let unsigned = net(DataType::Uint8, 128, &[129, 126, 131, 0]);
    let run = |q: &Quantized| simulate(q, &[1.0, 2.0, -31.0, 4.0], 2);
    // Products at 2^-3: [4, 8] . [[1, -2], [3, -128]] and [-124, 16] . the same, over 8, half up.
    assert_eq!(run(&signed), [4.0, -128.0, -9.0, -128.0]);
    assert_eq!(run(&unsigned), run(&signed));
}

#[test]
fn a_change_of_scale_behind_what_only_moves_is_a_step_of_its_own() {
    // A pool to a coarser scale, then a second QuantizeLinear to a finer one.
    let net = qdq(Net::new(&[1, 1, 2, 2]), "x", 0.25, DataType::Int8, 0).node(
        "MaxPool",
        &["x_d"],
        "p",
        &[("kernel_shape", Value::Ints(vec![1, 2]))],
    );
    let net = qdq(net, "p", 1.0, DataType::Int8, 0);
    let net = with_scale(net, "f", 0.0625, DataType::Int8, 0)
        .node("QuantizeLinear", &["p_d", "f_s", "f_z"], "f_q", &[])
        .node("DequantizeLinear", &["f_q", "f_s", "f_z"], "y", &[])
        .output("y");
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    let quantized = taken(&model, &Options::default());
    // 1.5 is 6 quarters, 2 ones (half up), 32 sixteenths; 10.25 saturates at 127 sixteenths.
    let got = simulate(&quantized, &[1.0, 1.5, 10.25, -3.0], 4);
    assert_eq!(got, [2.0, 127.0 / 16.0]);
    let settled = model
        .inspect()
        .passes
        .into_iter()
        .find(|p| p.name == "settle_scales");
    assert_eq!(settled.unwrap().changes.len(), 1);
}

#[test]
fn integers_at_the_ends_of_the_model_are_taken() {
    // int8 in, Relu on the integers, int8 out: no float anywhere.
    let mut net = with_scale(Net::new(&[1, 3]), "x", 0.5, DataType::Int8, 0)
        .node("DequantizeLinear", &["x", "x_s", "x_z"], "x_d", &[])
        .node("Relu", &["x_d"], "r", &[]);
    let input = &mut net.graph().input[0];
    let kind = input.r#type.as_mut().unwrap().value.as_mut().unwrap();
    let tract_onnx::pb::type_proto::Value::TensorType(tensor) = kind;
    tensor.elem_type = DataType::Int8 as i32;
    let net = with_scale(net, "r", 1.0, DataType::Int8, 0)
        .node("QuantizeLinear", &["r", "r_s", "r_z"], "y", &[])
        .output("y");
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    let quantized = taken(&model, &Options::default());
    let mut simulator = Simulator::new(&quantized.image).unwrap();
    let out = simulator.run_integers(&[&[-5, 3, 100]]).unwrap();
    assert_eq!((out[0].name.as_str(), out[0].exponent), ("y", 0));
    assert_eq!(out[0].data, [0, 2, 50]);
    // The same without a scale says what is missing.
    let mut bare = Net::new(&[1, 3]).node("Relu", &["x"], "y", &[]).output("y");
    let input = &mut bare.graph().input[0];
    let kind = input.r#type.as_mut().unwrap().value.as_mut().unwrap();
    let tract_onnx::pb::type_proto::Value::TensorType(tensor) = kind;
    tensor.elem_type = DataType::Uint8 as i32;
    let model = FloatModel::from_onnx(&bare.encode()).unwrap();
    assert!(
        model.problems()[0].contains("'x' is not float32"),
        "{:?}",
        model.problems()
    );
}

/// A dense layer whose output has no scale, and an activation that has one.
fn open_in_between() -> Net {
    let net =
        qdq(Net::new(&[1, 4]), "x", 0.125, DataType::Int8, 0).random_weights("w", &[4, 4], 0.9);
    let net = qdq(net, "w", 0.0078125, DataType::Int8, 0)
        .node("MatMul", &["x_d", "w_d"], "t", &[])
        .node("Softmax", &["t"], "u", &[]);
    qdq(net, "u", 0.0078125, DataType::Int8, 0).output("u_d")
}

#[test]
fn floats_in_between_need_samples() {
    let model = FloatModel::from_onnx(&open_in_between().encode()).unwrap();
    let options = Options::default();
    let why = quantize(&model, &Samples::none(), &options, &mut |_| ()).unwrap_err();
    let why = why.to_string();
    assert!(
        why.contains("'t'") && why.contains("calibration samples"),
        "{why}"
    );
    let data = Random(3).many(4 * 8);
    let samples = Samples::single(&data, 4).unwrap();
    let report = quantize(&model, &samples, &options, &mut |_| ())
        .unwrap()
        .report;
    assert_eq!(exponent(&report, "u_d"), -7);
    assert_eq!(report.layers[0].weight_exponents, [-7]);
}

fn problem(net: Net) -> String {
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    assert_eq!(model.quantization().unwrap().fate, Fate::Refused);
    let anew = again(&net.encode()).unwrap();
    assert_eq!(anew.problems(), [] as [String; 0]);
    model.problems().join("\n")
}

#[test]
fn what_no_single_scale_describes_is_explained() {
    let relu = |first: (f32, DataType), second: (f32, DataType)| {
        let net = qdq(Net::new(&[1, 4]), "x", first.0, first.1, 0).node("Relu", &["x_d"], "r", &[]);
        qdq(net, "r", second.0, second.1, 0).output("r_d")
    };
    let uneven = problem(relu((0.3, DataType::Int8), (0.5, DataType::Int8)));
    assert!(
        uneven.contains("'x' is int8 with scale 0.3 and zero point 0"),
        "{uneven}"
    );
    let shifted = problem(relu((0.5, DataType::Uint8), (0.5, DataType::Uint8)));
    assert!(shifted.contains("(a zero point); 'r'"), "{shifted}");
    // One tensor with two scales.
    let net = qdq(Net::new(&[1, 4]), "x", 0.5, DataType::Int8, 0);
    let net = with_scale(net, "o", 0.25, DataType::Int8, 0)
        .node("QuantizeLinear", &["x", "o_s", "o_z"], "o_q", &[])
        .node("DequantizeLinear", &["o_q", "o_s", "o_z"], "o_d", &[])
        .node("Add", &["x_d", "o_d"], "t", &[]);
    let twice = problem(qdq(net, "t", 1.0, DataType::Int8, 0).output("t_d"));
    assert!(twice.contains("'x' is int8 with scale 0.5"), "{twice}");
    assert!(twice.contains("scale 0.25"), "{twice}");
}

#[test]
fn a_layer_merged_into_the_files_integers_is_refused() {
    let net = qdq(Net::new(&[1, 2, 4, 4]), "x", 0.125, DataType::Int8, 0).random_weights(
        "w",
        &[2, 2, 1, 1],
        0.9,
    );
    let net = qdq(net, "w", 0.0078125, DataType::Int8, 0)
        .node("Conv", &["x_d", "w_d"], "c", &[])
        .weights("scale", &[2], vec![0.7, 1.3])
        .weights("mean", &[2], vec![0.1, -0.2])
        .weights("variance", &[2], vec![1.1, 0.8])
        .node(
            "BatchNormalization",
            &["c", "scale", "mean", "mean", "variance"],
            "t",
            &[],
        );
    let net = qdq(net, "t", 0.25, DataType::Int8, 0).output("t_d");
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    let data = Random(3).many(32 * 4);
    let samples = Samples::single(&data, 32).unwrap();
    let given = quantize(&model, &samples, &Options::default(), &mut |_| ());
    // The scaled weights are floats again, which is said.
    let warnings = given.unwrap().report.warnings.join("\n");
    assert!(
        warnings.contains("'n_c': its weights are floats"),
        "{warnings}"
    );
}

#[test]
fn the_file_s_width_stays() {
    let model = FloatModel::from_onnx(&file("torch_qat")).unwrap();
    let wide = Options {
        bits: Bits::I16,
        ..Options::default()
    };
    let report = taken(&model, &wide).report;
    assert_eq!(report.options.bits, Bits::I8);
    assert!(
        report.warnings[0].contains("quantized to int8 already"),
        "{:?}",
        report.warnings
    );
}

#[test]
fn espdl_takes_given_exponents_where_it_has_the_operators() {
    let model = FloatModel::from_onnx(&file("torch_qat")).unwrap();
    let options = Options {
        arithmetic: Arithmetic::Espdl,
        ..Options::default()
    };
    let report = taken(&model, &options).report;
    assert_eq!(report.inputs[0].exponent, -6);
    // A mean keeps its input's exponent there; the file has another.
    let model = FloatModel::from_onnx(&file("ort_int16")).unwrap();
    let why = quantize(&model, &Samples::none(), &options, &mut |_| ()).unwrap_err();
    assert!(why.to_string().contains("espdl arithmetic needs"), "{why}");
}

/// int8 weights and activations of int16 and int8: 16 bits hold them all, and what the file has in int8
/// stays in its range.
#[test]
fn both_widths_are_taken() {
    let net = qdq(Net::new(&[1, 1]), "x", 0.0009765625, DataType::Int16, 0);
    let net = net.weights("w", &[1, 1], vec![3.0]);
    let net = qdq(net, "w", 0.03125, DataType::Int8, 0).node("MatMul", &["x_d", "w_d"], "m", &[]);
    // int8 at 2^-4 ends at 7.9375 and -8, in steps of 0.0625.
    let net = qdq(net, "m", 0.0625, DataType::Int8, 0).node("Relu", &["m_d"], "r", &[]);
    let net = qdq(net, "r", 0.0625, DataType::Int8, 0).node("Add", &["r_d", "x_d"], "s", &[]);
    let net = qdq(net, "s", 0.001953125, DataType::Int16, 0)
        .output("s_d")
        .output("m_d");
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    let quantized = taken(&model, &Options::default());
    assert_eq!(quantized.report.options.bits, Bits::I16);
    assert!(
        model
            .quantization()
            .unwrap()
            .scheme
            .contains("int8 and int16")
    );
    let mut simulator = Simulator::new(&quantized.image).unwrap();
    for (x, m, s) in [
        (1.0, 3.0, 4.0),
        (10.0, 7.9375, 17.9375),
        (-10.0, -8.0, -10.0),
        // 0.984375 lies between two steps of int8.
        (0.328125, 1.0, 1.328125),
    ] {
        let outputs = simulator.run(&[&[x]]).unwrap();
        // Steps of 2^-9: the sum is rounded there.
        assert!(
            (outputs[0].data[0] - s).abs() <= 0.0009765625,
            "{x}: {:?}",
            outputs[0].data
        );
        assert_eq!(outputs[1].data, [m], "{x}");
    }
    // A model's input of int8 among int16 is clamped as well.
    let net =
        qdq(Net::new(&[1, 1]), "x", 0.0625, DataType::Int8, 0).weights("w", &[1, 1], vec![2.0]);
    let net = qdq(net, "w", 0.03125, DataType::Int8, 0).node("MatMul", &["x_d", "w_d"], "m", &[]);
    let net = qdq(net, "m", 0.0009765625, DataType::Int16, 0).output("m_d");
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    let mut simulator = Simulator::new(&taken(&model, &Options::default()).image).unwrap();
    for (x, m) in [(1.0, 2.0), (9.0, 15.875), (-9.0, -16.0)] {
        assert_eq!(simulator.run(&[&[x]]).unwrap()[0].data, [m], "{x}");
    }
}

/// Weights alone: they stay the file's integers, in 8 bits or in 16, and samples give the rest.
#[test]
fn weights_alone_are_taken() {
    let net = Net::new(&[1, 4]).random_weights("w", &[4, 3], 0.9);
    let net = qdq(net, "w", 0.0078125, DataType::Int8, 0)
        .node("MatMul", &["x", "w_d"], "y", &[])
        .output("y");
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    assert_eq!(model.problems(), [] as [String; 0]);
    let said = model.quantization().unwrap();
    assert_eq!(said.fate, Fate::Taken);
    assert!(
        said.scheme.contains("weights alone, int8"),
        "{}",
        said.scheme
    );
    let none = quantize(&model, &Samples::none(), &Options::default(), &mut |_| ());
    assert!(
        none.unwrap_err()
            .to_string()
            .contains("Give calibration samples")
    );
    let data = Random(5).many(4 * 16);
    let samples = Samples::single(&data, 4).unwrap();
    for bits in [Bits::I8, Bits::I16] {
        let options = Options {
            bits,
            ..Options::default()
        };
        let report = quantize(&model, &samples, &options, &mut |_| ())
            .unwrap()
            .report;
        assert_eq!(
            (
                report.options.bits,
                report.layers[0].weight_exponents.clone()
            ),
            (bits, vec![-7])
        );
        let least = if bits == Bits::I16 { 60.0 } else { 25.0 };
        assert!(
            report.layers[0].sqnr_db.unwrap() > least,
            "{:?}",
            report.layers[0]
        );
    }
}
