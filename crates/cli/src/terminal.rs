//! What goes to stderr besides errors: notes, and progress when somebody is watching.

use std::io::{IsTerminal, Write, stderr};

/// A line that informs and doesn't fail.
pub(crate) fn note(text: &str) {
    eprintln!("note: {text}");
}

/// A counter that rewrites its line, on a terminal only; gone when dropped.
pub(crate) struct Bar {
    what: &'static str,
    shown: bool,
    last: Option<usize>,
}

impl Bar {
    pub(crate) fn new(what: &'static str) -> Self {
        Self {
            what,
            shown: stderr().is_terminal(),
            last: None,
        }
    }

    /// Another activity, with the same line.
    pub(crate) fn rename(&mut self, what: &'static str) {
        self.what = what;
    }

    pub(crate) fn show(&mut self, done: usize, total: usize) {
        let percent = done * 100 / total.max(1);
        if self.shown && self.last != Some(percent) {
            self.last = Some(percent);
            eprint!("\r\x1b[2K{} {done} of {total}", self.what);
            // Progress that can't be shown is no reason to stop.
            let _ = stderr().flush();
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.last.is_some() {
            eprint!("\r\x1b[2K");
        }
    }
}
