//! Size budgets: what a visitor downloads, and what goes into the chip.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::firmware;
use crate::paths;
use crate::run::say;
use crate::wasm;

/// What is measured, and its limit in bytes. A limit is raised in the commit that needs it, with
/// the reason in its message.
const BUDGETS: [(&str, Measure, u64); 4] = [
    (
        "the module, as downloaded (gzip)",
        Measure::Module,
        4_820_000,
    ),
    (
        "the page's scripts, as downloaded (gzip)",
        Measure::Scripts,
        64_000,
    ),
    (
        "the page's styles, as downloaded (gzip)",
        Measure::Styles,
        12_000,
    ),
    (
        "the runtime image on the chip",
        Measure::Runtime,
        firmware::RUNTIME_BUDGET,
    ),
];

#[derive(Clone, Copy)]
enum Measure {
    Module,
    Scripts,
    Styles,
    Runtime,
}

/// Measures what has been built and compares it with the budgets.
///
/// # Errors
/// When something to measure isn't there, or is too large.
pub(crate) fn check() -> Result<()> {
    let mut over = 0;
    for (name, measure, limit) in BUDGETS {
        let bytes = measured(measure).with_context(|| format!("measure {name}"))?;
        let word = if bytes > limit { "OVER" } else { "within" };
        say(format!("size: {name}: {bytes} bytes, {word} {limit}"));
        over += usize::from(bytes > limit);
    }
    if over > 0 {
        bail!("{over} size budgets are exceeded (crates/xtask/src/sizes.rs)");
    }
    Ok(())
}

fn measured(measure: Measure) -> Result<u64> {
    match measure {
        Measure::Module => compressed(&[wasm::module()]),
        Measure::Scripts => compressed(&assets("js")?),
        Measure::Styles => compressed(&assets("css")?),
        Measure::Runtime => {
            Ok(fs::metadata(paths::root().join("firmware/prebuilt/runtime.bin"))?.len())
        }
    }
}

/// Files of the built page with this extension; a page without any is not a page.
fn assets(extension: &str) -> Result<Vec<PathBuf>> {
    let folder = paths::root().join("web/dist/assets");
    let files: Vec<PathBuf> = fs::read_dir(&folder)
        .with_context(|| format!("{} is not built", paths::shown(&folder)))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    if files.is_empty() {
        bail!("no .{extension} files in {}", paths::shown(&folder));
    }
    Ok(files)
}

fn compressed(files: &[PathBuf]) -> Result<u64> {
    let mut total = 0;
    for file in files {
        let bytes = fs::read(file).with_context(|| format!("read {}", paths::shown(file)))?;
        // Raw deflate: gzip's header and trailer add 18 bytes.
        total += miniz_oxide::deflate::compress_to_vec(&bytes, 6).len() as u64 + 18;
    }
    Ok(total)
}
