//! Plain data to and from JavaScript objects.

use js_sys::{Object, Reflect, Uint8Array};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::JsValue;

use crate::error::{Code, coded};

/// Maps become objects, 64-bit integers numbers, `None` null: what `JSON.parse` would give.
pub(crate) fn to_js(value: &impl Serialize) -> Result<JsValue, JsValue> {
    (value.serialize(&serde_wasm_bindgen::Serializer::json_compatible()))
        .map_err(|e| coded(Code::Argument, e))
}

/// `what` names the argument in the message.
pub(crate) fn from_js<T: DeserializeOwned>(value: JsValue, what: &str) -> Result<T, JsValue> {
    serde_wasm_bindgen::from_value(value)
        .map_err(|e| coded(Code::Argument, format!("The {what} can't be read: {e}")))
}

/// What the driver of a machine is to do next: the package's `Action`.
#[derive(Serialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub(crate) enum Act {
    Signals { dtr: bool, rts: bool },
    Baud { rate: u32 },
    Wait { until: f64 },
}

impl Act {
    /// Apart from the others because bytes cross as a `Uint8Array`, not as an array of numbers.
    pub(crate) fn write(bytes: &[u8]) -> Result<JsValue, JsValue> {
        let action = Object::new();
        Reflect::set(&action, &"do".into(), &"write".into())?;
        Reflect::set(&action, &"bytes".into(), &Uint8Array::from(bytes))?;
        Ok(action.into())
    }
}
