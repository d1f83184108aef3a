//! The flashing session.

use std::io::{Cursor, Read};

use js_sys::{Array, Object, Reflect, Uint8Array};
use serde::Serialize;
use wasm_bindgen::prelude::*;
use zip::ZipArchive;

use fixpoint_flash as flash;
use fixpoint_runtime::{AlignedBytes, Model};
use flash::manifest::{self, Manifest};
use flash::plan::{self, Prebuilt};

use crate::error::{Code, coded};
use crate::plain::{Act, from_js, to_js};
use crate::samples::named_file;

/// One flashing session; drive it with `poll`.
#[wasm_bindgen]
pub struct Flasher {
    inner: flash::Flasher,
}

/// `FlashOptions` of the package.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    link: LinkKind,
    baud: u32,
    stub: bool,
    reset_before: bool,
    #[serde(default)]
    ask_first: bool,
    reset_after: bool,
    skip_equal: bool,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LinkKind {
    UartBridge,
    UsbSerialJtag,
    UsbOtg,
    Plain,
}

#[wasm_bindgen]
impl Flasher {
    /// `firmware` holds `bootloader`, `partitionTable` and `runtime` as bytes; `model` is the model
    /// image, if any.
    #[wasm_bindgen(constructor)]
    pub fn new(
        firmware: &JsValue,
        model: Option<Vec<u8>>,
        options: JsValue,
    ) -> Result<Flasher, JsValue> {
        let firmware = Firmware::of(firmware)?;
        let mut plan = plan::standard(&firmware.prebuilt(), model.as_deref())
            .map_err(|e| coded(Code::Flash, e))?;
        plan.memory = memory(&plan, model.as_deref());
        Self::with(plan, options)
    }

    /// For another project's images: `files` is an array of `path` and `bytes`, a manifest of esp-web-tools and what
    /// it names; or one zip of them.
    #[wasm_bindgen(js_name = ofFiles)]
    pub fn of_files(files: Array, options: JsValue) -> Result<Flasher, JsValue> {
        let mut all = Vec::new();
        for file in files {
            let file = named_file(file)?;
            match file.path.ends_with(".zip") {
                true => unzip(file.bytes, &mut all).map_err(|e| coded(Code::Flash, e))?,
                false => all.push((file.path, file.bytes)),
            }
        }
        let plan = manifest::plan_of(&all).map_err(|error| {
            let help = "Give the manifest.json of a project for the ESP32-S3, and the files that it names.";
            coded(Code::Flash, format!("Nothing was flashed: {error}.\n{help}"))
        })?;
        Self::with(plan, options)
    }

    fn with(plan: flash::FlashPlan, options: JsValue) -> Result<Flasher, JsValue> {
        let options: Options = from_js(options, "flash options")?;
        let options = flash::Options {
            link: match options.link {
                LinkKind::UartBridge => flash::Link::UartBridge,
                LinkKind::UsbSerialJtag => flash::Link::UsbSerialJtag,
                LinkKind::UsbOtg => flash::Link::UsbOtg,
                LinkKind::Plain => flash::Link::Plain,
            },
            baud: options.baud,
            stub: options.stub,
            reset_before: options.reset_before,
            ask_first: options.ask_first,
            reset_after: options.reset_after,
            skip_equal: options.skip_equal,
            ..flash::Options::default()
        };
        Ok(Flasher {
            inner: flash::Flasher::new(plan, options),
        })
    }

    /// What to do next, as an object; times in milliseconds of any clock that never goes back.
    pub fn poll(&mut self, now_ms: f64) -> Result<JsValue, JsValue> {
        match self.inner.poll(now_ms as u64) {
            flash::Action::Write(bytes) => Act::write(&bytes),
            flash::Action::SetSignals { dtr, rts } => to_js(&Act::Signals { dtr, rts }),
            flash::Action::SetBaud(rate) => to_js(&Act::Baud { rate }),
            flash::Action::Wait { until_ms } => to_js(&Act::Wait {
                until: until_ms as f64,
            }),
            flash::Action::Done(Ok(summary)) => to_js(&Done {
                r#do: "done",
                summary,
            }),
            flash::Action::Done(Err(error)) => to_js(&Failed {
                r#do: "failed",
                error,
            }),
        }
    }

    /// Bytes read from the port.
    #[wasm_bindgen(js_name = onBytes)]
    pub fn on_bytes(&mut self, bytes: &[u8]) {
        self.inner.on_bytes(bytes);
    }

    /// The port is gone.
    #[wasm_bindgen(js_name = onClosed)]
    pub fn on_closed(&mut self) {
        self.inner.on_closed();
    }

    /// Stop as soon as the board can be left in order.
    pub fn cancel(&mut self) {
        self.inner.cancel();
    }

    /// Where the session is, as an object.
    #[wasm_bindgen(getter)]
    pub fn progress(&self) -> Result<JsValue, JsValue> {
        to_js(&self.inner.progress())
    }

    /// What happened since the last call, as an array of objects.
    #[wasm_bindgen(js_name = takeEvents)]
    pub fn take_events(&mut self) -> Result<JsValue, JsValue> {
        to_js(&self.inner.take_events())
    }
}

/// Adds a zip's files to `files`.
fn unzip(zip: Vec<u8>, files: &mut Vec<(String, Vec<u8>)>) -> Result<(), String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("The zip can't be read: {error}.");
    let mut zip = ZipArchive::new(Cursor::new(zip)).map_err(|e| unreadable(&e))?;
    for index in 0..zip.len() {
        let file = zip.by_index(index).map_err(|e| unreadable(&e))?;
        if !file.is_file() {
            continue;
        }
        let path = file.name().map_err(|e| unreadable(&e))?.into_owned();
        let mut bytes = Vec::new();
        // No flash holds more.
        let mut file = file.take(MOST_BYTES + 1);
        file.read_to_end(&mut bytes).map_err(|e| unreadable(&e))?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(format!("{path} in the zip is too long for any flash."));
        }
        files.push((path, bytes));
    }
    Ok(())
}

const MOST_BYTES: u64 = 32 << 20;

/// What the model takes of the runtime's memory, so that a chip that has too little is left as it is.
fn memory(plan: &flash::FlashPlan, model: Option<&[u8]>) -> Option<flash::TensorMemory> {
    let image = AlignedBytes::new(model?);
    let model = Model::parse(image.as_ref()).ok()?;
    let tensors = [model.arena_bytes(), model.near_bytes()];
    flash::TensorMemory::of(tensors, || {
        let flash = manifest::merged(&manifest::parts(plan)).ok()?;
        fixpoint_board::internal_memory(flash).ok()
    })
}

/// Everything a blank board needs, as files for esp-web-tools and esptool: an object with `manifest`
/// (text of `manifest.json`), `merged` (one image from offset 0) and `parts`. Without `version` the
/// manifest names this package's.
#[wasm_bindgen(js_name = flashFiles)]
pub fn flash_files(
    firmware: &JsValue,
    model: Option<Vec<u8>>,
    name: &str,
    version: Option<String>,
) -> Result<JsValue, JsValue> {
    let firmware = Firmware::of(firmware)?;
    let plan = plan::standard(&firmware.prebuilt(), model.as_deref())
        .map_err(|e| coded(Code::Flash, e))?;
    let parts = manifest::parts(&plan);
    let merged = manifest::merged(&parts).map_err(|e| coded(Code::Flash, e))?;
    let files = Array::new();
    for (path, offset, bytes) in &parts {
        let file = Object::new();
        Reflect::set(&file, &"path".into(), &path.into())?;
        Reflect::set(&file, &"offset".into(), &(*offset).into())?;
        Reflect::set(&file, &"bytes".into(), &Uint8Array::from(&bytes[..]))?;
        files.push(&file);
    }
    let version = version.as_deref().unwrap_or(env!("CARGO_PKG_VERSION"));
    let manifest = Manifest::of(name, version, &parts).to_json();
    let all = Object::new();
    Reflect::set(&all, &"manifest".into(), &manifest.into())?;
    Reflect::set(&all, &"merged".into(), &Uint8Array::from(&merged[..]))?;
    Reflect::set(&all, &"parts".into(), &files)?;
    Ok(all.into())
}

/// What a board's text says it is doing, as an object with `code`, `message` and `remedies`. `bytes`: how many
/// came, of any kind; `wanted`: `loader` or `runtime`.
#[wasm_bindgen]
pub fn diagnose(log: &str, bytes: f64, wanted: &str) -> Result<JsValue, JsValue> {
    let doing = flash::Diagnosis::of(log, bytes as u64);
    let wanted = match wanted {
        "loader" => flash::Wanted::Loader,
        "runtime" => flash::Wanted::Runtime,
        other => {
            return Err(coded(
                Code::Argument,
                format!("{other} is nothing a board runs"),
            ));
        }
    };
    to_js(&Advice {
        code: doing.code(),
        message: doing.message(wanted),
        remedies: vec![doing.remedy(wanted)],
    })
}

/// Words for a port that can't be had, as an object with `code`, `message` and `remedies`.
#[wasm_bindgen(js_name = portTrouble)]
pub fn port_trouble(code: &str, linux: bool) -> Result<JsValue, JsValue> {
    let trouble = flash::PortTrouble::of_code(code)
        .ok_or_else(|| coded(Code::Argument, format!("{code} is no trouble of a port")))?;
    to_js(&Advice {
        code: trouble.code(),
        message: trouble.message(),
        remedies: trouble.remedies(linux),
    })
}

#[derive(Serialize)]
struct Advice {
    code: &'static str,
    message: &'static str,
    remedies: Vec<&'static str>,
}

#[derive(Serialize)]
struct Done {
    r#do: &'static str,
    summary: flash::Summary,
}

#[derive(Serialize)]
struct Failed {
    r#do: &'static str,
    error: flash::FlashError,
}

/// `Firmware` of the package: the images that every board gets.
pub(crate) struct Firmware {
    bootloader: Vec<u8>,
    table: Vec<u8>,
    runtime: Vec<u8>,
}

impl Firmware {
    /// From an object with `bootloader`, `partitionTable` and `runtime` as bytes.
    pub(crate) fn of(object: &JsValue) -> Result<Self, JsValue> {
        let part = |name: &str| -> Result<Vec<u8>, JsValue> {
            let bytes: Result<Uint8Array, _> = Reflect::get(object, &name.into())?.dyn_into();
            bytes.map(|bytes| bytes.to_vec()).map_err(|_| {
                coded(
                    Code::Argument,
                    format!("The firmware's {name} must be a Uint8Array."),
                )
            })
        };
        Ok(Self {
            bootloader: part("bootloader")?,
            table: part("partitionTable")?,
            runtime: part("runtime")?,
        })
    }

    pub(crate) fn prebuilt(&self) -> Prebuilt<'_> {
        Prebuilt {
            bootloader: &self.bootloader,
            table: &self.table,
            runtime: &self.runtime,
        }
    }
}
