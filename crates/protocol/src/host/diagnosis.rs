//! What the bytes from a board say: a name, a sentence, a next step. Flashing, the link, the page and
//! the command line share it.

use std::format;
use std::string::String;

/// What a board is seen to be doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Diagnosis {
    /// Not a byte.
    Silent,
    /// The ROM's loader waits.
    DownloadMode,
    /// The flash holds nothing that starts.
    NothingToStart,
    /// The same crash over and over.
    CrashLoop,
    /// The supply collapses.
    Brownout,
    /// The ROM of another chip speaks.
    OtherChip,
    /// An application prints.
    Application,
    /// Neither text nor answers.
    Noise,
}

/// What the host wants to talk to: it decides what is odd about what is heard, and what helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The ROM's loader, to flash.
    Loader,
    /// The runtime, to run a model.
    Runtime,
}

/// Resets in one boot log from which they are a loop.
const LOOP: usize = 3;

impl Diagnosis {
    /// Of what came since the last reset: its text (unreadable bytes as U+FFFD), and how many bytes of any
    /// kind.
    pub fn of(log: &str, bytes: u64) -> Self {
        let readable = log
            .chars()
            .filter(|c| c.is_ascii_graphic() || c.is_ascii_whitespace());
        let readable = readable.count() * 4 >= log.chars().count() * 3;
        if bytes == 0 {
            Self::Silent
        } else if other_chip(log).is_some() {
            Self::OtherChip
        } else if log.contains("waiting for download") || log.contains("(DOWNLOAD") {
            Self::DownloadMode
        } else if log.contains("Brownout detector") || log.contains("BROWN_OUT") {
            Self::Brownout
        } else if log.contains("invalid header") || log.contains("No bootable app") {
            Self::NothingToStart
        } else if log.matches("rst:0x").count() >= LOOP {
            Self::CrashLoop
        } else if log.len() >= 8 && readable {
            Self::Application
        } else {
            Self::Noise
        }
    }

    /// Stable name.
    pub fn code(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::DownloadMode => "download-mode",
            Self::NothingToStart => "nothing-to-start",
            Self::CrashLoop => "crash-loop",
            Self::Brownout => "brownout",
            Self::OtherChip => "other-chip",
            Self::Application => "application",
            Self::Noise => "noise",
        }
    }

    /// What is the matter, in a sentence.
    pub fn message(self, wanted: Wanted) -> &'static str {
        match (self, wanted) {
            (Self::Silent, _) => "The board sends nothing.",
            (Self::DownloadMode, Wanted::Loader) => {
                "The board says that it waits for a download, but does not answer."
            }
            (Self::DownloadMode, Wanted::Runtime) => {
                "The board is in download mode and runs no firmware."
            }
            (Self::NothingToStart, _) => "The board's flash holds nothing that starts.",
            (Self::CrashLoop, _) => "The board crashes and restarts over and over.",
            (Self::Brownout, _) => "The board's supply is too weak: it resets itself.",
            (Self::OtherChip, _) => "This is another chip than the ESP32-S3.",
            (Self::Application, Wanted::Loader) => {
                "The board is running its application instead of the loader."
            }
            (Self::Application, Wanted::Runtime) => {
                "Something prints on this port but does not answer: the board runs another firmware, or this one crashed."
            }
            (Self::Noise, _) => "Bytes arrive that are neither text nor answers.",
        }
    }

    /// What to do, in a sentence.
    pub fn remedy(self, wanted: Wanted) -> &'static str {
        match (self, wanted) {
            (Self::Silent, Wanted::Loader) => {
                "Check that this is the board's port and that the cable carries data, then hold BOOT, tap RESET, release BOOT and try again."
            }
            (Self::Silent, Wanted::Runtime) => {
                "Check that this is the board's port and that the cable carries data, then press RESET on the board and try again."
            }
            (Self::DownloadMode, Wanted::Loader) => {
                "The line towards the board may be broken: try another cable or USB port, or the board's other USB socket."
            }
            (Self::DownloadMode, Wanted::Runtime) => {
                "Press RESET without holding BOOT, and try again."
            }
            (Self::NothingToStart | Self::CrashLoop | Self::Application, Wanted::Loader) => {
                "The board does not go into its loader by itself: hold BOOT, tap RESET, release BOOT and try again."
            }
            (Self::NothingToStart, Wanted::Runtime) => "Flash the board again.",
            (Self::CrashLoop, Wanted::Runtime) => {
                "Flash the board again; if it goes on, the board's text says what crashes."
            }
            (Self::Brownout, _) => {
                "Use a short cable and a port of the computer itself, without a hub, and try again."
            }
            (Self::OtherChip, _) => "Connect an ESP32-S3 board. Nothing was changed on this one.",
            (Self::Application, Wanted::Runtime) => "Flash the board, or look at its text.",
            (Self::Noise, Wanted::Loader) => {
                "Another program may be using the port, or it belongs to another device: close serial monitors, check the port and try again."
            }
            (Self::Noise, Wanted::Runtime) => {
                "Check the baud rate and the cable, close other programs that use the port, and try again."
            }
        }
    }
}

/// The chip whose ROM printed this, if it is not the ESP32-S3's: `ESP-ROM:esp32c3-...`, or the
/// first line of the ESP32 and ESP8266.
pub fn other_chip(log: &str) -> Option<String> {
    if let Some((_, rest)) = log.split_once("ESP-ROM:esp32") {
        let kind: String = rest
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        return (kind != "s3").then(|| format!("ESP32-{}", kind.to_uppercase()));
    }
    if log.contains("ets Jun  8 2016") || log.contains("ets Jul 29 2019") {
        return Some("ESP32".into());
    }
    log.contains("ets Jan  8 2013").then(|| "ESP8266".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_tells_what_the_board_does() {
        let restarts = "rst:0xc (RTC_SW_CPU_RST),boot:0x8\r\nGuru Meditation\r\n".repeat(3);
        for (log, diagnosis) in [
            ("", Diagnosis::Silent),
            (
                "boot:0x0 (DOWNLOAD(USB/UART0))\r\nwaiting for download\r\n",
                Diagnosis::DownloadMode,
            ),
            (
                "ESP-ROM:esp32s3-20210327\r\ninvalid header: 0xffffffff\r\n",
                Diagnosis::NothingToStart,
            ),
            (restarts.as_str(), Diagnosis::CrashLoop),
            ("Brownout detector was triggered\r\n", Diagnosis::Brownout),
            (
                "ESP-ROM:esp32c3-api1-20210207\r\nboot:0x5 (DOWNLOAD)",
                Diagnosis::OtherChip,
            ),
            ("ets Jul 29 2019 12:21:46\r\n", Diagnosis::OtherChip),
            (
                "rst:0x1 (POWERON),boot:0x8\r\nhello",
                Diagnosis::Application,
            ),
            ("\u{FFFD}x\u{FFFD}\u{FFFD}\u{1}\u{FFFD}", Diagnosis::Noise),
        ] {
            assert_eq!(Diagnosis::of(log, log.len() as u64), diagnosis, "{log}");
        }
        assert_eq!(other_chip("ESP-ROM:esp32c6-x").as_deref(), Some("ESP32-C6"));
        assert_eq!(other_chip("ESP-ROM:esp32s3-x"), None);
    }
}
