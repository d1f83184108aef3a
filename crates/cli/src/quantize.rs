//! `fixpoint quantize`: an ONNX model and samples in, a model image and a report out.

use std::fs;
use std::path::PathBuf;

use clap::ValueEnum;
use fixpoint_dataset::pickle;
use fixpoint_quant::{
    Arithmetic, Bits, Chip, FloatModel, Granularity, Method, Options, QuantError, Request, Samples,
    Stage, Table, quantize,
};

use crate::data::{self, PreprocessArgs};
use crate::failure::Failure;
use crate::files;
use crate::flash::Firmware;
use crate::model::SizeArgs;
use crate::predict;
use crate::table;
use crate::terminal::{Bar, note};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// Calibration samples: .npz, .npy, a folder or zip of images, or an idx file; of a model with
    /// several inputs an .npz with one array for each, called as the input is or x_0, x_1, ... A
    /// model that is quantized already needs none
    #[arg(long, value_name = "DATA")]
    calib: Option<PathBuf>,
    /// Width of weights and activations [default: 8, or a quantized model's own]
    #[arg(long, value_name = "8|16")]
    bits: Option<BitsArg>,
    /// One weight exponent for each tensor, or for each output channel [default: per-channel with
    /// mse for 8 bits in the fixpoint arithmetic, per-tensor otherwise and with a --method]
    #[arg(long)]
    granularity: Option<GranularityArg>,
    /// How ranges are chosen from the calibration data [default: mse for 8 bits in the fixpoint
    /// arithmetic, minmax otherwise and with a --granularity]
    #[arg(long)]
    method: Option<MethodArg>,
    /// Whose rounding rules the image uses [default: fixpoint]
    #[arg(long)]
    arithmetic: Option<ArithmeticArg>,
    /// Exponent of the model's input, instead of the calibrated one
    #[arg(long, value_name = "E", allow_negative_numbers = true)]
    input_exponent: Option<i8>,
    /// Exponents of a quantization table instead of calibrated ones: a report.json, exponents by
    /// tensor name in JSON, or the ESP-DL toolkit's pickle. Width and granularity are the table's
    #[arg(long, value_name = "TABLE", conflicts_with_all = ["granularity", "method", "input_exponent"])]
    table: Option<PathBuf>,
    /// The chip to predict, with --arithmetic espdl [default: esp32s3]
    #[arg(long)]
    chip: Option<ChipArg>,
    /// With --arithmetic espdl: what ESP-DL's evaluator computes where the chip differs
    #[arg(long)]
    mimic_evaluator: bool,
    /// Use at most so many samples
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Quantize a model anew that is quantized already, from the values of its weights
    #[arg(long)]
    requantize: bool,
    #[command(flatten)]
    sizes: SizeArgs,
    /// Folder for model.fxp and report.json
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Write the quantization table as ESP-DL's toolkit keeps it, too
    #[arg(long, value_name = "X.pickle")]
    pickle: Option<PathBuf>,
    #[command(flatten)]
    preprocess: PreprocessArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum BitsArg {
    #[value(name = "8")]
    Eight,
    #[value(name = "16")]
    Sixteen,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum GranularityArg {
    PerTensor,
    PerChannel,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum MethodArg {
    Minmax,
    Entropy,
    Percentile,
    Mse,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ArithmeticArg {
    /// Exact accumulation and one rounding: what the firmware runs
    Fixpoint,
    /// ESP-DL's own rules, to predict what it computes
    Espdl,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ChipArg {
    Esp32,
    Esp32s2,
    Esp32s3,
    Esp32c3,
}

impl From<BitsArg> for Bits {
    fn from(arg: BitsArg) -> Self {
        match arg {
            BitsArg::Eight => Bits::I8,
            BitsArg::Sixteen => Bits::I16,
        }
    }
}

impl From<GranularityArg> for Granularity {
    fn from(arg: GranularityArg) -> Self {
        match arg {
            GranularityArg::PerTensor => Granularity::PerTensor,
            GranularityArg::PerChannel => Granularity::PerChannel,
        }
    }
}

impl From<ChipArg> for Chip {
    fn from(arg: ChipArg) -> Self {
        match arg {
            ChipArg::Esp32 => Chip::Esp32,
            ChipArg::Esp32s2 => Chip::Esp32S2,
            ChipArg::Esp32s3 => Chip::Esp32S3,
            ChipArg::Esp32c3 => Chip::Esp32C3,
        }
    }
}

impl Args {
    /// What isn't asked for is the library's choice.
    fn options(&self) -> Options {
        let request = Request {
            bits: self.bits.map(Bits::from),
            granularity: self.granularity.map(Granularity::from),
            method: self.method.map(|method| match method {
                MethodArg::Minmax => Method::MinMax,
                MethodArg::Entropy => Method::Entropy,
                MethodArg::Percentile => Method::Percentile,
                MethodArg::Mse => Method::Mse,
            }),
            arithmetic: self.arithmetic.map(|arithmetic| match arithmetic {
                ArithmeticArg::Fixpoint => Arithmetic::Fixpoint,
                ArithmeticArg::Espdl => Arithmetic::Espdl,
            }),
            input_exponent: self.input_exponent,
            chip: self.chip.map(Chip::from),
            mimic_evaluator: Some(self.mimic_evaluator),
        };
        request.options()
    }

    /// Refuses what a model that is quantized already leaves no choice about, and a float model
    /// without samples.
    fn check(&self, model: &FloatModel) -> Result<(), Failure> {
        if !model.problems().is_empty() {
            return Err(QuantError::Model(model.problems().to_vec()).into());
        }
        if !model.is_given() {
            return match (&self.calib, &self.table) {
                (None, None) => Err(Failure::usage("--calib is missing").help(
                    "give samples to find the ranges with, 100 are good, or a --table that has them",
                )),
                _ => Ok(()),
            };
        }
        let asked = [
            ("--bits", self.bits.is_some()),
            ("--granularity", self.granularity.is_some()),
            ("--method", self.method.is_some()),
            ("--input-exponent", self.input_exponent.is_some()),
            ("--table", self.table.is_some()),
        ];
        match asked.iter().find(|(_, asked)| *asked) {
            Some((option, _)) => Err(Failure::usage(format!(
                "{option} can't change a model that is quantized already"
            ))
            .help("leave it out to take the model as it is, or add --requantize")),
            None => Ok(()),
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let bytes = files::read(&args.model)?;
    let model = args.sizes.parse(&bytes, &args.model, args.requantize)?;
    args.check(&model)?;
    let model = match &args.table {
        Some(path) => {
            let table = table::read(path, &model, args.bits)?;
            (table.warnings.iter()).for_each(|warning| note(warning));
            let tabled = model.with_table(&table);
            tabled.map_err(|e| Failure::new(e.to_string()).about(path))?
        }
        None => model,
    };
    let samples = match &args.calib {
        Some(path) => {
            let inputs = data::inputs_of(&model)?;
            Some(data::load(path, &inputs, &args.preprocess, args.limit)?)
        }
        None => None,
    };
    let view = match &samples {
        Some(samples) => samples.view()?,
        None => Samples::none(),
    };

    let mut bar = Bar::new("calibrating");
    let quantized = quantize(&model, &view, &args.options(), &mut |p| {
        bar.rename(match p.stage {
            Stage::Calibrate => "calibrating",
            Stage::Convert => "converting",
            Stage::Measure => "measuring",
        });
        bar.show(p.done, p.total);
    });
    drop(bar);
    let quantized = quantized?;

    let report = serde_json::to_string_pretty(&quantized.report)
        .map_err(|e| Failure::new(format!("can't write the report: {e}")))?;
    fs::create_dir_all(&args.out).map_err(|e| Failure::io("create", &args.out, &e))?;
    files::write(
        &args.out.join("report.json"),
        format!("{report}\n").as_bytes(),
    )?;
    let imitation = quantized.imitation.as_ref().map(|i| i.to_bytes(&bytes));
    files::write(
        &args.out.join("model.fxp"),
        imitation.as_ref().unwrap_or(&quantized.image),
    )?;
    if let Some(path) = &args.pickle {
        files::write(
            path,
            &pickle::write_table(
                &Table::from(&quantized.report).scales(),
                &model.table_arrays(quantized.report.options.granularity),
            ),
        )?;
    }
    print!("{}", quantized.log);
    if !quantized.log.ends_with('\n') {
        println!();
    }
    for warning in &quantized.report.warnings {
        note(warning);
    }
    if quantized.report.options.arithmetic == Arithmetic::Fixpoint {
        match predict::predict(&quantized.image, &Firmware::load(None)?) {
            Ok(prediction) => note(&predict::summary(&prediction)),
            Err(problem) => note(&format!("before it is flashed: {problem}")),
        }
    }
    Ok(())
}
