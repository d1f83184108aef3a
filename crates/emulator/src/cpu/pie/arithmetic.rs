//! Addition, multiplication, rectification (manual, section 1.6.4).
//!
//! Sums saturate; all else wraps (section 1.5.4). Products are shifted right by SAR with all their
//! bits, signed ones with their sign, before the low bits are kept. From SAR 32 on, products of lanes
//! become zero, negative ones too: so measured on a chip at 32 for `ee.vmul.s8`, against the manual's
//! arithmetic shift, and taken to be the same for other lanes and above. Complex products are shifted
//! as the manual has it; no chip was measured.

use fixpoint_isa::Instruction;
use fixpoint_isa::pie::{Arithmetic, Beside, Lane, Signed};

use super::lanes::{
    from_s8, from_s16, from_s32, from_u8s, from_u16s, map, s8, s16, s32, u8s, u16s, zip,
};
use crate::cpu::Cpu;
use crate::{Bus, Trap};

#[inline]
pub(super) fn execute<B: Bus>(
    cpu: &mut Cpu,
    bus: &mut B,
    op: Arithmetic,
    i: &Instruction,
) -> Result<(), Trap> {
    use Arithmetic as A;
    match op {
        A::Vadds(lane, beside) => cpu.beside(bus, beside, i, |_, _, x, y| match lane {
            Signed::S8 => from_s8(zip(s8(x), s8(y), i8::saturating_add)),
            Signed::S16 => from_s16(zip(s16(x), s16(y), i16::saturating_add)),
            Signed::S32 => from_s32(zip(s32(x), s32(y), i32::saturating_add)),
        }),
        A::Vsubs(lane, beside) => cpu.beside(bus, beside, i, |_, _, x, y| match lane {
            Signed::S8 => from_s8(zip(s8(x), s8(y), i8::saturating_sub)),
            Signed::S16 => from_s16(zip(s16(x), s16(y), i16::saturating_sub)),
            Signed::S32 => from_s32(zip(s32(x), s32(y), i32::saturating_sub)),
        }),
        A::Vmul(lane, beside) => {
            cpu.beside(bus, beside, i, |cpu, _, x, y| products(lane, x, y, cpu.sar))
        }
        A::Cmul(beside) => {
            let selection = i.imm[0];
            cpu.beside(bus, beside, i, |cpu, z, x, y| {
                complex_products(selection, z, x, y, cpu.sar)
            })
        }
        A::VreluS8 => {
            let [vector, ax, ay] = [i.reg[0], i.reg[1], i.reg[2]];
            let (factor, shift) = (cpu.get(ax) as i8, cpu.get(ay) & 31);
            let lanes = map(s8(cpu.q(vector)), |lane| rectified8(lane, factor, shift));
            cpu.set_q(vector, from_s8(lanes));
            Ok(())
        }
        A::VreluS16 => {
            let [vector, ax, ay] = [i.reg[0], i.reg[1], i.reg[2]];
            let (factor, shift) = (cpu.get(ax) as i16, cpu.get(ay) & 63);
            let lanes = map(s16(cpu.q(vector)), |lane| rectified16(lane, factor, shift));
            cpu.set_q(vector, from_s16(lanes));
            Ok(())
        }
        A::VpreluS8 => {
            let shift = cpu.get(i.reg[3]) & 31;
            cpu.beside(bus, Beside::Nothing, i, |_, _, x, y| {
                from_s8(zip(s8(x), s8(y), |x, y| rectified8(x, y, shift)))
            })
        }
        A::VpreluS16 => {
            let shift = cpu.get(i.reg[3]) & 63;
            cpu.beside(bus, Beside::Nothing, i, |_, _, x, y| {
                from_s16(zip(s16(x), s16(y), |x, y| rectified16(x, y, shift)))
            })
        }
    }
}

fn products(lane: Lane, x: u128, y: u128, shift: u32) -> u128 {
    if shift >= 32 {
        return 0;
    }
    match lane {
        Lane::S8 => from_s8(zip(s8(x), s8(y), |x, y| {
            ((i32::from(x) * i32::from(y)) >> shift) as i8
        })),
        Lane::S16 => from_s16(zip(s16(x), s16(y), |x, y| {
            ((i32::from(x) * i32::from(y)) >> shift) as i16
        })),
        Lane::U8 => from_u8s(zip(u8s(x), u8s(y), |x, y| {
            ((u32::from(x) * u32::from(y)) >> shift) as u8
        })),
        Lane::U16 => from_u16s(zip(u16s(x), u16s(y), |x, y| {
            ((u32::from(x) * u32::from(y)) >> shift) as u16
        })),
    }
}

/// `ee.cmul.s16`: complex numbers of two lanes, the real part in the lower one. Selections 0 and 2
/// multiply the lower two numbers, 1 and 3 the upper two; 2 and 3 by the conjugate of the first. The
/// other half of `z` stays.
fn complex_products(selection: i32, z: u128, x: u128, y: u128, shift: u32) -> u128 {
    let (mut z, x, y) = (s16(z), s16(x), s16(y));
    let from = if selection & 1 == 0 { 0 } else { 4 };
    for real in [from, from + 2] {
        let imaginary = real + 1;
        let [a, b, c, d] = [x[real], x[imaginary], y[real], y[imaginary]].map(i64::from);
        let (re, im) = match selection & 2 {
            0 => (a * c - b * d, a * d + b * c),
            _ => (a * c + b * d, a * d - b * c),
        };
        z[real] = (re >> (shift & 63)) as i16;
        z[imaginary] = (im >> (shift & 63)) as i16;
    }
    from_s16(z)
}

/// What isn't above zero is multiplied and shifted.
fn rectified8(lane: i8, factor: i8, shift: u32) -> i8 {
    match lane {
        1.. => lane,
        _ => ((i32::from(lane) * i32::from(factor)) >> shift) as i8,
    }
}

/// What isn't above zero is multiplied and shifted.
fn rectified16(lane: i16, factor: i16, shift: u32) -> i16 {
    match lane {
        1.. => lane,
        _ => ((i64::from(lane) * i64::from(factor)) >> shift) as i16,
    }
}
