//! Bytes coming in: frames told from console text, whatever noise there is between them.

use crate::{BUFFER_BYTES, CRC, CRC_BYTES, Frame, HEADER_BYTES, VERSIONS};

/// What one more byte led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Nothing yet.
    More,
    /// Console text, one or two bytes of it.
    Text(&'a [u8]),
    /// A frame that arrived whole. Its version may be another than ours.
    Frame(Frame<'a>),
    /// Something that began like a frame and was none; it was counted. The bytes are what is left of
    /// it, for a host that wants to look for text in them (a board that restarts in the middle of a
    /// frame prints its boot log right behind the cut).
    Dropped(&'a [u8]),
}

/// What a decoder has seen; the counts wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Whole frames.
    pub frames: u32,
    /// Frames dropped for a wrong CRC or broken stuffing, or cut short.
    pub garbled: u32,
    /// Frames dropped because no right frame is that long.
    pub too_long: u32,
}

impl Counters {
    /// All frames that were dropped.
    pub fn dropped(&self) -> u32 {
        self.garbled.wrapping_add(self.too_long)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Text,
    // Behind a delimiter; `filled` bytes gathered so far.
    Frame,
}

/// Receiver over a buffer of the caller's: `[u8; BUFFER_BYTES]`, a slice, a `Vec`.
///
/// With a buffer smaller than [`BUFFER_BYTES`] long frames count as too long; nothing else changes.
#[derive(Debug)]
pub struct Decoder<B> {
    buffer: B,
    filled: usize,
    state: State,
    counters: Counters,
}

impl Default for Decoder<[u8; BUFFER_BYTES]> {
    fn default() -> Self {
        Self::new([0; BUFFER_BYTES])
    }
}

impl Decoder<[u8; BUFFER_BYTES]> {
    /// The same as `default`, for statics.
    pub const fn fixed() -> Self {
        Self::new([0; BUFFER_BYTES])
    }
}

impl<B> Decoder<B> {
    /// A decoder that takes what comes first for text.
    pub const fn new(buffer: B) -> Self {
        Decoder {
            buffer,
            filled: 0,
            state: State::Text,
            counters: Counters {
                frames: 0,
                garbled: 0,
                too_long: 0,
            },
        }
    }

    /// What has been seen so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Whether a frame has begun and not ended.
    pub fn mid_frame(&self) -> bool {
        self.filled > 0
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Decoder<B> {
    /// Takes the next byte from the line.
    pub fn push(&mut self, byte: u8) -> Step<'_> {
        if self.state == State::Text {
            if byte == 0 {
                self.state = State::Frame;
                self.filled = 0;
                return Step::More;
            }
            self.filled = 0;
            return match self.keep(byte) {
                true => Step::Text(self.take(State::Text)),
                false => Step::Dropped(&[]),
            };
        }
        if byte == 0 {
            let filled = core::mem::take(&mut self.filled);
            return self.complete(filled);
        }
        let kept = self.keep(byte);
        let buffer = self.buffer.as_ref();
        if self.filled == 2 && !begins_frame(&buffer[..2]) {
            return Step::Text(self.take(State::Text));
        }
        if !kept || self.filled == buffer.len() {
            self.counters.too_long = self.counters.too_long.wrapping_add(1);
            return Step::Dropped(self.take(State::Text));
        }
        Step::More
    }

    fn keep(&mut self, byte: u8) -> bool {
        match self.buffer.as_mut().get_mut(self.filled) {
            Some(slot) => {
                *slot = byte;
                self.filled += 1;
                true
            }
            None => false,
        }
    }

    fn take(&mut self, next: State) -> &[u8] {
        self.state = next;
        let filled = core::mem::take(&mut self.filled);
        &self.buffer.as_ref()[..filled]
    }

    /// Gives up a frame that has begun, as a host does when the line has been silent for long: what
    /// follows is taken for text until the next delimiter.
    pub fn abandon(&mut self) -> Step<'_> {
        match self.filled {
            0 => {
                self.state = State::Text;
                Step::More
            }
            1 => Step::Text(self.take(State::Text)),
            _ => {
                self.counters.garbled = self.counters.garbled.wrapping_add(1);
                Step::Dropped(self.take(State::Text))
            }
        }
    }

    // The state stays `Frame`: a delimiter that ends something may start the next.
    fn complete(&mut self, filled: usize) -> Step<'_> {
        match filled {
            0 => return Step::More,
            1 => return Step::Text(&self.buffer.as_ref()[..1]),
            _ => {}
        }
        let whole = unstuff(&mut self.buffer.as_mut()[..filled])
            .filter(|&n| crc_is_right(&self.buffer.as_ref()[..n]));
        let Some(length) = whole else {
            self.counters.garbled = self.counters.garbled.wrapping_add(1);
            return Step::Dropped(&self.buffer.as_ref()[..filled]);
        };
        self.counters.frames = self.counters.frames.wrapping_add(1);
        let plain = &self.buffer.as_ref()[..length];
        Step::Frame(Frame {
            version: plain[0],
            kind: plain[1],
            sequence: u16::from_le_bytes([plain[2], plain[3]]),
            payload: &plain[HEADER_BYTES..length - CRC_BYTES],
        })
    }
}

fn begins_frame(start: &[u8]) -> bool {
    // A code byte of 1 would put a zero where the version is.
    matches!(start, [code, version] if *code > 1 && VERSIONS.contains(version))
}

fn crc_is_right(plain: &[u8]) -> bool {
    plain.len() >= HEADER_BYTES + CRC_BYTES
        && plain
            .split_last_chunk::<CRC_BYTES>()
            .is_some_and(|(body, crc)| CRC.checksum(body) == u32::from_le_bytes(*crc))
}

/// Undoes the byte stuffing in place; the length, or `None` (bytes untouched) when a run would reach beyond the end.
fn unstuff(bytes: &mut [u8]) -> Option<usize> {
    let mut read = 0;
    while let Some(&code) = bytes.get(read) {
        read += usize::from(code);
    }
    if read != bytes.len() {
        return None;
    }
    let (mut read, mut write) = (0, 0);
    while let Some(&code) = bytes.get(read) {
        let run = usize::from(code).saturating_sub(1);
        bytes.copy_within(read + 1..read + 1 + run, write);
        read += 1 + run;
        write += run;
        if code != 0xFF && read < bytes.len() {
            bytes[write] = 0;
            write += 1;
        }
    }
    Some(write)
}

const _: () = assert!(BUFFER_BYTES < u16::MAX as usize);
