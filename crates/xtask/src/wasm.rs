//! The page's WebAssembly module: `crates/wasm` compiled, bound and put into `pkg/dist`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::paths;
use crate::run::{self, say};
use crate::setup::{WebToolchain, cargo_tools, web_toolchain::TARGET};
use crate::stamp::Stamp;

const PROFILE: &str = "web";

/// The folder of generated files: the module, its JavaScript and its types.
pub(crate) fn dist() -> PathBuf {
    paths::root().join("pkg/dist")
}

/// The module as the page loads it.
pub(crate) fn module() -> PathBuf {
    dist().join("fixpoint_wasm_bg.wasm")
}

/// Compiles and binds what has changed.
///
/// # Errors
/// When a tool can't be had, or the compilation fails.
pub(crate) fn build() -> Result<()> {
    let toolchain = WebToolchain::ready()?;
    let bindgen = cargo_tools::wasm_bindgen()?;

    let mut cargo = toolchain.cargo();
    cargo.args([
        "build",
        "--package",
        "fixpoint-wasm",
        "--target",
        TARGET,
        "--profile",
        PROFILE,
    ]);
    say(format!("wasm: using {}", toolchain.name));
    run::logged("wasm: compile the page's module", &mut cargo)?;

    let compiled = paths::wasm_target()
        .join(TARGET)
        .join(PROFILE)
        .join("fixpoint_wasm.wasm");
    let stamp = Stamp::of("wasm-bindgen", &[compiled.clone(), bindgen.clone()], "");
    if stamp.is_current() && module().exists() {
        return Ok(());
    }
    let mut bind = Command::new(&bindgen);
    bind.args(["--target", "web", "--out-dir"])
        .arg(dist())
        .arg(&compiled);
    fs::create_dir_all(dist())?;
    run::logged("wasm: bind it for the page", &mut bind)
        .with_context(|| format!("wasm-bindgen on {}", paths::shown(&compiled)))?;
    stamp.save()
}
