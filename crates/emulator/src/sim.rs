//! The machine `sim`: a core with plain memory from address 0 and no peripherals, whose programs write
//! text and end by `simcall`. QEMU has the same, so that what runs here can be compared with it.

use std::fmt;

use crate::cpu::Cpu;
use crate::elf::Elf;
use crate::{Access, Bus, Core, Pause, Stop, Trap};

/// Code pages are watched for changes in pieces of this size.
const PAGE: usize = 4096;
/// Bytes of a `simcall` instruction.
const SIMCALL_BYTES: u32 = 3;
/// Call numbers, in `a2`.
const EXIT: u32 = 1;
const WRITE: u32 = 4;

/// Memory from address 0.
#[derive(Clone, Debug)]
pub struct Memory {
    bytes: Vec<u8>,
    /// Pages that code was fetched from.
    code: Vec<bool>,
    code_changed: bool,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Exit(u32),
    /// It was given no more instructions, or waits for an interrupt for ever.
    Unfinished,
    /// Something can't be emulated.
    Stopped(Stop),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit {code}"),
            Self::Unfinished => f.write_str("not finished"),
            Self::Stopped(stop) => write!(f, "{stop}"),
        }
    }
}

/// One core and its memory.
#[derive(Clone, Debug)]
pub struct Sim {
    pub core: Core,
    pub memory: Memory,
    /// What the program wrote.
    pub output: Vec<u8>,
}

impl Sim {
    /// A machine with that much memory, which starts at `pc`.
    pub fn new(memory_bytes: usize, pc: u32) -> Self {
        Self {
            core: Core::new(Cpu::new(pc, 0)),
            memory: Memory {
                bytes: vec![0; memory_bytes],
                code: vec![false; memory_bytes.div_ceil(PAGE)],
                code_changed: false,
            },
            output: Vec::new(),
        }
    }

    /// A machine with `elf` in its memory, at its entry.
    ///
    /// # Errors
    /// When a segment lies outside the memory: its address.
    pub fn load(memory_bytes: usize, elf: &Elf<'_>) -> Result<Self, u32> {
        let mut sim = Self::new(memory_bytes, elf.entry);
        for segment in &elf.segments {
            let placed = sim.memory.place(segment.address, segment.bytes);
            placed.ok_or(segment.address)?;
        }
        Ok(sim)
    }

    /// Runs until the program ends, for `budget` instructions at most.
    pub fn run(&mut self, budget: u64) -> End {
        let end = self.core.executed().saturating_add(budget);
        loop {
            let left = end.saturating_sub(self.core.executed());
            match self.core.run(&mut self.memory, left) {
                Ok(Pause::Event) => {
                    self.memory.code_changed = false;
                    self.memory.code.fill(false);
                    self.core.forget_code();
                }
                Ok(Pause::Budget | Pause::Waiting | Pause::Polling) => return End::Unfinished,
                Err(Stop {
                    trap: Trap::Simcall,
                    ..
                }) => {
                    if let Some(end) = self.simcall() {
                        return end;
                    }
                }
                Err(stop) => return End::Stopped(stop),
            }
        }
    }

    fn simcall(&mut self) -> Option<End> {
        let cpu = &mut self.core.cpu;
        let [number, first, address, length] = [cpu.a[2], cpu.a[3], cpu.a[4], cpu.a[5]];
        match number {
            EXIT => return Some(End::Exit(first)),
            WRITE => match self.memory.get(address, length as usize) {
                Some(bytes) => {
                    self.output.extend_from_slice(bytes);
                    cpu.a[2] = length;
                    cpu.a[3] = 0;
                }
                None => return Some(self.stop(Access::Load, address)),
            },
            _ => {
                let what = "a simcall other than exit and write is not emulated";
                return Some(End::Stopped(Stop {
                    pc: cpu.pc,
                    trap: Trap::Unsupported { what },
                }));
            }
        }
        cpu.pc = cpu.pc.wrapping_add(SIMCALL_BYTES);
        None
    }

    fn stop(&self, access: Access, address: u32) -> End {
        End::Stopped(Stop {
            pc: self.core.cpu.pc,
            trap: Trap::Unmapped { access, address },
        })
    }
}

impl Memory {
    /// Puts `bytes` at `address`, if they fit. Not for code that has run already.
    pub fn place(&mut self, address: u32, bytes: &[u8]) -> Option<()> {
        let start = address as usize;
        let place = self.bytes.get_mut(start..start.checked_add(bytes.len())?)?;
        place.copy_from_slice(bytes);
        Some(())
    }

    /// `length` bytes at `address`.
    pub fn get(&self, address: u32, length: usize) -> Option<&[u8]> {
        let start = address as usize;
        self.bytes.get(start..start.checked_add(length)?)
    }

    #[inline]
    fn load<const N: usize>(&self, address: u32) -> Result<[u8; N], Trap> {
        let bytes = self.get(address, N).and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or(Trap::Unmapped {
            access: Access::Load,
            address,
        })
    }

    #[inline]
    fn store(&mut self, address: u32, value: &[u8]) -> Result<(), Trap> {
        self.place(address, value).ok_or(Trap::Unmapped {
            access: Access::Store,
            address,
        })?;
        let (first, last) = (address as usize, address as usize + value.len() - 1);
        self.code_changed |= self.code[first / PAGE] | self.code[last / PAGE];
        Ok(())
    }
}

impl Bus for Memory {
    fn fetch(&mut self, address: u32) -> Result<[u8; 4], Trap> {
        let start = address as usize;
        let bytes = self.bytes.get(start..).unwrap_or_default();
        if bytes.is_empty() {
            return Err(Trap::Unmapped {
                access: Access::Fetch,
                address,
            });
        }
        let mut whole = [0; 4];
        let count = bytes.len().min(4);
        whole[..count].copy_from_slice(&bytes[..count]);
        self.code[start / PAGE] = true;
        self.code[(start + count - 1) / PAGE] = true;
        Ok(whole)
    }

    fn event(&self) -> bool {
        self.code_changed
    }

    fn load8(&mut self, address: u32) -> Result<u8, Trap> {
        self.load(address).map(u8::from_le_bytes)
    }

    fn load16(&mut self, address: u32) -> Result<u16, Trap> {
        self.load(address).map(u16::from_le_bytes)
    }

    fn load32(&mut self, address: u32) -> Result<u32, Trap> {
        self.load(address).map(u32::from_le_bytes)
    }

    fn load64(&mut self, address: u32) -> Result<u64, Trap> {
        self.load(address).map(u64::from_le_bytes)
    }

    fn load128(&mut self, address: u32) -> Result<u128, Trap> {
        self.load(address).map(u128::from_le_bytes)
    }

    fn store8(&mut self, address: u32, value: u8) -> Result<(), Trap> {
        self.store(address, &value.to_le_bytes())
    }

    fn store16(&mut self, address: u32, value: u16) -> Result<(), Trap> {
        self.store(address, &value.to_le_bytes())
    }

    fn store32(&mut self, address: u32, value: u32) -> Result<(), Trap> {
        self.store(address, &value.to_le_bytes())
    }

    fn store64(&mut self, address: u32, value: u64) -> Result<(), Trap> {
        self.store(address, &value.to_le_bytes())
    }

    fn store128(&mut self, address: u32, value: u128) -> Result<(), Trap> {
        self.store(address, &value.to_le_bytes())
    }
}
