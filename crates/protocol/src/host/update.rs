//! A new model over the link: begin, pieces, check, switch.

use std::vec::Vec;

use crate::{ErrorCode, MAX_MODEL_DATA, Reply, Request};

use super::client::Event;
use super::error::LinkError;
use super::work::{Next, refused, wrong};

pub(super) struct Update {
    image: Vec<u8>,
    id: u32,
    stage: Stage,
    restarts: u32,
}

#[derive(Clone, Copy)]
enum Stage {
    Begin,
    Write { offset: usize },
    Verify,
    Activate,
}

impl Update {
    /// `room`: what the board said it has.
    pub(super) fn new(image: Vec<u8>, room: u32, restarts: u32) -> Result<Self, LinkError> {
        // Of the image's layout only this is used here: `FXPM` first, the CRC at 12..16.
        let id = match image.first_chunk::<16>() {
            Some(&[b'F', b'X', b'P', b'M', .., a, b, c, d]) => u32::from_le_bytes([a, b, c, d]),
            _ => return Err(LinkError::NotAModel),
        };
        if u32::try_from(image.len()).is_ok_and(|bytes| bytes <= room) {
            return Ok(Update {
                image,
                id,
                stage: Stage::Begin,
                restarts,
            });
        }
        Err(LinkError::NoRoom {
            bytes: image.len(),
            room,
        })
    }

    pub(super) fn during(&self) -> &'static str {
        match self.stage {
            Stage::Begin | Stage::Write { .. } => "while it was given the new model",
            Stage::Verify => "while it checked the new model",
            Stage::Activate => "while it switched to the new model",
        }
    }

    pub(super) fn request(&self) -> Request<'_> {
        match self.stage {
            // The image fits a `u32`: see `new`.
            Stage::Begin => Request::ModelBegin {
                bytes: self.image.len() as u32,
                id: self.id,
            },
            Stage::Write { offset } => Request::ModelWrite {
                offset: offset as u32,
                bytes: &self.image[offset..self.image.len().min(offset + MAX_MODEL_DATA)],
            },
            Stage::Verify => Request::ModelVerify,
            Stage::Activate => Request::ModelActivate { id: self.id },
        }
    }

    pub(super) fn on_reply(&mut self, reply: &Reply<'_>) -> Result<Next, LinkError> {
        let there = match *reply {
            Reply::Ack { detail } => detail,
            Reply::Error { code, detail, text } => {
                match (code, self.restarts) {
                    (ErrorCode::ModelGap, 0) => {
                        let during = self.during();
                        return Err(LinkError::Restarting { during });
                    }
                    // A board that restarted in between does not know what it was given; flash that did
                    // not take something is erased and given it again.
                    (ErrorCode::ModelGap | ErrorCode::FlashFailed, 1..) => {}
                    _ => return Err(refused(code, detail, text)),
                }
                self.restarts -= 1;
                self.stage = Stage::Begin;
                return Ok(Next::Request);
            }
            _ => return Err(wrong("another kind of message")),
        };
        let total = self.image.len() as u32;
        match self.stage {
            Stage::Begin | Stage::Write { .. } => {
                // The board says how far it is; more than there is can't be.
                if there > total {
                    return Err(wrong("more of the model than there is"));
                }
                self.stage = match there {
                    there if there == total => Stage::Verify,
                    there => Stage::Write {
                        offset: there as usize,
                    },
                };
                Ok(Next::Tell(Event::Updating { done: there, total }))
            }
            Stage::Verify if there == self.id => {
                self.stage = Stage::Activate;
                Ok(Next::Request)
            }
            Stage::Verify => Err(wrong("another model than was written")),
            Stage::Activate => Ok(Next::Finished(Event::Updated(self.id))),
        }
    }
}
