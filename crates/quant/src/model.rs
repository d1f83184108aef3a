//! A model as it came from the ONNX file, and its float reference.

use std::collections::BTreeSet;

use crate::error::{ImportError, QuantError, Unsupported};
use crate::float::Reference;
use crate::graph::{Data, Graph, Node};
use crate::import::Imported;
use crate::inspect::{Fate, Inspection, NodeInfo, PassInfo, Quantization, ValueInfo};
use crate::ops::{self, Refusal};
use crate::options::{Arithmetic, Granularity, Options};
use crate::plan::{self, Plan};
use crate::quantized::{self, Found};
use crate::simulate::Output;
use crate::sizes::{OpenSize, Reading};
use crate::table::{self, Table, TableError, weight_rows};
use crate::{batch, import, passes};

/// A parsed ONNX model, before and after the graph passes.
#[derive(Clone, Debug)]
pub struct FloatModel {
    pub(crate) graph: Graph,
    /// None when there are problems.
    pub(crate) plan: Option<Plan>,
    /// How its file was read.
    pub(crate) reading: Reading,
    original: Vec<NodeInfo>,
    parameters: u64,
    passes: Vec<PassInfo>,
    quantization: Option<Quantization>,
    problems: Vec<String>,
    open: Vec<OpenSize>,
    /// Of the table whose exponents the graph has.
    tabled_granularity: Option<Granularity>,
    inputs: Vec<ValueInfo>,
    outputs: Vec<ValueInfo>,
}

impl FloatModel {
    /// Reads an ONNX file. Fails only when there is no graph to show; what stands in the way of
    /// quantizing is listed by [`FloatModel::problems`].
    ///
    /// A model that is quantized already is taken with its own exponents and integers where its
    /// scheme is ours; otherwise that is a problem, which says why.
    pub fn from_onnx(bytes: &[u8]) -> Result<FloatModel, ImportError> {
        Self::from_onnx_as(bytes, &Reading::default())
    }

    /// As [`FloatModel::from_onnx`], with what `reading` says.
    pub fn from_onnx_as(bytes: &[u8], reading: &Reading) -> Result<FloatModel, ImportError> {
        let proto = import::decode(bytes)?;
        let read = || import::import(&proto, &reading.sizes);
        let model = Self::of(read()?, reading)?;
        let fixed = (!model.problems.is_empty()).then(|| batch::fixed(&proto));
        let Some(batch) = fixed.flatten() else {
            return Ok(model);
        };
        let mut imported = read()?;
        batch.taken_singly(&mut imported.graph);
        let mut single = Self::of(imported, reading)?;
        if !single.problems.is_empty() || !batch.is_as_declared(&single.graph) {
            return Ok(model);
        }
        single.passes.insert(0, batch.pass(single.original.len()));
        Ok(single)
    }

    fn of(imported: Imported, reading: &Reading) -> Result<FloatModel, ImportError> {
        let anew = reading.anew;
        let Imported {
            mut graph,
            types,
            open,
            mut problems,
        } = imported;
        let file = graph.nodes.clone();
        let nodes = file.len();
        let found = quantized::read(&mut graph, &types, anew);
        ops::infer_shapes(&mut graph);
        let original = (file.iter())
            .map(|n| file_node_info(&graph, n, &found))
            .collect();
        let quantization = quantization(&found, anew);
        problems.extend(found.problems);
        let parameters = (graph.constants.values())
            .filter(|c| matches!(c.data, Data::Float(_)))
            .map(|c| c.len() as u64)
            .sum();
        let mut passes = Vec::new();
        if quantization.is_some() {
            passes.push(PassInfo {
                name: "read_quantization".into(),
                description:
                    "The operators of a quantized model become float operators with given \
                              scales."
                        .into(),
                changes: found.changes,
                nodes_before: nodes,
                nodes_after: graph.nodes.len(),
            });
        }
        passes.extend(passes::run(&mut graph));
        let unsupported = unsupported(&graph, problems.is_empty());
        problems.extend(unsupported.iter().map(ToString::to_string));
        let mut plan = None;
        if problems.is_empty() {
            match plan::plan(&graph, Arithmetic::Fixpoint) {
                Ok(p) => plan = Some(p),
                Err(why) => problems.push(why),
            }
        }
        if let Some(plan) = &plan {
            // Each layer stands for one node, with the nodes that run inside it; a node may become
            // several layers.
            let layers: BTreeSet<_> = plan.layers.iter().filter_map(|l| l.node).collect();
            let with_activations = layers.len() + plan.fused.len();
            passes.push(PassInfo {
                name: "fuse_functions".into(),
                description: "Functions of one number in a row, or side by side, become one table."
                    .into(),
                changes: plan.tables.clone(),
                nodes_before: graph.nodes.len(),
                nodes_after: with_activations,
            });
            passes.push(PassInfo {
                name: "fuse_activation".into(),
                description: "An activation runs inside the layer before it, and its range sets \
                              the exponent."
                    .into(),
                changes: plan.fused.clone(),
                nodes_before: with_activations,
                nodes_after: layers.len(),
            });
            passes.push(PassInfo {
                name: "layout".into(),
                description: "Images are stored channels last; transposes that this makes \
                              pointless move nothing."
                    .into(),
                changes: plan.layout_notes.clone(),
                nodes_before: layers.len(),
                nodes_after: layers.len(),
            });
        }
        let values = |names: &[String]| -> Vec<ValueInfo> {
            names.iter().map(|n| value_info(&graph, n)).collect()
        };
        Ok(FloatModel {
            inputs: values(&graph.inputs),
            outputs: values(&graph.outputs),
            graph,
            plan,
            reading: reading.clone(),
            original,
            parameters,
            passes,
            quantization,
            problems,
            open,
            tabled_granularity: None,
        })
    }

    /// Name of the ONNX graph.
    pub fn name(&self) -> &str {
        &self.graph.name
    }

    /// The model's inputs, ONNX order, batch 1.
    pub fn inputs(&self) -> &[ValueInfo] {
        &self.inputs
    }

    /// The model's outputs, ONNX order, batch 1.
    pub fn outputs(&self) -> &[ValueInfo] {
        &self.outputs
    }

    /// What stands in the way of quantizing; empty when nothing does.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// How the file is quantized already; None for a float model.
    pub fn quantization(&self) -> Option<&Quantization> {
        self.quantization.as_ref()
    }

    /// The model with a table's exponents of activations and weights instead of calibrated ones; its width
    /// and granularity are the table's. Biases and slopes follow from them, as in the toolkit.
    ///
    /// # Errors
    /// When the table has weights of another number of channels, or the model is quantized already.
    pub fn with_table(mut self, table: &Table) -> Result<Self, TableError> {
        if self.is_given() {
            return Err(TableError::Quantized);
        }
        for node in &self.graph.nodes {
            let (Some(name), Some((_, outputs))) = (node.input(1), weight_rows(&self.graph, node))
            else {
                continue;
            };
            if let Some(list) = table.exponents.get(name)
                && ![1, outputs].contains(&list.len())
            {
                return Err(TableError::Count {
                    name: name.to_owned(),
                    want: outputs,
                    got: list.len(),
                });
            }
        }
        self.graph.tabled = table::tabled(table, &self.graph);
        // Which nodes are one layer depends on it.
        let planned = self.plan.is_some();
        self.plan = planned
            .then(|| plan::plan(&self.graph, Arithmetic::Fixpoint).ok())
            .flatten();
        self.tabled_granularity = Some(table.granularity);
        Ok(self)
    }

    /// True when exponents are settled, by the file or by a table, so that no samples are needed.
    pub fn is_settled(&self) -> bool {
        self.is_given() || !self.graph.tabled.is_empty()
    }

    /// True when the file's own exponents and integers are used.
    pub fn is_given(&self) -> bool {
        !self.graph.given.is_empty()
    }

    /// The options with the width and granularity of a quantized file or a table in place of those asked for,
    /// and a sentence where that makes a difference.
    pub(crate) fn own_options(&self, asked: &Options) -> (Options, Vec<String>) {
        if let (Some(bits), Some(granularity)) = (self.graph.tabled.bits, self.tabled_granularity) {
            let options = Options {
                bits,
                granularity,
                input_exponent: None,
                ..asked.clone()
            };
            return (options, Vec::new());
        }
        let given = &self.graph.given;
        let Some(bits) = given.bits else {
            return (asked.clone(), Vec::new());
        };
        // Weights alone can be read at any width that holds them.
        let free = given.activations.is_empty() && asked.bits.width() > bits.width();
        let bits = if free { asked.bits } else { bits };
        let warning = (bits != asked.bits).then(|| {
            format!(
                "The model is quantized to {} already and stays so; to change that, quantize it \
                 anew.",
                bits.name()
            )
        });
        let options = Options {
            bits,
            granularity: given.granularity(),
            input_exponent: asked
                .input_exponent
                .filter(|_| given.activations.is_empty()),
            ..asked.clone()
        };
        (options, warning.into_iter().collect())
    }

    /// Names in the quantization table whose entries the ESP-DL toolkit keeps as arrays even when
    /// they have one element: weights, and per channel their biases.
    pub fn table_arrays(&self, granularity: Granularity) -> BTreeSet<String> {
        let inputs = match granularity {
            Granularity::PerTensor => 1..2,
            Granularity::PerChannel => 1..3,
        };
        (self.graph.nodes.iter())
            .filter(|n| matches!(n.op.as_str(), "Conv" | "Gemm"))
            .flat_map(|n| inputs.clone().filter_map(|i| n.input(i)))
            .map(str::to_owned)
            .collect()
    }

    /// Nodes before and after the passes, with what each pass changed.
    pub fn inspect(&self) -> Inspection {
        let nodes: Vec<NodeInfo> = (self.graph.nodes.iter())
            .map(|n| node_info(&self.graph, n))
            .collect();
        Inspection {
            name: self.graph.name.clone(),
            producer: self.graph.producer.clone(),
            opset: self.graph.opset,
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            parameters: self.parameters,
            macs: nodes.iter().map(|n| n.macs).sum(),
            original: self.original.clone(),
            nodes,
            passes: self.passes.clone(),
            quantization: self.quantization.clone(),
            open: self.open.clone(),
            problems: self.problems.clone(),
        }
    }

    /// Prepares the float reference (slow: build it once, run it often). Works for models with
    /// operators that can't be quantized too, as long as the reference knows them.
    pub fn runner(&self) -> Result<FloatRunner, QuantError> {
        Ok(FloatRunner {
            reference: Reference::new(&self.graph, &self.graph.outputs)?,
        })
    }
}

/// The float reference for one model.
#[derive(Clone, Debug)]
pub struct FloatRunner {
    reference: Reference,
}

impl FloatRunner {
    /// Runs one sample: one slice per input, ONNX order, batch 1.
    pub fn run(&self, inputs: &[&[f32]]) -> Result<Vec<Output>, QuantError> {
        let values = self.reference.run(inputs)?;
        Ok((self.reference.outputs().iter().zip(values))
            .map(|(name, (dims, data))| Output {
                name: name.clone(),
                dims,
                data,
            })
            .collect())
    }
}

fn value_info(graph: &Graph, name: &str) -> ValueInfo {
    ValueInfo {
        name: name.to_owned(),
        dims: graph.shape(name).map(<[usize]>::to_vec),
    }
}

fn quantization(found: &Found, anew: bool) -> Option<Quantization> {
    Some(Quantization {
        form: found.form?.name().to_owned(),
        scheme: found.scheme.clone(),
        fate: match (anew, found.problems.is_empty()) {
            (true, _) => Fate::Requantized,
            (false, true) => Fate::Taken,
            (false, false) => Fate::Refused,
        },
    })
}

/// A node of the file, whose tensors may have other names in the graph.
fn file_node_info(graph: &Graph, node: &Node, found: &Found) -> NodeInfo {
    if found.form.is_none() {
        return node_info(graph, node);
    }
    let now = |name: &String| found.alias.get(name).unwrap_or(name).clone();
    let mut known = node.clone();
    for name in known.inputs.iter_mut().chain(&mut known.outputs) {
        *name = now(name);
    }
    let mut info = node_info(graph, &known);
    if quantized::is_quantized_op(&node.op) {
        // What is the matter with the scheme is said once, for the whole model.
        (info.supported, info.reason) = (true, None);
    }
    let named = |names: &[String]| -> Vec<String> {
        names.iter().filter(|n| !n.is_empty()).cloned().collect()
    };
    info.inputs = named(&node.inputs);
    for (value, name) in info.outputs.iter_mut().zip(named(&node.outputs)) {
        value.name = name;
    }
    info
}

fn node_info(graph: &Graph, node: &Node) -> NodeInfo {
    let reason = match ops::resolve(graph, node) {
        Err(Refusal::Unsupported(why)) => Some(why),
        Err(Refusal::UnknownInput) if !ops::is_known(&node.op) => {
            Some("this operator is not supported yet.".to_owned())
        }
        _ => None,
    };
    NodeInfo {
        name: node.name.clone(),
        op: node.op.clone(),
        inputs: node
            .inputs
            .iter()
            .filter(|n| !n.is_empty())
            .cloned()
            .collect(),
        outputs: (node.outputs.iter().filter(|n| !n.is_empty()))
            .map(|n| value_info(graph, n))
            .collect(),
        macs: ops::macs(graph, node),
        supported: reason.is_none(),
        reason,
    }
}

/// `complain`: a shape that stays unknown without a named reason is a reason too.
fn unsupported(graph: &Graph, complain: bool) -> Vec<Unsupported> {
    let mut found = Vec::new();
    let mut unexplained: BTreeSet<&str> = BTreeSet::new();
    for node in &graph.nodes {
        let reason = match ops::resolve(graph, node) {
            Ok(_) => continue,
            Err(Refusal::Unsupported(why)) => why,
            // The node that left the shape unknown is named; this one may be fine.
            Err(Refusal::UnknownInput) => {
                unexplained.insert(&node.name);
                continue;
            }
        };
        found.push(Unsupported {
            node: node.name.clone(),
            // A name that the file doesn't have helps nobody to find the node there.
            op: match graph.renamed.contains_key(&node.name) {
                true => format!("{}, writes '{}'", node.op, node.output()),
                false => node.op.clone(),
            },
            reason,
        });
    }
    if complain
        && found.is_empty()
        && let Some(name) = unexplained.first()
    {
        found.push(Unsupported {
            node: (*name).to_owned(),
            op: String::new(),
            reason: "the shape of its input could not be worked out. Simplify the model with \
                     onnxsim."
                .to_owned(),
        });
    }
    found
}
