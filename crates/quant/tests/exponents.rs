//! Every exponent that the ESP-DL toolkit wrote for the oracle nets and for MNIST.

#[path = "support/onnx.rs"]
mod onnx;
mod support;
#[path = "support/toolkit.rs"]
mod toolkit;

use std::path::Path;

use fixpoint_quant::{
    Arithmetic, Bits, FloatModel, Granularity, Method, Options, Samples, quantization_table,
};
use onnx::{Net, Value};
use toolkit::MODES;

fn compare(
    model: &FloatModel,
    calibration: &Samples<'_>,
    path: &dyn Fn(&str) -> std::path::PathBuf,
) {
    for (bits, granularity, method) in MODES {
        let options = Options {
            bits,
            granularity,
            method,
            arithmetic: Arithmetic::Espdl,
            ..Options::default()
        };
        let mode = format!("{}_{}_{}", bits.name(), granularity.name(), method.name());
        let table = quantization_table(model, calibration, &options).unwrap();
        let expected = support::exponents(&path(&mode));
        assert_eq!(table, expected, "{mode}");
    }
}

/// A net as it was exported, and as the toolkit's optimizer left it where that is there too.
fn net(folder: &Path) {
    let files = ["model.onnx", "model_optimized.onnx"].map(|f| folder.join(f));
    for file in files.iter().filter(|f| f.exists()) {
        model(folder, file);
    }
}

fn model(folder: &Path, file: &Path) {
    let name = folder.file_name().unwrap().to_str().unwrap();
    let model = FloatModel::from_onnx(&std::fs::read(file).unwrap()).unwrap();
    let elements: usize = model.inputs()[0].dims.as_ref().unwrap().iter().product();
    // Nets without calib.npy were calibrated with their evaluation input.
    let calib = ["calib.npy", "input.npy"].map(|f| folder.join(f));
    let calib = support::npy(calib.iter().find(|p| p.exists()).unwrap());
    let samples = Samples::single(&calib.data, elements).unwrap();
    assert_eq!(model.problems(), [] as [String; 0], "{name}");
    compare(&model, &samples, &|mode| {
        folder.join(format!("exponents_{mode}.json"))
    });
}

#[test]
fn fixture_nets_equal_the_toolkit() {
    for name in [
        "mlp",
        "maxpool_chain",
        "conv_relu_dw_prelu_fc",
        "tf2onnx_cnn",
        "resized",
    ] {
        net(&support::fixture(name));
    }
}

#[test]
fn shared_nets_equal_the_toolkit() {
    let Some(nets) = support::shared("data/espdl/nets") else {
        return;
    };
    let mut folders: Vec<_> = (std::fs::read_dir(nets).unwrap())
        .map(|f| f.unwrap().path())
        .collect();
    folders.sort();
    assert!(folders.len() >= 6);
    for folder in folders {
        net(&folder);
    }
}

#[test]
fn mnist_equals_the_toolkit() {
    let Some(mnist) = support::Mnist::load() else {
        return;
    };
    let model = FloatModel::from_onnx(&mnist.model).unwrap();
    let calibration = mnist.calibration();
    let samples = Samples::single(&calibration, 784).unwrap();
    assert_eq!(samples.len(), 100);
    compare(&model, &samples, &|mode| {
        mnist
            .folder
            .join(format!("calib_new_{mode}.exponents.json"))
    });
}

fn exponents_of(net: &Net, inputs: &[&[f32]]) -> std::collections::BTreeMap<String, Vec<i32>> {
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    let samples = Samples::new(inputs.iter().map(|x| (*x, x.len())).collect()).unwrap();
    let options = Options {
        bits: Bits::I8,
        granularity: Granularity::PerTensor,
        method: Method::MinMax,
        arithmetic: Arithmetic::Espdl,
        ..Options::default()
    };
    quantization_table(&model, &samples, &options).unwrap()
}

/// espdl-legacy.md 1.2, "Which range is used for an output": behind any operator with an exponent of
/// its own it is that of the activation's output, and what goes into the activation gets the same.
#[test]
fn the_range_behind_an_activation_decides() {
    let leaky = ("LeakyRelu", vec![("alpha", Value::Float(0.0078125))]);
    for op in ["Add", "Sub", "Mul"] {
        for (activation, attrs) in [&leaky, &("Relu", vec![]), &("PRelu", vec![])] {
            let mut inputs = vec!["s"];
            if *activation == "PRelu" {
                inputs.push("slope");
            }
            let net = Net::new(&[1, 2])
                .input("z", &[1, 2])
                .weights("slope", &[1], vec![0.0078125])
                .node(op, &["x", "z"], "s", &[])
                .node(activation, &inputs, "y", attrs)
                .output("y");
            // Each way the first value is far below zero and the second 1.5.
            let z: &[f32] = match op {
                "Add" => &[-8.0, 0.5],
                "Sub" => &[8.0, -0.5],
                _ => &[16.0, 1.5],
            };
            let table = exponents_of(&net, &[&[-8.0, 1.0], z]);
            // ceil(log2(1.5 / 127)) = -6; the sum's own range would give -2.
            assert_eq!(
                (&table["s"], &table["y"]),
                (&vec![-6], &vec![-6]),
                "{op} {activation}"
            );
        }
    }
    let pool = [("kernel_shape", Value::Ints(vec![1, 2]))];
    let net = Net::new(&[1, 1, 1, 4])
        .node("AveragePool", &["x"], "p", &pool)
        .node("Relu", &["p"], "y", &[])
        .output("y");
    let table = exponents_of(&net, &[&[-16.0, -16.0, 1.0, 2.0]]);
    assert_eq!((&table["p"], &table["y"]), (&vec![-6], &vec![-6]));
    // The toolkit gave this network -6 throughout: the range behind the activation, 1.5, goes back
    // through GlobalAveragePool to the model's input.
    let net = Net::new(&[1, 2, 1, 2])
        .node("GlobalAveragePool", &["x"], "p", &[])
        .node("Relu", &["p"], "y", &[])
        .output("y");
    let table = exponents_of(&net, &[&[-16.0, -16.0, 1.0, 2.0]]);
    for name in ["x", "p", "y"] {
        assert_eq!(table[name], [-6], "{name}");
    }
}

/// espdl-legacy.md 1.2: what moves or selects copies the first input, also where the extreme of two
/// tensors is clipped by it; a Concat raises all that goes into it, the model's input too.
#[test]
fn copies_and_the_largest_of_a_concat() {
    let net = Net::new(&[1, 2])
        .input("z", &[1, 2])
        .node("Max", &["z", "x"], "m", &[])
        .node("Relu", &["m"], "r", &[])
        .output("r");
    let table = exponents_of(&net, &[&[1.0, -1.0], &[40.0, -3.0]]);
    // The toolkit gives such a Max the range behind the activation, ceil(log2(40 / 127)) = -1, and
    // leaves its operands alone.
    assert_eq!(
        ["x", "z", "m", "r"].map(|name| table[name][0]),
        [-7, -2, -1, -1]
    );
    let net = Net::new(&[1, 2, 1, 2])
        .input("z", &[1, 1, 1, 2])
        .node(
            "MaxPool",
            &["x"],
            "p",
            &[("kernel_shape", Value::Ints(vec![1, 1]))],
        )
        .node("Relu", &["p"], "r", &[])
        .node("Concat", &["r", "z"], "y", &[("axis", Value::Int(1))])
        .output("y");
    let table = exponents_of(&net, &[&[1.0, -1.0, 0.5, 0.25], &[40.0, -3.0]]);
    for name in ["x", "p", "r", "z", "y"] {
        assert_eq!(table[name], [-2], "{name}");
    }
}

/// What the toolkit's calibrator gave for these: a later Concat doesn't reach what an earlier one
/// raised, and what has one input and several readers keeps that input's exponent.
#[test]
fn concats_one_after_another_and_shared_pools() {
    let pool = [("kernel_shape", Value::Ints(vec![1, 1]))];
    let net = Net::new(&[1, 1, 1, 2])
        .weights("four", &[1, 1, 1, 1], vec![4.0])
        .weights("sum", &[1, 2, 1, 1], vec![16.0, 16.0])
        .node("Conv", &["x", "four"], "a", &[])
        .node("MaxPool", &["x"], "p", &pool)
        .node("Concat", &["a", "p"], "k", &[("axis", Value::Int(1))])
        .node("Conv", &["k", "sum"], "s", &[])
        .node("Concat", &["k", "s"], "y", &[("axis", Value::Int(1))])
        .output("y");
    let table = exponents_of(&net, &[&[1.0, 0.5]]);
    // Own: x -7, a ceil(log2(4 / 127)) = -4, s ceil(log2(80 / 127)) = 0.
    assert_eq!(
        ["x", "p", "a", "k", "s", "y"].map(|name| table[name][0]),
        [-4, -4, 0, 0, 0, 0]
    );
    let net = Net::new(&[1, 1, 1, 2])
        .node("MaxPool", &["x"], "p", &pool)
        .node("Relu", &["p"], "r", &[])
        .node("Add", &["p", "r"], "y", &[])
        .output("y");
    let table = exponents_of(&net, &[&[-4.0, 1.0]]);
    // round(log2(4 / 127)) = -5, ceil(log2(1 / 127)) = -6.
    assert_eq!(["x", "p", "r"].map(|name| table[name][0]), [-5, -5, -6]);
}

/// The toolkit's tables for Concats with an activation behind them: that one's range decides for all that
/// goes in, however small, but not when something else reads the Concat too; what a later Concat raises then
/// goes back as well.
#[test]
fn the_range_behind_an_activation_goes_back_through_a_concat() {
    let conv =
        |net: Net, name: &'static str| net.node("Conv", &["x", &format!("{name}_w")], name, &[]);
    let concat = |net: Net, inputs: &[&str], output: &'static str| {
        net.node("Concat", inputs, output, &[("axis", Value::Int(1))])
    };
    let pool = [("kernel_shape", Value::Ints(vec![1, 1]))];
    let four = || ("alpha", Value::Float(4.0));
    let net = |quiet: f32| {
        let net = Net::new(&[1, 1, 2, 2])
            .weights("a_w", &[1, 1, 1, 1], vec![1.0])
            .weights("b_w", &[1, 1, 1, 1], vec![0.125])
            .weights("d_w", &[1, 1, 1, 1], vec![quiet]);
        conv(conv(conv(net, "a"), "b"), "d")
    };
    let table = |net: Net, names: &[&str]| -> Vec<i32> {
        let table = exponents_of(&net, &[&[-40.0, -40.0, 1.0, 2.0]]);
        names.iter().map(|name| table[*name][0]).collect()
    };
    let names = ["x", "a", "b", "c", "r"];
    let joined = || concat(net(1.0 / 64.0), &["a", "b"], "c");
    let relu = joined().node("Relu", &["c"], "r", &[]).output("r");
    assert_eq!(table(relu, &names), [-2, -5, -5, -5, -5]);
    let leaky = joined()
        .node("LeakyRelu", &["c"], "r", &[four()])
        .output("r");
    assert_eq!(table(leaky, &names), [-2, 1, 1, 1, 1]);
    // A pool reads the Concat too.
    let shared = (joined().node("Relu", &["c"], "r", &[]))
        .node("MaxPool", &["c"], "m", &pool)
        .output("r")
        .output("m");
    assert_eq!(table(shared, &names), [-2, -1, -1, -5, -5]);
    let two = (joined().node("Relu", &["c"], "r", &[]))
        .node("LeakyRelu", &["c"], "l", &[four()])
        .output("r")
        .output("l");
    assert_eq!(table(two, &["a", "b", "c", "r", "l"]), [-1, -1, 1, -5, 1]);
    // Of two activations the last decides; the other one has an exponent of its own.
    let behind = [
        ("Conv", ["x", "a_w"]),
        ("Add", ["a", "b"]),
        ("Max", ["a", "b"]),
    ];
    for ((op, inputs), want) in behind
        .into_iter()
        .zip([[1, -5, 1], [1, -5, 1], [-2, -5, -2]])
    {
        let two = (net(1.0).node(op, &inputs, "s", &[]))
            .node("Relu", &["s"], "r", &[])
            .node("LeakyRelu", &["s"], "l", &[four()])
            .output("r")
            .output("l");
        assert_eq!(table(two, &["s", "r", "l"]), want, "{op}");
    }
    // A Concat before: raised first. One behind raises all.
    let names = ["a", "b", "d", "c", "r", "k"];
    let before = concat(concat(net(4.0), &["a", "d"], "k"), &["a", "b"], "c")
        .node("Relu", &["c"], "r", &[])
        .output("r")
        .output("k");
    assert_eq!(table(before, &names), [-5, -5, 1, -5, -5, -5]);
    let behind = concat(net(4.0), &["a", "b"], "c").node("Relu", &["c"], "r", &[]);
    let behind = concat(behind, &["a", "d"], "k").output("r").output("k");
    assert_eq!(table(behind, &names), [1; 6]);
    // A pool between the two passes it to the first one's origin alone, in time for the next Concat.
    let pooled = (joined().node("MaxPool", &["c"], "m", &pool)).node("Relu", &["m"], "r", &[]);
    let pooled = concat(pooled, &["a", "d"], "k").output("r").output("k");
    assert_eq!(table(pooled, &names), [-5, -1, -5, -5, -5, -5]);
}

/// The toolkit's optimizer leaves two transposes that cancel where they are, so that its table has both.
#[test]
fn transposes_that_cancel_are_in_the_table() {
    let perm = |p: [i64; 4]| [("perm", Value::Ints(p.to_vec()))];
    let net = Net::new(&[1, 2, 1, 2])
        .weights("w", &[1, 2, 1, 1], vec![1.0, 1.0])
        .node(
            "MaxPool",
            &["x"],
            "p",
            &[("kernel_shape", Value::Ints(vec![1, 1]))],
        )
        .node("Transpose", &["p"], "t", &perm([0, 2, 3, 1]))
        .node("Transpose", &["t"], "u", &perm([0, 3, 1, 2]))
        .node("Conv", &["u", "w"], "y", &[])
        .output("y");
    let table = exponents_of(&net, &[&[1.0, 1.0, 1.0, -1.0]]);
    assert_eq!(
        ["x", "p", "t", "u", "y"].map(|name| table[name][0]),
        [-7, -7, -7, -7, -5]
    );
}

/// The toolkit's table for a Conv of factor 1 whose output a movement and a pool read, with a Relu behind
/// the movement: of most of them the range behind the Relu, 2, goes back to the Conv, of three it
/// doesn't.
#[test]
fn most_movements_pass_the_exponent_back() {
    let net = |op: &str, inputs: &[&str], attrs: &[(&'static str, Value)]| {
        let net = Net::new(&[1, 1, 2, 2])
            .weights("one", &[1, 1, 1, 1], vec![1.0])
            .ints("zero", &[0])
            .ints("two", &[2])
            .ints("flat", &[-1, 1, 4, 1])
            .ints("more", &[0, 0, 0, 0, 0, 0, 1, 1])
            .ints("thrice", &[1, 3, 2, 2])
            .node("Conv", &["x", "one"], "c", &[])
            .node(op, inputs, "t", attrs)
            .node("Relu", &["t"], "r", &[])
            .node("GlobalMaxPool", &["c"], "m", &[])
            .output("r")
            .output("m");
        let table = exponents_of(&net, &[&[-40.0, -40.0, 1.0, 2.0]]);
        ["x", "c", "t", "r", "m"].map(|name| table[name][0])
    };
    let slice = net("Slice", &["c", "zero", "two", "two"], &[]);
    assert_eq!(slice, [-2, -5, -5, -5, -5]);
    let perm = [("perm", Value::Ints(vec![0, 1, 3, 2]))];
    assert_eq!(net("Transpose", &["c"], &perm), [-2, -5, -5, -5, -5]);
    assert_eq!(net("Flatten", &["c"], &[]), [-2, -5, -5, -5, -5]);
    for (op, shape) in [("Reshape", "flat"), ("Pad", "more"), ("Expand", "thrice")] {
        assert_eq!(net(op, &["c", shape], &[]), [-2, -1, -5, -5, -1], "{op}");
    }
}

/// What the toolkit's optimizer made of such networks: a BatchNormalization goes into the Conv before it
/// under numbers as names, and the Conv's output stays unless the model gives the other one out.
/// Equal initializers are one.
#[test]
fn tensors_have_the_optimizers_names() {
    let norm = |net: Net, input: &'static str, output: &'static str| {
        let inputs = [input, "s", "o", "m", "v"];
        let epsilon = [("epsilon", Value::Float(0.0))];
        net.node("BatchNormalization", &inputs, output, &epsilon)
    };
    let names = |second: f32, outputs: &[&str]| -> Vec<String> {
        let net = Net::new(&[1, 1, 1, 2])
            .weights("w1", &[1, 1, 1, 1], vec![1.0])
            .weights("s", &[1], vec![0.5])
            .weights("o", &[1], vec![0.0])
            .weights("m", &[1], vec![0.0])
            .weights("v", &[1], vec![1.0])
            .weights("w2", &[1, 1, 1, 1], vec![second])
            .weights("b2", &[1], vec![second - 1.0])
            .node("Conv", &["x", "w1"], "c", &[]);
        let net = norm(net, "c", "b").node("Relu", &["b"], "r", &[]).node(
            "Conv",
            &["r", "w2", "b2"],
            "d",
            &[],
        );
        let net = outputs
            .iter()
            .fold(norm(net, "d", "y"), |net, o| net.output(o));
        exponents_of(&net, &[&[1.0, 0.5]]).into_keys().collect()
    };
    assert_eq!(names(1.0, &["y"]), ["15", "17", "c", "r", "x", "y"]);
    assert_eq!(
        names(2.0, &["y"]),
        ["15", "17", "19", "21", "c", "r", "x", "y"]
    );
    // One more number went to what the first Conv wrote.
    assert_eq!(
        names(2.0, &["b", "y"]),
        ["15", "17", "20", "22", "b", "r", "x", "y"]
    );
}
