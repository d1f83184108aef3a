//! What is prepared of a linear layer for the chip's vector unit (see [`fixpoint_vector::prepare`]).

use super::linear::Lowered;
use super::record::bounds;
use super::{Node, Op, Shifts, TensorDef, Window};
use fixpoint_kernels::fixpoint::{self, Bias};
use fixpoint_kernels::{Element as Number, Hwc, Limits, Shifts as Right};
use fixpoint_runtime::accelerator::{Convolution, Prepared, Sums};
use fixpoint_runtime::format::Element;
use fixpoint_vector::prepare;

/// Records of a layer's blocks.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) bytes: Vec<u8>,
    /// Bytes of each by 16; 0 if there are none.
    pub(super) each: u8,
}

/// The records of a node with these tensors, if it is one for the unit: without groups, forwards and without
/// a leak, which is where there are no limits.
pub(super) fn of(node: &Node, tensors: (&TensorDef, &TensorDef), linear: &Lowered) -> Records {
    let limits = bounds(&linear.activation, tensors.0.element);
    let found = match tensors.0.element {
        Element::I8 => records::<i8>(node, tensors, linear, limits),
        Element::I16 => records::<i16>(node, tensors, linear, limits),
    };
    found.unwrap_or_default()
}

fn records<T: Number>(
    node: &Node,
    (input, output): (&TensorDef, &TensorDef),
    linear: &Lowered,
    limits: Option<[i16; 2]>,
) -> Option<Records> {
    let point = Window::new(1, 1);
    let (window, depthwise) = match &node.op {
        Op::Conv2d {
            window, groups: 1, ..
        } => (window, false),
        Op::DepthwiseConv2d { window, .. } => (window, true),
        Op::FullyConnected { .. } => (&point, false),
        _ => return None,
    };
    let [low, high] = limits?;
    let shape = |def: &TensorDef| {
        let channels = match &node.op {
            Op::FullyConnected { .. } => u32::try_from(def.elements()).ok()?,
            _ => u32::try_from(def.channels()?).ok()?,
        };
        // One row of as many pixels.
        let pixels = def.elements() / u64::from(channels.max(1));
        Some(Hwc {
            h: 1,
            w: u32::try_from(pixels).ok()?,
            c: channels,
        })
    };
    let saturate = |value: i16| T::saturate(value.into());
    let weights: Vec<u8> = match input.element {
        Element::I8 => linear.weights.iter().map(|w| *w as u8).collect(),
        Element::I16 => linear
            .weights
            .iter()
            .flat_map(|w| w.to_le_bytes())
            .collect(),
    };
    let per_channel: Vec<i8>;
    let shifts = match &linear.shifts {
        Shifts::PerTensor(shift) => Right::Uniform(*shift as i8),
        Shifts::PerChannel(all) => {
            per_channel = all.iter().map(|shift| *shift as i8).collect();
            Right::PerChannel(&per_channel)
        }
    };
    let task = Convolution {
        element: input.element,
        input: &[],
        shape: shape(input)?,
        window,
        weights: &weights,
        // But for their number, pixels don't matter.
        out: shape(output)?,
        rows: 0..1,
        depthwise,
        sums: linear.sums,
        prepared: Prepared::default(),
    };
    // What isn't proved is for the unit in 8 bits only.
    (T::LANES == 16 || linear.sums != Sums::Unproved).then_some(())?;
    let finish = fixpoint::Linear {
        bias: Bias::Wide(&linear.bias),
        shifts,
        leak: None,
        limits: Limits {
            low: saturate(low),
            high: saturate(high),
        },
    };
    let mut records = Vec::new();
    let whole = |block| linear.whole.get(block) == Some(&true);
    prepare(&task, &finish, whole, |record| {
        records.push(record.to_vec())
    })?;
    let most = records.iter().map(Vec::len).max()?;
    records.iter_mut().for_each(|record| record.resize(most, 0));
    Some(Records {
        bytes: records.concat(),
        each: u8::try_from(most / 16).ok()?,
    })
}
