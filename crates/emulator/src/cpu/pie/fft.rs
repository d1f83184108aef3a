//! FFT (manual, section 1.6.8). A complex number is two lanes, the real part in the lower one.
//!
//! Sums before a shift keep all their bits; what is stored wraps to 16 bits. Selections that the
//! manual leaves out are refused. The widths of `ee.bitrev` are those of its operation, 3 to 10 in
//! FFT_BIT_WIDTH; section 1.5.1.2 has 0 to 7 instead.

use fixpoint_isa::Instruction;
use fixpoint_isa::pie::Fft;

use super::UNDESCRIBED;
use super::lanes::{from_s16, from_u16s, from_u32s, s16, u32s, zip};
use crate::cpu::Cpu;
use crate::{Bus, Trap};

pub(super) fn execute<B: Bus>(
    cpu: &mut Cpu,
    bus: &mut B,
    op: Fft,
    i: &Instruction,
) -> Result<(), Trap> {
    let r = &i.reg;
    match op {
        Fft::Bitrev => {
            let width = u32::from(cpu.vector.fft_bit_width);
            if !(3..=10).contains(&width) {
                return Err(UNDESCRIBED);
            }
            let first = cpu.get(r[1]);
            let lanes = std::array::from_fn(|lane| match (width, lane) {
                // Eight numbers of three bits, of which the manual gives six.
                (3, 6..) => 0,
                _ => {
                    let value = first.wrapping_add(lane as u32) as u16 & ((1 << width) - 1);
                    value.max(value.reverse_bits() >> (16 - width))
                }
            });
            cpu.set_q(r[0], from_u16s(lanes));
            cpu.step(r[1], 8);
        }
        Fft::AmsLdIncp | Fft::AmsLdIncpUaup | Fft::AmsLdR32Decp => {
            return ams_load(cpu, bus, op, i);
        }
        Fft::AmsStIncp => return ams_store(cpu, bus, i),
        Fft::CmulLd => {
            let [qu, address, step, qz, qx, qy] = [r[0], r[1], r[2], r[3], r[4], r[5]];
            let selection = i.imm[0] as usize;
            if selection > 5 {
                return Err(UNDESCRIBED);
            }
            let (x, y) = (s16(cpu.q(qx)), s16(cpu.q(qy)));
            let [re, im] = product(selection, x, y, cpu.sar);
            let loaded = cpu.load_line(bus, address)?;
            let mut z = s16(cpu.q(qz));
            z[selection & !1] = re;
            z[selection | 1] = im;
            cpu.set_q(qz, from_s16(z));
            cpu.set_q(qu, loaded);
            cpu.step(address, cpu.get(step));
        }
        Fft::CmulSt => {
            let [qx, qy, qv, address, step] = [r[0], r[1], r[2], r[3], r[4]];
            let [selection, update, shift] = i.imm;
            if selection < 6 {
                return Err(UNDESCRIBED);
            }
            let (x, y, v) = (s16(cpu.q(qx)), s16(cpu.q(qy)), s16(cpu.q(qv)));
            let [re, im] = product(selection as usize, x, y, cpu.sar);
            let x = x.map(|lane| lane >> (shift & 3));
            let stored = match update {
                0 => [v[0], v[1], v[2], v[3], v[4], v[5], re, im],
                1 => [x[0], x[1], x[2], x[3], v[4], v[5], re, im],
                2 => [x[0], x[1], v[4], v[5], x[2], x[3], re, im],
                _ => return Err(UNDESCRIBED),
            };
            cpu.store_line(bus, address, from_s16(stored))?;
            cpu.step(address, cpu.get(step));
        }
        Fft::R2bf => {
            let (x, y) = (s16(cpu.q(r[2])), s16(cpu.q(r[3])));
            // Which lanes are added to, and subtracted from, which: the first four come from `x`.
            let (a, b) = match i.imm[0] {
                0 => ([0, 1, 2, 3], [4, 5, 6, 7]),
                _ => ([0, 1, 4, 5], [2, 3, 6, 7]),
            };
            cpu.set_q(r[0], butterfly(x, a, b));
            cpu.set_q(r[1], butterfly(y, a, b));
        }
        Fft::R2bfSt => {
            let [qa0, qx, qy, address] = [r[0], r[1], r[2], r[3]];
            let (x, y) = (s16(cpu.q(qx)), s16(cpu.q(qy)));
            let sums = zip(x, y, |x, y| {
                ((i32::from(x) + i32::from(y)) >> (i.imm[0] & 3)) as i16
            });
            cpu.store_line(bus, address, from_s16(sums))?;
            cpu.set_q(qa0, from_s16(zip(x, y, i16::wrapping_sub)));
            cpu.step(address, 16);
        }
        Fft::VstR32Decp => {
            let lanes = s16(cpu.q(r[0])).map(|lane| lane >> (i.imm[0] & 1));
            cpu.store_line(bus, r[1], words_reversed(from_s16(lanes)))?;
            cpu.step(r[1], 16u32.wrapping_neg());
        }
    }
    Ok(())
}

fn words_reversed(vector: u128) -> u128 {
    let [a, b, c, d] = u32s(vector);
    from_u32s([d, c, b, a])
}

/// Sums of the lanes `a` and `b`, and behind them the differences.
fn butterfly(lanes: [i16; 8], a: [usize; 4], b: [usize; 4]) -> u128 {
    let pick = |places: [usize; 4]| places.map(|place| lanes[place]);
    let (a, b) = (pick(a), pick(b));
    let (sums, differences) = (zip(a, b, i16::wrapping_add), zip(a, b, i16::wrapping_sub));
    from_s16(std::array::from_fn(|n| {
        if n < 4 { sums[n] } else { differences[n - 4] }
    }))
}

/// `ee.fft.cmul.*`: number `selection / 2` of `x` times that of `y`, whose conjugate it is where
/// `selection` is even.
fn product(selection: usize, x: [i16; 8], y: [i16; 8], sar: u32) -> [i16; 2] {
    let (real, imaginary) = (selection & !1, selection | 1);
    let [a, b, c, d] = [x[real], x[imaginary], y[real], y[imaginary]].map(i64::from);
    let (re, im) = match selection & 1 {
        0 => (a * c + b * d, b * c - a * d),
        _ => (a * c - b * d, b * c + a * d),
    };
    [re, im].map(|sum| (sum >> (sar & 63)) as i16)
}

/// What `ee.fft.ams.*` makes of one complex number of three vectors: the two that go to `qz`, and the
/// two that go to `qz1`.
fn ams(number: usize, vectors: [u128; 3], conjugate: bool, sar: u32) -> ([i16; 2], [i16; 2]) {
    let [x, y, m] = vectors.map(s16);
    let (real, imaginary) = (2 * number, 2 * number + 1);
    let sum = x[real].wrapping_add(y[real]);
    let difference = x[imaginary].wrapping_sub(y[imaginary]);
    let a = i64::from(x[real]) - i64::from(y[real]);
    let b = i64::from(x[imaginary]) + i64::from(y[imaginary]);
    let (c, d) = (i64::from(m[real]), i64::from(m[imaginary]));
    let (re, im) = match conjugate {
        false => (a * c - b * d, a * d + b * c),
        true => (b * d + a * c, b * c - a * d),
    };
    let [re, im] = [re, im].map(|sum| (sum >> (sar & 63)) as i16);
    (
        [sum.wrapping_add(re), difference.wrapping_add(im)],
        [sum.wrapping_sub(re), im.wrapping_sub(difference)],
    )
}

fn ams_load<B: Bus>(cpu: &mut Cpu, bus: &mut B, op: Fft, i: &Instruction) -> Result<(), Trap> {
    let [qu, address, qz, qz1, qx, qy, qm] = i.reg;
    let number = match op {
        Fft::AmsLdIncpUaup => 0,
        Fft::AmsLdIncp => 1,
        _ => 2,
    };
    let vectors = [qx, qy, qm].map(|register| cpu.q(register));
    let (z, z1) = ams(number, vectors, i.imm[0] != 0, cpu.sar);
    let loaded = cpu.load_line(bus, address)?;
    put(cpu, qz, number, z);
    put(cpu, qz1, number, z1);
    match op {
        Fft::AmsLdIncpUaup => {
            cpu.set_q(qu, cpu.unaligned(cpu.vector.ua_state, loaded));
            cpu.vector.ua_state = loaded;
            cpu.step(address, 16);
        }
        Fft::AmsLdIncp => {
            cpu.set_q(qu, loaded);
            cpu.step(address, 16);
        }
        _ => {
            cpu.set_q(qu, words_reversed(loaded));
            cpu.step(address, 16u32.wrapping_neg());
        }
    }
    Ok(())
}

fn ams_store<B: Bus>(cpu: &mut Cpu, bus: &mut B, i: &Instruction) -> Result<(), Trap> {
    const NUMBER: usize = 3;
    let [qv, qz1, at, address, qx, qy, qm] = i.reg;
    let vectors = [qx, qy, qm].map(|register| cpu.q(register));
    let conjugate = i.imm[0] != 0;
    let (z, z1) = ams(NUMBER, vectors, conjugate, cpu.sar);
    let spliced = s16(cpu.q(qv) << 32 | u128::from(cpu.get(at)));
    let shift = u32::from(!conjugate);
    cpu.store_line(bus, address, from_s16(spliced.map(|lane| lane >> shift)))?;
    put(cpu, qz1, NUMBER, z1);
    let end = cpu.get(address).wrapping_add(16);
    let [re, im] = z.map(|part| u32::from(part as u16));
    cpu.set(at, im << 16 | re);
    cpu.set(address, end);
    Ok(())
}

/// Sets one complex number of a vector.
fn put(cpu: &mut Cpu, register: u8, number: usize, value: [i16; 2]) {
    let mut lanes = s16(cpu.q(register));
    lanes[2 * number..][..2].copy_from_slice(&value);
    cpu.set_q(register, from_s16(lanes));
}
