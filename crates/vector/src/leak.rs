//! Leaky activations by themselves, as stretches of whole vectors.
//!
//! What is negative times its slope, plus what is positive: one of the two is always zero, so that nothing is
//! rounded twice, and the bits are those of `fixpoint_kernels::fixpoint::leaky`.

use core::mem::MaybeUninit;

use fixpoint_kernels::Element;
use fixpoint_kernels::Slopes;
use fixpoint_kernels::elementwise::Operation;
use fixpoint_kernels::fixpoint::Leak;
use fixpoint_runtime::accelerator::Bending;

use crate::elements::{Combine, Laid, Operand, ROOM, Scales, Stretch};

/// Bytes of a vector.
const VECTOR: usize = 16;

/// As many elements as make whole vectors: how many that are. `None` and nothing where the unit can't.
pub(crate) fn bend<T: Element>(
    task: &Bending<'_, T>,
    output: &mut [T],
    mut call: impl FnMut(Combine, &Stretch),
) -> Option<usize> {
    let bend = Bend {
        leak: task.leak,
        channels: task.channels,
        shift: task.shift,
        width: size_of::<T>(),
        range: [T::MIN.into(), T::MAX.into()],
        limits: [task.limits.low.into(), task.limits.high.into()],
    };
    bend.stretches(output.as_mut_ptr().cast(), output.len(), &mut call)
}

/// A task without the type of its elements, which have `width` bytes.
struct Bend<'a> {
    leak: &'a Leak<'a>,
    channels: usize,
    shift: i32,
    width: usize,
    /// Of the elements.
    range: [i16; 2],
    limits: [i16; 2],
}

impl Bend<'_> {
    /// Does as many elements at `own` as make whole vectors: how many that are.
    // Once for both widths.
    #[inline(never)]
    fn stretches(
        &self,
        own: *mut u8,
        length: usize,
        call: &mut dyn FnMut(Combine, &Stretch),
    ) -> Option<usize> {
        let bits = 8 * self.width as u32;
        let count = VECTOR / self.width;
        let whole = length - length % count;
        let scaled = self.shift - i32::from(self.leak.exponent);
        let scaled = Scales::new(Operation::Mul, scaled, [0; 2], bits)?;
        let moved = Scales::new(Operation::Add, self.shift, [0; 2], bits)?;
        let mut rooms = [const { MaybeUninit::<Laid>::uninit() }; 2];
        let [slopes, negative] = rooms.each_mut().map(|room| room.as_mut_ptr().cast::<u8>());
        let row = self.lay(slopes, negative)?;
        (whole > 0 && own.addr().is_multiple_of(VECTOR)).then_some(())?;
        let [low, high] = self.range;
        for at in (0..whole).step_by(row) {
            let y = own.wrapping_add(at * self.width);
            let mut stretch = Stretch {
                a: y,
                b: y,
                y: negative,
                vectors: (row.min(whole - at) / count) as u32,
                shift: 0,
                factors: [1, 0],
                rounding: [0, 0],
                limits: [low, 0],
            };
            call(Combine::Sum, &stretch);
            (stretch.a, stretch.b) = (negative, slopes);
            (stretch.shift, stretch.rounding) = (scaled.shift, scaled.rounding);
            stretch.limits = self.range;
            call(Combine::Product, &stretch);
            (stretch.a, stretch.b, stretch.y) = (y, y, y);
            (stretch.shift, stretch.rounding) = (moved.shift, moved.rounding);
            (stretch.factors, stretch.limits) = ([moved.factors[0], 0], [0, high]);
            call(Combine::Sum, &stretch);
            (stretch.b, stretch.shift) = (negative, 0);
            (stretch.factors, stretch.rounding) = ([1, 1], [0, 0]);
            stretch.limits = self.limits;
            call(Combine::Sum, &stretch);
        }
        Some(whole)
    }

    /// Lays the slopes out in a row, by way of other memory of the same size: how many there are then, a multiple
    /// of the channels and of a vector's elements. `None` if they are too many, or larger than elements.
    fn lay(&self, room: *mut u8, other: *mut u8) -> Option<usize> {
        let single;
        let all = match self.leak.slopes {
            Slopes::Uniform(slope) => {
                single = [slope];
                &single[..]
            }
            Slopes::PerChannel(slopes) => slopes.get(..self.channels)?,
        };
        (all.len() * self.width <= ROOM).then_some(())?;
        for (at, slope) in all.iter().enumerate() {
            // The low bytes come first.
            let bytes = slope.to_le_bytes();
            for (i, byte) in bytes[..self.width].iter().enumerate() {
                // SAFETY: they all fit the memory.
                unsafe { other.add(at * self.width + i).write(*byte) };
            }
            let [low, high] = self.range;
            (low..=high).contains(slope).then_some(())?;
        }
        let operand = Operand {
            from: other,
            period: all.len(),
        };
        operand.lay(room, self.width)
    }
}
