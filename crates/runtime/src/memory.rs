//! 16-byte aligned memory, and the only casts between bytes and elements.

/// Sixteen bytes at an address that is a multiple of 16: what the chip's vector unit loads at once.
///
/// An arena is a slice of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct Block16(pub [u8; 16]);

impl Block16 {
    pub const ZERO: Self = Self([0; 16]);
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
