//! Vector instructions in assembly files, for an assembler that doesn't know them: every statement
//! that is one becomes the `.byte` directive of its encoding (`fixpoint_isa`), on the line where it
//! stood. All else passes through.
//!
//! Inside `.macro`, `.irp` and `.rept` an operand can depend on an argument, which is then a number:
//! `ee.vld.128.ip q\n, a\base, \step` or `ee.zero.q q(\n+1)`. Such a statement becomes an expression
//! for the assembler, which checks the range when it expands the macro. An argument can't be a
//! register's name or an instruction's.

use std::fmt::Write;

use anyhow::{Result, anyhow, bail};
use fixpoint_isa::operand::{Coding, Kind, Operand};
use fixpoint_isa::{Row, assemble, rows};

/// The file's text, line by line, without vector instructions.
///
/// # Errors
/// When a statement is named like a vector instruction and is none, with its line.
pub(super) fn translate(source: &str) -> Result<String> {
    let mut translated = String::with_capacity(2 * source.len());
    let mut in_comment = false;
    for (index, line) in source.lines().enumerate() {
        let (before, code, after) = parts(line, &mut in_comment);
        translated.push_str(before);
        for (position, statement) in code.split(';').enumerate() {
            if position > 0 {
                translated.push(';');
            }
            let (labels, rest) = split_labels(statement);
            if is_vector(rest) {
                let bytes =
                    vector(rest.trim()).map_err(|error| anyhow!("line {}: {error}", index + 1))?;
                translated.push_str(labels);
                translated.push_str(&bytes);
            } else {
                translated.push_str(statement);
            }
        }
        translated.push_str(after);
        translated.push('\n');
    }
    Ok(translated)
}

/// A comment that began on an earlier line, code, and a comment.
fn parts<'t>(line: &'t str, in_comment: &mut bool) -> (&'t str, &'t str, &'t str) {
    let mut start = 0;
    if *in_comment {
        let Some(end) = line.find("*/") else {
            return (line, "", "");
        };
        *in_comment = false;
        start = end + 2;
    }
    let (before, rest) = line.split_at(start);
    let marks = ["//", "/*", "#"];
    let end = marks.iter().filter_map(|mark| rest.find(mark)).min();
    let (code, after) = rest.split_at(end.unwrap_or(rest.len()));
    *in_comment = after.starts_with("/*") && !after.contains("*/");
    (before, code, after)
}

/// The labels in front of a statement, with white space, and the rest.
fn split_labels(statement: &str) -> (&str, &str) {
    let mut at = 0;
    while let Some(colon) = statement[at..].find(':') {
        let label = statement[at..at + colon].trim();
        if label.is_empty() || label.contains([' ', '\t', ',', '"']) {
            break;
        }
        at += colon + 1;
    }
    let rest = statement[at..].trim_start();
    statement.split_at(statement.len() - rest.len())
}

fn is_vector(statement: &str) -> bool {
    let name = statement.split_whitespace().next().unwrap_or_default();
    let name = name.to_ascii_lowercase();
    ["ee.", "rur.", "wur."]
        .iter()
        .any(|start| name.starts_with(start))
        || ["ld.qr", "st.qr", "mv.qr"].contains(&name.as_str())
}

fn vector(statement: &str) -> Result<String> {
    if statement.contains('\\') {
        return in_macro(statement);
    }
    // The error borrows the statement.
    let instruction = assemble(statement).map_err(|error| anyhow!("{error}"))?;
    let bytes = instruction.encode();
    let Some(bytes) = bytes else {
        bail!("`{statement}` has no encoding");
    };
    let bytes = &bytes[..usize::from(instruction.length)];
    let text: Vec<String> = bytes.iter().map(|byte| format!("{byte:#04x}")).collect();
    Ok(format!(".byte {}", text.join(", ")))
}

/// The directives for a statement with arguments of a macro among its operands.
fn in_macro(statement: &str) -> Result<String> {
    let (name, operands) = statement
        .split_once(char::is_whitespace)
        .unwrap_or((statement, ""));
    let row = rows().find(|row| row.name.eq_ignore_ascii_case(name));
    let Some(row) = row else {
        bail!("there is no instruction `{name}`");
    };
    let texts: Vec<&str> = operands.split(',').map(str::trim).collect();
    if texts.len() != row.operands.len() {
        let (expected, found) = (row.operands.len(), texts.len());
        bail!("{name} takes {expected} operands, not {found}");
    }
    let mut directives = String::new();
    let mut word = format!("{:#x}", row.opcode);
    for (operand, text) in row.operands.iter().zip(texts) {
        let value = argument(row, operand, text)?;
        let (low, high, shift) = range(operand)?;
        write!(
            directives,
            ".if ({value}) < {low} || ({value}) > {high} || (({value}) & {}) != 0; \
             .error \"{name}: operand `{}` is out of range\"; .endif; ",
            (1 << shift) - 1,
            text.replace(['"', '\\'], ""),
        )?;
        // The lowest bit of each piece in the operand's value, from the least significant piece up.
        let mut from = u32::from(shift);
        for piece in operand.bits.iter().rev() {
            let mask = (1u32 << piece.width) - 1;
            write!(
                word,
                " | (((({value}) >> {from}) & {mask}) << {})",
                piece.low
            )?;
            from += u32::from(piece.width);
        }
    }
    let bytes: Vec<String> = (0..row.length)
        .map(|byte| format!("(.Lvector >> {}) & 255", 8 * byte))
        .collect();
    Ok(format!(
        "{directives}.set .Lvector, {word}; .byte {}",
        bytes.join(", ")
    ))
}

/// The number of a register or an immediate, as an expression.
fn argument<'t>(row: &Row, operand: &Operand, text: &'t str) -> Result<&'t str> {
    let prefix = match operand.kind {
        Kind::Ar => "a",
        Kind::F => "f",
        Kind::Q => "q",
        _ => "",
    };
    let number = text.strip_prefix(prefix).unwrap_or_default();
    if !number.starts_with(|first: char| first.is_ascii_digit() || "\\(-".contains(first)) {
        bail!(
            "operand `{text}` of {}: in a macro write `{prefix}\\argument` and give the macro the \
             number",
            row.name
        );
    }
    Ok(number)
}

/// Least and greatest value, and how many of the lowest bits are zero.
fn range(operand: &Operand) -> Result<(i32, i32, u8)> {
    let width = operand.width();
    let last = (1u32 << width) - 1;
    Ok(match operand.kind {
        Kind::Ar | Kind::F | Kind::Q => (0, last as i32, 0),
        Kind::Immediate(coding @ Coding::Unsigned { shift, .. }) => {
            (0, coding.value(last, width), shift)
        }
        Kind::Immediate(coding @ Coding::Signed { shift, .. }) => {
            let sign = 1 << (width - 1);
            (
                coding.value(sign, width),
                coding.value(sign - 1, width),
                shift,
            )
        }
        _ => bail!("user registers can't be arguments of a macro"),
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn statements_become_bytes_where_they_stood() {
        let source = "\
    // ee.zero.q q0
first: 1: EE.ZERO.ACCX # ee.zero.q q1
    movi a2, 1; ee.vld.128.ip q0, a2, 16; nop
/* ee.zero.q q0
   ee.zero.q q0 */ ee.zero.qacc
    rur.accx_1 a3
    .ascii \"a:b;c\"
";
        let expected = "\
    // ee.zero.q q0
first: 1: .byte 0x04, 0x08, 0x25# ee.zero.q q1
    movi a2, 1; .byte 0x24, 0x01, 0x83; nop
/* ee.zero.q q0
   ee.zero.q q0 */ .byte 0x44, 0x08, 0x25
    .byte 0x10, 0x30, 0xe3
    .ascii \"a:b;c\"
";
        assert_eq!(translate(source).expect("translates"), expected);
    }

    #[test]
    fn errors_name_the_line() {
        let cases = [
            (
                "nop\nee.vld.128.ip q0, a2, 8",
                "line 2: operand 3 of ee.vld.128.ip can't be `8`; it takes a number from -2048 to \
                 2032 by steps of 16",
            ),
            (
                "ee.nothing q0",
                "line 1: there is no instruction `ee.nothing`",
            ),
            (
                "ee.zero.q \\q",
                "line 1: operand `\\q` of ee.zero.q: in a macro write `q\\argument` and give the \
                 macro the number",
            ),
        ];
        for (source, message) in cases {
            let error = translate(source).expect_err(source);
            assert_eq!(error.to_string(), message);
        }
    }

    /// What any `llvm-mc` makes of `source`: the bytes, or the text of its errors.
    fn assembled(source: &str) -> Option<Result<Vec<u8>, String>> {
        let names = ["llvm-mc", "llvm-mc-22", "llvm-mc-21", "llvm-mc-20"];
        let mut child = names.iter().find_map(|name| {
            Command::new(name)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .ok()
        })?;
        let mut input = child.stdin.take().expect("piped");
        std::io::Write::write_all(&mut input, source.as_bytes()).expect("written");
        drop(input);
        let output = child.wait_with_output().expect("ends");
        if !output.status.success() {
            return Some(Err(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let bytes = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix(".byte\t"));
        Some(Ok(bytes
            .map(|byte| byte.parse().expect("a byte"))
            .collect()))
    }

    #[test]
    fn macros_give_the_same_bytes() {
        let written = "\
    ee.vld.128.ip q3, a14, -1248
    ee.src.q.ld.ip q2, a2, 1792, q6, q7
    ee.vmulas.s8.accx.ld.ip.qup q5, a14, 32, q0, q2, q0, q2
    ee.vsmulas.s8.qacc q0, q1, 13
    ee.vsmulas.s8.qacc q0, q2, 14
";
        let macros = "\
    .macro all n, base, step
    ee.vld.128.ip q\\n, a\\base, \\step
    ee.src.q.ld.ip q(\\n-1), a2, 1792, q(2*\\n), q7
    ee.vmulas.s8.accx.ld.ip.qup q5, a\\base, 32, q0, q2, q0, q(\\n-1)
    .irp lane, 13, 14
    ee.vsmulas.s8.qacc q0, q(\\lane-12), \\lane
    .endr
    .endm
    all 3, 14, -1248
";
        let Some(expected) = assembled(&translate(written).expect("translates")) else {
            println!("skipped: no llvm-mc");
            return;
        };
        let found = assembled(&translate(macros).expect("translates")).expect("found before");
        assert_eq!(found, expected);
        assert_eq!(found.map(|bytes| bytes.len()), Ok(3 + 4 + 4 + 3 + 3));
    }

    #[test]
    fn macros_check_ranges() {
        let source = ".macro one n\nee.zero.q q\\n\n.endm\none 8\n";
        match assembled(&translate(source).expect("translates")) {
            None => println!("skipped: no llvm-mc"),
            Some(result) => {
                let error = result.expect_err("q8 is no register");
                assert!(
                    error.contains("ee.zero.q: operand `qn` is out of range"),
                    "{error}"
                );
            }
        }
    }
}
