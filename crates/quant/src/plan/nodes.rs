//! How each kind of node takes its inputs and leaves its output.

use super::layout::{is_image, onnx_index, permutations, real, same_either_way};
use super::{Builder, Kind, Layout, Permutation};
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
                let name = format!("{}/lines", self.plan.tensors[input].name);
                let input = self.alias(input, &name, flat.clone(), Layout::AsOnnx);
                let kind = Kind::Compute(Op::Softmax { axis: 1 });
                let name = format!("{output}/lines");
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

    fn input(&self, node: &Node, k: usize) -> Result<usize, String> {
        let name = node.input(k).unwrap_or("");
        (self.by_name.get(name).copied()).ok_or_else(|| not_computed(node, name))
    }

    /// The tensor in an order that its dimensions tell.
    fn unflattened(&mut self, id: usize) -> usize {
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
        let name = format!("{}/rank_{rank}", self.plan.tensors[id].name);
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
        let name = format!("{}/rows", self.plan.tensors[input].name);
        let input = self.alias(input, &name, vec![1, k, rows], Layout::ChannelsLast);
        let name = format!("{output}/rows");
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
        let key = format!("{name}/{rank}/{suffix}");
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

    /// True when everything that reads `name` can take it flattened in channels-last order.
    fn takes_flat(&self, name: &str) -> bool {
        !self.graph.is_output(name)
            && (self.graph.consumers(name).iter()).all(|i| {
                let node = &self.graph.nodes[*i];
                let flat = self
                    .graph
                    .shape(node.output())
                    .is_some_and(|d| d.len() == 2 && d[0] == 1);
                match node.op.as_str() {
                    "Gemm" => flat,
                    "Relu" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {
                        self.takes_flat(node.output())
                    }
                    _ => false,
                }
            })
    }

    /// Layout of a reshaped tensor, and the input to take, reordered if need be.
    fn reshape(&mut self, input: usize, output: &str, dims: &[usize]) -> (usize, Layout) {
        let tensor = &self.plan.tensors[input];
        let (channels, spatial) = match tensor.layout {
            Layout::AsOnnx => return (input, Layout::AsOnnx),
            Layout::ChannelsLast if same_either_way(&tensor.dims) => {
                return (input, Layout::AsOnnx);
            }
            Layout::ChannelsLast if is_image(dims) && dims[1] == tensor.dims[1] => {
                return (input, Layout::ChannelsLast);
            }
            Layout::ChannelsLast => (tensor.dims[1], tensor.len() / tensor.dims[1]),
            Layout::Flat { channels, spatial } => (channels, spatial),
        };
        if self.takes_flat(output) {
            self.plan.layout_notes.push(format!(
                "'{output}' stays channels last ({spatial} x {channels}); the weight columns of \
                 the dense layer after it are reordered"
            ));
            return (input, Layout::Flat { channels, spatial });
        }
        (self.reorder(input, Layout::AsOnnx), Layout::AsOnnx)
    }

    /// A Reshape that takes dimensions of an image apart, a Transpose and a Reshape that puts them
    /// together again, as one transposition channels last: channel shuffle, pixel shuffle. True when
    /// node `i` is the first of three such nodes.
    fn shuffle(&mut self, i: usize, input: usize) -> bool {
        let graph = self.graph;
        let found = || {
            let only_reader = |name: &str, op: &str| {
                let reader = *graph.consumers(name).first()?;
                let fits = graph.is_private(name) && graph.nodes[reader].op == op;
                fits.then_some(reader)
            };
            let turn = only_reader(graph.nodes[i].output(), "Transpose")?;
            let last = only_reader(graph.nodes[turn].output(), "Reshape")?;
            let apart = graph.shape(graph.nodes[i].output())?;
            let perm = (graph.nodes[turn].ints("perm")?.iter())
                .map(|p| usize::try_from(*p).ok().filter(|p| *p < apart.len()))
                .collect::<Option<Vec<_>>>()?;
            let turned: Vec<usize> = perm.iter().map(|p| apart[*p]).collect();
            let dims = graph.shape(graph.nodes[last].output())?;
            let image = self.layout(input) == Layout::ChannelsLast && is_image(dims);
            let before = grouped(self.dims(input), apart)?;
            let after = grouped(dims, &turned)?;
            let order = |groups: &[Vec<usize>]| -> Vec<usize> {
                let order = Layout::ChannelsLast.order(groups.len());
                order.iter().flat_map(|d| groups[*d].clone()).collect()
            };
            let from = real(&order(&before), apart);
            let to: Vec<usize> = order(&after).iter().map(|d| perm[*d]).collect();
            let steps = permutations(&from, &real(&to, apart), apart);
            (image && steps.len() == 1).then(|| (turn, last, dims.to_vec(), steps))
        };
        let Some((turn, last, dims, mut steps)) = found() else {
            return false;
        };
        self.done.extend([turn, last]);
        if let Some(step) = steps.pop() {
            let (output, layout) = (graph.nodes[last].output(), Layout::ChannelsLast);
            let layer = Kind::Permute(step);
            self.layer(last, None, layer, vec![input], output, dims, layout);
            if let Some(layer) = self.plan.layers.last_mut() {
                layer.node = Some(turn);
                layer.name = graph.nodes[turn].name.clone();
            }
        }
        true
    }

    /// What two transposes in a row move is moved once.
    fn transpose(&mut self, i: usize, perm: &[usize], dims: Vec<usize>) -> Result<(), String> {
        let graph = self.graph;
        let node = &graph.nodes[i];
        let output = node.output();
        let before = node.input(0).and_then(|name| self.postponed.get(name));
        let (input, perm) = match before {
            Some((input, first)) => (*input, perm.iter().map(|p| first[*p]).collect()),
            None => (self.input(node, 0)?, perm.to_vec()),
        };
        let merged = matches!(graph.consumers(output)[..], [only]
            if graph.nodes[only].op == "Transpose" && graph.is_private(output));
        if merged {
            self.postponed.insert(output.to_owned(), (input, perm));
            return Ok(());
        }
        let input = self.unflattened(input);
        let rank = dims.len();
        let order = self.layout(input).order(rank);
        let inverse = |d: usize| perm.iter().position(|p| *p == d).unwrap_or(0);
        // The output's dimensions in the order in which they are stored now.
        let now: Vec<usize> = order.iter().map(|d| inverse(*d)).collect();
        let now = real(&now, &dims);
        let mut layouts = vec![Layout::AsOnnx];
        if is_image(&dims) {
            layouts.push(Layout::ChannelsLast);
        }
        for layout in layouts {
            if now == real(&layout.order(rank), &dims) {
                self.plan
                    .layout_notes
                    .push(format!("'{}' moves nothing", node.name));
                self.layer(i, None, Kind::Alias, vec![input], output, dims, layout);
                return Ok(());
            }
        }
        let image = is_image(&dims)
            && (graph.consumers(output).iter())
                .any(|i| graph.nodes[*i].op != "Reshape" && graph.nodes[*i].op != "Flatten");
        let layout = match image {
            true => Layout::ChannelsLast,
            false => Layout::AsOnnx,
        };
        let mut steps = permutations(&now, &real(&layout.order(rank), &dims), &dims);
        let mut from = input;
        if let Some(last) = steps.pop() {
            if !steps.is_empty() {
                let flat = vec![self.plan.tensors[input].len()];
                let name = format!("{output}/turning");
                from = self.permuted(input, steps, &name, flat, Layout::AsOnnx);
            }
            self.layer(
                i,
                None,
                Kind::Permute(last),
                vec![from],
                output,
                dims,
                layout,
            );
        }
        Ok(())
    }

    /// (H, W, [by bx C]) to (H, by, W, bx, C): rows of pixels take the place of rows of blocks.
    fn depth_to_space(
        &mut self,
        i: usize,
        b: usize,
        columns_first: bool,
        dims: Vec<usize>,
    ) -> Result<(), String> {
        let node = &self.graph.nodes[i];
        let output = node.output();
        let input = self.input(node, 0)?;
        let input = self.reorder(input, Layout::ChannelsLast);
        let (c, h, w) = (dims[1], dims[2] / b, dims[3] / b);
        let permutation = match columns_first {
            // (H, W, C, by, bx)
            true => Permutation {
                dims: vec![h, w, c, b, b],
                perm: vec![0, 3, 1, 4, 2],
            },
            false => Permutation {
                dims: vec![h, w, b, b * c],
                perm: vec![0, 2, 1, 3],
            },
        };
        let kind = Kind::Permute(permutation);
        self.layer(
            i,
            None,
            kind,
            vec![input],
            output,
            dims,
            Layout::ChannelsLast,
        );
        Ok(())
    }

    /// The way back: (H, by, W, bx C) to (H, W, by, bx C).
    fn space_to_depth(&mut self, i: usize, b: usize, dims: Vec<usize>) -> Result<(), String> {
        let node = &self.graph.nodes[i];
        let input = self.input(node, 0)?;
        let input = self.reorder(input, Layout::ChannelsLast);
        let kind = Kind::Permute(Permutation {
            dims: vec![dims[2], b, dims[3], dims[1] / b],
            perm: vec![0, 2, 1, 3],
        });
        let layout = Layout::ChannelsLast;
        self.layer(i, None, kind, vec![input], node.output(), dims, layout);
        Ok(())
    }
}

/// Which of the dimensions `fine` each of `coarse` is the product of.
fn grouped(coarse: &[usize], fine: &[usize]) -> Option<Vec<Vec<usize>>> {
    let mut next = 0;
    let mut groups = Vec::new();
    for (k, d) in coarse.iter().enumerate() {
        let (mut group, mut product) = (Vec::new(), 1);
        let last = k + 1 == coarse.len();
        while next < fine.len() && (product < *d || last && fine[next] == 1) {
            product *= fine[next];
            group.push(next);
            next += 1;
        }
        if product != *d {
            return None;
        }
        groups.push(group);
    }
    (next == fine.len()).then_some(groups)
}

fn not_computed(node: &Node, name: &str) -> String {
    format!(
        "Node '{}' ({}): '{name}' is not computed.",
        node.name, node.op
    )
}
