//! The simulator: the runtime of the chip, here.

use js_sys::{Array, Float32Array, Function};
use serde::Serialize;
use wasm_bindgen::prelude::*;

use fixpoint_quant::{self as quant, RawOutput, SimulateError};

use crate::error::{Code, coded};
use crate::link::bytes_of;
use crate::plain::to_js;
use crate::quantize::call;
use crate::samples::Samples;

/// Runs a model image with the kernels that run on the chip.
#[wasm_bindgen]
pub struct Simulator {
    inner: quant::Simulator,
}

/// An output: integers in ONNX order; real value = integer * 2^exponent.
#[derive(Serialize)]
struct Answer {
    name: String,
    dims: Vec<usize>,
    exponent: i32,
    bits: u32,
    data: Vec<i32>,
}

/// `LayerComparison` of the package.
#[derive(Serialize)]
struct LayerComparison {
    name: String,
    elements: usize,
    differing: usize,
    largest: i32,
}

#[wasm_bindgen]
impl Simulator {
    /// Takes any bytes and refuses what is not a sound image.
    #[wasm_bindgen(constructor)]
    pub fn new(image: &[u8]) -> Result<Simulator, JsValue> {
        let inner = quant::Simulator::new(image).map_err(simulate_error)?;
        Ok(Simulator { inner })
    }

    /// Inputs of the image: name, dims, exponent, bits.
    #[wasm_bindgen(getter)]
    pub fn inputs(&self) -> Result<JsValue, JsValue> {
        to_js(&self.inner.inputs())
    }

    /// Outputs of the image: name, dims, exponent, bits.
    #[wasm_bindgen(getter)]
    pub fn outputs(&self) -> Result<JsValue, JsValue> {
        to_js(&self.inner.outputs())
    }

    /// One sample in, a `Float32Array` or an array with one for each input; the outputs' integers out.
    #[wasm_bindgen(js_name = runRaw)]
    pub fn run_raw(&mut self, values: JsValue) -> Result<JsValue, JsValue> {
        let values = floats_of(values)?;
        let values: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
        let outputs = self.inner.run_raw(&values).map_err(simulate_error)?;
        to_js(&outputs.into_iter().map(answer).collect::<Vec<_>>())
    }

    /// The bytes that a board gets for input `index`.
    #[wasm_bindgen(js_name = inputBytes)]
    pub fn input_bytes(&self, index: usize, values: &[f32]) -> Result<Vec<u8>, JsValue> {
        (self.inner.input_bytes(index, values)).map_err(simulate_error)
    }

    /// Output `index` as it came from a board, in the same form as `runRaw` gives it.
    #[wasm_bindgen(js_name = decodeOutput)]
    pub fn decode_output(&self, index: usize, bytes: &[u8]) -> Result<JsValue, JsValue> {
        let output = (self.inner.decode_output(index, bytes)).map_err(simulate_error)?;
        to_js(&answer(output))
    }

    /// How far each layer's output on a board is from the simulator's, for the same bytes of the inputs: an
    /// array of objects. `layers` are the outputs as the board stores them, from the first layer on.
    #[wasm_bindgen(js_name = compareLayers)]
    pub fn compare_layers(&mut self, inputs: Array, layers: Array) -> Result<JsValue, JsValue> {
        let (inputs, layers) = (bytes_of(&inputs)?, bytes_of(&layers)?);
        let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let expected = self.inner.layer_bytes(&inputs).map_err(simulate_error)?;
        let known = self.inner.layers().map_err(simulate_error)?;
        let compared = known.iter().zip(expected.iter().zip(&layers));
        let compared: Vec<LayerComparison> = compared
            .map(|(layer, (expected, got))| {
                let found = quant::Difference::between(layer.output.bits, expected, got);
                LayerComparison {
                    name: layer.name.clone(),
                    elements: found.elements,
                    differing: found.differing,
                    largest: found.largest,
                }
            })
            .collect();
        to_js(&compared)
    }

    /// Accuracy over labelled samples and agreement with `reference`, the float model's
    /// predictions (empty: none), as an object.
    pub fn evaluate(
        &mut self,
        samples: &Samples,
        reference: Vec<u32>,
        progress: &Function,
    ) -> Result<JsValue, JsValue> {
        let evaluation = quant::evaluate(
            &mut self.inner,
            &samples.view()?,
            samples.inner.labels.as_deref(),
            (!reference.is_empty()).then_some(reference.as_slice()),
            &mut |done, total| call(progress, "quantized", done, total),
        );
        to_js(&evaluation.map_err(simulate_error)?)
    }
}

/// A `Float32Array`, or an array of them.
fn floats_of(values: JsValue) -> Result<Vec<Vec<f32>>, JsValue> {
    let several = match values.dyn_into::<Array>() {
        Ok(several) => several,
        Err(one) => Array::of1(&one),
    };
    let wrong = |_| {
        let message = "The values of an input must be a Float32Array.";
        coded(Code::Argument, message)
    };
    let inputs: Result<Vec<Float32Array>, _> = several.iter().map(|i| i.dyn_into()).collect();
    Ok((inputs.map_err(wrong)?.iter())
        .map(Float32Array::to_vec)
        .collect())
}

fn answer(output: RawOutput) -> Answer {
    let RawOutput {
        name,
        dims,
        exponent,
        bits,
        data,
    } = output;
    Answer {
        name,
        dims,
        exponent,
        bits,
        data,
    }
}

fn simulate_error(error: SimulateError) -> JsValue {
    coded(Code::Simulate, error)
}
