//! An axis of the output, cut where the window begins or ceases to be clipped.

use core::ops::Range;

use fixpoint_kernels::linear::{Line, Taps};

/// Neighbouring output positions whose windows have the same taps inside the input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) first: usize,
    pub(crate) count: usize,
    /// Of the first position.
    pub(crate) taps: Taps,
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
}

impl Iterator for Segments {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        let first = self.at;
        if first >= self.end {
            return None;
        }
        let taps = if self.whole.contains(&first) {
            self.at = self.whole.end;
            Taps {
                kernel: 0,
                kernel_step: 1,
                input: first * self.line.stride - self.line.pad,
                input_step: self.line.dilation as isize,
                count: self.line.kernel,
            }
        } else {
            let taps = self.line.taps(first, self.size);
            let same = |at: usize| {
                let other = self.line.taps(at, self.size);
                (other.kernel, other.count) == (taps.kernel, taps.count)
            };
            // Where no tap is inside, each position is by itself.
            let alike = |at: &usize| taps.count > 0 && *at != self.whole.start && same(*at);
            self.at = first + 1 + (first + 1..self.end).take_while(alike).count();
            taps
        };
        Some(Segment {
            first,
            count: self.at - first,
            taps,
        })
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
        segments.map(|s| (s.count, s.taps.count)).collect()
    }

    #[test]
    fn clipped_positions_stand_alone() {
        assert_eq!(cut(3, 1, 1, 1, 24, 24), [(1, 2), (22, 3), (1, 2)]);
        assert_eq!(cut(3, 2, 1, 0, 9, 4), [(4, 3)]);
        assert_eq!(cut(3, 2, 1, 0, 8, 4), [(3, 3), (1, 2)]);
        assert_eq!(cut(5, 1, 1, 2, 4, 4), [(1, 3), (1, 4), (1, 4), (1, 3)]);
        // The middle two see as many rows, through different taps.
        let line = Line {
            kernel: 5,
            stride: 1,
            dilation: 1,
            pad: 2,
        };
        let first: Vec<usize> = Segments::new(line, 4, 0, 4)
            .map(|s| s.taps.kernel)
            .collect();
        assert_eq!(first, [2, 1, 0, 0]);
    }
}
