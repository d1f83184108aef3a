//! What can go wrong in a flashing session, and what the person at the board can do about it.

use crate::plan::TensorMemory;
use crate::port::PortTrouble;
use fixpoint_protocol::host::{Diagnosis, Wanted};
use serde::ser::{Serialize, SerializeStruct, Serializer};
use std::fmt::{self, Display, Formatter};
use thiserror::Error;

/// Why a session ended without the plan being on the board.
///
/// Serialized for the page as `{code, message, remedy}`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FlashError {
    #[error("The session was cancelled.")]
    Cancelled,
    #[error("The port was closed or unplugged during {during}.")]
    PortLost { during: &'static str },
    /// Nobody answers SYNC, and what is heard instead.
    #[error("{}", .doing.message(Wanted::Loader))]
    NoLoader { doing: Diagnosis, boot_log: String },
    #[error("This is an {found}, and the firmware is for the ESP32-S3.")]
    WrongChip { found: String },
    #[error("This chip is revision {found}, and the firmware is for {wanted}.")]
    WrongRevision { found: String, wanted: String },
    #[error(
        "Secure download mode is burned into this chip: it cannot be read, verified or given a new loader."
    )]
    SecureDownloadMode,
    #[error("Secure boot is on: this chip only starts images signed with its owner's key.")]
    SecureBoot,
    #[error("Flash encryption is on: plain images written to this chip would not start.")]
    FlashEncryption,
    #[error("No SPI flash answered (id {id:#08x}).")]
    NoFlash { id: u32 },
    #[error("The {name} needs a flash of at least {} KiB, and this board has only {} KiB.", .end.div_ceil(1024), .size / 1024)]
    DoesNotFit { name: String, end: u32, size: u32 },
    /// Bytes for tensors, and bytes of PSRAM.
    #[error(
        "The model needs {} KiB of memory for its tensors: {} KiB are inside the chip, and this one has {}.",
        .memory.needed.div_ceil(1024), .memory.internal / 1024, Psram(*.psram)
    )]
    NoPsram { memory: TensorMemory, psram: u32 },
    #[error("The loader's helper program (stub) did not start.")]
    StubSilent,
    #[error("The board stopped answering during {during}.")]
    LinkLost { during: &'static str },
    #[error("The board refused {during}: {reason} (code {code:#04x}).")]
    Refused {
        during: &'static str,
        code: u8,
        reason: &'static str,
    },
    #[error("{name} was written {attempts} times and read back wrong each time.")]
    VerifyFailed { name: String, attempts: u32 },
    #[error("Nothing was flashed: {0}")]
    Plan(#[from] crate::plan::PlanError),
}

struct Psram(u32);

impl Display for Psram {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("no PSRAM"),
            bytes => write!(f, "only {} KiB of PSRAM", bytes / 1024),
        }
    }
}

impl FlashError {
    /// Stable name for scripts and for the page's own wording.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::PortLost { .. } => "port-lost",
            Self::NoLoader { doing, .. } => match doing {
                Diagnosis::Silent => "no-answer",
                Diagnosis::DownloadMode => "loader-silent",
                Diagnosis::Noise => "noise",
                Diagnosis::Brownout => "brownout",
                Diagnosis::OtherChip => "wrong-chip",
                _ => "not-in-loader",
            },
            Self::WrongChip { .. } => "wrong-chip",
            Self::WrongRevision { .. } => "wrong-revision",
            Self::SecureDownloadMode => "secure-download-mode",
            Self::SecureBoot => "secure-boot",
            Self::FlashEncryption => "flash-encryption",
            Self::NoFlash { .. } => "no-flash",
            Self::DoesNotFit { .. } => "does-not-fit",
            Self::NoPsram { .. } => "no-psram",
            Self::StubSilent => "stub-silent",
            Self::LinkLost { .. } => "link-lost",
            Self::Refused { .. } => "refused",
            Self::VerifyFailed { .. } => "verify-failed",
            Self::Plan(_) => "plan",
        }
    }

    /// What to do next, one or two sentences.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Cancelled => "Flash again when ready: what is already on the board is skipped.",
            Self::PortLost { .. } => PortTrouble::Lost.remedy(),
            Self::NoLoader { doing, .. } => doing.remedy(Wanted::Loader),
            Self::WrongChip { .. } => Diagnosis::OtherChip.remedy(Wanted::Loader),
            Self::WrongRevision { .. } => {
                "Use firmware built for this revision, or another board. Nothing was changed on this one."
            }
            Self::SecureDownloadMode | Self::SecureBoot | Self::FlashEncryption => {
                "Use a board without this protection. Nothing was changed on this one."
            }
            Self::NoFlash { .. } => {
                "Check the board's supply and, if the flash is on a module, its contacts. Nothing was changed."
            }
            Self::DoesNotFit { .. } => {
                "Use a board with more flash, or a smaller model. Nothing was changed on this one."
            }
            Self::NoPsram { psram: 0, .. } => {
                "Use a board with PSRAM (R2, R8 or R16 in its chip's or module's name), or a smaller model or input. Nothing was changed on this one."
            }
            Self::NoPsram { .. } => {
                "Use a board with more PSRAM, or a smaller model or input. Nothing was changed on this one."
            }
            Self::StubSilent => {
                "Try again; if it stays, switch the stub off in the advanced settings (slower, but needs no helper program)."
            }
            Self::LinkLost { .. } => {
                "Try again with a lower baud rate or a shorter cable: what is already on the board is skipped."
            }
            Self::Refused { .. } => {
                "Try again; if it stays, try a lower baud rate or another cable."
            }
            Self::VerifyFailed { .. } => {
                "Try a lower baud rate or another cable. If it stays, the flash chip is worn or write-protected."
            }
            Self::Plan(_) => {
                "Use images that belong together: the prebuilt runtime and a model quantized for it."
            }
        }
    }

    /// The boot log that led to the verdict, when there was one.
    pub fn boot_log(&self) -> Option<&str> {
        match self {
            Self::NoLoader { boot_log, .. } if !boot_log.is_empty() => Some(boot_log),
            _ => None,
        }
    }
}

impl Serialize for FlashError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("FlashError", 4)?;
        out.serialize_field("code", self.code())?;
        out.serialize_field("message", &self.to_string())?;
        out.serialize_field("remedy", self.remedy())?;
        out.serialize_field("bootLog", &self.boot_log())?;
        out.end()
    }
}
