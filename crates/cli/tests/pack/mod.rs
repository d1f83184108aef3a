//! An .npz of a few arrays.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use fixpoint_dataset::npy::{self, Values};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

pub(crate) fn npz(path: &Path, arrays: &[(&str, &[usize], Values<'_>)]) {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, dims, values) in arrays {
        let options = SimpleFileOptions::default();
        zip.start_file(format!("{name}.npy"), options).unwrap();
        zip.write_all(&npy::write(dims, *values)).unwrap();
    }
    fs::write(path, zip.finish().unwrap().into_inner()).unwrap();
}
