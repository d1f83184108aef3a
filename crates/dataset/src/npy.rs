//! The `.npy` array format, versions 1 to 3, read and written.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.
//! The header is a Python dict; only the literals that NumPy writes there are read, without
//! recursion, so that no header can exhaust the stack.

use thiserror::Error;

const MAGIC: &[u8] = b"\x93NUMPY";

/// Type of the elements of an [`Array`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Element {
    Bool,
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    F16,
    F32,
    F64,
}

/// A dense array as it lies in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    dims: Vec<usize>,
    element: Element,
    file: Vec<u8>,
    start: usize,
    big_endian: bool,
    /// First axis fastest, as Fortran and MATLAB lay arrays out.
    fortran: bool,
}

/// Values to [`write()`].
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Values<'a> {
    F32(&'a [f32]),
    I8(&'a [i8]),
    I16(&'a [i16]),
    I32(&'a [i32]),
}

/// Why bytes are no array; each reads on from the name of the file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NpyError {
    /// The magic is missing.
    #[error("is not a .npy file")]
    NotNpy,
    /// A format version that didn't exist when this was written.
    #[error("is a .npy file of version {0}, which is not known")]
    Version(u8),
    /// The header is not what NumPy writes.
    #[error("has a damaged .npy header: {0}")]
    Header(&'static str),
    /// Strings, objects, structures, complex numbers.
    #[error("holds elements of type {0}; save it as float32, uint8 or an integer type")]
    Element(String),
    /// The file ends before the array does.
    #[error("ends early: {wanted} bytes of array were promised and {found} are there")]
    Short {
        /// Bytes that the shape asks for.
        wanted: u64,
        /// Bytes after the header.
        found: u64,
    },
}

impl Element {
    /// Bytes of one element.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// NumPy's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::U32 => "uint32",
            Self::U64 => "uint64",
            Self::I8 => "int8",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::F16 => "float16",
            Self::F32 => "float32",
            Self::F64 => "float64",
        }
    }

    /// Whole numbers only.
    #[must_use]
    pub fn is_integer(self) -> bool {
        !matches!(self, Self::F16 | Self::F32 | Self::F64)
    }

    pub(crate) fn from_code(code: &str) -> Option<Self> {
        Some(match code {
            "b1" => Self::Bool,
            "u1" => Self::U8,
            "u2" => Self::U16,
            "u4" => Self::U32,
            "u8" => Self::U64,
            "i1" => Self::I8,
            "i2" => Self::I16,
            "i4" => Self::I32,
            "i8" => Self::I64,
            "f2" => Self::F16,
            "f4" => Self::F32,
            "f8" => Self::F64,
            _ => return None,
        })
    }
}

impl Array {
    /// Reads a whole file.
    ///
    /// # Errors
    /// [`NpyError`]; no bytes make it panic, and no header makes it allocate more than the file.
    pub fn from_npy(file: Vec<u8>) -> Result<Self, NpyError> {
        let rest = file.strip_prefix(MAGIC).ok_or(NpyError::NotNpy)?;
        let short = NpyError::Header("it ends early");
        let (&[version, _], rest) = rest.split_first_chunk().ok_or(short.clone())?;
        let (length, rest) = match version {
            1 => rest
                .split_first_chunk()
                .map(|(n, rest)| (usize::from(u16::from_le_bytes(*n)), rest)),
            2 | 3 => rest
                .split_first_chunk()
                .map(|(n, rest)| (u32::from_le_bytes(*n) as usize, rest)),
            other => return Err(NpyError::Version(other)),
        }
        .ok_or(short.clone())?;
        let (header, data) = rest.split_at_checked(length).ok_or(short)?;
        let header = std::str::from_utf8(header).map_err(|_| NpyError::Header("it is no text"))?;
        let header = Header::parse(header)?;
        let start = file.len() - data.len();
        Self::new(
            header.dims,
            header.element,
            file,
            start,
            header.big_endian,
            header.fortran,
        )
    }

    /// An array over `file[start..]`, first element first.
    ///
    /// # Errors
    /// [`NpyError::Short`] when the bytes don't hold `dims`.
    pub(crate) fn new(
        dims: Vec<usize>,
        element: Element,
        file: Vec<u8>,
        start: usize,
        big_endian: bool,
        fortran: bool,
    ) -> Result<Self, NpyError> {
        let found = file.len().saturating_sub(start) as u64;
        let wanted = dims
            .iter()
            .try_fold(element.size() as u64, |n, &d| n.checked_mul(d as u64))
            .unwrap_or(u64::MAX);
        if wanted > found {
            return Err(NpyError::Short { wanted, found });
        }
        Ok(Self {
            dims,
            element,
            file,
            start,
            big_endian,
            fortran,
        })
    }

    /// Length of each axis; empty for a single value.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Type of the elements.
    #[must_use]
    pub fn element(&self) -> Element {
        self.element
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// An axis has length 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements from `first` up to, not including, `end`, last axis fastest, as `f32` (nearest).
    pub fn floats(&self, first: usize, end: usize) -> impl Iterator<Item = f32> {
        (first..end.min(self.len())).map(|i| {
            let bytes = self.bytes_at(i);
            match self.element {
                Element::F16 => half(u16::from_le_bytes([bytes[0], bytes[1]])),
                Element::F32 => f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
                Element::F64 => f64::from_le_bytes(bytes) as f32,
                Element::U64 => u64::from_le_bytes(bytes) as f32,
                _ => self.integer(bytes) as f32,
            }
        })
    }

    /// All elements, last axis fastest, as `f64` (nearest).
    pub fn doubles(&self) -> impl Iterator<Item = f64> {
        (0..self.len()).map(|i| match self.element {
            Element::F64 => f64::from_le_bytes(self.bytes_at(i)),
            Element::F16 | Element::F32 => self.floats(i, i + 1).next().map_or(0.0, f64::from),
            Element::U64 => u64::from_le_bytes(self.bytes_at(i)) as f64,
            _ => self.integer(self.bytes_at(i)) as f64,
        })
    }

    /// All elements as integers, last axis fastest; `None` when one is not a whole number or too
    /// large.
    #[must_use]
    pub fn integers(&self) -> Option<Vec<i64>> {
        (0..self.len())
            .map(|i| {
                let bytes = self.bytes_at(i);
                match self.element {
                    Element::U64 => i64::try_from(u64::from_le_bytes(bytes)).ok(),
                    Element::F16 | Element::F32 | Element::F64 => {
                        let value = match self.element {
                            Element::F64 => f64::from_le_bytes(bytes),
                            _ => f64::from(self.floats(i, i + 1).next()?),
                        };
                        let whole = value as i64;
                        (whole as f64 == value && whole.unsigned_abs() <= 1 << 53).then_some(whole)
                    }
                    _ => Some(self.integer(bytes)),
                }
            })
            .collect()
    }

    /// Little-endian bytes of element `i` (in last-axis-fastest order), padded with zeros.
    fn bytes_at(&self, i: usize) -> [u8; 8] {
        let size = self.element.size();
        let i = if self.fortran {
            self.fortran_place(i)
        } else {
            i
        };
        let mut bytes = [0; 8];
        bytes[..size].copy_from_slice(&self.file[self.start + i * size..][..size]);
        if self.big_endian {
            bytes[..size].reverse();
        }
        bytes
    }

    fn fortran_place(&self, mut i: usize) -> usize {
        let mut place = 0;
        let mut stride = self.len();
        for &d in self.dims.iter().rev() {
            stride /= d;
            place += i % d * stride;
            i /= d;
        }
        place
    }

    fn integer(&self, bytes: [u8; 8]) -> i64 {
        let raw = i64::from_le_bytes(bytes);
        match self.element {
            Element::Bool => i64::from(raw != 0),
            Element::I8 => i64::from(raw as i8),
            Element::I16 => i64::from(raw as i16),
            Element::I32 => i64::from(raw as i32),
            _ => raw,
        }
    }
}

/// A `.npy` file, version 1, little-endian, last axis fastest.
///
/// # Panics
/// When the product of `dims` is not the number of values.
#[must_use]
pub fn write(dims: &[usize], values: Values<'_>) -> Vec<u8> {
    let (code, count) = match values {
        Values::F32(v) => ("<f4", v.len()),
        Values::I8(v) => ("|i1", v.len()),
        Values::I16(v) => ("<i2", v.len()),
        Values::I32(v) => ("<i4", v.len()),
    };
    assert_eq!(
        dims.iter().product::<usize>(),
        count,
        "the values must fill the shape {dims:?}"
    );
    let mut shape: String = dims.iter().map(|d| format!("{d}, ")).collect();
    if dims.len() > 1 {
        shape.truncate(shape.len() - 2);
    } else {
        shape.truncate(shape.trim_end().len());
    }
    let mut header = format!("{{'descr': '{code}', 'fortran_order': False, 'shape': ({shape}), }}");
    let unpadded = MAGIC.len() + 4 + header.len() + 1;
    header.extend(std::iter::repeat_n(
        ' ',
        unpadded.next_multiple_of(64) - unpadded,
    ));
    header.push('\n');

    let mut file = MAGIC.to_vec();
    file.extend([1, 0]);
    let length = u16::try_from(header.len()).expect("a shape has few axes");
    file.extend(length.to_le_bytes());
    file.extend(header.as_bytes());
    match values {
        Values::F32(v) => file.extend(v.iter().flat_map(|v| v.to_le_bytes())),
        Values::I8(v) => file.extend(v.iter().flat_map(|v| v.to_le_bytes())),
        Values::I16(v) => file.extend(v.iter().flat_map(|v| v.to_le_bytes())),
        Values::I32(v) => file.extend(v.iter().flat_map(|v| v.to_le_bytes())),
    }
    file
}

/// Binary16 to `f32`, exact.
fn half(bits: u16) -> f32 {
    let magnitude = u32::from(bits & 0x7fff);
    let sign = u32::from(bits & 0x8000) << 16;
    let value = match magnitude >> 10 {
        // Subnormal: a multiple of 2^-24.
        0 => magnitude as f32 / 16_777_216.0,
        31 => f32::from_bits(0x7f80_0000 | (magnitude & 0x3ff) << 13),
        _ => f32::from_bits((magnitude << 13) + ((127 - 15) << 23)),
    };
    f32::from_bits(value.to_bits() | sign)
}

struct Header {
    dims: Vec<usize>,
    element: Element,
    big_endian: bool,
    fortran: bool,
}

impl Header {
    fn parse(text: &str) -> Result<Self, NpyError> {
        let bad = NpyError::Header;
        let mut rest = text.trim();
        rest = rest.strip_prefix('{').ok_or(bad("it is no dictionary"))?;
        let (mut descr, mut fortran, mut dims) = (None, None, None);
        loop {
            rest = rest.trim_start();
            if rest.starts_with('}') {
                break;
            }
            let (key, after) = quoted(rest).ok_or(bad("a key is missing"))?;
            rest = after
                .trim_start()
                .strip_prefix(':')
                .ok_or(bad("a value is missing"))?;
            rest = rest.trim_start();
            match key {
                "descr" => {
                    let (code, after) =
                        quoted(rest).ok_or_else(|| NpyError::Element("structure".into()))?;
                    descr = Some(code);
                    rest = after;
                }
                "fortran_order" => {
                    let (value, after) = if let Some(after) = rest.strip_prefix("True") {
                        (true, after)
                    } else {
                        let after = rest.strip_prefix("False");
                        (
                            false,
                            after.ok_or(bad("fortran_order is neither True nor False"))?,
                        )
                    };
                    fortran = Some(value);
                    rest = after;
                }
                "shape" => {
                    let (inside, after) = rest
                        .strip_prefix('(')
                        .and_then(|r| r.split_once(')'))
                        .ok_or(bad("the shape is no tuple"))?;
                    let axes = inside
                        .split(',')
                        .map(str::trim)
                        .filter(|axis| !axis.is_empty());
                    let axes: Result<Vec<usize>, _> = axes
                        .map(|axis| axis.trim_end_matches('L').parse())
                        .collect();
                    dims = Some(axes.map_err(|_| bad("the shape holds no number"))?);
                    rest = after;
                }
                _ => return Err(bad("it has a key that is not known")),
            }
            rest = rest.trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        let descr = descr.ok_or(bad("the element type is missing"))?;
        let unknown = || NpyError::Element(descr.into());
        let (order, code) = descr.split_at_checked(1).ok_or_else(unknown)?;
        let element = Element::from_code(code).ok_or_else(unknown)?;
        if !matches!(order, "<" | ">" | "|" | "=") {
            return Err(unknown());
        }
        Ok(Self {
            dims: dims.ok_or(bad("the shape is missing"))?,
            element,
            big_endian: order == ">",
            fortran: fortran.ok_or(bad("fortran_order is missing"))?,
        })
    }
}

/// A string literal at the start of `text`, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
        file.extend(header.as_bytes());
        file.extend(data);
        file
    }

    fn read(descr: &str, shape: &str, data: &[u8]) -> Result<Array, NpyError> {
        Array::from_npy(file(
            &format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n"),
            data,
        ))
    }

    #[test]
    fn every_element_type_is_read() {
        let cases: [(&str, &[u8], f32); 14] = [
            ("|b1", &[2], 1.0),
            ("|u1", &[200], 200.0),
            ("|i1", &[0x80], -128.0),
            ("<u2", &[1, 2], 513.0),
            (">u2", &[1, 2], 258.0),
            ("<i2", &[0xff, 0xff], -1.0),
            ("<u4", &[0, 0, 0, 0x80], 2_147_483_648.0),
            ("<i4", &[0, 0, 0, 0x80], -2_147_483_648.0),
            (
                ">i8",
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe],
                -2.0,
            ),
            (
                "<u8",
                &[0, 0, 0, 0, 0, 0, 0, 0x80],
                9_223_372_036_854_775_808.0,
            ),
            ("<f2", &[0x00, 0xc0], -2.0),
            ("<f4", &[0, 0, 0x80, 0x3f], 1.0),
            (">f4", &[0x3f, 0x80, 0, 0], 1.0),
            ("<f8", &[0, 0, 0, 0, 0, 0, 0xe0, 0x3f], 0.5),
        ];
        for (descr, data, wanted) in cases {
            let array = read(descr, "(1,)", data).unwrap();
            assert_eq!(array.floats(0, 1).collect::<Vec<_>>(), [wanted], "{descr}");
        }
    }

    #[test]
    fn half_precision_is_exact_at_the_edges() {
        assert_eq!(half(0x0001), 1.0 / 16_777_216.0, "smallest subnormal");
        assert_eq!(half(0x03ff), 1023.0 / 16_777_216.0, "largest subnormal");
        assert_eq!(half(0x0400), 1.0 / 16_384.0, "smallest normal");
        assert_eq!(half(0x7bff), 65504.0, "largest");
        assert_eq!(half(0xfc00), f32::NEG_INFINITY, "infinity");
        assert!(half(0x7e00).is_nan(), "not a number");
        assert_eq!(half(0x8000).to_bits(), (-0.0f32).to_bits(), "minus zero");
    }

    #[test]
    fn fortran_order_is_turned() {
        // [[1, 2, 3], [4, 5, 6]] with the first axis fastest.
        let header = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }\n";
        let array = Array::from_npy(file(header, &[1, 4, 2, 5, 3, 6])).unwrap();
        assert_eq!(
            array.floats(0, 6).collect::<Vec<_>>(),
            [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
        );
        assert_eq!(array.integers().unwrap(), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn versions_two_and_three_have_a_long_header() {
        for version in [2, 3] {
            let header = "{\"descr\": \"|u1\", \"fortran_order\": False, \"shape\": ()}";
            let mut file = b"\x93NUMPY".to_vec();
            file.extend([version, 0]);
            file.extend(u32::try_from(header.len()).unwrap().to_le_bytes());
            file.extend(header.as_bytes());
            file.push(7);
            let array = Array::from_npy(file).unwrap();
            assert_eq!((array.dims(), array.len()), (&[][..], 1), "a single value");
        }
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        assert_eq!(Array::from_npy(b"PK".to_vec()), Err(NpyError::NotNpy));
        assert_eq!(
            read("<U12", "(1,)", &[0; 48]),
            Err(NpyError::Element("<U12".into()))
        );
        assert_eq!(
            read("|O", "(1,)", &[0; 8]),
            Err(NpyError::Element("|O".into()))
        );
        assert_eq!(
            read("<f4", "(2, 3)", &[0; 20]),
            Err(NpyError::Short {
                wanted: 24,
                found: 20
            })
        );
        let huge = "(4294967296, 4294967296, 4294967296)";
        assert!(matches!(
            read("<f4", huge, &[0; 20]),
            Err(NpyError::Short {
                wanted: u64::MAX,
                ..
            } | NpyError::Header(_))
        ));
        let nested = format!("{{'descr': {}", "[(".repeat(30_000));
        let mut deep = b"\x93NUMPY\x02\x00".to_vec();
        deep.extend(u32::try_from(nested.len()).unwrap().to_le_bytes());
        deep.extend(nested.as_bytes());
        assert_eq!(
            Array::from_npy(deep),
            Err(NpyError::Element("structure".into()))
        );
    }

    #[test]
    fn labels_are_whole_numbers() {
        let floats: Vec<u8> = [3.0f32, 1.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(
            read("<f4", "(2,)", &floats).unwrap().integers(),
            Some(vec![3, 1])
        );
        let floats: Vec<u8> = [3.0f32, 1.5].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(read("<f4", "(2,)", &floats).unwrap().integers(), None);
        assert_eq!(
            read("<f4", "(1,)", &f32::NAN.to_le_bytes())
                .unwrap()
                .integers(),
            None
        );
    }

    #[test]
    fn what_is_written_is_read_and_aligned_as_numpy_does() {
        for dims in [vec![], vec![2], vec![1, 2], vec![2, 1, 1, 1]] {
            let values: &[i16] = if dims.is_empty() { &[-5] } else { &[-5, 300] };
            let file = write(&dims, Values::I16(values));
            assert_eq!(
                (file.len() - values.len() * 2) % 64,
                0,
                "data starts at a multiple of 64"
            );
            let array = Array::from_npy(file).unwrap();
            assert_eq!(array.dims(), dims);
            assert_eq!(array.element(), Element::I16);
            let read: Vec<i64> = values.iter().map(|&v| i64::from(v)).collect();
            assert_eq!(array.integers().unwrap(), read);
        }
        let file = write(&[3], Values::F32(&[0.1, -0.0, f32::MAX]));
        let text = String::from_utf8_lossy(&file[10..70]).into_owned();
        assert!(
            text.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }"),
            "{text}"
        );
    }
}
