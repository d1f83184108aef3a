//! A virtual ESP32-S3 board behind a byte stream: mask-ROM loader, RAM stub, NOR flash, and the
//! emulator, which boots what was flashed.
//!
//! Loader and bootloader are models; the application is the very bytes in flash. Its cycle counts are
//! the emulator's estimate. Deterministic: the board works while it is called and at no other time, and
//! while the application only waits, time passes in [`VirtualBoard::tick`].

#![forbid(unsafe_code)]

mod application;
mod loader;
mod nor;
mod predict;
mod registers;
mod slip;
mod stream;

use application::{Application, End};
use fixpoint_emulator::boot::{self, Boot};
pub use fixpoint_emulator::elf::{Elf, NotElf};
pub use fixpoint_emulator::{Class, Counts};
use loader::{After, Loader, World};
use nor::Nor;
pub use predict::{PredictError, Prediction, internal_memory, predict};
use registers::Registers;

/// How the board is attached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Personality {
    /// DTR and RTS reach IO0 and EN through the usual two transistors.
    #[default]
    UartBridge,
    /// The chip's own USB peripheral: signals are interpreted by hardware, no baud rate.
    UsbSerialJtag,
    /// The chip's USB-OTG, driven by the ROM: no reset lines, packets of at most 0x800 bytes of data, and a new
    /// device after every reset (see [`VirtualBoard::replug`]).
    UsbOtg,
}

/// What the board does at power-on and what a reset leads to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BootMode {
    /// IO0 decides, as on a board with auto-reset.
    #[default]
    Auto,
    /// BOOT is held: every reset ends in the loader.
    HeldInLoader,
    /// No auto-reset circuit: signals do nothing, the application runs.
    NoAutoReset,
}

/// Something going wrong on the line or in the chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Flip `mask` in the n-th byte from the host (counted from 0 over the board's life).
    FlipToBoard {
        at: u64,
        mask: u8,
    },
    DropToBoard {
        at: u64,
    },
    FlipToHost {
        at: u64,
        mask: u8,
    },
    DropToHost {
        at: u64,
    },
    /// The cable is pulled after that many bytes from the host.
    DisconnectAfter {
        bytes: u64,
    },
    /// The byte arrives twice.
    DuplicateToBoard {
        at: u64,
    },
    DuplicateToHost {
        at: u64,
    },
    /// From this byte on nothing arrives for a while.
    DelayToHost {
        at: u64,
        ms: u32,
    },
    /// The loader crashes at that byte from the host, and answers nothing until a reset.
    HangAt {
        at: u64,
    },
    /// The power fails in the middle of an operation of the flash, counted from 0 over the board's life: the
    /// erasure of a sector, or the programming of a page or less. It is there again at once.
    PowerFails {
        operation: u64,
    },
    /// The chip never answers.
    Mute,
    /// What is loaded into RAM hangs instead of greeting.
    StubDoesNotStart,
    /// Core 1 never starts.
    SecondCoreDead,
    /// The PSRAM that the eFuses tell of never answers.
    PsramDead,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Bytes, a power of two from 256 KiB to 32 MiB.
    pub flash_bytes: u32,
    pub personality: Personality,
    pub boot_mode: BootMode,
    /// Highest rate that the converter and the cable carry; faster bytes arrive as garbage.
    pub max_baud: u32,
    pub faults: Vec<Fault>,
    pub mac: [u8; 6],
    /// 9 for the ESP32-S3.
    pub chip_id: u32,
    /// Flags word of GET_SECURITY_INFO (bit 0 secure boot, bit 2 secure download mode).
    pub security_flags: u32,
    /// eFuse counter; an odd number of set bits means flash encryption is on.
    pub flash_crypt_cnt: u8,
    /// Bytes of PSRAM in the package: 2 or 4 MiB (quad), 8 or 16 MiB (octal), or none.
    pub psram_bytes: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            flash_bytes: 4 << 20,
            personality: Personality::UartBridge,
            boot_mode: BootMode::Auto,
            max_baud: 2_000_000,
            faults: Vec::new(),
            mac: [0x02, 0x46, 0x58, 0x50, 0x00, 0x01],
            chip_id: 9,
            security_flags: 0,
            flash_crypt_cnt: 0,
            // As on common modules.
            psram_bytes: 8 << 20,
        }
    }
}

/// The ROM's and the console's rate.
const FIRST_BAUD: u32 = 115_200;
/// Time from EN going high to the strapping pins being read: the capacitor on EN.
const EN_RISE_MS: u64 = 1;
/// Watchdog that a reset through the USB peripheral leaves running.
const WATCHDOG_MS: u64 = 9_000;
/// The same watchdog when a host sets it to end the loader.
const WATCHDOG_RESET_MS: u64 = 15;
/// How often the ROM says that it found nothing to start.
const COMPLAINT_MS: u64 = 1_000;

enum Chip {
    HeldInReset,
    /// EN is rising; the strapping pins are read at this time.
    Starting {
        at_ms: u64,
    },
    Loader(Box<Loader>),
    Application(Box<Application>),
    /// Nothing to start; the ROM repeats its complaint, the bootloader is silent.
    Dead {
        repeated: String,
        next_ms: u64,
    },
}

/// See the crate's documentation.
pub struct VirtualBoard {
    nor: Nor,
    registers: Registers,
    options: Options,
    chip: Chip,
    out: Vec<u8>,
    now_ms: u64,
    signals: (bool, bool),
    /// The USB peripheral was asked for the loader.
    usb_download: bool,
    host_baud: u32,
    baud: u32,
    watchdog_at_ms: Option<u64>,
    from_host: u64,
    to_host: u64,
    connected: bool,
    /// Bytes for the host are held back until then.
    held_until_ms: u64,
}

impl VirtualBoard {
    /// A board that has just been powered. `flash` is cut or padded with 0xFF to the flash size.
    pub fn new(flash: Option<Vec<u8>>, options: Options) -> Self {
        let mut nor = Nor::new(flash.unwrap_or_default(), options.flash_bytes);
        nor.fails_in = options.faults.iter().find_map(|fault| match *fault {
            Fault::PowerFails { operation } => Some(operation),
            _ => None,
        });
        let mut board = Self {
            registers: Registers::new(&options, nor.id()),
            nor,
            chip: Chip::HeldInReset,
            out: Vec::new(),
            now_ms: 0,
            signals: (false, false),
            usb_download: false,
            host_baud: FIRST_BAUD,
            baud: FIRST_BAUD,
            watchdog_at_ms: None,
            from_host: 0,
            to_host: 0,
            connected: true,
            held_until_ms: 0,
            options,
        };
        board.start("0x1 (POWERON)", false);
        board.connected = true;
        board
    }

    /// Bytes from the host.
    pub fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let at = self.from_host;
            self.from_host += 1;
            let mut byte = byte;
            let (mut dropped, mut twice, mut hangs) = (false, false, false);
            for fault in &self.options.faults {
                match *fault {
                    Fault::DuplicateToBoard { at: n } if n == at => twice = true,
                    Fault::HangAt { at: n } if n == at => hangs = true,
                    Fault::FlipToBoard { at: n, mask } if n == at => byte ^= mask,
                    Fault::DropToBoard { at: n } if n == at => dropped = true,
                    Fault::DisconnectAfter { bytes } if at >= bytes => self.connected = false,
                    Fault::Mute => dropped = true,
                    _ => {}
                }
            }
            if let (true, Chip::Loader(loader)) = (hangs, &mut self.chip) {
                loader.hang();
            }
            for _ in 0..=u8::from(twice) {
                if self.connected && !dropped {
                    self.receive(byte);
                }
            }
        }
        self.run_application();
    }

    /// Lets the application work for a stretch.
    fn run_application(&mut self) {
        let Chip::Application(application) = &mut self.chip else {
            return;
        };
        let mut sent = Vec::new();
        let end = application.run(&mut self.nor, &mut sent);
        self.send(&sent);
        self.end_application(end);
        self.look_at_the_power();
    }

    /// After the flash may have been written.
    fn look_at_the_power(&mut self) {
        if self.nor.failed() {
            self.nor.fails_in = None;
            self.start("0x1 (POWERON)", false);
            // A device of the chip's own goes with its power.
            self.connected &= self.options.personality == Personality::UartBridge;
        }
    }

    fn end_application(&mut self, end: Option<End>) {
        match end {
            None => {}
            Some(End::Reset(reset)) => self.start(reset.text(), false),
            Some(End::Stopped(reason)) => {
                self.send(reason.as_bytes());
                self.chip = Chip::Dead {
                    repeated: String::new(),
                    next_ms: 0,
                };
            }
        }
    }

    fn receive(&mut self, byte: u8) {
        let mut byte = byte;
        if let Chip::Loader(loader) = &self.chip
            && !loader.synced
        {
            // The ROM measures the rate of what it hears first.
            self.baud = self.host_baud;
        }
        if self.garbled() {
            byte = byte.rotate_left(3) ^ 0x5A;
        }
        let mut answer = Vec::new();
        let after = match &mut self.chip {
            Chip::Loader(loader) => loader.on_byte(
                byte,
                &mut World {
                    nor: &mut self.nor,
                    registers: &mut self.registers,
                    options: &self.options,
                    out: &mut answer,
                },
            ),
            Chip::Application(application) => {
                application.on_byte(byte);
                After::Stay
            }
            _ => After::Stay,
        };
        if self.nor.failed() {
            return self.look_at_the_power();
        }
        self.send(&answer);
        match after {
            After::Stay => {
                if self.watchdog_at_ms.is_none() && self.registers.watchdog_resets() {
                    self.watchdog_at_ms = Some(self.now_ms + WATCHDOG_RESET_MS);
                }
            }
            After::Baud(rate) => self.baud = rate,
            After::Restart => self.start("0x3 (RTC_SW_SYS_RST)", false),
        }
    }

    /// Bytes for the host since the last call.
    pub fn read(&mut self) -> Vec<u8> {
        self.rest();
        if self.now_ms < self.held_until_ms {
            return Vec::new();
        }
        if self.out.is_empty() {
            self.run_application();
        }
        std::mem::take(&mut self.out)
    }

    /// The stub gets time to finish its block.
    fn rest(&mut self) {
        if let Chip::Loader(loader) = &mut self.chip {
            loader.busy = false;
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        let garbled = self.garbled();
        for &byte in bytes {
            let at = self.to_host;
            self.to_host += 1;
            let mut byte = byte;
            let mut dropped = !self.connected;
            let mut twice = false;
            for fault in &self.options.faults {
                match *fault {
                    Fault::FlipToHost { at: n, mask } if n == at => byte ^= mask,
                    Fault::DropToHost { at: n } if n == at => dropped = true,
                    Fault::DuplicateToHost { at: n } if n == at => twice = true,
                    Fault::DelayToHost { at: n, ms } if n == at => {
                        self.held_until_ms = self.now_ms + u64::from(ms);
                    }
                    Fault::Mute => dropped = true,
                    _ => {}
                }
            }
            if garbled {
                byte = byte.rotate_left(3) ^ 0x5A;
            }
            if !dropped {
                self.out.push(byte);
                self.out.extend(twice.then_some(byte));
            }
        }
    }

    fn garbled(&self) -> bool {
        let wrong = self.host_baud != self.baud || self.host_baud > self.options.max_baud;
        self.options.personality == Personality::UartBridge && wrong
    }

    /// `true` = asserted = pin low.
    pub fn set_signals(&mut self, dtr: bool, rts: bool) {
        let before = std::mem::replace(&mut self.signals, (dtr, rts));
        if self.options.boot_mode == BootMode::NoAutoReset || before == (dtr, rts) {
            return;
        }
        match self.options.personality {
            Personality::UartBridge => match (self.en_is_low(), &self.chip) {
                (true, _) => self.chip = Chip::HeldInReset,
                (false, Chip::HeldInReset) => {
                    let at_ms = self.now_ms + EN_RISE_MS;
                    self.chip = Chip::Starting { at_ms };
                }
                (false, _) => {}
            },
            Personality::UsbOtg => {}
            Personality::UsbSerialJtag => match (dtr, rts) {
                (false, false) => self.usb_download = false,
                (true, false) => self.usb_download = true,
                (true, true) => {}
                (false, true) => self.start("0x15 (USB_UART_CHIP_RESET)", self.usb_download),
            },
        }
    }

    fn en_is_low(&self) -> bool {
        self.signals == (false, true)
    }

    /// The host's rate; what is sent at another rate than the board's arrives as garbage.
    pub fn set_baud(&mut self, rate: u32) {
        self.host_baud = rate;
    }

    /// Lets time pass.
    pub fn tick(&mut self, ms: u32) {
        self.now_ms += u64::from(ms);
        self.rest();
        match &mut self.chip {
            Chip::Starting { at_ms } if self.now_ms >= *at_ms => {
                let io0_is_low = self.signals == (true, false);
                self.start("0x1 (POWERON)", io0_is_low);
            }
            Chip::Application(application) => {
                let end = application.pass(ms);
                self.end_application(end);
                self.run_application();
            }
            Chip::Dead { repeated, next_ms } if self.now_ms >= *next_ms && !repeated.is_empty() => {
                *next_ms = self.now_ms + COMPLAINT_MS;
                let text = repeated.clone();
                self.send(text.as_bytes());
            }
            _ => {}
        }
        if let Some(at_ms) = self.watchdog_at_ms {
            if !self.registers.watchdog_runs() || !matches!(self.chip, Chip::Loader(_)) {
                self.watchdog_at_ms = None;
            } else if self.now_ms >= at_ms {
                self.start("0x10 (RTCWDT_RTC_RST)", false);
            }
        }
    }

    fn start(&mut self, reset: &str, download: bool) {
        if self.options.personality == Personality::UsbOtg {
            // The device on the bus is the chip's software: it goes with the reset.
            self.connected = false;
            self.out.clear();
        }
        self.baud = FIRST_BAUD;
        self.watchdog_at_ms = None;
        self.registers.reset(&self.options);
        let held = self.options.boot_mode == BootMode::HeldInLoader;
        let mut log = String::new();
        if download || held || self.registers.forces_download() {
            log = format!(
                "ESP-ROM:esp32s3-20210327\r\nBuild:Mar 27 2021\r\n\
                 rst:{reset},boot:0x0 (DOWNLOAD(USB/UART0))\r\nwaiting for download\r\n"
            );
            self.chip = Chip::Loader(Box::new(Loader::new()));
            if self.options.personality == Personality::UsbSerialJtag {
                self.registers.start_watchdog();
                self.watchdog_at_ms = Some(self.now_ms + WATCHDOG_MS);
            }
        } else {
            let dead = |repeated| Chip::Dead {
                repeated,
                next_ms: self.now_ms + COMPLAINT_MS,
            };
            self.chip = match boot::boot(self.nor.bytes(), reset, &mut log) {
                Boot::Application(image) => {
                    match Application::start(&self.nor, &image, &self.options) {
                        Ok(application) => Chip::Application(Box::new(application)),
                        Err(reason) => {
                            log.push_str(&reason);
                            dead(String::new())
                        }
                    }
                }
                Boot::NoBootloader { repeated } => dead(repeated),
                Boot::NoApplication => dead(String::new()),
            };
        }
        self.send(log.as_bytes());
    }

    /// Whether the cable is still plugged in (see [`Fault::DisconnectAfter`]), and the device on it is
    /// still the one that was opened.
    pub fn connected(&self) -> bool {
        self.connected
    }

    /// The cable is put back, or the new device opened that came after a reset.
    pub fn replug(&mut self) {
        self.connected = true;
        let cut = |fault: &Fault| matches!(fault, Fault::DisconnectAfter { .. });
        self.options.faults.retain(|fault| !cut(fault));
    }

    /// Whether the application runs (and not the loader, or nothing).
    pub fn runs_application(&self) -> bool {
        matches!(self.chip, Chip::Application(_))
    }

    /// Whether nothing will happen but by bytes from the host, signals or time.
    pub fn waits(&self) -> bool {
        match &self.chip {
            Chip::Application(application) => application.waits(),
            _ => self.out.is_empty(),
        }
    }

    /// What core 0 and core 1 have executed since this was last called, while an application runs.
    pub fn take_counts(&mut self) -> Option<[Counts; 2]> {
        match &mut self.chip {
            Chip::Application(application) => Some(application.take_counts()),
            _ => None,
        }
    }

    /// Instructions that the application has executed since it was started; 0 without one.
    pub fn instructions(&self) -> u64 {
        match &self.chip {
            Chip::Application(application) => application.instructions(),
            _ => 0,
        }
    }

    /// Bytes that came from the host and went to it, faults included.
    pub fn wire_bytes(&self) -> (u64, u64) {
        (self.from_host, self.to_host)
    }

    /// Erasures of a sector and programmings of a page or less so far (see [`Fault::PowerFails`]).
    pub fn flash_operations(&self) -> u64 {
        self.nor.operations
    }

    pub fn flash(&self) -> &[u8] {
        self.nor.bytes()
    }
}
