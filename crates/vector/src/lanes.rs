//! What the two element types mean to the unit.

use fixpoint_kernels::Element;

use crate::unit::{Kernel, Run, Unit};

/// Bytes of a vector register.
pub(crate) const VECTOR: usize = 16;

/// An element type of the unit.
pub(crate) trait Lanes: Element {
    /// Elements of a vector, and accumulator lanes.
    const COUNT: usize = VECTOR / size_of::<Self>();
    /// Bits of a lane.
    const BITS: u32;

    /// The element as the fields of a [`Run`] hold it.
    fn wide(self) -> i16 {
        self.into()
    }

    /// Calls the kernel for this type.
    ///
    /// # Safety
    ///
    /// As [`Unit`] says.
    unsafe fn call(unit: &mut impl Unit, kernel: Kernel, run: &Run);
}

impl Lanes for i8 {
    const BITS: u32 = 20;

    unsafe fn call(unit: &mut impl Unit, kernel: Kernel, run: &Run) {
        // SAFETY: the caller's promise.
        unsafe { unit.run_i8(kernel, run) }
    }
}

impl Lanes for i16 {
    const BITS: u32 = 40;

    unsafe fn call(unit: &mut impl Unit, kernel: Kernel, run: &Run) {
        // SAFETY: the caller's promise.
        unsafe { unit.run_i16(kernel, run) }
    }
}
