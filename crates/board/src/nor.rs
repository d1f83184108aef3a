//! Flash memory: programming clears bits, erasing sets whole sectors.

pub(crate) const SECTOR: usize = 0x1000;
/// Programmed at a time.
const PAGE: usize = 0x100;

#[derive(Default)]
pub(crate) struct Nor {
    bytes: Vec<u8>,
    /// Erasures of a sector and programmings of a page so far, whoever did them.
    pub(crate) operations: u64,
    /// The operation that the power fails in; what follows does nothing.
    pub(crate) fails_in: Option<u64>,
}

impl Nor {
    pub(crate) fn new(mut bytes: Vec<u8>, size: u32) -> Self {
        bytes.resize(size as usize, 0xFF);
        Self {
            bytes,
            ..Self::default()
        }
    }

    /// Whether the power failed in an operation.
    pub(crate) fn failed(&self) -> bool {
        self.fails_in.is_some_and(|at| self.operations > at)
    }

    /// How much is done of the next operation, on so many bytes.
    fn share(&mut self, bytes: usize) -> usize {
        let here = self.operations;
        self.operations += 1;
        match self.fails_in {
            Some(at) if here == at => bytes / 2,
            Some(at) if here > at => 0,
            _ => bytes,
        }
    }

    /// What the application's flash holds by now from `offset` on.
    pub(crate) fn mirror(&mut self, offset: u32, bytes: &[u8]) {
        let cells = self.bytes.iter_mut().skip(offset as usize);
        cells.zip(bytes).for_each(|(cell, byte)| *cell = *byte);
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
        let mut start = (offset as usize).min(self.bytes.len());
        let mut rest = &data[..data.len().min(self.bytes.len() - start)];
        while !rest.is_empty() {
            let (page, behind) = rest.split_at(rest.len().min(PAGE - start % PAGE));
            let done = self.share(page.len());
            for (cell, byte) in self.bytes[start..].iter_mut().zip(&page[..done]) {
                *cell &= byte;
            }
            start += page.len();
            rest = behind;
        }
    }

    /// Erases every sector that the range touches.
    pub(crate) fn erase(&mut self, offset: u32, size: u32) {
        let length = self.bytes.len();
        let start = (offset as usize / SECTOR * SECTOR).min(length);
        let end = (offset as usize).saturating_add(size as usize).min(length);
        let end = end.next_multiple_of(SECTOR).clamp(start, length);
        for at in (start..end).step_by(SECTOR) {
            let done = self.share(SECTOR);
            let cells = self.bytes[at..].iter_mut().take(done);
            match done {
                SECTOR => cells.for_each(|cell| *cell = 0xFF),
                // All cells go over together: some bits have, some have not.
                _ => cells.for_each(|cell| *cell |= 0x5A),
            }
        }
    }

    /// Answer to the JEDEC identification command.
    pub(crate) fn id(&self) -> u32 {
        self.bytes.len().trailing_zeros() << 16 | 0x40C8
    }
}
