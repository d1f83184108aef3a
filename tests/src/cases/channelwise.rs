//! Convolutions channel by channel in the fixpoint arithmetic: every number of channels around a vector's lanes,
//! strides and pads along both axes, and shifts that are alike or as far apart as there are any.

use super::linear::lower;
use super::{Case, SETTINGS, Setting, window};
use crate::oracle::{Chw, Geometry, Rules, Tail, convolve};
use crate::random::Random;
use fixpoint_quant::image::Op;
use std::format;
use std::string::String;
use std::vec::Vec;

/// Up to two vectors of 8-bit elements and one channel more.
const MOST_CHANNELS: usize = 33;

pub(super) fn add_to(cases: &mut Vec<Case>) {
    let mut random = Random(23);
    // Blocks of which some can't be done with those before them.
    let mut mixed = Random(11);
    for setting in SETTINGS {
        if setting.rules == Rules::Fixpoint {
            cases.extend((1..=MOST_CHANNELS).map(|channels| case(&mut random, setting, channels)));
            // Of whole vectors and of halves, shifts of all kinds.
            for channels in [16, 24, 40, 48] {
                cases.extend((0..4).map(|_| case(&mut random, setting, channels)));
            }
            cases.extend([48, 56, 64, 72].map(|channels| case(&mut mixed, setting, channels)));
        }
    }
}

fn case(random: &mut Random, setting: Setting, channels: usize) -> Case {
    // Now and then more than is copied at once.
    let [h, w] = match random.between(0, 5) {
        0 if channels <= 8 => [random.between(3, 5), random.between(50, 115)],
        0 | 1 => [random.between(7, 13), random.between(7, 19)],
        _ => [random.between(3, 6), random.between(3, 9)],
    };
    let [h, w] = [h as usize, w as usize];
    let mut any = |choices: &[usize]| random.pick(choices);
    let kernel = any(&[3, 3, 3, 5]).min(h).min(w);
    let dilation = if any(&[0, 0, 0, 0, 1]) > 0 && kernel * 2 - 1 <= h.min(w) {
        2
    } else {
        1
    };
    let g = Geometry {
        kernel: [kernel, kernel],
        stride: [any(&[1, 1, 2, 3, 4]), any(&[1, 1, 2, 3, 4])],
        dilation: [dilation, dilation],
        pads: [
            any(&[0, 1, 2]),
            any(&[0, 1, 2]),
            any(&[0, 1, 2]),
            any(&[0, 1, 2]),
        ],
    };
    let input = setting.chw(random, [channels, h, w]);
    let (low, high) = setting.range();
    let most = random.pick(&[high / 8, high, high]);
    let taps = kernel * kernel;
    let weights: Vec<i64> = (0..channels * taps)
        .map(|_| random.between((-most).max(low), most))
        .collect();
    let spread = random.pick(&[0, 3, 3, 9, 13, 20, 30]);
    let least = match setting.bits {
        8 => random.between(if spread > 13 { 0 } else { 5 }, 9),
        _ => random.between(if spread > 13 { 0 } else { 12 }, 18),
    } as i32;
    let shifts: Vec<i32> = (0..channels)
        .map(|_| least + random.between(0, spread) as i32)
        .collect();
    let tail = Tail {
        rules: setting.rules,
        bits: setting.bits,
        bias: (shifts.iter())
            .map(|shift| random.between(-(1 << (shift + 4)), 1 << (shift + 4)))
            .collect(),
        shifts,
        per_channel: true,
        relu: random.between(0, 1) == 0,
        clip: None,
        slopes: None,
    };
    let name = format!(
        "channelwise {channels}x{h}x{w} {kernel}x{kernel}/{:?} {:?} shifts {least}+{spread}",
        g.stride, g.pads
    );
    layer(random, setting, name, &input, &weights, &g, &tail)
}

/// A case of one convolution channel by channel.
pub(super) fn layer(
    random: &mut Random,
    setting: Setting,
    name: String,
    input: &Chw,
    weights: &[i64],
    g: &Geometry,
    tail: &Tail,
) -> Case {
    let [kernel_h, kernel_w] = g.kernel;
    let channels = weights.len() / (kernel_h * kernel_w);
    let expected = convolve(input, weights, g, channels, tail);
    let linear = lower(random, weights, 1, kernel_h * kernel_w, true, tail);
    let mut builder = setting.builder("channelwise");
    let x = builder.input(setting.image("x", input, -3));
    let window = window(g);
    let op = Op::DepthwiseConv2d { linear, window };
    let y = builder.op("op", op, &[x], setting.image("y", &expected, -2));
    builder.output(y);
    setting.case(&builder, name, &[&input.hwc()], &[&expected.hwc()])
}
