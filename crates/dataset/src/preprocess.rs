//! From pixel values (0 to 255) to the values a model was trained on.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::DatasetError;
use crate::shape::{InputShape, square};

/// How pixels become input values: `(pixel * scale - mean[c]) / std[c]`, in `f32`, in this order.
///
/// Applied to images and idx files always, to arrays as [`Arrays`] says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preprocess {
    /// Channels of the input, and their order.
    pub channels: Channels,
    /// Where the channel axis of the model's input is.
    pub layout: Layout,
    /// Factor on the pixel value.
    pub scale: f32,
    /// Subtracted after scaling: one value for all channels, or one per channel.
    pub mean: Vec<f32>,
    /// Divided by, last: one value for all channels, or one per channel; never zero.
    pub std: Vec<f32>,
    /// How an image of another size is brought to the input's size.
    pub resize: Resize,
    /// Which arrays (.npy, .npz) hold pixels.
    pub arrays: Arrays,
}

/// Channels of the model's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// One channel: luma by ITU-R BT.601 weights, `(19595 R + 38470 G + 7471 B + 32768) >> 16`.
    Grey,
    /// Red, green, blue; a grey image is repeated.
    #[default]
    Rgb,
    /// Blue, green, red.
    Bgr,
}

/// Place of the channel axis in the model's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Batch, channels, height, width.
    #[default]
    Nchw,
    /// Batch, height, width, channels.
    Nhwc,
}

/// How an image is brought to the size of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resize {
    /// Both sides to the input's, whatever the aspect ratio.
    #[default]
    Stretch,
    /// The largest centred part with the input's aspect ratio, then resized.
    CropCenter,
    /// The whole image, centred, with black (pixel value 0) around it.
    Pad,
}

/// Which arrays go through scale, mean and std.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrays {
    /// Arrays of `uint8` hold pixels; all others hold input values already.
    #[default]
    BytesArePixels,
    /// Every array holds pixels.
    Pixels,
    /// Every array holds input values.
    Values,
}

impl Preprocess {
    /// The settings that most models with an input of these dimensions (ONNX order, batch
    /// included) were trained with: grey for one channel and RGB otherwise, values from 0 to 1.
    #[must_use]
    pub fn default_for(dims: &[usize]) -> Self {
        let shape = InputShape::new(dims);
        let (channels, layout) = match *shape.sample_dims() {
            [1 | 3, _, _] => (shape.sample_dims()[0], Layout::Nchw),
            [_, _, c @ (1 | 3)] => (c, Layout::Nhwc),
            [c, _, _] => (c, Layout::Nchw),
            [length] => (square(length).map_or(1, |(c, ..)| c), Layout::Nchw),
            _ => (1, Layout::Nchw),
        };
        let channels = if channels == 3 {
            Channels::Rgb
        } else {
            Channels::Grey
        };
        Self {
            channels,
            layout,
            mean: vec![0.0; channels.count()],
            std: vec![1.0; channels.count()],
            ..Self::default()
        }
    }

    /// Checks what the user may have edited: finite numbers, no zero in `std`, lengths of 1 or
    /// the number of channels.
    ///
    /// # Errors
    /// [`DatasetError::Preprocess`] names the setting.
    pub fn check(&self) -> Result<(), DatasetError> {
        let wrong = |text: String| Err(DatasetError::Preprocess(text));
        if !self.scale.is_finite() || self.scale == 0.0 {
            return wrong(format!(
                "scale is {}; it must be a number other than 0",
                self.scale
            ));
        }
        for (name, values) in [("mean", &self.mean), ("std", &self.std)] {
            let n = self.channels.count();
            if values.len() != 1 && values.len() != n {
                return wrong(format!(
                    "{name} has {} values; give one, or one for each of the {n} channels",
                    values.len()
                ));
            }
            if values.iter().any(|v| !v.is_finite()) {
                return wrong(format!("{name} holds a value that is not a finite number"));
            }
        }
        if self.std.contains(&0.0) {
            return wrong("std holds a 0, which can't be divided by".into());
        }
        Ok(())
    }

    /// The rule in words, as `pixel / 255` or `(pixel * 0.0078125 - 1) / 0.5`.
    #[must_use]
    pub fn rule(&self) -> String {
        let list = |values: &[f32]| {
            let parts: Vec<String> = values.iter().map(ToString::to_string).collect();
            match &parts[..] {
                [one] => one.clone(),
                several => format!("[{}]", several.join(", ")),
            }
        };
        let inverse = 1.0 / self.scale;
        let scaled = if self.scale == 1.0 {
            "pixel".to_owned()
        } else if inverse > 1.5 && 1.0 / inverse.round() == self.scale {
            format!("pixel / {}", inverse.round())
        } else {
            format!("pixel * {}", self.scale)
        };
        let all = |values: &[f32], what: f32| values.iter().all(|&v| v == what);
        match (all(&self.mean, 0.0), all(&self.std, 1.0)) {
            (true, true) => scaled,
            (true, false) => format!("{scaled} / {}", list(&self.std)),
            (false, true) => format!("{scaled} - {}", list(&self.mean)),
            (false, false) => format!("({scaled} - {}) / {}", list(&self.mean), list(&self.std)),
        }
    }

    /// The rule for one pixel value of channel `c`.
    pub(crate) fn value(&self, pixel: f32, c: usize) -> f32 {
        let of = |values: &[f32]| values[if values.len() == 1 { 0 } else { c }];
        (pixel * self.scale - of(&self.mean)) / of(&self.std)
    }
}

impl Default for Preprocess {
    fn default() -> Self {
        Self {
            channels: Channels::default(),
            layout: Layout::default(),
            scale: 1.0 / 255.0,
            mean: vec![0.0],
            std: vec![1.0],
            resize: Resize::default(),
            arrays: Arrays::default(),
        }
    }
}

impl Channels {
    /// How many there are: 1 or 3.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb | Self::Bgr => 3,
        }
    }
}

impl fmt::Display for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grey => "grey",
            Self::Rgb => "RGB",
            Self::Bgr => "BGR",
        })
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nchw => "NCHW",
            Self::Nhwc => "NHWC",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_reads_like_the_settings() {
        let rule = |scale: f32, mean: &[f32], std: &[f32]| {
            let settings = Preprocess {
                scale,
                mean: mean.to_vec(),
                std: std.to_vec(),
                ..Preprocess::default()
            };
            settings.rule()
        };
        assert_eq!(rule(1.0 / 255.0, &[0.0], &[1.0]), "pixel / 255");
        assert_eq!(rule(1.0, &[0.0, 0.0, 0.0], &[1.0]), "pixel");
        assert_eq!(rule(1.0, &[127.0], &[128.0]), "(pixel - 127) / 128");
        assert_eq!(rule(2.0, &[0.5], &[1.0]), "pixel * 2 - 0.5");
        assert_eq!(
            rule(1.0 / 255.0, &[0.485, 0.456, 0.406], &[0.25]),
            "(pixel / 255 - [0.485, 0.456, 0.406]) / 0.25"
        );
    }
}
