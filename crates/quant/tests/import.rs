//! Files that can't be used are explained, and no bytes make the import panic.

#[path = "support/onnx.rs"]
mod onnx;
mod support;

use fixpoint_quant::{FloatModel, ImportError};
use onnx::{Net, Random, Value};
use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;

fn small() -> Net {
    Net::new(&[-1, 2, 6, 6])
        .random_weights("w", &[4, 2, 3, 3], 0.3)
        .random_weights("b", &[4], 0.1)
        .node("Conv", &["x", "w", "b"], "c", &[])
        .node("Relu", &["c"], "y", &[])
        .output("y")
}

fn problems(net: &Net) -> Vec<String> {
    FloatModel::from_onnx(&net.encode())
        .unwrap()
        .problems()
        .to_vec()
}

fn one_problem(net: &Net, words: &[&str]) {
    let problems = problems(net);
    assert_eq!(problems.len(), 1, "{problems:?}");
    for word in words {
        assert!(problems[0].contains(word), "{word} not in: {}", problems[0]);
    }
}

#[test]
fn what_is_no_model_is_refused() {
    assert!(matches!(
        FloatModel::from_onnx(b""),
        Err(ImportError::NotOnnx(_))
    ));
    assert!(FloatModel::from_onnx(b"\x89PNG\r\n\x1a\n and so on").is_err());
    assert!(FloatModel::from_onnx(&[0xff; 100]).is_err());
    let bytes = small().encode();
    assert!(FloatModel::from_onnx(&bytes[..bytes.len() / 2]).is_err());
}

#[test]
fn a_plain_model_has_no_problems() {
    let model = FloatModel::from_onnx(&small().encode()).unwrap();
    assert_eq!(model.problems(), [] as [String; 0]);
    let seen = model.inspect();
    assert_eq!(seen.inputs[0].dims, Some(vec![1, 2, 6, 6]));
    assert_eq!(seen.outputs[0].dims, Some(vec![1, 4, 4, 4]));
    assert_eq!(seen.parameters, 76);
    assert_eq!(seen.macs, 4 * 16 * 18);
    let fused = seen
        .passes
        .iter()
        .find(|p| p.name == "fuse_activation")
        .unwrap();
    assert_eq!(fused.changes, ["Relu 'n_y' into 'n_c'"]);
}

#[test]
fn weights_in_another_file_are_explained() {
    let mut net = small();
    let weight = &mut net.graph().initializer[0];
    weight.data_location = Some(pb::tensor_proto::DataLocation::External as i32);
    weight.raw_data.clear();
    let found = problems(&net);
    assert!(
        found[0].contains("'w'") && found[0].contains("separate file"),
        "{found:?}"
    );
}

#[test]
fn damaged_and_missing_weights_are_explained() {
    let mut net = small();
    net.graph().initializer[0].raw_data.truncate(100);
    assert!(problems(&net)[0].contains("25 values for a shape of 72"));
    let mut net = small();
    net.graph().initializer.remove(0);
    one_problem(&net, &["'n_c' (Conv)", "reads 'w'"]);
    let mut net = small();
    net.graph().initializer[0].data_type = DataType::Bfloat16 as i32;
    assert!(problems(&net)[0].contains("Export the model in float32"));
}

/// 2 * [3, 5], two zeros behind it, three cut off again.
#[test]
fn more_may_be_cut_off_than_there_is_without_the_padding() {
    let net = Net::new(&[1, 1, 1])
        .weights("w", &[1, 1, 2], vec![3.0, 5.0])
        .node(
            "ConvTranspose",
            &["x", "w"],
            "y",
            &[
                ("strides", Value::Ints(vec![4])),
                ("pads", Value::Ints(vec![0, 3])),
                ("output_padding", Value::Ints(vec![2])),
            ],
        )
        .output("y");
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    let outputs = model.runner().unwrap().run(&[&[2.0]]).unwrap();
    assert_eq!(outputs[0].data, [6.0]);
}

/// IEEE 754 binary16: https://en.wikipedia.org/wiki/Half-precision_floating-point_format, examples.
#[test]
fn narrow_and_wide_floats_are_read_as_float32() {
    let halves: [(u16, f32); 8] = [
        (0x0001, 5.960_464_5e-8),
        (0x03ff, 6.097_555e-5),
        (0x0400, 6.103_515_6e-5),
        (0x3555, 0.333_251_95),
        (0x3bff, 0.999_511_7),
        (0x3c01, 1.000_976_6),
        (0x7bff, 65504.0),
        (0xc000, -2.0),
    ];
    let bits: Vec<i64> = halves.iter().map(|(bits, _)| i64::from(*bits)).collect();
    for raw in [false, true] {
        let mut net = Net::new(&[1, 8])
            .typed("b", &[8], DataType::Float16, &bits)
            .node("Cast", &["x"], "narrow", &[("to", Value::Int(10))])
            .node("Add", &["narrow", "b"], "sum", &[])
            .node("Cast", &["sum"], "wide", &[("to", Value::Int(11))])
            .weights("two", &[1], vec![2.0])
            .node("Mul", &["wide", "two"], "y", &[])
            .output("y");
        let stored = &mut net.graph().initializer;
        if raw {
            stored[0].raw_data = bits
                .iter()
                .flat_map(|b| (*b as u16).to_le_bytes())
                .collect();
            stored[0].int32_data.clear();
        }
        stored[1].data_type = DataType::Double as i32;
        stored[1].raw_data = 2f64.to_le_bytes().to_vec();
        for kind in [DataType::Float, DataType::Float16, DataType::Double] {
            let Some(pb::type_proto::Value::TensorType(tensor)) =
                &mut net.graph().input[0].r#type.as_mut().unwrap().value
            else {
                unreachable!()
            };
            tensor.elem_type = kind as i32;
            let model = FloatModel::from_onnx(&net.encode()).unwrap();
            assert_eq!(model.problems(), [] as [String; 0]);
            let outputs = model.runner().unwrap().run(&[&[0.0; 8]]).unwrap();
            let want: Vec<f32> = halves.iter().map(|(_, value)| 2.0 * value).collect();
            assert_eq!(outputs[0].data, want);
        }
    }
}

#[test]
fn unsupported_operators_are_named_and_the_rest_is_shown() {
    let net = small()
        .node("NonZero", &["y"], "e", &[])
        .node("Relu", &["e"], "z", &[])
        .output("z");
    one_problem(&net, &["'n_e' (NonZero)", "not supported yet"]);
    let seen = FloatModel::from_onnx(&net.encode()).unwrap().inspect();
    let supported: Vec<_> = (seen.nodes.iter().map(|n| (n.op.as_str(), n.supported))).collect();
    assert_eq!(
        supported,
        [
            ("Conv", true),
            ("Relu", true),
            ("NonZero", false),
            ("Relu", true)
        ]
    );
    assert!(seen.nodes[2].reason.is_some());
}

#[test]
fn nodes_without_a_name_are_found_by_what_they_write() {
    let net = small()
        .named_node("", "NonZero", &["y"], "e", &[])
        .output("e");
    one_problem(&net, &["'nonzero_0' (NonZero, writes 'e')"]);
}

#[test]
fn unsupported_attributes_are_named() {
    let grouped = Net::new(&[1, 4, 5, 5])
        .random_weights("w", &[4, 2, 3, 3], 0.3)
        .node("Conv", &["x", "w"], "y", &[("group", Value::Int(3))])
        .output("y");
    one_problem(&grouped, &["'n_y' (Conv)", "3 groups"]);
    let cubic = Net::new(&[1, 4, 5, 5])
        .weights("none", &[0], vec![])
        .weights("scales", &[4], vec![1.0, 2.0, 2.0, 2.0])
        .node(
            "Resize",
            &["x", "none", "scales"],
            "y",
            &[("mode", Value::Str("cubic"))],
        )
        .output("y");
    one_problem(&cubic, &["'n_y' (Resize)", "'cubic'"]);
    // Once room was asked for before the size was looked at.
    let huge = Net::new(&[1, 4, 5, 5])
        .weights("none", &[0], vec![])
        .weights("scales", &[4], vec![1.0, 4000.0, 4000.0, 4000.0])
        .node("Resize", &["x", "none", "scales"], "y", &[])
        .output("y");
    one_problem(
        &huge,
        &["'n_y' (Resize)", "[1, 16000, 20000, 20000] is more than"],
    );
    let mixed = Net::new(&[1, 4, 5, 5])
        .random_weights("k", &[4, 5, 6], 1.0)
        .node("Add", &["x", "k"], "y", &[])
        .output("y");
    one_problem(&mixed, &["'n_y' (Add)", "[4, 5, 6]"]);
    let batch = Net::new(&[8, 4, 5, 5])
        .random_weights("w", &[4, 4, 3, 3], 0.3)
        .node("Conv", &["x", "w"], "y", &[])
        .output("y");
    one_problem(&batch, &["'n_y' (Conv)", "batch of 8"]);
}

#[test]
fn tensors_of_nothing_are_named() {
    let x = || Net::new(&[1, 3, 4]);
    for dims in [&[0][..], &[2, 0, 3, 4]] {
        let expanded = Net::new(&[1, 1, 1])
            .ints("to", dims)
            .node("Expand", &["x", "to"], "e", &[])
            .node("Relu", &["e"], "y", &[])
            .output("y");
        one_problem(&expanded, &["'n_e' (Expand)", "no elements. Export"]);
    }
    let tiled = x()
        .ints("by", &[1, 0, 1])
        .node("Tile", &["x", "by"], "t", &[])
        .node("Relu", &["t"], "y", &[])
        .output("y");
    one_problem(&tiled, &["'n_t' (Tile)", "[1, 0, 4] has no elements"]);
    let cut = x()
        .ints("from", &[2])
        .ints("to", &[1])
        .node("Slice", &["x", "from", "to"], "s", &[])
        .output("s");
    one_problem(&cut, &["'n_s' (Slice)", "[0, 3, 4] has no elements"]);
    let cropped = x()
        .ints("pads", &[0, 0, -2, 0, 0, -2])
        .node("Pad", &["x", "pads"], "p", &[])
        .output("p");
    one_problem(&cropped, &["'n_p' (Pad)", "[1, 3, 0] has no elements"]);
    let gathered = x()
        .ints("at", &[])
        .node("Gather", &["x", "at"], "g", &[])
        .output("g");
    one_problem(&gathered, &["'n_g' (Gather)", "[0, 3, 4] has no elements"]);
    let parts = x()
        .ints("sizes", &[3, 0])
        .node_many(
            "Split",
            &["x", "sizes"],
            &["a", "b"],
            &[("axis", Value::Int(1))],
        )
        .output("a")
        .output("b");
    one_problem(&parts, &["'b/slice' (Slice)", "[1, 0, 4] has no elements"]);
    // Stored ones.
    let joined = x()
        .weights("none", &[1, 0, 4], vec![])
        .node("Concat", &["x", "none"], "y", &[("axis", Value::Int(1))])
        .output("y");
    one_problem(
        &joined,
        &["'n_y' (Concat)", "operand 'none' has no elements"],
    );
    let added = x()
        .weights("none", &[0], vec![])
        .node("Add", &["x", "none"], "y", &[])
        .output("y");
    one_problem(&added, &["'n_y' (Add)", "operand 'none' has no elements"]);
    let input = Net::new(&[1, 0, 4])
        .node("Relu", &["x"], "y", &[])
        .output("y");
    assert!(problems(&input)[0].contains("Dimension 1 of the input 'x' is 0."));
}

#[test]
fn a_part_of_nothing_that_nobody_reads_is_no_matter() {
    let net = Net::new(&[1, 3, 4])
        .ints("sizes", &[3, 0])
        .node_many(
            "Split",
            &["x", "sizes"],
            &["a", "b"],
            &[("axis", Value::Int(1))],
        )
        .node("Relu", &["a"], "y", &[])
        .output("y");
    assert_eq!(problems(&net), [] as [String; 0]);
}

#[test]
fn refused_normalizations_say_why() {
    let scalar = Net::new(&[])
        .weights("s", &[1], vec![1.0])
        .opset(17)
        .node("LayerNormalization", &["x", "s"], "y", &[])
        .output("y");
    one_problem(&scalar, &["(LayerNormalization)", "single number"]);
    let axis = Net::new(&[2, 3])
        .weights("s", &[3], vec![1.0; 3])
        .opset(17)
        .node(
            "LayerNormalization",
            &["x", "s"],
            "y",
            &[("axis", Value::Int(2))],
        )
        .output("y");
    one_problem(
        &axis,
        &["(LayerNormalization)", "axis 2 is outside its input [2, 3]"],
    );
    let computed = Net::new(&[2, 3])
        .input("s", &[3])
        .opset(17)
        .node("LayerNormalization", &["x", "s"], "y", &[])
        .output("y");
    one_problem(
        &computed,
        &["(LayerNormalization)", "computed by other nodes"],
    );
    for dims in [&[3][..], &[1, 3]] {
        let flat = Net::new(dims)
            .weights("s", &[3], vec![1.0; 3])
            .weights("b", &[3], vec![0.0; 3])
            .node("InstanceNormalization", &["x", "s", "b"], "y", &[])
            .output("y");
        one_problem(
            &flat,
            &["(InstanceNormalization)", "nothing behind the channels"],
        );
    }
    // Behind what is unknown they are not to blame.
    let behind = small()
        .node("NonZero", &["y"], "e", &[])
        .weights("s", &[4], vec![1.0; 4])
        .opset(17)
        .node("LayerNormalization", &["e", "s"], "n", &[])
        .output("n");
    one_problem(&behind, &["'n_e' (NonZero)", "not supported yet"]);
    let seen = FloatModel::from_onnx(&behind.encode()).unwrap().inspect();
    assert_eq!(seen.nodes.last().unwrap().reason, None);
}

/// Every prefix and many damaged copies of real files: an answer, never a panic.
#[test]
fn any_bytes_are_answered() {
    let mut random = Random(1);
    let mut usable = 0;
    for name in ["mlp", "conv_relu_dw_prelu_fc"] {
        let bytes = std::fs::read(support::fixture(name).join("model.onnx")).unwrap();
        for cut in (0..bytes.len()).step_by(61) {
            let _ = FloatModel::from_onnx(&bytes[..cut]).map(|m| m.inspect());
        }
        for _ in 0..400 {
            let mut damaged = bytes.clone();
            for _ in 0..4 {
                // The structure is at the end of these files, the weights before it.
                let near_end = (random.next().abs() * 1200.0) as usize;
                let at = bytes.len() - 1 - near_end.min(bytes.len() - 1);
                damaged[at] ^= 1 << ((random.next().abs() * 7.99) as u32);
            }
            if let Ok(model) = FloatModel::from_onnx(&damaged) {
                let _ = model.inspect();
                usable += 1;
            }
        }
    }
    assert!(
        usable > 20,
        "only {usable} damaged files got past the decoder"
    );
}

/// The public models can be quantized, and none of their images is reordered in memory.
#[test]
fn public_models_are_understood() {
    let Some(models) = support::shared("data/models") else {
        return;
    };
    for path in [
        "mlperf_ic_resnet8/model.onnx",
        "mlperf_ic_resnet8/model_raw.onnx",
        "mlperf_kws_dscnn/model.onnx",
        "mlperf_kws_dscnn/model_raw.onnx",
        "mlperf_vww_mobilenet/model.onnx",
        "mlperf_vww_mobilenet/model_raw.onnx",
        "espdl_stream/model.onnx",
        "pp_ocr_cls/model.onnx",
        "ulf_slim_320/model.onnx",
    ] {
        let model = FloatModel::from_onnx(&std::fs::read(models.join(path)).unwrap()).unwrap();
        assert_eq!(model.problems(), [] as [String; 0], "{path}");
        let seen = model.inspect();
        let moved: Vec<_> = (seen.passes.iter().filter(|p| p.name == "layout"))
            .flat_map(|p| {
                p.changes
                    .iter()
                    .filter(|c| c.contains("reordered in memory"))
            })
            .collect();
        assert!(moved.is_empty(), "{path}: {moved:?}");
    }
}

/// The float reference against onnxruntime's outputs.
#[test]
fn float_reference_equals_onnxruntime() {
    let Some(models) = support::shared("data/models") else {
        return;
    };
    for name in ["espdl_stream", "ulf_slim_320", "pp_ocr_cls"] {
        let bytes = std::fs::read(models.join(name).join("model.onnx")).unwrap();
        let runner = FloatModel::from_onnx(&bytes).unwrap().runner().unwrap();
        let reference = support::npz(&models.join(name).join("ref.npz"));
        let outputs = runner.run(&[&reference["in0_0"].data]).unwrap();
        for (i, output) in outputs.iter().enumerate() {
            let want = &reference[&format!("out0_{i}")];
            assert_eq!(output.data.len(), want.data.len());
            for (a, b) in output.data.iter().zip(&want.data) {
                assert!((a - b).abs() <= 1e-4 * b.abs().max(1.0), "{name}: {a} {b}");
            }
        }
    }
}
