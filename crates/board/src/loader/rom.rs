//! The mask ROM's commands.
//!
//! The ROM answers with four status bytes of which only the first is written on success: the second
//! keeps the last error code until an MD5 is asked for, and the others keep what the answer
//! buffer held before. The `value` word keeps the last register read. An unknown opcode
//! is answered under the opcode of the command before.

use super::{After, Loader, Request, World, digest, op, security_info, write_registers};
use crate::nor::{Nor, SECTOR};
use crate::slip;
use crate::stream::{Stream, Trouble};

/// Most that the ROM reads at once.
const SLOW_READ_BYTES: usize = 64;

impl Loader {
    pub(super) fn answer_rom(
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

    pub(super) fn rom(&mut self, request: &Request<'_>, world: &mut World<'_>) -> After {
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
                Some(bytes) if bytes.len() <= SLOW_READ_BYTES => {
                    // A whole buffer goes out, whatever was asked for.
                    let mut bytes = bytes.to_vec();
                    bytes.resize(SLOW_READ_BYTES, 0);
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
}
