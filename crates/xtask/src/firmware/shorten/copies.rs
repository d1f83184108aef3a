//! Copies and constants that the compiler makes in registers of their own, left out where the registers
//! that are read afterwards (`flow`) show that nothing depends on them. Everything happens between two
//! labels, so that there is one way there.

use std::collections::HashMap;
use std::ops::Range;

use super::flow::{Effects, Kind, Liveness, Set, effects, known_functions, register};
use super::line::Line;

/// The stack pointer: an interrupt level or a debugger may rely on it, so it is renamed only at once.
const STACK: &str = "a1";

/// The largest multiple of 256 that `addmi` adds.
const MOST_HIGH: i64 = 127 * 256;

/// Rewrites all functions in flash until nothing is left to do.
pub(super) fn tidy(lines: &mut Vec<Line>) {
    for line in lines.iter_mut() {
        let Line::Instruction(name, operands) = line else {
            continue;
        };
        match (name.as_str(), operands.as_slice()) {
            ("or", [to, a, b]) if a == b => *line = Line::new("mov", &[to, a]),
            ("addi" | "addmi", [to, a, zero]) if zero == "0" => *line = Line::new("mov", &[to, a]),
            _ => {}
        }
    }
    let values: HashMap<String, i64> = lines
        .iter()
        .filter_map(Line::literal)
        .filter_map(|(label, value)| Some((label.to_owned(), value.parse().ok()?)))
        .collect();
    for function in known_functions(lines) {
        loop {
            let mut work = Work {
                live: Liveness::of(lines, &function),
                function: function.clone(),
                lines,
                values: &values,
            };
            if !work.round() {
                break;
            }
        }
    }
}

struct Work<'a> {
    lines: &'a mut Vec<Line>,
    function: Range<usize>,
    live: Liveness,
    /// Numbers among the literals.
    values: &'a HashMap<String, i64>,
}

impl Work<'_> {
    /// One change at every place where there is one. No change makes a register live where control comes in
    /// at a label that was not, so what is known of the labels stays safe.
    fn round(&mut self) -> bool {
        let mut changed = false;
        for at in self.function.clone().rev() {
            if self.masked(at)
                || self.dead(at)
                || self.forward(at)
                || self.based(at)
                || self.backward(at)
            {
                changed = true;
                self.live.refresh(self.lines, &self.function, at);
            }
        }
        changed
    }

    fn effects(&self, at: usize) -> Option<Effects> {
        match &self.lines[at] {
            Line::Instruction(name, operands) => effects(name, operands),
            _ => None,
        }
    }

    /// Whether a label or what isn't known is here; comments and directives are passed by.
    fn is_label(&self, at: usize) -> bool {
        super::flow::label(&self.lines[at]).is_some()
    }

    fn copy(&self, at: usize) -> Option<(String, String)> {
        let operands = self.lines[at].operands("mov")?;
        Some((operands[0].to_owned(), operands[1].to_owned()))
    }

    /// A result that nobody reads.
    fn dead(&mut self, at: usize) -> bool {
        let pure = self
            .effects(at)
            .filter(|effects| effects.kind == Kind::Pure);
        let dead = pure.is_some_and(|effects| effects.writes & self.live.behind(at) == 0);
        let same = self.copy(at).is_some_and(|(to, from)| to == from);
        if dead || same {
            self.lines[at] = Line::Gone;
        }
        dead || same
    }

    /// The lines behind `at` that read `to`, up to where it is written or read no more. `None` if there is
    /// another way to a reader, or if one of `kept` is written before, or `may` refuses a reader.
    fn readers(
        &self,
        at: usize,
        to: &str,
        kept: Set,
        may: impl Fn(&Line, &Effects) -> bool,
    ) -> Option<Vec<usize>> {
        let to = register(to);
        let mut readers = Vec::new();
        let mut lost = false;
        for next in at + 1..self.function.end {
            if self.is_label(next) {
                return None;
            }
            let Some(effects) = self.effects(next) else {
                continue;
            };
            if effects.reads & to != 0 {
                if lost || !may(&self.lines[next], &effects) {
                    return None;
                }
                readers.push(next);
            }
            if let (Kind::Branch | Kind::Jump, Line::Instruction(_, operands)) =
                (effects.kind, &self.lines[next])
                && self.live.at_label(operands) & to != 0
            {
                return None;
            }
            // Control goes elsewhere: what is live behind such a line says nothing.
            match effects.kind {
                Kind::Jump | Kind::Return => return Some(readers),
                Kind::JumpTo => return None,
                _ => {}
            }
            if effects.writes & to != 0 || self.live.behind(next) & to == 0 {
                return Some(readers);
            }
            lost |= effects.writes & kept != 0;
        }
        None
    }

    /// `mov Y, X`: those who read Y read X.
    fn forward(&mut self, at: usize) -> bool {
        let Some((to, from)) = self.copy(at) else {
            return false;
        };
        let implicit = |line: &Line, effects: &Effects| {
            matches!(effects.kind, Kind::Call | Kind::Return) && !reads_only_named(line, &to)
        };
        if to == STACK {
            return false;
        }
        let may = |line: &Line, effects: &Effects| !implicit(line, effects);
        let Some(readers) = self.readers(at, &to, register(&from), may) else {
            return false;
        };
        for reader in readers {
            rename_read(&mut self.lines[reader], &to, &from);
        }
        self.lines[at] = Line::Gone;
        true
    }

    /// `op X, ..`, and `mov Y, X` behind it, with X of no use any more: `op Y, ..`.
    fn backward(&mut self, at: usize) -> bool {
        let Some((to, from)) = self.copy(at) else {
            return false;
        };
        let (new, old) = (register(&to), register(&from));
        if self.live.behind(at) & old != 0 || from == STACK {
            return false;
        }
        let mut readers = Vec::new();
        for before in (self.function.start..at).rev() {
            if self.is_label(before) {
                return false;
            }
            let Some(effects) = self.effects(before) else {
                continue;
            };
            if !matches!(
                effects.kind,
                Kind::Pure | Kind::Load | Kind::Store | Kind::Other
            ) {
                return false;
            }
            if effects.writes & old != 0 {
                let Line::Instruction(_, operands) = &mut self.lines[before] else {
                    return false;
                };
                operands[0].clone_from(&to);
                for reader in readers {
                    rename_read(&mut self.lines[reader], &from, &to);
                }
                self.lines[at] = Line::Gone;
                return true;
            }
            if (effects.reads | effects.writes) & new != 0 {
                return false;
            }
            if effects.reads & old != 0 {
                readers.push(before);
            }
        }
        false
    }

    /// `X = B + constant` that is read as an address alone: the constant, or its low part, goes into the
    /// offsets of the readers.
    fn based(&mut self, at: usize) -> bool {
        let Some((sum, base, constant, first)) = self.sum(at) else {
            return false;
        };
        let high = if first.is_some() { constant & !0xFF } else { 0 };
        let low = constant - high;
        let fits = |line: &Line, _: &Effects| {
            offset(line, &sum).is_some_and(|(at, step, most)| {
                let offset = at + low;
                (0..=most).contains(&offset) && offset % step == 0
            })
        };
        // Readers that stay with `X` don't care what becomes of `B`.
        let moves = first.is_none() && base != sum;
        let kept = if moves { register(&base) } else { 0 };
        if sum == STACK || high > MOST_HIGH {
            return false;
        }
        // With nothing in the low part there is something to win, whoever reads it.
        let readers = match self.readers(at, &sum, kept, fits) {
            Some(readers) if !readers.is_empty() => readers,
            _ if first.is_some() && low == 0 => Vec::new(),
            _ => return false,
        };
        for reader in readers {
            let Some((was, ..)) = offset(&self.lines[reader], &sum) else {
                continue;
            };
            let Line::Instruction(_, operands) = &mut self.lines[reader] else {
                continue;
            };
            operands[2] = (was + low).to_string();
            if first.is_none() {
                operands[1].clone_from(&base);
            }
        }
        self.lines[at] = match first {
            Some(first) => {
                self.lines[first..at].fill(Line::Gone);
                match high {
                    0 => Line::new("mov", &[&sum, &base]),
                    _ => Line::new("addmi", &[&sum, &base, &high.to_string()]),
                }
            }
            None => Line::Gone,
        };
        true
    }

    /// The sum of a register and a constant that ends at `at`: `addi X, B, c`, or `add X, B, Y` behind `movi Y, c`
    /// (and `addmi Y, Y, c`), which begins at the line that is told as well and of which nothing else is made.
    fn sum(&self, at: usize) -> Option<(String, String, i64, Option<usize>)> {
        if let Some(sum) = self.lines[at].operands("addi") {
            let constant = sum[2].parse().ok()?;
            return Some((sum[0].to_owned(), sum[1].to_owned(), constant, None));
        }
        let sum = self.lines[at].operands("add")?;
        for (base, constant) in [(sum[1], sum[2]), (sum[2], sum[1])] {
            // The low part, and the multiple of 256 if there is one.
            let second = self.previous(at)?;
            let (first, high) = match self.lines[second].operands("addmi") {
                Some(high) if high[0] == constant && high[1] == constant => {
                    (self.previous(second)?, high[2].parse::<i64>().ok()?)
                }
                Some(_) => continue,
                None => (second, 0),
            };
            let Some(made) = self.lines[first].operands("movi") else {
                continue;
            };
            let dead = sum[0] == constant || self.live.behind(at) & register(constant) == 0;
            if made[0] == constant && base != constant && dead {
                let value: i64 = made[1].parse().ok().filter(|value| *value > 0)?;
                return Some((
                    sum[0].to_owned(),
                    base.to_owned(),
                    value + high,
                    Some(first),
                ));
            }
        }
        None
    }

    /// The instruction in front of `at`, with no label between.
    fn previous(&self, at: usize) -> Option<usize> {
        for before in (self.function.start..at).rev() {
            if self.is_label(before) {
                return None;
            }
            if let Line::Instruction(..) = self.lines[before] {
                return Some(before);
            }
        }
        None
    }

    /// `and` with low bits that are all ones.
    fn masked(&mut self, at: usize) -> bool {
        let bits_of = |mask| {
            let value: i64 = self.constant(at, mask)?;
            let bits = (value + 1).trailing_zeros();
            (value > 0 && value + 1 == 1 << bits && bits <= 16).then_some(bits)
        };
        let found = self.lines[at].operands("and").and_then(|operands| {
            let (to, a, b) = (operands[0], operands[1], operands[2]);
            let (from, bits) = match bits_of(b) {
                Some(bits) => (a, bits),
                None => (b, bits_of(a)?),
            };
            Some(Line::new("extui", &[to, from, "0", &bits.to_string()]))
        });
        let masked = found.is_some();
        if let Some(found) = found {
            self.lines[at] = found;
        }
        masked
    }

    /// What a register holds at `at`, if it was set to a constant within the lines before.
    fn constant(&self, at: usize, name: &str) -> Option<i64> {
        for before in (self.function.start..at).rev() {
            if self.is_label(before) {
                return None;
            }
            let Some(effects) = self.effects(before) else {
                continue;
            };
            if effects.writes & register(name) == 0 {
                continue;
            }
            if let Some(made) = self.lines[before].operands("movi") {
                return made[1].parse().ok();
            }
            let loaded = self.lines[before].operands("l32r")?;
            return self.values.get(loaded[1]).copied();
        }
        None
    }
}

/// Offset of a load or store that has its address in `base` and nothing else of it, the step of its offsets,
/// and the largest.
fn offset(line: &Line, base: &str) -> Option<(i64, i64, i64)> {
    let Line::Instruction(name, operands) = line else {
        return None;
    };
    let step = match name.as_str() {
        "l32i" | "s32i" => 4,
        "l16ui" | "l16si" | "s16i" => 2,
        "l8ui" | "s8i" => 1,
        _ => return None,
    };
    let value_too = name.starts_with('s') && operands[0] == base;
    if operands[1] != base || value_too {
        return None;
    }
    Some((operands[2].parse().ok()?, step, 255 * step))
}

/// Whether a call or return reads this register as the operand that is written there alone.
fn reads_only_named(line: &Line, name: &str) -> bool {
    let named = matches!(line, Line::Instruction(call, operands) if call == "callx0" && operands[0] == name);
    named && register(name) & 0b1111_1110 == 0
}

fn rename_read(line: &mut Line, old: &str, new: &str) {
    let Line::Instruction(name, operands) = line else {
        return;
    };
    let Some(effects) = effects(name, operands) else {
        return;
    };
    let first = usize::from(matches!(effects.kind, Kind::Pure | Kind::Load));
    for operand in operands.iter_mut().skip(first) {
        if operand == old {
            new.clone_into(operand);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check_function;

    #[test]
    fn copies_are_left_out_where_nobody_misses_them() {
        check_function(
            "addi a8, a1, -16; or a1, a8, a8; ret",
            "addi a1, a1, -16; ret.n",
        );
        check_function(
            "or a8, a2, a2; add a2, a8, a3; ret",
            "add.n a2, a2, a3; ret.n",
        );
        check_function(
            "l32i a8, a2, 4; or a2, a8, a8; ret",
            "l32i.n a2, a2, 4; ret.n",
        );
        for kept in [
            // Read elsewhere, or after the other was changed, or by a call; or by whatever comes next.
            "mov.n a8, a2; beqz.n a3, .L1; movi.n a8, 1; .L1:; add.n a2, a2, a8; ret.n",
            "mov.n a8, a2; addi.n a2, a2, 1; add.n a2, a2, a8; ret.n",
            "mov.n a4, a2; call0 g; ret.n",
            "mov.n a12, a2; jx a3",
            "addi.n a8, a2, 1; mov.n a3, a8; callx0 a8; ret.n",
        ] {
            check_function(kept, kept);
        }
    }

    #[test]
    fn what_nobody_reads_is_not_computed() {
        check_function("movi a8, 5; movi a2, 6; ret", "movi.n a2, 6; ret.n");
        check_function("call0 g; movi a8, 5; ret", "call0 g; ret.n");
        // Reading a device's register may do something; results outlive the function; a jump into a table
        // goes on anywhere.
        for kept in [
            "l32i.n a8, a2, 0; ret.n",
            "movi.n a5, 5; ret.n",
            "movi.n a8, 5; jx a2",
        ] {
            check_function(kept, kept);
        }
    }

    #[test]
    fn addresses_take_their_constants_into_offsets() {
        check_function(
            "movi a8, 336; add a8, a1, a8; l8ui a2, a8, 3; ret",
            "addmi a8, a1, 256; l8ui a2, a8, 83; ret.n",
        );
        check_function(
            "movi a8, 172; addmi a8, a8, 7168; add a8, a1, a8; s32i a2, a8, 0; ret",
            "addmi a8, a1, 7168; s32i a2, a8, 172; ret.n",
        );
        check_function(
            "addmi a8, a1, 4096; addi a8, a8, 72; s16i a2, a8, 0; ret",
            "addmi a8, a1, 4096; s16i a2, a8, 72; ret.n",
        );
        check_function(
            "addi a8, a1, 60; l32i a2, a8, 0; ret",
            "l32i.n a2, a1, 60; ret.n",
        );
        for kept in [
            // Too far for an offset, not a multiple, read as a number, or another base meanwhile.
            "addi a8, a2, 100; l8ui a2, a8, 156; ret.n",
            "addi a8, a2, 62; l32i.n a2, a8, 0; ret.n",
            "addi a8, a2, 60; s32i.n a8, a8, 0; ret.n",
            "addi a8, a2, 60; movi.n a2, 0; s32i.n a2, a8, 0; ret.n",
        ] {
            check_function(kept, kept);
        }
    }

    #[test]
    fn low_bits_are_taken_at_once() {
        check_function(
            "movi a8, 31; and a2, a8, a3; ret",
            "extui a2, a3, 0, 5; ret.n",
        );
        for kept in [
            "movi.n a8, 30; and a2, a8, a3; ret.n",
            "movi.n a8, -1; and a2, a8, a3; ret.n",
        ] {
            check_function(kept, kept);
        }
    }
}
