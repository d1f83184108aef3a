//! Debian's own Rust: the way to a `core` and `std` for targets that rustup can't download here.
//!
//! The packages with `-web` in their name follow a recent upstream release and carry the library
//! sources. `RUSTC_BOOTSTRAP=1` lets that stable compiler build them (`-Zbuild-std`).

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::apt;
use crate::run;

const RUSTC: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";
const LIBRARY: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";
const PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm"];

/// Debian's compiler, present and with its library sources.
pub(crate) struct Debian {
    /// The whole of `rustc -vV`.
    pub(crate) version: String,
    /// LLVM's major version inside that compiler: the suffix of every LLVM tool and package used.
    pub(crate) llvm: u32,
}

impl Debian {
    /// # Errors
    /// When it is missing and can't be installed, or doesn't tell its LLVM version.
    pub(crate) fn ready() -> Result<Self> {
        let there = [RUSTC, CARGO, LIBRARY]
            .iter()
            .all(|path| Path::new(path).exists());
        if !there {
            apt::install("Debian's Rust compiler with library sources", &PACKAGES)?;
        }
        let version = run::captured(run::clean(RUSTC).arg("-vV"))?;
        let llvm = llvm_major(&version)
            .with_context(|| format!("no LLVM version in what {RUSTC} -vV says:\n{version}"))?;
        Ok(Self { version, llvm })
    }

    /// Debian's linker for wasm32 and every ELF target, of the compiler's LLVM.
    pub(crate) fn with_lld(self) -> Result<Self> {
        if !Path::new(&format!("/usr/bin/lld-{}", self.llvm)).exists() {
            apt::install("the LLVM linker", &[&format!("lld-{}", self.llvm)])?;
        }
        Ok(self)
    }

    /// The bitcode tools and assembler (`llvm-link-N`, `opt-N`, `llc-N`, `llvm-mc-N`), the Xtensa
    /// linker, and QEMU's Xtensa machine.
    pub(crate) fn with_xtensa_tools(self) -> Result<Self> {
        if !Path::new(&format!("/usr/bin/llvm-link-{}", self.llvm)).exists() {
            apt::install("the LLVM tools", &[&format!("llvm-{}", self.llvm)])?;
        }
        if !Path::new("/usr/bin/xtensa-lx106-elf-ld").exists() {
            apt::install("the Xtensa linker", &["binutils-xtensa-lx106"])?;
        }
        if !Path::new("/usr/bin/qemu-system-xtensa").exists() {
            apt::install("QEMU's Xtensa machine", &["qemu-system-misc"])?;
        }
        Ok(self)
    }

    /// Debian's cargo driving Debian's rustc, with unstable options allowed.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = run::clean(CARGO);
        command.env("RUSTC", RUSTC).env("RUSTC_BOOTSTRAP", "1");
        command
    }
}

fn llvm_major(version: &str) -> Option<u32> {
    let line = version
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))?;
    line.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::llvm_major;

    #[test]
    fn llvm_version_is_read_off_the_compiler() {
        assert_eq!(llvm_major("rustc 1.96.0\nLLVM version: 22.1.8\n"), Some(22));
        assert_eq!(llvm_major("rustc 1.96.0\n"), None);
    }
}
