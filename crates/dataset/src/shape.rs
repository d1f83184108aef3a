//! The input that samples are made for, and how an image lies in it.

use crate::error::{DatasetError, shape_text};
use crate::preprocess::{Layout, Preprocess};

/// Dimensions of a model's input in ONNX order, batch axis included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputShape {
    dims: Vec<usize>,
}

/// Where the values of an image go in one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plane {
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) layout: Layout,
}

impl InputShape {
    /// Takes the dimensions as the model states them. A leading 0 stands for a batch size that
    /// is not fixed and is read as 1.
    #[must_use]
    pub fn new(dims: &[usize]) -> Self {
        let mut dims = dims.to_vec();
        if let Some(first) = dims.first_mut().filter(|d| **d == 0) {
            *first = 1;
        }
        Self { dims }
    }

    /// The dimensions, batch axis included.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Dimensions of one sample: without the leading 1 that stands for the batch.
    #[must_use]
    pub fn sample_dims(&self) -> &[usize] {
        match self.dims.split_first() {
            Some((1, rest)) if !rest.is_empty() => rest,
            _ => &self.dims,
        }
    }

    /// Values in one sample; an error when a dimension is unknown or the product is absurd.
    pub(crate) fn values(&self) -> Result<usize, DatasetError> {
        let product = self
            .dims
            .iter()
            .try_fold(1usize, |n, &d| n.checked_mul(d))
            .filter(|&n| n > 0 && n <= crate::MAX_VALUES);
        product.ok_or_else(|| {
            DatasetError::Preprocess(format!(
                "the model's input has shape {}, which names no usable size",
                shape_text(&self.dims)
            ))
        })
    }

    /// How an image lies in this input with the chosen layout and channels.
    pub(crate) fn plane(&self, preprocess: &Preprocess) -> Result<Plane, DatasetError> {
        let layout = preprocess.layout;
        let (channels, height, width) = match *self.sample_dims() {
            [c, h, w] if layout == Layout::Nchw => (c, h, w),
            [h, w, c] => (c, h, w),
            [h, w] => (1, h, w),
            [length] => square(length).ok_or_else(|| {
                self.no_image(
                    "a flat input can only be filled from images when it is a square, grey or RGB"
                        .into(),
                )
            })?,
            _ => {
                return Err(self.no_image("an image has a height, a width and channels".into()));
            }
        };
        let given = preprocess.channels.count();
        if channels != given {
            return Err(self.no_image(format!(
                "read as {layout} it has {channels} channel{}, and {} images have {given}; change the channels or the layout",
                if channels == 1 { "" } else { "s" },
                preprocess.channels,
            )));
        }
        Ok(Plane {
            channels,
            height,
            width,
            layout,
        })
    }

    fn no_image(&self, reason: String) -> DatasetError {
        DatasetError::NotAnImageInput {
            wanted: shape_text(&self.dims),
            reason,
        }
    }
}

/// Channels, height and width of a flat input that is a square image.
pub(crate) fn square(length: usize) -> Option<(usize, usize, usize)> {
    [1, 3].into_iter().find_map(|channels| {
        let side = (length / channels).isqrt();
        (side > 1 && channels * side * side == length).then_some((channels, side, side))
    })
}
