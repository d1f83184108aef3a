//! Ops that move elements, and interpolation.

use super::{CHANNELS, Case, SETTINGS, Setting, stored};
use crate::oracle::{self, Nd, Rules};
use crate::random::Random;
use fixpoint_quant::image::{Op, Rearrange, TensorDef};
use std::string::String;
use std::vec::Vec;
use std::{format, vec};

pub(super) fn add_to(cases: &mut Vec<Case>) {
    let mut random = Random(7);
    for setting in SETTINGS {
        for round in 0..3 {
            cases.push(flatten(&mut random, setting));
            cases.push(transpose(&mut random, setting));
            cases.push(concat(&mut random, setting, round));
        }
        cases.push(slice(&mut random, setting, true));
        if setting.rules != Rules::Fixpoint {
            // Whatever moves elements knows no arithmetic.
            continue;
        }
        cases.push(slice(&mut random, setting, false));
        for _ in 0..3 {
            cases.push(concat(&mut random, setting, 3));
        }
        for mode in ["constant", "edge", "reflect"] {
            cases.push(pad(&mut random, setting, mode));
        }
        cases.push(expand(&mut random, setting));
        cases.push(gather(&mut random, setting));
        cases.push(depth_to_space(&mut random, setting, false));
        cases.push(depth_to_space(&mut random, setting, true));
        for round in 0..4 {
            cases.push(resize_linear(&mut random, setting, round));
        }
    }
}

fn one(
    setting: Setting,
    name: String,
    op: Op,
    (x, input): (&Nd, TensorDef),
    (y, output): (&Nd, TensorDef),
) -> Case {
    let last = |def: &TensorDef| def.storage == fixpoint_quant::image::Storage::ChannelsLast;
    let values = (stored(x, last(&input)), stored(y, last(&output)));
    let mut builder = setting.builder("movement");
    let input = builder.input(input);
    let output = builder.op("op", op, &[input], output);
    builder.output(output);
    setting.case(&builder, name, &[&values.0], &[&values.1])
}

fn flatten(random: &mut Random, setting: Setting) -> Case {
    let dims = [1, random.pick(&CHANNELS), 3, random.between(1, 6) as usize];
    let x = setting.nd(random, &dims);
    let [_, c, h, w] = dims;
    let flat = Nd {
        dims: vec![1, c * h * w],
        values: x.values.clone(),
    };
    let op = Op::Rearrange(Rearrange::transpose(&[h, w, c], &[2, 0, 1]));
    let input = setting.tensor("x", &dims, true, 0);
    let output = setting.tensor("y", &flat.dims, false, 0);
    one(
        setting,
        format!("flatten {dims:?}"),
        op,
        (&x, input),
        (&flat, output),
    )
}

/// Up to six dimensions.
fn transpose(random: &mut Random, setting: Setting) -> Case {
    let rank = random.between(2, 6) as usize;
    let dims: Vec<usize> = (0..rank).map(|_| random.between(1, 4) as usize).collect();
    let mut left: Vec<usize> = (0..rank).collect();
    let mut permutation = Vec::new();
    while !left.is_empty() {
        let at = random.between(0, left.len() as i64 - 1);
        permutation.push(left.remove(at as usize));
    }
    let x = setting.nd(random, &dims);
    let turned: Vec<usize> = permutation.iter().map(|axis| dims[*axis]).collect();
    let y = Nd::build(&turned, |index| {
        let mut from = vec![0; rank];
        for (axis, i) in permutation.iter().zip(index) {
            from[*axis] = *i;
        }
        x.at(&from)
    });
    let op = Op::Rearrange(Rearrange::transpose(&dims, &permutation));
    let input = setting.tensor("x", &dims, false, 1);
    let output = setting.tensor("y", &turned, false, 1);
    let name = format!("transpose {dims:?} {permutation:?}");
    one(setting, name, op, (&x, input), (&y, output))
}

/// Several inputs, one of them constant, at their own exponents.
fn concat(random: &mut Random, setting: Setting, round: usize) -> Case {
    let last = round != 1;
    let axis = [1, 0, 2, 1][round];
    let count = random.between(2, 5);
    let mut builder = setting.builder("concat");
    let (mut parts, mut ids, mut inputs) = (Vec::new(), Vec::new(), Vec::new());
    for at in 0..count {
        let mut dims = [if last { 1 } else { 3 }, random.pick(&[5]), 4, 3];
        // In some of them parts of whole vectors.
        dims[axis] = match round {
            3 => 16 * random.between(1, 3) as usize,
            _ => random.between(1, 17) as usize,
        };
        let x = setting.nd(random, &dims);
        let shift = match setting.rules {
            Rules::Fixpoint => random.between(-2, 3) as i32,
            _ => 0,
        };
        let def = setting.tensor(&format!("x{at}"), &dims, last, -4 - shift);
        let values = stored(&x, last);
        if at == 1 {
            let constant = values.iter().map(|v| *v as i16).collect();
            ids.push(builder.constant(def, constant));
        } else {
            ids.push(builder.input(def));
            inputs.push(values);
        }
        parts.push((x, shift));
    }
    let expected = oracle::concat(&parts, axis, setting.bits);
    let output = setting.tensor("y", &expected.dims, last, -4);
    let y = builder.op("concat", Op::Concat { axis }, &ids, output);
    builder.output(y);
    let inputs: Vec<&[i64]> = inputs.iter().map(Vec::as_slice).collect();
    let name = format!("concat {round} of {count} along {axis}");
    setting.case(&builder, name, &inputs, &[&stored(&expected, last)])
}

/// An op that picks indices along each axis; `pick(axis, i)` of the output's `dims`.
fn selected(
    setting: Setting,
    name: String,
    x: &Nd,
    dims: &[usize],
    last: bool,
    fill: i64,
    pick: impl Fn(usize, usize) -> Option<usize>,
) -> Case {
    let expected = Nd::build(dims, |index| {
        let picked: Option<Vec<usize>> = index
            .iter()
            .enumerate()
            .map(|(axis, i)| pick(axis, *i))
            .collect();
        picked.map_or(fill, |index| x.at(&index))
    });
    let input = setting.tensor("x", &x.dims, last, -2);
    let output = setting.tensor("y", dims, last, -2);
    let indices: Vec<Vec<Option<usize>>> = dims
        .iter()
        .enumerate()
        .map(|(axis, dim)| (0..*dim).map(|i| pick(axis, i)).collect())
        .collect();
    let op = Op::Rearrange(Rearrange::select(&input, &indices, fill as i16));
    one(setting, name, op, (x, input), (&expected, output))
}

/// Steps forwards and backwards.
fn slice(random: &mut Random, setting: Setting, last: bool) -> Case {
    let n = if last { 1 } else { 2 };
    let x = setting.nd(random, &[n, 9, 5, 7]);
    let dims = [n, 3, 3, 2];
    selected(
        setting,
        String::from("slice"),
        &x,
        &dims,
        last,
        0,
        |axis, i| {
            Some(match axis {
                0 => i,
                1 => 1 + 3 * i,
                2 => 4 - 2 * i,
                _ => 3 + i,
            })
        },
    )
}

fn pad(random: &mut Random, setting: Setting, mode: &str) -> Case {
    let dims = [1, random.pick(&[3, 8, 17]), 4, 3];
    let x = setting.nd(random, &dims);
    let (top, left, bottom, right) = (2usize, 1, 1, 2);
    let padded = [1, dims[1], dims[2] + top + bottom, dims[3] + left + right];
    let fill = setting.value(random);
    let inside = |i: usize, before: usize, size: usize| {
        let at = i as i64 - before as i64;
        let most = size as i64 - 1;
        let at = match mode {
            "constant" => Some(at).filter(|at| (0..=most).contains(at)),
            "edge" => Some(at.clamp(0, most)),
            _ if at < 0 => Some(-at),
            _ if at > most => Some(2 * most - at),
            _ => Some(at),
        };
        at.map(|at| at as usize)
    };
    let name = format!("pad {mode} {dims:?}");
    selected(
        setting,
        name,
        &x,
        &padded,
        true,
        fill,
        |axis, i| match axis {
            2 => inside(i, top, dims[2]),
            3 => inside(i, left, dims[3]),
            _ => Some(i),
        },
    )
}

fn expand(random: &mut Random, setting: Setting) -> Case {
    let x = setting.nd(random, &[1, 3, 1, 4]);
    let dims = [2, 3, 5, 4];
    selected(
        setting,
        String::from("expand"),
        &x,
        &dims,
        false,
        0,
        |axis, i| Some(if axis % 2 == 0 { 0 } else { i }),
    )
}

fn gather(random: &mut Random, setting: Setting) -> Case {
    let x = setting.nd(random, &[1, 6, 3, 2]);
    let wanted = [5, 0, 0, 3, 2, 5, 1];
    let dims = [1, wanted.len(), 3, 2];
    selected(
        setting,
        String::from("gather"),
        &x,
        &dims,
        true,
        0,
        |axis, i| Some(if axis == 1 { wanted[i] } else { i }),
    )
}

fn depth_to_space(random: &mut Random, setting: Setting, crd: bool) -> Case {
    let (block, left) = (random.between(2, 3) as usize, random.between(1, 5) as usize);
    let dims = [1, left * block * block, 2, 3];
    let x = setting.nd(random, &dims);
    let spread = [1, left, 2 * block, 3 * block];
    let y = Nd::build(&spread, |index| {
        let [_, c, oy, ox] = index else {
            unreachable!("four dimensions")
        };
        let (row, column) = (oy % block, ox % block);
        let channel = match crd {
            true => (c * block + row) * block + column,
            false => (row * block + column) * left + c,
        };
        x.at(&[0, channel, oy / block, ox / block])
    });
    let op = Op::Rearrange(Rearrange::depth_to_space(dims, block, crd));
    let input = setting.tensor("x", &dims, true, 1);
    let output = setting.tensor("y", &spread, true, 1);
    let name = format!("depth to space {block} crd {crd}");
    one(setting, name, op, (&x, input), (&y, output))
}

fn resize_linear(random: &mut Random, setting: Setting, round: usize) -> Case {
    let dims = [1, random.pick(&CHANNELS), 4, 3];
    let x = setting.nd(random, &dims);
    let mut between = |size: usize, count: usize| -> Vec<[u16; 3]> {
        let mut entry = || {
            let any = random.between(0, 1 << 14);
            let weight = random.pick(&[0, 1 << 13, 1 << 14, any]);
            let mut row = || random.between(0, size as i64 - 1) as u16;
            [row(), row(), weight as u16]
        };
        (0..count).map(|_| entry()).collect()
    };
    let (rows, columns) = (between(4, 5), between(3, 7));
    let shift = [0, 0, 2, -2][round];
    let y = oracle::resize_linear(&x, &rows, &columns, shift, setting.bits);
    let input = setting.tensor("x", &dims, true, -3);
    let output = setting.tensor("y", &y.dims, true, -3 + shift);
    let op = Op::ResizeLinear { rows, columns };
    let name = format!("resize {round} {dims:?}");
    one(setting, name, op, (&x, input), (&y, output))
}
