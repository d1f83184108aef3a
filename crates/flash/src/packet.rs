//! Answers of the loader, and the names of its error codes.
//!
//! Answer: `01 | op | len u16 | value u32 | data[len]`; `data` is the payload and then the status,
//! 4 bytes from the ROM and 2 from the stub. Only the first status byte decides; on the ROM the
//! second is an error code only if the first is not zero, and the rest is stale memory. The stub
//! puts its code in the first byte.

/// One answer as it came, not yet judged.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response<'a> {
    pub(crate) op: u8,
    pub(crate) value: u32,
    pub(crate) data: &'a [u8],
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    Rom,
    Stub,
}

/// Why an answer is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Mangled on the way, or from a chip that answers this question otherwise.
    WrongLength,
    Refused(u8),
}

/// The opcode is not known to whoever listens.
pub(crate) const UNSUPPORTED: u8 = 0x05;

impl<'a> Response<'a> {
    /// `None` for anything that is not a whole answer.
    pub(crate) fn parse(frame: &'a [u8]) -> Option<Self> {
        let (head, data) = frame.split_at_checked(8)?;
        let length = usize::from(u16::from_le_bytes([head[2], head[3]]));
        if head[0] != 1 || data.len() != length || length < 2 {
            return None;
        }
        let value = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        Some(Self {
            op: head[1],
            value,
            data,
        })
    }

    /// The payload of `wanted` bytes, or why there is none. Errors carry no payload.
    pub(crate) fn judge(&self, speaker: Speaker, wanted: usize) -> Result<&'a [u8], Verdict> {
        let status_bytes = match speaker {
            Speaker::Rom => 4,
            Speaker::Stub => 2,
        };
        let at = if self.data.len() == wanted + status_bytes {
            wanted
        } else if self.data.len() == status_bytes {
            0
        } else {
            return Err(Verdict::WrongLength);
        };
        let (payload, status) = self.data.split_at(at);
        match (status[0], speaker) {
            (0, _) if at == wanted => Ok(payload),
            (0, _) => Err(Verdict::WrongLength),
            (_, Speaker::Rom) => Err(Verdict::Refused(status[1])),
            (code, Speaker::Stub) => Err(Verdict::Refused(code)),
        }
    }

    /// The ROM answers an opcode it does not know under the opcode of the command before.
    pub(crate) fn is_unsupported(&self) -> bool {
        self.data[0] != 0 && self.data[1] == UNSUPPORTED
    }
}

/// What an error code means; ROM and stub codes do not collide.
pub(crate) fn reason(code: u8) -> &'static str {
    match code {
        0x01 => "bad parameter",
        0x02 => "out of memory",
        0x03 => "sending failed",
        0x04 => "receiving failed",
        0x05 => "unknown or malformed command",
        0x06 => "the operation failed",
        0x07 => "checksum error",
        0x08 => "flash write failed",
        0x09 => "flash read failed",
        0x0A => "bad read length",
        0x0B => "bad compressed data",
        0x0C => "checksum of the compressed data is wrong",
        0x0D => "bad compression parameter",
        0x0E => "bad RAM size",
        0x0F => "bad RAM address",
        0xC0 => "wrong amount of data",
        0xC1 => "checksum error",
        0xC2 => "bad block size",
        0xC3 => "unknown command",
        0xC4 => "flash operation failed",
        0xC5 => "flash could not be unlocked",
        0xC6 => "data without a begin",
        0xC7 => "bad compressed data",
        0xC8 => "not enough data",
        0xC9 => "too much data",
        0xFF => "not implemented",
        _ => "unknown error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(frame: &[u8], speaker: Speaker, payload: usize) -> Result<Vec<u8>, Verdict> {
        let response = Response::parse(frame).expect("a whole answer");
        response.judge(speaker, payload).map(<[u8]>::to_vec)
    }

    #[test]
    fn reads_what_the_rom_and_the_stub_were_seen_to_send() {
        let magic = [1, 0x0A, 4, 0, 9, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(Response::parse(&magic).unwrap().value, 9);
        // Success with stale bytes behind the first status byte.
        for stale in [[0, 5, 0, 0], [0, 0, 0x63, 0x61], [0, 6, 0, 0]] {
            let frame = [&[1, 3, 4, 0, 0, 0, 0, 0][..], &stale].concat();
            assert_eq!(judge(&frame, Speaker::Rom, 0), Ok(vec![]));
        }
        assert_eq!(
            judge(&[1, 3, 4, 0, 0, 0, 0, 0, 1, 7, 0, 0], Speaker::Rom, 0),
            Err(Verdict::Refused(7))
        );
        assert_eq!(
            judge(&[1, 3, 2, 0, 0, 0, 0, 0, 0xC6, 0], Speaker::Stub, 0),
            Err(Verdict::Refused(0xC6))
        );
        let foreign = [1, 0x0B, 4, 0, 0, 0, 0, 0, 1, 5, 0, 0];
        assert!(Response::parse(&foreign).unwrap().is_unsupported());
        let digest = [&[1, 0x13, 18, 0, 0, 0, 0, 0][..], &[7; 16], &[0, 0]].concat();
        assert_eq!(judge(&digest, Speaker::Stub, 16), Ok(vec![7; 16]));
    }

    #[test]
    fn anything_else_is_no_answer() {
        assert_eq!(Response::parse(&[]), None);
        assert_eq!(Response::parse(&[1, 8, 4, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(Response::parse(&[0, 8, 2, 0, 0, 0, 0, 0, 0, 0]), None);
        // A short answer that reports success is not an answer to a question with a payload.
        assert_eq!(
            judge(&[1, 0x13, 2, 0, 0, 0, 0, 0, 0, 0], Speaker::Stub, 16),
            Err(Verdict::WrongLength)
        );
        assert_eq!(
            judge(
                &[1, 0x13, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                Speaker::Rom,
                16
            ),
            Err(Verdict::WrongLength)
        );
    }
}
