//! Which compiler makes the firmware, and the LLVM tools that go with it.
//!
//! Debian's compiler when it is there, as it is what CI has and what the prebuilt image was made
//! with; else a rustup nightly with `rust-src`, when the LLVM tools of its major version are on
//! `PATH`; else Debian's is installed. Espressif's own toolchain is not needed and not used: its
//! LLVM differs from the one the target specification is written for.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::paths;
use crate::run;
use crate::setup::Debian;

const LINKER: &str = "xtensa-lx106-elf-ld";

/// A compiler with library sources, and LLVM tools of its version.
pub(super) struct Toolchain {
    kind: Kind,
    /// First line of `rustc -vV`.
    pub(super) rustc: String,
    /// LLVM inside the compiler, as in `22.1.8`.
    pub(super) llvm: String,
    sysroot: PathBuf,
    major: u32,
}

enum Kind {
    Debian(Debian),
    Nightly,
}

impl Toolchain {
    /// # Errors
    /// When neither compiler can be had; the message is that of the Debian way, which comes last.
    pub(super) fn ready() -> Result<Self> {
        if Path::new("/usr/lib/rustlib/src/rust/library").exists()
            || paths::on_path("rustup").is_none()
        {
            return Self::debian();
        }
        if let Some(nightly) = Self::nightly() {
            return Ok(nightly);
        }
        Self::debian()
    }

    fn debian() -> Result<Self> {
        let debian = Debian::ready().and_then(Debian::with_xtensa_tools)?;
        let mut rustc = run::clean("/usr/bin/rustc");
        rustc.args(["--print", "sysroot"]);
        let sysroot = run::captured(&mut rustc)?;
        let version = debian.version.clone();
        let toolchain = Self::of(Kind::Debian(debian), &version, &sysroot)?;
        for tool in ["llvm-link", "opt", "llc", "llvm-mc"] {
            toolchain.find(tool)?;
        }
        Ok(toolchain)
    }

    /// None when any part is missing: Debian's compiler is the fallback that says what to do.
    fn nightly() -> Option<Self> {
        let rustc = |what: &[&str]| {
            let mut rustc = run::clean("rustc");
            run::captured(rustc.arg("+nightly").args(what)).ok()
        };
        let sysroot = rustc(&["--print", "sysroot"])?;
        let toolchain = Self::of(Kind::Nightly, &rustc(&["-vV"])?, &sysroot).ok()?;
        let sources = toolchain.sysroot.join("lib/rustlib/src/rust/library");
        let tools = ["llvm-link", "opt", "llc", "llvm-mc"];
        let complete = sources.exists()
            && tools.iter().all(|tool| toolchain.find(tool).is_ok())
            && paths::on_path(LINKER).is_some();
        complete.then_some(toolchain)
    }

    fn of(kind: Kind, version: &str, sysroot: &str) -> Result<Self> {
        let line = |start: &str| {
            let found = version.lines().find_map(|line| line.strip_prefix(start));
            found.with_context(|| format!("no `{start}` in what rustc -vV says:\n{version}"))
        };
        let llvm = line("LLVM version: ")?.to_owned();
        let major = llvm.split('.').next().unwrap_or_default();
        Ok(Self {
            kind,
            rustc: format!("rustc {}", line("rustc ")?),
            major: major.parse().context("LLVM's major version")?,
            llvm,
            sysroot: sysroot.trim().into(),
        })
    }

    /// For the reader.
    pub(super) fn name(&self) -> String {
        let whose = match self.kind {
            Kind::Debian(_) => "Debian's",
            Kind::Nightly => "rustup's nightly",
        };
        format!("{whose} {}, LLVM {}", self.rustc, self.llvm)
    }

    /// A cargo that may use unstable options.
    pub(super) fn cargo(&self) -> Command {
        match &self.kind {
            Kind::Debian(debian) => debian.cargo(),
            Kind::Nightly => {
                let mut cargo = run::clean("cargo");
                cargo.arg("+nightly");
                cargo
            }
        }
    }

    /// An LLVM tool of the compiler's major version.
    pub(super) fn llvm_tool(&self, name: &str) -> Result<Command> {
        Ok(Command::new(self.find(name)?))
    }

    /// Everything whose version can change a byte of the image, by name.
    pub(super) fn versions(&self) -> Result<BTreeMap<&'static str, String>> {
        let llc = run::captured(self.llvm_tool("llc")?.arg("--version"))?;
        let llc = llc
            .lines()
            .find_map(|line| line.split_once("LLVM version "))
            .context("llc --version names no version")?;
        let linker = run::captured(self.linker().arg("--version"))?;
        let linker = linker.lines().next().unwrap_or_default();
        Ok(BTreeMap::from([
            ("rustc", self.rustc.clone()),
            ("llvm", self.llvm.clone()),
            // May be another point release than the compiler's.
            ("llvm-tools", llc.1.trim().to_owned()),
            ("linker", linker.to_owned()),
            ("espflash", locked("espflash")?),
        ]))
    }

    pub(super) fn linker(&self) -> Command {
        Command::new(LINKER)
    }

    fn find(&self, name: &str) -> Result<PathBuf> {
        let versioned = format!("{name}-{}", self.major);
        match paths::on_path(&versioned) {
            Some(path) => Ok(path),
            None => bail!(
                "{versioned} is not on PATH; it belongs to the compiler's LLVM {} (on Debian: \
                 the package llvm-{})",
                self.llvm,
                self.major
            ),
        }
    }

    /// `--remap-path-prefix` for every place that source text comes from, so that no path of this
    /// machine gets into the image.
    pub(super) fn remapped(&self) -> Result<Vec<String>> {
        let mut prefixes = vec![(paths::root().to_path_buf(), "fixpoint".to_owned())];
        let library = self.sysroot.join("lib/rustlib/src/rust/library");
        prefixes.push((library.canonicalize()?, "rust".to_owned()));
        prefixes.push((library, "rust".to_owned()));
        let home = std::env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
        if let Some(home) = home {
            for registry in fs::read_dir(home.join("registry/src"))
                .into_iter()
                .flatten()
            {
                prefixes.push((registry?.path(), "crates".to_owned()));
            }
        }
        Ok(prefixes
            .into_iter()
            .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()))
            .collect())
    }
}

/// The version of a crate in the workspace's lock file.
fn locked(name: &str) -> Result<String> {
    let lock = fs::read_to_string(paths::root().join("Cargo.lock"))?;
    let start = format!("name = \"{name}\"\nversion = \"");
    let version = lock
        .split_once(&start)
        .and_then(|(_, rest)| rest.split('"').next());
    Ok(version
        .with_context(|| format!("{name} is not in Cargo.lock"))?
        .to_owned())
}
