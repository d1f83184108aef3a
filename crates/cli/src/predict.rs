//! `fixpoint predict`: what a model will take on the chip, before anything is flashed.

use std::path::PathBuf;

use fixpoint_board::{PredictError, Prediction};
use fixpoint_flash::{manifest, plan};
use fixpoint_protocol::Constants;
use fixpoint_quant::Simulator;

use crate::failure::Failure;
use crate::flash::{Firmware, read_model};

/// Boots the firmware with the model in the emulator, runs it once on zeros, and prints estimated cycles
/// and milliseconds of each layer; says what doesn't fit.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model image from `fixpoint quantize`
    #[arg(value_name = "DIR/model.fxp")]
    model: PathBuf,
    /// Folder with bootloader.bin, partition-table.bin and runtime.bin to use instead of the built-in firmware
    #[arg(long, value_name = "DIR")]
    firmware: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let model = read_model(&args.model)?;
    let firmware = Firmware::load(args.firmware.as_deref())?;
    let prediction = predict(&model.bytes, &firmware).map_err(Failure::new)?;
    let simulator = Simulator::new(&model.bytes)?;
    let layers = simulator.layers()?;
    let ms = |cycles: f64| cycles * 1000.0 / f64::from(prediction.cpu_hz.max(1));
    println!(
        "{:>5} {:<18} {:>12} {:>12} {:>9}  name",
        "layer", "operator", "MAC", "cycles", "ms"
    );
    let counts = prediction.inference.layer_cycles.iter();
    for (at, (layer, cycles)) in layers.iter().zip(counts).enumerate() {
        println!(
            "{at:>5} {:<18} {:>12} {cycles:>12} {:>9.3}  {}",
            layer.operator,
            layer.macs,
            ms((*cycles).into()),
            layer.name
        );
    }
    println!("{}", summary(&prediction));
    Ok(())
}

/// A line about the whole.
pub(crate) fn summary(prediction: &Prediction) -> String {
    let (needed, internal) = (prediction.arena_needed, prediction.arena_available);
    let fits = match prediction.needs_psram() {
        false => format!("fits: {needed} of {internal} bytes for tensors"),
        true => format!(
            "runs partly from PSRAM, slower, and needs a board that has one: {needed} bytes for tensors, \
             {internal} are internal"
        ),
    };
    let constants = match prediction.constants {
        Constants::Flash => "read from flash in every run, but for those that fit internal memory",
        Constants::Internal => "copied to internal memory",
        Constants::Psram => "copied to internal memory as far as they fit, the rest to PSRAM",
    };
    format!(
        "on an ESP32-S3 at {} MHz about {:.2} ms ({} cycles, the emulator's estimate); {fits}; weights \
         {constants}",
        prediction.cpu_hz / 1_000_000,
        prediction.milliseconds(),
        prediction.inference.cycles,
    )
}

/// Runs `image` once, on zeros, on `firmware`.
///
/// # Errors
/// A sentence: what doesn't fit, or why there is no prediction.
pub(crate) fn predict(image: &[u8], firmware: &Firmware) -> Result<Prediction, String> {
    // A model that is too large for its place is refused here.
    let plan = plan::standard(&firmware.prebuilt(), Some(image)).map_err(|e| e.to_string())?;
    let flash = manifest::merged(&manifest::parts(&plan)).map_err(|e| e.to_string())?;
    let simulator = Simulator::new(image).map_err(|e| e.to_string())?;
    let inputs = (simulator.inputs().iter())
        .map(|input| vec![0; input.dims.iter().product::<usize>() * input.bits as usize / 8])
        .collect();
    fixpoint_board::predict(flash, inputs).map_err(|error| match error {
        PredictError::Problem(problem) => problem.to_string(),
        PredictError::Link(error) => format!("the emulated chip gave no result: {error}"),
    })
}
