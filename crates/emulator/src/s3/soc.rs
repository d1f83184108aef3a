//! What the cores see: memories, then peripherals, then nothing.

use super::memory::Memory;
use super::peripherals::Peripherals;
use crate::{Access, Bus, Trap};

/// Reads of empty receivers in a row after which the program is taken to wait for its host.
pub(super) const IDLE_POLLS: u32 = 64;

/// Everything but the cores.
#[derive(Clone, Debug)]
pub(super) struct Soc {
    pub(super) memory: Memory,
    pub(super) peripherals: Peripherals,
    /// A peripheral wants the machine.
    pub(super) called: bool,
}

/// Registers are words.
const NOT_A_WORD: &str = "registers are modelled for aligned accesses of 32 bits only";

const NOT_WRITTEN: &str = "of this register only reads are modelled, or other values than this one";

const SHUT: &str =
    "this core's buses to the caches are shut (EXTMEM_DCACHE_CTRL1, EXTMEM_ICACHE_CTRL1)";

impl Soc {
    #[inline(always)]
    fn load<const N: usize>(&mut self, address: u32) -> Result<[u8; N], Trap> {
        match self.memory.load(address)? {
            Some(bytes) => Ok(bytes),
            None => Err(self.nothing(Access::Load, address)),
        }
    }

    #[inline(always)]
    fn store<const N: usize>(&mut self, address: u32, value: [u8; N]) -> Result<(), Trap> {
        match self.memory.store(address, value)? {
            Some(()) => Ok(()),
            None => Err(self.nothing(Access::Store, address)),
        }
    }

    #[cold]
    fn nothing(&self, access: Access, address: u32) -> Trap {
        if self.memory.is_shut(address) {
            return Trap::Unmodelled {
                access,
                address,
                what: SHUT,
            };
        }
        // Where a register is, the width is what is wrong.
        let mut peripherals = self.peripherals.clone();
        match peripherals.read(address & !3, &self.memory) {
            Some(_) => Trap::Unmodelled {
                access,
                address,
                what: NOT_A_WORD,
            },
            None => Trap::Unmapped { access, address },
        }
    }

    #[cold]
    fn read_register(&mut self, address: u32) -> Result<u32, Trap> {
        let access = Access::Load;
        if !address.is_multiple_of(4) {
            return Err(self.nothing(access, address));
        }
        let value = self.peripherals.read(address, &self.memory);
        let polls = self.peripherals.idle_polls;
        if polls > 0 && polls.is_multiple_of(IDLE_POLLS) {
            self.called = true;
        }
        value.ok_or_else(|| self.nothing(access, address))
    }

    #[cold]
    fn write_register(&mut self, address: u32, value: u32) -> Result<(), Trap> {
        let access = Access::Store;
        if !address.is_multiple_of(4) {
            return Err(self.nothing(access, address));
        }
        let written = self.peripherals.write(address, value, &mut self.memory);
        self.called |= self.peripherals.reset.is_some() || self.peripherals.second.touched;
        if written.is_some() {
            return Ok(());
        }
        let what = match self.peripherals.spi.objection.take() {
            Some(what) => what,
            None => match self.nothing(access, address) {
                // The width is right.
                Trap::Unmodelled { what, .. } if what == NOT_A_WORD => NOT_WRITTEN,
                nothing => return Err(nothing),
            },
        };
        Err(Trap::Unmodelled {
            access,
            address,
            what,
        })
    }
}

impl Bus for Soc {
    fn fetch(&mut self, address: u32) -> Result<[u8; 4], Trap> {
        let found = self.memory.fetch(address);
        let access = Access::Fetch;
        found.ok_or_else(|| match self.memory.is_shut(address) {
            true => self.nothing(access, address),
            false => Trap::Unmapped { access, address },
        })
    }

    #[inline(always)]
    fn event(&self) -> bool {
        self.called | self.memory.code_changed | self.memory.polled_written
    }

    #[inline(always)]
    fn waited(&self) -> u64 {
        self.memory.cache.waited()
    }

    #[inline(always)]
    fn load8(&mut self, address: u32) -> Result<u8, Trap> {
        self.load(address).map(u8::from_le_bytes)
    }

    #[inline(always)]
    fn load16(&mut self, address: u32) -> Result<u16, Trap> {
        self.load(address).map(u16::from_le_bytes)
    }

    #[inline(always)]
    fn load32(&mut self, address: u32) -> Result<u32, Trap> {
        match self.memory.load(address)? {
            Some(bytes) => Ok(u32::from_le_bytes(bytes)),
            None => self.read_register(address),
        }
    }

    #[inline(always)]
    fn load64(&mut self, address: u32) -> Result<u64, Trap> {
        self.load(address).map(u64::from_le_bytes)
    }

    #[inline(always)]
    fn load128(&mut self, address: u32) -> Result<u128, Trap> {
        self.load(address).map(u128::from_le_bytes)
    }

    #[inline(always)]
    fn store8(&mut self, address: u32, value: u8) -> Result<(), Trap> {
        self.store(address, value.to_le_bytes())
    }

    #[inline(always)]
    fn store16(&mut self, address: u32, value: u16) -> Result<(), Trap> {
        self.store(address, value.to_le_bytes())
    }

    #[inline(always)]
    fn store32(&mut self, address: u32, value: u32) -> Result<(), Trap> {
        match self.memory.store(address, value.to_le_bytes())? {
            Some(()) => Ok(()),
            None => self.write_register(address, value),
        }
    }

    #[inline(always)]
    fn store64(&mut self, address: u32, value: u64) -> Result<(), Trap> {
        self.store(address, value.to_le_bytes())
    }

    #[inline(always)]
    fn store128(&mut self, address: u32, value: u128) -> Result<(), Trap> {
        self.store(address, value.to_le_bytes())
    }
}
