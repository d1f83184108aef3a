//! PyPI's esptool against the virtual board, unchanged: what a real board takes from it and tells it,
//! ours does as well.

mod bench;
#[path = "bench/clients.rs"]
mod clients;

use bench::Images;
use clients::{esptool, run, said};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const BLANK: usize = 4 << 20;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn save(name: &str, bytes: &[u8]) -> String {
    let path = file(name);
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn esptool_identifies_writes_verifies_reads_and_erases() {
    let Some(tool) = esptool() else {
        return;
    };
    let images = Images::new(1);
    for stub in [true, false] {
        let blank = vec![0xFF; BLANK];
        let (output, flash, _) = run(&tool, stub, blank.clone(), &["flash-id"]);
        let text = said(&output);
        for line in ["ESP32-S3", "v0.2", "4MB", "02:46:58:50:00:01"] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert_eq!(flash, blank, "looking changes nothing");

        let (boot, app) = (
            save(&format!("boot-{stub}.bin"), &images.bootloader),
            save(&format!("app-{stub}.bin"), &images.runtime),
        );
        // `keep`: the images as they are, so that they can be compared.
        let write = [
            "write-flash",
            "--flash-mode",
            "keep",
            "--flash-freq",
            "keep",
            "--flash-size",
            "keep",
            "0x0",
            &boot,
            "0x10000",
            &app,
        ];
        let (output, flash, _) = run(&tool, stub, blank, &write);
        let text = said(&output);
        assert_eq!(text.matches("Hash of data verified").count(), 2, "{text}");
        assert!(flash.starts_with(&images.bootloader), "{text}");
        assert!(flash[0x1_0000..].starts_with(&images.runtime));

        let verify = [
            "verify-flash",
            "--flash-mode",
            "keep",
            "--flash-freq",
            "keep",
            "--flash-size",
            "keep",
            "0x0",
            &boot,
            "0x10000",
            &app,
        ];
        said(&run(&tool, stub, flash.clone(), &verify).0);
        let mut broken = flash.clone();
        broken[0x1_0100] ^= 1;
        let (output, ..) = run(&tool, stub, broken, &verify);
        assert!(!output.status.success(), "a flipped bit is found");

        let out = file(&format!("read-{stub}.bin"));
        // Without the stub 64 bytes at a time, off the sectors.
        let (offset, length) = if stub {
            (0x1_0000, 0x5001)
        } else {
            (0x1_0008, 0x321)
        };
        let read = [
            "read-flash",
            &format!("{offset:#x}"),
            &format!("{length:#x}"),
            out.to_str().unwrap(),
        ];
        said(&run(&tool, stub, flash.clone(), &read).0);
        assert_eq!(fs::read(&out).unwrap(), flash[offset..offset + length]);

        if stub {
            let erase = ["erase-region", "0x10000", "0x2000"];
            let (output, erased, _) = run(&tool, stub, flash.clone(), &erase);
            said(&output);
            assert!(erased[0x1_0000..0x1_2000].iter().all(|&byte| byte == 0xFF));
            assert_eq!(erased[0x1_2000..], flash[0x1_2000..]);
            let (output, erased, _) = run(&tool, stub, flash, &["erase-flash"]);
            said(&output);
            assert!(erased.iter().all(|&byte| byte == 0xFF));
        }
    }
}

/// npm's package, through a port of our own over TCP (`tests/clients`).
#[test]
fn esptool_js_identifies_writes_verifies_and_reads() {
    let Some(package) = std::env::var_os("ESPTOOL_JS") else {
        println!(
            "skipped: ESPTOOL_JS does not name a folder with npm's esptool-js (tests/clients/README.md)"
        );
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients/esptool-js.mjs");
    let images = Images::new(1);
    let app = save("app-js.bin", &images.runtime);
    let (output, flash, wire) = clients::serve(vec![0xFF; BLANK], |port| {
        Command::new("node")
            .arg(script)
            .arg(package)
            .args([&port.to_string(), &app, "0x10000"])
            .output()
            .unwrap()
    });
    let text = said(&output);
    // 0x1640C8 is the 4 MB part's identification.
    for part in ["ESP32-S3", "\"same\":true", "\"id\":1458376"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(flash[0x1_0000..].starts_with(&images.runtime), "{text}");
    println!("esptool-js: {} B out, {} B in", wire.out, wire.back);
}
