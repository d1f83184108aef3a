//! The RAM stub's commands.
//!
//! The stub acknowledges a data block before working on it, reports the failure on the next block
//! only, and hangs when a deflated stream brings more than was announced, or when a block comes before
//! the answer to the last one was given time.

use super::{
    After, Kind, Loader, ReadOut, Request, World, digest, op, security_info, write_registers,
};
use crate::nor::{Nor, SECTOR};
use crate::slip;
use crate::stream::{Stream, Trouble};
use md5::{Digest, Md5};

impl Loader {
    pub(super) fn answer_stub(
        &self,
        op: u8,
        value: u32,
        payload: &[u8],
        status: u8,
        world: &mut World<'_>,
    ) {
        let mut answer = vec![1, op, payload.len() as u8 + 2, 0];
        answer.extend_from_slice(&value.to_le_bytes());
        answer.extend_from_slice(payload);
        answer.extend_from_slice(&[status, 0]);
        slip::send(&answer, world.out);
    }

    pub(super) fn stub(&mut self, request: &Request<'_>, world: &mut World<'_>) -> After {
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
                let aligned = ((offset | size) as usize).is_multiple_of(SECTOR);
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

    pub(super) fn continue_reading(&mut self, received: Option<u32>, world: &mut World<'_>) {
        let Some(read) = &mut self.read_out else {
            return;
        };
        read.acknowledged = received.unwrap_or(0).max(read.acknowledged);
        let window = read.in_flight.saturating_mul(read.packet);
        while read.offset < read.end
            && read.offset - read.start < read.acknowledged.saturating_add(window)
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
