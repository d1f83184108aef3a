//! Programs that come from crates.io, installed under `target/tools/bin`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::paths;
use crate::run;

/// The folder the programs are in.
pub(crate) fn bin() -> PathBuf {
    paths::tools().join("bin")
}

fn program(name: &str) -> PathBuf {
    bin().join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// `wasm-bindgen` and its test runner, of exactly the version the crates are locked to: the two
/// sides of the generated interface only fit each other.
///
/// # Errors
/// When the lock file doesn't name wasm-bindgen, or the installation fails.
pub(crate) fn wasm_bindgen() -> Result<PathBuf> {
    let version = locked("wasm-bindgen")?;
    install("wasm-bindgen", "wasm-bindgen-cli", &version)
}

/// `wasm-pack`, for the tests in the browser.
///
/// # Errors
/// When the installation fails.
pub(crate) fn wasm_pack() -> Result<PathBuf> {
    install("wasm-pack", "wasm-pack", "0.15.1")
}

fn install(name: &str, package: &str, version: &str) -> Result<PathBuf> {
    let program = program(name);
    let answer = run::captured(Command::new(&program).arg("--version")).unwrap_or_default();
    if answer.split_whitespace().nth(1) == Some(version) {
        return Ok(program);
    }
    let mut cargo = run::cargo();
    cargo
        .args([
            "install",
            package,
            "--version",
            version,
            "--force",
            "--root",
        ])
        .arg(paths::tools())
        // Kept in place of a temporary folder, so that an interrupted installation resumes.
        .env("CARGO_TARGET_DIR", paths::tools().join("build"));
    run::logged(
        &format!("set-up: cargo install {package} {version} (once)"),
        &mut cargo,
    )?;
    Ok(program)
}

/// The version of `package` in the workspace's lock file.
fn locked(package: &str) -> Result<String> {
    let lock = std::fs::read_to_string(paths::root().join("Cargo.lock"))?;
    find_locked(&lock, package).with_context(|| format!("Cargo.lock doesn't name {package}"))
}

fn find_locked(lock: &str, package: &str) -> Option<String> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name);
    let version = lines.nth(1)?.strip_prefix("version = \"")?;
    Some(version.trim_end_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::find_locked;

    #[test]
    fn locked_version_is_that_of_the_whole_name() {
        let lock = "[[package]]\nname = \"a-b\"\nversion = \"2.0.0\"\n\n[[package]]\nname = \"a\"\nversion = \"1.2.3\"\n";
        assert_eq!(find_locked(lock, "a").as_deref(), Some("1.2.3"));
        assert_eq!(find_locked(lock, "c"), None);
    }
}
