//! Writes the vectors for backends that can't generate them: `vectors OUT`.

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: vectors OUT");
        return std::process::ExitCode::from(2);
    };
    let cases = fixpoint_tests::cases::all();
    let bytes = fixpoint_tests::cases::encode(&cases);
    if let Err(error) = std::fs::write(&path, &bytes) {
        eprintln!("{}: {error}", path.display());
        return std::process::ExitCode::FAILURE;
    }
    println!("{} cases, {} bytes", cases.len(), bytes.len());
    std::process::ExitCode::SUCCESS
}

#[cfg(target_arch = "wasm32")]
fn main() {}
