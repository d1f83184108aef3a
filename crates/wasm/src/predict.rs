//! What a model will take on the chip, before anything is flashed.

use serde::Serialize;
use wasm_bindgen::prelude::*;

use fixpoint_board::{self as board, PredictError};
use fixpoint_flash::manifest;
use fixpoint_flash::plan;
use fixpoint_protocol::Constants;
use fixpoint_quant::Simulator;

use crate::error::{Code, coded};
use crate::flash::Firmware;
use crate::plain::to_js;

/// `Prediction` of the package.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Prediction {
    cpu_hz: u32,
    arena_available: u32,
    needs_psram: bool,
    constants: &'static str,
    cycles: u64,
    layer_cycles: Vec<u32>,
}

/// `Constants` of the package.
pub(crate) fn constants(place: Constants) -> &'static str {
    match place {
        Constants::Flash => "flash",
        Constants::Internal => "internal",
        Constants::Psram => "psram",
    }
}

/// Boots `firmware` with the model image in the emulator and runs it once, on zeros. An error says what
/// doesn't fit.
#[wasm_bindgen]
pub fn predict(firmware: &JsValue, image: &[u8]) -> Result<JsValue, JsValue> {
    let firmware = Firmware::of(firmware)?;
    let plan =
        plan::standard(&firmware.prebuilt(), Some(image)).map_err(|e| coded(Code::Flash, e))?;
    let flash = manifest::merged(&manifest::parts(&plan)).map_err(|e| coded(Code::Flash, e))?;
    let simulator = Simulator::new(image).map_err(|e| coded(Code::Simulate, e))?;
    let inputs = (simulator.inputs().iter())
        .map(|input| vec![0; input.dims.iter().product::<usize>() * input.bits as usize / 8])
        .collect();
    let found = board::predict(flash, inputs).map_err(|error| match error {
        PredictError::Problem(problem) => coded(Code::Simulate, problem),
        PredictError::Link(error) => coded(Code::Simulate, error),
    })?;
    to_js(&Prediction {
        cpu_hz: found.cpu_hz,
        arena_available: found.arena_available,
        needs_psram: found.needs_psram(),
        constants: constants(found.constants),
        cycles: found.inference.cycles,
        layer_cycles: found.inference.layer_cycles,
    })
}
