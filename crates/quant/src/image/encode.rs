//! Bytes of an image, in the format of [`fixpoint_runtime::format`].

use super::linear::Lowered;
use super::plan::Plan;
use super::{
    Activation, Arithmetic, BuildError, Element, EspdlChip, ImageBuilder, Node, Op, Shifts, Source,
    Storage, TensorDef, Window,
};
use fixpoint_runtime::format::{
    ALIGN, Accumulator, FLAG_KEEPS_INPUTS, HEADER_BYTES, MAGIC, MAX_RANK, OP_HEADER_BYTES, OpKind,
    VERSION, checksum,
};
use std::collections::BTreeMap;

/// An image that grows: the header's place, then arrays, then tables.
struct Writer {
    bytes: Vec<u8>,
    names: Vec<u8>,
    known_names: BTreeMap<String, u32>,
}

impl Writer {
    fn align(&mut self) -> u32 {
        let aligned = self.bytes.len().next_multiple_of(ALIGN as usize);
        self.bytes.resize(aligned, 0);
        u32::try_from(aligned).unwrap_or(u32::MAX)
    }

    /// Appends an array and returns its offset.
    fn array<const N: usize>(&mut self, values: impl Iterator<Item = [u8; N]>) -> u32 {
        let offset = self.align();
        self.bytes.extend(values.flatten());
        self.align();
        offset
    }

    fn elements(&mut self, element: Element, values: &[i16]) -> u32 {
        match element {
            Element::I8 => self.array(values.iter().map(|v| (*v as i8).to_le_bytes())),
            Element::I16 => self.array(values.iter().map(|v| v.to_le_bytes())),
        }
    }

    fn name(&mut self, name: &str) -> u32 {
        if let Some(reference) = self.known_names.get(name) {
            return *reference;
        }
        // Longer names are cut at a character, they are for people.
        let end = name.floor_char_boundary(usize::from(u16::MAX));
        let reference = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.extend((end as u16).to_le_bytes());
        self.names.extend(name[..end].bytes());
        self.known_names.insert(name.to_owned(), reference);
        reference
    }
}

pub(super) fn encode(
    builder: &ImageBuilder,
    lowered: &[Option<Lowered>],
    plan: &Plan,
) -> Result<Vec<u8>, BuildError> {
    let mut writer = Writer {
        bytes: vec![0; HEADER_BYTES as usize],
        names: Vec::new(),
        known_names: BTreeMap::new(),
    };
    let rank_of_source = |source: &Source| match source {
        Source::Input => 0,
        Source::Constant(_) => 1,
        Source::Op => 2,
    };
    let mut order: Vec<usize> = (0..builder.tensors.len()).collect();
    order.sort_by_key(|&id| rank_of_source(&builder.tensors[id].1));
    let mut position = vec![0u16; order.len()];
    for (at, &id) in order.iter().enumerate() {
        position[id] = at as u16;
    }

    let mut tensors = Vec::new();
    for &id in &order {
        let (def, source) = &builder.tensors[id];
        let (offset, constant) = match source {
            Source::Constant(values) => (writer.elements(def.element, values), true),
            _ => (plan.offsets[id].unwrap_or(0) as u32, false),
        };
        tensor_record(&mut tensors, writer.name(&def.name), def, offset, constant);
    }
    let mut ops = Vec::new();
    for (node, linear) in builder.nodes.iter().zip(lowered) {
        op_record(
            builder,
            &mut writer,
            &mut ops,
            node,
            linear.as_ref(),
            &position,
        )?;
    }
    let name = writer.name(&builder.name);

    let count = |source: u8| {
        let of = |(_, s): &&(TensorDef, Source)| rank_of_source(s) == source;
        builder.tensors.iter().filter(of).count() as u16
    };
    let tensor_table = writer.array(tensors.iter().map(|byte| [*byte]));
    let op_table = writer.array(ops.iter().map(|byte| [*byte]));
    let output_list = writer.array(
        builder
            .outputs
            .iter()
            .map(|id| position[id.0].to_le_bytes()),
    );
    let names = std::mem::take(&mut writer.names);
    let name_table = writer.array(names.iter().map(|byte| [*byte]));

    if writer.bytes.len() > i32::MAX as usize || plan.bytes > i32::MAX as u64 {
        return Err(BuildError::new(
            &builder.name,
            "the model is larger than 2 GiB",
        ));
    }
    let (arithmetic, chip) = match builder.arithmetic {
        Arithmetic::Fixpoint => (0, 0),
        Arithmetic::Espdl(EspdlChip::S3) => (1, 1),
        Arithmetic::Espdl(EspdlChip::C) => (1, 2),
    };
    let flags = if builder.keep_inputs {
        FLAG_KEEPS_INPUTS
    } else {
        0
    };
    let mut header = Vec::new();
    header.extend(MAGIC);
    header.extend(VERSION.to_le_bytes());
    header.extend((HEADER_BYTES as u16).to_le_bytes());
    header.extend((writer.bytes.len() as u32).to_le_bytes());
    header.extend(0u32.to_le_bytes());
    header.extend(plan.memory.arena_bytes.to_le_bytes());
    header.extend([arithmetic, chip]);
    for field in [
        flags,
        builder.tensors.len() as u16,
        count(2),
        count(0),
        builder.outputs.len() as u16,
    ] {
        header.extend(field.to_le_bytes());
    }
    for field in [
        tensor_table,
        op_table,
        ops.len() as u32,
        output_list,
        name_table,
        names.len() as u32,
        name,
        0,
    ] {
        header.extend(field.to_le_bytes());
    }
    let mut bytes = writer.bytes;
    bytes[..header.len()].copy_from_slice(&header);
    let crc = checksum(&bytes).unwrap_or_default();
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    Ok(bytes)
}

fn tensor_record(out: &mut Vec<u8>, name: u32, def: &TensorDef, offset: u32, constant: bool) {
    for field in [name, offset, def.bytes() as u32] {
        out.extend(field.to_le_bytes());
    }
    let storage = match def.storage {
        Storage::AsOnnx => 0,
        Storage::ChannelsLast => 1,
    };
    out.extend([
        def.element.code(),
        def.exponent as i8 as u8,
        constant.into(),
        storage,
        def.dims.len() as u8,
        0,
        0,
        0,
    ]);
    for i in 0..MAX_RANK {
        let dim = def.dims.get(i).copied().unwrap_or(1) as u32;
        out.extend(dim.to_le_bytes());
    }
    out.extend(0u32.to_le_bytes());
}

fn op_record(
    builder: &ImageBuilder,
    writer: &mut Writer,
    out: &mut Vec<u8>,
    node: &Node,
    linear: Option<&Lowered>,
    position: &[u16],
) -> Result<(), BuildError> {
    let mut body = Vec::new();
    if let Some(linear) = linear {
        let fixpoint = builder.arithmetic == Arithmetic::Fixpoint;
        let element = builder.def(node.output).element;
        linear_part(writer, &mut body, linear, element, fixpoint);
    }
    let kind = match &node.op {
        Op::Conv2d { window, .. } => {
            put_window(&mut body, window);
            OpKind::Conv2d
        }
        Op::DepthwiseConv2d { window, .. } => {
            put_window(&mut body, window);
            OpKind::DepthwiseConv2d
        }
        Op::FullyConnected { .. } => OpKind::FullyConnected,
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
        Op::Add { relu } => {
            body.push((*relu).into());
            OpKind::Add
        }
        Op::Relu => OpKind::Relu,
        Op::Requantize => OpKind::Requantize,
        Op::Softmax { group } => {
            body.extend(u32::try_from(*group).unwrap_or(0).to_le_bytes());
            OpKind::Softmax
        }
        Op::Reshape => OpKind::Reshape,
        Op::Transpose {
            input_dims,
            permutation,
        } => {
            if input_dims.len() > 4 || input_dims.len() != permutation.len() {
                return Err(BuildError::new(
                    &node.name,
                    "a transposition has at most 4 dimensions and as many places",
                ));
            }
            body.push(permutation.len() as u8);
            let mut padded = [0u8; 7];
            for (place, axis) in padded.iter_mut().zip(permutation) {
                *place = u8::try_from(*axis).unwrap_or(u8::MAX);
            }
            body.extend(padded);
            for i in 0..4 {
                let dim = input_dims.get(i).copied().unwrap_or(1);
                body.extend(u32::try_from(dim).unwrap_or(0).to_le_bytes());
            }
            OpKind::Transpose
        }
    };
    let inputs = u8::try_from(node.inputs.len())
        .map_err(|_| BuildError::new(&node.name, "there are too many inputs"))?;
    let mut refs = Vec::new();
    for id in node.inputs.iter().chain([&node.output]) {
        refs.extend(position[id.0].to_le_bytes());
    }
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
    let mut slopes_at = |slopes: &[i16]| writer.array(slopes.iter().map(|s| s.to_le_bytes()));
    let (activation, slopes, exponent) = match &linear.activation {
        Activation::None => (0, 0, 0),
        Activation::Relu => (1, 0, 0),
        Activation::LeakyRelu { slope, exponent } => (2, slopes_at(&[*slope]), *exponent),
        Activation::PRelu { slopes, exponent } => (3, slopes_at(slopes), *exponent),
    };
    for offset in [weights, bias, shifts, slopes] {
        body.extend(offset.to_le_bytes());
    }
    body.extend([1, linear.accumulator.bits(), activation, shift as u8]);
    body.extend([exponent as u8, 0, 0, 0]);
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
