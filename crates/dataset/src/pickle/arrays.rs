//! Arrays of samples and labels in a pickle, by the names that arrays of an `.npz` would have.

use super::Value;
use crate::npy::{Array, Element};

/// The arrays of `value` and their names.
///
/// A pair of arrays of which the second looks like labels of the first is `x` and `y`, as in
/// ESP-DL's tutorial; two such pairs are training and test data, as Keras loads them; a dictionary
/// names its arrays itself; other lists are arrays of samples.
pub(crate) fn arrays(value: Value) -> Vec<(String, Array)> {
    match value {
        Value::Array(array) => vec![("x".to_owned(), array)],
        Value::Dict(entries) => (entries.into_iter())
            .filter_map(|(key, value)| match key {
                Value::Text(name) => Some((name, array(value)?)),
                Value::Bytes(name) => Some((String::from_utf8(name).ok()?, array(value)?)),
                _ => None,
            })
            .collect(),
        Value::List(mut items) => {
            if let [train, test] = &mut items[..]
                && let (Some([a, b]), Some([c, d])) = (pair(train), pair(test))
            {
                let names = ["x_train", "y_train", "x_test", "y_test"];
                return names
                    .map(str::to_owned)
                    .into_iter()
                    .zip([a, b, c, d])
                    .collect();
            }
            let mut whole = Value::List(items);
            if let Some(both) = pair(&mut whole) {
                return ["x", "y"]
                    .map(str::to_owned)
                    .into_iter()
                    .zip(both)
                    .collect();
            }
            let Value::List(items) = whole else {
                return Vec::new();
            };
            (items.into_iter().enumerate())
                .filter_map(|(i, item)| Some((i.to_string(), array(item)?)))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Samples and their labels, taken out of `value` if it is just that.
fn pair(value: &mut Value) -> Option<[Array; 2]> {
    let Value::List(items) = value else {
        return None;
    };
    let [samples, labels] = &mut items[..] else {
        return None;
    };
    let shapes = [dims(samples)?, dims(labels)?];
    let [[count, _, ..], [labelled, classes @ ..]] = [&shapes[0][..], &shapes[1][..]] else {
        return None;
    };
    let alike = count == labelled && classes.len() <= 1 && shapes[0] != shapes[1];
    let take = |value: &mut Value| array(std::mem::replace(value, Value::None));
    if alike {
        Some([take(samples)?, take(labels)?])
    } else {
        None
    }
}

fn dims(value: &Value) -> Option<Vec<usize>> {
    match value {
        Value::Array(array) => Some(array.dims().to_vec()),
        Value::List(items) if integers(items).is_some() => Some(vec![items.len()]),
        _ => None,
    }
}

fn array(value: Value) -> Option<Array> {
    match value {
        Value::Array(array) => Some(array),
        Value::List(items) => {
            let values = integers(&items)?;
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            Array::new(vec![values.len()], Element::I64, bytes, 0, false, false).ok()
        }
        _ => None,
    }
}

/// A list of whole numbers, as labels may be; None for anything else, and for an empty one.
fn integers(items: &[Value]) -> Option<Vec<i64>> {
    let values = (items.iter())
        .map(|item| match item {
            Value::Int(v) => Some(*v),
            Value::Array(one) if one.dims().is_empty() => one.integers()?.first().copied(),
            _ => None,
        })
        .collect::<Option<Vec<_>>>()?;
    (!values.is_empty()).then_some(values)
}
