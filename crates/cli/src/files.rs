//! Files in whole and out whole.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use fixpoint_dataset::npy::{self, Values};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::failure::Failure;

/// One output of a model for all samples, one after another.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) name: String,
    /// Of one sample, ONNX order, batch axis of 1 included.
    pub(crate) dims: Vec<usize>,
    pub(crate) values: BatchValues,
}

/// Scaled values, or integers as the chip has them.
#[derive(Debug)]
pub(crate) enum BatchValues {
    Float(Vec<f32>),
    I8(Vec<i8>),
    I16(Vec<i16>),
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|e| Failure::io("read", path, &e))
}

/// Writes a file so that it is either there in full or as it was before.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |e| Failure::io("write", path, &e);
    let name = path.file_name().ok_or_else(|| {
        Failure::usage(format!(
            "{} names no file that could be written",
            path.display()
        ))
    })?;
    // Beside the target, because a rename doesn't cross file systems.
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(hidden);
    let written = fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|e| {
        // Best effort: the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
        failed(e)
    })
}

/// Refuses a file to be written whose folder isn't there, before any work is done for it.
pub(crate) fn check_folder_of(path: &Path) -> Result<(), Failure> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => Err(Failure::new(format!(
            "can't write {}: there is no folder {}",
            path.display(),
            folder.display()
        ))),
        _ => Ok(()),
    }
}

/// Refuses an output path before any work is done for it.
pub(crate) fn check_array_path(path: &Path) -> Result<(), Failure> {
    match extension(path).as_str() {
        "npy" | "npz" => Ok(()),
        _ => Err(
            Failure::usage(format!("{} is neither .npy nor .npz", path.display())).help(
                "give --output a name that ends in .npy (first output) or .npz (all outputs)",
            ),
        ),
    }
}

/// Writes the first output as `.npy`, or all of them by name as `.npz`, samples along axis 0.
pub(crate) fn write_outputs(path: &Path, outputs: &[Batch]) -> Result<(), Failure> {
    check_array_path(path)?;
    if extension(path) == "npy" {
        let first = outputs
            .first()
            .ok_or_else(|| Failure::new("the model has no outputs"))?;
        return write(path, &first.to_npy());
    }
    let bytes =
        npz(outputs).map_err(|e| Failure::new(format!("can't pack {}: {e}", path.display())))?;
    write(path, &bytes)
}

fn npz(outputs: &[Batch]) -> zip::result::ZipResult<Vec<u8>> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    // No clock: the same outputs are the same file.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default());
    for output in outputs {
        writer.start_file(format!("{}.npy", output.name), options)?;
        writer.write_all(&output.to_npy())?;
    }
    Ok(writer.finish()?.into_inner())
}

fn extension(path: &Path) -> String {
    path.extension()
        .map(|e| e.to_string_lossy().to_lowercase())
        .unwrap_or_default()
}

impl Batch {
    fn to_npy(&self) -> Vec<u8> {
        let (count, values) = match &self.values {
            BatchValues::Float(v) => (v.len(), Values::F32(v)),
            BatchValues::I8(v) => (v.len(), Values::I8(v)),
            BatchValues::I16(v) => (v.len(), Values::I16(v)),
        };
        let each: usize = self.dims.iter().product();
        let mut dims = vec![count / each.max(1)];
        dims.extend(match self.dims.split_first() {
            Some((1, rest)) => rest,
            _ => &self.dims,
        });
        npy::write(&dims, values)
    }
}
