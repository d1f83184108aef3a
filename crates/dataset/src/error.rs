//! Why a dropped set of files gives no samples, in words a user can act on.

use thiserror::Error;

use crate::Skipped;

/// A failure of [`load`](crate::load) as a whole. One bad file among good ones is no error:
/// it is listed in [`Samples::skipped`](crate::Samples::skipped).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// Nothing was given, or only hidden files.
    #[error("there are no files to read")]
    NoFiles,
    /// Files were given and none gave a sample.
    #[error("{}", nothing_usable(skipped))]
    NothingUsable {
        /// Every file with its reason.
        skipped: Vec<Skipped>,
    },
    /// Images can't be made into this input.
    #[error("images can't be used for an input of shape {wanted}: {reason}")]
    NotAnImageInput {
        /// Shape of the model's input.
        wanted: String,
        /// What is in the way.
        reason: String,
    },
    /// The preprocessing settings contradict the input or themselves.
    #[error("the preprocessing can't be used: {0}")]
    Preprocess(String),
    /// A model with several inputs, and arrays that don't fit them.
    #[error("{0}")]
    Inputs(String),
    /// The samples would not fit in memory.
    #[error(
        "{samples} samples of {wanted} are more than the {limit} values that are read at once; use fewer samples (a few hundred are enough for calibration)"
    )]
    TooMuch {
        /// Number of samples found.
        samples: usize,
        /// Shape of the model's input.
        wanted: String,
        /// The limit, in float values.
        limit: usize,
    },
}

impl DatasetError {
    /// A next step, as a sentence of its own, where there is one that the message doesn't hold.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::NoFiles | Self::NothingUsable { .. } => Some(
                "give PNG, JPEG or BMP images (also in folders or a zip), .npy or .npz arrays, or MNIST idx files",
            ),
            Self::NotAnImageInput { .. } => {
                Some("give the samples as a .npy or .npz array with the input's shape")
            }
            Self::Inputs(_) => Some(
                "give an .npz with one array for each input, or a .npy file for each, called as the input is, or x_0, x_1 and so on in the model's order",
            ),
            _ => None,
        }
    }
}

/// `1x28x28` for `[1, 28, 28]`, and `scalar` for no dimensions at all.
pub(crate) fn shape_text(dims: &[usize]) -> String {
    if dims.is_empty() {
        return "scalar".into();
    }
    let parts: Vec<String> = dims.iter().map(ToString::to_string).collect();
    parts.join("x")
}

fn nothing_usable(skipped: &[Skipped]) -> String {
    let first = skipped.first().map(ToString::to_string).unwrap_or_default();
    match skipped.len() {
        1 => first,
        n => format!("none of {n} files could be used; {first}"),
    }
}
