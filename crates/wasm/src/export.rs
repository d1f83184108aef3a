//! What ESP-DL users take away: C++ out of a model and its table, the table itself, an archive.

use std::io::{Cursor, Write};

use js_sys::{Array, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use zip::write::{SimpleFileOptions, ZipWriter};

use fixpoint_dataset::pickle;
use fixpoint_quant::{self as quant, Chip, SavedTable, Table};

use crate::error::{Code, coded};
use crate::plain::{from_js, to_js};
use crate::quantize::Model;
use crate::table;

/// Files, log and warnings, as an object. `table` is what [`Model::with_table`] takes; `name` names the files.
#[wasm_bindgen(js_name = exportEspdl)]
pub fn export_espdl(
    model: &Model,
    table: JsValue,
    chip: JsValue,
    name: &str,
) -> Result<JsValue, JsValue> {
    let chip: Chip = from_js(chip, "chip")?;
    let table = table::read(table, &model.inner, None, Code::Export)?;
    let export = quant::export_espdl(&model.inner, &table, chip, "", name);
    to_js(&export.map_err(|e| coded(Code::Export, e))?)
}

/// The quantization table of a report as the toolkit keeps it.
#[wasm_bindgen(js_name = tablePickle)]
pub fn table_pickle(model: &Model, report: JsValue) -> Result<Vec<u8>, JsValue> {
    let saved: SavedTable = from_js(report, "report")?;
    let table = Table::from_saved(saved, &model.inner, None).map_err(|e| coded(Code::Export, e))?;
    Ok(pickle::write_table(
        &table.scales(),
        &model.inner.table_arrays(table.granularity),
    ))
}

/// A zip, the same bytes for the same files. `files` is an array of `name` and `contents`: text, or bytes.
#[wasm_bindgen(js_name = zipFiles)]
pub fn zip_files(files: Array) -> Result<Vec<u8>, JsValue> {
    let failed =
        |e: &dyn std::fmt::Display| coded(Code::Export, format!("The zip can't be written: {e}"));
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for file in files {
        let get = |field: &str| Reflect::get(&file, &field.into());
        let contents = get("contents")?;
        let bytes = match (contents.as_string(), contents.dyn_into::<Uint8Array>()) {
            (Some(text), _) => Some(text.into_bytes()),
            (None, Ok(bytes)) => Some(bytes.to_vec()),
            (None, Err(_)) => None,
        };
        let (Some(name), Some(bytes)) = (get("name")?.as_string(), bytes) else {
            let what = "A file of a zip has a name, and contents of text or bytes.";
            return Err(coded(Code::Argument, what));
        };
        zip.start_file(name, SimpleFileOptions::default())
            .and_then(|()| Ok(zip.write_all(&bytes)?))
            .map_err(|e| failed(&e))?;
    }
    zip.finish().map(Cursor::into_inner).map_err(|e| failed(&e))
}
