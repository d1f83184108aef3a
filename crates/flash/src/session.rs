//! The session from reset to restart.
//!
//! ## Order of writes
//!
//! A board starts only if the first sector of the application holds its header, so that sector
//! is the *seal*: when anything the application's start depends on (bootloader, table, the rest of
//! the application) is to change, the seal is first overwritten with `FF` (verified), and it is
//! written again as the very last thing, after everything else was read back and found right. A
//! session cut at any byte therefore leaves either the old system untouched, or a board that starts
//! nothing and waits for the next attempt, which skips what is already there; never a new
//! bootloader under an old application or half of one. The mask ROM's loader stays reachable in
//! every case. A model alone is replaced without touching the seal: a cut leaves a model whose
//! CRC is wrong, which the runtime refuses by name.

use crate::chip;
use crate::connect::{self, Identity};
use crate::error::FlashError;
use crate::flasher::{Event, Link, Options, Phase, SegmentSummary, Summary};
use crate::line::Line;
use crate::loader::{Failure, Loader, TIMEOUT_MS};
use crate::packet::{self, Speaker};
use crate::plan::{FlashPlan, Role};
use crate::reset;
use crate::write::{self, Piece};
use espflash::command::Command;

/// Times the loader is entered anew after the link was lost.
const MAX_ROUNDS: usize = 4;

/// Why one round ended.
pub(crate) enum Trouble {
    Fatal(FlashError),
    /// Enter the loader again and carry on; the error if that keeps happening.
    Again(FlashError),
    /// As before, without the stub.
    NoStub,
    /// As before, at the first rate.
    NoBaud,
}

impl From<FlashError> for Trouble {
    fn from(error: FlashError) -> Self {
        Self::Fatal(error)
    }
}

pub(crate) async fn run(
    line: Line,
    plan: FlashPlan,
    options: Options,
) -> Result<Summary, FlashError> {
    plan.check()?;
    line.state().baud = connect::FIRST_BAUD;
    line.state().progress.total_bytes = plan.total_bytes();
    let mut session = Session {
        pieces: write::pieces(&plan),
        line: line.clone(),
        plan,
        options,
    };
    let result = session.rounds().await;
    let restarted = match &result {
        Ok(_) => true,
        // Ends in the application whatever happened; a board left in the loader looks dead.
        Err(FlashError::PortLost { .. } | FlashError::NoAnswer) => false,
        Err(_) => true,
    } && session.restart().await;
    let mut summary = result?;
    summary.restarted = restarted;
    line.phase(Phase::Done);
    summary.progress = line.state().progress.clone();
    Ok(summary)
}

struct Session {
    line: Line,
    plan: FlashPlan,
    options: Options,
    pieces: Vec<Piece>,
}

impl Session {
    async fn rounds(&mut self) -> Result<Summary, FlashError> {
        let mut setup = (self.options.stub, self.options.baud);
        let mut last = None;
        for round in 0..MAX_ROUNDS {
            match self.round(round, setup).await {
                Ok(summary) => return Ok(summary),
                Err(Trouble::Fatal(error)) => return Err(error),
                Err(Trouble::Again(error)) => {
                    self.line.note(format!("{error} Starting over."));
                    last = Some(error);
                }
                Err(Trouble::NoStub) => {
                    self.line
                        .note("The stub did not start; continuing with the ROM's loader.");
                    setup.0 = false;
                }
                Err(Trouble::NoBaud) => {
                    self.line
                        .note("The faster rate does not work; continuing at 115200.");
                    setup.1 = connect::FIRST_BAUD;
                }
            }
            // A rate that just fails now and then loses a round, a second loss is blamed on it.
            if round > 0 {
                setup.1 = connect::FIRST_BAUD;
            }
        }
        Err(last.unwrap_or_else(|| link_lost(&self.line)))
    }

    async fn round(&mut self, round: usize, (stub, baud): (bool, u32)) -> Result<Summary, Trouble> {
        let mut loader = connect::connect(&self.line, &self.options, round).await?;
        self.line.phase(Phase::Identifying);
        let identity = connect::identify(&loader, self.options.link).await?;
        if stub && loader.speaker == Speaker::Rom {
            self.line.phase(Phase::StartingStub);
            connect::start_stub(&mut loader).await?;
        }
        if self.options.link == Link::UartBridge && baud != connect::FIRST_BAUD {
            connect::change_baud(&loader, baud).await?;
        }
        let chip = self.flash_chip(&loader, identity).await?;
        write::all(&loader, &mut self.pieces, &self.options, round > 0).await?;
        // Tells the ROM and the stub to start the application after the reset, not the loader.
        self.line.during("preparing the restart");
        match loader.write_registers(&chip::CLEAR_FORCED_DOWNLOAD).await {
            Err(Failure::Fatal(error)) => return Err(error.into()),
            Err(_) => self
                .line
                .note("The board may stay in the loader: press RESET."),
            Ok(()) => {}
        }
        let segments = self.plan.segments.iter().map(|segment| {
            let mine = self.pieces.iter().filter(|p| p.segment == segment.name);
            SegmentSummary {
                name: segment.name.clone(),
                role: segment.role,
                offset: segment.offset,
                bytes: segment.bytes.len() as u64,
                written: mine
                    .filter(|p| p.written)
                    .map(|p| p.bytes.len() as u64)
                    .sum(),
            }
        });
        let state = self.line.state();
        Ok(Summary {
            chip,
            segments: segments.collect(),
            stub: loader.speaker == Speaker::Stub,
            baud: state.baud,
            restarted: false,
            progress: state.progress.clone(),
        })
    }

    /// Attaches the flash and refuses a plan that does not fit it.
    async fn flash_chip(
        &self,
        loader: &Loader,
        identity: Identity,
    ) -> Result<crate::flasher::ChipInfo, Trouble> {
        let chip = connect::attach_flash(loader, identity).await?;
        for segment in &self.plan.segments {
            if segment.end() > u64::from(chip.flash_bytes) {
                return Err(Trouble::Fatal(FlashError::DoesNotFit {
                    name: segment.name.clone(),
                    end: u32::try_from(segment.end()).unwrap_or(u32::MAX),
                    size: chip.flash_bytes,
                }));
            }
        }
        self.line.event(Event::Chip(chip.clone()));
        Ok(chip)
    }

    /// Plays the reset into the application, even when the session was cancelled.
    async fn restart(&self) -> bool {
        if !self.options.reset_after || self.options.link == Link::Plain {
            return false;
        }
        {
            let mut state = self.line.state();
            state.cancelled = false;
            state.progress.phase = Phase::Restarting;
        }
        self.line.set_baud(connect::FIRST_BAUD);
        self.line.forget_log();
        let steps = reset::into_application(self.options.link);
        self.line.play(steps).await.is_ok()
    }
}

/// Turns a failed command into what the session does about it.
pub(crate) fn trouble(line: &Line, failure: Failure) -> Trouble {
    match failure {
        Failure::Fatal(error) => Trouble::Fatal(error),
        Failure::Silent | Failure::Garbled => Trouble::Again(link_lost(line)),
        // A mangled request is refused as well, so a refusal may be the line's fault.
        Failure::Refused(code) => Trouble::Again(FlashError::Refused {
            during: line.state().during,
            code,
            reason: packet::reason(code),
        }),
    }
}

pub(crate) fn link_lost(line: &Line) -> FlashError {
    let during = line.state().during;
    FlashError::LinkLost { during }
}

/// Surfaces an error the stub kept back, at the end of all writes.
pub(crate) async fn finish(loader: &Loader) -> Result<(), Failure> {
    let end = Command::FlashDeflEnd { reboot: false };
    loader.command(&end, 0, TIMEOUT_MS).await.map(drop)
}

/// Whether a change of this segment makes the application's start depend on the session's end.
pub(crate) fn guards_start(role: Role) -> bool {
    matches!(role, Role::Bootloader | Role::PartitionTable | Role::App)
}
