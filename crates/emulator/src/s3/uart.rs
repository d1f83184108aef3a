//! UART0, polled (ESP32-S3 Technical Reference Manual, UART Controller). What is sent has left at once;
//! what the host sends waits on the line until there is room.

use std::collections::VecDeque;

use super::peripherals::Poll;

const FIFO: u32 = 0x00;
const CLKDIV: u32 = 0x14;
const STATUS: u32 = 0x1C;
const CONF0: u32 = 0x20;
const CONF1: u32 = 0x24;
const CLK_CONF: u32 = 0x78;
const ID: u32 = 0x80;

/// Bytes that the receiver holds.
const FIFO_BYTES: usize = 127;
/// ID.REG_UPDATE: cleared by the hardware when it is done.
const UPDATE: u32 = 1 << 31;

#[derive(Clone, Debug)]
pub(super) struct Uart {
    pub(super) received: VecDeque<u8>,
    pub(super) sent: Vec<u8>,
    clkdiv: u32,
    clk_conf: u32,
    conf: [u32; 2],
    id: u32,
}

impl Uart {
    /// As ROM and bootloader leave it: 115200 baud from the 40 MHz crystal, 8 bits, no parity.
    pub(super) fn new() -> Self {
        Self {
            received: VecDeque::new(),
            sent: Vec::new(),
            // 347 and 3/16 clocks to a bit.
            clkdiv: 347 | 3 << 20,
            // SCLK_SEL 3 (crystal), clocks enabled.
            clk_conf: 0x0370_0000,
            conf: [0x1C, 0x60],
            id: 0x500,
        }
    }

    pub(super) fn read(&mut self, offset: u32) -> Option<u32> {
        Some(match offset {
            FIFO => u32::from(self.received.pop_front().unwrap_or(0)),
            STATUS => self.received.len().min(FIFO_BYTES) as u32,
            CLKDIV => self.clkdiv,
            CONF0 => self.conf[0],
            CONF1 => self.conf[1],
            CLK_CONF => self.clk_conf,
            ID => self.id,
            _ => return None,
        })
    }

    pub(super) fn write(&mut self, offset: u32, value: u32) -> Option<()> {
        match offset {
            FIFO => self.sent.push(value as u8),
            CLKDIV => self.clkdiv = value,
            CONF0 => self.conf[0] = value,
            CONF1 => self.conf[1] = value,
            CLK_CONF => self.clk_conf = value,
            ID => self.id = value & !UPDATE,
            _ => return None,
        }
        Some(())
    }

    /// What a read at `offset` tells of the program.
    pub(super) fn poll(&self, offset: u32) -> Poll {
        match offset {
            STATUS if self.received.is_empty() => Poll::Idle,
            _ => Poll::Busy,
        }
    }
}
