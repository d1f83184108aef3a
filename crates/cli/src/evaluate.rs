//! `fixpoint evaluate`: accuracy of a float model or of a model image, as JSON.

use std::path::PathBuf;
use std::time::Instant;

use fixpoint_quant::{evaluate, evaluate_float};
use serde::Serialize;

use crate::data::{self, PreprocessArgs};
use crate::failure::Failure;
use crate::model::SizeArgs;
use crate::simulate;
use crate::terminal::{Bar, note};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A float model, or an image that 'fixpoint quantize' wrote
    #[arg(value_name = "MODEL.onnx|MODEL.fxp")]
    model: PathBuf,
    /// Samples with labels: .npz with x and y (of a model with several inputs: with an array for
    /// each, and y), a folder or zip with a sub-folder per class, idx
    #[arg(long, value_name = "EVAL.npz")]
    data: PathBuf,
    /// Use at most so many samples
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// A float model to compare the image's answers with
    #[arg(long, value_name = "MODEL.onnx")]
    reference: Option<PathBuf>,
    #[command(flatten)]
    sizes: SizeArgs,
    #[command(flatten)]
    preprocess: PreprocessArgs,
}

#[derive(Debug, Serialize)]
struct Figures {
    /// Fraction of right answers; null without labels.
    accuracy: Option<f64>,
    /// Samples.
    n: usize,
    /// Wall time of inference, reading not included.
    seconds: f64,
    /// Fraction of answers equal to the reference's.
    #[serde(skip_serializing_if = "Option::is_none")]
    agreement: Option<f64>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let is_image = args
        .model
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("fxp"));
    if !is_image && args.reference.is_some() {
        return Err(Failure::usage(
            "--reference compares a model image (.fxp) with its float model",
        ));
    }
    if is_image && args.reference.is_none() && !args.sizes.is_empty() {
        return Err(Failure::usage(
            "--size is for ONNX files, and a model image leaves no size open",
        ));
    }
    let mut simulator = if is_image {
        Some(simulate::open(&args.model)?)
    } else {
        None
    };
    let float_path = if is_image {
        args.reference.as_ref()
    } else {
        Some(&args.model)
    };
    let float = (float_path.map(|path| args.sizes.read(path, false))).transpose()?;
    if !is_image && float.as_ref().is_some_and(|f| f.quantization().is_some()) {
        note(
            "this model is quantized already; what is measured is the float model of its weights. \
             'fixpoint quantize' it to measure its integers",
        );
    }

    let inputs = match (&simulator, &float) {
        (Some(s), _) => data::inputs((s.inputs().iter()).map(|t| (&*t.name, Some(&t.dims[..]))))?,
        (None, Some(f)) => data::inputs_of(f)?,
        (None, None) => return Err(Failure::usage("there is no model to evaluate")),
    };
    let samples = data::load(&args.data, &inputs, &args.preprocess, args.limit)?;
    if samples.labels().is_none() && args.reference.is_none() {
        return Err(
            Failure::new("the data has no labels, so there is no accuracy")
                .about(&args.data)
                .help("give an .npz with x and y, or images in one sub-folder for each class"),
        );
    }
    let view = samples.view()?;
    let labels = samples.labels();

    let mut bar = Bar::new("float model");
    let start = Instant::now();
    let of_float = float.map(|f| evaluate_float(&f, &view, labels, &mut |d, t| bar.show(d, t)));
    let of_float = of_float.transpose()?;
    let mut seconds = start.elapsed().as_secs_f64();
    let result = match &mut simulator {
        Some(simulator) => {
            bar.rename("simulating");
            let reference = of_float.as_ref().map(|e| &e.predictions[..]);
            let start = Instant::now();
            let done = evaluate(simulator, &view, labels, reference, &mut |d, t| {
                bar.show(d, t)
            })?;
            seconds = start.elapsed().as_secs_f64();
            Some(done)
        }
        None => of_float,
    };
    drop(bar);
    let result = result.ok_or_else(|| Failure::usage("there is no model to evaluate"))?;
    let printed = Figures {
        accuracy: result.accuracy,
        n: result.n,
        seconds,
        agreement: result.agreement,
    };
    let json = serde_json::to_string(&printed);
    println!(
        "{}",
        json.map_err(|e| Failure::new(format!("can't print the result: {e}")))?
    );
    Ok(())
}
