//! The two serial lines, polled: UART0 and the USB Serial/JTAG controller.

use core::fmt;

use fixpoint_device::Sink;

use crate::regs::*;
use crate::soc::CPU_HZ;

/// A line the host may be on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Uart,
    Usb,
}

impl Line {
    pub(crate) const ALL: [Self; 2] = [Self::Uart, Self::Usb];

    fn receive(self) -> Option<u8> {
        match self {
            Self::Uart => {
                const RX_COUNT: u32 = 0x3FF;
                (UART0_STATUS.read() & RX_COUNT != 0).then(|| UART0_FIFO.read())
            }
            Self::Usb => {
                const OUT_DATA_AVAILABLE: u32 = 1 << 2;
                (USB_EP1_CONF.read() & OUT_DATA_AVAILABLE != 0).then(|| USB_EP1.read())
            }
        }
        .map(|word| word.to_le_bytes()[0])
    }
}

/// Both lines, and what is known of the USB one.
pub(crate) struct Console {
    /// Whether somebody took what was sent last.
    usb_is_read: bool,
    /// Bytes handed to the controller and not yet released as a packet.
    usb_pending: usize,
}

impl Console {
    pub(crate) const fn new() -> Self {
        Self {
            usb_is_read: true,
            usb_pending: 0,
        }
    }

    /// What has arrived on `line`, up to the length of `buffer`.
    pub(crate) fn receive<'b>(&self, line: Line, buffer: &'b mut [u8]) -> &'b [u8] {
        let mut count = 0;
        for slot in buffer.iter_mut() {
            let Some(byte) = line.receive() else { break };
            *slot = byte;
            count += 1;
        }
        &buffer[..count]
    }

    /// Sends, waiting for room; [`Console::flush`] makes sure that it leaves.
    pub(crate) fn send(&mut self, line: Line, bytes: &[u8]) {
        for &byte in bytes {
            match line {
                Line::Uart => send_uart(byte),
                Line::Usb => self.send_usb(byte),
            }
        }
    }

    /// Lets go what is kept back to fill a USB packet.
    pub(crate) fn flush(&mut self) {
        const WR_DONE: u32 = 1;
        if self.usb_pending > 0 {
            USB_EP1_CONF.modify(WR_DONE, WR_DONE);
            self.usb_pending = 0;
        }
    }

    /// The controller hands over packets of up to 64 bytes. With no reader at the other end a
    /// packet stays where it is: one wait, and after that bytes are dropped until it has gone.
    fn send_usb(&mut self, byte: u8) {
        const PACKET: usize = 64;
        if self.usb_pending == 0 {
            let patience = if self.usb_is_read { CPU_HZ / 20 } else { 0 };
            self.usb_is_read = usb_has_room_within(patience);
        }
        if self.usb_is_read {
            USB_EP1.write(u32::from(byte));
            self.usb_pending += 1;
            if self.usb_pending == PACKET {
                self.flush();
            }
        }
    }
}

/// One line as the place where replies go.
pub(crate) struct LineSink<'c> {
    pub(crate) console: &'c mut Console,
    pub(crate) line: Line,
}

impl Sink for LineSink<'_> {
    fn write(&mut self, bytes: &[u8]) {
        self.console.send(self.line, bytes);
    }
}

fn send_uart(byte: u8) {
    const TX_COUNT_SHIFT: u32 = 16;
    const TX_COUNT: u32 = 0x3FF;
    const TX_FIFO: u32 = 128;
    while (UART0_STATUS.read() >> TX_COUNT_SHIFT) & TX_COUNT >= TX_FIFO - 8 {}
    UART0_FIFO.write(u32::from(byte));
}

fn usb_has_room_within(patience: u32) -> bool {
    const IN_DATA_FREE: u32 = 1 << 1;
    let start = cycles();
    loop {
        if USB_EP1_CONF.read() & IN_DATA_FREE != 0 {
            return true;
        }
        if cycles().wrapping_sub(start) >= patience {
            return false;
        }
    }
}

/// Text goes to both lines, for whoever listens.
impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            for line in Line::ALL {
                if byte == b'\n' {
                    self.send(line, b"\r");
                }
                self.send(line, &[byte]);
            }
        }
        self.flush();
        Ok(())
    }
}
