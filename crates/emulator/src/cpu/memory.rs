//! Loads and stores.

use fixpoint_isa::{Instruction, Memory};

use super::Cpu;
use crate::{Bus, Cause, Trap};

/// # Errors
/// When the address can't be accessed.
#[inline]
pub(super) fn execute<B: Bus>(
    cpu: &mut Cpu,
    bus: &mut B,
    op: Memory,
    i: &Instruction,
) -> Result<(), Trap> {
    use Memory as M;
    let address = cpu.get(i.reg[1]).wrapping_add_signed(i.imm[0]);
    let value = match op {
        M::L8ui => u32::from(bus.load8(address)?),
        M::L16ui => u32::from(bus.load16(cpu.aligned(address, 2)?)?),
        M::L16si => i32::from(bus.load16(cpu.aligned(address, 2)?)? as i16) as u32,
        M::L32i | M::L32iN => bus.load32(cpu.aligned(address, 4)?)?,
        M::L32ai => bus.load32(ordered(address)?)?,
        M::L32r => bus.load32(i.imm[0] as u32)?,
        M::S32c1i => {
            let address = ordered(address)?;
            let found = bus.load32(address)?;
            if found == cpu.scompare1 {
                bus.store32(address, cpu.get(i.reg[0]))?;
            }
            found
        }
        M::S8i => return bus.store8(address, cpu.get(i.reg[0]) as u8),
        M::S16i => return bus.store16(cpu.aligned(address, 2)?, cpu.get(i.reg[0]) as u16),
        M::S32i | M::S32iN => {
            return bus.store32(cpu.aligned(address, 4)?, cpu.get(i.reg[0]));
        }
        M::S32ri => return bus.store32(ordered(address)?, cpu.get(i.reg[0])),
        // One load and store unit, in order; the cores have no caches of their own (those of the
        // chip are in front of flash and are driven by registers).
        M::Memw | M::Extw => return Ok(()),
        M::Dpfr | M::Dpfw | M::Dpfro | M::Dpfwo | M::Dhwb | M::Dhwbi | M::Dhi | M::Dii => {
            return Ok(());
        }
        M::Ipf | M::Ihi | M::Iii => return Ok(()),
    };
    cpu.set(i.reg[0], value);
    Ok(())
}

/// Accesses that order others are never unaligned.
fn ordered(address: u32) -> Result<u32, Trap> {
    if address.is_multiple_of(4) {
        return Ok(address);
    }
    Err(Trap::Exception {
        cause: Cause::LoadStoreAlignment,
        address: Some(address),
    })
}

impl Cpu {
    /// `address`, if the core takes it for an access of `bytes`.
    #[inline]
    fn aligned(&self, address: u32, bytes: u32) -> Result<u32, Trap> {
        if self.unaligned || address & (bytes - 1) == 0 {
            return Ok(address);
        }
        Err(Trap::Exception {
            cause: Cause::LoadStoreAlignment,
            address: Some(address),
        })
    }
}
