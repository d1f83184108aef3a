//! `fixpoint quantize`: an ONNX model and samples in, a model image and a report out.

use std::fs;
use std::path::PathBuf;

use clap::ValueEnum;
use fixpoint_quant::{Arithmetic, Bits, FloatModel, Granularity, Method, Options, Stage, quantize};

use crate::data::{self, PreprocessArgs};
use crate::failure::Failure;
use crate::files;
use crate::terminal::{Bar, note};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// Calibration samples: .npz, .npy, a folder or zip of images, or an idx file
    #[arg(long, value_name = "DATA")]
    calib: PathBuf,
    /// Width of weights and activations
    #[arg(long, value_name = "8|16", default_value = "8")]
    bits: BitsArg,
    /// One weight exponent for each tensor, or for each output channel
    #[arg(long)]
    granularity: Option<GranularityArg>,
    /// How ranges are chosen from the calibration data
    #[arg(long)]
    method: Option<MethodArg>,
    /// Whose rounding rules the image uses
    #[arg(long)]
    arithmetic: Option<ArithmeticArg>,
    /// Use at most so many samples
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Folder for model.fxp and report.json
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    preprocess: PreprocessArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum BitsArg {
    #[value(name = "8")]
    Eight,
    #[value(name = "16")]
    Sixteen,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum GranularityArg {
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

impl Args {
    /// What isn't asked for is the library's choice.
    fn options(&self) -> Options {
        let mut options = Options {
            bits: match self.bits {
                BitsArg::Eight => Bits::I8,
                BitsArg::Sixteen => Bits::I16,
            },
            ..Options::default()
        };
        if let Some(granularity) = self.granularity {
            options.granularity = match granularity {
                GranularityArg::PerTensor => Granularity::PerTensor,
                GranularityArg::PerChannel => Granularity::PerChannel,
            };
        }
        if let Some(method) = self.method {
            options.method = match method {
                MethodArg::Minmax => Method::MinMax,
                MethodArg::Entropy => Method::Entropy,
                MethodArg::Percentile => Method::Percentile,
                MethodArg::Mse => Method::Mse,
            };
        }
        if let Some(arithmetic) = self.arithmetic {
            options.arithmetic = match arithmetic {
                ArithmeticArg::Fixpoint => Arithmetic::Fixpoint,
                ArithmeticArg::Espdl => Arithmetic::Espdl,
            };
        }
        options
    }
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let bytes = files::read(&args.model)?;
    let model = FloatModel::from_onnx(&bytes).map_err(|e| Failure::from(e).about(&args.model))?;
    let dims: Vec<_> = model.inputs().iter().map(|v| v.dims.as_deref()).collect();
    let dims = data::only_input(&dims)?;
    let samples = data::load(&args.calib, &dims, &args.preprocess, args.limit)?;

    let mut bar = Bar::new("calibrating");
    let quantized = quantize(&model, &data::view(&samples)?, &args.options(), &mut |p| {
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
    files::write(&args.out.join("model.fxp"), &quantized.image)?;
    print!("{}", quantized.log);
    if !quantized.log.ends_with('\n') {
        println!();
    }
    for warning in &quantized.report.warnings {
        note(warning);
    }
    Ok(())
}
