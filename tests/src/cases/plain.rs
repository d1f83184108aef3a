//! Ops without weights.

use super::{CHANNELS, Case, SETTINGS, Setting, geometry, window};
use crate::oracle::{self, Geometry, Rules};
use crate::random::Random;
use fixpoint_quant::image::{Activation, Op, Operation, Rearrange, Storage, TensorDef};
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

pub(super) fn add_to(cases: &mut Vec<Case>) {
    let mut random = Random(2);
    for setting in SETTINGS {
        for round in 0..8 {
            cases.push(pool(&mut random, setting, round, true));
            cases.push(pool(&mut random, setting, round, false));
            cases.push(elementwise(&mut random, setting, round));
            cases.push(add(&mut random, setting, round));
        }
        for _ in 0..3 {
            cases.push(global_pool(&mut random, setting));
            cases.push(transpose(&mut random, setting));
        }
        cases.push(reshape(&mut random, setting));
        if setting.rules == Rules::Fixpoint {
            for round in 0..12 {
                cases.push(softmax(&mut random, setting, round));
            }
        }
    }
}

fn activation(relu: bool) -> Activation {
    if relu {
        Activation::Relu
    } else {
        Activation::None
    }
}

fn shape(random: &mut Random) -> [usize; 3] {
    let c = random.pick(&CHANNELS);
    [
        c,
        random.between(1, 7) as usize,
        random.between(1, 7) as usize,
    ]
}

fn pool(random: &mut Random, setting: Setting, round: usize, max: bool) -> Case {
    let shape = shape(random);
    let input = setting.chw(random, shape);
    let g = geometry(random, input.h, input.w);
    let mut builder = setting.builder("pool");
    let x = builder.input(setting.image("x", &input, -4));
    let window = window(&g);
    let (op, shift, expected) = if max {
        (
            Op::MaxPool { window },
            0,
            oracle::max_pool(&input, &g, setting.bits),
        )
    } else {
        let count_include_pad = round % 2 == 1;
        let shift = random.between(-2, 3) as i32;
        let expected = oracle::average_pool(
            &input,
            &g,
            count_include_pad,
            shift,
            setting.bits,
            setting.rules,
        );
        (
            Op::AveragePool {
                window,
                count_include_pad,
            },
            shift,
            expected,
        )
    };
    let y = builder.op("pool", op, &[x], setting.image("y", &expected, -4 + shift));
    builder.output(y);
    let kind = if max { "max" } else { "average" };
    let name = format!("{kind} pool {round} {shape:?} {:?}", g.kernel);
    setting.case(&builder, name, &[&input.hwc()], &[&expected.hwc()])
}

fn global_pool(random: &mut Random, setting: Setting) -> Case {
    let shape = shape(random);
    let input = setting.chw(random, shape);
    let shift = random.between(-1, 2) as i32;
    let g = Geometry {
        kernel: [input.h, input.w],
        ..super::linear::POINT
    };
    let expected = oracle::average_pool(&input, &g, false, shift, setting.bits, setting.rules);
    let mut builder = setting.builder("global");
    let x = builder.input(setting.image("x", &input, -7));
    let y = builder.op(
        "gap",
        Op::GlobalAveragePool,
        &[x],
        setting.image("y", &expected, -7 + shift),
    );
    builder.output(y);
    setting.case(
        &builder,
        format!("global pool {shape:?}"),
        &[&input.hwc()],
        &[&expected.hwc()],
    )
}

fn elementwise(random: &mut Random, setting: Setting, round: usize) -> Case {
    let length = random.between(1, 70) as usize;
    let values = setting.values(random, length);
    let (relu, shift) = (round.is_multiple_of(2), random.between(-3, 5) as i32);
    let expected = oracle::requantize(&values, shift, relu, setting.bits, setting.rules);
    let mut builder = setting.builder("elementwise");
    builder.keep_inputs(round % 4 < 2);
    let x = builder.input(setting.row("x", length, 3));
    let op = Op::Requantize {
        activation: activation(relu),
    };
    let y = builder.op("op", op, &[x], setting.row("y", length, 3 + shift));
    builder.output(y);
    let name = format!("elementwise {round} {length} by {shift}");
    setting.case(&builder, name, &[&values], &[&expected])
}

fn add(random: &mut Random, setting: Setting, round: usize) -> Case {
    let length = random.between(1, 70) as usize;
    let (a, b) = (
        setting.values(random, length),
        setting.values(random, length),
    );
    let exponents = match round {
        0 => [0, 0, 0],
        1 => [-100, -54, -60],
        2 => [20, -20, -19],
        _ => [0, 0, 0].map(|_: i32| random.between(-6, 3) as i32),
    };
    let relu = round % 3 == 2;
    let expected = oracle::add(&a, &b, exponents, relu, setting.bits, setting.rules);
    let mut builder = setting.builder("add");
    builder.keep_inputs(round.is_multiple_of(2));
    let x = builder.input(setting.row("a", length, exponents[0]));
    let z = builder.input(setting.row("b", length, exponents[1]));
    let y = builder.op(
        "add",
        Op::Binary {
            operation: Operation::Add,
            activation: activation(relu),
        },
        &[x, z],
        setting.row("y", length, exponents[2]),
    );
    builder.output(y);
    let name = format!("add {round} {length} {exponents:?}");
    setting.case(&builder, name, &[&a, &b], &[&expected])
}

fn transpose(random: &mut Random, setting: Setting) -> Case {
    let shape = shape(random);
    let input = setting.chw(random, shape);
    let mut builder = setting.builder("transpose");
    let x = builder.input(setting.image("x", &input, 0));
    let stored = [input.h, input.w, input.c];
    let op = Op::Rearrange(Rearrange::transpose(&stored, &[2, 0, 1]));
    let flat = builder.op(
        "flatten",
        op,
        &[x],
        setting.row("flat", input.values.len(), 0),
    );
    builder.output(flat);
    setting.case(
        &builder,
        format!("transpose {shape:?}"),
        &[&input.hwc()],
        &[&input.values],
    )
}

fn reshape(random: &mut Random, setting: Setting) -> Case {
    let values = setting.values(random, 60);
    let mut builder = setting.builder("reshape");
    let x = builder.input(setting.row("x", 60, -1));
    let shaped = |name: &str, dims: &[usize]| TensorDef {
        name: name.to_string(),
        dims: dims.to_vec(),
        storage: Storage::AsOnnx,
        element: setting.element(),
        exponent: -1,
    };
    let wide = builder.op("reshape", Op::Reshape, &[x], shaped("wide", &[1, 3, 4, 5]));
    // (4, 3, 5) of (3, 4, 5), then of a constant.
    let op = Op::Rearrange(Rearrange::transpose(&[3, 4, 5], &[1, 0, 2]));
    let turned = builder.op("turn", op, &[wide], shaped("turned", &[4, 3, 5]));
    let constant = values.iter().map(|v| *v as i16).collect();
    let constant = builder.constant(shaped("constant", &[60]), constant);
    let copied = builder.op("copy", Op::Reshape, &[constant], shaped("copied", &[6, 10]));
    builder.output(turned);
    builder.output(copied);
    let mut expected = Vec::new();
    for j in 0..4 {
        for i in 0..3 {
            expected.extend(&values[(i * 4 + j) * 5..][..5]);
        }
    }
    setting.case(
        &builder,
        String::from("reshape"),
        &[&values],
        &[&expected, &values],
    )
}

fn softmax(random: &mut Random, setting: Setting, round: usize) -> Case {
    let group = random.pick(&[1, 2, 3, 10, 17, 100]);
    let groups = if round.is_multiple_of(3) { 1 } else { 3 };
    let values = setting.values(random, group * groups);
    let exponent = match round {
        0 => -128,
        1 => 6,
        2 => 7,
        3 => 40,
        _ => random.between(-12, 0) as i32,
    };
    let out = if round == 4 {
        0
    } else {
        1 - setting.bits as i32
    };
    let mut expected = Vec::new();
    for x in values.chunks(group) {
        expected.extend(oracle::softmax(x, exponent, out, setting.bits));
    }
    let mut builder = setting.builder("softmax");
    let row = |name: &str, exponent| TensorDef {
        dims: vec![groups, group],
        ..setting.row(name, group, exponent)
    };
    let x = builder.input(row("x", exponent));
    let y = builder.op("softmax", Op::Softmax { axis: 1 }, &[x], row("y", out));
    builder.output(y);
    setting.case(
        &builder,
        format!("softmax {round} {groups}x{group}"),
        &[&values],
        &[&expected],
    )
}
