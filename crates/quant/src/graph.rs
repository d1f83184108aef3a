//! The graph between the ONNX file and the model image: ONNX nodes and names, batch 1, every
//! constant decoded, every shape known.

use std::collections::BTreeMap;

use crate::given::Given;

/// An attribute of a node. Sub-graphs and sparse tensors never occur in what can be quantized.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Attr {
    Int(i64),
    Float(f32),
    Str(String),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Strings(Vec<String>),
    Tensor(Constant),
    /// A kind that no supported operator has.
    Other,
}

/// The values of a constant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    Float(Vec<f32>),
    /// Any integer type, widened.
    Int(Vec<i64>),
    /// Present in the file but not readable; the sentence says why.
    Unreadable(String),
}

/// An initializer or the value of a Constant node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Constant {
    pub(crate) dims: Vec<usize>,
    pub(crate) data: Data,
}

impl Constant {
    pub(crate) fn float(dims: Vec<usize>, data: Vec<f32>) -> Self {
        Constant {
            dims,
            data: Data::Float(data),
        }
    }

    pub(crate) fn ints(dims: Vec<usize>, data: Vec<i64>) -> Self {
        Constant {
            dims,
            data: Data::Int(data),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.dims.iter().product()
    }

    pub(crate) fn as_floats(&self) -> Option<&[f32]> {
        match &self.data {
            Data::Float(v) => Some(v),
            _ => None,
        }
    }

    pub(crate) fn as_ints(&self) -> Option<&[i64]> {
        match &self.data {
            Data::Int(v) => Some(v),
            _ => None,
        }
    }
}

/// One operator call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) op: String,
    /// Empty string: an optional input left out, as in ONNX.
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    pub(crate) attrs: BTreeMap<String, Attr>,
}

impl Node {
    /// Input `i` by name, None when absent or left out.
    pub(crate) fn input(&self, i: usize) -> Option<&str> {
        self.inputs
            .get(i)
            .map(String::as_str)
            .filter(|s| !s.is_empty())
    }

    /// The first output; every supported operator has exactly one that matters.
    pub(crate) fn output(&self) -> &str {
        self.outputs.first().map(String::as_str).unwrap_or("")
    }

    /// Relu, LeakyRelu and PRelu: the activations that ESP-DL has inside layers. They commute with
    /// positive factors.
    pub(crate) fn is_activation(&self) -> bool {
        matches!(self.op.as_str(), "Relu" | "LeakyRelu" | "PRelu")
    }

    pub(crate) fn int(&self, name: &str, default: i64) -> i64 {
        match self.attrs.get(name) {
            Some(Attr::Int(v)) => *v,
            _ => default,
        }
    }

    pub(crate) fn float(&self, name: &str, default: f32) -> f32 {
        match self.attrs.get(name) {
            Some(Attr::Float(v)) => *v,
            _ => default,
        }
    }

    pub(crate) fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.attrs.get(name) {
            Some(Attr::Ints(v)) => Some(v),
            _ => None,
        }
    }

    pub(crate) fn str(&self, name: &str, default: &str) -> String {
        match self.attrs.get(name) {
            Some(Attr::Str(v)) => v.clone(),
            _ => default.to_owned(),
        }
    }
}

/// A node that only moved its input, and is now part of the one behind it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Absorbed {
    pub(crate) node: Node,
    /// The name of the node that took it in.
    pub(crate) into: String,
}

/// The whole model; nodes in execution order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    pub(crate) name: String,
    pub(crate) producer: String,
    pub(crate) opset: i64,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) constants: BTreeMap<String, Constant>,
    /// Dims of every tensor whose shape is known, constants included.
    pub(crate) shapes: BTreeMap<String, Vec<usize>>,
    /// Exponents that came with the file.
    pub(crate) given: Given,
    /// Exponents of a quantization table, which are taken instead of calibrated ones; of constants those
    /// of weights alone. What is fused or rounded doesn't depend on them.
    pub(crate) tabled: Given,
    /// What the file calls nodes that were given another name: empty, or the same as another's.
    pub(crate) renamed: BTreeMap<String, String>,
    /// The number that the ESP-DL toolkit's optimizer gave out last: it numbers all tensors of the file
    /// (inputs, initializers, what nodes write, and one that stands for none), and its own from there.
    pub(crate) numbered: usize,
    /// By what nodes write, their places in the file; of initializers those among themselves, with what the
    /// optimizer adds at the end.
    pub(crate) places: BTreeMap<String, usize>,
    /// Steps of LSTM and GRU that have been written out, of all directions.
    pub(crate) written_steps: usize,
    /// Gemm nodes whose alpha or beta is in their weights now.
    pub(crate) scaled: Vec<String>,
    /// Constants with the same values as an earlier one, by which the toolkit's table lists them.
    pub(crate) twins: BTreeMap<String, String>,
    /// Nodes that a fusion took in and which the ESP-DL toolkit keeps.
    pub(crate) absorbed: Vec<Absorbed>,
}

impl Graph {
    /// Whether a pass has made this node as a part of one that the ESP-DL toolkit takes whole: of a maximum
    /// or minimum of three and more, or of a mean that counts its padding.
    pub(crate) fn is_part(&self, node: &Node) -> bool {
        matches!(node.op.as_str(), "Max" | "Min" | "Pad")
            && !self.places.contains_key(node.output())
    }

    /// The name that the file and the ESP-DL toolkit have for a node.
    pub(crate) fn name_in_file<'a>(&'a self, name: &'a str) -> &'a str {
        self.renamed.get(name).map_or(name, String::as_str)
    }

    /// The table's key for a constant.
    pub(crate) fn listed<'a>(&'a self, name: &'a str) -> &'a str {
        self.twins.get(name).map_or(name, String::as_str)
    }

    /// The exponent that a computed tensor has whatever calibration finds.
    pub(crate) fn settled_exponent(&self, name: &str) -> Option<i32> {
        let given = self.given.exponent(name);
        given.or_else(|| self.tabled.exponent(name))
    }

    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.shapes.get(name).map(Vec::as_slice)
    }

    /// Indices of the nodes that read `name`; a node that reads it twice is listed once.
    pub(crate) fn consumers(&self, name: &str) -> Vec<usize> {
        (self.nodes.iter().enumerate())
            .filter(|(_, n)| n.inputs.iter().any(|i| i == name))
            .map(|(i, _)| i)
            .collect()
    }

    /// Index of the node that writes `name`.
    pub(crate) fn producer_of(&self, name: &str) -> Option<usize> {
        self.nodes
            .iter()
            .position(|n| n.outputs.iter().any(|o| o == name))
    }

    pub(crate) fn is_output(&self, name: &str) -> bool {
        self.outputs.iter().any(|o| o == name)
    }

    /// True when `name` is read by exactly one node, once, and by nobody outside, and is only a step
    /// on the way: what the file rounds to an exponent of its own is not.
    pub(crate) fn is_private(&self, name: &str) -> bool {
        self.given.exponent(name).is_none() && self.is_read_once(name)
    }

    /// True when `name` is read by exactly one node, once, and by nobody outside.
    pub(crate) fn is_read_once(&self, name: &str) -> bool {
        let reads: usize = (self.nodes.iter())
            .map(|n| n.inputs.iter().filter(|i| *i == name).count())
            .sum();
        reads == 1 && !self.is_output(name)
    }

    /// Makes everything that read `from` read `to` instead.
    pub(crate) fn rewire(&mut self, from: &str, to: &str) {
        for node in &mut self.nodes {
            for input in &mut node.inputs {
                if input == from {
                    *input = to.to_owned();
                }
            }
        }
    }

    /// A constant tensor's floats, if `name` is one.
    pub(crate) fn floats(&self, name: &str) -> Option<&[f32]> {
        self.constants.get(name).and_then(Constant::as_floats)
    }

    /// A constant tensor's integers, if `name` is one.
    pub(crate) fn int_values(&self, name: &str) -> Option<&[i64]> {
        self.constants.get(name).and_then(Constant::as_ints)
    }

    /// Other values under a name are no longer the integers that the file gave it.
    pub(crate) fn add_constant(&mut self, name: &str, constant: Constant) {
        self.given.constants.remove(name);
        self.shapes.insert(name.to_owned(), constant.dims.clone());
        self.constants.insert(name.to_owned(), constant);
    }

    fn is_taken(&self, name: &str) -> bool {
        self.constants.contains_key(name)
            || self.shapes.contains_key(name)
            || self.inputs.iter().any(|i| i == name)
            || (self.nodes.iter()).any(|n| n.name == name || n.outputs.iter().any(|o| o == name))
    }

    /// What the toolkit's optimizer calls an initializer that it adds: the next number that is no
    /// tensor's name. The tensor itself then takes a number.
    pub(crate) fn numbered_name(&mut self) -> String {
        let name = loop {
            self.numbered += 1;
            let name = self.numbered.to_string();
            if !self.is_taken(&name) {
                break name;
            }
        };
        self.numbered += 1;
        self.places
            .insert(name.clone(), usize::MAX / 2 + self.numbered);
        name
    }

    /// A tensor or node name starting with `stem` that nothing in the graph has.
    pub(crate) fn fresh_name(&self, stem: &str) -> String {
        let taken = |name: &str| self.is_taken(name);
        if !taken(stem) {
            return stem.to_owned();
        }
        let mut k = 0u32;
        loop {
            let name = format!("{stem}_{k}");
            if !taken(&name) {
                return name;
            }
            k += 1;
        }
    }

    /// Drops constants that nothing reads. Returns how many.
    pub(crate) fn drop_unused_constants(&mut self) -> usize {
        let mut used = std::collections::BTreeSet::new();
        for node in &self.nodes {
            used.extend(node.inputs.iter().cloned());
        }
        used.extend(self.outputs.iter().cloned());
        let before = self.constants.len();
        self.constants.retain(|name, _| used.contains(name));
        before - self.constants.len()
    }
}
