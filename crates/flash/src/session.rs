//! The session from reset to restart.
//!
//! ## Order of writes
//!
//! What must hold: a session that ends at any byte (cable pulled, page closed, power gone) leaves a
//! board that runs the old runtime with the old model, or the new one, and never a mixture; and the
//! next session finishes the work.
//!
//! **The flash has two places for the application and two for the model.** The old ones stay where
//! they are; the new ones go into the other places and are read back (MD5) before anything refers
//! to them. What refers to them is one sector each, written after that:
//!
//! 1. *Model*: image into the slot that does not run; verified; then its record with the next
//!    sequence number (`fixpoint_protocol::slot`). A torn record has a wrong CRC and counts as none;
//!    a record that names another image than the one beside it counts as none. So up to the last bit
//!    of the record the old model is preferred, and a new one that the runtime refuses loses to the old.
//! 2. *Application*: image into the slot that does not start; verified; then the OTA data entry with
//!    the next sequence number, into the sector that does *not* hold the current entry. ESP-IDF's
//!    bootloader takes the highest entry with a right CRC and, when the application it selects is
//!    not whole (SHA-256), the other one.
//!
//! The model's switch comes before the application's: an old runtime that can't read the new model
//! falls back to the old model, whereas a new runtime without its model would have none.
//!
//! **Bootloader and partition table have one place each**, so their change can't be undone halfway.
//! They change on the first flash of a board, when its old contents are another maker's, and with a
//! new ESP-IDF or layout. Then the order is the model (as above), the old applications out of service
//! (their first sectors overwritten with `FF`, verified), bootloader, table, the application in the first
//! place but for its first sector, the OTA data, and that first sector as the *seal*. A session cut
//! in between leaves a board that starts nothing and waits in the loader, which is in mask ROM and
//! can't be lost; never a new bootloader under an old application.
//!
//! **Mangled commands.** Requests carry no checksum but for data blocks, so a flipped bit may send a
//! write anywhere. After any sign of trouble the session ends only when everything it depends on
//! was looked at once more, from the table on, and nothing was left to do.
//!
//! The model-only plan touches nothing but the slot that does not run and its record.
//!
//! ## Rounds
//!
//! A round is one way through reset, identification, comparison and writing. Nothing is carried over
//! to the next one but what did not work (stub, rate): what to do is read off the board. The stub
//! and a higher rate are taken only when what is left to write is worth their upload.

use crate::arrange::{self, Work};
use crate::chip;
use crate::connect::{self, Identity};
use crate::error::FlashError;
use crate::flasher::{ChipInfo, Event, Link, Options, Phase, SegmentSummary, Start, Summary};
use crate::line::Line;
use crate::loader::{Failure, Loader, TIMEOUT_MS};
use crate::packet::{self, Speaker};
use crate::plan::{FlashPlan, Role};
use crate::start;
use crate::write;
use espflash::command::Command;
use fixpoint_protocol::host::Diagnosis;

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
    let foreign = plan.foreign;
    let mut session = Session {
        line: line.clone(),
        plan,
        options: options.clone(),
        start: Start::NotTried,
    };
    let result = session.rounds().await;
    let restarted = match &result {
        _ if session.start != Start::NotTried => true,
        // Ends in the application whatever happened; a board left in the loader looks dead.
        Err(FlashError::PortLost { .. }) => false,
        Err(FlashError::NoLoader { doing, .. }) if *doing == Diagnosis::Silent => false,
        _ => start::through_lines(&line, &options).await,
    };
    let mut summary = result?;
    summary.restarted = restarted;
    summary.start = match session.start {
        Start::NotTried if restarted => start::listen(&line, options.link, foreign).await,
        start => start,
    };
    // A port that goes is the caller's to find again; what it does next is not known here.
    let heard = restarted && summary.start != Start::PortChanges;
    // Text is all that can be expected of others' programs.
    let heard = heard && !(foreign && summary.start == Start::Booting);
    if let Some(advice) = summary.start.advice().filter(|_| heard) {
        line.note(advice);
    }
    line.phase(Phase::Done);
    summary.progress = line.state().progress.clone();
    Ok(summary)
}

struct Session {
    line: Line,
    plan: FlashPlan,
    options: Options,
    /// Of a restart that needs the loader.
    start: Start,
}

impl Session {
    async fn rounds(&mut self) -> Result<Summary, FlashError> {
        let mut setup = (self.options.stub, self.options.baud);
        let mut last = None;
        let mut round = 0;
        while round < MAX_ROUNDS {
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
                    let slower = connect::slower(setup.1);
                    let text = format!("{} baud do not work; trying {slower}.", setup.1);
                    self.line.note(text);
                    setup.1 = slower;
                    // The ladder has an end of its own.
                    continue;
                }
            }
            // A rate that just fails now and then loses a round, a second loss is blamed on it.
            if round > 0 {
                setup.1 = connect::FIRST_BAUD;
            }
            round += 1;
        }
        Err(last.unwrap_or_else(|| link_lost(&self.line)))
    }

    async fn round(&mut self, round: usize, (stub, baud): (bool, u32)) -> Result<Summary, Trouble> {
        let link = self.options.link;
        // A try of a lower rate finds the board in the loader, at a rate that nobody knows.
        let again = round > 0 || self.line.state().progress.round_trips > 0;
        let mut loader = connect::connect(&self.line, &self.options, again).await?;
        self.line.phase(Phase::Identifying);
        let identity = connect::identify(&loader, link).await?;
        self.check_revision(&identity)?;
        if let Some(memory) = self.plan.memory {
            connect::check_memory(&loader, memory, identity.psram_bytes).await?;
        }
        let chip = self.flash_chip(&loader, identity).await?;
        let skip_equal = self.options.skip_equal || again;
        let mut work = arrange::look(&loader, &self.plan, skip_equal).await?;
        if work.pending_compressed() >= self.options.stub_from.max(1) as usize {
            if stub && loader.speaker == Speaker::Rom {
                self.line.phase(Phase::StartingStub);
                connect::start_stub(&mut loader, link).await?;
                connect::attach_again(&loader, chip.flash_bytes).await?;
            }
            if link == Link::UartBridge && baud != connect::FIRST_BAUD {
                connect::change_baud(&loader, baud).await?;
            }
        }
        write::all(&loader, &self.plan, &mut work, &self.options, round > 0).await?;
        // Tells the ROM and the stub to start the application after the reset, not the loader.
        self.line.during("preparing the restart");
        match loader.write_registers(&chip::CLEAR_FORCED_DOWNLOAD).await {
            Err(Failure::Fatal(error)) => return Err(error.into()),
            Err(_) => self
                .line
                .note("The board may stay in the loader: press RESET."),
            Ok(()) => {}
        }
        let summary = self.summary(&loader, chip, &work);
        if self.options.reset_after && link == Link::UsbOtg {
            self.start = start::through_watchdog(&loader).await;
        }
        Ok(summary)
    }

    fn summary(&self, loader: &Loader, chip: ChipInfo, work: &Work) -> Summary {
        let state = self.line.state();
        let segments = self.plan.segments.iter().map(|segment| {
            let mine = work.pieces.iter().filter(|piece| piece.is_image());
            let mine = mine.filter(|piece| piece.segment == segment.name);
            let bytes = segment.bytes.len() as u64;
            let written = state.written.get(&segment.name).copied();
            SegmentSummary {
                name: segment.name.clone(),
                role: segment.role,
                offset: mine
                    .map(|piece| piece.offset)
                    .min()
                    .unwrap_or(segment.offset),
                bytes,
                written: written.unwrap_or(0).min(bytes),
            }
        });
        Summary {
            chip,
            segments: segments.collect(),
            stub: loader.speaker == Speaker::Stub,
            baud: state.baud,
            restarted: false,
            start: Start::NotTried,
            progress: state.progress.clone(),
        }
    }

    /// Refuses images that are not for this revision of the chip.
    fn check_revision(&self, identity: &Identity) -> Result<(), FlashError> {
        for segment in &self.plan.segments {
            if !matches!(segment.role, Role::App | Role::Bootloader) {
                continue;
            }
            let wanted = chip::wanted_revisions(&segment.bytes);
            if !wanted.contains(&identity.revision) {
                let (from, to) = wanted.into_inner();
                let to = match to {
                    u16::MAX => "up".into(),
                    to => format!("to {}", chip::revision_name(to)),
                };
                return Err(FlashError::WrongRevision {
                    found: chip::revision_name(identity.revision),
                    wanted: format!("{} {to}", chip::revision_name(from)),
                });
            }
        }
        Ok(())
    }

    /// Attaches the flash and refuses a plan that does not fit it.
    async fn flash_chip(&self, loader: &Loader, identity: Identity) -> Result<ChipInfo, Trouble> {
        let chip = connect::attach_flash(loader, identity).await?;
        let plan = &self.plan;
        let segments = plan.segments.iter().map(|s| (s.name.as_str(), s.end()));
        let apps = plan.app_slots.iter().map(|slot| ("runtime", slot.end()));
        let models = plan.model_slots.iter().map(|slot| ("model", slot.end()));
        for (name, end) in segments.chain(apps).chain(models) {
            if end > u64::from(chip.flash_bytes) {
                return Err(Trouble::Fatal(FlashError::DoesNotFit {
                    name: name.into(),
                    end: u32::try_from(end).unwrap_or(u32::MAX),
                    size: chip.flash_bytes,
                }));
            }
        }
        self.line.event(Event::Chip(chip.clone()));
        Ok(chip)
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
