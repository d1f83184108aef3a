//! Samples out of dropped files.

use js_sys::{Array, Function, Reflect, Uint8Array};
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;

use fixpoint_dataset::{
    DatasetError, InputOf, InputSamples, InputShape, LoadOptions, NamedFile, Preprocess, SampleSet,
    Skipped, load_several, load_with,
};
use fixpoint_quant as quant;

use crate::error::{Code, coded};
use crate::plain::{from_js, to_js};
use crate::quantize::call;

/// Samples shaped for a model's inputs.
#[wasm_bindgen]
pub struct Samples {
    pub(crate) inner: SampleSet,
}

/// What the page shows of a set; the values stay on this side.
#[derive(Serialize)]
struct Summary<'a> {
    count: usize,
    /// Of the first input.
    dims: &'a [usize],
    inputs: Vec<InputSummary<'a>>,
    labels: &'a Option<Vec<u32>>,
    class_names: &'a [String],
    names: &'a [String],
    skipped: &'a [Skipped],
    notes: &'a [String],
}

#[derive(Serialize)]
struct InputSummary<'a> {
    dims: &'a [usize],
    pixels: &'a Option<String>,
}

/// An input as the page names it.
#[derive(Deserialize)]
struct Wanted {
    name: String,
    dims: Vec<usize>,
    preprocess: Preprocess,
}

#[wasm_bindgen]
impl Samples {
    /// Reads `files` (an array of `{path, bytes}`) for an input of shape `dims`, batch included.
    /// `limit` 0 means all of them.
    pub fn load(
        files: Array,
        dims: Vec<usize>,
        preprocess: JsValue,
        limit: usize,
        progress: &Function,
    ) -> Result<Samples, JsValue> {
        let preprocess: Preprocess = from_js(preprocess, "preprocessing settings")?;
        let files = files.iter().map(named_file).collect::<Result<_, _>>()?;
        load_with(
            files,
            &InputShape::new(&dims),
            &preprocess,
            &limited(limit),
            &mut |done, total| {
                call(progress, "read", done, total);
            },
        )
        .map(|inner| Samples {
            inner: inner.into(),
        })
        .map_err(dataset_error)
    }

    /// Reads `files` for a model with several inputs: arrays called as `inputs` are, an array of
    /// `{name, dims, preprocess}` in the model's order.
    #[wasm_bindgen(js_name = loadSeveral)]
    pub fn load_several(files: Array, inputs: JsValue, limit: usize) -> Result<Samples, JsValue> {
        let inputs: Vec<Wanted> = from_js(inputs, "list of inputs")?;
        let files = files.iter().map(named_file).collect::<Result<_, _>>()?;
        let inputs: Vec<InputOf<'_>> = (inputs.iter())
            .map(|input| InputOf {
                name: &input.name,
                shape: InputShape::new(&input.dims),
                preprocess: input.preprocess.clone(),
            })
            .collect();
        load_several(files, &inputs, &limited(limit))
            .map(|inner| Samples { inner })
            .map_err(dataset_error)
    }

    /// No samples: enough for a model that is quantized already.
    pub fn none() -> Samples {
        Samples {
            inner: SampleSet::default(),
        }
    }

    /// The settings most models with such an input were trained with, as an object.
    #[wasm_bindgen(js_name = defaultPreprocess)]
    pub fn default_preprocess(dims: Vec<usize>) -> Result<JsValue, JsValue> {
        to_js(&Preprocess::default_for(&dims))
    }

    /// Settings in words, as `pixel / 255`.
    #[wasm_bindgen(js_name = pixelRule)]
    pub fn pixel_rule(preprocess: JsValue) -> Result<String, JsValue> {
        Ok(from_js::<Preprocess>(preprocess, "preprocessing settings")?.rule())
    }

    /// Count, shapes, labels, names, and what was left out, as an object.
    pub fn summary(&self) -> Result<JsValue, JsValue> {
        let set = &self.inner;
        to_js(&Summary {
            count: set.len(),
            dims: set.inputs.first().map_or(&[], |input| &input.dims),
            inputs: (set.inputs.iter())
                .map(|input| InputSummary {
                    dims: &input.dims,
                    pixels: &input.pixels,
                })
                .collect(),
            labels: &set.labels,
            class_names: &set.class_names,
            names: &set.names,
            skipped: &set.skipped,
            notes: &set.notes,
        })
    }

    /// The values of one sample, in the order of input number `input` (0 when not given).
    pub fn values(&self, index: usize, input: Option<usize>) -> Result<Vec<f32>, JsValue> {
        let input = input.unwrap_or(0);
        let Some(values) = self.inner.inputs.get(input) else {
            let message = format!("There are no samples for input number {input}.");
            return Err(coded(Code::Argument, message));
        };
        if index >= self.inner.len() {
            let message = format!(
                "There are {} samples; number {index} is not one of them.",
                self.inner.len()
            );
            return Err(coded(Code::Argument, message));
        }
        Ok(values.sample(index).to_vec())
    }

    /// A copy of `count` of the samples: the first ones, or spread evenly (every `n / count`-th).
    pub fn select(&self, count: usize, spread: bool) -> Samples {
        let all = &self.inner;
        let count = count.min(all.len());
        let step = if spread && count > 0 {
            all.len() / count
        } else {
            1
        };
        let chosen = || (0..count).map(|i| i * step);
        Samples {
            inner: SampleSet {
                inputs: (all.inputs.iter())
                    .map(|input| InputSamples {
                        dims: input.dims.clone(),
                        data: (chosen().flat_map(|i| input.sample(i).iter().copied())).collect(),
                        integers: input.integers,
                        pixels: input.pixels.clone(),
                    })
                    .collect(),
                labels: (all.labels.as_ref()).map(|labels| chosen().map(|i| labels[i]).collect()),
                class_names: all.class_names.clone(),
                names: chosen().map(|i| all.names[i].clone()).collect(),
                ..SampleSet::default()
            },
        }
    }
}

impl Samples {
    /// The samples as the quantizer takes them.
    pub(crate) fn view(&self) -> Result<quant::Samples<'_>, JsValue> {
        let inputs = (self.inner.inputs.iter())
            .map(|input| (&input.data[..], input.size()))
            .collect();
        quant::Samples::new(inputs).ok_or_else(|| {
            coded(
                Code::Samples,
                "There are no samples. Drop images or arrays first.",
            )
        })
    }
}

fn limited(limit: usize) -> LoadOptions {
    LoadOptions {
        limit: (limit > 0).then_some(limit),
    }
}

pub(crate) fn named_file(file: JsValue) -> Result<NamedFile, JsValue> {
    let wrong = || {
        coded(
            Code::Argument,
            "Each file is an object with a path (string) and bytes (Uint8Array).",
        )
    };
    let path = Reflect::get(&file, &"path".into())?
        .as_string()
        .ok_or_else(wrong)?;
    let bytes: Uint8Array = Reflect::get(&file, &"bytes".into())?
        .dyn_into()
        .map_err(|_| wrong())?;
    Ok(NamedFile {
        path,
        bytes: bytes.to_vec(),
    })
}

/// Message and next step in one text, the step on a line of its own.
fn dataset_error(error: DatasetError) -> JsValue {
    let mut message = sentence(&error.to_string());
    if let Some(help) = error.help() {
        message.push('\n');
        message.push_str(&sentence(help));
    }
    coded(Code::Samples, message)
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let Some(first) = chars.next() else {
        return String::new();
    };
    // A file's name at the start keeps its case; only a plain word is capitalised.
    let word = text.split(' ').next().unwrap_or(text);
    let capital = word.chars().all(|c| c.is_ascii_lowercase());
    let start = if capital {
        first.to_ascii_uppercase()
    } else {
        first
    };
    format!("{start}{}.", chars.as_str().trim_end_matches('.'))
}
