//! The vector unit of the ESP32-S3: which kernel of `firmware/asm/convolution.S` does which run.
#![no_std]

use fixpoint_vector::{Kernel, Run, Unit, Vector};

// SAFETY: assembly, call0 ABI, matching signatures; what a run must be is said in `fixpoint_vector`.
unsafe extern "C" {
    fn fixpoint_unit_on();
    fn fixpoint_point_i8(run: *const Run);
    fn fixpoint_point_i16(run: *const Run);
    fn fixpoint_aligned_i8(run: *const Run);
    fn fixpoint_aligned_i16(run: *const Run);
    fn fixpoint_unaligned_i8(run: *const Run);
    fn fixpoint_unaligned_i16(run: *const Run);
    fn fixpoint_depthwise_3x3_i8(run: *const Run);
    fn fixpoint_depthwise_3x3_i16(run: *const Run);
    fn fixpoint_depthwise_aligned_i8(run: *const Run);
    fn fixpoint_depthwise_aligned_i16(run: *const Run);
    fn fixpoint_depthwise_unaligned_i8(run: *const Run);
    fn fixpoint_depthwise_unaligned_i16(run: *const Run);
}

/// The unit, switched on.
#[derive(Clone, Copy, Debug)]
pub struct Pie(());

impl Pie {
    /// The accelerator over it. For a core that has such a unit.
    pub fn accelerator() -> Vector<Self> {
        // SAFETY: lets this core execute vector instructions, nothing else.
        unsafe { fixpoint_unit_on() };
        Vector(Self(()))
    }
}

impl Unit for Pie {
    unsafe fn run_i8(&mut self, kernel: Kernel, run: &Run) {
        let call = match kernel {
            Kernel::Point => fixpoint_point_i8,
            Kernel::Aligned => fixpoint_aligned_i8,
            Kernel::Unaligned => fixpoint_unaligned_i8,
            Kernel::Depthwise3x3 => fixpoint_depthwise_3x3_i8,
            Kernel::DepthwiseAligned => fixpoint_depthwise_aligned_i8,
            Kernel::DepthwiseUnaligned => fixpoint_depthwise_unaligned_i8,
        };
        // SAFETY: the caller's promise.
        unsafe { call(run) }
    }

    unsafe fn run_i16(&mut self, kernel: Kernel, run: &Run) {
        let call = match kernel {
            Kernel::Point => fixpoint_point_i16,
            Kernel::Aligned => fixpoint_aligned_i16,
            Kernel::Unaligned => fixpoint_unaligned_i16,
            Kernel::Depthwise3x3 => fixpoint_depthwise_3x3_i16,
            Kernel::DepthwiseAligned => fixpoint_depthwise_aligned_i16,
            Kernel::DepthwiseUnaligned => fixpoint_depthwise_unaligned_i16,
        };
        // SAFETY: the caller's promise.
        unsafe { call(run) }
    }
}
