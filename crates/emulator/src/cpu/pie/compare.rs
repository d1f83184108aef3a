//! Extremes and comparisons (manual, section 1.6.5) and bitwise logic (1.6.6).

use fixpoint_isa::Instruction;
use fixpoint_isa::pie::{Beside, Compare, Relation, Signed};

use super::lanes::{from_s8, from_s16, from_s32, s8, s16, s32, zip};
use crate::cpu::Cpu;
use crate::{Bus, Trap};

#[inline]
pub(super) fn execute<B: Bus>(
    cpu: &mut Cpu,
    bus: &mut B,
    op: Compare,
    i: &Instruction,
) -> Result<(), Trap> {
    use Compare as C;
    match op {
        C::Vmax(lane, beside) => cpu.beside(bus, beside, i, |_, _, x, y| match lane {
            Signed::S8 => from_s8(zip(s8(x), s8(y), i8::max)),
            Signed::S16 => from_s16(zip(s16(x), s16(y), i16::max)),
            Signed::S32 => from_s32(zip(s32(x), s32(y), i32::max)),
        }),
        C::Vmin(lane, beside) => cpu.beside(bus, beside, i, |_, _, x, y| match lane {
            Signed::S8 => from_s8(zip(s8(x), s8(y), i8::min)),
            Signed::S16 => from_s16(zip(s16(x), s16(y), i16::min)),
            Signed::S32 => from_s32(zip(s32(x), s32(y), i32::min)),
        }),
        C::Vcmp(relation, lane) => cpu.beside(bus, Beside::Nothing, i, |_, _, x, y| match lane {
            // All bits of a lane are one where the relation holds.
            Signed::S8 => from_s8(zip(s8(x), s8(y), |x, y| -i8::from(holds(relation, x, y)))),
            Signed::S16 => from_s16(zip(s16(x), s16(y), |x, y| {
                -i16::from(holds(relation, x, y))
            })),
            Signed::S32 => from_s32(zip(s32(x), s32(y), |x, y| {
                -i32::from(holds(relation, x, y))
            })),
        }),
        C::Andq => cpu.beside(bus, Beside::Nothing, i, |_, _, x, y| x & y),
        C::Orq => cpu.beside(bus, Beside::Nothing, i, |_, _, x, y| x | y),
        C::Xorq => cpu.beside(bus, Beside::Nothing, i, |_, _, x, y| x ^ y),
        C::Notq => cpu.beside(bus, Beside::Nothing, i, |_, _, x, _| !x),
    }
}

fn holds<T: PartialOrd>(relation: Relation, x: T, y: T) -> bool {
    match relation {
        Relation::Eq => x == y,
        Relation::Lt => x < y,
        Relation::Gt => x > y,
    }
}
