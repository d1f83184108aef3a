//! When sums of 8-bit products are exact in lanes of 20 bits. The rules are in the crate's
//! documentation.

use fixpoint_runtime::accelerator::Sums;

use crate::record::MOST_SPLIT;

/// Largest value of a lane that is relied on, both ways.
const LANE: i64 = (1 << 19) - 1;
/// Channels that share lanes.
const BLOCK: usize = 16;

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
#[derive(Clone, Copy)]
struct Span {
    low: i64,
    high: i64,
}

impl Span {
    const ZERO: Self = Self { low: 0, high: 0 };

    fn add(&mut self, weight: i16, least_input: i64) {
        let weight = i64::from(weight);
        let (a, b) = (weight * i64::from(i8::MAX), weight * least_input);
        self.low += a.min(b).min(0);
        self.high += a.max(b).max(0);
    }

    fn remove(&mut self, weight: i16, least_input: i64) {
        let mut one = Self::ZERO;
        one.add(weight, least_input);
        self.low -= one.low;
        self.high -= one.high;
    }

    fn of(weights: &[i16], least_input: i64) -> Self {
        let mut span = Self::ZERO;
        for weight in weights {
            span.add(*weight, least_input);
        }
        span
    }
}

/// What is exact for all channels of a layer whose kernel has `rows` rows.
///
/// `not_negative` says that no element of the input is. `splits` says whether lanes may be split
/// between products: not in a depthwise layer.
pub fn prove(channels: &[Channel<'_>], rows: usize, not_negative: bool, splits: bool) -> Sums {
    let least_input = if not_negative { 0 } else { i64::from(i8::MIN) };
    if channels.iter().any(|channel| channel.shift < 0) {
        return Sums::Unproved;
    }
    let spans = || {
        channels
            .iter()
            .map(|channel| (channel, Span::of(channel.weights, least_input)))
    };
    if spans().all(|(channel, span)| {
        channel.bias + span.low >= -LANE && channel.bias + span.high <= LANE
            // The start itself, where the span doesn't reach.
            && channel.bias.abs() <= LANE
    }) {
        return Sums::Whole;
    }
    if !splits || rows == 0 {
        return Sums::Unproved;
    }

    let split_of = |channel: usize| {
        let block = channels.chunks(BLOCK).nth(channel / BLOCK).unwrap_or(&[]);
        let least = block
            .iter()
            .map(|channel| channel.shift.unsigned_abs())
            .min();
        least.unwrap_or(0).min(MOST_SPLIT)
    };
    let whole_fits = spans().enumerate().all(|(at, (channel, span))| {
        let split = split_of(at);
        let most = LANE << split;
        split > 0 && channel.bias.abs() + span.high.max(-span.low) <= most
    });
    if !whole_fits {
        return Sums::Unproved;
    }
    let part_fits = |at: usize, span: Span| {
        let split = split_of(at);
        span.high <= 127 << split && span.low > -(128 << split)
    };
    // Every run of `length` products that begins at a multiple of `step`, within each of `parts`.
    let safe = |parts: usize, length: usize, step: usize| {
        channels.iter().enumerate().all(|(at, channel)| {
            let part = (channel.weights.len() / parts).max(1);
            channel.weights.chunks(part).all(|weights| {
                let mut span = Span::of(weights.get(..length).unwrap_or(weights), least_input);
                let mut first = 0;
                loop {
                    if !part_fits(at, span) {
                        return false;
                    }
                    let end = first + length;
                    if end >= weights.len() {
                        return true;
                    }
                    for i in 0..step {
                        if let Some(gone) = weights.get(first + i) {
                            span.remove(*gone, least_input);
                        }
                        if let Some(new) = weights.get(end + i) {
                            span.add(*new, least_input);
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
        return Sums::Rows(most);
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
    use super::*;

    fn one(weights: &[i16], rows: usize, bias: i64, shift: i32, not_negative: bool) -> Sums {
        let channel = Channel {
            weights,
            bias,
            shift,
        };
        prove(&[channel], rows, not_negative, true)
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
        assert_eq!(one(&[1; 4], 1, 0, -1, false), Sums::Unproved);
        assert_eq!(one(&[1; 4], 1, 1 << 30, 0, false), Sums::Unproved);
    }

    #[test]
    fn parts_are_rows_and_then_vectors() {
        // A part may reach 127 * 2^12 = 520192: 127 * 127 * 32 does, 33 don't.
        assert_eq!(one(&[127; 96], 6, 0, 12, true), Sums::Rows(2));
        assert_eq!(one(&[127; 96], 3, 0, 12, true), Sums::Rows(1));
        assert_eq!(one(&[127; 96], 3, 0, 11, true), Sums::Vectors(1));
        assert_eq!(one(&[127; 96], 1, 0, 13, true), Sums::Vectors(2));
        assert_eq!(one(&[127; 96], 1, 0, 10, true), Sums::Unproved);
        // Sixteen heavy weights anywhere in a row.
        let mut weights = [1; 256];
        weights[100..116].fill(127);
        weights[116..150].fill(64);
        assert_eq!(one(&weights, 1, 0, 11, true), Sums::Vectors(1));
        // The least shift of the block decides for all of its channels.
        let easy = Channel {
            weights: &[1; 96],
            bias: 0,
            shift: 3,
        };
        let heavy = Channel {
            weights: &[127; 96],
            bias: 0,
            shift: 12,
        };
        assert_eq!(prove(&[heavy, easy], 3, true, true), Sums::Unproved);
        assert_eq!(prove(&[heavy], 3, true, false), Sums::Unproved);
    }
}
