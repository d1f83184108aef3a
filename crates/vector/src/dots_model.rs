//! The kernel whose lanes are input channels, in portable code.

use fixpoint_kernels::Element;

use crate::convolution::dots::PART;
use crate::record::VECTOR;
use crate::unit::Run;

/// Bits of the accumulator.
const BITS: u32 = 40;

/// [`crate::Kernel::Dots`].
///
/// # Safety
///
/// As [`crate::Unit`] says.
pub(crate) unsafe fn dots<T: Element>(run: &Run) {
    let parts = run.pieces as usize * PART;
    let vectors = parts + run.vectors as usize;
    for pixel in 0..run.pixels as usize {
        let x = (run.x).wrapping_offset(run.x_step as isize * pixel as isize);
        let y = (run.y).wrapping_offset(run.y_step as isize * pixel as isize);
        for channel in 0..run.lanes as usize {
            let record = (run.record).wrapping_add(channel * (1 + vectors) * VECTOR);
            // SAFETY: the caller's promise, for all of it.
            unsafe {
                let mut sum = record.cast::<i64>().read() << (64 - BITS) >> (64 - BITS);
                for vector in 0..vectors {
                    let mut at = vector * VECTOR;
                    let weights = record.add(VECTOR + at);
                    if vector >= parts {
                        at += run.x_group as usize;
                        at -= parts * VECTOR;
                    }
                    sum = add::<T>(sum, x.add(at), weights);
                }
                let [shift, too_much] = record.add(size_of::<i64>()).cast::<[u32; 2]>().read();
                let result = (sum >> (shift & 63)).min(i32::MAX.into()) - i64::from(too_much);
                y.cast::<T>().add(channel).write(T::saturate(result));
            }
        }
    }
}

/// A sum and a vector's products, saturated once.
///
/// # Safety
///
/// The vectors are there.
unsafe fn add<T: Element>(sum: i64, x: *const u8, weights: *const u8) -> i64 {
    let products = (0..VECTOR / size_of::<T>()).map(|lane| {
        // SAFETY: the caller's promise.
        let factors = unsafe { [x, weights].map(|from| from.cast::<T>().add(lane).read()) };
        let [x, weight]: [i64; 2] = factors.map(Into::into);
        x * weight
    });
    let most = 1 << (BITS - 1);
    (sum + products.sum::<i64>()).clamp(-most, most - 1)
}
