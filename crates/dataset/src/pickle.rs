//! Python pickles of plain data and NumPy arrays, read without running anything, and the ESP-DL
//! toolkit's quantization table written.
//!
//! A pickle is a program for a stack machine that may call any function of Python. This reader has
//! the machine's opcodes for plain data, protocols 0 to 5, and knows by name the few functions that
//! rebuild NumPy arrays and numbers; what they would do is done here. Every other name is refused.
//!
//! Opcodes: CPython's `Lib/pickletools.py`. What NumPy writes: `ndarray.__reduce__`,
//! `dtype.__reduce__` and `numpy.core.numeric._frombuffer`, under the module names of NumPy 1 and 2.

mod arrays;
mod machine;
mod rebuild;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::npy::{Array, NpyError};

pub(crate) use arrays::arrays;
pub use write::{Scales, write_scales, write_table};

/// Scales by name, and the names of those that are kept as arrays.
pub type Table = (BTreeMap<String, Vec<f64>>, BTreeSet<String>);

/// What a pickle holds.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// A list or a tuple.
    List(Vec<Value>),
    /// In the order of the file.
    Dict(Vec<(Value, Value)>),
    /// A NumPy array, or a NumPy number as an array without axes.
    Array(Array),
}

/// Why bytes are no pickle of data; each reads on from the name of the file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PickleError {
    /// The machine's program breaks off.
    #[error("is a pickle that ends early; copy the file again")]
    Short,
    /// An opcode that data doesn't need.
    #[error(
        "is a pickle of more than plain data (opcode 0x{0:02x}); save it as a dictionary, list or NumPy array"
    )]
    Opcode(u8),
    /// A name other than those of NumPy's arrays.
    #[error(
        "is a pickle that would call {0}, which is not done here; save it as a dictionary, list or NumPy array"
    )]
    Call(String),
    /// The program contradicts itself.
    #[error("is a damaged pickle: {0}")]
    Damaged(&'static str),
    /// More comes out than such a file can hold without repeating itself.
    #[error("is a pickle that repeats itself without end")]
    TooMuch,
    /// An array that can't be used.
    #[error(transparent)]
    Array(#[from] NpyError),
    /// Data, but not the toolkit's table.
    #[error("is no quantization table, which maps names to scales: {0}")]
    NoTable(String),
}

/// Reads a pickle.
///
/// # Errors
/// [`PickleError`]; no bytes make it panic, and none make it hold much more than a few times their
/// number.
pub fn read(file: &[u8]) -> Result<Value, PickleError> {
    machine::run(file)
}

/// The ESP-DL toolkit's quantization table: one scale for a tensor, or one for each output channel.
///
/// # Errors
/// [`PickleError`], also when the pickle is something else than such a table.
pub fn read_scales(file: &[u8]) -> Result<BTreeMap<String, Vec<f64>>, PickleError> {
    read_table(file).map(|(scales, _)| scales)
}

/// As [`read_scales`], with the names of what is kept as an array, perhaps of one element: what
/// [`write_table`] takes.
///
/// # Errors
/// As [`read_scales`].
pub fn read_table(file: &[u8]) -> Result<Table, PickleError> {
    let Value::Dict(entries) = read(file)? else {
        return Err(PickleError::NoTable("it is no dictionary".into()));
    };
    let (mut table, mut arrays) = (BTreeMap::new(), BTreeSet::new());
    for (name, scale) in entries {
        let Value::Text(name) = name else {
            return Err(PickleError::NoTable("a key is no name".into()));
        };
        let wrong = || PickleError::NoTable(format!("'{name}' is no number or array of them"));
        let scales = numbers(&scale).ok_or_else(wrong)?;
        let array = match &scale {
            Value::Array(array) => !array.dims().is_empty(),
            scale => matches!(scale, Value::List(_)),
        };
        if array {
            arrays.insert(name.clone());
        }
        table.insert(name, scales);
    }
    Ok((table, arrays))
}

fn numbers(value: &Value) -> Option<Vec<f64>> {
    match value {
        Value::Float(v) => Some(vec![*v]),
        Value::Int(v) => Some(vec![*v as f64]),
        Value::Array(array) => Some(array.doubles().collect()),
        Value::List(values) => (values.iter())
            .map(|v| match numbers(v)?[..] {
                [one] => Some(one),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}
