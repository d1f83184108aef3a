//! The firmware: built, measured, run in the emulator and in QEMU, and compared with what is committed.
//!
//! `firmware/prebuilt/` holds the images of the last release, so that the page can be built and
//! served without any of the tools here.

mod compile;
mod constants;
mod loops;
mod object;
mod prebuilt;
mod shorten;
mod toolchain;
mod vector;
mod wrapper;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::paths;
use crate::run::{self, say};
use toolchain::Toolchain;
pub(crate) use wrapper::stand_in_for_rustc;

/// What the runtime image may take of its partition: it is sent over a serial line. 128 KiB are wanted at most.
pub(crate) const RUNTIME_BUDGET: u64 = 128 * 1024;

/// Flash of the emulated board, and where its first model partition is by the default table.
const FLASH_BYTES: usize = 4 << 20;
const MODEL_OFFSET: usize = 0x10_0000;

/// `cargo xtask firmware [VERB]`.
///
/// # Errors
/// When the verb is unknown or what it does fails.
pub(crate) fn dispatch(words: &[&str]) -> Result<()> {
    match words {
        [] | ["build"] => build().map(|_| ()),
        ["selftest"] => selftest(),
        ["run"] => emulate(None),
        ["run", model] => emulate(Some(model)),
        ["check"] => prebuilt::check(&build()?),
        ["update"] => prebuilt::update(&build()?),
        other => bail!(
            "`firmware {}` is not a verb; there are build, run, selftest, check and update",
            other.join(" ")
        ),
    }
}

/// Builds the images for the chip; the folder they are in.
fn build() -> Result<PathBuf> {
    let toolchain = Toolchain::ready()?;
    let elf = compile::elf(&compile::APP, &toolchain)?;
    let images = compile::target_dir().join("images");
    let mut assemble = run::program("assemble-firmware")?;
    assemble.args([&elf, &images]).arg(version(&toolchain)?);
    for (tool, version) in toolchain.versions()? {
        assemble.arg(format!("{tool}={version}"));
    }
    run::logged("firmware: assemble the images", &mut assemble)?;

    let size = fs::metadata(images.join("runtime.bin"))?.len();
    say(format!(
        "firmware: runtime.bin has {size} bytes of {RUNTIME_BUDGET}"
    ));
    if size > RUNTIME_BUDGET {
        bail!("the runtime image is over its budget");
    }
    Ok(images)
}

/// Builds the firmware and boots it in the emulator, with the model image in the file `model`.
fn emulate(model: Option<&str>) -> Result<()> {
    let images = build()?;
    let mut flash = vec![0xFF; FLASH_BYTES];
    for (offset, file) in prebuilt::offsets(&images)? {
        place(&mut flash, offset, &fs::read(images.join(file))?)?;
    }
    if let Some(model) = model {
        let image = fs::read(model).with_context(|| model.to_owned())?;
        place(&mut flash, MODEL_OFFSET, &image)?;
    }
    let file = images.join("flash.bin");
    fs::write(&file, flash)?;
    let elf = compile::linked(&compile::APP);
    let mut fixpoint = run::program("fixpoint")?;
    fixpoint.args(["emulate", "--counts", "--flash"]).arg(file);
    let status = fixpoint.arg("--elf").arg(elf).status()?;
    if !status.success() {
        bail!("the emulator ended with {status}");
    }
    Ok(())
}

fn place(flash: &mut [u8], offset: usize, bytes: &[u8]) -> Result<()> {
    let place = offset.checked_add(bytes.len());
    let place = place.and_then(|end| flash.get_mut(offset..end));
    place
        .with_context(|| format!("{} bytes at {offset:#x} are beyond the flash", bytes.len()))?
        .copy_from_slice(bytes);
    Ok(())
}

/// The firmware's version, from its manifest.
fn version(toolchain: &Toolchain) -> Result<String> {
    let mut metadata = toolchain.cargo();
    metadata
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .arg("--manifest-path")
        .arg(paths::root().join("firmware/Cargo.toml"));
    let metadata: serde_json::Value = serde_json::from_str(&run::captured(&mut metadata)?)?;
    let version = metadata["packages"][0]["version"].as_str();
    Ok(version
        .context("cargo metadata tells no version of the firmware")?
        .to_owned())
}

/// Does what `cargo run` does in `firmware/`, with an input that has ended: the image is booted, greets,
/// finds no model, and the emulator ends where only a host could go on.
///
/// # Errors
/// When any of that isn't so.
pub(crate) fn check_runner() -> Result<()> {
    let title = "firmware: cargo run boots it in the emulator";
    let mut cargo = run::cargo();
    cargo.arg("run").current_dir(paths::root().join("firmware"));
    run::logged_within(title, Some(Duration::from_secs(10 * 60)), &mut cargo)?;
    let log = run::log_of(title);
    let text = fs::read_to_string(&log).with_context(|| log.display().to_string())?;
    for said in ["Fixpoint runtime ", "no model to run", " instructions"] {
        if !text.contains(said) {
            let log = paths::shown(&log);
            bail!("`cargo run` in firmware/ didn't print `{said}`; see {log}");
        }
    }
    Ok(())
}

/// Runs kernels and runtime, compiled for Xtensa, in QEMU and in the emulator, against the host (single
/// layers, networks, every form of every operator) and against the budgets of layers and networks.
fn selftest() -> Result<()> {
    let elf = compile::elf(&compile::SELFTEST, &Toolchain::ready()?)?;
    on_selftest(
        "firmware: selftest in QEMU and the emulator",
        "xtensa",
        &elf,
        false,
    )?;
    on_selftest("firmware: forms of operators", "forms", &elf, false)?;
    let elf = compile::elf(&compile::MEASURED, &Toolchain::ready()?)?;
    on_selftest("firmware: budgets of layers", "budgets", &elf, false)?;
    on_selftest("firmware: budgets of networks", "networks", &elf, false)?;
    on_two_cores().map(|_| ())
}

/// Runs the image for the chip on one core and on two; where the output is.
fn on_two_cores() -> Result<PathBuf> {
    let images = build()?;
    let mut test = test_of("second_core");
    // One test after another, as both print a table.
    test.args(["--test-threads", "1"]).env("FIRMWARE", images);
    logged("firmware: the image on one core and on two", &mut test)
}

/// `cargo xtask bench device`: prints what layers and networks cost on the chip, with `every_layer` every
/// layer of the networks, and what a second core saves.
///
/// # Errors
/// When the firmware can't be built or something is over its budget.
pub(crate) fn bench(every_layer: bool) -> Result<()> {
    let elf = compile::elf(&compile::MEASURED, &Toolchain::ready()?)?;
    let layers = on_selftest("firmware: measure layers", "budgets", &elf, false)?;
    print_table(&layers, "layer ")?;
    let networks = on_selftest("firmware: measure networks", "networks", &elf, every_layer)?;
    print_table(&networks, "network ")?;
    let both = on_two_cores()?;
    print_table(&both, "layer on two cores")?;
    print_table(&both, "network on two cores")
}

/// Prints a log from the line that begins with `start` to the end of the test that wrote it.
fn print_table(log: &Path, start: &str) -> Result<()> {
    let text = fs::read_to_string(log).with_context(|| log.display().to_string())?;
    for line in table(&text, start) {
        println!("{line}");
    }
    Ok(())
}

/// The lines of a table, of which the first may come behind the test's name.
fn table<'t>(text: &'t str, start: &str) -> impl Iterator<Item = &'t str> {
    let begins = |line: &str| line.starts_with(start) || line.contains(&format!(" ... {start}"));
    let at = text.lines().position(begins).unwrap_or(usize::MAX);
    let first = text.lines().skip(at).take(1);
    let first = first.map(|line| line.split_once(" ... ").map_or(line, |(_, line)| line));
    let rest = text.lines().skip(at.saturating_add(1));
    first.chain(rest.take_while(|line| !line.starts_with("test ") && !["", "ok"].contains(line)))
}

/// Runs one test of the workspace on the selftest's ELF; where its output is.
fn on_selftest(title: &str, name: &str, elf: &Path, every_layer: bool) -> Result<PathBuf> {
    let mut test = test_of(name);
    test.env("FIXPOINT_SELFTEST", elf);
    if every_layer {
        test.env("FIXPOINT_LAYERS", "1");
    }
    logged(title, &mut test)
}

/// One test of the workspace.
fn test_of(name: &str) -> Command {
    let mut test: Command = run::cargo();
    // All of the workspace, for the reason that `run::program` gives; one test has that name.
    test.args(["test", "--workspace", "--test", name])
        .args(["--", "--nocapture"]);
    test
}

fn logged(title: &str, test: &mut Command) -> Result<PathBuf> {
    let limit = Duration::from_secs(30 * 60);
    run::logged_within(title, Some(limit), test)?;
    Ok(run::log_of(title))
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn a_table_begins_behind_a_test_and_ends_with_it() {
        let text =
            "test a ... network x\none 1\nok\ntest b ... layer y\ntwo 2\nok\n\ntest result: ok";
        let of = |start| table(text, start).collect::<Vec<_>>();
        assert_eq!(of("layer "), ["layer y", "two 2"]);
        assert_eq!(of("network "), ["network x", "one 1"]);
        assert!(of("nothing").is_empty());
        assert_eq!(table("layer z\n1\ntest c ... ok", "layer ").count(), 2);
    }
}
