//! Chains of layers done strip by strip: a few rows of each, then the next few. What is between them is then never
//! there as a whole, and what would lie in slow memory, or not fit at all, has room in internal memory. (The idea is
//! that of patch-based inference: Lin et al., MCUNetV2, 2021, arXiv:2110.15352.)
//!
//! In an image nothing is new: a strip of a layer is an op of its own on a tensor of fewer rows, padded only where the
//! whole is. Rows that windows of two strips see are computed in both. The first op of a strip copies its rows of the
//! chain's input, and behind the last strip one op joins the results.

mod search;
#[cfg(test)]
mod tests;

use super::{ImageBuilder, Linear, Node, Op, Rearrange, Shifts, Source, TensorDef, TensorId};
use fixpoint_kernels::Window;
use fixpoint_runtime::format::Storage;
pub(super) use search::find;

/// What an op of an image is of the builder's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The builder's op, in order.
    pub op: usize,
    /// The element of that one's output, as stored, with which this one's begins; `None` if this one has
    /// no part of it and brings what the next one reads.
    pub first: Option<usize>,
}

/// Ops next to one another, by their place in the builder, each but the first reading what the one before gives.
#[derive(Clone, Copy, Debug)]
struct Chain {
    first: usize,
    last: usize,
    strips: usize,
}

/// Rows of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rows {
    first: usize,
    count: usize,
}

impl Rows {
    /// Those that windows of these rows of output see of `rows`; how many rows of padding there are above and below.
    fn seen(self, window: &Window, rows: usize) -> Option<(Self, [u16; 2])> {
        let [kernel, stride, dilation, above] = [
            window.kernel_h,
            window.stride_h,
            window.dilation_h,
            window.pad_top,
        ]
        .map(usize::from);
        let reach = (self.count.checked_sub(1)? * stride) + kernel.checked_sub(1)? * dilation + 1;
        // From the first row of padding on.
        let first = self.first * stride;
        let before = above.saturating_sub(first).min(reach);
        let start = (first + before).checked_sub(above)?;
        let count = (reach - before).min(rows.checked_sub(start)?);
        let after = reach - before - count;
        let pads = [before, after].map(|pad| u16::try_from(pad).ok());
        let seen = Self {
            first: start,
            count,
        };
        match pads {
            [Some(above), Some(below)] if count > 0 => Some((seen, [above, below])),
            _ => None,
        }
    }
}

/// Rows and their elements, of a tensor that has rows.
fn rows_of(def: &TensorDef) -> Option<(usize, usize)> {
    match (def.storage, def.dims.as_slice()) {
        (Storage::ChannelsLast, [1, c, h, w]) => Some((*h, c * w)),
        _ => None,
    }
}

/// The window of an op each of whose rows follows from some of the input's; the others' that is one.
fn window_of(op: &Op) -> Option<Window> {
    match op {
        Op::Conv2d { window, .. } | Op::DepthwiseConv2d { window, .. } | Op::MaxPool { window } => {
            Some(*window)
        }
        Op::Requantize { .. } | Op::Lookup { .. } => Some(Window::new(1, 1)),
        _ => None,
    }
}

/// The same op with other padding above and below.
fn padded(op: &Op, [above, below]: [u16; 2]) -> Op {
    let mut op = op.clone();
    if let Op::Conv2d { window, .. } | Op::DepthwiseConv2d { window, .. } | Op::MaxPool { window } =
        &mut op
    {
        (window.pad_top, window.pad_bottom) = (above, below);
    }
    op
}

/// What one strip does of an op of a chain: rows of its output, of its input, and the padding that these have.
type Cut = (Rows, Rows, [u16; 2]);

impl Chain {
    /// By op, from the first on. `None` if a strip sees nothing but padding.
    fn cuts(&self, builder: &ImageBuilder, strip: usize) -> Option<Vec<Cut>> {
        let (all, _) = rows_of(builder.def(builder.nodes[self.last].output))?;
        // The larger ones first: what is joined at the end is less then.
        let edge = |strip: usize| all / self.strips * strip + strip.min(all % self.strips);
        let mut rows = Rows {
            first: edge(strip),
            count: edge(strip + 1) - edge(strip),
        };
        let mut cuts = Vec::new();
        for node in builder.nodes[self.first..=self.last].iter().rev() {
            let (input, _) = rows_of(builder.def(node.inputs[0]))?;
            let (seen, pads) = rows.seen(&window_of(&node.op)?, input)?;
            cuts.push((rows, seen, pads));
            rows = seen;
        }
        cuts.reverse();
        Some(cuts)
    }
}

/// A builder that is made from another.
struct Cutter<'b> {
    from: &'b ImageBuilder,
    to: ImageBuilder,
    steps: Vec<Step>,
    /// By tensor of the old one.
    ids: Vec<TensorId>,
}

impl Cutter<'_> {
    /// Adds a tensor that is one of the old builder's, or rows of it.
    fn tensor(&mut self, id: TensorId, rows: Option<Rows>, source: Source) -> TensorId {
        let mut def = self.from.def(id).clone();
        if let Some(rows) = rows {
            def.dims[2] = rows.count;
            def.name = named(&def.name, rows);
        }
        let order = self.from.orders.get(id.0).cloned().flatten();
        self.to.orders.push(order);
        self.to.tensor(def, source)
    }

    /// Adds an op that is part of the old builder's `op`.
    fn op(&mut self, step: Step, node: Node) {
        self.steps.push(step);
        self.to.nodes.push(node);
    }

    fn whole(&mut self, at: usize) {
        let node = &self.from.nodes[at];
        let output = self.tensor(node.output, None, Source::Op);
        self.ids[node.output.0] = output;
        let node = Node {
            inputs: node.inputs.iter().map(|id| self.ids[id.0]).collect(),
            output,
            ..node.clone()
        };
        let step = Step {
            op: at,
            first: Some(0),
        };
        self.op(step, node);
    }

    fn chain(&mut self, chain: &Chain) -> Option<()> {
        let from = self.from;
        let input = from.nodes[chain.first].inputs[0];
        let (_, row) = rows_of(from.def(input))?;
        let mut parts = Vec::new();
        for strip in 0..chain.strips {
            let cuts = chain.cuts(from, strip)?;
            let (_, rows, _) = *cuts.first()?;
            let mut last = self.tensor(input, Some(rows), Source::Op);
            let step = Step {
                op: chain.first,
                first: None,
            };
            let copy = Rearrange::rows(rows.first * row, rows.count * row);
            self.op(
                step,
                Node {
                    name: self.to.def(last).name.clone(),
                    op: Op::Rearrange(copy),
                    inputs: vec![self.ids[input.0]],
                    output: last,
                },
            );
            for (at, (rows, _, pads)) in (chain.first..).zip(cuts) {
                let node = &from.nodes[at];
                let output = self.tensor(node.output, Some(rows), Source::Op);
                let (_, row) = rows_of(from.def(node.output))?;
                let step = Step {
                    op: at,
                    // Those of the chain's last are joined.
                    first: (at < chain.last).then_some(rows.first * row),
                };
                self.op(
                    step,
                    Node {
                        name: named(&node.name, rows),
                        op: padded(&node.op, pads),
                        inputs: vec![last],
                        output,
                    },
                );
                last = output;
            }
            parts.push(last);
        }
        let node = &from.nodes[chain.last];
        let output = self.tensor(node.output, None, Source::Op);
        self.ids[node.output.0] = output;
        let step = Step {
            op: chain.last,
            first: Some(0),
        };
        self.op(
            step,
            Node {
                name: node.name.clone(),
                op: Op::Concat { axis: 2 },
                inputs: parts,
                output,
            },
        );
        Some(())
    }
}

/// What rows of something are called; people count from 1.
fn named(name: &str, rows: Rows) -> String {
    let (first, last) = (rows.first + 1, rows.first + rows.count);
    format!("{name}, rows {first} to {last}")
}

/// The same net with these chains in strips, which have no op in common and are in order; what each of its ops
/// is. `None` if one can't be.
fn cut(builder: &ImageBuilder, chains: &[Chain]) -> Option<(ImageBuilder, Vec<Step>)> {
    let mut cutter = Cutter {
        from: builder,
        to: ImageBuilder {
            tensors: Vec::new(),
            nodes: Vec::new(),
            outputs: Vec::new(),
            orders: Vec::new(),
            name: builder.name.clone(),
            ..*builder
        },
        steps: Vec::new(),
        ids: (0..builder.tensors.len()).map(TensorId).collect(),
    };
    for (id, (_, source)) in builder.tensors.iter().enumerate() {
        if !matches!(source, Source::Op) {
            cutter.ids[id] = cutter.tensor(TensorId(id), None, source.clone());
        }
    }
    let mut at = 0;
    while at < builder.nodes.len() {
        match chains.iter().find(|chain| chain.first == at) {
            Some(chain) => {
                cutter.chain(chain)?;
                at = chain.last + 1;
            }
            None => {
                cutter.whole(at);
                at += 1;
            }
        }
    }
    let outputs = builder.outputs.iter().map(|id| cutter.ids[id.0]);
    cutter.to.outputs = outputs.collect();
    Some((cutter.to, cutter.steps))
}

/// The net without the integers of linear layers, of which only the lowered ones are written.
fn bare(builder: &ImageBuilder) -> ImageBuilder {
    let nothing = || Linear {
        weights: Vec::new(),
        bias: Vec::new(),
        shifts: Shifts::PerTensor(0),
        activation: super::Activation::None,
        accumulator: None,
    };
    let nodes = builder.nodes.iter().map(|node| Node {
        name: node.name.clone(),
        op: match &node.op {
            Op::Conv2d { window, groups, .. } => Op::Conv2d {
                linear: nothing(),
                window: *window,
                groups: *groups,
            },
            Op::DepthwiseConv2d { window, .. } => Op::DepthwiseConv2d {
                linear: nothing(),
                window: *window,
            },
            Op::ConvTranspose2d { window, groups, .. } => Op::ConvTranspose2d {
                linear: nothing(),
                window: *window,
                groups: *groups,
            },
            Op::FullyConnected { .. } => Op::FullyConnected { linear: nothing() },
            other => other.clone(),
        },
        inputs: node.inputs.clone(),
        output: node.output,
    });
    ImageBuilder {
        name: builder.name.clone(),
        tensors: builder.tensors.clone(),
        nodes: nodes.collect(),
        outputs: builder.outputs.clone(),
        orders: builder.orders.clone(),
        ..*builder
    }
}
