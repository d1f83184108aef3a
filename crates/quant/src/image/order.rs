//! The order of channels in hidden tensors.
//!
//! The vector unit computes 16 (8) channels together, a block, and pays for each different shift in it, and where the
//! lanes of one channel can't hold its sums (see [`fixpoint_vector`]). Which channels are neighbours shows in no
//! result: a tensor that is neither input nor output of the model may have its channels in any order, if whatever
//! reads and makes it has its weights in the same one. So channels with the same shift become neighbours.
//!
//! Tensors whose channels must be in one order, as those before and behind a depthwise convolution or both operands of
//! an addition, are a *space*.

mod choice;
mod table;

use super::linear::taps;
use super::range::Ranges;
use super::{Activation, Arithmetic, Element, ImageBuilder, Linear, Node, Op, Shifts, Source};
use super::{TensorDef, TensorId};
use choice::{Maker, choose};

pub(crate) use table::{Orders, write};

/// For each place of a channel in memory, which one it is.
pub(crate) type Order = Vec<usize>;

/// Puts the channels of hidden tensors into the order that is cheapest on the chip.
pub(super) fn reorder(builder: &mut ImageBuilder, ranges: &Ranges) {
    if builder.arithmetic != Arithmetic::Fixpoint || !builder.reorder_channels {
        return;
    }
    let spaces = Spaces::new(builder);
    let mut makers: Vec<Vec<Maker>> = Vec::new();
    makers.resize_with(builder.tensors.len(), Vec::new);
    for node in &builder.nodes {
        let space = spaces.of(node.output);
        if !spaces.fixed[space] {
            makers[space].extend(Maker::new(builder, ranges, node));
        }
    }
    let orders: Vec<Option<Order>> = makers.iter().map(|makers| choose(makers)).collect();
    builder.orders = (0..builder.tensors.len())
        .map(|id| orders[spaces.of(TensorId(id))].clone())
        .collect();
    for ((_, source), order) in builder.tensors.iter_mut().zip(&builder.orders) {
        if let (Source::Constant(values), Some(order)) = (source, order) {
            *values = in_order(values, order);
        }
    }
    for node in &mut builder.nodes {
        let of = |id: Option<&TensorId>| builder.orders[id?.0].as_deref();
        let (input, output) = (of(node.inputs.first()), of(Some(&node.output)));
        reorder_op(&mut node.op, input, output);
    }
}

/// Values of channels, one after another and again and again, in an order; as they are if that is empty.
pub(crate) fn in_order<T: Copy>(values: &[T], order: &[usize]) -> Vec<T> {
    if order.is_empty() {
        return values.to_vec();
    }
    let mut ordered = Vec::with_capacity(values.len());
    for pixel in values.chunks_exact(order.len()) {
        ordered.extend(order.iter().map(|channel| pixel[*channel]));
    }
    ordered
}

/// Puts what an op holds for channels of its input and output in their orders.
fn reorder_op(op: &mut Op, input: Option<&[usize]>, output: Option<&[usize]>) {
    let (linear, depthwise) = match op {
        Op::Conv2d { linear, .. }
        | Op::ConvTranspose2d { linear, .. }
        | Op::FullyConnected { linear } => (linear, false),
        Op::DepthwiseConv2d { linear, .. } => (linear, true),
        Op::Requantize { activation } => return reorder_slopes(activation, output),
        _ => return,
    };
    if let Some(order) = input {
        linear.weights = in_order(&linear.weights, order);
    }
    let Some(order) = output else { return };
    if !depthwise {
        let each = linear.weights.len() / order.len();
        let rows = order.iter().map(|channel| channel * each);
        linear.weights = rows
            .flat_map(|first| linear.weights[first..first + each].iter().copied())
            .collect();
    }
    linear.bias = in_order(&linear.bias, order);
    if let Shifts::PerChannel(shifts) = &mut linear.shifts {
        *shifts = in_order(shifts, order);
    }
    reorder_slopes(&mut linear.activation, output);
}

fn reorder_slopes(activation: &mut Activation, order: Option<&[usize]>) {
    if let (Activation::PRelu { slopes, .. }, Some(order)) = (activation, order) {
        *slopes = in_order(slopes, order);
    }
}

/// Which tensors have their channels in one order.
struct Spaces {
    /// By tensor, another one of its space, or itself.
    next: Vec<usize>,
    /// By space, whether the order is given.
    fixed: Vec<bool>,
}

impl Spaces {
    fn new(builder: &ImageBuilder) -> Self {
        let count = builder.tensors.len();
        let mut spaces = Self {
            next: (0..count).collect(),
            fixed: vec![false; count],
        };
        let inputs = (0..count).filter(|id| matches!(builder.tensors[*id].1, Source::Input));
        for id in inputs.map(TensorId).chain(builder.outputs.iter().copied()) {
            spaces.fix(id);
        }
        for node in &builder.nodes {
            spaces.node(builder, node);
        }
        spaces
    }

    /// The space of a tensor.
    fn of(&self, id: TensorId) -> usize {
        let mut at = id.0;
        while self.next[at] != at {
            at = self.next[at];
        }
        at
    }

    fn fix(&mut self, id: TensorId) {
        let space = self.of(id);
        self.fixed[space] = true;
    }

    fn join(&mut self, one: TensorId, other: TensorId) {
        let (one, other) = (self.of(one), self.of(other));
        self.next[one] = other;
        self.fixed[other] |= self.fixed[one];
    }

    fn node(&mut self, builder: &ImageBuilder, node: &Node) {
        let output = builder.def(node.output);
        let alike = |id: &TensorId| channels(builder.def(*id)) == channels(output);
        // Whether each channel of the output follows from that of the inputs alone.
        let apart = match &node.op {
            Op::Conv2d { groups: 1, .. }
            | Op::ConvTranspose2d { groups: 1, .. }
            | Op::FullyConnected { .. }
                if is_sound(builder, node) =>
            {
                return;
            }
            Op::DepthwiseConv2d { .. } => is_sound(builder, node),
            Op::MaxPool { .. }
            | Op::AveragePool { .. }
            | Op::GlobalAveragePool
            | Op::Lookup { .. }
            | Op::Reshape
            | Op::ResizeLinear { .. } => true,
            Op::Binary { .. } => {
                let once = |id: &TensorId| channels(builder.def(*id)) == 1;
                node.inputs.iter().all(|id| alike(id) || once(id))
            }
            Op::Requantize { activation } => slopes_are(activation, channels(output)),
            Op::Reduce { axes, .. } => (node.inputs.first()).is_some_and(|id| {
                let def = builder.def(*id);
                let last = def.dims.len().checked_sub(1);
                axes.iter().all(|axis| {
                    let stored = def.stored_axis(*axis);
                    stored.is_some() && stored != last
                })
            }),
            _ => false,
        };
        let repeats = matches!(node.op, Op::Binary { .. });
        for id in &node.inputs {
            match apart && (alike(id) || repeats) {
                true if alike(id) => self.join(*id, node.output),
                true => {}
                false => {
                    self.fix(*id);
                    self.fix(node.output);
                }
            }
        }
    }
}

/// The innermost dimension as stored: channels, where there are pixels.
fn channels(def: &TensorDef) -> usize {
    def.stored_dims().last().copied().unwrap_or(1)
}

/// Whether a linear op has as many weights, biases, shifts and slopes as its tensors say.
fn is_sound(builder: &ImageBuilder, node: &Node) -> bool {
    let [input] = node.inputs[..] else {
        return false;
    };
    let (input, output) = (builder.def(input), builder.def(node.output));
    let Some((linear, each)) = products(input, &node.op) else {
        return false;
    };
    let count = channels(output);
    let shifts = match &linear.shifts {
        Shifts::PerTensor(_) => true,
        Shifts::PerChannel(shifts) => shifts.len() == count,
    };
    linear.bias.len() == count
        && Some(linear.weights.len()) == each.checked_mul(count)
        && shifts
        && slopes_are(&linear.activation, count)
}

/// The linear part of an op, and how many products each of its outputs has.
fn products<'a>(input: &TensorDef, op: &'a Op) -> Option<(&'a Linear, usize)> {
    Some(match op {
        Op::Conv2d { linear, window, .. } | Op::ConvTranspose2d { linear, window, .. } => {
            (linear, taps(window) * channels(input))
        }
        Op::DepthwiseConv2d { linear, window } => (linear, taps(window)),
        Op::FullyConnected { linear } => (linear, usize::try_from(input.elements()).ok()?),
        _ => return None,
    })
}

fn slopes_are(activation: &Activation, count: usize) -> bool {
    match activation {
        Activation::PRelu { slopes, .. } => slopes.len() == count,
        _ => true,
    }
}

fn lanes(element: Element) -> usize {
    element.lanes() as usize
}
