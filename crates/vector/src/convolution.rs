//! A convolution as runs.

mod halves;
mod padded;
mod parts;
mod rectangle;
mod rows;

use core::mem::MaybeUninit;
use core::ops::Range;
use core::ptr;

use fixpoint_kernels::{Hwc, Window};
use fixpoint_runtime::accelerator::{Convolution, Prepared, Sums};
use fixpoint_runtime::format::Element;

use crate::record::{Aligned, BOUNDS, HEADER, Record, STEPS, Scratch, VECTOR, WORD};
use crate::unit::{Kernel, Run, Unit};
pub(crate) use parts::Parts;

/// Vectors of a record whose drain has one step.
const ROOM: usize = (HEADER + BOUNDS) / VECTOR + 2;
/// Vectors that can be staged at once.
const STAGED: usize = 160;

/// Does the task; or answers `None`, with anything in the output.
pub(crate) fn convolve(
    unit: &mut impl Unit,
    task: &Convolution<'_>,
    output: &mut [u8],
) -> Option<()> {
    let mut place = MaybeUninit::uninit();
    let layer = layer(task, output, &mut place)?;
    layer.run(unit, &layer.whole())
}

/// The task if its arrays are as long as its shapes say and the unit can do it.
// By itself, and so is what `prepare` does: the compiler for the chip gives up on frames that are too large.
#[inline(never)]
pub(crate) fn layer<'t>(
    task: &'t Convolution<'_>,
    output: &'t mut [u8],
    place: &'t mut MaybeUninit<Layer<'t>>,
) -> Option<&'t Layer<'t>> {
    let layer = place.write(Layer::new(task, output.as_mut_ptr(), output.len()));
    layer.prepare(task.sums)?;
    Some(layer)
}

/// How long the arrays of a task must be, in bytes.
struct Sizes {
    /// Positions of the output.
    pixels: usize,
    /// Exactly so many.
    output: usize,
    input: usize,
    weights: usize,
    records: usize,
}

/// A task, and what follows from it.
pub(crate) struct Layer<'a> {
    element: Element,
    /// Bytes of an element.
    pub(crate) width: usize,
    /// Of an accumulator.
    pub(crate) lane_bits: u32,
    input: &'a [u8],
    weights: &'a [u8],
    records: Prepared<'a>,
    output: *mut u8,
    /// Bytes of the output.
    outputs: usize,
    shape: Hwc,
    out: Hwc,
    rows: Range<u32>,
    window: &'a Window,
    depthwise: bool,
    pub(crate) parts: Option<Parts>,
    /// Set by `prepare`, without which nothing is run: zeros would be written and copied for each layer.
    steps: MaybeUninit<Steps>,
}

/// What kernels write to, before it is read: kilobytes aren't to be cleared for each layer.
#[repr(C)]
struct Space {
    _scratch: Scratch,
    _staged: Aligned<{ STAGED * VECTOR / WORD }>,
}

/// What rectangles of pixels have in common.
#[derive(Clone, Copy)]
struct Steps {
    /// Bytes from one pixel of the input to the next, and from row to row.
    pixel: usize,
    row: usize,
    /// From pixel to pixel of the output, and from row to row.
    y: usize,
    y_row: usize,
    /// In the input: from one pixel of the output to the next, and from row to row; from tap to tap of a
    /// row, and from row to row of taps.
    x: i32,
    x_row: i32,
    tap: i32,
    tap_row: i32,
    /// From block to block of the weights.
    block: usize,
    /// Whether whole vectors can be stored.
    stores_whole: bool,
    /// Whether [`crate::Kernel::Depthwise3x3`] can be.
    is_3x3: bool,
    /// For one row of pixels, each a piece, whose blocks that aren't split a kernel does one after another.
    point: Option<Kernel>,
}

/// A rectangular part of a layer's output: of its blocks of channels, as many as there are lanes each, of
/// its rows, and of its columns. Shares that have no element in common can be done at the same time.
pub(crate) type Share = [Range<u32>; 3];

impl<'a> Layer<'a> {
    #[inline(always)]
    fn new(task: &'a Convolution<'_>, output: *mut u8, outputs: usize) -> Self {
        let (width, lane_bits) = match task.element {
            Element::I8 => (1, 20),
            Element::I16 => (2, 40),
        };
        Layer {
            element: task.element,
            width,
            lane_bits,
            input: task.input,
            weights: task.weights,
            records: task.prepared,
            output,
            outputs,
            shape: task.shape,
            out: task.out,
            rows: task.rows.clone(),
            window: task.window,
            depthwise: task.depthwise,
            parts: None,
            steps: MaybeUninit::uninit(),
        }
    }

    /// What a task says but for its input and output.
    pub(crate) fn of_weights(task: &'a Convolution<'_>) -> Option<Self> {
        let mut layer = Self::new(task, ptr::null_mut(), 0);
        layer.parts = layer.parts_of(task.sums)?;
        Some(layer)
    }

    /// Chooses the parts, and checks that the arrays are as long as the shapes say.
    #[inline(never)]
    fn prepare(&mut self, sums: Sums) -> Option<()> {
        let count = self.rows.end.checked_sub(self.rows.start)?;
        let (shape, out) = (self.shape, self.out);
        let one_row = self.is_one_row();
        // A row of such a window is as long as the input's.
        let slides = match one_row {
            true => (out.h, out.w) == (shape.h, shape.w),
            false => self.window.output(shape.h, shape.w) == Some((out.h, out.w)),
        };
        // Most factors are small, and the check of others takes longer than all else.
        let mut factors = 0;
        let small = self.sizes(count, |a, b| {
            factors |= a | b;
            a.wrapping_mul(b)
        });
        let sizes = match factors >> (usize::BITS / 2) {
            0 => small,
            _ => self.large_sizes(count)?,
        };
        let places = self.input.as_ptr().addr() | self.output.addr();
        let right = slides
            && self.rows.end <= out.h
            && sizes.output == self.outputs
            && places & (self.width - 1) == 0
            && (!self.depthwise || shape.c == out.c)
            && out.c > 0
            && self.input.len() >= sizes.input
            && self.weights.len() >= sizes.weights
            && self.records.each > 0
            && self.records.bytes.len() >= sizes.records
            && (self.records.bytes.as_ptr().addr()
                | self.records.each
                | self.weights.as_ptr().addr())
            .is_multiple_of(VECTOR);
        right.then_some(())?;
        self.parts = self.parts_of(sums)?;
        if one_row {
            let before = self.rows.start as usize * out.w as usize * self.pixel();
            self.input = self.input.get(before..)?;
            let w = sizes.pixels as u32;
            let row = |c| Hwc { h: 1, w, c };
            (self.shape, self.out) = (row(shape.c), row(out.c));
            self.rows = 0..1.min(w);
        }
        self.steps = MaybeUninit::new(self.find_steps(one_row));
        Some(())
    }

    /// The sizes for so many rows of output.
    #[inline(always)]
    fn sizes(&self, rows: u32, mut times: impl FnMut(usize, usize) -> usize) -> Sizes {
        let (shape, out) = (self.shape, self.out);
        let pixels = times(rows as usize, out.w as usize);
        let blocks = self.channels_out().div_ceil(self.lanes());
        let read = times(shape.h as usize, shape.w as usize);
        Sizes {
            pixels,
            output: times(pixels, self.channels_out() * self.width),
            input: times(read, self.pixel()),
            weights: times(blocks, self.block()),
            records: times(blocks, self.records.each),
        }
    }

    /// The sizes, if they are numbers.
    #[cold]
    #[inline(never)]
    fn large_sizes(&self, rows: u32) -> Option<Sizes> {
        let mut fits = true;
        let sizes = self.sizes(rows, |a, b| {
            let product = a.checked_mul(b);
            fits &= product.is_some();
            product.unwrap_or_default()
        });
        fits.then_some(sizes)
    }

    /// Whether each output is made of the pixel in its place: then all pixels, one after another, are one row.
    #[inline(always)]
    fn is_one_row(&self) -> bool {
        let w = self.window;
        let ones = (w.kernel_h ^ 1) | (w.kernel_w ^ 1) | (w.stride_h ^ 1) | (w.stride_w ^ 1);
        ones | w.pad_top | w.pad_bottom | w.pad_left | w.pad_right == 0
    }

    /// Of a layer that is run.
    #[inline(always)]
    fn steps(&self) -> &Steps {
        // SAFETY: layers are run by `layer` alone, behind `prepare`, which has set them.
        unsafe { self.steps.assume_init_ref() }
    }

    #[inline(always)]
    fn find_steps(&self, one_row: bool) -> Steps {
        let (pixel, window) = (self.pixel(), self.window);
        let whole = self.elements_aligned() && self.stores_whole();
        let row = self.shape.w as usize * pixel;
        let y = self.channels_out() * self.width;
        let times = |step: usize, by: u16| (step * usize::from(by)) as i32;
        let is_3x3 = self.depthwise && (window.kernel_h, window.kernel_w) == (3, 3);
        Steps {
            pixel,
            row,
            y,
            y_row: self.out.w as usize * y,
            x: times(pixel, window.stride_w),
            x_row: times(row, window.stride_h),
            tap: times(pixel, window.dilation_w),
            tap_row: times(row, window.dilation_h),
            block: self.block(),
            stores_whole: self.stores_whole(),
            is_3x3: is_3x3 && whole,
            point: match one_row && !self.depthwise {
                true => self.point(),
                false => None,
            },
        }
    }

    /// The kernel for one row of pixels, each a piece.
    #[inline(always)]
    fn point(&self) -> Option<Kernel> {
        let input = self.pixel() | self.input.as_ptr().addr();
        let output = (self.channels_out() * self.width) | self.output.addr();
        if (input | output).is_multiple_of(VECTOR) {
            return Some(Kernel::Point);
        }
        let half = VECTOR / 2;
        ((input | output).is_multiple_of(half) && self.width == 1).then_some(())?;
        match input.is_multiple_of(VECTOR) {
            true => Some(Kernel::PointHalves),
            false => (self.pixel() == half).then_some(Kernel::PointEights),
        }
    }

    /// Elements of a vector, channels of a block.
    pub(crate) fn lanes(&self) -> usize {
        VECTOR >> (self.width - 1)
    }

    pub(crate) fn channels_out(&self) -> usize {
        self.out.c as usize
    }

    /// Products of a tap.
    fn products(&self) -> usize {
        if self.depthwise {
            1
        } else {
            self.shape.c as usize
        }
    }

    /// Products of an output.
    pub(crate) fn sum_products(&self) -> usize {
        let taps = usize::from(self.window.kernel_h) * usize::from(self.window.kernel_w);
        taps * self.products()
    }

    /// Bytes of an input pixel.
    fn pixel(&self) -> usize {
        self.shape.c as usize * self.width
    }

    /// Bytes of a block's weights, of which each product has a vector.
    fn block(&self) -> usize {
        self.sum_products() * VECTOR
    }

    /// The channels of the block that begins at `first`.
    pub(crate) fn channels(&self, first: usize) -> Range<usize> {
        first..self.channels_out().min(first + self.lanes())
    }

    /// Whether each tap of a row is a piece of its own.
    fn pieces_apart(&self) -> bool {
        !self.depthwise && self.window.dilation_w > 1 && self.window.kernel_w > 1
    }

    /// All of the output.
    #[inline(always)]
    pub(crate) fn whole(&self) -> Share {
        let blocks = self.channels_out().div_ceil(self.lanes());
        [0..blocks as u32, self.rows.clone(), 0..self.out.w]
    }

    /// Multiply-accumulates, padding included.
    pub(crate) fn work(&self) -> u64 {
        let pixels = u64::from(self.out.w) * self.rows.len() as u64;
        // Tensors are below 2^32 bytes, and so are weights.
        (pixels * u64::from(self.out.c)).saturating_mul(self.sum_products() as u64)
    }

    /// Does a share of it, or answers `None`.
    // By itself: what lies behind the record on the stack is far away, too far for some of LLVM's code.
    #[inline(never)]
    pub(crate) fn run(&self, unit: &mut impl Unit, share: &Share) -> Option<()> {
        self.runs(unit, share, &mut MaybeUninit::uninit())
    }

    #[inline(never)]
    fn runs(
        &self,
        unit: &mut impl Unit,
        share: &Share,
        space: &mut MaybeUninit<Space>,
    ) -> Option<()> {
        let scratch: *mut u8 = space.as_mut_ptr().cast();
        let staged = scratch.wrapping_add(size_of::<Scratch>());
        let most_steps = (self.records.each / VECTOR).saturating_sub(ROOM) as u32;
        let mut run = Run {
            x: self.input.as_ptr(),
            x_step: 0,
            x_gap: 0,
            y: self.output,
            y_step: 0,
            y_gap: 0,
            pixels: 0,
            rows: 0,
            weights: self.weights.as_ptr(),
            pieces: 1,
            groups: 1,
            vectors: 0,
            head: 0,
            // Not zeros, which would be written by a call.
            x_piece: self.steps().tap_row,
            w_gap: 0,
            x_group: 0,
            w_group: 0,
            record: self.records.bytes.as_ptr(),
            above: ptr::null(),
            first_shift: 0,
            more_shifts: 0,
            lanes: self.lanes() as u32,
            whole: 0,
            scratch,
            x_tap: 0,
            part_vectors: 0,
            part_pieces: 0,
            join_shift: 0,
            one_split: 1,
            one: 1,
            kept: 0,
            blocks: 1,
            x_block: if self.depthwise { VECTOR as i32 } else { 0 },
            record_step: self.records.each as u32,
            x_span: 0,
            staging: ptr::null_mut(),
            ring: ptr::null_mut(),
            most_shifts: most_steps.min(Kernel::MOST_3X3_SHIFTS) << 8 | 0xff,
            most_sparse: most_steps.min(STEPS as u32 - 1),
            far: false,
        };
        if let Some(kernel) = self.steps().point {
            return self.points(unit, &mut run, share, kernel);
        }
        if self.in_halves() {
            return self.halves(unit, &mut run, share, staged);
        }
        if self.is_in_rows() {
            return self.in_rows(unit, &mut run, share, staged);
        }
        match self.padded(share) {
            Some(padded) => self.in_place(unit, &mut run, share, &padded),
            None => self.rectangles(unit, &mut run, share),
        }
    }

    /// Fills in what a run says of a block; its first channel, and whether lanes are split.
    #[inline(never)]
    fn begin(&self, run: &mut Run, block: u32) -> Option<(usize, bool)> {
        let (block, each) = (block as usize, self.records.each);
        let first = block * self.lanes();
        let records = self.records.bytes.get(block * each..)?;
        let record = Record::read(records.get(..each)?)?;
        // Whether lanes are split depends on the biases, and how on what is proved.
        (!record.splits() || self.parts.is_some()).then_some(())?;
        run.weights = self.weights.get(block * self.steps().block..)?.as_ptr();
        run.record = record.start;
        run.above = record.above;
        run.first_shift = record.first_shift;
        run.more_shifts = record.more_shifts;
        run.join_shift = record.join_shift;
        run.one_split = record.one_split;
        run.kept = record.kept;
        run.far = record.far;
        run.lanes = self.channels(first).len() as u32;
        Some((first, record.splits()))
    }

    /// The first block from `block` on whose lanes aren't split, but `end` at most.
    fn split_until(&self, block: u32, end: u32) -> u32 {
        let records = self.records.bytes.chunks_exact(self.records.each);
        let splits = records
            .skip(block as usize)
            .take(end.saturating_sub(block) as usize)
            .take_while(|record| Record::says_split(record));
        block + splits.count() as u32
    }

    fn elements_aligned(&self) -> bool {
        (self.pixel() | self.input.as_ptr().addr()).is_multiple_of(VECTOR)
    }

    fn stores_whole(&self) -> bool {
        ((self.channels_out() * self.width) | self.output.addr()).is_multiple_of(VECTOR)
    }
}
