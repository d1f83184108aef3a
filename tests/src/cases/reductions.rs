//! Reductions, positions of the largest element, and products of matrices.

use super::{Case, SETTINGS, Setting, stored};
use crate::oracle::{self, Nd, Rules};
use crate::random::Random;
use fixpoint_quant::image::{Element, Op, Reduction};
use std::format;
use std::vec::Vec;

pub(super) fn add_to(cases: &mut Vec<Case>) {
    let mut random = Random(8);
    for setting in SETTINGS {
        let fixpoint = setting.rules == Rules::Fixpoint;
        for (round, axes) in [&[1][..], &[2, 3], &[0, 3], &[2]].into_iter().enumerate() {
            for (what, reduction) in [
                ("max", Reduction::Max),
                ("min", Reduction::Min),
                ("sum", Reduction::Sum),
                ("mean", Reduction::Mean),
            ] {
                if fixpoint || matches!(reduction, Reduction::Max | Reduction::Min) {
                    cases.push(reduce(&mut random, setting, what, reduction, axes, round));
                }
            }
        }
        for axis in 1..4 {
            cases.push(arg_max(&mut random, setting, axis));
        }
        if fixpoint {
            for round in 0..6 {
                cases.push(matmul(&mut random, setting, round));
            }
        }
    }
}

fn reduce(
    random: &mut Random,
    setting: Setting,
    what: &str,
    reduction: Reduction,
    axes: &[usize],
    round: usize,
) -> Case {
    let last = round.is_multiple_of(2);
    let dims = [if last { 1 } else { 2 }, random.pick(&[1, 5, 16]), 3, 4];
    let x = setting.nd(random, &dims);
    let shift = match reduction {
        Reduction::Max | Reduction::Min => 0,
        _ => random.between(-2, 3) as i32,
    };
    let expected = oracle::reduce(&x, what, axes, shift, setting.bits);
    let mut builder = setting.builder("reduce");
    let input = builder.input(setting.tensor("x", &dims, last, -3));
    let op = Op::Reduce {
        reduction,
        axes: axes.to_vec(),
    };
    let output = setting.tensor("y", &expected.dims, last, -3 + shift);
    let y = builder.op("reduce", op, &[input], output);
    builder.output(y);
    setting.case(
        &builder,
        format!("{what} {dims:?} along {axes:?}"),
        &[&stored(&x, last)],
        &[&stored(&expected, last)],
    )
}

/// Positions in the element type, and of `i8` in `i16`.
fn arg_max(random: &mut Random, setting: Setting, axis: usize) -> Case {
    let long = setting.bits == 8 && axis == 1;
    let mut dims = [1, 6, 3, 4];
    if long {
        dims[1] = 300;
    }
    let x = Nd::build(&dims, |_| random.between(-4, 4));
    let latest = axis == 2;
    let expected = oracle::arg_max(&x, axis, latest);
    let mut builder = setting.builder("argmax");
    let input = builder.input(setting.tensor("x", &dims, true, -3));
    let op = Op::ArgMax { axis, last: latest };
    let mut output = setting.tensor("y", &expected.dims, true, 0);
    if long {
        output.element = Element::I16;
    }
    let y = builder.op("argmax", op, &[input], output);
    builder.output(y);
    let name = format!("argmax {dims:?} along {axis}");
    let mut case = setting.case(
        &builder,
        name,
        &[&stored(&x, true)],
        &[&stored(&expected, true)],
    );
    if long {
        let wide = stored(&expected, true);
        case.outputs[0] = wide
            .iter()
            .flat_map(|at| (*at as i16).to_le_bytes())
            .collect();
    }
    case
}

fn matmul(random: &mut Random, setting: Setting, round: usize) -> Case {
    let (m, k, n) = (
        random.between(1, 5) as usize,
        random.between(1, 70) as usize,
        random.pick(&[1, 7, 16, 33]),
    );
    let (dims_a, dims_b, dims) = match round % 3 {
        0 => (Vec::from([m, k]), Vec::from([k, n]), Vec::from([m, n])),
        1 => (
            Vec::from([2, 3, m, k]),
            Vec::from([3, k, n]),
            Vec::from([2, 3, m, n]),
        ),
        _ => (
            Vec::from([2, 1, m, k]),
            Vec::from([1, 2, k, n]),
            Vec::from([2, 2, m, n]),
        ),
    };
    let (a, b) = (setting.nd(random, &dims_a), setting.nd(random, &dims_b));
    let shift = match round {
        5 => -3,
        _ => setting.bits as i32 + random.between(-3, 3) as i32,
    };
    let expected = oracle::matmul(&a, &b, &dims, shift, setting.bits);
    let mut builder = setting.builder("matmul");
    let left = builder.input(setting.tensor("a", &dims_a, false, -5));
    let right = builder.input(setting.tensor("b", &dims_b, false, -2));
    let output = setting.tensor("y", &dims, false, shift - 7);
    let y = builder.op("matmul", Op::MatMul, &[left, right], output);
    builder.output(y);
    let name = format!("matmul {round} {dims_a:?} by {dims_b:?}");
    setting.case(&builder, name, &[&a.values, &b.values], &[&expected.values])
}
