//! The place for a second model, as the server uses it, and the order in which it is filled.

use fixpoint_protocol::ErrorCode;
use fixpoint_protocol::slot::{RECORD_SECTOR, Record};
use fixpoint_runtime::{Model, RunError};

use crate::text::Text;

/// Flash of the model slot that does not run. Offsets count from its first byte.
///
/// The virtual board implements it over its flash memory, the firmware over the chip's. Nothing that is
/// called here may touch the running model.
pub trait ModelStore {
    /// Bytes of the slot, a multiple of 4096; 0 when there is none.
    fn bytes(&self) -> u32;

    /// Rank of the running model by the rule of [`fixpoint_protocol::slot`]; 0 when none runs.
    fn running_rank(&self) -> u32;

    /// Erases the 4096 bytes from `offset` on, a multiple of 4096. `false`: it did not work.
    fn erase(&mut self, offset: u32) -> bool;

    /// Programs erased bytes. `false`: it did not work, or flash holds something else afterwards.
    fn program(&mut self, offset: u32, bytes: &[u8]) -> bool;

    /// Shows what is in flash now: the first `bytes` of the slot, 16-byte aligned.
    fn look(&mut self, bytes: u32, see: &mut dyn FnMut(&[u8]));
}

/// A model on its way into the slot.
#[derive(Clone, Copy)]
pub(crate) struct Incoming {
    bytes: u32,
    id: u32,
    /// Everything before it is in flash.
    next: u32,
    verified: bool,
}

type Refusal = (ErrorCode, u32);

/// Bytes that are there already: none, or all.
pub(crate) fn begin(
    store: &mut dyn ModelStore,
    bytes: u32,
    id: u32,
) -> Result<(Incoming, u32), Refusal> {
    let room = room(store);
    if room == 0 {
        return Err((ErrorCode::NoModelSlot, 0));
    }
    if bytes > room || bytes == 0 {
        return Err((ErrorCode::ModelTooBig, room));
    }
    let mut there = false;
    store.look(bytes, &mut |image| {
        there = Model::parse(image)
            .is_ok_and(|model| model.id() == id && model.image().len() == image.len());
    });
    let incoming = Incoming {
        bytes,
        id,
        next: if there { bytes } else { 0 },
        verified: false,
    };
    Ok((incoming, incoming.next))
}

/// Bytes that a model may have.
pub(crate) fn room(store: &dyn ModelStore) -> u32 {
    store.bytes().saturating_sub(RECORD_SECTOR)
}

impl Incoming {
    /// Bytes there afterwards. Sectors are erased as the pieces reach them.
    pub(crate) fn write(
        &mut self,
        store: &mut dyn ModelStore,
        offset: u32,
        piece: &[u8],
    ) -> Result<u32, Refusal> {
        let gap = (ErrorCode::ModelGap, self.next);
        let length = u32::try_from(piece.len()).map_err(|_| gap)?;
        let end = offset
            .checked_add(length)
            .filter(|&end| end <= self.bytes)
            .ok_or((ErrorCode::OutOfRange, self.bytes))?;
        if end <= self.next {
            return Ok(self.next);
        }
        if offset != self.next {
            return Err(gap);
        }
        self.verified = false;
        let failed = |_| (ErrorCode::FlashFailed, offset);
        let mut sector = offset.next_multiple_of(RECORD_SECTOR);
        while sector < end {
            store
                .erase(sector)
                .then_some(())
                .ok_or(())
                .map_err(failed)?;
            sector += RECORD_SECTOR;
        }
        let programmed = store.program(offset, piece);
        programmed.then_some(()).ok_or(()).map_err(failed)?;
        self.next = end;
        Ok(end)
    }

    /// Checks what is in flash as it is checked before it runs. `objection`: why a model can't run here;
    /// what is wrong with this one is left in `why`.
    pub(crate) fn verify(
        &mut self,
        store: &mut dyn ModelStore,
        objection: impl Fn(&Model<'_>) -> Option<RunError>,
        why: &mut Text,
    ) -> Result<u32, Refusal> {
        if self.next < self.bytes {
            return Err((ErrorCode::ModelGap, self.next));
        }
        let wanted = self.id;
        let mut wrong = Some(Text::of(&format_args!("flash can't be read back")));
        store.look(self.bytes, &mut |image| {
            wrong = match Model::parse(image) {
                Err(error) => Some(Text::of(&error)),
                Ok(model) if model.id() != wanted => Some(Text::of(&format_args!(
                    "it is another model than announced"
                ))),
                Ok(model) => objection(&model).map(|error| Text::of(&error)),
            };
        });
        if let Some(text) = wrong {
            // Flash holds something wrong: all of it has to come again.
            self.next = 0;
            *why = text;
            return Err((ErrorCode::ModelBroken, 0));
        }
        self.verified = true;
        Ok(wanted)
    }

    /// Writes the record that prefers this model; only for the one that was verified.
    pub(crate) fn activate(&self, store: &mut dyn ModelStore, id: u32) -> Result<(), Refusal> {
        if !self.verified || id != self.id {
            return Err((ErrorCode::ModelGap, self.next));
        }
        let record = Record {
            sequence: store.running_rank().saturating_add(1),
            bytes: self.bytes,
            id,
        };
        let place = room(store);
        if store.erase(place) && store.program(place, &record.encode()) {
            Ok(())
        } else {
            Err((ErrorCode::FlashFailed, place))
        }
    }
}
