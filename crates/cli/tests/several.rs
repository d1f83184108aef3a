//! Models with several inputs, models that are quantized already, and models that leave sizes open, as scripts use
//! them.

mod pack;
mod place;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use fixpoint_dataset::npy::{self, Array, Element, Values};
use pack::npz;
use place::{fixture, folder};

fn fixpoint(command: &str, model: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fixpoint"))
        .arg(command)
        .arg(model)
        .args(args)
        .output()
        .unwrap()
}

fn done(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn failed(output: &Output, code: i32) -> String {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(
        said.contains("error: ") && said.contains("help: "),
        "{said}"
    );
    said
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn floats(path: &Path) -> Vec<f32> {
    let array = Array::from_npy(fs::read(path).unwrap()).unwrap();
    array.floats(0, array.len()).collect()
}

/// The sum of i0, i1 and i2, ten numbers each.
#[test]
fn several_inputs_come_in_one_npz() {
    let out = folder("several");
    let model = fixture("nodes/sum_of_three/model.onnx");
    // Two samples of 2 x 5, multiples of 1/16 up to 1.
    let row = |k: usize| -> Vec<f32> {
        (0..20)
            .map(|i| ((i * 7 + k * 11) % 33) as f32 / 16.0 - 1.0)
            .collect()
    };
    let rows = [row(0), row(1), row(2)];
    let shape = [2usize, 2, 5];
    let by_name = out.join("by_name.npz");
    let numbered = out.join("numbered.npz");
    let floats_of = |row: usize| Values::F32(&rows[row]);
    // In another order than the model's: names decide.
    npz(
        &by_name,
        &[
            ("i2", &shape, floats_of(2)),
            ("i0", &shape, floats_of(0)),
            ("i1", &shape, floats_of(1)),
            ("y", &[2], Values::I32(&[0, 1])),
        ],
    );
    npz(
        &numbered,
        &[
            ("x_0", &shape, floats_of(0)),
            ("x_1", &shape, floats_of(1)),
            ("x_2", &shape, floats_of(2)),
        ],
    );
    let made = out.join("made");
    let quantize = [
        "--calib",
        text(&by_name),
        "--bits",
        "16",
        "--out",
        text(&made),
    ];
    done(&fixpoint("quantize", &model, &quantize));
    let image = made.join("model.fxp");
    let mut results = Vec::new();
    for (name, data) in [("a.npy", &by_name), ("b.npy", &numbered)] {
        let to = out.join(name);
        done(&fixpoint(
            "simulate",
            &image,
            &["--input", text(data), "--output", text(&to)],
        ));
        results.push(floats(&to));
    }
    assert_eq!(results[0], results[1]);
    for (i, y) in results[0].iter().enumerate() {
        let exact: f32 = rows.iter().map(|row| row[i]).sum();
        assert!((y - exact).abs() < 1e-3, "{y} {exact}");
    }
    for model in [&model, &image] {
        let printed = done(&fixpoint("evaluate", model, &["--data", text(&by_name)]));
        let figures: serde_json::Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(figures["n"], 2);
        assert!(figures["accuracy"].is_f64());
    }
    // Integers in, integers out.
    let raw = out.join("raw.npz");
    let one = [1usize, 2, 5];
    let values = [8192i16, 0, -8192, 8192, 0, -8192, 8192, 0, -8192, 0];
    let same = |name: &'static str| (name, &one[..], Values::I16(&values));
    npz(&raw, &[same("x_0"), same("x_1"), same("x_2")]);
    let to = out.join("raw.npy");
    done(&fixpoint(
        "simulate",
        &image,
        &["--input", text(&raw), "--output", text(&to), "--raw"],
    ));
    let array = Array::from_npy(fs::read(&to).unwrap()).unwrap();
    assert_eq!(array.element(), Element::I16);
    // Inputs at 2^-15 (their range is 1), the sum at 2^-14 or coarser.
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(made.join("report.json")).unwrap()).unwrap();
    let exponent = |part: &str| report[part][0]["exponent"].as_i64().unwrap();
    assert_eq!(exponent("inputs"), -15);
    let shift = exponent("outputs") + 15;
    let wanted: Vec<f32> = (values.iter())
        .map(|v| ((3 * i64::from(*v)) >> shift) as f32)
        .collect();
    let got: Vec<f32> = array.floats(0, 10).collect();
    assert_eq!(got, wanted);
}

#[test]
fn arrays_that_don_t_fit_the_inputs_are_named() {
    let out = folder("several-wrong");
    let model = fixture("nodes/sum_of_three/model.onnx");
    let data = out.join("data.npz");
    let result = out.join("result");
    let row = [0.0f32; 40];
    let quantize = |arrays: &[(&str, &[usize], Values<'_>)]| {
        npz(&data, arrays);
        let args = ["--calib", text(&data), "--out", text(&result)];
        fixpoint("quantize", &model, &args)
    };
    let some = |n: usize| Values::F32(&row[..n]);
    let two: &[usize] = &[2, 2, 5];
    let said = failed(&quantize(&[("a", two, some(20)), ("i0", two, some(20))]), 1);
    for words in [
        "3 inputs",
        "'i1' (an array of N x 2x5)",
        "'a' (2x2x5)",
        "x_0, x_1",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let three = |last: &'static [usize], n: usize| {
        [
            ("x_0", two, some(20)),
            ("x_1", two, some(20)),
            ("x_2", last, some(n)),
        ]
    };
    let said = failed(&quantize(&three(&[2, 2, 4], 16)), 1);
    assert!(
        said.contains("input 'i2'") && said.contains("2x2x4"),
        "{said}"
    );
    let said = failed(&quantize(&three(&[4, 2, 5], 40)), 1);
    assert!(
        said.contains("holds 2 samples") && said.contains("4: every input"),
        "{said}"
    );
    assert!(!result.exists());
}

/// A file for each input, one of them with bytes: whether these are pixels is said and can be chosen.
#[test]
fn a_file_for_each_input_may_hold_pixels() {
    let out = folder("several-files");
    let model = fixture("nodes/sum_of_three/model.onnx");
    let data = out.join("data");
    fs::create_dir_all(&data).unwrap();
    let bytes: Vec<i8> = (0..20).map(|i| i * 6).collect();
    let zeros = [0.0f32; 20];
    let shape = [2, 2, 5];
    let files = [
        ("i0", unsigned(npy::write(&shape, Values::I8(&bytes)))),
        ("i1", npy::write(&shape, Values::F32(&zeros))),
        ("i2", npy::write(&shape, Values::F32(&zeros))),
    ];
    for (name, contents) in files {
        fs::write(data.join(format!("{name}.npy")), contents).unwrap();
    }
    let summed = |name: &str, more: &[&str]| {
        let made = out.join(name);
        let mut args = vec!["--calib", text(&data), "--bits", "16", "--out", text(&made)];
        args.extend(more);
        let output = fixpoint("quantize", &model, &args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        done(&output);
        let (image, to) = (made.join("model.fxp"), made.join("y.npy"));
        let mut args = vec!["--input", text(&data), "--output", text(&to)];
        args.extend(more);
        done(&fixpoint("simulate", &image, &args));
        (said, floats(&to))
    };
    let (said, values) = summed("values", &[]);
    assert!(
        said.contains("i0.npy: uint8 values are used as they are, 0 to 255"),
        "{said}"
    );
    let (said, pixels) = summed("pixels", &["--arrays", "bytes-are-pixels"]);
    assert!(
        said.contains("the values of input 'i0' by pixel / 255"),
        "{said}"
    );
    assert!(!said.contains("'i1' by"), "{said}");
    let (_, scaled) = summed("scaled", &["--scale", "0.5", "--mean", "1"]);
    for (i, byte) in bytes.iter().copied().map(f32::from).enumerate() {
        assert!((values[i] - byte).abs() < 0.1, "{i}");
        assert!((pixels[i] - byte / 255.0).abs() < 1e-3, "{i}");
        assert!((scaled[i] - (byte * 0.5 - 1.0)).abs() < 0.1, "{i}");
    }
}

/// The same file, of `uint8`.
fn unsigned(mut npy: Vec<u8>) -> Vec<u8> {
    let at = npy.windows(3).position(|part| part == b"|i1").unwrap();
    npy[at + 1] = b'u';
    npy
}

#[test]
fn a_quantized_model_is_taken_without_samples() {
    let out = folder("taken");
    let model = fixture("quantized/torch_qat/model.onnx");
    let seen = done(&fixpoint("inspect", &model, &[]));
    assert!(
        seen.contains("quantized already (QDQ: int8,") && seen.contains("taken as it is"),
        "{seen}"
    );
    let made = out.join("made");
    let log = done(&fixpoint("quantize", &model, &["--out", text(&made)]));
    assert!(log.contains("model input name: x, exponent: -6"), "{log}");
    let to = out.join("y.npy");
    let input = fixture("quantized/torch_qat/x.npy");
    done(&fixpoint(
        "simulate",
        &made.join("model.fxp"),
        &["--input", text(&input), "--output", text(&to)],
    ));
    assert_eq!(
        floats(&to),
        floats(&fixture("quantized/torch_qat/output.npy"))
    );
    let said = failed(
        &fixpoint("quantize", &model, &["--bits", "16", "--out", text(&made)]),
        2,
    );
    assert!(
        said.contains("--bits") && said.contains("--requantize"),
        "{said}"
    );
    // A float model still wants samples.
    let float = fixture("mlp/model.onnx");
    let said = failed(&fixpoint("quantize", &float, &["--out", text(&made)]), 2);
    assert!(said.contains("--calib"), "{said}");
}

#[test]
fn another_scheme_is_quantized_anew_when_asked() {
    let out = folder("anew");
    let made = out.join("made");
    let model = fixture("quantized/ort_uint8_asymmetric/model.onnx");
    let input = fixture("quantized/ort_uint8_asymmetric/x.npy");
    let base = ["--calib", text(&input), "--out", text(&made)];
    let said = failed(&fixpoint("quantize", &model, &base), 1);
    assert!(
        said.contains("uint8 with scale") || said.contains("no power of two"),
        "{said}"
    );
    assert!(said.contains("--requantize"), "{said}");
    let seen = done(&fixpoint("inspect", &model, &[]));
    assert!(seen.contains("not ours"), "{seen}");
    let seen = done(&fixpoint("inspect", &model, &["--requantize"]));
    assert!(
        seen.contains("quantized anew") && seen.contains("can be quantized"),
        "{seen}"
    );
    let mut args = base.to_vec();
    args.push("--requantize");
    done(&fixpoint("quantize", &model, &args));
    assert!(made.join("model.fxp").exists());
}

/// The fixture, but of its input `x`, N x 3 x 12 x 12, the third size is called H and the fourth nothing, is the same
/// model once both are said.
#[test]
fn open_sizes_are_said() {
    let out = folder("sizes");
    let fixed = fixture("conv_relu_dw_prelu_fc/model.onnx");
    let mut bytes = fs::read(&fixed).unwrap();
    let dims = b"\x0a\x03\x12\x01N\x0a\x02\x08\x03\x0a\x02\x08\x0c\x0a\x02\x08\x0c";
    let at = bytes.windows(dims.len()).position(|w| w == dims).unwrap();
    let open = b"\x0a\x02\x12\x00\x0a\x02\x08\x03\x0a\x03\x12\x01H\x0a\x02\x12\x00";
    bytes[at..at + dims.len()].copy_from_slice(open);
    let model = out.join("open.onnx");
    fs::write(&model, bytes).unwrap();

    let calib = fixture("conv_relu_dw_prelu_fc/input.npy");
    let image = |model: &Path, name: &str, sizes: &[&str]| {
        let made = out.join(name);
        let mut args = vec!["--calib", text(&calib), "--out", text(&made)];
        args.extend(sizes);
        let output = fixpoint("quantize", model, &args);
        fs::read(made.join("model.fxp")).map_err(|_| output)
    };
    let sizes = ["--size", "H=12", "--size", "x[3]=12"];
    assert_eq!(
        image(&model, "said", &sizes).unwrap(),
        image(&fixed, "fixed", &[]).unwrap()
    );
    let seen = done(&fixpoint("inspect", &model, &sizes));
    assert!(
        seen.contains("1x3x12x12") && seen.contains("can be quantized"),
        "{seen}"
    );
    let said = failed(&image(&model, "unsaid", &sizes[..2]).unwrap_err(), 1);
    assert!(said.contains("--size x[3]=N"), "{said}");
    let output = image(&model, "wrong", &["--size", "H"]).unwrap_err();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("as in height=96"), "{said}");
}
