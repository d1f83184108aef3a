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
    plan_within(builder, NEAR_ROOM)
}

/// With less of the internal memory, if it takes two.
pub(super) fn plan_within(builder: &ImageBuilder, room: u32) -> Plan {
    let (buffers, of_tensor) = share(builder);
    let all: Vec<usize> = (0..buffers.len()).collect();
    let (mut offsets, mut bytes) = place_all(&buffers, &all);
    let mut near = 0;
    if bytes > u64::from(NEAR_ROOM) {
        (offsets, near, bytes) = place_in_two(&buffers, room);
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

/// Some of the buffers in the order of a key, the first to live first.
fn sorted(buffers: &[Buffer], some: &[usize], key: impl Fn(&Buffer) -> u64) -> Vec<usize> {
    let mut order = some.to_vec();
    order.sort_by_key(|&i| {
        (
            key(&buffers[i]),
            buffers[i].first,
            u64::MAX - buffers[i].bytes,
        )
    });
    order
}

/// The best places for some of the buffers in one memory, and its bytes.
fn place_all(buffers: &[Buffer], some: &[usize]) -> (Vec<u64>, u64) {
    let by_size = sorted(buffers, some, |b| u64::MAX - b.bytes);
    let by_time = sorted(buffers, some, |_| 0);
    [by_size, by_time]
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

/// Places for all buffers in two memories, of which the first has so much room; the bytes of the first
/// and of both. What is written to and read from the second is as little as some simple orders give.
fn place_in_two(buffers: &[Buffer], room: u32) -> (Vec<u64>, u64, u64) {
    let all: Vec<usize> = (0..buffers.len()).collect();
    let by = |key: &dyn Fn(&Buffer) -> u64| sorted(buffers, &all, key);
    let orders = [
        by(&|b| u64::MAX - b.bytes),
        by(&|b| b.bytes),
        by(&|b| b.first as u64),
        by(&|b| u64::MAX - b.first as u64),
        by(&|b| u64::MAX - b.bytes * b.uses),
        by(&|b| (b.last - b.first) as u64),
    ];
    let plan = |order: &Vec<usize>| {
        let mut near = Memory::new(buffers, room.into());
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
    (orders.iter().map(plan))
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

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;

    fn buffer(kib: u64, first: usize, last: usize) -> Buffer {
        Buffer {
            bytes: kib * KIB,
            first,
            last,
            pinned: false,
            uses: 2,
        }
    }

    /// No two that are alive at once share a byte, and none lies across the end of the first memory; its
    /// bytes, those of all, and which buffers are in it.
    fn checked(buffers: &[Buffer]) -> (u64, u64, Vec<bool>) {
        let (offsets, near, all) = place_in_two(buffers, NEAR_ROOM);
        assert!(near <= u64::from(NEAR_ROOM));
        let spans: Vec<_> = (offsets.iter().zip(buffers))
            .map(|(offset, buffer)| *offset..offset + buffer.bytes)
            .collect();
        for (i, a) in spans.iter().enumerate() {
            assert!(a.end <= near || a.start >= near, "{a:?} across {near}");
            assert!(a.end <= all);
            for (j, b) in spans.iter().enumerate().skip(i + 1) {
                let apart = a.end <= b.start || b.end <= a.start;
                assert!(apart || !buffers[i].conflicts(&buffers[j]), "{i} and {j}");
            }
        }
        let inside = spans.iter().map(|span| span.end <= near).collect();
        (near, all, inside)
    }

    #[test]
    fn only_what_is_too_large_goes_to_the_second_memory() {
        // The face detector's first layers: input, three large maps, then smaller ones.
        let buffers = [
            buffer(225, 0, 0),
            buffer(300, 0, 1),
            buffer(300, 1, 2),
            buffer(600, 2, 3),
            buffer(150, 3, 4),
            buffer(150, 4, 5),
            buffer(75, 5, 6),
        ];
        // Of the two maps of 300 KiB that are alive together one must go, and the largest.
        let (near, all, inside) = checked(&buffers);
        assert_eq!((near, all), (300 * KIB, 900 * KIB));
        assert_eq!(inside, [true, false, true, false, true, true, true]);
    }

    #[test]
    fn any_lifetimes_have_places() {
        let mut state = 1u64;
        let mut below = |limit: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % limit
        };
        for _ in 0..200 {
            let buffers: Vec<_> = (0..20)
                .map(|_| {
                    let first = below(20) as usize;
                    buffer(1 + below(400), first, first + below(6) as usize)
                })
                .collect();
            checked(&buffers);
        }
    }
}
