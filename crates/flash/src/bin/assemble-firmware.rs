//! `assemble-firmware ELF FOLDER VERSION [TOOL=VERSION...]` writes `bootloader.bin`,
//! `partition-table.bin`, `runtime.bin` and `manifest.json`, for `cargo xtask firmware`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::{env, error::Error, fs};

use fixpoint_flash::image;
use fixpoint_flash::partition::TABLE_OFFSET;
use fixpoint_flash::plan::BOOTLOADER_OFFSET;
use serde_json::json;
use sha2::{Digest, Sha256};

fn main() -> ExitCode {
    match assemble() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn assemble() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [elf, folder, version, tools @ ..] = arguments.as_slice() else {
        return Err("wanted: ELF FOLDER VERSION [TOOL=VERSION...]".into());
    };
    let made_with: BTreeMap<&str, &str> = tools
        .iter()
        .filter_map(|tool| tool.split_once('='))
        .collect();
    let folder = Path::new(folder);
    let images = image::assemble(&fs::read(elf)?)?;
    fs::create_dir_all(folder)?;
    let mut files = Vec::new();
    for (name, offset, bytes) in [
        ("bootloader.bin", BOOTLOADER_OFFSET, &images.bootloader),
        ("partition-table.bin", TABLE_OFFSET, &images.partition_table),
        ("runtime.bin", images.app_offset, &images.app),
    ] {
        fs::write(folder.join(name), bytes)?;
        let digest: String = Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        files.push(json!({
            "file": name,
            "offset": offset,
            "size": bytes.len(),
            "sha256": digest,
        }));
    }
    let manifest = json!({
        "firmware": version,
        "chip": "esp32s3",
        "files": files,
        "made_with": made_with,
    });
    let text = serde_json::to_string_pretty(&manifest)?;
    fs::write(folder.join("manifest.json"), text + "\n")?;
    Ok(())
}
