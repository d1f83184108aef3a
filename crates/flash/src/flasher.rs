//! The machine the page and the command line drive.
//!
//! ```text
//! loop {
//!     match flasher.poll(now_ms) {
//!         Action::Write(bytes)            => write them all, then poll again
//!         Action::SetSignals { dtr, rts } => set DTR, then RTS, then poll again
//!         Action::SetBaud(rate)           => change the host's rate, then poll again
//!         Action::Wait { until_ms }       => read the port until then (or until bytes come:
//!                                            on_bytes), then poll again
//!         Action::Done(outcome)           => over; the port is the caller's
//!     }
//!     for event in flasher.take_events() { show it }
//! }
//! ```

use crate::error::FlashError;
use crate::line::Line;
use crate::plan::{FlashPlan, Role};
use crate::port::PortTrouble;
use crate::session;
use serde::Serialize;
use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

/// What the driver is to do next. A signal that is `true` is asserted (the pin is low).
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    Write(Vec<u8>),
    SetSignals { dtr: bool, rts: bool },
    SetBaud(u32),
    Wait { until_ms: u64 },
    Done(Outcome),
}

/// How a session ends.
pub type Outcome = Result<Summary, FlashError>;

/// What sits between the USB cable and the chip.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// A USB-to-serial converter (CP210x, CH34x, FTDI) with the usual two transistors.
    #[default]
    UartBridge,
    /// The chip's own USB-Serial-JTAG (303A:1001). The baud rate means nothing there.
    UsbSerialJtag,
    /// The chip's USB-OTG peripheral, driven by the ROM or by TinyUSB (303A:0009 and others): no reset
    /// lines, small packets, and a new device after every restart.
    UsbOtg,
    /// No DTR/RTS (TCP, a board held in download mode by hand): never reset.
    Plain,
}

impl Link {
    /// What hangs on a port with this USB identity.
    pub fn of_usb(vendor: u16, product: u16) -> Self {
        match (vendor, product) {
            (0x303A, 0x1001) => Self::UsbSerialJtag,
            (0x303A, _) => Self::UsbOtg,
            _ => Self::UartBridge,
        }
    }

    /// Most bytes of data in one command.
    pub(crate) fn most_bytes(self) -> usize {
        match self {
            Self::UsbOtg => 0x800,
            _ => 0x4000,
        }
    }

    /// Whether DTR and RTS reach the chip.
    pub(crate) fn has_reset_lines(self) -> bool {
        matches!(self, Self::UartBridge | Self::UsbSerialJtag)
    }
}

/// Choices of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub link: Link,
    /// Rate for the transfer. The session starts at 115200; a rate that does not work is left for the
    /// next lower one of the usual rates.
    pub baud: u32,
    /// Use the RAM stub (faster). Without it the ROM's own commands are used.
    pub stub: bool,
    /// Compressed bytes from which the stub and a higher rate are worth their upload and round
    /// trips; less is written by the ROM.
    pub stub_from: u32,
    /// Reset into the loader first; `false` when the board already waits there.
    pub reset_before: bool,
    /// The loader may run already, as after a reset that took the port along: ask for it before any reset.
    pub ask_first: bool,
    /// Start the application at the end.
    pub reset_after: bool,
    /// Leave out what the board already holds.
    pub skip_equal: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            link: Link::UartBridge,
            baud: 115_200,
            stub: true,
            stub_from: 32 << 10,
            reset_before: true,
            ask_first: false,
            reset_after: true,
            skip_equal: true,
        }
    }
}

/// Stages of a session in the order they come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    #[default]
    Connecting,
    Identifying,
    StartingStub,
    Comparing,
    Writing,
    Verifying,
    Restarting,
    Done,
}

/// Where the session is. Byte counts are of the images, not of the wire, except `wire_*`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    pub phase: Phase,
    /// Name of the segment being compared, written or verified.
    pub segment: Option<String>,
    /// Bytes written or found equal, of `total_bytes`.
    pub done_bytes: u64,
    pub total_bytes: u64,
    /// Bytes of `done_bytes` that were already on the board.
    pub skipped_bytes: u64,
    pub wire_out: u64,
    pub wire_in: u64,
    /// Commands sent, each of which waits for its answer.
    pub round_trips: u64,
    pub elapsed_ms: u64,
}

/// Things worth showing, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(
    tag = "type",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum Event {
    Phase {
        phase: Phase,
    },
    /// Text the board printed between answers.
    Text {
        text: String,
    },
    /// One sentence for the log.
    Note {
        text: String,
    },
    Chip(ChipInfo),
    SegmentSkipped {
        name: String,
        bytes: u64,
    },
    SegmentStarted {
        name: String,
        bytes: u64,
        compressed: u64,
    },
    SegmentWritten {
        name: String,
        bytes: u64,
    },
}

/// What the session found out about the board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChipInfo {
    /// For example `ESP32-S3`.
    pub chip: String,
    /// For example `v0.2`.
    pub revision: String,
    /// For example `7c:df:a1:00:00:01`.
    pub mac: String,
    /// Bytes of SPI flash.
    pub flash_bytes: u32,
    /// JEDEC id: manufacturer, type, capacity from the low byte up.
    pub flash_id: u32,
    /// Bytes of PSRAM inside the package, 0 when there is none or it is outside.
    pub psram_bytes: u32,
}

/// What a successful session did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub chip: ChipInfo,
    pub segments: Vec<SegmentSummary>,
    /// Whether the RAM stub did the work.
    pub stub: bool,
    /// Rate in use at the end.
    pub baud: u32,
    /// Whether the board was told to start the application.
    pub restarted: bool,
    /// What was heard of it after that.
    pub start: Start,
    pub progress: Progress,
}

/// What a board did after it was told to start the application.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// It was not told to, or can't be from here.
    #[default]
    NotTried,
    /// The runtime answered.
    Running,
    /// It printed a boot log; the runtime did not answer, if there is one.
    Booting,
    /// It waits for a download again.
    Loader,
    /// The port went away with the restart, as USB-OTG does: it comes back as another one.
    PortChanges,
    /// Nothing was heard.
    Silent,
}

impl Start {
    /// What to do when the runtime did not answer.
    pub fn advice(self) -> Option<&'static str> {
        match self {
            Self::Running => None,
            Self::NotTried => Some("Press RESET on the board to start what was flashed."),
            Self::Booting => Some(
                "The board starts, but its runtime does not answer yet: look at its text, and press RESET if nothing follows.",
            ),
            Self::Loader => Some(
                "The board is in its loader again: release BOOT, or take off what pulls GPIO0 low, and press RESET.",
            ),
            Self::PortChanges => Some(PortTrouble::Away.remedy()),
            Self::Silent => Some(
                "Nothing was heard from the board after its restart: press RESET, and if that changes nothing, unplug it and plug it in again.",
            ),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentSummary {
    pub name: String,
    pub role: Role,
    /// Where it lies now; of two places the one that runs.
    pub offset: u32,
    pub bytes: u64,
    /// Bytes written in this session; 0 when the board already held the segment.
    pub written: u64,
}

/// One flashing session. Does no I/O, keeps no clock.
pub struct Flasher {
    line: Line,
    session: Pin<Box<dyn Future<Output = Outcome>>>,
    outcome: Option<Outcome>,
    started_ms: Option<u64>,
}

impl Flasher {
    /// The port is to be open at 115200 baud.
    pub fn new(plan: FlashPlan, options: Options) -> Self {
        let line = Line::default();
        Self {
            session: Box::pin(session::run(line.clone(), plan, options)),
            line,
            outcome: None,
            started_ms: None,
        }
    }

    /// Next thing to do at `now_ms` (any clock that never goes back). Call again at once after
    /// doing it, except for [`Action::Wait`].
    pub fn poll(&mut self, now_ms: u64) -> Action {
        let started_ms = *self.started_ms.get_or_insert(now_ms);
        {
            let mut state = self.line.state();
            state.now_ms = state.now_ms.max(now_ms);
            if self.outcome.is_none() {
                state.progress.elapsed_ms = state.now_ms - started_ms;
            }
        }
        loop {
            if let Some(outcome) = &self.outcome {
                return Action::Done(outcome.clone());
            }
            if let Some(action) = self.line.state().actions.pop_front() {
                return action;
            }
            let mut context = Context::from_waker(Waker::noop());
            match self.session.as_mut().poll(&mut context) {
                Poll::Ready(outcome) => {
                    self.line.state().flush_text();
                    self.outcome = Some(outcome);
                }
                Poll::Pending => {
                    let state = self.line.state();
                    if state.actions.is_empty() {
                        let until_ms = state.deadline_ms;
                        return Action::Wait { until_ms };
                    }
                }
            }
        }
    }

    /// Bytes read from the port.
    pub fn on_bytes(&mut self, bytes: &[u8]) {
        self.line.state().on_bytes(bytes);
    }

    /// The port is gone; the next poll ends the session.
    pub fn on_closed(&mut self) {
        let mut state = self.line.state();
        state.closed = true;
        state.actions.clear();
    }

    /// Stop as soon as possible; the board is restarted if a reset is possible.
    pub fn cancel(&mut self) {
        let mut state = self.line.state();
        // Half a restart would hold the chip in reset, so one that has begun is played to its end.
        if state.progress.phase >= Phase::Restarting {
            return;
        }
        state.cancelled = true;
        state.actions.clear();
    }

    pub fn progress(&self) -> Progress {
        self.line.state().progress.clone()
    }

    /// Events since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.line.state().events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{json, to_value};

    /// The page reads these names.
    #[test]
    fn progress_events_and_errors_have_stable_names() {
        let progress = to_value(Progress::default()).unwrap();
        assert_eq!(progress["phase"], "connecting");
        for name in [
            "doneBytes",
            "totalBytes",
            "skippedBytes",
            "wireOut",
            "roundTrips",
            "elapsedMs",
        ] {
            assert_eq!(progress[name], 0, "{name}");
        }
        let event = Event::SegmentStarted {
            name: "model".into(),
            bytes: 5,
            compressed: 3,
        };
        let expected =
            json!({"type": "segment-started", "name": "model", "bytes": 5, "compressed": 3});
        assert_eq!(to_value(event).unwrap(), expected);
        let phase = Event::Phase {
            phase: Phase::StartingStub,
        };
        assert_eq!(
            to_value(phase).unwrap(),
            json!({"type": "phase", "phase": "starting-stub"})
        );
        let chip = ChipInfo {
            chip: "ESP32-S3".into(),
            revision: "v0.2".into(),
            mac: "00:00:00:00:00:00".into(),
            flash_bytes: 4,
            flash_id: 0,
            psram_bytes: 0,
        };
        let event = to_value(Event::Chip(chip)).unwrap();
        assert_eq!(
            (&event["type"], &event["flashBytes"]),
            (&json!("chip"), &json!(4))
        );
        let error = to_value(FlashError::WrongChip {
            found: "ESP32-C3".into(),
        })
        .unwrap();
        assert_eq!(error["code"], "wrong-chip");
        assert_eq!(
            error["message"],
            "This is an ESP32-C3, and the firmware is for the ESP32-S3."
        );
        assert!(error["remedy"].as_str().unwrap().contains("ESP32-S3"));
    }

    #[test]
    fn a_closed_port_and_a_bad_plan_end_at_once() {
        let mut flasher = Flasher::new(FlashPlan::default(), Options::default());
        assert!(matches!(flasher.poll(0), Action::SetSignals { .. }));
        flasher.on_closed();
        let during = "connecting";
        assert_eq!(
            flasher.poll(1),
            Action::Done(Err(FlashError::PortLost { during }))
        );
        assert_eq!(flasher.poll(2), flasher.poll(3));

        let segment = crate::Segment {
            name: "odd".into(),
            role: Role::Data,
            offset: 0x123,
            bytes: vec![1],
        };
        let plan = FlashPlan {
            segments: vec![segment],
            ..FlashPlan::default()
        };
        let Action::Done(Err(error)) = Flasher::new(plan, Options::default()).poll(0) else {
            panic!("an unaligned segment was accepted");
        };
        assert_eq!(error.code(), "plan");
    }
}
