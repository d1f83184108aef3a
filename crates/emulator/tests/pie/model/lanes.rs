//! Additions, products, comparisons, rectification, interleaving: lane by lane.

use super::{Run, beside, element, saturated};
use crate::bits::Bits;

/// `vadds`, `vsubs`, `vmul`, `vmax`, `vmin`, `vcmp`, alone or beside a load or a store.
pub(super) fn lanewise(run: &mut Run<'_>, parts: &[&str]) {
    let (operation, kind, rest) = match *parts {
        ["vcmp", relation, kind] => (relation, kind, &parts[3..]),
        _ => (parts[0], parts[1], &parts[2..]),
    };
    let (width, signed) = element(kind);
    let (x, y) = (run.q("qx"), run.q("qy"));
    let destination = if operation == "vmul" { "qz" } else { "qa" };
    for n in 0..128 / width {
        let (hi, lo) = (width * n + width - 1, width * n);
        let (x, y) = match signed {
            true => (x.s(hi, lo), y.s(hi, lo)),
            false => (x.u(hi, lo), y.u(hi, lo)),
        };
        let value = match operation {
            "vadds" => saturated(x + y, width as u32),
            "vsubs" => saturated(x - y, width as u32),
            "vmax" => x.max(y),
            "vmin" => x.min(y),
            "eq" => -i128::from(x == y),
            "lt" => -i128::from(x < y),
            "gt" => -i128::from(x > y),
            // Not the manual's at 32 and above, but a chip's.
            "vmul" if run.sar() >= 32 => 0,
            "vmul" => (x * y) >> run.sar(),
            other => panic!("{other} is not in the model"),
        };
        run.put_q(destination, hi, lo, value);
    }
    beside(run, rest);
}

pub(super) fn rectify(run: &mut Run<'_>, operation: &str, kind: &str) {
    let (width, _) = element(kind);
    let shift = run.a("ay").u(if width == 8 { 4 } else { 5 }, 0);
    let (source, destination) = match operation {
        "vrelu" => ("qs", "qs"),
        _ => ("qx", "qz"),
    };
    let x = run.q(source);
    for n in 0..128 / width {
        let (hi, lo) = (width * n + width - 1, width * n);
        let factor = match operation {
            "vrelu" => run.a("ax").s(width - 1, 0),
            _ => run.q("qy").s(hi, lo),
        };
        let x = x.s(hi, lo);
        let value = if x <= 0 { (x * factor) >> shift } else { x };
        run.put_q(destination, hi, lo, value);
    }
}

pub(super) fn cmul(run: &mut Run<'_>, parts: &[&str]) {
    let (x, y, sar) = (run.q("qx"), run.q("qy"), run.sar());
    let numbers = if run.imm("sel4") % 2 == 0 {
        [0, 32]
    } else {
        [64, 96]
    };
    for lo in numbers {
        let (a, b) = (x.s(lo + 15, lo), x.s(lo + 31, lo + 16));
        let (c, d) = (y.s(lo + 15, lo), y.s(lo + 31, lo + 16));
        let (re, im) = match run.imm("sel4") {
            0 | 1 => (a * c - b * d, a * d + b * c),
            _ => (a * c + b * d, a * d - b * c),
        };
        run.put_q("qz", lo + 15, lo, re >> sar);
        run.put_q("qz", lo + 31, lo + 16, im >> sar);
    }
    beside(run, &parts[2..]);
}

pub(super) fn zip(run: &mut Run<'_>, operation: &str, width: usize) {
    let (qs0, qs1) = (run.q("qs0"), run.q("qs1"));
    let count = 128 / width;
    let segment = |q: &Bits, n: usize| q.u(width * n + width - 1, width * n);
    // All segments of both registers, qs0's first.
    let all = |n: usize| {
        if n < count {
            segment(&qs0, n)
        } else {
            segment(&qs1, n - count)
        }
    };
    for n in 0..2 * count {
        let value = match operation {
            "vzip" if n % 2 == 0 => segment(&qs0, n / 2),
            "vzip" => segment(&qs1, n / 2),
            _ if n < count => all(2 * n),
            _ => all(2 * (n - count) + 1),
        };
        let name = if n < count { "qs0" } else { "qs1" };
        run.put_q(
            name,
            width * (n % count) + width - 1,
            width * (n % count),
            value,
        );
    }
}
