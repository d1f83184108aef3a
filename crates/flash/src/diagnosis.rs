//! What the bytes from a board say, and why a port can't be opened: a name, a sentence, a next step.
//! Page and command line share it.

use crate::error::FlashError;

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

    /// One sentence: what it is, and one more: what to do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Silent => {
                "The board sends nothing. Check that this is its port and that the cable carries data, then press RESET."
            }
            Self::DownloadMode => {
                "The board waits in its loader. Flash it, or press RESET without holding BOOT to start it."
            }
            Self::NothingToStart => {
                "The board's flash holds nothing that starts. Flash it: hold BOOT, tap RESET and release BOOT if that does not begin by itself."
            }
            Self::CrashLoop => {
                "The board crashes and restarts over and over. Hold BOOT, tap RESET, release BOOT, and flash it."
            }
            Self::Brownout => {
                "The board's supply is too weak. Use a short cable and a port of the computer itself, without a hub."
            }
            Self::OtherChip => "This is another chip than the ESP32-S3. Connect an ESP32-S3 board.",
            Self::Application => {
                "An application runs on the board. To flash it: hold BOOT, tap RESET, release BOOT if that does not begin by itself."
            }
            Self::Noise => {
                "Bytes arrive that are neither text nor answers. Close other programs that use the port, check the rate and the cable."
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

/// For a board that did not answer SYNC.
pub(crate) fn no_loader(boot_log: String, bytes: u64) -> FlashError {
    match Diagnosis::of(&boot_log, bytes) {
        Diagnosis::Silent => FlashError::NoAnswer,
        Diagnosis::DownloadMode => FlashError::LoaderSilent { boot_log },
        Diagnosis::Noise => FlashError::Noise { bytes },
        Diagnosis::OtherChip => FlashError::WrongChip {
            found: other_chip(&boot_log).unwrap_or_default(),
        },
        _ => FlashError::NotInLoader { boot_log },
    }
}

/// Why a port can't be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortTrouble {
    /// Another program has it.
    Busy,
    /// The operating system says no.
    NoPermission,
    /// There is none of that name.
    NotFound,
}

impl PortTrouble {
    /// Stable name.
    pub fn code(self) -> &'static str {
        match self {
            Self::Busy => "port-busy",
            Self::NoPermission => "port-no-permission",
            Self::NotFound => "port-not-found",
        }
    }

    /// What to do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Busy => {
                "Close other programs that may hold the port (serial monitor, IDE, another page or tab) and try again."
            }
            Self::NoPermission => {
                "On Linux, add yourself to the group that owns the port (sudo usermod -aG dialout $USER), log out and in, and try again."
            }
            Self::NotFound => {
                "Plug the board in, with a cable that carries data. If no port appears, install the driver of its USB bridge (CP210x or CH34x)."
            }
        }
    }
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
            let found = Diagnosis::of(log, log.len() as u64);
            assert_eq!(found, diagnosis, "{log}");
            assert!(
                found.advice().matches(". ").count() == 1,
                "{}",
                found.advice()
            );
        }
        assert_eq!(other_chip("ESP-ROM:esp32c6-x").as_deref(), Some("ESP32-C6"));
        assert_eq!(other_chip("ESP-ROM:esp32s3-x"), None);
    }

    #[test]
    fn a_board_without_an_answer_is_named() {
        let code = |log: &str| no_loader(log.into(), log.len() as u64).code();
        assert_eq!(code(""), "no-answer");
        assert_eq!(
            code("rst:0x1 (POWERON),boot:0x8 (SPI_FAST)"),
            "not-in-loader"
        );
        assert_eq!(code("waiting for download\r\n"), "loader-silent");
        assert_eq!(code("\u{FFFD}x\u{FFFD}\u{FFFD}\u{1}\u{FFFD}"), "noise");
        assert_eq!(code("ESP-ROM:esp32c3-api1\r\n"), "wrong-chip");
    }
}
