//! Node and npm, for the page.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::apt;
use crate::paths::{self, on_path};
use crate::run::{self, say};

/// The oldest Node that the page's build tool runs on.
const OLDEST: (u32, u32) = (20, 19);

/// A Node that is new enough, with its npm.
pub(crate) struct Node {
    /// Folders to search first; empty when the machine's own Node is used.
    folders: Vec<PathBuf>,
}

impl Node {
    /// # Errors
    /// When there is none and none can be installed.
    pub(crate) fn ready() -> Result<Self> {
        if version(Path::new("node")).is_some_and(|found| found >= OLDEST) && on_path(NPM).is_some()
        {
            return Ok(Self {
                folders: Vec::new(),
            });
        }
        let home = paths::tools().join("node");
        let own = Self {
            folders: vec![home.join("node_modules/.bin")],
        };
        if own.works() {
            return Ok(own);
        }
        if on_path(NPM).is_none() {
            apt::install("Node with npm", &["nodejs", "npm"])?;
            let system = Self {
                folders: Vec::new(),
            };
            if version(Path::new("node")).is_some_and(|found| found >= OLDEST) {
                return Ok(system);
            }
        }
        // A stable Debian's Node can be too old, but its npm can fetch a newer one.
        let (major, minor) = OLDEST;
        say(format!(
            "set-up: Node is older than {major}.{minor}; fetching one with npm"
        ));
        std::fs::create_dir_all(&home)?;
        let mut npm = Command::new(NPM);
        npm.args([
            "install",
            "--no-save",
            "--no-package-lock",
            "--no-audit",
            "--no-fund",
            "--prefix",
        ])
        .arg(&home)
        .args(["node@22", "npm@10"])
        .current_dir(&home);
        run::logged("set-up: npm install node", &mut npm)?;
        if !own.works() {
            bail!(
                "Node {major}.{minor} or newer is needed and could not be fetched with npm; please \
                 install it and run the command again"
            );
        }
        Ok(own)
    }

    fn works(&self) -> bool {
        let node = self.folders.first().map(|folder| folder.join("node"));
        node.is_some_and(|node| version(&node).is_some_and(|found| found >= OLDEST))
    }

    pub(crate) fn node(&self) -> Command {
        self.command("node")
    }

    pub(crate) fn npm(&self) -> Command {
        self.command(NPM)
    }

    fn command(&self, name: &str) -> Command {
        let program = self
            .folders
            .iter()
            .map(|folder| folder.join(name))
            .find(|path| path.exists());
        let mut command = Command::new(program.unwrap_or_else(|| PathBuf::from(name)));
        command
            .env("PATH", paths::path_with(&self.folders))
            .current_dir(paths::root());
        command
    }

    /// `npm ci` in `folder`, unless its lock file is the one installed last.
    ///
    /// # Errors
    /// When npm fails.
    pub(crate) fn install_packages(&self, name: &str, folder: &Path) -> Result<()> {
        let inputs = [
            folder.join("package-lock.json"),
            folder.join("package.json"),
        ];
        let stamp = crate::stamp::Stamp::of(&format!("npm-{name}"), &inputs, "");
        if stamp.is_current() && folder.join("node_modules").is_dir() {
            return Ok(());
        }
        let mut npm = self.npm();
        npm.args(["ci", "--no-audit", "--no-fund"])
            .current_dir(folder)
            // Browsers come from the system: no package is to download one.
            .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
        run::logged(&format!("npm ci in {}", paths::shown(folder)), &mut npm)?;
        stamp.save()
    }
}

#[cfg(windows)]
const NPM: &str = "npm.cmd";
#[cfg(not(windows))]
const NPM: &str = "npm";

fn version(node: &Path) -> Option<(u32, u32)> {
    parse(&run::captured(Command::new(node).arg("--version")).ok()?)
}

fn parse(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().strip_prefix('v')?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_versions_compare_by_number() {
        assert_eq!(parse("v20.20.2\n"), Some((20, 20)));
        assert!(parse("v20.9.0") < Some(OLDEST));
        assert!(parse("v22.1.0") > Some(OLDEST));
        assert_eq!(parse("20.1"), None);
    }
}
