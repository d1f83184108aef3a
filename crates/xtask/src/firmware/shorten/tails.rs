//! Ends of functions that are the same, instruction by instruction, kept once: the others jump there.

use std::collections::BTreeMap;

use super::branches::size;
use super::flow::{Kind, effects, known_functions, label};
use super::line::Line;

/// The longest end that is looked for, in instructions.
const LONGEST: usize = 16;
/// Bytes of a jump.
const JUMP: i64 = 3;
/// What must be saved for a jump more on the way.
const LEAST: i64 = 4;

/// Keeps one of each end that several functions have.
pub(super) fn merge(lines: &mut Vec<Line>) {
    let mut ends = ends(lines);
    // What goes in front of these lines.
    let mut labels: BTreeMap<usize, String> = BTreeMap::new();
    for length in (2..=LONGEST).rev() {
        let mut alike: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, end) in ends
            .iter()
            .enumerate()
            .filter(|(_, end)| end.len() >= length)
        {
            let text = |&at: &usize| format!("{:?}", lines[at]);
            let tail = end[end.len() - length..].iter().map(text).collect();
            alike.entry(tail).or_default().push(index);
        }
        for group in alike.into_values().filter(|group| group.len() > 1) {
            let (first, others) = (group[0], &group[1..]);
            let tail = |index: usize| ends[index][ends[index].len() - length..].to_vec();
            let kept = tail(first);
            let saved = kept.iter().map(|&at| size(&lines[at])).sum::<i64>() - JUMP;
            if saved < LEAST {
                continue;
            }
            let others: Vec<(usize, Vec<usize>)> =
                others.iter().map(|&other| (other, tail(other))).collect();
            let next = labels.len();
            let name = labels
                .entry(kept[0])
                .or_insert_with(|| format!(".Ltail_{next}"))
                .clone();
            for (other, tail) in others {
                // Others may have come to jump into it already.
                if tail.iter().any(|at| labels.contains_key(at)) {
                    continue;
                }
                for at in &tail {
                    lines[*at] = Line::Gone;
                }
                lines[tail[0]] = Line::new("j", &[&name]);
                ends[other].clear();
            }
        }
    }
    let mut placed = Vec::with_capacity(lines.len() + labels.len());
    for (at, line) in lines.drain(..).enumerate() {
        if let Some(name) = labels.remove(&at) {
            placed.push(Line::Other(format!("{name}:")));
        }
        placed.push(line);
    }
    *lines = placed;
}

/// The instructions up to each return, behind the label or branch before.
fn ends(lines: &[Line]) -> Vec<Vec<usize>> {
    let mut found = Vec::new();
    for function in known_functions(lines) {
        let mut straight = Vec::new();
        for at in function {
            if label(&lines[at]).is_some() {
                straight.clear();
            }
            let Line::Instruction(name, operands) = &lines[at] else {
                continue;
            };
            let Some(effects) = effects(name, operands) else {
                continue;
            };
            straight.push(at);
            match effects.kind {
                Kind::Return => found.push(std::mem::take(&mut straight)),
                Kind::Branch | Kind::Jump | Kind::JumpTo => straight.clear(),
                _ => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;

    #[test]
    fn one_of_two_ends_is_left() {
        let function = |name: &str, code: &str| {
            format!(
                ".section .text.{name},\"ax\"; .type {name},@function; {name}:; {code}; .Lfunc_end{name}:"
            )
        };
        let text = |f: &str, g: &str| format!("{}; {}", function("f", f), function("g", g));
        let end = "l32i.n a12, a1, 8; l32i.n a0, a1, 12; addi a1, a1, 16; ret.n";
        let started = |at: &str| format!("s32i.n a2, a3, {at}; {end}");
        check(
            &text(&started("0"), &started("4")).replace(".n", ""),
            &text(
                &format!("s32i.n a2, a3, 0; .Ltail_0:; {end}"),
                "s32i.n a2, a3, 4; j .Ltail_0",
            ),
        );
        // Where a jump comes in, the lines stay, and what is shorter than a jump and four bytes as well.
        let kept = text(
            "beqz.n a2, .L1; l32i.n a12, a1, 8; .L1:; l32i.n a0, a1, 12; ret.n",
            "l32i.n a12, a1, 8; l32i.n a0, a1, 12; ret.n",
        );
        check(&kept.replace(".n", ""), &kept);
    }
}
