//! Finds the vectors that the browser's test embeds.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=FIXPOINT_VECTORS");
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() != Ok("wasm32") {
        return;
    }
    let command = "cargo run -p fixpoint-tests --bin vectors -- target/vectors.bin";
    let Ok(path) = env::var("FIXPOINT_VECTORS") else {
        println!(
            "cargo::error=FIXPOINT_VECTORS names no file; run `{command}` and set it to that file's absolute path"
        );
        return;
    };
    let path = PathBuf::from(path);
    if !path.is_absolute() || !path.is_file() {
        println!(
            "cargo::error=FIXPOINT_VECTORS={} is not the absolute path of a file; run `{command}`",
            path.display()
        );
        return;
    }
    println!("cargo::rerun-if-changed={}", path.display());
    println!("cargo::rustc-env=FIXPOINT_VECTORS_FILE={}", path.display());
}
