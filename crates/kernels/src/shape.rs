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

/// A convolution or pooling window. Pads are in input elements, outside the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
