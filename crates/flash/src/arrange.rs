//! From a plan and what is on the board to the pieces to write, in write order.
//!
//! Everything is derived from the flash anew in every round and after every loss of the link, so that a
//! session that was cut, today or last week, is simply continued.

use crate::error::FlashError;
use crate::flasher::{Event, Phase};
use crate::line::Line;
use crate::loader::{Failure, Loader};
use crate::packet;
use crate::plan::{FlashPlan, Role, Segment, Slot};
use crate::session::{Trouble, trouble};
use fixpoint_protocol::slot::{RECORD_BYTES, RECORD_SECTOR, Record};
use md5::{Digest, Md5};
use miniz_oxide::deflate::compress_to_vec_zlib;
use std::cell::OnceCell;
use std::ops::Range;

pub(crate) const SECTOR: usize = 0x1000;
const COMPRESSION: u8 = 10;
/// Bytes of an entry of ESP-IDF's OTA data: sequence u32, label 20, state u32, CRC u32.
const OTA_ENTRY: usize = 32;

/// Where in the order of [`crate::session`] a piece is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Nothing that runs depends on it.
    Apart,
    ModelSwitch,
    Bootloader,
    Table,
    App,
    AppSwitch,
    /// First sector of an application that was taken out of service before.
    Seal,
}

/// A range of flash that is compared and verified as a whole.
pub(crate) struct Piece {
    pub(crate) segment: String,
    pub(crate) step: Step,
    pub(crate) offset: u32,
    pub(crate) bytes: Vec<u8>,
    pub(crate) md5: [u8; 16],
    /// Read back and found right since it was last touched.
    pub(crate) right: bool,
    /// What of it is to be written.
    pub(crate) parts: Vec<Part>,
}

/// Whole sectors of a piece, written in one stream.
pub(crate) struct Part {
    pub(crate) range: Range<usize>,
    packed: OnceCell<Vec<u8>>,
}

impl Part {
    fn new(range: Range<usize>) -> Self {
        Self {
            range,
            packed: OnceCell::new(),
        }
    }

    /// As a zlib stream; `bytes` are the piece's.
    pub(crate) fn packed(&self, bytes: &[u8]) -> &[u8] {
        let bytes = &bytes[self.range.clone()];
        self.packed
            .get_or_init(|| compress_to_vec_zlib(bytes, COMPRESSION))
    }
}

impl Piece {
    pub(crate) fn new(segment: &str, step: Step, offset: u32, bytes: &[u8]) -> Self {
        Self {
            segment: segment.into(),
            step,
            offset,
            bytes: bytes.to_vec(),
            md5: Md5::digest(bytes).into(),
            right: false,
            parts: vec![Part::new(0..bytes.len())],
        }
    }

    pub(crate) fn size(&self) -> u32 {
        self.bytes.len() as u32
    }

    pub(crate) fn all_again(&mut self) {
        self.parts = vec![Part::new(0..self.bytes.len())];
    }

    /// Bytes of all parts as zlib streams.
    pub(crate) fn packed_bytes(&self) -> usize {
        let parts = self.parts.iter();
        parts.map(|part| part.packed(&self.bytes).len()).sum()
    }

    /// Whether it is one of the plan's images and not a note of ours beside them.
    pub(crate) fn is_image(&self) -> bool {
        !matches!(self.step, Step::ModelSwitch | Step::AppSwitch)
    }
}

/// What is to be done.
pub(crate) struct Work {
    /// In write order.
    pub(crate) pieces: Vec<Piece>,
    /// First sectors of applications that must not start before the end, because what they stand
    /// on is about to change.
    pub(crate) out_of_service: Vec<u32>,
}

impl Work {
    pub(crate) fn pending(&self) -> impl Iterator<Item = &Piece> {
        self.pieces.iter().filter(|piece| !piece.right)
    }

    /// Bytes on the wire that are still to come.
    pub(crate) fn pending_compressed(&self) -> usize {
        let pieces = self.pending();
        pieces.map(|piece| piece.packed_bytes()).sum()
    }
}

/// Compares the board with the plan. `skip_equal`: what is there already is left out.
pub(crate) async fn look(
    loader: &Loader,
    plan: &FlashPlan,
    skip_equal: bool,
) -> Result<Work, Trouble> {
    let line = loader.line.clone();
    line.during("comparing");
    line.phase(Phase::Comparing);
    {
        let mut state = line.state();
        state.progress.done_bytes = 0;
        state.progress.skipped_bytes = 0;
    }
    let look = Look { loader, skip_equal };
    let mut work = Work {
        pieces: Vec::new(),
        out_of_service: Vec::new(),
    };
    let mut system_changes = !skip_equal;
    for segment in &plan.segments {
        let step = match segment.role {
            Role::Bootloader => Step::Bootloader,
            Role::PartitionTable => Step::Table,
            Role::Data => Step::Apart,
            Role::App | Role::Model => continue,
        };
        let mut piece = Piece::new(&segment.name, step, segment.offset, &segment.bytes);
        look.compare(&mut piece).await?;
        system_changes |= !piece.right && step != Step::Apart;
        work.pieces.push(piece);
    }
    for segment in &plan.segments {
        match segment.role {
            Role::App => look.app(plan, segment, system_changes, &mut work).await?,
            Role::Model => look.model(plan, segment, &mut work).await?,
            _ => {}
        }
    }
    work.pieces.sort_by_key(|piece| piece.step);
    Ok(work)
}

struct Look<'a> {
    loader: &'a Loader,
    skip_equal: bool,
}

impl Look<'_> {
    fn line(&self) -> &Line {
        &self.loader.line
    }

    /// Marks the piece as right, or finds out what of it is to be written.
    async fn compare(&self, piece: &mut Piece) -> Result<(), Trouble> {
        if !self.skip_equal {
            return Ok(());
        }
        let there = self.md5(piece.offset, piece.size()).await?;
        if there == piece.md5 {
            self.found(piece);
            return Ok(());
        }
        // In erased flash there is nothing to find.
        let erased: [u8; 16] = Md5::digest(vec![0xFF; piece.bytes.len()]).into();
        if there != erased {
            self.narrow(piece).await?;
        }
        Ok(())
    }

    fn found(&self, piece: &mut Piece) {
        piece.right = true;
        if piece.is_image() {
            self.count(&piece.segment, piece.bytes.len());
            let (name, bytes) = (piece.segment.clone(), piece.bytes.len() as u64);
            self.line().event(Event::SegmentSkipped { name, bytes });
        }
    }

    fn count(&self, segment: &str, bytes: usize) {
        let mut state = self.line().state();
        state.progress.segment = Some(segment.into());
        state.progress.done_bytes += bytes as u64;
        state.progress.skipped_bytes += bytes as u64;
    }

    async fn equal(&self, piece: &Piece) -> Result<bool, Trouble> {
        Ok(self.md5(piece.offset, piece.size()).await? == piece.md5)
    }

    async fn md5(&self, offset: u32, size: u32) -> Result<[u8; 16], Trouble> {
        let digest = self.loader.md5(offset, size).await;
        digest.map_err(|failure| trouble(self.line(), failure))
    }

    /// Finds the sectors of a piece that differ, by halves, as long as that finds equal ones: a
    /// question costs about 80 bytes of wire, an equal sector saves up to 4096.
    async fn narrow(&self, piece: &mut Piece) -> Result<(), Trouble> {
        const WORTH: usize = 4 * SECTOR;
        if piece.bytes.len() < WORTH || !piece.is_image() {
            return Ok(());
        }
        let whole = 0..piece.bytes.len();
        let mut differing = Vec::from([whole]);
        let mut fruitless = 0;
        while fruitless < 2 {
            let mut next = Vec::new();
            let (mut found, mut split) = (false, false);
            for range in differing {
                let sectors = range.len().div_ceil(SECTOR);
                if sectors < 2 {
                    next.push(range);
                    continue;
                }
                split = true;
                let middle = range.start + sectors / 2 * SECTOR;
                let (left, right) = (range.start..middle, middle..range.end);
                if self.holds(piece, &left).await? {
                    found = true;
                    // Together they differ, so the other half does.
                    next.push(right);
                } else {
                    let equal = self.holds(piece, &right).await?;
                    found |= equal;
                    next.push(left);
                    next.extend((!equal).then_some(right));
                }
            }
            differing = next;
            if !split {
                break;
            }
            fruitless = if found { 0 } else { fruitless + 1 };
        }
        // Neighbours in one stream.
        let mut parts: Vec<Range<usize>> = Vec::new();
        for range in differing {
            match parts.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => parts.push(range),
            }
        }
        let left: usize = parts.iter().map(|part| part.len()).sum();
        piece.parts = parts.into_iter().map(Part::new).collect();
        self.count(&piece.segment, piece.bytes.len() - left);
        Ok(())
    }

    async fn holds(&self, piece: &Piece, range: &Range<usize>) -> Result<bool, Trouble> {
        let bytes = &piece.bytes[range.clone()];
        let wanted: [u8; 16] = Md5::digest(bytes).into();
        let found = self.md5(piece.offset + range.start as u32, bytes.len() as u32);
        Ok(found.await? == wanted)
    }

    async fn app(
        &self,
        plan: &FlashPlan,
        segment: &Segment,
        system_changes: bool,
        work: &mut Work,
    ) -> Result<(), Trouble> {
        let two_places = plan.app_switch.filter(|_| plan.app_slots.len() > 1);
        match two_places {
            Some(switch) if !system_changes => self.other_app(plan, segment, switch, work).await,
            _ => self.only_app(plan, segment, two_places, work).await,
        }
    }

    /// The application beside the one that starts, and the switch to it.
    async fn other_app(
        &self,
        plan: &FlashPlan,
        segment: &Segment,
        switch: u32,
        work: &mut Work,
    ) -> Result<(), Trouble> {
        let slots = &plan.app_slots;
        let mut sequences = [0; 2];
        for (sector, sequence) in sequences.iter_mut().enumerate() {
            let offset = switch + (sector * SECTOR) as u32;
            let read = self.settled(offset, OTA_ENTRY, |entry| ota_sequence(entry).is_some());
            *sequence = ota_sequence(&read.await?).unwrap_or(0);
        }
        let newest = sequences[0].max(sequences[1]);
        let running = newest.saturating_sub(1) as usize % slots.len();
        let place = |slot: &Slot| Piece::new(&segment.name, Step::App, slot.offset, &segment.bytes);
        let mut app = place(&slots[running]);
        if self.equal(&app).await? {
            self.found(&mut app);
            work.pieces.push(app);
            return Ok(());
        }
        let target = (running + 1) % slots.len();
        let mut app = place(&slots[target]);
        self.compare(&mut app).await?;
        work.pieces.push(app);
        // The smallest number above the newest that selects the target.
        let ahead = (target + slots.len() - newest as usize % slots.len()) % slots.len();
        let sequence = newest + 1 + ahead as u32;
        let sector = usize::from(sequences[0] >= sequences[1] && newest > 0);
        work.pieces.push(Piece::new(
            &segment.name,
            Step::AppSwitch,
            switch + (sector * SECTOR) as u32,
            &ota_entry(sequence),
        ));
        Ok(())
    }

    /// The application in its one place, or in the first: what it stands on is new as well.
    async fn only_app(
        &self,
        plan: &FlashPlan,
        segment: &Segment,
        switch: Option<u32>,
        work: &mut Work,
    ) -> Result<(), Trouble> {
        let (first, rest) = segment.bytes.split_at(segment.bytes.len().min(SECTOR));
        let behind = segment.offset + first.len() as u32;
        let mut pieces = vec![Piece::new(&segment.name, Step::Seal, segment.offset, first)];
        if !rest.is_empty() {
            pieces.push(Piece::new(&segment.name, Step::App, behind, rest));
        }
        if let Some(switch) = switch {
            let mut sectors = vec![0xFF; 2 * SECTOR];
            sectors[..OTA_ENTRY].copy_from_slice(&ota_entry(1));
            pieces.push(Piece::new(&segment.name, Step::AppSwitch, switch, &sectors));
        }
        for piece in &mut pieces {
            self.compare(piece).await?;
        }
        work.pieces.append(&mut pieces);
        let guarded =
            |piece: &Piece| !matches!(piece.step, Step::Apart | Step::ModelSwitch | Step::Seal);
        if work.pending().any(guarded) {
            let slots = plan.app_slots.iter().map(|slot| slot.offset);
            work.out_of_service = slots.chain([segment.offset]).collect();
            work.out_of_service.sort_unstable();
            work.out_of_service.dedup();
        }
        Ok(())
    }

    async fn model(
        &self,
        plan: &FlashPlan,
        segment: &Segment,
        work: &mut Work,
    ) -> Result<(), Trouble> {
        let id = segment.bytes.get(12..16).map(word).unwrap_or(0);
        let place =
            |slot: &Slot| Piece::new(&segment.name, Step::Apart, slot.offset, &segment.bytes);
        let [first, second] = plan.model_slots[..] else {
            let mut piece = place(&Slot {
                offset: segment.offset,
                size: 0,
            });
            self.compare(&mut piece).await?;
            work.pieces.push(piece);
            return Ok(());
        };
        let slots = [first, second];
        let mut records = [None; 2];
        for (slot, record) in slots.iter().zip(&mut records) {
            let read = self.settled(record_offset(slot), RECORD_BYTES, |bytes| {
                Record::decode(bytes).is_some()
            });
            *record = Record::decode(&read.await?);
        }
        let rank = |slot: usize| records[slot].map_or(0, |record: Record| record.sequence);
        let newest = usize::from(rank(1) > rank(0));
        if self.skip_equal && records[newest].is_some_and(|record| record.id == id) {
            let mut piece = place(&slots[newest]);
            if self.equal(&piece).await? {
                self.found(&mut piece);
                work.pieces.push(piece);
                return Ok(());
            }
        }
        // Which one runs, by the board's rule; it is the other one that is written.
        let mut running: Option<(u32, usize)> = None;
        for slot in 0..2 {
            let head = self.settled(slots[slot].offset, 16, |head| head.starts_with(b"FXPM"));
            let head = head.await?;
            if head.starts_with(b"FXPM") {
                let rank = Record::rank(records[slot], word(&head[12..16]));
                if running.is_none_or(|(other, _)| rank > other) {
                    running = Some((rank, slot));
                }
            }
        }
        let target = match running {
            Some((_, running)) => 1 - running,
            None => 0,
        };
        let mut piece = place(&slots[target]);
        self.compare(&mut piece).await?;
        work.pieces.push(piece);
        let record = Record {
            sequence: rank(0).max(rank(1)).saturating_add(1),
            bytes: segment.bytes.len() as u32,
            id,
        };
        work.pieces.push(Piece::new(
            &segment.name,
            Step::ModelSwitch,
            record_offset(&slots[target]),
            &record.encode(),
        ));
        Ok(())
    }

    /// Bytes of flash that decide what is overwritten, read until they are as expected, or came
    /// the same twice: answers carry no checksum.
    async fn settled(
        &self,
        offset: u32,
        length: usize,
        expected: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<u8>, Trouble> {
        let mut before = None;
        for _ in 0..5 {
            let bytes = self.loader.read_flash(offset, length).await;
            let bytes = bytes.map_err(|failure| match failure {
                Failure::Refused(code) => Trouble::Again(FlashError::Refused {
                    during: "reading the flash",
                    code,
                    reason: packet::reason(code),
                }),
                failure => trouble(self.line(), failure),
            })?;
            if expected(&bytes) || before.as_ref() == Some(&bytes) {
                return Ok(bytes);
            }
            before = Some(bytes);
        }
        Err(trouble(self.line(), Failure::Garbled))
    }
}

fn record_offset(slot: &Slot) -> u32 {
    slot.offset + slot.size - RECORD_SECTOR
}

fn word(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .rev()
        .fold(0, |word, &byte| word << 8 | u32::from(byte))
}

/// CRC-32 over the sequence number, from a register of zeros (ESP-IDF's OTA data).
fn ota_crc(sequence: u32) -> u32 {
    let step = |crc: u32, _| crc >> 1 ^ if crc & 1 != 0 { 0xEDB8_8320 } else { 0 };
    let bytes = sequence.to_le_bytes();
    !bytes
        .iter()
        .fold(0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

/// Selects slot `(sequence - 1) % slots`; the state word stays unset, as ESP-IDF's tools leave it.
pub(crate) fn ota_entry(sequence: u32) -> [u8; OTA_ENTRY] {
    let mut entry = [0xFF; OTA_ENTRY];
    entry[..4].copy_from_slice(&sequence.to_le_bytes());
    entry[28..].copy_from_slice(&ota_crc(sequence).to_le_bytes());
    entry
}

fn ota_sequence(entry: &[u8]) -> Option<u32> {
    let sequence = word(entry.get(..4)?);
    let whole = word(entry.get(28..32)?) == ota_crc(sequence);
    (whole && sequence != 0 && sequence != u32::MAX).then_some(sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `zlib.crc32(b"\1\0\0\0", 0xFFFFFFFF)` in Python, as ESP-IDF's otatool.py computes it.
    #[test]
    fn ota_entries_have_the_bootloaders_crc() {
        assert_eq!(ota_crc(1), 0x4743_989A);
        let entry = ota_entry(1);
        assert_eq!(ota_sequence(&entry), Some(1));
        for bit in (0..32).chain(224..256) {
            let mut torn = entry;
            torn[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(ota_sequence(&torn), None, "bit {bit}");
        }
        assert_eq!(ota_sequence(&[0xFF; OTA_ENTRY]), None);
    }
}
