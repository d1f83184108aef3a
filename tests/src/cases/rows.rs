//! Convolutions channel by channel in the fixpoint arithmetic over rows of five taps: maps of which most windows are
//! clipped, and some that have to be done in parts; whole vectors of channels and halves.

use super::channelwise::layer;
use super::{Case, SETTINGS, Setting};
use crate::oracle::{Geometry, Rules, Tail};
use crate::random::Random;
use std::format;
use std::vec::Vec;

/// Channels, rows, columns; rows and columns of the window; strides; pads.
type Shape = ([usize; 3], [usize; 2], [usize; 2], [usize; 4]);

const SHAPES: [Shape; 23] = [
    // Windows that are larger than the map.
    ([8, 1, 1], [5, 5], [1, 1], [2, 2, 2, 2]),
    ([24, 2, 3], [5, 5], [1, 1], [2, 2, 2, 2]),
    ([16, 1, 7], [5, 5], [1, 1], [4, 2, 0, 2]),
    ([40, 2, 2], [5, 5], [2, 2], [4, 4, 3, 4]),
    // As in networks that read text.
    ([24, 3, 56], [5, 5], [1, 1], [2, 2, 2, 2]),
    ([16, 6, 40], [5, 5], [2, 1], [2, 2, 2, 2]),
    ([40, 2, 31], [5, 5], [1, 1], [2, 2, 2, 2]),
    ([8, 3, 96], [5, 5], [2, 1], [2, 2, 2, 2]),
    // Tiles one below another.
    ([24, 13, 11], [5, 5], [1, 1], [2, 2, 2, 2]),
    ([16, 24, 7], [5, 5], [1, 1], [2, 2, 2, 2]),
    ([8, 20, 19], [5, 5], [2, 2], [1, 1, 2, 2]),
    // Pads on some sides, and strides beyond the window.
    ([24, 7, 9], [5, 5], [1, 2], [0, 3, 4, 1]),
    ([40, 11, 8], [5, 5], [6, 7], [1, 0, 0, 4]),
    ([8, 9, 9], [5, 5], [2, 1], [3, 0, 1, 2]),
    ([16, 6, 14], [5, 5], [1, 1], [0, 0, 0, 0]),
    // Other numbers of rows, and the most there are.
    ([24, 3, 9], [1, 5], [1, 1], [0, 2, 0, 2]),
    ([16, 8, 10], [3, 5], [2, 2], [1, 2, 1, 2]),
    ([8, 9, 13], [8, 5], [1, 1], [3, 2, 4, 2]),
    ([8, 34, 6], [32, 5], [1, 1], [2, 2, 0, 0]),
    ([8, 34, 6], [33, 5], [1, 1], [2, 2, 0, 0]),
    // Padding without an element, channels at any place, and rows of seven taps.
    ([16, 4, 6], [5, 5], [1, 1], [6, 2, 5, 2]),
    ([17, 5, 6], [5, 5], [1, 1], [2, 2, 2, 2]),
    ([16, 6, 7], [7, 7], [1, 1], [3, 3, 3, 3]),
];
/// Blocks of which one or two are done otherwise than the others: channel 36 has a bias beyond a lane.
const ODD: [Shape; 2] = [
    ([64, 3, 34], [5, 5], [1, 1], [2, 2, 2, 2]),
    ([72, 5, 6], [5, 5], [1, 1], [2, 2, 2, 2]),
];
/// With elements between the taps.
const DILATED: [Shape; 2] = [
    ([16, 9, 10], [5, 5], [1, 1], [4, 4, 4, 4]),
    ([24, 10, 9], [5, 5], [2, 1], [1, 0, 2, 3]),
];

pub(super) fn add_to(cases: &mut Vec<Case>) {
    let mut random = Random(31);
    for setting in SETTINGS {
        if setting.rules == Rules::Fixpoint {
            let mut add = |shape: &Shape, dilation, odd| {
                cases.push(case(&mut random, setting, shape, dilation, odd));
            };
            SHAPES.iter().for_each(|shape| add(shape, 1, false));
            ODD.iter().for_each(|shape| add(shape, 1, true));
            DILATED.iter().for_each(|shape| add(shape, 2, false));
        }
    }
}

fn case(random: &mut Random, setting: Setting, shape: &Shape, dilation: usize, odd: bool) -> Case {
    let ([channels, h, w], kernel, stride, pads) = *shape;
    let g = Geometry {
        kernel,
        stride,
        dilation: [dilation; 2],
        pads,
    };
    let input = setting.chw(random, [channels, h, w]);
    let (_, high) = setting.range();
    let taps = kernel[0] * kernel[1];
    // Sums that a lane holds.
    let most = (high * 3 / 4).min(high * 25 / taps as i64);
    let weights: Vec<i64> = (0..channels * taps)
        .map(|_| random.between(-most, most))
        .collect();
    let least = if setting.bits == 8 { 7 } else { 14 };
    let spread = random.pick(&[0, 3, 3, 12]);
    let shifts: Vec<i32> = (0..channels)
        .map(|channel| match channel {
            36 if odd => 14,
            _ => least + random.between(0, spread) as i32,
        })
        .collect();
    let most = if setting.bits == 8 { 1 << 15 } else { 1 << 20 };
    let bias = (0..channels).map(|channel| match channel {
        36 if odd => 1 << 20,
        _ => random.between(-most, most),
    });
    let tail = Tail {
        rules: setting.rules,
        bits: setting.bits,
        bias: bias.collect(),
        shifts,
        per_channel: true,
        relu: channels % 16 == 0,
        clip: None,
        slopes: None,
    };
    let name = format!(
        "rows {channels}x{h}x{w} {kernel:?}/{stride:?} {pads:?}, dilation {dilation}, shifts {least}+{spread}"
    );
    layer(random, setting, name, &input, &weights, &g, &tail)
}
