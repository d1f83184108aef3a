//! How each kind of node takes its inputs and leaves its output.

use super::layout::{is_image, onnx_index, same_either_way};
use super::{Builder, Kind, Layout};
use crate::fusion::Program;
use crate::graph::Node;
use crate::ops::{Op, Refusal, resolve};

impl Builder<'_> {
    /// Adds node `i`, with the activation that runs inside it.
    pub(super) fn node(&mut self, i: usize, activation: Option<usize>) -> Result<(), String> {
        let graph = self.graph;
        let node = &graph.nodes[i];
        let (op, dims) = resolve(graph, node).map_err(|r| match r {
            Refusal::Unsupported(why) => format!("Node '{}' ({}): {why}", node.name, node.op),
            Refusal::UnknownInput => {
                format!("Node '{}': the shape of its input is not known.", node.name)
            }
        })?;
        let output = self.source(i, activation);
        match &op {
            Op::Conv { .. }
            | Op::DepthwiseConv(_)
            | Op::ConvTranspose(_)
            | Op::MaxPool(_)
            | Op::AveragePool { .. }
            | Op::GlobalMaxPool
            | Op::GlobalAveragePool
            | Op::ResizeLinear { .. } => {
                let input = self.input(node, 0)?;
                let input = self.reorder(input, Layout::ChannelsLast);
                if let Op::ConvTranspose(transposed) = &op
                    && self.phases(i, activation, transposed, input, &dims)
                {
                    return Ok(());
                }
                let kind = Kind::Compute(op);
                self.layer(
                    i,
                    activation,
                    kind,
                    vec![input],
                    output,
                    dims,
                    Layout::ChannelsLast,
                );
            }
            Op::Gemm { .. } => self.dense(i, activation, op, dims)?,
            Op::MatMul => {
                let inputs = [0, 1].map(|k| self.input(node, k));
                let inputs = inputs.into_iter().collect::<Result<Vec<_>, _>>()?;
                let inputs = (inputs.into_iter())
                    .map(|id| self.reorder(id, Layout::AsOnnx))
                    .collect();
                let kind = Kind::Compute(op);
                self.layer(i, activation, kind, inputs, output, dims, Layout::AsOnnx);
            }
            Op::Binary(_) => self.binary(i, activation, op, dims)?,
            Op::Relu | Op::Identity | Op::LeakyRelu | Op::Function(_) => {
                let input = self.input(node, 0)?;
                let layout = self.layout(input);
                let kind = Kind::Compute(op);
                self.layer(i, activation, kind, vec![input], output, dims, layout);
            }
            Op::PRelu => {
                let input = self.input(node, 0)?;
                // A slope for each channel goes by the last stored dimension.
                let (input, layout) = match dims.len() {
                    _ if is_image(&dims) => (
                        self.reorder(input, Layout::ChannelsLast),
                        Layout::ChannelsLast,
                    ),
                    2 => (self.unflattened(input), Layout::AsOnnx),
                    _ => {
                        return Err(format!(
                            "Node '{}' (PRelu): slopes of tensors of shape {dims:?} are not \
                             supported; (1, C, H, W), (1, C, L) and (N, C) are.",
                            node.name
                        ));
                    }
                };
                let kind = Kind::Compute(op);
                self.layer(i, activation, kind, vec![input], output, dims, layout);
            }
            Op::Softmax { axis }
                if self.graph.opset < 13 && dims[*axis + 1..].iter().any(|d| *d != 1) =>
            {
                // Before opset 13 all dimensions from the axis on are one.
                let input = self.input(node, 0)?;
                let input = self.reorder(input, Layout::AsOnnx);
                let outer = dims[..*axis].iter().product();
                let flat = vec![outer, dims[*axis..].iter().product()];
                let name = self.made_up(&format!("{}/lines", self.plan.tensors[input].name));
                let input = self.alias(input, &name, flat.clone(), Layout::AsOnnx);
                let kind = Kind::Compute(Op::Softmax { axis: 1 });
                let name = self.made_up(&format!("{output}/lines"));
                let out = self.layer(i, None, kind, vec![input], &name, flat, Layout::AsOnnx);
                self.alias(out, output, dims, Layout::AsOnnx);
            }
            Op::Softmax { .. } | Op::Reduce { .. } | Op::ArgMax { .. } => {
                let input = self.input(node, 0)?;
                let (input, layout) = self.kept(input, &dims);
                let kind = Kind::Compute(op);
                self.layer(i, activation, kind, vec![input], output, dims, layout);
            }
            Op::Select { .. } => {
                let input = self.input(node, 0)?;
                let input = self.with_rank(input, dims.len());
                let (input, layout) = self.kept(input, &dims);
                let kind = Kind::Compute(op);
                self.layer(i, activation, kind, vec![input], output, dims, layout);
            }
            Op::Quotient => {
                return Err(format!(
                    "Node '{}' (Div): its operands are not of its output's shape.",
                    node.name
                ));
            }
            Op::Concat { .. } => self.concat(i, op, dims)?,
            Op::Reshape => {
                let input = self.input(node, 0)?;
                if self.shuffle(i, input) {
                    return Ok(());
                }
                let (input, layout) = self.reshape(input, output, &dims);
                self.layer(i, None, Kind::Alias, vec![input], output, dims, layout);
            }
            Op::Transpose { perm } => self.transpose(i, perm, dims)?,
            Op::DepthToSpace {
                block,
                columns_first,
            } => self.depth_to_space(i, *block, *columns_first, dims)?,
            Op::SpaceToDepth { block } => self.space_to_depth(i, *block, dims)?,
        }
        Ok(())
    }

    /// Adds the table that node `i` is the last node of.
    pub(super) fn table(&mut self, i: usize, program: &Program) -> Result<(), String> {
        let node = &self.graph.nodes[i];
        let Some(&input) = self.by_name.get(&program.source) else {
            return Err(not_computed(node, &program.source));
        };
        if program.ops.len() > 1 {
            self.plan.tables.push(format!(
                "{} up to '{}' become one table",
                program.ops.join(", "),
                node.name
            ));
        }
        let (dims, layout) = (self.dims(input).to_vec(), self.layout(input));
        let kind = Kind::Table(program.clone());
        self.layer(i, None, kind, vec![input], node.output(), dims, layout);
        Ok(())
    }

    pub(super) fn input(&self, node: &Node, k: usize) -> Result<usize, String> {
        let name = node.input(k).unwrap_or("");
        (self.by_name.get(name).copied()).ok_or_else(|| not_computed(node, name))
    }

    /// The tensor in an order that its dimensions tell.
    pub(super) fn unflattened(&mut self, id: usize) -> usize {
        match self.layout(id) {
            Layout::Flat { .. } => self.reorder(id, Layout::AsOnnx),
            _ => id,
        }
    }

    /// An input and its layout, which an output of shape `dims` can keep.
    fn kept(&mut self, id: usize, dims: &[usize]) -> (usize, Layout) {
        let id = self.unflattened(id);
        match self.layout(id) {
            Layout::ChannelsLast if is_image(dims) => (id, Layout::ChannelsLast),
            _ => (self.reorder(id, Layout::AsOnnx), Layout::AsOnnx),
        }
    }

    /// The tensor with ones before its dimensions.
    fn with_rank(&mut self, id: usize, rank: usize) -> usize {
        let id = self.unflattened(id);
        let dims = self.dims(id).to_vec();
        if dims.len() >= rank {
            return id;
        }
        let id = self.reorder(id, Layout::AsOnnx);
        let mut padded = vec![1; rank - dims.len()];
        padded.extend(dims);
        let name = self.made_up(&format!("{}/rank_{rank}", self.plan.tensors[id].name));
        self.alias(id, &name, padded, Layout::AsOnnx)
    }

    /// A dense layer: of a flat input, or of every row of a longer one.
    fn dense(
        &mut self,
        i: usize,
        activation: Option<usize>,
        op: Op,
        dims: Vec<usize>,
    ) -> Result<(), String> {
        let node = &self.graph.nodes[i];
        let output = self.source(i, activation);
        let mut input = self.input(node, 0)?;
        let rows: usize = dims[..dims.len() - 1].iter().product();
        if rows == 1 && dims.len() == 2 {
            if self.layout(input) == Layout::ChannelsLast {
                input = self.reorder(input, Layout::AsOnnx);
            }
            let kind = Kind::Compute(op);
            self.layer(
                i,
                activation,
                kind,
                vec![input],
                output,
                dims,
                Layout::AsOnnx,
            );
            return Ok(());
        }
        // (rows, K) as stored is the image (1, K, rows) channels last.
        let input = self.reorder(input, Layout::AsOnnx);
        let (k, n) = (
            self.dims(input)[self.dims(input).len() - 1],
            dims[dims.len() - 1],
        );
        let name = self.made_up(&format!("{}/rows", self.plan.tensors[input].name));
        let input = self.alias(input, &name, vec![1, k, rows], Layout::ChannelsLast);
        let name = self.made_up(&format!("{output}/rows"));
        let image = vec![1, n, rows];
        let layout = Layout::ChannelsLast;
        let out = self.layer(i, activation, Kind::Rows, vec![input], &name, image, layout);
        self.alias(out, output, dims, Layout::AsOnnx);
        Ok(())
    }

    fn binary(
        &mut self,
        i: usize,
        activation: Option<usize>,
        op: Op,
        dims: Vec<usize>,
    ) -> Result<(), String> {
        let graph = self.graph;
        let node = &graph.nodes[i];
        let rank = dims.len();
        let names = [0, 1].map(|k| node.input(k).unwrap_or(""));
        let mut ids = [None; 2];
        for (id, name) in ids.iter_mut().zip(names) {
            if !graph.constants.contains_key(name) {
                let known = self.by_name.get(name).copied();
                *id = Some(known.ok_or_else(|| not_computed(node, name))?);
            }
        }
        let same = |b: &Self, id: usize| b.dims(id) == dims;
        let flat = |b: &Self, id: usize| matches!(b.layout(id), Layout::Flat { .. });
        // Flattened tensors can be combined as they are with one another.
        let all_flat = match ids {
            [Some(a), Some(b)] => {
                self.layout(a) == self.layout(b) && same(self, a) && same(self, b) && flat(self, a)
            }
            _ => false,
        };
        let layout = if all_flat {
            ids[0].map_or(Layout::AsOnnx, |a| self.layout(a))
        } else {
            for id in ids.iter_mut().flatten() {
                *id = self.with_rank(*id, rank);
            }
            let last = ids.iter().flatten().any(|id| {
                self.layout(*id) == Layout::ChannelsLast && !same_either_way(self.dims(*id))
            });
            let all = (ids.iter().flatten()).all(|id| self.layout(*id) == Layout::ChannelsLast);
            match is_image(&dims) && (last || all) {
                true => Layout::ChannelsLast,
                false => Layout::AsOnnx,
            }
        };
        let mut inputs = Vec::new();
        for (id, name) in ids.into_iter().zip(names) {
            inputs.push(match id {
                Some(id) if all_flat => id,
                Some(id) => self.reorder(id, layout),
                None => self.constant(name, rank, layout),
            });
        }
        let output = self.source(i, activation);
        let kind = Kind::Compute(op);
        self.layer(i, activation, kind, inputs, output, dims, layout);
        Ok(())
    }

    /// A stored operand with ones before its dimensions, in the order of the others.
    fn constant(&mut self, name: &str, rank: usize, layout: Layout) -> usize {
        let stored = &self.graph.constants[name];
        let mut dims = vec![1; rank.saturating_sub(stored.dims.len())];
        dims.extend(&stored.dims);
        let suffix = match layout {
            Layout::ChannelsLast => "channels_last",
            _ => "as_onnx",
        };
        let key = self.made_up(&format!("{name}/{rank}/{suffix}"));
        if let Some(&known) = self.by_name.get(&key) {
            return known;
        }
        let values = stored.as_floats().unwrap_or(&[]);
        let values = (onnx_index(layout, &dims).iter())
            .map(|at| values[*at])
            .collect();
        let id = self.tensor(&key, name, dims, layout);
        self.plan.tensors[id].constant = Some(values);
        self.plan.tensors[id].layout = layout;
        id
    }

    fn concat(&mut self, i: usize, op: Op, dims: Vec<usize>) -> Result<(), String> {
        let graph = self.graph;
        let node = &graph.nodes[i];
        let mut last = false;
        let mut ids = Vec::new();
        for name in &node.inputs {
            ids.push(match graph.constants.contains_key(name) {
                true => None,
                false => {
                    let known = self.by_name.get(name).copied();
                    let id = known.ok_or_else(|| not_computed(node, name))?;
                    let id = self.unflattened(id);
                    last |=
                        self.layout(id) == Layout::ChannelsLast && !same_either_way(self.dims(id));
                    Some(id)
                }
            });
        }
        let all = (ids.iter().flatten()).all(|id| self.layout(*id) == Layout::ChannelsLast);
        let layout = match is_image(&dims) && (last || all) {
            true => Layout::ChannelsLast,
            false => Layout::AsOnnx,
        };
        let inputs = (ids.into_iter().zip(&node.inputs))
            .map(|(id, name)| match id {
                Some(id) => self.reorder(id, layout),
                None => self.constant(name, dims.len(), layout),
            })
            .collect();
        let kind = Kind::Compute(op);
        self.layer(i, None, kind, inputs, node.output(), dims, layout);
        Ok(())
    }
}

fn not_computed(node: &Node, name: &str) -> String {
    format!(
        "Node '{}' ({}): '{name}' is not computed.",
        node.name, node.op
    )
}
