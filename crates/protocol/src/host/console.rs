//! Console text out of bytes that may be cut anywhere and may not be text at all.

use std::string::String;
use std::vec::Vec;

/// Shortest run of printable bytes in a broken frame that is worth showing.
const WORTH_SHOWING: usize = 12;

/// How much of the latest text is kept to judge a board by: three boot logs.
const TAIL: usize = 8192;

#[derive(Debug, Default)]
pub(super) struct Console {
    pending: Vec<u8>,
    tail: String,
}

impl Console {
    pub(super) fn text(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// What is left of a broken frame: shows the stretches that can only be text.
    pub(super) fn salvage(&mut self, bytes: &[u8]) {
        let printable = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7E);
        for run in bytes.split(|byte| !printable(byte)) {
            if run.len() >= WORTH_SHOWING {
                self.pending.extend_from_slice(run);
            }
        }
    }

    /// Text that is complete: a character cut at the end waits for its rest.
    pub(super) fn take(&mut self) -> Option<String> {
        let whole = self.pending.len() - cut_character(&self.pending);
        if whole == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&self.pending[..whole]).into_owned();
        self.pending.drain(..whole);
        self.tail.push_str(&text);
        if self.tail.len() > TAIL {
            let mut cut = self.tail.len() - TAIL;
            while !self.tail.is_char_boundary(cut) {
                cut += 1;
            }
            self.tail.drain(..cut);
        }
        Some(text)
    }

    /// The latest text taken since [`forget`](Self::forget).
    pub(super) fn tail(&self) -> &str {
        &self.tail
    }

    pub(super) fn forget(&mut self) {
        self.tail.clear();
    }
}

/// Bytes at the end that begin a UTF-8 character and don't finish it: 0..=3.
fn cut_character(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let length = match bytes[bytes.len() - back] {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            0x80..=0xBF => continue,
            _ => return 0,
        };
        return if length > back { back } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::Console;

    #[test]
    fn characters_cut_between_reads_are_put_together() {
        let mut console = Console::default();
        console.text(b"Temperatur 21 \xC2");
        assert_eq!(console.take().as_deref(), Some("Temperatur 21 "));
        assert_eq!(console.take(), None);
        console.text(b"\xB0C");
        assert_eq!(console.take().as_deref(), Some("°C"));
        console.text(b"\xFF\xFE!");
        assert_eq!(console.take().as_deref(), Some("\u{FFFD}\u{FFFD}!"));
    }

    #[test]
    fn text_behind_a_cut_frame_is_found() {
        let mut console = Console::default();
        console.salvage(b"\x05\x01\x84ab\x02\x03ESP-ROM:esp32s3-20210327\r\nBuild:Mar 27");
        assert_eq!(
            console.take().as_deref(),
            Some("ESP-ROM:esp32s3-20210327\r\nBuild:Mar 27")
        );
        console.salvage(b"\x05\x01\x84short\x02");
        assert_eq!(console.take(), None);
    }
}
