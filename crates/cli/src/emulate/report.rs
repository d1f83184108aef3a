//! What was executed, as text.

use std::fmt::Write;

use fixpoint_board::{Class, Counts, Elf, NotElf};

/// MHz of the cores at full speed.
const CPU_MHZ: f64 = 240.0;
/// Functions that are listed.
const MOST: usize = 40;

/// Instructions of every class on one core, and the sums.
pub(super) fn classes(core: usize, counts: &Counts) -> String {
    let total = counts.total;
    let mut text = format!(
        "\ncore {core}: {} instructions, about {} cycles ({:.2} ms at {CPU_MHZ} MHz)\n",
        total.instructions,
        total.cycles,
        total.cycles as f64 / CPU_MHZ / 1e3
    );
    for class in Class::ALL {
        let count = counts.class(class);
        if count > 0 {
            let share = count as f64 * 100.0 / total.instructions as f64;
            let _ = writeln!(text, "{count:>14} {share:5.1} % {}", class.name());
        }
    }
    text
}

/// Cycles of the functions that took most.
///
/// # Errors
/// When `file` is no ELF file for Xtensa.
pub(super) fn functions(counts: &Counts, file: &[u8]) -> Result<String, NotElf> {
    let elf = Elf::parse(file)?;
    let mut functions = Vec::new();
    for (index, symbol) in elf.symbols.iter().enumerate() {
        // Labels in assembly have no size: up to the next symbol.
        let next = elf.symbols[index + 1..]
            .iter()
            .find(|next| next.address > symbol.address);
        let end = match symbol.size {
            0 => next.map_or(u32::MAX, |next| next.address),
            size => symbol.address.saturating_add(size),
        };
        let cost = counts.between(symbol.address, end);
        if cost.instructions > 0 {
            functions.push((cost, symbol.name.as_str()));
        }
    }
    functions.sort_by(|(a, x), (b, y)| b.cycles.cmp(&a.cycles).then(x.cmp(y)));
    let mut text = String::from("\n        cycles   instructions  function\n");
    for (cost, name) in functions.iter().take(MOST) {
        let _ = writeln!(
            text,
            "{:>14} {:>14}  {name}",
            cost.cycles, cost.instructions
        );
    }
    Ok(text)
}
