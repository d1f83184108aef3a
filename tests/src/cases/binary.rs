//! Element by element: two operands, or one with an activation.

use super::{CHANNELS, Case, SETTINGS, Setting, stored};
use crate::oracle::{self, Rules};
use crate::random::Random;
use fixpoint_quant::image::{Activation, Op, Operation};
use std::format;
use std::vec::Vec;

const OPERATIONS: [(&str, Operation); 5] = [
    ("+", Operation::Add),
    ("-", Operation::Sub),
    ("*", Operation::Mul),
    ("max", Operation::Max),
    ("min", Operation::Min),
];

pub(super) fn add_to(cases: &mut Vec<Case>) {
    let mut random = Random(5);
    for setting in SETTINGS {
        for round in 0..6 {
            cases.push(requantize(&mut random, setting, round));
        }
        for round in 0..4 {
            cases.push(leaky(&mut random, setting, round));
        }
        for (sign, operation) in OPERATIONS {
            let rounds = match (operation, setting.rules) {
                (Operation::Add, _) => 9,
                (_, Rules::Fixpoint) => 6,
                _ => 2,
            };
            for round in 0..rounds {
                cases.push(binary(&mut random, setting, sign, operation, round));
            }
        }
    }
}

fn requantize(random: &mut Random, setting: Setting, round: usize) -> Case {
    let length = random.between(1, 70) as usize;
    let values = setting.values(random, length);
    let shift = random.between(-3, 5) as i32;
    let mut own = setting.activation(round % 3 == 1);
    let activation = match round % 3 {
        0 => Activation::None,
        1 => Activation::Relu,
        _ => {
            (own.low, own.high) = (random.between(-9, 2), random.between(3, 60));
            Activation::Clip {
                low: own.low as i16,
                high: own.high as i16,
            }
        }
    };
    let expected = oracle::requantize(&values, shift, &own, setting.bits, setting.rules);
    let mut builder = setting.builder("elementwise");
    builder.keep_inputs(round % 4 < 2);
    let x = builder.input(setting.row("x", length, 3));
    let op = Op::Requantize { activation };
    let y = builder.op("op", op, &[x], setting.row("y", length, 3 + shift));
    builder.output(y);
    let name = format!("requantize {round} {length} by {shift}");
    setting.case(&builder, name, &[&values], &[&expected])
}

/// LeakyRelu and PRelu of their own, in place and not.
fn leaky(random: &mut Random, setting: Setting, round: usize) -> Case {
    let channels = random.pick(&CHANNELS);
    let [height, width] = [[2, 3], [5, 7], [9, 11]][round % 3];
    let dims = [1, channels, height, width];
    let x = setting.nd(random, &dims);
    let slopes = if round.is_multiple_of(2) { 1 } else { channels };
    let slopes = setting.values(random, slopes);
    // Espdl keeps the exponent.
    let shift = match setting.rules {
        Rules::Fixpoint => random.between(-2, 4) as i32,
        _ => 0,
    };
    let exponent = random.pick(&[-15, -7, -3, 0]);
    let mut own = setting.activation(false);
    own.slopes = Some((slopes.clone(), exponent));
    let values = stored(&x, true);
    let expected = oracle::requantize(&values, shift, &own, setting.bits, setting.rules);
    let exponent = exponent as i8;
    let activation = match slopes[..] {
        [slope] => Activation::LeakyRelu {
            slope: slope as i16,
            exponent,
        },
        _ => Activation::PRelu {
            slopes: slopes.iter().map(|slope| *slope as i16).collect(),
            exponent,
        },
    };
    let mut builder = setting.builder("leaky");
    builder.keep_inputs(round % 4 < 2);
    let input = builder.input(setting.tensor("x", &dims, true, -4));
    let op = Op::Requantize { activation };
    let y = builder.op(
        "op",
        op,
        &[input],
        setting.tensor("y", &dims, true, shift - 4),
    );
    builder.output(y);
    let name = format!("leaky {round} {channels}, {} slopes", slopes.len());
    setting.case(&builder, name, &[&values], &[&expected])
}

/// Shapes that repeat along no, some and all dimensions; channels-last and not; constants.
fn binary(
    random: &mut Random,
    setting: Setting,
    sign: &str,
    operation: Operation,
    round: usize,
) -> Case {
    let (c, h, w) = (random.pick(&CHANNELS), 3, 2);
    let whole = [1, c, h, w];
    let (dims_a, dims_b, dims, last) = match round {
        0 | 6 | 7 | 8 => (&whole[..], &whole[..], &whole[..], true),
        // A factor for each channel, for each position, for all.
        1 => (&whole[..], &[1, c, 1, 1][..], &whole[..], true),
        2 => (&[1, 1, h, w][..], &whole[..], &whole[..], true),
        3 => (&whole[..], &[1, 1, 1, 1][..], &whole[..], true),
        4 => (&[1, c, 1, 1][..], &[1, 1, h, w][..], &whole[..], true),
        _ => (&[4, 1, 5][..], &[2, 1, 3, 1][..], &[2, 4, 3, 5][..], false),
    };
    let extremes = matches!(operation, Operation::Max | Operation::Min);
    let exponents = match (round, operation) {
        (_, Operation::Mul) => [0, 0, 0].map(|_: i32| random.between(-4, 2) as i32),
        _ if extremes && setting.rules != Rules::Fixpoint => [-3, -3, -3],
        (6, _) => [-100, -54, -60],
        (7, _) => [20, -20, -19],
        (8, _) => [0, 0, 0],
        _ => [0, 0, 0].map(|_: i32| random.between(-6, 3) as i32),
    };
    let (low, high) = setting.range();
    let (limits, activation) = match round % 3 {
        0 => ([low, high], Activation::None),
        1 => ([0, high], Activation::Relu),
        _ => ([-5, 20], Activation::Clip { low: -5, high: 20 }),
    };
    let (a, b) = (setting.nd(random, dims_a), setting.nd(random, dims_b));
    let expected = oracle::binary(sign, [&a, &b], dims, exponents, limits, setting.rules);
    let constant = round % 2 == 1;
    let mut builder = setting.builder("binary");
    builder.keep_inputs(round % 4 < 2);
    let left = builder.input(setting.tensor("a", dims_a, last, exponents[0]));
    let def = setting.tensor("b", dims_b, last, exponents[1]);
    let (stored_a, stored_b) = (stored(&a, last), stored(&b, last));
    let right = if constant {
        let values = stored_b.iter().map(|v| *v as i16).collect();
        builder.constant(def, values)
    } else {
        builder.input(def)
    };
    let op = Op::Binary {
        operation,
        activation,
    };
    let y = setting.tensor("y", dims, last, exponents[2]);
    let y = builder.op("op", op, &[left, right], y);
    builder.output(y);
    let inputs = [&stored_a[..], &stored_b[..]];
    setting.case(
        &builder,
        format!("{dims_a:?} {sign} {dims_b:?} {round} {exponents:?}"),
        &inputs[..if constant { 1 } else { 2 }],
        &[&stored(&expected, last)],
    )
}
