//! A core with a piece of memory that notes what is stored.

use std::collections::BTreeMap;
use std::rc::Rc;

use fixpoint_emulator::cpu::{Cpu, pie};
use fixpoint_emulator::{Access, Bus, Trap};
use fixpoint_isa::pie::Pie;
use fixpoint_isa::{Instruction, Op, assemble};

/// Where memory begins, and its size: the indexed accesses reach 128 KiB up and down.
pub(crate) const START: u32 = 0x3FC8_0000;
pub(crate) const SIZE: usize = 0x6_0000;

/// A small generator of test numbers (xorshift); the seed makes runs repeatable.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as u32
    }

    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        self.next() % limit
    }

    /// A word whose bytes and halves are extremes more often than not.
    fn lanes(&mut self) -> u32 {
        match self.below(8) {
            0 => 0,
            1 => u32::MAX,
            2 => 0x8080_8080,
            3 => 0x7F7F_7F7F,
            4 => [0x8000_7FFF, 0x7FFF_8000, 0x8000_8000, 0x7FFF_7FFF][self.below(4) as usize],
            5 => [0x8000_0000, 0x7FFF_FFFF, 1, 0x0001_FFFF][self.below(4) as usize],
            _ => self.next(),
        }
    }

    fn words<const N: usize>(&mut self) -> [u32; N] {
        std::array::from_fn(|_| self.lanes())
    }

    fn vector(&mut self) -> u128 {
        let words: [u32; 4] = self.words();
        words
            .iter()
            .fold(0, |value, word| value << 32 | u128::from(*word))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Memory {
    seed: u32,
    /// Address and bytes, in the order of the stores.
    pub(crate) stores: Vec<(u32, Vec<u8>)>,
    /// What else is not as it was made up: stores of before.
    pub(crate) changed: Rc<BTreeMap<u32, u8>>,
}

impl Memory {
    pub(crate) fn new(seed: u32) -> Self {
        Self {
            seed,
            stores: Vec::new(),
            changed: Rc::default(),
        }
    }

    /// The byte at an address before anything was stored: memory is made up, so that it needs no copy.
    pub(crate) fn byte(&self, address: u32) -> u8 {
        if let Some(byte) = self.changed.get(&address) {
            return *byte;
        }
        let mixed = (address ^ self.seed).wrapping_mul(0x9E37_79B1);
        let mixed = (mixed ^ mixed >> 15).wrapping_mul(0x85EB_CA77);
        match mixed >> 29 {
            0 => 0x80,
            1 => 0x7F,
            _ => (mixed >> 8) as u8,
        }
    }

    fn check(access: Access, address: u32, bytes: usize) -> Result<(), Trap> {
        assert_eq!(
            address as usize % bytes,
            0,
            "accesses are aligned: {address:#x}"
        );
        if (address.wrapping_sub(START) as usize) < SIZE {
            return Ok(());
        }
        Err(Trap::Unmapped { access, address })
    }

    fn load<const N: usize>(&self, address: u32) -> Result<[u8; N], Trap> {
        Self::check(Access::Load, address, N)?;
        Ok(std::array::from_fn(|n| self.byte(address + n as u32)))
    }

    fn store(&mut self, address: u32, bytes: &[u8]) -> Result<(), Trap> {
        Self::check(Access::Store, address, bytes.len())?;
        self.stores.push((address, bytes.to_vec()));
        Ok(())
    }
}

impl Bus for Memory {
    fn fetch(&mut self, address: u32) -> Result<[u8; 4], Trap> {
        Err(Trap::Unmapped {
            access: Access::Fetch,
            address,
        })
    }

    fn event(&self) -> bool {
        false
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

#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) cpu: Cpu,
    pub(crate) memory: Memory,
}

impl Machine {
    /// Zeros, the coprocessors on.
    pub(crate) fn new() -> Self {
        let mut cpu = Cpu::new(0, 0);
        cpu.cpenable = 0xFF;
        Self {
            cpu,
            memory: Memory::new(0),
        }
    }

    /// Any state with addresses in the general registers, whose low bits are any numbers.
    pub(crate) fn random(numbers: &mut Numbers) -> Self {
        let mut machine = Self::new();
        machine.memory.seed = numbers.next();
        let cpu = &mut machine.cpu;
        for register in &mut cpu.a {
            *register = START + SIZE as u32 / 2 - 0x8000 + numbers.below(0x1_0000);
        }
        cpu.f = std::array::from_fn(|_| numbers.next());
        cpu.sar = match numbers.below(4) {
            0 => numbers.below(64),
            _ => numbers.below(20),
        };
        let vector = &mut cpu.vector;
        vector.q = std::array::from_fn(|_| numbers.vector());
        vector.accx = (u64::from(numbers.lanes()) << 32 | u64::from(numbers.lanes())) >> 24;
        vector.qacc.set_words(0, numbers.words());
        vector.qacc.set_words(1, numbers.words());
        vector.sar_byte = numbers.below(16) as u8;
        vector.fft_bit_width = numbers.below(16) as u8;
        vector.ua_state = numbers.vector();
        vector.gpio_out = numbers.next() as u8;
        vector.gpio_in = numbers.next() as u8;
        machine
    }

    pub(crate) fn execute(&mut self, op: Pie, instruction: &Instruction) -> Result<(), Trap> {
        pie::execute(&mut self.cpu, &mut self.memory, op, instruction)
    }

    /// Executes a line of assembly.
    pub(crate) fn run(&mut self, line: &str) {
        let instruction = assemble(line).expect(line);
        let Op::Pie(op) = instruction.op else {
            panic!("{line} is no vector instruction")
        };
        assert_eq!(self.execute(op, &instruction), Ok(()), "{line}");
    }

    #[track_caller]
    pub(crate) fn assert_is(&self, expected: &Self, before: &Self, text: &str) {
        let (found, expected_cpu) = (&self.cpu, &expected.cpu);
        assert_eq!(found.a, expected_cpu.a, "{text}, from {before:x?}");
        assert_eq!(found.f, expected_cpu.f, "{text}, from {before:x?}");
        assert_eq!(found.sar, expected_cpu.sar, "{text}");
        let hex = |q: [u128; 8]| q.map(|q| format!("{q:032x}"));
        let (vector, other) = (&found.vector, &expected_cpu.vector);
        assert_eq!(hex(vector.q), hex(other.q), "{text}, from {before:x?}");
        assert_eq!(vector, other, "{text}, from {before:x?}");
        assert_eq!(
            self.memory.stores, expected.memory.stores,
            "{text}, from {before:x?}"
        );
    }
}
