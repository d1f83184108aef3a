//! Data on its way into flash, plain or deflated.

use miniz_oxide::{
    DataFormat, MZError, MZFlush, MZStatus,
    inflate::stream::{InflateState, inflate},
};

pub(crate) enum Trouble {
    Inflate,
    /// More bytes than were announced.
    TooMuch,
}

pub(crate) struct Stream {
    pub(crate) deflated: bool,
    pub(crate) sequence: u32,
    /// Up to where the stub has erased.
    pub(crate) erased_to: u32,
    offset: u32,
    remaining: u32,
    // Neither ROM nor stub was seen to check the stream's Adler-32.
    inflater: Box<InflateState>,
    failed: bool,
}

impl Stream {
    pub(crate) fn new(offset: u32, size: u32, deflated: bool) -> Self {
        Self {
            deflated,
            sequence: 0,
            erased_to: offset,
            offset,
            remaining: size,
            inflater: InflateState::new_boxed(DataFormat::ZLibIgnoreChecksum),
            failed: false,
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.remaining == 0
    }

    /// Passes on what the block holds; `sink` gets flash offset and bytes.
    pub(crate) fn feed(
        &mut self,
        block: &[u8],
        mut sink: impl FnMut(u32, &[u8]),
    ) -> Result<(), Trouble> {
        if !self.deflated {
            return self.pass(block, &mut sink);
        }
        if self.failed {
            return Err(Trouble::Inflate);
        }
        let mut rest = block;
        let mut output = vec![0; 0x8000];
        loop {
            let step = inflate(&mut self.inflater, rest, &mut output, MZFlush::None);
            rest = &rest[step.bytes_consumed..];
            self.pass(&output[..step.bytes_written], &mut sink)?;
            match step.status {
                Ok(MZStatus::StreamEnd) => return Ok(()),
                Ok(_) if rest.is_empty() && step.bytes_written < output.len() => return Ok(()),
                Ok(_) => {}
                // No input left, nothing more to hand out.
                Err(MZError::Buf) if rest.is_empty() => return Ok(()),
                Err(_) => {
                    self.failed = true;
                    return Err(Trouble::Inflate);
                }
            }
        }
    }

    fn pass(&mut self, data: &[u8], sink: &mut impl FnMut(u32, &[u8])) -> Result<(), Trouble> {
        let fits = data.len().min(self.remaining as usize);
        if fits > 0 {
            sink(self.offset, &data[..fits]);
        }
        self.offset += fits as u32;
        self.remaining -= fits as u32;
        if fits < data.len() {
            return Err(Trouble::TooMuch);
        }
        Ok(())
    }
}
