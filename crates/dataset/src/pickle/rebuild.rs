//! What NumPy's functions in a pickle would make.

use super::PickleError;
use super::machine::{Bytes, Layout, Machine, Node};
use crate::npy::{Element, NpyError};

/// The functions and types that are known by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Callable {
    /// `_reconstruct(ndarray, (0,), b'b')`: an array that a BUILD fills.
    Reconstruct,
    /// `scalar(dtype, bytes)`
    Scalar,
    NdArray,
    /// `dtype('f8', False, True)`; a BUILD tells the byte order.
    Type,
    /// `_frombuffer(bytes, dtype, shape, 'C' or 'F')`, protocol 5.
    FromBuffer,
    /// `array([...])` of numbers, as [`super::write_scales`] writes.
    List,
    /// `float64(number)`, likewise.
    Float,
    /// `encode(text, 'latin1')`: how protocols 0 to 2 write bytes.
    Encode,
    /// `bytes()`: how they write none.
    Bytes,
    /// `OrderedDict()`
    Dict,
}

impl Callable {
    pub(super) fn named(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => {
                Self::Reconstruct
            }
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Self::Scalar,
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Self::FromBuffer,
            ("numpy", "ndarray") => Self::NdArray,
            ("numpy", "dtype") => Self::Type,
            ("numpy", "array") => Self::List,
            ("numpy", "float64") => Self::Float,
            ("_codecs", "encode") => Self::Encode,
            ("builtins" | "__builtin__", "bytes") => Self::Bytes,
            ("collections", "OrderedDict") => Self::Dict,
            _ => return None,
        })
    }
}

const ARGUMENTS: PickleError = PickleError::Damaged("NumPy's functions don't take such values");

/// REDUCE: `callable(*arguments)`.
pub(super) fn call(
    machine: &mut Machine<'_>,
    callable: usize,
    arguments: usize,
) -> Result<Node, PickleError> {
    let (Node::Callable(callable), Node::Tuple(ids)) =
        (&machine.nodes[callable], &machine.nodes[arguments])
    else {
        return Err(PickleError::Damaged("it calls what is no function"));
    };
    let (callable, ids) = (*callable, ids.clone());
    // Each byte and each element that is made is paid for: a file may call as often as it likes.
    let arguments: Vec<&Node> = ids.iter().map(|id| &machine.nodes[*id]).collect();
    match (callable, &arguments[..]) {
        (Callable::Reconstruct, [Node::Callable(Callable::NdArray), ..]) => Ok(Node::Unfilled),
        (Callable::Type, [code, ..]) => {
            let code = text(code).ok_or(ARGUMENTS)?;
            // Before its BUILD a type is in the machine's own order, which is little-endian.
            let (big_endian, code) = match code.split_at_checked(1) {
                Some((">", rest)) => (true, rest),
                Some(("<" | "|" | "=", rest)) => (false, rest),
                _ => (false, code),
            };
            let element = Element::from_code(code)
                .ok_or_else(|| PickleError::Array(NpyError::Element(code.to_owned())))?;
            Ok(Node::Type {
                element,
                big_endian,
            })
        }
        (Callable::Scalar, [kind, data]) => {
            let (element, big_endian) = element_of(kind)?;
            let data = bytes_of(data)?;
            array(machine, vec![], element, big_endian, false, data)
        }
        (Callable::FromBuffer, [data, kind, shape, order]) => {
            let (element, big_endian) = element_of(kind)?;
            let dims = dims(machine, shape)?;
            let fortran = text(order) == Some("F");
            let data = bytes_of(data)?;
            array(machine, dims, element, big_endian, fortran, data)
        }
        (Callable::List, [Node::List(items)]) => {
            let numbers: Vec<f64> = (items.iter())
                .map(|id| number(&machine.nodes[*id]).ok_or(ARGUMENTS))
                .collect::<Result<_, _>>()?;
            let data: Vec<u8> = numbers.iter().flat_map(|v| v.to_le_bytes()).collect();
            machine.spend(data.len())?;
            let dims = vec![numbers.len()];
            array(machine, dims, Element::F64, false, false, Bytes::Own(data))
        }
        (Callable::Float, [one]) => Ok(Node::Float(number(one).ok_or(ARGUMENTS)?)),
        (Callable::Encode, [Node::Text(text), ..]) => {
            // latin1, the only encoding that pickle uses here.
            let bytes: Vec<u8> = (text.chars())
                .map(|c| u8::try_from(u32::from(c)).map_err(|_| ARGUMENTS))
                .collect::<Result<_, _>>()?;
            machine.spend(bytes.len())?;
            Ok(Node::Bytes(Bytes::Own(bytes)))
        }
        (Callable::Bytes, []) => Ok(Node::Bytes(Bytes::Own(Vec::new()))),
        (Callable::Dict, []) => Ok(Node::Dict(Vec::new())),
        _ => Err(ARGUMENTS),
    }
}

/// BUILD: gives an array or a type its state.
pub(super) fn build(
    machine: &mut Machine<'_>,
    object: usize,
    state: usize,
) -> Result<(), PickleError> {
    let Node::Tuple(ids) = &machine.nodes[state] else {
        return Err(ARGUMENTS);
    };
    let state: Vec<&Node> = ids.iter().map(|id| &machine.nodes[*id]).collect();
    let built = match (&machine.nodes[object], &state[..]) {
        // (version, byte order, sub-array, names, fields, size, alignment, ...)
        (Node::Type { element, .. }, [_, order, rest @ ..]) => {
            let simple = rest.iter().take(3).all(|node| matches!(node, Node::None));
            if !simple {
                return Err(PickleError::Array(NpyError::Element("structure".into())));
            }
            Node::Type {
                element: *element,
                big_endian: text(order) == Some(">"),
            }
        }
        // (version, shape, type, is Fortran, data); the first was added by later versions.
        (Node::Unfilled, [.., shape, kind, Node::Bool(fortran), data]) => {
            let (element, big_endian) = element_of(kind)?;
            let dims = dims(machine, shape)?;
            let data = match data {
                Node::List(_) => {
                    return Err(PickleError::Array(NpyError::Element("object".into())));
                }
                data => bytes_of(data)?,
            };
            array(machine, dims, element, big_endian, *fortran, data)?
        }
        _ => return Err(ARGUMENTS),
    };
    machine.nodes[object] = built;
    Ok(())
}

fn array(
    machine: &mut Machine<'_>,
    dims: Vec<usize>,
    element: Element,
    big_endian: bool,
    fortran: bool,
    data: Bytes,
) -> Result<Node, PickleError> {
    if let Bytes::Own(bytes) = &data {
        machine.spend(bytes.len())?;
    }
    Ok(Node::Array(Layout {
        dims,
        element,
        big_endian,
        fortran,
        data,
    }))
}

fn text(node: &Node) -> Option<&str> {
    match node {
        Node::Text(text) => Some(text),
        _ => None,
    }
}

fn number(node: &Node) -> Option<f64> {
    match node {
        Node::Float(v) => Some(*v),
        Node::Int(v) => Some(*v as f64),
        _ => None,
    }
}

fn element_of(node: &Node) -> Result<(Element, bool), PickleError> {
    match node {
        Node::Type {
            element,
            big_endian,
        } => Ok((*element, *big_endian)),
        _ => Err(ARGUMENTS),
    }
}

/// Text where bytes belong is a string of Python 2 that happened to be ASCII.
fn bytes_of(node: &Node) -> Result<Bytes, PickleError> {
    match node {
        Node::Bytes(bytes) => Ok(bytes.clone()),
        Node::Text(text) => Ok(Bytes::Own(text.clone().into_bytes())),
        _ => Err(ARGUMENTS),
    }
}

fn dims(machine: &Machine<'_>, shape: &Node) -> Result<Vec<usize>, PickleError> {
    let Node::Tuple(axes) = shape else {
        return Err(ARGUMENTS);
    };
    (axes.iter())
        .map(|axis| match &machine.nodes[*axis] {
            Node::Int(n) => usize::try_from(*n).map_err(|_| ARGUMENTS),
            _ => Err(ARGUMENTS),
        })
        .collect()
}
