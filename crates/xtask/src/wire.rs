//! `cargo xtask bench wire`: bytes and round trips of flashing, beside esptool's.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::run;

const TITLE: &str = "four scenarios of flashing on the virtual board";

/// Prints the table of `crates/board/tests/wire.rs`, which finds esptool (`ESPTOOL`, or on the PATH) or says
/// that there is none.
///
/// # Errors
/// When the sessions fail, or cost more than they may.
pub(crate) fn bench() -> Result<()> {
    let mut test = run::cargo();
    // All of the workspace, for the reason that `run::program` gives; one test has that name.
    test.args(["test", "--workspace", "--test", "wire"])
        .args(["--", "--nocapture"]);
    run::logged_within(TITLE, Some(Duration::from_secs(30 * 60)), &mut test)?;
    let log = run::log_of(TITLE);
    let text = fs::read_to_string(&log).with_context(|| log.display().to_string())?;
    let said = text
        .lines()
        .skip_while(|line| !line.starts_with("running "));
    for line in said.skip(1).take_while(|line| !line.starts_with("test ")) {
        println!("{line}");
    }
    Ok(())
}
