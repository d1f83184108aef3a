//! The vector unit of the ESP32-S3: which kernel of `firmware/asm` does which run.
#![no_std]

mod elements;

use fixpoint_runtime::format::Element;
use fixpoint_vector::{Kernel, Run, Unit, Vector};

// SAFETY: assembly, call0 ABI, matching signatures; what a run must be is said in `fixpoint_vector`.
unsafe extern "C" {
    fn fixpoint_unit_on();
    fn fixpoint_point_i8(run: *mut Run);
    fn fixpoint_point_i16(run: *mut Run);
    fn fixpoint_point_halves(run: *mut Run);
    fn fixpoint_point_eights(run: *mut Run);
    fn fixpoint_aligned_i8(run: *mut Run);
    fn fixpoint_aligned_i16(run: *mut Run);
    fn fixpoint_unaligned_i8(run: *mut Run);
    fn fixpoint_unaligned_i16(run: *mut Run);
    fn fixpoint_nines(run: *mut Run);
    fn fixpoint_aligned_split(run: *mut Run);
    fn fixpoint_unaligned_split(run: *mut Run);
    fn fixpoint_depthwise_3x3_i8(run: *mut Run);
    fn fixpoint_depthwise_3x3_i16(run: *mut Run);
    fn fixpoint_depthwise_aligned_i8(run: *mut Run);
    fn fixpoint_depthwise_aligned_i16(run: *mut Run);
    fn fixpoint_depthwise_unaligned_i8(run: *mut Run);
    fn fixpoint_depthwise_unaligned_i16(run: *mut Run);
    fn fixpoint_depthwise_split(run: *mut Run);
    fn fixpoint_depthwise_3x3_halves_i8(run: *mut Run);
    fn fixpoint_depthwise_3x3_halves_i16(run: *mut Run);
    fn fixpoint_depthwise_3x3_any(run: *mut Run);
    fn fixpoint_depthwise_3x3_padded_i8(run: *mut Run);
    fn fixpoint_depthwise_3x3_padded_i16(run: *mut Run);
    fn fixpoint_depthwise_fives_i8(run: *mut Run);
    fn fixpoint_depthwise_fives_i16(run: *mut Run);
    fn fixpoint_dots(run: *mut Run);
    fn fixpoint_clear(to: *mut u8, vectors: u32);
}

/// The unit, switched on.
#[derive(Clone, Copy, Debug)]
pub struct Pie(());

impl Pie {
    /// The accelerator over it. For a core that has such a unit.
    pub fn accelerator() -> Vector<Self> {
        Vector(Self::on())
    }

    /// Switches it on, for a core that has such a unit.
    pub fn on() -> Self {
        // SAFETY: lets this core execute vector instructions, nothing else.
        unsafe { fixpoint_unit_on() };
        Self(())
    }
}

impl Unit for Pie {
    unsafe fn run(&mut self, element: Element, kernel: Kernel, run: &mut Run) {
        use Element::{I8, I16};
        let call = match (kernel, element) {
            (Kernel::Point, I8) => fixpoint_point_i8,
            (Kernel::Point, I16) => fixpoint_point_i16,
            (Kernel::PointHalves, _) => fixpoint_point_halves,
            (Kernel::PointEights, _) => fixpoint_point_eights,
            (Kernel::Aligned, I8) => fixpoint_aligned_i8,
            (Kernel::Aligned, I16) => fixpoint_aligned_i16,
            (Kernel::Unaligned, I8) => fixpoint_unaligned_i8,
            (Kernel::Unaligned, I16) => fixpoint_unaligned_i16,
            (Kernel::Nines, _) => fixpoint_nines,
            (Kernel::AlignedSplit, _) => fixpoint_aligned_split,
            (Kernel::UnalignedSplit, _) => fixpoint_unaligned_split,
            (Kernel::Depthwise3x3, I8) => fixpoint_depthwise_3x3_i8,
            (Kernel::Depthwise3x3, I16) => fixpoint_depthwise_3x3_i16,
            (Kernel::Depthwise3x3Padded, I8) => fixpoint_depthwise_3x3_padded_i8,
            (Kernel::Depthwise3x3Padded, I16) => fixpoint_depthwise_3x3_padded_i16,
            (Kernel::Depthwise3x3Any, _) => fixpoint_depthwise_3x3_any,
            (Kernel::Depthwise3x3Halves, I8) => fixpoint_depthwise_3x3_halves_i8,
            (Kernel::Depthwise3x3Halves, I16) => fixpoint_depthwise_3x3_halves_i16,
            (Kernel::DepthwiseFives, I8) => fixpoint_depthwise_fives_i8,
            (Kernel::DepthwiseFives, I16) => fixpoint_depthwise_fives_i16,
            (Kernel::DepthwiseAligned, I8) => fixpoint_depthwise_aligned_i8,
            (Kernel::DepthwiseAligned, I16) => fixpoint_depthwise_aligned_i16,
            (Kernel::DepthwiseUnaligned, I8) => fixpoint_depthwise_unaligned_i8,
            (Kernel::DepthwiseUnaligned, I16) => fixpoint_depthwise_unaligned_i16,
            (Kernel::DepthwiseSplit, _) => fixpoint_depthwise_split,
            (Kernel::Dots, _) => fixpoint_dots,
        };
        // SAFETY: the caller's promise.
        unsafe { call(run) }
    }

    unsafe fn clear(&mut self, to: *mut u8, vectors: u32) {
        // SAFETY: the caller's promise.
        unsafe { fixpoint_clear(to, vectors) }
    }
}
