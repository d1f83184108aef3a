//! SLIP framing, and the console text that shares the line with it.
//!
//! A frame lies between two `C0`; inside, `C0` is sent as `DB DC` and `DB` as `DB DD`. Whatever
//! stands outside frames is text (boot log). Empty frames are ignored, which also brings a
//! receiver back in step after a lost `C0`.

const END: u8 = 0xC0;
const ESC: u8 = 0xDB;
const ESC_END: u8 = 0xDC;
const ESC_ESC: u8 = 0xDD;

/// Longest legal frame: a READ_FLASH packet or a 0x4000-byte block with its header, with room.
const MAX_FRAME: usize = 0x4100;

/// One frame with both delimiters.
pub(crate) fn encode(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + payload.len() / 64 + 2);
    frame.push(END);
    for &byte in payload {
        match byte {
            END => frame.extend_from_slice(&[ESC, ESC_END]),
            ESC => frame.extend_from_slice(&[ESC, ESC_ESC]),
            _ => frame.push(byte),
        }
    }
    frame.push(END);
    frame
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Outside,
    Inside,
    Escaped,
    /// After a framing error: skip to the next `C0`.
    Broken,
}

#[derive(Debug, Default)]
pub(crate) struct Decoder {
    state: State,
    frame: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Frame(Vec<u8>),
    /// A byte outside any frame.
    Text(u8),
}

impl Decoder {
    pub(crate) fn push(&mut self, byte: u8) -> Option<Item> {
        match (&self.state, byte) {
            (State::Outside, END) => self.state = State::Inside,
            (State::Outside, text) => return Some(Item::Text(text)),
            (State::Inside, END) if self.frame.is_empty() => {}
            (State::Inside, END) => {
                self.state = State::Outside;
                return Some(Item::Frame(std::mem::take(&mut self.frame)));
            }
            (State::Inside, ESC) => self.state = State::Escaped,
            (State::Escaped, ESC_END) => self.put(END),
            (State::Escaped, ESC_ESC) => self.put(ESC),
            (State::Escaped | State::Broken, END) => {
                self.frame.clear();
                self.state = State::Inside;
            }
            (State::Escaped, _) => self.state = State::Broken,
            (State::Inside, byte) => self.put(byte),
            (State::Broken, _) => {}
        }
        None
    }

    fn put(&mut self, byte: u8) {
        self.frame.push(byte);
        self.state = if self.frame.len() > MAX_FRAME {
            State::Broken
        } else {
            State::Inside
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(bytes: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>) {
        let mut decoder = Decoder::default();
        let (mut frames, mut text) = (Vec::new(), Vec::new());
        for &byte in bytes {
            match decoder.push(byte) {
                Some(Item::Frame(frame)) => frames.push(frame),
                Some(Item::Text(byte)) => text.push(byte),
                None => {}
            }
        }
        (frames, text)
    }

    #[test]
    fn escapes_and_returns_every_byte() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(encode(&[0xC0, 0xDB]), [0xC0, 0xDB, 0xDC, 0xDB, 0xDD, 0xC0]);
        assert_eq!(frames(&encode(&all)), (vec![all], vec![]));
    }

    #[test]
    fn text_between_frames_is_text() {
        let line = [
            b"boot:0x0\r\n",
            encode(&[1, 8]).as_slice(),
            b"ok",
            &encode(&[2]),
        ]
        .concat();
        assert_eq!(
            frames(&line),
            (vec![vec![1, 8], vec![2]], b"boot:0x0\r\nok".to_vec())
        );
    }

    #[test]
    fn a_lost_delimiter_or_bad_escape_costs_one_frame() {
        let lost_end = [&encode(&[1, 2])[..3], &encode(&[3])[..], &encode(&[4])].concat();
        let (found, _) = frames(&lost_end);
        assert_eq!(found.last(), Some(&vec![4]));
        let bad_escape = [&[0xC0, 1, 0xDB, 0x00, 2, 0xC0][..], &encode(&[3])].concat();
        assert_eq!(frames(&bad_escape).0, [vec![3]]);
        let endless = [vec![0xC0], vec![7; 100_000], encode(&[5]), encode(&[6])].concat();
        assert_eq!(frames(&endless).0.last(), Some(&vec![6]));
    }
}
