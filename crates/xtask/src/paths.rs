//! Where things are in the checkout.

use std::path::{Path, PathBuf};

/// The checkout this xtask was compiled in.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .and_then(Path::parent)
        .expect("crates/xtask is two folders below the root")
}

pub(crate) fn target() -> PathBuf {
    root().join("target")
}

/// Things the set-up made or installed: they live with the checkout and go with `target`.
pub(crate) fn tools() -> PathBuf {
    target().join("tools")
}

pub(crate) fn logs() -> PathBuf {
    target().join("xtask-logs")
}

/// Everything compiled for wasm32, and the build scripts that go with it. Apart from `target`,
/// because another compiler than the host's may be at work there.
pub(crate) fn wasm_target() -> PathBuf {
    target().join("wasm")
}

/// The first `name` on `PATH`, or none.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(&file))
        .find(|candidate| candidate.is_file())
}

/// `PATH` with `folders` in front.
pub(crate) fn path_with(folders: &[PathBuf]) -> std::ffi::OsString {
    let old = std::env::var_os("PATH").unwrap_or_default();
    let all = folders.iter().cloned().chain(std::env::split_paths(&old));
    std::env::join_paths(all).unwrap_or(old)
}

/// A path as a person at the root of the checkout would type it.
pub(crate) fn shown(path: &Path) -> std::path::Display<'_> {
    path.strip_prefix(root()).unwrap_or(path).display()
}
