//! 1x1 convolutions of few output channels in the fixpoint arithmetic: every way in which a vector unit cuts a pixel
//! into parts, pixels of one run and of several, sums of either extreme.

use super::linear::{POINT, lower};
use super::{Case, SETTINGS, Setting, window};
use crate::oracle::{Rules, Tail, convolve};
use crate::random::Random;
use fixpoint_quant::image::Op;
use std::format;
use std::vec::Vec;

/// Input and output channels, rows, columns.
const SHAPES: [[usize; 4]; 26] = [
    // One part of one, two, three and four vectors of 8 bits.
    [16, 1, 5, 9],
    [16, 2, 1, 2],
    [32, 3, 4, 11],
    [48, 2, 3, 3],
    [64, 6, 3, 7],
    [64, 1, 1, 1],
    // Several, of which the last has some in common with that before; none in common.
    [80, 4, 2, 7],
    [96, 2, 3, 3],
    [112, 5, 2, 9],
    [128, 4, 3, 5],
    [144, 1, 2, 4],
    [256, 3, 2, 5],
    // The same of 16 bits.
    [40, 2, 3, 5],
    [56, 3, 2, 7],
    [72, 1, 3, 3],
    [8, 3, 5, 5],
    // Pixels of several runs, and the last of one by itself.
    [16, 2, 10, 13],
    [80, 2, 1, 130],
    // As many channels as there are lanes, and more.
    [64, 8, 2, 7],
    [64, 12, 2, 5],
    [32, 16, 3, 9],
    [64, 17, 3, 5],
    // Whole vectors and a half, of several pixels and of one; more than whole vectors. Lanes hold their sums.
    [16, 24, 2, 5],
    [16, 24, 1, 1],
    [16, 50, 1, 1],
    // So many that weights have no room.
    [512, 7, 1, 3],
];

pub(super) fn add_to(cases: &mut Vec<Case>) {
    let mut random = Random(47);
    for setting in SETTINGS {
        if setting.rules == Rules::Fixpoint {
            for (round, shape) in SHAPES.iter().enumerate() {
                cases.push(case(&mut random, setting, shape, round));
            }
        }
    }
}

fn case(random: &mut Random, setting: Setting, shape: &[usize; 4], round: usize) -> Case {
    let [inner, outputs, h, w] = *shape;
    let (low, high) = setting.range();
    // Every third with the largest sums there are.
    let in_lanes = outputs > 17;
    let extreme = round.is_multiple_of(3) && !in_lanes;
    let mut input = setting.chw(random, [inner, h, w]);
    if extreme {
        for value in &mut input.values {
            *value = random.pick(&[low, low, high]);
        }
    }
    let weights: Vec<i64> = (0..outputs * inner)
        .map(|_| match extreme {
            true => random.pick(&[low, low, low, high]),
            false if in_lanes => random.between(-9, 9),
            false => random.between(low, high),
        })
        .collect();
    let products = inner.ilog2() as i32;
    let usual = 2 * setting.bits as i32 - 9 + products - setting.bits as i32 / 2;
    let tail = Tail {
        rules: setting.rules,
        bits: setting.bits,
        shifts: (0..outputs)
            .map(|at| match round % 4 {
                0 => usual,
                1 => usual + at as i32 % 5,
                // From none to all bits but the sign.
                2 => (at as i32 * 7) % 32,
                _ => 3 + at as i32 % 2,
            })
            .collect(),
        bias: (0..outputs)
            .map(|_| match setting.bits {
                _ if in_lanes => random.between(-(1 << 10), 1 << 10),
                8 => random.between(-(1 << 20), 1 << 20),
                _ => random.between(-(1 << 33), 1 << 33),
            })
            .collect(),
        per_channel: !round.is_multiple_of(4),
        // Limits are none for those kernels.
        relu: round % 11 == 10,
        clip: None,
        slopes: None,
    };
    let expected = convolve(&input, &weights, &POINT, 1, &tail);
    let linear = lower(random, &weights, inner, 1, false, &tail);
    let mut builder = setting.builder("head");
    let x = builder.input(setting.image("x", &input, -3));
    let op = Op::Conv2d {
        linear,
        window: window(&POINT),
        groups: 1,
    };
    let y = builder.op("op", op, &[x], setting.image("y", &expected, -2));
    builder.output(y);
    let name = format!("vector head {round} {inner} to {outputs} {h}x{w}");
    setting.case(&builder, name, &[&input.hwc()], &[&expected.hwc()])
}
