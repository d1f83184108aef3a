//! FFT.

use super::Run;
use crate::bits::Bits;

pub(super) fn bitrev(run: &mut Run<'_>) -> Option<()> {
    let width = usize::from(run.old.cpu.vector.fft_bit_width);
    if !(3..=10).contains(&width) {
        return None;
    }
    for n in 0..8 {
        let temp = Bits::of((run.a("ax").u(31, 0) + n as i128) as u128);
        let mut switched = Bits::of(0);
        for bit in 0..width {
            switched.put(bit, bit, temp.u(width - 1 - bit, width - 1 - bit));
        }
        let value = temp.u(width - 1, 0).max(switched.u(width - 1, 0));
        let value = if width == 3 && n >= 6 { 0 } else { value };
        run.put_q("qa", 16 * n + 15, 16 * n, value);
    }
    run.add_a("ax", 8);
    Some(())
}

pub(super) fn fft(run: &mut Run<'_>, parts: &[&str]) -> Option<()> {
    let sar = run.sar();
    match *parts {
        ["r2bf", "s16"] => {
            let (x, y) = (run.q("qx"), run.q("qy"));
            // The fields of op_a and op_b, from the least significant up.
            let words = |fields: [(&Bits, usize); 4]| {
                let mut op = Bits::of(0);
                for (n, (source, lo)) in fields.into_iter().enumerate() {
                    op.put(32 * n + 31, 32 * n, source.u(lo + 31, lo));
                }
                op
            };
            let (op_a, op_b) = match run.imm("sel2") {
                0 => (
                    words([(&x, 0), (&x, 32), (&y, 0), (&y, 32)]),
                    words([(&x, 64), (&x, 96), (&y, 64), (&y, 96)]),
                ),
                _ => (
                    words([(&x, 0), (&x, 64), (&y, 0), (&y, 64)]),
                    words([(&x, 32), (&x, 96), (&y, 32), (&y, 96)]),
                ),
            };
            for (name, base) in [("qa0", 0), ("qa1", 64)] {
                for lo in [0, 16, 32, 48] {
                    let a = op_a.s(base + lo + 15, base + lo);
                    let b = op_b.s(base + lo + 15, base + lo);
                    run.put_q(name, lo + 15, lo, a + b);
                    run.put_q(name, lo + 79, lo + 64, a - b);
                }
            }
        }
        ["r2bf", "s16", "st", step] => {
            let (x, y) = (run.q("qx"), run.q("qy"));
            let mut data = Bits::of(0);
            for lo in (0..128).step_by(16) {
                let (x, y) = (x.s(lo + 15, lo), y.s(lo + 15, lo));
                run.put_q("qa0", lo + 15, lo, x - y);
                data.put(lo + 15, lo, (x + y) >> run.imm("sar4"));
            }
            run.store128(&data);
            run.step(step);
        }
        ["cmul", "s16", "ld", step] => {
            let select = run.imm("sel8") as usize;
            if select > 5 {
                return None;
            }
            let lo = 32 * (select / 2);
            let (re, im) = fft_product(run, select, lo);
            run.put_q("qz", lo + 15, lo, re >> sar);
            run.put_q("qz", lo + 31, lo + 16, im >> sar);
            run.set_q("qu", &run.load128());
            run.step(step);
        }
        ["cmul", "s16", "st", step] => {
            let select = run.imm("sel8") as usize;
            let update = run.imm("upd4");
            if select < 6 || update == 3 {
                return None;
            }
            let (re, im) = fft_product(run, select, 96);
            let (x, v) = (run.q("qx"), run.q("qv"));
            let sar4 = run.imm("sar4");
            let shifted = |n: usize| x.s(16 * n + 15, 16 * n) >> sar4;
            let mut data = v.clone();
            // From lane 0 up; 4 and 5 of qv are its bits 95 to 64.
            let lanes = match update {
                1 => [Some(0), Some(1), Some(2), Some(3), None, None],
                2 => [Some(0), Some(1), None, None, Some(2), Some(3)],
                _ => [None; 6],
            };
            for (n, lane) in lanes.into_iter().enumerate() {
                match lane {
                    Some(lane) => data.put(16 * n + 15, 16 * n, shifted(lane)),
                    None if update == 2 => {
                        data.put(16 * n + 15, 16 * n, v.u(16 * n + 47, 16 * n + 32))
                    }
                    None => {}
                }
            }
            data.put(111, 96, re >> sar);
            data.put(127, 112, im >> sar);
            run.store128(&data);
            run.step(step);
        }
        ["vst", "r32", "decp"] => {
            let v = run.q("qv");
            let mut data = Bits::of(0);
            for n in 0..4 {
                let (to, from) = (32 * n, 32 * (3 - n));
                let shift = run.imm("sar2");
                data.put(to + 15, to, v.s(from + 15, from) >> shift);
                data.put(to + 31, to + 16, v.s(from + 31, from + 16) >> shift);
            }
            run.store128(&data);
            run.add_a("as", -16);
        }
        ["ams", "s16", "ld", "incp"] => {
            ams(run, 32, false);
            run.set_q("qu", &run.load128());
            run.step("incp");
        }
        ["ams", "s16", "ld", "incp", "uaup"] => {
            ams(run, 0, false);
            let data = run.load128();
            run.set_q(
                "qu",
                &run.funnel(&data, &Bits::of(run.old.cpu.vector.ua_state)),
            );
            run.new.cpu.vector.ua_state = data.value();
            run.step("incp");
        }
        ["ams", "s16", "ld", "r32", "decp"] => {
            ams(run, 64, false);
            let data = run.load128();
            for lo in [0, 32, 64, 96] {
                run.put_q("qu", 127 - lo, 96 - lo, data.u(lo + 31, lo));
            }
            run.add_a("as", -16);
        }
        ["ams", "s16", "st", "incp"] => ams(run, 96, true),
        _ => panic!("{parts:?} is not in the model"),
    }
    Some(())
}

fn fft_product(run: &Run<'_>, select: usize, lo: usize) -> (i128, i128) {
    let (x, y) = (run.q("qx"), run.q("qy"));
    let (xr, xi) = (x.s(lo + 15, lo), x.s(lo + 31, lo + 16));
    let (yr, yi) = (y.s(lo + 15, lo), y.s(lo + 31, lo + 16));
    match select % 2 {
        0 => (xr * yr + xi * yi, xi * yr - xr * yi),
        _ => (xr * yr - xi * yi, xi * yr + xr * yi),
    }
}

fn ams(run: &mut Run<'_>, lo: usize, to_memory: bool) {
    let (x, y, m, sar) = (run.q("qx"), run.q("qy"), run.q("qm"), run.sar());
    let (xr, xi) = (x.s(lo + 15, lo), x.s(lo + 31, lo + 16));
    let (yr, yi) = (y.s(lo + 15, lo), y.s(lo + 31, lo + 16));
    let (mr, mi) = (m.s(lo + 15, lo), m.s(lo + 31, lo + 16));
    let temp0 = xr + yr;
    let temp1 = xi - yi;
    let (temp2, temp3) = match run.imm("sel2") {
        0 => (
            ((xr - yr) * mr - (xi + yi) * mi) >> sar,
            ((xr - yr) * mi + (xi + yi) * mr) >> sar,
        ),
        _ => (
            ((xi + yi) * mi + (xr - yr) * mr) >> sar,
            ((xi + yi) * mr - (xr - yr) * mi) >> sar,
        ),
    };
    if !to_memory {
        run.put_q("qz", lo + 15, lo, temp0 + temp2);
        run.put_q("qz", lo + 31, lo + 16, temp1 + temp3);
    } else {
        let (v, at) = (run.q("qv"), run.a("at"));
        let shift = 1 - run.imm("sel2");
        let mut data = Bits::of(0);
        data.put(15, 0, at.s(15, 0) >> shift);
        data.put(31, 16, at.s(31, 16) >> shift);
        for to in (32..128).step_by(16) {
            data.put(to + 15, to, v.s(to - 17, to - 32) >> shift);
        }
        run.store128(&data);
    }
    run.put_q("qz1", lo + 15, lo, temp0 - temp2);
    run.put_q("qz1", lo + 31, lo + 16, temp3 - temp1);
    if to_memory {
        run.set_a(
            "at",
            ((temp1 + temp3) & 0xFFFF) << 16 | (temp0 + temp2) & 0xFFFF,
        );
        run.step("incp");
    }
}
