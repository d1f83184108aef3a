//! Writes model images: tensors and ops with plain integers go in, bytes for
//! [`fixpoint_runtime::Model::parse`] come out. The format is [`fixpoint_runtime::format`]'s.
//!
//! The writer blocks and pads the weights, folds rounding constants into biases, proves that sums
//! fit their accumulators, and plans the arena.

mod check;
mod constant;
mod dense;
mod encode;
mod linear;
mod order;
mod phases;
mod plan;
mod proof;
mod range;
mod reads;
mod rearrange;
mod record;
mod records;
mod strips;

pub use fixpoint_kernels::Window;
pub use fixpoint_kernels::resize::{Between, WEIGHT_BITS};
use fixpoint_runtime::AlignedBytes;
pub use fixpoint_runtime::format::{
    Accumulator, Arithmetic, Element, EspdlChip, Operation, Reduction, Storage,
};
use order::Order;
pub(crate) use order::{Orders, in_order};
pub use phases::{Phases, Spread};
use range::Ranges;
pub use rearrange::{Axis, Offsets, Rearrange};
pub use strips::Step;

/// A tensor of an [`ImageBuilder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(usize);

/// What an image records of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorDef {
    /// ONNX name.
    pub name: String,
    /// ONNX dimensions, at most 6, all at least 1.
    pub dims: Vec<usize>,
    /// Order in memory. Conv, pools and friends want `ChannelsLast` with dims `(1, C, H, W)` or
    /// `(1, C, L)`; `FullyConnected` takes any input, in the order in which it is stored.
    pub storage: Storage,
    /// Integer type.
    pub element: Element,
    /// real = int * 2^exponent, -128..=127.
    pub exponent: i32,
}

/// Right shifts from accumulator to output: output - input - weight exponent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shifts {
    /// One for all channels.
    PerTensor(i32),
    /// One for each output channel.
    PerChannel(Vec<i32>),
}

impl Shifts {
    /// One for each of so many channels; as many as were given, if they are one for each.
    fn of_channels(&self, channels: usize) -> Vec<i32> {
        match self {
            Self::PerTensor(shift) => vec![*shift; channels],
            Self::PerChannel(shifts) => shifts.clone(),
        }
    }
}

/// What an op does to its result before it is stored. Fixpoint arithmetic: to the exact result, so
/// that there is one rounding; espdl: to the shifted one.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Activation {
    /// Nothing but saturation.
    #[default]
    None,
    /// max(y, 0).
    Relu,
    /// The integers that may come out, at the output's exponent: Clip, Relu6.
    Clip { low: i16, high: i16 },
    /// y < 0: y * slope * 2^exponent. Linear ops and Requantize only.
    LeakyRelu { slope: i16, exponent: i8 },
    /// As leaky, one slope for each channel (the last stored dimension). Linear ops and Requantize
    /// only.
    PRelu { slopes: Vec<i16>, exponent: i8 },
}

/// The integers of Conv2d, ConvTranspose2d, DepthwiseConv2d and FullyConnected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linear {
    /// In logical order, unpadded: Conv2d and ConvTranspose2d `[O][KH][KW][I/groups]`,
    /// DepthwiseConv2d `[KH][KW][C]`, FullyConnected `[O][I]` (`I` in the order in which the input
    /// tensor is stored).
    pub weights: Vec<i16>,
    /// One for each output channel. Fixpoint arithmetic: at exponent input + weight, *without* the
    /// rounding constant (the writer adds it). Espdl: at the output's exponent, or at
    /// input + weight + 4 with per-channel shifts.
    pub bias: Vec<i64>,
    pub shifts: Shifts,
    pub activation: Activation,
    /// `None`: the narrowest that is proved to suffice.
    pub accumulator: Option<Accumulator>,
}

/// What an op computes.
///
/// Axes are ONNX axes, not negative. Exponents of inputs and outputs are free where nothing else is
/// said. All inputs and the output of an op have one element type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Output channel `o` belongs to group `o / (O / groups)` and sees the input channels of that
    /// group. One-dimensional convolutions have tensors `(1, C, L)` and a window of one row.
    Conv2d {
        linear: Linear,
        window: Window,
        groups: usize,
    },
    /// One filter per channel (groups = C, multiplier 1).
    DepthwiseConv2d { linear: Linear, window: Window },
    /// ONNX ConvTranspose. `window` is that of the convolution that would lead from the output's
    /// shape back to the input's, which makes an output padding (less than the stride) part of the
    /// output's shape. Weights are neither turned nor mirrored: tap (ky, kx) of input (y, x) goes to
    /// output (y * stride + ky * dilation - pad, ..).
    ConvTranspose2d {
        linear: Linear,
        window: Window,
        groups: usize,
    },
    /// Any input shape; output `(1, O)`.
    FullyConnected { linear: Linear },
    /// Two tensors: `(.., M, K)` by `(.., K, N)`, in stored dimensions; leading dimensions of 1 are
    /// repeated. Sums are exact, one rounding. Fixpoint arithmetic only.
    MatMul,
    /// Input and output have the same exponent.
    MaxPool { window: Window },
    /// `count_include_pad` as in ONNX.
    AveragePool {
        window: Window,
        count_include_pad: bool,
    },
    /// Over all rows and columns.
    GlobalAveragePool,
    /// Two tensors, either of which may be a constant. In stored dimensions, aligned at the last,
    /// each operand has the output's size or 1 and is repeated: a constant of ONNX shape
    /// `(1, C, 1, 1)` for channels-last activations is channels-last itself. Add, Sub, Max and Min
    /// align both exactly, then round once; Mul rounds the exact product. Max and Min want one
    /// exponent for both operands in the espdl arithmetic.
    Binary {
        operation: Operation,
        activation: Activation,
    },
    /// The exponent changes, and the activation: also Relu, Clip, LeakyRelu, PRelu on their own.
    /// A leak in the espdl arithmetic keeps the exponent.
    Requantize { activation: Activation },
    /// Any function of one element, computed by the caller: Sigmoid, Tanh, HardSwish, Gelu, ...
    ///
    /// `i8`: 256 entries, of -128 to 127. `i16`: 2^k + 1 entries, `k` from 1 to 15, entry `i` for the
    /// element `-32768 + i * 2^(16 - k)` (the last for 32768), interpolated linearly and rounded half
    /// up; or 65536 entries, one for each element.
    Lookup { table: Vec<i16> },
    /// Along an axis. The output's exponent is between -30 and 0. Fixpoint arithmetic only.
    Softmax { axis: usize },
    /// Along `axes`, at most 65536 elements each. Max and Min keep the exponent. What is left over is
    /// stored in the input's order: the output's shape is free, with or without ones.
    Reduce {
        reduction: Reduction,
        axes: Vec<usize>,
    },
    /// Where the largest element is along the axis; of equal ones the first, or the last. The
    /// output's exponent is 0; its type is the input's or i16, and must hold every position.
    ArgMax { axis: usize, last: bool },
    /// The same bytes in another shape: Reshape, Flatten, Squeeze, Identity of ONNX, when the stored
    /// order stays as it is. The exponent stays. Costs nothing unless it copies.
    Reshape,
    /// Elements in another order, repeated, left out, filled up: Transpose, Slice, Pad, Expand,
    /// Gather, DepthToSpace, Resize (nearest). The exponent stays.
    Rearrange(Rearrange),
    /// One or more inputs along an axis, all with the output's storage. Each is brought to the
    /// output's exponent (and has it already in the espdl arithmetic).
    Concat { axis: usize },
    /// Channels-last. For each output row (column): the two input rows it lies between, and the
    /// weight of the second in units of 2^-14. The sum of four is exact and rounded once.
    ResizeLinear {
        rows: Vec<Between>,
        columns: Vec<Between>,
    },
}

impl Op {
    /// Whether it has weights, which are lowered.
    fn is_linear(&self) -> bool {
        matches!(
            self,
            Self::Conv2d { .. }
                | Self::DepthwiseConv2d { .. }
                | Self::ConvTranspose2d { .. }
                | Self::FullyConnected { .. }
        )
    }
}

/// Bytes for tensors that every board with our firmware has on the chip.
pub const NEAR_ROOM: u32 = 366 << 10;

/// Bytes for an image on a board with our partition table, in which two of them have a place.
pub const MODEL_ROOM: u32 = (1536 - 4) << 10;

/// How the arena was planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Bytes of arena.
    pub arena_bytes: u32,
    /// Those of them, the first, that may be in another memory than the rest; 0 where all fit
    /// [`NEAR_ROOM`].
    pub near_bytes: u32,
    /// Most bytes alive at one time: no plan needs less.
    pub lower_bound: u32,
}

/// Why an image could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The graph or a tensor is inconsistent.
    #[error("{layer}: {reason}")]
    Invalid { layer: String, reason: String },
    /// The reader refuses what was written.
    #[error("the image that was written is refused: {0}; please report this model")]
    Refused(#[from] fixpoint_runtime::ImageError),
}

impl BuildError {
    fn new(layer: &str, reason: impl Into<String>) -> Self {
        Self::Invalid {
            layer: layer.to_owned(),
            reason: reason.into(),
        }
    }
}

/// A finished image.
#[derive(Clone, Debug)]
pub struct Image {
    /// What goes to a file or to flash.
    pub bytes: Vec<u8>,
    pub plan: MemoryPlan,
    /// What each op of the image is of the builder's ops; one after another, unless some are done in strips.
    pub steps: Vec<Step>,
    /// Width of the sums of each op of the builder, in order; `None` for ops without weights.
    pub accumulators: Vec<Option<Accumulator>>,
}

/// Where a tensor's values come from.
#[derive(Clone, Debug)]
enum Source {
    Input,
    Constant(Vec<i16>),
    Op,
}

#[derive(Clone, Debug)]
struct Node {
    name: String,
    op: Op,
    inputs: Vec<TensorId>,
    output: TensorId,
}

/// Builds an image; tensors and ops are added in the order of execution.
#[derive(Clone, Debug)]
pub struct ImageBuilder {
    name: String,
    arithmetic: Arithmetic,
    keep_inputs: bool,
    dense_groups: bool,
    reorder_channels: bool,
    strips: bool,
    tensors: Vec<(TensorDef, Source)>,
    nodes: Vec<Node>,
    outputs: Vec<TensorId>,
    /// By tensor, in which order its channels have been put.
    orders: Vec<Option<Order>>,
}

impl ImageBuilder {
    /// An empty model.
    pub fn new(name: &str, arithmetic: Arithmetic) -> Self {
        Self {
            name: name.to_owned(),
            arithmetic,
            keep_inputs: true,
            dense_groups: true,
            reorder_channels: true,
            strips: true,
            tensors: Vec::new(),
            nodes: Vec::new(),
            outputs: Vec::new(),
            orders: Vec::new(),
        }
    }

    /// Whether a run must leave the inputs unchanged (the default), so that it can be repeated
    /// without writing them again. `false` lets their memory be reused.
    pub fn keep_inputs(&mut self, keep: bool) -> &mut Self {
        self.keep_inputs = keep;
        self
    }

    /// Whether convolutions in groups may become dense ones, with zeros, where the vector unit is faster with those
    /// (the default). Results are the same.
    pub fn dense_groups(&mut self, dense: bool) -> &mut Self {
        self.dense_groups = dense;
        self
    }

    /// Whether channels of tensors that are neither inputs nor outputs of the model may be in another order, where the
    /// vector unit is faster with it (the default). Results are the same.
    pub fn reorder_channels(&mut self, reorder: bool) -> &mut Self {
        self.reorder_channels = reorder;
        self
    }

    /// Whether layers may be done strip by strip where the whole of what is between them doesn't fit internal memory
    /// (the default). Results are the same.
    pub fn strips(&mut self, strips: bool) -> &mut Self {
        self.strips = strips;
        self
    }

    /// Adds an input of the model.
    pub fn input(&mut self, def: TensorDef) -> TensorId {
        self.tensor(def, Source::Input)
    }

    /// Adds a constant, `values` in stored order.
    pub fn constant(&mut self, def: TensorDef, values: Vec<i16>) -> TensorId {
        self.tensor(def, Source::Constant(values))
    }

    /// Adds an op named after its ONNX node, and its output.
    pub fn op(&mut self, name: &str, op: Op, inputs: &[TensorId], output: TensorDef) -> TensorId {
        let output = self.tensor(output, Source::Op);
        self.nodes.push(Node {
            name: name.to_owned(),
            op,
            inputs: inputs.to_vec(),
            output,
        });
        output
    }

    /// Marks a tensor as an output of the model.
    pub fn output(&mut self, tensor: TensorId) {
        self.outputs.push(tensor);
    }

    /// Plans the arena and writes the image.
    pub fn finish(mut self) -> Result<Image, BuildError> {
        self.check()?;
        let ranges = Ranges::new(&self);
        order::reorder(&mut self, &ranges);
        let ordered = &self;
        let mut lowered = ordered
            .nodes
            .iter()
            .map(|node| linear::lower(ordered, &ranges, node))
            .collect::<Result<Vec<_>, _>>()?;
        let plan = plan::plan(ordered);
        dense::spread(ordered, &ranges, &mut lowered, &plan)?;
        let of_node = |node: usize| lowered.get(node).and_then(Option::as_ref);
        let (bytes, memory, steps) = match strips::find(ordered, &lowered, &plan) {
            Some((cut, steps, plan)) => {
                let lowered: Vec<_> = steps
                    .iter()
                    .zip(&cut.nodes)
                    .map(|(step, node)| of_node(step.op).filter(|_| node.op.is_linear()))
                    .collect();
                (
                    encode::encode(&cut, &lowered, &plan, true)?,
                    plan.memory,
                    steps,
                )
            }
            None => {
                let steps = (0..ordered.nodes.len()).map(|op| Step { op, first: Some(0) });
                let lowered: Vec<_> = lowered.iter().map(Option::as_ref).collect();
                (
                    encode::encode(ordered, &lowered, &plan, false)?,
                    plan.memory,
                    steps.collect(),
                )
            }
        };
        // What the runtime would say on the chip is better heard here.
        fixpoint_runtime::Model::parse(AlignedBytes::new(&bytes).as_ref())?;
        Ok(Image {
            bytes,
            plan: memory,
            steps,
            accumulators: lowered
                .iter()
                .map(|linear| linear.as_ref().map(|linear| linear.accumulator))
                .collect(),
        })
    }

    /// [`Self::finish`], only the bytes.
    pub fn to_bytes(self) -> Result<Vec<u8>, BuildError> {
        Ok(self.finish()?.bytes)
    }

    fn tensor(&mut self, def: TensorDef, source: Source) -> TensorId {
        self.tensors.push((def, source));
        TensorId(self.tensors.len() - 1)
    }

    fn def(&self, id: TensorId) -> &TensorDef {
        &self.tensors[id.0].0
    }

    fn is_constant(&self, id: TensorId) -> bool {
        matches!(self.tensors[id.0].1, Source::Constant(_))
    }
}

impl TensorDef {
    /// Dimensions in the order of the memory.
    pub fn stored_dims(&self) -> Vec<usize> {
        let mut dims = self.dims.clone();
        if self.storage == Storage::ChannelsLast && dims.len() > 1 {
            dims[1..].rotate_left(1);
        }
        dims
    }

    /// Which of [`Self::stored_dims`] an ONNX axis is. `None` if there is no such axis.
    pub fn stored_axis(&self, axis: usize) -> Option<usize> {
        let rank = self.dims.len();
        (axis < rank).then(|| match (self.storage, axis) {
            (Storage::AsOnnx, _) | (_, 0) => axis,
            (Storage::ChannelsLast, 1) => rank - 1,
            (Storage::ChannelsLast, _) => axis - 1,
        })
    }

    fn elements(&self) -> u64 {
        self.dims
            .iter()
            .fold(1u64, |product, dim| product.saturating_mul(*dim as u64))
    }

    fn bytes(&self) -> u64 {
        self.elements().saturating_mul(self.element.bytes().into())
    }

    /// Channels of a channels-last tensor.
    fn channels(&self) -> Option<usize> {
        match (self.storage, self.dims.as_slice()) {
            (Storage::ChannelsLast, [1, c, _, _] | [1, c, _]) => Some(*c),
            _ => None,
        }
    }
}
