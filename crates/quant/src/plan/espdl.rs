//! What ESP-DL's layers make of exponents that no plan knows before calibration.

use std::collections::BTreeMap;

use super::{Kind, Layer, Layout, Plan, PlanTensor};
use crate::graph::Graph;
use crate::ops::{Binary, Op};

/// Whether ESP-DL's layer has no exponent of its own.
fn takes_integers(kind: &Kind) -> bool {
    match kind {
        Kind::Alias | Kind::Permute(_) | Kind::Join(_) => true,
        Kind::Compute(op) => matches!(
            op,
            Op::Concat { .. }
                | Op::Binary(Binary::Max | Binary::Min)
                | Op::Relu
                | Op::LeakyRelu
                | Op::PRelu
                | Op::MaxPool(_)
                | Op::GlobalMaxPool
                | Op::Reshape
                | Op::Transpose { .. }
                | Op::Select { .. }
                | Op::ResizeLinear { .. }
                | Op::DepthToSpace { .. }
                | Op::SpaceToDepth { .. }
        ),
        Kind::Rows | Kind::Table(_) | Kind::Phases(..) => false,
    }
}

impl Plan {
    /// The plan with the integers of every input of what only moves or selects them, and of
    /// activations, taken as they are, whatever their exponents; and sentences about where that changes values. With
    /// `evaluator`, leaky activations act on the layer's saturated result.
    pub(crate) fn for_espdl(
        &self,
        graph: &Graph,
        exponents: &BTreeMap<String, i32>,
        evaluator: bool,
    ) -> (Plan, Vec<String>) {
        let mut plan = Plan {
            layers: Vec::new(),
            ..self.clone()
        };
        let mut notes = Vec::new();
        let exponent = |plan: &Plan, id: usize| {
            (exponents.get(&plan.tensors[id].source).copied()).unwrap_or(0)
        };
        for layer in &self.layers {
            let mut layer = layer.clone();
            let as_they_are = takes_integers(&layer.kind);
            let to = exponent(&plan, layer.output);
            let mut mixed = false;
            for k in 0..layer.inputs.len() {
                let id = layer.inputs[k];
                let from = exponent(&plan, id);
                if !as_they_are || plan.tensors[id].constant.is_some() || from == to {
                    continue;
                }
                mixed = true;
                layer.inputs[k] = plan.relabelled(id, layer.output, to - from);
            }
            if mixed {
                notes.push(format!(
                    "The inputs of '{}' are not all at its output's exponent, which ESP-DL's layer \
                     needs. Their integers are taken as they are, as its evaluator does.",
                    layer.name
                ));
            }
            let leak = (layer.activation.filter(|_| evaluator)).and_then(|a| {
                match graph.nodes[a].op.as_str() {
                    "LeakyRelu" => Some((a, Op::LeakyRelu)),
                    "PRelu" => Some((a, Op::PRelu)),
                    _ => None,
                }
            });
            let Some((a, op)) = leak else {
                plan.layers.push(layer);
                continue;
            };
            let output = layer.output;
            let straight = plan.copy_of(output, "straight");
            plan.layers.push(Layer {
                activation: None,
                output: straight,
                ..layer
            });
            plan.layers.push(Layer {
                name: graph.nodes[a].name.clone(),
                kind: Kind::Compute(op),
                node: Some(a),
                activation: None,
                inputs: vec![straight],
                output,
            });
        }
        (plan, notes)
    }

    /// A tensor like `id` under another name, whose values no float tensor has.
    fn copy_of(&mut self, id: usize, what: &str) -> usize {
        let like = &self.tensors[id];
        self.tensors.push(PlanTensor {
            name: format!("{}/{what}", like.name),
            in_order: false,
            ..like.clone()
        });
        self.tensors.len() - 1
    }

    /// The integers of `id` at the exponent of `output`, which is larger by `up`: a product with
    /// 2^`up`, which ESP-DL's arithmetic takes without a loss.
    fn relabelled(&mut self, id: usize, output: usize, up: i32) -> usize {
        let copy = self.copy_of(id, "as_it_is");
        self.tensors[copy].source = self.tensors[output].source.clone();
        let factor = PlanTensor {
            name: format!("{}/factor", self.tensors[copy].name),
            source: String::new(),
            dims: vec![1; self.tensors[id].dims.len()],
            layout: Layout::AsOnnx,
            in_order: false,
            constant: Some(vec![libm::ldexpf(1.0, up)]),
        };
        self.tensors.push(factor);
        self.layers.push(Layer {
            name: self.tensors[copy].name.clone(),
            kind: Kind::Compute(Op::Binary(Binary::Mul)),
            node: None,
            activation: None,
            inputs: vec![id, self.tensors.len() - 1],
            output: copy,
        });
        copy
    }
}
