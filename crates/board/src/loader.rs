//! The mask ROM's loader and the RAM stub, as they were seen to behave.
//!
//! This part is what both share: frames, RAM uploads and the jump from one to the other.

mod rom;
mod stub;

use crate::nor::Nor;
use crate::registers::Registers;
use crate::slip;
use crate::stream::Stream;
use crate::{Fault, Options, Personality};
use md5::{Digest, Md5};

mod op {
    pub(super) const FLASH_BEGIN: u8 = 0x02;
    pub(super) const FLASH_DATA: u8 = 0x03;
    pub(super) const FLASH_END: u8 = 0x04;
    pub(super) const MEM_BEGIN: u8 = 0x05;
    pub(super) const MEM_END: u8 = 0x06;
    pub(super) const MEM_DATA: u8 = 0x07;
    pub(super) const SYNC: u8 = 0x08;
    pub(super) const WRITE_REG: u8 = 0x09;
    pub(super) const READ_REG: u8 = 0x0A;
    pub(super) const SPI_SET_PARAMS: u8 = 0x0B;
    pub(super) const SPI_ATTACH: u8 = 0x0D;
    pub(super) const READ_FLASH_SLOW: u8 = 0x0E;
    pub(super) const CHANGE_BAUDRATE: u8 = 0x0F;
    pub(super) const DEFL_BEGIN: u8 = 0x10;
    pub(super) const DEFL_DATA: u8 = 0x11;
    pub(super) const DEFL_END: u8 = 0x12;
    pub(super) const MD5: u8 = 0x13;
    pub(super) const SECURITY_INFO: u8 = 0x14;
    pub(super) const ERASE_FLASH: u8 = 0xD0;
    pub(super) const ERASE_REGION: u8 = 0xD1;
    pub(super) const READ_FLASH: u8 = 0xD2;
    pub(super) const RUN_USER_CODE: u8 = 0xD3;
}

/// Flash that the ROM believes in until it is told the size.
const ROM_FLASH_BYTES: u32 = 2 << 20;

/// Longest request that USB-OTG carries: 0x800 bytes of data behind two headers.
const OTG_FRAME_BYTES: usize = 0x800 + 24;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rom,
    Stub,
    /// Runs something that does not answer.
    Hung,
}

/// What the board has to do after a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum After {
    Stay,
    Baud(u32),
    /// The loader was left: the chip restarts.
    Restart,
}

/// A load into RAM.
struct MemLoad {
    address: u32,
    sequence: u32,
}

struct ReadOut {
    offset: u32,
    end: u32,
    acknowledged: u32,
    start: u32,
    packet: u32,
    in_flight: u32,
    digest: Md5,
}

pub(crate) struct Loader {
    kind: Kind,
    receiver: slip::Receiver,
    value: u32,
    last_op: u8,
    last_error: u8,
    /// Payload and status of the last answer; what is not overwritten stays.
    buffer: [u8; 68],
    attached: bool,
    flash_bytes: u32,
    mem: Option<MemLoad>,
    ram: Vec<(u32, Vec<u8>)>,
    stream: Option<Stream>,
    /// What the stub will say about the block it has acknowledged already.
    deferred: Option<u8>,
    read_out: Option<ReadOut>,
    /// Whether a SYNC was answered.
    pub(crate) synced: bool,
    /// The stub works on a block and listens to nothing until time passes.
    pub(crate) busy: bool,
}

/// What the loader reaches besides itself.
pub(crate) struct World<'a> {
    pub(crate) nor: &'a mut Nor,
    pub(crate) registers: &'a mut Registers,
    pub(crate) options: &'a Options,
    pub(crate) out: &'a mut Vec<u8>,
}

struct Request<'a> {
    op: u8,
    checksum: u32,
    data: &'a [u8],
}

impl Request<'_> {
    fn word(&self, index: usize) -> u32 {
        let bytes = self.data.get(index * 4..index * 4 + 4);
        bytes.map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }

    /// The bytes of a data command after its 16-byte header.
    fn block(&self) -> &[u8] {
        self.data.get(16..).unwrap_or(&[])
    }

    fn length_fits(&self) -> bool {
        self.data.len() >= 16 && self.word(0) as usize == self.block().len()
    }

    fn checksum_fits(&self) -> bool {
        let sum = self.block().iter().fold(0xEF, |sum: u8, byte| sum ^ byte);
        u32::from(sum) == self.checksum
    }
}

impl Loader {
    pub(crate) fn new() -> Self {
        Self {
            kind: Kind::Rom,
            receiver: slip::Receiver::default(),
            value: 0,
            last_op: 0,
            last_error: 0,
            buffer: [0; 68],
            attached: false,
            flash_bytes: ROM_FLASH_BYTES,
            mem: None,
            ram: Vec::new(),
            stream: None,
            deferred: None,
            read_out: None,
            synced: false,
            busy: false,
        }
    }

    pub(crate) fn on_byte(&mut self, byte: u8, world: &mut World<'_>) -> After {
        let Some(frame) = self.receiver.push(byte) else {
            return After::Stay;
        };
        if self.busy {
            // A block sent before the answer to the last one is lost, and the exchange with it.
            self.kind = Kind::Hung;
        }
        if self.kind == Kind::Hung {
            return After::Stay;
        }
        let otg = world.options.personality == Personality::UsbOtg;
        if otg && frame.len() > OTG_FRAME_BYTES {
            return After::Stay;
        }
        if self.read_out.is_some() && frame.len() == 4 {
            let received = u32::from_le_bytes([frame[0], frame[1], frame[2], frame[3]]);
            self.continue_reading(Some(received), world);
            return After::Stay;
        }
        let Some((head, data)) = frame.split_at_checked(8) else {
            return After::Stay;
        };
        if head[0] != 0 {
            return After::Stay;
        }
        let request = Request {
            op: head[1],
            checksum: u32::from_le_bytes([head[4], head[5], head[6], head[7]]),
            data,
        };
        if usize::from(u16::from_le_bytes([head[2], head[3]])) != data.len() {
            self.refuse_malformed(request.op, world);
            return After::Stay;
        }
        let after = match self.kind {
            Kind::Rom => self.rom(&request, world),
            _ => self.stub(&request, world),
        };
        self.last_op = request.op;
        after
    }

    /// Whatever runs stops answering.
    pub(crate) fn hang(&mut self) {
        self.kind = Kind::Hung;
    }

    fn refuse_malformed(&mut self, op: u8, world: &mut World<'_>) {
        match self.kind {
            Kind::Rom => self.answer_rom(op, &[], Err(5), world),
            _ => self.answer_stub(op, 0, &[], 0xC0, world),
        }
    }

    fn load(&mut self, request: &Request<'_>) -> Result<(), u8> {
        if request.op == op::MEM_BEGIN {
            let address = request.word(3);
            self.mem = Some(MemLoad {
                address,
                sequence: 0,
            });
            return Ok(());
        }
        let Some(mem) = &mut self.mem else {
            return Err(5);
        };
        if !request.length_fits() || request.word(1) != mem.sequence {
            return Err(5);
        }
        if !request.checksum_fits() {
            return Err(7);
        }
        self.ram.push((mem.address, request.block().to_vec()));
        mem.address = mem.address.wrapping_add(request.word(0));
        mem.sequence += 1;
        Ok(())
    }

    /// Jumps to what was loaded. Code cannot be run here; anything that carries the stub's
    /// greeting and is entered inside what was loaded is taken for the stub.
    fn jump(&mut self, request: &Request<'_>, world: &mut World<'_>) {
        if request.word(0) != 0 {
            return;
        }
        let entry = request.word(1);
        let ram = std::mem::take(&mut self.ram);
        let inside = ram.iter().any(|(address, bytes)| {
            entry
                .checked_sub(*address)
                .is_some_and(|at| (at as usize) < bytes.len())
        });
        let greets = ram
            .iter()
            .any(|(_, bytes)| bytes.windows(4).any(|w| w == b"OHAI"));
        let starts = !world.options.faults.contains(&Fault::StubDoesNotStart);
        if inside && greets && starts {
            self.kind = Kind::Stub;
            (self.mem, self.stream) = (None, None);
            slip::send(b"OHAI", world.out);
        } else {
            self.kind = Kind::Hung;
        }
    }
}

fn write_registers(request: &Request<'_>, world: &mut World<'_>) {
    for entry in 0..request.data.len() / 16 {
        let word = |index| request.word(entry * 4 + index);
        world.registers.write(word(0), word(1), word(2));
    }
}

fn digest(request: &Request<'_>, nor: &Nor) -> Option<[u8; 16]> {
    let bytes = nor.get(request.word(0), request.word(1))?;
    Some(Md5::digest(bytes).into())
}

fn security_info(options: &Options) -> [u8; 20] {
    let mut info = [0; 20];
    info[..4].copy_from_slice(&options.security_flags.to_le_bytes());
    info[4] = options.flash_crypt_cnt;
    // What an unburned chip was seen to report as its last key purpose.
    info[11] = 0x0C;
    info[12..16].copy_from_slice(&options.chip_id.to_le_bytes());
    info
}
