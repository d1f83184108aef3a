//! Operators on integers, and float operators that work on integers as on what they stand for.

use std::collections::BTreeMap;

use super::super::qlinear::QLinear;
use super::super::scheme::{Kind, Scheme};
use super::super::{Form, Reader};
use super::{kind_of, named};
use crate::graph::{Attr, Constant, Node};
use crate::passes;

/// Operators that compute values of another range than their input's: behind these an exporter may
/// have left out a Relu that the unsigned range of the result stands for.
const COMPUTING: [&str; 8] = [
    "Conv",
    "ConvTranspose",
    "Gemm",
    "MatMul",
    "Add",
    "Sub",
    "Mul",
    "BatchNormalization",
];

/// Operators that only move or select elements, and so work on integers as on what they stand for.
const MOVING: [&str; 23] = [
    "ArgMax",
    "Concat",
    "DepthToSpace",
    "Dropout",
    "Expand",
    "Flatten",
    "Gather",
    "GlobalMaxPool",
    "Identity",
    "Max",
    "MaxPool",
    "Min",
    "ReduceMax",
    "ReduceMin",
    "Reshape",
    "Shape",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
];

impl Reader<'_> {
    pub(super) fn qlinear(&mut self, form: QLinear, node: &Node) -> Option<()> {
        self.found.form = Some(Form::QLinear);
        if node.int("channels_last", 0) != 0 {
            self.found.problems.push(format!(
                "Node '{}' ({}): its images are stored channels last, which ONNX's own operators \
                 don't know. Export the float model.",
                named(node),
                node.op
            ));
            return Some(());
        }
        let operands: Vec<usize> = match form.many {
            true => (2..node.inputs.len()).step_by(3).collect(),
            false => form.operands.to_vec(),
        };
        let mut schemes = Vec::new();
        let mut inputs = Vec::new();
        for at in operands {
            let name = node.input(at)?;
            let stored = self.graph.int_values(name).is_some();
            let kind = match self.types.get(name) {
                Some(known) => kind_of(*known)?,
                None => (self.schemes.get(&self.now(name))).map_or(Kind::U8, |s| s.kind),
            };
            let mut scheme = self.scheme(node, at + 1, kind)?;
            // Weights of Conv go by their outputs; those of a product by its columns.
            let rank = (self.graph.constants.get(name)).map_or(0, |c| c.dims.len() as i64);
            scheme.axis = match form.op {
                _ if scheme.scales.len() == 1 => 0,
                "Conv" => 0,
                "Gemm" if node.int("transB", 0) != 0 => 0,
                _ => (rank - 1).max(0),
            };
            inputs.push(match stored {
                true => {
                    let stem = format!("{name}/real");
                    self.real(name, &scheme, &stem)?
                }
                false => {
                    let t = self.now(name);
                    self.scale(&t, scheme.clone());
                    t
                }
            });
            schemes.push(scheme);
        }
        if let Some(bias) = form.bias.and_then(|at| node.input(at)) {
            let alpha = node.float("alpha", 1.0);
            let scheme = Scheme {
                kind: Kind::I32,
                scales: (schemes[1].scales.iter())
                    .map(|w| alpha * schemes[0].scales[0] * w)
                    .collect(),
                zeros: vec![0],
                axis: 0,
            };
            let stem = format!("{bias}/real");
            inputs.push(self.real(bias, &scheme, &stem)?);
        }
        let output = node.output().to_owned();
        let real = Node {
            name: node.name.clone(),
            op: form.op.into(),
            inputs,
            outputs: vec![output.clone()],
            attrs: node.attrs.clone(),
        };
        self.push(real);
        if node.input(form.result).is_some() {
            let kind = schemes.first().map_or(Kind::U8, |s| s.kind);
            let scheme = self.scheme(node, form.result, kind)?;
            self.clamp(&output, &scheme);
            self.scale(&output, scheme);
            self.integer.insert(output);
        }
        Some(())
    }

    /// Scales that are found at run time disappear: what they scale is the value itself.
    pub(super) fn dynamic(&mut self, op: &str, node: &Node) -> Option<()> {
        if op == "DynamicQuantizeLinear" {
            let t = self.now(node.input(0)?);
            self.found.alias.insert(node.output().to_owned(), t);
            let scalar = |v| Constant::float(vec![], vec![v]);
            self.graph.add_constant(node.outputs.get(1)?, scalar(1.0));
            (self.graph).add_constant(node.outputs.get(2)?, Constant::ints(vec![], vec![0]));
            return Some(());
        }
        let (a, b) = (node.input(0)?, node.input(1)?);
        let zeros = match node.input(3) {
            Some(name) => self.graph.int_values(name)?.to_vec(),
            None => vec![0],
        };
        let scheme = Scheme {
            kind: kind_of(*self.types.get(b)?)?,
            scales: vec![1.0; zeros.len()],
            zeros,
            axis: match op {
                "ConvInteger" => 0,
                _ => self.graph.constants.get(b)?.dims.len() as i64 - 1,
            },
        };
        let weights = self.real(b, &scheme, &format!("{b}/real"))?;
        let mut real = node.clone();
        real.op = match op {
            "ConvInteger" => "Conv".into(),
            _ => "MatMul".into(),
        };
        real.inputs = vec![self.now(a), weights];
        self.push(real);
        Some(())
    }

    /// A node of a float model, or one that works on integers as on what they stand for.
    pub(super) fn other(&mut self, node: &Node) -> Option<()> {
        let first = node.inputs.first().cloned().unwrap_or_default();
        // Weights that are turned before they are dequantized.
        if let Some(kind) = self.types.get(&first).copied()
            && let Some(value) = self.stored(node)
        {
            (self.types).insert(node.output().to_owned(), kind);
            self.graph.add_constant(node.output(), value);
            return Some(());
        }
        let mut node = node.clone();
        let integers = (node.inputs.iter()).any(|n| self.integer.contains(n));
        if integers && self.anew && node.op == "Cast" {
            node.op = "Identity".into();
            node.attrs.clear();
        } else if integers {
            let scheme = self.schemes.get(&self.now(&first)).cloned();
            let known = match node.op.as_str() {
                "Relu" => scheme.as_ref().is_some_and(|s| s.zeros == [0]),
                "Clip" => (scheme.as_ref())
                    .and_then(|s| self.limits(&mut node, s))
                    .is_some(),
                "Pad" => (scheme.as_ref()).is_none_or(|s| s.zeros == [0]) || self.anew,
                "Resize" => node.str("mode", "nearest") == "nearest",
                op => MOVING.contains(&op),
            };
            if !known {
                self.found.problems.push(format!(
                    "Node '{}' ({}) computes with the integers of '{first}' instead of what they \
                     stand for. Export the float model.",
                    named(&node),
                    node.op
                ));
            }
            if !matches!(node.op.as_str(), "ArgMax" | "Shape") {
                self.integer.extend(node.outputs.iter().cloned());
                if let Some(scheme) = scheme {
                    for output in node.outputs.clone() {
                        self.schemes.entry(output).or_insert_with(|| scheme.clone());
                    }
                }
            }
        }
        self.push(node);
        Some(())
    }

    /// The integers that a node computes of stored integers.
    fn stored(&self, node: &Node) -> Option<Constant> {
        if node.op != "Clip" {
            return passes::evaluate(self.graph, node).filter(|c| c.as_ints().is_some());
        }
        let value = self.graph.constants.get(node.input(0)?)?;
        let limit = |k: usize, open: i64| match node.input(k) {
            Some(name) => self.graph.int_values(name)?.first().copied(),
            None => Some(open),
        };
        let (low, high) = (limit(1, i64::MIN)?, limit(2, i64::MAX)?);
        let clamped = value.as_ints()?.iter().map(|v| (*v).max(low).min(high));
        Some(Constant::ints(value.dims.clone(), clamped.collect()))
    }

    /// Limits of a Clip of integers, as what they stand for.
    fn limits(&mut self, node: &mut Node, scheme: &Scheme) -> Option<()> {
        for k in 1..node.inputs.len().min(3) {
            let Some(name) = node.input(k).map(str::to_owned) else {
                continue;
            };
            let limit = *self.graph.int_values(&name)?.first()?;
            let real = self.graph.fresh_name(&format!("{name}/real"));
            let value = Constant::float(vec![], vec![scheme.real(limit, 0)]);
            self.graph.add_constant(&real, value);
            node.inputs[k] = real;
        }
        Some(())
    }

    /// A range that begins at zero may stand for a Relu, and its end for the end of a Clip.
    pub(super) fn clamp(&mut self, name: &str, scheme: &Scheme) {
        let Some((low, high)) = scheme.not_negative().filter(|_| self.anew) else {
            return;
        };
        let computed = (self.nodes.iter())
            .position(|n| n.output() == name && COMPUTING.contains(&n.op.as_str()));
        let Some(i) = computed.filter(|_| !self.schemes.contains_key(name)) else {
            return;
        };
        let open = self.graph.fresh_name(&format!("{name}/unclamped"));
        self.nodes[i].outputs[0] = open.clone();
        let mut clip = Node {
            name: format!("{}/range", named(&self.nodes[i])),
            op: "Clip".into(),
            inputs: vec![open],
            outputs: vec![name.to_owned()],
            attrs: BTreeMap::new(),
        };
        for (limit, value) in [("min", low), ("max", high)] {
            if self.graph.opset < 11 {
                clip.attrs.insert(limit.into(), Attr::Float(value));
                continue;
            }
            let stored = self.graph.fresh_name(&format!("{name}/{limit}"));
            let value = Constant::float(vec![], vec![value]);
            self.graph.add_constant(&stored, value);
            clip.inputs.push(stored);
        }
        self.nodes.insert(i + 1, clip);
    }
}
