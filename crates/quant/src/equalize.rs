//! Channels brought to a common range by powers of two, where that costs nothing.
//!
//! An activation has one exponent, so the channel with the largest values decides how coarse all the
//! others are. Between a convolution and depthwise ones behind it that can be mended without any
//! loss: channel `c` is multiplied by `2^k`, by way of the weights and the bias that make it, and the
//! weights that read it are divided by as much. With an exponent for every channel the integers of
//! the weights stay what they are, and the integers of the activation use their range. (The idea is
//! the cross-layer equalization of Nagel et al., "Data-Free Quantization Through Weight Equalization
//! and Bias Correction", 2019; powers of two keep every float exact.)
//!
//! A consumer that sums over channels would pay with coarser weights, and measured no better.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::calibrate::Range;
use crate::exponent::pow2;
use crate::graph::{Constant, Data, Graph, Node};
use crate::linear;
use crate::options::{Arithmetic, Granularity, Method, Options};

/// The largest power of two by which a channel is raised. More has brought nothing, and a channel
/// that was quiet in calibration keeps some room.
const MOST: i32 = 4;

/// The least shift of a raised channel. An input's last place times a weight of half the range is 2^6:
/// with a smaller shift the output would show more than the input holds, and the sums of a block
/// would be too wide for the chip's vector unit.
const LEAST_SHIFT: i32 = 6;

/// A tensor between a convolution and the depthwise ones that read it.
struct Site {
    producer: usize,
    /// The convolution's output and, behind it, those of its activations; the last one is read by
    /// the consumers.
    tensors: Vec<String>,
    consumers: Vec<usize>,
}

/// Where channels can be brought to a common range, and what has been seen of them.
pub(crate) struct Search {
    sites: Vec<Site>,
    /// By tensor: the range of every channel.
    channels: BTreeMap<String, Vec<Range>>,
}

impl Search {
    /// The places in `graph`. None unless the least error is wanted of a chip that has an exponent for
    /// every channel, and of a model that has no exponents of its own.
    pub(crate) fn new(graph: &Graph, options: &Options) -> Search {
        let wanted = options.arithmetic == Arithmetic::Fixpoint
            && options.granularity == Granularity::PerChannel
            && options.method == Method::Mse
            && graph.given.is_empty()
            && graph.tabled.is_empty();
        let sites: Vec<Site> = match wanted {
            true => (0..graph.nodes.len())
                .filter_map(|i| site(graph, i))
                .collect(),
            false => Vec::new(),
        };
        let channels = (sites.iter().flat_map(|s| &s.tensors))
            .filter_map(|name| {
                let channels = *graph.shape(name)?.get(1)?;
                Some((name.clone(), vec![Range::NOTHING; channels]))
            })
            .collect();
        Search { sites, channels }
    }

    /// Takes one sample's values of a tensor, `[1][channels][...]`.
    pub(crate) fn take(&mut self, name: &str, values: &[f32]) {
        let Some(ranges) = self.channels.get_mut(name) else {
            return;
        };
        let plane = values.len() / ranges.len();
        for (range, values) in ranges.iter_mut().zip(values.chunks(plane.max(1))) {
            *range = range.join(Range::of(values));
        }
    }

    /// What follows from the values seen.
    pub(crate) fn scales(self) -> Scales {
        let Search { sites, channels } = self;
        let raised = (sites.into_iter())
            .filter_map(|site| {
                let powers = powers(channels.get(site.tensors.last()?)?);
                (powers.iter().any(|k| *k != 0)).then_some(Raised { site, powers })
            })
            .collect();
        Scales { raised, channels }
    }
}

/// `k` for every channel: as much as fits below the largest channel.
fn powers(ranges: &[Range]) -> Vec<i32> {
    let largest = ranges.iter().fold(0.0f32, |m, r| m.max(r.magnitude()));
    let power = |own: f32| {
        (0..=MOST)
            .rev()
            .find(|k| own * pow2(*k) as f32 <= largest)
            .unwrap_or(0)
    };
    (ranges.iter())
        .map(|r| match r.magnitude() {
            0.0 => 0,
            own => power(own),
        })
        .collect()
}

/// The place behind convolution `i`, if everything there commutes with positive factors.
fn site(graph: &Graph, i: usize) -> Option<Site> {
    let producer = &graph.nodes[i];
    if producer.op != "Conv" || !owns(graph, producer, 1) {
        return None;
    }
    if producer.input(2).is_some() && !owns(graph, producer, 2) {
        return None;
    }
    let mut tensors = vec![producer.output().to_owned()];
    loop {
        let name = tensors.last()?;
        let consumers = graph.consumers(name);
        if let [c] = consumers[..]
            && graph.nodes[c].is_activation()
            && graph.is_read_once(name)
        {
            tensors.push(graph.nodes[c].output().to_owned());
            continue;
        }
        let channels = *graph.shape(name)?.get(1)?;
        let depthwise = |c: &usize| {
            let node = &graph.nodes[*c];
            node.op == "Conv"
                && node.input(0) == Some(name)
                && usize::try_from(node.int("group", 1)) == Ok(channels)
                && owns(graph, node, 1)
        };
        let all = !consumers.is_empty() && consumers.iter().all(depthwise);
        return (all && channels > 1 && !graph.is_output(name)).then(|| Site {
            producer: i,
            tensors: tensors.clone(),
            consumers,
        });
    }
}

/// True if input `k` of `node` is stored floats that nothing else reads.
fn owns(graph: &Graph, node: &Node, k: usize) -> bool {
    (node.input(k)).is_some_and(|name| graph.floats(name).is_some() && graph.is_read_once(name))
}

/// A site with the power of two by which each channel is multiplied.
struct Raised {
    site: Site,
    powers: Vec<i32>,
}

/// Powers of two by which channels are multiplied.
#[derive(Default)]
pub(crate) struct Scales {
    /// In execution order.
    raised: Vec<Raised>,
    /// By tensor: the range of every channel in the model.
    channels: BTreeMap<String, Vec<Range>>,
}

impl Scales {
    /// The powers of a tensor's channels, if they are not all 0.
    pub(crate) fn of(&self, tensor: &str) -> Option<&[i32]> {
        (self.raised.iter())
            .find(|r| r.site.tensors.iter().any(|t| t == tensor))
            .map(|r| &r.powers[..])
    }

    /// The range of a multiplied tensor.
    pub(crate) fn range(&self, tensor: &str) -> Option<Range> {
        let channels = self.channels.get(tensor)?.iter();
        let scaled = channels.zip(self.of(tensor)?);
        Some(
            scaled
                .map(|(range, k)| range.scaled(pow2(*k) as f32))
                .fold(Range::NOTHING, Range::join),
        )
    }

    /// The ranges of all multiplied tensors.
    pub(crate) fn ranges(&self) -> BTreeMap<String, Range> {
        (self.raised.iter().flat_map(|r| &r.site.tensors))
            .filter_map(|name| Some((name.clone(), self.range(name)?)))
            .collect()
    }

    /// What a sample's values of a tensor become; None where they stay as they are.
    pub(crate) fn scaled(&self, tensor: &str, values: &[f32]) -> Option<Vec<f32>> {
        Some(multiplied(values, self.of(tensor)?))
    }

    /// Takes back what raises a channel so far that its sums would be shifted by less than
    /// [`LEAST_SHIFT`].
    pub(crate) fn limit(
        &mut self,
        graph: &Graph,
        exponents: &BTreeMap<String, i32>,
        options: &Options,
    ) {
        for at in 0..self.raised.len() {
            let site = &self.raised[at].site;
            let producer = &graph.nodes[site.producer];
            let exponent = |name: Option<&str>| name.and_then(|n| exponents.get(n)).copied();
            let (Some(input), Some(output), Some(weights)) = (
                exponent(producer.input(0)),
                exponent(site.tensors.last().map(String::as_str)),
                producer.input(1).and_then(|w| graph.floats(w)),
            ) else {
                continue;
            };
            let before = producer.input(0).and_then(|name| self.of(name));
            let outputs = self.raised[at].powers.len();
            let most: Vec<i32> = (weights.chunks(weights.len() / outputs).enumerate())
                .map(|(c, row)| {
                    let divided = before.map_or(0, |b| b[c / (outputs / b.len())]);
                    let own = linear::best_exponent(row, options);
                    own.map_or(0, |e| output - input - (e - divided) - LEAST_SHIFT)
                })
                .collect();
            for (k, most) in self.raised[at].powers.iter_mut().zip(most) {
                *k = (*k).min(most).max(0);
            }
        }
        self.raised.retain(|r| r.powers.iter().any(|k| *k != 0));
    }

    /// The graph that computes the multiplied tensors, with the same outputs.
    pub(crate) fn applied<'g>(&self, graph: &'g Graph) -> Cow<'g, Graph> {
        if self.raised.is_empty() {
            return Cow::Borrowed(graph);
        }
        let mut graph = graph.clone();
        for Raised { site, powers } in &self.raised {
            let node = &graph.nodes[site.producer];
            let raise: Vec<String> = ([1, 2].iter())
                .filter_map(|k| node.input(*k).map(str::to_owned))
                .collect();
            let lower: Vec<String> = (site.consumers.iter())
                .filter_map(|c| graph.nodes[*c].input(1).map(str::to_owned))
                .collect();
            let inverse: Vec<i32> = powers.iter().map(|k| -k).collect();
            for (name, powers) in
                (raise.iter().map(|n| (n, powers))).chain(lower.iter().map(|n| (n, &inverse)))
            {
                if let Some(Constant {
                    data: Data::Float(values),
                    ..
                }) = graph.constants.get_mut(name)
                {
                    *values = multiplied(values, powers);
                }
            }
        }
        Cow::Owned(graph)
    }
}

/// Values in parts of equal size, each multiplied by its power of two.
fn multiplied(values: &[f32], powers: &[i32]) -> Vec<f32> {
    let part = values.len() / powers.len();
    (values.chunks(part.max(1)).zip(powers))
        .flat_map(|(values, k)| {
            let factor = pow2(*k) as f32;
            values.iter().map(move |v| v * factor)
        })
        .collect()
}
