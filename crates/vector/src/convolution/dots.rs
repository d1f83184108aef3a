//! 1x1 convolutions of few output channels. Lanes are input channels there, and the products of a vector are added to
//! one accumulator of 40 bits: where lanes are output channels, most would be idle.

use core::mem::MaybeUninit;

use fixpoint_runtime::format::Element;

use super::{Layer, Points, Share};
use crate::record::{Aligned, Record, VECTOR, WORD};
use crate::unit::{Kernel, Run, Unit};

/// Vectors of a part: kernels hold its weights, and do a part of all pixels before the next.
pub(crate) const PART: usize = 4;
/// Most pixels of a run, and bytes of them, so that these are in the cache for the second channel.
const PIXELS: usize = 128;
const TILE: usize = 1 << 14;

/// Bytes of a sum.
const SUM: usize = size_of::<i64>();

/// How the vectors of a pixel are cut into parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    /// Parts in front of the last.
    pub(crate) parts: usize,
    /// Vectors of the last part, which ends where the pixel does. Some may be in the part before, too: here they weigh
    /// nothing.
    pub(crate) last: usize,
}

impl Cut {
    #[inline(always)]
    pub(crate) fn new(vectors: usize) -> Self {
        Self {
            parts: vectors.saturating_sub(1) / PART,
            last: vectors.min(PART),
        }
    }

    /// Vectors of a channel: those of its weights, and one in front of them.
    #[inline(always)]
    pub(crate) fn channel(self) -> usize {
        1 + self.parts * PART + self.last
    }

    /// Whether the kernel has it: it knows no part of three vectors, and of 16 bits not only one.
    fn is_known(self, element: Element) -> bool {
        match element {
            Element::I8 => matches!(self.last, 1 | 2 | PART),
            Element::I16 => self.parts > 0,
        }
    }
}

impl Layer<'_> {
    /// How pixels are cut, if the layer's fewer output channels make that the faster way: by about what kernels take
    /// (`cargo xtask bench device`). Everything but its weights and shapes is not looked at.
    pub(crate) fn cut(&self) -> Option<Cut> {
        let channels = self.channels_out();
        let (pixel, pixels) = (self.shape.c as usize * self.width, self.out.w as usize);
        let few = Points::are_of(self.task) && channels <= self.lanes();
        (few && pixel.is_multiple_of(VECTOR)).then_some(())?;
        let vectors = pixel / VECTOR;
        let cut = Cut::new(vectors);
        cut.is_known(self.element).then_some(())?;
        // For a pixel's results in lanes: its products, and to drain and store them.
        let stored = match channels * self.width {
            VECTOR => 25,
            8 => 30,
            _ => 55,
        };
        let lanes = pixels * (self.shape.c as usize + stored);
        let each = cut.parts * (PART + 2) + cut.last + 5;
        (channels * (pixels * each + 40) < lanes).then_some(cut)
    }

    /// The bytes of a weight.
    pub(crate) fn weight(&self, from: usize) -> Option<&[u8]> {
        self.weights.get(from..from + self.width)
    }
}

impl Points<'_> {
    /// Does a share if the first record has what [`Kernel::Dots`] reads, or answers `None` and has done nothing.
    #[inline(never)]
    pub(super) fn dots(
        &self,
        unit: &mut impl Unit,
        run: &mut Run,
        record: &[u8],
        [_, _, columns]: &Share,
    ) -> Option<()> {
        let at = Record::dots(record)?;
        let room = record.len().checked_sub(at)? / VECTOR;
        let vectors = self.pixel / VECTOR;
        let cut = Cut::new(vectors);
        let double = u32::from(self.element == Element::I16);
        let channels = self.results >> double;
        let right = vectors > 0
            && (self.pixel | self.x.addr()).is_multiple_of(VECTOR)
            && cut.is_known(self.element)
            && self.results <= VECTOR
            && channels * cut.channel() <= room;
        right.then_some(())?;
        let mut sums = MaybeUninit::<Aligned<{ PIXELS * SUM / WORD }>>::uninit();
        run.scratch = sums.as_mut_ptr().cast();
        run.record = record.as_ptr().wrapping_add(at);
        run.lanes = channels as u32;
        run.pieces = cut.parts as u32;
        run.vectors = cut.last as u32;
        run.x_group = ((vectors - cut.last) * VECTOR) as i32;
        run.w_gap = 1 << double;
        run.y_step = self.results as i32;
        let tile = (TILE / self.pixel).clamp(1, PIXELS) as u32;
        let mut pixel = columns.start;
        while pixel < columns.end {
            let left = columns.end - pixel;
            // With a pixel's last elements the next one's first are loaded: the last one's own.
            run.x_step = if left > 1 { self.pixel as i32 } else { 0 };
            run.pixels = (left - 1).clamp(1, tile);
            run.x = self.x.wrapping_add(pixel as usize * self.pixel);
            run.y = self.y.wrapping_add(pixel as usize * self.results);
            // SAFETY: `new` has checked the lengths of input and output, and here it is of the record that each
            // channel's part is in it; the scratch is live, and holds a sum for each pixel of a tile.
            unsafe { unit.run(self.element, Kernel::Dots, run) };
            pixel += run.pixels;
        }
        Some(())
    }
}
