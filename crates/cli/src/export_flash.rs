//! `fixpoint export-flash`: what is flashed as files, for other people's tools.

use std::path::PathBuf;

use fixpoint_flash::manifest::{self, Manifest};
use fixpoint_flash::plan;

use crate::failure::Failure;
use crate::files;
use crate::flash::{Firmware, read_model};
use crate::terminal::note;

/// Writes manifest.json for esp-web-tools with the files it names, and flash.bin for
/// `esptool write-flash 0 flash.bin`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model image from `fixpoint quantize`
    #[arg(long, value_name = "DIR/model.fxp")]
    model: Option<PathBuf>,
    /// Folder for the files
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Name that the install page shows
    #[arg(long, default_value = "Fixpoint")]
    name: String,
    /// Folder with bootloader.bin, partition-table.bin and runtime.bin to use instead of the built-in firmware
    #[arg(long, value_name = "DIR")]
    firmware: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let firmware = Firmware::load(args.firmware.as_deref())?;
    let model = args.model.as_deref().map(read_model).transpose()?;
    let model = model.as_ref().map(|model| &model.bytes[..]);
    let plan = plan::standard(&firmware.prebuilt(), model)
        .map_err(|error| Failure::new(error.to_string()))?;
    let parts = manifest::parts(&plan);
    let merged = manifest::merged(&parts).map_err(|error| Failure::new(error.to_string()))?;
    std::fs::create_dir_all(&args.out).map_err(|error| Failure::io("create", &args.out, &error))?;
    for (name, _, bytes) in &parts {
        files::write(&args.out.join(name), bytes)?;
    }
    let manifest = Manifest::of(&args.name, env!("CARGO_PKG_VERSION"), &parts);
    files::write(
        &args.out.join("manifest.json"),
        manifest.to_json().as_bytes(),
    )?;
    files::write(&args.out.join("flash.bin"), &merged)?;
    note(&format!(
        "{} files in {}: serve the folder and name its manifest.json in <esp-web-install-button>, or run 'esptool write-flash 0 flash.bin'",
        parts.len() + 2,
        args.out.display()
    ));
    Ok(())
}
