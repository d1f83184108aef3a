//! `fixpoint simulate`: a model image run exactly as the chip runs it.

use std::path::{Path, PathBuf};

use fixpoint_quant::{Imitation, RawOutput, Simulator, TensorInfo};

use crate::data::{self, Data, PreprocessArgs};
use crate::failure::Failure;
use crate::files::{self, Batch, BatchValues};
use crate::quantize::ChipArg;
use crate::terminal::{Bar, note};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model image that 'fixpoint quantize' wrote
    #[arg(value_name = "MODEL.fxp")]
    model: PathBuf,
    /// Samples, along axis 0; of a model with several inputs an .npz with one array for each, called
    /// as the input is or x_0, x_1, ...
    #[arg(long, value_name = "X.npy|X.npz")]
    input: PathBuf,
    /// Where the first output (.npy) or all outputs by name (.npz) go
    #[arg(long, value_name = "Y.npy|Y.npz")]
    output: PathBuf,
    /// Integers in (in the model's input exponent, ONNX order) and integers out
    #[arg(long)]
    raw: bool,
    /// An image made with --arithmetic espdl, as this chip computes it [default: the one it was made
    /// for]
    #[arg(long)]
    chip: Option<ChipArg>,
    #[command(flatten)]
    preprocess: PreprocessArgs,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    files::check_array_path(&args.output)?;
    let bytes = files::read(&args.model)?;
    if Imitation::is(&bytes) {
        return imitate(args, &bytes);
    }
    let mut simulator = match args.chip {
        Some(chip) => Simulator::for_chip(&bytes, chip.into())
            .map_err(|e| Failure::from(e).about(&args.model))?,
        None => open(&args.model)?,
    };
    let inputs = simulator.inputs().to_vec();
    each_sample(args, &inputs, "integers", |outputs, sample| {
        let raw = match sample {
            Sample::Integers(values) => simulator.run_integers(values)?,
            Sample::Floats(values) => simulator.run_raw(values)?,
        };
        if outputs.is_empty() {
            *outputs = raw.iter().map(|r| empty(r, args.raw)).collect();
        }
        for (batch, one) in outputs.iter_mut().zip(&raw) {
            append(batch, one);
        }
        Ok(())
    })
}

/// Runs what ESP-DL's evaluator computes. Its values need not be whole, so --raw gives floats, in units of
/// the outputs' exponents.
fn imitate(args: &Args, bytes: &[u8]) -> Result<(), Failure> {
    let model = Imitation::from_bytes(bytes).map_err(|e| Failure::from(e).about(&args.model))?;
    if args
        .chip
        .is_some_and(|chip| !matches!(chip, ChipArg::Esp32s3))
    {
        return Err(Failure::usage("ESP-DL's evaluator knows the ESP32-S3 only")
            .help("quantize without --mimic-evaluator to predict another chip"));
    }
    let form = "floats in units of 2^exponent";
    each_sample(args, model.inputs(), form, |outputs, sample| {
        let results = match sample {
            Sample::Integers(values) => model.run_integers(values)?,
            Sample::Floats(values) => model.run_raw(values)?,
        };
        if outputs.is_empty() {
            let batch = |info: &TensorInfo| Batch {
                name: info.name.clone(),
                dims: info.dims.clone(),
                values: BatchValues::Float(Vec::new()),
            };
            *outputs = model.outputs().iter().map(batch).collect();
        }
        for ((batch, one), info) in outputs.iter_mut().zip(&results).zip(model.outputs()) {
            let scale = match args.raw {
                true => 1.0,
                // Two to the exponent, which is that of an i8.
                false => f64::from_bits(((1023 + info.exponent) as u64) << 52),
            };
            if let BatchValues::Float(all) = &mut batch.values {
                all.extend(one.data.iter().map(|v| (f64::from(*v) * scale) as f32));
            }
        }
        Ok(())
    })
}

/// One sample: a slice for each input.
enum Sample<'a> {
    /// The model's integers.
    Integers(&'a [&'a [i32]]),
    Floats(&'a [&'a [f32]]),
}

/// Runs every sample of the command and writes what `run` adds to the outputs. `form`: what --raw makes of
/// those.
fn each_sample(
    args: &Args,
    inputs: &[TensorInfo],
    form: &str,
    mut run: impl FnMut(&mut Vec<Batch>, Sample<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let inputs = data::inputs(inputs.iter().map(|t| (&*t.name, Some(&t.dims[..]))))?;
    let samples = data::load(&args.input, &inputs, &args.preprocess, None)?;
    let integers = raw_integers(args.raw, &samples, form);
    let mut outputs = Vec::new();
    let mut bar = Bar::new("simulating");
    for i in 0..samples.len() {
        bar.show(i, samples.len());
        if integers {
            let values = samples.integers(i);
            let slices: Vec<&[i32]> = values.iter().map(Vec::as_slice).collect();
            run(&mut outputs, Sample::Integers(&slices))?;
        } else {
            run(&mut outputs, Sample::Floats(&samples.sample(i)))?;
        }
    }
    drop(bar);
    files::write_outputs(&args.output, &outputs)
}

/// Reads a model image.
pub(crate) fn open(path: &Path) -> Result<Simulator, Failure> {
    let bytes = files::read(path)?;
    // Its sentence says all there is to do.
    Simulator::check(&bytes).map_err(|e| Failure::from(e).about(path))?;
    Simulator::new(&bytes).map_err(|e| {
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

/// Whether the samples are the model's integers already: with --raw, if they are whole numbers.
/// `output`: what the outputs are.
pub(crate) fn raw_integers(raw: bool, samples: &Data, output: &str) -> bool {
    if raw && !samples.is_integers() {
        note(&format!(
            "the input holds floats, which are quantized first; the output is {output}"
        ));
    }
    raw && samples.is_integers()
}
