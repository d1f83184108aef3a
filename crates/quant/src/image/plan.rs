//! Places tensors in the arena: lifetimes, sharing, offsets. What doesn't fit a chip's internal memory
//! altogether is planned for two memories, so that as little as possible goes to the slow one.

use super::{ImageBuilder, MemoryPlan, NEAR_ROOM, Op, Source, TensorId};
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
    /// How often it is written or read.
    uses: u64,
}

impl Buffer {
    fn conflicts(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

pub(super) fn plan(builder: &ImageBuilder) -> Plan {
    let (buffers, of_tensor) = share(builder);
    let all: Vec<usize> = (0..buffers.len()).collect();
    let (mut offsets, mut bytes) = place_all(&buffers, &all);
    let mut near = 0;
    if bytes > u64::from(NEAR_ROOM) {
        (offsets, near, bytes) = place_in_two(&buffers);
    }
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
            near_bytes: narrow(near),
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
                uses: 1,
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
                uses: 0,
            });
            buffers.len() - 1
        });
        of_tensor[id] = Some(buffer);
        buffers[buffer].uses += 1;
        for input in &node.inputs {
            if let Some(read) = of_tensor[input.0] {
                buffers[read].uses += 1;
            }
        }
        buffers[buffer].last = buffers[buffer].last.max(last_use[id]);
        buffers[buffer].pinned |= is_output(id);
    }
    (buffers, of_tensor)
}

/// Orders to place some of the buffers in; no one of them is the best for every network.
fn orders(buffers: &[Buffer], some: &[usize]) -> [Vec<usize>; 2] {
    let sorted = |key: &dyn Fn(&Buffer) -> (u64, u64)| {
        let mut order = some.to_vec();
        order.sort_by_key(|&i| key(&buffers[i]));
        order
    };
    let (time, size) = (|b: &Buffer| b.first as u64, |b: &Buffer| u64::MAX - b.bytes);
    [
        sorted(&|b| (size(b), time(b))),
        sorted(&|b| (time(b), size(b))),
    ]
}

/// The best places for some of the buffers in one memory, and its bytes.
fn place_all(buffers: &[Buffer], some: &[usize]) -> (Vec<u64>, u64) {
    orders(buffers, some)
        .iter()
        .map(|order| {
            let mut memory = Memory::new(buffers, u64::MAX);
            for &index in order {
                memory.place(index);
            }
            (memory.offsets, memory.bytes)
        })
        .min_by_key(|(_, bytes)| *bytes)
        .unwrap_or_default()
}

/// Places for all buffers in two memories, of which the first has [`NEAR_ROOM`]; the bytes of the first
/// and of both. What is written to and read from the second is as little as some simple orders give.
fn place_in_two(buffers: &[Buffer]) -> (Vec<u64>, u64, u64) {
    let all: Vec<usize> = (0..buffers.len()).collect();
    let [by_size, by_time] = orders(buffers, &all);
    let (small_first, last_first) = (
        by_size.iter().rev().copied().collect(),
        by_time.iter().rev().copied().collect(),
    );
    let plan = |order: &Vec<usize>| {
        let mut near = Memory::new(buffers, NEAR_ROOM.into());
        let far: Vec<usize> = (order.iter().copied())
            .filter(|index| !near.place(*index))
            .collect();
        let traffic: u64 = (far.iter())
            .map(|&index| buffers[index].bytes * buffers[index].uses)
            .sum();
        let (places, far_bytes) = place_all(buffers, &far);
        for index in far {
            near.offsets[index] = near.bytes + places[index];
        }
        (traffic, (near.offsets, near.bytes, near.bytes + far_bytes))
    };
    [by_size, by_time, small_first, last_first]
        .iter()
        .map(plan)
        .min_by_key(|(traffic, (_, _, bytes))| (*traffic, *bytes))
        .map(|(_, plan)| plan)
        .unwrap_or_default()
}

/// A memory that fills.
struct Memory<'b> {
    buffers: &'b [Buffer],
    room: u64,
    /// By buffer.
    offsets: Vec<u64>,
    placed: Vec<usize>,
    /// Where the last one ends.
    bytes: u64,
}

impl<'b> Memory<'b> {
    fn new(buffers: &'b [Buffer], room: u64) -> Self {
        Self {
            buffers,
            room,
            offsets: vec![0; buffers.len()],
            placed: Vec::new(),
            bytes: 0,
        }
    }

    /// Places a buffer into the smallest gap that holds it; `false` if there is none within the room.
    fn place(&mut self, index: usize) -> bool {
        let (buffers, offsets, placed) = (self.buffers, &mut self.offsets, &mut self.placed);
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
        let offset = best.map_or(free_from, |(_, offset)| offset);
        if offset + buffer.bytes > self.room {
            return false;
        }
        offsets[index] = offset;
        placed.push(index);
        self.bytes = self.bytes.max(offset + buffer.bytes);
        true
    }
}
