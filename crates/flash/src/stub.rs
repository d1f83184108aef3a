//! The RAM stub that replaces the ROM's flash commands: source and licence in `stub/README.md`.

/// Jump address.
pub(crate) const ENTRY: u32 = 0x4037_95a8;
/// Memory images and where they are loaded, in upload order.
pub(crate) const IMAGES: [(u32, &[u8]); 2] = [
    (0x4037_8000, include_bytes!("../stub/esp32s3-text.bin")),
    (0x3fcb_2dc4, include_bytes!("../stub/esp32s3-data.bin")),
];
/// What the stub sends (as one frame) when it has started.
pub(crate) const GREETING: &[u8] = b"OHAI";

#[cfg(test)]
mod tests {
    use super::*;
    use std::{path::Path, process::Command};

    fn base64(text: &str) -> Vec<u8> {
        let digit = |c: u8| match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        let digits: Vec<u32> = text
            .bytes()
            .filter(|&c| c != b'=')
            .map(|c| u32::from(digit(c)))
            .collect();
        let mut bytes = Vec::new();
        for group in digits.chunks(4) {
            let bits = group.iter().fold(0, |bits, d| bits << 6 | d) << (6 * (4 - group.len()));
            bytes.extend(bits.to_be_bytes()[1..].iter().take(group.len() - 1));
        }
        bytes
    }

    #[test]
    fn is_the_one_in_the_espflash_crate() {
        let cargo = std::env::var("CARGO").unwrap_or("cargo".into());
        let metadata = Command::new(cargo)
            .args([
                "metadata",
                "--format-version",
                "1",
                "--offline",
                "--manifest-path",
            ])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
            .output()
            .unwrap();
        let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
        let packages = metadata["packages"].as_array().unwrap();
        let manifest = packages
            .iter()
            .find(|p| p["name"] == "espflash")
            .and_then(|p| p["manifest_path"].as_str())
            .unwrap();
        let toml = Path::new(manifest).with_file_name("resources/stubs/esp32s3.toml");
        let toml = std::fs::read_to_string(toml).unwrap();
        let field = |name: &str| {
            let line = toml
                .lines()
                .find(|l| l.split_whitespace().next() == Some(name));
            line.unwrap()
                .split_once('=')
                .unwrap()
                .1
                .trim()
                .trim_matches('"')
                .to_owned()
        };
        let number = |name: &str| field(name).replace('_', "").parse::<u32>().unwrap();

        assert_eq!(number("entry"), ENTRY);
        assert_eq!(
            (number("text_start"), number("data_start")),
            (IMAGES[0].0, IMAGES[1].0)
        );
        assert_eq!(base64(&field("text")), IMAGES[0].1);
        assert_eq!(base64(&field("data")), IMAGES[1].1);
    }
}
