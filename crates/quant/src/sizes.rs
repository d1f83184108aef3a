//! Sizes of a model's inputs that its file leaves open.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The largest size of a dimension.
const MOST: usize = 1 << 20;

/// How a file is to be read where that is a choice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reading {
    /// Of a model that is quantized already only the values of its weights are kept, so that it is
    /// quantized anew, like a float model. That is what any scheme allows.
    pub anew: bool,
    /// What open sizes are, by the names that [`OpenSize::name`] has; an open batch is 1 unless it
    /// is among them.
    pub sizes: BTreeMap<String, usize>,
}

/// A size that a model's file leaves open, besides an input's first, which is the batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSize {
    /// The file's own word for it; where it has none, the input's and the dimension's number, as in
    /// `x[2]`.
    pub name: String,
    /// The first dimension that has it, in words.
    pub place: String,
    /// What it was said to be; 1 of a batch, which needn't be said.
    pub size: Option<usize>,
}

/// The open sizes as they are met.
pub(crate) struct Sizes<'a> {
    given: &'a BTreeMap<String, usize>,
    /// Names of open batches, which may be said, and needn't.
    batches: BTreeSet<String>,
    found: Vec<OpenSize>,
}

impl<'a> Sizes<'a> {
    pub(crate) fn new(given: &'a BTreeMap<String, usize>) -> Self {
        Self {
            given,
            batches: BTreeSet::new(),
            found: Vec::new(),
        }
    }

    /// The size of dimension `axis` of `input`, which the file calls `word` or nothing; None if it
    /// is still to be said.
    pub(crate) fn size(&mut self, input: &str, axis: usize, word: &str) -> Option<usize> {
        let name = match word {
            "" => format!("{input}[{axis}]"),
            word => word.to_owned(),
        };
        let given = self.given.get(&name).copied();
        // An LSTM's state has the batch second.
        let assumed = axis == 0 || word.to_lowercase().starts_with("batch");
        let size = given.or(assumed.then_some(1));
        if axis == 0 {
            self.batches.insert(name);
        } else if self.found.iter().all(|open| open.name != name) {
            self.found.push(OpenSize {
                name,
                place: format!("dimension {axis} of the input '{input}'"),
                size,
            });
        }
        size.filter(|size| (1..=MOST).contains(size))
    }

    /// The open sizes, and what is wrong with what was said of them.
    pub(crate) fn into_found(self) -> (Vec<OpenSize>, Vec<String>) {
        let mut problems = Vec::new();
        let unsaid: Vec<&OpenSize> = self.found.iter().filter(|o| o.size.is_none()).collect();
        if !unsaid.is_empty() {
            let names: Vec<String> = (unsaid.iter())
                .map(|open| format!("'{}' ({})", open.name, open.place))
                .collect();
            let options: Vec<String> = (unsaid.iter())
                .map(|open| format!("--size {}=N", open.name))
                .collect();
            let (sizes, are) = match unsaid.len() {
                1 => ("a size", "what it is"),
                _ => ("sizes", "what they are"),
            };
            problems.push(format!(
                "The file leaves {sizes} of its input open: {}. Say {are} ({} on the command line, \
                 below the model on the page), or export the model with a fixed input size.",
                names.join(", "),
                options.join(" ")
            ));
        }
        for (name, size) in self.given {
            let open = self.found.iter().any(|open| open.name == *name);
            if !open && !self.batches.contains(name) {
                let there: Vec<String> = (self.found.iter().map(|open| &open.name))
                    .chain(&self.batches)
                    .map(|name| format!("'{name}'"))
                    .collect();
                problems.push(match there.is_empty() {
                    true => format!("The size '{name}' was given, but the file leaves none open."),
                    false => format!(
                        "The size '{name}' was given, but the file leaves open {}.",
                        there.join(", ")
                    ),
                });
            } else if !(1..=MOST).contains(size) {
                problems.push(format!(
                    "The size '{name}' was given as {size}; it must be 1 to {MOST}."
                ));
            }
        }
        (self.found, problems)
    }
}
