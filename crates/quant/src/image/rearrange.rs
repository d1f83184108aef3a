//! The one op for all that only moves elements.

use super::{Storage, TensorDef};

/// Which element of the input each element of the output is.
///
/// The output's stored order is counted through `axes`, the last fastest. The element is the one at
/// `start` plus the offsets of all axes in the input's stored order, or `fill` where one of them has
/// none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rearrange {
    pub start: i64,
    pub fill: i16,
    /// At most six. Their sizes need not be the output's dimensions, only as many elements.
    pub axes: Vec<Axis>,
}

/// One axis of a [`Rearrange`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    pub size: usize,
    pub offsets: Offsets,
}

/// What each index along an axis adds, in elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offsets {
    /// The index times this.
    Step(i64),
    /// An entry for each index; none for the fill.
    Table(Vec<Option<usize>>),
}

impl Rearrange {
    /// `dims` are dimensions as stored: output dimension `i` is input dimension `permutation[i]`.
    /// (H, W, C) to (C, H, W): dims `[H, W, C]`, permutation `[2, 0, 1]`.
    pub fn transpose(dims: &[usize], permutation: &[usize]) -> Self {
        let steps = steps(dims);
        Self {
            start: 0,
            fill: 0,
            axes: permutation
                .iter()
                .map(|&axis| Axis {
                    size: dims.get(axis).copied().unwrap_or(0),
                    offsets: Offsets::Step(steps.get(axis).copied().unwrap_or(0)),
                })
                .collect(),
        }
    }

    /// For each ONNX axis of `input`, which of its indices the output has there, in order; none for
    /// the fill. The output has the input's storage.
    ///
    /// That is Slice (`start, start + step, ..`), Gather of constant indices, Expand (`0, 0, ..`),
    /// Pad in every mode, and Resize of the nearest.
    pub fn select(input: &TensorDef, indices: &[Vec<Option<usize>>], fill: i16) -> Self {
        let mut order: Vec<usize> = (0..indices.len()).collect();
        if input.storage == Storage::ChannelsLast && order.len() > 1 {
            order[1..].rotate_left(1);
        }
        let steps = steps(&input.stored_dims());
        let mut start = 0;
        let mut axes = Vec::new();
        for (place, &onnx) in order.iter().enumerate() {
            let (indices, step) = (&indices[onnx], steps.get(place).copied().unwrap_or(0));
            let offsets = match progression(indices) {
                Some((first, by)) => {
                    start += first * step;
                    Offsets::Step(by * step)
                }
                None => {
                    let scaled = |index: usize| index * usize::try_from(step).unwrap_or(0);
                    Offsets::Table(indices.iter().map(|index| index.map(scaled)).collect())
                }
            };
            axes.push(Axis {
                size: indices.len(),
                offsets,
            });
        }
        Self { start, fill, axes }
    }

    /// So many elements from one on, in stored order.
    pub(super) fn rows(start: usize, count: usize) -> Self {
        Self {
            start: start as i64,
            fill: 0,
            axes: vec![Axis {
                size: count,
                offsets: Offsets::Step(1),
            }],
        }
    }

    /// ONNX DepthToSpace of channels-last `(1, C, H, W)`; `crd` is the mode in which columns of a
    /// block vary fastest within the channels of the input.
    pub fn depth_to_space(dims: [usize; 4], block: usize, crd: bool) -> Self {
        let [_, channels, height, width] = dims;
        let left = channels / (block * block).max(1);
        // Steps of a block's rows and columns, and of a channel.
        let [row, column, channel] = match crd {
            true => [block, 1, block * block],
            false => [block * left, left, 1],
        };
        let axes = [
            (height, width * channels),
            (block, row),
            (width, channels),
            (block, column),
            (left, channel),
        ];
        Self {
            start: 0,
            fill: 0,
            axes: axes
                .iter()
                .map(|&(size, step)| Axis {
                    size,
                    offsets: Offsets::Step(step as i64),
                })
                .collect(),
        }
    }
}

/// Steps of a dense tensor.
fn steps(dims: &[usize]) -> Vec<i64> {
    let mut steps = vec![1; dims.len()];
    for axis in (0..dims.len().saturating_sub(1)).rev() {
        steps[axis] = steps[axis + 1] * dims[axis + 1] as i64;
    }
    steps
}

/// First index and difference, if they are equally far apart.
fn progression(indices: &[Option<usize>]) -> Option<(i64, i64)> {
    let all: Vec<i64> = indices
        .iter()
        .map(|index| index.and_then(|index| i64::try_from(index).ok()))
        .collect::<Option<_>>()?;
    let first = *all.first()?;
    let by = all.get(1).map_or(0, |second| second - first);
    all.windows(2)
        .all(|pair| pair[1] - pair[0] == by)
        .then_some((first, by))
}
