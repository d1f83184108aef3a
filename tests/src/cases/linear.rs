//! Conv2D, DepthwiseConv2D, FullyConnected.

use super::{CHANNELS, Case, SETTINGS, Setting, geometry, window};
use crate::oracle::{Chw, Geometry, Rules, Tail, convolve, convolve_transposed};
use crate::random::Random;
use fixpoint_quant::image::{Accumulator, Activation, Linear, Op, Phases, Shifts, Spread};
use std::format;
use std::vec::Vec;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Conv,
    Depthwise,
    FullyConnected,
}

pub(super) fn add_to(cases: &mut Vec<Case>) {
    let mut random = Random(1);
    for setting in SETTINGS {
        let espdl = setting.rules != Rules::Fixpoint;
        for round in 0..if espdl { 12 } else { 36 } {
            cases.push(case(&mut random, setting, Kind::Conv, round));
        }
        for round in 0..if espdl { 8 } else { 24 } {
            cases.push(case(&mut random, setting, Kind::Depthwise, round));
        }
        for round in 0..if espdl { 6 } else { 18 } {
            cases.push(case(&mut random, setting, Kind::FullyConnected, round));
        }
        for round in 0..if espdl { 4 } else { 10 } {
            cases.push(grouped(&mut random, setting, round, false));
            cases.push(grouped(&mut random, setting, round, true));
        }
        for round in 0..if espdl { 0 } else { 24 } {
            cases.push(phased(&mut random, setting, round));
        }
    }
}

pub(super) const POINT: Geometry = Geometry {
    kernel: [1, 1],
    stride: [1, 1],
    dilation: [1, 1],
    pads: [0; 4],
};

fn case(random: &mut Random, setting: Setting, kind: Kind, round: usize) -> Case {
    let channels = random.pick(&CHANNELS);
    let [h, w] = match round % 3 {
        0 => [1, 1],
        _ => [random.between(1, 6) as usize, random.between(1, 6) as usize],
    };
    let (shape, g) = match kind {
        Kind::FullyConnected => ([random.between(1, 150) as usize, 1, 1], POINT),
        _ if round.is_multiple_of(4) => ([channels, h, w], POINT),
        _ => ([channels, h, w], geometry(random, h, w)),
    };
    let input = setting.chw(random, shape);
    let depthwise = kind == Kind::Depthwise;
    let outputs = if depthwise {
        channels
    } else {
        random.pick(&CHANNELS)
    };
    let inner = if depthwise { 1 } else { shape[0] };
    let taps = g.kernel[0] * g.kernel[1];
    let weights = setting.values(random, outputs * inner * taps);
    let tail = tail(random, setting, outputs, round);
    let groups = if depthwise { channels } else { 1 };
    let expected = convolve(&input, &weights, &g, groups, &tail);
    let linear = lower(random, &weights, inner, taps, depthwise, &tail);

    let mut builder = setting.builder("linear");
    let (x, op, y) = match kind {
        Kind::Conv => (
            setting.image("x", &input, -3),
            Op::Conv2d {
                linear,
                window: window(&g),
                groups: 1,
            },
            setting.image("y", &expected, -2),
        ),
        Kind::Depthwise => (
            setting.image("x", &input, -3),
            Op::DepthwiseConv2d {
                linear,
                window: window(&g),
            },
            setting.image("y", &expected, -2),
        ),
        Kind::FullyConnected => (
            setting.row("x", input.c, -3),
            Op::FullyConnected { linear },
            setting.row("y", outputs, -2),
        ),
    };
    let x = builder.input(x);
    let y = builder.op("op", op, &[x], y);
    builder.output(y);
    let kind = match kind {
        Kind::Conv => "conv",
        Kind::Depthwise => "depthwise",
        Kind::FullyConnected => "fc",
    };
    let name = format!(
        "{kind} {round} {shape:?} to {outputs}, {:?}/{:?}",
        g.kernel, g.stride
    );
    setting.case(&builder, name, &[&input.hwc()], &[&expected.hwc()])
}

/// Groups, down to one channel each, and transposed convolutions.
fn grouped(random: &mut Random, setting: Setting, round: usize, transposed: bool) -> Case {
    let groups = random.pick(&[1, 2, 3, 5]);
    let inner = random.pick(&[1, 2, 5]);
    let outputs = groups * random.pick(&[1, 3, 8, 17]);
    let [h, w] = [random.between(1, 7) as usize, random.between(1, 7) as usize];
    let g = match round {
        0 => Geometry {
            kernel: [2, 2],
            stride: [2, 2],
            ..POINT
        },
        _ => geometry(random, h.max(2), w.max(2)),
    };
    let [h, w] = [h.max(2), w.max(2)];
    let taps = g.kernel[0] * g.kernel[1];
    let weights = setting.values(random, outputs * inner * taps);
    let tail = tail(random, setting, outputs, round);
    let (input, expected) = if transposed {
        let (rows, columns) = g.output(h, w).expect("the window fits");
        let input = setting.chw(random, [groups * inner, rows, columns]);
        let expected = convolve_transposed(&input, &weights, &g, [h, w], groups, &tail);
        (input, expected)
    } else {
        let input = setting.chw(random, [groups * inner, h, w]);
        let expected = convolve(&input, &weights, &g, groups, &tail);
        (input, expected)
    };
    let linear = lower(random, &weights, inner, taps, false, &tail);
    let window = window(&g);
    let (kind, op) = if transposed {
        let op = Op::ConvTranspose2d {
            linear,
            window,
            groups,
        };
        ("transposed", op)
    } else {
        let op = Op::Conv2d {
            linear,
            window,
            groups,
        };
        ("grouped", op)
    };
    let mut builder = setting.builder("linear");
    let x = builder.input(setting.image("x", &input, -3));
    let y = builder.op("op", op, &[x], setting.image("y", &expected, -2));
    builder.output(y);
    // The portable kernel's groups, too.
    builder.dense_groups(round % 4 < 2);
    let name = format!(
        "{kind} {round} {groups} x {inner} to {outputs}, {:?}/{:?}",
        g.kernel, g.stride
    );
    setting.case(&builder, name, &[&input.hwc()], &[&expected.hwc()])
}

/// Transposed convolutions as ordinary ones, whose elements then take their places: of every round a kernel, and of
/// strides of up to three, pads that are larger than the kernel or nothing, outputs that no input reaches.
fn phased(random: &mut Random, setting: Setting, round: usize) -> Case {
    let groups = random.pick(&[1, 1, 2, 3]);
    let inner = random.pick(&[1, 5, 8, 16]);
    let outputs = groups * random.pick(&[1, 3, 8, 16]);
    let mut pick = |low, high| random.between(low, high) as usize;
    let (input, stride) = ([pick(1, 4), pick(1, 6)], [pick(1, 3), pick(1, 3)]);
    let g = Geometry {
        kernel: [1 + round % 4, 1 + round / 4 % 5],
        stride,
        dilation: [pick(1, 2), pick(1, 3)],
        pads: [pick(0, 2), pick(0, 3), 0, 0],
    };
    // What is left of the whole, and what an output padding adds.
    let size = [0, 1].map(|axis| {
        let whole = (input[axis] - 1) * g.stride[axis] + (g.kernel[axis] - 1) * g.dilation[axis];
        let cut = g.pads[axis] + pick(0, 2);
        (whole + 1 + pick(0, g.stride[axis] as i64 - 1))
            .saturating_sub(cut)
            .max(1)
    });
    let weights = setting.values(random, outputs * inner * g.kernel[0] * g.kernel[1]);
    let tail = tail(random, setting, outputs, round);
    let [h, w] = input;
    let x = setting.chw(random, [groups * inner, h, w]);
    let expected = convolve_transposed(&x, &weights, &g, size, groups, &tail);
    let linear = lower(
        random,
        &weights,
        inner,
        g.kernel[0] * g.kernel[1],
        false,
        &tail,
    );
    let spread = |axis: usize| Spread {
        kernel: g.kernel[axis],
        stride: g.stride[axis],
        dilation: g.dilation[axis],
        pad: g.pads[axis],
        input: input[axis],
        output: size[axis],
    };
    let phases = Phases::new(&spread(0), &spread(1), groups).expect("a kernel that stays small");
    let mut builder = setting.builder("phases");
    let from = builder.input(setting.image("x", &x, -3));
    let op = Op::Conv2d {
        linear: phases.linear(&linear),
        window: phases.window(),
        groups,
    };
    let [c, h, w] = phases.shape(outputs);
    let mut y = builder.op(
        "op",
        op,
        &[from],
        setting.tensor("p", &[1, c, h, w], true, -2),
    );
    if let Some(rearrange) = phases.rearrange(outputs) {
        let op = Op::Rearrange(rearrange);
        y = builder.op("join", op, &[y], setting.image("y", &expected, -2));
    }
    builder.output(y);
    let name = format!(
        "phases {round} {groups} x {inner} to {outputs}, {input:?} to {size:?}, {:?}/{:?} by {:?} cut {:?}",
        g.kernel, g.stride, g.dilation, g.pads
    );
    setting.case(&builder, name, &[&x.hwc()], &[&expected.hwc()])
}

/// Biases, shifts and activation that exercise every part of the rules.
pub(super) fn tail(random: &mut Random, setting: Setting, outputs: usize, round: usize) -> Tail {
    let fixpoint = setting.rules == Rules::Fixpoint;
    let per_channel = round % 2 == 1 && (fixpoint || setting.bits == 8);
    let typical = i64::from(setting.bits) + random.between(-1, 4);
    let shift = match round % 6 {
        2 => random.between(-3, 1),
        4 if fixpoint => random.between(28, 40),
        _ => typical,
    };
    let shifts = (0..outputs).map(|_| {
        let spread = if per_channel {
            random.between(-4, 5)
        } else {
            0
        };
        (shift + spread) as i32
    });
    let shifts = shifts.collect();
    let top = match (fixpoint, setting.bits, per_channel) {
        (true, 8, _) => 1 << 18,
        (true, ..) => 1 << 34,
        (false, 8, false) => 127,
        (false, ..) => 32767,
    };
    let bias = (0..outputs).map(|_| random.between(-top, top)).collect();
    let slopes = match round % 5 {
        3 => {
            let count = if round.is_multiple_of(2) { 1 } else { outputs };
            let exponent = match fixpoint {
                true => random.pick(&[-15, -7, -1, 3]),
                false => -7,
            };
            let slopes = (0..count).map(|_| setting.value(random)).collect();
            Some((slopes, exponent))
        }
        _ => None,
    };
    let relu = slopes.is_none() && round % 3 == 1;
    let clip = (slopes.is_none() && round % 7 == 2 && !relu).then(|| {
        let (low, high) = setting.range();
        [random.between(low, 0), random.between(0, high)]
    });
    Tail {
        rules: setting.rules,
        bits: setting.bits,
        bias,
        shifts,
        per_channel,
        relu,
        clip,
        slopes,
    }
}

/// Oracle weights `[O][I][T]` in the writer's order.
pub(super) fn lower(
    random: &mut Random,
    weights: &[i64],
    inner: usize,
    taps: usize,
    depthwise: bool,
    tail: &Tail,
) -> Linear {
    let outputs = tail.bias.len();
    let mut ordered = Vec::new();
    let at = |o: usize, i: usize, t: usize| weights[(o * inner + i) * taps + t] as i16;
    if depthwise {
        for t in 0..taps {
            ordered.extend((0..outputs).map(|o| at(o, 0, t)));
        }
    } else {
        for o in 0..outputs {
            for t in 0..taps {
                ordered.extend((0..inner).map(|i| at(o, i, t)));
            }
        }
    }
    Linear {
        weights: ordered,
        bias: tail.bias.clone(),
        shifts: if tail.per_channel {
            Shifts::PerChannel(tail.shifts.clone())
        } else {
            Shifts::PerTensor(tail.shifts.first().copied().unwrap_or(0))
        },
        activation: match &tail.slopes {
            _ if tail.relu => Activation::Relu,
            Some((slopes, exponent)) if slopes.len() == 1 => Activation::LeakyRelu {
                slope: slopes[0] as i16,
                exponent: *exponent as i8,
            },
            Some((slopes, exponent)) => Activation::PRelu {
                slopes: slopes.iter().map(|slope| *slope as i16).collect(),
                exponent: *exponent as i8,
            },
            None => tail
                .clip
                .map_or(Activation::None, |[low, high]| Activation::Clip {
                    low: low as i16,
                    high: high as i16,
                }),
        },
        // Wider than needed must not change a bit.
        accumulator: if tail.rules == Rules::Fixpoint && random.between(0, 3) == 0 {
            Some(Accumulator::Bits64)
        } else {
            None
        },
    }
}

/// A row as the oracle's tensor.
pub(super) fn row(values: Vec<i64>) -> Chw {
    Chw {
        c: values.len(),
        h: 1,
        w: 1,
        values,
    }
}
