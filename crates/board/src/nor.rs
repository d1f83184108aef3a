//! Flash memory: programming clears bits, erasing sets whole sectors.

pub(crate) const SECTOR: usize = 0x1000;

#[derive(Default)]
pub(crate) struct Nor {
    bytes: Vec<u8>,
}

impl Nor {
    pub(crate) fn new(mut bytes: Vec<u8>, size: u32) -> Self {
        bytes.resize(size as usize, 0xFF);
        Self { bytes }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn get(&self, offset: u32, size: u32) -> Option<&[u8]> {
        let start = offset as usize;
        self.bytes.get(start..start.checked_add(size as usize)?)
    }

    /// Programs what lies inside the chip.
    pub(crate) fn program(&mut self, offset: u32, data: &[u8]) {
        let start = (offset as usize).min(self.bytes.len());
        for (cell, byte) in self.bytes[start..].iter_mut().zip(data) {
            *cell &= byte;
        }
    }

    /// Erases every sector that the range touches.
    pub(crate) fn erase(&mut self, offset: u32, size: u32) {
        let length = self.bytes.len();
        let start = (offset as usize / SECTOR * SECTOR).min(length);
        let end = (offset as usize).saturating_add(size as usize).min(length);
        let end = end.next_multiple_of(SECTOR).clamp(start, length);
        self.bytes[start..end].fill(0xFF);
    }

    /// Answer to the JEDEC identification command.
    pub(crate) fn id(&self) -> u32 {
        self.bytes.len().trailing_zeros() << 16 | 0x40C8
    }
}
