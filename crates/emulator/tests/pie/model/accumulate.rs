//! ACCX and QACC.

use super::{Run, beside, element, saturated};
use crate::bits::Bits;

/// QACC from the segments of a vector, sign- or zero-extended.
pub(super) fn extend(run: &mut Run<'_>, kind: &str, vector: &Bits) {
    let (width, signed) = element(kind);
    let segment = if width == 8 { 20 } else { 40 };
    run.each_segment(segment, signed, |n, _| match signed {
        true => vector.s(width * n + width - 1, width * n),
        false => vector.u(width * n + width - 1, width * n),
    });
}

pub(super) fn vmulas(run: &mut Run<'_>, parts: &[&str]) {
    let (width, signed) = element(parts[1]);
    let (x, y) = (run.q("qx"), run.q("qy"));
    let product = |n: usize| {
        let (hi, lo) = (width * n + width - 1, width * n);
        match signed {
            true => x.s(hi, lo) * y.s(hi, lo),
            false => x.u(hi, lo) * y.u(hi, lo),
        }
    };
    let limited = |value: i128, bits: u32| match signed {
        true => saturated(value, bits),
        false => value.min((1 << bits) - 1),
    };
    if parts[2] == "accx" {
        let accx = Bits::of(run.old.cpu.vector.accx.into());
        let accx = if signed { accx.s(39, 0) } else { accx.u(39, 0) };
        let sum = accx + (0..128 / width).map(product).sum::<i128>();
        run.new.cpu.vector.accx = (limited(sum, 40) & ((1 << 40) - 1)) as u64;
    } else {
        let segment = if width == 8 { 20 } else { 40 };
        run.each_segment(segment, signed, |n, old| {
            limited(old + product(n), segment as u32)
        });
    }
    match parts[3..] {
        ["ld", step, ..] => {
            run.set_q("qu", &run.load128());
            run.step(step);
        }
        ["ldbc", ..] => {
            let bytes = width as i128 / 8;
            let value = run.load(run.a("as").u(31, 0), bytes).u(width - 1, 0);
            for n in 0..128 / width {
                run.put_q("qu", width * n + width - 1, width * n, value);
            }
            run.add_a("as", bytes);
        }
        _ => {}
    }
    if parts.contains(&"qup") {
        run.set_q("qs0", &run.funnel(&run.q("qs1"), &run.q("qs0")));
    }
}

pub(super) fn vsmulas(run: &mut Run<'_>, parts: &[&str]) {
    let (width, _) = element(parts[1]);
    let (x, y) = (run.q("qx"), run.q("qy"));
    let select = run.imm(if width == 8 { "sel16" } else { "sel8" }) as usize;
    let temp = y.s(width * select + width - 1, width * select);
    let segment = if width == 8 { 20 } else { 40 };
    run.each_segment(segment, true, |n, old| {
        saturated(
            old + x.s(width * n + width - 1, width * n) * temp,
            segment as u32,
        )
    });
    beside(run, &parts[3..]);
}

pub(super) fn srcmb(run: &mut Run<'_>, kind: &str) -> Option<()> {
    if run.imm("sel2") != 0 {
        return None;
    }
    let (width, _) = element(kind);
    let segment = if width == 8 { 20 } else { 40 };
    let shift = run.a("as").u(if width == 8 { 4 } else { 5 }, 0);
    let halves = run.qacc();
    run.each_segment(segment, true, |_, old| old >> shift);
    let count = 160 / segment;
    for n in 0..2 * count {
        let lo = n % count * segment;
        let shifted = halves[n / count].s(lo + segment - 1, lo) >> shift;
        let value = saturated(shifted, width as u32);
        run.put_q("qu", width * n + width - 1, width * n, value);
    }
    Some(())
}
