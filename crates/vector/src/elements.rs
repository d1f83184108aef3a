//! Element-wise operations as stretches of whole vectors.
//!
//! The lanes start with the rounding constant, as a product of two powers of two, and each operand is
//! multiplied by the power of two that brings it to the smaller exponent; then one shift, as
//! `fixpoint_kernels::fixpoint::Binary` defines it. Powers are at most 2^6 for bytes and 2^14 for
//! halfwords, so that no lane gets near saturation: `2 * 2^7 * 2^6 + 2^12 < 2^19`, and likewise
//! `2 * 2^15 * 2^14 + 2^28 < 2^39`; a product has `2^14` or `2^30` instead.
//!
//! Of extremes each operand is shifted by itself: what shifts, rounds and saturates never turns two values
//! round, so that the larger one of the results is the result for the larger one.

use core::mem::MaybeUninit;

use fixpoint_kernels::Element;
use fixpoint_kernels::elementwise::Operation;
use fixpoint_kernels::lookup::entries;
use fixpoint_runtime::accelerator::{Combination, Part};

use crate::means::Mean;
use crate::pixels::{Column, Windowed};
use crate::record::Aligned;

/// Bytes of a vector.
const VECTOR: usize = 16;
/// Bytes of a repeated operand that are laid out in a row.
pub(crate) const ROOM: usize = 1024;

/// What a kernel in assembly is given; as for [`crate::Run`], the offsets are part of the contract.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Stretch {
    /// 0: the operands and the result, at multiples of 16. The result may be where an operand is.
    pub a: *const u8,
    /// 4
    pub b: *const u8,
    /// 8
    pub y: *mut u8,
    /// 12: vectors, at least one.
    pub vectors: u32,
    /// 16
    pub shift: u32,
    /// 20: of `a` and of `b`; both 1 for products.
    pub factors: [i16; 2],
    /// 24: two whose product is the rounding constant.
    pub rounding: [i16; 2],
    /// 28: the smallest and the largest result.
    pub limits: [i16; 2],
}

/// What is done with a stretch: `clamp((rounding + ..) >> shift)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// `a * factors[0] + b * factors[1]`
    Sum,
    /// `a * b`
    Product,
    /// The larger of what [`Self::Sum`] gives for either operand alone.
    Largest,
    /// The smaller.
    Smallest,
}

/// The kernels of a target for elements.
pub trait ElementUnit {
    /// Does a stretch of 8-bit elements.
    ///
    /// # Safety
    ///
    /// What the stretch points to is there, for all of its vectors.
    unsafe fn combine_i8(&mut self, kernel: Combine, stretch: &Stretch);

    /// Does a stretch of 16-bit elements.
    ///
    /// # Safety
    ///
    /// As for [`Self::combine_i8`].
    unsafe fn combine_i16(&mut self, kernel: Combine, stretch: &Stretch);

    /// `y[i] = table[x[i] + 128]` for so many vectors of bytes; `y` may be `x`. Anything may be written to `room`.
    ///
    /// # Safety
    ///
    /// The bytes are there, at multiples of 16, 256 of the table, and the room.
    unsafe fn lookup_i8(
        &mut self,
        x: *const i8,
        table: *const i8,
        y: *mut i8,
        vectors: u32,
        room: *mut Spread,
    );

    /// `fixpoint_kernels::lookup::lookup` with steps of `2^step_bits`, between 2 and 2^13, for `count`
    /// elements; `y` may be `x`.
    ///
    /// # Safety
    ///
    /// The elements are there, and the table's `2^(16 - step_bits) + 1`.
    unsafe fn lookup_i16(
        &mut self,
        x: *const i16,
        table: *const i16,
        y: *mut i16,
        count: u32,
        step_bits: u32,
    );

    /// The largest 8-bit elements of a window.
    ///
    /// # Safety
    ///
    /// What the window points to is there.
    unsafe fn max_i8(&mut self, window: &Windowed);

    /// The largest 16-bit elements of a window.
    ///
    /// # Safety
    ///
    /// As for [`Self::max_i8`].
    unsafe fn max_i16(&mut self, window: &Windowed);

    /// The means of 8-bit elements of a window.
    ///
    /// # Safety
    ///
    /// As for [`Self::max_i8`].
    unsafe fn mean_i8(&mut self, window: &Windowed, mean: &Mean);

    /// The means of 16-bit elements of a window.
    ///
    /// # Safety
    ///
    /// As for [`Self::max_i8`].
    unsafe fn mean_i16(&mut self, window: &Windowed, mean: &Mean);

    /// Sums a column of 8-bit elements into its lanes.
    ///
    /// # Safety
    ///
    /// What the column points to is there. A kernel may read whole vectors of which only a part counts.
    unsafe fn sum_i8(&mut self, column: &mut Column);

    /// Sums a column of 16-bit elements into its lanes.
    ///
    /// # Safety
    ///
    /// As for [`Self::sum_i8`].
    unsafe fn sum_i16(&mut self, column: &mut Column);
}

/// What an operation is for the unit.
pub(crate) struct Scales {
    pub(crate) kernel: Combine,
    pub(crate) shift: u32,
    pub(crate) factors: [i16; 2],
    pub(crate) rounding: [i16; 2],
}

impl Scales {
    /// Of an operation over elements of `bits`; `None` if they are too large for the unit.
    pub(crate) fn new(operation: Operation, shift: i32, left: [u32; 2], bits: u32) -> Option<Self> {
        let most = bits - 2;
        let power = |log: u32| (log <= most).then(|| 1i16 << log);
        let up = shift.min(0).unsigned_abs();
        let shift = shift.max(0).unsigned_abs();
        let rounding = match shift.checked_sub(1) {
            None => [0, 0],
            Some(log) => {
                let first = log.min(most);
                [power(first)?, power(log - first)?]
            }
        };
        let factor = |left: u32| power(left.checked_add(up)?);
        let [a, b] = left;
        let (kernel, factors) = match operation {
            Operation::Add => (Combine::Sum, [factor(a)?, factor(b)?]),
            Operation::Sub => (Combine::Sum, [factor(a)?, -factor(b)?]),
            Operation::Mul if up == 0 => (Combine::Product, [1, 1]),
            Operation::Mul => return None,
            Operation::Max => (Combine::Largest, [factor(a)?, factor(b)?]),
            Operation::Min => (Combine::Smallest, [factor(a)?, factor(b)?]),
        };
        Some(Self {
            kernel,
            shift,
            factors,
            rounding,
        })
    }
}

/// Where an operand is, and how many elements it has.
#[derive(Clone, Copy)]
pub(crate) struct Operand {
    pub(crate) from: *const u8,
    pub(crate) period: usize,
}

/// Room for a repeated operand laid out in a row.
#[repr(C, align(16))]
pub(crate) struct Laid([u8; ROOM]);

impl Operand {
    /// Lays it out in `room`; how many elements there are then: a multiple of its own and of a vector's.
    pub(crate) fn lay(self, room: *mut u8, width: usize) -> Option<usize> {
        let mut together = self.period;
        while !(together * width).is_multiple_of(VECTOR) {
            together = together.checked_mul(2)?;
        }
        let row = (ROOM / width).checked_div(together)? * together;
        let (mut from, mut laid) = (self.from, 0);
        let mut count = self.period;
        while laid < row {
            count = count.min(row - laid);
            let place = room.wrapping_add(laid * width);
            // SAFETY: the operand is there, the room has a whole row, and what is copied of it was
            // written before.
            unsafe { place.copy_from_nonoverlapping(from, count * width) };
            // Twice as much each time: a single element would take a call for each byte.
            (laid, from) = (laid + count, room.cast_const());
            count = laid;
        }
        (row > 0).then_some(row)
    }
}

/// Does the whole task, or nothing and answers `None`.
pub(crate) fn combine<T: Element>(
    task: &Combination<'_, T>,
    output: &mut [T],
    mut call: impl FnMut(Combine, &Stretch),
) -> Option<()> {
    let (binary, width) = (task.binary, size_of::<T>());
    let scales = Scales::new(
        binary.operation,
        binary.shift,
        binary.left,
        8 * width as u32,
    )?;
    let (own, length) = (output.as_mut_ptr().cast::<u8>(), output.len());
    let operand = |part: &Part<'_, T>| {
        let from = match part.values {
            Some(values) => values.get(..part.period)?.as_ptr().cast(),
            None if part.period < length => return None,
            None => own.cast_const(),
        };
        let period = part.period;
        Some(Operand { from, period })
    };
    let operands = [operand(task.a)?, operand(task.b)?];
    let limits = [binary.limits.low.into(), binary.limits.high.into()];
    let whole = stretches(&scales, operands, (own, length), width, limits, &mut call)?;
    let rest = output.iter_mut().enumerate().skip(whole);
    for (at, y) in rest {
        let of = |part: &Part<'_, T>| match part.values {
            Some(values) => values.get(at % part.period).copied(),
            None => Some(*y),
        };
        *y = task.binary.apply(of(task.a)?, of(task.b)?);
    }
    Some(())
}

/// Does as many of a result's elements, `width` bytes each, as make whole vectors: how many that are.
// Once for both widths, and by itself: it is large.
#[inline(never)]
fn stretches(
    scales: &Scales,
    [a, b]: [Operand; 2],
    (own, length): (*mut u8, usize),
    width: usize,
    limits: [i16; 2],
    call: &mut dyn FnMut(Combine, &Stretch),
) -> Option<usize> {
    let count = VECTOR / width;
    let whole = length - length % count;
    let mut room = MaybeUninit::<Laid>::uninit();
    let room = room.as_mut_ptr().cast::<u8>();
    let (mut first, mut second) = (a.from, b.from);
    let row = match (a.period < length, b.period < length) {
        (false, false) => whole,
        (false, true) => {
            second = room;
            b.lay(room, width)?
        }
        (true, false) => {
            first = room;
            a.lay(room, width)?
        }
        (true, true) => return None,
    };
    let addresses = first.addr() | second.addr() | own.addr();
    (whole > 0 && addresses.is_multiple_of(VECTOR)).then_some(())?;
    let along = |operand: Operand, from: *const u8, at: usize| match operand.period < length {
        true => from,
        false => from.wrapping_add(at * width),
    };
    for at in (0..whole).step_by(row) {
        let stretch = Stretch {
            a: along(a, first, at),
            b: along(b, second, at),
            y: own.wrapping_add(at * width),
            vectors: (row.min(whole - at) / count) as u32,
            shift: scales.shift,
            factors: scales.factors,
            rounding: scales.rounding,
            limits,
        };
        call(scales.kernel, &stretch);
    }
    Some(whole)
}

/// A table of 256 entries, two words each.
pub type Spread = Aligned<512>;

/// Elements for which it doesn't pay to spread a table.
const FEW: usize = 64;

/// A lookup of whole vectors, and the rest of it; nothing and `None` if something lies elsewhere than at
/// multiples of 16.
pub(crate) fn lookup(
    input: Option<&[i8]>,
    table: &[i8],
    output: &mut [i8],
    mut call: impl FnMut(*const i8, *const i8, *mut i8, u32, *mut Spread),
) -> Option<()> {
    let table = table.first_chunk::<256>()?;
    let y = output.as_mut_ptr();
    let x = match input {
        Some(input) => input.get(..output.len())?.as_ptr(),
        None => y.cast_const(),
    };
    if !(x.addr() | y.addr() | table.as_ptr().addr()).is_multiple_of(VECTOR) {
        return None;
    }
    let vectors = match output.len() {
        ..FEW => 0,
        length => length / VECTOR,
    };
    if vectors > 0 {
        let mut room = MaybeUninit::<Spread>::uninit();
        call(x, table.as_ptr(), y, vectors as u32, room.as_mut_ptr());
    }
    for (at, y) in output.iter_mut().enumerate().skip(VECTOR * vectors) {
        let x = input.map_or(*y, |input| input[at]);
        *y = table[usize::from(x as u8 ^ 0x80)];
    }
    Some(())
}

/// A lookup between entries; nothing and `None` if the table or an operand is too short.
pub(crate) fn interpolate(
    input: Option<&[i16]>,
    table: &[i16],
    step_bits: u32,
    output: &mut [i16],
    mut call: impl FnMut(*const i16, *const i16, *mut i16, u32),
) -> Option<()> {
    let table = table.get(..entries(16, step_bits))?;
    let count = u32::try_from(output.len()).ok()?;
    let y = output.as_mut_ptr();
    let x = match input {
        Some(input) => input.get(..output.len())?.as_ptr(),
        None => y.cast_const(),
    };
    call(x, table.as_ptr(), y, count);
    Some(())
}
