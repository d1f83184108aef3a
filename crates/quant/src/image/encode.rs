//! Bytes of an image, in the format of [`fixpoint_runtime::format`].

use super::linear::Lowered;
use super::order::write;
use super::plan::Plan;
use super::reads::reads;
use super::record::op_record;
use super::{Arithmetic, BuildError, Element, EspdlChip, ImageBuilder, Source, Storage, TensorDef};
use fixpoint_runtime::format::{
    ALIGN, FLAG_KEEPS_INPUTS, HEADER_BYTES, MAGIC, MAX_RANK, VERSION, checksum,
};
use std::collections::BTreeMap;

/// An image that grows: the header's place, then arrays, then tables.
pub(super) struct Writer {
    bytes: Vec<u8>,
    names: Vec<u8>,
    known_names: BTreeMap<Vec<u8>, u32>,
    /// Of a net in strips, which all have the arrays of their layer.
    known_arrays: Option<BTreeMap<Vec<u8>, u32>>,
}

impl Writer {
    fn align(&mut self) -> u32 {
        let aligned = self.bytes.len().next_multiple_of(ALIGN as usize);
        self.bytes.resize(aligned, 0);
        u32::try_from(aligned).unwrap_or(u32::MAX)
    }

    /// Appends an array and returns its offset, or that of the same bytes.
    pub(super) fn array<const N: usize>(&mut self, values: impl Iterator<Item = [u8; N]>) -> u32 {
        let offset = self.align();
        self.bytes.extend(values.flatten());
        if let Some(known) = &mut self.known_arrays {
            let array = self.bytes[offset as usize..].to_vec();
            let first = *known.entry(array).or_insert(offset);
            if first != offset {
                self.bytes.truncate(offset as usize);
                return first;
            }
        }
        self.align();
        offset
    }

    pub(super) fn elements(&mut self, element: Element, values: &[i16]) -> u32 {
        match element {
            Element::I8 => self.array(values.iter().map(|v| (*v as i8).to_le_bytes())),
            Element::I16 => self.array(values.iter().map(|v| v.to_le_bytes())),
        }
    }

    pub(super) fn name(&mut self, name: &str) -> u32 {
        if let Some(reference) = self.known_names.get(name.as_bytes()) {
            return *reference;
        }
        // Longer names are cut at a character, they are for people.
        let end = name.floor_char_boundary(usize::from(u16::MAX));
        let reference = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.extend((end as u16).to_le_bytes());
        self.names.extend(name[..end].bytes());
        self.known_names.insert(name.into(), reference);
        reference
    }
}

pub(super) fn encode(
    builder: &ImageBuilder,
    lowered: &[Option<&Lowered>],
    plan: &Plan,
    in_strips: bool,
) -> Result<Vec<u8>, BuildError> {
    let mut writer = Writer {
        bytes: vec![0; HEADER_BYTES as usize],
        names: Vec::new(),
        known_names: BTreeMap::new(),
        known_arrays: in_strips.then(BTreeMap::new),
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
    let mut ops = vec![Vec::new(); builder.nodes.len()];
    for is_often in [false, true] {
        let nodes = builder.nodes.iter().zip(lowered).zip(&mut ops);
        for ((node, linear), op) in nodes {
            if (reads(builder, node) > 1) == is_often {
                op_record(builder, &mut writer, op, node, *linear, &position)?;
            }
        }
    }
    let ops = ops.concat();
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

    let orders: Vec<_> = (order.iter())
        .map(|id| builder.orders.get(*id)?.as_ref())
        .collect();
    let orders = write(&orders);
    // They end the image, and with it a multiple of the alignment.
    let end = (writer.bytes.len() + orders.len()).next_multiple_of(ALIGN as usize);
    writer.bytes.resize(end - orders.len(), 0);
    writer.bytes.extend(orders);

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
        plan.memory.near_bytes,
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
