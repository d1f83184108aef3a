//! The second implementation: what an instruction's text does to a machine, by its page in section 1.8
//! of the ESP32-S3 Technical Reference Manual. Bit ranges, names and the order of assignments are the
//! manual's; operands are read from the state before. Where the manual's operation has the same line
//! for every segment, here is a loop.

mod accumulate;
mod fft;
mod lanes;
mod memory;
mod shift;

use fixpoint_emulator::cpu::pie::Qacc;

use crate::bits::Bits;
use crate::machine::Machine;
use accumulate::{extend, srcmb, vmulas, vsmulas};
use fft::{bitrev, fft};
use lanes::{cmul, lanewise, rectify, zip};
use memory::memory;
use shift::{shift_pair, shift_words};

/// The operands of one line by the manual's names, and both states.
struct Run<'t> {
    operands: Vec<&'t str>,
    names: Vec<&'static str>,
    old: &'t Machine,
    new: Machine,
}

impl Run<'_> {
    fn number(&self, name: &str) -> usize {
        let place = self.names.iter().position(|other| *other == name);
        let text = self.operands[place.expect(name)];
        text[1..].parse().expect(text)
    }

    fn imm(&self, name: &str) -> i128 {
        let place = self.names.iter().position(|other| *other == name);
        let text = self.operands[place.expect(name)];
        text.parse().expect(text)
    }

    fn has(&self, name: &str) -> bool {
        self.names.contains(&name)
    }

    fn q(&self, name: &str) -> Bits {
        Bits::of(self.old.cpu.vector.q[self.number(name)])
    }

    fn set_q(&mut self, name: &str, value: &Bits) {
        let number = self.number(name);
        self.new.cpu.vector.q[number] = value.value();
    }

    /// Assigns a range of a register and leaves the rest as it is by now.
    fn put_q(&mut self, name: &str, hi: usize, lo: usize, value: i128) {
        let number = self.number(name);
        let mut bits = Bits::of(self.new.cpu.vector.q[number]);
        bits.put(hi, lo, value);
        self.new.cpu.vector.q[number] = bits.value();
    }

    fn a(&self, name: &str) -> Bits {
        Bits::new(&[self.old.cpu.a[self.number(name)]])
    }

    fn set_a(&mut self, name: &str, value: i128) {
        let number = self.number(name);
        self.new.cpu.a[number] = value as u32;
    }

    /// `as[31:0] = as[31:0] + by`
    fn add_a(&mut self, name: &str, by: i128) {
        let value = self.a(name).u(31, 0) + by;
        self.set_a(name, value);
    }

    /// `load128({as[31:4],4{0}})` and its smaller relatives.
    fn load(&self, address: i128, bytes: i128) -> Bits {
        let address = (address & !(bytes - 1)) as u32;
        let mut bits = Bits::of(0);
        for n in 0..bytes as u32 {
            let byte = self.old.memory.byte(address.wrapping_add(n));
            bits.put(8 * n as usize + 7, 8 * n as usize, byte.into());
        }
        bits
    }

    fn store(&mut self, address: i128, bytes: i128, value: &Bits) {
        let address = (address & !(bytes - 1)) as u32;
        let byte = |n: usize| value.u(8 * n + 7, 8 * n) as u8;
        let stored = (0..bytes as usize).map(byte).collect();
        self.new.memory.stores.push((address, stored));
    }

    fn load128(&self) -> Bits {
        self.load(self.a("as").u(31, 0), 16)
    }

    fn store128(&mut self, value: &Bits) {
        self.store(self.a("as").u(31, 0), 16, value);
    }

    fn sar(&self) -> u32 {
        self.old.cpu.sar
    }

    /// `{high, low} >> {SAR_BYTE[3:0] << 3}`, the lower 128 bits.
    fn funnel(&self, high: &Bits, low: &Bits) -> Bits {
        let shift = usize::from(self.old.cpu.vector.sar_byte) * 8;
        let mut shifted = Bits::of(0);
        for n in 0..128 {
            let bit = if n + shift < 128 {
                low.u(n + shift, n + shift)
            } else {
                high.u(n + shift - 128, n + shift - 128)
            };
            shifted.put(n, n, bit);
        }
        shifted
    }

    fn qacc(&self) -> [Bits; 2] {
        [0, 1].map(|half| Bits::new(&self.old.cpu.vector.qacc.words(half)))
    }

    fn set_qacc(&mut self, halves: &[Bits; 2]) {
        for (half, bits) in halves.iter().enumerate() {
            let words = bits.words().try_into().expect("five words");
            self.new.cpu.vector.qacc.set_words(half, words);
        }
    }

    /// Changes all segments of QACC, QACC_L's first: `change(number, segment)`.
    fn each_segment(&mut self, width: usize, signed: bool, change: impl Fn(usize, i128) -> i128) {
        let mut halves = self.qacc();
        let count = 160 / width;
        for n in 0..2 * count {
            let half = &mut halves[n / count];
            let lo = n % count * width;
            let hi = lo + width - 1;
            let segment = if signed {
                half.s(hi, lo)
            } else {
                half.u(hi, lo)
            };
            half.put(hi, lo, change(n, segment));
        }
        self.set_qacc(&halves);
    }

    /// The step of `as` in the forms that end in `.ip`, `.xp`, `.incp`.
    fn step(&mut self, form: &str) {
        let by = match form {
            "ip" => self.imm("imm"),
            "xp" => self.a("ad").u(31, 0),
            _ => 16,
        };
        self.add_a("as", by);
    }
}

fn saturated(value: i128, bits: u32) -> i128 {
    value.clamp(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
}

fn split(text: &str) -> (&str, Vec<&str>) {
    let (name, operands) = text.split_once(' ').unwrap_or((text, ""));
    let operands = operands.split(", ").filter(|text| !text.is_empty());
    (name, operands.collect())
}

/// Names with their dots, and without `ee`.
fn parts(name: &str) -> Vec<&str> {
    let prefix = usize::from(name.starts_with("ee."));
    name.split('.').skip(prefix).collect()
}

/// Operands by the manual's names: numbers of registers, and immediates.
pub(crate) fn operands(text: &str) -> Vec<(&'static str, i128)> {
    let (name, operands) = split(text);
    let names = names(name, &parts(name)).into_iter();
    let number = |text: &str| {
        let digits = text.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        digits.parse().expect("a number")
    };
    names.zip(operands.into_iter().map(number)).collect()
}

/// The machine after `text`, or nothing when the manual doesn't describe the selection.
pub(crate) fn run(text: &str, old: &Machine) -> Option<Machine> {
    let (name, operands) = split(text);
    let parts = parts(name);
    let names = names(name, &parts);
    assert_eq!(names.len(), operands.len(), "{text}");
    let mut run = Run {
        operands,
        names,
        old,
        new: old.clone(),
    };
    execute(&mut run, &parts)?;
    Some(run.new)
}

/// The operands of each syntax. `imm` stands for the number that `as` steps by.
fn names(name: &str, parts: &[&str]) -> Vec<&'static str> {
    let list = match name {
        "ld.qr" => "qu as imm",
        "st.qr" => "qv as imm",
        "mv.qr" => "qu qs",
        "ee.wr_mask_gpio_out" => "as ax",
        "ee.set_bit_gpio_out" | "ee.clr_bit_gpio_out" => "imm256",
        "ee.get_gpio_in" => "au",
        "ee.zero.q" => "qa",
        "ee.zero.qacc" | "ee.zero.accx" => "",
        "ee.movi.32.a" => "qs au sel4",
        "ee.movi.32.q" => "qu as sel4",
        "ee.ldxq.32" => "qu qs as sel4 sel8",
        "ee.stxq.32" => "qv qs as sel4 sel8",
        "ee.vldhbc.16.incp" => "qu qu1 as",
        "ee.srs.accx" => "au as sel2",
        "ee.notq" => "qa qx",
        "ee.src.q" | "ee.src.q.qup" => "qa qs0 qs1",
        "ee.src.q.ld.ip" => "qu as imm qs0 qs1",
        "ee.src.q.ld.xp" => "qu as ad qs0 qs1",
        "ee.srcq.128.st.incp" => "qs0 qs1 as",
        "ee.slci.2q" | "ee.srci.2q" => "qs1 qs0 sar16",
        "ee.slcxxp.2q" | "ee.srcxxp.2q" => "qs1 qs0 as ad",
        "ee.vsl.32" | "ee.vsr.32" => "qa qs",
        "ee.bitrev" => "qa ax",
        "ee.cmul.s16" => "qz qx qy sel4",
        "ee.cmul.s16.ld.incp" => "qu as qz qx qy sel4",
        "ee.cmul.s16.st.incp" => "qv as qz qx qy sel4",
        "ee.fft.r2bf.s16" => "qa0 qa1 qx qy sel2",
        "ee.fft.r2bf.s16.st.incp" => "qa0 qx qy as sar4",
        "ee.fft.cmul.s16.ld.xp" => "qu as ad qz qx qy sel8",
        "ee.fft.cmul.s16.st.xp" => "qx qy qv as ad sel8 upd4 sar4",
        "ee.fft.ams.s16.st.incp" => "qv qz1 at as qx qy qm sel2",
        "ee.fft.vst.r32.decp" => "qv as sar2",
        _ => match *parts {
            ["fft", "ams", ..] => "qu as qz qz1 qx qy qm sel2",
            ["vldbc", _] => "qu as",
            ["vld" | "vldbc" | "ld", .., "ip"] if name.contains("usar") => "qu as imm",
            ["vld" | "vldbc" | "ld", .., "xp"] if name.contains("usar") => "qu as ad",
            ["vld" | "vldbc", .., "ip"] => "qu as imm",
            ["vld" | "vldbc", .., "xp"] => "qu as ad",
            ["vst", .., "ip"] => "qv as imm",
            ["vst", .., "xp"] => "qv as ad",
            ["ldf", "128", "ip"] => "fu3 fu2 fu1 fu0 as imm",
            ["ldf", "128", "xp"] => "fu3 fu2 fu1 fu0 as ad",
            ["ldf", "64", "ip"] => "fu1 fu0 as imm",
            ["ldf", "64", "xp"] => "fu1 fu0 as ad",
            ["stf", "128", "ip"] => "fv3 fv2 fv1 fv0 as imm",
            ["stf", "128", "xp"] => "fv3 fv2 fv1 fv0 as ad",
            ["stf", "64", "ip"] => "fv1 fv0 as imm",
            ["stf", "64", "xp"] => "fv1 fv0 as ad",
            ["ldqa" | "ld" | "st", .., "ip"] => "as imm",
            ["ldqa", .., "xp"] => "as ad",
            ["vzip" | "vunzip", _] => "qs0 qs1",
            ["mov", ..] => "qs",
            ["srcmb", ..] => "qu as sel2",
            ["vrelu", _] => "qs ax ay",
            ["vprelu", _] => "qz qx qy ay",
            ["vmul", _] => "qz qx qy",
            ["vmul", _, "ld", _] => "qu as qz qx qy",
            ["vmul", _, "st", _] => "qv as qz qx qy",
            ["vsmulas", "s8", _] => "qx qy sel16",
            ["vsmulas", "s16", _] => "qx qy sel8",
            ["vsmulas", "s8", _, "ld", _] => "qu as qx qy sel16",
            ["vsmulas", "s16", _, "ld", _] => "qu as qx qy sel8",
            ["vmulas", _, _] => "qx qy",
            ["vmulas", _, _, "ld", "ip"] => "qu as imm qx qy",
            ["vmulas", _, _, "ld", "xp"] => "qu as ad qx qy",
            ["vmulas", _, _, "ldbc", "incp"] => "qu as qx qy",
            ["vmulas", _, _, "ld", "ip", "qup"] => "qu as imm qx qy qs0 qs1",
            ["vmulas", _, _, "ld", "xp", "qup"] => "qu as ad qx qy qs0 qs1",
            ["vmulas", _, _, "ldbc", "incp", "qup"] => "qu as qx qy qs0 qs1",
            [_, _, "ld", "incp"] => "qu as qa qx qy",
            [_, _, "st", "incp"] => "qv as qa qx qy",
            _ => "qa qx qy",
        },
    };
    list.split_whitespace().collect()
}

/// Bits of an element and whether it has a sign, from `s8`, `u16`...
fn element(part: &str) -> (usize, bool) {
    (part[1..].parse().expect(part), part.starts_with('s'))
}

fn execute(run: &mut Run<'_>, parts: &[&str]) -> Option<()> {
    match *parts {
        ["wr_mask_gpio_out"] => {
            let (content, mask) = (run.a("as").u(7, 0), run.a("ax").u(7, 0));
            let out = i128::from(run.old.cpu.vector.gpio_out);
            run.new.cpu.vector.gpio_out = (out & !mask | content & mask) as u8;
        }
        ["set_bit_gpio_out"] => run.new.cpu.vector.gpio_out |= run.imm("imm256") as u8,
        ["clr_bit_gpio_out"] => run.new.cpu.vector.gpio_out &= !(run.imm("imm256") as u8),
        ["get_gpio_in"] => run.set_a("au", run.old.cpu.vector.gpio_in.into()),
        ["zero", "q"] => run.set_q("qa", &Bits::of(0)),
        ["zero", "qacc"] => run.new.cpu.vector.qacc = Qacc::default(),
        ["zero", "accx"] => run.new.cpu.vector.accx = 0,
        ["mv", "qr"] => run.set_q("qu", &run.q("qs")),
        ["movi", "32", "a"] => {
            let lo = 32 * run.imm("sel4") as usize;
            run.set_a("au", run.q("qs").u(lo + 31, lo));
        }
        ["movi", "32", "q"] => {
            let lo = 32 * run.imm("sel4") as usize;
            run.put_q("qu", lo + 31, lo, run.a("as").u(31, 0));
        }
        ["vzip" | "vunzip", width] => zip(run, parts[0], width.parse().expect(width)),
        ["mov", kind, "qacc"] => extend(run, kind, &run.q("qs")),
        ["andq" | "orq" | "xorq"] => {
            let (x, y) = (run.q("qx"), run.q("qy"));
            for n in 0..128 {
                let (x, y) = (x.u(n, n), y.u(n, n));
                let bit = match parts[0] {
                    "andq" => x & y,
                    "orq" => x | y,
                    _ => x ^ y,
                };
                run.put_q("qa", n, n, bit);
            }
        }
        ["notq"] => {
            let x = run.q("qx");
            for n in 0..128 {
                run.put_q("qa", n, n, 1 - x.u(n, n));
            }
        }
        ["ld" | "st", ..] | ["vld" | "vst" | "vldbc" | "vldhbc", ..] => memory(run, parts),
        ["ldf" | "stf" | "ldqa" | "ldxq" | "stxq", ..] => memory(run, parts),
        ["vmulas", ..] => vmulas(run, parts),
        ["vsmulas", ..] => vsmulas(run, parts),
        ["srcmb", kind, "qacc"] => return srcmb(run, kind),
        ["srs", "accx"] => {
            if run.imm("sel2") != 0 {
                return None;
            }
            let shift = run.a("as").u(5, 0);
            let accx = Bits::of(run.old.cpu.vector.accx.into()).s(39, 0) >> shift;
            run.new.cpu.vector.accx = (accx & ((1 << 40) - 1)) as u64;
            run.set_a("au", saturated(accx, 32));
        }
        ["src" | "srcq" | "slci" | "srci" | "slcxxp" | "srcxxp", ..] => shift_pair(run, parts),
        ["vsl" | "vsr", "32"] => shift_words(run, parts[0]),
        ["bitrev"] => return bitrev(run),
        ["fft", ..] => return fft(run, &parts[1..]),
        ["cmul", ..] => cmul(run, parts),
        ["vrelu" | "vprelu", kind] => rectify(run, parts[0], kind),
        _ => lanewise(run, parts),
    }
    Some(())
}

/// What `.ld.incp` and `.st.incp` add.
fn beside(run: &mut Run<'_>, rest: &[&str]) {
    match *rest {
        ["ld", step] => {
            run.set_q("qu", &run.load128());
            run.step(step);
        }
        ["st", step] => {
            run.store128(&run.q("qv"));
            run.step(step);
        }
        _ => {}
    }
}
