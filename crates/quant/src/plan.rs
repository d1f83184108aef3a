//! Execution plan: which nodes run as one layer, and in what order each tensor lies in memory.
//!
//! Images are stored channels last. A Transpose between NCHW and NHWC therefore moves no bytes, and
//! a flattened image keeps its channels-last order when only dense layers read it: their weight
//! columns are reordered instead. Only where neither works does a Transpose run.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::{Graph, Node};
use crate::ops::{Op, Refusal, resolve};

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

/// A tensor of the plan.
#[derive(Clone, Debug)]
pub(crate) struct PlanTensor {
    pub(crate) name: String,
    /// The ONNX tensor whose values these are; differs from `name` for reordered copies.
    pub(crate) source: String,
    pub(crate) dims: Vec<usize>,
    pub(crate) layout: Layout,
}

/// What a layer executes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Compute(Op),
    /// The same bytes under another shape.
    Alias,
    /// Stored output dimension `i` is stored input dimension `perm[i]`.
    Permute {
        dims: Vec<usize>,
        perm: Vec<usize>,
    },
}

/// One layer: a node, perhaps with the activation behind it.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Index of the node in the graph; None for an inserted reordering.
    pub(crate) node: Option<usize>,
    /// Index of the fused activation's node.
    pub(crate) activation: Option<usize>,
    pub(crate) inputs: Vec<usize>,
    pub(crate) output: usize,
}

/// The plan of a whole model.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) tensors: Vec<PlanTensor>,
    pub(crate) inputs: Vec<usize>,
    pub(crate) outputs: Vec<usize>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) fused: Vec<String>,
    pub(crate) layout_notes: Vec<String>,
}

impl PlanTensor {
    pub(crate) fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// For every stored element, its index in ONNX order.
    pub(crate) fn onnx_index(&self) -> Vec<usize> {
        onnx_index(self.layout, &self.dims)
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
fn is_image(dims: &[usize]) -> bool {
    matches!(dims.len(), 3 | 4) && dims[0] == 1
}

/// True when channels last and as in ONNX are the same bytes.
fn same_either_way(dims: &[usize]) -> bool {
    dims[1] == 1 || dims[2..].iter().product::<usize>() == 1
}

/// Where both orders are the same bytes, the one that convolutions take.
fn settle(layout: Layout, dims: &[usize]) -> Layout {
    if is_image(dims) && same_either_way(dims) {
        Layout::ChannelsLast
    } else {
        layout
    }
}

/// Dimensions in the order in which they are stored, outermost first.
fn stored_order(layout: Layout, rank: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rank).collect();
    if layout == Layout::ChannelsLast {
        let channels = order.remove(1);
        order.push(channels);
    }
    order
}

/// The activation that runs inside node `i`, if there is one: read by nobody else in between.
pub(crate) fn fused_activation(graph: &Graph, i: usize) -> Option<usize> {
    let node = &graph.nodes[i];
    if !matches!(node.op.as_str(), "Conv" | "Gemm" | "Add") || !graph.is_private(node.output()) {
        return None;
    }
    let next = *graph.consumers(node.output()).first()?;
    let fits = match graph.nodes[next].op.as_str() {
        "Relu" => true,
        "LeakyRelu" | "PRelu" => node.op != "Add",
        _ => false,
    };
    (fits && graph.nodes[next].input(0) == Some(node.output())).then_some(next)
}

/// Plans a graph all of whose nodes resolve. Tries both orders for the model's input and takes the
/// one that moves less.
pub(crate) fn plan(graph: &Graph) -> Result<Plan, String> {
    let as_onnx = Builder::new(graph).build(Layout::AsOnnx)?;
    let channels_last = Builder::new(graph).build(Layout::ChannelsLast)?;
    let moved = |plan: &Plan| -> usize {
        (plan.layers.iter())
            .filter(|l| matches!(l.kind, Kind::Permute { .. }))
            .map(|l| plan.tensors[l.output].len())
            .sum()
    };
    Ok(if moved(&channels_last) < moved(&as_onnx) {
        channels_last
    } else {
        as_onnx
    })
}

struct Builder<'g> {
    graph: &'g Graph,
    plan: Plan,
    by_name: BTreeMap<String, usize>,
}

impl<'g> Builder<'g> {
    fn new(graph: &'g Graph) -> Self {
        Builder {
            graph,
            plan: Plan::default(),
            by_name: BTreeMap::new(),
        }
    }

    fn build(mut self, input_layout: Layout) -> Result<Plan, String> {
        for name in &self.graph.inputs {
            let dims = self.graph.shape(name).unwrap_or(&[]).to_vec();
            let layout = if is_image(&dims) {
                input_layout
            } else {
                Layout::AsOnnx
            };
            let id = self.tensor(name, name, dims, layout);
            self.plan.inputs.push(id);
        }
        let mut fused = BTreeSet::new();
        for i in 0..self.graph.nodes.len() {
            if fused.contains(&i) {
                continue;
            }
            let activation = fused_activation(self.graph, i);
            if let Some(a) = activation {
                fused.insert(a);
                self.plan.fused.push(format!(
                    "{} '{}' into '{}'",
                    self.graph.nodes[a].op, self.graph.nodes[a].name, self.graph.nodes[i].name
                ));
            }
            self.node(i, activation)?;
        }
        for name in &self.graph.outputs {
            let Some(&id) = self.by_name.get(name) else {
                return Err(format!(
                    "The output '{name}' is a constant or an input. Remove it from the outputs."
                ));
            };
            let id = match self.plan.tensors[id].layout {
                Layout::Flat { .. } => self.reorder(id, Layout::AsOnnx)?,
                _ => id,
            };
            self.plan.outputs.push(id);
        }
        Ok(self.plan)
    }

    fn tensor(&mut self, name: &str, source: &str, dims: Vec<usize>, layout: Layout) -> usize {
        let layout = settle(layout, &dims);
        self.plan.tensors.push(PlanTensor {
            name: name.to_owned(),
            source: source.to_owned(),
            dims,
            layout,
        });
        let id = self.plan.tensors.len() - 1;
        self.by_name.insert(name.to_owned(), id);
        id
    }

    fn layout(&self, id: usize) -> Layout {
        self.plan.tensors[id].layout
    }

    fn node(&mut self, i: usize, activation: Option<usize>) -> Result<(), String> {
        let graph = self.graph;
        let node = &graph.nodes[i];
        let (op, dims) = resolve(graph, node).map_err(|r| match r {
            Refusal::Unsupported(why) => format!("Node '{}' ({}): {why}", node.name, node.op),
            Refusal::UnknownInput => {
                format!("Node '{}': the shape of its input is not known.", node.name)
            }
        })?;
        let output = activation.map_or(node.output(), |a| graph.nodes[a].output());
        let mut inputs = Vec::new();
        let data_inputs = if op == Op::Add { 2 } else { 1 };
        for name in node.inputs.iter().take(data_inputs) {
            match self.by_name.get(name) {
                Some(id) => inputs.push(*id),
                None => {
                    return Err(format!(
                        "Node '{}' ({}): '{name}' is not computed.",
                        node.name, node.op
                    ));
                }
            }
        }
        let (kind, layout) = match &op {
            Op::Conv(_)
            | Op::DepthwiseConv(_)
            | Op::MaxPool(_)
            | Op::AveragePool { .. }
            | Op::GlobalMaxPool
            | Op::GlobalAveragePool => {
                inputs[0] = self.reorder(inputs[0], Layout::ChannelsLast)?;
                (Kind::Compute(op), Layout::ChannelsLast)
            }
            Op::Gemm { .. } => {
                if self.layout(inputs[0]) == Layout::ChannelsLast {
                    inputs[0] = self.reorder(inputs[0], Layout::AsOnnx)?;
                }
                (Kind::Compute(op), Layout::AsOnnx)
            }
            Op::Relu | Op::LeakyRelu | Op::PRelu => {
                let layout = self.layout(inputs[0]);
                (Kind::Compute(op), layout)
            }
            Op::Add => {
                let (a, b) = (self.layout(inputs[0]), self.layout(inputs[1]));
                if a != b {
                    let layout = if is_image(&dims) {
                        Layout::ChannelsLast
                    } else {
                        Layout::AsOnnx
                    };
                    for id in &mut inputs {
                        *id = self.reorder(*id, layout)?;
                    }
                }
                let layout = self.layout(inputs[0]);
                (Kind::Compute(op), layout)
            }
            Op::Softmax { axis } => {
                let innermost = dims[axis + 1..].iter().all(|d| *d == 1);
                let fits = match self.layout(inputs[0]) {
                    Layout::ChannelsLast => *axis == 1 || same_either_way(&dims) && innermost,
                    Layout::AsOnnx => innermost,
                    Layout::Flat { .. } => false,
                };
                if !fits {
                    let layout = if *axis == 1 && is_image(&dims) {
                        Layout::ChannelsLast
                    } else if innermost {
                        Layout::AsOnnx
                    } else {
                        return Err(format!(
                            "Node '{}' (Softmax): an axis that is neither the channels nor the \
                             last one is not supported yet.",
                            node.name
                        ));
                    };
                    inputs[0] = self.reorder(inputs[0], layout)?;
                }
                let layout = self.layout(inputs[0]);
                (Kind::Compute(op), layout)
            }
            Op::Reshape => {
                let (id, layout) = self.reshape(inputs[0], output, &dims)?;
                inputs[0] = id;
                (Kind::Alias, layout)
            }
            Op::Transpose { perm } => {
                if matches!(self.layout(inputs[0]), Layout::Flat { .. }) {
                    inputs[0] = self.reorder(inputs[0], Layout::AsOnnx)?;
                }
                let (kind, layout) = self.transpose(inputs[0], perm, output, &dims, node)?;
                if kind == Kind::Alias {
                    self.plan
                        .layout_notes
                        .push(format!("'{}' moves nothing", node.name));
                }
                (kind, layout)
            }
        };
        let id = self.tensor(output, output, dims, layout);
        self.plan.layers.push(Layer {
            name: node.name.clone(),
            kind,
            node: Some(i),
            activation,
            inputs,
            output: id,
        });
        Ok(())
    }

    /// True when everything that reads `name` can take it flattened in channels-last order.
    fn takes_flat(&self, name: &str) -> bool {
        !self.graph.is_output(name)
            && (self.graph.consumers(name).iter()).all(|i| {
                let node = &self.graph.nodes[*i];
                match node.op.as_str() {
                    "Gemm" => true,
                    "Relu" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {
                        self.takes_flat(node.output())
                    }
                    _ => false,
                }
            })
    }

    /// Layout of a reshaped tensor, and the input to take, reordered if need be.
    fn reshape(
        &mut self,
        input: usize,
        output: &str,
        dims: &[usize],
    ) -> Result<(usize, Layout), String> {
        let tensor = &self.plan.tensors[input];
        let (channels, spatial) = match tensor.layout {
            Layout::AsOnnx => return Ok((input, Layout::AsOnnx)),
            Layout::ChannelsLast if same_either_way(&tensor.dims) => {
                return Ok((input, Layout::AsOnnx));
            }
            Layout::ChannelsLast if is_image(dims) && dims[1] == tensor.dims[1] => {
                return Ok((input, Layout::ChannelsLast));
            }
            Layout::ChannelsLast => (tensor.dims[1], tensor.len() / tensor.dims[1]),
            Layout::Flat { channels, spatial } => (channels, spatial),
        };
        if self.takes_flat(output) {
            self.plan.layout_notes.push(format!(
                "'{output}' stays channels last ({spatial} x {channels}); the weight columns of \
                 the dense layer after it are reordered"
            ));
            return Ok((input, Layout::Flat { channels, spatial }));
        }
        let input = self.reorder(input, Layout::AsOnnx)?;
        Ok((input, Layout::AsOnnx))
    }

    fn transpose(
        &mut self,
        input: usize,
        perm: &[usize],
        output: &str,
        dims: &[usize],
        node: &Node,
    ) -> Result<(Kind, Layout), String> {
        let tensor = &self.plan.tensors[input];
        let rank = dims.len();
        let order = stored_order(tensor.layout, rank);
        let inverse = |d: usize| perm.iter().position(|p| *p == d).unwrap_or(0);
        let now: Vec<usize> = order.iter().map(|d| inverse(*d)).collect();
        let real = |order: &[usize]| -> Vec<usize> {
            order.iter().copied().filter(|d| dims[*d] > 1).collect()
        };
        let mut layouts = vec![Layout::AsOnnx];
        if is_image(dims) {
            layouts.push(Layout::ChannelsLast);
        }
        for layout in &layouts {
            if real(&now) == real(&stored_order(*layout, rank)) {
                return Ok((Kind::Alias, *layout));
            }
        }
        let image = is_image(dims)
            && (self.graph.consumers(output).iter()).any(|i| {
                self.graph.nodes[*i].op != "Reshape" && self.graph.nodes[*i].op != "Flatten"
            });
        let layout = if image {
            Layout::ChannelsLast
        } else {
            Layout::AsOnnx
        };
        let kind = permute(&real(&now), &real(&stored_order(layout, rank)), dims)
            .map_err(|why| format!("Node '{}' (Transpose): {why}", node.name))?;
        Ok((kind, layout))
    }

    /// The tensor in the wanted layout: itself, or a reordered copy.
    fn reorder(&mut self, id: usize, layout: Layout) -> Result<usize, String> {
        let tensor = self.plan.tensors[id].clone();
        if tensor.layout == layout || is_image(&tensor.dims) && same_either_way(&tensor.dims) {
            return Ok(id);
        }
        let name = match layout {
            Layout::ChannelsLast => format!("{}/channels_last", tensor.name),
            _ => format!("{}/as_onnx", tensor.name),
        };
        if let Some(&copy) = self.by_name.get(&name) {
            return Ok(copy);
        }
        let kind = match tensor.layout {
            Layout::Flat { channels, spatial } => Kind::Permute {
                dims: vec![spatial, channels],
                perm: vec![1, 0],
            },
            from => {
                let rank = tensor.dims.len();
                let real = |layout| -> Vec<usize> {
                    (stored_order(layout, rank).into_iter())
                        .filter(|d| tensor.dims[*d] > 1)
                        .collect()
                };
                permute(&real(from), &real(layout), &tensor.dims)
                    .map_err(|why| format!("Tensor '{}': {why}", tensor.name))?
            }
        };
        self.plan.layout_notes.push(format!(
            "'{}' is reordered in memory ({} elements)",
            tensor.name,
            tensor.len()
        ));
        let copy = self.tensor(&name, &tensor.source, tensor.dims.clone(), layout);
        self.plan.layers.push(Layer {
            name,
            kind,
            node: None,
            activation: None,
            inputs: vec![id],
            output: copy,
        });
        Ok(copy)
    }
}

/// From one stored order of dimensions (all larger than 1) to another.
fn permute(from: &[usize], to: &[usize], dims: &[usize]) -> Result<Kind, String> {
    if from.len() > 4 {
        return Err("reordering more than four dimensions is not supported.".to_owned());
    }
    let perm = (to.iter())
        .map(|d| from.iter().position(|f| f == d).unwrap_or(0))
        .collect();
    Ok(Kind::Permute {
        dims: from.iter().map(|d| dims[*d]).collect(),
        perm,
    })
}
