//! Every operator in every form: `fixtures/operators` through the import in float, in int16 and in int8,
//! against what ONNX's reference evaluator gives; and the images in the runtime on the host and, where
//! `FIXPOINT_SELFTEST` names its Xtensa build, in that: the same bytes. `crates/quant/FORMS.md` is written
//! from it with `FIXPOINT_UPDATE=1`.
#![cfg(not(target_arch = "wasm32"))]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use fixpoint_quant::{
    Arithmetic, Bits, FloatModel, Options, Output, QuantError, Quantized, Request, Samples,
    Simulator, quantize,
};
use fixpoint_runtime::{AlignedBytes, Model, run};
use fixpoint_tests::cases::{Case, encode};
use fixpoint_tests::random::Random;
use fixpoint_tests::run_vectors;
use fixpoint_tests::runner::arena_bytes;

mod selftest;

/// Stands in the names of cases in that arithmetic.
const FIXPOINT: &str = ", fixpoint ";

/// By operator: the forms that pass, and those that are refused, with the reason.
type Told<'f> = BTreeMap<&'f str, (Vec<&'f str>, Vec<(&'f str, String)>)>;

/// A model with its inputs and what must come out.
struct Form {
    /// The operator, a colon, and what is special.
    label: String,
    onnx: Vec<u8>,
    inputs: Vec<Vec<f32>>,
    /// Dims and elements.
    outputs: Vec<(Vec<usize>, Vec<f32>)>,
}

/// Reads `cases.bin.gz`, whose README says what is where.
fn forms() -> Vec<Form> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/operators");
    let packed = fs::read(folder.join("cases.bin.gz")).expect("the fixture");
    let bytes = miniz_oxide::inflate::decompress_to_vec(&packed[10..packed.len() - 8]);
    let bytes = bytes.expect("a gzip file without a name in it");
    let mut rest = &bytes[..];
    let mut take = |count: usize| {
        let (item, behind) = rest.split_at(count);
        rest = behind;
        item
    };
    let word = |b: &[u8]| u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    let count = word(take(4));
    let form = |_| {
        let [label, onnx, inputs, outputs] = [(); 4].map(|()| word(take(4)) as usize);
        let label = String::from_utf8(take(label).to_vec()).expect("a label");
        let onnx = take(onnx).to_vec();
        let mut arrays = |count: usize| {
            let array = |_| {
                let rank = word(take(4)) as usize;
                let dims = take(4 * rank).chunks_exact(4);
                let dims: Vec<usize> = dims.map(|b| word(b) as usize).collect();
                let bytes = take(4 * dims.iter().product::<usize>()).chunks_exact(4);
                (dims, bytes.map(|b| f32::from_bits(word(b))).collect())
            };
            (0..count)
                .map(array)
                .collect::<Vec<(Vec<usize>, Vec<f32>)>>()
        };
        let inputs = arrays(inputs).into_iter().map(|(_, data)| data).collect();
        Form {
            label,
            onnx,
            inputs,
            outputs: arrays(outputs),
        }
    };
    (0..count).map(form).collect()
}

/// int8 and int16 as when nothing else is asked for; in the espdl arithmetic as the toolkit.
fn options(bits: Bits, arithmetic: Arithmetic) -> Options {
    let request = Request {
        bits: Some(bits),
        arithmetic: Some(arithmetic),
        ..Request::default()
    };
    request.options()
}

fn refused(form: &Form) -> Result<FloatModel, String> {
    let model = FloatModel::from_onnx(&form.onnx).map_err(|error| error.to_string())?;
    match model.problems().first() {
        Some(problem) => Err(problem.clone()),
        None => Ok(model),
    }
}

fn views(inputs: &[Vec<f32>]) -> Vec<&[f32]> {
    inputs.iter().map(Vec::as_slice).collect()
}

/// Outputs against the expected ones, each element of which may be `allowed` off and a part of itself.
fn near(got: &[Output], form: &Form, allowed: f64) -> Result<(), String> {
    if got.len() != form.outputs.len() {
        return Err(format!("{} outputs", got.len()));
    }
    for (got, (dims, want)) in got.iter().zip(&form.outputs) {
        if got.dims != *dims {
            return Err(format!("{:?} instead of {dims:?}", got.dims));
        }
        for (i, (a, b)) in got.data.iter().zip(want).enumerate() {
            let off = f64::from((a - b).abs());
            // The fixture has twelve bits of each value.
            if off.is_nan() || off > allowed + 2.5e-4 * f64::from(b.abs()) {
                return Err(format!("{a} instead of {b} at {i}, {allowed:.2e} allowed"));
            }
        }
    }
    Ok(())
}

fn step(exponent: i32) -> f64 {
    libm::exp2(exponent.into())
}

/// What the exponents allow: a step and a half of every layer's output, carried on by what follows, and
/// half a step of every weight for each of its taps.
fn bound(q: &Quantized, form: &Form) -> f64 {
    let largest = |v: &Vec<f32>| v.iter().fold(0.0f64, |m, v| m.max(f64::from(v.abs())));
    let x = form.inputs.iter().map(largest).fold(1.0, f64::max);
    let mut bound = 0.0;
    for layer in &q.report.layers {
        let gain = (layer.range.iter().map(|v| f64::from(v.abs()))).fold(1.0, f64::max);
        bound = bound * gain + 1.5 * step(layer.output_exponent);
        if let Some(exponent) = layer.weight_exponents.iter().max() {
            let elements: usize = layer.output_dims.iter().product();
            let taps = (layer.macs as usize / elements.max(1)).max(1);
            bound += taps as f64 * x * step(*exponent) / 2.0;
        }
    }
    // A stored operand has its own exponent, fitted to its largest value.
    bound + x * x * step(-15)
}

/// Signal to noise of all outputs together, in dB.
fn quality(got: &[Output], form: &Form) -> f64 {
    let (mut signal, mut noise) = (0.0, 0.0);
    for (got, (_, want)) in got.iter().zip(&form.outputs) {
        for (a, b) in got.data.iter().zip(want) {
            signal += f64::from(b * b);
            noise += f64::from((a - b) * (a - b));
        }
    }
    10.0 * libm::log10(signal / noise)
}

/// The image with what the runtime makes of the inputs on the host, which is what the simulator says.
fn case(form: &Form, name: &str, q: &Quantized) -> Case {
    let mut simulator = Simulator::new(&q.image).expect("an image of ours");
    let expected = simulator.run_raw(&views(&form.inputs)).expect("inputs");
    let inputs: Vec<Vec<u8>> = (form.inputs.iter().enumerate())
        .map(|(i, values)| simulator.input_bytes(i, values).expect("an input"))
        .collect();
    let image = AlignedBytes::new(&q.image);
    let model = Model::parse(image.as_ref()).expect("an image of ours");
    let mut arena = AlignedBytes::zeroed(model.arena_bytes() as usize);
    for (i, bytes) in inputs.iter().enumerate() {
        let place = model.input_mut(arena.blocks_mut(), i).expect("an input");
        place.copy_from_slice(bytes);
    }
    run(&model, arena.blocks_mut(), &mut ()).expect("it runs");
    let output = |i| {
        let bytes = model.output(arena.blocks(), i).expect("an output").to_vec();
        let decoded = simulator.decode_output(i, &bytes).expect("its bytes");
        assert_eq!(decoded, expected[i], "{name}");
        bytes
    };
    Case {
        name: name.to_owned(),
        image: q.image.clone(),
        inputs,
        outputs: (0..expected.len()).map(output).collect(),
        arena: model.arena_bytes(),
    }
}

/// Adds the images of a form; what is wrong with it goes to `wrong`.
fn play(form: &Form, model: &FloatModel, cases: &mut Vec<Case>, wrong: &mut Vec<String>) {
    let x = views(&form.inputs);
    let samples = Samples::new(x.iter().map(|v| (*v, v.len())).collect()).expect("one sample");
    let mut complain =
        |what: &str, how: String| wrong.push(format!("{}: {what}: {how}", form.label));
    match model.runner().and_then(|runner| runner.run(&x)) {
        Ok(float) => {
            if let Err(how) = near(&float, form, 2e-4) {
                complain("float", how);
            }
        }
        Err(error) => complain("float", error.to_string()),
    }
    for arithmetic in [Arithmetic::Fixpoint, Arithmetic::Espdl] {
        for bits in [Bits::I16, Bits::I8] {
            let name = match arithmetic {
                Arithmetic::Fixpoint => format!("{}{FIXPOINT}{}", form.label, bits.name()),
                Arithmetic::Espdl => format!("{}, espdl {}", form.label, bits.name()),
            };
            let q = match quantize(model, &samples, &options(bits, arithmetic), &mut |_| ()) {
                Ok(q) => q,
                // Some layers exist in one arithmetic only.
                Err(QuantError::Layer { reason, .. })
                    if arithmetic == Arithmetic::Espdl
                        && reason.contains("exists in the fixpoint arithmetic only") =>
                {
                    continue;
                }
                Err(error) => {
                    complain(&name, error.to_string());
                    continue;
                }
            };
            cases.push(case(form, &name, &q));
            let mut simulator = Simulator::new(&q.image).expect("an image of ours");
            let got = simulator.run(&x).expect("inputs");
            let result = match (arithmetic, bits) {
                (Arithmetic::Fixpoint, Bits::I16) => near(&got, form, bound(&q, form)),
                (Arithmetic::Fixpoint, Bits::I8) => match quality(&got, form) {
                    db if db < 15.0 => Err(format!("{db:.1} dB")),
                    _ => Ok(()),
                },
                _ => Ok(()),
            };
            if let Err(how) = result {
                complain(&name, how);
            }
        }
    }
}

#[test]
fn every_form_of_every_operator() {
    let forms = forms();
    let (mut cases, mut wrong) = (Vec::new(), Vec::new());
    let mut told: Told<'_> = Told::new();
    for form in &forms {
        let (op, what) = form.label.split_once(": ").expect("a label");
        let row = told.entry(op).or_default();
        match refused(form) {
            Ok(model) => {
                play(form, &model, &mut cases, &mut wrong);
                row.0.push(what);
            }
            Err(why) => row.1.push((what, why)),
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\n{} wrong",
        wrong.join("\n"),
        wrong.len()
    );
    on_the_host(&encode(&cases), cases.len());
    // The chip's build leaves the legacy arithmetic out.
    cases.retain(|case| case.name.contains(FIXPOINT));
    on_the_chip(&encode(&cases), cases.len());
    written(&table(&told));
}

/// Files that are damaged somewhere: an answer, never a panic.
#[test]
fn damaged_forms_are_answered() {
    let mut random = Random(9);
    let (mut usable, mut refused) = (0, 0);
    for form in forms() {
        for _ in 0..24 {
            let mut bytes = form.onnx.clone();
            for _ in 0..random.between(1, 3) {
                let at = random.between(0, bytes.len() as i64 - 1) as usize;
                bytes[at] = match random.between(0, 3) {
                    0 => random.pick(&[0, 1, 0x7f, 0x80, 0xff]),
                    1 => bytes[at].wrapping_add(random.between(-2, 2) as u8),
                    _ => bytes[at] ^ (1 << random.between(0, 7)),
                };
            }
            match FloatModel::from_onnx(&bytes).map(|model| model.inspect()) {
                Ok(found) if found.problems.is_empty() => usable += 1,
                _ => refused += 1,
            }
        }
    }
    println!("{usable} usable, {refused} refused");
    assert!(usable > 1000 && refused > 1000);
}

fn on_the_host(vectors: &[u8], cases: usize) {
    let vectors = AlignedBytes::new(vectors);
    let arena = arena_bytes(vectors.as_ref()).expect("vectors");
    let mut arena = AlignedBytes::zeroed(arena as usize);
    let summary = run_vectors(vectors.as_ref(), arena.blocks_mut(), &mut ());
    let summary = summary.unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(summary.passed as usize, cases);
}

fn on_the_chip(vectors: &[u8], cases: usize) {
    let Some(elf) = env::var_os("FIXPOINT_SELFTEST").map(PathBuf::from) else {
        println!("skipped: no Xtensa build; run `cargo xtask firmware selftest`");
        return;
    };
    let text = selftest::on_xtensa(&elf, vectors);
    assert_eq!(text, format!("vectors: {cases} passed, 0 skipped\n"));
    print!("{text}");
}

fn table(told: &Told<'_>) -> String {
    let mut text = String::from(
        "# Forms of operators\n\n\
         Models of one operator in each of its forms (`tests/fixtures/operators`), with what ONNX's reference\n\
         evaluator makes of them. Written by `tests/tests/forms.rs`, which checks of each form below that\n\
         the import gives those values in float, that int16 is as near as its exponents allow, int8 within 15 dB,\n\
         and that the same images give the same bytes in the simulator, in the runtime on the host and in the\n\
         runtime that is compiled for Xtensa, with and without the vector unit (the `xtensa` stage).\n\
         *Conv*: of how many forms there is one behind a convolution too, where images are stored channels last.\n\n\
         | operator | forms | Conv | which |\n|---|---|---|---|\n",
    );
    const BEHIND: &str = ", behind Conv";
    for (op, (forms, _)) in told {
        let (behind, plain): (Vec<&str>, Vec<&str>) =
            forms.iter().partition(|form| form.ends_with(BEHIND));
        if !plain.is_empty() {
            let _ = writeln!(
                text,
                "| {op} | {} | {} | {} |",
                plain.len(),
                behind.len(),
                plain.join("; ")
            );
        }
    }
    text += "\n## Refused\n\n| operator | form | why |\n|---|---|---|\n";
    for (op, (_, refused)) in told {
        for (form, why) in refused.iter().filter(|(form, _)| !form.ends_with(BEHIND)) {
            // The node's name says nothing here.
            let why = why.split_once("): ").map_or(&why[..], |(_, why)| why);
            let _ = writeln!(text, "| {op} | {form} | {} |", why.replace('\n', " "));
        }
    }
    text
}

/// The table in the documentation is that of this run.
fn written(text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/quant/FORMS.md");
    if env::var_os("FIXPOINT_UPDATE").is_some() {
        fs::write(&file, text).expect("the file can be written");
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == text, "FORMS.md is not what this run gives");
}
