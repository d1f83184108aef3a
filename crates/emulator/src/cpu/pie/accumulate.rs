//! Multiply-accumulate and reading of the accumulators (manual, section 1.6.4).
//!
//! Into ACCX goes the exact sum of all products and what was there, saturated once to 40 bits. Every
//! lane of QACC saturates by itself: to 20 bits for products of bytes, to 40 for those of halfwords;
//! signed or unsigned as the products are.

use fixpoint_isa::Instruction;
use fixpoint_isa::pie::{Accumulate, Lane, Mac, Width};

use super::UNDESCRIBED;
use super::lanes::{from_s8, from_s16, s8, s16, u8s, u16s};
use super::memory::broadcast;
use super::qacc::{NARROW, Qacc, WIDE};
use crate::cpu::Cpu;
use crate::{Bus, Trap};

#[inline]
pub(super) fn execute<B: Bus>(
    cpu: &mut Cpu,
    bus: &mut B,
    op: Accumulate,
    i: &Instruction,
) -> Result<(), Trap> {
    use Accumulate as A;
    match op {
        A::Vmulas(lane, mac) => multiply(cpu, bus, lane, mac, i)?,
        A::VsmulasS8 | A::VsmulasS16 => scale(cpu, op, [i.reg[0], i.reg[1]], i.imm[0]),
        A::VsmulasLdS8 | A::VsmulasLdS16 => {
            let loaded = cpu.load_line(bus, i.reg[1])?;
            scale(cpu, op, [i.reg[2], i.reg[3]], i.imm[0]);
            cpu.set_q(i.reg[0], loaded);
            cpu.step(i.reg[1], 16);
        }
        _ if i.imm[0] != 0 => return Err(UNDESCRIBED),
        A::SrcmbS8 => {
            let shift = cpu.get(i.reg[1]) & 31;
            let lanes = cpu.vector.qacc.narrow();
            let shifted = lanes.map(|lane| signed_narrow(lane) >> shift);
            *lanes = shifted.map(|lane| lane as u32 & NARROW_MASK);
            cpu.set_q(
                i.reg[0],
                from_s8(shifted.map(|lane| lane.clamp(-128, 127) as i8)),
            );
        }
        A::SrcmbS16 => {
            let shift = cpu.get(i.reg[1]) & 63;
            let lanes = cpu.vector.qacc.wide();
            let shifted = lanes.map(|lane| signed_wide(lane) >> shift);
            *lanes = shifted.map(|lane| lane as u64 & WIDE_MASK);
            let saturated = shifted.map(|lane| lane.clamp(-32768, 32767) as i16);
            cpu.set_q(i.reg[0], from_s16(saturated));
        }
        A::SrsAccx => {
            let shifted = signed_wide(cpu.vector.accx) >> (cpu.get(i.reg[1]) & 63);
            cpu.vector.accx = shifted as u64 & WIDE_MASK;
            let saturated = shifted.clamp(i32::MIN.into(), i32::MAX.into());
            cpu.set(i.reg[0], saturated as u32);
        }
    }
    Ok(())
}

const NARROW_MASK: u32 = (1 << NARROW) - 1;
const WIDE_MASK: u64 = (1 << WIDE) - 1;

#[inline(always)]
fn signed_narrow(lane: u32) -> i32 {
    (lane << (32 - NARROW)) as i32 >> (32 - NARROW)
}

#[inline(always)]
fn signed_wide(lane: u64) -> i64 {
    (lane << (64 - WIDE)) as i64 >> (64 - WIDE)
}

#[inline(always)]
fn add_narrow(lane: &mut u32, product: i32) {
    let limit = 1 << (NARROW - 1);
    *lane = (signed_narrow(*lane) + product).clamp(-limit, limit - 1) as u32 & NARROW_MASK;
}

#[inline(always)]
fn add_wide(lane: &mut u64, product: i64) {
    let limit = 1 << (WIDE - 1);
    *lane = (signed_wide(*lane) + product).clamp(-limit, limit - 1) as u64 & WIDE_MASK;
}

/// `ee.vmulas.*`
#[inline(always)]
fn multiply<B: Bus>(
    cpu: &mut Cpu,
    bus: &mut B,
    lane: Lane,
    mac: Mac,
    i: &Instruction,
) -> Result<(), Trap> {
    use Mac as M;
    let r = &i.reg;
    // Factors, what `as` steps by, and the pair that `.qup` shifts.
    let ([x, y], step, pair) = match mac {
        M::Accx | M::Qacc => ([r[0], r[1]], 0, None),
        M::AccxLdIp | M::QaccLdIp => ([r[2], r[3]], i.imm[0] as u32, None),
        M::AccxLdIpQup | M::QaccLdIpQup => ([r[2], r[3]], i.imm[0] as u32, Some([r[4], r[5]])),
        M::AccxLdXp | M::QaccLdXp => ([r[3], r[4]], cpu.get(r[2]), None),
        M::AccxLdXpQup | M::QaccLdXpQup => ([r[3], r[4]], cpu.get(r[2]), Some([r[5], r[6]])),
        M::QaccLdbcIncp => ([r[2], r[3]], lane_bytes(lane), None),
        M::QaccLdbcIncpQup => ([r[2], r[3]], lane_bytes(lane), Some([r[4], r[5]])),
    };
    let loaded = match mac {
        M::Accx | M::Qacc => None,
        M::QaccLdbcIncp | M::QaccLdbcIncpQup => {
            let width = match lane {
                Lane::S8 | Lane::U8 => Width::W8,
                Lane::S16 | Lane::U16 => Width::W16,
            };
            Some(broadcast(bus, width, cpu.get(r[1]))?)
        }
        _ => Some(cpu.load_line(bus, r[1])?),
    };
    let (x, y) = (cpu.q(x), cpu.q(y));
    match mac {
        M::Accx | M::AccxLdIp | M::AccxLdIpQup | M::AccxLdXp | M::AccxLdXpQup => {
            cpu.vector.accx = accumulated(cpu.vector.accx, lane, x, y);
        }
        _ => accumulate(&mut cpu.vector.qacc, lane, x, y),
    }
    let aligned = pair.map(|[low, high]| (low, cpu.unaligned(cpu.q(low), cpu.q(high))));
    if let Some(loaded) = loaded {
        cpu.set_q(r[0], loaded);
        cpu.step(r[1], step);
    }
    if let Some((register, vector)) = aligned {
        cpu.set_q(register, vector);
    }
    Ok(())
}

fn lane_bytes(lane: Lane) -> u32 {
    match lane {
        Lane::S8 | Lane::U8 => 1,
        Lane::S16 | Lane::U16 => 2,
    }
}

/// ACCX after the products were added.
#[inline(always)]
fn accumulated(accx: u64, lane: Lane, x: u128, y: u128) -> u64 {
    fn sum<A: Into<i64>, B: Into<i64>, const N: usize>(x: [A; N], y: [B; N]) -> i64 {
        let products = x.into_iter().zip(y).map(|(x, y)| x.into() * y.into());
        products.sum()
    }
    let limit = 1 << (WIDE - 1);
    match lane {
        Lane::S8 => {
            // Sixteen products of bytes fit 32 bits.
            let products = s8(x).into_iter().zip(s8(y));
            let sum: i32 = products.map(|(x, y)| i32::from(x) * i32::from(y)).sum();
            let sum = signed_wide(accx) + i64::from(sum);
            sum.clamp(-limit, limit - 1) as u64 & WIDE_MASK
        }
        Lane::S16 => {
            let sum = signed_wide(accx) + sum(s16(x), s16(y));
            sum.clamp(-limit, limit - 1) as u64 & WIDE_MASK
        }
        Lane::U8 => (accx + sum(u8s(x), u8s(y)) as u64).min(WIDE_MASK),
        Lane::U16 => (accx + sum(u16s(x), u16s(y)) as u64).min(WIDE_MASK),
    }
}

/// Adds every lane's product to its lane of QACC.
#[inline(always)]
fn accumulate(qacc: &mut Qacc, lane: Lane, x: u128, y: u128) {
    match lane {
        Lane::S8 => {
            for ((lane, x), y) in qacc.narrow().iter_mut().zip(s8(x)).zip(s8(y)) {
                add_narrow(lane, i32::from(x) * i32::from(y));
            }
        }
        Lane::U8 => {
            for ((lane, x), y) in qacc.narrow().iter_mut().zip(u8s(x)).zip(u8s(y)) {
                *lane = (*lane + u32::from(x) * u32::from(y)).min(NARROW_MASK);
            }
        }
        Lane::S16 => {
            for ((lane, x), y) in qacc.wide().iter_mut().zip(s16(x)).zip(s16(y)) {
                add_wide(lane, i64::from(x) * i64::from(y));
            }
        }
        Lane::U16 => {
            for ((lane, x), y) in qacc.wide().iter_mut().zip(u16s(x)).zip(u16s(y)) {
                *lane = (*lane + u64::from(x) * u64::from(y)).min(WIDE_MASK);
            }
        }
    }
}

/// `ee.vsmulas.*`: every lane of the first vector times one lane of the second.
fn scale(cpu: &mut Cpu, op: Accumulate, [x, y]: [u8; 2], selection: i32) {
    let (x, y) = (cpu.q(x), cpu.q(y));
    match op {
        Accumulate::VsmulasS8 | Accumulate::VsmulasLdS8 => {
            let factor = i32::from(s8(y)[(selection & 15) as usize]);
            for (lane, x) in cpu.vector.qacc.narrow().iter_mut().zip(s8(x)) {
                add_narrow(lane, i32::from(x) * factor);
            }
        }
        _ => {
            let factor = i64::from(s16(y)[(selection & 7) as usize]);
            for (lane, x) in cpu.vector.qacc.wide().iter_mut().zip(s16(x)) {
                add_wide(lane, i64::from(x) * factor);
            }
        }
    }
}
