//! Code that was decoded already, in blocks: runs of instructions of which only the last can jump.

use std::collections::{BTreeMap, BTreeSet};

use fixpoint_isa::{Arithmetic, Class, DecodeError, Instruction, Loop, Memory, Op, decode};

use crate::counts::Counts;
use crate::cpu::ends_block;
use crate::{Bus, Trap, cost};

/// Most instructions in a block.
const LONGEST: usize = 64;
/// Blocks end where a page ends, as code is watched for changes by the page.
const PAGE: u32 = 4096;
/// Places in the table in front of the map; a power of two.
const PLACES: usize = 4096;

/// A run of instructions.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) start: u32,
    /// Address behind it.
    pub(crate) end: u32,
    /// Where its instructions lie in [`Blocks::code`].
    first: u32,
    pub(crate) count: u32,
    /// Cycles of one execution in which nothing is taken.
    pub(crate) cycles: u32,
    /// Whole executions.
    pub(crate) executed: u64,
    /// Executions that ended with a jump.
    pub(crate) taken: u64,
    /// Whether going back to its start does nothing but look at memory.
    pub(crate) polls: bool,
}

/// All blocks of one core.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    blocks: Vec<Block>,
    code: Vec<Instruction>,
    by_start: BTreeMap<u32, u32>,
    /// Start and number of the block that was last looked up, by a few bits of the start.
    recent: Vec<(u32, u32)>,
    /// Where loops end: blocks end there too.
    loop_ends: BTreeSet<u32>,
    counts: Counts,
}

/// No instruction starts here: `recent` is empty.
const NOWHERE: (u32, u32) = (u32::MAX, u32::MAX);

impl Blocks {
    pub(crate) fn new() -> Self {
        Self {
            blocks: Vec::new(),
            code: Vec::new(),
            by_start: BTreeMap::new(),
            recent: vec![NOWHERE; PLACES],
            loop_ends: BTreeSet::new(),
            counts: Counts::default(),
        }
    }

    /// The number of the block that starts at `pc`.
    ///
    /// # Errors
    /// When no instruction can be fetched there.
    #[inline]
    pub(crate) fn at<B: Bus>(&mut self, bus: &mut B, pc: u32) -> Result<usize, Trap> {
        let (start, number) = self.recent[pc as usize % PLACES];
        if start == pc && number != NOWHERE.1 {
            return Ok(number as usize);
        }
        self.find(bus, pc)
    }

    #[cold]
    fn find<B: Bus>(&mut self, bus: &mut B, pc: u32) -> Result<usize, Trap> {
        let number = match self.by_start.get(&pc) {
            Some(&number) => number,
            None => self.build(bus, pc)?,
        };
        self.recent[pc as usize % PLACES] = (pc, number);
        Ok(number as usize)
    }

    fn build<B: Bus>(&mut self, bus: &mut B, start: u32) -> Result<u32, Trap> {
        let first = self.code.len();
        let (mut pc, mut cycles) = (start, 0);
        loop {
            let instruction = match fetch(bus, pc) {
                Ok(instruction) => instruction,
                Err(trap) if pc == start => return Err(trap),
                // To be found when it is really reached.
                Err(_) => break,
            };
            let before = self.code[first..].last();
            cycles += cost::cycles(before, &instruction);
            let resolved = instruction.resolved(pc);
            self.code.push(resolved);
            pc = pc.wrapping_add(u32::from(instruction.length));
            if let Op::Loop(Loop::Loop | Loop::Loopnez | Loop::Loopgtz) = instruction.op {
                self.end_at(resolved.imm[0] as u32);
            }
            let long = self.code.len() - first >= LONGEST || pc / PAGE != start / PAGE;
            if long || ends_block(instruction.op) || self.loop_ends.contains(&pc) {
                break;
            }
        }
        let number = self.blocks.len() as u32;
        self.blocks.push(Block {
            start,
            end: pc,
            first: first as u32,
            count: (self.code.len() - first) as u32,
            cycles,
            executed: 0,
            taken: 0,
            polls: polls(&self.code[first..]),
        });
        self.by_start.insert(start, number);
        Ok(number)
    }

    /// A loop ends at `end`: no block may go on across it.
    pub(crate) fn end_at(&mut self, end: u32) {
        if !self.loop_ends.insert(end) {
            return;
        }
        for block in &self.blocks {
            let inside = end.wrapping_sub(block.start) < block.end.wrapping_sub(block.start);
            if inside && end != block.start && self.by_start.contains_key(&block.start) {
                self.by_start.remove(&block.start);
                self.recent[block.start as usize % PLACES] = NOWHERE;
            }
        }
    }

    #[inline]
    pub(crate) fn block(&mut self, number: usize) -> (&mut Block, &[Instruction]) {
        let block = &mut self.blocks[number];
        let first = block.first as usize;
        let code = &self.code[first..first + block.count as usize];
        (block, code)
    }

    /// The block was left behind its first `count` instructions.
    pub(crate) fn left_early(&mut self, number: usize, count: usize) {
        let block = &self.blocks[number];
        let first = block.first as usize;
        let code = &self.code[first..first + count];
        count_classes(&mut self.counts, code, 1);
        add(&mut self.counts, block.start, count as u64, count as u64);
    }

    /// Forgets all code: some of it has changed.
    pub(crate) fn clear(&mut self) {
        self.settle();
        self.blocks.clear();
        self.code.clear();
        self.by_start.clear();
        self.recent.fill(NOWHERE);
        self.loop_ends.clear();
    }

    /// Brings what the blocks counted into the counts.
    fn settle(&mut self) {
        for block in &mut self.blocks {
            let executed = std::mem::take(&mut block.executed);
            let taken = std::mem::take(&mut block.taken);
            if executed == 0 {
                continue;
            }
            let first = block.first as usize;
            let code = &self.code[first..first + block.count as usize];
            count_classes(&mut self.counts, code, executed);
            let cycles = executed * u64::from(block.cycles) + taken * cost::TAKEN;
            let instructions = executed * u64::from(block.count);
            add(&mut self.counts, block.start, instructions, cycles);
        }
    }

    /// What was executed since the counts were last taken.
    pub(crate) fn take_counts(&mut self) -> Counts {
        self.settle();
        std::mem::take(&mut self.counts)
    }
}

/// Whether `code` only loads words, from places that it doesn't change, and branches on what it found.
/// As long as it goes back to its start and finds the same words, nothing happens.
fn polls(code: &[Instruction]) -> bool {
    let Some((last, loads)) = code.split_last() else {
        return false;
    };
    let mut loaded = 0u16;
    for instruction in loads {
        match instruction.op {
            Op::Memory(Memory::L32i | Memory::L32iN | Memory::L32ai) => {
                let [into, from, ..] = instruction.reg;
                if loaded >> (from & 15) & 1 == 1 || into == from {
                    return false;
                }
                loaded |= 1 << (into & 15);
            }
            Op::Memory(Memory::Memw | Memory::Extw)
            | Op::Arithmetic(Arithmetic::Nop | Arithmetic::NopN) => {}
            _ => return false,
        }
    }
    loaded != 0 && last.op.row().class == Class::Branch
}

fn add(counts: &mut Counts, start: u32, instructions: u64, cycles: u64) {
    let block = counts.blocks.entry(start).or_default();
    block.add(instructions, cycles);
    counts.total.add(instructions, cycles);
}

fn count_classes(counts: &mut Counts, code: &[Instruction], times: u64) {
    for instruction in code {
        let class: Class = instruction.op.row().class;
        counts.classes[class as usize] += times;
    }
}

fn fetch<B: Bus>(bus: &mut B, pc: u32) -> Result<Instruction, Trap> {
    decode(&bus.fetch(pc)?).map_err(|error| match error {
        DecodeError::Unknown { bytes, length } => Trap::Unknown { bytes, length },
        DecodeError::Short { length } => Trap::Unknown {
            bytes: [0; 4],
            length,
        },
    })
}
