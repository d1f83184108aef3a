//! Waits between vector instructions: ESP32-S3 Technical Reference Manual, table 1.7-2 (pipeline
//! stages), with the rule of section 1.7.1. A result that is ready behind stage M makes the next
//! instruction wait one cycle if it needs it in stage E; all other pairs go on at once. Measured on
//! chips the same way, with loads beside arithmetic at no cost, and 0.6 cycles more for a store of 128
//! bits, which is left out here.

use fixpoint_isa::pie::{Accumulate, Arithmetic, Beside, Compare, Fft, Mac, Memory, Shift, Step};
use fixpoint_isa::{Instruction, Op, Pie};

/// Registers of the vector unit: a bit for each QR, then these.
type Set = u32;
const ACCX: Set = 1 << 8;
const QACC: Set = 1 << 9;
const UA_STATE: Set = 1 << 10;

/// Whether `instruction` waits for a result of `before`.
pub(super) fn waits(before: &Instruction, instruction: &Instruction) -> bool {
    let (Op::Pie(first), Op::Pie(second)) = (before.op, instruction.op) else {
        return false;
    };
    late_results(first, before) & early_operands(second, instruction) != 0
}

fn q(i: &Instruction, places: &[usize]) -> Set {
    places
        .iter()
        .fold(0, |set, &place| set | 1 << (i.reg[place] & 7))
}

/// What is written in stage M.
fn late_results(op: Pie, i: &Instruction) -> Set {
    match op {
        Pie::Memory(op) => match op {
            Memory::Vld128(_) | Memory::Vld64(..) | Memory::Vldbc(..) => q(i, &[0]),
            Memory::Ld128Usar(_) | Memory::Ldxq32 | Memory::LdQr => q(i, &[0]),
            Memory::Vldhbc16 => q(i, &[0, 1]),
            Memory::Ldqa(..) | Memory::LdQacc(..) => QACC,
            Memory::LdAccx => ACCX,
            Memory::LdUaState => UA_STATE,
            _ => 0,
        },
        Pie::Exchange(_) => 0,
        Pie::Arithmetic(op) => match op {
            Arithmetic::Vmul(_, Beside::Nothing) | Arithmetic::Cmul(Beside::Nothing) => q(i, &[0]),
            Arithmetic::Vmul(_, Beside::Load) | Arithmetic::Cmul(Beside::Load) => q(i, &[0, 2]),
            Arithmetic::Vmul(..) | Arithmetic::Cmul(_) => q(i, &[2]),
            Arithmetic::Vadds(_, Beside::Load) | Arithmetic::Vsubs(_, Beside::Load) => q(i, &[0]),
            Arithmetic::Vadds(..) | Arithmetic::Vsubs(..) => 0,
            _ => q(i, &[0]),
        },
        Pie::Accumulate(op) => match op {
            Accumulate::Vmulas(_, Mac::Accx) => ACCX,
            Accumulate::Vmulas(_, Mac::Qacc) => QACC,
            Accumulate::Vmulas(_, mac) if into_accx(mac) => ACCX | q(i, &[0]),
            Accumulate::Vmulas(..) => QACC | q(i, &[0]),
            Accumulate::VsmulasS8 | Accumulate::VsmulasS16 => QACC,
            Accumulate::VsmulasLdS8 | Accumulate::VsmulasLdS16 => QACC | q(i, &[0]),
            _ => 0,
        },
        Pie::Compare(Compare::Vmax(_, Beside::Load) | Compare::Vmin(_, Beside::Load)) => q(i, &[0]),
        Pie::Compare(_) => 0,
        Pie::Shift(Shift::SrcQLd(_)) => q(i, &[0]),
        Pie::Shift(_) => 0,
        Pie::Fft(op) => match op {
            Fft::AmsLdIncp | Fft::AmsLdR32Decp => q(i, &[0, 2, 3]),
            Fft::AmsLdIncpUaup => q(i, &[0, 2, 3]),
            Fft::AmsStIncp => q(i, &[1]),
            Fft::CmulLd => q(i, &[0, 3]),
            _ => 0,
        },
    }
}

fn into_accx(mac: Mac) -> bool {
    use Mac as M;
    matches!(
        mac,
        M::Accx | M::AccxLdIp | M::AccxLdIpQup | M::AccxLdXp | M::AccxLdXpQup
    )
}

/// What is read in stage E. What products are added to, and what some stores of the FFT's
/// instructions store, is read in M.
fn early_operands(op: Pie, i: &Instruction) -> Set {
    let after = |beside| match beside {
        Beside::Nothing => q(i, &[1, 2]),
        Beside::Load => q(i, &[3, 4]),
        Beside::Store => q(i, &[0, 3, 4]),
    };
    match op {
        Pie::Memory(op) => match op {
            Memory::Ldxq32 => q(i, &[1]),
            Memory::Stxq32 => q(i, &[0, 1]),
            Memory::Vst128(_) | Memory::Vst64(..) | Memory::StQr => q(i, &[0]),
            Memory::LdQacc(..) | Memory::StQacc(..) => QACC,
            Memory::StAccx => ACCX,
            Memory::StUaState => UA_STATE,
            _ => 0,
        },
        Pie::Exchange(op) => {
            use fixpoint_isa::pie::Exchange as E;
            match op {
                E::Movi32A | E::MovQacc(_) => q(i, &[0]),
                E::MvQr => q(i, &[1]),
                E::Vzip(_) | E::Vunzip(_) => q(i, &[0, 1]),
                _ => 0,
            }
        }
        Pie::Arithmetic(op) => match op {
            Arithmetic::Vadds(_, beside) | Arithmetic::Vsubs(_, beside) => after(beside),
            Arithmetic::Vmul(_, beside) => after(beside),
            Arithmetic::Cmul(Beside::Store) => q(i, &[3, 4]),
            Arithmetic::Cmul(beside) => after(beside),
            Arithmetic::VreluS8 | Arithmetic::VreluS16 => q(i, &[0]),
            Arithmetic::VpreluS8 | Arithmetic::VpreluS16 => q(i, &[1, 2]),
        },
        Pie::Accumulate(op) => match op {
            Accumulate::Vmulas(_, mac) => match mac {
                Mac::Accx | Mac::Qacc => q(i, &[0, 1]),
                Mac::AccxLdIp | Mac::QaccLdIp | Mac::QaccLdbcIncp => q(i, &[2, 3]),
                Mac::AccxLdXp | Mac::QaccLdXp => q(i, &[3, 4]),
                Mac::AccxLdIpQup | Mac::QaccLdIpQup | Mac::QaccLdbcIncpQup => q(i, &[2, 3, 4, 5]),
                Mac::AccxLdXpQup | Mac::QaccLdXpQup => q(i, &[3, 4, 5, 6]),
            },
            Accumulate::VsmulasS8 | Accumulate::VsmulasS16 => q(i, &[0, 1]),
            Accumulate::VsmulasLdS8 | Accumulate::VsmulasLdS16 => q(i, &[2, 3]),
            Accumulate::SrcmbS8 | Accumulate::SrcmbS16 => QACC,
            Accumulate::SrsAccx => ACCX,
        },
        Pie::Compare(op) => match op {
            Compare::Vmax(_, beside) | Compare::Vmin(_, beside) => after(beside),
            Compare::Notq => q(i, &[1]),
            _ => q(i, &[1, 2]),
        },
        Pie::Shift(op) => match op {
            Shift::SrcQ | Shift::SrcQQup => q(i, &[1, 2]),
            Shift::SrcQLd(Step::Ip) => q(i, &[2, 3]),
            Shift::SrcQLd(Step::Xp) => q(i, &[3, 4]),
            Shift::Vsl32 | Shift::Vsr32 => q(i, &[1]),
            _ => q(i, &[0, 1]),
        },
        Pie::Fft(op) => match op {
            Fft::Bitrev | Fft::VstR32Decp => 0,
            Fft::AmsLdIncp | Fft::AmsLdR32Decp => q(i, &[4, 5, 6]),
            Fft::AmsLdIncpUaup => q(i, &[4, 5, 6]) | UA_STATE,
            Fft::AmsStIncp => q(i, &[4, 5, 6]),
            Fft::CmulLd => q(i, &[4, 5]),
            Fft::CmulSt => q(i, &[0, 1]),
            Fft::R2bf => q(i, &[2, 3]),
            Fft::R2bfSt => q(i, &[1, 2]),
        },
    }
}

#[cfg(test)]
mod tests {
    use fixpoint_isa::assemble;

    use super::waits;

    /// The first three have been measured on chips, the others follow from the table.
    #[test]
    fn results_of_stage_m_are_waited_for() {
        let cases = [
            ("ld.qr q0, a2, 0", "st.qr q0, a3, 0", true),
            ("ld.qr q0, a2, 0", "st.qr q4, a3, 0", false),
            ("ee.vrelu.s16 q1, a2, a3", "ee.mov.s16.qacc q1", true),
            ("ee.vld.128.ip q0, a2, 16", "ee.vadds.s8 q1, q0, q2", true),
            ("ee.vadds.s8 q1, q0, q2", "ee.vst.128.ip q1, a2, 16", false),
            ("ee.vmul.s8 q1, q0, q2", "ee.vst.128.ip q1, a2, 16", true),
            (
                "ee.vmulas.s8.qacc q0, q1",
                "ee.vmulas.s8.qacc q0, q1",
                false,
            ),
            (
                "ee.vmulas.s8.qacc q0, q1",
                "ee.srcmb.s8.qacc q2, a2, 0",
                true,
            ),
            ("ee.vmulas.s8.accx q0, q1", "ee.srs.accx a2, a3, 0", true),
            ("ee.ld.accx.ip a2, 8", "ee.srs.accx a2, a3, 0", true),
            (
                "ee.vmulas.s8.accx.ld.ip q0, a2, 16, q0, q1",
                "ee.vmulas.s8.accx q0, q1",
                true,
            ),
            (
                "ee.vmulas.s8.accx.ld.ip q2, a2, 16, q0, q1",
                "ee.vmulas.s8.accx q0, q1",
                false,
            ),
            ("ee.src.q q2, q0, q1", "ee.vmulas.s8.accx q2, q1", false),
        ];
        for (before, instruction, expected) in cases {
            let first = assemble(before).unwrap();
            let second = assemble(instruction).unwrap();
            assert_eq!(waits(&first, &second), expected, "{before}; {instruction}");
        }
    }
}
