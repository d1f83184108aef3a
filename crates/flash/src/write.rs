//! Comparing, writing and verifying, in the order explained in [`crate::session`].

use crate::error::FlashError;
use crate::flasher::{Event, Options, Phase};
use crate::loader::{Failure, Loader, per_megabyte};
use crate::packet::{self, Speaker};
use crate::plan::{FlashPlan, Role};
use crate::session::{Trouble, finish, guards_start, link_lost, trouble};
use espflash::command::Command;
use md5::{Digest, Md5};
use miniz_oxide::{
    DataFormat, MZFlush,
    deflate::compress_to_vec_zlib,
    inflate::stream::{InflateState, inflate},
};

const SECTOR: usize = 0x1000;
const ROM_BLOCK: usize = 0x400;
const STUB_BLOCK: usize = 0x4000;
const ATTEMPTS: u32 = 3;
const COMPRESSION: u8 = 9;

/// A range of flash that is compared, written and verified at once.
pub(crate) struct Piece {
    pub(crate) segment: String,
    pub(crate) role: Role,
    pub(crate) offset: u32,
    pub(crate) bytes: Vec<u8>,
    pub(crate) written: bool,
    /// The first sector of the application, see [`crate::session`].
    seal: bool,
    md5: [u8; 16],
    /// Read back and found right since it was last touched.
    right: bool,
    compressed: Option<Vec<u8>>,
}

impl Piece {
    fn new(segment: &str, role: Role, offset: u32, bytes: &[u8], seal: bool) -> Self {
        Self {
            segment: segment.into(),
            role,
            offset,
            bytes: bytes.to_vec(),
            written: false,
            seal,
            md5: Md5::digest(bytes).into(),
            right: false,
            compressed: None,
        }
    }

    fn size(&self) -> u32 {
        self.bytes.len() as u32
    }

    fn compressed(&mut self) -> &[u8] {
        let bytes = &self.bytes;
        self.compressed
            .get_or_insert_with(|| compress_to_vec_zlib(bytes, COMPRESSION))
    }
}

/// The plan in write order: models and data, bootloader, table, application without its first
/// sector, and that sector.
pub(crate) fn pieces(plan: &FlashPlan) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for segment in &plan.segments {
        let (name, role, offset) = (&segment.name, segment.role, segment.offset);
        let split = match role {
            Role::App => segment.bytes.len().min(SECTOR),
            _ => 0,
        };
        let (first, rest) = segment.bytes.split_at(split);
        if !rest.is_empty() {
            pieces.push(Piece::new(name, role, offset + split as u32, rest, false));
        }
        if !first.is_empty() {
            pieces.push(Piece::new(name, role, offset, first, true));
        }
    }
    pieces.sort_by_key(|piece| match (piece.seal, piece.role) {
        (true, _) => 4,
        (_, Role::App) => 3,
        (_, Role::PartitionTable) => 2,
        (_, Role::Bootloader) => 1,
        (_, Role::Model | Role::Data) => 0,
    });
    pieces
}

/// Makes the flash hold all pieces. `suspicious`: something went wrong on the line before, so
/// that a mangled command may have hit any place.
pub(crate) async fn all(
    loader: &Loader,
    pieces: &mut [Piece],
    options: &Options,
    suspicious: bool,
) -> Result<(), Trouble> {
    let line = loader.line.clone();
    let mut writer = Writer {
        loader,
        suspicious,
        wrote: false,
    };
    line.during("comparing");
    line.phase(Phase::Comparing);
    writer.compare(pieces, options).await?;

    line.phase(Phase::Writing);
    let unseal = pieces
        .iter()
        .any(|p| !p.right && !p.seal && guards_start(p.role));
    if unseal {
        for piece in pieces.iter_mut().filter(|p| p.seal) {
            let blank = vec![0xFF; SECTOR];
            let mut blank = Piece::new(&piece.segment, piece.role, piece.offset, &blank, true);
            line.during("taking the old application out of service");
            let found = writer.md5(blank.offset, blank.size()).await?;
            if found != blank.md5 {
                writer.write(&mut blank, None).await?;
            }
            piece.right = false;
        }
    }
    for piece in pieces.iter_mut().filter(|p| !p.right) {
        line.event(Event::SegmentStarted {
            name: piece.segment.clone(),
            bytes: piece.bytes.len() as u64,
            compressed: piece.compressed().len() as u64,
        });
        let done = line.state().progress.done_bytes;
        writer.write(piece, Some(done)).await?;
        piece.written = true;
        line.event(Event::SegmentWritten {
            name: piece.segment.clone(),
            bytes: piece.bytes.len() as u64,
        });
    }
    line.during("verifying");
    line.phase(Phase::Verifying);
    writer.finish(pieces).await
}

struct Writer<'a> {
    loader: &'a Loader,
    suspicious: bool,
    wrote: bool,
}

impl Writer<'_> {
    async fn md5(&self, offset: u32, size: u32) -> Result<[u8; 16], Trouble> {
        let digest = self.loader.md5(offset, size).await;
        digest.map_err(|failure| trouble(&self.loader.line, failure))
    }

    async fn compare(&mut self, pieces: &mut [Piece], options: &Options) -> Result<(), Trouble> {
        let line = &self.loader.line;
        {
            let mut state = line.state();
            state.progress.done_bytes = 0;
            state.progress.skipped_bytes = 0;
        }
        for piece in pieces {
            // What this very session wrote is never written twice, whatever the options say.
            let known = piece.written || options.skip_equal;
            piece.right = known && self.md5(piece.offset, piece.size()).await? == piece.md5;
            if piece.right {
                let bytes = piece.bytes.len() as u64;
                let mut state = line.state();
                state.progress.segment = Some(piece.segment.clone());
                state.progress.done_bytes += bytes;
                if !piece.written {
                    state.progress.skipped_bytes += bytes;
                    drop(state);
                    let name = piece.segment.clone();
                    line.event(Event::SegmentSkipped { name, bytes });
                }
            }
        }
        Ok(())
    }

    /// Writes and verifies one piece, whole, up to [`ATTEMPTS`] times. `done` is the progress
    /// before it, `None` for bytes that are not in the plan.
    async fn write(&mut self, piece: &mut Piece, done: Option<u64>) -> Result<(), Trouble> {
        let line = &self.loader.line;
        line.during("writing");
        line.state().progress.segment = Some(piece.segment.clone());
        let mut last = None;
        for _ in 0..ATTEMPTS {
            self.wrote = true;
            match self.stream(piece, done).await {
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
        }
        Err(match last {
            Some(failure) => trouble(line, failure),
            None => Trouble::Fatal(FlashError::VerifyFailed {
                name: piece.segment.clone(),
                attempts: ATTEMPTS,
            }),
        })
    }

    /// One DEFL stream. Any error abandons it: the stub's errors are late and not sticky, so a
    /// repeated block may be reported as fine.
    async fn stream(&self, piece: &mut Piece, done: Option<u64>) -> Result<(), Failure> {
        let loader = self.loader;
        let (size, offset) = (piece.size(), piece.offset);
        let compressed = piece.compressed();
        let rom = loader.speaker == Speaker::Rom;
        let block_size = if rom { ROM_BLOCK } else { STUB_BLOCK };
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
            if let Some(done) = done {
                loader.line.state().progress.done_bytes = done + u64::from(meter.total);
            }
        }
        Ok(())
    }

    /// After the last write: late errors, and a second look at everything if the line was bad.
    async fn finish(&mut self, pieces: &mut [Piece]) -> Result<(), Trouble> {
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
        if self.suspicious {
            for piece in pieces {
                line.state().progress.segment = Some(piece.segment.clone());
                if self.md5(piece.offset, piece.size()).await? != piece.md5 {
                    return Err(Trouble::Again(link_lost(line)));
                }
            }
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
