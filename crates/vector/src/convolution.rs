//! A convolution as runs.

mod axis;
pub(crate) mod dots;
mod halves;
mod padded;
mod parts;
mod points;
mod rectangle;
mod rows;

use core::mem::MaybeUninit;
use core::ops::{Deref, Range};
use core::ptr;

use fixpoint_runtime::accelerator::{Convolution, Sums};
use fixpoint_runtime::format::Element;

use crate::record::{Aligned, BOUNDS, HEADER, Record, Scratch, VECTOR, WORD};
use crate::unit::{Run, Unit};
use padded::Padded;
pub(crate) use parts::Parts;
use points::Points;

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
    let mut place = Place::new();
    let work = Work::new(task, output, &mut place)?;
    work.run(unit, &work.whole())
}

/// A task as what does it.
#[derive(Clone, Copy)]
pub(crate) enum Work<'l> {
    Points(&'l Points<'l>),
    Padded(&'l Padded<'l>),
    Layer(&'l Layer<'l>),
}

/// Where a [`Work`] is: it is large.
pub(crate) struct Place<'l> {
    points: MaybeUninit<Points<'l>>,
    padded: MaybeUninit<Padded<'l>>,
    layer: MaybeUninit<Layer<'l>>,
}

impl Place<'_> {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self {
            points: MaybeUninit::uninit(),
            padded: MaybeUninit::uninit(),
            layer: MaybeUninit::uninit(),
        }
    }
}

impl<'l> Work<'l> {
    /// The task if its arrays are as long as its shapes say and the unit can do it.
    #[inline(always)]
    pub(crate) fn new(
        task: &'l Convolution<'_>,
        output: &'l mut [u8],
        place: &'l mut Place<'l>,
    ) -> Option<Self> {
        let (y, outputs) = (output.as_mut_ptr(), output.len());
        if Points::are_of(task)
            && let Some(points) = Points::new(task, output, &mut place.points)
        {
            return Some(Self::Points(points));
        }
        if Padded::are_of(task)
            && let Some(padded) = Padded::new(task, y, outputs, &mut place.padded)
        {
            return Some(Self::Padded(padded));
        }
        layer(task, y, outputs, &mut place.layer).map(Self::Layer)
    }

    /// All of the output.
    #[inline(always)]
    pub(crate) fn whole(self) -> Share {
        match self {
            Self::Points(points) => points.whole(),
            Self::Padded(padded) => padded.whole(),
            Self::Layer(layer) => layer.whole(),
        }
    }

    /// Bytes of a block's weights.
    pub(crate) fn block(self) -> usize {
        match self {
            Self::Points(points) => points.block(),
            Self::Padded(_) => padded::BLOCK,
            Self::Layer(layer) => layer.block(),
        }
    }

    /// Multiply-accumulates, padding included.
    pub(crate) fn work(self) -> u64 {
        match self {
            Self::Points(points) => points.work(),
            Self::Padded(padded) => padded.work(),
            Self::Layer(layer) => layer.work(),
        }
    }

    /// Does a share of it, or answers `None`.
    #[inline(always)]
    pub(crate) fn run(self, unit: &mut impl Unit, share: &Share) -> Option<()> {
        match self {
            Self::Points(points) => points.run(unit, share),
            Self::Padded(padded) => padded.run(unit, share),
            Self::Layer(layer) => layer.run(unit, share),
        }
    }
}

// By itself, and so is what `prepare` does: the compiler for the chip gives up on frames that are too large.
#[inline(never)]
fn layer<'t>(
    task: &'t Convolution<'_>,
    output: *mut u8,
    outputs: usize,
    place: &'t mut MaybeUninit<Layer<'t>>,
) -> Option<&'t Layer<'t>> {
    let layer = place.write(Layer::new(task, output, outputs));
    layer.prepare(task.sums)?;
    Some(layer)
}

/// The product, or more than there are addresses for.
#[inline(never)]
fn times(a: usize, b: usize) -> usize {
    a.saturating_mul(b)
}

/// How long the arrays of a task must be, in bytes.
struct Sizes {
    /// Exactly so many.
    output: usize,
    input: usize,
    weights: usize,
    records: usize,
}

/// A task, and what follows from it.
pub(crate) struct Layer<'a> {
    task: &'a Convolution<'a>,
    /// Bytes of an element.
    pub(crate) width: usize,
    output: *mut u8,
    /// Bytes of the output.
    outputs: usize,
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
}

/// A rectangular part of a layer's output: of its blocks of channels, as many as there are lanes each, of
/// its rows, and of its columns. Shares that have no element in common can be done at the same time.
pub(crate) type Share = [Range<u32>; 3];

/// What the task says is not copied: that took longer than to look for it.
impl<'a> Deref for Layer<'a> {
    type Target = Convolution<'a>;

    #[inline(always)]
    fn deref(&self) -> &Convolution<'a> {
        self.task
    }
}

impl<'a> Layer<'a> {
    #[inline(always)]
    fn new(task: &'a Convolution<'_>, output: *mut u8, outputs: usize) -> Self {
        Layer {
            task,
            width: match task.element {
                Element::I8 => 1,
                Element::I16 => 2,
            },
            output,
            outputs,
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
        let slides = self.window.output(shape.h, shape.w) == Some((out.h, out.w));
        // Most factors are small, and the check of others takes longer than all else.
        let mut factors = 0;
        let small = self.sizes(count, |a, b| {
            factors |= a | b;
            a.wrapping_mul(b)
        });
        let sizes = match factors >> (usize::BITS / 2) {
            0 => small,
            _ => self.large_sizes(count),
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
            && self.prepared.each > 0
            && self.prepared.bytes.len() >= sizes.records
            && (self.prepared.bytes.as_ptr().addr()
                | self.prepared.each
                | self.weights.as_ptr().addr())
            .is_multiple_of(VECTOR);
        right.then_some(())?;
        self.parts = self.parts_of(sums)?;
        self.steps = MaybeUninit::new(self.find_steps());
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
            output: times(pixels, self.channels_out() * self.width),
            input: times(read, self.pixel()),
            weights: times(blocks, self.block()),
            records: times(blocks, self.prepared.each),
        }
    }

    /// The same, whatever the factors.
    #[cold]
    #[inline(never)]
    fn large_sizes(&self, rows: u32) -> Sizes {
        self.sizes(rows, times)
    }

    /// Of a layer that is run.
    #[inline(always)]
    fn steps(&self) -> &Steps {
        // SAFETY: layers are run by `layer` alone, behind `prepare`, which has set them.
        unsafe { self.steps.assume_init_ref() }
    }

    #[inline(always)]
    fn find_steps(&self) -> Steps {
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
        }
    }

    /// Bits of an accumulator.
    pub(crate) fn lane_bits(&self) -> u32 {
        20 * self.width as u32
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
        let most_steps = (self.prepared.each / VECTOR).saturating_sub(ROOM) as u32;
        let mut run = Run {
            x: self.input.as_ptr(),
            y: self.output,
            weights: self.weights.as_ptr(),
            x_piece: self.steps().tap_row,
            record: self.prepared.bytes.as_ptr(),
            x_block: if self.depthwise { VECTOR as i32 } else { 0 },
            most_shifts: Run::shifts_3x3(most_steps),
            most_sparse: Run::sparse(most_steps),
            ..Run::new(scratch, self.prepared.each, self.lanes())
        };
        if self.in_halves() {
            return self.halves(unit, &mut run, share, staged);
        }
        if self.is_in_rows() {
            return self.in_rows(unit, &mut run, share, staged);
        }
        self.rectangles(unit, &mut run, share)
    }

    /// Fills in what a run says of a block; its first channel, and whether lanes are split.
    #[inline(never)]
    fn begin(&self, run: &mut Run, block: u32) -> Option<(usize, bool)> {
        let (block, each) = (block as usize, self.prepared.each);
        let first = block * self.lanes();
        let records = self.prepared.bytes.get(block * each..)?;
        let splits = Record::begin(records.get(..each)?, run)?;
        // Whether lanes are split depends on the biases, and how on what is proved.
        (!splits || self.parts.is_some()).then_some(())?;
        run.weights = self.weights.get(block * self.steps().block..)?.as_ptr();
        run.lanes = self.channels(first).len() as u32;
        Some((first, splits))
    }

    /// The first block from `block` on whose lanes aren't split, but `end` at most.
    fn split_until(&self, block: u32, end: u32) -> u32 {
        let records = self.prepared.bytes.chunks_exact(self.prepared.each);
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
