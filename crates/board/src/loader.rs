//! The mask ROM's loader and the RAM stub, as they were seen to behave.
//!
//! The ROM answers with four status bytes of which only the first is written on success: the second
//! keeps the last error code until an MD5 is asked for, and the others keep what the answer
//! buffer held before. The `value` word keeps the last register read. An unknown opcode
//! is answered under the opcode of the command before. The stub acknowledges a data block before
//! working on it, reports the failure on the next block only, and hangs when a stream brings
//! more than was announced.

use crate::Options;
use crate::nor::{Nor, SECTOR};
use crate::registers::Registers;
use crate::slip;
use crate::stream::{Stream, Trouble};
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
    buffer: [u8; 64],
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
            buffer: [0; 64],
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

    fn refuse_malformed(&mut self, op: u8, world: &mut World<'_>) {
        match self.kind {
            Kind::Rom => self.answer_rom(op, &[], Err(5), world),
            _ => self.answer_stub(op, 0, &[], 0xC0, world),
        }
    }

    fn answer_rom(
        &mut self,
        op: u8,
        payload: &[u8],
        status: Result<(), u8>,
        world: &mut World<'_>,
    ) {
        self.buffer[..payload.len()].copy_from_slice(payload);
        let at = payload.len();
        self.buffer[at] = u8::from(status.is_err());
        if let Err(code) = status {
            self.last_error = code;
        }
        self.buffer[at + 1] = self.last_error;
        if status.is_err() {
            self.buffer[at + 2..at + 4].fill(0);
        }
        let data = &self.buffer[..at + 4];
        let mut answer = vec![1, op, data.len() as u8, 0];
        answer.extend_from_slice(&self.value.to_le_bytes());
        answer.extend_from_slice(data);
        slip::send(&answer, world.out);
    }

    fn answer_stub(&self, op: u8, value: u32, payload: &[u8], status: u8, world: &mut World<'_>) {
        let mut answer = vec![1, op, payload.len() as u8 + 2, 0];
        answer.extend_from_slice(&value.to_le_bytes());
        answer.extend_from_slice(payload);
        answer.extend_from_slice(&[status, 0]);
        slip::send(&answer, world.out);
    }

    fn rom(&mut self, request: &Request<'_>, world: &mut World<'_>) -> After {
        let op = request.op;
        let secure = world.options.security_flags & 1 << 2 != 0;
        let allowed_when_secure = matches!(
            op,
            op::SYNC
                | op::SPI_ATTACH
                | op::SPI_SET_PARAMS
                | op::CHANGE_BAUDRATE
                | op::FLASH_BEGIN
                | op::FLASH_DATA
                | op::FLASH_END
                | op::SECURITY_INFO
        );
        if secure && !allowed_when_secure {
            self.answer_rom(op, &[], Err(5), world);
            return After::Stay;
        }
        match op {
            op::SYNC => {
                self.synced = true;
                self.value = u32::from_le_bytes([7, 7, 0x12, 0x20]);
                for _ in 0..8 {
                    self.answer_rom(op, &[], Ok(()), world);
                }
            }
            op::READ_REG => {
                self.value = world.registers.read(request.word(0));
                self.answer_rom(op, &[], Ok(()), world);
            }
            op::WRITE_REG => {
                write_registers(request, world);
                self.answer_rom(op, &[], Ok(()), world);
            }
            op::SPI_ATTACH => {
                self.attached = true;
                self.answer_rom(op, &[], Ok(()), world);
            }
            op::SPI_SET_PARAMS => {
                self.flash_bytes = request.word(1);
                self.answer_rom(op, &[], Ok(()), world);
            }
            op::MEM_BEGIN | op::MEM_DATA => {
                let status = self.load(request);
                self.answer_rom(op, &[], status, world);
            }
            op::MEM_END => {
                self.answer_rom(op, &[], Ok(()), world);
                self.jump(request, world);
            }
            op::FLASH_BEGIN | op::DEFL_BEGIN => {
                let status = self.rom_begin(request, world.nor);
                self.answer_rom(op, &[], status, world);
            }
            op::FLASH_DATA | op::DEFL_DATA => {
                let status = self.rom_data(request, world.nor);
                self.answer_rom(op, &[], status, world);
            }
            op::FLASH_END | op::DEFL_END => {
                self.answer_rom(op, &[], Ok(()), world);
                return After::Restart;
            }
            op::CHANGE_BAUDRATE => {
                self.answer_rom(op, &[], Ok(()), world);
                return After::Baud(request.word(0));
            }
            op::READ_FLASH_SLOW => match world.nor.get(request.word(0), request.word(1)) {
                Some(bytes) if bytes.len() <= 60 => {
                    let bytes = bytes.to_vec();
                    self.answer_rom(op, &bytes, Ok(()), world);
                }
                _ => self.answer_rom(op, &[], Err(0x0A), world),
            },
            op::MD5 => match digest(request, world.nor).filter(|_| self.attached) {
                Some(digest) => {
                    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                    self.last_error = 0;
                    self.buffer[32..36].fill(0);
                    self.answer_rom(op, hex.as_bytes(), Ok(()), world);
                }
                None => self.answer_rom(op, &[], Err(6), world),
            },
            op::SECURITY_INFO if world.options.chip_id != 0 => {
                let info = security_info(world.options);
                // The ESP32-S2 does not say which chip it is.
                let known = if world.options.chip_id == 2 { 12 } else { 20 };
                self.buffer[known..known + 4].fill(0);
                self.answer_rom(op, &info[..known], Ok(()), world);
            }
            _ => self.answer_rom(self.last_op, &[], Err(5), world),
        }
        After::Stay
    }

    fn stub(&mut self, request: &Request<'_>, world: &mut World<'_>) -> After {
        let op = request.op;
        let mut value = 0;
        let mut payload = Vec::new();
        let mut after = After::Stay;
        let status = match op {
            op::SYNC => {
                for _ in 0..7 {
                    self.answer_stub(op, 0, &[], 0, world);
                }
                0
            }
            op::READ_REG => {
                value = world.registers.read(request.word(0));
                0
            }
            op::WRITE_REG => {
                write_registers(request, world);
                0
            }
            op::SPI_ATTACH => 0,
            op::SPI_SET_PARAMS => {
                self.flash_bytes = request.word(1);
                0
            }
            op::MEM_BEGIN | op::MEM_DATA => self.load(request).err().map_or(0, |_| 0xC0),
            op::MEM_END => {
                self.answer_stub(op, 0, &[], 0, world);
                self.jump(request, world);
                return After::Stay;
            }
            op::FLASH_BEGIN | op::DEFL_BEGIN => self.stub_begin(request, world.nor),
            op::FLASH_DATA | op::DEFL_DATA => {
                self.stub_data(request, world);
                return After::Stay;
            }
            op::FLASH_END | op::DEFL_END => match (self.deferred.take(), self.stream.take()) {
                (Some(code), _) => code,
                (None, None) => 0xC6,
                (None, Some(stream)) if stream.is_complete() => 0,
                (None, Some(_)) => 0xC0,
            },
            op::CHANGE_BAUDRATE => {
                after = After::Baud(request.word(0));
                0
            }
            op::MD5 => match digest(request, world.nor) {
                Some(digest) => {
                    payload = digest.to_vec();
                    0
                }
                None => 0xC4,
            },
            op::SECURITY_INFO => {
                payload = security_info(world.options).to_vec();
                0
            }
            op::ERASE_FLASH => {
                world.nor.erase(0, world.nor.bytes().len() as u32);
                0
            }
            op::ERASE_REGION => {
                let (offset, size) = (request.word(0), request.word(1));
                let aligned = (offset | size) as usize % SECTOR == 0;
                if aligned && world.nor.get(offset, size).is_some() {
                    world.nor.erase(offset, size);
                    0
                } else {
                    0xC4
                }
            }
            op::READ_FLASH => {
                let (offset, size) = (request.word(0), request.word(1));
                if world.nor.get(offset, size).is_none() || request.word(2) == 0 {
                    0xC4
                } else {
                    self.answer_stub(op, 0, &[], 0, world);
                    self.read_out = Some(ReadOut {
                        offset,
                        start: offset,
                        end: offset + size,
                        acknowledged: 0,
                        packet: request.word(2).min(SECTOR as u32),
                        in_flight: request.word(3).max(1),
                        digest: Md5::new(),
                    });
                    self.continue_reading(None, world);
                    return After::Stay;
                }
            }
            op::RUN_USER_CODE => return After::Stay,
            _ => 0xC3,
        };
        self.answer_stub(op, value, &payload, status, world);
        after
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
        if inside && greets {
            self.kind = Kind::Stub;
            (self.mem, self.stream) = (None, None);
            slip::send(b"OHAI", world.out);
        } else {
            self.kind = Kind::Hung;
        }
    }

    fn rom_begin(&mut self, request: &Request<'_>, nor: &mut Nor) -> Result<(), u8> {
        if request.data.len() != 20 {
            return Err(5);
        }
        let (size, offset) = (request.word(0), request.word(3));
        let deflated = request.op == op::DEFL_BEGIN;
        let fits = offset
            .checked_add(size)
            .is_some_and(|end| end <= self.flash_bytes);
        let valid = fits && self.attached && (offset as usize).is_multiple_of(SECTOR);
        // Data sent after a refusal is still acknowledged; it goes nowhere.
        let room = if valid { size } else { 0 };
        self.stream = Some(Stream::new(offset, room, deflated));
        if !valid {
            return Err(6);
        }
        nor.erase(offset, size);
        Ok(())
    }

    fn rom_data(&mut self, request: &Request<'_>, nor: &mut Nor) -> Result<(), u8> {
        let deflated = request.op == op::DEFL_DATA;
        let Some(stream) = self.stream.as_mut().filter(|s| s.deflated == deflated) else {
            return Err(6);
        };
        if !request.length_fits() || request.word(1) != stream.sequence {
            return Err(5);
        }
        if !request.checksum_fits() {
            return Err(7);
        }
        stream.sequence += 1;
        match stream.feed(request.block(), |offset, data| nor.program(offset, data)) {
            // The last sector may be padded by the host.
            Ok(()) | Err(Trouble::TooMuch) => Ok(()),
            Err(Trouble::Inflate) => Err(0x0B),
        }
    }

    fn stub_begin(&mut self, request: &Request<'_>, nor: &Nor) -> u8 {
        if !matches!(request.data.len(), 16 | 20) {
            return 0xC0;
        }
        let (size, offset) = (request.word(0), request.word(3));
        if !(offset as usize).is_multiple_of(SECTOR) || nor.get(offset, size).is_none() {
            return 0xC4;
        }
        if request.word(2) > 0x4000 {
            return 0xC2;
        }
        let deflated = request.op == op::DEFL_BEGIN;
        self.stream = Some(Stream::new(offset, size, deflated));
        self.deferred = None;
        0
    }

    fn stub_data(&mut self, request: &Request<'_>, world: &mut World<'_>) {
        let deflated = request.op == op::DEFL_DATA;
        let in_mode = self.stream.as_ref().is_some_and(|s| s.deflated == deflated);
        let status = if !in_mode {
            0xC6
        } else if !request.length_fits() {
            0xC0
        } else if !request.checksum_fits() {
            0xC1
        } else {
            // Reported once and then forgotten, and the block that brought it out is dropped.
            self.deferred.take().unwrap_or(0)
        };
        self.answer_stub(request.op, 0, &[], status, world);
        self.busy = status == 0;
        let Some(stream) = self.stream.as_mut().filter(|_| status == 0) else {
            return;
        };
        let nor = &mut *world.nor;
        let erased = &mut stream.erased_to;
        let mut erased_to = *erased;
        let result = stream.feed(request.block(), |offset, data| {
            let end = (offset as usize + data.len()).next_multiple_of(SECTOR) as u32;
            if end > erased_to {
                nor.erase(erased_to, end - erased_to);
                erased_to = end;
            }
            nor.program(offset, data);
        });
        stream.erased_to = erased_to;
        match result {
            Ok(()) => {}
            Err(Trouble::Inflate) => self.deferred = Some(0xC7),
            // A plain block may be padded by the host; a deflated stream never ends then.
            Err(Trouble::TooMuch) if deflated => self.kind = Kind::Hung,
            Err(Trouble::TooMuch) => {}
        }
    }

    fn continue_reading(&mut self, received: Option<u32>, world: &mut World<'_>) {
        let Some(read) = &mut self.read_out else {
            return;
        };
        read.acknowledged = received.unwrap_or(0).max(read.acknowledged);
        while read.offset < read.end
            && read.offset - read.start < read.acknowledged + read.in_flight * read.packet
        {
            let size = read.packet.min(read.end - read.offset);
            let bytes = world.nor.get(read.offset, size).unwrap_or(&[]);
            read.digest.update(bytes);
            slip::send(bytes, world.out);
            read.offset += size;
        }
        if read.acknowledged >= read.end - read.start {
            let digest = read.digest.finalize_reset();
            slip::send(&digest, world.out);
            self.read_out = None;
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
