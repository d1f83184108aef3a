//! Running other programs: a line when one starts, a sign of life while it works, its output in a
//! log file, and the end of that log when it fails.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::paths;

const SIGN_OF_LIFE: Duration = Duration::from_secs(20);
const TAIL_LINES: usize = 60;

fn started() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

/// Minutes and seconds, as in `2:07`.
pub(crate) fn clock(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

/// Prints one line of progress behind the time since the command started.
pub(crate) fn say(line: impl std::fmt::Display) {
    println!("[{:>5}] {line}", clock(started().elapsed()));
}

/// Runs `command` to its end with its output in `target/xtask-logs/<label>.log`.
///
/// # Errors
/// When the program can't be started or doesn't succeed; the end of its output is printed first.
pub(crate) fn logged(label: &str, command: &mut Command) -> Result<()> {
    logged_within(label, None, command)
}

/// Where what is done under `label` is logged.
pub(crate) fn log_of(label: &str) -> PathBuf {
    paths::logs().join(format!("{}.log", file_name(label)))
}

/// [`logged`], ended after `limit` when there is one.
pub(crate) fn logged_within(
    label: &str,
    limit: Option<Duration>,
    command: &mut Command,
) -> Result<()> {
    let log = log_of(label);
    fs::create_dir_all(paths::logs())?;
    let file = File::create(&log).with_context(|| format!("create {}", log.display()))?;
    say(format!("{label}  (log: {})", paths::shown(&log)));
    let begun = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("start {}", command.get_program().to_string_lossy()))?;
    let status = wait(&mut child, begun, limit, &log)?;
    match status {
        Some(status) if status.success() => {
            say(format!("  done in {}", clock(begun.elapsed())));
            Ok(())
        }
        ended => {
            print_tail(&log);
            let how = match ended {
                Some(status) => status.to_string(),
                None => format!("stopped after {}", clock(begun.elapsed())),
            };
            bail!(
                "{label}: {how}; everything it printed is in {}",
                paths::shown(&log)
            )
        }
    }
}

fn wait(
    child: &mut Child,
    begun: Instant,
    limit: Option<Duration>,
    log: &Path,
) -> Result<Option<ExitStatus>> {
    let mut spoken = begun;
    let mut nap = Duration::from_millis(5);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if limit.is_some_and(|limit| begun.elapsed() > limit) {
            child.kill().ok();
            child.wait()?;
            return Ok(None);
        }
        if spoken.elapsed() >= SIGN_OF_LIFE {
            spoken = Instant::now();
            let last = tail(log, 1).pop().unwrap_or_default();
            say(format!(
                "  {} so far: {}",
                clock(begun.elapsed()),
                shorten(&last)
            ));
        }
        std::thread::sleep(nap);
        nap = (nap * 2).min(Duration::from_millis(200));
    }
}

/// Standard output of a quick command.
///
/// # Errors
/// When it can't be started or fails; the error carries what it wrote to standard error.
pub(crate) fn captured(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start {name}"))?;
    if !output.status.success() {
        bail!(
            "{name}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a quick command can be started and succeeds.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Whether `command` succeeds within `limit`, its output shown nowhere.
pub(crate) fn quiet_within(limit: Duration, command: &mut Command) -> bool {
    let spawned = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = spawned else {
        return false;
    };
    let begun = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if begun.elapsed() < limit => {
                std::thread::sleep(Duration::from_millis(50));
            }
            _ => {
                child.kill().ok();
                child.wait().ok();
                return false;
            }
        }
    }
}

/// A command that doesn't inherit what `cargo run` told this program about itself: a nested cargo
/// of another toolchain would otherwise be sent to the wrong compiler or libraries.
pub(crate) fn clean(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    for name in [
        "CARGO",
        "RUSTC",
        "RUSTDOC",
        "RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
        "LD_LIBRARY_PATH",
    ] {
        command.env_remove(name);
    }
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command.current_dir(paths::root());
    command
}

/// The cargo that runs this program, on the host's toolchain.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(paths::root());
    command
}

/// A program of ours, built for the host.
///
/// The whole workspace is named, though one program is built: cargo unites the features of all that
/// is named, and any other choice would compile the heavy dependencies a second time.
pub(crate) fn program(name: &str) -> Result<Command> {
    let mut build = cargo();
    build
        .args(["build", "--workspace", "--bin", name])
        .env("CARGO_TARGET_DIR", paths::target());
    logged(&format!("build {name}"), &mut build)?;
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    Ok(clean(paths::target().join("debug").join(file)))
}

fn file_name(label: &str) -> String {
    let mut name = String::new();
    for c in label.chars() {
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        } else if !name.ends_with('-') && !name.is_empty() {
            name.push('-');
        }
    }
    name.trim_end_matches('-').to_owned()
}

fn print_tail(log: &Path) {
    for line in tail(log, TAIL_LINES) {
        println!("        | {line}");
    }
}

fn tail(log: &Path, lines: usize) -> Vec<String> {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(16 * 1024)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let all: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let from = all.len().saturating_sub(lines);
    all[from..].iter().map(|line| (*line).to_owned()).collect()
}

fn shorten(line: &str) -> String {
    line.trim().chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_names_are_plain() {
        assert_eq!(file_name("wasm: build `std` (once)"), "wasm-build-std-once");
    }

    #[test]
    fn clock_pads_seconds() {
        assert_eq!(clock(Duration::from_secs(127)), "2:07");
    }
}
