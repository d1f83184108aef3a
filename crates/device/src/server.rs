//! Requests in, replies out, and the little state that makes requests repeatable.

use fixpoint_protocol::{
    BUFFER_BYTES, Cycles, Decoder, Dims, Direction, Element, ErrorCode, Frame, Info, LayerInfo,
    MAX_CYCLES, MAX_DATA, Reply, Request, Sink, Step, TensorInfo, VERSION, Version,
};
use fixpoint_runtime::accelerator::Accelerator;
use fixpoint_runtime::{
    self as runtime, Arithmetic, Block16, Model, Position, RunError, Storage, run_to,
};

use crate::run::{Clock, Meter};
use crate::store::{self, Incoming, ModelStore};
use crate::text::Text;

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
}

/// Why there is no model to run.
struct Problem {
    code: ErrorCode,
    detail: u32,
    text: Text,
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
    arena: &'a mut [Block16],
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
    /// `arena` is the memory for tensors; a model that needs more is refused.
    pub fn new(
        board: Board,
        image: Result<&'a [u8], ErrorCode>,
        arena: &'a mut [Block16],
        clock: C,
    ) -> Self {
        let parsed = match image {
            Ok(bytes) => Model::parse(bytes).map_err(|error| Problem {
                code: ErrorCode::ModelRefused,
                detail: 0,
                text: Text::of(&error),
            }),
            Err(code) => Err(Problem {
                code,
                detail: 0,
                text: Text::EMPTY,
            }),
        };
        let (model, problem) = match parsed {
            Ok(model) if model.arena_bytes() > arena_bytes(arena) => (
                Some(model),
                Some(Problem {
                    code: ErrorCode::ArenaTooSmall,
                    detail: model.arena_bytes(),
                    text: Text::EMPTY,
                }),
            ),
            // Also where the runtime was built with it, as on hosts: a virtual board shows what a
            // board does.
            Ok(model) if model.arithmetic() != Arithmetic::Fixpoint => (
                Some(model),
                Some(Problem {
                    code: ErrorCode::ModelRefused,
                    detail: 0,
                    text: Text::of(&RunError::ArithmeticNotBuilt),
                }),
            ),
            Ok(model) => (Some(model), None),
            Err(problem) => (None, Some(problem)),
        };
        Server {
            lines: core::array::from_fn(|_| Decoder::fixed()),
            station: Station {
                board,
                model,
                problem,
                arena,
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

fn arena_bytes(arena: &[Block16]) -> u32 {
    u32::try_from(size_of_val(arena)).unwrap_or(u32::MAX)
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
            } => self.read_output(output, length, offset, sequence, sink),
            Request::Profile { first } => self.profile(first, sequence, sink),
            Request::Step { layer } => self.step(layer, sequence, sink),
            Request::ReadLayer {
                layer,
                length,
                offset,
            } => self.read_layer(layer, length, offset, sequence, sink),
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
            arena_available: arena_bytes(self.arena),
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

    fn describe(
        &self,
        direction: Direction,
        index: u16,
        sequence: u16,
        sink: &mut impl Sink,
    ) -> Result<(), Refusal> {
        let model = self.model.as_ref().ok_or((ErrorCode::NoModel, 0))?;
        let at = usize::from(index);
        let (tensor, count) = match direction {
            Direction::Input => (model.inputs().nth(at), model.inputs().len()),
            Direction::Output => (model.outputs().nth(at), model.outputs().len()),
        };
        let tensor = tensor.ok_or((ErrorCode::NoSuchItem, u32::from(short(count))))?;
        let reply = Reply::Tensor(TensorInfo {
            index,
            element: element(tensor.element),
            exponent: tensor.exponent,
            channels_last: tensor.storage == Storage::ChannelsLast,
            bytes: tensor.bytes,
            dims: Dims::Values(tensor.dims()),
            name: tensor.name,
        });
        send(reply, sequence, sink);
        Ok(())
    }

    fn describe_layer(
        &self,
        index: u16,
        sequence: u16,
        sink: &mut impl Sink,
    ) -> Result<(), Refusal> {
        let model = self.model.as_ref().ok_or((ErrorCode::NoModel, 0))?;
        let none = (
            ErrorCode::NoSuchItem,
            u32::from(short(model.layers().len())),
        );
        let layer = model.layers().nth(usize::from(index)).ok_or(none)?;
        let output = model.tensor(layer.output).ok_or(none)?;
        let reply = Reply::Layer(LayerInfo {
            index,
            element: element(output.element),
            exponent: output.exponent,
            bytes: output.bytes,
            name: layer.name,
            operator: layer.operator,
            channels_last: output.storage == Storage::ChannelsLast,
            dims: Dims::Values(output.dims()),
        });
        send(reply, sequence, sink);
        Ok(())
    }

    /// Copies a piece into the arena; the number of bytes of that input staged afterwards.
    fn stage(&mut self, input: u16, offset: u32, bytes: &[u8]) -> Result<u32, Refusal> {
        let model = self.runnable()?;
        let count = model.inputs().len();
        let tensor = model
            .inputs()
            .nth(usize::from(input))
            .ok_or((ErrorCode::NoSuchItem, u32::from(short(count))))?;
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let end = offset
            .checked_add(length)
            .filter(|&end| end <= tensor.bytes)
            .ok_or((ErrorCode::OutOfRange, tensor.bytes))?;
        let restart = input == 0 && offset == 0;
        let in_order = restart
            || input < self.next_input
            || (input == self.next_input && offset <= self.next_offset);
        if !in_order {
            let expected = if input == self.next_input {
                self.next_offset
            } else {
                0
            };
            return Err((ErrorCode::InputGap, expected));
        }
        let slice = model
            .input_mut(self.arena, usize::from(input))
            .and_then(|memory| memory.get_mut(offset as usize..end as usize))
            .ok_or((ErrorCode::OutOfRange, tensor.bytes))?;
        slice.copy_from_slice(bytes);
        self.under_way = None;
        if restart {
            (self.next_input, self.next_offset) = (0, 0);
        }
        if input < self.next_input {
            return Ok(tensor.bytes);
        }
        self.next_offset = self.next_offset.max(end);
        let staged = self.next_offset;
        if staged == tensor.bytes {
            (self.next_input, self.next_offset) = (input + 1, 0);
        }
        Ok(staged)
    }

    fn run(&mut self, sequence: u16, sink: &mut impl Sink) -> Result<(), Refusal> {
        let model = self.runnable()?;
        if let Some(done) = self.under_way.filter(|run| run.sequence == Some(sequence)) {
            send(done.result(), sequence, sink);
            return Ok(());
        }
        self.inputs_complete(&model)?;
        self.advance(
            &model,
            UnderWay::default(),
            model.layers().len(),
            sequence,
            sink,
        );
        if let Some(run) = &mut self.under_way {
            run.sequence = Some(sequence);
        }
        Ok(())
    }

    fn step(&mut self, layer: u16, sequence: u16, sink: &mut impl Sink) -> Result<(), Refusal> {
        let model = self.runnable()?;
        let (end, layers) = (usize::from(layer) + 1, model.layers().len());
        if end > layers {
            return Err((ErrorCode::NoSuchItem, u32::from(short(layers))));
        }
        match self.under_way {
            Some(run) if run.position.layer() > end => return Err((ErrorCode::InputMissing, 0)),
            Some(run) if run.position.layer() == end => send(run.result(), sequence, sink),
            Some(run) => self.advance(&model, run, end, sequence, sink),
            None => {
                self.inputs_complete(&model)?;
                self.advance(&model, UnderWay::default(), end, sequence, sink);
            }
        }
        Ok(())
    }

    fn inputs_complete(&self, model: &Model<'_>) -> Result<(), Refusal> {
        if usize::from(self.next_input) < model.inputs().len() {
            return Err((ErrorCode::InputMissing, u32::from(self.next_input)));
        }
        Ok(())
    }

    /// Executes layers from where `run` is up to `end` and answers.
    fn advance(
        &mut self,
        model: &Model<'a>,
        mut run: UnderWay,
        end: usize,
        sequence: u16,
        sink: &mut impl Sink,
    ) {
        self.under_way = None;
        // Whatever happens, the inputs are used up.
        (self.next_input, self.next_offset) = (0, 0);
        let layers = model.layers().len();
        let mut meter = Meter::start(
            &mut self.clock,
            sink,
            sequence,
            (run.layers(), run.cycles),
            short(layers),
            self.board.cpu_hz / 4,
            &mut self.layer_cycles[..layers.min(PROFILED_LAYERS)],
        );
        let accelerator: &mut dyn Accelerator = match &mut self.accelerator {
            Some(accelerator) => &mut **accelerator,
            None => &mut (),
        };
        let outcome = run_to(
            accelerator,
            model,
            self.arena,
            &mut meter,
            run.position,
            end,
        );
        meter.lap();
        run.cycles = meter.total;
        match outcome {
            Ok(position) => {
                run.position = position;
                self.under_way = Some(run);
                send(run.result(), sequence, sink);
            }
            Err(error) => {
                let text = Text::of(&error);
                let reply = Reply::Error {
                    code: ErrorCode::RunFailed,
                    detail: 0,
                    text: text.as_str(),
                };
                send(reply, sequence, sink);
            }
        }
    }

    fn read_output(
        &self,
        output: u16,
        length: u16,
        offset: u32,
        sequence: u16,
        sink: &mut impl Sink,
    ) -> Result<(), Refusal> {
        let model = self.runnable()?;
        let count = model.outputs().len();
        if usize::from(output) >= count {
            return Err((ErrorCode::NoSuchItem, u32::from(short(count))));
        }
        let whole = self
            .under_way
            .filter(|run| run.position.layer() == model.layers().len())
            .and_then(|_| model.output(self.arena, usize::from(output)));
        send_piece(output, whole, length, offset, sequence, sink)
    }

    fn read_layer(
        &self,
        layer: u16,
        length: u16,
        offset: u32,
        sequence: u16,
        sink: &mut impl Sink,
    ) -> Result<(), Refusal> {
        let model = self.runnable()?;
        let layers = model.layers().len();
        if usize::from(layer) >= layers {
            return Err((ErrorCode::NoSuchItem, u32::from(short(layers))));
        }
        // What ran before it may have been overwritten.
        let whole = self
            .under_way
            .filter(|run| run.position.layer() == usize::from(layer) + 1)
            .and_then(|_| model.layer_output(self.arena, layer.into()));
        send_piece(layer, whole, length, offset, sequence, sink)
    }

    fn profile(&self, first: u16, sequence: u16, sink: &mut impl Sink) -> Result<(), Refusal> {
        let Some(run) = self.under_way else {
            return Err((ErrorCode::NoResult, 0));
        };
        let recorded = run.position.layer().min(PROFILED_LAYERS);
        let counts = self.layer_cycles[..recorded]
            .get(usize::from(first)..)
            .ok_or((ErrorCode::NoSuchItem, u32::from(short(recorded))))?;
        let reply = Reply::Profile {
            first,
            recorded: short(recorded),
            cycles: Cycles::Values(&counts[..counts.len().min(MAX_CYCLES)]),
        };
        send(reply, sequence, sink);
        Ok(())
    }
}

/// Answers with a piece of `whole`, or that there is no result.
fn send_piece(
    output: u16,
    whole: Option<&[u8]>,
    length: u16,
    offset: u32,
    sequence: u16,
    sink: &mut impl Sink,
) -> Result<(), Refusal> {
    let whole = whole.ok_or((ErrorCode::NoResult, 0))?;
    let out_of_range = (
        ErrorCode::OutOfRange,
        u32::try_from(whole.len()).unwrap_or(u32::MAX),
    );
    let start = usize::try_from(offset).map_err(|_| out_of_range)?;
    let bytes = start
        .checked_add(usize::from(length).min(MAX_DATA))
        .and_then(|end| whole.get(start..end))
        .ok_or(out_of_range)?;
    let reply = Reply::Output {
        output,
        offset,
        bytes,
    };
    send(reply, sequence, sink);
    Ok(())
}

impl<C> Station<'_, C> {
    fn begin_model(&mut self, bytes: u32, id: u32) -> Result<u32, Refusal> {
        let store = self.store.as_deref_mut();
        let store = store.ok_or((ErrorCode::NoModelSlot, 0))?;
        let (incoming, there) = store::begin(store, bytes, id)?;
        self.incoming = Some(incoming);
        Ok(there)
    }

    fn write_model(&mut self, offset: u32, bytes: &[u8]) -> Result<u32, Refusal> {
        match (&mut self.incoming, self.store.as_deref_mut()) {
            (Some(incoming), Some(store)) => incoming.write(store, offset, bytes),
            (None, Some(_)) => Err((ErrorCode::ModelGap, 0)),
            (_, None) => Err((ErrorCode::NoModelSlot, 0)),
        }
    }

    fn verify_model(&mut self, why: &mut Text) -> Result<u32, Refusal> {
        let arena = arena_bytes(self.arena);
        match (&mut self.incoming, self.store.as_deref_mut()) {
            (Some(incoming), Some(store)) => {
                incoming.verify(store, |model| problem(model, arena), why)
            }
            (None, Some(_)) => Err((ErrorCode::ModelGap, 0)),
            (_, None) => Err((ErrorCode::NoModelSlot, 0)),
        }
    }

    fn activate_model(&mut self, id: u32) -> Result<(), Refusal> {
        // Asked again after the restart: done already.
        let runs = self.problem.is_none() && self.model.is_some_and(|model| model.id() == id);
        if runs || self.wants_restart {
            return Ok(());
        }
        match (&self.incoming, self.store.as_deref_mut()) {
            (Some(incoming), Some(store)) => incoming.activate(store, id)?,
            (None, Some(_)) => return Err((ErrorCode::ModelGap, 0)),
            (_, None) => return Err((ErrorCode::NoModelSlot, 0)),
        }
        self.wants_restart = true;
        Ok(())
    }
}

/// Why a model that can be read can't run here.
fn problem(model: &Model<'_>, arena: u32) -> Option<Text> {
    if model.arena_bytes() > arena {
        let needed = model.arena_bytes();
        let text = format_args!("it needs {needed} bytes for its tensors and there are {arena}");
        return Some(Text::of(&text));
    }
    // Also where the runtime was built with it, as on hosts: a virtual board shows what a board does.
    (model.arithmetic() != Arithmetic::Fixpoint).then(|| Text::of(&RunError::ArithmeticNotBuilt))
}

fn element(element: runtime::Element) -> Element {
    match element {
        runtime::Element::I8 => Element::I8,
        runtime::Element::I16 => Element::I16,
    }
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
