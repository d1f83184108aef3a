//! Execution plan: which nodes run as one layer, and in what order each tensor lies in memory.
//!
//! Images are stored channels last. A Transpose between NCHW and NHWC therefore moves no bytes, and
//! a flattened image keeps its channels-last order when only dense layers read it: their weight
//! columns are reordered instead. Only where neither works does a Transpose run.

mod espdl;
mod layout;
mod moves;
mod nodes;
mod phases;
mod reorder;

use std::collections::{BTreeMap, BTreeSet};

use crate::fusion::{Program, Role, roles};
use crate::graph::Graph;
use crate::image::Phases;
use crate::ops::{Op, Transposed};
use crate::options::Arithmetic;

pub(crate) use layout::{Layout, Permutation, onnx_index};
use layout::{is_image, settle};

/// A tensor of the plan.
#[derive(Clone, Debug)]
pub(crate) struct PlanTensor {
    pub(crate) name: String,
    /// The ONNX tensor whose values these are; differs from `name` for reordered copies.
    pub(crate) source: String,
    pub(crate) dims: Vec<usize>,
    pub(crate) layout: Layout,
    /// True when the elements in ONNX order are the source's in its order.
    pub(crate) in_order: bool,
    /// The values, as stored, of a constant.
    pub(crate) constant: Option<Vec<f32>>,
}

/// What a layer executes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// With axes and dimensions as in ONNX.
    Compute(Op),
    /// A dense layer at every position of `(1, K, rows)`, channels last.
    Rows,
    /// A function of one number, element by element.
    Table(Program),
    /// The same bytes under another shape.
    Alias,
    /// A transposition as stored.
    Permute(Permutation),
    /// A transposed convolution as an ordinary one, whose channels are those of all its phases.
    Phases(Transposed, Phases),
    /// What brings the elements of such a one to their places.
    Join(Phases),
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
    pub(crate) tables: Vec<String>,
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

    /// For every stored element of what such a layer gives, its index in the source's ONNX order, past its end
    /// where it has none; if the elements are those of phases.
    pub(crate) fn apart(&self, kind: &Kind) -> Option<Vec<usize>> {
        match kind {
            Kind::Phases(_, phases) => Some(
                (phases.outputs(self.dims[1]).into_iter())
                    .map(|at| at.unwrap_or(usize::MAX))
                    .collect(),
            ),
            _ => None,
        }
    }
}

impl Plan {
    /// The nodes of transposed convolutions that have become ordinary ones, the largest output first: what such
    /// a one gives needs memory beside what is made of it.
    pub(crate) fn divided(&self) -> Vec<usize> {
        let mut nodes: Vec<(usize, usize)> = (self.layers.iter())
            .filter(|l| matches!(l.kind, Kind::Phases(..)))
            .filter_map(|l| Some((self.tensors[l.output].len(), l.node?)))
            .collect();
        nodes.sort_by_key(|(elements, _)| std::cmp::Reverse(*elements));
        nodes.into_iter().map(|(_, node)| node).collect()
    }

    /// The plan with those transposed convolutions as they are.
    pub(crate) fn undivided(&self, nodes: &[usize]) -> Self {
        let mut plan = Self {
            layers: Vec::new(),
            ..self.clone()
        };
        let whole = |layer: &Layer| layer.node.is_some_and(|node| nodes.contains(&node));
        for layer in &self.layers {
            match (&layer.kind, plan.layers.last_mut()) {
                (Kind::Join(_), Some(convolution)) if whole(convolution) => {
                    convolution.output = layer.output;
                }
                (Kind::Phases(transposed, _), _) if whole(layer) => {
                    plan.layers.push(Layer {
                        kind: Kind::Compute(Op::ConvTranspose(*transposed)),
                        ..layer.clone()
                    });
                }
                _ => plan.layers.push(layer.clone()),
            }
        }
        plan
    }
}

/// Plans a graph all of whose nodes resolve. Tries both orders for the model's input and takes the
/// one that moves less.
pub(crate) fn plan(graph: &Graph, arithmetic: Arithmetic) -> Result<Plan, String> {
    let roles = roles(graph, arithmetic);
    let builder = || Builder::new(graph, &roles, arithmetic);
    let as_onnx = builder().build(Layout::AsOnnx)?;
    let channels_last = builder().build(Layout::ChannelsLast)?;
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
    roles: &'g [Role],
    arithmetic: Arithmetic,
    plan: Plan,
    by_name: BTreeMap<String, usize>,
    /// Nodes that an earlier one took in.
    done: BTreeSet<usize>,
    /// By output, transposes that are left to the only one behind them: what they read, and their perm.
    postponed: BTreeMap<String, (usize, Vec<usize>)>,
}

impl<'g> Builder<'g> {
    fn new(graph: &'g Graph, roles: &'g [Role], arithmetic: Arithmetic) -> Self {
        Builder {
            graph,
            roles,
            arithmetic,
            plan: Plan::default(),
            by_name: BTreeMap::new(),
            done: BTreeSet::new(),
            postponed: BTreeMap::new(),
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
        let roles = self.roles;
        for (i, role) in roles.iter().enumerate() {
            let node = &self.graph.nodes[i];
            match role {
                _ if self.done.contains(&i) => {}
                Role::Inside => {}
                Role::Layer => self.node(i, None)?,
                Role::Activated(a) => {
                    let activation = &self.graph.nodes[*a];
                    self.plan.fused.push(format!(
                        "{} '{}' into '{}'",
                        activation.op, activation.name, node.name
                    ));
                    self.node(i, Some(*a))?;
                }
                Role::Table(program) => self.table(i, program)?,
            }
        }
        for name in &self.graph.outputs {
            let Some(&id) = self.by_name.get(name) else {
                return Err(format!(
                    "The output '{name}' is a constant or an input. Remove it from the outputs."
                ));
            };
            let id = match self.plan.tensors[id].layout {
                Layout::Flat { .. } => self.reorder(id, Layout::AsOnnx),
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
            in_order: self.graph.shape(source) == Some(&dims[..]),
            dims,
            layout,
            constant: None,
        });
        let id = self.plan.tensors.len() - 1;
        self.by_name.insert(name.to_owned(), id);
        id
    }

    fn layout(&self, id: usize) -> Layout {
        self.plan.tensors[id].layout
    }

    fn dims(&self, id: usize) -> &[usize] {
        &self.plan.tensors[id].dims
    }

    /// A layer for node `i` that writes `name`.
    #[expect(clippy::too_many_arguments, reason = "the parts of a layer")]
    fn layer(
        &mut self,
        i: usize,
        activation: Option<usize>,
        kind: Kind,
        inputs: Vec<usize>,
        name: &str,
        dims: Vec<usize>,
        layout: Layout,
    ) -> usize {
        let source = self.source(i, activation);
        let output = self.tensor(name, source, dims, layout);
        self.plan.layers.push(Layer {
            name: self.graph.nodes[i].name.clone(),
            kind,
            node: Some(i),
            activation,
            inputs,
            output,
        });
        output
    }

    /// The ONNX tensor that node `i` with its activation writes.
    fn source(&self, i: usize, activation: Option<usize>) -> &'g str {
        self.graph.nodes[activation.unwrap_or(i)].output()
    }
}
