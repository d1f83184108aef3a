//! What the vector instructions do, a file per family: each as its section 1.8.* in the ESP32-S3
//! Technical Reference Manual (version 1.8) has it.
//!
//! All instructions read their operands before they write any. When two results go to one register,
//! the one that the manual's operation names last stays. Selections that the manual doesn't describe
//! are errors.
//!
//! Compared with Espressif's QEMU 9.2.2 (`tests/pie/qemu.rs`): 84,800 random cases of single instructions
//! and 20,000 streams of eight, all but `ee.ldxq.32`, `ee.stxq.32`, `ee.get_gpio_in` and the five
//! instructions that end it. Where it does something else is listed in `tests/pie/known.rs`, each with its
//! condition and what settles it; outside of those conditions nothing differs. With its calls of eight
//! arguments repaired, the five agree as well (86,800 cases of single instructions, 10,000 streams).

mod accumulate;
mod arithmetic;
mod compare;
mod exchange;
mod fft;
mod lanes;
mod memory;
mod qacc;
mod shift;

use fixpoint_isa::pie::{Beside, user};
use fixpoint_isa::{Instruction, Pie};

use super::Cpu;
use crate::{Bus, Trap};
pub use qacc::Qacc;

/// Executes one vector instruction. The caller advances the program counter.
///
/// # Errors
/// When memory can't be accessed, the vector unit is switched off (CPENABLE), or the instruction
/// selects what the manual doesn't describe. Nothing has changed then.
#[inline]
pub fn execute<B: Bus>(
    cpu: &mut Cpu,
    bus: &mut B,
    op: Pie,
    instruction: &Instruction,
) -> Result<(), Trap> {
    match op {
        Pie::Memory(op) => memory::execute(cpu, bus, op, instruction),
        Pie::Exchange(op) => exchange::execute(cpu, op, instruction),
        _ => {
            cpu.needs_vector_unit()?;
            match op {
                Pie::Arithmetic(op) => arithmetic::execute(cpu, bus, op, instruction),
                Pie::Accumulate(op) => accumulate::execute(cpu, bus, op, instruction),
                Pie::Compare(op) => compare::execute(cpu, bus, op, instruction),
                Pie::Shift(op) => shift::execute(cpu, bus, op, instruction),
                Pie::Fft(op) => fft::execute(cpu, bus, op, instruction),
                Pie::Memory(_) | Pie::Exchange(_) => Ok(()),
            }
        }
    }
}

/// Which half of QACC and which word of it a user register is, the lowest of the half being `first`.
fn qacc_word(number: u8, first: u8) -> usize {
    usize::from(number - first)
}

/// The user register `number` of the vector unit, for `rur`; `None` when there is none.
pub fn read_user(cpu: &Cpu, number: u8) -> Option<u32> {
    let vector = &cpu.vector;
    Some(match number {
        user::ACCX_0 => vector.accx as u32,
        user::ACCX_1 => (vector.accx >> 32) as u32,
        user::QACC_H_0..=user::QACC_H_4 => vector.qacc.words(1)[qacc_word(number, user::QACC_H_0)],
        user::QACC_L_0..=user::QACC_L_4 => vector.qacc.words(0)[qacc_word(number, user::QACC_L_0)],
        user::GPIO_OUT => u32::from(vector.gpio_out),
        user::SAR_BYTE => u32::from(vector.sar_byte),
        user::FFT_BIT_WIDTH => u32::from(vector.fft_bit_width),
        user::UA_STATE_0..=user::UA_STATE_3 => {
            (vector.ua_state >> (32 * (number - user::UA_STATE_0))) as u32
        }
        _ => return None,
    })
}

/// Sets a user register of the vector unit, for `wur`; `None` when there is none.
pub fn write_user(cpu: &mut Cpu, number: u8, value: u32) -> Option<()> {
    let vector = &mut cpu.vector;
    let qacc = |qacc: &mut Qacc, half, first| {
        let mut words = qacc.words(half);
        words[qacc_word(number, first)] = value;
        qacc.set_words(half, words);
    };
    match number {
        user::ACCX_0 => vector.accx = vector.accx & !0xFFFF_FFFF | u64::from(value),
        user::ACCX_1 => {
            vector.accx = vector.accx & 0xFFFF_FFFF | u64::from(value & 0xFF) << 32;
        }
        user::QACC_H_0..=user::QACC_H_4 => qacc(&mut vector.qacc, 1, user::QACC_H_0),
        user::QACC_L_0..=user::QACC_L_4 => qacc(&mut vector.qacc, 0, user::QACC_L_0),
        user::GPIO_OUT => vector.gpio_out = value as u8,
        user::SAR_BYTE => vector.sar_byte = value as u8 & 15,
        user::FFT_BIT_WIDTH => vector.fft_bit_width = value as u8 & 15,
        user::UA_STATE_0..=user::UA_STATE_3 => {
            let shift = 32 * (number - user::UA_STATE_0);
            let others = vector.ua_state & !(0xFFFF_FFFF << shift);
            vector.ua_state = others | u128::from(value) << shift;
        }
        _ => return None,
    }
    Some(())
}

/// Bits of a line of memory that a 128-bit access drops from its address.
const LINE: u32 = 15;

impl Cpu {
    #[inline(always)]
    fn q(&self, number: u8) -> u128 {
        self.vector.q[usize::from(number & 7)]
    }

    #[inline(always)]
    fn set_q(&mut self, number: u8, value: u128) {
        self.vector.q[usize::from(number & 7)] = value;
    }

    /// General register `number` steps by `step`.
    #[inline(always)]
    fn step(&mut self, number: u8, step: u32) {
        self.set(number, self.get(number).wrapping_add(step));
    }

    #[inline(always)]
    fn load_line<B: Bus>(&self, bus: &mut B, register: u8) -> Result<u128, Trap> {
        bus.load128(self.get(register) & !LINE)
    }

    #[inline(always)]
    fn store_line<B: Bus>(&self, bus: &mut B, register: u8, value: u128) -> Result<(), Trap> {
        bus.store128(self.get(register) & !LINE, value)
    }

    /// `{high, low} >> (SAR_BYTE * 8)`: the unaligned vector that begins in `low`.
    #[inline(always)]
    fn unaligned(&self, low: u128, high: u128) -> u128 {
        match 8 * u32::from(self.vector.sar_byte & 15) {
            0 => low,
            shift => low >> shift | high << (128 - shift),
        }
    }

    /// Ends an instruction with the syntax `q, q, q`, or `qu, as, q, q, q` with a load beside, or
    /// `qv, as, q, q, q` with a store: `compute` makes the first of the three from the others.
    #[inline(always)]
    fn beside<B: Bus>(
        &mut self,
        bus: &mut B,
        beside: Beside,
        i: &Instruction,
        compute: impl FnOnce(&Self, u128, u128, u128) -> u128,
    ) -> Result<(), Trap> {
        let [result, x, y] = match beside {
            Beside::Nothing => [i.reg[0], i.reg[1], i.reg[2]],
            _ => [i.reg[2], i.reg[3], i.reg[4]],
        };
        let value = compute(self, self.q(result), self.q(x), self.q(y));
        match beside {
            Beside::Nothing => self.set_q(result, value),
            Beside::Load => {
                let loaded = self.load_line(bus, i.reg[1])?;
                self.set_q(result, value);
                self.set_q(i.reg[0], loaded);
                self.step(i.reg[1], 16);
            }
            Beside::Store => {
                self.store_line(bus, i.reg[1], self.q(i.reg[0]))?;
                self.set_q(result, value);
                self.step(i.reg[1], 16);
            }
        }
        Ok(())
    }
}

/// The instruction selects something that the manual doesn't describe.
const UNDESCRIBED: Trap = Trap::Unsupported {
    what: "a vector instruction selects what the manual doesn't describe",
};
