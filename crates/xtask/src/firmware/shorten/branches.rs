//! Branches over jumps, which the compiler writes for what it thinks out of reach, turned around; jumps
//! to jumps, and to what comes next; narrow branches. Every distance is known here: no instruction
//! changes its size afterwards.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::flow::{Kind, effects, known_functions, label};
use super::line::Line;
use super::narrow;

/// What labels begin with that are put in front of jumps, for branches to come there.
const OWN: &str = ".Ljump_";

/// More than it takes; jumps in a circle would be followed for ever.
const MOST_ROUNDS: usize = 100;

/// Shortens the branches of all functions in flash.
pub(super) fn shorten(lines: &mut Vec<Line>) {
    let mut labelled = Vec::with_capacity(lines.len());
    for (at, line) in lines.drain(..).enumerate() {
        if line.operands("j").is_some() {
            labelled.push(Line::Other(format!("{OWN}{at}:")));
        }
        labelled.push(line);
    }
    *lines = labelled;
    let mut used = HashSet::new();
    for function in known_functions(lines) {
        for _ in 0..MOST_ROUNDS {
            if !turn(lines, &function, &mut used) & !thread(lines, &function) {
                break;
            }
        }
        while narrow_forward(lines, &function) {}
    }
    lines.retain(|line| !label(line).is_some_and(|label| is_unused(label, &used)));
}

fn is_unused(label: &str, used: &HashSet<String>) -> bool {
    label.starts_with(OWN) && !used.contains(label)
}

/// Bytes of an instruction as it will be written.
pub(super) fn size(line: &Line) -> i64 {
    let Line::Instruction(name, operands) = line else {
        return 0;
    };
    match narrow(name, operands) {
        Some((name, _)) if name.ends_with(".n") => 2,
        Some(_) => 3,
        None => 0,
    }
}

/// Where each line of a function begins, in bytes, and the line of each label.
struct Places {
    start: usize,
    lines: Vec<i64>,
    labels: HashMap<String, usize>,
}

impl Places {
    fn of(lines: &[Line], function: &Range<usize>) -> Self {
        let mut places = Self {
            start: function.start,
            lines: Vec::new(),
            labels: HashMap::new(),
        };
        let mut at = 0;
        for index in function.clone() {
            places.lines.push(at);
            if let Some(label) = label(&lines[index]) {
                places.labels.insert(label.to_owned(), index);
            }
            at += size(&lines[index]);
        }
        places
    }

    /// From the address that branches count from to a label.
    fn distance(&self, from: usize, label: &str) -> Option<i64> {
        let to = self.lines[self.labels.get(label)? - self.start];
        Some(to - self.lines[from - self.start] - 4)
    }
}

fn kind(line: &Line) -> Option<Kind> {
    let Line::Instruction(name, operands) = line else {
        return None;
    };
    Some(effects(name, operands)?.kind)
}

/// The first instruction from `at` on.
fn instruction(lines: &[Line], mut range: Range<usize>) -> Option<usize> {
    range.find(|&at| matches!(lines[at], Line::Instruction(..)))
}

/// Jumps and branches to jumps go where those go; a jump to a return returns, and one to what comes next
/// is none.
fn thread(lines: &mut [Line], function: &Range<usize>) -> bool {
    let places = Places::of(lines, function);
    let mut changed = false;
    for at in function.clone() {
        let Some(kind @ (Kind::Jump | Kind::Branch)) = kind(&lines[at]) else {
            continue;
        };
        let Line::Instruction(_, operands) = &lines[at] else {
            continue;
        };
        let Some(target) = operands.last().and_then(|label| places.labels.get(label)) else {
            continue;
        };
        let Some(first) = instruction(lines, *target..function.end) else {
            continue;
        };
        if first == at {
            continue;
        }
        if kind == Kind::Jump && instruction(lines, at + 1..function.end) == Some(first) {
            lines[at] = Line::Gone;
            changed = true;
            continue;
        }
        if kind == Kind::Jump && lines[first].operands("ret").is_some() {
            lines[at] = Line::new("ret", &[]);
            changed = true;
            continue;
        }
        let Some(beyond) = lines[first].operands("j").map(|to| to[0].to_owned()) else {
            continue;
        };
        let reached = kind == Kind::Jump
            || places
                .distance(at, &beyond)
                .is_some_and(|distance| reaches(&lines[at], distance));
        let Line::Instruction(_, operands) = &mut lines[at] else {
            continue;
        };
        if reached && operands.last() != Some(&beyond) && places.labels.get(&beyond) != Some(target)
        {
            operands.pop();
            operands.push(beyond);
            changed = true;
        }
    }
    changed
}

/// Whether a branch can go so far.
fn reaches(branch: &Line, distance: i64) -> bool {
    let Line::Instruction(name, _) = branch else {
        return false;
    };
    let zero = name.ends_with('z');
    let reach = if zero { -2048..2048 } else { -128..128 };
    reach.contains(&distance)
}

/// `bXX .L; j .M; .L:` becomes `bYY .M`, or goes to the nearest jump to `.M` that there is.
fn turn(lines: &mut [Line], function: &Range<usize>, used: &mut HashSet<String>) -> bool {
    // What is left out on the way brings everything nearer.
    let places = Places::of(lines, function);
    let mut jumps: HashMap<String, Vec<(usize, String)>> = HashMap::new();
    for at in function.start + 1..function.end {
        if let (Some(label), Some(to)) = (label(&lines[at - 1]), lines[at].operands("j")) {
            let known = jumps.entry(to[0].to_owned()).or_default();
            known.push((at, label.to_owned()));
        }
    }
    let mut changed = false;
    for at in function.clone() {
        if kind(&lines[at]) != Some(Kind::Branch) {
            continue;
        }
        let Line::Instruction(name, operands) = &lines[at] else {
            continue;
        };
        let Some(opposite) = opposite(name) else {
            continue;
        };
        let Some(jump) = instruction(lines, at + 1..function.end) else {
            continue;
        };
        let Some(to) = lines[jump].operands("j").map(|to| to[0].to_owned()) else {
            continue;
        };
        let target = operands.last().and_then(|label| places.labels.get(label));
        let next = instruction(lines, jump + 1..function.end);
        let over = target.is_some_and(|&target| {
            target > jump && instruction(lines, target..function.end) == next && next.is_some()
        });
        let mut between = lines[at + 1..jump].iter().filter_map(label);
        if !over || !between.all(|label| is_unused(label, used)) {
            continue;
        }
        let turned = |to: &str| {
            let mut operands = operands.clone();
            operands.pop();
            operands.push(to.to_owned());
            let turned = Line::Instruction(opposite.to_owned(), operands);
            let distance = places.distance(at, to)?;
            reaches(&turned, distance).then_some((distance.abs(), turned))
        };
        let nearest = || {
            let others = jumps.get(&to)?.iter().filter(|(other, _)| *other != jump);
            let there = others.filter(|(other, _)| lines[*other].operands("j").is_some());
            let reached = there.filter_map(|(_, label)| Some((turned(label)?, label)));
            let ((_, turned), label) = reached.min_by_key(|((distance, _), _)| *distance)?;
            Some((turned, Some(label.clone())))
        };
        let direct = turned(&to).map(|(_, turned)| (turned, None));
        let Some((turned, label)) = direct.or_else(nearest) else {
            continue;
        };
        lines[at] = turned;
        lines[jump] = Line::Gone;
        used.extend(label);
        changed = true;
    }
    changed
}

fn opposite(name: &str) -> Option<&'static str> {
    const PAIRS: [(&str, &str); 8] = [
        ("beqz", "bnez"),
        ("bltz", "bgez"),
        ("beq", "bne"),
        ("blt", "bge"),
        ("bltu", "bgeu"),
        ("beqi", "bnei"),
        ("blti", "bgei"),
        ("bltui", "bgeui"),
    ];
    PAIRS.iter().find_map(|&(one, other)| match name {
        _ if name == one => Some(other),
        _ if name == other => Some(one),
        _ => None,
    })
}

/// `beqz` and `bnez` a little forward have narrow forms.
fn narrow_forward(lines: &mut [Line], function: &Range<usize>) -> bool {
    let places = Places::of(lines, function);
    let mut changed = false;
    for at in function.clone() {
        let Line::Instruction(name, operands) = &lines[at] else {
            continue;
        };
        let Some(to @ ("beqz" | "bnez")) = Some(name.as_str()) else {
            continue;
        };
        let distance = operands.last().and_then(|label| places.distance(at, label));
        // One that is nearer now may come too near: two bytes are lost here, and there may be but one
        // instruction of two between.
        if distance.is_some_and(|distance| (1..64).contains(&distance)) {
            lines[at] = Line::Instruction(format!("{to}.n"), operands.clone());
            changed = true;
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::super::tests::check_function;

    /// So many instructions of three bytes.
    fn filling(count: usize) -> String {
        vec!["mull a2, a2, a3"; count].join("; ")
    }

    #[test]
    fn a_branch_over_a_jump_is_the_opposite() {
        for (one, other) in [("bltu a2, a3", "bgeu a2, a3"), ("beqi a2, 4", "bnei a2, 4")] {
            check_function(
                &format!("{one}, .L1; j .L2; .L1:; mull a2, a2, a3; .L2:; ret"),
                &format!("{other}, .L2; .L1:; mull a2, a2, a3; .L2:; ret.n"),
            );
        }
        check_function(
            "bnez a2, .L1; j .L2; .L1:; mull a2, a2, a3; .L2:; ret",
            "beqz.n a2, .L2; .L1:; mull a2, a2, a3; .L2:; ret.n",
        );
    }

    #[test]
    fn what_is_out_of_reach_stays_or_goes_by_a_jump_that_is_nearer() {
        // A branch counts from four bytes behind its own start, at most 127 bytes; the jump counts as long as it
        // is there.
        let code = |branch: &str, count| {
            let filling = filling(count);
            format!("{branch}.L1:; {filling}; .L2:; mull a2, a2, a3; ret.n")
        };
        let before = "bltu a2, a3, .L1; j .L2; ";
        check_function(&code(before, 41), &code("bgeu a2, a3, .L2; ", 41));
        check_function(&code(before, 42), &code(before, 42));
        let (near, far) = (filling(2), filling(43));
        check_function(
            &format!(
                "bltu a2, a3, .L1; j .L2; .L1:; {near}; bltu a2, a4, .L3; j .L2; .L3:; {far}; .L2:; neg a2, a2; ret"
            ),
            &format!(
                "bgeu a2, a3, .Ljump_9; .L1:; {near}; bltu a2, a4, .L3; .Ljump_9:; j .L2; .L3:; {far}; .L2:; neg a2, a2; ret.n"
            ),
        );
    }

    #[test]
    fn jumps_go_where_they_lead_in_the_end() {
        check_function(
            "beqz a2, .L1; mull a2, a2, a3; j .L3; .L1:; j .L2; .L4:; mull a2, a2, a4; .L2:; \
             mull a2, a2, a5; .L3:; ret",
            "beqz.n a2, .L2; mull a2, a2, a3; ret.n; .L1:; j .L2; .L4:; mull a2, a2, a4; .L2:; \
             mull a2, a2, a5; .L3:; ret.n",
        );
        check_function("j .L1; .L1:; ret", ".L1:; ret.n");
    }
}
