//! Ops without weights.

use super::{CHANNELS, Case, SETTINGS, Setting, geometry, window};
use crate::oracle::{self, Geometry, Nd, Rules};
use crate::random::Random;
use fixpoint_quant::image::{Op, Rearrange, Storage, TensorDef};
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

pub(super) fn add_to(cases: &mut Vec<Case>) {
    let mut random = Random(2);
    for setting in SETTINGS {
        for round in 0..8 {
            cases.push(pool(&mut random, setting, round, true));
            cases.push(pool(&mut random, setting, round, false));
        }
        for _ in 0..3 {
            cases.push(global_pool(&mut random, setting));
        }
        cases.push(reshape(&mut random, setting));
        if setting.rules == Rules::Fixpoint {
            // Pixels of whole vectors.
            for round in 8..10 {
                cases.push(pool(&mut random, setting, round, true));
            }
            for round in 8..16 {
                cases.push(pool(&mut random, setting, round, false));
            }
            for round in 0..12 {
                cases.push(softmax(&mut random, setting, round));
            }
        }
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
    let mut shape = shape(random);
    if round >= 8 {
        shape[0] = 16 * (1 + round % 2);
    }
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

/// Along each axis of a tensor of three dimensions.
fn softmax(random: &mut Random, setting: Setting, round: usize) -> Case {
    let axis = round % 3;
    let mut dims = [1, 2, 3];
    dims[axis] = random.pick(&[1, 2, 3, 10, 17, 100]);
    let x = setting.nd(random, &dims);
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
    let expected = Nd::build(&dims, |index| {
        let mut index = index.to_vec();
        let own = index[axis];
        let group: Vec<i64> = (0..dims[axis])
            .map(|i| {
                index[axis] = i;
                x.at(&index)
            })
            .collect();
        oracle::softmax(&group, exponent, out, setting.bits)[own]
    });
    let mut builder = setting.builder("softmax");
    let input = builder.input(setting.tensor("x", &dims, false, exponent));
    let y = builder.op(
        "softmax",
        Op::Softmax { axis },
        &[input],
        setting.tensor("y", &dims, false, out),
    );
    builder.output(y);
    let name = format!("softmax {round} {dims:?} along {axis}");
    setting.case(&builder, name, &[&x.values], &[&expected.values])
}
