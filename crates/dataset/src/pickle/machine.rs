//! The stack machine.

use std::collections::HashMap;
use std::ops::Range;

use super::rebuild::{self, Callable};
use super::{PickleError, Value};
use crate::npy::{Array, Element};

/// Nesting of lists, tuples and dictionaries that is followed.
const MAX_DEPTH: usize = 64;

/// Objects by number, as a pickle may mention one many times and change it after.
#[derive(Debug, Clone)]
pub(super) enum Node {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Bytes),
    List(Vec<usize>),
    Tuple(Vec<usize>),
    Dict(Vec<(usize, usize)>),
    Callable(Callable),
    Type {
        element: Element,
        big_endian: bool,
    },
    /// An array that `BUILD` hasn't filled yet.
    Unfilled,
    Array(Layout),
}

/// Bytes of the file, or made of text.
#[derive(Debug, Clone)]
pub(super) enum Bytes {
    File(Range<usize>),
    Own(Vec<u8>),
}

/// An array whose elements are the bytes `data`.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) dims: Vec<usize>,
    pub(super) element: Element,
    pub(super) big_endian: bool,
    pub(super) fortran: bool,
    pub(super) data: Bytes,
}

#[derive(Debug, Clone, Copy)]
enum Item {
    Mark,
    Node(usize),
}

pub(super) struct Machine<'a> {
    file: &'a [u8],
    at: usize,
    pub(super) nodes: Vec<Node>,
    stack: Vec<Item>,
    memo: HashMap<u64, usize>,
    /// Bytes and values that may still be made, so that no file grows by repeating itself.
    budget: usize,
}

const DAMAGED_STACK: PickleError = PickleError::Damaged("a value is missing on its stack");

/// Runs the program to its STOP.
pub(super) fn run(file: &[u8]) -> Result<Value, PickleError> {
    let mut machine = Machine {
        file,
        at: 0,
        nodes: Vec::new(),
        stack: Vec::new(),
        memo: HashMap::new(),
        budget: 4 * file.len() + 1024,
    };
    while machine.step()? {}
    let result = machine.pop()?;
    machine.value(result, MAX_DEPTH)
}

impl Machine<'_> {
    /// False at STOP.
    fn step(&mut self) -> Result<bool, PickleError> {
        let [opcode] = self.fixed()?;
        match opcode {
            b'.' => return Ok(false),
            // PROTO and FRAME change nothing here.
            0x80 => {
                self.fixed::<1>()?;
            }
            0x95 => {
                self.fixed::<8>()?;
            }
            b'(' => self.stack.push(Item::Mark),
            b'0' => {
                self.stack.pop().ok_or(DAMAGED_STACK)?;
            }
            b'1' => {
                self.above_mark()?;
            }
            b'2' => {
                let top = *self.stack.last().ok_or(DAMAGED_STACK)?;
                self.stack.push(top);
            }
            b'N' => self.push(Node::None),
            0x88 => self.push(Node::Bool(true)),
            0x89 => self.push(Node::Bool(false)),
            b'I' | b'L' | b'J' | b'K' | b'M' | 0x8a | 0x8b | b'F' | b'G' => self.number(opcode)?,
            b'S' | b'T' | b'U' | b'V' | b'X' | 0x8c | 0x8d => self.text(opcode)?,
            b'B' | b'C' | 0x8e | 0x96 => {
                let range = self.counted(opcode)?;
                self.push(Node::Bytes(Bytes::File(range)));
            }
            // The buffer before it is in the file; that it is read-only doesn't matter.
            0x98 => {}
            b']' => self.push(Node::List(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            b')' => self.push(Node::Tuple(Vec::new())),
            b'l' => {
                let items = self.above_mark()?;
                self.push(Node::List(items));
            }
            b't' => {
                let items = self.above_mark()?;
                self.push(Node::Tuple(items));
            }
            b'd' => {
                let pairs = pairs(&self.above_mark()?)?;
                self.push(Node::Dict(pairs));
            }
            0x85..=0x87 => {
                let mut items = Vec::new();
                for _ in 0x84..opcode {
                    items.insert(0, self.pop()?);
                }
                self.push(Node::Tuple(items));
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item])?;
            }
            b'e' => {
                let items = self.above_mark()?;
                self.extend(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.update(vec![(key, value)])?;
            }
            b'u' => {
                let pairs = pairs(&self.above_mark()?)?;
                self.update(pairs)?;
            }
            b'p' | b'q' | b'r' | 0x94 => {
                let place = match opcode {
                    0x94 => self.memo.len() as u64,
                    _ => self.place(opcode)?,
                };
                let top = self.top()?;
                self.memo.insert(place, top);
            }
            b'g' | b'h' | b'j' => {
                let place = self.place(opcode)?;
                let node = self.memo.get(&place).copied();
                let missing = PickleError::Damaged("it refers to a value that isn't there");
                self.stack.push(Item::Node(node.ok_or(missing)?));
            }
            b'c' => {
                let (module, name) = (self.line()?.to_owned(), self.line()?.to_owned());
                self.global(&module, &name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&self.nodes[module], &self.nodes[name]) {
                    (Node::Text(module), Node::Text(name)) => {
                        let (module, name) = (module.clone(), name.clone());
                        self.global(&module, &name)?;
                    }
                    _ => return Err(PickleError::Damaged("a name is no text")),
                }
            }
            b'R' => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                let made = rebuild::call(self, callable, arguments)?;
                self.push(made);
            }
            b'b' => {
                let state = self.pop()?;
                let object = self.top()?;
                rebuild::build(self, object, state)?;
            }
            _ => return Err(PickleError::Opcode(opcode)),
        }
        Ok(true)
    }

    fn number(&mut self, opcode: u8) -> Result<(), PickleError> {
        let bad = PickleError::Damaged("a number can't be read");
        let node = match opcode {
            b'I' => match self.line()? {
                // How protocols 0 and 1 write booleans.
                "00" => Node::Bool(false),
                "01" => Node::Bool(true),
                digits => Node::Int(digits.parse().map_err(|_| bad)?),
            },
            b'L' => Node::Int(
                self.line()?
                    .trim_end_matches('L')
                    .parse()
                    .map_err(|_| bad)?,
            ),
            b'J' => Node::Int(i32::from_le_bytes(self.fixed()?).into()),
            b'K' => Node::Int(self.fixed::<1>()?[0].into()),
            b'M' => Node::Int(u16::from_le_bytes(self.fixed()?).into()),
            0x8a | 0x8b => {
                let range = self.counted(opcode)?;
                let bytes = &self.file[range];
                let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
                let mut wide = [if negative { 0xff } else { 0 }; 8];
                wide.get_mut(..bytes.len())
                    .ok_or(bad)?
                    .copy_from_slice(bytes);
                Node::Int(i64::from_le_bytes(wide))
            }
            b'F' => Node::Float(self.line()?.parse().map_err(|_| bad)?),
            _ => Node::Float(f64::from_be_bytes(self.fixed()?)),
        };
        self.push(node);
        Ok(())
    }

    fn text(&mut self, opcode: u8) -> Result<(), PickleError> {
        let bad = PickleError::Damaged("a text can't be read");
        let node = match opcode {
            // Python 2's strings, which are bytes or names.
            b'S' => {
                let line = self.line()?;
                let quote = line.chars().next().ok_or(bad.clone())?;
                let inside = line
                    .get(1..line.len().saturating_sub(1))
                    .ok_or(bad.clone())?;
                if !matches!(quote, '\'' | '"') || !line.ends_with(quote) {
                    return Err(bad);
                }
                string_node(unescape(inside).ok_or(bad)?)
            }
            b'T' | b'U' => {
                let range = self.counted(opcode)?;
                string_node(self.file[range].to_vec())
            }
            b'V' => {
                let line = self.line_bytes()?;
                Node::Text(raw_unicode(&self.file[line]).ok_or(bad)?)
            }
            _ => {
                let range = self.counted(opcode)?;
                let text = std::str::from_utf8(&self.file[range]).map_err(|_| bad)?;
                Node::Text(text.to_owned())
            }
        };
        self.push(node);
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), PickleError> {
        let callable = Callable::named(module, name)
            .ok_or_else(|| PickleError::Call(format!("{module}.{name}")))?;
        self.push(Node::Callable(callable));
        Ok(())
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let rest = self.file.get(self.at..).ok_or(PickleError::Short)?;
        let bytes = rest.first_chunk().ok_or(PickleError::Short)?;
        self.at += N;
        Ok(*bytes)
    }

    /// Bytes up to a line feed, which is passed over.
    fn line_bytes(&mut self) -> Result<Range<usize>, PickleError> {
        let rest = self.file.get(self.at..).ok_or(PickleError::Short)?;
        let length = rest
            .iter()
            .position(|b| *b == b'\n')
            .ok_or(PickleError::Short)?;
        let range = self.at..self.at + length;
        self.at = range.end + 1;
        Ok(range)
    }

    fn line(&mut self) -> Result<&str, PickleError> {
        let range = self.line_bytes()?;
        std::str::from_utf8(&self.file[range])
            .map_err(|_| PickleError::Damaged("a line is no text"))
    }

    /// A length, of the width that the opcode has, and so many bytes.
    fn counted(&mut self, opcode: u8) -> Result<Range<usize>, PickleError> {
        let length = match opcode {
            b'U' | b'C' | 0x8a | 0x8c => u64::from(self.fixed::<1>()?[0]),
            b'T' | b'B' | b'X' | 0x8b => u32::from_le_bytes(self.fixed()?).into(),
            _ => u64::from_le_bytes(self.fixed()?),
        };
        let length = usize::try_from(length).map_err(|_| PickleError::Short)?;
        let end = self
            .at
            .checked_add(length)
            .filter(|end| *end <= self.file.len());
        let range = self.at..end.ok_or(PickleError::Short)?;
        self.at = range.end;
        Ok(range)
    }

    fn place(&mut self, opcode: u8) -> Result<u64, PickleError> {
        Ok(match opcode {
            b'q' | b'h' => self.fixed::<1>()?[0].into(),
            b'r' | b'j' => u32::from_le_bytes(self.fixed()?).into(),
            _ => (self.line()?.parse())
                .map_err(|_| PickleError::Damaged("a place of its memory is no number"))?,
        })
    }

    fn push(&mut self, node: Node) {
        self.nodes.push(node);
        self.stack.push(Item::Node(self.nodes.len() - 1));
    }

    fn pop(&mut self) -> Result<usize, PickleError> {
        match self.stack.pop() {
            Some(Item::Node(node)) => Ok(node),
            _ => Err(DAMAGED_STACK),
        }
    }

    fn top(&self) -> Result<usize, PickleError> {
        match self.stack.last() {
            Some(Item::Node(node)) => Ok(*node),
            _ => Err(DAMAGED_STACK),
        }
    }

    /// What lies above the last mark; the mark goes too.
    fn above_mark(&mut self) -> Result<Vec<usize>, PickleError> {
        let mark = self
            .stack
            .iter()
            .rposition(|item| matches!(item, Item::Mark));
        let items = self.stack.split_off(mark.ok_or(DAMAGED_STACK)?);
        Ok((items.into_iter())
            .filter_map(|item| match item {
                Item::Node(node) => Some(node),
                Item::Mark => None,
            })
            .collect())
    }

    fn extend(&mut self, items: Vec<usize>) -> Result<(), PickleError> {
        let list = self.top()?;
        match &mut self.nodes[list] {
            Node::List(all) => all.extend(items),
            _ => return Err(PickleError::Damaged("it appends to what is no list")),
        }
        Ok(())
    }

    fn update(&mut self, pairs: Vec<(usize, usize)>) -> Result<(), PickleError> {
        let dict = self.top()?;
        match &mut self.nodes[dict] {
            Node::Dict(all) => all.extend(pairs),
            _ => {
                return Err(PickleError::Damaged(
                    "it sets a key of what is no dictionary",
                ));
            }
        }
        Ok(())
    }

    /// Takes `amount` of what may still be made.
    pub(super) fn spend(&mut self, amount: usize) -> Result<(), PickleError> {
        self.budget = self
            .budget
            .checked_sub(amount)
            .ok_or(PickleError::TooMuch)?;
        Ok(())
    }

    pub(super) fn bytes<'b>(&'b self, bytes: &'b Bytes) -> &'b [u8] {
        match bytes {
            Bytes::File(range) => &self.file[range.clone()],
            Bytes::Own(bytes) => bytes,
        }
    }

    /// The finished object with all it refers to.
    fn value(&mut self, node: usize, depth: usize) -> Result<Value, PickleError> {
        self.spend(1)?;
        let deeper = depth.checked_sub(1).ok_or(PickleError::TooMuch)?;
        Ok(match self.nodes[node].clone() {
            Node::None => Value::None,
            Node::Bool(v) => Value::Bool(v),
            Node::Int(v) => Value::Int(v),
            Node::Float(v) => Value::Float(v),
            Node::Text(v) => {
                self.spend(v.len())?;
                Value::Text(v)
            }
            Node::Bytes(v) => {
                self.spend(self.bytes(&v).len())?;
                Value::Bytes(self.bytes(&v).to_vec())
            }
            Node::List(items) | Node::Tuple(items) => Value::List(
                (items.into_iter())
                    .map(|item| self.value(item, deeper))
                    .collect::<Result<_, _>>()?,
            ),
            Node::Dict(pairs) => Value::Dict(
                (pairs.into_iter())
                    .map(|(k, v)| Ok((self.value(k, deeper)?, self.value(v, deeper)?)))
                    .collect::<Result<_, PickleError>>()?,
            ),
            Node::Array(layout) => {
                let length = self.bytes(&layout.data).len();
                self.spend(length)?;
                let bytes = self.bytes(&layout.data).to_vec();
                Value::Array(Array::new(
                    layout.dims,
                    layout.element,
                    bytes,
                    0,
                    layout.big_endian,
                    layout.fortran,
                )?)
            }
            Node::Callable(_) | Node::Type { .. } | Node::Unfilled => {
                return Err(PickleError::Damaged("it holds an unfinished array"));
            }
        })
    }
}

fn pairs(items: &[usize]) -> Result<Vec<(usize, usize)>, PickleError> {
    let (pairs, rest) = items.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(PickleError::Damaged("a key has no value"));
    }
    Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
}

/// Python 2 didn't tell text from bytes; what isn't UTF-8 is bytes.
fn string_node(bytes: Vec<u8>) -> Node {
    match String::from_utf8(bytes) {
        Ok(text) => Node::Text(text),
        Err(e) => Node::Bytes(Bytes::Own(e.into_bytes())),
    }
}

/// The escapes of a Python 2 string literal, to bytes.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next()? {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'x' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            quoted @ (b'\\' | b'\'' | b'"') => quoted,
            _ => return None,
        });
    }
    Some(bytes)
}

/// Latin-1 with `\uXXXX` and `\UXXXXXXXX`, as protocol 0 writes text.
fn raw_unicode(bytes: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = match bytes.get(at..at + 2) {
            Some(b"\\u") => 4,
            Some(b"\\U") => 8,
            _ => 0,
        };
        if digits == 0 {
            text.push(char::from(byte));
            at += 1;
            continue;
        }
        let hex = std::str::from_utf8(bytes.get(at + 2..at + 2 + digits)?).ok()?;
        text.push(char::from_u32(u32::from_str_radix(hex, 16).ok()?)?);
        at += 2 + digits;
    }
    Some(text)
}
