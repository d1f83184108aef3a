//! C++ for ESP-DL v1: the coefficient files of its quantization toolkit, byte for byte, and what
//! the toolkit leaves to be written by hand: the model's class and a program around it.
//!
//! Formats and element orders: the toolkit's own output, and the headers of ESP-DL at its last v1
//! commit (af7808ba).

mod app;
mod class;
mod coefficients;
mod order;

use std::fmt::Write;

use serde::Serialize;
use thiserror::Error;

use crate::fusion::{Role, roles};
use crate::graph::{Graph, Node};
use crate::log;
use crate::model::FloatModel;
use crate::options::{Arithmetic, Chip, Granularity};
use crate::plan::{Kind, Layout, Plan, plan};
use crate::table::{Table, TableError};

/// A text file to be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExportedFile {
    pub name: String,
    pub contents: String,
}

/// What an export makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Export {
    /// `<name>.cpp` and `<name>.hpp`, `<name>_model.hpp` and `app_main.cpp`; the last two are left
    /// out, with a warning, when ESP-DL v1 has no layer for an operator.
    pub files: Vec<ExportedFile>,
    /// What the toolkit prints.
    pub log: String,
    /// Things the user should know, one sentence each.
    pub warnings: Vec<String>,
}

/// Why a model can't be exported.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ExportError {
    #[error("The model can't be exported as it is:\n{}", .0.join("\n"))]
    Model(Vec<String>),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(
        "'{0}' can't be the name of the files: it is a C++ namespace too. Use letters, digits and _, a letter first."
    )]
    Name(String),
    #[error(
        "ESP-DL has int16 per tensor only, and this table is per channel. Quantize with --granularity per-tensor."
    )]
    Int16PerChannel,
    #[error(
        "The nodes '{first}' and '{second}' get the same C++ name '{name}'. Rename one of them in the model."
    )]
    SameName {
        first: String,
        second: String,
        name: String,
    },
    #[error("Node '{node}' ({op}): {reason}")]
    Node {
        node: String,
        op: String,
        reason: String,
    },
}

impl ExportError {
    fn node(node: &Node, reason: &str) -> Self {
        ExportError::Node {
            node: node.name.clone(),
            op: node.op.clone(),
            reason: reason.to_owned(),
        }
    }
}

/// A model, its table, and where it goes.
struct Context<'a> {
    graph: &'a Graph,
    plan: &'a Plan,
    roles: Vec<Role>,
    table: &'a Table,
    chip: Chip,
    name: &'a str,
}

impl Context<'_> {
    /// C++ type of the elements.
    fn element(&self) -> &'static str {
        match self.table.bits {
            crate::Bits::I8 => "int8_t",
            crate::Bits::I16 => "int16_t",
        }
    }

    fn per_channel(&self) -> bool {
        self.table.granularity == Granularity::PerChannel
    }

    /// C++ type of biases.
    fn bias_element(&self) -> &'static str {
        match self.per_channel() {
            true => "int16_t",
            false => self.element(),
        }
    }

    /// The Conv or Gemm whose output this activation alone reads: the toolkit writes its constants
    /// with that layer's, also where the output is one of the model's.
    fn layer_of(&self, activation: &Node) -> Option<&Node> {
        let input = activation.input(0)?;
        let producer =
            (self.graph.producer_of(input)).filter(|_| self.graph.consumers(input).len() == 1)?;
        let node = &self.graph.nodes[producer];
        matches!(node.op.as_str(), "Conv" | "Gemm").then_some(node)
    }

    /// The activation behind a Conv or Gemm.
    fn activation_of(&self, node: &Node) -> Option<&Node> {
        let at = self.graph.producer_of(node.output())?;
        if let Role::Activated(a) = self.roles[at] {
            return Some(&self.graph.nodes[a]);
        }
        let [only] = self.graph.consumers(node.output())[..] else {
            return None;
        };
        Some(&self.graph.nodes[only]).filter(|n| n.is_activation())
    }

    /// Whether the toolkit's files have constants for a node, and under whose name.
    fn written(&self, node: &Node) -> Option<String> {
        match (node.op.as_str(), self.layer_of(node)) {
            ("Conv" | "Gemm", _) => Some(mangle(&node.name)),
            ("Relu" | "LeakyRelu" | "PRelu", Some(layer)) => Some(mangle(&layer.name)),
            ("Relu" | "LeakyRelu" | "PRelu", None) if self.stands_alone(node) => {
                Some(mangle(&node.name))
            }
            _ => None,
        }
    }

    /// Whether the toolkit writes an activation that is not behind a Conv or Gemm: a Relu always, one with
    /// slopes where the last activation that is behind one is of the same kind. Otherwise it leaves
    /// the slopes out or stops.
    fn stands_alone(&self, node: &Node) -> bool {
        let before = (self.graph.nodes.iter()).take_while(|n| n.output() != node.output());
        let last = before
            .filter(|n| matches!(n.op.as_str(), "Conv" | "Gemm"))
            .filter_map(|n| self.activation_of(n))
            .last();
        node.op == "Relu" || last.is_some_and(|last| last.op == node.op)
    }
}

/// Makes the files for `chip`. `folder` is what the log names before the files, as it was given.
pub fn export_espdl(
    model: &FloatModel,
    table: &Table,
    chip: Chip,
    folder: &str,
    name: &str,
) -> Result<Export, ExportError> {
    if model.plan.is_none() {
        return Err(ExportError::Model(model.problems().to_vec()));
    }
    let plan =
        plan(&model.graph, Arithmetic::Espdl).map_err(|why| ExportError::Model(vec![why]))?;
    if !is_identifier(name) {
        return Err(ExportError::Name(name.to_owned()));
    }
    if table.bits == crate::Bits::I16 && table.granularity == Granularity::PerChannel {
        return Err(ExportError::Int16PerChannel);
    }
    let context = Context {
        graph: &model.graph,
        plan: &plan,
        roles: roles(&model.graph, Arithmetic::Espdl),
        table,
        chip,
        name,
    };
    check_names(&context)?;
    let mut warnings = table.warnings.clone();
    let (cpp, hpp) = coefficients::files(&context)?;
    let file = |name: String, contents| ExportedFile { name, contents };
    let mut files = vec![
        file(format!("{name}.cpp"), cpp),
        file(format!("{name}.hpp"), hpp),
    ];
    match class::class(&context)? {
        Ok(class) => {
            files.push(file(format!("{name}_model.hpp"), class.text));
            files.push(file(
                "app_main.cpp".to_owned(),
                app::program(&context, &class.name)?,
            ));
        }
        Err(why) => warnings.push(format!(
            "The model's class is not written: {why} The coefficient files are complete."
        )),
    }
    warnings.extend(flatten_warnings(&plan));
    warnings.extend(scaled_warnings(&model.graph));
    warnings.extend(bias_warnings(&context));
    Ok(Export {
        files,
        log: printed(&context, folder)?,
        warnings,
    })
}

/// What the toolkit prints, with its model information.
fn printed(context: &Context<'_>, folder: &str) -> Result<String, ExportError> {
    let (table, name) = (context.table, context.name);
    let path = match folder {
        "" => name.to_owned(),
        f if f.ends_with('/') => format!("{f}{name}"),
        f => format!("{f}/{name}"),
    };
    let mut text = format!(
        "Converting coefficient to {} {} quantization for {}\n\
         Exporting finish, the output files are: {path}.cpp, {path}.hpp\n\n\
         Quantized model info:\n",
        table.bits.name(),
        table.granularity.name(),
        context.chip.name(),
    );
    // Writing to a String never fails.
    for input in &context.graph.inputs {
        let e = table.one(input)?;
        let _ = writeln!(text, "model input name: {input}, exponent: {e}");
    }
    for (node, tensor) in log::lines(context.graph, Arithmetic::Espdl) {
        let kind = match order::is_depthwise(context.graph, node) {
            true => "DepthwiseConv",
            false => &node.op,
        };
        let name = context.graph.name_in_file(&node.name);
        let e = table.one(tensor)?;
        let _ = writeln!(text, "{kind} layer name: {name}, output_exponent: {e}");
    }
    text.push_str("\n\n");
    Ok(text)
}

/// The toolkit's rule for names in C++: lower case, anything but letters and digits, of any script, becomes
/// `_`, and one more stands before a digit.
fn mangle(name: &str) -> String {
    let letter = |c: char| if c.is_alphanumeric() { c } else { '_' };
    let mut mangled = name.chars().map(letter).collect::<String>().to_lowercase();
    if mangled.starts_with(char::is_numeric) {
        mangled.insert(0, '_');
    }
    mangled
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn check_names(context: &Context<'_>) -> Result<(), ExportError> {
    let mut seen: Vec<(String, &str)> = Vec::new();
    for node in &context.graph.nodes {
        if context.layer_of(node).is_some() || context.written(node).is_none() {
            continue;
        }
        let name = mangle(&node.name);
        if let Some((_, first)) = seen.iter().find(|(other, _)| *other == name) {
            return Err(ExportError::SameName {
                first: (*first).to_owned(),
                second: node.name.clone(),
                name,
            });
        }
        seen.push((name, &node.name));
    }
    Ok(())
}

/// Gemm's alpha and beta are in the constants here; the toolkit leaves them out.
fn scaled_warnings(graph: &Graph) -> Vec<String> {
    let scaled = |n: &&Node| graph.scaled.iter().any(|o| o == n.output());
    (graph.nodes.iter().filter(scaled))
        .map(|n| {
            format!(
                "'{}' has alpha or beta other than 1. They are in the weights and biases here; the \
                 toolkit's own files leave them out, so that its networks compute something else.",
                n.name
            )
        })
        .collect()
}

/// Layers that share a bias have one exponent for it in the toolkit's table, the last one's.
fn bias_warnings(context: &Context<'_>) -> Vec<String> {
    let (graph, table) = (context.graph, context.table);
    let entry = |name: Option<&str>| name.and_then(|n| table.exponents.get(n));
    let linear = |n: &&Node| matches!(n.op.as_str(), "Conv" | "Gemm");
    let misplaced = |n: &&Node| {
        let (Some(bias), Some(output)) = (entry(n.input(2)), entry(Some(n.output()))) else {
            return false;
        };
        let wanted = match (entry(n.input(0)), entry(n.input(1))) {
            (Some(input), Some(weights)) if context.per_channel() => {
                let input = input.first().copied().unwrap_or(0);
                weights.iter().map(|w| input + w + 4).collect()
            }
            _ => output.clone(),
        };
        let zeros = || {
            n.input(2)
                .and_then(|b| graph.floats(b))
                .is_some_and(|b| b.iter().all(|v| *v == 0.0))
        };
        *bias != wanted && !zeros()
    };
    (graph.nodes.iter().filter(linear).filter(misplaced))
        .map(|n| {
            format!(
                "The bias of '{}' has an exponent that ESP-DL's layer doesn't expect: the toolkit's \
                 table has one for all layers with this bias, the last one's. Give each layer a bias of \
                 its own.",
                n.name
            )
        })
        .collect()
}

/// ESP-DL keeps images rows first, ONNX channels first, and the toolkit leaves the weights behind a
/// Flatten in ONNX's order.
fn flatten_warnings(plan: &Plan) -> Vec<String> {
    let flattened = |id: &usize| matches!(plan.tensors[*id].layout, Layout::Flat { .. });
    (plan.layers.iter())
        .filter(|l| matches!(l.kind, Kind::Compute(crate::ops::Op::Gemm { .. })))
        .filter(|l| l.inputs.iter().any(flattened))
        .map(|l| {
            format!(
                "'{}' reads a flattened image. Its weights keep ONNX's order (channels, rows, \
                 columns), as the toolkit leaves them, while ESP-DL flattens rows first: transpose \
                 the image with {{2, 0, 1}} before it, as the class here does.",
                l.name
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_c_names_as_the_toolkit_makes_them() {
        assert_eq!(mangle("A//B__c"), "a__b__c");
        assert_eq!(mangle("1x1 conv"), "_1x1_conv");
        assert_eq!(
            mangle("StatefulPartitionedCall/m"),
            "statefulpartitionedcall_m"
        );
        assert!(is_identifier("mnist_coefficient"));
        assert!(!is_identifier("my-net") && !is_identifier("") && !is_identifier("2d"));
    }
}
