//! Nodes that only move elements: Reshape, Transpose, channels to pixels and back.

use super::layout::{is_image, permutations, real, same_either_way};
use super::{Builder, Kind, Layout, Permutation};

impl Builder<'_> {
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
    pub(super) fn reshape(
        &mut self,
        input: usize,
        output: &str,
        dims: &[usize],
    ) -> (usize, Layout) {
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
    pub(super) fn shuffle(&mut self, i: usize, input: usize) -> bool {
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
    pub(super) fn transpose(
        &mut self,
        i: usize,
        perm: &[usize],
        dims: Vec<usize>,
    ) -> Result<(), String> {
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
                let name = self.made_up(&format!("{output}/turning"));
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
    pub(super) fn depth_to_space(
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
    pub(super) fn space_to_depth(
        &mut self,
        i: usize,
        b: usize,
        dims: Vec<usize>,
    ) -> Result<(), String> {
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
