//! Framing on the chip's side. Written apart from the host's, so that one checks the other.

const END: u8 = 0xC0;
const ESC: u8 = 0xDB;

/// Longest request: a 0x4000-byte block with its two headers, with room.
const MAX_FRAME: usize = 0x4100;

#[derive(Debug, Default)]
pub(crate) struct Receiver {
    inside: bool,
    escaped: bool,
    broken: bool,
    frame: Vec<u8>,
}

impl Receiver {
    /// A finished frame, if this byte ends one.
    pub(crate) fn push(&mut self, byte: u8) -> Option<Vec<u8>> {
        if byte == END {
            let whole = self.inside && !self.escaped && !self.broken && !self.frame.is_empty();
            let frame = std::mem::take(&mut self.frame);
            // After a good frame the next delimiter opens one; after a bad one this may be it.
            self.inside = !whole;
            (self.escaped, self.broken) = (false, false);
            return whole.then_some(frame);
        }
        if !self.inside || self.broken {
            return None;
        }
        let byte = match (self.escaped, byte) {
            (false, ESC) => {
                self.escaped = true;
                return None;
            }
            (false, byte) => byte,
            (true, 0xDC) => END,
            (true, 0xDD) => ESC,
            (true, _) => {
                self.broken = true;
                return None;
            }
        };
        self.escaped = false;
        self.frame.push(byte);
        self.broken = self.frame.len() > MAX_FRAME;
        None
    }
}

pub(crate) fn send(payload: &[u8], out: &mut Vec<u8>) {
    out.push(END);
    for &byte in payload {
        match byte {
            END => out.extend([ESC, 0xDC]),
            ESC => out.extend([ESC, 0xDD]),
            _ => out.push(byte),
        }
    }
    out.push(END);
}
