//! How often what was executed.

use std::collections::BTreeMap;

use fixpoint_isa::Class;

/// What one stretch of code did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    pub instructions: u64,
    pub cycles: u64,
}

impl Cost {
    pub(crate) fn add(&mut self, instructions: u64, cycles: u64) {
        self.instructions += instructions;
        self.cycles += cycles;
    }
}

/// Counts since they were last cleared.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub total: Cost,
    /// Instructions, in the order of [`Class::ALL`].
    pub classes: [u64; Class::ALL.len()],
    /// By the address where a run of instructions without a jump into it or out of it starts.
    pub blocks: BTreeMap<u32, Cost>,
}

impl Counts {
    /// Instructions of `class`.
    pub fn class(&self, class: Class) -> u64 {
        self.classes[class as usize]
    }

    /// What was executed from `start` up to `end`, as of a function.
    pub fn between(&self, start: u32, end: u32) -> Cost {
        let mut sum = Cost::default();
        if start < end {
            for cost in self.blocks.range(start..end).map(|(_, cost)| cost) {
                sum.add(cost.instructions, cost.cycles);
            }
        }
        sum
    }
}
