//! A transposed convolution as an ordinary one with more channels, whose elements then take their places.
//!
//! Along an axis, input `i` reaches output `o` through tap `k` where `o + pad = i * stride + k * dilation`. With
//! `o + a = m * stride + r`, `0 <= r < stride`, that is `i = m + e`, `e = (r - a + pad - k * dilation) / stride`: of
//! the outputs of one *phase* `r` each tap is met by all or by none, and always at the same distance `e`. So a
//! phase is an ordinary convolution over the positions `m`, with zeros for the distances that it has no tap for,
//! and all phases are channels of one. Phases without any tap are alike: together they are one.

use std::collections::BTreeMap;

use fixpoint_kernels::Window;

use super::{Activation, Axis, Linear, Offsets, Rearrange, Shifts};

/// One axis of a transposed convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    /// Outputs cut off in front of the first.
    pub pad: usize,
    /// Elements of the input.
    pub input: usize,
    /// Of the output.
    pub output: usize,
}

/// One axis of the convolution.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    /// Taps, and inputs from one to the next.
    taps: usize,
    step: usize,
    pads: [usize; 2],
    /// Results.
    size: usize,
    /// For each phase and tap, the tap of the transposed convolution.
    sources: Vec<Vec<Option<usize>>>,
    /// For each output: result and phase.
    places: Vec<[usize; 2]>,
    /// Whether outputs are the phases of the first result, in order, then those of the second, to the last.
    in_order: bool,
}

/// A transposed convolution as an ordinary one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phases {
    rows: Line,
    columns: Line,
    kernel: [usize; 2],
    groups: usize,
}

/// By how much the weights may become more, zeros included. A kernel of one tap becomes four with a stride of 2 and
/// more in both directions, one of 3x3 taps with strides of 2 16/9 as many; only with strides and dilations that
/// have little in common it becomes many times as many.
const MOST_GROWTH: usize = 8;

impl Line {
    fn new(spread: &Spread) -> Option<Self> {
        let first = Self::aligned(spread, 0)?;
        let second = Self::aligned(spread, spread.pad % spread.stride)?;
        Some(match second.taps < first.taps {
            true => second,
            false => first,
        })
    }

    /// With that `a`, less than the stride.
    fn aligned(spread: &Spread, a: usize) -> Option<Self> {
        let signed = |value: usize| i64::try_from(value).ok();
        let (stride, pad) = (signed(spread.stride)?, signed(spread.pad)?);
        // Phase and distance of each tap.
        let mut taps = Vec::new();
        for k in 0..signed(spread.kernel)? {
            let reach = k.checked_mul(signed(spread.dilation)?)?;
            let phase = (signed(a)? - pad + reach).rem_euclid(stride);
            taps.push((phase, (phase - signed(a)? + pad - reach) / stride));
        }
        let nearest = taps.iter().map(|(_, e)| *e).max()?;
        let farthest = taps.iter().map(|(_, e)| *e).min()?;
        let step = (taps.iter()).fold(0, |step, (_, e)| gcd(step, e - farthest));
        let step = step.max(1);
        let at = |output: usize| ((output + a) / spread.stride, (output + a) % spread.stride);
        let mut phases: BTreeMap<i64, usize> = BTreeMap::new();
        for (phase, _) in &taps {
            phases.insert(*phase, 0);
        }
        for (index, place) in phases.values_mut().enumerate() {
            *place = index;
        }
        let with_taps = phases.len();
        let count = usize::try_from((nearest - farthest) / step + 1).ok()?;
        let all = count.checked_mul(with_taps)?;
        (all <= MOST_GROWTH.checked_mul(spread.kernel)?).then_some(())?;
        let mut sources = vec![vec![None; count]; with_taps];
        for (k, (phase, e)) in taps.iter().enumerate() {
            sources[phases[phase]][usize::try_from((e - farthest) / step).ok()?] = Some(k);
        }
        // Result `t` reads from input `t - before` on, so it is that of position `t - before - farthest`.
        let before = usize::try_from(-farthest).unwrap_or(0);
        let later = usize::try_from(farthest).unwrap_or(0);
        let mut places = Vec::with_capacity(spread.output);
        for output in 0..spread.output {
            let (m, r) = at(output);
            let phase = phases.get(&signed(r)?).copied().unwrap_or(with_taps);
            places.push([m + later, phase]);
        }
        if places.iter().any(|[_, phase]| *phase == with_taps) {
            sources.push(vec![None; count]);
        }
        let positions = at(spread.output.checked_sub(1)?).0 + 1;
        let last = signed(positions)? + nearest;
        let after = usize::try_from(last - signed(spread.input)?).unwrap_or(0);
        let span = usize::try_from(nearest - farthest).ok()?;
        let size = (spread.input + before + after).checked_sub(span)?;
        let each = sources.len();
        let in_order = each == spread.stride
            && size * each == spread.output
            && (places.iter().enumerate()).all(|(at, place)| *place == [at / each, at % each]);
        Some(Self {
            taps: count,
            step: usize::try_from(step).ok()?,
            pads: [before, after],
            size,
            sources,
            places,
            in_order,
        })
    }

    fn phases(&self) -> usize {
        self.sources.len()
    }

    /// The axes of the output: offsets of results and phases.
    fn axes(&self, result: usize, phase: usize) -> Vec<Axis> {
        let step = |size, step: usize| Axis {
            size,
            offsets: Offsets::Step(step as i64),
        };
        match (self.in_order, self.phases()) {
            (true, 1) => vec![step(self.size, result)],
            (true, phases) => vec![step(self.size, result), step(phases, phase)],
            (false, _) => vec![Axis {
                size: self.places.len(),
                offsets: Offsets::Table(
                    (self.places.iter())
                        .map(|[at, of]| Some(at * result + of * phase))
                        .collect(),
                ),
            }],
        }
    }
}

impl Phases {
    /// `None` if the weights become too many, or a number too large for an image.
    pub fn new(rows: &Spread, columns: &Spread, groups: usize) -> Option<Self> {
        let phases = Self {
            rows: Line::new(rows)?,
            columns: Line::new(columns)?,
            kernel: [rows.kernel, columns.kernel],
            groups,
        };
        let along = |line: &Line| line.taps.saturating_mul(line.phases());
        let taps = along(&phases.rows).saturating_mul(along(&phases.columns));
        (taps <= MOST_GROWTH.checked_mul(rows.kernel.checked_mul(columns.kernel)?)?)
            .then_some(())?;
        let small = |line: &Line| {
            let [before, after] = line.pads;
            (line.taps.max(line.step).max(before).max(after)) <= usize::from(u16::MAX)
        };
        (small(&phases.rows) && small(&phases.columns)).then_some(phases)
    }

    /// Channels, rows and columns of the convolution's output for so many channels.
    pub fn shape(&self, channels: usize) -> [usize; 3] {
        let phases = self.rows.phases() * self.columns.phases();
        [channels * phases, self.rows.size, self.columns.size]
    }

    /// Of the convolution.
    pub fn window(&self) -> Window {
        let small = |value: usize| u16::try_from(value).unwrap_or(u16::MAX);
        let (rows, columns) = (&self.rows, &self.columns);
        Window::new(small(rows.taps), small(columns.taps))
            .dilation(small(rows.step), small(columns.step))
            .pads(
                small(rows.pads[0]),
                small(columns.pads[0]),
                small(rows.pads[1]),
                small(columns.pads[1]),
            )
    }

    /// The integers of the convolution. Its channels are those of one group after another, and in a group those
    /// of one phase after another.
    pub fn linear(&self, linear: &Linear) -> Linear {
        let channels = linear.bias.len();
        let members = channels / self.groups;
        let (rows, columns) = (&self.rows.sources, &self.columns.sources);
        let each = rows.len() * columns.len();
        // Which channel of the transposed convolution each is.
        let sources: Vec<usize> = (0..channels * each)
            .map(|at| at / (each * members) * members + at % members)
            .collect();
        let [kernel_h, kernel_w] = self.kernel;
        let row = linear.weights.len() / channels.max(1);
        let inner = row / (kernel_h * kernel_w).max(1);
        let mut weights = Vec::new();
        for (at, source) in sources.iter().enumerate() {
            let phase = at / members % each;
            let (down, across) = (
                &rows[phase / columns.len()],
                &columns[phase % columns.len()],
            );
            for ky in down {
                for kx in across {
                    let start = weights.len();
                    match ky.zip(*kx) {
                        Some((ky, kx)) => {
                            let tap = source * row + (ky * kernel_w + kx) * inner;
                            weights.extend(&linear.weights[tap..tap + inner]);
                        }
                        None => weights.resize(start + inner, 0),
                    }
                }
            }
        }
        let mut activation = linear.activation.clone();
        if let Activation::PRelu { slopes, .. } = &mut activation {
            *slopes = sources.iter().map(|source| slopes[*source]).collect();
        }
        Linear {
            weights,
            bias: sources.iter().map(|source| linear.bias[*source]).collect(),
            shifts: match &linear.shifts {
                Shifts::PerChannel(all) => {
                    Shifts::PerChannel(sources.iter().map(|source| all[*source]).collect())
                }
                one => one.clone(),
            },
            activation,
            accumulator: linear.accumulator,
        }
    }

    /// What brings the elements of the convolution's output to their places among so many channels; `None` if
    /// they are there.
    pub fn rearrange(&self, channels: usize) -> Option<Rearrange> {
        let (rows, columns) = (&self.rows, &self.columns);
        let members = channels / self.groups;
        let [all, _, width] = self.shape(channels);
        if rows.in_order && columns.in_order && all == channels {
            return None;
        }
        let mut axes = rows.axes(width * all, columns.phases() * members);
        let across = columns.axes(all, members);
        let step = |size, step: usize| Axis {
            size,
            offsets: Offsets::Step(step as i64),
        };
        match (self.groups, columns.in_order) {
            // Channels of all phases of a column are in their places.
            (1, true) => axes.extend([
                step(columns.size, all),
                step(columns.phases() * channels, 1),
            ]),
            (1, false) => {
                axes.extend(across);
                axes.push(step(channels, 1));
            }
            (groups, _) => {
                axes.extend(across);
                let group = rows.phases() * columns.phases() * members;
                axes.extend([step(groups, group), step(members, 1)]);
            }
        }
        Some(Rearrange {
            start: 0,
            fill: 0,
            axes,
        })
    }

    /// For each element of the convolution's output, which has `all` channels, as stored: which one of the
    /// output (C, H, W) it is; `None` where it is none.
    pub fn outputs(&self, all: usize) -> Vec<Option<usize>> {
        let (rows, columns) = (&self.rows.places, &self.columns.places);
        let channels = all / (self.rows.phases() * self.columns.phases());
        let members = channels / self.groups;
        let [_, height, width] = self.shape(channels);
        let mut found = vec![None; all * height * width];
        for channel in 0..channels {
            let (group, member) = (channel / members, channel % members);
            for (y, [row, down]) in rows.iter().enumerate() {
                for (x, [column, right]) in columns.iter().enumerate() {
                    let phase = group * self.rows.phases() + down;
                    let phase = phase * self.columns.phases() + right;
                    let at = (row * width + column) * all + phase * members + member;
                    found[at] = Some((channel * rows.len() + y) * columns.len() + x);
                }
            }
        }
        found
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    match b {
        0 => a,
        _ => gcd(b, a % b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(kernel: usize, stride: usize, pad: usize, output: usize) -> Spread {
        Spread {
            kernel,
            stride,
            dilation: 1,
            pad,
            input: 5,
            output,
        }
    }

    /// Taps, step, pads, results and phases along an axis, and whether outputs are in order.
    fn line(spread: &Spread) -> (usize, usize, [usize; 2], usize, usize, bool) {
        let line = Line::new(spread).unwrap();
        let phases = line.phases();
        (
            line.taps,
            line.step,
            line.pads,
            line.size,
            phases,
            line.in_order,
        )
    }

    #[test]
    fn a_phase_has_as_many_taps_as_strides_fit_the_kernel() {
        // Tap by tap beside each other.
        assert_eq!(line(&spread(2, 2, 0, 10)), (1, 1, [0, 0], 5, 2, true));
        // Tap 1 at the even outputs, taps 0 and 2 at the odd ones.
        assert_eq!(line(&spread(3, 2, 1, 10)), (2, 1, [0, 1], 5, 2, true));
        // The last output is of the first phase: its other one is cut off.
        assert_eq!(line(&spread(3, 2, 1, 9)), (2, 1, [0, 1], 5, 2, false));
        // Two taps for either phase, but the first output is of the second one.
        assert_eq!(line(&spread(4, 2, 1, 10)), (2, 1, [1, 1], 6, 2, false));
        // No phase but an ordinary convolution, turned.
        assert_eq!(line(&spread(3, 1, 1, 5)), (3, 1, [1, 1], 5, 1, true));
        let dilated = |stride, output| Spread {
            dilation: 2,
            ..spread(3, stride, 0, output)
        };
        assert_eq!(line(&dilated(1, 9)), (3, 2, [4, 4], 9, 1, true));
        // All taps at even outputs; the odd ones get the bias.
        assert_eq!(line(&dilated(2, 13)), (3, 1, [2, 2], 7, 2, false));
        // One tap, three outputs for each input, of which two are alike.
        assert_eq!(line(&spread(1, 3, 0, 13)), (1, 1, [0, 0], 5, 2, false));
    }

    /// Taps 0, 101 and 202 of outputs two apart are inputs 0, 50 and 101 away: 102 taps for each phase.
    #[test]
    fn kernels_that_become_many_times_as_large_stay_what_they_are() {
        let far = |dilation| Spread {
            dilation,
            ..spread(3, 2, 0, 9)
        };
        let phases = |dilation| Phases::new(&far(dilation), &spread(1, 1, 0, 5), 1);
        assert!(phases(101).is_none());
        // 0, 1 and 3 away: four taps for each of two phases.
        let near = phases(3).expect("eight weights for three");
        assert_eq!((near.shape(2), near.window().kernel_h), ([4, 5, 5], 4));
        // In both directions 64 for nine, and one for a kernel of one tap becomes four.
        assert!(Phases::new(&far(3), &far(3), 1).is_some());
        let one = spread(1, 2, 0, 10);
        let one = Phases::new(&one, &one, 1).expect("four weights for one");
        assert_eq!(one.shape(3), [12, 5, 5]);
    }

    /// Outputs that are cut off further than the kernel reaches read inputs behind the first.
    #[test]
    fn a_pad_may_be_larger_than_the_kernel() {
        let all = Line::new(&spread(1, 2, 4, 3)).unwrap();
        assert_eq!((all.taps, all.pads, all.size), (1, [0, 0], 5));
        assert_eq!(all.places, [[2, 0], [2, 1], [3, 0]]);
    }
}
