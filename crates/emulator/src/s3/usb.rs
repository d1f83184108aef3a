//! The USB Serial/JTAG controller's byte stream (ESP32-S3 Technical Reference Manual, USB Serial/JTAG
//! Controller).

use std::collections::VecDeque;

use super::peripherals::Poll;

const EP1: u32 = 0;
const EP1_CONF: u32 = 4;

const WR_DONE: u32 = 1;
const IN_DATA_FREE: u32 = 1 << 1;
const OUT_DATA_AVAILABLE: u32 = 1 << 2;
const PACKET: usize = 64;

#[derive(Clone, Debug)]
pub(super) struct Usb {
    pub(super) received: VecDeque<u8>,
    pub(super) sent: Vec<u8>,
    /// Whether a host is there that takes packets.
    pub(super) host: bool,
    packet: Vec<u8>,
    /// The packet waits to be taken.
    released: bool,
}

impl Usb {
    pub(super) fn new(host: bool) -> Self {
        Self {
            received: VecDeque::new(),
            sent: Vec::new(),
            host,
            packet: Vec::new(),
            released: false,
        }
    }

    pub(super) fn read(&mut self, offset: u32) -> Option<u32> {
        Some(match offset {
            EP1 => u32::from(self.received.pop_front().unwrap_or(0)),
            EP1_CONF => {
                let free = if self.released { 0 } else { IN_DATA_FREE };
                let available = match self.received.is_empty() {
                    true => 0,
                    false => OUT_DATA_AVAILABLE,
                };
                free | available
            }
            _ => return None,
        })
    }

    pub(super) fn write(&mut self, offset: u32, value: u32) -> Option<()> {
        match offset {
            EP1 if self.released => {}
            EP1 => {
                self.packet.push(value as u8);
                if self.packet.len() == PACKET {
                    self.release();
                }
            }
            EP1_CONF if value & WR_DONE != 0 => self.release(),
            EP1_CONF => {}
            _ => return None,
        }
        Some(())
    }

    fn release(&mut self) {
        if self.host {
            self.sent.append(&mut self.packet);
        } else if !self.packet.is_empty() {
            self.released = true;
        }
    }

    /// What a read at `offset` tells of the program.
    pub(super) fn poll(&self, offset: u32) -> Poll {
        match offset {
            EP1_CONF if self.received.is_empty() && self.released => Poll::Unclear,
            EP1_CONF if self.received.is_empty() => Poll::Idle,
            _ => Poll::Busy,
        }
    }
}
