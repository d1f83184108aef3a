//! Licences of every dependency.

use serde_json::Value;

use super::Findings;

/// Licences that ask for no more than a notice.
const ALLOWED: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "BlueOak-1.0.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Packages with another licence, with the reason why they may come in.
const EXCEPTIONS: [(&str, &str, &str); 1] = [(
    "serialport",
    "MPL-2.0",
    "used unchanged, by the command line only; its sources stay available under their own licence",
)];

pub(super) fn check(packages: &[Value], findings: &mut Findings) {
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let licence = package["license"].as_str().unwrap_or_default();
        let excepted = EXCEPTIONS
            .iter()
            .any(|(other, same, _)| *other == name && *same == licence);
        if !excepted && !allowed(licence) {
            findings.broken.push(format!(
                "{name} has the licence `{licence}`, not on the list in tidy"
            ));
        }
    }
}

/// Whether an SPDX expression (or the older form with slashes) can be met by the list.
fn allowed(expression: &str) -> bool {
    let expression = expression.trim();
    if let Some(parts) = split(expression, " AND ") {
        return parts.iter().all(|part| allowed(part));
    }
    for either in [" OR ", "/"] {
        if let Some(parts) = split(expression, either) {
            return parts.iter().any(|part| allowed(part));
        }
    }
    let inner = expression
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'));
    inner.map_or_else(|| ALLOWED.contains(&expression), allowed)
}

/// The parts of `expression` between `separator`s that stand outside parentheses, if there is one.
fn split<'a>(expression: &'a str, separator: &str) -> Option<Vec<&'a str>> {
    let (mut depth, mut from, mut parts) = (0usize, 0, Vec::new());
    for (at, c) in expression.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && at >= from && expression[at..].starts_with(separator) {
            parts.push(&expression[from..at]);
            from = at + separator.len();
        }
    }
    parts.push(&expression[from..]);
    (parts.len() > 1).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::allowed;

    #[test]
    fn expressions_are_read() {
        assert!(allowed("MIT OR Apache-2.0"));
        assert!(allowed("MIT / Apache-2.0"));
        assert!(allowed("MIT OR GPL-3.0-only"));
        assert!(allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
        assert!(allowed("Apache-2.0 WITH LLVM-exception"));
        assert!(!allowed("(MIT OR Apache-2.0) AND GPL-3.0-only"));
        assert!(!allowed("GPL-3.0-only"));
        assert!(!allowed(""));
    }
}
