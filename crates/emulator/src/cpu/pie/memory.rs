//! Loads and stores (manual, sections 1.6.1, 1.6.2). Addresses lose the bits below the access's size
//! (section 1.5.3).
//!
//! The index of `ee.ldxq.32` and `ee.stxq.32` is taken as signed, which the manual doesn't say. Index
//! 0 is the word at `as`, as measured on a chip.

use fixpoint_isa::Instruction;
use fixpoint_isa::pie::{Broadcast, Half, Lane, Memory, Part, Step, Width};

use super::lanes::{from_u8s, from_u16s, from_u32s, s8, s16, u8s, u16s, u32s};
use super::qacc::{NARROW, Qacc, WIDE};
use crate::cpu::Cpu;
use crate::{Bus, Cause, Trap};

pub(super) fn execute<B: Bus>(
    cpu: &mut Cpu,
    bus: &mut B,
    op: Memory,
    i: &Instruction,
) -> Result<(), Trap> {
    use Memory as M;
    match op {
        // The floating-point registers are coprocessor 0's.
        M::Ldf128(_) | M::Ldf64(_) | M::Stf128(_) | M::Stf64(_) if cpu.cpenable & 1 == 0 => {
            return Err(Trap::exception(Cause::Coprocessor0Disabled));
        }
        M::Ldf128(_) | M::Ldf64(_) | M::Stf128(_) | M::Stf64(_) => {}
        _ => cpu.needs_vector_unit()?,
    }
    let [first, second] = [i.reg[0], i.reg[1]];
    match op {
        M::Vld128(step) => {
            let loaded = cpu.load_line(bus, second)?;
            cpu.set_q(first, loaded);
            advance(cpu, step, i, 1);
        }
        M::Vld64(half, step) => {
            let loaded = bus.load64(cpu.get(second) & !7)?;
            let (shift, kept) = match half {
                Half::Low => (0, !u128::from(u64::MAX)),
                Half::High => (64, u128::from(u64::MAX)),
            };
            cpu.set_q(first, cpu.q(first) & kept | u128::from(loaded) << shift);
            advance(cpu, step, i, 1);
        }
        M::Vldbc(width, step) => {
            let loaded = broadcast(bus, width, cpu.get(second))?;
            cpu.set_q(first, loaded);
            match step {
                Broadcast::Still => {}
                Broadcast::Ip => advance(cpu, Step::Ip, i, 1),
                Broadcast::Xp => advance(cpu, Step::Xp, i, 1),
            }
        }
        M::Vldhbc16 => {
            let [qu, qu1, address] = [first, second, i.reg[2]];
            let lanes = u16s(cpu.load_line(bus, address)?);
            let doubled = |from: usize| from_u16s(std::array::from_fn(|n| lanes[from + n / 2]));
            cpu.set_q(qu, doubled(0));
            cpu.set_q(qu1, doubled(4));
            cpu.step(address, 16);
        }
        M::Ldf128(step) => {
            let words = u32s(cpu.load_line(bus, i.reg[4])?);
            for (register, word) in i.reg[..4].iter().zip(words.into_iter().rev()) {
                cpu.f[usize::from(register & 15)] = word;
            }
            advance(cpu, step, i, 4);
        }
        M::Ldf64(step) => {
            let loaded = bus.load64(cpu.get(i.reg[2]) & !7)?;
            cpu.f[usize::from(first & 15)] = (loaded >> 32) as u32;
            cpu.f[usize::from(second & 15)] = loaded as u32;
            advance(cpu, step, i, 2);
        }
        M::Ld128Usar(step) => {
            let address = cpu.get(second);
            let loaded = cpu.load_line(bus, second)?;
            cpu.set_q(first, loaded);
            cpu.vector.sar_byte = (address & 15) as u8;
            advance(cpu, step, i, 1);
        }
        M::Ldqa(lane, step) => {
            let loaded = cpu.load_line(bus, first)?;
            widen(&mut cpu.vector.qacc, lane, loaded);
            advance(cpu, step, i, 0);
        }
        M::LdQacc(half, part) => {
            let half = number(half);
            let mut words = cpu.vector.qacc.words(half);
            match part {
                Part::Low128 => words[..4].copy_from_slice(&u32s(cpu.load_line(bus, first)?)),
                Part::Top32 => words[4] = bus.load32(cpu.get(first) & !3)?,
            }
            cpu.vector.qacc.set_words(half, words);
            advance(cpu, Step::Ip, i, 0);
        }
        M::LdAccx => {
            cpu.vector.accx = bus.load64(cpu.get(first) & !7)? & ((1 << WIDE) - 1);
            advance(cpu, Step::Ip, i, 0);
        }
        M::LdUaState => {
            cpu.vector.ua_state = cpu.load_line(bus, first)?;
            advance(cpu, Step::Ip, i, 0);
        }
        M::Ldxq32 => {
            let loaded = bus.load32(indexed(cpu, i))?;
            let mut words = u32s(cpu.q(first));
            words[lane(i)] = loaded;
            cpu.set_q(first, from_u32s(words));
        }
        M::LdQr => {
            let loaded = bus.load128(cpu.get(second).wrapping_add_signed(i.imm[0]) & !15)?;
            cpu.set_q(first, loaded);
        }
        M::Vst128(step) => {
            cpu.store_line(bus, second, cpu.q(first))?;
            advance(cpu, step, i, 1);
        }
        M::Vst64(half, step) => {
            let value = match half {
                Half::Low => cpu.q(first),
                Half::High => cpu.q(first) >> 64,
            };
            bus.store64(cpu.get(second) & !7, value as u64)?;
            advance(cpu, step, i, 1);
        }
        M::Stf128(step) => {
            let word = |register: u8| cpu.f[usize::from(register & 15)];
            let words = [i.reg[3], i.reg[2], i.reg[1], i.reg[0]].map(word);
            cpu.store_line(bus, i.reg[4], from_u32s(words))?;
            advance(cpu, step, i, 4);
        }
        M::Stf64(step) => {
            let word = |register: u8| u64::from(cpu.f[usize::from(register & 15)]);
            let value = word(first) << 32 | word(second);
            bus.store64(cpu.get(i.reg[2]) & !7, value)?;
            advance(cpu, step, i, 2);
        }
        M::StQacc(half, part) => {
            let [a, b, c, d, top] = cpu.vector.qacc.words(number(half));
            match part {
                Part::Low128 => cpu.store_line(bus, first, from_u32s([a, b, c, d]))?,
                Part::Top32 => bus.store32(cpu.get(first) & !3, top)?,
            }
            advance(cpu, Step::Ip, i, 0);
        }
        M::StAccx => {
            bus.store64(cpu.get(first) & !7, cpu.vector.accx)?;
            advance(cpu, Step::Ip, i, 0);
        }
        M::StUaState => {
            cpu.store_line(bus, first, cpu.vector.ua_state)?;
            advance(cpu, Step::Ip, i, 0);
        }
        M::Stxq32 => bus.store32(indexed(cpu, i), u32s(cpu.q(first))[lane(i)])?,
        M::StQr => {
            let address = cpu.get(second).wrapping_add_signed(i.imm[0]) & !15;
            bus.store128(address, cpu.q(first))?;
        }
    }
    Ok(())
}

/// The address register, which is operand register `place`, steps by the number or by the register
/// behind it.
#[inline(always)]
fn advance(cpu: &mut Cpu, step: Step, i: &Instruction, place: usize) {
    let by = match step {
        Step::Ip => i.imm[0] as u32,
        Step::Xp => cpu.get(i.reg[place + 1]),
    };
    cpu.step(i.reg[place], by);
}

fn number(half: Half) -> usize {
    match half {
        Half::Low => 0,
        Half::High => 1,
    }
}

/// The word that `ee.ldxq.32` and `ee.stxq.32` access: lane `sel8` of `qs` is its index from `as` on.
fn indexed(cpu: &Cpu, i: &Instruction) -> u32 {
    let index = s16(cpu.q(i.reg[1]))[(i.imm[1] & 7) as usize];
    let address = cpu.get(i.reg[2]).wrapping_add_signed(4 * i32::from(index));
    address & !3
}

/// The lane `sel4`.
fn lane(i: &Instruction) -> usize {
    (i.imm[0] & 3) as usize
}

/// A lane from memory, in all lanes.
pub(super) fn broadcast<B: Bus>(bus: &mut B, width: Width, address: u32) -> Result<u128, Trap> {
    Ok(match width {
        Width::W8 => from_u8s([bus.load8(address)?; 16]),
        Width::W16 => from_u16s([bus.load16(address & !1)?; 8]),
        Width::W32 => from_u32s([bus.load32(address & !3)?; 4]),
    })
}

/// QACC from a vector: every lane extended to 20 or 40 bits.
pub(super) fn widen(qacc: &mut Qacc, lane: Lane, vector: u128) {
    match lane {
        Lane::S8 => *qacc.narrow() = s8(vector).map(|lane| lane as u32 & ((1 << NARROW) - 1)),
        Lane::U8 => *qacc.narrow() = u8s(vector).map(u32::from),
        Lane::S16 => *qacc.wide() = s16(vector).map(|lane| lane as u64 & ((1 << WIDE) - 1)),
        Lane::U16 => *qacc.wide() = u16s(vector).map(u64::from),
    }
}
