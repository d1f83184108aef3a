//! Layers that the plan adds: copies in another order, other shapes for the same bytes.

use super::layout::{is_image, permutations, real, same_either_way};
use super::{Builder, Kind, Layer, Layout, Permutation};

impl Builder<'_> {
    /// The name of a tensor that the plan adds: `stem`, unless something in the graph is called so.
    /// The same for the same stem.
    pub(super) fn made_up(&self, stem: &str) -> String {
        self.graph.fresh_name(stem)
    }

    /// The tensor in the wanted layout: itself, or a reordered copy.
    pub(super) fn reorder(&mut self, id: usize, layout: Layout) -> usize {
        let tensor = self.plan.tensors[id].clone();
        if tensor.layout == layout {
            return id;
        }
        if is_image(&tensor.dims) && same_either_way(&tensor.dims) {
            return self.relabelled(id, layout);
        }
        let name = self.made_up(&match layout {
            Layout::ChannelsLast => format!("{}/channels_last", tensor.name),
            _ => format!("{}/as_onnx", tensor.name),
        });
        if let Some(&copy) = self.by_name.get(&name) {
            return copy;
        }
        let steps = match tensor.layout {
            Layout::Flat { channels, spatial } => vec![Permutation {
                dims: vec![spatial, channels],
                perm: vec![1, 0],
            }],
            from => {
                let rank = tensor.dims.len();
                permutations(
                    &real(&from.order(rank), &tensor.dims),
                    &real(&layout.order(rank), &tensor.dims),
                    &tensor.dims,
                )
            }
        };
        self.plan.layout_notes.push(format!(
            "'{}' is reordered in memory ({} elements)",
            tensor.name,
            tensor.len()
        ));
        self.permuted(id, steps, &name, tensor.dims.clone(), layout)
    }

    /// The same bytes, called by the other order: the device takes an op's axes by it.
    fn relabelled(&mut self, id: usize, layout: Layout) -> usize {
        let tensor = self.plan.tensors[id].clone();
        let name = self.made_up(&format!("{}/row_major", tensor.name));
        if layout == Layout::ChannelsLast {
            return id;
        }
        if let Some(&known) = self.by_name.get(&name) {
            return known;
        }
        let (source, dims) = (tensor.source, tensor.dims);
        let copy = self.inserted(id, Kind::Alias, &name, &source, dims, layout);
        self.plan.tensors[copy].layout = layout;
        copy
    }

    /// A copy of `id` after the transpositions, called `name`; in between there are tensors of one
    /// row. An alias when there is none.
    pub(super) fn permuted(
        &mut self,
        id: usize,
        steps: Vec<Permutation>,
        name: &str,
        dims: Vec<usize>,
        layout: Layout,
    ) -> usize {
        let source = self.plan.tensors[id].source.clone();
        let (mut from, count) = (id, steps.len());
        if count == 0 {
            return self.inserted(from, Kind::Alias, name, &source, dims, layout);
        }
        for (k, step) in steps.into_iter().enumerate() {
            let kind = Kind::Permute(step);
            from = match k + 1 == count {
                true => self.inserted(from, kind, name, &source, dims.clone(), layout),
                false => {
                    let flat = vec![self.plan.tensors[from].len()];
                    let name = self.made_up(&format!("{name}/{k}"));
                    self.inserted(from, kind, &name, &source, flat, Layout::AsOnnx)
                }
            };
        }
        from
    }

    /// The same bytes under other dims, as a copy called `name`.
    pub(super) fn alias(
        &mut self,
        id: usize,
        name: &str,
        dims: Vec<usize>,
        layout: Layout,
    ) -> usize {
        if self.dims(id) == dims && self.layout(id) == layout {
            return id;
        }
        if let Some(&known) = self.by_name.get(name) {
            return known;
        }
        let source = self.plan.tensors[id].source.clone();
        self.inserted(id, Kind::Alias, name, &source, dims, layout)
    }

    fn inserted(
        &mut self,
        id: usize,
        kind: Kind,
        name: &str,
        source: &str,
        dims: Vec<usize>,
        layout: Layout,
    ) -> usize {
        let output = self.tensor(name, source, dims, layout);
        self.plan.layers.push(Layer {
            name: name.to_owned(),
            kind,
            node: None,
            activation: None,
            inputs: vec![id],
            output,
        });
        output
    }
}
