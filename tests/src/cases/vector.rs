//! Convolutions in the fixpoint arithmetic whose sums can be proved for a vector unit: whole, in
//! rows, in vectors, or not at all, over channel counts on both sides of its blocks, and shifts that
//! differ within a block.

use super::linear::{POINT, lower};
use super::{Case, SETTINGS, Setting, geometry, window};
use crate::oracle::{Chw, Geometry, Rules, Tail, convolve};
use crate::random::Random;
use fixpoint_quant::image::{Activation, Op};
use std::format;
use std::vec::Vec;

const ROUNDS: usize = 24;
/// More, of sums that two parts hold, which end within a row of the kernel.
const ACROSS_ROUNDS: usize = 12;
/// Of sums that are split often, or whose biases are far beyond what a lane holds.
const LONG_ROUNDS: usize = 9;

pub(super) fn add_to(cases: &mut Vec<Case>) {
    let mut random = Random(7);
    for setting in SETTINGS {
        if setting.rules == Rules::Fixpoint {
            cases.extend((0..ROUNDS).map(|round| case(&mut random, setting, round)));
            if setting.bits == 8 {
                let across = ROUNDS..ROUNDS + ACROSS_ROUNDS;
                cases.extend(across.map(|round| case(&mut random, setting, round)));
                cases.extend((0..LONG_ROUNDS).map(|round| long(&mut random, setting, round)));
                cases.extend((0..STAGED.len()).map(|round| staged(&mut random, setting, round)));
            }
        }
    }
}

/// Channels, rows, columns; strides; pads. Small maps, which are copied as a whole or in two parts for the
/// vector unit, and eight channels, of larger maps too, and of the widest in parts;
/// three channels of what isn't depthwise; and blocks of which one or two are done otherwise than the others
/// ([`ODD`]).
const STAGED: [([usize; 3], [usize; 2], [usize; 4]); 14] = [
    ([32, 6, 6], [1, 1], [1, 1, 1, 1]),
    ([48, 3, 3], [1, 1], [1, 1, 1, 1]),
    ([16, 7, 8], [2, 2], [1, 1, 1, 1]),
    ([32, 12, 13], [1, 1], [1, 1, 1, 1]),
    ([8, 5, 4], [1, 1], [0, 0, 0, 0]),
    ([8, 7, 40], [1, 1], [1, 1, 1, 1]),
    ([8, 5, 120], [1, 1], [1, 2, 0, 1]),
    ([8, 6, 110], [2, 2], [0, 0, 1, 1]),
    ([3, 9, 11], [2, 2], [0, 0, 1, 1]),
    ([3, 6, 7], [1, 1], [1, 1, 1, 1]),
    ([64, 5, 6], [1, 1], [1, 1, 1, 1]),
    ([80, 4, 15], [1, 1], [1, 0, 1, 1]),
    ([64, 9, 20], [2, 1], [0, 0, 1, 1]),
    ([64, 4, 5], [1, 1], [0, 0, 0, 0]),
];
/// From this round on channels 16 to 31 have shifts far apart, and channel 36 a bias beyond a lane.
const ODD: usize = 10;

/// One 3x3 convolution whose sums fit a lane, shifts four apart; of three channels to 24, of others depthwise.
fn staged(random: &mut Random, setting: Setting, round: usize) -> Case {
    let ([channels, h, w], stride, pads) = STAGED[round];
    let g = Geometry {
        kernel: [3, 3],
        stride,
        dilation: [1, 1],
        pads,
    };
    let depthwise = channels != 3;
    let (outputs, inner) = if depthwise { (channels, 1) } else { (24, 3) };
    let input = setting.chw(random, [channels, h, w]);
    let (low, high) = setting.range();
    let weights: Vec<i64> = (0..outputs * inner * 9)
        .map(|_| random.between(low, high))
        .collect();
    let tail = Tail {
        rules: setting.rules,
        bits: setting.bits,
        shifts: (0..outputs)
            .map(|at| match at {
                16..32 if round >= ODD => 7 + at as i32 % 12,
                36 if round >= ODD => 14,
                _ => 7 + at as i32 % 4,
            })
            .collect(),
        bias: (0..outputs)
            .map(|at| match at {
                36 if round >= ODD => 1 << 20,
                // In 8 bits no input keeps it from saturating.
                5 if round % 3 == 1 => 1 << 20,
                _ => random.between(-(1 << 15), 1 << 15),
            })
            .collect(),
        per_channel: true,
        relu: round % 2 == 1,
        clip: None,
        slopes: None,
    };
    let groups = if depthwise { channels } else { 1 };
    let expected = convolve(&input, &weights, &g, groups, &tail);
    let linear = lower(random, &weights, inner, 9, depthwise, &tail);
    let mut builder = setting.builder("staged");
    let x = builder.input(setting.image("x", &input, -3));
    let window = window(&g);
    let op = match depthwise {
        true => Op::DepthwiseConv2d { linear, window },
        false => Op::Conv2d {
            linear,
            window,
            groups,
        },
    };
    let y = builder.op("op", op, &[x], setting.image("y", &expected, -2));
    builder.output(y);
    let name = format!("vector staged {round} {channels}x{h}x{w} {stride:?} {pads:?}");
    setting.case(&builder, name, &[&input.hwc()], &[&expected.hwc()])
}

/// One convolution of up to 900 products with weights of either extreme; every third depthwise.
fn long(random: &mut Random, setting: Setting, round: usize) -> Case {
    let depthwise = round % 3 == 2;
    let (channels, outputs, kernel) = match round {
        0 => (900, 16, 1),
        1 => (333, 5, 1),
        3 | 6 => (48, 17, 3),
        4 => (37, 16, 3),
        7 => (48, 16, 3),
        _ => (20, 20, 3),
    };
    let g = Geometry {
        kernel: [kernel, kernel],
        stride: [1, 1],
        dilation: [1, 1 + round / 6],
        pads: [kernel / 2; 4],
    };
    let mut input = setting.chw(random, [channels, 3, 4]);
    let (low, high) = setting.range();
    let extreme = random.pick(&[low, high]);
    for x in input.values.iter_mut().step_by(3) {
        *x = extreme;
    }
    let inner = if depthwise { 1 } else { channels };
    let taps = kernel * kernel;
    let weights: Vec<i64> = (0..outputs * inner * taps)
        .map(|_| random.pick(&[high, high, high, low]))
        .collect();
    // Below and above the bit at which lanes are split, in one block.
    let least = match depthwise {
        true => 9,
        false => random.between(9, 13) as i32,
    };
    let shifts: Vec<i32> = (0..outputs).map(|at| least + at as i32 % 9).collect();
    // As far as results still depend on the input.
    let products = (inner * taps) as i64;
    let bias = (shifts.iter())
        .map(|shift| (126 << shift) + products * 127 * 100)
        .map(|most: i64| match round % 2 {
            0 => most.min(1 << 20),
            _ => most,
        })
        .map(|most| random.between(-most, most))
        .collect();
    let tail = Tail {
        rules: setting.rules,
        bits: setting.bits,
        shifts,
        bias,
        per_channel: true,
        relu: false,
        clip: None,
        slopes: None,
    };
    let groups = if depthwise { channels } else { 1 };
    let expected = convolve(&input, &weights, &g, groups, &tail);
    let linear = lower(random, &weights, inner, taps, depthwise, &tail);
    let mut builder = setting.builder("long");
    let x = builder.input(setting.image("x", &input, -3));
    let window = window(&g);
    let op = match depthwise {
        true => Op::DepthwiseConv2d { linear, window },
        false => Op::Conv2d {
            linear,
            window,
            groups: 1,
        },
    };
    let y = builder.op("op", op, &[x], setting.image("y", &expected, -2));
    builder.output(y);
    let name = format!(
        "vector long {round} {channels} to {outputs}, {:?}",
        g.kernel
    );
    setting.case(&builder, name, &[&input.hwc()], &[&expected.hwc()])
}

/// One convolution, after a ReLU by a 1x1 depthwise convolution if the round says so.
fn case(random: &mut Random, setting: Setting, round: usize) -> Case {
    let across = round >= ROUNDS;
    let depthwise = !across && round % 4 == 3;
    let channels = match round % 8 {
        _ if across => random.pick(&[16, 32]),
        3 => random.pick(&[16, 32]),
        _ => random.pick(&[3, 8, 16, 16, 17, 24, 32, 48]),
    };
    let outputs = match depthwise {
        true => channels,
        false => random.pick(&[5, 16, 16, 19, 32]),
    };
    let (mut h, mut w) = (random.between(3, 5) as usize, random.between(3, 7) as usize);
    let g = match round % 8 {
        _ if across => {
            let kernel = random.pick(&[3, 3, 5]);
            let dilation = random.pick(&[1, 1, 2]);
            (h, w) = (h + kernel - 2, w + kernel * dilation - 2);
            Geometry {
                kernel: [kernel, kernel],
                stride: [1, random.pick(&[1, 2])],
                dilation: [1, dilation],
                pads: [1, random.pick(&[0, 2]), 1, 1],
            }
        }
        0 => POINT,
        1 | 3 => Geometry {
            kernel: [3, 3],
            stride: [1, 1 + round % 2],
            dilation: [1, 1],
            pads: [1, 1, 1, 0],
        },
        _ => geometry(random, h, w),
    };
    let mut input = setting.chw(random, [channels, h, w]);
    let rectified = round % 3 == 1;
    let (low, high) = setting.range();
    if rectified {
        input.values.iter_mut().for_each(|x| *x = (*x).max(0));
    }
    let inner = if depthwise { 1 } else { channels };
    let taps = g.kernel[0] * g.kernel[1];
    // From weights whose sums a lane holds to the largest there are.
    let most = match round % 5 {
        // Half of the products stay below 127 * 2^12, two of three rows and three of five do not.
        _ if across => 1_860_000 / (128 * (inner * taps) as i64),
        0 => 1,
        1 => high / 16,
        2 => high / 4,
        _ => high,
    };
    let weights: Vec<i64> = (0..outputs * inner * taps)
        .map(|_| random.between((-most).max(low), most))
        .collect();
    let typical = match setting.bits {
        8 => random.between(6, 12) as i32,
        _ => random.between(10, 18) as i32,
    };
    let per_channel = round.is_multiple_of(2);
    let spread = if round.is_multiple_of(7) { 14 } else { 4 };
    let shifts = (0..outputs).map(|_| {
        typical
            + if per_channel {
                random.between(0, spread) as i32
            } else {
                0
            }
    });
    let tail = Tail {
        rules: setting.rules,
        bits: setting.bits,
        shifts: shifts.collect(),
        bias: (0..outputs)
            .map(|_| random.between(-(1 << typical), 1 << typical) * 8)
            .collect(),
        per_channel,
        relu: round % 2 == 1,
        clip: None,
        slopes: None,
    };
    let groups = if depthwise { channels } else { 1 };
    let expected = convolve(&input, &weights, &g, groups, &tail);
    let linear = lower(random, &weights, inner, taps, depthwise, &tail);

    let mut builder = setting.builder("vector");
    let first = builder.input(setting.image("x", &input, -3));
    let relu = Op::Requantize {
        activation: Activation::Relu,
    };
    let x = if rectified {
        builder.op("relu", relu, &[first], setting.image("r", &input, -3))
    } else {
        first
    };
    let window = window(&g);
    let op = if depthwise {
        Op::DepthwiseConv2d { linear, window }
    } else {
        Op::Conv2d {
            linear,
            window,
            groups: 1,
        }
    };
    let y = builder.op("op", op, &[x], setting.image("y", &expected, -2));
    builder.output(y);
    let kind = if depthwise { "depthwise" } else { "conv" };
    let Chw { c, h, w, .. } = input;
    let name = format!(
        "vector {kind} {round} {c}x{h}x{w} to {outputs}, {:?}/{:?}",
        g.kernel, g.stride
    );
    setting.case(&builder, name, &[&input.hwc()], &[&expected.hwc()])
}
