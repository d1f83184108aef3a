//! Calibration and evaluation samples from whatever a user has at hand.
//!
//! Bytes in, floats out: the caller reads files (the page drops them, the command line opens
//! them) and this crate decodes PNG, JPEG and BMP images, folders and zip archives of them,
//! `.npy` and `.npz` arrays, pickles of arrays and MNIST idx files, and brings them to the shape of a model's input.
//!
//! Every step is integer or plain IEEE `f32` arithmetic in a fixed order, so that a page and a
//! native build make the same samples, bit for bit.
#![forbid(unsafe_code)]

mod arrays;
mod error;
mod idx;
mod labels;
mod load;
pub mod npy;
pub mod pickle;
mod picture;
mod preprocess;
mod resample;
mod several;
mod shape;
mod unpack;

use std::fmt;

use serde::Serialize;

pub use error::DatasetError;
pub use idx::labels_beside;
pub use preprocess::{Arrays, Channels, Layout, Preprocess, Resize};
pub use several::{InputOf, InputSamples, SampleSet, load_several};
pub use shape::InputShape;

/// Most float values that are held at once (1 GiB): a 32-bit page can't hold much more.
pub const MAX_VALUES: usize = 1 << 28;

/// A file as it was dropped: its path below the dropped folder, with `/` between the parts, and
/// its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// Path, for messages and for labels from folder names.
    pub path: String,
    /// What is in the file.
    pub bytes: Vec<u8>,
}

/// A file that gave no samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The file; inside an archive, `archive.zip/path`.
    pub path: String,
    /// Why, as the second half of a sentence: "is not an image".
    pub reason: String,
}

/// Samples ready for a model, in the order they were found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Samples {
    /// Dimensions of one sample: those of the model's input, batch axis of 1 included.
    pub dims: Vec<usize>,
    /// `len()` times the product of `dims`, sample after sample.
    pub data: Vec<f32>,
    /// One class number per sample, when every sample has one.
    pub labels: Option<Vec<u32>>,
    /// Names of the classes, by number; empty when labels are only numbers.
    pub class_names: Vec<String>,
    /// True when every value comes as it is from an array of whole numbers.
    pub integers: bool,
    /// How pixels became values, where there were pixels: [`Preprocess::rule`].
    pub pixels: Option<String>,
    /// Where each sample comes from: a path, or `array[17]`.
    pub names: Vec<String>,
    /// Files that were left out, with the reason.
    pub skipped: Vec<Skipped>,
    /// What was done that the user may want to know, as sentences (a changed axis order, ...).
    pub notes: Vec<String>,
}

/// What [`load_with`] reads of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoadOptions {
    /// At most so many samples: of arrays and idx files the first ones, of images in labelled
    /// folders the first of every folder in turn.
    pub limit: Option<usize>,
}

impl Samples {
    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// No samples at all; [`load`] never returns that.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The values of sample `i`, in the input's own order.
    #[must_use]
    pub fn sample(&self, i: usize) -> &[f32] {
        let values = self.dims.iter().product::<usize>();
        &self.data[i * values..][..values]
    }
}

/// Reads samples for an input of shape `target` out of `files`, in any mix that makes sense.
///
/// Files that can't be used are listed in [`Samples::skipped`]; hidden files and `__MACOSX` are
/// passed over. Labels come from sub-folder names, a `labels.csv`, a `y` array or an idx labels
/// file.
///
/// # Errors
/// [`DatasetError`] when not one sample could be made.
pub fn load(
    files: Vec<NamedFile>,
    target: &InputShape,
    preprocess: &Preprocess,
) -> Result<Samples, DatasetError> {
    load_with(
        files,
        target,
        preprocess,
        &LoadOptions::default(),
        &mut |_, _| {},
    )
}

/// As [`load`], with a limit, and with a call after each image or array: how many are done, of
/// how many.
///
/// # Errors
/// As [`load`].
pub fn load_with(
    files: Vec<NamedFile>,
    target: &InputShape,
    preprocess: &Preprocess,
    options: &LoadOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Samples, DatasetError> {
    load::load(files, target, preprocess, options, progress)
}

/// Refuses what would not fit in memory, before it is made.
fn check_amount(samples: usize, size: usize, target: &InputShape) -> Result<(), DatasetError> {
    match samples.checked_mul(size) {
        Some(values) if values <= MAX_VALUES => Ok(()),
        _ => Err(DatasetError::TooMuch {
            samples,
            wanted: error::shape_text(target.dims()),
            limit: MAX_VALUES,
        }),
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path, self.reason)
    }
}
