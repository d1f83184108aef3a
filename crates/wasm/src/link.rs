//! The link to a running board.

use js_sys::{Array, Object, Reflect, Uint8Array};
use serde::Serialize;
use wasm_bindgen::prelude::*;

use fixpoint_protocol::Element;
use fixpoint_protocol::host::{self, Action, Event, LinkClient};

use crate::error::{Code, coded};
use crate::plain::{Act, to_js};
use crate::predict::constants;

/// A client of the board's firmware: one job at a time; drive it with `poll`.
#[wasm_bindgen]
#[derive(Default)]
pub struct Link {
    inner: LinkClient,
}

#[wasm_bindgen]
impl Link {
    /// A client that has nothing to do yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Link {
        Link::default()
    }

    /// Job: ask the board who it is and what it runs.
    pub fn connect(&mut self) {
        self.inner.connect();
    }

    /// Job: names and operators of the layers.
    #[wasm_bindgen(js_name = describeLayers)]
    pub fn describe_layers(&mut self) {
        self.inner.describe_layers();
    }

    /// Job: one run. `inputs` is an array of `Uint8Array`, as the image stores them.
    pub fn infer(&mut self, inputs: Array) -> Result<(), JsValue> {
        self.inner.infer(bytes_of(&inputs)?);
        Ok(())
    }

    /// Job: one run that stops behind every layer to fetch its output, in a `layerOutput` event each.
    /// `layerBytes` are their sizes, of the `layers` event.
    pub fn trace(&mut self, inputs: Array, layer_bytes: Vec<u32>) -> Result<(), JsValue> {
        self.inner.trace(bytes_of(&inputs)?, layer_bytes);
        Ok(())
    }

    /// Job: a new model into the board's other model slot, checked there and switched to. The board
    /// restarts at the end.
    #[wasm_bindgen(js_name = updateModel)]
    pub fn update_model(&mut self, image: Vec<u8>) {
        self.inner.update_model(image);
    }

    /// Gives up the job.
    pub fn cancel(&mut self) {
        self.inner.cancel();
    }

    /// Bytes read from the port.
    #[wasm_bindgen(js_name = onBytes)]
    pub fn on_bytes(&mut self, bytes: &[u8]) {
        self.inner.on_bytes(bytes);
    }

    /// What to do next, as an object; times in milliseconds of any clock that never goes back.
    pub fn poll(&mut self, now_ms: f64) -> Result<JsValue, JsValue> {
        match self.inner.poll(now_ms as u64) {
            Action::Write(bytes) => Act::write(&bytes),
            Action::WaitUntil(until) => to_js(&Act::Wait {
                until: until as f64,
            }),
            Action::Event(Event::Inference(inference)) => finished(&inference),
            Action::Event(Event::LayerOutput { layer, bytes }) => layer_output(layer, &bytes),
            Action::Event(event) => to_js(&Shown {
                r#do: "event",
                event: shown(event),
            }),
            Action::Done => to_js(&Plain { r#do: "done" }),
            Action::Failed(error) => to_js(&Failed {
                r#do: "failed",
                error: Failure {
                    code: error.code(),
                    message: error.to_string(),
                },
            }),
        }
    }
}

/// An array of `Uint8Array`.
pub(crate) fn bytes_of(inputs: &Array) -> Result<Vec<Vec<u8>>, JsValue> {
    let wrong = |_| coded(Code::Argument, "Each tensor must be a Uint8Array.");
    let inputs: Result<Vec<Uint8Array>, _> = inputs.iter().map(|i| i.dyn_into()).collect();
    Ok((inputs.map_err(wrong)?.iter())
        .map(Uint8Array::to_vec)
        .collect())
}

#[derive(Serialize)]
struct Plain {
    r#do: &'static str,
}

#[derive(Serialize)]
struct Shown {
    r#do: &'static str,
    event: LinkEvent,
}

#[derive(Serialize)]
struct Failed {
    r#do: &'static str,
    error: Failure,
}

#[derive(Serialize)]
struct Failure {
    code: &'static str,
    message: String,
}

/// `LinkEvent` of the package, but for `inference` and `layerOutput`, which hold bytes.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum LinkEvent {
    Console { text: String },
    Connected { board: Board },
    Layers { layers: Vec<Layer> },
    Progress { done: u16, layers: u16 },
    Updating { done: u32, total: u32 },
    Updated { id: u32 },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Board {
    chip: &'static str,
    firmware: String,
    virtual_board: bool,
    cpu_hz: u32,
    flash_bytes: u32,
    arena_available: u32,
    runtime_id: u32,
    model_room: u32,
    cores: u32,
    psram_bytes: u32,
    psram_available: u32,
    constants: &'static str,
    model: Option<Model>,
    /// Why there is no model.
    problem: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Model {
    id: u32,
    name: String,
    bytes: u32,
    arena_needed: u32,
    layers: u16,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tensor {
    name: String,
    dims: Vec<u32>,
    exponent: i8,
    bits: u32,
    channels_last: bool,
    bytes: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    name: String,
    operator: String,
    bytes: u32,
    exponent: i8,
    bits: u32,
    dims: Vec<u32>,
    channels_last: bool,
}

fn shown(event: Event) -> LinkEvent {
    match event {
        Event::Console(text) => LinkEvent::Console { text },
        Event::Connected(board) => LinkEvent::Connected {
            board: board_of(board),
        },
        Event::Layers(layers) => LinkEvent::Layers {
            layers: layers.into_iter().map(layer_of).collect(),
        },
        Event::Progress { done, layers } => LinkEvent::Progress { done, layers },
        Event::Updating { done, total } => LinkEvent::Updating { done, total },
        Event::Updated(id) => LinkEvent::Updated { id },
        // `poll` has taken these out.
        Event::Inference(_) | Event::LayerOutput { .. } => {
            LinkEvent::Progress { done: 0, layers: 0 }
        }
    }
}

fn board_of(board: host::Board) -> Board {
    let (model, problem) = match board.model.clone() {
        Ok(model) => (Some(model_of(model)), None),
        Err(problem) => (None, Some(problem.to_string())),
    };
    let version = board.firmware;
    Board {
        chip: board.chip_name(),
        firmware: format!("{}.{}.{}", version.major, version.minor, version.patch),
        virtual_board: board.virtual_board,
        cpu_hz: board.cpu_hz,
        flash_bytes: board.flash_bytes,
        arena_available: board.arena_available,
        runtime_id: board.runtime_id,
        model_room: board.model_room,
        cores: board.cores,
        psram_bytes: board.psram_bytes,
        psram_available: board.psram_available,
        constants: constants(board.constants),
        model,
        problem,
    }
}

fn model_of(model: host::Model) -> Model {
    let tensors = |list: Vec<host::Tensor>| list.into_iter().map(tensor_of).collect();
    Model {
        id: model.id,
        name: model.name,
        bytes: model.bytes,
        arena_needed: model.arena_needed,
        layers: model.layers,
        inputs: tensors(model.inputs),
        outputs: tensors(model.outputs),
    }
}

fn bits(element: Element) -> u32 {
    match element {
        Element::I8 => 8,
        Element::I16 => 16,
    }
}

fn layer_of(layer: host::Layer) -> Layer {
    Layer {
        bits: bits(layer.element),
        name: layer.name,
        operator: layer.operator,
        bytes: layer.bytes,
        exponent: layer.exponent,
        dims: layer.dims,
        channels_last: layer.channels_last,
    }
}

fn tensor_of(tensor: host::Tensor) -> Tensor {
    Tensor {
        bits: bits(tensor.element),
        name: tensor.name,
        dims: tensor.dims,
        exponent: tensor.exponent,
        channels_last: tensor.channels_last,
        bytes: tensor.bytes,
    }
}

fn set(object: &Object, name: &str, value: JsValue) -> Result<bool, JsValue> {
    Reflect::set(object, &name.into(), &value)
}

fn happened(event: Object) -> Result<JsValue, JsValue> {
    let action = Object::new();
    set(&action, "do", "event".into())?;
    set(&action, "event", event.into())?;
    Ok(action.into())
}

fn layer_output(layer: u16, bytes: &[u8]) -> Result<JsValue, JsValue> {
    let event = Object::new();
    set(&event, "type", "layerOutput".into())?;
    set(&event, "layer", layer.into())?;
    set(&event, "bytes", Uint8Array::from(bytes).into())?;
    happened(event)
}

fn finished(inference: &host::Inference) -> Result<JsValue, JsValue> {
    let outputs: Array = (inference.outputs.iter())
        .map(|bytes| JsValue::from(Uint8Array::from(bytes.as_slice())))
        .collect();
    let event = Object::new();
    set(&event, "type", "inference".into())?;
    set(&event, "outputs", outputs.into())?;
    set(&event, "cycles", JsValue::from_f64(inference.cycles as f64))?;
    set(&event, "layerCycles", to_js(&inference.layer_cycles)?)?;
    happened(event)
}
