//! A virtual board with the prebuilt firmware and a model, flashed through its loader as the page
//! flashes a board, and a link to it. The clock is made up: it goes on only when nobody works.

use std::boxed::Box;
use std::error::Error;
use std::path::PathBuf;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{env, fs};

use fixpoint_board::{Counts, Options, VirtualBoard};
use fixpoint_flash::plan::{self, PlanError};
use fixpoint_flash::{Action as FlashAction, Flasher, Prebuilt};
use fixpoint_protocol::host::{self, Action, Event, Inference, LinkClient, LinkError};

use crate::models;

/// The images of `firmware/prebuilt`, or of the folder that `FIRMWARE` names.
#[derive(Clone, Debug)]
pub struct Firmware {
    bootloader: Vec<u8>,
    table: Vec<u8>,
    runtime: Vec<u8>,
}

impl Firmware {
    /// # Errors
    /// When a file can't be read.
    pub fn prebuilt() -> Result<Self, std::io::Error> {
        let folder = models::root().join("firmware/prebuilt");
        let folder = env::var_os("FIRMWARE").map_or(folder, PathBuf::from);
        Ok(Self {
            bootloader: fs::read(folder.join("bootloader.bin"))?,
            table: fs::read(folder.join("partition-table.bin"))?,
            runtime: fs::read(folder.join("runtime.bin"))?,
        })
    }

    /// What is to be written for `model`.
    ///
    /// # Errors
    /// When it has no place in flash.
    pub fn plan(&self, model: &[u8]) -> Result<plan::FlashPlan, PlanError> {
        plan::standard(&self.images(), Some(model))
    }

    /// The same without a model.
    ///
    /// # Errors
    /// When the images don't fit each other.
    pub fn plan_without_model(&self) -> Result<plan::FlashPlan, PlanError> {
        plan::standard(&self.images(), None)
    }

    /// What is to be written for `model` on a board that has everything else.
    ///
    /// # Errors
    /// When it has no place in flash.
    pub fn plan_model_only(&self, model: &[u8]) -> Result<plan::FlashPlan, PlanError> {
        plan::model_only(&self.table, model)
    }

    fn images(&self) -> Prebuilt<'_> {
        Prebuilt {
            bootloader: &self.bootloader,
            table: &self.table,
            runtime: &self.runtime,
        }
    }
}

/// A board that runs the firmware, and its host.
pub struct Bench {
    board: VirtualBoard,
    client: LinkClient,
    now_ms: u64,
    /// What was said beside answers.
    pub console: String,
}

impl Bench {
    /// A new board, flashed and started.
    ///
    /// # Errors
    /// When flashing fails.
    pub fn flashed(plan: plan::FlashPlan) -> Result<Self, Box<dyn Error>> {
        Self::flashed_on(Options::default(), plan)
    }

    /// The same with a board of a certain kind.
    ///
    /// # Errors
    /// When flashing fails.
    pub fn flashed_on(board: Options, plan: plan::FlashPlan) -> Result<Self, Box<dyn Error>> {
        let mut bench = Self {
            board: VirtualBoard::new(None, board),
            client: LinkClient::default(),
            now_ms: 0,
            console: String::new(),
        };
        let mut flasher = Flasher::new(plan, fixpoint_flash::Options::default());
        loop {
            match flasher.poll(bench.now_ms) {
                FlashAction::Write(bytes) => bench.board.write(&bytes),
                FlashAction::SetSignals { dtr, rts } => bench.board.set_signals(dtr, rts),
                FlashAction::SetBaud(rate) => bench.board.set_baud(rate),
                FlashAction::Wait { until_ms } => {
                    let bytes = bench.read(until_ms);
                    flasher.on_bytes(&bytes);
                }
                FlashAction::Done(outcome) => {
                    outcome.map_err(|error| error.to_string())?;
                    return Ok(bench);
                }
            }
        }
    }

    /// What the board has sent; when that is nothing, time has passed, up to `until_ms` if the board
    /// only waits as well.
    fn read(&mut self, until_ms: u64) -> Vec<u8> {
        let bytes = self.board.read();
        if bytes.is_empty() {
            let step = match self.board.waits() {
                true => until_ms.saturating_sub(self.now_ms).clamp(1, 20),
                false => 1,
            };
            self.board.tick(step as u32);
            self.now_ms += step;
        }
        bytes
    }

    /// Asks the board who it is and what it runs.
    ///
    /// # Errors
    /// When it doesn't answer.
    pub fn connect(&mut self) -> Result<host::Board, LinkError> {
        self.client.connect();
        match self.converse()? {
            Some(Event::Connected(board)) => Ok(board),
            _ => Err(LinkError::NotConnected),
        }
    }

    /// One run; `inputs` are bytes as the image stores them.
    ///
    /// # Errors
    /// When the board has no model, or doesn't answer.
    pub fn infer(&mut self, inputs: Vec<Vec<u8>>) -> Result<Inference, LinkError> {
        self.client.infer(inputs);
        match self.converse()? {
            Some(Event::Inference(inference)) => Ok(inference),
            _ => Err(LinkError::NotConnected),
        }
    }

    fn converse(&mut self) -> Result<Option<Event>, LinkError> {
        let mut last = None;
        loop {
            match self.client.poll(self.now_ms) {
                Action::Write(bytes) => self.board.write(&bytes),
                Action::WaitUntil(until) => {
                    let bytes = self.read(until);
                    self.client.on_bytes(&bytes);
                }
                Action::Event(Event::Console(text)) => self.console += &text,
                Action::Event(event) => last = Some(event),
                Action::Done => return Ok(last),
                Action::Failed(error) => return Err(error),
            }
        }
    }

    /// What core 0 and core 1 have executed since this was last called.
    pub fn take_counts(&mut self) -> [Counts; 2] {
        self.board.take_counts().unwrap_or_default()
    }

    /// Instructions of both.
    pub fn take_instructions(&mut self) -> u64 {
        let counts = self.take_counts();
        counts.iter().map(|core| core.total.instructions).sum()
    }
}
