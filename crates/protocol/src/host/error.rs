//! Why a job came to nothing, in sentences that say what to do.

use std::string::String;

use crate::{ErrorCode, VERSION};

use super::diagnosis::{Diagnosis, Wanted};
use super::job::Problem;

/// Why a job failed. The client stays usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// Nobody answers, and what is heard instead.
    #[error("{} {}", .0.message(Wanted::Runtime), .0.remedy(Wanted::Runtime))]
    NoRuntime(Diagnosis),
    /// The board answered before and stopped.
    #[error(
        "The board stopped answering {during}. If its text shows an error, note it; press RESET on the board and try again."
    )]
    Lost {
        /// What was going on, for a sentence: `while it ran the model`.
        during: &'static str,
    },
    /// Firmware of another protocol version.
    #[error("{}", versions(*.board))]
    OtherVersion {
        /// The version the board speaks.
        board: u8,
    },
    /// The board has no model that it can run.
    #[error("{0}")]
    NoModel(Problem),
    /// An input of the wrong size was given.
    #[error("Input {input} takes {expected} bytes and {given} were given.")]
    InputSize {
        /// Which input.
        input: usize,
        /// Bytes the model takes.
        expected: u32,
        /// Bytes given.
        given: usize,
    },
    /// Another number of inputs was given than the model has.
    #[error("The model takes {expected} inputs and {given} were given.")]
    InputCount {
        /// Inputs of the model.
        expected: usize,
        /// Inputs given.
        given: usize,
    },
    /// A job that needs a model was asked for before `connect`.
    #[error("The board has not been asked yet what it runs: connect first.")]
    NotConnected,
    /// The board started anew in the middle, more than once.
    #[error(
        "The board restarted {during}, again and again. Check its power supply (a short cable, no hub), look at its text, and try again."
    )]
    Restarting {
        /// As in `Lost`.
        during: &'static str,
    },
    /// The board refused a request.
    #[error("{}", refusal(*.code, *.detail, .text))]
    Refused {
        /// Stable number.
        code: ErrorCode,
        /// A number that belongs to the code.
        detail: u32,
        /// The firmware's own words; may be empty.
        text: String,
    },
    /// What was given as a model image is none.
    #[error("That is no Fixpoint model image: quantize a model first.")]
    NotAModel,
    /// The board can't take a model over the link.
    #[error(
        "This board can't take a new model while it runs its runtime ({}): flash it through the loader instead.",
        no_room(*.bytes, *.room)
    )]
    NoRoom {
        /// Size of the image.
        bytes: usize,
        /// Bytes there are for it.
        room: u32,
    },
    /// The reply can't be: another length, offset or kind than asked for.
    #[error(
        "The board's answer does not fit the question ({what}). Its firmware may be of another release: flash it again from here."
    )]
    WrongReply {
        /// What doesn't fit.
        what: &'static str,
    },
}

impl LinkError {
    /// A stable name for scripts and for the page's own wording.
    pub fn code(&self) -> &'static str {
        match self {
            LinkError::NoRuntime(doing) => match doing {
                Diagnosis::Silent => "link-silent",
                Diagnosis::DownloadMode => "link-download-mode",
                Diagnosis::NothingToStart => "link-nothing-to-start",
                Diagnosis::CrashLoop => "link-crash-loop",
                Diagnosis::Brownout => "link-brownout",
                Diagnosis::OtherChip => "link-other-chip",
                Diagnosis::Application => "link-only-text",
                Diagnosis::Noise => "link-garbled",
            },
            LinkError::Lost { .. } => "link-lost",
            LinkError::OtherVersion { .. } => "link-other-version",
            LinkError::NoModel(_) => "link-no-model",
            LinkError::InputSize { .. } => "link-input-size",
            LinkError::InputCount { .. } => "link-input-count",
            LinkError::NotConnected => "link-not-connected",
            LinkError::Restarting { .. } => "link-restarting",
            LinkError::Refused { .. } => "link-refused",
            LinkError::NotAModel => "link-not-a-model",
            LinkError::NoRoom { .. } => "link-no-room",
            LinkError::WrongReply { .. } => "link-wrong-reply",
        }
    }
}

fn versions(board: u8) -> String {
    let what = if board < VERSION {
        "The board's firmware is older than this programme: flash the board again from here"
    } else {
        "The board's firmware is newer than this programme: update the programme (reload the page), or flash the board again from here"
    };
    std::format!("{what} (link version {board} there, {VERSION} here).")
}

fn no_room(bytes: usize, room: u32) -> String {
    match room {
        0 => String::from("it has no second place for one, or an older runtime"),
        room => std::format!("it has {bytes} bytes and its place {room}"),
    }
}

fn refusal(code: ErrorCode, detail: u32, text: &str) -> String {
    let number = code.number();
    match code {
        ErrorCode::RunFailed => {
            std::format!("The board stopped in the middle of the model: {text}")
        }
        ErrorCode::ModelBroken => std::format!(
            "The board read the new model back and refuses it: {}. It keeps running the old one; quantize the model with this release and try again.",
            text.trim_end_matches('.')
        ),
        ErrorCode::FlashFailed => std::format!(
            "The board's flash did not take the new model (at {detail:#x}). It keeps running the old one; try again, or flash through the loader."
        ),
        ErrorCode::UnknownRequest | ErrorCode::Unsupported => std::format!(
            "The board's firmware can't do this yet (request {detail}): flash the board again from here to update it."
        ),
        _ if text.is_empty() => std::format!(
            "The board refused a request (code {number}, detail {detail}). Press RESET and try again; if it stays, flash the board again from here."
        ),
        _ => std::format!("The board refused a request (code {number}): {text}"),
    }
}
