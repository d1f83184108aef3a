//! Samples of a model with several inputs: one array for each, told apart by name.

use crate::arrays::{self, Named};
use crate::error::{DatasetError, shape_text};
use crate::load::sort;
use crate::preprocess::{Arrays, Preprocess};
use crate::unpack::unpack;
use crate::{InputShape, LoadOptions, NamedFile, labels};

/// Samples with one value list for each of a model's inputs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SampleSet {
    /// In the model's order.
    pub inputs: Vec<InputSamples>,
    /// One class number per sample, where there is an array of labels.
    pub labels: Option<Vec<u32>>,
    /// What was done that the user may want to know, as sentences.
    pub notes: Vec<String>,
    count: usize,
}

/// What one input gets.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InputSamples {
    /// Sample after sample.
    pub data: Vec<f32>,
    /// Values of one sample.
    pub size: usize,
    /// Whether the array holds whole numbers.
    pub integers: bool,
}

impl SampleSet {
    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// No samples at all; [`load_several`] never returns that.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The values of sample `i`, one slice for each input.
    #[must_use]
    pub fn sample(&self, i: usize) -> Vec<&[f32]> {
        (self.inputs.iter())
            .map(|input| &input.data[i * input.size..][..input.size])
            .collect()
    }
}

/// Names that arrays may have instead of the inputs' own, followed by the input's number.
const NUMBERED: [&str; 3] = ["x_", "input_", "arr_"];

/// Reads samples for a model with the inputs `inputs`, by name and shape, out of arrays (`.npz`,
/// `.npy`, pickles) called as the inputs are, or `x_0`, `x_1` and so on in the model's order. They
/// hold the values as they are. An array `y` or one called after labels may be there too.
///
/// # Errors
/// [`DatasetError`] when an input has no array, or one that doesn't fit it or the others.
pub fn load_several(
    files: Vec<NamedFile>,
    inputs: &[(&str, InputShape)],
    options: &LoadOptions,
) -> Result<SampleSet, DatasetError> {
    let (files, skipped) = unpack(files);
    let sorted = sort(files);
    let mut found: Vec<Named> = sorted.arrays.into_values().flatten().collect();
    if found.is_empty() {
        let skipped: Vec<_> = skipped.into_iter().chain(sorted.skipped).collect();
        return Err(match skipped.is_empty() {
            true => DatasetError::NoFiles,
            false => DatasetError::NothingUsable { skipped },
        });
    }
    let places = places(&found, inputs)?;
    let left = options.limit.unwrap_or(usize::MAX);
    let mut set = SampleSet::default();
    let mut counts = Vec::new();
    for ((name, shape), &at) in inputs.iter().zip(&places) {
        let size = shape.values()?;
        let preprocess = Preprocess {
            arrays: Arrays::Values,
            ..Preprocess::default_for(shape.dims())
        };
        let array = &found[at];
        let (part, note) =
            arrays::samples(array, None, shape, &preprocess, left).map_err(|why| {
                DatasetError::Inputs(format!("{} (input '{name}') {why}", array.path))
            })?;
        set.notes
            .extend(note.map(|n| format!("{}: {n}.", array.path)));
        counts.push((array.path.clone(), part.names.len()));
        set.inputs.push(InputSamples {
            data: part.data,
            size,
            integers: array.array.element().is_integer(),
        });
    }
    set.count = counts.first().map_or(0, |c| c.1);
    if let Some((path, count)) = counts.iter().find(|c| c.1 != set.count) {
        return Err(DatasetError::Inputs(format!(
            "{} holds {} samples and {path} {count}: every input needs as many",
            counts[0].0, set.count
        )));
    }
    let labels = (0..found.len())
        .find(|i| !places.contains(i) && arrays::holds_labels(&found[*i].stem))
        .map(|i| found.swap_remove(i));
    if let Some(labels) = labels {
        let all = labels.array.dims().first().copied().unwrap_or(1);
        let numbers = labels::of_array(&labels.array, all)
            .map_err(|why| DatasetError::Inputs(format!("{} {why}", labels.path)))?;
        if all < set.count || all > set.count && options.limit.is_none() {
            return Err(DatasetError::Inputs(format!(
                "{} holds {all} labels for {} samples",
                labels.path, set.count
            )));
        }
        set.labels = Some(numbers[..set.count].to_vec());
    }
    Ok(set)
}

/// For each input the array that is its.
fn places(found: &[Named], inputs: &[(&str, InputShape)]) -> Result<Vec<usize>, DatasetError> {
    // An input's name may have slashes, which make it a path in an archive.
    let called = |array: &Named, name: &str| {
        let path = array.path.strip_suffix(".npy").unwrap_or(&array.path);
        array.stem == name || path == name || path.ends_with(&format!("/{name}"))
    };
    let all = |name: &dyn Fn(usize) -> String| -> Option<Vec<usize>> {
        (0..inputs.len())
            .map(|i| found.iter().position(|a| called(a, &name(i))))
            .collect()
    };
    let by_name = all(&|i| inputs[i].0.to_owned());
    let places =
        by_name.or_else(|| (NUMBERED.iter()).find_map(|stem| all(&|i| format!("{stem}{i}"))));
    places.ok_or_else(|| {
        let wanted: Vec<String> = (inputs.iter())
            .map(|(name, shape)| {
                format!(
                    "'{name}' (an array of N x {})",
                    shape_text(shape.sample_dims())
                )
            })
            .collect();
        let there: Vec<String> = (found.iter())
            .map(|a| format!("'{}' ({})", a.stem, shape_text(a.array.dims())))
            .collect();
        DatasetError::Inputs(format!(
            "the model has {} inputs, {}, and the arrays that are there are {}",
            inputs.len(),
            wanted.join(" and "),
            there.join(", ")
        ))
    })
}
