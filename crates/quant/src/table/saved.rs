//! Tables that were kept: from a report or another JSON file, or as the toolkit's scales.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use thiserror::Error;

use super::weight_rows;
use crate::exponent::{self, pow2};
use crate::graph::{Graph, Node};
use crate::linear::table_weight_exponents;
use crate::model::FloatModel;
use crate::options::{Arithmetic, Bits, Granularity, Method, Options};
use crate::report::Report;
use crate::scaling::toolkit_source;

/// A quantization table, and what it is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub bits: Bits,
    pub granularity: Granularity,
    /// By tensor name; one exponent, or one for each output channel.
    pub exponents: BTreeMap<String, Vec<i32>>,
    /// Things the user should know about it, one sentence each.
    pub warnings: Vec<String>,
}

/// A table in JSON: a report, or exponents by name alone.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum SavedTable {
    /// The parts of `report.json` that make a table.
    Report {
        options: SavedOptions,
        tensors: BTreeMap<String, Vec<i32>>,
    },
    Exponents(BTreeMap<String, Vec<i32>>),
}

/// The options of a report that a table needs.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct SavedOptions {
    pub bits: Bits,
    pub granularity: Granularity,
}

/// Why a table can't be used with a model.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum TableError {
    #[error(
        "The table has no entry for '{0}'. Make it again from this model: names may have changed."
    )]
    Missing(String),
    #[error("The table has {got} exponents for '{name}', which has {want} output channels.")]
    Count {
        name: String,
        want: usize,
        got: usize,
    },
    #[error(
        "The scale {scale} of '{name}' is not a power of two between 2^-100 and 2^100, as the ESP-DL toolkit's are."
    )]
    Scale { name: String, scale: f64 },
    #[error(
        "The exponent {exponent} of '{name}' is not between -100 and 100, where those of a table are. Make the \
         table again."
    )]
    Exponent { name: String, exponent: i32 },
    #[error(
        "The table was made for {}, not {}. Leave the width out, or give a table of {}.",
        .table.name(), .asked.name(), .asked.name()
    )]
    Bits { table: Bits, asked: Bits },
    #[error(
        "The table was made {}, not {}, by the number of exponents of the weights '{name}', {got}. Leave the granularity \
         out, or give a table of that kind.",
        .table.name(), .asked.name()
    )]
    Granularity {
        table: Granularity,
        asked: Granularity,
        name: String,
        got: usize,
    },
    #[error(
        "The table doesn't tell int8 from int16, as it has no weights of a Conv or Gemm but zeros. Say which it is (--bits, \
         or the width in a call)."
    )]
    Width,
    #[error(
        "The model is quantized already and has exponents of its own. Leave the table out, or quantize the model \
         anew from its weights."
    )]
    Quantized,
}

impl From<&Report> for Table {
    fn from(report: &Report) -> Self {
        Table {
            bits: report.options.bits,
            granularity: report.options.granularity,
            exponents: report.tensors.clone(),
            warnings: Vec::new(),
        }
    }
}

impl Table {
    /// A table from JSON. Where the file says its width, `bits` may only say the same.
    pub fn from_saved(
        saved: SavedTable,
        model: &FloatModel,
        bits: Option<Bits>,
    ) -> Result<Self, TableError> {
        let (SavedTable::Report {
            tensors: exponents, ..
        }
        | SavedTable::Exponents(exponents)) = &saved;
        if let Some((name, exponent)) = exponent::beyond(exponents) {
            return Err(TableError::Exponent {
                name: name.to_owned(),
                exponent,
            });
        }
        match saved {
            SavedTable::Report { options, tensors } => match bits {
                Some(asked) if asked != options.bits => Err(TableError::Bits {
                    table: options.bits,
                    asked,
                }),
                _ => Ok(Table {
                    bits: options.bits,
                    granularity: options.granularity,
                    exponents: with_twins(tensors, &model.graph),
                    warnings: Vec::new(),
                }),
            },
            SavedTable::Exponents(exponents) => {
                Self::inferred(exponents, &BTreeSet::new(), &model.graph, bits)
            }
        }
    }

    /// A table from the toolkit's scales, which say neither width nor granularity: the model's
    /// weights do, unless `bits` is given. `arrays` are kept as arrays, as only per channel biases are.
    pub fn from_scales(
        scales: &BTreeMap<String, Vec<f64>>,
        arrays: &BTreeSet<String>,
        model: &FloatModel,
        bits: Option<Bits>,
    ) -> Result<Self, TableError> {
        let mut zeros = Vec::new();
        let mut exponents = BTreeMap::new();
        for (name, scales) in scales {
            let mut list = Vec::with_capacity(scales.len());
            for &scale in scales {
                if scale == 0.0 {
                    zeros.push((name.clone(), list.len()));
                    list.push(0);
                    continue;
                }
                let exact = exponent::GIVEN.clone().find(|e| pow2(*e) == scale);
                list.push(exact.ok_or_else(|| TableError::Scale {
                    name: name.clone(),
                    scale,
                })?);
            }
            exponents.insert(name.clone(), list);
        }
        let mut table = Self::inferred(exponents, arrays, &model.graph, bits)?;
        for (name, at) in zeros {
            let e = exponent::of_zeros(table.bits);
            if let Some(list) = table.exponents.get_mut(&name) {
                list[at] = e;
            }
            table.warnings.push(format!(
                "The scale of '{name}' is 0, as the toolkit writes for what is always zero; 2^{e} \
                 is used."
            ));
        }
        Ok(table)
    }

    /// The same of a granularity that is known from elsewhere: a table with one exponent for each of the weights
    /// may be of either where all layers have one output, or none has a bias.
    pub fn of_granularity(
        self,
        asked: Granularity,
        model: &FloatModel,
    ) -> Result<Self, TableError> {
        for node in model.graph.nodes.iter().filter(|n| is_linear(n)) {
            let (Some(name), Some((_, outputs))) = (node.input(1), weight_rows(&model.graph, node))
            else {
                continue;
            };
            let want = match asked {
                Granularity::PerTensor => 1,
                Granularity::PerChannel => outputs,
            };
            let got = self.exponents.get(name).map_or(want, Vec::len);
            if got != want {
                return Err(TableError::Granularity {
                    table: self.granularity,
                    asked,
                    name: name.to_owned(),
                    got,
                });
            }
        }
        Ok(Table {
            granularity: asked,
            ..self
        })
    }

    /// The toolkit's scales: real value = integer * scale.
    pub fn scales(&self) -> BTreeMap<String, Vec<f64>> {
        let scale = |list: &Vec<i32>| list.iter().map(|e| pow2(*e)).collect();
        (self.exponents.iter())
            .map(|(name, list)| (name.clone(), scale(list)))
            .collect()
    }

    fn inferred(
        exponents: BTreeMap<String, Vec<i32>>,
        arrays: &BTreeSet<String>,
        graph: &Graph,
        bits: Option<Bits>,
    ) -> Result<Self, TableError> {
        let exponents = with_twins(exponents, graph);
        let bits = match bits {
            Some(bits) => bits,
            None => (width(&exponents, graph).or_else(|| width_of_renamed(&exponents, graph)))
                .ok_or(TableError::Width)?,
        };
        let mut table = Table {
            bits,
            granularity: granularity(&exponents, arrays, graph),
            exponents,
            warnings: Vec::new(),
        };
        table.fill(graph);
        Ok(table)
    }

    /// Weights and biases that the table has under another name, as the toolkit's optimizer gives to
    /// those it merges: their exponents follow from their values and from those around them.
    fn fill(&mut self, graph: &Graph) {
        let mut filled = Vec::new();
        for node in graph.nodes.iter().filter(|n| is_linear(n)) {
            let (Some(weight), Some((rows, outputs))) = (node.input(1), weight_rows(graph, node))
            else {
                continue;
            };
            if !self.exponents.contains_key(weight) {
                let list = toolkit_weight_exponents(&rows, outputs, self.bits, self.granularity);
                self.exponents.insert(weight.to_owned(), list);
                filled.push(weight);
            }
            let entry = |name: Option<&str>| name.and_then(|n| self.exponents.get(n));
            let (input, output) = (entry(node.input(0)), entry(Some(node.output())));
            let list = match (self.granularity, input, output) {
                (Granularity::PerTensor, _, Some(output)) => output.clone(),
                (Granularity::PerChannel, Some(input), _) => {
                    let input = input.first().copied().unwrap_or(0);
                    self.exponents[weight]
                        .iter()
                        .map(|w| input + w + 4)
                        .collect()
                }
                _ => continue,
            };
            if let Some(bias) = node.input(2).filter(|b| !self.exponents.contains_key(*b)) {
                self.exponents.insert(bias.to_owned(), list);
                filled.push(bias);
            }
        }
        if !filled.is_empty() {
            self.warnings.push(format!(
                "The table has no '{}'; exponents there are the toolkit's rules applied to this \
                 model's values. Give the model that the table was made for to have its own.",
                filled.join("', '")
            ));
        }
    }

    /// The exponent of a tensor that has one.
    pub(crate) fn one(&self, name: &str) -> Result<i32, TableError> {
        (self
            .exponents
            .get(name)
            .and_then(|list| list.first())
            .copied())
        .ok_or_else(|| TableError::Missing(name.to_owned()))
    }

    /// The exponents of a tensor that may have one for each of its `outputs`.
    pub(crate) fn many(&self, name: &str, outputs: usize) -> Result<Vec<i32>, TableError> {
        let found = self.exponents.get(name);
        let list = found.ok_or_else(|| TableError::Missing(name.to_owned()))?;
        let want = match self.granularity {
            Granularity::PerTensor => 1,
            Granularity::PerChannel => outputs,
        };
        if list.len() != want {
            return Err(TableError::Count {
                name: name.to_owned(),
                want: outputs,
                got: list.len(),
            });
        }
        Ok(list.clone())
    }
}

/// With entries for what the table lists under the name of another tensor: constants, and what only this program's
/// passes have made, as the first maximum of three tensors.
fn with_twins(
    mut exponents: BTreeMap<String, Vec<i32>>,
    graph: &Graph,
) -> BTreeMap<String, Vec<i32>> {
    for (name, listed) in &graph.twins {
        if let Some(list) = exponents.get(listed).cloned() {
            exponents.entry(name.clone()).or_insert(list);
        }
    }
    for node in &graph.nodes {
        let source = toolkit_source(graph, node).and_then(|name| exponents.get(name));
        if let Some(list) = source.cloned() {
            exponents.entry(node.output().to_owned()).or_insert(list);
        }
    }
    exponents
}

/// The width of the largest weight as an integer. int8 tables give at most 127, or a few times
/// that where they clip; int16 ones at least 16384, unless all is zero.
fn width(exponents: &BTreeMap<String, Vec<i32>>, graph: &Graph) -> Option<Bits> {
    let mut largest = 0.0f64;
    for node in graph.nodes.iter() {
        let list = node.input(1).and_then(|name| exponents.get(name));
        let (Some(list), Some((rows, outputs))) = (list, weight_rows(graph, node)) else {
            continue;
        };
        for (row, weights) in rows.chunks(rows.len() / outputs.max(1)).enumerate() {
            let e = list.get(row % list.len().max(1)).copied().unwrap_or(0);
            let top = weights.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            largest = largest.max(f64::from(top) * pow2(-e.clamp(-200, 200)));
        }
    }
    match largest {
        0.0 => None,
        v if v < 2048.0 => Some(Bits::I8),
        _ => Some(Bits::I16),
    }
}

/// The same where none of the weights is in the table under its name: an entry without a tensor is
/// one of theirs.
fn width_of_renamed(exponents: &BTreeMap<String, Vec<i32>>, graph: &Graph) -> Option<Bits> {
    let known = |name: &str| graph.constants.contains_key(name) || graph.shape(name).is_some();
    let unknown: Vec<&Vec<i32>> = (exponents.iter())
        .filter(|(name, _)| !known(name))
        .map(|(_, list)| list)
        .collect();
    let found = |bits: Bits| -> usize {
        (graph.nodes.iter().filter(|n| is_linear(n)))
            .filter_map(|n| weight_rows(graph, n))
            .filter(|(rows, outputs)| {
                [Granularity::PerTensor, Granularity::PerChannel]
                    .iter()
                    .any(|g| unknown.contains(&&toolkit_weight_exponents(rows, *outputs, bits, *g)))
            })
            .count()
    };
    match (found(Bits::I8), found(Bits::I16)) {
        (narrow, wide) if narrow > wide => Some(Bits::I8),
        (narrow, wide) if wide > narrow => Some(Bits::I16),
        _ => None,
    }
}

fn is_linear(node: &Node) -> bool {
    matches!(node.op.as_str(), "Conv" | "Gemm")
}

fn toolkit_weight_exponents(
    rows: &[f32],
    outputs: usize,
    bits: Bits,
    granularity: Granularity,
) -> Vec<i32> {
    let options = Options {
        bits,
        granularity,
        method: Method::MinMax,
        arithmetic: Arithmetic::Espdl,
        ..Options::default()
    };
    table_weight_exponents(rows, outputs, &options)
}

/// Per channel when a layer of several outputs has several exponents, when a bias is kept as an array, or
/// when biases are where only per-channel tables put them, and none is where only per-tensor tables
/// do: a bias that several layers share is the last one's.
fn granularity(
    exponents: &BTreeMap<String, Vec<i32>>,
    arrays: &BTreeSet<String>,
    graph: &Graph,
) -> Granularity {
    let entry = |name: Option<&str>| name.and_then(|n| exponents.get(n));
    let first = |name: Option<&str>| entry(name).and_then(|list| list.first().copied());
    let linear = || graph.nodes.iter().filter(|n| is_linear(n));
    let several = linear().any(|n| entry(n.input(1)).is_some_and(|list| list.len() > 1));
    let (mut by_tensor, mut by_channel) = (0, 0);
    for node in linear() {
        let (Some(bias), Some(output)) = (first(node.input(2)), first(Some(node.output()))) else {
            continue;
        };
        let sum = first(node.input(0)).zip(first(node.input(1)));
        let sum = sum.map(|(input, weight)| input + weight + 4);
        by_tensor += usize::from(bias == output && sum != Some(bias));
        by_channel += usize::from(bias != output && sum == Some(bias));
    }
    let kept = linear().any(|n| n.input(2).is_some_and(|bias| arrays.contains(bias)));
    match several || kept || by_channel > 0 && by_tensor == 0 {
        true => Granularity::PerChannel,
        false => Granularity::PerTensor,
    }
}
