//! Skipping a step whose inputs did not change since it last succeeded.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::paths;

/// A fingerprint of a step's inputs, kept under `target` once the step has succeeded.
pub(crate) struct Stamp {
    file: PathBuf,
    value: String,
}

impl Stamp {
    /// `inputs` are files and folders (names, sizes and times count, not contents); `extra` is
    /// whatever else the result depends on, such as a tool's version.
    pub(crate) fn of(name: &str, inputs: &[PathBuf], extra: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        extra.hash(&mut hasher);
        for input in inputs {
            visit(input, &mut hasher);
        }
        Self {
            file: paths::target().join("xtask-stamps").join(name),
            value: format!("{:016x}", hasher.finish()),
        }
    }

    pub(crate) fn is_current(&self) -> bool {
        fs::read_to_string(&self.file).is_ok_and(|saved| saved == self.value)
    }

    pub(crate) fn save(&self) -> Result<()> {
        if let Some(folder) = self.file.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(fs::write(&self.file, &self.value)?)
    }
}

fn visit(path: &Path, hasher: &mut DefaultHasher) {
    path.hash(hasher);
    let Ok(meta) = fs::metadata(path) else {
        return;
    };
    if !meta.is_dir() {
        meta.len().hash(hasher);
        meta.modified().ok().hash(hasher);
        return;
    }
    let skipped = ["node_modules", "dist", "target"];
    let mut entries: Vec<PathBuf> = fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| !skipped.iter().any(|name| entry.file_name() == *name))
        .map(|entry| entry.path())
        .collect();
    entries.sort();
    for entry in entries {
        visit(&entry, hasher);
    }
}
