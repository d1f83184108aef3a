//! A convolution as runs.

use fixpoint_kernels::{Hwc, Window};
use fixpoint_runtime::accelerator::{Convolution, Sums};

use crate::lanes::{Lanes, VECTOR};
use crate::record::{Aligned, IMAGE, Record, SHIFTS, WEIGHTS, shift};
use crate::taps::Taps;
use crate::unit::{Kernel, Piece, Run, Unit};

/// Most pieces of a run.
const PIECES: usize = 64;
/// Most splits of a run.
const SPLITS: usize = 32;

const NO_PIECE: Piece = Piece {
    x: 0,
    weights: core::ptr::null(),
    head: 0,
    vectors: 0,
    split: 0,
};

/// Does the whole task, or nothing and answers `None`.
pub(crate) fn convolve<T: Lanes>(
    unit: &mut impl Unit,
    task: &Convolution<'_, T>,
    output: &mut [T],
) -> Option<()> {
    let task = &one_row(task, output.len())?;
    let plan = Plan::new(task, output)?;
    plan.check(task)?;
    let mut record = Record::EMPTY;
    // Every block before the first run: nothing may be half done.
    for first in plan.blocks() {
        record.fill(task, first, plan.lanes_of(first), &[])?;
    }
    for first in plan.blocks() {
        plan.block(unit, task, first, &mut record, output)?;
    }
    Some(())
}

/// Pixels of a 1x1 window without strides and padding lie one after another: they are one row.
/// `None` if the rows are not those of the output, which has `outputs` elements.
fn one_row<'a, T: Clone>(task: &Convolution<'a, T>, outputs: usize) -> Option<Convolution<'a, T>> {
    let mut task = task.clone();
    let (first, end) = (task.rows.start, task.rows.end);
    let count = end.checked_sub(first)?;
    let row = task.out.w.checked_mul(task.out.c)?;
    let right = end <= task.out.h && row.checked_mul(count)? as usize == outputs;
    right.then_some(())?;
    if *task.window == Window::new(1, 1) {
        let before = first.checked_mul(task.shape.w)?.checked_mul(task.shape.c)?;
        task.input = task.input.get(before as usize..)?;
        let w = count.checked_mul(task.shape.w)?;
        let row = |c| Hwc { h: 1, w, c };
        (task.shape, task.out) = (row(task.shape.c), row(task.out.c));
        task.rows = 0..1;
    }
    Some(task)
}

/// What all runs of a task share. Sizes and steps in bytes unless they count something.
struct Plan {
    /// Of an element.
    width: usize,
    /// Output channels.
    channels: usize,
    /// Bytes of an input pixel.
    pixel: usize,
    /// Products of a tap.
    products: usize,
    /// Bytes of a block's weights, and of a tap's in it.
    block: usize,
    tap: usize,
    elements_aligned: bool,
    stores_whole: bool,
    /// Vectors that a piece may have, rows after which the lanes are split.
    vectors: Option<usize>,
    rows: Option<usize>,
}

impl Plan {
    fn new<T: Lanes>(task: &Convolution<'_, T>, output: &[T]) -> Option<Self> {
        let width = size_of::<T>();
        let inputs = usize::try_from(task.shape.c).ok()?;
        let channels = usize::try_from(task.out.c).ok()?;
        let products = if task.depthwise { 1 } else { inputs };
        let taps = usize::from(task.window.kernel_h) * usize::from(task.window.kernel_w);
        let multiple = |bytes: usize, address: usize| (bytes | address).is_multiple_of(VECTOR);
        let (vectors, rows) = match task.sums {
            Sums::Whole => (None, None),
            Sums::Rows(rows) if width == 1 => (None, Some(rows.into())),
            Sums::Vectors(vectors) if width == 1 => (Some(vectors.into()), Some(1)),
            _ => return None,
        };
        if vectors == Some(0) || rows == Some(0) || rows.is_some() && task.depthwise {
            return None;
        }
        task.weights
            .as_ptr()
            .addr()
            .is_multiple_of(VECTOR)
            .then_some(Self {
                width,
                channels,
                pixel: inputs * width,
                products,
                block: taps * products * VECTOR,
                tap: products * VECTOR,
                elements_aligned: multiple(inputs * width, task.input.as_ptr().addr()),
                stores_whole: multiple(channels * width, output.as_ptr().addr()),
                vectors,
                rows,
            })
    }

    /// That the arrays and limits of a run suffice, for any of its clippings.
    fn check<T: Lanes>(&self, task: &Convolution<'_, T>) -> Option<()> {
        let kh = usize::from(task.window.kernel_h);
        let kw = usize::from(task.window.kernel_w);
        let together = task.window.dilation_w == 1;
        let row = if together { kw } else { 1 } * self.products;
        let pieces = match self.vectors {
            Some(vectors) => row.div_ceil(vectors * T::COUNT),
            None => 1,
        };
        let pieces = pieces * if together { kh } else { kh * kw };
        let splits = match (self.vectors, self.rows) {
            (Some(_), _) => pieces,
            (None, Some(rows)) => kh.div_ceil(rows),
            (None, None) => 0,
        };
        (pieces <= PIECES && splits <= SPLITS && self.channels > 0).then_some(())?;
        (0..self.channels).try_for_each(|channel| shift(&task.shifts, channel).map(|_| ()))
    }

    fn blocks(&self) -> impl Iterator<Item = usize> + use<> {
        (0..self.channels).step_by(VECTOR / self.width)
    }

    /// Channels of the block that begins at `first`.
    fn lanes_of(&self, first: usize) -> usize {
        (self.channels - first).min(VECTOR / self.width)
    }

    /// All pixels of the block of channels that begins at `first`.
    fn block<T: Lanes>(
        &self,
        unit: &mut impl Unit,
        task: &Convolution<'_, T>,
        first: usize,
        record: &mut Record,
        output: &mut [T],
    ) -> Option<()> {
        let lanes = self.lanes_of(first);
        let weights = task.weights.as_ptr().cast::<u8>();
        let weights = weights.wrapping_add(first * self.width / VECTOR * self.block);
        let inside = self.is_3x3(task).then(|| {
            // SAFETY: nine taps of 16 bytes: a whole block of depthwise weights, which the task
            // promises to be there.
            unsafe { *weights.cast::<[[u8; VECTOR]; WEIGHTS]>() }
        });
        let mut fast = Record::EMPTY;
        if let Some(taps) = &inside {
            fast.fill(task, first, lanes, taps)?;
        }
        record.fill(task, first, lanes, &[])?;

        let mut scratch = Aligned([0; IMAGE + SPLITS * VECTOR]);
        let mut pieces = [NO_PIECE; PIECES];
        let window = task.window;
        let (stride, dilation) = (usize::from(window.stride_w), usize::from(window.dilation_w));
        let mut run = Run {
            x: task.input.as_ptr().cast(),
            x_step: (stride * self.pixel) as i32,
            pixels: 0,
            pieces: pieces.as_ptr(),
            piece_count: 0,
            record: record.bytes.0.as_ptr(),
            first_shift: record.first_shift,
            more_shifts: record.more_shifts,
            low: task.limits.low.wide(),
            high: task.limits.high.wide(),
            y: core::ptr::null_mut(),
            y_step: (self.channels * self.width) as u32,
            lanes: lanes as u32,
            whole: self.stores_whole.into(),
            scratch: scratch.0.as_mut_ptr(),
            split: record.split,
            rest: record.rest.0.as_ptr(),
            high_start: record.high_start.0.as_ptr(),
            one: 1,
            tap_step: (dilation * self.pixel) as i32,
            row_step: 0,
            pixel_step: 0,
        };
        let row_pitch = task.shape.w as usize * self.pixel;
        let rows_apart = usize::from(window.dilation_h) * row_pitch;
        run.row_step = rows_apart as i32 - 2 * run.tap_step;
        run.pixel_step = run.x_step - 2 * rows_apart as i32 - 2 * run.tap_step;

        let inner = Taps::inner_columns(window, task.shape, task.out);
        let first_row = task.rows.start as usize;
        for oy in first_row..task.rows.end as usize {
            let rows = Taps::rows(window, task.shape, oy);
            let mut ox = 0;
            while ox < task.out.w as usize {
                let columns = Taps::columns(window, task.shape, ox);
                let end = match inner.contains(&ox) {
                    true => inner.end,
                    false => ox + 1,
                };
                let place = ((oy - first_row) * task.out.w as usize + ox) * self.channels + first;
                let span = ((end - ox - 1) * self.channels).checked_add(lanes)?;
                let pixels = output.get_mut(place..)?.get_mut(..span)?;
                run.y = pixels.as_mut_ptr().cast();
                run.pixels = (end - ox) as u32;
                let bounds = Bounds {
                    rows: &rows,
                    columns: &columns,
                    first: if task.depthwise { first } else { 0 },
                };
                run.piece_count = self.pieces(task, &bounds, weights, &mut pieces)? as u32;
                run.pieces = pieces.as_ptr();
                let mut kernel = self.kernel(task, &run, &pieces);
                if let (Some(_), 3, 3) = (&inside, rows.indices().len(), columns.indices().len())
                    && fast.more_shifts <= Kernel::MOST_3X3_SHIFTS
                {
                    kernel = Kernel::Depthwise3x3;
                    run.record = fast.bytes.0.as_ptr();
                } else {
                    run.record = record.bytes.0.as_ptr();
                }
                // SAFETY: the record is filled, scratch has room for as many splits as `check`
                // allows; input and weights are as long as the shapes say, and each piece lies
                // inside both; `pixels` is the output from the first to the last element stored.
                unsafe { T::call(unit, kernel, &run) };
                ox = end;
            }
        }
        Some(())
    }

    fn is_3x3<T>(&self, task: &Convolution<'_, T>) -> bool {
        task.depthwise
            && (task.window.kernel_h, task.window.kernel_w) == (3, 3)
            && self.elements_aligned
            && self.stores_whole
    }

    fn kernel<T>(&self, task: &Convolution<'_, T>, run: &Run, pieces: &[Piece]) -> Kernel {
        match (task.depthwise, self.elements_aligned) {
            (true, true) => Kernel::DepthwiseAligned,
            (true, false) => Kernel::DepthwiseUnaligned,
            (false, false) => Kernel::Unaligned,
            (false, true) => match pieces.first() {
                Some(piece) if run.piece_count == 1 && run.whole == 1 && piece.split == 0 => {
                    if run.split == 0 {
                        Kernel::Point
                    } else {
                        Kernel::Aligned
                    }
                }
                _ => Kernel::Aligned,
            },
        }
    }

    /// The pieces of a window; how many.
    fn pieces<T: Lanes>(
        &self,
        task: &Convolution<'_, T>,
        bounds: &Bounds<'_>,
        weights: *const u8,
        pieces: &mut [Piece; PIECES],
    ) -> Option<usize> {
        let Bounds {
            rows,
            columns,
            first,
        } = bounds;
        let kernel_w = usize::from(task.window.kernel_w);
        let together = task.depthwise || task.window.dilation_w == 1;
        let mut count = 0;
        let mut rows_left = self.rows.unwrap_or(usize::MAX);
        for ky in rows.indices() {
            let mut kx = columns.first;
            while kx < columns.end {
                let at_once = if together { columns.end - kx } else { 1 };
                let position = rows.at(ky) * task.shape.w as usize + columns.at(kx);
                let x = position * self.pixel + first * self.width;
                let weights = weights.wrapping_add((ky * kernel_w + kx) * self.tap);
                kx += at_once;
                if task.depthwise {
                    *pieces.get_mut(count)? = Piece {
                        x: x as i32,
                        weights,
                        vectors: at_once as u32,
                        ..NO_PIECE
                    };
                    count += 1;
                    continue;
                }
                let products = at_once * self.products;
                let most = self.vectors.map_or(products, |vectors| vectors * T::COUNT);
                let mut done = 0;
                while done < products {
                    let some = (products - done).min(most);
                    let head = some % T::COUNT;
                    let before = if head > 0 {
                        VECTOR - head * self.width
                    } else {
                        0
                    };
                    *pieces.get_mut(count)? = Piece {
                        x: (x + done * self.width) as i32 - before as i32,
                        weights: weights.wrapping_add(done * VECTOR),
                        head: head as u32,
                        vectors: (some / T::COUNT) as u32,
                        split: self.vectors.is_some().into(),
                    };
                    count += 1;
                    done += some;
                }
            }
            rows_left -= 1;
            if rows_left == 0 {
                rows_left = self.rows.unwrap_or(usize::MAX);
                if let Some(last) = count.checked_sub(1).and_then(|at| pieces.get_mut(at)) {
                    last.split = 1;
                }
            }
        }
        // The end of a run reads the last part itself.
        if let Some(last) = count.checked_sub(1).and_then(|at| pieces.get_mut(at)) {
            last.split = 0;
        }
        Some(count)
    }
}

/// Where a window lies, and the first channel that it reads.
struct Bounds<'a> {
    rows: &'a Taps,
    columns: &'a Taps,
    first: usize,
}

const _: () = assert!(SHIFTS < 40);
