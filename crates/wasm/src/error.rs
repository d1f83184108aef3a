//! One way for a Rust error to become a JavaScript one.

use std::fmt::Display;

use js_sys::{Error, Reflect};
use wasm_bindgen::JsValue;

/// The `code` of a JavaScript error. These words are part of the package's interface: the page
/// and its users branch on them, so they don't change from version to version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// An argument has the wrong type or is out of range.
    Argument,
    /// The ONNX file can't be read.
    Import,
    /// The model holds something that can't be quantized.
    Unsupported,
    /// No samples could be made of the files.
    Samples,
    /// Quantizing failed.
    Quantize,
    /// The model image is refused, or a run of it failed.
    Simulate,
    /// The images don't make a flash plan.
    Flash,
    /// The model and the table don't make an export.
    Export,
}

impl Code {
    fn word(self) -> &'static str {
        match self {
            Code::Argument => "argument",
            Code::Import => "import",
            Code::Unsupported => "unsupported",
            Code::Samples => "samples",
            Code::Quantize => "quantize",
            Code::Simulate => "simulate",
            Code::Flash => "flash",
            Code::Export => "export",
        }
    }
}

/// An `Error` with `code` set.
pub(crate) fn coded(code: Code, message: impl Display) -> JsValue {
    let error = Error::new(&message.to_string());
    // Setting a property of an object made on the line above can't fail.
    let _ = Reflect::set(&error, &"code".into(), &code.word().into());
    error.into()
}
