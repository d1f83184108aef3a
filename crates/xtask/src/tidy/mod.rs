//! The rules of ARCHITECTURE.md that a program can check: who may depend on whom, which words may
//! stand where, which licences come in.

mod dependencies;
mod licences;
mod sources;

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::paths;
use crate::run::{self, say};

/// What the checks found.
#[derive(Default)]
struct Findings {
    /// Broken rules: the stage fails.
    broken: Vec<String>,
    /// Things worth a look.
    warnings: Vec<String>,
}

/// Checks every rule and prints what is broken.
///
/// # Errors
/// When a rule is broken, or cargo or git can't tell what there is.
pub(crate) fn check() -> Result<()> {
    let metadata =
        run::captured(run::cargo().args(["metadata", "--format-version", "1", "--quiet"]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists no packages")?;

    let mut findings = Findings::default();
    dependencies::check(packages, &mut findings);
    licences::check(packages, &mut findings);
    let files = files()?;
    for file in &files {
        sources::check(file, &mut findings);
    }
    sources::check_no_std(&mut findings);

    for warning in &findings.warnings {
        println!("        warning: {warning}");
    }
    for rule in &findings.broken {
        println!("        broken: {rule}");
    }
    say(format!(
        "tidy: {} packages, {} files looked at",
        packages.len(),
        files.len()
    ));
    if !findings.broken.is_empty() {
        bail!(
            "{} rules of the architecture are broken",
            findings.broken.len()
        );
    }
    Ok(())
}

/// Files that are committed or about to be, by their path from the root with `/` between.
fn files() -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(paths::root());
    let list = run::captured(&mut git).context("git tells which files belong to the project")?;
    Ok(list.lines().map(str::to_owned).collect())
}
