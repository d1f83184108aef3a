//! A quantization table in a file.

use std::path::Path;

use fixpoint_dataset::pickle;
use fixpoint_quant::{FloatModel, SavedTable, Table, TableError};

use crate::failure::Failure;
use crate::files;
use crate::quantize::BitsArg;

/// JSON by its first character, or else a pickle.
pub(crate) fn read(
    path: &Path,
    model: &FloatModel,
    bits: Option<BitsArg>,
) -> Result<Table, Failure> {
    let bytes = files::read(path)?;
    let bits = bits.map(Into::into);
    let first = bytes.iter().find(|b| !b.is_ascii_whitespace());
    let table = if first == Some(&b'{') {
        let saved: SavedTable = serde_json::from_slice(&bytes).map_err(|e| {
            Failure::new(format!("{} holds no table: {e}", path.display()))
                .help("give a report.json of 'fixpoint quantize', or exponents by tensor name")
        })?;
        Table::from_saved(saved, model, bits)
    } else {
        let (scales, arrays) = pickle::read_table(&bytes)
            .map_err(|e| Failure::new(format!("{} {e}", path.display())))?;
        Table::from_scales(&scales, &arrays, model, bits)
    };
    table.map_err(|e| match e {
        TableError::Bits { .. } => Failure::usage(e.to_string()).about(path),
        e => Failure::new(e.to_string()).about(path),
    })
}
