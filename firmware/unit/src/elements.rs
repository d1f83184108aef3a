//! Which kernel of `firmware/asm/elements.S` and `means.S` does which stretch.

use fixpoint_vector::{Column, Combine, ElementUnit, Mean, Spread, Stretch, Windowed};

use crate::Pie;

// SAFETY: assembly, call0 ABI, matching signatures; what a stretch must be is said in `fixpoint_vector`.
unsafe extern "C" {
    fn fixpoint_sum_i8(stretch: *const Stretch);
    fn fixpoint_sum_i16(stretch: *const Stretch);
    fn fixpoint_product_i8(stretch: *const Stretch);
    fn fixpoint_product_i16(stretch: *const Stretch);
    fn fixpoint_extreme_i8(stretch: *const Stretch, smallest: bool);
    fn fixpoint_extreme_i16(stretch: *const Stretch, smallest: bool);
    fn fixpoint_max_i8(window: *const Windowed);
    fn fixpoint_max_i16(window: *const Windowed);
    fn fixpoint_mean_i8(window: *const Windowed, mean: *const Mean);
    fn fixpoint_mean_i16(window: *const Windowed, mean: *const Mean);
    fn fixpoint_lookup_i8(
        x: *const i8,
        table: *const i8,
        y: *mut i8,
        count: u32,
        room: *mut Spread,
    );
    fn fixpoint_lookup_i16(
        x: *const i16,
        table: *const i16,
        y: *mut i16,
        count: u32,
        step_bits: u32,
    );
    fn fixpoint_pixels_i8(column: *mut Column);
    fn fixpoint_pixels_i16(column: *mut Column);
}

impl ElementUnit for Pie {
    unsafe fn combine_i8(&mut self, kernel: Combine, stretch: &Stretch) {
        // SAFETY: the caller's promise.
        unsafe {
            match kernel {
                Combine::Sum => fixpoint_sum_i8(stretch),
                Combine::Product => fixpoint_product_i8(stretch),
                Combine::Largest => fixpoint_extreme_i8(stretch, false),
                Combine::Smallest => fixpoint_extreme_i8(stretch, true),
            }
        }
    }

    unsafe fn combine_i16(&mut self, kernel: Combine, stretch: &Stretch) {
        // SAFETY: the caller's promise.
        unsafe {
            match kernel {
                Combine::Sum => fixpoint_sum_i16(stretch),
                Combine::Product => fixpoint_product_i16(stretch),
                Combine::Largest => fixpoint_extreme_i16(stretch, false),
                Combine::Smallest => fixpoint_extreme_i16(stretch, true),
            }
        }
    }

    unsafe fn max_i8(&mut self, window: &Windowed) {
        // SAFETY: the caller's promise.
        unsafe { fixpoint_max_i8(window) }
    }

    unsafe fn max_i16(&mut self, window: &Windowed) {
        // SAFETY: the caller's promise.
        unsafe { fixpoint_max_i16(window) }
    }

    unsafe fn mean_i8(&mut self, window: &Windowed, mean: &Mean) {
        // SAFETY: the caller's promise.
        unsafe { fixpoint_mean_i8(window, mean) }
    }

    unsafe fn mean_i16(&mut self, window: &Windowed, mean: &Mean) {
        // SAFETY: the caller's promise.
        unsafe { fixpoint_mean_i16(window, mean) }
    }

    unsafe fn lookup_i8(
        &mut self,
        x: *const i8,
        table: *const i8,
        y: *mut i8,
        vectors: u32,
        room: *mut Spread,
    ) {
        // SAFETY: the caller's promise.
        unsafe { fixpoint_lookup_i8(x, table, y, vectors, room) }
    }

    unsafe fn lookup_i16(
        &mut self,
        x: *const i16,
        table: *const i16,
        y: *mut i16,
        count: u32,
        step_bits: u32,
    ) {
        // SAFETY: the caller's promise.
        unsafe { fixpoint_lookup_i16(x, table, y, count, step_bits) }
    }

    unsafe fn sum_i8(&mut self, column: &mut Column) {
        // SAFETY: the caller's promise.
        unsafe { fixpoint_pixels_i8(column) }
    }

    unsafe fn sum_i16(&mut self, column: &mut Column) {
        // SAFETY: the caller's promise.
        unsafe { fixpoint_pixels_i16(column) }
    }
}
