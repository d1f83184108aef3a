//! Samples of a model with several inputs: one array for each, told apart by name.

use crate::arrays::{self, Named};
use crate::error::{DatasetError, shape_text};
use crate::load::sort;
use crate::preprocess::{Arrays, Preprocess};
use crate::unpack::unpack;
use crate::{InputShape, LoadOptions, NamedFile, Samples, Skipped, labels};

/// Samples with one value list for each of a model's inputs, of which there may be one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SampleSet {
    /// In the model's order.
    pub inputs: Vec<InputSamples>,
    /// One class number per sample, where there is an array of labels.
    pub labels: Option<Vec<u32>>,
    /// As in [`Samples`].
    pub class_names: Vec<String>,
    /// Where each sample comes from.
    pub names: Vec<String>,
    /// Files that were left out, with the reason.
    pub skipped: Vec<Skipped>,
    /// What was done that the user may want to know, as sentences.
    pub notes: Vec<String>,
}

/// What one input gets.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InputSamples {
    /// Dimensions of one sample, batch axis of 1 included.
    pub dims: Vec<usize>,
    /// Sample after sample.
    pub data: Vec<f32>,
    /// Whether the array holds whole numbers, and these are its values.
    pub integers: bool,
    /// How pixels became values, where there were pixels.
    pub pixels: Option<String>,
}

impl InputSamples {
    /// Values of one sample.
    #[must_use]
    pub fn size(&self) -> usize {
        self.dims.iter().product()
    }

    /// The values of sample `i`, in the input's own order.
    #[must_use]
    pub fn sample(&self, i: usize) -> &[f32] {
        &self.data[i * self.size()..][..self.size()]
    }
}

impl SampleSet {
    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// No samples at all; [`load_several`] never returns that.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The values of sample `i`, one slice for each input.
    #[must_use]
    pub fn sample(&self, i: usize) -> Vec<&[f32]> {
        self.inputs.iter().map(|input| input.sample(i)).collect()
    }
}

impl From<Samples> for SampleSet {
    fn from(samples: Samples) -> Self {
        Self {
            inputs: vec![InputSamples {
                dims: samples.dims,
                data: samples.data,
                integers: samples.integers,
                pixels: samples.pixels,
            }],
            labels: samples.labels,
            class_names: samples.class_names,
            names: samples.names,
            skipped: samples.skipped,
            notes: samples.notes,
        }
    }
}

/// An input of a model, and which of its arrays hold pixels.
#[derive(Debug, Clone)]
pub struct InputOf<'a> {
    /// The model's name of it.
    pub name: &'a str,
    /// Its shape.
    pub shape: InputShape,
    /// Scale, mean, std and what holds pixels; the rest is for images.
    pub preprocess: Preprocess,
}

impl<'a> InputOf<'a> {
    /// An input whose arrays hold its values as they are.
    #[must_use]
    pub fn new(name: &'a str, dims: &[usize]) -> Self {
        Self {
            name,
            shape: InputShape::new(dims),
            preprocess: Preprocess {
                arrays: Arrays::Values,
                ..Preprocess::default_for(dims)
            },
        }
    }
}

/// Names that arrays may have instead of the inputs' own, followed by the input's number.
const NUMBERED: [&str; 3] = ["x_", "input_", "arr_"];

/// Reads samples for a model with several inputs out of arrays (`.npz`, a `.npy` for each input,
/// pickles) called as the inputs are, or `x_0`, `x_1` and so on in the model's order. An array `y` or
/// one called after labels may be there too.
///
/// # Errors
/// [`DatasetError`] when an input has no array, or one that doesn't fit it or the others.
pub fn load_several(
    files: Vec<NamedFile>,
    inputs: &[InputOf<'_>],
    options: &LoadOptions,
) -> Result<SampleSet, DatasetError> {
    let (files, mut skipped) = unpack(files);
    let sorted = sort(files);
    let pictures = sorted.images.into_iter().map(|(file, _)| file.path);
    skipped.extend(sorted.skipped);
    for path in pictures.chain(sorted.idx.into_iter().map(|(path, _)| path)) {
        let reason = "can't be used: a model with several inputs takes arrays, one for each".into();
        skipped.push(Skipped { path, reason });
    }
    let mut found: Vec<Named> = sorted.arrays.into_values().flatten().collect();
    if found.is_empty() {
        return Err(match skipped.is_empty() {
            true => DatasetError::NoFiles,
            false => DatasetError::NothingUsable { skipped },
        });
    }
    let places = places(&found, inputs)?;
    let left = options.limit.unwrap_or(usize::MAX);
    let mut set = SampleSet::default();
    let mut first: Option<(&str, usize)> = None;
    for (input, &at) in inputs.iter().zip(&places) {
        input.shape.values()?;
        input.preprocess.check()?;
        let array = &found[at];
        let (part, notes) = arrays::samples(array, None, &input.shape, &input.preprocess, left)
            .map_err(|why| {
                DatasetError::Inputs(format!("{} (input '{}') {why}", array.path, input.name))
            })?;
        (set.notes).extend(notes.iter().map(|n| format!("{}: {n}.", array.path)));
        let count = part.names.len();
        let (path, before) = *first.get_or_insert((&array.path, count));
        if count != before {
            return Err(DatasetError::Inputs(format!(
                "{path} holds {before} samples and {} {count}: every input needs as many",
                array.path
            )));
        }
        set.inputs.push(InputSamples {
            dims: input.shape.dims().to_vec(),
            data: part.data,
            integers: part.integers,
            pixels: part.pixels.then(|| input.preprocess.rule()),
        });
    }
    set.names = (0..first.map_or(0, |(_, count)| count))
        .map(|i| format!("sample {i}"))
        .collect();
    let mut others: Vec<usize> = (0..found.len()).filter(|i| !places.contains(i)).collect();
    if let Some(at) = (others.iter()).position(|&i| arrays::holds_labels(&found[i].stem)) {
        set.labels = Some(labels_of(&found[others.remove(at)], set.len(), options)?);
    }
    skipped.extend(others.into_iter().map(|i| Skipped {
        path: std::mem::take(&mut found[i].path),
        reason: "is not used: no input has its name, or another array had it first".into(),
    }));
    set.skipped = skipped;
    Ok(set)
}

fn labels_of(
    labels: &Named,
    samples: usize,
    options: &LoadOptions,
) -> Result<Vec<u32>, DatasetError> {
    let all = labels.array.dims().first().copied().unwrap_or(1);
    let numbers = labels::of_array(&labels.array, all)
        .map_err(|why| DatasetError::Inputs(format!("{} {why}", labels.path)))?;
    if all < samples || all > samples && options.limit.is_none() {
        return Err(DatasetError::Inputs(format!(
            "{} holds {all} labels for {samples} samples",
            labels.path
        )));
    }
    Ok(numbers[..samples].to_vec())
}

/// For each input the array that is its.
fn places(found: &[Named], inputs: &[InputOf<'_>]) -> Result<Vec<usize>, DatasetError> {
    // An input's name may have slashes, which make it a path in an archive, and other characters that
    // no file can have.
    let called = |array: &Named, name: &str| {
        let path = array.path.strip_suffix(".npy").unwrap_or(&array.path);
        array.stem == name
            || path == name
            || path.ends_with(&format!("/{name}"))
            || plain(&array.stem) == plain(name)
    };
    let all = |name: &dyn Fn(usize) -> String| -> Option<Vec<usize>> {
        let mut places = Vec::new();
        for i in 0..inputs.len() {
            let free = |at: &usize| !places.contains(at) && called(&found[*at], &name(i));
            places.push((0..found.len()).find(free)?);
        }
        Some(places)
    };
    let by_name = all(&|i| inputs[i].name.to_owned());
    let places =
        by_name.or_else(|| (NUMBERED.iter()).find_map(|stem| all(&|i| format!("{stem}{i}"))));
    places.ok_or_else(|| {
        let wanted: Vec<String> = (inputs.iter())
            .map(|input| {
                format!(
                    "'{}' (an array of N x {})",
                    input.name,
                    shape_text(input.shape.sample_dims())
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

fn plain(name: &str) -> String {
    (name.chars())
        .map(|c| if c.is_alphanumeric() { c } else { '_' })
        .collect()
}
