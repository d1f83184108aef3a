//! Names for nodes that have none, or share one.

use std::collections::BTreeMap;

use crate::graph::Graph;

/// Unnamed Gemm nodes become `fused_gemm_0`, `fused_gemm_1`, ... in graph order, as the ESP-DL
/// toolkit names them; others are named after what they compute.
pub(super) fn name_nodes(graph: &mut Graph) -> Vec<String> {
    let mut changes = Vec::new();
    let mut gemms = 0;
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for i in 0..graph.nodes.len() {
        let node = &graph.nodes[i];
        let taken = (graph.nodes[..i].iter()).any(|n| n.name == node.name);
        if !node.name.is_empty() && !taken {
            continue;
        }
        let name = if node.op == "Gemm" && node.name.is_empty() {
            gemms += 1;
            format!("fused_gemm_{}", gemms - 1)
        } else {
            let stem = if node.name.is_empty() {
                node.op.to_lowercase()
            } else {
                node.name.clone()
            };
            let k = count.entry(stem.clone()).or_default();
            *k += 1;
            let name = graph.fresh_name(&format!("{stem}_{}", *k - 1));
            let in_file = graph.nodes[i].name.clone();
            graph.renamed.insert(name.clone(), in_file);
            name
        };
        changes.push(format!(
            "{} that writes '{}': '{name}'",
            node.op,
            node.output()
        ));
        graph.nodes[i].name = name;
    }
    changes
}
