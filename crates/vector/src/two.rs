//! A layer shared by two cores with a unit each.
//!
//! It is cut into two shares of the output: blocks of channels, so that each core needs half of the weights, or rows, or
//! columns; of a lookup, halves of its elements. A share has the bits that it has in the whole, whoever does it.

use core::slice;

use fixpoint_runtime::accelerator::{
    Accelerator, Averaging, Bending, Combination, Convolution, Pooling,
};

use crate::convolution::{Place, Share, Work};
use crate::record::VECTOR;
use crate::unit::Unit;
use crate::{ElementUnit, Vector};

/// Two cores at one memory.
pub trait Cores {
    /// Whether there are two, as far as is known.
    fn are_two(&self) -> bool;

    /// Does both jobs, in any order or at the same time. `second` may be done again from its start
    /// if it was begun elsewhere and not ended: that must be as good as once, or panic.
    fn both(&mut self, first: Job<'_>, second: Job<'_>);
}

/// What a core is given to do.
pub type Job<'j> = &'j mut (dyn FnMut() + Send);

/// An accelerator over two cores' vector units. `U` is either's.
#[derive(Clone, Copy, Debug)]
pub struct TwoVectors<C, U> {
    pub cores: C,
    pub unit: U,
    /// Multiply-accumulates from which on a layer is shared: [`LEAST`] on the chip.
    pub least: u64,
}

/// Multiply-accumulates from which on a layer is shared. What both cores do each, and waiting for the
/// other, takes about 2,400 cycles beside half of the layer's time (`cargo xtask bench device`: half of
/// what one core takes, and what two take); the unit does two to four multiply-accumulates in a cycle.
pub const LEAST: u64 = 16_000;

/// Bytes of a block's weights up to which the chip's data cache of 32 KiB holds those of two beside the elements. Two cores
/// at two larger ones take them from each other: each line comes from slow memory again for every pixel.
const BLOCK: usize = 14 << 10;

/// A layer that two cores do shares of.
struct Shared<'l>(Work<'l>);
// SAFETY: a layer is only read, but for its output, of which each share is written by one core only:
// shares of `halves` have no element in common, and a unit stores the elements of its share and no other.
unsafe impl Sync for Shared<'_> {}

impl Shared<'_> {
    // By itself: the compiler for the chip gives up on frames that are too large.
    #[inline(never)]
    fn done(&self, unit: &mut impl Unit, share: &Share) -> bool {
        self.0.run(unit, share).is_some()
    }
}

impl<C: Cores, U: Unit + Copy + Send> TwoVectors<C, U> {
    #[inline(never)]
    fn run(&mut self, layer: Work<'_>) -> bool {
        let (mut unit, mut other) = (self.unit, self.unit);
        let shared = Shared(layer);
        let worth = self.cores.are_two() && layer.work() >= self.least;
        let whole = layer.whole();
        let Some((first, second)) = halves(&whole, layer.block() > BLOCK).filter(|_| worth) else {
            return shared.done(&mut unit, &whole);
        };
        let (mut first_done, mut second_done) = (false, false);
        let shared = &shared;
        self.cores.both(
            &mut || first_done = shared.done(&mut unit, &first),
            &mut || second_done = shared.done(&mut other, &second),
        );
        first_done && second_done
    }
}

/// The elements that a lookup writes: each half by one core.
struct Elements<T>(*mut T, usize);
// SAFETY: halves have no element in common.
unsafe impl<T> Sync for Elements<T> {}

impl<T> Elements<T> {
    fn of(elements: &mut [T]) -> Self {
        Self(elements.as_mut_ptr(), elements.len())
    }

    /// Those from `first` to `end`.
    ///
    /// # Safety
    /// They are there, and nobody else is at them for so long.
    #[inline(always)]
    unsafe fn part<'a>(&self, first: usize, end: usize) -> &'a mut [T] {
        // SAFETY: the caller's promise.
        unsafe { slice::from_raw_parts_mut(self.0.wrapping_add(first), end - first) }
    }
}

impl<C: Cores, U> TwoVectors<C, U> {
    /// A lookup of so many elements, from and to which `lookup` does, in place or not. Each takes as long as `work`
    /// multiply-accumulates.
    #[inline(never)]
    fn look_up(
        &mut self,
        count: usize,
        work: u64,
        in_place: bool,
        lookup: &(dyn Fn(usize, usize) -> bool + Sync),
    ) -> bool {
        if !self.cores.are_two() || (count as u64 * work) < self.least {
            return lookup(0, count);
        }
        let half = count / 2 / VECTOR * VECTOR;
        let (mut first_done, mut second_done, mut begun) = (false, false, false);
        self.cores
            .both(&mut || first_done = lookup(0, half), &mut || {
                // In place the elements may be other ones already. There is nothing to be done with such a core.
                assert!(!(begun && in_place), "a core has stopped");
                begun = true;
                second_done = lookup(half, count);
            });
        first_done && second_done
    }
}

/// What is neither a convolution nor a lookup takes too little time to be shared.
impl<C: Cores, U: Unit + ElementUnit + Copy + Send + Sync> Accelerator for TwoVectors<C, U> {
    fn convolve(&mut self, task: &Convolution<'_>, output: &mut [u8]) -> bool {
        let mut place = Place::new();
        Work::new(task, output, &mut place).is_some_and(|work| self.run(work))
    }

    fn combine_i8(&mut self, task: &Combination<'_, i8>, output: &mut [i8]) -> bool {
        Vector(self.unit).combine_i8(task, output)
    }

    fn combine_i16(&mut self, task: &Combination<'_, i16>, output: &mut [i16]) -> bool {
        Vector(self.unit).combine_i16(task, output)
    }

    fn bend_i8(&mut self, task: &Bending<'_, i8>, output: &mut [i8]) -> usize {
        Vector(self.unit).bend_i8(task, output)
    }

    fn bend_i16(&mut self, task: &Bending<'_, i16>, output: &mut [i16]) -> usize {
        Vector(self.unit).bend_i16(task, output)
    }

    fn max_pool_i8(&mut self, task: &Pooling<'_, i8>, output: &mut [i8]) -> bool {
        Vector(self.unit).max_pool_i8(task, output)
    }

    fn max_pool_i16(&mut self, task: &Pooling<'_, i16>, output: &mut [i16]) -> bool {
        Vector(self.unit).max_pool_i16(task, output)
    }

    fn average_pool_i8(&mut self, task: &Averaging<'_, i8>, output: &mut [i8]) -> bool {
        Vector(self.unit).average_pool_i8(task, output)
    }

    fn average_pool_i16(&mut self, task: &Averaging<'_, i16>, output: &mut [i16]) -> bool {
        Vector(self.unit).average_pool_i16(task, output)
    }

    fn lookup_i8(&mut self, input: Option<&[i8]>, table: &[i8], output: &mut [i8]) -> bool {
        let (unit, y) = (self.unit, Elements::of(output));
        self.look_up(y.1, 8, input.is_none(), &|first, end| {
            let x = input.map(|x| x.get(first..end).unwrap_or_default());
            // SAFETY: `look_up` gives each to one core.
            Vector(unit).lookup_i8(x, table, unsafe { y.part(first, end) })
        })
    }

    fn lookup_i16(
        &mut self,
        input: Option<&[i16]>,
        table: &[i16],
        step_bits: u32,
        output: &mut [i16],
    ) -> bool {
        let (unit, y) = (self.unit, Elements::of(output));
        self.look_up(y.1, 32, input.is_none(), &|first, end| {
            let x = input.map(|x| x.get(first..end).unwrap_or_default());
            // SAFETY: `look_up` gives each to one core.
            Vector(unit).lookup_i16(x, table, step_bits, unsafe { y.part(first, end) })
        })
    }

    fn sum_pixels_i8(
        &mut self,
        input: &[i8],
        channels: usize,
        first: usize,
        sums: &mut [i32],
    ) -> bool {
        Vector(self.unit).sum_pixels_i8(input, channels, first, sums)
    }

    fn sum_pixels_i16(
        &mut self,
        input: &[i16],
        channels: usize,
        first: usize,
        sums: &mut [i32],
    ) -> bool {
        Vector(self.unit).sum_pixels_i16(input, channels, first, sums)
    }
}

/// The share in two, as evenly as it goes. Blocks rather than rows or columns where they are about as
/// good: what is prepared for a block is then prepared once. Rows or columns where blocks are large, if there are any: both
/// cores then read the same weights at about the same time.
fn halves(share: &Share, large_blocks: bool) -> Option<(Share, Share)> {
    let (mut best, mut axis) = (100, None);
    for (at, range) in share.iter().enumerate() {
        let count = range.end.saturating_sub(range.start).min(1000);
        if count > 1 {
            // Percent of the larger half.
            let less = match (at, large_blocks) {
                (0, false) => 0,
                (0, true) => 49,
                _ => 4,
            };
            let larger = 100 * count.div_ceil(2) / count + less;
            if larger < best {
                (best, axis) = (larger, Some(at));
            }
        }
    }
    let (mut first, mut second) = (share.clone(), share.clone());
    let (first_range, second_range) = (first.get_mut(axis?)?, second.get_mut(axis?)?);
    let middle = first_range.start + (first_range.end - first_range.start) / 2;
    (first_range.end, second_range.start) = (middle, middle);
    Some((first, second))
}

#[cfg(test)]
mod tests {
    use super::halves;

    #[test]
    fn blocks_are_shared_unless_they_are_large() {
        let halved = |counts: [u32; 3], large_blocks| {
            let share = counts.map(|count| 0..count);
            let (first, second) = halves(&share, large_blocks)?;
            let axis = (0..3).find(|axis| first[*axis] != share[*axis])?;
            assert_eq!(first[axis].end, second[axis].start);
            assert_eq!((first[axis].start, second[axis].end), (0, counts[axis]));
            Some((axis, first[axis].end))
        };
        assert_eq!(halved([2, 4, 6], false), Some((0, 1)));
        assert_eq!(halved([2, 4, 6], true), Some((1, 2)));
        // The rest of three blocks is more than that of six columns.
        assert_eq!(halved([3, 1, 6], false), Some((2, 3)));
        assert_eq!(halved([2, 1, 3], true), Some((2, 1)));
        assert_eq!(halved([2, 1, 1], true), Some((0, 1)));
        assert_eq!(halved([1, 1, 1], true), None);
    }
}
