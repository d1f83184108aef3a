//! The stages of `cargo xtask test`: each runs whatever became of those before it, and the table
//! at the end tells which failed.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::run::{clock, say};

/// Runs stages and keeps their results.
#[derive(Default)]
pub(crate) struct Stages {
    results: Vec<(&'static str, bool, Duration)>,
}

impl Stages {
    pub(crate) fn run(&mut self, name: &'static str, stage: impl FnOnce() -> Result<()>) {
        say(format!("=== {name}"));
        let begun = Instant::now();
        let result = stage();
        let passed = result.is_ok();
        if let Err(error) = result {
            // Alternate form: the message with its causes in one line, without a backtrace.
            say(format!("=== {name} FAILED: {error:#}"));
        }
        self.results.push((name, passed, begun.elapsed()));
    }

    /// Prints the table and, as the last line, the count.
    ///
    /// # Errors
    /// When a stage failed.
    pub(crate) fn finish(self) -> Result<()> {
        println!("\n{:<12} {:<8} {:>8}", "stage", "result", "time");
        for (name, passed, time) in &self.results {
            let word = if *passed { "passed" } else { "FAILED" };
            println!("{name:<12} {word:<8} {:>8}", clock(*time));
        }
        let passed = self.results.iter().filter(|(_, passed, _)| *passed).count();
        let failed = self.results.len() - passed;
        println!("\n{passed} passed, {failed} failed");
        if failed > 0 {
            bail!("{failed} of {} stages failed", self.results.len());
        }
        Ok(())
    }
}
