//! The client: one job at a time, one request in flight, the same bytes again when no reply comes.

use std::collections::VecDeque;
use std::string::String;
use std::vec;
use std::vec::Vec;

use crate::{BUFFER_BYTES, Counters, Decoder, Frame, Reply, Step, VERSION};

use super::console::Console;
use super::diagnosis::Diagnosis;
use super::error::LinkError;
use super::job::{Board, Inference, Layer};
use super::update::Update;
use super::work::{Next, Work};

/// What the caller is to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Write all of these bytes to the port, then poll again.
    Write(Vec<u8>),
    /// Read the port until this time, or until bytes come; then poll again.
    WaitUntil(u64),
    /// Something to show; poll again.
    Event(Event),
    /// The job is finished, or there was none.
    Done,
    /// The job came to nothing.
    Failed(LinkError),
}

/// What a client has to tell.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Text the board printed between messages: its boot log, a panic.
    Console(String),
    /// `connect` succeeded.
    Connected(Board),
    /// `describe_layers` succeeded.
    Layers(Vec<Layer>),
    /// The board is at work on a run.
    Progress {
        /// Layers finished.
        done: u16,
        /// Layers in all.
        layers: u16,
    },
    /// `infer` or `trace` succeeded.
    Inference(Inference),
    /// A layer of `trace` has run, and this is its output.
    LayerOutput {
        /// Its number in the order of execution.
        layer: u16,
        /// Its bytes as stored.
        bytes: Vec<u8>,
    },
    /// A new model is on its way: bytes there, of all.
    Updating {
        /// Bytes the board has.
        done: u32,
        /// Bytes of the image.
        total: u32,
    },
    /// `update_model` succeeded: the board restarts and runs the model with this id. Connect anew.
    Updated(u32),
}

/// Times in milliseconds, and how often to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// For a reply, the time to send 1 KB both ways included.
    pub reply_ms: u64,
    /// Between two `Hello`s while connecting.
    pub hello_ms: u64,
    /// For connecting in all: a board that was just restarted needs a second or two to boot.
    pub connect_ms: u64,
    /// For the next sign of life of a board that is running a model.
    pub run_silence_ms: u64,
    /// How often a request is sent before giving up.
    pub attempts: u32,
    /// How often an inference or an update is started anew when the board forgot what it was given.
    pub restarts: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            reply_ms: 1_000,
            hello_ms: 250,
            connect_ms: 6_000,
            run_silence_ms: 10_000,
            attempts: 5,
            restarts: 2,
        }
    }
}

struct Flight {
    bytes: Vec<u8>,
    sequence: u16,
    sent: u32,
    deadline: u64,
}

struct Job {
    work: Work,
    // Set by the first poll.
    started: Option<u64>,
    counters: Counters,
    bytes_seen: u64,
    // The board is executing: silence may last longer.
    running: bool,
    heard: bool,
}

/// Talks to a board through whatever port the caller has.
pub struct LinkClient {
    options: Options,
    decoder: Decoder<Vec<u8>>,
    console: Console,
    events: VecDeque<Event>,
    board: Option<Board>,
    sequence: u16,
    bytes_seen: u64,
    // When a frame that has begun last grew, and the bytes seen by then.
    partial: Option<(u64, u64)>,
    job: Option<Job>,
    flight: Option<Flight>,
    failure: Option<LinkError>,
}

impl Default for LinkClient {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

impl LinkClient {
    /// A client that has nothing to do yet.
    pub fn new(options: Options) -> Self {
        LinkClient {
            options,
            decoder: Decoder::new(vec![0; BUFFER_BYTES]),
            console: Console::default(),
            events: VecDeque::new(),
            board: None,
            sequence: 0,
            bytes_seen: 0,
            partial: None,
            job: None,
            flight: None,
            failure: None,
        }
    }

    /// Job: ask the board who it is and what it runs, for up to `connect_ms`. Ends with
    /// [`Event::Connected`].
    pub fn connect(&mut self) {
        self.board = None;
        self.console.forget();
        self.start(Work::connect());
    }

    /// Job: ask for the name and operator of every layer. Ends with [`Event::Layers`].
    pub fn describe_layers(&mut self) {
        match self.connected_model() {
            Ok(model) => {
                let work = Work::layers(model.layers);
                self.start(work);
            }
            Err(error) => self.fail(error),
        }
    }

    /// Job: one run. `inputs` are bytes as the image stores them, in the order of the model's inputs.
    /// Ends with [`Event::Inference`].
    pub fn infer(&mut self, inputs: Vec<Vec<u8>>) {
        let work = self
            .connected_model()
            .and_then(|model| Work::infer(model, inputs, self.options.restarts));
        match work {
            Ok(work) => self.start(work),
            Err(error) => self.fail(error),
        }
    }

    /// Job: one run as [`infer`](Self::infer), that stops behind every layer to fetch its output: an
    /// [`Event::LayerOutput`] for each, and [`Event::Inference`] at the end. `layer_bytes` are the sizes
    /// of the outputs, which [`describe_layers`](Self::describe_layers) gave. A firmware that is too old for it refuses
    /// ([`ErrorCode::UnknownRequest`](crate::ErrorCode)).
    pub fn trace(&mut self, inputs: Vec<Vec<u8>>, layer_bytes: Vec<u32>) {
        let work = self
            .connected_model()
            .and_then(|model| Work::trace(model, inputs, layer_bytes, self.options.restarts));
        match work {
            Ok(work) => self.start(work),
            Err(error) => self.fail(error),
        }
    }

    /// Job: put a model image into the board's other model slot, have it checked there, and switch
    /// over to it. The board restarts at the end, so that everything known about it is to be asked again
    /// ([`connect`](Self::connect)). Cut at any moment the board keeps running what it ran. Ends with
    /// [`Event::Updated`].
    pub fn update_model(&mut self, image: Vec<u8>) {
        let work = match &self.board {
            None => Err(LinkError::NotConnected),
            Some(board) => Update::new(image, board.model_room, self.options.restarts),
        };
        match work {
            Ok(update) => self.start(Work::Update(update)),
            Err(error) => self.fail(error),
        }
    }

    /// Gives up the job.
    pub fn cancel(&mut self) {
        self.job = None;
        self.flight = None;
        self.failure = None;
    }

    /// The board, once connected.
    pub fn board(&self) -> Option<&Board> {
        self.board.as_ref()
    }

    /// Whether a job is under way.
    pub fn busy(&self) -> bool {
        self.job.is_some() || self.failure.is_some() || !self.events.is_empty()
    }

    /// Frames received and dropped so far.
    pub fn counters(&self) -> Counters {
        self.decoder.counters()
    }

    fn connected_model(&self) -> Result<&super::job::Model, LinkError> {
        match &self.board {
            None => Err(LinkError::NotConnected),
            Some(board) => board
                .model
                .as_ref()
                .map_err(|p| LinkError::NoModel(p.clone())),
        }
    }

    fn start(&mut self, work: Work) {
        self.flight = None;
        self.failure = None;
        self.job = Some(Job {
            work,
            started: None,
            counters: self.decoder.counters(),
            bytes_seen: self.bytes_seen,
            running: false,
            heard: false,
        });
    }

    fn fail(&mut self, error: LinkError) {
        self.job = None;
        self.flight = None;
        self.failure = Some(error);
    }

    /// Bytes read from the port, in any pieces.
    pub fn on_bytes(&mut self, bytes: &[u8]) {
        self.bytes_seen += bytes.len() as u64;
        // The decoder's answers borrow its buffer, so it is out of `self` for the loop.
        let mut decoder = core::mem::replace(&mut self.decoder, Decoder::new(Vec::new()));
        for &byte in bytes {
            match decoder.push(byte) {
                Step::More => {}
                Step::Text(text) => self.console.text(text),
                Step::Dropped(rest) => self.console.salvage(rest),
                Step::Frame(frame) => self.on_frame(&frame),
            }
        }
        self.decoder = decoder;
    }

    fn on_frame(&mut self, frame: &Frame<'_>) {
        let (Some(job), Some(flight)) = (&mut self.job, &self.flight) else {
            return;
        };
        if frame.version != VERSION {
            let board = frame.version;
            return self.fail(LinkError::OtherVersion { board });
        }
        if frame.sequence != flight.sequence {
            return;
        }
        let reply = match Reply::read(frame) {
            Ok(Some(reply)) => reply,
            // A kind we don't know, or our own request echoed.
            Ok(None) => return,
            Err(_) => {
                return self.fail(LinkError::WrongReply {
                    what: "its length or contents",
                });
            }
        };
        if let Reply::Progress { done, layers } = reply {
            job.running = true;
            job.heard = true;
            self.events.push_back(Event::Progress { done, layers });
            return;
        }
        match job.work.on_reply(&reply) {
            Ok(Next::Request) => self.flight = None,
            Ok(Next::Tell(event)) => {
                self.flight = None;
                self.events.push_back(event);
            }
            Ok(Next::Finished(event)) => {
                match &event {
                    Event::Connected(board) => self.board = Some(board.clone()),
                    Event::Updated(_) => self.board = None,
                    _ => {}
                }
                self.job = None;
                self.flight = None;
                self.events.push_back(event);
            }
            Err(error) => self.fail(error),
        }
    }

    /// Next thing to do at `now_ms`, any clock that never goes back.
    pub fn poll(&mut self, now_ms: u64) -> Action {
        self.give_up_partial(now_ms);
        if let Some(text) = self.console.take() {
            return Action::Event(Event::Console(text));
        }
        if let Some(event) = self.events.pop_front() {
            return Action::Event(event);
        }
        if let Some(error) = self.failure.take() {
            return Action::Failed(error);
        }
        let Some(job) = &mut self.job else {
            return Action::Done;
        };
        let started = *job.started.get_or_insert(now_ms);
        let reply_ms = match job.work.connecting() {
            true => self.options.hello_ms,
            false => self.options.reply_ms,
        };
        let Some(flight) = &mut self.flight else {
            job.running = false;
            self.sequence = self.sequence.wrapping_add(1);
            let mut bytes = Vec::new();
            // Pieces are cut to fit by `Work`.
            let _ = job.work.request().write(self.sequence, &mut bytes);
            self.flight = Some(Flight {
                bytes: bytes.clone(),
                sequence: self.sequence,
                sent: 1,
                deadline: now_ms + reply_ms,
            });
            return Action::Write(bytes);
        };
        if core::mem::take(&mut job.heard) {
            flight.deadline = now_ms + self.options.run_silence_ms;
            flight.sent = 1;
        }
        if now_ms < flight.deadline {
            return Action::WaitUntil(flight.deadline);
        }
        let over = match job.work.connecting() {
            true => now_ms >= started + self.options.connect_ms,
            false => flight.sent >= self.options.attempts,
        };
        if over {
            let error = match job.work.connecting() {
                true => self.diagnose(),
                false => LinkError::Lost {
                    during: job.work.during(),
                },
            };
            self.fail(error.clone());
            self.failure = None;
            return Action::Failed(error);
        }
        flight.sent += 1;
        flight.deadline = now_ms + reply_ms;
        Action::Write(flight.bytes.clone())
    }

    /// A frame that has begun and does not go on was cut by a restart: what follows is text.
    fn give_up_partial(&mut self, now_ms: u64) {
        if !self.decoder.mid_frame() {
            self.partial = None;
            return;
        }
        match self.partial {
            Some((since, seen)) if seen == self.bytes_seen => {
                if now_ms >= since + self.options.reply_ms {
                    self.partial = None;
                    match self.decoder.abandon() {
                        Step::Text(text) => self.console.text(text),
                        Step::Dropped(rest) => self.console.salvage(rest),
                        Step::More | Step::Frame(_) => {}
                    }
                }
            }
            _ => self.partial = Some((now_ms, self.bytes_seen)),
        }
    }

    /// Why nobody answered `Hello`.
    fn diagnose(&self) -> LinkError {
        let Some(job) = &self.job else {
            return LinkError::NoRuntime(Diagnosis::Silent);
        };
        let text = self.console.tail();
        let bytes = self.bytes_seen - job.bytes_seen + text.len() as u64;
        let counters = self.decoder.counters();
        let dropped = counters.dropped().wrapping_sub(job.counters.dropped());
        LinkError::NoRuntime(match Diagnosis::of(text, bytes) {
            // Broken frames among the text: the runtime, over a bad line.
            Diagnosis::Application if dropped > 0 => Diagnosis::Noise,
            doing => doing,
        })
    }
}
