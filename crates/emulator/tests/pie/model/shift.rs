//! Shifts.

use super::{Run, saturated};

pub(super) fn shift_pair(run: &mut Run<'_>, parts: &[&str]) {
    let (qs0, qs1) = (run.q("qs0"), run.q("qs1"));
    match *parts {
        ["src", "q"] => run.set_q("qa", &run.funnel(&qs1, &qs0)),
        ["src", "q", "qup"] => {
            run.set_q("qa", &run.funnel(&qs1, &qs0));
            run.set_q("qs0", &qs1);
        }
        ["src", "q", "ld", step] => {
            run.set_q("qs0", &run.funnel(&qs1, &qs0));
            run.set_q("qu", &run.load128());
            run.step(step);
        }
        ["srcq", "128", "st", step] => {
            run.store128(&run.funnel(&qs1, &qs0));
            run.step(step);
        }
        [operation, "2q"] => {
            let by_register = operation.ends_with("xxp");
            let bytes = match by_register {
                true => run.a("as").u(3, 0),
                false => run.imm("sar16"),
            };
            let shift = (bytes as usize + 1) * 8;
            // 256 bits, qs0's first.
            let bit = |n: usize| {
                if n < 128 {
                    qs0.u(n, n)
                } else {
                    qs1.u(n - 128, n - 128)
                }
            };
            for n in 0..256 {
                let value = match operation.starts_with("sl") {
                    true if n >= shift => bit(n - shift),
                    false if n + shift < 256 => bit(n + shift),
                    _ => 0,
                };
                run.put_q(if n < 128 { "qs0" } else { "qs1" }, n % 128, n % 128, value);
            }
            if by_register {
                run.add_a("as", run.a("ad").u(31, 0));
            }
        }
        _ => panic!("{parts:?} is not in the model"),
    }
}

pub(super) fn shift_words(run: &mut Run<'_>, operation: &str) {
    let (qs, sar) = (run.q("qs"), run.sar());
    for lo in [0, 32, 64, 96] {
        let word = qs.s(lo + 31, lo);
        let value = match operation {
            // Not the manual's at 32 and above, but a chip's.
            "vsr" if sar >= 32 => 0,
            "vsl" if sar >= 32 => saturated(word << 32, 32),
            "vsr" => word >> sar,
            _ => word << sar,
        };
        run.put_q("qa", lo + 31, lo, value);
    }
}
