//! Quantization tables that users have already.

use js_sys::Uint8Array;
use serde::Serialize;
use wasm_bindgen::prelude::*;

use fixpoint_dataset::pickle;
use fixpoint_quant::{Bits, FloatModel, Granularity, SavedTable, Table, TableError};

use crate::error::{Code, coded};
use crate::plain::from_js;

/// What a table says, for the reader: the package's `TableInfo`.
#[derive(Clone, Serialize)]
pub(crate) struct TableInfo {
    bits: Bits,
    granularity: Granularity,
    tensors: usize,
    warnings: Vec<String>,
}

impl From<&Table> for TableInfo {
    fn from(table: &Table) -> Self {
        TableInfo {
            bits: table.bits,
            granularity: table.granularity,
            tensors: table.exponents.len(),
            warnings: table.warnings.clone(),
        }
    }
}

/// A report, an object of exponents by tensor name, or a file's bytes: JSON with either of these, or the
/// toolkit's pickle.
pub(crate) fn read(
    value: JsValue,
    model: &FloatModel,
    bits: Option<Bits>,
    code: Code,
) -> Result<Table, JsValue> {
    let table = match value.dyn_into::<Uint8Array>() {
        Ok(bytes) => of_file(&bytes.to_vec(), model, bits, code)?,
        Err(object) => Table::from_saved(from_js(object, "table")?, model, bits),
    };
    table.map_err(|e| coded(code, e))
}

/// JSON by its first character, or else a pickle.
fn of_file(
    bytes: &[u8],
    model: &FloatModel,
    bits: Option<Bits>,
    code: Code,
) -> Result<Result<Table, TableError>, JsValue> {
    if bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{') {
        let saved: SavedTable = serde_json::from_slice(bytes).map_err(|_| {
            coded(
                code,
                "The file is JSON, but holds no table. Give a report.json, or an object with a list of exponents for \
                 each tensor's name.",
            )
        })?;
        return Ok(Table::from_saved(saved, model, bits));
    }
    let (scales, arrays) =
        pickle::read_table(bytes).map_err(|e| coded(code, format!("The table {e}")))?;
    Ok(Table::from_scales(&scales, &arrays, model, bits))
}
