//! How often a run reads a layer's weights from where they are.

use super::linear::taps;
use super::{ImageBuilder, Node, Op};

/// Bytes of a block's weights that the chip's data cache, of 32 KiB, still has when the next pixel needs them.
const KEPT: u64 = 28 << 10;

/// Products of an element of a convolution; `None` if the op is another.
pub(super) fn products(builder: &ImageBuilder, node: &Node) -> Option<u64> {
    let (window, channels) = match &node.op {
        Op::Conv2d { window, groups, .. } => {
            let channels = builder.def(node.inputs[0]).channels().unwrap_or(1);
            (window, channels / groups)
        }
        Op::DepthwiseConv2d { window, .. } => (window, 1),
        _ => return None,
    };
    Some((taps(window) * channels) as u64)
}

/// For each pixel, where those of a block are more than the cache keeps; else once. A board keeps the end of an image in
/// internal memory, as much of it as there is room for, so what is read most often is to be there.
pub(super) fn reads(builder: &ImageBuilder, node: &Node) -> u64 {
    // A vector for each product.
    let block = products(builder, node).map_or(0, |products| products * 16);
    let output = builder.def(node.output);
    match output.channels() {
        Some(channels) if block > KEPT => output.elements() / channels as u64,
        _ => 1,
    }
}
