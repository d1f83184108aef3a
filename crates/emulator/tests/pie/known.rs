//! Where Espressif's QEMU does something else than the chip: for which instructions, under which condition,
//! and why what is here stands. Sections are those of chapter 1 of the ESP32-S3 Technical Reference Manual,
//! numbers behind `#` those of issues of <https://github.com/espressif/qemu>.
//!
//! The test fails on a difference under no condition of this list, and when under one of them nothing
//! differs any more. For a QEMU with a repair, `QEMU_ESP_MENDED` names the entries that hold always and
//! should not for it, separated by commas.

use std::sync::LazyLock;

use fixpoint_emulator::cpu::pie::Qacc;

use crate::machine::Machine;
use crate::model;

/// One instruction between two states.
pub(crate) struct Step<'s> {
    name: &'s str,
    /// By the manual's names.
    operands: Vec<(&'static str, i128)>,
    old: &'s Machine,
    new: &'s Machine,
}

/// A difference that is settled.
pub(crate) struct Known {
    /// Beginning and parts of the instructions' names.
    names: (&'static str, &'static [&'static str]),
    when: fn(&Step<'_>) -> bool,
    pub(crate) condition: &'static str,
    pub(crate) why: &'static str,
}

const PARALLEL: &str = "section 1.7: all operands are read before anything is written";
const UNDEFINED_SHIFT: &str = "#163: C leaves such a shift undefined; a chip was measured at 32";
const SATURATION: &str =
    "#161: section 1.5.4 and a chip have the minimum, QEMU the negated maximum";

pub(crate) static KNOWN: &[Known] = &[
    Known {
        names: ("ee.ldxq.32", &[]),
        when: |_| true,
        condition: "always",
        why: "#162: one word too low; its page in section 1.8 adds no word, nor does a chip",
    },
    Known {
        names: ("ee.stxq.32", &[]),
        when: |_| true,
        condition: "always",
        why: "#162: one word too low; its page in section 1.8 adds no word, nor does a chip",
    },
    Known {
        names: ("ee.get_gpio_in", &[]),
        when: |_| true,
        condition: "always",
        why: "its pins are its own; here all of them are low",
    },
    Known {
        names: ("ee.fft.ams.", &[]),
        when: |_| true,
        condition: "always",
        why: "QEMU ends itself: its calls of functions with eight arguments (DEF_HELPER_FLAGS_8) go to the \
              function's description, and MAX_CALL_IARGS is 7",
    },
    Known {
        names: ("ee.fft.cmul.s16.st", &[]),
        when: |_| true,
        condition: "always",
        why: "QEMU ends itself: its calls of functions with eight arguments (DEF_HELPER_FLAGS_8) go to the \
              function's description, and MAX_CALL_IARGS is 7",
    },
    Known {
        names: ("ee.ldf.", &[]),
        when: |step| step.named_twice(&["fu0", "fu1", "fu2", "fu3"]),
        condition: "a register named twice",
        why: "the operation in section 1.8 assigns the lower part last, QEMU first",
    },
    Known {
        names: ("ee.vadds.s", &[]),
        when: |step| step.has_minimum("qa"),
        condition: "a sum at the minimum",
        why: SATURATION,
    },
    Known {
        names: ("ee.vsubs.s", &[]),
        when: |step| step.has_minimum("qa"),
        condition: "a difference at the minimum",
        why: SATURATION,
    },
    Known {
        names: ("ee.vmul.", &[]),
        when: |step| step.old.cpu.sar >= 32,
        condition: "SAR of 32 and above",
        why: UNDEFINED_SHIFT,
    },
    Known {
        names: ("ee.vsl.32", &[]),
        when: |step| step.old.cpu.sar >= 32,
        condition: "SAR of 32 and above",
        why: UNDEFINED_SHIFT,
    },
    Known {
        names: ("ee.vsr.32", &[]),
        when: |step| step.old.cpu.sar >= 32,
        condition: "SAR of 32 and above",
        why: UNDEFINED_SHIFT,
    },
    Known {
        names: ("ee.cmul.", &[]),
        when: |step| step.old.cpu.sar >= 32,
        condition: "SAR of 32 and above",
        why: "#163: C leaves such a shift undefined; section 1.8 shifts what there is",
    },
    Known {
        names: ("ee.cmul.", &[]),
        when: |step| step.is_among("qz", &["qx", "qy"]),
        condition: "the result in a register of an operand",
        why: "#164, section 1.7 and a chip: all operands are read before anything is written",
    },
    Known {
        names: ("ee.cmul.", &[]),
        when: |step| {
            step.old.cpu.sar >= 16 && step.has_least_pair("qx") && step.has_least_pair("qy")
        },
        condition: "-32768 in all four factors",
        why: "QEMU wraps the sum of two products at 32 bits, for which its page in section 1.8 has no line",
    },
    Known {
        names: ("ee.vrelu.", &[]),
        when: |step| !step.is_factor("ax"),
        condition: "a factor with more bits",
        why: "section 1.8 cuts the factor to the lane's bits; QEMU doesn't",
    },
    Known {
        names: ("ee.vrelu.s16", &[]),
        when: |step| !(0..32).contains(&step.signed("ay")),
        condition: "a shift with more bits",
        why: "section 1.8 cuts the shift to five bits; QEMU doesn't",
    },
    Known {
        names: ("ee.vprelu.s16", &[]),
        when: |step| !(0..32).contains(&step.signed("ay")),
        condition: "a shift with more bits",
        why: "section 1.8 cuts the shift to five bits; QEMU doesn't",
    },
    Known {
        names: ("ee.srs.accx", &[]),
        when: |step| step.accx_is_negative(),
        condition: "ACCX with bit 39 set",
        why: "section 1.8 and a chip have 40 signed bits; QEMU has no sign after wur",
    },
    Known {
        names: ("ee.srs.accx", &[]),
        when: |step| (step.new.cpu.vector.accx as i64) << 24 >> 24 > i64::from(i32::MAX),
        condition: "a result beyond 32 bits",
        why: "section 1.8 and a chip saturate it; QEMU cuts it",
    },
    Known {
        names: ("ee.vmulas.s", &[".accx"]),
        when: |step| step.accx_is_negative() || step.new.cpu.vector.accx >> 39 != 0,
        condition: "ACCX with bit 39 set, before or after",
        why: "section 1.5.1 has 40 bits; QEMU has no sign after wur, and gives rur 64 bits of it",
    },
    Known {
        names: ("ee.vmulas.s", &[".qacc"]),
        when: |step| step.has_least_lane(),
        condition: "a lane of QACC at the minimum",
        why: SATURATION,
    },
    Known {
        names: ("ee.vsmulas.s", &[]),
        when: |step| step.has_least_lane(),
        condition: "a lane of QACC at the minimum",
        why: SATURATION,
    },
    Known {
        names: ("ee.vmulas.u", &[".qacc"]),
        when: |step| step.has_lane_with_top_bit(),
        condition: "a lane of QACC with its top bit set",
        why: "#165: section 1.8 has unsigned lanes; QEMU takes them as signed",
    },
    Known {
        names: ("ee.vmulas.", &[".qup"]),
        when: |step| step.named_twice(&["qu", "qs0", "qs1"]),
        condition: "a register named twice behind the sources",
        why: PARALLEL,
    },
    Known {
        names: ("ee.slcxxp.2q", &[]),
        when: |step| !(0..16).contains(&step.signed("as")),
        condition: "a count of 16 and above",
        why: "#166: section 1.8 cuts the count to four bits; QEMU goes on beyond its arrays",
    },
    Known {
        names: ("ee.srcxxp.2q", &[]),
        when: |step| !(0..16).contains(&step.signed("as")),
        condition: "a count of 16 and above",
        why: "#166: section 1.8 cuts the count to four bits; QEMU goes on beyond its arrays",
    },
    Known {
        names: ("ee.src.q.ld.", &[]),
        when: |step| step.named_twice(&["qs0", "qs1"]),
        condition: "one register as both sources",
        why: PARALLEL,
    },
    Known {
        names: ("ee.src.q.qup", &[]),
        when: |step| step.is_among("qa", &["qs1"]),
        condition: "the result in the second source",
        why: PARALLEL,
    },
    Known {
        names: ("ee.bitrev", &[]),
        when: |step| step.old.cpu.vector.fft_bit_width == 3,
        condition: "a width of 3",
        why: "the operation in section 1.8 has zeros in the two upper lanes",
    },
    Known {
        names: ("ee.bitrev", &[]),
        when: |step| {
            let width = step.old.cpu.vector.fft_bit_width;
            !(0..(1 << width) - 7).contains(&step.signed("ax"))
        },
        condition: "a value beyond the width",
        why: "the operation in section 1.8 cuts the value to the width, as a chip does; QEMU doesn't",
    },
    Known {
        names: ("ee.fft.vst.r32.decp", &[]),
        when: |step| step.operand("sar2") != 0,
        condition: "shifted",
        why: "section 1.8 shifts halves with their signs, QEMU words with zeros",
    },
    Known {
        names: ("ee.fft.ams.s16.st", &[]),
        when: |step| step.named_twice(&["qv", "qz1"]),
        condition: "what is stored and the result in one register",
        why: PARALLEL,
    },
    Known {
        names: ("ee.fft.ams.s16.st", &[]),
        when: |step| step.is_among("at", &["as"]),
        condition: "one register as address and value",
        why: "the operation in section 1.8 assigns the address last, QEMU the value",
    },
    Known {
        names: ("ee.fft.ams.", &[]),
        when: |step| {
            ["qx", "qy", "qm"]
                .iter()
                .all(|name| step.has_least_half(name))
        },
        condition: "-32768 in all three operands",
        why: "QEMU wraps a product at 32 bits, for which its page in section 1.8 has no line",
    },
    Known {
        names: ("ee.fft.cmul.s16.ld", &[]),
        when: |step| step.is_among("qz", &["qx", "qy"]),
        condition: "the result in a register of an operand",
        why: PARALLEL,
    },
    Known {
        names: ("ee.fft.r2bf.s16.st", &[]),
        when: |step| step.is_among("qa0", &["qx", "qy"]),
        condition: "the result in a register of an operand",
        why: PARALLEL,
    },
];

impl Known {
    pub(crate) fn is_of(&self, name: &str) -> bool {
        let (start, parts) = self.names;
        name.starts_with(start) && parts.iter().all(|part| name.contains(part))
    }

    /// Whether this QEMU is said to be without this difference.
    fn is_mended(&self) -> bool {
        static MENDED: LazyLock<String> =
            LazyLock::new(|| std::env::var("QEMU_ESP_MENDED").unwrap_or_default());
        MENDED
            .split(',')
            .any(|start| start == self.names.0 && self.condition == "always")
    }

    pub(crate) fn holds(&self, step: &Step<'_>) -> bool {
        self.is_of(step.name) && (self.when)(step)
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl<'s> Step<'s> {
    pub(crate) fn new(name: &'s str, text: &str, old: &'s Machine, new: &'s Machine) -> Self {
        Self {
            name,
            operands: model::operands(text),
            old,
            new,
        }
    }

    /// The listed difference that this step may show.
    pub(crate) fn known(&self) -> Option<&'static Known> {
        let mut all = KNOWN.iter().filter(|known| !known.is_mended());
        all.find(|known| known.holds(self))
    }

    fn find(&self, name: &str) -> Option<i128> {
        let mut all = self.operands.iter();
        all.find(|(other, _)| *other == name)
            .map(|(_, value)| *value)
    }

    /// A register's number, or an immediate.
    fn operand(&self, name: &str) -> i128 {
        self.find(name).expect(name)
    }

    /// What was in a general register.
    fn signed(&self, name: &str) -> i32 {
        self.old.cpu.get(self.operand(name) as u8) as i32
    }

    fn is_among(&self, name: &str, others: &[&str]) -> bool {
        others
            .iter()
            .any(|other| self.find(other) == self.find(name))
    }

    fn named_twice(&self, names: &[&str]) -> bool {
        let mut registers: Vec<i128> = names.iter().filter_map(|name| self.find(name)).collect();
        let count = registers.len();
        registers.sort_unstable();
        registers.dedup();
        registers.len() < count
    }

    /// Bits of the lanes.
    fn width(&self) -> usize {
        let width = |bits: &usize| self.name.contains(&format!("s{bits}"));
        [8, 16, 32].into_iter().find(width).expect(self.name)
    }

    fn has_lane(value: u128, width: usize, wanted: impl Fn(u128) -> bool) -> bool {
        let lane = |lo| value >> lo & ((1u128 << width) - 1);
        (0..128).step_by(width).any(|lo| wanted(lane(lo)))
    }

    /// Whether there is a lane at the minimum in a result.
    fn has_minimum(&self, name: &str) -> bool {
        let value = self.new.cpu.vector.q[self.operand(name) as usize];
        let width = self.width();
        Self::has_lane(value, width, |lane| lane == 1 << (width - 1))
    }

    /// Whether both parts of a complex number are the least.
    fn has_least_pair(&self, name: &str) -> bool {
        let value = self.old.cpu.vector.q[self.operand(name) as usize];
        Self::has_lane(value, 32, |lane| lane == 0x8000_8000)
    }

    fn has_least_half(&self, name: &str) -> bool {
        let value = self.old.cpu.vector.q[self.operand(name) as usize];
        Self::has_lane(value, 16, |lane| lane == 0x8000)
    }

    /// Whether a lane's bits are all of a general register.
    fn is_factor(&self, name: &str) -> bool {
        let unused = 32 - self.width() as u32;
        self.signed(name) << unused >> unused == self.signed(name)
    }

    fn accx_is_negative(&self) -> bool {
        self.old.cpu.vector.accx >> 39 != 0
    }

    fn has_segment(&self, qacc: &Qacc, wanted: impl Fn(u64) -> bool) -> bool {
        let width = if self.name.contains("16.") { 40 } else { 20 };
        (0..2).any(|half| {
            let words = qacc.words(half);
            let bit = |n: usize| u64::from(words[n / 32] >> (n % 32) & 1);
            let segment = |lo| (0..width).fold(0, |value, n| value | bit(lo + n) << n);
            (0..160).step_by(width).any(|lo| wanted(segment(lo)))
        })
    }

    fn has_least_lane(&self) -> bool {
        let qacc = &self.new.cpu.vector.qacc;
        self.has_segment(qacc, |lane| lane == 1 << 19 || lane == 1 << 39)
    }

    fn has_lane_with_top_bit(&self) -> bool {
        let qacc = &self.old.cpu.vector.qacc;
        let top = if self.name.contains("16.") { 39 } else { 19 };
        self.has_segment(qacc, |lane| lane >> top != 0)
    }
}
