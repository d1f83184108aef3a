//! Reading an image: [`Model`], its tensors and its layers. The bytes are specified in
//! [`crate::format`].

use crate::error::{ImageError, RunError};
use crate::format::{Arithmetic, Element, MAX_RANK, OpKind, Storage};
use crate::memory::Block16;

/// A validated image. Borrows its bytes; copying a `Model` is cheap.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    image: &'a [u8],
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
    pub(crate) rank: u8,
    pub(crate) dims: [u32; MAX_RANK],
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
        let _ = bytes;
        Err(ImageError::BadMagic)
    }

    /// The image's CRC-32, which tells models apart.
    pub fn id(&self) -> u32 {
        0
    }

    /// The model's name.
    pub fn name(&self) -> &'a str {
        ""
    }

    /// The image's own bytes, without what follows it in memory.
    pub fn image(&self) -> &'a [u8] {
        self.image
    }

    /// Bytes of arena that a run needs; a multiple of 16.
    pub fn arena_bytes(&self) -> u32 {
        0
    }

    /// The arithmetic it is quantized for.
    pub fn arithmetic(&self) -> Arithmetic {
        Arithmetic::Fixpoint
    }

    /// Whether a run leaves the inputs unchanged in the arena.
    pub fn keeps_inputs(&self) -> bool {
        false
    }

    /// Number of tensors.
    pub fn tensor_count(&self) -> usize {
        0
    }

    /// Tensor `index`.
    pub fn tensor(&self, index: usize) -> Option<Tensor<'a>> {
        let _ = index;
        None
    }

    /// The inputs, in ONNX order.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = Tensor<'a>> + use<'a> {
        core::iter::empty()
    }

    /// The outputs, in ONNX order.
    pub fn outputs(&self) -> impl ExactSizeIterator<Item = Tensor<'a>> + use<'a> {
        core::iter::empty()
    }

    /// The layers, in the order of execution.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = Layer<'a>> + use<'a> {
        core::iter::empty()
    }

    /// Where to write input `index` in the arena, as stored. `None` if there is no such input or the
    /// arena is too small.
    pub fn input_mut<'m>(&self, arena: &'m mut [Block16], index: usize) -> Option<&'m mut [u8]> {
        let _ = (arena, index);
        None
    }

    /// Output `index` after a run, as stored. `None` if there is no such output or the arena is too
    /// small.
    pub fn output<'m>(&self, arena: &'m [Block16], index: usize) -> Option<&'m [u8]> {
        let _ = (arena, index);
        None
    }
}

/// Watches a run, layer by layer.
pub trait Observer {
    /// Before layer `index` runs.
    fn layer_start(&mut self, index: usize) {
        let _ = index;
    }

    /// After layer `index` has run; `output` is its output tensor as stored.
    fn layer_done(&mut self, index: usize, output: &[u8]) {
        let _ = (index, output);
    }
}

/// Watches nothing.
impl Observer for () {}

/// Runs the model: inputs are in the arena before, outputs after.
///
/// # Errors
///
/// The arena is too small, or the arithmetic is not compiled in.
pub fn run(
    model: &Model<'_>,
    arena: &mut [Block16],
    observer: &mut impl Observer,
) -> Result<(), RunError> {
    let _ = (model, arena, observer);
    Err(RunError::ArithmeticNotBuilt)
}
