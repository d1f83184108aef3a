//! Special and user registers, synchronization, and the instructions that raise or end exceptions.

use fixpoint_isa::{Instruction, Special, Window, special as number};

use super::{Cpu, Next, pie};
use crate::{Cause, Trap};

/// THREADPTR's user register number.
const THREADPTR: u8 = 231;

/// Executes one at `cpu.pc`.
///
/// # Errors
/// When it raises an exception or isn't emulated.
pub(super) fn execute(cpu: &mut Cpu, op: Special, i: &Instruction) -> Result<Next, Trap> {
    use Special as S;
    let [t, register, ..] = i.reg;
    match op {
        S::Rsr => {
            cpu.pass_timers();
            let value = read(cpu, register)?;
            cpu.set(t, value);
        }
        S::Wsr => write(cpu, register, cpu.get(t))?,
        S::Xsr => {
            cpu.pass_timers();
            let old = read(cpu, register)?;
            write(cpu, register, cpu.get(t))?;
            cpu.set(t, old);
        }
        S::Rur => {
            let value = match register {
                THREADPTR => Some(cpu.threadptr),
                _ => pie::read_user(cpu, register),
            };
            cpu.set(t, value.ok_or(UNKNOWN_USER)?);
        }
        S::Wur => match register {
            THREADPTR => cpu.threadptr = cpu.get(t),
            _ => pie::write_user(cpu, register, cpu.get(t)).ok_or(UNKNOWN_USER)?,
        },
        S::Isync | S::Rsync | S::Esync | S::Dsync | S::Excw => {}
        S::Rsil => {
            let before = cpu.ps.0;
            cpu.ps.set_interrupt_level(i.imm[0] as u32);
            cpu.set(t, before);
        }
        S::Waiti => {
            cpu.ps.set_interrupt_level(i.imm[0] as u32);
            cpu.waiting = true;
        }
        S::Rfe => {
            cpu.ps.set_excm(false);
            return Ok(Next::To(cpu.epc[1]));
        }
        S::Rfde => return Ok(Next::To(cpu.epc[0])),
        S::Rfi => {
            let level = i.imm[0] as usize;
            if !(2..=7).contains(&level) {
                return Err(Trap::exception(Cause::IllegalInstruction));
            }
            cpu.ps.write(cpu.eps[level]);
            return Ok(Next::To(cpu.epc[level]));
        }
        S::Ill | S::IllN => return Err(Trap::exception(Cause::IllegalInstruction)),
        S::Syscall => return Err(Trap::exception(Cause::Syscall)),
        S::Simcall => return Err(Trap::Simcall),
        S::Break | S::BreakN => return Err(Trap::Break),
        S::Rer | S::Wer => return unsupported("external registers (rer, wer) are not emulated"),
    }
    Ok(Next::Fall)
}

/// Windowed code is named, not run: the toolchain's ABI is call0.
///
/// # Errors
/// Always.
pub(super) fn window(_: Window) -> Result<Next, Trap> {
    unsupported("windowed registers are not emulated: the firmware's ABI is call0")
}

const fn unsupported<T>(what: &'static str) -> Result<T, Trap> {
    Err(Trap::Unsupported { what })
}

const UNKNOWN_USER: Trap = Trap::Unsupported {
    what: "this user register is not emulated",
};

/// Reads a special register.
///
/// # Errors
/// When it isn't emulated.
pub fn read(cpu: &Cpu, register: u8) -> Result<u32, Trap> {
    Ok(match register {
        number::LBEG => cpu.lbeg,
        number::LEND => cpu.lend,
        number::LCOUNT => cpu.lcount,
        number::SAR => cpu.sar,
        number::SCOMPARE1 => cpu.scompare1,
        number::WINDOWBASE => 0,
        number::WINDOWSTART => cpu.windowstart,
        number::EPC1..=number::EPC7 => cpu.epc[usize::from(register - number::EPC1 + 1)],
        number::DEPC => cpu.epc[0],
        number::EPS2..=number::EPS7 => cpu.eps[usize::from(register - number::EPS2 + 2)],
        number::EXCSAVE1..=number::EXCSAVE7 => {
            cpu.excsave[usize::from(register - number::EXCSAVE1 + 1)]
        }
        number::CPENABLE => cpu.cpenable,
        number::INTERRUPT => cpu.interrupt,
        number::INTENABLE => cpu.intenable,
        number::PS => cpu.ps.0,
        number::VECBASE => cpu.vecbase,
        number::EXCCAUSE => cpu.exccause,
        number::CCOUNT => cpu.ccount(),
        number::PRID => cpu.prid,
        number::EXCVADDR => cpu.excvaddr,
        number::CCOMPARE0..=number::CCOMPARE2 => {
            cpu.ccompare[usize::from(register - number::CCOMPARE0)]
        }
        number::MISC0..=number::MISC3 => cpu.misc[usize::from(register - number::MISC0)],
        _ => return unsupported("this special register is not emulated"),
    })
}

/// Writes a special register.
///
/// # Errors
/// When it isn't emulated or can't be written.
pub fn write(cpu: &mut Cpu, register: u8, value: u32) -> Result<(), Trap> {
    // What the timers did until now was as the registers were.
    cpu.pass_timers();
    match register {
        number::LBEG => cpu.lbeg = value,
        number::LEND => cpu.lend = value,
        number::LCOUNT => cpu.lcount = value,
        number::SAR => cpu.sar = value & 63,
        number::SCOMPARE1 => cpu.scompare1 = value,
        number::WINDOWBASE if value == 0 => {}
        number::WINDOWBASE => return unsupported("windowed registers are not emulated"),
        number::WINDOWSTART => cpu.windowstart = value & 0xFFFF,
        number::EPC1..=number::EPC7 => {
            cpu.epc[usize::from(register - number::EPC1 + 1)] = value;
        }
        number::DEPC => cpu.epc[0] = value,
        number::EPS2..=number::EPS7 => {
            cpu.eps[usize::from(register - number::EPS2 + 2)] = value;
        }
        number::EXCSAVE1..=number::EXCSAVE7 => {
            cpu.excsave[usize::from(register - number::EXCSAVE1 + 1)] = value;
        }
        number::CPENABLE => cpu.cpenable = value & 0xFF,
        // INTSET: software interrupts, 7 and 29.
        number::INTERRUPT => cpu.interrupt |= value & (1 << 7 | 1 << 29),
        number::INTCLEAR => cpu.interrupt &= !value,
        number::INTENABLE => cpu.intenable = value,
        number::PS => cpu.ps.write(value),
        number::VECBASE => cpu.vecbase = value & !0x3FF,
        number::EXCCAUSE => cpu.exccause = value & 63,
        number::CCOUNT => cpu.ccount_offset = value.wrapping_sub(cpu.cycles as u32),
        number::EXCVADDR => cpu.excvaddr = value,
        number::CCOMPARE0..=number::CCOMPARE2 => {
            let timer = usize::from(register - number::CCOMPARE0);
            cpu.ccompare[timer] = value;
            // Writing the compare register withdraws the timer's interrupt.
            cpu.interrupt &= !super::exception::TIMERS[timer];
        }
        number::MISC0..=number::MISC3 => cpu.misc[usize::from(register - number::MISC0)] = value,
        _ => return unsupported("this special register is not emulated, or is read only"),
    }
    Ok(())
}
