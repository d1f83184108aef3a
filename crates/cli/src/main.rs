//! The `fixpoint` command: thin over the library crates. It reads files, calls, writes files.
//!
//! Exit codes: 0 done, 1 failed (with a sentence and often a `help:` line on stderr), 2 wrong
//! usage or not there yet. Results go to stdout, everything else to stderr.
#![forbid(unsafe_code)]

mod data;
mod emulate;
mod evaluate;
mod export_espdl;
mod export_flash;
mod failure;
mod files;
mod flash;
mod inspect;
mod model;
mod port;
mod predict;
mod quantize;
mod returning;
mod run;
mod serial;
mod simulate;
mod table;
mod terminal;
mod trace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Quantize ONNX models for the ESP32-S3, run them bit for bit, flash them.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show an ONNX model and whether it can be quantized
    Inspect(inspect::Args),
    /// Turn an ONNX model into a model image, with a report
    Quantize(quantize::Args),
    /// Run a model image exactly as the chip does
    Simulate(simulate::Args),
    /// What a model image will take on the chip, before it is flashed: an emulator's estimate
    Predict(predict::Args),
    /// Write C++ for ESP-DL v1: coefficients as its toolkit does, and the model's class
    ExportEspdl(export_espdl::Args),
    /// Measure accuracy; prints JSON
    Evaluate(evaluate::Args),
    /// Write runtime and model to an ESP32-S3, verify them and start it
    Flash(flash::Args),
    /// Write what is flashed as files for esp-web-tools and esptool
    ExportFlash(export_flash::Args),
    /// Run samples on a board that was flashed
    Run(run::Args),
    /// Boot a flash file in an emulated ESP32-S3
    #[command(alias = "board")]
    Emulate(emulate::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Inspect(args) => inspect::run(&args),
        Command::Quantize(args) => quantize::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::ExportEspdl(args) => export_espdl::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Flash(args) => flash::run(&args),
        Command::ExportFlash(args) => export_flash::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Emulate(args) => emulate::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit_code()
        }
    }
}
