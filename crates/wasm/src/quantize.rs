//! ONNX in, model image out.

use std::collections::BTreeMap;

use js_sys::Function;
use wasm_bindgen::prelude::*;

use fixpoint_quant::{
    self as quant, FloatModel, Options, Progress, QuantError, Reading, Request, Stage,
};

use crate::error::{Code, coded};
use crate::plain::{from_js, to_js};
use crate::samples::Samples;
use crate::table::{self, TableInfo};

/// An ONNX model.
#[wasm_bindgen]
pub struct Model {
    pub(crate) inner: FloatModel,
    table: Option<TableInfo>,
}

#[wasm_bindgen]
impl Model {
    /// Reads an ONNX file. `anew`: of a model that is quantized already only the values of its
    /// weights are kept. `sizes`: an object of numbers, what sizes are that the file leaves open.
    #[wasm_bindgen(js_name = fromOnnx)]
    pub fn from_onnx(bytes: &[u8], anew: Option<bool>, sizes: JsValue) -> Result<Model, JsValue> {
        let sizes = match sizes.is_undefined() || sizes.is_null() {
            true => BTreeMap::new(),
            false => from_js(sizes, "sizes")?,
        };
        let reading = Reading {
            anew: anew == Some(true),
            sizes,
        };
        let inner =
            FloatModel::from_onnx_as(bytes, &reading).map_err(|e| coded(Code::Import, e))?;
        Ok(Model { inner, table: None })
    }

    /// Nodes, shapes, passes and problems, as an object.
    pub fn inspect(&self) -> Result<JsValue, JsValue> {
        to_js(&self.inner.inspect())
    }

    /// The model with a table's exponents, width and granularity instead of calibrated ones. `table` is a report,
    /// an object of exponents by tensor name, or a file's bytes: JSON with either, or the toolkit's pickle.
    /// `bits` is for tables that don't tell their width.
    #[wasm_bindgen(js_name = withTable)]
    pub fn with_table(&self, table: JsValue, bits: JsValue) -> Result<Model, JsValue> {
        let bits = match bits.is_undefined() || bits.is_null() {
            true => None,
            false => Some(from_js(bits, "width")?),
        };
        let table = table::read(table, &self.inner, bits, Code::Quantize)?;
        let inner =
            (self.inner.clone().with_table(&table)).map_err(|e| coded(Code::Quantize, e))?;
        let table = Some(TableInfo::from(&table));
        Ok(Model { inner, table })
    }

    /// What the model's table says, as an object; null without one.
    #[wasm_bindgen(getter)]
    pub fn table(&self) -> Result<JsValue, JsValue> {
        to_js(&self.table)
    }

    /// Accuracy of the float model over labelled samples, as an object.
    #[wasm_bindgen(js_name = evaluate)]
    pub fn evaluate(&self, samples: &Samples, progress: &Function) -> Result<JsValue, JsValue> {
        let labels = samples.inner.labels.as_deref();
        let evaluation =
            quant::evaluate_float(&self.inner, &samples.view()?, labels, &mut |done, total| {
                call(progress, "float", done, total)
            });
        to_js(&evaluation.map_err(quantize_error)?)
    }
}

/// A quantized model: the image, the report and the log.
#[wasm_bindgen]
pub struct Quantized {
    inner: quant::Quantized,
}

#[wasm_bindgen]
impl Quantized {
    /// The model image, as written to the model partition.
    #[wasm_bindgen(getter)]
    pub fn image(&self) -> Vec<u8> {
        self.inner.image.clone()
    }

    /// The report, as an object.
    #[wasm_bindgen(getter)]
    pub fn report(&self) -> Result<JsValue, JsValue> {
        to_js(&self.inner.report)
    }

    /// `report.json` as the command line writes it.
    #[wasm_bindgen(getter, js_name = reportJson)]
    pub fn report_json(&self) -> Result<String, JsValue> {
        (serde_json::to_string_pretty(&self.inner.report))
            .map(|text| text + "\n")
            .map_err(|e| coded(Code::Quantize, e))
    }

    /// The lines that ESP-DL's toolkit prints.
    #[wasm_bindgen(getter)]
    pub fn log(&self) -> String {
        self.inner.log.clone()
    }
}

/// All options, as an object like the one of the same name in report.json: those in `request`, and
/// for the rest what is best.
#[wasm_bindgen]
pub fn options(request: JsValue) -> Result<JsValue, JsValue> {
    to_js(&chosen(request)?)
}

fn chosen(request: JsValue) -> Result<Options, JsValue> {
    if request.is_undefined() || request.is_null() {
        return Ok(Options::default());
    }
    Ok(from_js::<Request>(request, "options")?.options())
}

/// Quantizes `model` with the ranges seen on `samples`, which may be none for a model that brings its
/// own exponents or has those of a table. `request` holds any of the options;
/// `progress` is called with a stage, the steps done and the steps in all.
#[wasm_bindgen]
pub fn quantize(
    model: &Model,
    samples: &Samples,
    request: JsValue,
    progress: &Function,
) -> Result<Quantized, JsValue> {
    let options = chosen(request)?;
    let view = match model.inner.is_settled() && samples.inner.is_empty() {
        true => quant::Samples::none(),
        false => samples.view()?,
    };
    let inner = quant::quantize(
        &model.inner,
        &view,
        &options,
        &mut |Progress { stage, done, total }| call(progress, stage_word(stage), done, total),
    )
    .map_err(quantize_error)?;
    // The image is the chip's here, whatever the report says.
    if inner.imitation.is_some() {
        return Err(coded(
            Code::Quantize,
            "What ESP-DL's evaluator computes of this model fits no image (it has Sub, Mul, mean pools or shared \
             weights). Use the command line, 'fixpoint quantize --mimic-evaluator', or leave mimic_evaluator out.",
        ));
    }
    Ok(Quantized { inner })
}

fn stage_word(stage: Stage) -> &'static str {
    match stage {
        Stage::Calibrate => "calibrate",
        Stage::Convert => "convert",
        Stage::Measure => "measure",
    }
}

/// A listener that throws doesn't stop the work: it reports, it doesn't decide.
pub(crate) fn call(progress: &Function, stage: &str, done: usize, total: usize) {
    let number = |n: usize| JsValue::from_f64(n as f64);
    let _ = progress.call3(&JsValue::NULL, &stage.into(), &number(done), &number(total));
}

fn quantize_error(error: QuantError) -> JsValue {
    let code = match error {
        QuantError::Model(_) => Code::Unsupported,
        _ => Code::Quantize,
    };
    coded(code, error)
}
