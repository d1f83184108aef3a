//! Pooling over windows.

use crate::linear::{Direction, each_spot};
use crate::number::Element;
use crate::shape::{Hwc, Window};

/// Channels that are pooled side by side.
const LANES: usize = 16;

/// Largest element of each window. The padding takes no part; a window with nothing but padding
/// gives the smallest value.
///
/// # Panics
///
/// If a slice is shorter than its shape says.
pub fn max_pool<T: Element>(input: &[T], shape: Hwc, window: &Window, output: &mut [T], out: Hwc) {
    let channels = shape.c as usize;
    each_spot(window, Direction::Forward, shape, out, &mut |at, spot| {
        let pixel = &mut output[at * channels..][..channels];
        pixel.fill(T::MIN);
        spot.each(|_, position| {
            let x = &input[position * channels..][..channels];
            for (y, x) in pixel.iter_mut().zip(x) {
                *y = (*y).max(*x);
            }
        });
    });
}

/// Means: `mean(sum, count)` of each window, where `count` is the window's area if
/// `count_include_pad` and else the number of elements inside the input; 0 where that is 0.
///
/// Windows have at most 65536 elements.
///
/// # Panics
///
/// If a slice is shorter than its shape says.
pub fn average_pool<T: Element>(
    input: &[T],
    shape: Hwc,
    window: &Window,
    count_include_pad: bool,
    output: &mut [T],
    out: Hwc,
    mean: impl Fn(i32, u32) -> T,
) {
    let channels = shape.c as usize;
    let area = u32::from(window.kernel_h) * u32::from(window.kernel_w);
    each_spot(window, Direction::Forward, shape, out, &mut |at, spot| {
        let pixel = &mut output[at * channels..][..channels];
        for (block, lanes) in pixel.chunks_mut(LANES).enumerate() {
            let mut sums = [0i32; LANES];
            let mut inside = 0;
            spot.each(|_, position| {
                inside += 1;
                let x = &input[position * channels + block * LANES..][..lanes.len()];
                for (sum, x) in sums.iter_mut().zip(x) {
                    *sum = sum.wrapping_add((*x).into());
                }
            });
            let count = if count_include_pad { area } else { inside };
            for (y, sum) in lanes.iter_mut().zip(sums) {
                *y = if count == 0 {
                    T::default()
                } else {
                    mean(sum, count)
                };
            }
        }
    });
}

/// [`average_pool`] over all rows and columns at once; `output` has `shape.c` elements.
/// `sum(first, sums)` gives the sums of some channels from `first` on, as [`sum_pixels`] does.
pub fn global_average_pool<T: Element>(
    shape: Hwc,
    output: &mut [T],
    mut sum: impl FnMut(usize, &mut [i32]),
    mean: impl Fn(i32, u32) -> T,
) {
    let count = shape.h * shape.w;
    for (block, lanes) in output.chunks_mut(LANES).enumerate() {
        let mut sums = [0i32; LANES];
        let sums = &mut sums[..lanes.len()];
        sum(block * LANES, sums);
        for (y, sum) in lanes.iter_mut().zip(sums) {
            *y = mean(*sum, count);
        }
    }
}

/// The sums over all pixels of some channels, of which `first` is the first.
///
/// # Panics
///
/// If there are fewer `channels`.
pub fn sum_pixels<T: Element>(input: &[T], channels: usize, first: usize, sums: &mut [i32]) {
    sums.fill(0);
    for pixel in input.chunks_exact(channels) {
        for (sum, x) in sums.iter_mut().zip(&pixel[first..]) {
            *sum = sum.wrapping_add((*x).into());
        }
    }
}
