//! Loads and stores without arithmetic.

use super::Run;
use super::accumulate::extend;
use crate::bits::Bits;

pub(super) fn memory(run: &mut Run<'_>, parts: &[&str]) {
    let address = if run.has("as") {
        run.a("as").u(31, 0)
    } else {
        0
    };
    let form = parts[parts.len() - 1];
    match *parts {
        ["ld", "qr"] => run.set_q("qu", &run.load(address + run.imm("imm"), 16)),
        ["st", "qr"] => run.store(address + run.imm("imm"), 16, &run.q("qv")),
        ["vld", "128", _] => {
            run.set_q("qu", &run.load(address, 16));
            run.step(form);
        }
        ["vst", "128", _] => {
            run.store(address, 16, &run.q("qv"));
            run.step(form);
        }
        ["vld", half, "64", _] => {
            let lo = if half == "h" { 64 } else { 0 };
            run.put_q("qu", lo + 63, lo, run.load(address, 8).u(63, 0));
            run.step(form);
        }
        ["vst", half, "64", _] => {
            let lo = if half == "h" { 64 } else { 0 };
            let value = run.q("qv").u(lo + 63, lo);
            run.store(address, 8, &Bits::of(value as u128));
            run.step(form);
        }
        ["vldbc", width, ..] => {
            let width: usize = width.parse().expect(width);
            let value = run.load(address, width as i128 / 8).u(width - 1, 0);
            for n in 0..128 / width {
                run.put_q("qu", width * n + width - 1, width * n, value);
            }
            if parts.len() > 2 {
                run.step(form);
            }
        }
        ["vldhbc", "16", "incp"] => {
            let data = run.load(address, 16);
            for n in 0..8 {
                let (low, high) = (16 * (n / 2), 64 + 16 * (n / 2));
                run.put_q("qu", 16 * n + 15, 16 * n, data.u(low + 15, low));
                run.put_q("qu1", 16 * n + 15, 16 * n, data.u(high + 15, high));
            }
            run.step(form);
        }
        ["ld", "128", "usar", _] => {
            run.set_q("qu", &run.load(address, 16));
            run.new.cpu.vector.sar_byte = (address & 15) as u8;
            run.step(form);
        }
        ["ldf", width, _] => {
            let names = match width {
                "128" => &["fu3", "fu2", "fu1", "fu0"][..],
                _ => &["fu1", "fu0"],
            };
            let bytes = 4 * names.len();
            let data = run.load(address, bytes as i128);
            for (n, name) in names.iter().enumerate() {
                let lo = 32 * (names.len() - 1 - n);
                let number = run.number(name);
                run.new.cpu.f[number] = data.u(lo + 31, lo) as u32;
            }
            run.step(form);
        }
        ["stf", width, _] => {
            let names = match width {
                "128" => &["fv0", "fv1", "fv2", "fv3"][..],
                _ => &["fv0", "fv1"],
            };
            let mut data = Bits::of(0);
            for (n, name) in names.iter().enumerate() {
                let value = run.old.cpu.f[run.number(name)];
                data.put(32 * n + 31, 32 * n, value.into());
            }
            run.store(address, 4 * names.len() as i128, &data);
            run.step(form);
        }
        ["ldqa", kind, "128", _] => {
            extend(run, kind, &run.load(address, 16));
            run.step(form);
        }
        ["ld", register, part, width, "ip"] => {
            let half = usize::from(register == "qacc_h");
            let mut halves = run.qacc();
            match (part, width) {
                ("h", "32") => halves[half].put(159, 128, run.load(address, 4).u(31, 0)),
                _ => {
                    let data = run.load(address, 16);
                    for n in 0..128 {
                        halves[half].put(n, n, data.u(n, n));
                    }
                }
            }
            run.set_qacc(&halves);
            run.step(form);
        }
        ["st", register, part, _, "ip"] => {
            let half = &run.qacc()[usize::from(register == "qacc_h")];
            match part {
                "h" => run.store(address, 4, &Bits::of(half.u(159, 128) as u128)),
                _ => run.store(address, 16, &Bits::new(&half.words()[..4])),
            }
            run.step(form);
        }
        ["ld", "accx", _] => {
            run.new.cpu.vector.accx = run.load(address, 8).u(39, 0) as u64;
            run.step(form);
        }
        ["st", "accx", _] => {
            run.store(address, 8, &Bits::of(run.old.cpu.vector.accx.into()));
            run.step(form);
        }
        ["ld", "ua_state", _] => {
            run.new.cpu.vector.ua_state = run.load(address, 16).value();
            run.step(form);
        }
        ["st", "ua_state", _] => {
            run.store(address, 16, &Bits::of(run.old.cpu.vector.ua_state));
            run.step(form);
        }
        ["ldxq" | "stxq", "32"] => {
            let lo = 16 * run.imm("sel8") as usize;
            // The index has a sign here, which the manual doesn't tell.
            let vaddr = address + run.q("qs").s(lo + 15, lo) * 4;
            let word = 32 * run.imm("sel4") as usize;
            if parts[0] == "ldxq" {
                run.put_q("qu", word + 31, word, run.load(vaddr, 4).u(31, 0));
            } else {
                let value = run.q("qv").u(word + 31, word);
                run.store(vaddr, 4, &Bits::of(value as u128));
            }
        }
        _ => panic!("{parts:?} is not in the model"),
    }
}
