//! The graph passes, in the order they run. Each says what it changed, and none changes what the
//! model computes (apart from the last bits of float sums).

mod clean;
mod compound;
mod fold;
mod fuse;
mod names;
mod pools;
mod products;
mod recurrent;
mod simplify;
mod slopes;

use crate::graph::Graph;
use crate::inspect::PassInfo;
use crate::ops::infer_shapes;
use crate::quantized;

pub(crate) use fold::evaluate;

struct Pass {
    name: &'static str,
    description: &'static str,
    run: fn(&mut Graph) -> Vec<String>,
}

/// Cleaning comes first so that the fusions see their neighbours; names come last because
/// `fused_gemm_k` counts what the fusions made.
const PASSES: &[Pass] = &[
    Pass {
        name: "eliminate_identity",
        description: "Identity, Dropout, no-op Cast, Flatten, Pad and Transpose are removed.",
        run: clean::identities,
    },
    Pass {
        name: "fold_constants",
        description: "Nodes that only work on constants are computed once, here.",
        run: fold::constants,
    },
    Pass {
        name: "eliminate_transpose_pair",
        description: "Two transposes that undo each other are removed, or left to the layout where the ESP-DL toolkit lists \
                      them.",
        run: clean::transpose_pairs,
    },
    Pass {
        name: "simplify_operators",
        description: "Split, Gather, Div, reductions and others become operators that run.",
        run: simplify::operators,
    },
    Pass {
        name: "fuse_pad",
        description: "Zero padding moves into the convolution or pool that follows.",
        run: fuse::pads,
    },
    Pass {
        name: "fuse_matmul_add_into_gemm",
        description: "MatMul with fixed weights becomes Gemm, with the Add after it as bias.",
        run: fuse::matmul_to_gemm,
    },
    Pass {
        name: "fuse_add_bias",
        description: "A constant added to a layer's output becomes its bias.",
        run: fuse::add_bias,
    },
    Pass {
        name: "fuse_batch_normalization",
        description: "BatchNormalization moves into the weights and bias of the layer before it.",
        run: fuse::batch_normalization,
    },
    Pass {
        name: "batch_normalization_to_conv",
        description: "BatchNormalization without such a layer becomes a convolution of one tap.",
        run: simplify::batch_normalization,
    },
    Pass {
        name: "fold_gemm_scale",
        description: "Gemm's alpha and beta move into its weights and bias.",
        run: fuse::gemm_scale,
    },
    Pass {
        name: "eliminate_unused_node",
        description: "Nodes whose results nobody reads are removed.",
        run: clean::unused,
    },
    Pass {
        name: "eliminate_duplicate_initializer",
        description: "Weights stored more than once are stored once, unused ones dropped.",
        run: clean::initializers,
    },
    Pass {
        name: "settle_scales",
        description: "Where a quantized file changes the scale of what is only moved or selected, a \
                      step of its own does.",
        run: quantized::settle,
    },
    Pass {
        name: "name_nodes",
        description: "Nodes without a name get one; Gemm nodes as the ESP-DL toolkit names them.",
        run: names::name_nodes,
    },
];

/// Runs every pass; shapes are worked out again after each.
pub(crate) fn run(graph: &mut Graph) -> Vec<PassInfo> {
    infer_shapes(graph);
    PASSES
        .iter()
        .map(|pass| {
            let nodes_before = graph.nodes.len();
            let changes = (pass.run)(graph);
            if !changes.is_empty() {
                infer_shapes(graph);
            }
            PassInfo {
                name: pass.name.to_owned(),
                description: pass.description.to_owned(),
                changes,
                nodes_before,
                nodes_after: graph.nodes.len(),
            }
        })
        .collect()
}

/// Removes node `i`, whose output has the same values as its input `from`. False when that can't
/// be done because it connects a model input to a model output, or because the file of a quantized
/// model rounds the two differently.
fn bypass(graph: &mut Graph, i: usize, from: &str) -> bool {
    let out = graph.nodes[i].output().to_owned();
    if !graph.is_output(&out) {
        if !graph.given.merge(&out, from) {
            return false;
        }
        graph.nodes.remove(i);
        graph.rewire(&out, from);
        return true;
    }
    // The output's name must stay: its producer writes it directly.
    let Some(producer) = graph.producer_of(from) else {
        return false;
    };
    if graph.is_output(from) || !graph.given.merge(from, &out) {
        return false;
    }
    graph.nodes.remove(i);
    let producer = if producer > i { producer - 1 } else { producer };
    for name in &mut graph.nodes[producer].outputs {
        if name == from {
            *name = out.clone();
        }
    }
    graph.rewire(from, &out);
    true
}
