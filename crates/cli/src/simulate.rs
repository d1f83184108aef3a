//! `fixpoint simulate`: a model image run exactly as the chip runs it.

use std::path::{Path, PathBuf};

use fixpoint_dataset::npy::Array;
use fixpoint_quant::{RawOutput, Simulator};

use crate::data::{self, PreprocessArgs};
use crate::failure::Failure;
use crate::files::{self, Batch, BatchValues};
use crate::terminal::{Bar, note};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model image that 'fixpoint quantize' wrote
    #[arg(value_name = "MODEL.fxp")]
    model: PathBuf,
    /// Samples, along axis 0
    #[arg(long, value_name = "X.npy")]
    input: PathBuf,
    /// Where the first output (.npy) or all outputs by name (.npz) go
    #[arg(long, value_name = "Y.npy|Y.npz")]
    output: PathBuf,
    /// Integers in (in the model's input exponent, ONNX order) and integers out
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    preprocess: PreprocessArgs,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    files::check_array_path(&args.output)?;
    let mut simulator = open(&args.model)?;
    let dims: Vec<_> = simulator
        .inputs()
        .iter()
        .map(|t| Some(&t.dims[..]))
        .collect();
    let dims = data::only_input(&dims)?;
    let integers = args.raw && holds_integers(&args.input)?;
    if args.raw && !integers {
        note("the input holds floats, which are quantized first; the output is integers");
    }
    let samples = data::load(&args.input, &dims, &args.preprocess, None)?;

    let mut outputs: Vec<Batch> = Vec::new();
    let mut bar = Bar::new("simulating");
    for i in 0..samples.len() {
        bar.show(i, samples.len());
        let values = samples.sample(i);
        let raw = if integers {
            // At most 16 bits, which f32 carries exactly.
            let values: Vec<i32> = values.iter().map(|&v| v as i32).collect();
            simulator.run_integers(&[&values])?
        } else {
            simulator.run_raw(&[values])?
        };
        if outputs.is_empty() {
            outputs = raw.iter().map(|r| empty(r, args.raw)).collect();
        }
        for (batch, one) in outputs.iter_mut().zip(&raw) {
            append(batch, one);
        }
    }
    drop(bar);
    files::write_outputs(&args.output, &outputs)
}

/// Reads a model image.
pub(crate) fn open(path: &Path) -> Result<Simulator, Failure> {
    Simulator::new(&files::read(path)?).map_err(|e| {
        Failure::from(e)
            .about(path)
            .help("make the image with 'fixpoint quantize' of this version")
    })
}

/// A batch for outputs like this one: integers of its width, or floats.
pub(crate) fn empty(output: &RawOutput, raw: bool) -> Batch {
    let values = match (raw, output.bits) {
        (false, _) => BatchValues::Float(Vec::new()),
        (true, 8) => BatchValues::I8(Vec::new()),
        (true, _) => BatchValues::I16(Vec::new()),
    };
    Batch {
        name: output.name.clone(),
        dims: output.dims.clone(),
        values,
    }
}

/// Adds one sample's output. Integers of an image fit its element width by construction.
pub(crate) fn append(batch: &mut Batch, output: &RawOutput) {
    match &mut batch.values {
        BatchValues::Float(all) => all.extend(output.to_float().data),
        BatchValues::I8(all) => all.extend(output.data.iter().map(|&v| v as i8)),
        BatchValues::I16(all) => all.extend(output.data.iter().map(|&v| v as i16)),
    }
}

/// Whether the file is an array of whole numbers.
pub(crate) fn holds_integers(path: &Path) -> Result<bool, Failure> {
    if !path.is_file() {
        return Ok(false);
    }
    let array = Array::from_npy(files::read(path)?);
    Ok(array.is_ok_and(|a| a.element().is_integer()))
}
