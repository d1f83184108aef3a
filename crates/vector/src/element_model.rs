//! The kernels for elements in portable code, lane for lane.

use core::slice;

use fixpoint_kernels::Element;

use crate::elements::{Combine, ElementUnit, Spread, Stretch};
use crate::means::Mean;
use crate::model::Model;
use crate::pixels::{Column, Windowed, packed};
use crate::record::VECTOR;

impl ElementUnit for Model {
    unsafe fn combine_i8(&mut self, kernel: Combine, stretch: &Stretch) {
        // SAFETY: the caller's promise.
        unsafe { combine::<i8>(kernel, stretch, 20) }
    }

    unsafe fn combine_i16(&mut self, kernel: Combine, stretch: &Stretch) {
        // SAFETY: the caller's promise.
        unsafe { combine::<i16>(kernel, stretch, 40) }
    }

    unsafe fn lookup_i8(
        &mut self,
        x: *const i8,
        table: *const i8,
        y: *mut i8,
        vectors: u32,
        _: *mut Spread,
    ) {
        for at in 0..VECTOR * vectors as usize {
            // SAFETY: the caller's promise.
            unsafe {
                let from_least = i16::from(x.add(at).read()) + 128;
                y.add(at).write(table.add(from_least as usize).read());
            }
        }
    }

    unsafe fn lookup_i16(
        &mut self,
        x: *const i16,
        table: *const i16,
        y: *mut i16,
        count: u32,
        step_bits: u32,
    ) {
        let step = 1 << step_bits;
        for at in 0..count as usize {
            // SAFETY: the caller's promise.
            unsafe {
                let from_least = i32::from(x.add(at).read()) + 32768;
                let entry = table.add((from_least >> step_bits) as usize);
                let (low, high) = (i32::from(entry.read()), i32::from(entry.add(1).read()));
                let between = from_least & (step - 1);
                let weighted = low * (step - between) + high * between;
                y.add(at).write(((weighted + step / 2) >> step_bits) as i16);
            }
        }
    }

    unsafe fn max_i8(&mut self, window: &Windowed) {
        // SAFETY: the caller's promise.
        unsafe { largest::<i8>(window) }
    }

    unsafe fn max_i16(&mut self, window: &Windowed) {
        // SAFETY: the caller's promise.
        unsafe { largest::<i16>(window) }
    }

    unsafe fn mean_i8(&mut self, window: &Windowed, mean: &Mean) {
        // SAFETY: the caller's promise.
        unsafe { averages::<i8>(window, |sum| narrow_mean(sum, mean)) }
    }

    unsafe fn mean_i16(&mut self, window: &Windowed, mean: &Mean) {
        // SAFETY: the caller's promise.
        unsafe { averages::<i16>(window, |sum| wide_mean(sum, mean)) }
    }

    unsafe fn sum_i8(&mut self, column: &mut Column) {
        // SAFETY: the caller's promise.
        unsafe { sum::<i8>(column) }
    }

    unsafe fn sum_i16(&mut self, column: &mut Column) {
        // SAFETY: the caller's promise.
        unsafe { sum::<i16>(column) }
    }
}

/// With lanes of so many bits, which saturate.
///
/// # Safety
///
/// As [`ElementUnit`] says.
unsafe fn combine<T: Element>(kernel: Combine, stretch: &Stretch, lane_bits: u32) {
    let count = stretch.vectors as usize * 16 / size_of::<T>();
    let most = (1i64 << (lane_bits - 1)) - 1;
    let [low, high] = stretch.limits;
    for at in 0..count {
        // SAFETY: element by element, as the result may lie where an operand does.
        let (a, b) = unsafe {
            let element = |from: *const u8| slice::from_raw_parts(from.cast::<T>(), count)[at];
            (element(stretch.a).into(), element(stretch.b).into())
        };
        let lane = |products: [(i64, i16); 2]| {
            let (x, w) = (stretch.rounding[0].into(), stretch.rounding[1]);
            let first = [(x, w)].into_iter();
            let lane = first.chain(products).fold(0i64, |lane, (x, w)| {
                (lane + x * i64::from(w)).clamp(-most, most)
            });
            let shifted: i16 = T::saturate(lane >> stretch.shift).into();
            shifted
        };
        let [of_a, of_b] = stretch.factors;
        let alone = [(a, of_a), (b, of_b)].map(|product| lane([product, (0, 0)]));
        let shifted = match kernel {
            Combine::Sum => lane([(a, of_a), (b, of_b)]),
            Combine::Product => lane([(a, b as i16), (0, 0)]),
            Combine::Largest => alone[0].max(alone[1]),
            Combine::Smallest => alone[0].min(alone[1]),
        };
        let y = T::wrap(shifted.max(low).min(high).into());
        // SAFETY: the result is there.
        unsafe { stretch.y.cast::<T>().add(at).write(y) };
    }
}

/// It reads no more than what counts.
///
/// # Safety
///
/// As [`ElementUnit`] says.
unsafe fn sum<T: Element>(column: &mut Column) {
    let lane_bits = if size_of::<T>() == 1 { 20 } else { 40 };
    let most = (1i64 << (lane_bits - 1)) - 1;
    let mut lanes = [0i64; 16];
    for pixel in 0..column.pixels as usize {
        let x = column
            .x
            .wrapping_add(pixel * column.step as usize)
            .cast::<T>();
        for (at, lane) in lanes.iter_mut().enumerate().take(column.count as usize) {
            // SAFETY: the caller's promise.
            let x: i64 = unsafe { x.wrapping_add(at).read_unaligned() }.into();
            *lane = (*lane + x).clamp(-most, most);
        }
    }
    column.lanes = packed(&lanes, size_of::<T>());
}

/// # Safety
///
/// As [`ElementUnit`] says.
unsafe fn largest<T: Element>(windows: &Windowed) {
    // SAFETY: the caller's promise.
    unsafe { each::<T>(windows, |taps| taps.max().unwrap_or(T::MIN)) }
}

/// # Safety
///
/// As [`ElementUnit`] says.
unsafe fn averages<T: Element>(windows: &Windowed, mean: impl Fn(i64) -> T) {
    // SAFETY: the caller's promise.
    unsafe { each::<T>(windows, |taps| mean(taps.map(Into::<i64>::into).sum())) }
}

/// The sum has 16 bits, which saturate.
fn narrow_mean(sum: i64, mean: &Mean) -> i8 {
    let [factor, first, second, least, most, ..] = mean.values.map(i64::from);
    let lane = first * second + i64::from(i16::saturate(sum)) * factor;
    let mean = i64::from(i16::saturate(lane >> mean.shifts[0]));
    mean.clamp(least, most) as i8
}

/// The lanes have 40 bits.
fn wide_mean(sum: i64, mean: &Mean) -> i16 {
    let [scale, factor, back, below, above @ ..] = mean.values.map(i64::from);
    let sum = sum * scale;
    let high = i64::from(i16::saturate(sum >> mean.shifts[0]));
    let nearly = i64::from(i16::saturate((high * factor) >> mean.shifts[1]));
    let rest = i64::from(i16::saturate(sum + nearly * back));
    let add = |to: i16, by: i16| to.saturating_add(by);
    let start = add(nearly as i16, -i16::from(rest < below));
    (above.into_iter()).fold(start, |mean, most| add(mean, (rest > most).into()))
}

/// What `f` makes of each window's taps, channel by channel.
///
/// # Safety
///
/// As [`ElementUnit`] says.
unsafe fn each<T: Element>(windows: &Windowed, f: impl Fn(&mut dyn Iterator<Item = T>) -> T) {
    let lanes = 16 / size_of::<T>();
    let channels = (windows.vectors as usize - 1) * lanes + windows.last as usize;
    let (mut x, mut y) = (windows.x, windows.y.cast::<T>());
    let of_row = |row| (0..windows.columns).map(move |column| (row, column));
    for _ in 0..windows.windows {
        for channel in 0..channels {
            let mut taps = (0..windows.rows).flat_map(of_row).map(|(row, column)| {
                let tap = row * windows.row_step + column * windows.column_step;
                // SAFETY: the caller's promise.
                unsafe { x.wrapping_add(tap as usize).cast::<T>().add(channel).read() }
            });
            // SAFETY: the caller's promise.
            unsafe { y.add(channel).write(f(&mut taps)) };
        }
        x = x.wrapping_add(windows.x_step as usize);
        y = y.wrapping_add(channels);
    }
}
