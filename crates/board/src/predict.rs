//! What a model will cost on a chip, before anything is flashed: the flash that would be written is
//! booted in the emulator, and the runtime in it runs the model once and tells its cycles. They are the
//! emulator's estimates (`crates/emulator/src/cost.rs` has the rules and their sources), and what doesn't
//! fit is told by the runtime itself.

use std::fmt;

use fixpoint_protocol::Constants;
use fixpoint_protocol::host::{self, Action, Event, Inference, Layer, LinkClient};

use crate::{Options, Personality, VirtualBoard};

/// One run on the emulated chip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// The chip's clock in Hz, which the cycles are of.
    pub cpu_hz: u32,
    /// Bytes of internal memory that a model may use for its tensors there.
    pub arena_available: u32,
    /// Bytes that this one uses.
    pub arena_needed: u32,
    /// Where its constants are read from.
    pub constants: Constants,
    /// The model's layers.
    pub layers: Vec<Layer>,
    /// Outputs, and estimated cycles in all and of each layer.
    pub inference: Inference,
}

impl Prediction {
    /// Whether the tensors are in PSRAM, so that the model needs a board that has one.
    pub fn needs_psram(&self) -> bool {
        self.arena_needed > self.arena_available
    }

    /// The estimated time of one run in milliseconds.
    pub fn milliseconds(&self) -> f64 {
        self.inference.cycles as f64 * 1000.0 / f64::from(self.cpu_hz.max(1))
    }
}

/// Why there is no prediction. `Display` is a sentence for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PredictError {
    /// The runtime can't run the model: it doesn't fit, or is refused.
    Problem(host::Problem),
    /// The link to it failed.
    Link(host::LinkError),
}

impl fmt::Display for PredictError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Problem(problem) => problem.fmt(f),
            Self::Link(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PredictError {}

/// Boots `flash`, as it would be written from its start on, and runs its model on `inputs`, as the board
/// stores them.
///
/// # Errors
/// [`PredictError`].
pub fn predict(flash: Vec<u8>, inputs: Vec<Vec<u8>>) -> Result<Prediction, PredictError> {
    let (mut talk, board) = Talk::with(flash)?;
    let (cpu_hz, arena_available, constants) =
        (board.cpu_hz, board.arena_available, board.constants);
    let model = board.model.map_err(PredictError::Problem)?;
    talk.client.describe_layers();
    let layers = match talk.finish()? {
        Some(Event::Layers(layers)) => layers,
        _ => Vec::new(),
    };
    talk.client.infer(inputs);
    match talk.finish()? {
        Some(Event::Inference(inference)) => Ok(Prediction {
            cpu_hz,
            arena_available,
            arena_needed: model.arena_needed,
            constants,
            layers,
            inference,
        }),
        _ => Err(PredictError::Link(host::LinkError::NotConnected)),
    }
}

/// Bytes of internal memory that the runtime in `flash` has for tensors.
///
/// # Errors
/// [`PredictError`].
pub fn internal_memory(flash: Vec<u8>) -> Result<u32, PredictError> {
    Talk::with(flash).map(|(_, board)| board.arena_available)
}

/// A client and a board, and time that passes when neither has anything to say.
struct Talk {
    board: VirtualBoard,
    client: LinkClient,
    now_ms: u64,
}

impl Talk {
    /// Boots `flash` and says hello to its runtime.
    fn with(flash: Vec<u8>) -> Result<(Self, host::Board), PredictError> {
        let least = Options::default().flash_bytes;
        let options = Options {
            // The largest flash that there are boards with: whether it fits a real one is another question.
            flash_bytes: (flash.len() as u32).next_power_of_two().max(least),
            personality: Personality::UsbSerialJtag,
            ..Options::default()
        };
        let mut talk = Talk {
            board: VirtualBoard::new(Some(flash), options),
            client: LinkClient::default(),
            now_ms: 0,
        };
        talk.client.connect();
        talk.finish()?;
        let board = talk.client.board().cloned();
        let board = board.ok_or(PredictError::Link(host::LinkError::NotConnected))?;
        Ok((talk, board))
    }

    /// Runs the client's job; the last event that is neither text nor progress.
    fn finish(&mut self) -> Result<Option<Event>, PredictError> {
        let mut last = None;
        loop {
            match self.client.poll(self.now_ms) {
                Action::Write(bytes) => self.board.write(&bytes),
                Action::WaitUntil(until) => {
                    let bytes = self.board.read();
                    self.client.on_bytes(&bytes);
                    if bytes.is_empty() {
                        let pass = until.saturating_sub(self.now_ms).clamp(1, 10);
                        self.board.tick(pass as u32);
                        self.now_ms += pass;
                    }
                }
                Action::Event(Event::Console(_) | Event::Progress { .. }) => {}
                Action::Event(event) => last = Some(event),
                Action::Done => return Ok(last),
                Action::Failed(error) => return Err(PredictError::Link(error)),
            }
        }
    }
}
