//! Ops that compute, without weights.

use super::linear::{MAX_POOL_AREA, leak_shifts, mean_shift};
use super::{Along, Body, Checked, RESERVED, Reader, SHORT, same_exponent, same_length};
use crate::format::{
    Arithmetic, Element, MAX_ALIGNMENT, OPERATIONS, Operation, REDUCTIONS, Reduction, SHIFT_RANGE,
};
use crate::image::Tensor;
use fixpoint_kernels::{RANK, lookup};

impl<'a> Reader<'_, 'a> {
    fn fixpoint(&self) -> bool {
        self.model.arithmetic() == Arithmetic::Fixpoint
    }

    pub(super) fn binary(
        &mut self,
        a: &Tensor<'a>,
        b: &Tensor<'a>,
        output: &Tensor<'a>,
    ) -> Checked<Body<'a>> {
        let code = self.fields.u8().ok_or(SHORT)?;
        let operation = *OPERATIONS
            .get(usize::from(code))
            .ok_or("the operation is unknown")?;
        if self.fields.u8().ok_or(SHORT)? != 0 {
            return Err(RESERVED);
        }
        for operand in [a, b] {
            let dims = operand.stored().into_iter().zip(output.stored());
            if dims.into_iter().any(|(from, to)| from != to && from != 1) {
                return Err("an operand's shape is neither the output's nor repeated");
            }
        }
        let apart = i32::from(a.exponent).abs_diff(b.exponent.into());
        if operation != Operation::Mul && apart > MAX_ALIGNMENT {
            return Err("the exponents of the operands are too far apart");
        }
        if !self.fixpoint() && matches!(operation, Operation::Max | Operation::Min) {
            same_exponent(a, b)?;
        }
        Ok(Body::Binary(operation, self.bounds(output.element)?))
    }

    pub(super) fn requantize(
        &mut self,
        input: &Tensor<'a>,
        output: &Tensor<'a>,
    ) -> Checked<Body<'a>> {
        same_length(input, output)?;
        let channels = input.stored()[RANK - 1];
        // No dimension is beyond 2^31.
        let padded = channels.next_multiple_of(input.element.lanes());
        let activation = self.activation(input.element, padded)?;
        if let Some(leak) = &activation.leak {
            if self.fixpoint() {
                let up = i32::from(output.exponent) - i32::from(input.exponent);
                if !SHIFT_RANGE.contains(&up) {
                    return Err("a shift is out of range");
                }
                leak_shifts(leak, Some(up), None)?;
            } else {
                same_exponent(input, output)?;
            }
        }
        Ok(Body::Requantize(activation))
    }

    pub(super) fn lookup(&mut self, input: &Tensor<'a>, output: &Tensor<'a>) -> Checked<Body<'a>> {
        same_length(input, output)?;
        let offset = self.fields.u32().ok_or(SHORT)?;
        let step_bits = u32::from(self.fields.u8().ok_or(SHORT)?);
        let (bits, most) = match input.element {
            Element::I8 => (8, 0),
            Element::I16 => (16, 15),
        };
        if step_bits > most {
            return Err("the table's steps are too large");
        }
        // At most 65,536 entries.
        let bytes = lookup::entries(bits, step_bits) as u32 * input.element.bytes();
        Ok(Body::Lookup(self.array(offset, bytes)?, step_bits))
    }

    pub(super) fn softmax(&mut self, input: &Tensor<'a>, output: &Tensor<'a>) -> Checked<Body<'a>> {
        same_length(input, output)?;
        if !(-30..=0).contains(&output.exponent) {
            return Err("the output's exponent is not between -30 and 0");
        }
        if !self.fixpoint() && !cfg!(feature = "espdl") {
            return Err("softmax exists in the fixpoint arithmetic only");
        }
        Ok(Body::Softmax(self.along(input)?))
    }

    pub(super) fn reduce(&mut self, input: &Tensor<'a>, output: &Tensor<'a>) -> Checked<Body<'a>> {
        let code = self.fields.u8().ok_or(SHORT)?;
        let reduction = *REDUCTIONS
            .get(usize::from(code))
            .ok_or("the reduction is unknown")?;
        let mask = self.fields.u8().ok_or(SHORT)?;
        if mask >> RANK != 0 {
            return Err("there is no such axis");
        }
        let axes = core::array::from_fn(|axis| mask >> axis & 1 == 1);
        let (mut kept, mut taken) = (1u64, 1u64);
        for (reduced, dim) in axes.iter().zip(input.stored()) {
            *if *reduced { &mut taken } else { &mut kept } *= u64::from(dim);
        }
        if kept != u64::from(output.elements()) {
            return Err("the output's shape disagrees with the axes");
        }
        if taken > MAX_POOL_AREA {
            return Err("more than 65536 elements become one");
        }
        match reduction {
            Reduction::Max | Reduction::Min => same_exponent(input, output)?,
            Reduction::Mean => mean_shift(input, output)?,
            Reduction::Sum => {}
        }
        Ok(Body::Reduce(reduction, axes))
    }

    pub(super) fn arg_max(&mut self, input: &Tensor<'a>, output: &Tensor<'a>) -> Checked<Body<'a>> {
        let Along { length, inner } = self.along(input)?;
        let last = self.flag()?;
        let outputs = input.elements() as usize / length;
        if output.elements() as usize != outputs {
            return Err("the output's shape disagrees with the axis");
        }
        let (_, most) = output.element.range();
        if output.exponent != 0 || length > most.unsigned_abs() as usize + 1 {
            return Err(
                "positions don't fit the output: its exponent is not 0 or its type too small",
            );
        }
        Ok(Body::ArgMax(Along { length, inner }, last))
    }
}
