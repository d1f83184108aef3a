//! The ONNX project's tests of single nodes: in float through our import the expected outputs, in
//! int16 within what the exponents allow, and a sentence for each that is refused. The table of it
//! is `OPERATORS.md`; `FIXPOINT_UPDATE=1` writes it anew.
//!
//! The tests come with the Python package `onnx` up to 1.18: `FIXPOINT_ONNX_NODES` names the folder
//! `onnx/backend/test/data/node`. A few of the same form are in this repository.

#[path = "support/nodes.rs"]
mod nodes;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use fixpoint_quant::{
    Bits, FloatModel, Granularity, Method, Options, Samples, Simulator, quantize,
};
use nodes::Case;

/// Operators that the table lists.
const OPERATORS: &[&str] = &[
    "Abs",
    "Add",
    "ArgMax",
    "ArgMin",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Ceil",
    "Celu",
    "Clip",
    "Concat",
    "Constant",
    "Conv",
    "ConvTranspose",
    "DepthToSpace",
    "Div",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Floor",
    "GRU",
    "Gather",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LSTM",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "MatMul",
    "Max",
    "MaxPool",
    "Mean",
    "Min",
    "Mish",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "Pow",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceSum",
    "ReduceSumSquare",
    "Relu",
    "Reshape",
    "Resize",
    "Round",
    "Selu",
    "Shape",
    "Sigmoid",
    "Sign",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Tanh",
    "ThresholdedRelu",
    "Tile",
    "Transpose",
    "Unsqueeze",
    "Upsample",
];

enum Outcome {
    Passes,
    Refused(String),
    Wrong(String),
}

fn run(case: &Case) -> Outcome {
    let model = match FloatModel::from_onnx(&case.model) {
        Ok(model) => model,
        Err(e) => return Outcome::Refused(e.to_string()),
    };
    if let Some(problem) = model.problems().first() {
        return Outcome::Refused(problem.clone());
    }
    // A batch that was taken one sample at a time.
    let elements: usize = model.inputs()[0].dims.iter().flatten().product();
    let samples = case.inputs[0].data.len() / elements.max(1);
    for i in 0..samples {
        let part = |data: &[f32]| data.chunks(data.len() / samples).nth(i).unwrap().to_vec();
        let x: Vec<_> = case.inputs.iter().map(|v| part(&v.data)).collect();
        let y: Vec<_> = case.outputs.iter().map(|v| part(&v.data)).collect();
        let x: Vec<&[f32]> = x.iter().map(Vec::as_slice).collect();
        match sample(&model, &x, &y) {
            Outcome::Passes => {}
            other => return other,
        }
    }
    Outcome::Passes
}

fn sample(model: &FloatModel, x: &[&[f32]], y: &[Vec<f32>]) -> Outcome {
    let runner = match model.runner() {
        Ok(runner) => runner,
        Err(e) => return Outcome::Refused(e.to_string()),
    };
    let float = match runner.run(x) {
        Ok(float) => float,
        Err(e) => return Outcome::Wrong(format!("float: {e}")),
    };
    for (got, want) in float.iter().zip(y) {
        if got.data.len() != want.len() {
            return Outcome::Wrong(format!("float: {:?}, not {}", got.dims, want.len()));
        }
        for (a, b) in got.data.iter().zip(want) {
            if (a - b).abs() > 1e-3 * b.abs().max(1.0) {
                return Outcome::Wrong(format!("float: {a} instead of {b}"));
            }
        }
    }
    integers(model, x)
}

/// int16 on what the integers of the inputs stand for: a step of every layer's output, and half a
/// step of every weight times the largest input.
fn integers(model: &FloatModel, x: &[&[f32]]) -> Outcome {
    let samples = Samples::new(x.iter().map(|d| (*d, d.len())).collect()).unwrap();
    let options = Options {
        bits: Bits::I16,
        granularity: Granularity::PerTensor,
        method: Method::MinMax,
        ..Options::default()
    };
    let q = match quantize(model, &samples, &options, &mut |_| ()) {
        Ok(q) => q,
        Err(e) => return Outcome::Refused(e.to_string()),
    };
    let mut simulator = Simulator::new(&q.image).unwrap();
    let step = |e: i32| libm::exp2(f64::from(e));
    let seen: Vec<Vec<f32>> = (simulator.inputs().iter().zip(x))
        .map(|(info, x)| {
            let step = step(info.exponent);
            (x.iter())
                .map(|v| {
                    ((f64::from(*v) / step)
                        .round_ties_even()
                        .clamp(-32768.0, 32767.0)
                        * step) as f32
                })
                .collect()
        })
        .collect();
    let seen: Vec<&[f32]> = seen.iter().map(Vec::as_slice).collect();
    let exact = model.runner().unwrap().run(&seen).unwrap();
    let largest = |v: &[f32]| v.iter().fold(0.0f64, |m, v| m.max(f64::from(v.abs())));
    let x_max = seen.iter().map(|v| largest(v)).fold(1.0, f64::max);
    let mut bound = 0.0;
    for layer in &q.report.layers {
        bound += 1.5 * step(layer.output_exponent);
        if let Some(e) = layer.weight_exponents.first() {
            let elements: usize = layer.output_dims.iter().product();
            let taps = (layer.macs as usize / elements.max(1)).max(1);
            bound += taps as f64 * x_max * step(*e) / 2.0;
        }
    }
    // A stored operand has its own exponent, fitted to its largest value.
    if x.len() == 1 {
        bound += x_max * x_max * step(-15);
    }
    let got = simulator.run(&seen).unwrap();
    for (got, exact) in got.iter().zip(&exact) {
        for (a, b) in got.data.iter().zip(&exact.data) {
            // The last bit of a range that the calibration saw may saturate.
            let error = f64::from((a - b).abs());
            if error > bound + 1e-6 * f64::from(b.abs()) {
                return Outcome::Wrong(format!("int16: {a} instead of {b}, {bound:.2e} allowed"));
            }
        }
    }
    Outcome::Passes
}

#[derive(Default)]
struct Row {
    passes: usize,
    refused: Vec<(String, String)>,
    other: BTreeMap<String, usize>,
}

fn walk(root: &Path) -> (BTreeMap<String, Row>, Vec<String>) {
    let mut folders: Vec<PathBuf> = (std::fs::read_dir(root).unwrap())
        .map(|f| f.unwrap().path())
        .collect();
    folders.sort();
    let (mut rows, mut wrong) = (BTreeMap::<String, Row>::new(), Vec::new());
    for folder in folders {
        match nodes::load(&folder) {
            Some(Ok(case)) if OPERATORS.contains(&case.op.as_str()) => {
                let row = rows.entry(case.op.clone()).or_default();
                match run(&case) {
                    Outcome::Passes => row.passes += 1,
                    Outcome::Refused(why) => row.refused.push((case.name, why)),
                    Outcome::Wrong(how) => wrong.push(format!("{}: {how}", case.name)),
                }
            }
            Some(Err((op, what))) if OPERATORS.contains(&op.as_str()) => {
                *rows.entry(op).or_default().other.entry(what).or_default() += 1;
            }
            _ => {}
        }
    }
    (rows, wrong)
}

fn table(rows: &BTreeMap<String, Row>) -> String {
    let mut text = String::from(
        "# Operators\n\n\
         What the ONNX project's own tests of single nodes say, by operator. Written by\n\
         `crates/quant/tests/onnx_nodes.rs` from the node tests in the Python package `onnx` 1.18.0; the test\n\
         checks that this file is what a run gives. *Passes*: the import takes the node, in float it gives the\n\
         expected outputs, and in int16 they are within what the exponents allow. *Refused*: with the sentence\n\
         below. *Other data*: integer or string tensors, or none at all, which a quantizer of float models has\n\
         no use for, and float16 and double ones, which are read as float32. Weights and settings are given as stored tensors; so are all inputs\n\
         that are not float32. Opsets 7 and later are read, in the form that each has of an operator.\n\n\
         | operator | passes | refused | other data |\n|---|---|---|---|\n",
    );
    for (op, row) in rows {
        let other: usize = row.other.values().sum();
        let _ = writeln!(
            text,
            "| {op} | {} | {} | {other} |",
            row.passes,
            row.refused.len()
        );
    }
    text += "\n## Refusals\n\n| operator | tests | why |\n|---|---|---|\n";
    for (op, row) in rows {
        let mut whys: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (case, why) in &row.refused {
            // The node's name says nothing here.
            let why = why.split_once("): ").map_or(&why[..], |(_, why)| why);
            whys.entry(why).or_default().insert(case);
        }
        for (why, cases) in whys {
            let cases: Vec<&str> = cases
                .into_iter()
                .map(|c| c.trim_start_matches("test_"))
                .collect();
            let _ = writeln!(
                text,
                "| {op} | {} | {} |",
                cases.join(", "),
                why.replace('\n', " ").replace('|', "/")
            );
        }
    }
    text
}

#[test]
fn nodes_of_the_onnx_project() {
    let Some(root) = std::env::var_os("FIXPOINT_ONNX_NODES") else {
        support::note(
            "skipped: FIXPOINT_ONNX_NODES doesn't name onnx/backend/test/data/node of the Python \
             package onnx 1.18.0",
        );
        return;
    };
    let (rows, wrong) = walk(Path::new(&root));
    let text = table(&rows);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("OPERATORS.md");
    if std::env::var_os("FIXPOINT_UPDATE").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == text, "OPERATORS.md is not what this run gives");
}

/// Cases of this repository, all of which pass.
#[test]
fn nodes_of_this_repository() {
    let (rows, wrong) = walk(&support::fixture("nodes"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let refused: Vec<_> = rows.values().flat_map(|r| &r.refused).collect();
    assert!(refused.is_empty(), "{refused:?}");
    assert!(rows.values().map(|r| r.passes).sum::<usize>() >= 20);
}
