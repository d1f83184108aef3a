//! `fixpoint export-espdl`: a model and its table in, C++ for ESP-DL v1 out.

use std::fs;
use std::path::PathBuf;

use fixpoint_quant::export_espdl;

use crate::failure::Failure;
use crate::files;
use crate::model::SizeArgs;
use crate::quantize::{BitsArg, ChipArg, GranularityArg};
use crate::table;
use crate::terminal::note;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// Exponents: a report.json, a JSON object of exponents by name, or the toolkit's .pickle
    #[arg(long, value_name = "report.json|X.pickle")]
    table: PathBuf,
    /// The chip to export for
    #[arg(long, value_name = "CHIP")]
    chip: ChipArg,
    /// Width of weights and activations [default: the table's]
    #[arg(long, value_name = "8|16")]
    bits: Option<BitsArg>,
    /// Where the table doesn't tell it: whether it has one weight exponent for each tensor, or for each output channel
    #[arg(long)]
    granularity: Option<GranularityArg>,
    #[command(flatten)]
    sizes: SizeArgs,
    /// Folder for the C++ files
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Name of the C++ files
    #[arg(long, value_name = "N")]
    name: String,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let model = args.sizes.read(&args.model, false)?;
    let mut table = table::read(&args.table, &model, args.bits)?;
    if let Some(granularity) = args.granularity {
        table = (table.of_granularity(granularity.into(), &model))
            .map_err(|e| Failure::usage(e.to_string()).about(&args.table))?;
    }
    let folder = args.out.to_string_lossy();
    let export = export_espdl(&model, &table, args.chip.into(), &folder, &args.name)
        .map_err(|e| Failure::new(e.to_string()))?;
    fs::create_dir_all(&args.out).map_err(|e| Failure::io("create", &args.out, &e))?;
    for file in &export.files {
        files::write(&args.out.join(&file.name), file.contents.as_bytes())?;
    }
    print!("{}", export.log);
    for warning in &export.warnings {
        note(warning);
    }
    Ok(())
}
