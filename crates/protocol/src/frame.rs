//! Frames going out: header, fields, CRC and byte stuffing in one pass, with 255 bytes of memory.

use crate::{CRC, MAX_PAYLOAD, VERSION};

/// Where outgoing bytes go: a UART, a USB FIFO, a `Vec` in tests.
pub trait Sink {
    /// Sends the bytes, in order, waiting for room if need be.
    fn write(&mut self, bytes: &[u8]);
}

#[cfg(feature = "host")]
impl Sink for std::vec::Vec<u8> {
    fn write(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// A frame that arrived whole: its CRC was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Protocol version of the sender; only [`VERSION`] may be interpreted further.
    pub version: u8,
    /// What the payload is.
    pub kind: u8,
    /// Number that ties a reply to its request.
    pub sequence: u16,
    /// 0..=1024 bytes.
    pub payload: &'a [u8],
}

/// The payload would exceed [`MAX_PAYLOAD`] bytes; nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// Bytes that were to be sent.
    pub bytes: usize,
}

impl core::fmt::Display for TooLong {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "a frame carries at most {MAX_PAYLOAD} bytes and {} were given; send them in pieces",
            self.bytes
        )
    }
}

impl core::error::Error for TooLong {}

/// Longest run of non-zero bytes behind one code byte.
const RUN: usize = 254;

/// Writes one frame into a sink, field by field.
pub struct FrameWriter<'s, S: Sink + ?Sized> {
    sink: &'s mut S,
    digest: crc::Digest<'static, u32>,
    // block[0] is the code byte of the run being gathered.
    block: [u8; RUN + 1],
    filled: usize,
}

impl<'s, S: Sink + ?Sized> FrameWriter<'s, S> {
    /// Starts a frame of this version.
    pub fn new(sink: &'s mut S, kind: u8, sequence: u16) -> Self {
        Self::with_version(sink, VERSION, kind, sequence)
    }

    /// Starts a frame of any version; for tests of what happens when versions differ.
    pub fn with_version(sink: &'s mut S, version: u8, kind: u8, sequence: u16) -> Self {
        sink.write(&[0]);
        let mut writer = FrameWriter {
            sink,
            digest: CRC.digest(),
            block: [0; RUN + 1],
            filled: 0,
        };
        writer.bytes(&[version, kind]);
        writer.bytes(&sequence.to_le_bytes());
        writer
    }

    /// Appends payload bytes. The caller keeps the sum within [`MAX_PAYLOAD`].
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.stuff(bytes);
    }

    /// Appends the CRC and the delimiter.
    pub fn finish(mut self) {
        let crc = self.digest.clone().finalize();
        self.stuff(&crc.to_le_bytes());
        self.flush();
        self.sink.write(&[0]);
    }

    fn stuff(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            // A full run has no zero behind it, so it may only be closed when more follows.
            if self.filled == RUN {
                self.flush();
            }
            if byte == 0 {
                self.flush();
            } else {
                self.filled += 1;
                self.block[self.filled] = byte;
            }
        }
    }

    fn flush(&mut self) {
        // filled <= 254, so the code is 1..=255.
        self.block[0] = self.filled as u8 + 1;
        self.sink.write(&self.block[..=self.filled]);
        self.filled = 0;
    }
}
