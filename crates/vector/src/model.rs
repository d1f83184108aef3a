//! The kernels in portable code, lane for lane: lanes saturate as the unit's do, and the drain takes
//! the same steps. It reads no more than what counts.

use core::mem::MaybeUninit;

use fixpoint_kernels::Element as Number;
use fixpoint_runtime::format::Element;

use crate::dots_model::dots;
use crate::image::IMAGE;
use crate::padded_model;
use crate::record::{BOUNDS, HEADER, IS_SPARSE, VECTOR};
use crate::ring_model::{Doubled, rows};
use crate::rows_model;
use crate::unit::{Kernel, LONG, Run, SPLIT, Staging, Unit};

/// The unit in portable code.
#[derive(Clone, Copy, Debug, Default)]
pub struct Model;

impl Unit for Model {
    unsafe fn run(&mut self, element: Element, kernel: Kernel, run: &mut Run) {
        let run_block = match element {
            Element::I8 => run_elements::<i8>,
            Element::I16 => run_elements::<i16>,
        };
        // SAFETY: the caller's promise.
        unsafe {
            if kernel == Kernel::Dots {
                return match element {
                    Element::I8 => dots::<i8>(run),
                    Element::I16 => dots::<i16>(run),
                };
            }
            if kernel == Kernel::DepthwiseFives {
                let width = match element {
                    Element::I8 => size_of::<i8>(),
                    Element::I16 => size_of::<i16>(),
                };
                return rows_model::blocks(run, width, |windows| {
                    run_block(Kernel::DepthwiseAligned, windows);
                });
            }
            if !kernel.does_blocks() {
                return run_block(kernel, run);
            }
            let shifts = (run.first_shift, run.more_shifts);
            let weights = match kernel.is_3x3() {
                true => 9 * VECTOR as isize,
                false => run.w_gap as isize,
            };
            loop {
                let header = run.record.wrapping_sub(HEADER);
                run.first_shift = (header.read() & !IS_SPARSE).into();
                run.more_shifts = header.add(1).read().into();
                match (kernel, element) {
                    (Kernel::Depthwise3x3Halves, Element::I8) => run_halves::<i8>(run),
                    (Kernel::Depthwise3x3Halves, Element::I16) => run_halves::<i16>(run),
                    (Kernel::Depthwise3x3Padded, _) => {
                        padded_model::windows(run, |window| run_block(kernel, window));
                    }
                    (Kernel::Depthwise3x3Any, _) => rows(run, |windows| run_any(windows)),
                    _ => run_block(kernel, run),
                }
                run.blocks -= 1;
                let next = header.wrapping_add(run.record_step as usize);
                let plain = || {
                    let word = next.cast::<u32>().read();
                    let any = kernel.is_point() || word as u8 >= IS_SPARSE;
                    word <= run.most_shifts && kernel.is_3x3()
                        || any && word >> 8 <= run.most_sparse
                };
                if run.blocks == 0 || !plain() {
                    (run.first_shift, run.more_shifts) = shifts;
                    return;
                }
                run.x = run.x.wrapping_offset(run.x_block as isize);
                run.y = run.y.wrapping_add(VECTOR);
                run.weights = run.weights.wrapping_offset(weights);
                run.record = run.record.wrapping_add(run.record_step as usize);
            }
        }
    }

    unsafe fn clear(&mut self, to: *mut u8, vectors: u32) {
        // SAFETY: the caller's promise.
        unsafe { to.write_bytes(0, vectors as usize * VECTOR) }
    }
}

/// Copies pixels, the first `bytes` of a vector; the next are 16 bytes further then.
///
/// # Safety
///
/// They are there, and room for them.
pub(crate) unsafe fn stage(staging: &mut Staging, bytes: usize) {
    let (mut from, mut to) = (staging.from, staging.to);
    for _ in 0..staging.rows {
        for _ in 0..staging.pixels {
            // SAFETY: the caller's promise.
            unsafe { to.copy_from(from, bytes) };
            from = from.wrapping_add(staging.step as usize);
            to = to.wrapping_add(VECTOR);
        }
        from = from.wrapping_offset(staging.from_gap as isize);
        to = to.wrapping_offset(staging.to_gap as isize);
    }
    staging.from = staging.from.wrapping_add(VECTOR);
}

/// An element type of the unit.
trait Lanes: Number {
    /// Elements of a vector, and accumulator lanes.
    const COUNT: usize = VECTOR / size_of::<Self>();
    /// Bits of a lane.
    const BITS: u32 = if size_of::<Self>() == 1 { 20 } else { 40 };
}

impl Lanes for i8 {}
impl Lanes for i16 {}

/// Accumulator lanes, of which the first `T::COUNT` count.
struct Sums([i64; VECTOR]);

impl Sums {
    /// From the image at `from`.
    ///
    /// # Safety
    ///
    /// It is there.
    unsafe fn load<T: Lanes>(from: *const u8) -> Self {
        // SAFETY: the caller's promise.
        let image = unsafe { &*from.cast::<[u8; IMAGE]>() };
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

/// Sums whose lanes are split, and what is above the split, of each lane.
struct Split {
    sums: Sums,
    /// Times [`Run::one_split`].
    above: Sums,
    vectors: u32,
    pieces: u32,
}

impl Split {
    /// What is above the split goes from the lanes to the list, here added up at once.
    fn split<T: Lanes>(&mut self, run: &Run) {
        let rest = self.sums.0.map(|sum| sum & ((1 << SPLIT) - 1));
        let above = self.sums.shift::<T>(SPLIT);
        for (lane, above) in above.into_iter().enumerate().take(T::COUNT) {
            self.above
                .add(lane, above, T::saturate(run.one_split.into()));
        }
        self.sums.0 = rest;
        self.vectors = run.part_vectors;
    }

    /// Before a piece.
    fn piece<T: Lanes>(&mut self, kernel: Kernel, run: &Run) {
        if kernel == Kernel::AlignedSplit {
            return;
        }
        if self.pieces == 0 {
            self.split::<T>(run);
            self.pieces = run.part_pieces;
        }
        self.pieces -= 1;
        self.vectors = run.part_vectors;
    }

    /// Before a vector, or a head.
    fn vector<T: Lanes>(&mut self, run: &Run) {
        if self.vectors == 0 {
            self.split::<T>(run);
        }
        self.vectors -= 1;
    }

    /// The lanes for the drain.
    fn join<T: Lanes>(mut self, run: &Run) -> Sums {
        if run.kept > 0 {
            let _: [T; VECTOR] = self.sums.shift(run.join_shift);
            for (sum, above) in self.sums.0.iter_mut().zip(self.above.0) {
                *sum += above;
            }
            return self.sums;
        }
        self.split::<T>(run);
        if run.join_shift > LONG {
            let rest = self.sums.shift::<T>(run.join_shift - LONG);
            for (lane, rest) in rest.into_iter().enumerate().take(T::COUNT) {
                self.above.add(lane, rest, T::saturate(1));
            }
        }
        self.above
    }
}

/// # Safety
///
/// As [`Unit`] says.
unsafe fn run_elements<T: Lanes>(kernel: Kernel, run: &Run) {
    let at = |from: *const u8, step: i32, count: u32| {
        from.wrapping_offset(step as isize * count as isize)
    };
    let (mut row_x, mut row_y) = (run.x, run.y);
    for _ in 0..run.rows {
        for pixel in 0..run.pixels {
            let y = row_y.wrapping_offset(run.y_step as isize * pixel as isize);
            // SAFETY: the caller's promise.
            unsafe {
                let sums = pixel_sums::<T>(kernel, run, at(row_x, run.x_step, pixel));
                store::<T>(run, sums, y);
            }
        }
        row_x = at(row_x, run.x_step, run.pixels).wrapping_offset(run.x_gap as isize);
        row_y = (row_y.wrapping_offset(run.y_step as isize * run.pixels as isize))
            .wrapping_offset(run.y_gap as isize);
    }
}

/// [`Kernel::Depthwise3x3Halves`], of one block.
///
/// # Safety
///
/// As [`Unit`] says.
unsafe fn run_halves<T: Lanes>(run: &Run) {
    let mut place = MaybeUninit::uninit();
    // SAFETY: the caller's promise, for all of it.
    unsafe {
        let block = match (*run.ring).half {
            0 => Doubled::of(run, &mut place),
            _ => *run,
        };
        rows(&block, |windows| {
            for pixel in 0..windows.pixels {
                let at = |step: i32| step as isize * pixel as isize;
                let x = windows.x.wrapping_offset(at(windows.x_step));
                let sums = pixel_sums::<T>(Kernel::Depthwise3x3Halves, windows, x);
                let mut vector = [0; VECTOR];
                store::<T>(windows, sums, vector.as_mut_ptr());
                let y = windows.y.wrapping_offset(at(windows.y_step));
                let other = y.wrapping_offset(-run.x_tap as isize);
                let (first, second) = vector.split_at(VECTOR / 2);
                other.copy_from(second.as_ptr(), second.len());
                y.copy_from(first.as_ptr(), first.len());
            }
        });
    }
}

/// A row of [`Kernel::Depthwise3x3Any`]: more may be stored than counts.
///
/// # Safety
///
/// As [`Unit`] says.
unsafe fn run_any(windows: &Run) {
    let stored = Run {
        lanes: windows.whole as u32,
        ..*windows
    };
    for pixel in 0..windows.pixels {
        let at = |step: i32| step as isize * pixel as isize;
        // SAFETY: the caller's promise.
        unsafe {
            let x = windows.x.wrapping_offset(at(windows.x_step));
            let sums = pixel_sums::<i8>(Kernel::Depthwise3x3Any, windows, x);
            let y = windows.y.wrapping_offset(at(windows.y_step));
            store::<i8>(&stored, sums, y);
        }
    }
}

/// The sums of the pixel whose elements begin at `x`.
///
/// # Safety
///
/// As [`Unit`] says.
unsafe fn pixel_sums<T: Lanes>(kernel: Kernel, run: &Run, mut x: *const u8) -> Sums {
    let width = size_of::<T>();
    // SAFETY: for all of it: the places that the run names are there, as its maker promises.
    unsafe {
        let mut above = Sums([0; VECTOR]);
        if kernel.splits() && run.kept == 0 {
            above = Sums::load::<T>(run.above);
        }
        for at in 0..run.kept as usize * VECTOR {
            let kept = run.above.add(at).cast::<i8>().read();
            above.0[at % VECTOR] += i64::from(kept) * i64::from(run.one_split);
        }
        let mut split = Split {
            sums: Sums::load::<T>(run.record),
            above,
            vectors: run.part_vectors,
            pieces: run.part_pieces,
        };
        if kernel.is_3x3() {
            add_3x3::<T>(run, x, &mut split.sums);
            return split.sums;
        }
        let mut w = run.weights;
        for _ in 0..run.groups {
            for _ in 0..run.pieces {
                if kernel.splits() {
                    split.piece::<T>(kernel, run);
                }
                if kernel.is_depthwise() {
                    let mut x = x;
                    for _ in 0..run.vectors {
                        add_tap::<T>(run, x, w, &mut split.sums);
                        x = x.wrapping_offset(run.x_tap as isize);
                        w = w.wrapping_add(VECTOR);
                    }
                } else {
                    let skipped = match run.head as usize {
                        0 => 0,
                        head => T::COUNT - head,
                    };
                    let count = run.vectors as usize * T::COUNT + run.head as usize;
                    for at in skipped..skipped + count {
                        let begins = at == skipped || at.is_multiple_of(T::COUNT);
                        if kernel.splits() && begins {
                            split.vector::<T>(run);
                        }
                        let x = x.wrapping_add(at * width).cast::<T>().read();
                        for lane in 0..T::COUNT {
                            split.sums.add(lane, x, w.cast::<T>().add(lane).read());
                        }
                        w = w.wrapping_add(VECTOR);
                    }
                }
                if kernel == Kernel::AlignedSplit {
                    split.vectors &= run.part_pieces;
                }
                x = x.wrapping_offset(run.x_piece as isize);
                w = w.wrapping_offset(run.w_gap as isize);
            }
            x = x.wrapping_offset(run.x_group as isize);
            w = w.wrapping_offset(run.w_group as isize);
        }
        match kernel.splits() {
            true => split.join::<T>(run),
            false => split.sums,
        }
    }
}

/// Adds the products of a depthwise run's tap.
///
/// # Safety
///
/// As [`Unit`] says.
unsafe fn add_tap<T: Lanes>(run: &Run, x: *const u8, w: *const u8, sums: &mut Sums) {
    for lane in 0..run.lanes as usize {
        // SAFETY: the caller's promise.
        let (x, w) = unsafe {
            (
                x.cast::<T>().add(lane).read(),
                w.cast::<T>().add(lane).read(),
            )
        };
        sums.add(lane, x, w);
    }
}

/// The taps of [`Kernel::Depthwise3x3`].
///
/// # Safety
///
/// As [`Unit`] says.
unsafe fn add_3x3<T: Lanes>(run: &Run, mut row: *const u8, sums: &mut Sums) {
    for (at, to_row) in [0, run.x_piece, run.w_gap].into_iter().enumerate() {
        row = row.wrapping_offset(to_row as isize);
        let mut x = row;
        for (column, to_tap) in [0, run.x_tap, run.x_group].into_iter().enumerate() {
            x = x.wrapping_offset(to_tap as isize);
            let tap = 3 * at + column;
            let zeros = [0u64; VECTOR / 8];
            let w = match run.vectors >> tap & 1 {
                1 => run.weights.wrapping_add(tap * VECTOR),
                _ => zeros.as_ptr().cast(),
            };
            // SAFETY: the caller's promise; zeros are whole vectors.
            unsafe { add_tap::<T>(run, x, w, sums) };
        }
    }
}

/// Drains the lanes, and stores what comes out.
///
/// # Safety
///
/// As [`Unit`] says.
unsafe fn store<T: Lanes>(run: &Run, mut sums: Sums, y: *mut u8) {
    let bounds = run.record.wrapping_add(BOUNDS).cast::<T>();
    // SAFETY: the places that the run names are there, as its maker promises.
    unsafe {
        let mut elements: [T; VECTOR] = [T::default(); VECTOR];
        for (lane, element) in elements.iter_mut().enumerate().take(T::COUNT) {
            *element = bounds.add(T::COUNT + lane).read();
        }
        for step in 0..=run.more_shifts as usize {
            let by = if step == 0 { run.first_shift } else { 1 };
            let shifted: [T; VECTOR] = sums.shift(by);
            let vector = if step == 0 { 0 } else { step + 1 };
            for (lane, element) in elements.iter_mut().enumerate().take(T::COUNT) {
                let bound = bounds.add(vector * T::COUNT + lane).read();
                *element = shifted[lane].min(bound).max(*element);
            }
        }
        for (lane, element) in elements.iter().enumerate().take(run.lanes as usize) {
            y.cast::<T>().add(lane).write(*element);
        }
    }
}
