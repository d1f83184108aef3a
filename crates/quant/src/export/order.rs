//! Order and padding of a filter's elements, by chip.

use crate::graph::{Graph, Node};
use crate::options::{Bits, Chip};

/// One filter: rows of `[outputs][inputs][taps]` as ONNX has them; depthwise ones have one input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) depthwise: bool,
}

/// True for a Conv that the toolkit calls DepthwiseConv.
pub(super) fn is_depthwise(graph: &Graph, node: &Node) -> bool {
    let weights = node.input(1).and_then(|n| graph.shape(n));
    node.op == "Conv"
        && node.int("group", 1) > 1
        && weights.is_some_and(|d| d.len() > 1 && d[1] == 1)
}

/// For every element of the file its index in the rows; None is a zero of the padding.
pub(super) fn order(shape: Shape, bits: Bits, chip: Chip, pad: bool) -> Vec<Option<usize>> {
    let lanes = match bits {
        Bits::I8 => 16,
        Bits::I16 => 8,
    };
    let taps = shape.height * shape.width;
    let inputs = if shape.depthwise { 1 } else { shape.inputs };
    let at = |output: usize, tap: usize, input: usize| (output * inputs + input) * taps + tap;
    let blocked = match chip {
        Chip::Esp32S3 => shape.outputs / lanes * lanes,
        // The C kernels want every depthwise channel beside the others, and no other side by side.
        Chip::Esp32 | Chip::Esp32S2 | Chip::Esp32C3 => 0,
    };
    let mut order = Vec::with_capacity(shape.outputs * inputs * taps + 2 * lanes);
    for block in (0..blocked).step_by(lanes) {
        for tap in 0..taps {
            for input in 0..inputs {
                order.extend((block..block + lanes).map(|o| Some(at(o, tap, input))));
            }
        }
    }
    if shape.depthwise {
        for tap in 0..taps {
            order.extend((blocked..shape.outputs).map(|o| Some(at(o, tap, 0))));
        }
    } else {
        for output in blocked..shape.outputs {
            for tap in 0..taps {
                order.extend((0..inputs).map(|i| Some(at(output, tap, i))));
            }
        }
    }
    if pad && !order.len().is_multiple_of(lanes) {
        let zeros = order.len().next_multiple_of(lanes) - order.len() + lanes;
        order.extend(std::iter::repeat_n(None, zeros));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(shape: Shape, chip: Chip, pad: bool) -> Vec<Option<usize>> {
        order(shape, Bits::I16, chip, pad)
    }

    #[test]
    fn blocks_come_first_and_what_is_left_channel_by_channel() {
        let shape = Shape {
            height: 1,
            width: 2,
            inputs: 1,
            outputs: 9,
            depthwise: false,
        };
        // Element [output][input 0][tap] has the index 2 * output + tap.
        let first: Vec<_> = (0..8).map(|o| Some(2 * o)).collect();
        let second: Vec<_> = (0..8).map(|o| Some(2 * o + 1)).collect();
        let want = [first, second, vec![Some(16), Some(17)]].concat();
        assert_eq!(values(shape, Chip::Esp32S3, false), want);
        let straight: Vec<_> = (0..18).map(Some).collect();
        assert_eq!(values(shape, Chip::Esp32, false), straight);
    }

    #[test]
    fn padding_fills_the_block_and_adds_another() {
        let shape = |outputs| Shape {
            height: 1,
            width: 1,
            inputs: 3,
            outputs,
            depthwise: false,
        };
        assert_eq!(values(shape(3), Chip::Esp32, true).len(), 9 + 7 + 8);
        assert_eq!(values(shape(8), Chip::Esp32S3, true).len(), 24);
        assert_eq!(values(shape(3), Chip::Esp32, false).len(), 9);
    }

    #[test]
    fn depthwise_channels_lie_side_by_side() {
        let shape = Shape {
            height: 2,
            width: 1,
            inputs: 10,
            outputs: 10,
            depthwise: true,
        };
        let tap = |t: usize, o: std::ops::Range<usize>| o.map(|o| Some(2 * o + t)).collect();
        let parts: [Vec<_>; 4] = [tap(0, 0..8), tap(1, 0..8), tap(0, 8..10), tap(1, 8..10)];
        assert_eq!(values(shape, Chip::Esp32S3, false), parts.concat());
        let rows: [Vec<_>; 2] = [tap(0, 0..10), tap(1, 0..10)];
        assert_eq!(values(shape, Chip::Esp32C3, false), rows.concat());
    }
}
