//! 16-byte aligned memory, and the only casts between bytes and elements.

use core::ptr;

use crate::bytes::slice;
use crate::image::Tensor;
use fixpoint_kernels::Window;

/// Sixteen bytes at an address that is a multiple of 16: what the chip's vector unit loads at once.
///
/// An arena is a slice of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct Block16(pub [u8; 16]);

impl Block16 {
    pub const ZERO: Self = Self([0; 16]);
}

/// Where a tensor's bytes are.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) offset: u32,
    pub(crate) bytes: u32,
    pub(crate) constant: bool,
}

impl Place {
    fn end(&self) -> u32 {
        self.offset.saturating_add(self.bytes)
    }
}

/// Memory for a model's tensors: in one piece, or with what lies behind [`crate::Model::near_bytes`] in
/// another memory, larger and slower.
#[derive(Debug, Default)]
pub struct Arena<'a> {
    near: &'a mut [u8],
    far: &'a mut [u8],
}

impl<'a> From<&'a mut [Block16]> for Arena<'a> {
    fn from(whole: &'a mut [Block16]) -> Self {
        Self::in_two(whole, &mut [])
    }
}

impl<'a> Arena<'a> {
    /// `near` are the first bytes of the arena, `far` the rest.
    pub fn in_two(near: &'a mut [Block16], far: &'a mut [Block16]) -> Self {
        Self {
            near: bytes_mut(near),
            far: bytes_mut(far),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.near.len() + self.far.len()
    }

    /// The bytes of a tensor that isn't constant; `None` if they aren't in it, or not in one piece.
    pub fn tensor(&self, tensor: &Tensor<'_>) -> Option<&[u8]> {
        self.at(tensor.place())
    }

    pub(crate) fn at(&self, tensor: Place) -> Option<&[u8]> {
        let far = tensor.offset.checked_sub(self.near.len() as u32);
        let (memory, offset) = match far {
            Some(offset) => (&*self.far, offset),
            None => (&*self.near, tensor.offset),
        };
        let here = !tensor.constant;
        here.then(|| slice(memory, offset, tensor.bytes)).flatten()
    }

    /// The same, to be written.
    pub fn tensor_mut(&mut self, tensor: &Tensor<'_>) -> Option<&mut [u8]> {
        self.split(tensor.place()).map(|(_, output)| output)
    }

    /// The bytes of an op's input and output, whose offsets and lengths these are. There are none of an input that
    /// shares some with the output.
    #[inline(always)]
    pub(crate) fn pair(
        &mut self,
        input: (u32, u32),
        output: (u32, u32),
    ) -> Option<(Option<&[u8]>, &mut [u8])> {
        let near = (self.near.len() as u32, self.near.as_mut_ptr());
        let far = (self.far.len() as u32, self.far.as_mut_ptr());
        let y = find(near, far, output.0, output.1);
        (!y.is_null()).then_some(())?;
        let x = find(near, far, input.0, input.1);
        let (start, end) = (x.addr(), y.addr());
        let [bytes, outputs] = [input.1, output.1].map(|bytes| bytes as usize);
        let apart = start + bytes <= end || end + outputs <= start;
        // SAFETY: both are in memory that is borrowed for as long as they are, and have no byte in common.
        unsafe {
            let x = (apart && !x.is_null()).then(|| core::slice::from_raw_parts(x, bytes));
            Some((x, core::slice::from_raw_parts_mut(y, outputs)))
        }
    }

    /// The bytes of an op's output, and all others.
    #[inline(always)]
    pub(crate) fn split(&mut self, output: Place) -> Option<(Others<'_>, &mut [u8])> {
        let near = self.near.len() as u32;
        let is_far = output.offset >= near;
        let (memory, other) = match is_far {
            true => (&mut *self.far, &*self.near),
            false => (&mut *self.near, &*self.far),
        };
        let start = if is_far { near } else { 0 };
        let offset = output.offset.checked_sub(start)?;
        let (before, rest) = memory.split_at_mut_checked(offset as usize)?;
        let (bytes, after) = rest.split_at_mut_checked(output.bytes as usize)?;
        let others = Others {
            before,
            after,
            other,
            start,
            offset: output.offset,
            end: output.end(),
            near,
        };
        (!output.constant).then_some((others, bytes))
    }
}

/// Where so many bytes of an arena of two memories are, if they are in one of them, or null.
#[inline(never)]
fn find(near: (u32, *mut u8), far: (u32, *mut u8), offset: u32, bytes: u32) -> *mut u8 {
    let ((length, start), offset) = match offset.checked_sub(near.0) {
        Some(offset) => (far, offset),
        None => (near, offset),
    };
    match length.checked_sub(offset) {
        Some(rest) if rest >= bytes => start.wrapping_add(offset as usize),
        _ => ptr::null_mut(),
    }
}

/// An arena without an op's output.
pub(crate) struct Others<'a> {
    /// In the output's memory, in front of it and behind it.
    before: &'a [u8],
    after: &'a [u8],
    /// The other memory.
    other: &'a [u8],
    /// Where the output's memory begins in the arena.
    start: u32,
    /// The output.
    offset: u32,
    end: u32,
    /// Where the far memory begins.
    near: u32,
}

impl<'a> Others<'a> {
    /// `None` if the tensor is in the output's own memory.
    #[inline(always)]
    pub(crate) fn tensor(&self, tensor: Place) -> Option<&'a [u8]> {
        let is_far = tensor.offset >= self.near;
        let (memory, start) = if is_far != (self.offset >= self.near) {
            (self.other, if is_far { self.near } else { 0 })
        } else if tensor.end() <= self.offset {
            (self.before, self.start)
        } else {
            (self.after, self.end)
        };
        slice(memory, tensor.offset.checked_sub(start)?, tensor.bytes)
    }
}

/// The bytes of an arena.
pub fn bytes(blocks: &[Block16]) -> &[u8] {
    // SAFETY: `Block16` is sixteen initialised bytes without padding (`repr(C)`, size 16).
    unsafe { core::slice::from_raw_parts(blocks.as_ptr().cast(), size_of_val(blocks)) }
}

/// The bytes of an arena, to be written.
pub fn bytes_mut(blocks: &mut [Block16]) -> &mut [u8] {
    // SAFETY: as in `bytes`, and every byte pattern is a valid `Block16`.
    unsafe { core::slice::from_raw_parts_mut(blocks.as_mut_ptr().cast(), size_of_val(blocks)) }
}

/// An integer that any bytes are.
///
/// # Safety
///
/// Implemented only for integers: no padding, every bit pattern valid.
pub(crate) unsafe trait Integer: Copy + 'static {}
// SAFETY: a primitive integer.
unsafe impl Integer for i8 {}
// SAFETY: a primitive integer.
unsafe impl Integer for i16 {}
// SAFETY: a primitive integer.
unsafe impl Integer for u16 {}
// SAFETY: a primitive integer.
unsafe impl Integer for u32 {}
// SAFETY: a primitive integer.
unsafe impl Integer for i32 {}
// SAFETY: a primitive integer.
unsafe impl Integer for i64 {}

/// Bytes as little-endian integers; `None` if misaligned or not a whole number of them.
pub(crate) fn integers<T: Integer>(bytes: &[u8]) -> Option<&[T]> {
    // SAFETY: `Integer` admits any bytes; `align_to` sees to alignment and length.
    match unsafe { bytes.align_to() } {
        ([], integers, []) => Some(integers),
        _ => None,
    }
}

/// The first words of bytes; `None` if misaligned or fewer.
#[inline(always)]
pub(crate) fn words<const N: usize>(bytes: &[u8]) -> Option<&[u32; N]> {
    let words: *const [u32; N] = bytes.as_ptr().cast();
    let there = words.is_aligned() && size_of::<[u32; N]>() <= bytes.len();
    // SAFETY: they are there, aligned, and any bytes are words.
    there.then(|| unsafe { &*words })
}

/// The window that words of a record stand for: its fields are theirs.
#[inline(always)]
pub(crate) fn window(words: &[u32; 5]) -> &Window {
    const { assert!(size_of::<Window>() == 20 && align_of::<Window>() == 4) };
    // SAFETY: ten 16-bit integers in the order of a record (`repr(C)`), as large and aligned as the words; any
    // bytes are such.
    unsafe { &*core::ptr::from_ref(words).cast() }
}

/// [`integers`], to be written.
pub(crate) fn integers_mut<T: Integer>(bytes: &mut [u8]) -> Option<&mut [T]> {
    // SAFETY: as in `integers`, and every value written is valid bytes.
    match unsafe { bytes.align_to_mut() } {
        ([], integers, []) => Some(integers),
        _ => None,
    }
}

#[cfg(target_endian = "big")]
compile_error!("model images are little-endian and are used in place");

/// Owned bytes at a 16-byte aligned address: an image or an arena on a host.
#[cfg(feature = "alloc")]
#[derive(Clone, Debug, Default)]
pub struct AlignedBytes {
    blocks: alloc::vec::Vec<Block16>,
    len: usize,
}

#[cfg(feature = "alloc")]
impl AlignedBytes {
    /// A copy of `source`.
    pub fn new(source: &[u8]) -> Self {
        let mut copy = Self::zeroed(source.len());
        copy.as_mut().copy_from_slice(source);
        copy
    }

    /// `len` zero bytes.
    pub fn zeroed(len: usize) -> Self {
        Self {
            blocks: alloc::vec![Block16::ZERO; len.div_ceil(16)],
            len,
        }
    }

    /// The blocks, for use as an arena.
    pub fn blocks_mut(&mut self) -> &mut [Block16] {
        &mut self.blocks
    }

    /// The blocks.
    pub fn blocks(&self) -> &[Block16] {
        &self.blocks
    }
}

#[cfg(feature = "alloc")]
impl AsRef<[u8]> for AlignedBytes {
    fn as_ref(&self) -> &[u8] {
        &bytes(&self.blocks)[..self.len]
    }
}

#[cfg(feature = "alloc")]
impl AsMut<[u8]> for AlignedBytes {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut bytes_mut(&mut self.blocks)[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_apart_and_in_the_arena() {
        let (mut near, mut far) = ([Block16::ZERO; 4], [Block16::ZERO; 2]);
        let [first, second] = [near.as_ptr().addr(), far.as_ptr().addr()];
        let mut arena = Arena::in_two(&mut near, &mut far);
        // Where input and output begin, of 64 bytes in the first memory and 32 in the second.
        let mut pair = |input, output| {
            let (x, y) = arena.pair(input, output)?;
            let x = x.map(|x| (x.as_ptr().addr(), x.len()));
            Some((x, (y.as_ptr().addr(), y.len())))
        };
        let found = pair((0, 16), (16, 48));
        assert_eq!(found, Some((Some((first, 16)), (first + 16, 48))));
        let found = pair((48, 16), (0, 48));
        assert_eq!(found, Some((Some((first + 48, 16)), (first, 48))));
        let found = pair((64, 32), (0, 64));
        assert_eq!(found, Some((Some((second, 32)), (first, 64))));
        // The same memory, or some of it.
        assert_eq!(pair((0, 48), (0, 48)), Some((None, (first, 48))));
        assert_eq!(pair((0, 17), (16, 16)), Some((None, (first + 16, 16))));
        assert_eq!(pair((79, 2), (64, 16)), Some((None, (second, 16))));
        // Outside of either.
        assert_eq!(pair((80, 17), (64, 16)), Some((None, (second, 16))));
        for output in [(48, 17), (96, 1), (80, 17), (u32::MAX, 2), (1, u32::MAX)] {
            assert_eq!(pair((0, 1), output), None, "{output:?}");
        }
    }
}
