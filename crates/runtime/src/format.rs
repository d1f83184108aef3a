//! The model image format, version 4.
//!
//! An image is one block of little-endian bytes that is executed in place: on the chip from mapped
//! flash, on a host from an aligned buffer. It starts at an address that is a multiple of 16.
//! Every offset below counts from the start of the image, and every array that an offset names
//! starts at a multiple of 16.
//!
//! # Header, 64 bytes
//!
//! | at | type | meaning |
//! |---|---|---|
//! | 0 | 4 bytes | magic, `FXPM` |
//! | 4 | u16 | format version, 4 |
//! | 6 | u16 | header length, 64 |
//! | 8 | u32 | image length in bytes, a multiple of 16; what follows in memory is ignored |
//! | 12 | u32 | CRC-32 (ISO-HDLC) of bytes 0..12 and then 16..length; it also names the image |
//! | 16 | u32 | arena bytes, a multiple of 16 |
//! | 20 | u8 | arithmetic: 0 fixpoint, 1 espdl |
//! | 21 | u8 | chip family of the espdl arithmetic: 0 none, 1 ESP32-S3, 2 C kernels (ESP32, S2, C3) |
//! | 22 | u16 | flags; bit 0: a run leaves the inputs unchanged |
//! | 24 | u16 | number of tensors |
//! | 26 | u16 | number of ops |
//! | 28 | u16 | number of inputs: the first tensors of the table |
//! | 30 | u16 | number of outputs |
//! | 32 | u32 | offset of the tensor table |
//! | 36 | u32 | offset of the op records |
//! | 40 | u32 | length of the op records |
//! | 44 | u32 | offset of the output list: u16 tensor indices |
//! | 48 | u32 | offset of the names |
//! | 52 | u32 | length of the names |
//! | 56 | u32 | the model's name, a name reference |
//! | 60 | u32 | near bytes, a multiple of 16: so many bytes of the arena, the first, may be in another memory than the rest, as no tensor lies across; 0: all must be in one |
//!
//! A *name reference* counts from the start of the names and leads to a u16 length and that many
//! bytes of UTF-8.
//!
//! # Tensor record, 48 bytes
//!
//! | at | type | meaning |
//! |---|---|---|
//! | 0 | u32 | name reference |
//! | 4 | u32 | where: offset in the arena, or in the image for a constant; a multiple of 16 |
//! | 8 | u32 | length in bytes |
//! | 12 | u8 | element: 1 i8, 2 i16 |
//! | 13 | i8 | exponent: real = int * 2^exponent |
//! | 14 | u8 | place: 0 arena, 1 constant |
//! | 15 | u8 | storage: 0 as in ONNX, 1 channels last |
//! | 16 | u8 | rank, 0 to 6 |
//! | 17 | 3 bytes | zero |
//! | 20 | 6 x u32 | ONNX dimensions, then ones up to six |
//! | 44 | u32 | zero |
//!
//! Order of the table: inputs; constants; then the output of each op, in the order of the ops. So a
//! lower index is an earlier value, and nothing can be read before it is written.
//!
//! *Channels last* is for ONNX `(1, C, H, W)`, stored `(H, W, C)`, and `(1, C, L)`, stored
//! `(1, L, C)`. *As in ONNX* is row-major.
//!
//! # Orders of channels
//!
//! The innermost dimension of a tensor that is neither input nor output of the model may be stored in an order of its
//! own. No board needs to know. For people who look at such a tensor, the image then ends with a table (which
//! `fixpoint_quant` reads, and any other reader ignores), all in u16: the number of orders; for each, its number of
//! channels, and for each place which channel of the ONNX file is there; for each tensor of the table above 0, or the
//! number of its order, from 1 on. Behind it are the table's length (u32) and `ORDR`.
//!
//! # Ops and layers
//!
//! An op is what a run does at once. A layer of a net may be several: strips, each of a few rows of its output, which
//! may overlap, between a Rearrange that copies the rows of the first one's input and a Concat that joins those of the
//! last. A reader does nothing else with them. Arrays that strips of a layer have in common are there once.
//!
//! # Op record, a multiple of 16 bytes
//!
//! | at | type | meaning |
//! |---|---|---|
//! | 0 | u16 | kind, see [`OpKind`] |
//! | 2 | u8 | number of inputs |
//! | 3 | u8 | number of outputs, 1 |
//! | 4 | u32 | record length in bytes, this header included |
//! | 8 | u32 | name reference |
//! | 12 | u32 | zero |
//! | 16 | u16 each | tensor indices, inputs then outputs, padded with zero to a multiple of 4 |
//! | .. | | body of the kind, padded with zeros |
//!
//! *Stored dimensions* are those of a tensor in the order of its memory: `(1, H, W, C)` or
//! `(1, L, C)` of a channels-last tensor, else the ONNX dimensions; with ones in front up to six. An
//! *axis* is a place among these six.
//!
//! A *window* is ten u16: kernel, stride, dilation (rows, columns each), pads top, left, bottom,
//! right. An *activation* part is 12 bytes:
//!
//! | at | type | meaning |
//! |---|---|---|
//! | 0 | u32 | offset of the slopes (i16), or 0 without a leak |
//! | 4 | u8 | leak: 0 none, 1 one slope, 2 a slope per channel |
//! | 5 | i8 | exponent of the slopes |
//! | 6 | i16 | smallest result |
//! | 8 | i16 | largest result; with the smallest: saturation, ReLU and Clip |
//! | 10 | u16 | zero |
//!
//! A *linear* part is 36 bytes:
//!
//! | at | type | meaning |
//! |---|---|---|
//! | 0 | u32 | offset of the weights, elements of the input's type |
//! | 4 | u32 | offset of the biases |
//! | 8 | u32 | offset of the per-channel shifts (i8), or 0: one shift |
//! | 12 | u8 | weight layout: 1 blocked |
//! | 13 | u8 | accumulator: 32, 40 or 64 bits |
//! | 14 | i8 | the one shift; 0 when shifts are per channel |
//! | 15 | u8 | what is proved of 8-bit sums: 0 nothing, 1 whole, 2 rows, 3 vectors; see [`Sums`] |
//! | 16 | u16 | groups; 1 where the kind has none |
//! | 18 | u8 | how many rows or vectors, else zero |
//! | 19 | u8 | bytes of a block's record by 16, or 0 without records |
//! | 20 | | activation |
//! | 32 | u32 | offset of the records, or 0 |
//!
//! | kind | inputs | body |
//! |---|---|---|
//! | 1 Conv2D | 1 | linear, window |
//! | 2 DepthwiseConv2D | 1 | linear, window |
//! | 3 FullyConnected | 1 | linear |
//! | 4 MaxPool | 1 | window |
//! | 5 AveragePool | 1 | window, u8: count the padding |
//! | 6 GlobalAveragePool | 1 | |
//! | 7 Binary | 2 | u8 operation, see [`OPERATIONS`]; u8 zero; i16 smallest, i16 largest result |
//! | 8 ConvTranspose2D | 1 | linear, window: that of the convolution from the output's shape to the input's |
//! | 9 Requantize | 1 | activation |
//! | 10 Softmax | 1 | u8: the axis that is normalised |
//! | 11 Reshape | 1 | |
//! | 12 Rearrange | 1 | i32 start, i16 fill, u16 zero, six times: u32 size, i32 step, u32 offset of a table (i32) or 0 |
//! | 13 Lookup | 1 | u32 offset of the table, u8 step bits |
//! | 14 Concat | 1 to 255 | u8 axis |
//! | 15 Reduce | 1 | u8 reduction, see [`REDUCTIONS`]; u8 axes, a bit each |
//! | 16 ArgMax | 1 | u8 axis, u8: the last of equals instead of the first |
//! | 17 MatMul | 2 | |
//! | 18 ResizeLinear | 1 | u32 offset of the rows, u32 offset of the columns |
//!
//! *Binary*: along each axis an operand has the output's size, or 1 and is repeated. *MatMul*:
//! `(.., M, K)` by `(.., K, N)` gives `(.., M, N)` in stored dimensions, operands repeated along the
//! first four axes as in Binary; exponents may differ, sums are exact and shifted once. K is at most 65536 for i8.
//!
//! *Rearrange*: the output is counted through six axes of the sizes given, the last fastest, whose
//! product is its number of elements. The element at `i0..i5` is the input's at
//! `start + offset0(i0) + .. + offset5(i5)`, where an axis' offset is its step times the index, or
//! the table's entry at the index; or the fill where one of these entries is negative. This is
//! Transpose, Slice, Pad, Expand, Gather, DepthToSpace and Resize (nearest).
//!
//! *Lookup*: entry `i` of the table (elements of the input's type) is the result for the element
//! `MIN + i * 2^(step bits)`; between entries it is interpolated, see
//! [`fixpoint_kernels::lookup`]. Step bits are 0 for i8, 0 to 15 for i16.
//!
//! *ResizeLinear*: of channels-last tensors. For each output row (column) three u16: the two input
//! rows it lies between, and the weight of the second in units of 2^-14, at most 2^14.
//!
//! *ArgMax*: the output's exponent is 0, its type the input's or i16, and the axis no longer than
//! that type has positions for.
//!
//! # Arrays of a linear op
//!
//! `B` = 16 for i8 and 8 for i16: the lanes of one vector register. `G` groups, each of `I/G` input
//! and `O/G` output channels; the output channels of a group are padded with zeros to a multiple of
//! `B`, in the weights and in each per-channel array, which hold one group after the other.
//!
//! | layout 1 | order |
//! |---|---|
//! | Conv2D, ConvTranspose2D | `[G][O/G/B][KH][KW][I/G][B]` |
//! | DepthwiseConv2D | `[C/B][KH][KW][B]` |
//! | FullyConnected | `[O/B][I][B]`; `I` in the order in which the input is stored |
//!
//! Biases: in the fixpoint arithmetic i32 with a 32-bit accumulator and i64 with 40 or 64 bits, at
//! exponent in + weight, with the rounding constant `1 << (shift - 1)` already added where
//! shift > 0. In the espdl arithmetic i32 without rounding constant: at the output's exponent, or at
//! in + weight + 4 when shifts are per channel. shift = out - in - weight exponent.
//!
//! *Records*: one for each block of `B` output channels, all of one length, with what the vector unit needs
//! of biases, shifts and limits in the order in which it reads them; [`crate::accelerator::Prepared`]. They say
//! the same as the arrays above, which the portable kernels read. A unit that can't use them doesn't do
//! the layer.
//!
//! # Rules that a reader checks
//!
//! Everything above; every name, table and array inside the image; tensors inside the arena;
//! shapes of an op's tensors agree with its attributes; input and output of Reshape, MaxPool,
//! Rearrange, ArgMax and of Max and Min in Reduce share an exponent, ArgMax' output excepted; shifts
//! within [`SHIFT_RANGE`]; an op's output overlaps none of its inputs in the arena, except: Binary,
//! Requantize, Lookup and Reshape may write exactly over an input of the same length. A constant is
//! never an output. Accumulators are proved wide enough by the writer, and records agree with what they are
//! made of; the reader takes its word, and other numbers come out if it lied.

use core::ops::RangeInclusive;

pub use crate::accelerator::Sums;

pub use fixpoint_kernels::elementwise::Operation;
pub use fixpoint_kernels::reduce::Reduction;

/// First bytes of an image.
pub const MAGIC: [u8; 4] = *b"FXPM";
/// The version that this build writes and reads.
pub const VERSION: u16 = 4;
/// Bytes of the header.
pub const HEADER_BYTES: u32 = 64;
/// Bytes of a tensor record.
pub const TENSOR_BYTES: u32 = 48;
/// Bytes of an op record before the tensor indices.
pub const OP_HEADER_BYTES: u32 = 16;
/// Every array and record starts at a multiple of this.
pub const ALIGN: u32 = 16;
/// Most dimensions of a tensor.
pub const MAX_RANK: usize = fixpoint_kernels::RANK;
/// Header flag: a run leaves the inputs unchanged, so that it can be repeated.
pub const FLAG_KEEPS_INPUTS: u16 = 1;
/// Right shifts (left when negative) that an op may ask for.
pub const SHIFT_RANGE: RangeInclusive<i32> = -31..=62;
/// Largest difference between the exponents of two operands that are added.
pub const MAX_ALIGNMENT: u32 = 46;

/// Operations of Binary; the place is the number that stands for it.
pub const OPERATIONS: [Operation; 5] = [
    Operation::Add,
    Operation::Sub,
    Operation::Mul,
    Operation::Max,
    Operation::Min,
];
/// Reductions of Reduce; the place is the number that stands for it.
pub const REDUCTIONS: [Reduction; 4] = [
    Reduction::Mean,
    Reduction::Sum,
    Reduction::Max,
    Reduction::Min,
];

/// Integer type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    I8,
    I16,
}

impl Element {
    /// Bytes of one element.
    pub fn bytes(self) -> u32 {
        match self {
            Self::I8 => 1,
            Self::I16 => 2,
        }
    }

    /// Elements in a block of sixteen bytes: `B` of the weight layouts.
    pub fn lanes(self) -> u32 {
        ALIGN / self.bytes()
    }

    /// Smallest and largest value.
    pub fn range(self) -> (i32, i32) {
        match self {
            Self::I8 => (i8::MIN.into(), i8::MAX.into()),
            Self::I16 => (i16::MIN.into(), i16::MAX.into()),
        }
    }

    /// The number that stands for it in an image.
    pub const fn code(self) -> u8 {
        match self {
            Self::I8 => 1,
            Self::I16 => 2,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::I8),
            2 => Some(Self::I16),
            _ => None,
        }
    }
}

/// Chips that the ESP-DL arithmetic tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EspdlChip {
    /// ESP32-S3: 20-bit (i8) and 40-bit (i16) accumulators that saturate.
    S3,
    /// ESP32, ESP32-S2, ESP32-C3: C kernels, 32-bit accumulators that wrap.
    C,
}

/// The arithmetic that a model is quantized for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    /// Exact accumulation, one round-half-up shift. What the runtime on the chip executes.
    Fixpoint,
    /// ESP-DL v1: floor shifts, bias at the output's exponent. For prediction on hosts.
    Espdl(EspdlChip),
}

/// How an op's weights are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightLayout {
    /// Output channels in blocks of `B`, see the module's documentation.
    Blocked,
}

/// Width of an op's sums, proved sufficient by the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Accumulator {
    /// `i32`.
    Bits32,
    /// Fits the chip's 40-bit ACCX; `i64` in portable code.
    Bits40,
    /// `i64`.
    Bits64,
}

impl Accumulator {
    /// Its width in bits, which is also the number that stands for it in an image.
    pub fn bits(self) -> u8 {
        match self {
            Self::Bits32 => 32,
            Self::Bits40 => 40,
            Self::Bits64 => 64,
        }
    }

    pub(crate) fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            32 => Some(Self::Bits32),
            40 => Some(Self::Bits40),
            64 => Some(Self::Bits64),
            _ => None,
        }
    }
}

impl Sums {
    /// The numbers that stand for it in an image.
    pub fn code(self) -> [u8; 2] {
        match self {
            Self::Unproved => [0, 0],
            Self::Whole => [1, 0],
            Self::Rows(count) => [2, count],
            Self::Vectors(count) => [3, count],
        }
    }

    pub(crate) fn from_code(code: [u8; 2]) -> Option<Self> {
        match code {
            [0, 0] => Some(Self::Unproved),
            [1, 0] => Some(Self::Whole),
            [2, count @ 1..=u8::MAX] => Some(Self::Rows(count)),
            [3, count @ 1..=u8::MAX] => Some(Self::Vectors(count)),
            _ => None,
        }
    }
}

/// How a tensor is laid out in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Storage {
    /// Row-major in the order of the ONNX dimensions.
    AsOnnx,
    /// ONNX `(1, C, H, W)` stored `(H, W, C)`; `(1, C, L)` stored `(1, L, C)`.
    ChannelsLast,
}

/// What an op computes; the discriminant stands for it in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum OpKind {
    /// Convolution over all input channels, optional fused activation.
    Conv2d = 1,
    /// One filter per channel.
    DepthwiseConv2d = 2,
    /// Every input element to every output.
    FullyConnected = 3,
    /// Largest element of a window; the padding takes no part.
    MaxPool = 4,
    /// Mean of a window.
    AveragePool = 5,
    /// Mean of a whole channel.
    GlobalAveragePool = 6,
    /// Element-wise sum, difference, product or extreme, with repetition.
    Binary = 7,
    /// Convolution whose window slides over the output.
    ConvTranspose2d = 8,
    /// The same value at another exponent; ReLU, Clip, LeakyRelu, PRelu.
    Requantize = 9,
    /// Integer softmax along an axis.
    Softmax = 10,
    /// The same bytes in another shape (also Flatten, Squeeze, ...).
    Reshape = 11,
    /// The input's elements in another order, repeated or left out.
    Rearrange = 12,
    /// A function of one element, as a table.
    Lookup = 13,
    /// Tensors one after another along an axis.
    Concat = 14,
    /// Mean, sum or extreme along some axes.
    Reduce = 15,
    /// Where the largest element is along an axis.
    ArgMax = 16,
    /// Product of two matrices that are both computed.
    MatMul = 17,
    /// Rows and columns interpolated linearly.
    ResizeLinear = 18,
}

impl OpKind {
    /// Every kind, in the order of the codes.
    pub const ALL: [Self; 18] = [
        Self::Conv2d,
        Self::DepthwiseConv2d,
        Self::FullyConnected,
        Self::MaxPool,
        Self::AveragePool,
        Self::GlobalAveragePool,
        Self::Binary,
        Self::ConvTranspose2d,
        Self::Requantize,
        Self::Softmax,
        Self::Reshape,
        Self::Rearrange,
        Self::Lookup,
        Self::Concat,
        Self::Reduce,
        Self::ArgMax,
        Self::MatMul,
        Self::ResizeLinear,
    ];

    pub(crate) fn from_code(code: u16) -> Option<Self> {
        // They are the numbers from 1 on.
        let kind = *Self::ALL.get(usize::from(code.wrapping_sub(1)))?;
        (kind as u16 == code).then_some(kind)
    }

    /// The kind's name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Conv2d => "Conv2D",
            Self::DepthwiseConv2d => "DepthwiseConv2D",
            Self::FullyConnected => "FullyConnected",
            Self::MaxPool => "MaxPool",
            Self::AveragePool => "AveragePool",
            Self::GlobalAveragePool => "GlobalAveragePool",
            Self::Binary => "Binary",
            Self::ConvTranspose2d => "ConvTranspose2D",
            Self::Requantize => "Requantize",
            Self::Softmax => "Softmax",
            Self::Reshape => "Reshape",
            Self::Rearrange => "Rearrange",
            Self::Lookup => "Lookup",
            Self::Concat => "Concat",
            Self::Reduce => "Reduce",
            Self::ArgMax => "ArgMax",
            Self::MatMul => "MatMul",
            Self::ResizeLinear => "ResizeLinear",
        }
    }
}

/// `bytes` rounded up to whole blocks of 16.
pub fn round_up(bytes: u64) -> u64 {
    bytes.next_multiple_of(u64::from(ALIGN))
}

/// CRC-32 of an image: everything but the field that holds it. `None` if shorter than the header.
pub fn checksum(image: &[u8]) -> Option<u32> {
    const CRC: crc::Crc<u32, crc::Table<1>> =
        crc::Crc::<u32, crc::Table<1>>::new(&crc::CRC_32_ISO_HDLC);
    let mut digest = CRC.digest();
    digest.update(image.get(..12)?);
    digest.update(image.get(16..)?);
    Some(digest.finalize())
}
