//! The ESP-DL toolkit's quantization table: exponents of activations, weights and biases by name.
//! It is the toolkit's whatever the arithmetic, so that an export can be made from any report.

mod saved;

use std::collections::BTreeMap;

use crate::exponent;
use crate::given::{Given, GivenConstant};
use crate::graph::{Graph, Node};
use crate::linear::table_weight_exponents;
use crate::options::{Granularity, Options};

pub use saved::{SavedOptions, SavedTable, Table, TableError};

/// Weights of a Conv or Gemm as rows `[outputs][...]`, and the number of outputs.
pub(crate) fn weight_rows(graph: &Graph, node: &Node) -> Option<(Vec<f32>, usize)> {
    let name = node.input(1)?;
    let dims = graph.shape(name)?;
    let values = graph.floats(name)?;
    if node.op == "MatMul" || node.op == "Gemm" && node.int("transB", 0) == 0 {
        let &[inputs, outputs] = dims else {
            return None;
        };
        let rows = (0..outputs)
            .flat_map(|o| (0..inputs).map(move |i| values[i * outputs + o]))
            .collect();
        return Some((rows, outputs));
    }
    if node.op == "ConvTranspose" {
        // `[inputs][outputs of a group][taps]`; a group's inputs follow one another.
        let groups = usize::try_from(node.int("group", 1)).ok()?;
        let (inputs, each) = (*dims.first()?, *dims.get(1)?);
        let (inner, outputs) = (inputs.checked_div(groups)?, each * groups);
        let taps: usize = dims.get(2..)?.iter().product();
        let rows = (0..outputs)
            .flat_map(|o| (0..inner).map(move |i| (o / each * inner + i) * each + o % each))
            .flat_map(|at| values[at * taps..][..taps].iter().copied())
            .collect();
        return Some((rows, outputs));
    }
    Some((values.to_vec(), *dims.first()?))
}

/// The dimension of a layer's weights that goes by outputs, or by those of a group.
fn output_axis(node: &Node) -> usize {
    let columns = node.op == "MatMul" || node.op == "Gemm" && node.int("transB", 0) == 0;
    usize::from(columns || node.op == "ConvTranspose")
}

/// The exponents of a layer's weights that the file of a quantized model gives, one for each
/// output.
pub(crate) fn given_weight_exponents(
    graph: &Graph,
    node: &Node,
    outputs: usize,
) -> Option<Vec<i32>> {
    (graph.given).of_channels(node.input(1)?, output_axis(node), outputs)
}

/// The exponents of a layer's weights that the file or a table gives, one for each output.
pub(crate) fn settled_weight_exponents(
    graph: &Graph,
    node: &Node,
    outputs: usize,
) -> Option<Vec<i32>> {
    let tabled = || (graph.tabled).of_channels(node.input(1)?, output_axis(node), outputs);
    given_weight_exponents(graph, node, outputs).or_else(tabled)
}

/// What a table says of a graph's tensors, to be taken instead of what calibration finds.
pub(crate) fn tabled(table: &Table, graph: &Graph) -> Given {
    let one = |name: &str| table.exponents.get(name).and_then(|list| list.first());
    let computed = (graph.nodes.iter()).flat_map(|node| &node.outputs);
    let activations = (graph.inputs.iter().chain(computed))
        .filter_map(|name| Some((name.clone(), *one(name)?)))
        .collect();
    let constants = (graph.nodes.iter())
        .filter(|node| weight_rows(graph, node).is_some())
        .filter_map(|node| {
            let name = node.input(1)?;
            let constant = GivenConstant {
                axis: output_axis(node),
                exponents: table.exponents.get(name)?.clone(),
                integers: None,
            };
            Some((name.to_owned(), constant))
        })
        .collect();
    Given {
        activations,
        constants,
        bits: Some(table.bits),
    }
}

/// The table's key for the slope of a LeakyRelu.
pub(crate) fn slope_key(graph: &Graph, node: &Node) -> String {
    format!("{}_alpha", graph.name_in_file(&node.name))
}

/// The table for a model whose activations have the exponents `activations`.
pub(crate) fn table(
    graph: &Graph,
    activations: &BTreeMap<String, i32>,
    options: &Options,
) -> BTreeMap<String, Vec<i32>> {
    let mut table: BTreeMap<String, Vec<i32>> = (activations.iter())
        .map(|(name, e)| (name.clone(), vec![*e]))
        .collect();
    let activation = |name: Option<&str>| name.and_then(|n| activations.get(n)).copied();
    for absorbed in &graph.absorbed {
        let source = absorbed.node.input(0).and_then(|n| table.get(n)).cloned();
        if let Some(exponents) = source {
            table.insert(absorbed.node.output().to_owned(), exponents);
        }
    }
    for node in &graph.nodes {
        match node.op.as_str() {
            "Conv" | "Gemm" => {
                let Some((rows, outputs)) = weight_rows(graph, node) else {
                    continue;
                };
                let weights = match settled_weight_exponents(graph, node, outputs) {
                    Some(mut given) => {
                        if options.granularity == Granularity::PerTensor {
                            given.truncate(1);
                        }
                        given
                    }
                    None => table_weight_exponents(&rows, outputs, options),
                };
                let input = activation(node.input(0)).unwrap_or(0);
                let output = activation(Some(node.output())).unwrap_or(0);
                if let Some(bias) = node.input(2) {
                    let exponents = match options.granularity {
                        Granularity::PerTensor => vec![output],
                        Granularity::PerChannel => weights.iter().map(|w| input + w + 4).collect(),
                    };
                    table.insert(graph.listed(bias).to_owned(), exponents);
                }
                if let Some(weight) = node.input(1) {
                    table.insert(graph.listed(weight).to_owned(), weights);
                }
            }
            "LeakyRelu" => {
                let e = exponent::ceil(node.float("alpha", 0.01), options.bits);
                table.insert(
                    slope_key(graph, node),
                    vec![e.unwrap_or(exponent::of_zeros(options.bits))],
                );
            }
            "PRelu" => {
                let slopes = node.input(1).and_then(|n| Some((n, graph.floats(n)?)));
                if let Some((name, slopes)) = slopes {
                    let largest = slopes.iter().fold(0.0f32, |m, v| m.max(v.abs()));
                    let e = exponent::ceil(largest, options.bits);
                    table.insert(
                        graph.listed(name).to_owned(),
                        vec![e.unwrap_or(exponent::of_zeros(options.bits))],
                    );
                }
            }
            _ => {}
        }
    }
    table
}
