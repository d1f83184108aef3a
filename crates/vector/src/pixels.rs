//! Pixel after pixel, channel by channel: sums, as for global average pooling, windows, and their largest
//! elements.

use core::mem::MaybeUninit;

use fixpoint_kernels::linear::Line;
use fixpoint_kernels::{Element, Hwc, Window};
use fixpoint_runtime::accelerator::Pooling;

use crate::segments::Cut;

/// Bytes of a vector.
const VECTOR: usize = 16;
/// Most pixels of bytes, so that a sum stays within 20 bits: `4095 * 2^7 < 2^19`.
const MOST_NARROW: usize = 4095;

/// What a kernel in assembly is given: a vector's channels, pixel after pixel; as for [`crate::Run`],
/// the offsets are part of the contract.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub struct Column {
    /// 0: where the lanes go, in the form of an image of them (see `crate::record`).
    pub lanes: [u8; 48],
    /// 48: the first pixel's elements, anywhere.
    pub x: *const u8,
    /// 52: bytes from one pixel to the next.
    pub step: u32,
    /// 56: at least one.
    pub pixels: u32,
    /// 60: 1.
    pub one: u32,
    /// 64: elements of the vector that count; the others may be anything.
    pub count: u32,
}

/// Does the whole task, or nothing and answers `None`.
pub(crate) fn sum<T: Element>(
    input: &[T],
    channels: usize,
    first: usize,
    sums: &mut [i32],
    mut call: impl FnMut(&mut Column),
) -> Option<()> {
    let width = size_of::<T>();
    let pixels = input.len().checked_div(channels)?;
    if pixels == 0 || (width == 1 && pixels > MOST_NARROW) || first + sums.len() > channels {
        return None;
    }
    let lanes = VECTOR / width;
    for (at, sums) in sums.chunks_mut(lanes).enumerate() {
        let mut column = Column {
            lanes: [0; 48],
            x: input.get(first + at * lanes..)?.as_ptr().cast(),
            step: u32::try_from(channels * width).ok()?,
            pixels: u32::try_from(pixels).ok()?,
            one: 1,
            count: sums.len() as u32,
        };
        call(&mut column);
        let found = unpack(&column.lanes, width);
        for (sum, found) in sums.iter_mut().zip(found) {
            *sum = found;
        }
    }
    Some(())
}

/// What a kernel in assembly is given: neighbouring windows of a row with the same taps inside the input;
/// the offsets are part of the contract.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Windowed {
    /// 0: the first window's first tap.
    pub x: *const u8,
    /// 4: where its results go.
    pub y: *mut u8,
    /// 8: vectors of a pixel, at least one; the last may be part of one.
    pub vectors: u32,
    /// 12: taps in a row, and the bytes between them.
    pub columns: u32,
    /// 16
    pub column_step: u32,
    /// 20: rows, and the bytes between them.
    pub rows: u32,
    /// 24
    pub row_step: u32,
    /// 28: windows, and the bytes between them.
    pub windows: u32,
    /// 32
    pub x_step: u32,
    /// 36: elements of the last vector.
    pub last: u32,
    /// 40: their bytes.
    pub last_bytes: u32,
    /// 44: 1 if all vectors are whole and at multiples of 16, or 0.
    pub aligned: u32,
}

/// Does the whole task, or nothing and answers `None`: where a window lies in the padding alone.
pub(crate) fn max_pool<T: Element>(
    task: &Pooling<'_, T>,
    output: &mut [T],
    mut call: impl FnMut(&Windowed),
) -> Option<()> {
    windows(task, output, &mut call)
}

/// All windows of a task, or none and `None`: where a window lies in the padding alone.
pub(crate) fn windows<T: Element>(
    task: &Pooling<'_, T>,
    output: &mut [T],
    call: &mut dyn FnMut(&Windowed),
) -> Option<()> {
    let [shape, out] = [task.shape, task.out];
    let fits = shape.checked_len()? as usize <= task.input.len()
        && out.checked_len()? as usize <= output.len();
    fits.then_some(())?;
    let x = task.input.as_ptr().cast();
    let y = output.as_mut_ptr().cast();
    each_window(shape, task.window, out, size_of::<T>(), (x, y), call)
}

/// All windows, of elements of `width` bytes, from and to these places.
// Once, and by itself: it is large.
#[inline(never)]
fn each_window(
    shape: Hwc,
    window: &Window,
    out: Hwc,
    width: usize,
    (x, y): (*const u8, *mut u8),
    call: &mut dyn FnMut(&Windowed),
) -> Option<()> {
    let (h, w, channels) = (shape.h as usize, shape.w as usize, shape.c as usize);
    let slides = window.output(shape.h, shape.w) == Some((out.h, out.w));
    (slides && channels > 0 && shape.c == out.c).then_some(())?;
    let (mut rows, mut columns) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    let rows = Cut::set(&mut rows, Line::rows(window), h, &(0..out.h));
    let columns = Cut::set(&mut columns, Line::columns(window), w, &(0..out.w));
    // Every window before the first: nothing may be half done.
    let mut empty = false;
    for cut in [rows, columns] {
        cut.each(|segment| empty |= segment.taps == 0);
    }
    (!empty).then_some(())?;
    let pixel = channels * width;
    let last_bytes = (pixel - 1) % VECTOR + 1;
    let mut windows = Windowed {
        x,
        y,
        vectors: pixel.div_ceil(VECTOR) as u32,
        columns: 0,
        column_step: (usize::from(window.dilation_w) * pixel) as u32,
        rows: 0,
        row_step: (usize::from(window.dilation_h) * w * pixel) as u32,
        windows: 0,
        x_step: (usize::from(window.stride_w) * pixel) as u32,
        last: (last_bytes / width) as u32,
        last_bytes: last_bytes as u32,
        aligned: (pixel | x.addr() | y.addr()).is_multiple_of(VECTOR).into(),
    };
    rows.each(|rows| {
        windows.rows = rows.taps as u32;
        for at in 0..rows.count {
            let row = rows.input + at * usize::from(window.stride_h);
            columns.each(|columns| {
                windows.columns = columns.taps as u32;
                windows.windows = columns.count as u32;
                windows.x = x.wrapping_add((row * w + columns.input) * pixel);
                call(&windows);
                windows.y = windows.y.wrapping_add(columns.count * pixel);
            });
        }
    });
    Some(())
}

/// Lanes of 20 bits, of which sixteen count, or of 40, of which the low half of eight does.
fn unpack(image: &[u8; 48], width: usize) -> [i32; 16] {
    let mut found = [0; 16];
    let mut at = 0;
    for half in 0..2 {
        let mut bytes = [0; 20];
        bytes[..16].copy_from_slice(&image[16 * half..][..16]);
        bytes[16..].copy_from_slice(&image[32 + 4 * half..][..4]);
        let (groups, _) = bytes.as_chunks::<5>();
        for group in groups {
            let [a, b, c, d, e] = *group;
            if width == 1 {
                // Twenty bits each, brought to the top to have their sign.
                let low = i32::from_le_bytes([0, a, b, c]) << 4 >> 12;
                let high = i32::from_le_bytes([0, c, d, e]) >> 12;
                (found[at], found[at + 1]) = (low, high);
                at += 2;
            } else {
                found[at] = i32::from_le_bytes([a, b, c, d]);
                at += 1;
            }
        }
    }
    found
}

/// The image that [`unpack`] takes apart.
#[cfg(any(test, feature = "model"))]
pub(crate) fn packed(lanes: &[i64; 16], width: usize) -> [u8; 48] {
    let bits = |lane: i64, width: u32| lane as u64 & ((1 << width) - 1);
    crate::image::image_of(&core::array::from_fn(|at| match width {
        1 => bits(lanes[2 * at], 20) | bits(lanes[2 * at + 1], 20) << 20,
        _ => bits(lanes[at], 40),
    }))
}

#[cfg(test)]
mod tests {
    use super::{packed, unpack};

    #[test]
    fn lanes_come_out_as_they_were_put_in() {
        let narrow: [i64; 16] = core::array::from_fn(|i| (i as i64 - 8) * 60_001);
        assert_eq!(unpack(&packed(&narrow, 1), 1).map(i64::from), narrow);
        let mut wide = [0; 16];
        for (i, lane) in wide.iter_mut().enumerate().take(8) {
            *lane = (i as i64 - 4) * 500_000_001;
        }
        assert_eq!(unpack(&packed(&wide, 2), 2).map(i64::from), wide);
    }
}
