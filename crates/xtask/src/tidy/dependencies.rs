//! Who may depend on whom.

use serde_json::Value;

use super::Findings;

/// Our crates, and which of ours each may use outside its tests.
const OURS: [(&str, &[&str]); 14] = [
    ("fixpoint-kernels", &[]),
    ("fixpoint-runtime", &["kernels"]),
    ("fixpoint-protocol", &[]),
    ("fixpoint-device", &["protocol", "runtime"]),
    ("fixpoint-vector", &["kernels", "runtime"]),
    ("fixpoint-quant", &["kernels", "runtime", "vector"]),
    ("fixpoint-dataset", &[]),
    ("fixpoint-flash", &["protocol"]),
    ("fixpoint-isa", &[]),
    ("fixpoint-emulator", &["isa"]),
    ("fixpoint-board", &["emulator", "protocol"]),
    (
        "fixpoint-wasm",
        &["board", "dataset", "flash", "protocol", "quant", "runtime"],
    ),
    (
        "fixpoint-cli",
        &["board", "dataset", "flash", "protocol", "quant", "runtime"],
    ),
    ("xtask", &["isa"]),
];

/// The crates that go into the firmware, and the only foreign crates each may use there.
const ON_THE_DEVICE: [(&str, &[&str]); 5] = [
    ("fixpoint-kernels", &[]),
    ("fixpoint-runtime", &["crc"]),
    ("fixpoint-vector", &[]),
    ("fixpoint-protocol", &["crc", "thiserror"]),
    ("fixpoint-device", &[]),
];

/// Foreign crates, by the start of their names, that only some of ours may name.
const CONFINED: [(&str, &[&str]); 8] = [
    ("tract", &["fixpoint-quant"]),
    ("espflash", &["fixpoint-flash"]),
    ("wasm-bindgen", &["fixpoint-wasm", "fixpoint-tests"]),
    ("js-sys", &["fixpoint-wasm"]),
    ("web-sys", &["fixpoint-wasm"]),
    ("serde-wasm-bindgen", &["fixpoint-wasm"]),
    ("serialport", &["fixpoint-cli"]),
    ("anyhow", &["fixpoint-cli", "fixpoint-tests", "xtask"]),
];

pub(super) fn check(packages: &[Value], findings: &mut Findings) {
    for package in packages
        .iter()
        .filter(|package| package["source"].is_null())
    {
        let name = text(&package["name"]);
        let Some(dependencies) = package["dependencies"].as_array() else {
            continue;
        };
        for dependency in dependencies {
            let other = text(&dependency["name"]);
            let in_tests = dependency["kind"] == "dev";
            findings.broken.extend(complaint(name, other, in_tests));
        }
    }
}

fn complaint(name: &str, other: &str, in_tests: bool) -> Option<String> {
    if let Some(short) = other.strip_prefix("fixpoint-") {
        let allowed = OURS.iter().find(|(ours, _)| *ours == name);
        return match allowed {
            Some((_, list)) if !in_tests && !list.contains(&short) => Some(format!(
                "{name} depends on {other}, against the direction in ARCHITECTURE.md"
            )),
            None if name != "fixpoint-tests" => Some(format!(
                "{name} is not in the crate map; add it to ARCHITECTURE.md and to tidy"
            )),
            _ => None,
        };
    }
    let confined = CONFINED.iter().find(|(start, _)| other.starts_with(start));
    if let Some((_, users)) = confined
        && !in_tests
        && !users.contains(&name)
    {
        return Some(format!(
            "{name} depends on {other}, which only {} may",
            users.join(", ")
        ));
    }
    let device = ON_THE_DEVICE.iter().find(|(ours, _)| *ours == name);
    if let Some((_, list)) = device
        && !in_tests
        && !list.contains(&other)
    {
        return Some(format!(
            "{name} goes into the firmware and may not depend on {other}"
        ));
    }
    None
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::complaint;

    #[test]
    fn arrows_never_turn_back() {
        assert!(complaint("fixpoint-runtime", "fixpoint-kernels", false).is_none());
        assert!(complaint("fixpoint-kernels", "fixpoint-runtime", false).is_some());
        assert!(complaint("fixpoint-kernels", "fixpoint-runtime", true).is_none());
        assert!(complaint("fixpoint-tests", "fixpoint-quant", false).is_none());
        assert!(complaint("fixpoint-new", "fixpoint-quant", false).is_some());
    }

    #[test]
    fn foreign_crates_stay_where_they_belong() {
        assert!(complaint("fixpoint-quant", "tract-onnx", false).is_none());
        assert!(complaint("fixpoint-cli", "tract-onnx", false).is_some());
        assert!(complaint("fixpoint-kernels", "libm", false).is_some());
    }
}
