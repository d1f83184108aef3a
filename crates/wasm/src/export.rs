//! C++ for ESP-DL out of a model and its table.

use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;

use fixpoint_dataset::pickle;
use fixpoint_quant::{self as quant, Chip, SavedTable, Table};

use crate::error::{Code, coded};
use crate::plain::{from_js, to_js};
use crate::quantize::Model;

/// Files, log and warnings, as an object. `table` is a report, an object of exponents by tensor
/// name, or the bytes of the toolkit's pickle; `name` names the files.
#[wasm_bindgen(js_name = exportEspdl)]
pub fn export_espdl(
    model: &Model,
    table: JsValue,
    chip: JsValue,
    name: &str,
) -> Result<JsValue, JsValue> {
    let chip: Chip = from_js(chip, "chip")?;
    let failed = |e: &dyn std::fmt::Display| coded(Code::Export, e);
    let table = match table.dyn_into::<Uint8Array>() {
        Ok(bytes) => {
            let scales = pickle::read_scales(&bytes.to_vec())
                .map_err(|e| coded(Code::Export, format!("The table {e}")))?;
            Table::from_scales(&scales, &model.inner, None)
        }
        Err(object) => {
            let saved: SavedTable = from_js(object, "table")?;
            Table::from_saved(saved, &model.inner, None)
        }
    };
    let table = table.map_err(|e| failed(&e))?;
    let export = quant::export_espdl(&model.inner, &table, chip, "", name);
    to_js(&export.map_err(|e| failed(&e))?)
}
