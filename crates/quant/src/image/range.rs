//! What elements a tensor can have, by what made it.

use super::record::bounds;
use super::{ImageBuilder, Node, Op, Operation, Source, TensorId, Window};
use fixpoint_kernels::Limits;
use fixpoint_kernels::fixpoint::Binary;

/// Least and greatest element.
pub(super) type Range = [i32; 2];

/// The ranges of all tensors in the fixpoint arithmetic: no element lies outside, whatever the inputs of the model are.
pub(super) struct Ranges(Vec<Range>);

impl Ranges {
    pub(super) fn new(builder: &ImageBuilder) -> Self {
        let ranges = builder.tensors.iter().map(|(def, source)| {
            let all = def.element.range().into();
            match source {
                Source::Constant(values) => elements(values).unwrap_or(all),
                Source::Input | Source::Op => all,
            }
        });
        let mut ranges = Self(ranges.collect());
        // In the order of execution: those of the inputs are known.
        for node in &builder.nodes {
            ranges.0[node.output.0] = ranges.result(builder, node);
        }
        ranges
    }

    pub(super) fn of(&self, id: TensorId) -> Range {
        self.0[id.0]
    }

    fn result(&self, builder: &ImageBuilder, node: &Node) -> Range {
        let def = builder.def(node.output);
        let all: Range = def.element.range().into();
        let limited = |activation| {
            bounds(activation, def.element).map_or(all, |limits| limits.map(i32::from))
        };
        // At other exponents, if those change: rounding keeps the order.
        let moved = || {
            let ranges = node.inputs.iter().map(|id| {
                let [from, to] = [builder.def(*id).exponent, def.exponent];
                corners(Operation::Add, self.of(*id), [0; 2], [from, from, to], all)
            });
            hull(ranges).unwrap_or(all)
        };
        match &node.op {
            Op::Conv2d { linear, .. }
            | Op::ConvTranspose2d { linear, .. }
            | Op::DepthwiseConv2d { linear, .. }
            | Op::FullyConnected { linear } => limited(&linear.activation),
            Op::Binary {
                operation,
                activation,
            } => match node.inputs[..] {
                [a, b] => {
                    let exponents = [a, b, node.output].map(|id| builder.def(id).exponent);
                    let limits = limited(activation);
                    corners(*operation, self.of(a), self.of(b), exponents, limits)
                }
                _ => limited(activation),
            },
            Op::Requantize { activation } => match bounds(activation, def.element) {
                Some([low, high]) => moved().map(|end| end.max(low.into()).min(high.into())),
                // A slope may be anything.
                None => all,
            },
            Op::Lookup { table } => elements(table).unwrap_or(all),
            Op::Softmax { .. } => [0, all[1]],
            // Where a window reaches into the padding, zeros may count.
            Op::AveragePool { .. } => {
                let [low, high] = moved();
                [low.min(0), high.max(0)]
            }
            Op::GlobalAveragePool | Op::Reshape | Op::Concat { .. } => moved(),
            Op::Rearrange(rearrange) => {
                let ([low, high], fill) = (moved(), i32::from(rearrange.fill));
                [low.min(fill), high.max(fill)]
            }
            // A window with nothing but padding gives the smallest value.
            Op::MaxPool { window } if sees_input(window) => moved(),
            _ => all,
        }
    }
}

fn elements(values: &[i16]) -> Option<Range> {
    hull(values.iter().map(|value| [i32::from(*value); 2]))
}

fn hull(ranges: impl Iterator<Item = Range>) -> Option<Range> {
    ranges.reduce(|[a, b], [low, high]| [a.min(low), b.max(high)])
}

/// The range of an operation on elements of two ranges, within limits: it rises or falls with each of them, and so has
/// its extremes at their ends. Exponents are those of the operands and of the result.
fn corners(operation: Operation, a: Range, b: Range, exponents: [i32; 3], limits: Range) -> Range {
    let [Ok(ea), Ok(eb), Ok(ey)] = exponents.map(i8::try_from) else {
        return limits;
    };
    let [low, high] = limits.map(|limit| limit as i16);
    let binary = Binary::<i16>::new(operation, ea, eb, ey, Limits { low, high });
    let ends = a.into_iter().flat_map(|a| b.map(|b| (a as i16, b as i16)));
    hull(ends.map(|(a, b)| [binary.apply(a, b).into(); 2])).unwrap_or(limits)
}

/// Whether each window of a pool sees an element of the input.
fn sees_input(window: &Window) -> bool {
    window.dilation_h == 1
        && window.dilation_w == 1
        && window.pad_top.max(window.pad_bottom) < window.kernel_h
        && window.pad_left.max(window.pad_right) < window.kernel_w
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Activation, Arithmetic, Element, Storage, TensorDef};

    fn def(exponent: i32) -> TensorDef {
        TensorDef {
            name: "x".into(),
            dims: vec![1, 4, 2, 2],
            storage: Storage::ChannelsLast,
            element: Element::I8,
            exponent,
        }
    }

    #[test]
    fn ranges_follow_from_what_made_a_tensor() {
        let mut builder = ImageBuilder::new("ranges", Arithmetic::Fixpoint);
        let x = builder.input(def(-4));
        let clip = |low, high| Op::Requantize {
            activation: Activation::Clip { low, high },
        };
        let clipped = builder.op("clip", clip(0, 96), &[x], def(-4));
        let finer = builder.op("finer", Op::Reshape, &[clipped], def(-3));
        // -3 to 40, whatever the order of the entries.
        let table = (0..256).map(|i| i % 44 - 3).collect();
        let looked = builder.op("table", Op::Lookup { table }, &[x], def(-4));
        let binary = |operation| Op::Binary {
            operation,
            activation: Activation::None,
        };
        // [-3, 40] * [0, 96] / 2^4.
        let product = binary(Operation::Mul);
        let product = builder.op("product", product, &[looked, clipped], def(-4));
        // ([-3, 40] - [0, 48] * 2) / 2.
        let difference = binary(Operation::Sub);
        let difference = builder.op("difference", difference, &[looked, finer], def(-3));
        let joined = Op::Concat { axis: 1 };
        let joined = builder.op("joined", joined, &[looked, clipped], def(-4));
        let again = builder.op("again", clip(-2, 5), &[joined], def(-4));
        let leak = Op::Requantize {
            activation: Activation::LeakyRelu {
                slope: -3,
                exponent: 0,
            },
        };
        let leaky = builder.op("leaky", leak, &[again], def(-4));
        let ranges = Ranges::new(&builder);
        let all = [
            (x, [-128, 127]),
            (clipped, [0, 96]),
            (finer, [0, 48]),
            (looked, [-3, 40]),
            (product, [-18, 127]),
            (difference, [-49, 20]),
            (joined, [-3, 96]),
            (again, [-2, 5]),
            (leaky, [-128, 127]),
        ];
        for (id, range) in all {
            assert_eq!(ranges.of(id), range, "{id:?}");
        }
    }
}
