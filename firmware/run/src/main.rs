//! What `cargo run` does in this workspace. The firmware's images are not made by cargo alone (see
//! `crates/xtask/src/firmware/compile.rs`), so no runner could be given an executable of it; this hands
//! over to `cargo xtask firmware run`, with the same arguments, and runs on the host.

use std::env;
use std::path::Path;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["xtask", "firmware", "run"])
        .args(env::args_os().skip(1))
        .current_dir(root)
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: cargo can't be started: {error}");
            ExitCode::FAILURE
        }
    }
}
