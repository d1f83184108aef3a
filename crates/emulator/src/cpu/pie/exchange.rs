//! Data exchange (manual, section 1.6.3) and the dedicated GPIO (1.6.9), which needs no coprocessor.

use fixpoint_isa::Instruction;
use fixpoint_isa::pie::{Exchange, Width};

use super::Qacc;
use super::lanes::{from_u8s, from_u16s, from_u32s, u8s, u16s, u32s};
use super::memory::widen;
use crate::Trap;
use crate::cpu::Cpu;

pub(super) fn execute(cpu: &mut Cpu, op: Exchange, i: &Instruction) -> Result<(), Trap> {
    use Exchange as E;
    let [first, second] = [i.reg[0], i.reg[1]];
    match op {
        E::WrMaskGpioOut => {
            let mask = cpu.get(second) as u8;
            let out = cpu.vector.gpio_out & !mask | cpu.get(first) as u8 & mask;
            cpu.vector.gpio_out = out;
            return Ok(());
        }
        E::SetBitGpioOut => {
            cpu.vector.gpio_out |= i.imm[0] as u8;
            return Ok(());
        }
        E::ClrBitGpioOut => {
            cpu.vector.gpio_out &= !(i.imm[0] as u8);
            return Ok(());
        }
        E::GetGpioIn => {
            cpu.set(first, u32::from(cpu.vector.gpio_in));
            return Ok(());
        }
        _ => cpu.needs_vector_unit()?,
    }
    match op {
        E::Movi32A => cpu.set(second, u32s(cpu.q(first))[(i.imm[0] & 3) as usize]),
        E::Movi32Q => {
            let mut words = u32s(cpu.q(first));
            words[(i.imm[0] & 3) as usize] = cpu.get(second);
            cpu.set_q(first, from_u32s(words));
        }
        E::MvQr => cpu.set_q(first, cpu.q(second)),
        E::Vzip(width) => {
            let (low, high) = interleaved(width, cpu.q(first), cpu.q(second));
            cpu.set_q(first, low);
            cpu.set_q(second, high);
        }
        E::Vunzip(width) => {
            let (even, odd) = separated(width, cpu.q(first), cpu.q(second));
            cpu.set_q(first, even);
            cpu.set_q(second, odd);
        }
        E::ZeroQ => cpu.set_q(first, 0),
        E::ZeroQacc => cpu.vector.qacc = Qacc::default(),
        E::ZeroAccx => cpu.vector.accx = 0,
        E::MovQacc(lane) => {
            let vector = cpu.q(first);
            widen(&mut cpu.vector.qacc, lane, vector);
        }
        E::WrMaskGpioOut | E::SetBitGpioOut | E::ClrBitGpioOut | E::GetGpioIn => {}
    }
    Ok(())
}

/// The lanes of two vectors by turns: the lower halves, the upper halves.
fn interleaved(width: Width, a: u128, b: u128) -> (u128, u128) {
    fn lanes<T: Copy + Default, const N: usize>(a: [T; N], b: [T; N], from: usize) -> [T; N] {
        let mut lanes = [T::default(); N];
        let pairs = a[from..][..N / 2].iter().zip(&b[from..][..N / 2]);
        for (place, (a, b)) in lanes.chunks_exact_mut(2).zip(pairs) {
            place.copy_from_slice(&[*a, *b]);
        }
        lanes
    }
    match width {
        Width::W8 => {
            let (a, b) = (u8s(a), u8s(b));
            (from_u8s(lanes(a, b, 0)), from_u8s(lanes(a, b, 8)))
        }
        Width::W16 => {
            let (a, b) = (u16s(a), u16s(b));
            (from_u16s(lanes(a, b, 0)), from_u16s(lanes(a, b, 4)))
        }
        Width::W32 => {
            let (a, b) = (u32s(a), u32s(b));
            (from_u32s(lanes(a, b, 0)), from_u32s(lanes(a, b, 2)))
        }
    }
}

/// The even lanes of two vectors behind each other, and the odd ones.
fn separated(width: Width, a: u128, b: u128) -> (u128, u128) {
    fn lanes<T: Copy + Default, const N: usize>(a: [T; N], b: [T; N], odd: usize) -> [T; N] {
        let mut lanes = [T::default(); N];
        let pairs = a.chunks_exact(2).chain(b.chunks_exact(2));
        for (place, pair) in lanes.iter_mut().zip(pairs) {
            *place = pair[odd];
        }
        lanes
    }
    match width {
        Width::W8 => {
            let (a, b) = (u8s(a), u8s(b));
            (from_u8s(lanes(a, b, 0)), from_u8s(lanes(a, b, 1)))
        }
        Width::W16 => {
            let (a, b) = (u16s(a), u16s(b));
            (from_u16s(lanes(a, b, 0)), from_u16s(lanes(a, b, 1)))
        }
        Width::W32 => {
            let (a, b) = (u32s(a), u32s(b));
            (from_u32s(lanes(a, b, 0)), from_u32s(lanes(a, b, 1)))
        }
    }
}
