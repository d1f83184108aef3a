//! Every family of operators, alone and among others, against the float engine on the file as it
//! is: the import in float, then int16 and int8.

#[path = "support/close.rs"]
mod close;
#[path = "support/onnx.rs"]
mod onnx;

use close::{Close, close};
use fixpoint_quant::{
    Bits, FloatModel, Granularity, Options, Quantized, Samples, Simulator, quantize,
};
use onnx::{Net, Value};

fn ops(q: &Quantized) -> Vec<&str> {
    q.report.layers.iter().map(|l| l.op.as_str()).collect()
}

fn ints(v: &[i64]) -> Value {
    Value::Ints(v.to_vec())
}

/// A convolution in front, so that what follows is channels last.
fn image(channels: i64) -> Net {
    Net::new(&[1, 3, 6, 5])
        .random_weights("w", &[channels, 3, 3, 3], 0.3)
        .random_weights("b", &[channels], 0.2)
        .node("Conv", &["x", "w", "b"], "c", &[("pads", ints(&[1; 4]))])
}

const IMAGE: &[&[usize]] = &[&[1, 3, 6, 5]];

#[test]
fn arithmetic_of_two_tensors() {
    for op in ["Add", "Sub", "Mul", "Max", "Min"] {
        let net = Net::new(&[1, 3, 4, 5])
            .input("z", &[1, 3, 4, 5])
            .node(op, &["x", "z"], "y", &[])
            .output("y");
        close(&net, &[&[1, 3, 4, 5], &[1, 3, 4, 5]]);
    }
    let net = Net::new(&[2, 3])
        .input("z", &[4, 2, 1])
        .node("Sub", &["x", "z"], "d", &[])
        .node("Relu", &["d"], "y", &[])
        .output("y");
    let [q, _] = close(&net, &[&[2, 3], &[4, 2, 1]]);
    assert_eq!(
        q.report.layers.last().unwrap().activation.as_deref(),
        Some("Relu")
    );
}

#[test]
fn operands_are_repeated_in_either_layout() {
    // Squeeze and excite: channels last all the way.
    let net = image(8)
        .random_weights("v", &[8, 8, 1, 1], 0.4)
        .node("GlobalAveragePool", &["c"], "g", &[])
        .node("Conv", &["g", "v"], "e", &[])
        .node("HardSigmoid", &["e"], "s", &[])
        .node("Mul", &["c", "s"], "y", &[])
        .output("y");
    let [q, _] = close(&net, IMAGE);
    assert!(q.report.layers.iter().all(|l| !l.inserted));
    // Per channel, per column, per pixel, and from the left.
    for (dims, n) in [
        (&[4, 1, 1][..], 4),
        (&[5], 5),
        (&[1, 1, 6, 5], 30),
        (&[4, 6, 5], 120),
    ] {
        let net = image(4)
            .random_weights("k", dims, 2.0)
            .node("Mul", &["c", "k"], "m", &[])
            .random_weights("l", &[n], 1.0)
            .ints("s", dims)
            .node("Reshape", &["l", "s"], "r", &[])
            .node("Sub", &["r", "m"], "y", &[])
            .output("y");
        close(&net, IMAGE);
    }
}

#[test]
fn constants_far_from_the_other_operand() {
    let net = Net::new(&[1, 8])
        .weights("k", &[1, 8], vec![1e-7; 8])
        .weights("l", &[1, 8], vec![1000.0; 8])
        .node("Add", &["x", "k"], "a", &[])
        .node("Max", &["a", "k"], "m", &[])
        .node("Mul", &["m", "l"], "y", &[])
        .output("y");
    close(&net, &[&[1, 8]]);
}

#[test]
fn functions_become_tables() {
    let plain = [
        "Sigmoid",
        "Tanh",
        "HardSigmoid",
        "HardSwish",
        "Elu",
        "Selu",
        "Erf",
        "Exp",
        "Abs",
        "Neg",
        "Softplus",
        "Softsign",
        "Mish",
    ];
    for op in plain {
        let opset = if op == "Mish" { 18 } else { 14 };
        let net = Net::new(&[1, 64])
            .opset(opset)
            .node(op, &["x"], "y", &[])
            .output("y");
        let [q, _] = close(&net, &[&[1, 64]]);
        assert_eq!(ops(&q), [op]);
    }
    let positive = Close {
        range: [0.1, 2.0],
        ..Close::default()
    };
    for op in ["Sqrt", "Reciprocal", "Log"] {
        let net = Net::new(&[1, 64]).node(op, &["x"], "y", &[]).output("y");
        positive.check(&net, &[&[1, 64]]);
    }
    let net = Net::new(&[1, 64])
        .weights("k", &[], vec![3.0])
        .node("Pow", &["x", "k"], "y", &[])
        .output("y");
    close(&net, &[&[1, 64]]);
    let net = Net::new(&[1, 64])
        .opset(20)
        .node("Gelu", &["x"], "y", &[])
        .output("y");
    close(&net, &[&[1, 64]]);
}

/// Quarters from -3.75 to 3.75, which both widths hold; at whole numbers and ties too.
#[test]
fn functions_that_jump_do_so_where_they_should() {
    let quarters: Vec<i32> = (-15..16).collect();
    let x: Vec<f32> = quarters.iter().map(|k| *k as f32 / 4.0).collect();
    let even = |k: i32| {
        let up = (k + 2).div_euclid(4);
        up - i32::from(k.rem_euclid(4) == 2 && up % 2 != 0)
    };
    let cases: [(&str, &dyn Fn(i32) -> i32); 4] = [
        ("Floor", &|k| k.div_euclid(4)),
        ("Ceil", &|k| -(-k).div_euclid(4)),
        ("Round", &even),
        ("Sign", &|k| k.signum()),
    ];
    for (op, want) in cases {
        let net = Net::new(&[1, 31]).node(op, &["x"], "y", &[]).output("y");
        let model = FloatModel::from_onnx(&net.encode()).unwrap();
        let want: Vec<f32> = quarters.iter().map(|k| want(*k) as f32).collect();
        let float = model.runner().unwrap().run(&[&x]).unwrap();
        assert_eq!(float[0].data, want, "{op}");
        let samples = Samples::single(&x, x.len()).unwrap();
        for bits in [Bits::I8, Bits::I16] {
            let options = Options {
                bits,
                granularity: Granularity::PerTensor,
                ..Options::default()
            };
            let q = quantize(&model, &samples, &options, &mut |_| ()).unwrap();
            let got = Simulator::new(&q.image).unwrap().run(&[&x]).unwrap();
            assert_eq!(got[0].data, want, "{op} {bits:?}");
        }
    }
}

#[test]
fn functions_written_with_several_nodes_are_one_table() {
    // SiLU, with its sigmoid used nowhere else.
    let silu = image(4)
        .node("Sigmoid", &["c"], "s", &[])
        .node("Mul", &["c", "s"], "y", &[])
        .output("y");
    let [q, _] = close(&silu, IMAGE);
    assert_eq!(ops(&q), ["Conv", "Lookup"]);
    // Hard swish as Add, Clip, Mul, Div.
    let hard = image(4)
        .weights("three", &[], vec![3.0])
        .weights("six", &[1], vec![6.0])
        .weights("zero", &[], vec![0.0])
        .node("Add", &["c", "three"], "a", &[])
        .node("Clip", &["a", "zero", "six"], "k", &[])
        .node("Mul", &["c", "k"], "m", &[])
        .node("Div", &["m", "six"], "y", &[])
        .output("y");
    let [q, _] = close(&hard, IMAGE);
    assert_eq!(ops(&q), ["Conv", "Lookup"]);
    // Gelu as exporters write it.
    let gelu = image(4)
        .weights("root", &[], vec![std::f32::consts::SQRT_2])
        .weights("one", &[], vec![1.0])
        .weights("half", &[], vec![0.5])
        .node("Div", &["c", "root"], "d", &[])
        .node("Erf", &["d"], "e", &[])
        .node("Add", &["e", "one"], "p", &[])
        .node("Mul", &["c", "p"], "m", &[])
        .node("Mul", &["m", "half"], "y", &[])
        .output("y");
    let [q, _] = close(&gelu, IMAGE);
    assert_eq!(ops(&q), ["Conv", "Lookup"]);
    // A value in between that others need is made too.
    let both = image(4)
        .random_weights("v", &[4, 4, 1, 1], 0.4)
        .node("Sigmoid", &["c"], "s", &[])
        .node("Mul", &["c", "s"], "m", &[])
        .node("Conv", &["s", "v"], "t", &[])
        .node("Add", &["m", "t"], "y", &[])
        .output("y");
    let [q, _] = close(&both, IMAGE);
    assert_eq!(ops(&q), ["Conv", "Sigmoid", "Lookup", "Conv", "Add"]);
}

#[test]
fn clamps_are_exact_and_fused() {
    let net = image(4)
        .weights("low", &[], vec![0.0])
        .weights("high", &[], vec![0.5])
        .node("Clip", &["c", "low", "high"], "y", &[])
        .output("y");
    let [q, _] = close(&net, IMAGE);
    assert_eq!(q.report.layers[0].activation.as_deref(), Some("Clip"));
    let net = Net::new(&[1, 32])
        .opset(9)
        .node(
            "Clip",
            &["x"],
            "y",
            &[("min", Value::Float(-0.25)), ("max", Value::Float(0.5))],
        )
        .output("y");
    close(&net, &[&[1, 32]]);
}

#[test]
fn leaks_are_layers_of_their_own() {
    let alpha = |v| [("alpha", Value::Float(v))];
    let net = image(4)
        .node("LeakyRelu", &["c"], "y", &alpha(0.1))
        .output("y");
    let [q, _] = close(&net, IMAGE);
    let layers: Vec<&str> = q.report.layers.iter().map(|l| l.op.as_str()).collect();
    assert_eq!(layers, ["Conv", "LeakyRelu"]);
    let net = Net::new(&[1, 40])
        .node("LeakyRelu", &["x"], "y", &alpha(0.3))
        .output("y");
    close(&net, &[&[1, 40]]);
    for alone in [false, true] {
        let net = image(4).random_weights("s", &[4, 1, 1], 0.5);
        let net = if alone {
            net.node("MaxPool", &["c"], "p", &[("kernel_shape", ints(&[2, 2]))])
                .node("PRelu", &["p", "s"], "y", &[])
        } else {
            net.node("PRelu", &["c", "s"], "y", &[])
        };
        close(&net.output("y"), IMAGE);
    }
    let net = Net::new(&[1, 3, 6, 5])
        .random_weights("s", &[3, 1, 1], 0.5)
        .node("PRelu", &["x", "s"], "y", &[])
        .output("y");
    close(&net, IMAGE);
}

#[test]
fn parts_are_joined_and_taken_apart() {
    for axis in [1, 2, -1] {
        let net = image(4)
            .node("Relu", &["c"], "r", &[])
            .node(
                "Concat",
                &["c", "r", "c"],
                "k",
                &[("axis", Value::Int(axis))],
            )
            .node("Relu", &["k"], "y", &[])
            .output("y");
        close(&net, IMAGE);
    }
    let net = image(8)
        .ints("parts", &[2, 1, 5])
        .node_many(
            "Split",
            &["c", "parts"],
            &["p", "q", "r"],
            &[("axis", Value::Int(1))],
        )
        .node("Sigmoid", &["q"], "s", &[])
        .node("Mul", &["p", "s"], "m", &[])
        .node("Concat", &["r", "m"], "y", &[("axis", Value::Int(1))])
        .output("y");
    close(&net, IMAGE);
    let net = image(4)
        .ints("starts", &[-1, 1])
        .ints("ends", &[-100, 5])
        .ints("axes", &[2, 1])
        .ints("steps", &[-2, 2])
        .node("Slice", &["c", "starts", "ends", "axes", "steps"], "y", &[])
        .output("y");
    close(&net, IMAGE);
    let net = image(4)
        .ints("at", &[3, 0, 0])
        .node("Gather", &["c", "at"], "g", &[("axis", Value::Int(1))])
        .ints("last", &[-1])
        .node("Gather", &["g", "last"], "y", &[("axis", Value::Int(3))])
        .output("y");
    close(&net, IMAGE);
    let net = image(4)
        .ints("shape", &[1, 4, 6, 1])
        .ints("wide", &[3, 1, 4, 6, 2])
        .node("ReduceMean", &["c"], "m", &[("axes", ints(&[3]))])
        .node("Reshape", &["m", "shape"], "r", &[])
        .node("Expand", &["r", "wide"], "e", &[])
        .ints("twice", &[1, 1, 2, 1, 1])
        .node("Tile", &["e", "twice"], "y", &[])
        .output("y");
    close(&net, IMAGE);
}

#[test]
fn every_way_to_pad() {
    for mode in ["constant", "reflect", "edge"] {
        let net = image(4)
            .ints("pads", &[0, 1, 2, 0, 0, 0, 1, 3])
            .weights("value", &[], vec![0.5])
            .node(
                "Pad",
                if mode == "constant" {
                    &["c", "pads", "value"]
                } else {
                    &["c", "pads"]
                },
                "y",
                &[("mode", Value::Str(mode))],
            )
            .output("y");
        close(&net, IMAGE);
    }
}

#[test]
fn images_are_resized() {
    let cases = [
        ("nearest", "asymmetric", "floor"),
        ("nearest", "half_pixel", "round_prefer_floor"),
        ("nearest", "align_corners", "round_prefer_ceil"),
        ("linear", "half_pixel", "floor"),
        ("linear", "align_corners", "floor"),
        ("linear", "asymmetric", "floor"),
    ];
    for (mode, transformation, nearest) in cases {
        let net = image(4)
            .weights("none", &[0], vec![])
            .weights("scales", &[4], vec![1.0, 1.0, 2.0, 3.0])
            .node(
                "Resize",
                &["c", "none", "scales"],
                "y",
                &[
                    ("mode", Value::Str(mode)),
                    ("coordinate_transformation_mode", Value::Str(transformation)),
                    ("nearest_mode", Value::Str(nearest)),
                ],
            )
            .output("y");
        close(&net, IMAGE);
    }
}

#[test]
fn elements_are_taken_together() {
    for op in ["ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum"] {
        for (axes, keep) in [
            (&[1][..], 1),
            (&[2], 0),
            (&[1, 3], 0),
            (&[2, 3], 0),
            (&[2, 3], 1),
        ] {
            let net = image(4);
            let keep = ("keepdims", Value::Int(keep));
            let net = if op == "ReduceSum" {
                net.ints("axes", axes)
                    .node(op, &["c", "axes"], "y", &[keep])
            } else {
                net.node(op, &["c"], "y", &[("axes", ints(axes)), keep])
            };
            close(&net.output("y"), IMAGE);
        }
    }
    for axis in [0, 1, 2] {
        let axis = [("axis", Value::Int(axis))];
        let net = Net::new(&[4, 5, 6])
            .node("Softmax", &["x"], "y", &axis)
            .output("y");
        let wide = Close {
            least: [45.0, 15.0],
            range: [-4.0, 4.0],
        };
        wide.check(&net, &[&[4, 5, 6]]);
    }
    let net = image(4)
        .node("Softmax", &["c"], "y", &[("axis", Value::Int(2))])
        .output("y");
    close(&net, IMAGE);
    // Positions are not rounded: where two values are close, int8 may take the other one.
    for keep in [0, 1] {
        let attrs = [("axis", Value::Int(1)), ("keepdims", Value::Int(keep))];
        let net = image(4).node("ArgMax", &["c"], "y", &attrs).output("y");
        let any = Close {
            least: [25.0, 0.0],
            ..Close::default()
        };
        any.check(&net, IMAGE);
    }
    let long = Net::new(&[1, 300])
        .node(
            "ArgMax",
            &["x"],
            "y",
            &[("axis", Value::Int(1)), ("keepdims", Value::Int(0))],
        )
        .output("y");
    let any = Close {
        least: [25.0, -10.0],
        ..Close::default()
    };
    any.check(&long, &[&[1, 300]]);
}

#[test]
fn convolutions_in_groups_and_transposed() {
    let net = Net::new(&[1, 6, 5, 4])
        .random_weights("w", &[9, 2, 3, 3], 0.3)
        .random_weights("b", &[9], 0.2)
        .node(
            "Conv",
            &["x", "w", "b"],
            "y",
            &[("group", Value::Int(3)), ("pads", ints(&[1; 4]))],
        )
        .output("y");
    close(&net, &[&[1, 6, 5, 4]]);
    for (group, strides, extra) in [
        (1, [2, 2], [1, 1]),
        (2, [1, 3], [0, 2]),
        (1, [1, 1], [0, 0]),
    ] {
        let net = Net::new(&[1, 4, 4, 3])
            .random_weights("w", &[4, 3, 3, 2], 0.3)
            .random_weights("b", &[3 * group], 0.2)
            .node(
                "ConvTranspose",
                &["x", "w", "b"],
                "y",
                &[
                    ("group", Value::Int(group)),
                    ("strides", ints(&strides)),
                    ("pads", ints(&[1, 0, 0, 1])),
                    ("output_padding", ints(&extra)),
                ],
            )
            .output("y");
        close(&net, &[&[1, 4, 4, 3]]);
    }
    let net = Net::new(&[1, 4, 9])
        .random_weights("w", &[4, 5, 3], 0.3)
        .node(
            "ConvTranspose",
            &["x", "w"],
            "t",
            &[("strides", ints(&[2]))],
        )
        .node(
            "MaxPool",
            &["t"],
            "m",
            &[("kernel_shape", ints(&[2])), ("strides", ints(&[2]))],
        )
        .node(
            "AveragePool",
            &["m"],
            "y",
            &[("kernel_shape", ints(&[3])), ("pads", ints(&[1, 1]))],
        )
        .output("y");
    close(&net, &[&[1, 4, 9]]);
}

#[test]
fn pools_round_their_size_up() {
    for op in ["MaxPool", "AveragePool"] {
        for strides in [[2, 2], [3, 2]] {
            let attrs = [
                ("kernel_shape", ints(&[2, 3])),
                ("strides", ints(&strides)),
                ("ceil_mode", Value::Int(1)),
            ];
            let net = image(4).node(op, &["c"], "y", &attrs).output("y");
            close(&net, IMAGE);
        }
    }
}

#[test]
fn matrices_are_multiplied() {
    // Stored weights, many rows.
    let net = Net::new(&[1, 7, 6])
        .random_weights("w", &[6, 5], 0.4)
        .random_weights("b", &[5], 0.4)
        .node("MatMul", &["x", "w"], "m", &[])
        .node("Add", &["m", "b"], "a", &[])
        .node("Relu", &["a"], "y", &[])
        .output("y");
    close(&net, &[&[1, 7, 6]]);
    let net = Net::new(&[7, 6])
        .random_weights("w", &[5, 6], 0.4)
        .random_weights("b", &[5], 0.4)
        .node("Gemm", &["x", "w", "b"], "y", &[("transB", Value::Int(1))])
        .output("y");
    close(&net, &[&[7, 6]]);
    // Attention: both computed.
    let net = Net::new(&[1, 7, 6])
        .random_weights("q", &[6, 6], 0.6)
        .random_weights("k", &[6, 6], 0.6)
        .node("MatMul", &["x", "q"], "xq", &[])
        .node("MatMul", &["x", "k"], "xk", &[])
        .node("Transpose", &["xk"], "t", &[("perm", ints(&[0, 2, 1]))])
        .node("MatMul", &["xq", "t"], "s", &[])
        .node("Softmax", &["s"], "p", &[("axis", Value::Int(-1))])
        .node("MatMul", &["p", "x"], "y", &[])
        .output("y");
    let attention = Close {
        least: [50.0, 12.0],
        ..Close::default()
    };
    attention.check(&net, &[&[1, 7, 6]]);
}

#[test]
fn channels_are_shuffled_and_become_pixels() {
    let net = image(8)
        .ints("apart", &[1, 2, 4, 6, 5])
        .ints("again", &[1, 8, 6, 5])
        .node("Reshape", &["c", "apart"], "a", &[])
        .node(
            "Transpose",
            &["a"],
            "t",
            &[("perm", ints(&[0, 2, 1, 3, 4]))],
        )
        .node("Reshape", &["t", "again"], "y", &[])
        .output("y");
    let [q, _] = close(&net, IMAGE);
    assert_eq!(ops(&q), ["Conv", "Transpose"]);
    for mode in ["DCR", "CRD"] {
        let attrs = [("blocksize", Value::Int(2)), ("mode", Value::Str(mode))];
        let net = image(8)
            .node("DepthToSpace", &["c"], "y", &attrs)
            .output("y");
        close(&net, IMAGE);
    }
    let net = Net::new(&[1, 2, 4, 6])
        .node("SpaceToDepth", &["x"], "y", &[("blocksize", Value::Int(2))])
        .output("y");
    close(&net, &[&[1, 2, 4, 6]]);
    // Pixel shuffle as older exporters write it.
    let net = image(8)
        .ints("apart", &[1, 2, 2, 2, 6, 5])
        .ints("again", &[1, 2, 12, 10])
        .node("Reshape", &["c", "apart"], "a", &[])
        .node(
            "Transpose",
            &["a"],
            "t",
            &[("perm", ints(&[0, 1, 4, 2, 5, 3]))],
        )
        .node("Reshape", &["t", "again"], "y", &[])
        .output("y");
    close(&net, IMAGE);
}

#[test]
fn batch_normalization_without_a_layer() {
    for dims in [&[1, 4, 3, 5][..], &[1, 4, 6], &[3, 4]] {
        let shape: Vec<i64> = dims.iter().map(|d| *d as i64).collect();
        let net = Net::new(&shape)
            .random_weights("s", &[4], 1.0)
            .random_weights("o", &[4], 0.5)
            .random_weights("m", &[4], 0.5)
            .weights("v", &[4], vec![0.5, 1.0, 2.0, 0.1])
            .node("BatchNormalization", &["x", "s", "o", "m", "v"], "n", &[])
            .node("Relu", &["n"], "y", &[])
            .output("y");
        close(&net, &[dims]);
    }
}

#[test]
fn several_inputs_and_outputs() {
    let net = Net::new(&[-1, 3, 6, 5])
        .input("z", &[-1, 4])
        .random_weights("w", &[4, 3, 3, 3], 0.3)
        .node("Conv", &["x", "w"], "c", &[])
        .node("GlobalAveragePool", &["c"], "g", &[])
        .node("Flatten", &["g"], "f", &[])
        .node("Concat", &["f", "z"], "k", &[("axis", Value::Int(1))])
        .node("Sigmoid", &["k"], "y", &[])
        .output("c")
        .output("y");
    close(&net, &[&[1, 3, 6, 5], &[1, 4]]);
}

#[test]
fn raw_exports_of_tensorflow() {
    // NHWC in, transposes around every convolution, a shape computed from the batch.
    let net = Net::new(&[-1, 6, 5, 3])
        .random_weights("w", &[4, 3, 3, 3], 0.3)
        .random_weights("k", &[4], 0.5)
        .random_weights("v", &[48, 5], 0.3)
        .node("Transpose", &["x"], "t", &[("perm", ints(&[0, 3, 1, 2]))])
        .node("Conv", &["t", "w"], "c", &[])
        .node("Transpose", &["c"], "u", &[("perm", ints(&[0, 2, 3, 1]))])
        .node("Mul", &["u", "k"], "m", &[])
        .node("Shape", &["m"], "shape", &[])
        .ints("zero", &[0])
        .ints("one", &[1])
        .ints("rest", &[-1])
        .node("Slice", &["shape", "zero", "one"], "n", &[])
        .node("Concat", &["n", "rest"], "to", &[("axis", Value::Int(0))])
        .node("Reshape", &["m", "to"], "r", &[])
        .node("MatMul", &["r", "v"], "y", &[])
        .output("y");
    close(&net, &[&[1, 6, 5, 3]]);
}

#[test]
fn slopes_may_differ_by_more_than_the_channel() {
    // By element, along the columns, and for a tensor that is no image.
    for (slopes, input) in [
        (&[8i64, 6, 5][..], &[1usize, 8, 6, 5][..]),
        (&[5], &[1, 8, 6, 5]),
        (&[3], &[2, 4, 3]),
    ] {
        let dims: Vec<i64> = input.iter().map(|d| *d as i64).collect();
        let net = Net::new(&dims)
            .random_weights("s", slopes, 0.4)
            .node("PRelu", &["x", "s"], "y", &[])
            .output("y");
        let [q, _] = close(&net, &[input]);
        assert!(ops(&q).contains(&"Mul"), "{:?}", ops(&q));
    }
}

#[test]
fn gemm_takes_any_operand_and_bias() {
    let yes = || Value::Int(1);
    let weights = |net: Net| net.random_weights("w", &[4, 3], 0.5);
    // A transposed input.
    let net = weights(Net::new(&[4, 2]))
        .random_weights("c", &[3], 0.3)
        .node("Gemm", &["x", "w", "c"], "y", &[("transA", yes())])
        .output("y");
    close(&net, &[&[4, 2]]);
    // A stored first operand, all ways of turning the two, with a bias for each row.
    for (trans_a, trans_b) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let stored = if trans_a == 1 { [4, 3] } else { [3, 4] };
        let input = if trans_b == 1 { [2, 4] } else { [4, 2] };
        let attrs = [
            ("transA", Value::Int(trans_a)),
            ("transB", Value::Int(trans_b)),
            ("alpha", Value::Float(0.5)),
            ("beta", Value::Float(2.0)),
        ];
        let net = Net::new(&input)
            .random_weights("a", &stored, 0.5)
            .random_weights("c", &[3, 1], 0.3)
            .node("Gemm", &["a", "x", "c"], "y", &attrs)
            .output("y");
        close(&net, &[&input.map(|d| d as usize)]);
    }
    let net = Net::new(&[4, 2])
        .random_weights("a", &[3, 4], 0.5)
        .node("MatMul", &["a", "x"], "y", &[])
        .output("y");
    close(&net, &[&[4, 2]]);
    // Biases that are no row.
    for bias in [&[1i64][..], &[2, 3], &[2, 1], &[]] {
        let net = weights(Net::new(&[2, 4]))
            .random_weights("c", bias, 0.3)
            .node(
                "Gemm",
                &["x", "w", "c"],
                "y",
                &[("beta", Value::Float(0.5))],
            )
            .output("y");
        close(&net, &[&[2, 4]]);
    }
}

#[test]
fn biases_of_gemm_are_scaled_whatever_they_are() {
    let attrs = || [("alpha", Value::Float(0.5)), ("beta", Value::Float(-2.0))];
    // Two computed matrices and a stored bias of every shape.
    for bias in [&[3i64][..], &[2, 3], &[2, 1], &[1], &[]] {
        let net = Net::new(&[2, 4])
            .input("b", &[4, 3])
            .random_weights("c", bias, 0.3)
            .node("Gemm", &["x", "b", "c"], "y", &attrs())
            .output("y");
        close(&net, &[&[2, 4], &[4, 3]]);
    }
    // A computed bias, of a stored first or second operand.
    let net = Net::new(&[2, 4])
        .input("c", &[2, 3])
        .random_weights("w", &[4, 3], 0.5)
        .node("Gemm", &["x", "w", "c"], "y", &attrs())
        .output("y");
    close(&net, &[&[2, 4], &[2, 3]]);
    let net = Net::new(&[4, 3])
        .input("c", &[2, 3])
        .random_weights("w", &[2, 4], 0.5)
        .node("Gemm", &["w", "x", "c"], "y", &attrs())
        .output("y");
    close(&net, &[&[4, 3], &[2, 3]]);
}

#[test]
fn a_network_of_nothing_copies() {
    for op in ["Identity", "Dropout"] {
        let net = Net::new(&[1, 3, 4, 5])
            .node(op, &["x"], "y", &[])
            .output("y");
        let [q, _] = close(&net, &[&[1, 3, 4, 5]]);
        assert_eq!(ops(&q), ["Identity"]);
    }
    // In between there is nothing to copy.
    let net = image(4)
        .node("Identity", &["c"], "i", &[])
        .node("Relu", &["i"], "y", &[])
        .output("y");
    let [q, _] = close(&net, IMAGE);
    assert_eq!(ops(&q), ["Conv"]);
}
