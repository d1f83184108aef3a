//! Which chains of layers are worth their strips.

use super::super::dense::{FAR_BYTE, VECTOR_TEN_PRODUCTS};
use super::super::linear::Lowered;
use super::super::plan::{Plan, plan_within};
use super::super::reads::{products, reads};
use super::super::{Arithmetic, ImageBuilder, NEAR_ROOM, Node, Op, TensorId};
use super::{Chain, Step, bare, cut, rows_of, window_of};

/// As many products take as long as an element of an op that isn't a convolution.
const OTHER: u64 = 3;
/// Cycles around the kernel of an op, the other core's part in it among them (`fixpoint_vector::LEAST`).
const AN_OP: u64 = 4000;
/// In how many strips.
const STRIPS: [usize; 10] = [2, 3, 4, 5, 6, 8, 10, 12, 16, 24];
/// Bytes of internal memory for tensors: what they leave is for constants.
const ROOMS: [u32; 3] = [NEAR_ROOM, NEAR_ROOM / 4 * 3, NEAR_ROOM / 2];
/// Most ops of an image: of so many a board tells the cycles (`fixpoint_device`).
const MOST_OPS: usize = 256;

/// Bytes of a layer's constants, and how often a run reads them.
type Constants = (u64, u64);

/// Of a net's layers, those first that are written last, and first have room.
fn constants(builder: &ImageBuilder, lowered: &[Option<Lowered>]) -> Vec<Constants> {
    let mut all = [Vec::new(), Vec::new()];
    for (node, linear) in builder.nodes.iter().zip(lowered).rev() {
        if let Some(linear) = linear {
            let width = builder.def(node.output).element.bytes() as usize;
            let bytes = linear.weights.len() * width + linear.records.bytes.len();
            let reads = reads(builder, node);
            all[usize::from(reads == 1)].push((bytes as u64, reads));
        }
    }
    all.concat()
}

/// What a run takes, as far as strips change it, in cycles. Tensors leave room for some of the constants.
fn cost(builder: &ImageBuilder, plan: &Plan, constants: &[Constants]) -> u64 {
    let near = u64::from(plan.memory.near_bytes);
    let taken = if near > 0 { near } else { plan.bytes };
    let mut room = u64::from(NEAR_ROOM).saturating_sub(taken);
    let mut read = 0;
    for (bytes, reads) in constants {
        let inside = room.min(*bytes);
        room -= inside;
        read += (bytes - inside) * reads;
    }
    let far = |id: TensorId| match plan.offsets[id.0] {
        Some(offset) if near > 0 && offset >= near => builder.def(id).bytes(),
        _ => 0,
    };
    let node = |node: &Node| {
        let written = far(node.output);
        // What moves elements reads those that it writes.
        let most = match node.op {
            Op::Rearrange(_) => builder.def(node.output).bytes(),
            _ => u64::MAX,
        };
        let read = node.inputs.iter().map(|id| far(*id).min(most));
        let bytes = written + read.sum::<u64>();
        let products =
            builder.def(node.output).elements() * products(builder, node).unwrap_or(OTHER);
        bytes * FAR_BYTE + products * VECTOR_TEN_PRODUCTS / 10 + AN_OP
    };
    let all = read * FAR_BYTE + builder.nodes.iter().map(node).sum::<u64>();
    // That boards without PSRAM can run it is worth a tenth.
    if near > 0 { all } else { all - all / 10 }
}

/// Whether an op's rows follow from its one input's.
fn has_rows(builder: &ImageBuilder, at: usize) -> bool {
    let node = &builder.nodes[at];
    let [input] = node.inputs[..] else {
        return false;
    };
    let both = [input, node.output].map(|id| rows_of(builder.def(id)));
    both.iter().all(Option::is_some) && window_of(&node.op).is_some() && !builder.is_constant(input)
}

/// The last op, from `first` on, that a chain which begins there can have.
fn reach(builder: &ImageBuilder, first: usize, taken: &[Chain]) -> usize {
    let mut last = first;
    loop {
        let output = builder.nodes[last].output;
        let readers = (builder.nodes.iter()).filter(|node| node.inputs.contains(&output));
        let next = last + 1;
        let goes_on = readers.count() == 1
            && !builder.outputs.contains(&output)
            && next < builder.nodes.len()
            && builder.nodes[next].inputs == [output]
            && has_rows(builder, next)
            && taken.iter().all(|chain| chain.first != next);
        if !goes_on {
            return last;
        }
        last = next;
    }
}

/// The net with chains in strips, without its linear layers' integers, where that is faster or lets it fit: what each of
/// its ops is, and its plan. `None` if all of it fits internal memory, or nothing is gained.
pub(crate) fn find(
    builder: &ImageBuilder,
    lowered: &[Option<Lowered>],
    planned: &Plan,
) -> Option<(ImageBuilder, Vec<Step>, Plan)> {
    let wanted = builder.strips && builder.arithmetic == Arithmetic::Fixpoint;
    (wanted && planned.memory.near_bytes > 0).then_some(())?;
    let constants = &constants(builder, lowered);
    let builder = &bare(builder);
    let mut chains: Vec<Chain> = Vec::new();
    let mut best = None;
    let mut least = cost(builder, planned, constants);
    loop {
        let before = least;
        let mut better = None;
        for chain in candidates(builder, planned, &chains) {
            let mut all = chains.clone();
            all.push(chain);
            let Some((net, steps)) = cut(builder, &all) else {
                continue;
            };
            if net.nodes.len() > MOST_OPS.max(builder.nodes.len()) {
                continue;
            }
            let plans = ROOMS.map(|room| plan_within(&net, room));
            let costs = plans.map(|plan| (cost(&net, &plan, constants), plan));
            let cheapest = costs.into_iter().min_by_key(|(cycles, _)| *cycles);
            if let Some((cycles, plan)) = cheapest.filter(|(cycles, _)| *cycles < least) {
                least = cycles;
                better = Some((all, (net, steps, plan)));
            }
        }
        match better {
            // What gains less than one part in thirty isn't worth its ops.
            Some((all, found)) if least < before - before / 30 => {
                chains = all;
                best = Some(found);
            }
            _ => return best,
        }
    }
}

/// Chains that begin with the first op, or the one before, whose output would be far, and end where the rows' bytes
/// become fewer.
fn candidates(builder: &ImageBuilder, planned: &Plan, taken: &[Chain]) -> Vec<Chain> {
    let near = u64::from(planned.memory.near_bytes);
    let bytes = |at: usize| builder.def(builder.nodes[at].output).bytes();
    let inside = |at: usize| {
        taken
            .iter()
            .any(|chain| chain.first <= at && at <= chain.last)
    };
    let mut found = Vec::new();
    let mut at = 0;
    while at < builder.nodes.len() {
        let far = planned.offsets[builder.nodes[at].output.0].is_some_and(|place| place >= near);
        if !far || inside(at) || !has_rows(builder, at) {
            at += 1;
            continue;
        }
        let end = reach(builder, at, taken);
        let earlier = at.checked_sub(1).filter(|&before| {
            has_rows(builder, before) && !inside(before) && reach(builder, before, taken) == end
        });
        for first in [Some(at), earlier].into_iter().flatten() {
            for last in first + 1..=end {
                if bytes(last) >= bytes(last - 1) && last < end {
                    continue;
                }
                let rows =
                    rows_of(builder.def(builder.nodes[last].output)).map_or(0, |(rows, _)| rows);
                let counts = STRIPS.iter().filter(|strips| **strips <= rows);
                found.extend(counts.map(|&strips| Chain {
                    first,
                    last,
                    strips,
                }));
            }
        }
        at = end + 1;
    }
    found
}
