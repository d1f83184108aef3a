//! Requests that put a new model into the other slot.

use fixpoint_protocol::ErrorCode;

use super::{Refusal, Station, objection};
use crate::store;
use crate::text::Text;

impl<C> Station<'_, C> {
    pub(super) fn begin_model(&mut self, bytes: u32, id: u32) -> Result<u32, Refusal> {
        let store = self.store.as_deref_mut();
        let store = store.ok_or((ErrorCode::NoModelSlot, 0))?;
        let (incoming, there) = store::begin(store, bytes, id)?;
        self.incoming = Some(incoming);
        Ok(there)
    }

    pub(super) fn write_model(&mut self, offset: u32, bytes: &[u8]) -> Result<u32, Refusal> {
        match (&mut self.incoming, self.store.as_deref_mut()) {
            (Some(incoming), Some(store)) => incoming.write(store, offset, bytes),
            (None, Some(_)) => Err((ErrorCode::ModelGap, 0)),
            (_, None) => Err((ErrorCode::NoModelSlot, 0)),
        }
    }

    pub(super) fn verify_model(&mut self, why: &mut Text) -> Result<u32, Refusal> {
        let arena = self.arena_bytes;
        match (&mut self.incoming, self.store.as_deref_mut()) {
            (Some(incoming), Some(store)) => {
                incoming.verify(store, |model| objection(model, arena), why)
            }
            (None, Some(_)) => Err((ErrorCode::ModelGap, 0)),
            (_, None) => Err((ErrorCode::NoModelSlot, 0)),
        }
    }

    pub(super) fn activate_model(&mut self, id: u32) -> Result<(), Refusal> {
        // Asked again after the restart: done already.
        let runs = self.problem.is_none() && self.model.is_some_and(|model| model.id() == id);
        if runs || self.wants_restart {
            return Ok(());
        }
        match (&self.incoming, self.store.as_deref_mut()) {
            (Some(incoming), Some(store)) => incoming.activate(store, id)?,
            (None, Some(_)) => return Err((ErrorCode::ModelGap, 0)),
            (_, None) => return Err((ErrorCode::NoModelSlot, 0)),
        }
        self.wants_restart = true;
        Ok(())
    }
}
