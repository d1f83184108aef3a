//! Shapes and sliding windows, in elements.

/// A dense activation tensor: rows, columns, channels; channels vary fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hwc {
    pub h: u32,
    pub w: u32,
    pub c: u32,
}

impl Hwc {
    /// Number of elements, or `None` past `u32`.
    pub fn checked_len(self) -> Option<u32> {
        self.h.checked_mul(self.w)?.checked_mul(self.c)
    }
}

/// Most dimensions of a tensor; shapes with fewer have ones in front.
pub const RANK: usize = 6;

/// Offsets of the elements of a strided shape, the last dimension varying fastest.
///
/// The caller sees to it that every offset is within `i32`.
#[derive(Clone, Debug)]
pub struct Walk {
    dims: [u32; RANK],
    strides: [i32; RANK],
    at: [u32; RANK],
    offset: i32,
    left: u32,
}

impl Walk {
    /// Over `dims`, none of them 0; their product fits 32 bits.
    pub fn new(dims: [u32; RANK], strides: [i32; RANK]) -> Self {
        Self {
            dims,
            strides,
            at: [0; RANK],
            offset: 0,
            left: dims
                .iter()
                .fold(1, |product, dim| product.wrapping_mul(*dim)),
        }
    }

    /// `dims` with a last dimension of 1, and the last dimension.
    pub fn rows(mut dims: [u32; RANK]) -> ([u32; RANK], u32) {
        let row = core::mem::replace(&mut dims[RANK - 1], 1);
        (dims, row)
    }

    /// Where the next element is along each dimension.
    pub fn position(&self) -> &[u32; RANK] {
        &self.at
    }
}

impl Iterator for Walk {
    type Item = i32;

    // Once, rather than in every kernel.
    #[inline(never)]
    fn next(&mut self) -> Option<i32> {
        self.left = self.left.checked_sub(1)?;
        let offset = self.offset;
        for axis in (0..RANK).rev() {
            self.at[axis] += 1;
            self.offset = self.offset.wrapping_add(self.strides[axis]);
            if self.at[axis] < self.dims[axis] {
                break;
            }
            let back = self.strides[axis].wrapping_mul(self.dims[axis] as i32);
            self.offset = self.offset.wrapping_sub(back);
            self.at[axis] = 0;
        }
        Some(offset)
    }
}

/// Steps from one element to the next of a dense tensor along each dimension.
pub fn dense_strides(dims: [u32; RANK]) -> [i32; RANK] {
    let mut strides = [1; RANK];
    for axis in (0..RANK - 1).rev() {
        strides[axis] = (dims[axis + 1] as i32).wrapping_mul(strides[axis + 1]);
    }
    strides
}

/// Steps through a dense tensor of `dims` along the dimensions of `out`: 0 where it is repeated.
pub fn repeated_strides(dims: [u32; RANK], out: [u32; RANK]) -> [i32; RANK] {
    let mut strides = dense_strides(dims);
    for (axis, stride) in strides.iter_mut().enumerate() {
        if dims[axis] == 1 && out[axis] != 1 {
            *stride = 0;
        }
    }
    strides
}

/// A convolution or pooling window. Pads are in input elements, outside the input.
// In the order of an image's words, and aligned like them: there it is read in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(4))]
pub struct Window {
    pub kernel_h: u16,
    pub kernel_w: u16,
    pub stride_h: u16,
    pub stride_w: u16,
    pub dilation_h: u16,
    pub dilation_w: u16,
    pub pad_top: u16,
    pub pad_left: u16,
    pub pad_bottom: u16,
    pub pad_right: u16,
}

impl Window {
    /// A window with stride 1, no dilation and no padding.
    pub fn new(kernel_h: u16, kernel_w: u16) -> Self {
        Self {
            kernel_h,
            kernel_w,
            stride_h: 1,
            stride_w: 1,
            dilation_h: 1,
            dilation_w: 1,
            pad_top: 0,
            pad_left: 0,
            pad_bottom: 0,
            pad_right: 0,
        }
    }

    /// Sets the strides (rows, columns).
    pub fn stride(mut self, h: u16, w: u16) -> Self {
        (self.stride_h, self.stride_w) = (h, w);
        self
    }

    /// Sets the dilations (rows, columns).
    pub fn dilation(mut self, h: u16, w: u16) -> Self {
        (self.dilation_h, self.dilation_w) = (h, w);
        self
    }

    /// Sets the pads in ONNX order: top, left, bottom, right.
    pub fn pads(mut self, top: u16, left: u16, bottom: u16, right: u16) -> Self {
        (self.pad_top, self.pad_left) = (top, left);
        (self.pad_bottom, self.pad_right) = (bottom, right);
        self
    }

    /// Output rows and columns for an input of `h` x `w`, rounding down.
    ///
    /// `None` when a kernel, stride or dilation is zero, or the window is larger than the padded input.
    pub fn output(&self, h: u32, w: u32) -> Option<(u32, u32)> {
        let along =
            |size: u32, kernel: u16, stride: u16, dilation: u16, before: u16, after: u16| {
                let reach = u32::from(kernel.checked_sub(1)?)
                    .checked_mul(u32::from(dilation))?
                    .checked_add(1)?;
                let padded = size
                    .checked_add(u32::from(before))?
                    .checked_add(u32::from(after))?;
                if dilation == 0 {
                    return None;
                }
                Some(padded.checked_sub(reach)?.checked_div(u32::from(stride))? + 1)
            };
        Some((
            along(
                h,
                self.kernel_h,
                self.stride_h,
                self.dilation_h,
                self.pad_top,
                self.pad_bottom,
            )?,
            along(
                w,
                self.kernel_w,
                self.stride_w,
                self.dilation_w,
                self.pad_left,
                self.pad_right,
            )?,
        ))
    }
}
