//! What runs behind the loader: the emulator, booted from the flashed bytes.

use fixpoint_emulator::s3::{Machine, Options, Outcome, Reset};
use fixpoint_emulator::{Counts, boot};

use crate::nor::Nor;
use crate::{Fault, Personality};

/// Instructions at a stretch: a fraction of a second where this is run.
const STRETCH: u64 = 4_000_000;

pub(crate) struct Application {
    machine: Machine,
    personality: Personality,
    /// Whether it waits for the host, and time may pass without it.
    idle: bool,
    /// Those that the flash knows of.
    flash_operations: u64,
}

/// What the application did to the chip.
pub(crate) enum End {
    Reset(Reset),
    /// It can't go on, for a reason that belongs on the console.
    Stopped(String),
}

impl Application {
    /// # Errors
    /// When a segment of the image can't be loaded where it wants to be; the reason.
    pub(crate) fn start(
        nor: &Nor,
        application: &boot::Application,
        board: &crate::Options,
    ) -> Result<Self, String> {
        let personality = board.personality;
        let options = Options {
            usb_host: personality == Personality::UsbSerialJtag,
            core_1_broken: board.faults.contains(&Fault::SecondCoreDead),
            psram_bytes: board.psram_bytes,
            psram_broken: board.faults.contains(&Fault::PsramDead),
            power_fails_in: nor.fails_in.map(|at| at.saturating_sub(nor.operations)),
        };
        let machine = Machine::new(nor.bytes(), application, options);
        let machine = machine.map_err(|segment| {
            format!("E (40) esp_image: segment {segment} can't be loaded to its address\r\n")
        })?;
        Ok(Self {
            machine,
            personality,
            idle: false,
            flash_operations: 0,
        })
    }

    pub(crate) fn waits(&self) -> bool {
        self.idle
    }

    pub(crate) fn instructions(&self) -> u64 {
        self.machine.executed()
    }

    pub(crate) fn take_counts(&mut self) -> [Counts; 2] {
        [0, 1].map(|core| self.machine.take_counts(core))
    }

    pub(crate) fn on_byte(&mut self, byte: u8) {
        self.idle = false;
        match self.personality {
            Personality::UartBridge => self.machine.uart_input(&[byte]),
            Personality::UsbSerialJtag => self.machine.usb_input(&[byte]),
            // The application has no driver for it.
            Personality::UsbOtg => {}
        }
    }

    /// Runs for a stretch, or until it waits for the host; what it sent goes to `out`, what it wrote to
    /// flash to `nor`.
    pub(crate) fn run(&mut self, nor: &mut Nor, out: &mut Vec<u8>) -> Option<End> {
        if self.idle {
            return None;
        }
        let outcome = self.machine.run(STRETCH);
        for (offset, bytes) in self.machine.written_flash() {
            nor.mirror(offset, &bytes);
        }
        let operations = self.machine.flash_operations();
        nor.operations += operations - std::mem::replace(&mut self.flash_operations, operations);
        if self.machine.power_failed() {
            return None;
        }
        let (uart, usb) = (self.machine.uart_output(), self.machine.usb_output());
        out.extend(match self.personality {
            Personality::UartBridge => uart,
            Personality::UsbSerialJtag => usb,
            Personality::UsbOtg => Vec::new(),
        });
        match outcome {
            Outcome::Budget => None,
            Outcome::Idle => {
                self.idle = true;
                None
            }
            Outcome::Reset(reset) => Some(End::Reset(reset)),
            Outcome::Stopped { .. } => Some(End::Stopped(format!(
                "\r\nemulator: {outcome}\r\nThe virtual board stands still until it is reset.\r\n"
            ))),
        }
    }

    /// Lets time pass, if the application only waits.
    pub(crate) fn pass(&mut self, milliseconds: u32) -> Option<End> {
        if !std::mem::take(&mut self.idle) {
            return None;
        }
        self.machine.skip(milliseconds).map(End::Reset)
    }
}
