//! The virtual board.

use serde::Deserialize;
use wasm_bindgen::prelude::*;

use fixpoint_board as board;

use crate::plain::from_js;

/// An ESP32-S3 in software, behind a serial line.
#[wasm_bindgen]
pub struct VirtualBoard {
    inner: board::VirtualBoard,
    /// What `tick` was last told; the board itself wants differences.
    now_ms: Option<f64>,
}

/// `VirtualBoardOptions` of the package.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Options {
    flash_bytes: Option<u32>,
    personality: Option<Personality>,
    boot_mode: Option<BootMode>,
    chip_id: Option<u32>,
    security_flags: Option<u32>,
    flash_crypt_cnt: Option<u8>,
    max_baud: Option<u32>,
    psram_bytes: Option<u32>,
    faults: Vec<Fault>,
}

/// `VirtualBoardFault` of the package.
#[derive(Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
enum Fault {
    FlipToBoard { at: u64, mask: u8 },
    DropToBoard { at: u64 },
    FlipToHost { at: u64, mask: u8 },
    DropToHost { at: u64 },
    DuplicateToBoard { at: u64 },
    DuplicateToHost { at: u64 },
    DelayToHost { at: u64, ms: u32 },
    HangAt { at: u64 },
    DisconnectAfter { bytes: u64 },
    PowerFails { operation: u64 },
    Mute,
    StubDoesNotStart,
}

impl From<Fault> for board::Fault {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::FlipToBoard { at, mask } => board::Fault::FlipToBoard { at, mask },
            Fault::DropToBoard { at } => board::Fault::DropToBoard { at },
            Fault::FlipToHost { at, mask } => board::Fault::FlipToHost { at, mask },
            Fault::DropToHost { at } => board::Fault::DropToHost { at },
            Fault::DuplicateToBoard { at } => board::Fault::DuplicateToBoard { at },
            Fault::DuplicateToHost { at } => board::Fault::DuplicateToHost { at },
            Fault::DelayToHost { at, ms } => board::Fault::DelayToHost { at, ms },
            Fault::HangAt { at } => board::Fault::HangAt { at },
            Fault::DisconnectAfter { bytes } => board::Fault::DisconnectAfter { bytes },
            Fault::PowerFails { operation } => board::Fault::PowerFails { operation },
            Fault::Mute => board::Fault::Mute,
            Fault::StubDoesNotStart => board::Fault::StubDoesNotStart,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Personality {
    UartBridge,
    UsbSerialJtag,
    UsbOtg,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum BootMode {
    Auto,
    HeldInLoader,
    NoAutoReset,
}

#[wasm_bindgen]
impl VirtualBoard {
    /// A board that has just been powered, its flash empty or holding `flash`.
    #[wasm_bindgen(constructor)]
    pub fn new(flash: Option<Vec<u8>>, options: JsValue) -> Result<VirtualBoard, JsValue> {
        let chosen: Options = match options.is_undefined() || options.is_null() {
            true => Options::default(),
            false => from_js(options, "options of the virtual board")?,
        };
        let usual = board::Options::default();
        let options = board::Options {
            flash_bytes: chosen.flash_bytes.unwrap_or(usual.flash_bytes),
            personality: match chosen.personality {
                Some(Personality::UsbOtg) => board::Personality::UsbOtg,
                Some(Personality::UsbSerialJtag) => board::Personality::UsbSerialJtag,
                Some(Personality::UartBridge) => board::Personality::UartBridge,
                None => usual.personality,
            },
            boot_mode: match chosen.boot_mode {
                Some(BootMode::HeldInLoader) => board::BootMode::HeldInLoader,
                Some(BootMode::NoAutoReset) => board::BootMode::NoAutoReset,
                Some(BootMode::Auto) => board::BootMode::Auto,
                None => usual.boot_mode,
            },
            chip_id: chosen.chip_id.unwrap_or(usual.chip_id),
            security_flags: chosen.security_flags.unwrap_or(usual.security_flags),
            flash_crypt_cnt: chosen.flash_crypt_cnt.unwrap_or(usual.flash_crypt_cnt),
            max_baud: chosen.max_baud.unwrap_or(usual.max_baud),
            psram_bytes: chosen.psram_bytes.unwrap_or(usual.psram_bytes),
            faults: chosen.faults.into_iter().map(board::Fault::from).collect(),
            ..usual
        };
        Ok(VirtualBoard {
            inner: board::VirtualBoard::new(flash, options),
            now_ms: None,
        })
    }

    /// Bytes from the host.
    pub fn write(&mut self, bytes: &[u8]) {
        self.inner.write(bytes);
    }

    /// Bytes for the host since the last call.
    pub fn read(&mut self) -> Vec<u8> {
        self.inner.read()
    }

    /// `true` asserts the line: the pin is low.
    #[wasm_bindgen(js_name = setSignals)]
    pub fn set_signals(&mut self, dtr: bool, rts: bool) {
        self.inner.set_signals(dtr, rts);
    }

    /// The host's rate.
    #[wasm_bindgen(js_name = setBaud)]
    pub fn set_baud(&mut self, rate: u32) {
        self.inner.set_baud(rate);
    }

    /// It is now `now_ms` by any clock that never goes back.
    pub fn tick(&mut self, now_ms: f64) {
        let before = *self.now_ms.get_or_insert(now_ms);
        // Whole milliseconds pass; the rest stays for the next call.
        let whole = (now_ms - before).clamp(0.0, f64::from(u32::MAX)).floor();
        self.now_ms = Some(before + whole);
        self.inner.tick(whole as u32);
    }

    /// The cable is put back, or the new device opened that came after a reset.
    pub fn replug(&mut self) {
        self.inner.replug();
    }

    /// Whether the cable is plugged in, and the device on it the one that was opened.
    #[wasm_bindgen(getter)]
    pub fn connected(&self) -> bool {
        self.inner.connected()
    }

    /// Instructions that the application has executed since it was started.
    #[wasm_bindgen(getter)]
    pub fn instructions(&self) -> f64 {
        self.inner.instructions() as f64
    }

    /// A copy of what is in flash.
    #[wasm_bindgen(getter)]
    pub fn flash(&self) -> Vec<u8> {
        self.inner.flash().to_vec()
    }
}
