//! A virtual ESP32-S3 board behind a byte stream: mask-ROM loader, RAM stub, NOR flash, and the
//! Fixpoint runtime that boots from what was flashed.
//!
//! It has no cycle-exact clock: cycle counts it reports are 0 and the firmware version says
//! `virtual`. Deterministic: time passes only in [`VirtualBoard::tick`].

#![forbid(unsafe_code)]

/// How the board is attached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Personality {
    /// DTR and RTS reach IO0 and EN through the usual two transistors.
    #[default]
    UartBridge,
    /// The chip's own USB peripheral: signals are interpreted by hardware, no baud rate.
    UsbSerialJtag,
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
    /// The chip never answers.
    Mute,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Bytes, a power of two from 256 KiB to 32 MiB.
    pub flash_bytes: u32,
    pub personality: Personality,
    pub boot_mode: BootMode,
    pub faults: Vec<Fault>,
    pub mac: [u8; 6],
    /// 9 for the ESP32-S3.
    pub chip_id: u32,
    /// Flags word of GET_SECURITY_INFO (bit 0 secure boot, bit 2 secure download mode).
    pub security_flags: u32,
    /// eFuse counter; an odd number of set bits means flash encryption is on.
    pub flash_crypt_cnt: u8,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            flash_bytes: 4 << 20,
            personality: Personality::UartBridge,
            boot_mode: BootMode::Auto,
            faults: Vec::new(),
            mac: [0x02, 0x46, 0x58, 0x50, 0x00, 0x01],
            chip_id: 9,
            security_flags: 0,
            flash_crypt_cnt: 0,
        }
    }
}

/// See the crate's documentation.
pub struct VirtualBoard {
    flash: Vec<u8>,
    options: Options,
}

impl VirtualBoard {
    /// A board that has just been powered. `flash` is cut or padded with 0xFF to the flash size.
    pub fn new(flash: Option<Vec<u8>>, options: Options) -> Self {
        let mut flash = flash.unwrap_or_default();
        flash.resize(options.flash_bytes as usize, 0xFF);
        Self { flash, options }
    }

    /// Bytes from the host.
    pub fn write(&mut self, _bytes: &[u8]) {}

    /// Bytes for the host since the last call.
    pub fn read(&mut self) -> Vec<u8> {
        let _ = &self.options;
        Vec::new()
    }

    /// `true` = asserted = pin low.
    pub fn set_signals(&mut self, _dtr: bool, _rts: bool) {}

    /// The host's rate; what is sent at another rate than the board's arrives as garbage.
    pub fn set_baud(&mut self, _rate: u32) {}

    /// Lets time pass.
    pub fn tick(&mut self, _ms: u32) {}

    /// Whether the cable is still plugged in (see [`Fault::DisconnectAfter`]).
    pub fn connected(&self) -> bool {
        true
    }

    pub fn flash(&self) -> &[u8] {
        &self.flash
    }
}
