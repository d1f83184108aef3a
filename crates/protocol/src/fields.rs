//! Little-endian fields of a payload, read and written in order.

use crate::{FrameWriter, Sink};

/// A payload too short for its kind, or with a value that its kind doesn't have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl core::fmt::Display for Malformed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the message is shorter than its kind needs, or holds a value that its kind doesn't have")
    }
}

impl core::error::Error for Malformed {}

pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Reader { rest: payload }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn i8(&mut self) -> Result<i8, Malformed> {
        self.array().map(i8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    /// A field that older senders don't have: 0.
    pub(crate) fn appended_u8(&mut self) -> u8 {
        self.u8().unwrap_or(0)
    }

    /// The same with four bytes.
    pub(crate) fn appended_u32(&mut self) -> u32 {
        self.u32().unwrap_or(0)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// Text with its length before it.
    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = usize::from(self.u8()?);
        let (text, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        core::str::from_utf8(text).map_err(|_| Malformed)
    }

    /// That many values of four bytes.
    pub(crate) fn quads(&mut self, count: usize) -> Result<&'a [[u8; 4]], Malformed> {
        let (quads, rest) = self.rest.split_at_checked(count * 4).ok_or(Malformed)?;
        self.rest = rest;
        Ok(quads.as_chunks::<4>().0)
    }

    /// Everything that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }
}

impl<S: Sink + ?Sized> FrameWriter<'_, S> {
    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes(&[value]);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    /// Text with its length before it, cut at a character to at most 255 bytes.
    pub(crate) fn text(&mut self, text: &str) {
        let mut length = text.len().min(255);
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        // length <= 255 by the line above.
        self.u8(length as u8);
        self.bytes(&text.as_bytes()[..length]);
    }
}
