//! The ESP-DL toolkit's 'entropy' calibration: the threshold whose quantized histogram diverges
//! least from the whole one (Kullback-Leibler).
//!
//! The algorithm, its bin edges and the places where it rounds to f32 were recovered from the
//! toolkit's behaviour; thresholds are the toolkit's, bit for bit, and where the toolkit fails on a
//! tensor this fails too.

use super::Range;

/// Bins of the histogram.
const BINS: usize = 2048;
/// Levels that a non-negative tensor is quantized to; signed ones get `2 * LEVELS - 1`.
const LEVELS: usize = 128;
/// What smoothing gives an empty bin.
const EPSILON: f64 = 1e-4;

/// Why there is no threshold. The toolkit stops the whole calibration in these cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoThreshold {
    #[error("all its values are zero")]
    Zero,
    #[error("its values are all about equally large")]
    NoCandidate,
    #[error("its small values are all zero")]
    EmptySlice,
    #[error("too few of its values differ")]
    Sparse,
}

/// Counts of one tensor's values, filled sample by sample once its range is known.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    range: Range,
    counts: Vec<u64>,
}

impl Histogram {
    pub(crate) fn new(range: Range) -> Self {
        Histogram {
            range,
            counts: vec![0; BINS],
        }
    }

    fn signed(&self) -> bool {
        self.range.min < 0.0
    }

    /// Adds values, all of which lie within the range.
    pub(crate) fn take(&mut self, values: &[f32]) {
        let top = self.range.magnitude();
        if top == 0.0 {
            return;
        }
        let bins = BINS as f64;
        let (shift, per_unit, zeros) = match self.signed() {
            true => (top, bins / (2.0 * f64::from(top)), true),
            // Zeros of a non-negative tensor, such as what a Relu cut off, aren't counted.
            false => (0.0, bins / f64::from(top), false),
        };
        for v in values.iter().filter(|v| zeros || **v > 0.0) {
            // The sum is rounded to f32, as the toolkit does.
            let bin = (f64::from(v + shift) * per_unit) as usize;
            self.counts[bin.min(BINS - 1)] += 1;
        }
    }

    /// The best threshold; the lowest where several are equally good.
    pub(crate) fn threshold(&self) -> Result<f64, NoThreshold> {
        let top = f64::from(self.range.magnitude());
        if top == 0.0 {
            return Err(NoThreshold::Zero);
        }
        let (width, first, middle) = match self.signed() {
            true => (2.0 * top / BINS as f64, self.range.smallest, BINS / 2),
            false => (top / BINS as f64, self.range.min, 0),
        };
        let first = (f64::from(first) / width).round_ties_even() as usize;
        let mut best: Option<(f64, usize)> = None;
        for i in first.max(LEVELS)..BINS - middle {
            let divergence = match self.signed() {
                true => self.divergence(middle - i, middle + i + 1, 2 * LEVELS - 1),
                false => self.divergence(0, i, LEVELS),
            }?;
            if best.is_none_or(|(least, _)| divergence < least) {
                best = Some((divergence, i));
            }
        }
        let (_, i) = best.ok_or(NoThreshold::NoCandidate)?;
        Ok(match self.signed() {
            true => i as f64 * width,
            false => (i as f64 + 0.5) * width,
        })
    }

    /// Divergence of the bins `low..high`, with all others clipped into them, from the same bins
    /// quantized to `levels`.
    fn divergence(&self, low: usize, high: usize, levels: usize) -> Result<f64, NoThreshold> {
        let slice = &self.counts[low..high];
        let mut clipped = slice.to_vec();
        if let [first, ..] = &mut clipped[..] {
            *first += self.counts[..low].iter().sum::<u64>();
        }
        if let [.., last] = &mut clipped[..] {
            *last += self.counts[high..].iter().sum::<u64>();
        }
        let expanded = quantize(slice, &clipped, levels);
        let clipped: Vec<f64> = clipped.iter().map(|n| *n as f64).collect();
        let (p, q) = (smooth(&clipped)?, smooth(&expanded)?);
        Ok(kullback_leibler(&p, &q))
    }
}

/// Merges the bins into `levels` and spreads each level's count over its bins again. `clipped`
/// says which bins count as used.
fn quantize(slice: &[u64], clipped: &[u64], levels: usize) -> Vec<f64> {
    let bins = slice.len();
    let ratio = bins as f64 / levels as f64;
    let used = |k: usize| f64::from(u8::from(clipped[k] != 0));
    let mut expanded = vec![0.0; bins];
    for level in 0..levels {
        let start = level as f64 * ratio;
        // Not start + ratio: the product is what the toolkit rounds.
        let end = (level + 1) as f64 * ratio;
        let (first, last) = (start.ceil() as usize, (end.floor() as usize).min(bins));
        let (left, right) = (first as f64 - start, end - last as f64);
        let right = if last < bins { right } else { 0.0 };
        let whole = first..last.max(first);
        let mut total = slice[whole.clone()].iter().sum::<u64>() as f64;
        let mut count = whole.clone().map(used).sum::<f64>();
        if left > 0.0 {
            total += left * slice[first - 1] as f64;
            count += left * used(first - 1);
        }
        if right > 0.0 {
            total += right * slice[last] as f64;
            count += right * used(last);
        }
        if count <= 0.0 {
            continue;
        }
        let value = total / count;
        for bin in whole {
            expanded[bin] += value;
        }
        if left > 0.0 && clipped[first - 1] != 0 {
            expanded[first - 1] += left * value;
        }
        if right > 0.0 && clipped[last] != 0 {
            expanded[last] += right * value;
        }
    }
    expanded
}

/// Takes a little of every used bin and gives it to the empty ones.
fn smooth(bins: &[f64]) -> Result<Vec<f32>, NoThreshold> {
    let empty = bins.iter().filter(|v| **v == 0.0).count();
    let used = bins.len() - empty;
    if used == 0 {
        return Err(NoThreshold::EmptySlice);
    }
    let taken = EPSILON * empty as f64 / used as f64;
    let smoothed: Vec<f32> = (bins.iter())
        .map(|v| {
            let change = if *v == 0.0 { EPSILON } else { -taken };
            (f64::from(*v as f32) + change) as f32
        })
        .collect();
    if taken >= 1.0 || smoothed.iter().any(|v| *v <= 0.0) {
        return Err(NoThreshold::Sparse);
    }
    Ok(smoothed)
}

/// Sums in f32 and logarithms rounded to f32: this decides between thresholds that are equally
/// good.
fn kullback_leibler(p: &[f32], q: &[f32]) -> f64 {
    let sum = |values: &[f32]| values.iter().fold(0.0f32, |sum, v| sum + v);
    let (p_sum, q_sum) = (sum(p), sum(q));
    (p.iter().zip(q))
        .map(|(p, q)| {
            let (p, q) = (p / p_sum, q / q_sum);
            let log = libm::log(f64::from(p / q)) as f32;
            f64::from(p * log)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support;

    fn threshold(values: &[f32]) -> Result<f64, NoThreshold> {
        let mut histogram = Histogram::new(Range::of(values));
        histogram.take(values);
        histogram.threshold()
    }

    #[test]
    fn refuses_what_the_toolkit_fails_on() {
        assert_eq!(threshold(&[0.0; 9]), Err(NoThreshold::Zero));
        assert_eq!(threshold(&[2.5; 9]), Err(NoThreshold::NoCandidate));
        assert_eq!(threshold(&[-2.5; 9]), Err(NoThreshold::NoCandidate));
        assert_eq!(threshold(&[0.0, 5.0, 6.0]), Err(NoThreshold::EmptySlice));
    }

    #[test]
    fn sample_by_sample_is_the_same_as_at_once() {
        let values: Vec<f32> = (0..4000u32).map(|i| ((i * 7919) % 4001) as f32).collect();
        let mut histogram = Histogram::new(Range::of(&values));
        values.chunks(37).for_each(|c| histogram.take(c));
        assert_eq!(histogram.threshold(), threshold(&values));
    }

    /// Every array of the two collections, and what the toolkit made of it.
    #[test]
    fn thresholds_are_the_toolkit_s() {
        let Some(folder) = support::shared("data/espdl") else {
            return;
        };
        let mut compared = 0;
        for file in ["kl_vectors.npz", "kl_vectors2.npz"] {
            let arrays = support::npz(&folder.join(file));
            let names = support::strings(&folder.join(file), "names");
            let thresholds = support::doubles(&folder.join(file), "thresholds");
            assert_eq!(names.len(), thresholds.len());
            for (name, want) in names.iter().zip(thresholds) {
                assert_eq!(
                    threshold(&arrays[&format!("arr_{name}")].data),
                    Ok(want),
                    "{name}"
                );
                compared += 1;
            }
        }
        let file = folder.join("kl_vectors2.npz");
        let arrays = support::npz(&file);
        let names = support::strings(&file, "error_names");
        let kinds = support::strings(&file, "error_kinds");
        for (name, kind) in names.iter().zip(kinds) {
            let want = match kind.as_str() {
                "empty" => NoThreshold::NoCandidate,
                "all_zero" => NoThreshold::EmptySlice,
                other => panic!("{other}"),
            };
            assert_eq!(
                threshold(&arrays[&format!("arr_{name}")].data),
                Err(want),
                "{name}"
            );
            compared += 1;
        }
        assert_eq!(compared, 13 + 40 + 5);
    }
}
