//! An axis of the output, cut where the window begins or ceases to be clipped.

use core::mem::MaybeUninit;
use core::ops::Range;

use fixpoint_kernels::linear::Line;

/// Neighbouring output positions whose windows have the same taps inside the input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) first: usize,
    pub(crate) count: usize,
    /// The first of the kernel's taps that is inside.
    pub(crate) kernel: usize,
    /// Where the first position has it.
    pub(crate) input: usize,
    /// How many are inside.
    pub(crate) taps: usize,
    /// A bit for each of the kernel's first 32 taps that is inside, the first in the lowest.
    pub(crate) inside: u32,
}

/// Segments that are kept: what most windows need.
const KEPT: usize = 3;

/// All segments of some output positions, to be gone through again and again.
pub(crate) struct Cut {
    kept: [MaybeUninit<Segment>; KEPT],
    count: usize,
    rest: Segments,
}

impl Cut {
    /// The segments of `positions` of a window that slides over `size` elements, in `place`: they are large.
    #[inline(never)]
    pub(crate) fn set<'c>(
        place: &'c mut MaybeUninit<Self>,
        line: Line,
        size: usize,
        positions: &Range<u32>,
    ) -> &'c Self {
        let [at, end] = [positions.start, positions.end].map(|at| at as usize);
        let inside = end.saturating_sub(1).saturating_mul(line.stride) < size;
        // The most frequent window, by a shorter way.
        let is_one = line.kernel == 1 && line.pad == 0 && inside && at < end;
        let cut = place.write(Self {
            kept: [MaybeUninit::uninit(); KEPT],
            count: 0,
            rest: match is_one {
                true => Segments {
                    line,
                    size,
                    at: end,
                    end,
                    whole: at..end,
                },
                false => Segments::new(line, size, at, end),
            },
        });
        if is_one {
            cut.kept[0].write(cut.rest.segment(at, 0, at * line.stride, 1));
            cut.count = 1;
            return cut;
        }
        while let Some(place) = cut.kept.get_mut(cut.count)
            && cut.rest.next_to(place)
        {
            cut.count += 1;
        }
        cut
    }

    #[inline(always)]
    pub(crate) fn each(&self, mut call: impl FnMut(&Segment)) {
        for segment in self.kept.iter().take(self.count) {
            // SAFETY: so many have been written.
            call(unsafe { segment.assume_init_ref() });
        }
        if self.rest.at < self.rest.end {
            for segment in self.rest.clone() {
                call(&segment);
            }
        }
    }
}

/// The segments of some output positions, one after another.
#[derive(Clone, Debug)]
pub(crate) struct Segments {
    line: Line,
    /// Of the input.
    size: usize,
    at: usize,
    end: usize,
    /// The positions whose windows lie inside the input.
    whole: Range<usize>,
}

impl Segments {
    /// Over the positions `at..end` of a window that slides over `size` elements.
    pub(crate) fn new(line: Line, size: usize, at: usize, end: usize) -> Self {
        let reach = line.kernel.saturating_sub(1) * line.dilation;
        let last = (size + line.pad).checked_sub(reach + 1);
        let whole_end = last.map_or(0, |last| last / line.stride + 1);
        Self {
            line,
            size,
            at,
            end,
            whole: line.pad.div_ceil(line.stride)..whole_end.min(end),
        }
    }

    /// The one from `first` to where this is now.
    #[inline(always)]
    fn segment(&self, first: usize, kernel: usize, input: usize, taps: usize) -> Segment {
        let bits = 1u32.checked_shl(taps as u32).unwrap_or(0).wrapping_sub(1);
        Segment {
            first,
            count: self.at - first,
            kernel,
            input,
            taps,
            inside: bits.checked_shl(kernel as u32).unwrap_or(0),
        }
    }

    /// The next one, in `place`: as what is returned it would be copied. Whether there is one.
    #[inline(always)]
    fn next_to(&mut self, place: &mut MaybeUninit<Segment>) -> bool {
        let first = self.at;
        if first >= self.end {
            return false;
        }
        if self.whole.contains(&first) {
            self.at = self.whole.end;
            let input = first * self.line.stride - self.line.pad;
            place.write(self.segment(first, 0, input, self.line.kernel));
            return true;
        }
        let taps = self.line.taps(first, self.size);
        self.at = first + 1;
        // Where no tap is inside, each position is by itself.
        while taps.count > 0 && self.at < self.end && self.at != self.whole.start {
            let other = self.line.taps(self.at, self.size);
            if (other.kernel, other.count) != (taps.kernel, taps.count) {
                break;
            }
            self.at += 1;
        }
        place.write(self.segment(first, taps.kernel, taps.input, taps.count));
        true
    }
}

impl Iterator for Segments {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        let mut place = MaybeUninit::uninit();
        // SAFETY: it has been written then.
        self.next_to(&mut place)
            .then(|| unsafe { place.assume_init() })
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn cut(
        kernel: usize,
        stride: usize,
        dilation: usize,
        pad: usize,
        size: usize,
        end: usize,
    ) -> Vec<(usize, usize)> {
        let line = Line {
            kernel,
            stride,
            dilation,
            pad,
        };
        let segments = Segments::new(line, size, 0, end);
        let cut: Vec<_> = segments.clone().map(|s| (s.count, s.taps)).collect();
        let mut kept = MaybeUninit::uninit();
        let kept = Cut::set(&mut kept, line, size, &(0..end as u32));
        for _ in 0..2 {
            let mut found = Vec::new();
            kept.each(|s| found.push((s.count, s.taps)));
            assert_eq!(found, cut);
        }
        cut
    }

    #[test]
    fn clipped_positions_stand_alone() {
        assert_eq!(cut(3, 1, 1, 1, 24, 24), [(1, 2), (22, 3), (1, 2)]);
        assert_eq!(cut(3, 2, 1, 0, 9, 4), [(4, 3)]);
        assert_eq!(cut(3, 2, 1, 0, 8, 4), [(3, 3), (1, 2)]);
        assert_eq!(cut(5, 1, 1, 2, 4, 4), [(1, 3), (1, 4), (1, 4), (1, 3)]);
        // More than are kept.
        let seven = [(1, 4), (1, 5), (1, 6), (1, 7), (1, 6), (1, 5), (1, 4)];
        assert_eq!(cut(7, 1, 1, 3, 7, 7), seven);
        // The middle two see as many rows, through different taps.
        let line = Line {
            kernel: 5,
            stride: 1,
            dilation: 1,
            pad: 2,
        };
        let first: Vec<usize> = Segments::new(line, 4, 0, 4).map(|s| s.kernel).collect();
        assert_eq!(first, [2, 1, 0, 0]);
    }
}
