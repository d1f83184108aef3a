//! Ops with weights, products of activations, and pools.

use super::{
    Activation, Body, Bounds, Checked, Depth, Linear, RESERVED, Reader, SHORT, Sliding, taps,
};
use crate::format::{ALIGN, Accumulator, Arithmetic, Element, OpKind, SHIFT_RANGE, Sums};
use crate::image::Tensor;
use crate::memory::window;
use fixpoint_kernels::fixpoint::Leak;
use fixpoint_kernels::linear::{Direction, Sweep};
use fixpoint_kernels::{Hwc, Shifts, Slopes, Window};

/// Largest pooling window, so that a sum of 16-bit elements fits 32 bits.
pub(super) const MAX_POOL_AREA: u64 = 1 << 16;

/// Bytes of a linear part.
const LINEAR_BYTES: usize = 36;

/// Most products of 8-bit elements whose sums fit 32 bits with room to spare.
const MAX_INNER_I8: u32 = 1 << 16;

/// How many weights and outputs a linear op has.
struct Size {
    element: Element,
    /// Weights of one output channel.
    each: u32,
    channels: u32,
    /// Whether the kind may have more than one.
    groups: bool,
}

impl<'a> Reader<'_, 'a> {
    pub(super) fn convolution(
        &mut self,
        kind: OpKind,
        input: &Tensor<'a>,
        output: &Tensor<'a>,
    ) -> Checked<Body<'a>> {
        let linear = self.fields;
        self.fields.skip(LINEAR_BYTES).ok_or(SHORT)?;
        let (direction, s) = match kind {
            OpKind::ConvTranspose2d => (Direction::Transposed, self.sliding(output, input)?),
            _ => (Direction::Forward, self.sliding(input, output)?),
        };
        let (shape, out) = match direction {
            Direction::Forward => (s.input, s.output),
            Direction::Transposed => (s.output, s.input),
        };
        self.fields = linear;
        let size = Size {
            element: input.element,
            each: taps(&s.window)
                .checked_mul(shape.c)
                .ok_or("the filter is too large")?,
            channels: out.c,
            groups: true,
        };
        let (linear, groups) = self.linear(&size)?;
        if !shape.c.is_multiple_of(groups) {
            return Err("the input channels are not a whole number of groups");
        }
        let sweep = Sweep {
            window: s.window,
            direction,
            groups: groups as usize,
        };
        Ok(Body::Conv2d(linear, sweep, shape, out))
    }

    pub(super) fn depthwise(
        &mut self,
        input: &Tensor<'a>,
        output: &Tensor<'a>,
    ) -> Checked<Body<'a>> {
        let linear = self.fields;
        self.fields.skip(LINEAR_BYTES).ok_or(SHORT)?;
        let sliding = self.sliding(input, output)?;
        if sliding.input.c != sliding.output.c {
            return Err("a depthwise convolution keeps the number of channels");
        }
        self.fields = linear;
        let (linear, _) = self.linear(&Size {
            element: input.element,
            each: taps(&sliding.window),
            channels: sliding.output.c,
            groups: false,
        })?;
        Ok(Body::DepthwiseConv2d(linear, sliding))
    }

    pub(super) fn fully_connected(
        &mut self,
        input: &Tensor<'a>,
        output: &Tensor<'a>,
    ) -> Checked<Body<'a>> {
        let (linear, _) = self.linear(&Size {
            element: input.element,
            each: input.elements(),
            channels: output.elements(),
            groups: false,
        })?;
        let sweep = Sweep {
            window: Window::new(1, 1),
            direction: Direction::Forward,
            groups: 1,
        };
        let shape = |c| Hwc { h: 1, w: 1, c };
        let (shape, out) = (shape(input.elements()), shape(output.elements()));
        Ok(Body::Conv2d(linear, sweep, shape, out))
    }

    pub(super) fn matmul(
        &mut self,
        a: &Tensor<'a>,
        b: &Tensor<'a>,
        output: &Tensor<'a>,
    ) -> Checked<Body<'a>> {
        let [a0, a1, a2, a3, rows, inner] = a.stored();
        let [b0, b1, b2, b3, depth, columns] = b.stored();
        let [y0, y1, y2, y3, y_rows, y_columns] = output.stored();
        let repeated = |from: u32, to: u32| from == to || from == 1;
        let batches = [(a0, b0, y0), (a1, b1, y1), (a2, b2, y2), (a3, b3, y3)];
        if (depth, y_rows, y_columns) != (inner, rows, columns)
            || !batches
                .iter()
                .all(|(a, b, y)| repeated(*a, *y) && repeated(*b, *y))
        {
            return Err("the shapes of the matrices don't agree");
        }
        let factors = i32::from(a.exponent) + i32::from(b.exponent);
        if !SHIFT_RANGE.contains(&(i32::from(output.exponent) - factors)) {
            return Err("a shift is out of range");
        }
        if self.model.arithmetic() != Arithmetic::Fixpoint {
            return Err("products of matrices exist in the fixpoint arithmetic only");
        }
        if a.element == Element::I8 && inner > MAX_INNER_I8 {
            return Err("more than 65536 products become one");
        }
        Ok(Body::MatMul)
    }

    pub(super) fn average_pool(
        &mut self,
        input: &Tensor<'a>,
        output: &Tensor<'a>,
    ) -> Checked<Body<'a>> {
        mean_shift(input, output)?;
        let sliding = self.pool(input, output)?;
        let count_include_pad = self.flag()?;
        Ok(match sliding.is_global() {
            true => global(sliding.input),
            false => Body::AveragePool(sliding, count_include_pad),
        })
    }

    pub(super) fn global_average_pool(
        &mut self,
        input: &Tensor<'a>,
        output: &Tensor<'a>,
    ) -> Checked<Body<'a>> {
        mean_shift(input, output)?;
        let shape = input.hwc().ok_or("the input must be channels-last")?;
        if output.elements() != shape.c {
            return Err("the output must have one element for each channel");
        }
        if u64::from(shape.h) * u64::from(shape.w) > MAX_POOL_AREA {
            return Err("the window has more than 65536 elements");
        }
        Ok(global(shape))
    }

    pub(super) fn pool(&mut self, input: &Tensor<'a>, output: &Tensor<'a>) -> Checked<Sliding> {
        let sliding = self.sliding(input, output)?;
        if sliding.input.c != sliding.output.c {
            return Err("a pool keeps the number of channels");
        }
        if u64::from(taps(&sliding.window)) > MAX_POOL_AREA {
            return Err("the window has more than 65536 elements");
        }
        Ok(sliding)
    }

    fn sliding(&mut self, input: &Tensor<'a>, output: &Tensor<'a>) -> Checked<Sliding> {
        let window = *window(&self.fields.words().ok_or(SHORT)?);
        let shapes = input.hwc().zip(output.hwc());
        let (input, output) = shapes.ok_or("input and output must be channels-last")?;
        let slides = || window.output(input.h, input.w) == Some((output.h, output.w));
        if self.depth == Depth::Arrays && !slides() {
            return Err("the output's shape disagrees with the window");
        }
        Ok(Sliding {
            window,
            input,
            output,
        })
    }

    /// Also the number of groups.
    fn linear(&mut self, size: &Size) -> Checked<(Linear<'a>, u32)> {
        let [weights, bias, shifts, kinds, rest] = self.fields.words().ok_or(SHORT)?;
        let [layout, bits, shift, proved] = kinds.to_le_bytes();
        let [_, _, parts, each] = rest.to_le_bytes();
        if layout != 1 {
            return Err("the weight layout is unknown");
        }
        let accumulator =
            Accumulator::from_bits(bits).ok_or("the accumulator's width is unknown")?;
        let shift = shift.cast_signed();
        let groups = rest & 0xffff;
        Sums::from_code([proved, parts]).ok_or("what is proved of the sums is unknown")?;
        if groups == 0 || (groups > 1 && !size.groups) || !size.channels.is_multiple_of(groups) {
            return Err("the output channels are not a whole number of groups");
        }

        let too_large = "the filter is too large";
        let lanes = size.element.lanes();
        let padded = (size.channels / groups)
            .checked_next_multiple_of(lanes)
            .and_then(|each| each.checked_mul(groups))
            .ok_or(too_large)?;
        let fixpoint = self.model.arithmetic() == Arithmetic::Fixpoint;
        let narrow = accumulator == Accumulator::Bits32;
        let bias_bytes = if narrow || !fixpoint { 4 } else { 8 };
        let parsing = self.depth == Depth::Arrays;
        let bytes = |each: u32, of: u32| match parsing {
            true => each.checked_mul(padded)?.checked_mul(of),
            false => Some(each.wrapping_mul(padded).wrapping_mul(of)),
        };
        let weight_bytes = bytes(size.each / groups, size.element.bytes()).ok_or(too_large)?;
        let weights = self.array(weights, weight_bytes)?;
        let bias = self.array(bias, bytes(1, bias_bytes).ok_or(too_large)?)?;
        let top = if narrow { 31 } else { *SHIFT_RANGE.end() };
        let in_range = |shift: &i8| (*SHIFT_RANGE.start()..=top).contains(&i32::from(*shift));
        let shifts = if shifts == 0 {
            Shifts::Uniform(shift)
        } else {
            Shifts::PerChannel(self.integers(shifts, padded)?)
        };
        let all = match &shifts {
            Shifts::Uniform(shift) => core::slice::from_ref(shift),
            Shifts::PerChannel(shifts) => shifts,
        };
        if self.depth == Depth::Arrays && !all.iter().all(in_range) {
            return Err("a shift is out of range");
        }
        let activation = self.activation(size.element, padded)?;
        let offset = self.fields.u32().ok_or(SHORT)?;
        if each > 0 {
            // A record is no longer than sixteen times a byte.
            let length = (padded / lanes).checked_mul(u32::from(each) * ALIGN);
            self.array(offset, length.ok_or(too_large)?)?;
        } else if offset != 0 {
            return Err(RESERVED);
        }
        if fixpoint && let Some(leak) = &activation.leak {
            let all = || all.iter().copied().map(i32::from);
            leak_shifts(leak, all().min(), all().max())?;
        }
        let linear = Linear {
            weights,
            bias,
            shifts,
            accumulator,
            activation,
        };
        Ok((linear, groups))
    }

    /// With a slope for each of `channels`, if there is one for each.
    pub(super) fn activation(
        &mut self,
        element: Element,
        channels: u32,
    ) -> Checked<Activation<'a>> {
        let [offset, what, rest] = self.fields.words().ok_or(SHORT)?;
        let [leak, exponent, ..] = what.to_le_bytes();
        let exponent = exponent.cast_signed();
        let bounds = Bounds::new((what >> 16) as i16, rest as i16, element)?;
        if rest >> 16 != 0 {
            return Err(RESERVED);
        }
        let slopes = match leak {
            0 => None,
            1 => match self.integers(offset, 1)? {
                [slope] => Some(Slopes::Uniform(*slope)),
                _ => return Err(SHORT),
            },
            2 => Some(Slopes::PerChannel(self.integers(offset, channels)?)),
            _ => return Err("the leak is unknown"),
        };
        Ok(Activation {
            leak: slopes.map(|slopes| Leak { slopes, exponent }),
            bounds,
        })
    }
}

/// Products with a slope are shifted by the slope's exponent in addition.
pub(super) fn leak_shifts(leak: &Leak<'_>, least: Option<i32>, most: Option<i32>) -> Checked<()> {
    let in_range = |shift: i32| SHIFT_RANGE.contains(&(shift - i32::from(leak.exponent)));
    if least.is_none_or(in_range) && most.is_none_or(in_range) {
        Ok(())
    } else {
        Err("a shift is out of range")
    }
}

/// Means over all pixels, at most [`MAX_POOL_AREA`]: one after another they are one row, and one window, that may
/// count what is in the padding, as there is none. One more than such a window has are a square.
fn global<'a>(shape: Hwc) -> Body<'a> {
    let pixels = shape.h * shape.w;
    let (h, w) = match u16::try_from(pixels) {
        Ok(pixels) => (1, pixels),
        Err(_) => (1 << 8, 1 << 8),
    };
    let of = |h: u16, w: u16| Hwc {
        h: h.into(),
        w: w.into(),
        c: shape.c,
    };
    let sliding = Sliding {
        window: Window::new(h, w),
        input: of(h, w),
        output: of(1, 1),
    };
    Body::AveragePool(sliding, true)
}

pub(super) fn mean_shift(input: &Tensor<'_>, output: &Tensor<'_>) -> Checked<()> {
    let shift = i32::from(output.exponent) - i32::from(input.exponent);
    if (-31..=46).contains(&shift) {
        Ok(())
    } else {
        Err("the exponents of input and output are too far apart")
    }
}
