//! For a board that did not answer SYNC: what was heard instead, as an error.

use crate::error::FlashError;
use fixpoint_protocol::host::{Diagnosis, other_chip};

pub(crate) fn no_loader(boot_log: String, bytes: u64) -> FlashError {
    match (Diagnosis::of(&boot_log, bytes), other_chip(&boot_log)) {
        (Diagnosis::OtherChip, Some(found)) => FlashError::WrongChip { found },
        (doing, _) => FlashError::NoLoader { doing, boot_log },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(code("E (42) Brownout detector was triggered"), "brownout");
    }
}
