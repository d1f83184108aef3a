//! `cargo xtask test`: every stage, or the ones named.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::firmware;
use crate::page;
use crate::paths;
use crate::run;
use crate::setup::{Browser, Debian, WebToolchain, cargo_tools};
use crate::sizes;
use crate::stages::Stages;
use crate::tidy;

type Stage = fn() -> Result<()>;

/// In the order they run: the quick ones first.
pub(crate) const STAGES: [(&str, Stage); 10] = [
    ("tidy", tidy::check),
    ("fmt", fmt),
    ("lint", lint),
    ("host", host),
    ("no_std", no_std),
    ("xtensa", xtensa),
    ("prebuilt", prebuilt),
    ("wasm", wasm),
    ("page", page),
    ("size", size),
];

/// Runs the stages in `names`, or all of them.
///
/// # Errors
/// When a name is unknown or a stage fails.
pub(crate) fn run(names: &[&str]) -> Result<()> {
    let known: Vec<&str> = STAGES.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        bail!(
            "`{unknown}` is not a stage; the stages are {}",
            known.join(", ")
        );
    }
    let mut stages = Stages::default();
    for (name, stage) in STAGES {
        if names.is_empty() || names.contains(&name) {
            stages.run(name, stage);
        }
    }
    stages.finish()
}

fn fmt() -> Result<()> {
    needs_component("fmt", "rustfmt")?;
    run::logged(
        "rustfmt",
        run::cargo().args(["fmt", "--all", "--", "--check"]),
    )?;
    let firmware = paths::root().join("firmware");
    run::logged(
        "rustfmt, firmware",
        run::cargo()
            .args(["fmt", "--all", "--", "--check"])
            .current_dir(firmware),
    )
}

fn lint() -> Result<()> {
    needs_component("clippy", "clippy")?;
    let mut cargo = run::cargo();
    cargo.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]);
    run::logged("clippy", &mut cargo)
}

fn needs_component(verb: &str, component: &str) -> Result<()> {
    if !run::succeeds(run::cargo().args([verb, "--version"])) {
        bail!("cargo {verb} is missing; `rustup component add {component}` brings it");
    }
    Ok(())
}

fn host() -> Result<()> {
    let mut cargo = run::cargo();
    // Passing tests may have said that they skipped something, so their output is wanted too.
    cargo.args([
        "test",
        "--workspace",
        "--no-fail-fast",
        "--",
        "--show-output",
    ]);
    let ran = run::logged("host tests", &mut cargo);
    report_skipped("host-tests");
    ran
}

/// Tests that need files beside the checkout say so; that must not go unseen.
fn report_skipped(log: &str) {
    let file = paths::logs().join(format!("{log}.log"));
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("skipped"))
        .collect();
    lines.dedup();
    for line in lines {
        run::say(format!("  {line}"));
    }
}

/// The device's crates for a target that has neither `std` nor `alloc`.
fn no_std() -> Result<()> {
    let target = "x86_64-unknown-none";
    let debian = Debian::ready()?;
    for features in ["", "fixpoint-kernels/espdl,fixpoint-runtime/espdl"] {
        let mut cargo = debian.cargo();
        cargo.args([
            "check",
            "--target",
            target,
            "-Zbuild-std=core",
            "--features",
            features,
        ]);
        for name in ["kernels", "runtime", "protocol", "device"] {
            cargo.args(["--package", &format!("fixpoint-{name}")]);
        }
        cargo.env("CARGO_TARGET_DIR", paths::target().join("no-std"));
        let which = if features.is_empty() {
            "as on the chip"
        } else {
            "with espdl"
        };
        run::logged(&format!("no_std check, {which}"), &mut cargo)?;
    }
    Ok(())
}

fn xtensa() -> Result<()> {
    firmware::dispatch(&["selftest"])?;
    firmware::check_runner()
}

fn prebuilt() -> Result<()> {
    firmware::dispatch(&["check"])
}

/// The suite in a browser's WebAssembly.
fn wasm() -> Result<()> {
    let toolchain = WebToolchain::ready()?;
    let browser = Browser::ready()?;
    cargo_tools::wasm_bindgen()?;
    let wasm_pack = cargo_tools::wasm_pack()?;

    let vectors = paths::target().join("vectors.bin");
    let mut generate = run::program("vectors")?;
    generate.arg(&vectors);
    run::logged("vectors for the other backends", &mut generate)?;

    let mut command = run::clean(wasm_pack);
    toolchain.enter(&mut command, &[cargo_tools::bin()]);
    command
        .args([
            "test",
            "--headless",
            "--chrome",
            "--mode",
            "no-install",
            "--chromedriver",
        ])
        .arg(&browser.driver)
        .arg("tests")
        .env("CHROMEDRIVER", &browser.driver)
        .env(
            "WASM_BINDGEN_TEST_WEBDRIVER_JSON",
            browser.write_capabilities()?,
        )
        .env("FIXPOINT_VECTORS", &vectors);
    run::logged("wasm tests in a headless browser", &mut command)?;
    needs_results("wasm-tests-in-a-headless-browser")
}

/// A runner that found no tests succeeds too; that is no pass.
fn needs_results(log: &str) -> Result<()> {
    let file = paths::logs().join(format!("{log}.log"));
    let text = std::fs::read_to_string(&file)?;
    let passed: u32 = text.lines().filter_map(passed_in).sum();
    if passed == 0 {
        bail!("no test ran; see {}", paths::shown(&file));
    }
    run::say(format!("  {passed} tests passed"));
    Ok(())
}

/// The count in a line such as `test result: ok. 12 passed; 0 failed`.
fn passed_in(line: &str) -> Option<u32> {
    let rest = line.trim().strip_prefix("test result:")?;
    let (before, _) = rest.split_once(" passed")?;
    before.split_whitespace().next_back()?.parse().ok()
}

/// The built page, driven in a real browser.
fn page() -> Result<()> {
    let node = page::build()?;
    let browser = Browser::ready()?;
    let folder = paths::root().join("tests/e2e");
    node.install_packages("e2e", &folder)?;
    let mut npm = node.npm();
    npm.args(["test"])
        .current_dir(&folder)
        .env("CHROME", &browser.browser);
    let ran = run::logged("the page in a headless browser", &mut npm);
    report_skipped("the-page-in-a-headless-browser");
    ran
}

fn size() -> Result<()> {
    // A stage that failed before may have left an older build, or none.
    let page = paths::root().join("web/dist/index.html");
    if !Path::new(&page).exists() {
        page::build().context("sizes are measured on the built page")?;
    }
    sizes::check()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted() {
        assert_eq!(
            passed_in("test result: ok. 12 passed; 0 failed; 0 ignored"),
            Some(12)
        );
        assert_eq!(passed_in("running 3 tests"), None);
    }

    #[test]
    fn unknown_stages_are_refused() {
        assert!(run(&["hots"]).is_err());
    }
}
