//! Orders of elements in memory, and how to get from one to another.

/// How a tensor's elements are ordered in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    AsOnnx,
    /// `(1, C, H, W)` stored `(H, W, C)`, `(1, C, L)` stored `(L, C)`.
    ChannelsLast,
    /// A flattened `(C, spatial)` whose memory still is `(spatial, C)`.
    Flat {
        channels: usize,
        spatial: usize,
    },
}

impl Layout {
    /// ONNX dimensions in the order in which they are stored, outermost first. A flat tensor's
    /// order can't be told by its dimensions.
    pub(crate) fn order(self, rank: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..rank).collect();
        if self == Layout::ChannelsLast {
            let channels = order.remove(1);
            order.push(channels);
        }
        order
    }
}

/// For every stored element, its index in ONNX order.
pub(crate) fn onnx_index(layout: Layout, dims: &[usize]) -> Vec<usize> {
    let len: usize = dims.iter().product();
    let (channels, spatial) = match layout {
        Layout::AsOnnx => return (0..len).collect(),
        Layout::ChannelsLast => (dims[1], len / dims[1].max(1)),
        Layout::Flat { channels, spatial } => (channels, spatial),
    };
    (0..len)
        .map(|j| (j % channels) * spatial + j / channels)
        .collect()
}

/// True for `(1, C, ...)` of rank 3 or 4.
pub(super) fn is_image(dims: &[usize]) -> bool {
    matches!(dims.len(), 3 | 4) && dims[0] == 1
}

/// True when channels last and as in ONNX are the same bytes.
pub(super) fn same_either_way(dims: &[usize]) -> bool {
    dims[1] == 1 || dims[2..].iter().product::<usize>() == 1
}

/// Where both orders are the same bytes, the one that convolutions take.
pub(super) fn settle(layout: Layout, dims: &[usize]) -> Layout {
    if is_image(dims) && same_either_way(dims) {
        Layout::ChannelsLast
    } else {
        layout
    }
}

/// The order with dimensions of one, which don't matter, left out.
pub(super) fn real(order: &[usize], dims: &[usize]) -> Vec<usize> {
    order.iter().copied().filter(|d| dims[*d] > 1).collect()
}

/// One transposition: stored output dimension `i` is stored input dimension `perm[i]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Permutation {
    pub(crate) dims: Vec<usize>,
    pub(crate) perm: Vec<usize>,
}

/// Most dimensions of one transposition on the device.
const MAX_DIMS: usize = 6;

/// From one stored order of dimensions to another. Dimensions that stay neighbours move as one;
/// what still has more than six dimensions takes several steps. Empty when nothing moves.
pub(super) fn permutations(from: &[usize], to: &[usize], dims: &[usize]) -> Vec<Permutation> {
    let mut steps = Vec::new();
    // Sizes of the groups, and for each place the group that has to come there.
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for d in to {
        let at = from.iter().position(|f| f == d).unwrap_or(0);
        match groups.last_mut() {
            Some(group) if at > 0 && group.last() == Some(&from[at - 1]) => group.push(*d),
            _ => groups.push(vec![*d]),
        }
    }
    let size = |group: &[usize]| group.iter().map(|d| dims[*d]).product::<usize>();
    let place = |group: &[usize]| from.iter().position(|f| *f == group[0]).unwrap_or(0);
    let mut now: Vec<usize> = (0..groups.len()).collect();
    now.sort_by_key(|g| place(&groups[*g]));
    let sizes: Vec<usize> = groups.iter().map(|g| size(g)).collect();
    if groups.len() <= MAX_DIMS {
        if groups.len() > 1 {
            steps.push(Permutation {
                dims: now.iter().map(|g| sizes[*g]).collect(),
                perm: (0..groups.len())
                    .map(|g| now.iter().position(|n| *n == g).unwrap_or(0))
                    .collect(),
            });
        }
        return steps;
    }
    // One group after another is brought to its place, past those in between.
    for target in 0..groups.len() {
        let at = now.iter().position(|g| *g == target).unwrap_or(target);
        if at == target {
            continue;
        }
        let product = |range: &[usize]| range.iter().map(|g| sizes[*g]).product::<usize>();
        steps.push(Permutation {
            dims: vec![
                product(&now[..target]),
                product(&now[target..at]),
                sizes[target],
                product(&now[at + 1..]),
            ],
            perm: vec![0, 2, 1, 3],
        });
        let group = now.remove(at);
        now.insert(target, group);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Element by element, as the device does it.
    fn apply(values: &[usize], p: &Permutation) -> Vec<usize> {
        let out: Vec<usize> = p.perm.iter().map(|i| p.dims[*i]).collect();
        let mut strides = vec![1; p.dims.len()];
        for i in (1..p.dims.len()).rev() {
            strides[i - 1] = strides[i] * p.dims[i];
        }
        (0..values.len())
            .map(|mut flat| {
                let mut at = 0;
                for i in (0..out.len()).rev() {
                    at += flat % out[i] * strides[p.perm[i]];
                    flat /= out[i];
                }
                values[at]
            })
            .collect()
    }

    fn check(dims: &[usize], to: &[usize], most: usize) {
        let from: Vec<usize> = (0..dims.len()).collect();
        let whole = Permutation {
            dims: dims.to_vec(),
            perm: to.to_vec(),
        };
        let values: Vec<usize> = (0..dims.iter().product()).collect();
        let steps = permutations(&from, to, dims);
        assert!(steps.len() <= most, "{} steps", steps.len());
        assert!(steps.iter().all(|s| s.dims.len() <= 6), "{steps:?}");
        let got = steps.iter().fold(values.clone(), |v, s| apply(&v, s));
        assert_eq!(got, apply(&values, &whole), "{to:?}");
    }

    #[test]
    fn any_number_of_dimensions_is_moved() {
        check(&[2, 3, 4, 5], &[0, 1, 2, 3], 0);
        check(&[2, 3, 4, 5], &[3, 1, 0, 2], 1);
        check(&[2, 3, 4, 5, 2], &[4, 3, 2, 1, 0], 1);
        check(&[2, 3, 2, 3, 2, 3], &[0, 3, 4, 1, 5, 2], 1);
        check(&[2, 3, 2, 2, 2, 3, 2, 2], &[7, 5, 3, 1, 6, 4, 2, 0], 7);
    }
}
