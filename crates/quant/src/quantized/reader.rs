//! Takes a quantized graph apart, node by node in execution order.
//!
//! A tensor and its quantized form become one tensor under one name; `alias` remembers the other
//! names. Stored integers become floats under a name of their own where more than one node reads
//! them.

mod operators;
mod verdict;
mod widths;

use std::collections::{BTreeMap, BTreeSet};

use tract_onnx::pb::tensor_proto::DataType;

use super::scheme::{Kind, Other, Scheme};
use super::{Form, Found, Types, bare, qlinear};
use crate::given::{Given, GivenConstant};
use crate::graph::{Constant, Graph, Node};
use crate::import;
use crate::options::Bits;

pub(super) struct Reader<'a> {
    graph: &'a mut Graph,
    types: Types,
    anew: bool,
    found: Found,
    given: Given,
    /// Schemes of computed tensors by present name.
    schemes: BTreeMap<String, Scheme>,
    /// Names in the file that stand for integers.
    integer: BTreeSet<String>,
    /// Tensors whose scheme isn't ours.
    others: Vec<(String, Scheme, Other)>,
    /// Floats made of a stored tensor, and the scheme they were made with.
    made: BTreeMap<String, Vec<(Scheme, String)>>,
    nodes: Vec<Node>,
    channels: bool,
    /// Of computed tensors.
    widths: BTreeMap<String, Bits>,
    /// The widest of stored tensors.
    weights: Option<Bits>,
    /// int8 and int16 are both there.
    mixed: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(graph: &'a mut Graph, types: &Types, anew: bool) -> Self {
        let integer = (graph.inputs.iter())
            .filter(|n| types.contains_key(*n))
            .cloned()
            .collect();
        Reader {
            graph,
            types: types.clone(),
            anew,
            found: Found::default(),
            given: Given::default(),
            schemes: BTreeMap::new(),
            integer,
            others: Vec::new(),
            made: BTreeMap::new(),
            nodes: Vec::new(),
            channels: false,
            widths: BTreeMap::new(),
            weights: None,
            mixed: false,
        }
    }

    pub(super) fn run(mut self) -> Found {
        for node in std::mem::take(&mut self.graph.nodes) {
            self.node(node);
        }
        self.graph.nodes = std::mem::take(&mut self.nodes);
        self.settle_widths();
        self.outputs();
        self.graph.drop_unused_constants();
        let unscaled: Vec<String> = (self.graph.inputs.iter())
            .filter(|n| self.types.contains_key(*n) && !self.schemes.contains_key(*n))
            .map(|n| import::not_float(n))
            .collect();
        self.judge();
        self.found.problems.extend(unscaled);
        self.found
    }

    /// The present name of a tensor of the file.
    fn now(&self, name: &str) -> String {
        (self.found.alias.get(name)).map_or_else(|| name.to_owned(), Clone::clone)
    }

    fn node(&mut self, node: Node) {
        let op = bare(&node.op).to_owned();
        let done = match op.as_str() {
            "QuantizeLinear" => self.quantize(&node),
            "DequantizeLinear" => self.dequantize(&node),
            "DynamicQuantizeLinear" | "MatMulInteger" | "ConvInteger" => {
                self.found.form = Some(Form::Dynamic);
                self.dynamic(&op, &node)
            }
            _ => match qlinear::of(&op) {
                Some(form) => self.qlinear(form, &node),
                None => self.other(&node),
            },
        };
        match done {
            Some(()) if super::is_quantized_op(&node.op) => {
                let change = format!("{op} '{}'", named(&node));
                self.found.changes.push(change);
            }
            Some(()) => {}
            None => {
                self.found.problems.push(format!(
                    "Node '{}' ({op}): its scale or zero point is not stored, or of a kind that is \
                     not known here. Export the float model.",
                    named(&node)
                ));
            }
        }
    }

    fn push(&mut self, mut node: Node) {
        for input in &mut node.inputs {
            *input = self.now(input);
        }
        self.nodes.push(node);
    }

    /// The scheme that inputs `scale` and `scale + 1` of a node describe; without a zero point for
    /// integers of `kind` around zero.
    fn scheme(&self, node: &Node, scale: usize, kind: Kind) -> Option<Scheme> {
        let scales = self.graph.floats(node.input(scale)?)?.to_vec();
        let (kind, zeros) = match node.input(scale + 1) {
            Some(name) => {
                let kind = kind_of(*self.types.get(name)?)?;
                (kind, self.graph.int_values(name)?.to_vec())
            }
            None => (kind, vec![0]),
        };
        let sound = !scales.is_empty()
            && matches!(zeros.len(), n if n == 1 || n == scales.len())
            && scales.iter().all(|s| s.is_finite() && *s > 0.0)
            && node.int("block_size", 0) == 0;
        // One scale goes along no axis.
        let axis = match scales.len() {
            1 => 0,
            _ => node.int("axis", 1),
        };
        sound.then_some(Scheme {
            kind,
            scales,
            zeros,
            axis,
        })
    }

    fn quantize(&mut self, node: &Node) -> Option<()> {
        self.found.form.get_or_insert(Form::Qdq);
        // Without a zero point the attribute says the type; without both it is uint8.
        let kind = match node.int("output_dtype", 0) {
            0 => Kind::U8,
            to => kind_of(DataType::try_from(i32::try_from(to).ok()?).ok()?)?,
        };
        let scheme = self.scheme(node, 1, kind)?;
        let (source, output) = (node.input(0)?, node.output());
        if let Some(values) = self.graph.floats(source) {
            let dims = self.graph.constants[source].dims.clone();
            let channel = channel_of(&dims, &scheme)?;
            let integers = (values.iter().enumerate())
                .map(|(i, v)| scheme.integer(*v, channel(i)))
                .collect();
            (self.types).insert(output.to_owned(), type_of(scheme.kind));
            self.graph
                .add_constant(output, Constant::ints(dims, integers));
            return Some(());
        }
        let t = self.now(source);
        self.integer.insert(output.to_owned());
        // Rounded already, now to another scheme: that takes a step of its own.
        let again = t != source && self.schemes.get(&t).is_some_and(|s| *s != scheme);
        if again && !self.anew {
            let name = self.graph.fresh_name(&format!("{}/rescale", named(node)));
            self.push(Node {
                name,
                op: "Identity".into(),
                inputs: vec![t],
                outputs: vec![output.to_owned()],
                attrs: BTreeMap::new(),
            });
            self.scale(output, scheme);
            return Some(());
        }
        self.clamp(&t, &scheme);
        self.scale(&t, scheme);
        self.found.alias.insert(output.to_owned(), t);
        Some(())
    }

    fn dequantize(&mut self, node: &Node) -> Option<()> {
        self.found.form.get_or_insert(Form::Qdq);
        let (source, output) = (node.input(0)?, node.output());
        let kind = match self.types.get(source) {
            Some(known) => kind_of(*known)?,
            None => self.schemes.get(&self.now(source))?.kind,
        };
        let scheme = self.scheme(node, 1, kind)?;
        if self.graph.int_values(source).is_some() {
            let name = self.real(source, &scheme, output)?;
            if name != output {
                self.found.alias.insert(output.to_owned(), name);
            }
            return Some(());
        }
        let t = self.now(source);
        self.scale(&t, scheme);
        self.found.alias.insert(output.to_owned(), t);
        Some(())
    }

    /// Notes that the computed tensor `name` is rounded by `scheme`.
    fn scale(&mut self, name: &str, scheme: Scheme) {
        if let Some(known) = self.schemes.get(name) {
            if *known != scheme && !self.anew {
                self.found.problems.push(format!(
                    "The tensor '{name}' is {known} in one place and {scheme} in another, which \
                     one tensor of integers can't be."
                ));
            }
            return;
        }
        match scheme.ours() {
            _ if scheme.scales.len() > 1 => {
                let other = (name.to_owned(), scheme.clone(), Other::Channels);
                self.others.push(other);
            }
            Err(why) => self.others.push((name.to_owned(), scheme.clone(), why)),
            Ok(ours) => {
                if let Some(bits) = ours.bits() {
                    self.widths.insert(name.to_owned(), bits);
                }
                (self.given.activations).insert(name.to_owned(), ours.exponents[0]);
            }
        }
        self.schemes.insert(name.to_owned(), scheme);
    }

    /// The stored integers `name` as floats; where something else reads them too, called `stem` or
    /// like it.
    fn real(&mut self, name: &str, scheme: &Scheme, stem: &str) -> Option<String> {
        let made = self.made.get(name).into_iter().flatten();
        if let Some((_, known)) = made.into_iter().find(|(s, _)| s == scheme) {
            return Some(known.clone());
        }
        let constant = self.graph.constants.get(name)?;
        let (dims, integers) = (constant.dims.clone(), constant.as_ints()?.to_vec());
        let channel = channel_of(&dims, scheme)?;
        let values = (integers.iter().enumerate())
            .map(|(i, q)| scheme.real(*q, channel(i)))
            .collect();
        let axis = axis_of(scheme.axis, dims.len()).unwrap_or(0);
        let real = match self.graph.shapes.contains_key(stem) {
            true => self.graph.fresh_name(stem),
            false => stem.to_owned(),
        };
        match scheme.ours() {
            Err(why) => self.others.push((name.to_owned(), scheme.clone(), why)),
            Ok(ours) => {
                self.channels |= ours.exponents.len() > 1;
                let wide = ours.kind == Kind::I32;
                if let Some(bits) = ours.bits() {
                    let widest = self.weights.map_or(bits, |known| match known {
                        Bits::I16 => known,
                        Bits::I8 => bits,
                    });
                    self.weights = Some(widest);
                }
                let offset = scheme.offset();
                let constant = GivenConstant {
                    axis,
                    exponents: ours.exponents,
                    integers: wide.then(|| integers.iter().map(|q| q - offset).collect()),
                };
                self.given.constants.insert(real.clone(), constant);
            }
        }
        self.graph
            .add_constant(&real, Constant::float(dims, values));
        let entry = self.made.entry(name.to_owned()).or_default();
        entry.push((scheme.clone(), real.clone()));
        Some(real)
    }

    /// The outputs keep the names that the file gives them.
    fn outputs(&mut self) {
        let outputs = self.graph.outputs.clone();
        for output in &outputs {
            let t = self.now(output);
            if t == *output {
                continue;
            }
            let computed = self.graph.producer_of(&t);
            let free = !outputs.contains(&t) && !self.graph.constants.contains_key(&t);
            match computed.filter(|_| free) {
                Some(i) => {
                    for name in &mut self.graph.nodes[i].outputs {
                        if *name == t {
                            *name = output.clone();
                        }
                    }
                    self.graph.rewire(&t, output);
                    if let Some(e) = self.given.activations.remove(&t) {
                        self.given.activations.insert(output.clone(), e);
                    }
                    for name in self.found.alias.values_mut().filter(|n| **n == t) {
                        *name = output.clone();
                    }
                    self.found.alias.insert(t, output.clone());
                }
                None => {
                    let name = self.graph.fresh_name(&format!("{output}/copy"));
                    self.graph.nodes.push(Node {
                        name,
                        op: "Identity".into(),
                        inputs: vec![t.clone()],
                        outputs: vec![output.clone()],
                        attrs: BTreeMap::new(),
                    });
                    if let Some(e) = self.given.exponent(&t) {
                        self.given.activations.insert(output.clone(), e);
                    }
                }
            }
            self.found.alias.remove(output);
        }
    }
}

fn named(node: &Node) -> &str {
    match node.name.as_str() {
        "" => node.output(),
        name => name,
    }
}

fn kind_of(data: DataType) -> Option<Kind> {
    Some(match data {
        DataType::Int8 => Kind::I8,
        DataType::Uint8 => Kind::U8,
        DataType::Int16 => Kind::I16,
        DataType::Uint16 => Kind::U16,
        DataType::Int32 => Kind::I32,
        _ => return None,
    })
}

fn type_of(kind: Kind) -> DataType {
    match kind {
        Kind::I8 => DataType::Int8,
        Kind::U8 => DataType::Uint8,
        Kind::I16 => DataType::Int16,
        Kind::U16 => DataType::Uint16,
        Kind::I32 => DataType::Int32,
    }
}

fn axis_of(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(axis).ok().filter(|a| *a < rank)
}

/// Which of the scheme's channels an element of a tensor of shape `dims` belongs to. None where the
/// scheme doesn't fit the shape.
fn channel_of(dims: &[usize], scheme: &Scheme) -> Option<impl Fn(usize) -> usize + use<>> {
    let channels = scheme.scales.len();
    let inner = match channels {
        1 => usize::MAX,
        _ => {
            let axis = axis_of(scheme.axis, dims.len())?;
            if dims[axis] != channels {
                return None;
            }
            dims[axis + 1..].iter().product()
        }
    };
    Some(move |i: usize| i / inner.max(1) % channels)
}
