//! Reading an image: [`Model`], its tensors and its layers. The bytes are specified in
//! [`crate::format`].

use crate::bytes::{Fields, slice};
use crate::error::ImageError;
use crate::format::{
    ALIGN, Arithmetic, Element, EspdlChip, FLAG_KEEPS_INPUTS, HEADER_BYTES, MAGIC, MAX_RANK,
    OpKind, Storage, TENSOR_BYTES, VERSION, checksum,
};
use crate::memory::{self, Block16, Place, words};
use crate::op::{Depth, Op};
use fixpoint_kernels::Hwc;

/// Words of a tensor's record.
pub(crate) const WORDS: usize = TENSOR_BYTES as usize / size_of::<u32>();

/// A validated image. Borrows its bytes; copying a `Model` is cheap.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    image: &'a [u8],
    checksum: u32,
    arena_bytes: u32,
    arithmetic: Arithmetic,
    flags: u16,
    pub(crate) tensors: u16,
    pub(crate) ops: u16,
    inputs: u16,
    outputs: u16,
    tensor_table: u32,
    op_table: u32,
    op_bytes: u32,
    output_list: u32,
    names: u32,
    name_bytes: u32,
    name: u32,
    near_bytes: u32,
    /// Bytes of the image from `copied_at` on, in faster memory; nothing has that offset where there are none.
    copied: &'a [u8],
    copied_at: u32,
}

/// One tensor of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tensor<'a> {
    /// The ONNX tensor's name.
    pub name: &'a str,
    /// Integer type.
    pub element: Element,
    /// real = int * 2^exponent.
    pub exponent: i8,
    /// How the elements are ordered in memory.
    pub storage: Storage,
    /// Length in bytes.
    pub bytes: u32,
    /// Where its first byte is: in the arena, or in the image if `constant`.
    pub offset: u32,
    /// Whether it is part of the image rather than of the arena.
    pub constant: bool,
    rank: u8,
    /// In the image: tensors are copied again and again.
    dims: &'a [u32; MAX_RANK],
}

impl Tensor<'_> {
    /// ONNX dimensions.
    pub fn dims(&self) -> &[u32] {
        self.dims.get(..usize::from(self.rank)).unwrap_or(&[])
    }

    /// Number of elements.
    pub fn elements(&self) -> u32 {
        self.bytes / self.element.bytes()
    }

    /// Rows, columns and channels of a channels-last tensor.
    pub fn hwc(&self) -> Option<Hwc> {
        match (self.storage, self.dims()) {
            (Storage::ChannelsLast, &[1, c, h, w]) => Some(Hwc { h, w, c }),
            (Storage::ChannelsLast, &[1, c, w]) => Some(Hwc { h: 1, w, c }),
            _ => None,
        }
    }

    /// Dimensions in the order of the memory, with ones in front.
    pub fn stored(&self) -> [u32; MAX_RANK] {
        let mut stored = [1; MAX_RANK];
        let dims = self.dims();
        let front = MAX_RANK - dims.len();
        stored[front..].copy_from_slice(dims);
        if self.storage == Storage::ChannelsLast {
            // (1, C, ..) to (1, .., C).
            stored[front + 1..].rotate_left(1);
        }
        stored
    }

    pub(crate) fn place(&self) -> Place {
        Place {
            offset: self.offset,
            bytes: self.bytes,
            constant: self.constant,
        }
    }

    pub(crate) fn end(&self) -> u32 {
        self.offset.saturating_add(self.bytes)
    }
}

/// One layer of a model: an op with its name.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// Position in the order of execution.
    pub index: usize,
    /// The ONNX node's name.
    pub name: &'a str,
    /// What it computes.
    pub kind: OpKind,
    /// The same for people, more precisely: `Add` rather than `Binary`.
    pub operator: &'static str,
    /// Tensor index of the first input.
    pub input: usize,
    /// Tensor index of the output.
    pub output: usize,
    /// Multiply-accumulates in one run.
    pub macs: u64,
}

impl<'a> Model<'a> {
    /// Checks an image once, completely.
    ///
    /// `bytes` start at a 16-byte aligned address and may be longer than the image. Any bytes are
    /// answered with a model or an error.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let have = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        if bytes.get(..4).is_some_and(|magic| magic != MAGIC) {
            return Err(ImageError::BadMagic);
        }
        let Some(mut fields) = slice(bytes, 4, HEADER_BYTES - 4).map(Fields::new) else {
            return Err(ImageError::Truncated {
                have,
                need: HEADER_BYTES,
            });
        };
        let version = fields.u16().unwrap_or_default();
        if version != VERSION {
            return Err(ImageError::Version {
                found: version,
                supported: VERSION,
            });
        }
        if bytes.as_ptr().align_offset(ALIGN as usize) != 0 {
            return Err(ImageError::Misaligned);
        }
        let bad = |reason| ImageError::Header { reason };
        let header_bytes = fields.u16().unwrap_or_default();
        let length = fields.u32().unwrap_or_default();
        if u32::from(header_bytes) != HEADER_BYTES
            || length < HEADER_BYTES
            || !length.is_multiple_of(ALIGN)
            || length > i32::MAX as u32
        {
            return Err(bad("the length is not a multiple of 16 or too small"));
        }
        let image = slice(bytes, 0, length).ok_or(ImageError::Truncated { have, need: length })?;
        let model = Self::header(image, fields).ok_or(bad("a field has an unknown value"))?;
        let computed = checksum(image).unwrap_or_default();
        if computed != model.checksum {
            return Err(ImageError::Checksum {
                found: model.checksum,
                computed,
            });
        }
        model.check_tables()?;
        model.check_tensors()?;
        model.check_ops()?;
        Ok(model)
    }

    fn header(image: &'a [u8], mut fields: Fields<'_>) -> Option<Self> {
        let checksum = fields.u32()?;
        let arena_bytes = fields.u32()?;
        let arithmetic = match (fields.u8()?, fields.u8()?) {
            (0, 0) => Arithmetic::Fixpoint,
            (1, 1) => Arithmetic::Espdl(EspdlChip::S3),
            (1, 2) => Arithmetic::Espdl(EspdlChip::C),
            _ => return None,
        };
        let flags = fields.u16()?;
        if flags & !FLAG_KEEPS_INPUTS != 0 {
            return None;
        }
        let model = Self {
            image,
            checksum,
            arena_bytes,
            arithmetic,
            flags,
            tensors: fields.u16()?,
            ops: fields.u16()?,
            inputs: fields.u16()?,
            outputs: fields.u16()?,
            tensor_table: fields.u32()?,
            op_table: fields.u32()?,
            op_bytes: fields.u32()?,
            output_list: fields.u32()?,
            names: fields.u32()?,
            name_bytes: fields.u32()?,
            name: fields.u32()?,
            near_bytes: fields.u32()?,
            copied: &[],
            copied_at: u32::MAX,
        };
        Some(model)
    }

    fn check_tables(&self) -> Result<(), ImageError> {
        let bad = |reason| Err(ImageError::Header { reason });
        if !self.arena_bytes.is_multiple_of(ALIGN) || self.arena_bytes > i32::MAX as u32 {
            return bad("the arena's size is not a multiple of 16, or above 2 GiB");
        }
        if !self.near_bytes.is_multiple_of(ALIGN) || self.near_bytes > self.arena_bytes {
            return bad("the arena's first part is no multiple of 16, or larger than all of it");
        }
        let tables = [
            (self.tensor_table, u32::from(self.tensors) * TENSOR_BYTES),
            (self.op_table, self.op_bytes),
            (self.output_list, u32::from(self.outputs) * 2),
            (self.names, self.name_bytes),
        ];
        for (offset, length) in tables {
            if !offset.is_multiple_of(ALIGN) || self.slice(offset, length).is_none() {
                return bad("a table is outside the image or misaligned");
            }
        }
        if u32::from(self.inputs) + u32::from(self.ops) > u32::from(self.tensors) {
            return bad("there are fewer tensors than inputs and layers");
        }
        if self.inputs == 0 || self.outputs == 0 {
            return bad("there is no input or no output");
        }
        if self.name_at(self.name).is_none() {
            return bad("the model's name is outside the names or not UTF-8");
        }
        if (0..self.outputs).any(|i| match self.output_tensor(i.into()) {
            Some(tensor) => tensor >= usize::from(self.tensors),
            None => true,
        }) {
            return bad("an output is not one of the tensors");
        }
        Ok(())
    }

    fn check_tensors(&self) -> Result<(), ImageError> {
        for index in 0..self.tensors {
            let bad = |reason| Err(ImageError::Tensor { index, reason });
            let Some(tensor) = self.read_tensor(index.into()) else {
                return bad("a field has an unknown value, or the name is not UTF-8");
            };
            let mut elements = 1u64;
            for &dim in tensor.dims() {
                elements = elements.saturating_mul(dim.into());
            }
            if elements == 0 || elements > i32::MAX as u64 {
                return bad("a dimension is 0 or the tensor is too large");
            }
            if elements * u64::from(tensor.element.bytes()) != u64::from(tensor.bytes) {
                return bad("the length disagrees with the dimensions");
            }
            if tensor.storage == Storage::ChannelsLast && tensor.hwc().is_none() {
                return bad("channels-last storage is for (1, C, H, W) and (1, C, L)");
            }
            let first_output = self.tensors - self.ops;
            if tensor.constant != (self.inputs..first_output).contains(&index) {
                return bad("it is out of order: inputs, constants, then one output per layer");
            }
            let limit = if tensor.constant {
                self.image.len() as u64
            } else {
                self.arena_bytes.into()
            };
            if !tensor.offset.is_multiple_of(ALIGN)
                || u64::from(tensor.offset) + u64::from(tensor.bytes) > limit
            {
                return bad("it is misaligned or outside the arena or the image");
            }
            let across = tensor.offset < self.near_bytes && self.near_bytes < tensor.end();
            if across && !tensor.constant {
                return bad("it lies across the arena's two parts");
            }
        }
        Ok(())
    }

    fn check_ops(&self) -> Result<(), ImageError> {
        let mut offset = 0;
        for index in 0..self.ops {
            let decoded = Op::decode(self, index, offset, Depth::Arrays);
            let op = match &decoded {
                Ok(op) => op,
                Err(refusal) => return Err(refusal.of(index)),
            };
            if self.name_at(op.name).is_none() {
                let reason = "the name is not UTF-8";
                return Err(ImageError::Op { index, reason });
            }
            offset += op.length;
        }
        if offset != self.op_bytes {
            return Err(ImageError::Header {
                reason: "there is more after the last layer",
            });
        }
        Ok(())
    }

    /// The image's CRC-32, which tells models apart.
    pub fn id(&self) -> u32 {
        self.checksum
    }

    /// The model's name.
    pub fn name(&self) -> &'a str {
        self.name_at(self.name).unwrap_or_default()
    }

    /// The image's own bytes, without what follows it in memory.
    pub fn image(&self) -> &'a [u8] {
        self.image
    }

    /// Bytes of arena that a run needs; a multiple of 16.
    pub fn arena_bytes(&self) -> u32 {
        self.arena_bytes
    }

    /// So many of them, the first, may be in another memory than the rest ([`crate::Arena::in_two`]); a
    /// multiple of 16. 0: all of them must be in one.
    pub fn near_bytes(&self) -> u32 {
        self.near_bytes
    }

    /// The arithmetic it is quantized for.
    pub fn arithmetic(&self) -> Arithmetic {
        self.arithmetic
    }

    /// Whether a run leaves the inputs unchanged in the arena.
    pub fn keeps_inputs(&self) -> bool {
        self.flags & FLAG_KEEPS_INPUTS != 0
    }

    /// Number of tensors.
    pub fn tensor_count(&self) -> usize {
        self.tensors.into()
    }

    /// Tensor `index`.
    pub fn tensor(&self, index: usize) -> Option<Tensor<'a>> {
        (index < usize::from(self.tensors)).then_some(())?;
        self.read_tensor(index)
    }

    /// The inputs, in ONNX order.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = Tensor<'a>> + use<'a> {
        let model = *self;
        (0..usize::from(self.inputs)).map(move |i| model.tensor_or_nothing(i))
    }

    /// The outputs, in ONNX order.
    pub fn outputs(&self) -> impl ExactSizeIterator<Item = Tensor<'a>> + use<'a> {
        let model = *self;
        (0..usize::from(self.outputs))
            .map(move |i| model.tensor_or_nothing(model.output_tensor(i).unwrap_or_default()))
    }

    /// The layers, in the order of execution.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = Layer<'a>> + use<'a> {
        let model = *self;
        let mut offset = 0;
        (0..self.ops).map(move |index| {
            let op = Op::decode(&model, index, offset, Depth::Record);
            offset += op.as_ref().map_or(0, |op| op.length);
            Layer {
                index: index.into(),
                name: (op.as_ref().ok())
                    .and_then(|op| model.name_at(op.name))
                    .unwrap_or_default(),
                kind: op.as_ref().map_or(OpKind::Reshape, |op| op.kind),
                operator: op.as_ref().map_or("", Op::operator),
                input: op.as_ref().map_or(0, |op| op.inputs.first().into()),
                output: usize::from(model.tensors - model.ops + index),
                macs: op.as_ref().map_or(0, |op| op.macs()),
            }
        })
    }

    /// Where to write input `index` in an arena of one piece, as stored. `None` if there is no such input or
    /// the arena is too small.
    pub fn input_mut<'m>(&self, arena: &'m mut [Block16], index: usize) -> Option<&'m mut [u8]> {
        (index < usize::from(self.inputs)).then_some(())?;
        let tensor = self.tensor(index)?;
        memory::bytes_mut(arena).get_mut(tensor.offset as usize..tensor.end() as usize)
    }

    /// Output `index` after a run in an arena of one piece, as stored. `None` if there is no such output or
    /// the arena is too small, or if the output is a constant.
    pub fn output<'m>(&self, arena: &'m [Block16], index: usize) -> Option<&'m [u8]> {
        (index < usize::from(self.outputs)).then_some(())?;
        let tensor = self.tensor(self.output_tensor(index)?)?;
        (!tensor.constant).then_some(())?;
        slice(memory::bytes(arena), tensor.offset, tensor.bytes)
    }

    /// The tensor that layer `index` writes. `None` if there is no such layer.
    pub fn layer_output(&self, index: usize) -> Option<Tensor<'a>> {
        (index < usize::from(self.ops)).then_some(())?;
        self.tensor(usize::from(self.tensors - self.ops) + index)
    }

    /// Tensor index of output `index`.
    pub fn output_tensor(&self, index: usize) -> Option<usize> {
        let list = self.slice(self.output_list, u32::from(self.outputs) * 2)?;
        let [low, high] = *list.as_chunks().0.get(index)?;
        Some(u16::from_le_bytes([low, high]).into())
    }

    /// The model with a copy of its image, at a multiple of 16. `None` if it is none.
    pub fn moved<'c>(&self, copy: &'c [u8]) -> Option<Model<'c>> {
        (copy == self.image).then_some(Model {
            image: copy,
            copied: &[],
            copied_at: u32::MAX,
            ..*self
        })
    }

    /// The model, of whose image the last bytes are read from a copy, at a multiple of 16. `None` if it is none
    /// of them.
    pub fn partly_moved(self, copy: &'a [u8]) -> Option<Self> {
        let at = self.image.len().checked_sub(copy.len())?;
        let equal = self.image.get(at..)? == copy && at.is_multiple_of(ALIGN as usize);
        equal.then_some(Self {
            copied: copy,
            copied_at: u32::try_from(at).ok()?,
            ..self
        })
    }

    // In place: each layer takes eight or more.
    #[inline(always)]
    pub(crate) fn slice(&self, offset: u32, length: u32) -> Option<&'a [u8]> {
        match offset.checked_sub(self.copied_at) {
            Some(offset) => slice(self.copied, offset, length),
            // What begins in front of the copy is read from the image to its end.
            None => slice(self.image, offset, length),
        }
    }

    pub(crate) fn op_record(&self, offset: u32) -> Option<&'a [u8]> {
        // The table is in the image.
        let bytes = self.op_bytes.checked_sub(offset)?;
        let rest = self.image.get((self.op_table + offset) as usize..)?;
        rest.get(..bytes as usize)
    }

    pub(crate) fn name_at(&self, reference: u32) -> Option<&'a str> {
        let names = self.slice(self.names, self.name_bytes)?;
        let mut fields = Fields::new(names.get(usize::try_from(reference).ok()?..)?);
        let length = fields.u16()?;
        core::str::from_utf8(slice(fields.rest(), 0, length.into())?).ok()
    }

    fn tensor_or_nothing(&self, index: usize) -> Tensor<'a> {
        // Only memory that changes under a parsed model leads to the second arm.
        self.tensor(index).unwrap_or(Tensor {
            name: "",
            element: Element::I8,
            exponent: 0,
            storage: Storage::AsOnnx,
            bytes: 0,
            offset: 0,
            constant: false,
            rank: 0,
            dims: &[1; MAX_RANK],
        })
    }

    fn read_tensor(&self, index: usize) -> Option<Tensor<'a>> {
        let (tensor, name) = self.record(index)?;
        let name = self.name_at(name)?;
        Some(Tensor { name, ..tensor })
    }

    /// Tensor `index` without its name, which takes longer to check than all the rest.
    // In place: as a function it would copy the tensor three times.
    #[inline(always)]
    pub(crate) fn bare_tensor(&self, index: usize) -> Option<Tensor<'a>> {
        self.record(index).map(|(tensor, _)| tensor)
    }

    /// The record of tensor `index`.
    #[inline(never)]
    pub(crate) fn tensor_words(&self, index: usize) -> Option<&'a [u32; WORDS]> {
        (index < self.tensors.into()).then_some(())?;
        // The table is in the image. Records are whole words, from a multiple of 16 on.
        let at = self.tensor_table as usize + index * TENSOR_BYTES as usize;
        words(self.image.get(at..)?)
    }

    /// The image from `offset` on.
    #[inline(never)]
    pub(crate) fn from(&self, offset: u32) -> Option<&'a [u8]> {
        match offset.checked_sub(self.copied_at) {
            Some(offset) => self.copied.get(offset as usize..),
            None => self.image.get(offset as usize..),
        }
    }

    /// A tensor, but for its name, and where that is.
    #[inline(always)]
    fn record(&self, index: usize) -> Option<(Tensor<'a>, u32)> {
        let &[name, offset, bytes, what, rank, ref dims @ ..] = self.tensor_words(index)?;
        let [element, exponent, constant, storage] = what.to_le_bytes();
        let [rank, ..] = rank.to_le_bytes();
        (usize::from(rank) <= MAX_RANK).then_some(())?;
        let tensor = Tensor {
            name: "",
            element: Element::from_code(element)?,
            exponent: exponent.cast_signed(),
            constant: match constant {
                0 => false,
                1 => true,
                _ => return None,
            },
            storage: match storage {
                0 => Storage::AsOnnx,
                1 => Storage::ChannelsLast,
                _ => return None,
            },
            bytes,
            offset,
            rank,
            dims: dims.first_chunk()?,
        };
        Some((tensor, name))
    }
}
