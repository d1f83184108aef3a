//! Places tensors in the arena: lifetimes, sharing, offsets.

use super::{ImageBuilder, MemoryPlan, Op, Source, TensorId};
use fixpoint_runtime::format::round_up;

/// Where every tensor goes.
pub(super) struct Plan {
    /// Arena offset by tensor; `None` for constants.
    pub(super) offsets: Vec<Option<u64>>,
    pub(super) memory: MemoryPlan,
    /// What `memory.arena_bytes` says, before it is narrowed.
    pub(super) bytes: u64,
}

/// Memory that one or more tensors share, and the ops during which it is taken.
#[derive(Clone)]
struct Buffer {
    bytes: u64,
    first: usize,
    last: usize,
    /// Must survive to the end, so nothing may be written over it.
    pinned: bool,
}

impl Buffer {
    fn conflicts(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

pub(super) fn plan(builder: &ImageBuilder) -> Plan {
    let (buffers, of_tensor) = share(builder);
    let by_size = {
        let mut order: Vec<usize> = (0..buffers.len()).collect();
        order.sort_by_key(|&i| (std::cmp::Reverse(buffers[i].bytes), buffers[i].first));
        order
    };
    let by_time = {
        let mut order: Vec<usize> = (0..buffers.len()).collect();
        order.sort_by_key(|&i| (buffers[i].first, std::cmp::Reverse(buffers[i].bytes)));
        order
    };
    let (offsets, bytes) = [by_size, by_time]
        .iter()
        .map(|order| place(&buffers, order))
        .min_by_key(|(_, bytes)| *bytes)
        .unwrap_or_default();
    let lower_bound = (0..=builder.nodes.len())
        .map(|time| {
            let alive = buffers.iter().filter(|b| b.first <= time && time <= b.last);
            alive.map(|b| b.bytes).sum::<u64>()
        })
        .max()
        .unwrap_or(0);
    let narrow = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
    Plan {
        offsets: of_tensor
            .into_iter()
            .map(|buffer| buffer.map(|buffer| offsets[buffer]))
            .collect(),
        memory: MemoryPlan {
            arena_bytes: narrow(bytes),
            lower_bound: narrow(lower_bound),
        },
        bytes,
    }
}

/// Gives every tensor a buffer: its own, or its input's where the op allows it.
fn share(builder: &ImageBuilder) -> (Vec<Buffer>, Vec<Option<usize>>) {
    let end = builder.nodes.len();
    let mut last_use = vec![0; builder.tensors.len()];
    for (time, node) in builder.nodes.iter().enumerate() {
        last_use[node.output.0] = time;
        for input in &node.inputs {
            last_use[input.0] = time;
        }
    }
    for output in &builder.outputs {
        last_use[output.0] = end;
    }
    let is_output = |id: usize| builder.outputs.contains(&TensorId(id));
    let mut buffers = Vec::new();
    let mut of_tensor = vec![None; builder.tensors.len()];
    for (id, (def, source)) in builder.tensors.iter().enumerate() {
        if let Source::Input = source {
            let kept = builder.keep_inputs;
            of_tensor[id] = Some(buffers.len());
            buffers.push(Buffer {
                bytes: round_up(def.bytes()),
                first: 0,
                last: if kept { end } else { last_use[id] },
                pinned: kept || is_output(id),
            });
        }
    }
    for (time, node) in builder.nodes.iter().enumerate() {
        let id = node.output.0;
        let def = builder.def(node.output);
        let shared = node.inputs.iter().find_map(|input| {
            let buffer: usize = of_tensor[input.0]?;
            let taken: &Buffer = &buffers[buffer];
            let same = builder.def(*input).bytes() == def.bytes();
            let allowed = match node.op {
                Op::Reshape => true,
                Op::Binary { .. } | Op::Requantize { .. } | Op::Lookup { .. } => {
                    taken.last <= time && !taken.pinned
                }
                _ => false,
            };
            (same && allowed).then_some(buffer)
        });
        let buffer = shared.unwrap_or_else(|| {
            buffers.push(Buffer {
                bytes: round_up(def.bytes()),
                first: time,
                last: time,
                pinned: false,
            });
            buffers.len() - 1
        });
        of_tensor[id] = Some(buffer);
        buffers[buffer].last = buffers[buffer].last.max(last_use[id]);
        buffers[buffer].pinned |= is_output(id);
    }
    (buffers, of_tensor)
}

/// Places buffers one after another, each into the smallest gap that holds it.
fn place(buffers: &[Buffer], order: &[usize]) -> (Vec<u64>, u64) {
    let mut offsets = vec![0; buffers.len()];
    let mut placed: Vec<usize> = Vec::new();
    for &index in order {
        let buffer = &buffers[index];
        let mut taken: Vec<(u64, u64)> = placed
            .iter()
            .filter(|&&other| buffers[other].conflicts(buffer))
            .map(|&other| (offsets[other], offsets[other] + buffers[other].bytes))
            .collect();
        taken.sort_unstable();
        let mut best: Option<(u64, u64)> = None;
        let mut free_from = 0;
        for (start, end) in taken {
            let gap = start.saturating_sub(free_from);
            if gap >= buffer.bytes && best.is_none_or(|(smallest, _)| gap < smallest) {
                best = Some((gap, free_from));
            }
            free_from = free_from.max(end);
        }
        offsets[index] = best.map_or(free_from, |(_, offset)| offset);
        placed.push(index);
    }
    let end = buffers
        .iter()
        .zip(&offsets)
        .map(|(b, offset)| offset + b.bytes);
    let bytes = end.max().unwrap_or(0);
    (offsets, bytes)
}
