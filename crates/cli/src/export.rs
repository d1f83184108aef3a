//! `fixpoint export-espdl`: the interface is fixed; the exporter is still to come.

use std::path::PathBuf;

use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// Exponents: a report.json, or the toolkit's .pickle
    #[arg(long, value_name = "report.json|X.pickle")]
    table: PathBuf,
    /// The chip to export for
    #[arg(long, value_name = "CHIP")]
    chip: String,
    /// Folder for the C++ files
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Name of the C++ files
    #[arg(long, value_name = "N")]
    name: String,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    Err(Failure::not_yet(&format!(
        "export of {} for ESP-DL ({}, table {}, as {} in {})",
        args.model.display(),
        args.chip,
        args.table.display(),
        args.name,
        args.out.display(),
    ))
    .help("'fixpoint quantize --arithmetic espdl' predicts what ESP-DL computes"))
}
