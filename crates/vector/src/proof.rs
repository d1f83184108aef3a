//! When sums of 8-bit products are exact in lanes of 20 bits. The rules are in the crate's
//! documentation.

use fixpoint_runtime::accelerator::Sums;

use crate::unit::SPLIT;

/// Largest value of a lane that is relied on, both ways.
const LANE: i64 = (1 << 19) - 1;

/// One output channel.
#[derive(Clone, Copy, Debug)]
pub struct Channel<'a> {
    /// Rows of the kernel one after another, each in the order of its products.
    pub weights: &'a [i16],
    /// With the rounding constant.
    pub bias: i64,
    pub shift: i32,
}

/// Least and largest sum that some of the products can have.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Not above 0.
    pub low: i64,
    /// Not below 0.
    pub high: i64,
}

impl Span {
    const ZERO: Self = Self { low: 0, high: 0 };

    fn add(&mut self, weight: i16, range: [i64; 2]) {
        let [a, b] = range.map(|input| i64::from(weight) * input);
        self.low += a.min(b).min(0);
        self.high += a.max(b).max(0);
    }

    fn remove(&mut self, weight: i16, range: [i64; 2]) {
        let mut one = Self::ZERO;
        one.add(weight, range);
        self.low -= one.low;
        self.high -= one.high;
    }

    /// That of these weights, by elements in a range.
    pub fn of(weights: &[i16], range: [i64; 2]) -> Self {
        let mut span = Self::ZERO;
        for weight in weights {
            span.add(*weight, range);
        }
        span
    }
}

/// What is exact for all channels of a layer whose kernel has `rows` rows.
///
/// No element of the input is outside `range`, unless it is the padding's zero. `depthwise` layers are split between
/// rows only.
pub fn prove(channels: &[Channel<'_>], rows: usize, range: [i32; 2], depthwise: bool) -> Sums {
    let range = range.map(i64::from);
    if rows == 0 || channels.iter().any(|channel| channel.shift < 0) {
        return Sums::Unproved;
    }
    let spans = || {
        channels
            .iter()
            .map(|channel| (channel, Span::of(channel.weights, range)))
    };
    if spans().all(|(channel, span)| {
        channel.bias + span.low >= -LANE && channel.bias + span.high <= LANE
            // The start itself, where the span doesn't reach.
            && channel.bias.abs() <= LANE
    }) {
        return Sums::Whole;
    }
    let whole_fits = spans()
        .all(|(channel, span)| channel.bias.abs() + span.high.max(-span.low) <= LANE << SPLIT);
    if !whole_fits {
        return Sums::Unproved;
    }
    let part_fits = |span: Span| span.high <= 127 << SPLIT && span.low > -(128 << SPLIT);
    // Every run of `length` products that begins at a multiple of `step`, within each of `parts`.
    let safe = |parts: usize, length: usize, step: usize| {
        channels.iter().all(|channel| {
            let part = (channel.weights.len() / parts).max(1);
            channel.weights.chunks(part).all(|weights| {
                let mut span = Span::of(weights.get(..length).unwrap_or(weights), range);
                let mut first = 0;
                loop {
                    if !part_fits(span) {
                        return false;
                    }
                    let end = first + length;
                    if end >= weights.len() {
                        return true;
                    }
                    for i in 0..step {
                        if let Some(gone) = weights.get(first + i) {
                            span.remove(*gone, range);
                        }
                        if let Some(new) = weights.get(end + i) {
                            span.add(*new, range);
                        }
                    }
                    first += step;
                }
            })
        })
    };
    let row = channels.first().map_or(0, |channel| channel.weights.len()) / rows;
    let row = row.max(1);
    if let Some(most) = largest(rows.min(255), |some| safe(1, some * row, row)) {
        if depthwise || !row.is_multiple_of(16) {
            return Sums::Rows(most);
        }
        // Fewer parts, where they may end within a row.
        let vectors = rows * row / 16;
        let across = (2..rows.div_ceil(most.into())).find_map(|parts| {
            let each = vectors.div_ceil(parts);
            let chunks = channels
                .iter()
                .flat_map(|channel| channel.weights.chunks(16 * each));
            let safe = 16 * each / row <= usize::from(most)
                && chunks.map(|part| Span::of(part, range)).all(part_fits);
            u8::try_from(each).ok().filter(|_| safe)
        });
        return across.map_or(Sums::Rows(most), Sums::Vectors);
    }
    if depthwise {
        return Sums::Unproved;
    }
    match largest((row / 16).min(255), |some| safe(rows, some * 16, 1)) {
        Some(most) => Sums::Vectors(most),
        None => Sums::Unproved,
    }
}

/// The largest of `1..=most` that is `good`; what is less than a good number is good, too.
fn largest(most: usize, good: impl Fn(usize) -> bool) -> Option<u8> {
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = (low + high).div_ceil(2);
        if good(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    u8::try_from(low).ok().filter(|low| *low > 0)
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    const ALL: [i32; 2] = [-128, 127];
    const NOT_NEGATIVE: [i32; 2] = [0, 127];

    fn one(weights: &[i16], rows: usize, bias: i64, shift: i32, not_negative: bool) -> Sums {
        let channel = Channel {
            weights,
            bias,
            shift,
        };
        let range = if not_negative { NOT_NEGATIVE } else { ALL };
        prove(&[channel], rows, range, false)
    }

    #[test]
    fn a_lane_holds_what_it_holds() {
        // 32 * 128 * 128 = 2^19 is one too many.
        assert_eq!(one(&[-128; 31], 1, 0, 8, false), Sums::Whole);
        assert_eq!(
            one(&[-128; 31], 1, 524_287 - 31 * 128 * 128, 8, false),
            Sums::Whole
        );
        assert_ne!(
            one(&[-128; 31], 1, 524_288 - 31 * 128 * 128, 8, false),
            Sums::Whole
        );
        assert_ne!(one(&[-128; 32], 1, 0, 8, false), Sums::Whole);
        // Not negative: 127 * 127 * 32 = 516128 both ways.
        let mixed: [i16; 64] = core::array::from_fn(|i| if i % 2 == 0 { 127 } else { -127 });
        assert_eq!(one(&mixed, 1, 8159, 8, true), Sums::Whole);
        assert_ne!(one(&mixed, 1, 8160, 8, true), Sums::Whole);
        assert_ne!(one(&mixed, 1, -8160, 8, true), Sums::Whole);
        assert_ne!(one(&mixed, 1, 0, 8, false), Sums::Whole);
        // Down to -6 * 127 * 688 = -524256; once more is too much.
        let clipped = |count: usize| {
            let weights = vec![-127; count];
            let channel = Channel {
                weights: &weights,
                bias: 0,
                shift: 8,
            };
            prove(&[channel], 1, [-3, 6], false)
        };
        assert_eq!(clipped(688), Sums::Whole);
        assert_ne!(clipped(689), Sums::Whole);
        assert_eq!(one(&[1; 4], 1, 0, -1, false), Sums::Unproved);
        assert_eq!(one(&[1; 4], 1, 1 << 31, 0, false), Sums::Unproved);
        assert_eq!(one(&[1; 4], 1, 1 << 30, 0, false), Sums::Rows(1));
    }

    #[test]
    fn parts_go_across_rows_where_they_are_fewer() {
        // 48 times 85 * 127 = 518160; 96 of the 144 are too many.
        let three_rows = |weight| one(&[weight; 96], 3, 0, 12, true);
        assert_eq!(three_rows(127), Sums::Rows(1));
        assert_eq!(three_rows(85), Sums::Vectors(3));
        assert_eq!(one(&[64; 96], 3, 0, 12, true), Sums::Rows(2));
        // The second half is too much for one, and so are two of the rows.
        let mut weights = [60; 96];
        weights[60..].fill(127);
        assert_eq!(one(&weights, 3, 0, 12, true), Sums::Rows(1));
        assert_eq!(one(&[85; 90], 3, 0, 12, true), Sums::Rows(1));
    }

    #[test]
    fn parts_are_rows_and_then_vectors() {
        // A part may reach 127 * 2^12 = 520192: 127 * 127 * 32 does, 33 don't.
        assert_eq!(one(&[127; 96], 6, 0, 12, true), Sums::Rows(2));
        assert_eq!(one(&[127; 96], 3, 0, 0, true), Sums::Rows(1));
        assert_eq!(one(&[127; 99], 3, 0, 12, true), Sums::Vectors(2));
        assert_eq!(one(&[127; 96], 1, 0, 13, true), Sums::Vectors(2));
        // Below, less than 128 * 2^12: -128 * -128 * 31 as often, 32 times is one too many.
        assert_eq!(one(&[-128; 64], 2, 0, 12, false), Sums::Vectors(1));
        assert_eq!(one(&[-128; 62], 2, 0, 12, false), Sums::Rows(1));
        // Sixteen heavy weights anywhere in a row.
        let mut weights = [1; 256];
        weights[100..116].fill(127);
        weights[116..150].fill(64);
        // 127 * (16 * 127 + 32 * 64) = 518160, two more of 64 are too many.
        assert_eq!(one(&weights, 1, 0, 11, true), Sums::Vectors(3));
        let heavy = Channel {
            weights: &[127; 99],
            bias: 0,
            shift: 12,
        };
        assert_eq!(prove(&[heavy], 3, NOT_NEGATIVE, true), Sums::Unproved);
        assert_eq!(prove(&[heavy], 9, NOT_NEGATIVE, true), Sums::Rows(2));
    }
}
