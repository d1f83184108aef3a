//! The command as scripts call it: files in, files, exit codes and words out.

mod place;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use fixpoint_dataset::npy::{self, Array, Element, Values};
use place::{fixture, folder};

fn fixpoint(args: &[&dyn AsRef<std::ffi::OsStr>]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fixpoint"));
    for arg in args {
        command.arg(arg);
    }
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn done(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Checks the exit code and returns what was said on stderr.
fn failed(output: &Output, code: i32) -> String {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains("error: "), "{said}");
    said
}

fn quantize(model: &str, out: &Path, more: &[&str]) -> Output {
    let onnx = fixture(&format!("{model}/model.onnx"));
    let calib = fixture(&format!("{model}/input.npy"));
    let mut args: Vec<&dyn AsRef<std::ffi::OsStr>> =
        vec![&"quantize", &onnx, &"--calib", &calib, &"--out", &out];
    args.extend(more.iter().map(|m| m as &dyn AsRef<std::ffi::OsStr>));
    fixpoint(&args)
}

fn array(path: &Path) -> Array {
    Array::from_npy(fs::read(path).unwrap()).unwrap()
}

fn floats(array: &Array) -> Vec<f32> {
    array.floats(0, array.len()).collect()
}

fn json(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn inspect_lists_nodes_as_text_and_json() {
    let model = fixture("mlp/model.onnx");
    let listed = done(&fixpoint(&[&"inspect", &model]));
    assert!(listed.contains("input  x 1x18"), "{listed}");
    assert!(listed.contains("This model can be quantized."), "{listed}");
    let inspection = json(done(&fixpoint(&[&"inspect", &model, &"--json"])).as_bytes());
    assert_eq!(inspection["inputs"][0]["dims"], serde_json::json!([1, 18]));
}

#[test]
fn quantize_writes_image_and_report_and_does_so_again() {
    let (first, again) = (folder("quantize-1"), folder("quantize-2/deeper"));
    let log = done(&quantize(
        "mlp",
        &first,
        &["--bits", "16", "--granularity", "per-tensor"],
    ));
    assert!(!log.trim().is_empty(), "the log is printed");
    let repeated = done(&quantize(
        "mlp",
        &again,
        &["--bits", "16", "--granularity", "per-tensor"],
    ));
    assert_eq!(log, repeated);
    for name in ["model.fxp", "report.json"] {
        assert_eq!(
            fs::read(first.join(name)).unwrap(),
            fs::read(again.join(name)).unwrap(),
            "{name}"
        );
    }
    let left: Vec<_> = fs::read_dir(&first)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 2, "nothing temporary stays: {left:?}");

    let report = json(&fs::read(first.join("report.json")).unwrap());
    let layer = &report["layers"][0];
    for key in [
        "name",
        "op",
        "output_exponent",
        "weight_exponents",
        "sqnr_db",
        "saturation",
    ] {
        assert!(layer.get(key).is_some(), "{key} in {layer}");
    }
    let table = fs::read(fixture("mlp/exponents_int16_per-tensor_minmax.json")).unwrap();
    let wanted = json(&table);
    let got = &report["tensors"];
    for (tensor, exponents) in wanted.as_object().unwrap() {
        assert_eq!(&got[tensor], exponents, "exponents of {tensor}");
    }
}

#[test]
fn simulate_gives_floats_or_integers_for_every_sample() {
    let out = folder("simulate");
    done(&quantize("mlp", &out, &["--bits", "16"]));
    let model = out.join("model.fxp");
    let input = fixture("mlp/input.npy");
    let run = |name: &str, input: &Path, more: &[&dyn AsRef<std::ffi::OsStr>]| {
        let path = out.join(name);
        let mut args: Vec<&dyn AsRef<std::ffi::OsStr>> =
            vec![&"simulate", &model, &"--input", &input, &"--output", &path];
        args.extend(more);
        done(&fixpoint(&args));
        path
    };
    let float = array(&run("y.npy", &input, &[]));
    assert_eq!(
        (float.element(), float.dims()),
        (Element::F32, &[64, 7][..])
    );
    let raw = array(&run("raw.npy", &input, &[&"--raw"]));
    assert_eq!((raw.element(), raw.dims()), (Element::I16, &[64, 7][..]));

    let report = json(&fs::read(out.join("report.json")).unwrap());
    let scale = |tensor: &serde_json::Value| libm::exp2(tensor["exponent"].as_f64().unwrap());
    let out_scale = scale(&report["outputs"][0]);
    for (f, i) in floats(&float).iter().zip(raw.integers().unwrap()) {
        assert_eq!(f64::from(*f), i as f64 * out_scale);
    }

    // The same samples as integers, made here: nearest, ties to even being too rare to matter.
    let in_scale = scale(&report["inputs"][0]);
    let integers: Vec<i16> = floats(&array(&input))
        .iter()
        .map(|v| {
            (f64::from(*v) / in_scale)
                .round_ties_even()
                .clamp(-32768.0, 32767.0) as i16
        })
        .collect();
    let as_integers = out.join("integers.npy");
    fs::write(&as_integers, npy::write(&[64, 18], Values::I16(&integers))).unwrap();
    let from_integers = array(&run("raw2.npy", &as_integers, &[&"--raw"]));
    assert_eq!(from_integers.integers(), raw.integers());

    let npz = fs::read(run("all.npz", &input, &[])).unwrap();
    assert_eq!(
        npz,
        fs::read(run("again.npz", &input, &[])).unwrap(),
        "no clock in it"
    );
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(npz)).unwrap();
    let mut inside = Vec::new();
    std::io::copy(&mut archive.by_name("y.npy").unwrap(), &mut inside).unwrap();
    assert_eq!(
        inside,
        fs::read(out.join("y.npy")).unwrap(),
        "the same array by its name"
    );
}

/// A net with Sub, Mul and mean pools, which the evaluator leaves unscaled: floats come out of the file that
/// quantize writes, in units of the output's exponent with --raw, and nothing else takes it.
#[test]
fn the_toolkits_evaluator_is_followed_where_no_image_can() {
    let out = folder("imitated");
    let mimic = ["--arithmetic", "espdl", "--bits", "8", "--mimic-evaluator"];
    done(&quantize("evaluator/unscaled", &out, &mimic));
    let (fxp, input) = (
        out.join("model.fxp"),
        fixture("evaluator/unscaled/input.npy"),
    );
    let (raw, real) = (out.join("raw.npy"), out.join("real.npy"));
    let simulate = |to: &Path, more: &[&str]| {
        let mut args: Vec<&dyn AsRef<std::ffi::OsStr>> =
            vec![&"simulate", &fxp, &"--input", &input, &"--output", &to];
        args.extend(more.iter().map(|m| m as &dyn AsRef<std::ffi::OsStr>));
        fixpoint(&args)
    };
    done(&simulate(&raw, &["--raw"]));
    done(&simulate(&real, &[]));
    let report = json(&fs::read(out.join("report.json")).unwrap());
    let exponent = report["outputs"][0]["exponent"].as_i64().unwrap() as i32;
    let (raw, real) = (floats(&array(&raw)), floats(&array(&real)));
    assert!(
        raw.iter().any(|v| v.fract() != 0.0),
        "means are left as they come"
    );
    assert!(
        raw.iter().any(|v| v.abs() > 128.0),
        "products are left as they come"
    );
    let step = f32::from_bits(((127 + exponent) as u32) << 23);
    let scaled: Vec<f32> = raw.iter().map(|v| v * step).collect();
    assert_eq!(scaled, real);
    let said = failed(&simulate(&out.join("no.npy"), &["--chip", "esp32c3"]), 2);
    assert!(said.contains("ESP32-S3 only"), "{said}");
    let said = failed(&fixpoint(&[&"predict", &fxp]), 1);
    assert!(said.contains("ESP-DL's evaluator"), "{said}");
}

#[test]
fn evaluate_prints_accuracy_of_both_kinds_of_model() {
    let out = folder("evaluate");
    done(&quantize("mlp", &out, &["--bits", "16"]));
    let model = out.join("model.fxp");
    let input = fixture("mlp/input.npy");
    let answers = out.join("y.npy");
    done(&fixpoint(&[
        &"simulate",
        &model,
        &"--input",
        &input,
        &"--output",
        &answers,
    ]));
    // Labels that are the image's own answers, but for the first sample.
    let mut labels: Vec<i32> = floats(&array(&answers))
        .chunks_exact(7)
        .map(|row| (1..7).fold(0, |best, c| if row[c] > row[best] { c } else { best }) as i32)
        .collect();
    labels[0] = (labels[0] + 1) % 7;
    let data = out.join("data");
    fs::create_dir_all(&data).unwrap();
    fs::copy(&input, data.join("x.npy")).unwrap();
    fs::write(data.join("y.npy"), npy::write(&[64], Values::I32(&labels))).unwrap();

    let onnx = fixture("mlp/model.onnx");
    let of_image = json(
        done(&fixpoint(&[
            &"evaluate",
            &model,
            &"--data",
            &data,
            &"--reference",
            &onnx,
        ]))
        .as_bytes(),
    );
    assert_eq!(of_image["n"], 64);
    assert_eq!(of_image["accuracy"], 63.0 / 64.0);
    assert!(of_image["seconds"].is_number());
    assert!(of_image["agreement"].as_f64().unwrap() > 0.9, "{of_image}");

    let of_float = json(
        done(&fixpoint(&[
            &"evaluate",
            &onnx,
            &"--data",
            &data,
            &"--limit",
            &"10",
        ]))
        .as_bytes(),
    );
    assert_eq!(of_float["n"], 10);
    assert!(of_float.get("agreement").is_none(), "{of_float}");

    let said = failed(&fixpoint(&[&"evaluate", &onnx, &"--data", &input]), 1);
    assert!(
        said.contains("no labels") && said.contains("help: "),
        "{said}"
    );
}

#[test]
fn options_reach_the_report_and_the_rest_is_the_best_known() {
    let chosen = |name: &str, more: &[&str]| {
        let out = folder(name);
        done(&quantize("mlp", &out, more));
        json(&fs::read(out.join("report.json")).unwrap())
    };
    let report = chosen("options-default", &[]);
    let options = &report["options"];
    assert_eq!(options["granularity"], "per-channel");
    assert_eq!(options["method"], "mse");
    for method in ["minmax", "entropy", "percentile", "mse"] {
        let name = format!("options-{method}");
        let report = chosen(&name, &["--method", method, "--input-exponent", "-4"]);
        assert_eq!(report["options"]["method"], method);
        assert_eq!(report["options"]["granularity"], "per-tensor");
        assert_eq!(report["tensors"]["x"], serde_json::json!([-4]));
    }
    let said = failed(
        &quantize("mlp", &folder("options-wrong"), &["--chip", "esp32"]),
        1,
    );
    assert!(said.contains("ESP32-S3"), "{said}");
}

fn export(table: &Path, out: &Path, more: &[&str]) -> Output {
    let onnx = fixture("mlp/model.onnx");
    let mut args: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"export-espdl", &onnx];
    args.extend([
        &"--table" as &dyn AsRef<std::ffi::OsStr>,
        &table,
        &"--out",
        &out,
    ]);
    args.extend(more.iter().map(|m| m as &dyn AsRef<std::ffi::OsStr>));
    fixpoint(&args)
}

/// A table takes the place of calibration, be it a report's, a pickle or exponents by name.
#[test]
fn quantize_takes_a_table() {
    let out = folder("tabled");
    let pickle = out.join("table.pickle");
    let with = [
        "--bits",
        "8",
        "--granularity",
        "per-channel",
        "--arithmetic",
        "espdl",
    ];
    let keep = ["--pickle", pickle.to_str().unwrap()];
    done(&quantize("mlp", &out, &[&with[..], &keep].concat()));
    let model = fixture("mlp/model.onnx");
    let wanted = fs::read(out.join("model.fxp")).unwrap();
    let by_table = |table: &Path, more: &[&str]| {
        let to = out.join("by-table");
        let mut args: Vec<&dyn AsRef<std::ffi::OsStr>> =
            vec![&"quantize", &model, &"--table", &table, &"--out", &to];
        args.extend(more.iter().map(|m| m as &dyn AsRef<std::ffi::OsStr>));
        (fixpoint(&args), to.join("model.fxp"))
    };
    let toolkits = fixture("mlp/exponents_int8_per-channel_minmax.json");
    for table in [&pickle, &out.join("report.json"), &toolkits] {
        let (output, made) = by_table(table, &["--arithmetic", "espdl"]);
        done(&output);
        assert_eq!(fs::read(&made).unwrap(), wanted, "{}", table.display());
        fs::remove_file(made).unwrap();
    }
    let (output, made) = by_table(&pickle, &["--method", "mse"]);
    let said = failed(&output, 2);
    assert!(
        said.contains("--table") && said.contains("--method"),
        "{said}"
    );
    assert!(!made.exists());
    let (output, made) = by_table(
        &fixture("tf2onnx_cnn/exponents_int8_per-channel_minmax.json"),
        &[],
    );
    let said = failed(&output, 1);
    assert!(said.contains("The table"), "{said}");
    assert!(!made.exists());
}

/// The toolkit's own files, from its table, from ours and from the pickle that we write.
#[test]
fn export_writes_what_the_toolkit_writes() {
    let out = folder("export");
    let name = "coef_int8_per_channel_esp32s3";
    let pickle = out.join("table.pickle");
    done(&quantize(
        "mlp",
        &out,
        &[
            "--granularity",
            "per-channel",
            "--pickle",
            pickle.to_str().unwrap(),
        ],
    ));
    let wanted = fs::read(fixture(&format!("mlp/{name}.hpp"))).unwrap();
    let mut made = Vec::new();
    for (i, table) in [
        fixture("mlp/exponents_int8_per-channel_minmax.json"),
        out.join("report.json"),
        pickle,
    ]
    .iter()
    .enumerate()
    {
        let to = out.join(i.to_string());
        let log = done(&export(table, &to, &["--chip", "esp32s3", "--name", name]));
        assert!(
            log.starts_with("Converting coefficient to int8 per-channel"),
            "{log}"
        );
        assert!(
            log.contains("Gemm layer name: fc2, output_exponent: "),
            "{log}"
        );
        assert_eq!(fs::read(to.join(format!("{name}.hpp"))).unwrap(), wanted);
        made.push(fs::read(to.join(format!("{name}.cpp"))).unwrap());
        assert!(to.join(format!("{name}_model.hpp")).exists());
        assert!(to.join("app_main.cpp").exists());
    }
    assert!(made.iter().all(|cpp| *cpp == made[0]));

    let not_a_table = fixture("mlp/model.onnx");
    let said = failed(
        &export(
            &not_a_table,
            &out.join("none"),
            &["--chip", "esp32", "--name", "n"],
        ),
        1,
    );
    assert!(said.contains("pickle"), "{said}");
    assert!(!out.join("none").exists());
    failed(
        &export(&not_a_table, &out, &["--chip", "esp8266", "--name", "n"]),
        2,
    );
}

#[test]
fn mistakes_are_named() {
    let out = folder("mistakes");
    let onnx = fixture("mlp/model.onnx");
    let input = fixture("mlp/input.npy");

    let usage = fixpoint(&[&"quantize", &onnx, &"--bits", &"7"]);
    failed(&usage, 2);
    let said = failed(&fixpoint(&[&"inspect", &out.join("none.onnx")]), 1);
    assert!(said.contains("none.onnx"), "{said}");
    let said = failed(&fixpoint(&[&"inspect", &input]), 1);
    assert!(said.contains("not an ONNX file"), "{said}");
    let said = failed(
        &fixpoint(&[
            &"simulate",
            &onnx,
            &"--input",
            &input,
            &"--output",
            &out.join("y.npy"),
        ]),
        1,
    );
    assert!(
        said.contains("refused") && said.contains("help: "),
        "{said}"
    );
    let said = failed(
        &fixpoint(&[
            &"simulate",
            &onnx,
            &"--input",
            &input,
            &"--output",
            &out.join("y.txt"),
        ]),
        2,
    );
    assert!(said.contains(".npy nor .npz"), "{said}");

    let wrong = out.join("wrong.npy");
    fs::write(&wrong, npy::write(&[3, 17], Values::F32(&[0.0; 51]))).unwrap();
    let result = out.join("result");
    let said = failed(
        &fixpoint(&[&"quantize", &onnx, &"--calib", &wrong, &"--out", &result]),
        1,
    );
    assert!(said.contains("3x17") && said.contains("1x18"), "{said}");
    assert!(!result.exists(), "nothing is written when it fails");
}

/// Files for esp-web-tools and esptool, without a port.
#[test]
fn what_is_flashed_is_written_as_files() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("export-flash");
    let _ = fs::remove_dir_all(&folder);
    let output = Command::new(env!("CARGO_BIN_EXE_fixpoint"))
        .args(["export-flash", "--name", "Test", "--out"])
        .arg(&folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let manifest = fs::read_to_string(folder.join("manifest.json")).unwrap();
    assert!(
        manifest.contains("\"chipFamily\": \"ESP32-S3\""),
        "{manifest}"
    );
    let merged = fs::read(folder.join("flash.bin")).unwrap();
    let runtime = fs::read(folder.join("runtime.bin")).unwrap();
    assert!(merged[0x1_0000..].starts_with(&runtime));
    assert_eq!(merged[0], 0xE9);
}
