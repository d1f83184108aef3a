//! The toolkit's table as a pickle of protocol 2.

use std::collections::{BTreeMap, BTreeSet};

/// Scales of one tensor, as the toolkit stores them.
#[derive(Debug, Clone, PartialEq)]
pub enum Scales {
    /// A number: activations, and biases with one exponent.
    One(f64),
    /// An array, of one number or one for each output channel: weights, and biases per channel.
    Many(Vec<f64>),
}

/// The whole table from scales by name. The toolkit keeps what belongs to weights, named in `arrays`,
/// as arrays, and everything else as numbers where one is enough.
#[must_use]
pub fn write_table(scales: &BTreeMap<String, Vec<f64>>, arrays: &BTreeSet<String>) -> Vec<u8> {
    write_scales(scales.iter().map(|(name, scales)| {
        let kept = match scales[..] {
            [one] if !arrays.contains(name) => Scales::One(one),
            _ => Scales::Many(scales.clone()),
        };
        (name.as_str(), kept)
    }))
}

/// A dictionary of `numpy.float64` and `numpy.ndarray`, in the order given. Any Python with any
/// NumPy can load it: it names only `numpy.float64` and `numpy.array`, which never move.
#[must_use]
pub fn write_scales<'a>(table: impl IntoIterator<Item = (&'a str, Scales)>) -> Vec<u8> {
    // PROTO 2, EMPTY_DICT, MARK ... SETITEMS, STOP
    let mut file = b"\x80\x02}(".to_vec();
    for (name, scales) in table {
        // BINUNICODE; a name is at most as long as the ONNX file it is from.
        file.push(b'X');
        file.extend((name.len() as u32).to_le_bytes());
        file.extend(name.as_bytes());
        match scales {
            Scales::One(scale) => {
                file.extend(b"cnumpy\nfloat64\n");
                number(&mut file, scale);
            }
            Scales::Many(scales) => {
                file.extend(b"cnumpy\narray\n](");
                for scale in scales {
                    number(&mut file, scale);
                }
                file.push(b'e');
            }
        }
        // TUPLE1 of what is on the stack, REDUCE
        file.extend([0x85, b'R']);
    }
    file.extend(b"u.");
    file
}

fn number(file: &mut Vec<u8>, value: f64) {
    file.push(b'G');
    file.extend(value.to_be_bytes());
}
