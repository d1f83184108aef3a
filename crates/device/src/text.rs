//! A line of text in fixed memory, for errors that have words of their own.

use core::fmt;

/// Most bytes kept; a reply's text field has room for 255.
const BYTES: usize = 200;

pub(crate) struct Text {
    bytes: [u8; BYTES],
    length: usize,
}

impl Text {
    pub(crate) const EMPTY: Self = Text {
        bytes: [0; BYTES],
        length: 0,
    };

    /// What `value` says, cut at a character when it is long. Words alone are better as `format_args!`: that a `str` can be
    /// padded takes a board 700 bytes.
    pub(crate) fn of(value: &dyn fmt::Display) -> Self {
        let mut text = Self::EMPTY;
        // The only error is our own "full".
        let _ = fmt::write(&mut text, format_args!("{value}"));
        text
    }

    pub(crate) fn as_str(&self) -> &str {
        // Only whole characters are ever copied in.
        core::str::from_utf8(&self.bytes[..self.length]).unwrap_or("")
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = BYTES - self.length;
        let mut taken = part.len().min(room);
        while !part.is_char_boundary(taken) {
            taken -= 1;
        }
        self.bytes[self.length..self.length + taken].copy_from_slice(&part.as_bytes()[..taken]);
        self.length += taken;
        if taken == part.len() {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES, Text};
    use std::string::String;

    #[test]
    fn long_text_is_cut_at_a_character() {
        let long: String = "ü".repeat(BYTES);
        let text = Text::of(&long);
        assert_eq!(text.as_str(), "ü".repeat(BYTES / 2));
        let odd: String = std::format!("a{}", "ü".repeat(BYTES));
        assert_eq!(Text::of(&odd).as_str().len(), BYTES - 1);
    }
}
