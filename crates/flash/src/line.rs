//! The serial line as the session sees it: awaitable sleeps and frames.
//!
//! The session is written as one `async fn`; [`crate::Flasher`] is its executor. Nothing here
//! does I/O: writes become [`Action`]s, time and bytes come in through the flasher.

use crate::error::FlashError;
use crate::flasher::{Action, Event, Phase, Progress};
use crate::reset::Step;
use crate::slip::{Decoder, Item};
use std::{
    cell::{RefCell, RefMut},
    collections::{BTreeMap, VecDeque},
    future::poll_fn,
    rc::Rc,
    task::Poll,
};

/// Console text kept for the diagnosis.
const LOG_BYTES: usize = 4096;

#[derive(Default)]
pub(crate) struct State {
    pub(crate) actions: VecDeque<Action>,
    pub(crate) now_ms: u64,
    /// What the session waits for at most.
    pub(crate) deadline_ms: u64,
    pub(crate) events: Vec<Event>,
    pub(crate) progress: Progress,
    pub(crate) cancelled: bool,
    pub(crate) closed: bool,
    /// Step the session is in, for errors.
    pub(crate) during: &'static str,
    pub(crate) baud: u32,
    /// Bytes written so far, by segment.
    pub(crate) written: BTreeMap<String, u64>,
    /// Every byte as it comes, while somebody listens for the application.
    pub(crate) raw: Option<Vec<u8>>,
    decoder: Decoder,
    frames: VecDeque<Vec<u8>>,
    /// Text since the last event.
    text: Vec<u8>,
    log: Vec<u8>,
    bytes_since_reset: u64,
}

impl State {
    pub(crate) fn on_bytes(&mut self, bytes: &[u8]) {
        self.progress.wire_in += bytes.len() as u64;
        self.bytes_since_reset += bytes.len() as u64;
        if let Some(raw) = &mut self.raw {
            raw.extend_from_slice(bytes);
            return;
        }
        for &byte in bytes {
            match self.decoder.push(byte) {
                Some(Item::Frame(frame)) => self.frames.push_back(frame),
                Some(Item::Text(byte)) => self.on_text(byte),
                None => {}
            }
        }
    }

    fn on_text(&mut self, byte: u8) {
        if self.log.len() < LOG_BYTES {
            self.log.push(byte);
        }
        self.text.push(byte);
        if byte == b'\n' {
            self.flush_text();
        }
    }

    pub(crate) fn flush_text(&mut self) {
        if !self.text.is_empty() {
            let text = String::from_utf8_lossy(&std::mem::take(&mut self.text)).into_owned();
            self.events.push(Event::Text { text });
        }
    }

    fn stopped(&self) -> Option<FlashError> {
        if self.closed {
            let during = self.during;
            Some(FlashError::PortLost { during })
        } else if self.cancelled {
            Some(FlashError::Cancelled)
        } else {
            None
        }
    }
}

#[derive(Clone, Default)]
pub(crate) struct Line(Rc<RefCell<State>>);

impl Line {
    pub(crate) fn state(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }

    pub(crate) fn during(&self, step: &'static str) {
        self.state().during = step;
    }

    pub(crate) fn event(&self, event: Event) {
        let mut state = self.state();
        state.flush_text();
        state.events.push(event);
    }

    pub(crate) fn note(&self, text: impl Into<String>) {
        self.event(Event::Note { text: text.into() });
    }

    pub(crate) fn phase(&self, phase: Phase) {
        self.state().progress.phase = phase;
        self.event(Event::Phase { phase });
    }

    /// Waits until the driver has done everything asked of it so far.
    async fn settled(&self) -> Result<u64, FlashError> {
        poll_fn(|_| {
            let state = self.state();
            match state.stopped() {
                Some(error) => Poll::Ready(Err(error)),
                None if state.actions.is_empty() => Poll::Ready(Ok(state.now_ms)),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Counted from when the driver has done everything asked of it.
    pub(crate) async fn sleep(&self, ms: u64) -> Result<(), FlashError> {
        let end = self.settled().await? + ms;
        poll_fn(|_| {
            let mut state = self.state();
            state.deadline_ms = end;
            match state.stopped() {
                Some(error) => Poll::Ready(Err(error)),
                None if state.now_ms >= end => Poll::Ready(Ok(())),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Sends and returns when the driver has written it all.
    pub(crate) async fn send(&self, bytes: Vec<u8>) -> Result<u64, FlashError> {
        {
            let mut state = self.state();
            state.progress.wire_out += bytes.len() as u64;
            state.actions.push_back(Action::Write(bytes));
        }
        self.settled().await
    }

    /// Next frame, or `None` when the clock reaches `deadline_ms`.
    pub(crate) async fn frame(&self, deadline_ms: u64) -> Result<Option<Vec<u8>>, FlashError> {
        poll_fn(|_| {
            let mut state = self.state();
            state.deadline_ms = deadline_ms;
            if let Some(error) = state.stopped() {
                return Poll::Ready(Err(error));
            }
            match state.frames.pop_front() {
                Some(frame) => Poll::Ready(Ok(Some(frame))),
                None if state.now_ms >= deadline_ms => Poll::Ready(Ok(None)),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Bytes of any kind until the clock reaches `deadline_ms`; only while [`State::raw`] is set.
    pub(crate) async fn bytes(&self, deadline_ms: u64) -> Result<Option<Vec<u8>>, FlashError> {
        poll_fn(|_| {
            let mut state = self.state();
            state.deadline_ms = deadline_ms;
            if let Some(error) = state.stopped() {
                return Poll::Ready(Err(error));
            }
            let bytes = state.raw.as_mut().map(std::mem::take).unwrap_or_default();
            match bytes.is_empty() {
                false => Poll::Ready(Ok(Some(bytes))),
                true if state.now_ms >= deadline_ms => Poll::Ready(Ok(None)),
                true => Poll::Pending,
            }
        })
        .await
    }

    /// Text for the log and the events, from somebody who reads bytes.
    pub(crate) fn text(&self, bytes: &[u8]) {
        let mut state = self.state();
        for &byte in bytes {
            state.on_text(byte);
        }
    }

    /// Forgets frames that arrived unasked.
    pub(crate) fn drain(&self) {
        self.state().frames.clear();
    }

    /// Forgets frames until none has come for `quiet_ms` (at most ten times that long).
    pub(crate) async fn drain_until_quiet(&self, quiet_ms: u64) -> Result<(), FlashError> {
        let start = self.settled().await?;
        while self.state().now_ms < start + 10 * quiet_ms {
            let deadline = self.state().now_ms + quiet_ms;
            if self.frame(deadline).await?.is_none() {
                break;
            }
        }
        Ok(())
    }

    pub(crate) async fn play(&self, steps: &[Step]) -> Result<(), FlashError> {
        for step in steps {
            match *step {
                Step::Signals { dtr, rts } => {
                    self.state()
                        .actions
                        .push_back(Action::SetSignals { dtr, rts });
                }
                Step::DelayMs(ms) => self.sleep(ms).await?,
            }
        }
        self.settled().await.map(drop)
    }

    /// Starts a fresh boot log, as a reset does.
    pub(crate) fn forget_log(&self) {
        let mut state = self.state();
        state.log.clear();
        state.bytes_since_reset = 0;
        state.frames.clear();
        state.decoder = Decoder::default();
    }

    /// Text since the last reset, and the number of bytes of any kind.
    pub(crate) fn log(&self) -> (String, u64) {
        let state = self.state();
        let log = String::from_utf8_lossy(&state.log).into_owned();
        (log, state.bytes_since_reset)
    }

    pub(crate) fn set_baud(&self, baud: u32) {
        let mut state = self.state();
        if state.baud != baud {
            state.baud = baud;
            state.actions.push_back(Action::SetBaud(baud));
        }
    }
}
