//! Which words may stand where.

use std::fs;

use super::Findings;
use crate::paths;

/// Hand-written sources this long should be looked at, and this long should be divided.
const LONG_LINES: usize = 450;
const TOO_LONG_LINES: usize = 900;

/// Bytes a committed file may have.
const FILE_BYTES: u64 = 2 * 1024 * 1024;

/// Crates whose default build has neither `std` nor `alloc`.
const NO_STD: [&str; 4] = ["kernels", "runtime", "protocol", "device"];

/// Word, the files that may contain it (by how their paths start), and why.
const CONFINED: [(&str, &[&str], &str); 2] = [
    (
        "JsValue",
        &["crates/wasm/", "tests/"],
        "only crates/wasm knows JavaScript's values",
    ),
    (
        "navigator.serial",
        &["web/src/serial.ts", "web/src/virtual-serial.ts", "tests/"],
        "only web/src/serial.ts talks to the serial port",
    ),
];

pub(super) fn check(file: &str, findings: &mut Findings) {
    let path = paths::root().join(file);
    // A file deleted but still in git's index is no finding.
    let Ok(meta) = fs::metadata(&path) else {
        return;
    };
    if meta.len() > FILE_BYTES {
        findings.broken.push(format!(
            "{file} has {} bytes; the limit is {FILE_BYTES}",
            meta.len()
        ));
    }
    let Some(text) = fs::read(&path)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
    else {
        return;
    };
    check_paths(file, &text, findings);
    let hand_written = ["rs", "ts", "mjs", "css", "html", "toml", "md", "S", "ld"];
    if !hand_written
        .iter()
        .any(|extension| file.ends_with(&format!(".{extension}")))
    {
        return;
    }
    check_shape(file, &text, findings);
    if is_code(file) {
        check_confined(file, &text, findings);
        check_device(file, &text, findings);
    }
}

fn is_code(file: &str) -> bool {
    // The rules themselves name the words.
    [".rs", ".ts", ".mjs"].iter().any(|end| file.ends_with(end))
        && !file.starts_with("crates/xtask/src/tidy/")
}

/// No file names a folder of the machine it was written on.
fn check_paths(file: &str, text: &str, findings: &mut Findings) {
    let root = paths::root();
    let folders = [
        Some(root.to_path_buf()),
        root.parent().map(std::path::Path::to_path_buf),
        std::env::home_dir(),
    ];
    for folder in folders.iter().flatten() {
        let folder = format!("{}/", folder.display());
        if folder.len() > 4 && contains_path(text, &folder) {
            findings
                .broken
                .push(format!("{file} names {folder}, a folder of this machine"));
        }
    }
}

/// Whether `folder` stands in `text` as an absolute path, not as the end of a longer one.
fn contains_path(text: &str, folder: &str) -> bool {
    text.match_indices(folder).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-/}".contains(c))
    })
}

fn check_shape(file: &str, text: &str, findings: &mut Findings) {
    let lines = text.lines().count();
    if is_code(file) && lines > TOO_LONG_LINES {
        findings
            .broken
            .push(format!("{file} has {lines} lines; divide it"));
    } else if is_code(file) && lines > LONG_LINES {
        findings.warnings.push(format!("{file} has {lines} lines"));
    }
    for (number, line) in (1..).zip(text.lines()) {
        if line.ends_with([' ', '\t']) && !file.ends_with(".md") {
            findings
                .broken
                .push(format!("{file}:{number} ends with blanks"));
        }
        if line.trim_start().starts_with("#[ignore") {
            findings.broken.push(format!(
                "{file}:{number} ignores a test; assert today's behaviour and say what is wrong with it"
            ));
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        findings
            .broken
            .push(format!("{file} has no line end at its end"));
    }
}

fn check_confined(file: &str, text: &str, findings: &mut Findings) {
    for (word, places, why) in CONFINED {
        let allowed = places.iter().any(|start| file.starts_with(start));
        let named = code_lines(text).any(|(_, line)| has_word(line, word));
        if named && !allowed {
            findings.broken.push(format!("{file} names {word}: {why}"));
        }
    }
}

/// The device's arithmetic is the same everywhere: integers only, and no code for one processor.
fn check_device(file: &str, text: &str, findings: &mut Findings) {
    if !file.starts_with("crates/kernels/src/") && !file.starts_with("crates/runtime/src/") {
        return;
    }
    for (number, line) in code_lines(text) {
        for word in ["f32", "f64"] {
            if has_word(line, word) {
                findings
                    .broken
                    .push(format!("{file}:{number} names {word} on the device's path"));
            }
        }
        if has_word(line, "target_arch") {
            findings.broken.push(format!(
                "{file}:{number} depends on the processor; the reference path is the same on all"
            ));
        }
    }
}

/// The device's crates say `#![no_std]`; that they mean it is proved by compiling them without.
pub(super) fn check_no_std(findings: &mut Findings) {
    for name in NO_STD {
        let file = format!("crates/{name}/src/lib.rs");
        let text = fs::read_to_string(paths::root().join(&file)).unwrap_or_default();
        if !text.lines().any(|line| line.trim() == "#![no_std]") {
            findings
                .broken
                .push(format!("{file} doesn't say #![no_std]"));
        }
    }
}

/// Numbered lines up to the file's own tests, without comments.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..)
        .zip(text.lines())
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
        .map(|(number, line)| (number, line.split("//").next().unwrap_or_default()))
}

fn has_word(line: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(part_of_name) && !line[at + word.len()..].starts_with(part_of_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole() {
        assert!(has_word("let x: f32 = 1.0;", "f32"));
        assert!(!has_word("to_f32_bits(", "f32"));
        assert!(has_word(
            "await navigator.serial.requestPort()",
            "navigator.serial"
        ));
    }

    #[test]
    fn comments_and_tests_are_no_code() {
        let text = "//! f32\nlet a = 1; // f32\n#[cfg(test)]\nf32\n";
        assert!(!code_lines(text).any(|(_, line)| has_word(line, "f32")));
    }

    #[test]
    fn absolute_paths_are_told_from_parts_of_paths() {
        assert!(contains_path("see /home/ann/notes", "/home/ann/"));
        assert!(contains_path("\"/home/ann/notes\"", "/home/ann/"));
        assert!(!contains_path(
            "https://example.org/home/ann/notes",
            "/home/ann/"
        ));
    }

    #[test]
    fn float_types_are_found_on_the_devices_path() {
        let mut findings = Findings::default();
        check_device(
            "crates/kernels/src/x.rs",
            "fn f(x: f64) {}\n",
            &mut findings,
        );
        assert_eq!(findings.broken.len(), 1, "{:?}", findings.broken);
    }
}
