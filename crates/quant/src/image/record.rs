//! Op records.

use super::encode::Writer;
use super::linear::Lowered;
use super::{
    Accumulator, Activation, Arithmetic, BuildError, Element, ImageBuilder, Node, Offsets, Op,
    Rearrange, Shifts, TensorDef, Window,
};
use fixpoint_kernels::RANK;
use fixpoint_runtime::format::{ALIGN, OP_HEADER_BYTES, OPERATIONS, OpKind, REDUCTIONS};

/// Appends the record of `node`, and its arrays to the image.
pub(super) fn op_record(
    builder: &ImageBuilder,
    writer: &mut Writer,
    out: &mut Vec<u8>,
    node: &Node,
    linear: Option<&Lowered>,
    position: &[u16],
) -> Result<(), BuildError> {
    let bad = |reason: &str| BuildError::new(&node.name, reason);
    let mut body = Vec::new();
    let (input, output) = match node.inputs.first() {
        Some(input) => (builder.def(*input), builder.def(node.output)),
        None => return Err(bad("an op has inputs")),
    };
    let element = input.element;
    if let Some(linear) = linear {
        let fixpoint = builder.arithmetic == Arithmetic::Fixpoint;
        let records = &linear.records;
        linear_part(writer, &mut body, linear, element, fixpoint);
        // Beside the number of groups.
        body[19] = records.each;
        let offset = match records.each {
            0 => 0,
            _ => writer.array(records.bytes.iter().map(|byte| [*byte])),
        };
        body.extend(offset.to_le_bytes());
    }
    let no_axis = || bad("there is no such axis");
    let axis_of = |def: &TensorDef, axis: usize| stored_axis(def, axis).ok_or_else(no_axis);
    let kind = match &node.op {
        Op::Conv2d { window, .. } => {
            put_window(&mut body, window);
            OpKind::Conv2d
        }
        Op::ConvTranspose2d { window, .. } => {
            put_window(&mut body, window);
            OpKind::ConvTranspose2d
        }
        Op::DepthwiseConv2d { window, .. } => {
            put_window(&mut body, window);
            OpKind::DepthwiseConv2d
        }
        Op::FullyConnected { .. } => OpKind::FullyConnected,
        Op::MatMul => OpKind::MatMul,
        Op::MaxPool { window } => {
            put_window(&mut body, window);
            OpKind::MaxPool
        }
        Op::AveragePool {
            window,
            count_include_pad,
        } => {
            put_window(&mut body, window);
            body.push((*count_include_pad).into());
            OpKind::AveragePool
        }
        Op::GlobalAveragePool => OpKind::GlobalAveragePool,
        Op::Binary {
            operation,
            activation,
        } => {
            let code = OPERATIONS.iter().position(|known| known == operation);
            body.extend([code.unwrap_or(usize::MAX) as u8, 0]);
            let clamp = bounds(activation, element)
                .ok_or_else(|| bad("a leak is for linear ops and Requantize only"))?;
            body.extend(clamp.map(i16::to_le_bytes).as_flattened());
            OpKind::Binary
        }
        Op::Requantize { activation } => {
            let mut activation = activation.clone();
            if let Activation::PRelu { slopes, .. } = &mut activation {
                let channels = input.stored_dims().last().copied().unwrap_or(1);
                if slopes.len() != channels {
                    return Err(bad("the number of slopes is not the number of channels"));
                }
                slopes.resize(channels.next_multiple_of(element.lanes() as usize), 0);
            }
            activation_part(writer, &mut body, &activation, element);
            OpKind::Requantize
        }
        Op::Lookup { table } => {
            let step_bits = step_bits(element, table.len())
                .ok_or_else(|| bad("a table has 256 entries (i8), 65536 or 2^k + 1 (i16)"))?;
            body.extend(writer.elements(element, table).to_le_bytes());
            body.push(step_bits);
            OpKind::Lookup
        }
        Op::Softmax { axis } => {
            body.push(axis_of(input, *axis)?);
            OpKind::Softmax
        }
        Op::Reduce { reduction, axes } => {
            let code = REDUCTIONS.iter().position(|known| known == reduction);
            let mut mask = 0;
            for axis in axes {
                mask |= 1 << axis_of(input, *axis)?;
            }
            body.extend([code.unwrap_or(usize::MAX) as u8, mask]);
            OpKind::Reduce
        }
        Op::ArgMax { axis, last } => {
            body.extend([axis_of(input, *axis)?, (*last).into()]);
            OpKind::ArgMax
        }
        Op::Reshape => OpKind::Reshape,
        Op::Rearrange(rearrange) => {
            put_rearrange(writer, &mut body, rearrange)
                .ok_or_else(|| bad("it has more than six axes, or an offset is too large"))?;
            OpKind::Rearrange
        }
        Op::Concat { axis } => {
            let storage = |id| builder.def(id).storage;
            if node.inputs.iter().any(|id| storage(*id) != output.storage) {
                return Err(bad("the inputs and the output are stored in one order"));
            }
            body.push(axis_of(output, *axis)?);
            OpKind::Concat
        }
        Op::ResizeLinear { rows, columns } => {
            for entries in [rows, columns] {
                let fields = entries.as_flattened().iter();
                let offset = writer.array(fields.map(|field| field.to_le_bytes()));
                body.extend(offset.to_le_bytes());
            }
            OpKind::ResizeLinear
        }
    };
    let inputs = u8::try_from(node.inputs.len())
        .map_err(|_| bad("an op has at most 255 inputs; join some of them first"))?;
    let mut refs: Vec<u8> = node
        .inputs
        .iter()
        .chain([&node.output])
        .flat_map(|id| position[id.0].to_le_bytes())
        .collect();
    refs.resize(refs.len().next_multiple_of(4), 0);
    let length =
        (OP_HEADER_BYTES as usize + refs.len() + body.len()).next_multiple_of(ALIGN as usize);
    let end = out.len() + length;
    out.extend((kind as u16).to_le_bytes());
    out.extend([inputs, 1]);
    out.extend((length as u32).to_le_bytes());
    out.extend(writer.name(&node.name).to_le_bytes());
    out.extend(0u32.to_le_bytes());
    out.extend(refs);
    out.extend(body);
    out.resize(end, 0);
    Ok(())
}

/// An ONNX axis among the six of the image.
fn stored_axis(def: &TensorDef, axis: usize) -> Option<u8> {
    let place = RANK - def.dims.len() + def.stored_axis(axis)?;
    u8::try_from(place).ok()
}

/// Smallest and largest result; `None` with a leak.
pub(super) fn bounds(activation: &Activation, element: Element) -> Option<[i16; 2]> {
    let (low, high) = element.range();
    let (low, high) = (low as i16, high as i16);
    match activation {
        Activation::None => Some([low, high]),
        Activation::Relu => Some([0, high]),
        Activation::Clip { low, high } => Some([*low, *high]),
        Activation::LeakyRelu { .. } | Activation::PRelu { .. } => None,
    }
}

fn step_bits(element: Element, entries: usize) -> Option<u8> {
    match (element, entries) {
        (Element::I8, 256) | (Element::I16, 65536) => Some(0),
        (Element::I16, 3..=32769) if (entries - 1).is_power_of_two() => {
            Some(16 - (entries - 1).ilog2() as u8)
        }
        _ => None,
    }
}

fn put_rearrange(writer: &mut Writer, body: &mut Vec<u8>, rearrange: &Rearrange) -> Option<()> {
    body.extend(i32::try_from(rearrange.start).ok()?.to_le_bytes());
    body.extend(rearrange.fill.to_le_bytes());
    body.extend([0; 2]);
    let front = RANK.checked_sub(rearrange.axes.len())?;
    for _ in 0..front {
        body.extend([1u32, 0, 0].map(u32::to_le_bytes).as_flattened());
    }
    for axis in &rearrange.axes {
        let size = u32::try_from(axis.size).ok()?;
        let (step, table) = match &axis.offsets {
            Offsets::Step(step) => (i32::try_from(*step).ok()?, 0),
            Offsets::Table(entries) => {
                let entry = |entry: &Option<usize>| match entry {
                    Some(offset) => i32::try_from(*offset).ok(),
                    None => Some(-1),
                };
                let entries: Vec<i32> = entries.iter().map(entry).collect::<Option<_>>()?;
                if entries.len() != axis.size {
                    return None;
                }
                let bytes = entries.iter().map(|entry| entry.to_le_bytes());
                (0, writer.array(bytes))
            }
        };
        body.extend(size.to_le_bytes());
        body.extend(step.to_le_bytes());
        body.extend(table.to_le_bytes());
    }
    Some(())
}

fn linear_part(
    writer: &mut Writer,
    body: &mut Vec<u8>,
    linear: &Lowered,
    element: Element,
    fixpoint: bool,
) {
    let weights = writer.elements(element, &linear.weights);
    let wide = fixpoint && linear.accumulator != Accumulator::Bits32;
    let bias = if wide {
        writer.array(linear.bias.iter().map(|bias| bias.to_le_bytes()))
    } else {
        writer.array(linear.bias.iter().map(|bias| (*bias as i32).to_le_bytes()))
    };
    let (shifts, shift) = match &linear.shifts {
        Shifts::PerTensor(shift) => (0, *shift as i8),
        Shifts::PerChannel(shifts) => {
            let bytes = shifts.iter().map(|shift| (*shift as i8).to_le_bytes());
            (writer.array(bytes), 0)
        }
    };
    for offset in [weights, bias, shifts] {
        body.extend(offset.to_le_bytes());
    }
    let [sums, parts] = linear.sums.code();
    body.extend([1, linear.accumulator.bits(), shift as u8, sums]);
    body.extend(linear.groups.to_le_bytes());
    body.extend([parts, 0]);
    activation_part(writer, body, &linear.activation, element);
}

fn activation_part(
    writer: &mut Writer,
    body: &mut Vec<u8>,
    activation: &Activation,
    element: Element,
) {
    let mut slopes_at = |slopes: &[i16]| writer.array(slopes.iter().map(|s| s.to_le_bytes()));
    let (leak, slopes, exponent) = match activation {
        Activation::None | Activation::Relu | Activation::Clip { .. } => (0, 0, 0),
        Activation::LeakyRelu { slope, exponent } => (1, slopes_at(&[*slope]), *exponent),
        Activation::PRelu { slopes, exponent } => (2, slopes_at(slopes), *exponent),
    };
    let (low, high) = element.range();
    let clamp = bounds(activation, element).unwrap_or([low as i16, high as i16]);
    body.extend(slopes.to_le_bytes());
    body.extend([leak, exponent as u8]);
    body.extend(clamp.map(i16::to_le_bytes).as_flattened());
    body.extend([0; 2]);
}

fn put_window(body: &mut Vec<u8>, window: &Window) {
    for field in [
        window.kernel_h,
        window.kernel_w,
        window.stride_h,
        window.stride_w,
        window.dilation_h,
        window.dilation_w,
        window.pad_top,
        window.pad_left,
        window.pad_bottom,
        window.pad_right,
    ] {
        body.extend(field.to_le_bytes());
    }
}
