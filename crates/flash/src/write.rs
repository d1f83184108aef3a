//! Writing and verifying, in the order explained in [`crate::session`].

use crate::arrange::{self, Part, Piece, SECTOR, Step, Work};
use crate::error::FlashError;
use crate::flasher::{Event, Options, Phase};
use crate::loader::{Failure, Loader, per_megabyte};
use crate::packet::{self, Speaker};
use crate::plan::FlashPlan;
use crate::session::{Trouble, finish, link_lost, trouble};
use espflash::command::Command;
use miniz_oxide::{
    DataFormat, MZFlush,
    inflate::stream::{InflateState, inflate},
};

const ROM_BLOCK: usize = 0x400;
const STUB_BLOCK: usize = 0x4000;
const ATTEMPTS: u32 = 3;

/// Makes the flash hold all pieces. `suspicious`: something went wrong on the line before, so
/// that a mangled command may have hit any place.
pub(crate) async fn all(
    loader: &Loader,
    plan: &FlashPlan,
    work: &mut Work,
    options: &Options,
    suspicious: bool,
) -> Result<(), Trouble> {
    let line = loader.line.clone();
    let mut writer = Writer {
        loader,
        block_bytes: options.link.most_bytes(),
        suspicious,
        wrote: false,
    };
    line.phase(Phase::Writing);
    let mut out_of_service = std::mem::take(&mut work.out_of_service);
    for index in 0..work.pieces.len() {
        if work.pieces[index].right {
            continue;
        }
        if work.pieces[index].step > Step::ModelSwitch {
            for offset in out_of_service.drain(..) {
                writer.take_out_of_service(offset).await?;
                for piece in &mut work.pieces {
                    piece.right &= !(piece.step == Step::Seal && piece.offset == offset);
                }
            }
        }
        let piece = &mut work.pieces[index];
        let image = piece.is_image();
        if image {
            let parts = piece.parts.iter().map(|part| part.range.len() as u64);
            line.event(Event::SegmentStarted {
                name: piece.segment.clone(),
                bytes: parts.sum(),
                compressed: piece.packed_bytes() as u64,
            });
        }
        writer.write(piece).await?;
        if image {
            line.event(Event::SegmentWritten {
                name: piece.segment.clone(),
                bytes: piece.bytes.len() as u64,
            });
        }
    }
    line.during("verifying");
    line.phase(Phase::Verifying);
    writer.finish(plan, &work.pieces).await
}

struct Writer<'a> {
    loader: &'a Loader,
    block_bytes: usize,
    suspicious: bool,
    wrote: bool,
}

impl Writer<'_> {
    async fn md5(&self, offset: u32, size: u32) -> Result<[u8; 16], Trouble> {
        let digest = self.loader.md5(offset, size).await;
        digest.map_err(|failure| trouble(&self.loader.line, failure))
    }

    async fn take_out_of_service(&mut self, offset: u32) -> Result<(), Trouble> {
        self.loader
            .line
            .during("taking the old application out of service");
        let mut blank = Piece::new("old application", Step::AppSwitch, offset, &[0xFF; SECTOR]);
        if self.md5(blank.offset, blank.size()).await? != blank.md5 {
            self.write(&mut blank).await?;
        }
        Ok(())
    }

    /// Writes and verifies one piece, up to [`ATTEMPTS`] times.
    async fn write(&mut self, piece: &mut Piece) -> Result<(), Trouble> {
        let line = &self.loader.line;
        line.during("writing");
        line.state().progress.segment = Some(piece.segment.clone());
        let done = line.state().progress.done_bytes;
        let mut last = None;
        for _ in 0..ATTEMPTS {
            self.wrote = true;
            match self.stream(piece).await {
                Ok(()) => {
                    // Once more in case the answer was hit and not the flash.
                    for _ in 0..2 {
                        if self.md5(piece.offset, piece.size()).await? == piece.md5 {
                            piece.right = true;
                            return Ok(());
                        }
                        self.suspicious = true;
                    }
                    last = None;
                }
                Err(Failure::Fatal(error)) => return Err(error.into()),
                Err(Failure::Silent) => {
                    self.suspicious = true;
                    if !self.loader.resync().await? {
                        return Err(Trouble::Again(link_lost(line)));
                    }
                    last = Some(Failure::Silent);
                }
                Err(failure) => {
                    self.suspicious = true;
                    last = Some(failure);
                }
            }
            line.note(format!("{} has to be written again.", piece.segment));
            piece.all_again();
            line.state().progress.done_bytes = done;
        }
        Err(match last {
            Some(failure) => trouble(line, failure),
            None => Trouble::Fatal(FlashError::VerifyFailed {
                name: piece.segment.clone(),
                attempts: ATTEMPTS,
            }),
        })
    }

    async fn stream(&self, piece: &Piece) -> Result<(), Failure> {
        for part in &piece.parts {
            self.part(piece, part).await?;
            if piece.is_image() {
                let mut state = self.loader.line.state();
                let written = state.written.entry(piece.segment.clone()).or_default();
                *written += part.range.len() as u64;
            }
        }
        Ok(())
    }

    /// One DEFL stream. Any error abandons it: the stub's errors are late and not sticky, so a
    /// repeated block may be reported as fine.
    async fn part(&self, piece: &Piece, part: &Part) -> Result<(), Failure> {
        let loader = self.loader;
        let offset = piece.offset + part.range.start as u32;
        let size = part.range.len() as u32;
        let compressed = part.packed(&piece.bytes);
        let rom = loader.speaker == Speaker::Rom;
        let block_size = if rom { ROM_BLOCK } else { STUB_BLOCK };
        let block_size = block_size.min(self.block_bytes);
        let begin = Command::FlashDeflBegin {
            size: if rom {
                size.next_multiple_of(ROM_BLOCK as u32)
            } else {
                size
            },
            blocks: compressed.len().div_ceil(block_size) as u32,
            block_size: block_size as u32,
            offset,
            supports_encryption: rom,
        };
        // The ROM erases the whole range before it answers, the stub as it goes.
        let erase = per_megabyte(40, if rom { size } else { 0 });
        loader.command(&begin, 0, erase).await?;

        let done = loader.line.state().progress.done_bytes;
        let mut meter = Meter::new();
        let mut before = 0;
        for (sequence, data) in compressed.chunks(block_size).enumerate() {
            let now = meter.inflated(data);
            let block = Command::FlashDeflData {
                data,
                pad_to: 0,
                pad_byte: 0,
                sequence: sequence as u32,
            };
            // The stub writes a block after answering for it, so the next answer is late.
            let timeout = per_megabyte(40, now.max(before));
            loader.command(&block, 0, timeout).await?;
            before = now;
            if piece.is_image() {
                loader.line.state().progress.done_bytes = done + u64::from(meter.total);
            }
        }
        Ok(())
    }

    /// After the last write: late errors, and a second look at everything if the line was bad.
    async fn finish(&mut self, plan: &FlashPlan, pieces: &[Piece]) -> Result<(), Trouble> {
        let line = &self.loader.line;
        if self.wrote && self.loader.speaker == Speaker::Stub {
            match finish(self.loader).await {
                Ok(()) => {}
                Err(Failure::Refused(code)) => {
                    let reason = packet::reason(code);
                    line.note(format!("The stub reports at the end: {reason}."));
                    self.suspicious = true;
                }
                Err(failure) => return Err(trouble(line, failure)),
            }
        }
        if !self.suspicious {
            return Ok(());
        }
        for piece in pieces {
            line.state().progress.segment = Some(piece.segment.clone());
            if self.md5(piece.offset, piece.size()).await? != piece.md5 {
                return Err(Trouble::Again(link_lost(line)));
            }
        }
        // Nor may what decides about the start have been hit: looked at afresh, nothing is left to do.
        let events = line.state().events.len();
        let again = arrange::look(self.loader, plan, true).await?;
        line.state().events.truncate(events);
        if again.pending().next().is_some() {
            return Err(Trouble::Again(link_lost(line)));
        }
        Ok(())
    }
}

/// Tells how many image bytes each chunk of a zlib stream stands for.
struct Meter {
    state: Box<InflateState>,
    total: u32,
}

impl Meter {
    fn new() -> Self {
        let state = InflateState::new_boxed(DataFormat::Zlib);
        Self { state, total: 0 }
    }

    fn inflated(&mut self, mut chunk: &[u8]) -> u32 {
        let before = self.total;
        let mut sink = [0; 0x4000];
        loop {
            let step = inflate(&mut self.state, chunk, &mut sink, MZFlush::None);
            self.total += step.bytes_written as u32;
            chunk = &chunk[step.bytes_consumed..];
            let stuck = step.bytes_written == 0 && step.bytes_consumed == 0;
            if step.status.is_err()
                || stuck
                || (chunk.is_empty() && step.bytes_written < sink.len())
            {
                return self.total - before;
            }
        }
    }
}
