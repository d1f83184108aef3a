//! The firmware: built, measured, run in QEMU, and compared with what is committed.

mod compile;
mod object;
mod toolchain;

use anyhow::{Result, bail};

use toolchain::Toolchain;

/// `cargo xtask firmware [VERB]`.
///
/// # Errors
/// When the verb is unknown or what it does fails.
pub(crate) fn dispatch(words: &[&str]) -> Result<()> {
    match words {
        [] | ["build"] => build(),
        other => bail!("`firmware {}` is not a verb", other.join(" ")),
    }
}

/// Builds the runtime image for the chip.
pub(crate) fn build() -> Result<()> {
    let toolchain = Toolchain::ready()?;
    let elf = compile::elf(&compile::APP, &toolchain)?;
    println!("{}", elf.display());
    let elf = compile::elf(&compile::SELFTEST, &toolchain)?;
    println!("{}", elf.display());
    Ok(())
}
