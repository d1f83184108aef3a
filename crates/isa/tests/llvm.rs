//! The committed firmware's code, decoded here and by LLVM's disassembler: the same text.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use fixpoint_isa::operand::{Anchor, Kind};
use fixpoint_isa::{Class, Instruction, decode};

const FEATURES: &str = "+density,+nsa,+mul16,+mul32,+mul32high,+div32,+sext,+minmax,+clamps,+loop,\
    +coprocessor,+exception,+interrupt,+highpriinterrupts,+rvector,+timers3,+windowed,+s32c1i,\
    +prid,+miscsr,+threadptr,+debug,+dcache";

/// Segments of the image whose addresses are code's: flash and RAM.
fn code() -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware/prebuilt/runtime.bin");
    let image = std::fs::read(path).expect("firmware/prebuilt");
    let word = |at: usize| {
        let bytes = image[at..at + 4].try_into().expect("four bytes");
        u32::from_le_bytes(bytes)
    };
    let (mut at, mut found) = (24, Vec::new());
    for _ in 0..image[1] {
        let (address, size) = (word(at), word(at + 4) as usize);
        if matches!(address >> 20, 0x420 | 0x403) {
            found.push(image[at + 8..at + 8 + size].to_vec());
        }
        at += 8 + size;
    }
    found
}

/// What LLVM prints for it; `None` for the label, of which LLVM tells nothing without an address.
fn text(instruction: &Instruction) -> String {
    let row = instruction.op.row();
    let (mut text, mut number) = (String::new(), 0);
    let own = instruction.text(0).to_string();
    let mut operands = own.split_once(' ').map_or("", |(_, rest)| rest).split(", ");
    for operand in row.operands {
        let shown = operands.next().unwrap_or_default();
        text += match text.is_empty() {
            true => " ",
            false => ", ",
        };
        match operand.kind {
            Kind::Label(Anchor::Here, _) => {
                let offset = instruction.imm[number];
                let sign = if offset > 0 { "+" } else { "" };
                text += &format!(". {sign}{offset}");
            }
            Kind::Label(..) => text += "label",
            _ if row.name == "addmi" && number == 0 && operand.kind != Kind::Ar => text += "number",
            _ => text += shown,
        }
        if matches!(operand.kind, Kind::Immediate(_) | Kind::Label(..)) {
            number += 1;
        }
    }
    format!("{}{text}", row.name)
}

/// LLVM's text with one blank behind the name, and without labels that count from a word.
fn normal(line: &str) -> String {
    let line = line.trim().replace('\t', " ");
    if line.starts_with("addmi") {
        // LLVM 22 prints the low byte of the sum's upper half, which is always zero.
        let number = line.rfind(' ').unwrap_or(line.len());
        return format!("{} number", &line[..number]);
    }
    if line.starts_with("l32r") || line.starts_with("call") && !line.starts_with("callx") {
        let label = line.rfind(". ").unwrap_or(line.len());
        return format!("{}label", &line[..label]);
    }
    line
}

#[test]
fn llvm_reads_the_firmware_likewise() {
    let version = Command::new("llvm-mc-22").arg("--version").output();
    if version.is_err() {
        println!("skipped: no llvm-mc-22 (Debian: llvm-22)");
        return;
    }
    // Literals among the code are decoded as well; so each encoding is looked at by itself.
    let mut encodings = BTreeSet::new();
    for segment in code() {
        let mut at = 0;
        while at < segment.len() {
            match decode(&segment[at..]) {
                Ok(found) if found.op.row().class < Class::Vector => {
                    let length = usize::from(found.length);
                    encodings.insert(segment[at..at + length].to_vec());
                    at += length;
                }
                Ok(found) => at += usize::from(found.length),
                Err(_) => at += 1,
            }
        }
    }
    let mut input = String::new();
    for bytes in &encodings {
        let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:#04x}")).collect();
        input += &bytes.join(" ");
        input.push('\n');
    }
    let mut llvm = Command::new("llvm-mc-22")
        .args(["-disassemble", "-triple=xtensa-none-elf"])
        .arg(format!("-mattr={FEATURES}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("llvm-mc-22");
    let mut stdin = llvm.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = llvm.wait_with_output().expect("llvm-mc-22");
    writer.join().expect("no panic").expect("it reads all");
    // Lines that it refuses are named on stderr as `<stdin>:LINE:COLUMN: warning`.
    let refused: BTreeSet<usize> = String::from_utf8_lossy(&output.stderr)
        .lines()
        .filter(|line| line.contains("invalid instruction encoding"))
        .filter_map(|line| line.split(':').nth(1)?.parse().ok())
        .collect();
    let accepted = (1..)
        .zip(&encodings)
        .filter(|(line, _)| !refused.contains(line));
    let printed = String::from_utf8_lossy(&output.stdout);
    let mut lines = printed.lines().filter(|line| line.starts_with('\t'));
    let mut equal = 0;
    for (_, bytes) in accepted {
        let found = decode(bytes).expect("decoded before");
        let line = lines.next().expect("a line for every instruction");
        assert_eq!(text(&found), normal(line), "{bytes:02x?}");
        equal += 1;
    }
    assert_eq!(lines.next(), None);
    let share = refused.len() * 100 / encodings.len();
    assert!(share < 10, "LLVM refuses {share} % of what is decoded here");
    println!(
        "{equal} encodings of the firmware read alike; LLVM doesn't know {}",
        refused.len()
    );
}
