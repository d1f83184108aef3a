//! Pixel after pixel, channel by channel: sums, as for global average pooling, and the largest elements
//! of windows.

use fixpoint_kernels::Element;
use fixpoint_runtime::accelerator::Pooling;

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

/// What a kernel in assembly is given: the taps of one window that lie inside the input, of all channels;
/// the offsets are part of the contract.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Windowed {
    /// 0: the first tap's elements, at a multiple of 16 like all that follows.
    pub x: *const u8,
    /// 4: where the results go.
    pub y: *mut u8,
    /// 8: vectors of a pixel, at least one.
    pub vectors: u32,
    /// 12: taps in a row, and the bytes between them.
    pub columns: u32,
    /// 16
    pub column_step: u32,
    /// 20: rows, and the bytes between them.
    pub rows: u32,
    /// 24
    pub row_step: u32,
}

/// Taps along one axis of an output position: the first that lies inside, how many do, and where the
/// first is.
fn taps(at: usize, size: u32, [kernel, stride, dilation, pad]: [u16; 4]) -> Option<(usize, usize)> {
    let (size, dilation) = (size as usize, usize::from(dilation));
    let start = at * usize::from(stride);
    let outside = usize::from(pad).saturating_sub(start).div_ceil(dilation);
    let first = (start + outside * dilation).checked_sub(pad.into())?;
    let inside = size.checked_sub(first)?.div_ceil(dilation);
    let count = inside.min(usize::from(kernel).checked_sub(outside)?);
    (count > 0).then_some((first, count))
}

/// Does the whole task, or nothing and answers `None`: where a pixel is not whole vectors, or a window
/// lies in the padding alone.
pub(crate) fn max_pool<T: Element>(
    task: &Pooling<'_, T>,
    output: &mut [T],
    mut call: impl FnMut(&Windowed),
) -> Option<()> {
    let Pooling {
        input,
        shape,
        window,
        out,
    } = *task;
    let channels = shape.c as usize;
    let pixel = channels * size_of::<T>();
    let addresses = input.as_ptr().addr() | output.as_ptr().addr();
    if channels == 0 || !(pixel | addresses).is_multiple_of(VECTOR) {
        return None;
    }
    let (w, out_w) = (shape.w as usize, out.w as usize);
    let down = |at: usize| {
        let axis = [
            window.kernel_h,
            window.stride_h,
            window.dilation_h,
            window.pad_top,
        ];
        taps(at, shape.h, axis)
    };
    let across = |at: usize| {
        let axis = [
            window.kernel_w,
            window.stride_w,
            window.dilation_w,
            window.pad_left,
        ];
        taps(at, shape.w, axis)
    };
    // Every window before the first: nothing may be half done.
    let empty = |taps: Option<_>| taps.is_none();
    if (0..out.h as usize).any(|at| empty(down(at))) || (0..out_w).any(|at| empty(across(at))) {
        return None;
    }
    let (from, to) = (input.as_ptr(), output.as_mut_ptr());
    for oy in 0..out.h as usize {
        let (top, rows) = down(oy)?;
        for ox in 0..out_w {
            let (left, columns) = across(ox)?;
            call(&Windowed {
                x: from.wrapping_add((top * w + left) * channels).cast(),
                y: to.wrapping_add((oy * out_w + ox) * channels).cast(),
                vectors: (pixel / VECTOR) as u32,
                columns: columns as u32,
                column_step: (usize::from(window.dilation_w) * pixel) as u32,
                rows: rows as u32,
                row_step: (usize::from(window.dilation_h) * w * pixel) as u32,
            });
        }
    }
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
    crate::record::image_of(&core::array::from_fn(|at| match width {
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
