//! Same bytes wherever the checkout lies.
//!
//! Cargo tells rustc a hash for every crate (`-C metadata`), made for crates outside a workspace's
//! folder from their absolute path. It gets into symbol names, and their order into the order of
//! constants. So cargo calls this program instead of rustc, and this calls rustc with hashes that
//! are names.

use std::process::{Command, ExitCode};

/// Set where this program stands for rustc.
const MARK: &str = "FIXPOINT_XTASK_IS_RUSTC";

/// Makes a cargo put this program before rustc.
pub(super) fn wrap(cargo: &mut Command) -> std::io::Result<()> {
    cargo
        .env("RUSTC_WRAPPER", std::env::current_exe()?)
        .env(MARK, "1");
    Ok(())
}

/// Runs rustc if that is what this program was called for.
pub(crate) fn stand_in_for_rustc() -> Option<ExitCode> {
    std::env::var_os(MARK)?;
    let mut words = std::env::args_os().skip(1);
    let mut rustc = Command::new(words.next()?);
    let ours = std::env::var("CARGO_PKG_NAME").is_ok_and(|name| name.starts_with("fixpoint-"));
    for word in words {
        let metadata = word.to_str().is_some_and(|w| w.starts_with("metadata="));
        if ours && metadata {
            rustc.arg("metadata=fixpoint");
        } else {
            rustc.arg(word);
        }
    }
    let code = match rustc.status() {
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()),
        Err(error) => {
            eprintln!("error: rustc: {error}");
            None
        }
    };
    Some(ExitCode::from(code.unwrap_or(1)))
}
