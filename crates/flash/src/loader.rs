//! Commands to the loader: one question, one answer, strictly in turn.

use crate::chip::RegisterWrite;
use crate::error::FlashError;
use crate::line::Line;
use crate::packet::{self, Response, Speaker, Verdict};
use crate::slip;
use espflash::command::{Command, CommandType};
use md5::{Digest, Md5};

/// Answers of other commands skipped before giving up.
const MAX_FOREIGN: usize = 100;
pub(crate) const TIMEOUT_MS: u64 = 3_000;
const SYNC_TIMEOUT_MS: u64 = 100;
const QUIET_MS: u64 = 50;
/// The ROM's command to read flash: offset, length.
const READ_FLASH_SLOW: u8 = 0x0E;
const SLOW_READ_BYTES: usize = 64;
/// The stub's: offset, length, bytes per packet, packets in flight.
const READ_FLASH: u8 = 0xD2;

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Ends the session.
    Fatal(FlashError),
    /// No answer in time.
    Silent,
    /// An answer that cannot be read.
    Garbled,
    /// An answer with an error code.
    Refused(u8),
}

impl From<FlashError> for Failure {
    fn from(error: FlashError) -> Self {
        Self::Fatal(error)
    }
}

pub(crate) struct Answer {
    pub(crate) value: u32,
    pub(crate) payload: Vec<u8>,
}

/// A loader that has answered a SYNC.
pub(crate) struct Loader {
    pub(crate) line: Line,
    pub(crate) speaker: Speaker,
}

impl Loader {
    /// Sends SYNC once; the number of status bytes tells who answered.
    pub(crate) async fn sync(line: &Line) -> Result<Option<Speaker>, FlashError> {
        let request = encode(&Command::Sync);
        let sent = line.send(slip::encode(&request)).await?;
        while let Some(frame) = line.frame(sent + SYNC_TIMEOUT_MS).await? {
            let Some(response) = Response::parse(&frame) else {
                continue;
            };
            let speaker = match response.data {
                [0, _] => Speaker::Stub,
                [0, _, _, _] => Speaker::Rom,
                _ => continue,
            };
            if response.op == CommandType::Sync as u8 {
                // Eight answers come; one left behind would answer the next command.
                line.drain_until_quiet(QUIET_MS).await?;
                return Ok(Some(speaker));
            }
        }
        Ok(None)
    }

    /// One command and its answer with `payload` bytes before the status.
    pub(crate) async fn command(
        &self,
        command: &Command<'_>,
        payload: usize,
        timeout_ms: u64,
    ) -> Result<Answer, Failure> {
        self.exchange(&encode(command), payload, timeout_ms).await
    }

    async fn exchange(
        &self,
        request: &[u8],
        payload: usize,
        timeout_ms: u64,
    ) -> Result<Answer, Failure> {
        self.line.drain();
        self.line.state().progress.round_trips += 1;
        let bytes = slip::encode(request);
        // The driver may report bytes as written that still wait in a buffer.
        let on_the_wire = bytes.len() as u64 * 10_000 / u64::from(self.line.state().baud.max(1));
        let sent = self.line.send(bytes).await?;
        let deadline = sent + on_the_wire + timeout_ms;
        for _ in 0..MAX_FOREIGN {
            let Some(frame) = self.line.frame(deadline).await? else {
                return Err(Failure::Silent);
            };
            let Some(response) = Response::parse(&frame) else {
                continue;
            };
            if response.op != request[1] {
                if response.is_unsupported() {
                    // The hardware may say so several times.
                    self.line.sleep(200).await?;
                    self.line.drain();
                    return Err(Failure::Refused(packet::UNSUPPORTED));
                }
                continue;
            }
            let value = response.value;
            return match response.judge(self.speaker, payload) {
                Ok(payload) => Ok(Answer {
                    value,
                    payload: payload.to_vec(),
                }),
                Err(Verdict::WrongLength) => Err(Failure::Garbled),
                Err(Verdict::Refused(code)) => Err(Failure::Refused(code)),
            };
        }
        Err(Failure::Silent)
    }

    /// A command that may be sent again without harm: three tries.
    pub(crate) async fn repeatable(
        &self,
        command: &Command<'_>,
        payload: usize,
        timeout_ms: u64,
    ) -> Result<Answer, Failure> {
        self.persist(&encode(command), payload, timeout_ms).await
    }

    async fn persist(
        &self,
        request: &[u8],
        payload: usize,
        timeout_ms: u64,
    ) -> Result<Answer, Failure> {
        let mut last = Failure::Silent;
        for _ in 0..3 {
            match self.exchange(request, payload, timeout_ms).await {
                Err(Failure::Silent) => {
                    last = Failure::Silent;
                    if !self.resync().await? {
                        break;
                    }
                }
                Err(Failure::Fatal(error)) => return Err(error.into()),
                Err(failure) => last = failure,
                Ok(answer) => return Ok(answer),
            }
        }
        Err(last)
    }

    /// Gets back in step after a missing answer. `false` when nobody of the same kind answers.
    pub(crate) async fn resync(&self) -> Result<bool, FlashError> {
        for _ in 0..5 {
            // Ends a frame whose closing delimiter was lost on the way.
            self.line.send(vec![0xC0, 0xC0]).await?;
            if Self::sync(&self.line).await? == Some(self.speaker) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(crate) async fn read_register(&self, address: u32) -> Result<u32, Failure> {
        let command = Command::ReadReg { address };
        Ok(self.repeatable(&command, 0, TIMEOUT_MS).await?.value)
    }

    /// All writes in one packet, done in order.
    pub(crate) async fn write_registers(&self, writes: &[RegisterWrite]) -> Result<(), Failure> {
        let words: Vec<u32> = writes
            .iter()
            .flat_map(|&(address, value, mask)| [address, value, mask, 0])
            .collect();
        let request = plain(CommandType::WriteReg as u8, &words);
        self.persist(&request, 0, TIMEOUT_MS).await.map(drop)
    }

    /// Up to 64 bytes of flash.
    pub(crate) async fn read_flash(&self, offset: u32, length: usize) -> Result<Vec<u8>, Failure> {
        match self.speaker {
            Speaker::Rom => {
                let request = plain(READ_FLASH_SLOW, &[offset, length as u32]);
                // Answered with a whole buffer of 64 bytes, whatever was asked for.
                let answer = self.persist(&request, SLOW_READ_BYTES, TIMEOUT_MS).await?;
                Ok(answer.payload[..length.min(SLOW_READ_BYTES)].to_vec())
            }
            Speaker::Stub => {
                let mut last = Failure::Silent;
                for _ in 0..3 {
                    match self.read_through_stub(offset, length as u32).await {
                        Err(Failure::Fatal(error)) => return Err(error.into()),
                        Err(failure) => last = failure,
                        Ok(bytes) => return Ok(bytes),
                    }
                    if !self.resync().await? {
                        break;
                    }
                }
                Err(last)
            }
        }
    }

    /// After the answer the stub sends the bytes as a bare frame, waits for their number, and
    /// sends their MD5.
    async fn read_through_stub(&self, offset: u32, length: u32) -> Result<Vec<u8>, Failure> {
        let request = plain(READ_FLASH, &[offset, length, 0x1000, 1]);
        self.exchange(&request, 0, TIMEOUT_MS).await?;
        let deadline = self.line.state().now_ms + TIMEOUT_MS;
        let bytes = self.line.frame(deadline).await?.ok_or(Failure::Silent)?;
        self.line.send(slip::encode(&length.to_le_bytes())).await?;
        let digest = self.line.frame(deadline).await?.ok_or(Failure::Silent)?;
        if digest == Md5::digest(&bytes).as_slice() && bytes.len() as u32 == length {
            Ok(bytes)
        } else {
            Err(Failure::Garbled)
        }
    }

    /// MD5 of a flash range.
    pub(crate) async fn md5(&self, offset: u32, size: u32) -> Result<[u8; 16], Failure> {
        let command = Command::FlashMd5 { offset, size };
        let timeout = per_megabyte(8, size);
        let bytes = match self.speaker {
            Speaker::Stub => 16,
            Speaker::Rom => 32,
        };
        for _ in 0..3 {
            let payload = self.repeatable(&command, bytes, timeout).await?.payload;
            let digest = match self.speaker {
                Speaker::Stub => payload,
                Speaker::Rom => unhex(&payload),
            };
            if let Ok(digest) = digest.try_into() {
                return Ok(digest);
            }
        }
        Err(Failure::Garbled)
    }
}

/// A request of words, for what espflash has no encoder for.
fn plain(op: u8, words: &[u32]) -> Vec<u8> {
    let mut request = vec![0, op];
    request.extend_from_slice(&(words.len() as u16 * 4).to_le_bytes());
    request.extend_from_slice(&[0; 4]);
    request.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    request
}

/// Bytes of hexadecimal text; shorter when there is anything else in it.
fn unhex(text: &[u8]) -> Vec<u8> {
    let digit = |c: u8| (c as char).to_digit(16).map(|d| d as u8);
    let pairs = text
        .chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?));
    pairs.map_while(|byte| byte).collect()
}

/// Time-out in ms for work that takes up to `seconds` per megabyte.
pub(crate) fn per_megabyte(seconds: u64, bytes: u32) -> u64 {
    TIMEOUT_MS.max(seconds * u64::from(bytes) / 1_000)
}

pub(crate) fn encode(command: &Command<'_>) -> Vec<u8> {
    let mut request = Vec::new();
    match command.write(&mut request) {
        Ok(()) => request,
        Err(_) => unreachable!("writing to a vector does not fail"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use espflash::flasher::{SpiAttachParams, SpiSetParams};

    fn hex(text: &str) -> Vec<u8> {
        let text: String = text.split_whitespace().collect();
        (0..text.len() / 2)
            .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
            .collect()
    }

    /// The bytes that a real ROM and stub were seen to accept.
    #[test]
    fn requests_have_the_golden_bytes() {
        let sync = format!("0008 2400 00000000 07071220 {}", "55".repeat(32));
        assert_eq!(encode(&Command::Sync), hex(&sync));
        let magic = Command::ReadReg {
            address: 0x4000_1000,
        };
        assert_eq!(encode(&magic), hex("000a 0400 00000000 00100040"));
        let begin = |supports_encryption| Command::FlashDeflBegin {
            size: 100_000,
            blocks: 4,
            block_size: 0x4000,
            offset: 0x1_0000,
            supports_encryption,
        };
        let words = "00000000 a0860100 04000000 00400000 00000100";
        assert_eq!(encode(&begin(false)), hex(&format!("0010 1000 {words}")));
        assert_eq!(
            encode(&begin(true)),
            hex(&format!("0010 1400 {words} 00000000"))
        );
        let data = Command::FlashDeflData {
            data: &[1, 2, 3, 0xC0, 0xDB],
            pad_to: 0,
            pad_byte: 0,
            sequence: 0,
        };
        let block = "0011 1500 f4000000 05000000 00000000 00000000 00000000 010203c0db";
        assert_eq!(encode(&data), hex(block));
        assert_eq!(encode(&Command::GetSecurityInfo), hex("0014 0000 00000000"));
        let spi_params = SpiAttachParams::default();
        assert_eq!(encode(&Command::SpiAttach { spi_params }).len(), 8 + 8);
        assert_eq!(encode(&Command::SpiAttachStub { spi_params }).len(), 8 + 4);
        let spi_params = SpiSetParams::default(4 << 20);
        let words = "00000000 00004000 00000100 00100000 00010000 ffff0000";
        assert_eq!(
            encode(&Command::SpiSetParams { spi_params }),
            hex(&format!("000b 1800 00000000 {words}"))
        );
        let end = Command::FlashDeflEnd { reboot: false };
        assert_eq!(encode(&end), hex("0012 0400 00000000 01000000"));
    }
}
