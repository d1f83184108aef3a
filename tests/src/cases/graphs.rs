//! Models of several layers: memory is shared, values live across layers.

use super::linear::{POINT, lower, row};
use super::{Case, SETTINGS, Setting, window};
use crate::oracle::{self, Geometry, Rules, Tail, convolve};
use crate::random::Random;
use fixpoint_quant::image::{Activation, Op, Operation, Rearrange};
use std::string::String;
use std::vec;
use std::vec::Vec;

pub(super) fn add_to(cases: &mut Vec<Case>) {
    let mut random = Random(3);
    for setting in SETTINGS {
        for keep in [true, false] {
            cases.push(residual(&mut random, setting, keep));
        }
    }
}

/// conv + ReLU, depthwise, residual add, in-place ReLU, pool, flatten to ONNX order, two fully
/// connected layers; two outputs.
fn residual(random: &mut Random, setting: Setting, keep: bool) -> Case {
    let tail = |random: &mut Random, outputs: usize, relu: bool, per_channel: bool| {
        let per_channel = per_channel && (setting.rules == Rules::Fixpoint || setting.bits == 8);
        let shift = setting.bits as i32 + 2;
        let spread = |random: &mut Random| {
            if per_channel {
                random.between(-1, 2) as i32
            } else {
                0
            }
        };
        Tail {
            rules: setting.rules,
            bits: setting.bits,
            bias: (0..outputs).map(|_| random.between(-100, 100)).collect(),
            shifts: (0..outputs).map(|_| shift + spread(random)).collect(),
            per_channel,
            relu,
            clip: None,
            slopes: None,
        }
    };
    let same = Geometry {
        kernel: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        pads: [1; 4],
    };
    let half = Geometry {
        kernel: [2, 2],
        stride: [2, 2],
        dilation: [1, 1],
        pads: [0; 4],
    };
    let mut builder = setting.builder("residual");
    builder.keep_inputs(keep);

    let input = setting.chw(random, [3, 8, 6]);
    let x = builder.input(setting.image("x", &input, -6));

    let weights = setting.values(random, 17 * 3 * 9);
    let t = tail(random, 17, true, true);
    let a_values = convolve(&input, &weights, &same, 1, &t);
    let linear = lower(random, &weights, 3, 9, false, &t);
    let op = Op::Conv2d {
        linear,
        window: window(&same),
        groups: 1,
    };
    let a = builder.op("conv", op, &[x], setting.image("a", &a_values, -4));

    let weights = setting.values(random, 17 * 9);
    let t = tail(random, 17, false, false);
    let b_values = convolve(&a_values, &weights, &same, 17, &t);
    let linear = lower(random, &weights, 1, 9, true, &t);
    let op = Op::DepthwiseConv2d {
        linear,
        window: window(&same),
    };
    let b = builder.op("depthwise", op, &[a], setting.image("b", &b_values, -5));

    let mut c_values = a_values.clone();
    let flat = |values: &[i64]| oracle::Nd {
        dims: vec![values.len()],
        values: values.to_vec(),
    };
    let (a_flat, b_flat) = (flat(&a_values.values), flat(&b_values.values));
    c_values.values = oracle::binary(
        "+",
        [&a_flat, &b_flat],
        &a_flat.dims,
        [-4, -5, -4],
        setting.range().into(),
        setting.rules,
    )
    .values;
    let c = builder.op(
        "add",
        Op::Binary {
            operation: Operation::Add,
            activation: Activation::None,
        },
        &[a, b],
        setting.image("c", &c_values, -4),
    );

    let mut d_values = c_values.clone();
    let relu = setting.activation(true);
    d_values.values = oracle::requantize(&c_values.values, 1, &relu, setting.bits, setting.rules);
    let op = Op::Requantize {
        activation: Activation::Relu,
    };
    let d = builder.op("relu", op, &[c], setting.image("d", &d_values, -3));

    let e_values = oracle::max_pool(&d_values, &half, setting.bits);
    let op = Op::MaxPool {
        window: window(&half),
    };
    let e = builder.op("pool", op, &[d], setting.image("e", &e_values, -3));

    let stored = [e_values.h, e_values.w, e_values.c];
    let op = Op::Rearrange(Rearrange::transpose(&stored, &[2, 0, 1]));
    let length = e_values.values.len();
    let f = builder.op("flatten", op, &[e], setting.row("f", length, -3));

    let flat = row(e_values.values.clone());
    let weights = setting.values(random, 20 * length);
    let t = tail(random, 20, true, true);
    let g_values = convolve(&flat, &weights, &POINT, 1, &t);
    let linear = lower(random, &weights, length, 1, false, &t);
    let g = builder.op(
        "fc1",
        Op::FullyConnected { linear },
        &[f],
        setting.row("g", 20, 0),
    );

    let weights = setting.values(random, 10 * 20);
    let t = tail(random, 10, false, false);
    let h_values = convolve(&g_values, &weights, &POINT, 1, &t);
    let linear = lower(random, &weights, 20, 1, false, &t);
    let h = builder.op(
        "fc2",
        Op::FullyConnected { linear },
        &[g],
        setting.row("h", 10, 0),
    );

    builder.output(h);
    builder.output(e);
    let name = String::from(if keep {
        "residual, inputs kept"
    } else {
        "residual"
    });
    setting.case(
        &builder,
        name,
        &[&input.hwc()],
        &[&h_values.values, &e_values.hwc()],
    )
}
