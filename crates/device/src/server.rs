//! Requests in, replies out, and the little state that makes requests repeatable.

mod inference;
mod update;

use core::fmt;

use fixpoint_protocol::{
    BUFFER_BYTES, Constants, Decoder, ErrorCode, Frame, Info, Reply, Request, Sink, Step, VERSION,
    Version,
};
use fixpoint_runtime::accelerator::Accelerator;
use fixpoint_runtime::{Arena, Arithmetic, Model, Position, RunError};

use crate::arenas::{self, Arenas};
use crate::run::Clock;
use crate::store::{self, Incoming, ModelStore};
use crate::text::Text;
use inference::Piece;

/// Lines a server listens on: UART0 and USB-Serial-JTAG on the chip.
pub const LINES: usize = 2;

/// Layers whose cycles are kept; those beyond count in the total only.
pub const PROFILED_LAYERS: usize = 256;

/// What doesn't depend on the model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Board {
    /// Espressif's chip number; 9 is the ESP32-S3.
    pub chip: u16,
    /// The firmware's version.
    pub firmware: Version,
    /// A board in software, whose cycle counts are no measurements.
    pub virtual_board: bool,
    /// Clock of [`Clock`], in Hz.
    pub cpu_hz: u32,
    /// Size of the flash chip in bytes; 0 when unknown.
    pub flash_bytes: u32,
    /// First four bytes of the SHA-256 at the end of the runtime's image; 0 when unknown.
    pub runtime_id: u32,
    /// Cores that run the model; 0 when unknown.
    pub cores: u8,
    /// PSRAM in the package in bytes, whether or not it answers.
    pub psram_bytes: u32,
}

/// Why there is no model to run.
struct Problem {
    code: ErrorCode,
    detail: u32,
    text: Text,
}

impl Problem {
    #[inline(never)]
    fn new(code: ErrorCode, text: &dyn fmt::Display) -> Self {
        Self {
            code,
            detail: 0,
            text: Text::of(text),
        }
    }
}

/// Answers a host; see the crate's documentation.
pub struct Server<'a, C> {
    lines: [Decoder<[u8; BUFFER_BYTES]>; LINES],
    station: Station<'a, C>,
}

struct Station<'a, C> {
    board: Board,
    model: Option<Model<'a>>,
    problem: Option<Problem>,
    /// For a model that can run here.
    arena: Arena<'a>,
    /// Bytes of both arenas.
    arena_bytes: [u32; 2],
    constants: Constants,
    clock: C,
    store: Option<&'a mut dyn ModelStore>,
    incoming: Option<Incoming>,
    wants_restart: bool,
    accelerator: Option<&'a mut dyn Accelerator>,
    // Where the next piece of input is expected: everything before it is staged.
    next_input: u16,
    next_offset: u32,
    /// Where the run of the last complete inputs is, from its first layer on.
    under_way: Option<UnderWay>,
    layer_cycles: [u32; PROFILED_LAYERS],
}

#[derive(Clone, Copy, Default)]
struct UnderWay {
    position: Position,
    cycles: u64,
    /// Of the `Run` that brought it here.
    sequence: Option<u16>,
}

impl UnderWay {
    fn layers(&self) -> u16 {
        short(self.position.layer())
    }

    fn result(&self) -> Reply<'static> {
        Reply::Result {
            cycles: self.cycles,
            layers: self.layers(),
        }
    }
}

impl<'a, C: Clock> Server<'a, C> {
    /// A server for the model in `image` (16-byte aligned, may be longer than the model), or for a board that has none, for the
    /// reason given: the link works all the same and says so.
    ///
    /// `arenas` is the memory for tensors; a model that needs more is refused.
    pub fn new(
        board: Board,
        image: Result<&'a [u8], ErrorCode>,
        arenas: impl Into<Arenas<'a>>,
        clock: C,
    ) -> Self {
        let arenas = arenas.into();
        let sizes = arenas.bytes();
        let refused = |error: &dyn fmt::Display| Some(Problem::new(ErrorCode::ModelRefused, error));
        let mut constants = Constants::Flash;
        let mut arena = Arena::default();
        let (model, problem) = match image.map(Model::parse) {
            Ok(Ok(model)) => match objection(&model, sizes) {
                None => {
                    let placed = arenas.place(model);
                    (arena, constants) = (placed.arena, placed.constants);
                    (Some(placed.model), None)
                }
                Some(error @ RunError::ArenaTooSmall { need, .. }) => {
                    let mut problem = Problem::new(ErrorCode::ArenaTooSmall, &error);
                    problem.detail = need;
                    (Some(model), Some(problem))
                }
                Some(error) => (Some(model), refused(&error)),
            },
            Ok(Err(error)) => (None, refused(&error)),
            Err(code) => (None, Some(Problem::new(code, &format_args!("")))),
        };
        Server {
            lines: core::array::from_fn(|_| Decoder::fixed()),
            station: Station {
                board,
                model,
                problem,
                arena,
                arena_bytes: sizes,
                constants,
                clock,
                store: None,
                incoming: None,
                wants_restart: false,
                accelerator: None,
                next_input: 0,
                next_offset: 0,
                under_way: None,
                layer_cycles: [0; PROFILED_LAYERS],
            },
        }
    }

    /// Lets the server put new models into `store`.
    pub fn with_store(mut self, store: &'a mut dyn ModelStore) -> Self {
        self.station.store = Some(store);
        self
    }

    /// Whether a new model was switched to: once everything sent has left, the caller restarts the
    /// chip, and makes a new server from what is in flash then.
    pub fn wants_restart(&self) -> bool {
        self.station.wants_restart
    }

    /// Runs go to the board's own kernels from now on, where it has some.
    pub fn accelerate(&mut self, accelerator: &'a mut dyn Accelerator) {
        self.station.accelerator = Some(accelerator);
    }

    /// The model that requests are about, whether or not it can be run here.
    pub fn model(&self) -> Option<&Model<'a>> {
        self.station.model.as_ref()
    }

    /// Why `Run` would be refused.
    pub fn problem(&self) -> Option<ErrorCode> {
        self.station.problem.as_ref().map(|problem| problem.code)
    }

    /// Takes what came in on the first line; replies go into `sink` before this returns.
    pub fn on_bytes(&mut self, bytes: &[u8], sink: &mut impl Sink) {
        self.on_line(0, bytes, sink);
    }

    /// The same for line 0 or 1: each has a receiver of its own, so that noise on one doesn't disturb the other. Bytes of other
    /// lines are ignored.
    pub fn on_line(&mut self, line: usize, bytes: &[u8], sink: &mut impl Sink) {
        let dropped = self.lines.iter().fold(0, |sum: u32, line| {
            sum.wrapping_add(line.counters().dropped())
        });
        let Some(decoder) = self.lines.get_mut(line) else {
            return;
        };
        for &byte in bytes {
            if let Step::Frame(frame) = decoder.push(byte) {
                self.station.answer(&frame, dropped, sink);
            }
        }
    }
}

/// A refusal: code and detail.
type Refusal = (ErrorCode, u32);

impl<'a, C: Clock> Station<'a, C> {
    fn answer(&mut self, frame: &Frame<'_>, dropped: u32, sink: &mut impl Sink) {
        let sequence = frame.sequence;
        if frame.version != VERSION {
            return refuse(
                (ErrorCode::OtherVersion, u32::from(VERSION)),
                sequence,
                sink,
            );
        }
        let request = match Request::read(frame) {
            Ok(Some(request)) => request,
            Ok(None) => {
                let kind = u32::from(frame.kind);
                return refuse((ErrorCode::UnknownRequest, kind), sequence, sink);
            }
            Err(_) => return refuse((ErrorCode::BadRequest, 0), sequence, sink),
        };
        let outcome = match request {
            Request::Hello => {
                let info = self.info(dropped);
                send(Reply::Info(info), sequence, sink);
                Ok(())
            }
            Request::Tensor { direction, index } => self.describe(direction, index, sequence, sink),
            Request::Layer { index } => self.describe_layer(index, sequence, sink),
            Request::WriteInput {
                input,
                offset,
                bytes,
            } => self
                .stage(input, offset, bytes)
                .map(|detail| send(Reply::Ack { detail }, sequence, sink)),
            Request::Run { options: 0 } => self.run(sequence, sink),
            Request::Run { options } => Err((ErrorCode::Unsupported, options)),
            Request::ReadOutput {
                output,
                length,
                offset,
            } => self.read(Piece::Output, output, length, offset, sequence, sink),
            Request::Profile { first } => self.profile(first, sequence, sink),
            Request::Step { layer } => self.step(layer, sequence, sink),
            Request::ReadLayer {
                layer,
                length,
                offset,
            } => self.read(Piece::Layer, layer, length, offset, sequence, sink),
            Request::ModelBegin { bytes, id } => self
                .begin_model(bytes, id)
                .map(|detail| send(Reply::Ack { detail }, sequence, sink)),
            Request::ModelWrite { offset, bytes } => self
                .write_model(offset, bytes)
                .map(|detail| send(Reply::Ack { detail }, sequence, sink)),
            Request::ModelVerify => {
                let mut why = Text::EMPTY;
                match self.verify_model(&mut why) {
                    Ok(detail) => send(Reply::Ack { detail }, sequence, sink),
                    Err((code, detail)) => {
                        let text = why.as_str();
                        send(Reply::Error { code, detail, text }, sequence, sink);
                    }
                }
                Ok(())
            }
            Request::ModelActivate { id } => self
                .activate_model(id)
                .map(|()| send(Reply::Ack { detail: id }, sequence, sink)),
        };
        if let Err(refusal) = outcome {
            refuse(refusal, sequence, sink);
        }
    }

    fn info(&self, dropped: u32) -> Info<'_> {
        let mut info = Info {
            protocol: u16::from(VERSION),
            chip: self.board.chip,
            firmware: self.board.firmware,
            virtual_board: self.board.virtual_board,
            cpu_hz: self.board.cpu_hz,
            flash_bytes: self.board.flash_bytes,
            arena_available: self.arena_bytes[0],
            frames_dropped: dropped,
            ..Info::default()
        };
        if let Some(model) = &self.model {
            info.arena_needed = model.arena_bytes();
            info.model_id = model.id();
            info.model_bytes = u32::try_from(model.image().len()).unwrap_or(u32::MAX);
            info.model_name = model.name();
            info.inputs = short(model.inputs().len());
            info.outputs = short(model.outputs().len());
            info.layers = short(model.layers().len());
        }
        info.runtime_id = self.board.runtime_id;
        info.cores = u32::from(self.board.cores);
        info.psram_bytes = self.board.psram_bytes;
        info.psram_available = self.arena_bytes[1];
        info.constants = self.constants;
        info.model_room = self.store.as_deref().map_or(0, store::room);
        if let Some(problem) = &self.problem {
            info.problem = Some(problem.code);
            info.problem_text = problem.text.as_str();
        }
        info
    }

    /// The model, if it can be run.
    fn runnable(&self) -> Result<Model<'a>, Refusal> {
        match (self.model, &self.problem) {
            (Some(model), None) => Ok(model),
            (_, Some(problem)) => Err((ErrorCode::NoModel, problem.detail)),
            (None, None) => Err((ErrorCode::NoModel, 0)),
        }
    }
}

/// Why a model that can be read can't run here.
fn objection(model: &Model<'_>, arenas: [u32; 2]) -> Option<RunError> {
    if arenas::parts(model, arenas).is_none() {
        let [internal, external] = arenas;
        let (need, have) = (model.arena_bytes(), internal.max(external));
        return Some(RunError::ArenaTooSmall { have, need });
    }
    // Also where the runtime was built with it, as on hosts: a virtual board shows what a board does.
    (model.arithmetic() != Arithmetic::Fixpoint).then_some(RunError::ArithmeticNotBuilt)
}

/// A count for a field of two bytes; images hold their counts in two bytes as well.
fn short(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

fn refuse((code, detail): Refusal, sequence: u16, sink: &mut impl Sink) {
    send(
        Reply::Error {
            code,
            detail,
            text: "",
        },
        sequence,
        sink,
    );
}

fn send(reply: Reply<'_>, sequence: u16, sink: &mut impl Sink) {
    // Every reply above is clipped to a frame.
    let _ = reply.write(sequence, sink);
}
