//! Makes the compiler's assembly shorter without changing what it computes. LLVM's Xtensa back end emits
//! no instruction of two bytes, calls through a register always, keeps a pool of literals for every
//! function, and adds zeros. What is done here:
//!
//! - narrow forms (ISA Reference Manual, Code Density Option) wherever the operands allow them, in files
//!   written by hand as well;
//! - `addi` of zero left out, or made a move; sums with a constant by `addi` and `addmi`;
//! - `l32r` and `callx0` become `call0`, which reaches 512 KiB, more than an image of ours has;
//! - one literal for each value: all pools lie together, within reach of all code (`link.ld`);
//! - copies and constants in registers of their own (`copies`, by what `flow` finds of each register's
//!   further use), ends of functions that there are several of (`tails`), branches over jumps (`branches`).
//!
//! Labels and directives stay where they are, so that a jump finds the same place. What isn't known of an
//! instruction leaves its function as it is.

mod branches;
mod copies;
mod flow;
mod line;
mod tails;

use std::collections::{HashMap, HashSet};

use line::Line;

/// Registers that a call may change, and that the compiler puts addresses of functions into: nobody
/// looks at them after the call (call0 ABI: a2 to a11).
const SCRATCH: [&str; 4] = ["a8", "a9", "a10", "a11"];

/// Shorter assembly text of the same program.
pub(super) fn shorten(assembly: &str) -> String {
    let mut lines: Vec<Line> = assembly.lines().map(Line::read).collect();
    direct_calls(&mut lines);
    merge_literals(&mut lines);
    constants(&mut lines);
    copies::tidy(&mut lines);
    tails::merge(&mut lines);
    branches::shorten(&mut lines);
    let mut text = String::with_capacity(assembly.len());
    for line in &lines {
        match line {
            Line::Gone => continue,
            Line::Other(line) => text.push_str(line),
            Line::Instruction(name, operands) => {
                let Some((name, operands)) = narrow(name, operands) else {
                    continue;
                };
                text.push_str(&format!("\t{name}\t{}", operands.join(", ")));
            }
        }
        text.push('\n');
    }
    text
}

/// Narrow forms in assembly that was written by hand, where nothing else is changed: by macros (`loops::widths`), as
/// some stay wide for the sake of alignment. A statement with an argument of a macro where a number belongs is wide.
pub(super) fn narrowed(assembly: &str) -> String {
    let mut text = String::with_capacity(assembly.len());
    for line in assembly.lines() {
        let code = line.split("//").next().unwrap_or_default();
        let (label, statement) = match code.split_once(':') {
            Some((label, statement)) if !label.contains(char::is_whitespace) => (label, statement),
            _ => ("", code),
        };
        let (name, operands) = statement
            .trim()
            .split_once(char::is_whitespace)
            .unwrap_or((statement.trim(), ""));
        let operands: Vec<String> = operands
            .split(',')
            .map(|operand| operand.trim().to_owned())
            .collect();
        match narrow(name, &operands) {
            Some((narrow, operands)) if narrow != name => {
                let colon = if label.is_empty() { "" } else { ":" };
                let operands = operands.join(", ");
                let statement = match narrow.strip_suffix(".n") {
                    Some("mov") => format!("narrow_mov\t{operands}"),
                    Some(name) if name != "ret" => format!("narrow\t{name}, {operands}"),
                    _ => format!("{narrow}\t{operands}"),
                };
                text.push_str(&format!("{label}{colon}\t{statement}"));
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// The narrow form of an instruction, or itself; `None` if it does nothing.
fn narrow(name: &str, operands: &[String]) -> Option<(String, Vec<String>)> {
    let number = |at: usize| operands.get(at).and_then(|text| text.parse::<i32>().ok());
    let same = |a: usize, b: usize| operands.get(a) == operands.get(b);
    let all = operands.to_vec();
    let moved = || vec![operands[0].clone(), operands[1].clone()];
    Some(match (name, number(1), number(2)) {
        ("addi" | "addmi", _, Some(0)) if same(0, 1) => return None,
        ("addi" | "addmi", _, Some(0)) => ("mov.n".to_owned(), moved()),
        ("or", ..) if operands.len() == 3 && same(1, 2) && same(0, 1) => return None,
        ("or", ..) if operands.len() == 3 && same(1, 2) => ("mov.n".to_owned(), moved()),
        ("mov", ..) if same(0, 1) => return None,
        ("mov", ..) => ("mov.n".to_owned(), all),
        ("add" | "ret", ..) | ("addi", _, Some(-1 | 1..=15)) | ("movi", Some(-32..=95), _) => {
            (format!("{name}.n"), all)
        }
        ("l32i" | "s32i", _, Some(offset @ 0..=60)) if offset % 4 == 0 => {
            (format!("{name}.n"), all)
        }
        _ => (name.to_owned(), all),
    })
}

/// Makes a call through a register that was loaded with a function's address a direct one.
fn direct_calls(lines: &mut [Line]) {
    let functions = functions(lines);
    let values: HashMap<String, String> = lines
        .iter()
        .filter_map(Line::literal)
        .map(|(label, value)| (label.to_owned(), value.to_owned()))
        .collect();
    for at in 0..lines.len() {
        let Some(register) = lines[at]
            .operands("callx0")
            .map(|operands| operands[0].to_owned())
        else {
            continue;
        };
        if !SCRATCH.contains(&register.as_str()) {
            continue;
        }
        // Back to where it is loaded, as long as nothing else happens to it.
        for before in (0..at).rev() {
            if lines[before].ends_block() {
                break;
            }
            let Line::Instruction(name, operands) = &lines[before] else {
                continue;
            };
            if !operands.contains(&register) {
                continue;
            }
            if name == "l32r"
                && let Some(function) = values.get(&operands[1])
                && functions.contains(function)
            {
                lines[at] = Line::new("call0", &[function]);
                lines[before] = Line::Gone;
            }
            break;
        }
    }
}

/// The functions defined here that lie together: not those of other memories.
fn functions(lines: &[Line]) -> HashSet<String> {
    let mut found = HashSet::new();
    let mut in_flash = false;
    for line in lines {
        let Line::Other(text) = line else { continue };
        let text = text.trim();
        if let Some(section) = text.strip_prefix(".section") {
            let section = section.trim();
            in_flash = section.starts_with(".text") && !section.starts_with(".text.iram");
        } else if text == ".text" {
            in_flash = true;
        } else if let Some(symbol) = text.strip_prefix(".type")
            && let Some((symbol, kind)) = symbol.split_once(',')
            && kind.trim() == "@function"
            && in_flash
        {
            found.insert(symbol.trim().to_owned());
        }
    }
    found
}

/// Leaves one literal of each value, and none that nobody loads.
fn merge_literals(lines: &mut [Line]) {
    let used: HashSet<String> = lines
        .iter()
        .filter_map(|line| Some(line.operands("l32r")?[1].to_owned()))
        .collect();
    // By value, the literal that stays; by label, the one to load instead.
    let mut first: HashMap<String, String> = HashMap::new();
    let mut instead: HashMap<String, String> = HashMap::new();
    for line in lines.iter_mut() {
        let Some((label, value)) = line.literal() else {
            continue;
        };
        let (label, value) = (label.to_owned(), value.to_owned());
        if !used.contains(&label) {
            *line = Line::Gone;
        } else if let Some(first) = first.get(&value) {
            instead.insert(label, first.clone());
            *line = Line::Gone;
        } else {
            first.insert(value, label);
        }
    }
    for line in lines.iter_mut() {
        if let Line::Instruction(name, operands) = line
            && name == "l32r"
            && let Some(other) = instead.get(&operands[1])
        {
            operands[1].clone_from(other);
        }
    }
}

/// A constant that is made in a register to be added, added at once.
fn constants(lines: &mut [Line]) {
    for at in 0..lines.len() {
        let Some(sum) = lines[at].operands("add") else {
            continue;
        };
        let (x, y) = (sum[0], sum[1]);
        if sum[2] != x || y == x || at == 0 {
            continue;
        }
        let number = |text: &str| text.parse::<i32>().ok();
        // The low part, and the multiple of 256 if there is one.
        let (low_at, high) = match lines[at - 1].operands("addmi") {
            Some(high) if at > 1 && high[0] == x && high[1] == x => (at - 2, Some(high[2])),
            Some(_) => continue,
            None => (at - 1, None),
        };
        let Some(low) = lines[low_at].operands("movi") else {
            continue;
        };
        if low[0] != x || !number(low[1]).is_some_and(|low| (-128..128).contains(&low)) {
            continue;
        }
        let (low, x, y) = (low[1].to_owned(), x.to_owned(), y.to_owned());
        let replaced = match high {
            None => [Line::Gone, Line::new("addi", &[&x, &y, &low])].to_vec(),
            Some(high) => [
                Line::Gone,
                Line::new("addmi", &[&x, &y, high]),
                Line::new("addi", &[&x, &x, &low]),
            ]
            .to_vec(),
        };
        lines[low_at..=at].clone_from_slice(&replaced);
    }
}

#[cfg(test)]
mod tests {
    use super::{narrowed, shorten};

    #[test]
    fn code_by_hand_keeps_all_but_the_widths() {
        let before = "f:\n1:  l32i    a6, a2, 60 // six\n    mov a\\at, a3\n    addi a6, a6, \\by\n\
            \x20   beqz a6, 1b\n    .if \\by == 8\n    ret\n    .set .L, 1; .byte 2\n";
        let after = "f:\n1:\tnarrow\tl32i, a6, a2, 60\n\tnarrow_mov\ta\\at, a3\n    addi a6, a6, \\by\n\
            \x20   beqz a6, 1b\n    .if \\by == 8\n\tret.n\t\n    .set .L, 1; .byte 2\n";
        assert_eq!(narrowed(before), after);
    }

    /// Checks what becomes of a function in flash.
    pub(super) fn check_function(before: &str, after: &str) {
        let function = |code: &str| {
            format!(".section .text.f,\"ax\"; .type f,@function; f:; {code}; .Lfunc_end0:")
        };
        // The compiler writes no narrow forms.
        check(&function(&before.replace(".n", "")), &function(after));
    }

    pub(super) fn check(before: &str, after: &str) {
        let text = |lines: &str| {
            let lines: Vec<String> = lines
                .split("; ")
                .map(|line| match line.split_once(' ') {
                    _ if line.ends_with(':') => line.to_owned(),
                    Some((name, operands)) => format!("\t{name}\t{operands}"),
                    None => format!("\t{line}"),
                })
                .collect();
            lines.join("\n") + "\n"
        };
        // An instruction without operands is written with a tab behind it.
        let got = shorten(&text(before)).replace("\t\n", "\n");
        assert_eq!(got, text(after), "{before}");
    }

    #[test]
    fn narrow_forms_where_operands_fit() {
        check("add a2, a3, a4", "add.n a2, a3, a4");
        check("addi a2, a3, -1", "addi.n a2, a3, -1");
        check("addi a2, a3, 15", "addi.n a2, a3, 15");
        check("addi a2, a3, 16", "addi a2, a3, 16");
        check("addi a2, a3, -2", "addi a2, a3, -2");
        check("movi a2, 95; movi a2, 96", "movi.n a2, 95; movi a2, 96");
        check("movi a2, -32; movi a2, -33", "movi.n a2, -32; movi a2, -33");
        check("l32i a2, a1, 60", "l32i.n a2, a1, 60");
        check("l32i a2, a1, 64", "l32i a2, a1, 64");
        check("s32i a2, a1, 0; ret", "s32i.n a2, a1, 0; ret.n");
        check(
            "or a2, a3, a3; or a2, a3, a4",
            "mov.n a2, a3; or a2, a3, a4",
        );
    }

    #[test]
    fn nothing_is_added_to_nothing() {
        check("nop; addi a8, a8, 0; or a3, a3, a3", "nop");
        check("addi a8, a1, 0", "mov.n a8, a1");
        check("movi a8, 100; add a8, a1, a8", "addi a8, a1, 100");
        check(
            "movi a8, 128; add a8, a1, a8",
            "movi a8, 128; add.n a8, a1, a8",
        );
        check(
            "movi a8, 124; addmi a8, a8, 6400; add a8, a1, a8",
            "addmi a8, a1, 6400; addi a8, a8, 124",
        );
        // The sum is of other registers, or the constant is not all that was made.
        check(
            "movi a8, 5; add a9, a1, a8",
            "movi.n a8, 5; add.n a9, a1, a8",
        );
        check(
            "movi a8, 5; add a8, a8, a8",
            "movi.n a8, 5; add.n a8, a8, a8",
        );
        check(
            "movi a9, 5; addmi a8, a8, 256; add a8, a1, a8",
            "movi.n a9, 5; addmi a8, a8, 256; add.n a8, a1, a8",
        );
        check(".L1:; add a8, a1, a8", ".L1:; add.n a8, a1, a8");
    }

    const FUNCTIONS: &str = ".section .text.f,\"ax\"; .type f,@function; \
        .section .text.iram.g,\"ax\"; .type g,@function; .literal .LA, f; .literal .LB, g";

    #[test]
    fn calls_within_flash_are_direct() {
        let with = |code: &str| format!("{FUNCTIONS}; {code}");
        let left = ".section .text.f,\"ax\"; .type f,@function; \
            .section .text.iram.g,\"ax\"; .type g,@function";
        check(
            &with("l32r a8, .LA; or a2, a3, a3; callx0 a8"),
            &format!("{left}; mov.n a2, a3; call0 f"),
        );
        for kept in [
            // Another memory, a register that outlives the call, one that is used in between, a way
            // in from elsewhere.
            "l32r a8, .LB; callx0 a8",
            "l32r a12, .LB; callx0 a12",
            "l32r a8, .LB; s32i a8, a1, 100; callx0 a8",
            "l32r a8, .LB; .LBB1:; callx0 a8",
        ] {
            check(&with(kept), &format!("{left}; .literal .LB, g; {kept}"));
        }
        for kept in [
            "l32r a12, .LA; callx0 a12",
            "l32r a8, .LA; s32i a8, a1, 100; callx0 a8",
            "l32r a8, .LA; .LBB1:; callx0 a8",
        ] {
            check(&with(kept), &format!("{left}; .literal .LA, f; {kept}"));
        }
    }

    #[test]
    fn a_value_has_one_literal() {
        check(
            ".literal .LA, 70000; .literal .LB, 70000; .literal .LC, 70001; \
             l32r a2, .LB; l32r a3, .LA; l32r a4, .LC",
            ".literal .LA, 70000; .literal .LC, 70001; \
             l32r a2, .LA; l32r a3, .LA; l32r a4, .LC",
        );
        check(
            ".literal .LA, 1; .literal .LB, 1; l32r a2, .LB",
            ".literal .LB, 1; l32r a2, .LB",
        );
    }
}
