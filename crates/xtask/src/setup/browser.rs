//! Chromium (or Chrome) and the driver that belongs to it.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::apt;
use crate::paths::{self, on_path};

const BROWSERS: [&str; 5] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
];
const BUNDLES: [&str; 2] = [
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
];

/// What a headless browser is started with: no sandbox, which containers lack the rights for, and
/// no connections of its own.
pub(crate) const ARGUMENTS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-extensions",
];

/// Where the browser and its driver are.
pub(crate) struct Browser {
    pub(crate) browser: PathBuf,
    pub(crate) driver: PathBuf,
}

impl Browser {
    /// `CHROME` and `CHROMEDRIVER` name them when they are set.
    ///
    /// # Errors
    /// When they are missing and can't be installed.
    pub(crate) fn ready() -> Result<Self> {
        if let Some(found) = Self::find() {
            return Ok(found);
        }
        apt::install(
            "a browser with its driver",
            &["chromium", "chromium-driver"],
        )?;
        Self::find().context("Chromium was installed, but chromium or chromedriver is not on PATH")
    }

    fn find() -> Option<Self> {
        let browser = named("CHROME")
            .or_else(|| BROWSERS.iter().find_map(|name| on_path(name)))
            .or_else(|| {
                BUNDLES
                    .iter()
                    .map(PathBuf::from)
                    .find(|path| path.is_file())
            })?;
        let driver = named("CHROMEDRIVER").or_else(|| on_path("chromedriver"))?;
        Some(Self { browser, driver })
    }

    /// Writes the capabilities that `wasm-bindgen-test-runner` asks the driver for.
    ///
    /// # Errors
    /// When the file can't be written.
    pub(crate) fn write_capabilities(&self) -> Result<PathBuf> {
        let file = paths::tools().join("webdriver.json");
        let capabilities = serde_json::json!({
            "goog:chromeOptions": { "binary": self.browser, "args": ARGUMENTS }
        });
        std::fs::create_dir_all(paths::tools())?;
        std::fs::write(&file, serde_json::to_string_pretty(&capabilities)?)?;
        Ok(file)
    }
}

fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_file())
}
