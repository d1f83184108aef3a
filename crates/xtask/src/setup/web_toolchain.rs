//! A Rust toolchain that has `std` for wasm32-unknown-unknown.
//!
//! In this order: the host toolchain when it has the target; the host toolchain after `rustup
//! target add`; Debian's compiler with a `std` built from its sources, once, into a toolchain
//! folder of links under `target/tools/toolchain`, so that neither `/usr` nor rustup's settings are
//! touched and later builds need no unstable option. `FIXPOINT_WASM_TOOLCHAIN=debian` takes the
//! last way at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Debian;
use crate::paths;
use crate::run::{self, say};

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// A toolchain that compiles for [`TARGET`].
pub(crate) struct WebToolchain {
    /// Its own folder of programs, or none when it is the host's toolchain.
    bin: Option<PathBuf>,
    /// For the reader.
    pub(crate) name: String,
}

impl WebToolchain {
    /// # Errors
    /// When none of the three ways works; the error is that of the last.
    pub(crate) fn ready() -> Result<Self> {
        let linked = Linked::new();
        let host = || Self {
            bin: None,
            name: "the host toolchain".to_owned(),
        };
        let forced = std::env::var("FIXPOINT_WASM_TOOLCHAIN").unwrap_or_default();
        if forced != "debian" && host_has_target() {
            return Ok(host());
        }
        // Once the fallback has been taken, stay with it: asking the network each time is slow.
        if forced != "debian" && !linked.exists() && added_by_rustup() && host_has_target() {
            return Ok(host());
        }
        let debian = Debian::ready().and_then(Debian::with_lld).context(
            "rustup could not add wasm32-unknown-unknown, and the fallback needs Debian's compiler",
        )?;
        linked.make(&debian)?;
        let words: Vec<&str> = debian.version.split_whitespace().take(2).collect();
        Ok(Self {
            bin: Some(linked.bin()),
            name: format!("Debian's {}", words.join(" ")),
        })
    }

    /// A cargo of this toolchain, for [`paths::wasm_target`].
    pub(crate) fn cargo(&self) -> Command {
        let mut command = match &self.bin {
            Some(bin) => run::clean(bin.join("cargo")),
            None => run::cargo(),
        };
        self.enter(&mut command, &[]);
        command
    }

    /// Makes `command` and its children find this toolchain's programs, and `more` behind them.
    pub(crate) fn enter(&self, command: &mut Command, more: &[PathBuf]) {
        let folders: Vec<PathBuf> = self.bin.iter().chain(more).cloned().collect();
        command
            .env("PATH", paths::path_with(&folders))
            .env("CARGO_TARGET_DIR", paths::wasm_target());
        if let Some(bin) = &self.bin {
            // rustup takes a path for a toolchain, should one of its proxies be called.
            command
                .env("RUSTC", bin.join("rustc"))
                .env("RUSTUP_TOOLCHAIN", sysroot(bin));
        }
    }
}

fn sysroot(bin: &Path) -> &Path {
    bin.parent().unwrap_or(bin)
}

fn host_has_target() -> bool {
    let mut rustc = Command::new("rustc");
    rustc
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(paths::root());
    run::captured(&mut rustc).is_ok_and(|folder| holds_std(Path::new(folder.trim())))
}

fn holds_std(folder: &Path) -> bool {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libstd-") && name.ends_with(".rlib")
        })
}

fn added_by_rustup() -> bool {
    if paths::on_path("rustup").is_none() {
        return false;
    }
    let mut rustup = Command::new("rustup");
    rustup
        .args(["target", "add", TARGET])
        .current_dir(paths::root())
        .env("RUSTUP_MAX_RETRIES", "0");
    say(format!(
        "set-up: asking rustup for {TARGET} (two minutes at most)"
    ));
    let limit = Duration::from_secs(120);
    let added = run::quiet_within(limit, &mut rustup);
    if !added {
        say("set-up: rustup can't download it here; falling back to Debian's compiler");
    }
    added
}

/// The folder of links that makes a toolchain of Debian's compiler and our own wasm32 `std`.
struct Linked {
    home: PathBuf,
}

impl Linked {
    fn new() -> Self {
        Self {
            home: paths::tools().join("toolchain"),
        }
    }

    fn bin(&self) -> PathBuf {
        self.home.join("bin")
    }

    fn stamp(&self) -> PathBuf {
        self.home.join("made-for")
    }

    fn exists(&self) -> bool {
        self.stamp().exists()
    }

    fn make(&self, debian: &Debian) -> Result<()> {
        // The scripts below hold this path, so a moved checkout needs new ones.
        let made_for = format!("{}\n{}", self.home.display(), debian.version);
        if fs::read_to_string(self.stamp()).is_ok_and(|saved| saved == made_for) {
            return Ok(());
        }
        if self.home.exists() {
            fs::remove_dir_all(&self.home)?;
        }
        self.link(debian)
            .with_context(|| format!("make {}", self.home.display()))?;
        self.build_std()?;
        fs::write(self.stamp(), made_for)?;
        Ok(())
    }

    fn link(&self, debian: &Debian) -> Result<()> {
        let rustlib = self.home.join("lib/rustlib");
        fs::create_dir_all(self.bin())?;
        fs::create_dir_all(&rustlib)?;
        for entry in fs::read_dir("/usr/lib/rustlib")?.flatten() {
            if entry.file_name() != TARGET {
                symlink(&entry.path(), &rustlib.join(entry.file_name()))?;
            }
        }
        symlink(Path::new("/usr/bin/cargo"), &self.bin().join("cargo"))?;
        symlink(
            Path::new(&format!("/usr/bin/lld-{}", debian.llvm)),
            &self.bin().join("rust-lld"),
        )?;
        // Scripts and not links: rustc finds its sysroot by its own path in some cases only.
        for tool in ["rustc", "rustdoc"] {
            let script = format!(
                "#!/bin/sh\nexec /usr/bin/{tool} --sysroot '{}' \"$@\"\n",
                self.home.display()
            );
            executable(&self.bin().join(tool), &script)?;
        }
        Ok(())
    }

    /// Builds `std` and `test` in the manner of the ones rustup ships: optimised, and with bitcode
    /// so that link-time optimisation reaches into them.
    fn build_std(&self) -> Result<()> {
        let work = paths::tools().join("std");
        fs::create_dir_all(work.join("src"))?;
        fs::write(
            work.join("Cargo.toml"),
            "[package]\nname = \"std-carrier\"\nedition = \"2024\"\n\n[workspace]\n",
        )?;
        fs::write(work.join("src/lib.rs"), "")?;
        let mut cargo = run::clean(self.bin().join("cargo"));
        cargo
            .args(["build", "--release", "--target", TARGET])
            .arg("-Zbuild-std=std,panic_abort,test")
            .current_dir(&work)
            .env("RUSTC", self.bin().join("rustc"))
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", "-C embed-bitcode=yes")
            .env("CARGO_TARGET_DIR", work.join("target"));
        run::logged("set-up: build std for wasm32 (once)", &mut cargo)?;

        let built = work.join("target").join(TARGET).join("release/deps");
        let lib = self.home.join("lib/rustlib").join(TARGET).join("lib");
        fs::create_dir_all(&lib)?;
        for entry in fs::read_dir(&built)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".rlib") && !name.contains("std_carrier") {
                fs::copy(entry.path(), lib.join(&name))?;
            }
        }
        if !holds_std(&lib) {
            bail!("std was built, but no libstd is in {}", built.display());
        }
        fs::remove_dir_all(work.join("target")).ok();
        Ok(())
    }
}

#[cfg(unix)]
fn symlink(from: &Path, to: &Path) -> Result<()> {
    Ok(std::os::unix::fs::symlink(from, to)?)
}

#[cfg(unix)]
fn executable(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text)?;
    Ok(fs::set_permissions(
        path,
        fs::Permissions::from_mode(0o755),
    )?)
}

#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> Result<()> {
    bail!("Debian's compiler exists on Debian only")
}

#[cfg(not(unix))]
fn executable(_: &Path, _: &str) -> Result<()> {
    bail!("Debian's compiler exists on Debian only")
}
