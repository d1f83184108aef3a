//! Debian packages.

use std::io::IsTerminal;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};

use crate::paths::on_path;
use crate::run::{self, say};

/// Installs `packages`. Call it only when something they bring was found missing; `why` names that
/// thing for the reader.
///
/// # Errors
/// When this is no Debian-like system, when there is no right to install, or when apt fails. The
/// first two say what to do by hand.
pub(crate) fn install(why: &str, packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if on_path("apt-get").is_none() {
        bail!(
            "{why} is missing and this system has no apt. On Debian it comes with the packages \
             `{list}`; please install the equivalent here and run the command again."
        );
    }
    let Some(prefix) = right_to_install() else {
        bail!(
            "{why} is missing and installing it needs root. Please run\n\n    \
             apt-get update && apt-get install --no-install-recommends {list}\n\nas root (or make \
             sudo available) and run the command again."
        );
    };
    static LISTS_ARE_FRESH: AtomicBool = AtomicBool::new(false);
    if !LISTS_ARE_FRESH.swap(true, Ordering::Relaxed) {
        run::logged("set-up: apt-get update", apt(prefix).arg("update"))?;
    }
    say(format!("set-up: {why} is missing; installing {list}"));
    let mut command = apt(prefix);
    command
        .args(["install", "--yes", "--no-install-recommends"])
        .args(packages);
    run::logged(
        &format!("set-up: apt-get install {}", packages[0]),
        &mut command,
    )
}

fn apt(prefix: &[&str]) -> Command {
    // `env` behind sudo, which would drop the variable.
    let words = [
        prefix,
        &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"],
    ]
    .concat();
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .args(["-o", "DPkg::Lock::Timeout=300"]);
    command
}

/// The words to put before `apt-get`, or none when there is no way to become root.
fn right_to_install() -> Option<&'static [&'static str]> {
    let id = run::captured(Command::new("id").arg("-u")).unwrap_or_default();
    if id.trim() == "0" {
        return Some(&[]);
    }
    on_path("sudo")?;
    let quiet = run::succeeds(Command::new("sudo").args(["-n", "true"]));
    let asked = || {
        // Standard input goes to sudo here, so that a person can type the password.
        std::io::stdin().is_terminal()
            && Command::new("sudo")
                .arg("-v")
                .status()
                .is_ok_and(|status| status.success())
    };
    (quiet || asked()).then_some(&["sudo", "-n"])
}
