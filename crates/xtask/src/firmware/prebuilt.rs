//! `firmware/prebuilt/` against a fresh build.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::paths;
use crate::run::say;

const MANIFEST: &str = "manifest.json";

fn folder() -> PathBuf {
    paths::root().join("firmware/prebuilt")
}

/// Compares the committed images with those in `built`.
///
/// # Errors
/// When bytes differ although all tools have the recorded versions, or when the committed files do
/// not match their own manifest. With other versions differing bytes are expected and only told.
pub(super) fn check(built: &Path) -> Result<()> {
    let (old, new) = (manifest(&folder())?, manifest(built)?);
    let mut differing = Vec::new();
    for file in files(&old)? {
        let committed = fs::read(folder().join(file)).with_context(|| file.to_owned())?;
        let fresh = fs::read(built.join(file)).with_context(|| file.to_owned())?;
        if committed != fresh {
            let first = committed.iter().zip(&fresh).position(|(a, b)| a != b);
            let place = first.map_or("at its end".to_owned(), |at| {
                format!("from byte {at:#x} on")
            });
            differing.push(format!("{file} {place}"));
        }
    }
    if old["files"] != new["files"] && differing.is_empty() {
        bail!("firmware/prebuilt/{MANIFEST} does not describe the files next to it");
    }
    if old["made_with"] != new["made_with"] {
        say(format!(
            "firmware: other tools than those of the prebuilt images ({} instead of {}), so bytes \
             may differ; they {}",
            new["made_with"],
            old["made_with"],
            if differing.is_empty() {
                "are the same"
            } else {
                "do"
            }
        ));
        return Ok(());
    }
    if !differing.is_empty() {
        bail!(
            "firmware/prebuilt/ is not what the sources give with the same tools: {}; run `cargo \
             xtask firmware update` and commit the result",
            differing.join(", ")
        );
    }
    say("firmware: the prebuilt images are what the sources give");
    Ok(())
}

/// Makes what is in `built` the committed images.
pub(super) fn update(built: &Path) -> Result<()> {
    for file in files(&manifest(built)?)?.into_iter().chain([MANIFEST]) {
        fs::copy(built.join(file), folder().join(file)).with_context(|| file.to_owned())?;
    }
    say("firmware: firmware/prebuilt/ is up to date; commit it");
    Ok(())
}

fn manifest(folder: &Path) -> Result<Value> {
    let path = folder.join(MANIFEST);
    let text = fs::read_to_string(&path).with_context(|| paths::shown(&path).to_string())?;
    serde_json::from_str(&text).with_context(|| paths::shown(&path).to_string())
}

fn files(manifest: &Value) -> Result<Vec<&str>> {
    let files = manifest["files"]
        .as_array()
        .context("no files in the manifest")?;
    files
        .iter()
        .map(|file| file["file"].as_str().context("a file without a name"))
        .collect()
}

/// Where in flash each of the files in `folder` belongs.
///
/// # Errors
/// When the manifest there can't be read.
pub(super) fn offsets(folder: &Path) -> Result<Vec<(usize, String)>> {
    let manifest = manifest(folder)?;
    let names = files(&manifest)?.into_iter();
    let entries = manifest["files"].as_array().into_iter().flatten();
    names
        .zip(entries)
        .map(|(name, entry)| {
            let offset = entry["offset"].as_u64();
            let offset = offset.and_then(|offset| usize::try_from(offset).ok());
            Ok((offset.context("a file without an offset")?, name.to_owned()))
        })
        .collect()
}
