//! Ops that move elements, and interpolation.

use super::{Body, Checked, Inputs, RESERVED, Reader, SHORT, same_exponent};
use crate::format::Arithmetic;
use crate::image::Tensor;
use fixpoint_kernels::RANK;
use fixpoint_kernels::rearrange::Axis;
use fixpoint_kernels::resize::{Between, WEIGHT_BITS};

impl<'a> Reader<'_, 'a> {
    pub(super) fn rearrange(
        &mut self,
        input: &Tensor<'a>,
        output: &Tensor<'a>,
    ) -> Checked<Body<'a>> {
        same_exponent(input, output)?;
        let start = self.fields.u32().ok_or(SHORT)?.cast_signed();
        let fill = self.i16()?;
        if self.fields.u16().ok_or(SHORT)? != 0 {
            return Err(RESERVED);
        }
        let (least, most) = input.element.range();
        if !(least..=most).contains(&fill.into()) {
            return Err("the fill is out of range");
        }
        let (mut sizes, mut axes) = ([1; RANK], [Axis::Step(0); RANK]);
        let mut elements = 1u64;
        // First and last place in the input that is read.
        let (mut low, mut high) = (i64::from(start), i64::from(start));
        for (size, axis) in sizes.iter_mut().zip(&mut axes) {
            *size = self.fields.u32().ok_or(SHORT)?;
            let step = self.fields.u32().ok_or(SHORT)?.cast_signed();
            let table = self.fields.u32().ok_or(SHORT)?;
            elements = elements.saturating_mul((*size).into());
            if elements == 0 || elements > output.elements().into() {
                return Err("the sizes disagree with the output");
            }
            if table == 0 {
                *axis = Axis::Step(step);
                let reach = i64::from(step) * (i64::from(*size) - 1);
                low += reach.min(0);
                high += reach.max(0);
            } else {
                let entries: &[i32] = self.integers(table, *size)?;
                let read = || entries.iter().copied().filter(|entry| *entry >= 0);
                *axis = Axis::Table(entries);
                low += i64::from(read().min().unwrap_or(0));
                high += i64::from(read().max().unwrap_or(0));
            }
        }
        if elements != u64::from(output.elements()) {
            return Err("the sizes disagree with the output");
        }
        if low < 0 || high >= input.elements().into() {
            return Err("it reads outside the input");
        }
        Ok(Body::Rearrange {
            start,
            fill,
            sizes,
            axes,
        })
    }

    pub(super) fn concat(&mut self, inputs: &Inputs<'a>, output: &Tensor<'a>) -> Checked<Body<'a>> {
        let axis = self.axis()?;
        let dims = output.stored();
        let mut length = 0u64;
        for at in 0..inputs.len() {
            let input = inputs.get(self.model, at).ok_or(SHORT)?;
            let part = input.stored();
            if (0..RANK).any(|other| other != axis && part[other] != dims[other]) {
                return Err("the shapes differ along another axis");
            }
            if self.model.arithmetic() != Arithmetic::Fixpoint {
                same_exponent(&input, output)?;
            }
            length += u64::from(part[axis]);
        }
        if length != u64::from(dims[axis]) {
            return Err("the inputs are not as long as the output");
        }
        Ok(Body::Concat {
            inner: dims[axis + 1..].iter().product::<u32>() as usize,
            axis,
        })
    }

    pub(super) fn resize_linear(
        &mut self,
        input: &Tensor<'a>,
        output: &Tensor<'a>,
    ) -> Checked<Body<'a>> {
        let shapes = input.hwc().zip(output.hwc());
        let (from, to) = shapes.ok_or("input and output must be channels-last")?;
        if from.c != to.c {
            return Err("interpolation keeps the number of channels");
        }
        if self.model.arithmetic() != Arithmetic::Fixpoint && !cfg!(feature = "espdl") {
            return Err("interpolation exists in the fixpoint arithmetic only");
        }
        let shift = 2 * WEIGHT_BITS as i32 + i32::from(output.exponent) - i32::from(input.exponent);
        if !(-16..=62).contains(&shift) {
            return Err("the exponents of input and output are too far apart");
        }
        let rows = self.fields.u32().ok_or(SHORT)?;
        let columns = self.fields.u32().ok_or(SHORT)?;
        let between = |offset, count: u32, limit: u32| {
            let (entries, _) = self
                .integers::<u16>(offset, count.checked_mul(3).ok_or("an array is too large")?)?
                .as_chunks();
            let outside = |[first, second, weight]: &Between| {
                u32::from(*first.max(second)) >= limit || *weight > 1 << WEIGHT_BITS
            };
            if entries.iter().any(outside) {
                return Err("a row or column is outside the input");
            }
            Ok(entries)
        };
        Ok(Body::ResizeLinear(
            from,
            between(rows, to.h, from.h)?,
            between(columns, to.w, from.w)?,
        ))
    }
}
