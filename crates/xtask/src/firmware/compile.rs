//! From the firmware's sources to an ELF.
//!
//! rustc's own Xtensa objects do not link: its assembler puts literals of function sections where
//! `l32r` can't address them. So rustc only makes bitcode (a static library of it, for which it
//! needs no linker), and this makes one module of that, optimises it as a whole program, and goes
//! through assembly text, with which all literals end up in `.literal` sections that the linker
//! script places in front of the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::constants::Constants;
use super::loops;
use super::object;
use super::shorten::{narrowed, shorten};
use super::toolchain::Toolchain;
use super::vector;
use super::wrapper;
use crate::paths;
use crate::run::{self, say};

/// One image of the firmware workspace.
pub(super) struct Image {
    name: &'static str,
    /// Folder under `firmware/`, with the start-up assembly in `asm/` and the script `link.ld`.
    pub(super) folder: &'static str,
    package: &'static str,
    /// Name of the specification in `firmware/targets/`, without its ending.
    target: &'static str,
}

pub(super) const APP: Image = Image {
    name: "app",
    folder: "app",
    package: "fixpoint-firmware",
    target: "xtensa-esp32s3",
};

/// For QEMU's core, which has no upper half of a product of two words.
pub(super) const SELFTEST: Image = Image {
    name: "selftest",
    folder: "selftest",
    package: "fixpoint-selftest",
    target: "xtensa-dc233c",
};

/// The same as the chip runs it: what is measured.
pub(super) const MEASURED: Image = Image {
    name: "measured",
    target: APP.target,
    ..SELFTEST
};

/// What the assembly calls.
const ENTRIES: &[&str] = &["main", "exception_report"];

/// What LLVM may call without it being in the bitcode: these must survive until code generation
/// has decided. One that is missing here shows as an undefined symbol in the link.
const LIBRARY_CALLS: &[&str] = &[
    "memcmp",
    "bcmp",
    "__ashldi3",
    "__ashrdi3",
    "__lshrdi3",
    "__mulsi3",
    "__divsi3",
    "__modsi3",
    "__udivsi3",
    "__umodsi3",
    "__divdi3",
    "__moddi3",
    "__udivdi3",
    "__umoddi3",
];

/// Special registers and instructions of the start-up assembly, beyond the target's features.
const ASSEMBLY_FEATURES: &str = "+clamps,+coprocessor,+exception,+interrupt,\
    +highpriinterrupts,+prid,+rvector,+timers3,+windowed";

fn folder() -> PathBuf {
    paths::root().join("firmware")
}

/// Where the firmware is built: apart from the host's, as another compiler is at work.
pub(super) fn target_dir() -> PathBuf {
    paths::target().join("firmware")
}

/// Compiles and links; the path of the ELF.
///
/// # Errors
/// When a step fails; its output is printed.
pub(super) fn elf(image: &Image, toolchain: &Toolchain) -> Result<PathBuf> {
    say(format!(
        "firmware: {} for {} with {}",
        image.name,
        image.target,
        toolchain.name()
    ));
    let library = library(image, toolchain)?;
    link(image, toolchain, &library)
}

/// Where the ELF is once it is linked.
pub(super) fn linked(image: &Image) -> PathBuf {
    let folder = target_dir().join("link").join(image.name);
    folder.join(format!("{}.elf", image.name))
}

fn library(image: &Image, toolchain: &Toolchain) -> Result<PathBuf> {
    let manifest = folder().join("Cargo.toml");
    let mut fetch = toolchain.cargo();
    fetch
        .args(["fetch", "--locked", "--manifest-path"])
        .arg(&manifest);
    // Before the paths are remapped: one of them is the folder that this fills.
    run::captured(&mut fetch)?;

    let mut flags = vec![
        "-Clinker-plugin-lto".to_owned(),
        "-Cembed-bitcode=yes".to_owned(),
    ];
    flags.extend(toolchain.remapped()?);
    let mut cargo = toolchain.cargo();
    cargo
        .args(["build", "--release", "--locked", "--package", image.package])
        .arg("--manifest-path")
        .arg(&manifest)
        .arg("--target")
        .arg(folder().join(format!("targets/{}.json", image.target)))
        .args(["-Zjson-target-spec", "-Zbuild-std=core"])
        .arg("-Zbuild-std-features=compiler-builtins-mem")
        // Separated so that a path may have spaces.
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("CARGO_TARGET_DIR", target_dir());
    wrapper::wrap(&mut cargo)?;
    run::logged(&format!("firmware: compile {}", image.name), &mut cargo)?;
    let name = format!("libfixpoint_{}.a", image.folder);
    Ok(target_dir().join(image.target).join("release").join(name))
}

fn link(image: &Image, toolchain: &Toolchain, library: &Path) -> Result<PathBuf> {
    let elf = linked(image);
    let work = target_dir().join("link").join(image.name);
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    fs::create_dir_all(&work)?;
    say(format!("firmware: link {}", image.name));
    let step = |command: &mut std::process::Command| {
        run::captured(command.current_dir(&work)).with_context(|| format!("link {}", image.name))
    };

    let archive = fs::read(library).with_context(|| library.display().to_string())?;
    let mut modules = Vec::new();
    for (index, bitcode) in object::bitcode(&archive)?.into_iter().enumerate() {
        let name = format!("{index:03}.bc");
        fs::write(work.join(&name), bitcode)?;
        modules.push(name);
    }
    if modules.is_empty() {
        bail!("{} is empty", library.display());
    }
    let features = features(image)?;
    let kept = [ENTRIES, LIBRARY_CALLS].concat().join(",");

    step(
        toolchain
            .llvm_tool("llvm-link")?
            .args(&modules)
            .args(["-o", "all.bc"]),
    )?;
    step(
        toolchain
            .llvm_tool("opt")?
            // Over the whole program O3 takes 1,700 bytes more and no loop is faster for it. Functions that
            // came out the same, as those of both element widths do, are one at the end.
            .arg("-passes=internalize,default<O2>,mergefunc")
            .arg(format!("-internalize-public-api-list={kept}"))
            .args(["all.bc", "-o", "optimised.bc"]),
    )?;
    step(
        toolchain
            .llvm_tool("llc")?
            .args(["-O3", "-filetype=asm", "-relocation-model=static"])
            .args(["-function-sections", "-data-sections"])
            .args(["optimised.bc", "-o", "all.s"]),
    )?;

    let text = work.join("all.s");
    let short = shorten(&fs::read_to_string(&text)?);
    fs::write(&text, literals_placed(&short))?;
    let mut objects = vec![assemble(toolchain, &work, Path::new("all.s"), &features)?];
    let features = format!("{features},{ASSEMBLY_FEATURES}");
    let sources = assembly(image)?;
    let mut constants = Constants::default();
    for source in sources.iter().filter(|source| is_included(source)) {
        constants.read(&fs::read_to_string(source)?);
    }
    for source in sources {
        let name = source.file_name().unwrap_or_default();
        let text = fs::read_to_string(&source).with_context(|| source.display().to_string())?;
        let text = constants.replace(&text);
        let text = vector::translate(&text).with_context(|| paths::shown(&source).to_string())?;
        let text = narrowed(&text);
        // The first line makes the assembler name the file that was written by hand.
        let text = format!("# 1 \"{}\"\n{text}", paths::shown(&source));
        if is_included(&source) {
            fs::write(work.join(name), text)?;
            continue;
        }
        let assemble = |wide: &BTreeSet<u32>, named: bool| {
            let widths = loops::widths(wide, named);
            fs::write(work.join(name), format!("{widths}{text}"))?;
            assemble(toolchain, &work, Path::new(name), &features)
        };
        let mut wide = BTreeSet::new();
        loop {
            // Each of them was narrow before, so this comes to an end.
            let more = loops::to_widen(&fs::read(assemble(&wide, true)?)?)
                .with_context(|| paths::shown(&source).to_string())?;
            if more.is_empty() {
                break;
            }
            wide.extend(more);
        }
        objects.push(assemble(&wide, false)?);
    }
    step(
        toolchain
            .linker()
            .args(["--gc-sections", "--no-relax", "--build-id=none"])
            .arg(format!("-Map={}.map", image.name))
            .arg("-T")
            .arg(folder().join(image.folder).join("link.ld"))
            .args(&objects)
            .arg("-o")
            .arg(&elf),
    )?;
    loops::check(&fs::read(&elf)?).with_context(|| format!("link {}", image.name))?;
    Ok(elf)
}

/// The compiler writes a function's literals before it opens the function's section, so they would
/// go with whatever was open; here the section is opened first.
fn literals_placed(assembly: &str) -> String {
    let lines: Vec<&str> = assembly.lines().collect();
    let mut placed = String::with_capacity(assembly.len() + assembly.len() / 8);
    for (index, line) in lines.iter().enumerate() {
        if line.trim() == ".literal_position" {
            let opens = |line: &&&str| line.trim_start().starts_with(".section\t.text");
            if let Some(section) = lines[index..].iter().find(opens) {
                placed.push_str(section);
                placed.push('\n');
            }
        }
        placed.push_str(line);
        placed.push('\n');
    }
    placed
}

fn assemble(toolchain: &Toolchain, work: &Path, source: &Path, features: &str) -> Result<PathBuf> {
    let name = source.file_stem().unwrap_or_default();
    let object = work.join(name).with_extension("o");
    run::captured(
        toolchain
            .llvm_tool("llvm-mc")?
            .args(["-triple=xtensa-none-elf", "-filetype=obj"])
            .arg(format!("-mattr={features}"))
            .arg(source)
            .arg("-o")
            .arg(&object)
            .current_dir(work),
    )
    .with_context(|| format!("assemble {}", paths::shown(source)))?;
    Ok(object)
}

fn is_included(source: &Path) -> bool {
    source.extension().is_some_and(|ending| ending == "inc")
}

/// The shared assembly files and the image's own, by name; what they include comes first.
fn assembly(image: &Image) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for place in [
        folder().join("asm"),
        folder().join(image.folder).join("asm"),
    ] {
        for entry in fs::read_dir(&place).with_context(|| place.display().to_string())? {
            let path = entry?.path();
            if (path.extension()).is_some_and(|ending| ending == "S" || ending == "inc") {
                files.push(path);
            }
        }
    }
    files.sort_by_key(|path| (!is_included(path), path.clone()));
    Ok(files)
}

/// The features of the target specification: rustc and the assembler must agree on them.
fn features(image: &Image) -> Result<String> {
    let path = folder().join(format!("targets/{}.json", image.target));
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let specification: serde_json::Value = serde_json::from_str(&text)?;
    let features = specification["features"].as_str();
    Ok(features
        .with_context(|| format!("no features in {}", path.display()))?
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::literals_placed;

    #[test]
    fn literals_go_with_the_function_behind_them() {
        let section = "\t.section\t.text.second,\"ax\",@progbits";
        let before =
            format!("\t.section\t.rodata.first\n\t.literal_position\n{section}\nsecond:\n");
        let after = literals_placed(&before);
        assert_eq!(
            after,
            format!(
                "\t.section\t.rodata.first\n{section}\n\t.literal_position\n{section}\nsecond:\n"
            )
        );
    }
}
