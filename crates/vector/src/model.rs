//! The kernels in portable code, lane for lane: lanes saturate as the unit's do, and the drain takes
//! the same steps. It reads no more than what counts.

use core::slice;

use crate::lanes::{Lanes, VECTOR};
use crate::record::IMAGE;
use crate::unit::{Kernel, Run, Unit};

/// The unit in portable code.
#[derive(Clone, Copy, Debug, Default)]
pub struct Model;

impl Unit for Model {
    unsafe fn run_i8(&mut self, kernel: Kernel, run: &Run) {
        // SAFETY: the caller's promise.
        unsafe { run_elements::<i8>(kernel, run) }
    }

    unsafe fn run_i16(&mut self, kernel: Kernel, run: &Run) {
        // SAFETY: the caller's promise.
        unsafe { run_elements::<i16>(kernel, run) }
    }
}

/// Accumulator lanes, of which the first `T::COUNT` count.
struct Sums([i64; VECTOR]);

impl Sums {
    fn load<T: Lanes>(image: &[u8; IMAGE]) -> Self {
        let bit = |at: usize| i64::from(image[at / 8] >> (at % 8) & 1);
        let width = T::BITS as usize;
        Self(core::array::from_fn(|lane| {
            if lane >= T::COUNT {
                return 0;
            }
            let (half, lane) = (lane * width / 160, lane * width % 160);
            let place = |b: usize| match lane + b {
                low @ ..128 => 128 * half + low,
                high => 256 + 32 * half + high - 128,
            };
            let bits = (0..width).fold(0, |bits, b| bits | bit(place(b)) << b);
            bits << (64 - width) >> (64 - width)
        }))
    }

    fn add<T: Lanes>(&mut self, lane: usize, x: T, w: T) {
        let most = (1i64 << (T::BITS - 1)) - 1;
        let (x, w): (i64, i64) = (x.into(), w.into());
        // Whether the lowest number is -2^19 or one more, nothing here depends on.
        self.0[lane] = (self.0[lane] + x * w).clamp(-most, most);
    }

    fn shift<T: Lanes>(&mut self, by: u32) -> [T; VECTOR] {
        self.0 = self.0.map(|sum| sum >> by);
        self.0.map(T::saturate)
    }
}

/// # Safety
///
/// As [`Unit`] says.
unsafe fn run_elements<T: Lanes>(kernel: Kernel, run: &Run) {
    // SAFETY: for all of it: the places that the run names are there, as its maker promises.
    unsafe {
        let image = |from: *const u8| &*from.cast::<[u8; IMAGE]>();
        let pieces = slice::from_raw_parts(run.pieces, run.piece_count as usize);
        let weights_in_record = if kernel == Kernel::Depthwise3x3 { 9 } else { 0 };
        let masks = run
            .record
            .add(IMAGE + weights_in_record * VECTOR)
            .cast::<[u8; VECTOR]>();
        let depthwise = !matches!(kernel, Kernel::Point | Kernel::Aligned | Kernel::Unaligned);
        let width = size_of::<T>();
        for pixel in 0..run.pixels as usize {
            let x0 = run.x.wrapping_offset(pixel as isize * run.x_step as isize);
            let mut sums = Sums::load::<T>(image(run.record));
            let kept = |at: usize| run.scratch.add(IMAGE + at * VECTOR).cast::<T>();
            let mut splits = 0;
            for (row, piece) in pieces.iter().enumerate() {
                let mut x = x0.wrapping_offset(piece.x as isize);
                if depthwise {
                    let weights = match weights_in_record {
                        0 => piece.weights,
                        _ => run.record.add(IMAGE + 3 * row * VECTOR),
                    };
                    for tap in 0..piece.vectors as usize {
                        let w = weights.add(tap * VECTOR).cast::<T>();
                        for lane in 0..run.lanes as usize {
                            let x = x.cast::<T>().add(lane).read();
                            sums.add(lane, x, w.add(lane).read());
                        }
                        x = x.wrapping_offset(run.tap_step as isize);
                    }
                    continue;
                }
                let head = piece.head as usize;
                if head > 0 {
                    x = x.wrapping_add(VECTOR - head * width);
                }
                for i in 0..head + piece.vectors as usize * T::COUNT {
                    let w = piece.weights.add(i * VECTOR).cast::<T>();
                    for lane in 0..T::COUNT {
                        sums.add(lane, x.cast::<T>().add(i).read(), w.add(lane).read());
                    }
                }
                if piece.split == 1 {
                    let rest = Sums::load::<T>(image(run.rest));
                    let above: [T; VECTOR] = Sums(sums.0).shift(run.split);
                    for (lane, above) in above.iter().enumerate().take(T::COUNT) {
                        kept(splits).add(lane).write(*above);
                    }
                    splits += 1;
                    for (sum, rest) in sums.0.iter_mut().zip(rest.0) {
                        *sum &= rest;
                    }
                }
            }
            if run.split > 0 {
                let last: [T; VECTOR] = sums.shift(run.split);
                sums = Sums::load::<T>(image(run.high_start));
                for (lane, last) in last.iter().enumerate().take(T::COUNT) {
                    sums.add(lane, *last, T::saturate(1));
                    for at in 0..splits {
                        sums.add(lane, kept(at).add(lane).read(), T::saturate(1));
                    }
                }
            }
            let mut elements = [T::default(); VECTOR];
            for step in 0..=run.more_shifts as usize {
                let by = if step == 0 { run.first_shift } else { 1 };
                let shifted: [T; VECTOR] = sums.shift(by);
                let mask = masks.add(step).read();
                for lane in 0..T::COUNT {
                    if mask[lane * width] != 0 {
                        elements[lane] = shifted[lane];
                    }
                }
            }
            let y = run.y.add(pixel * run.y_step as usize).cast::<T>();
            for (lane, element) in elements.iter().enumerate().take(run.lanes as usize) {
                let limited = element.wide().clamp(run.low, run.high);
                y.add(lane).write(T::saturate(limited.into()));
            }
        }
    }
}
