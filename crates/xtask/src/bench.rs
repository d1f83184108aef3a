//! `cargo xtask bench`: figures that are published, measured again.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::setup::Browser;
use crate::{firmware, page, paths, run, wire};

/// `cargo xtask bench WHAT`.
///
/// # Errors
/// When there is no such bench, or it fails.
pub(crate) fn dispatch(words: &[&str]) -> Result<()> {
    match words {
        ["device"] => firmware::bench(false),
        ["device", "--layers"] => firmware::bench(true),
        ["wire"] => wire::bench(),
        ["accuracy"] => shown(&mut optimized("accuracy")?),
        ["accuracy", name] => shown(optimized("accuracy")?.arg(name)),
        ["emulator"] => emulator(),
        other => bail!(
            "`bench {}` is not there; there are device, wire, accuracy and emulator",
            other.join(" ")
        ),
    }
}

/// Instructions a second, natively and in a browser.
fn emulator() -> Result<()> {
    shown(&mut optimized("emulator-speed")?)?;
    let node = page::build()?;
    let browser = Browser::ready()?;
    let folder = paths::root().join("tests/e2e");
    node.install_packages("e2e", &folder)?;
    println!("\nin a browser:");
    let mut script = node.node();
    script.arg("speed.mjs").current_dir(folder);
    shown(script.env("CHROME", &browser.browser))
}

/// A program of `tests`, built with optimization.
fn optimized(name: &str) -> Result<Command> {
    let mut build = run::cargo();
    build
        .args(["build", "--release", "--package", "fixpoint-tests"])
        .args(["--bin", name])
        .env("CARGO_TARGET_DIR", paths::target());
    run::logged(&format!("build {name}, optimized"), &mut build)?;
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    Ok(run::clean(paths::target().join("release").join(file)))
}

/// Runs a program with its output on the terminal.
fn shown(program: &mut Command) -> Result<()> {
    let name = program.get_program().to_string_lossy().into_owned();
    let status = program.status().with_context(|| format!("start {name}"))?;
    if !status.success() {
        bail!("{name} ended with {status}");
    }
    Ok(())
}
