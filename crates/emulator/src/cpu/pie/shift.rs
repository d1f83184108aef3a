//! Shifts (manual, section 1.6.7): of pairs of vectors by bytes, of words by SAR.
//!
//! From SAR 32 on, `ee.vsr.32` gives zero and `ee.vsl.32` the extreme of the word's sign: so measured
//! on a chip at 32, against the manual's plain shifts, and taken to be the same above.

use fixpoint_isa::Instruction;
use fixpoint_isa::pie::{Shift, Step};

use super::lanes::{from_s32, s32};
use crate::cpu::Cpu;
use crate::{Bus, Trap};

#[inline]
pub(super) fn execute<B: Bus>(
    cpu: &mut Cpu,
    bus: &mut B,
    op: Shift,
    i: &Instruction,
) -> Result<(), Trap> {
    use Shift as S;
    let r = &i.reg;
    match op {
        S::SrcQ => cpu.set_q(r[0], cpu.unaligned(cpu.q(r[1]), cpu.q(r[2]))),
        S::SrcQQup => {
            let high = cpu.q(r[2]);
            cpu.set_q(r[0], cpu.unaligned(cpu.q(r[1]), high));
            cpu.set_q(r[1], high);
        }
        S::SrcQLd(step) => {
            let (low, high, step) = match step {
                Step::Ip => (r[2], r[3], i.imm[0] as u32),
                Step::Xp => (r[3], r[4], cpu.get(r[2])),
            };
            let loaded = cpu.load_line(bus, r[1])?;
            cpu.set_q(low, cpu.unaligned(cpu.q(low), cpu.q(high)));
            cpu.set_q(r[0], loaded);
            cpu.step(r[1], step);
        }
        S::SrcqSt => {
            cpu.store_line(bus, r[2], cpu.unaligned(cpu.q(r[0]), cpu.q(r[1])))?;
            cpu.step(r[2], 16);
        }
        S::Slci2q => left(cpu, r[0], r[1], i.imm[0] as u32),
        S::Srci2q => right(cpu, r[0], r[1], i.imm[0] as u32),
        S::Slcxxp2q => {
            left(cpu, r[0], r[1], cpu.get(r[2]));
            cpu.step(r[2], cpu.get(r[3]));
        }
        S::Srcxxp2q => {
            right(cpu, r[0], r[1], cpu.get(r[2]));
            cpu.step(r[2], cpu.get(r[3]));
        }
        S::Vsl32 => {
            let sar = cpu.sar;
            let shifted = s32(cpu.q(r[1])).map(|word| match (sar, word) {
                (..32, _) => word << sar,
                (_, 0) => 0,
                (_, 1..) => i32::MAX,
                (_, _) => i32::MIN,
            });
            cpu.set_q(r[0], from_s32(shifted));
        }
        S::Vsr32 => {
            let sar = cpu.sar;
            let shifted = s32(cpu.q(r[1])).map(|word| if sar < 32 { word >> sar } else { 0 });
            cpu.set_q(r[0], from_s32(shifted));
        }
    }
    Ok(())
}

/// Bits for a count of bytes that is one more than the low four bits say.
fn bits(bytes: u32) -> u32 {
    8 * ((bytes & 15) + 1)
}

/// `{high, low} <<= bits`, which are 8 to 128.
fn left(cpu: &mut Cpu, high: u8, low: u8, bytes: u32) {
    let shift = bits(bytes);
    let (upper, lower) = (cpu.q(high), cpu.q(low));
    let upper = upper.checked_shl(shift).unwrap_or(0) | lower >> (128 - shift);
    cpu.set_q(low, lower.checked_shl(shift).unwrap_or(0));
    cpu.set_q(high, upper);
}

/// `{high, low} >>= bits`, which are 8 to 128.
fn right(cpu: &mut Cpu, high: u8, low: u8, bytes: u32) {
    let shift = bits(bytes);
    let (upper, lower) = (cpu.q(high), cpu.q(low));
    let lower = lower.checked_shr(shift).unwrap_or(0) | upper << (128 - shift);
    cpu.set_q(low, lower);
    cpu.set_q(high, upper.checked_shr(shift).unwrap_or(0));
}
