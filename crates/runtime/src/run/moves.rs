//! Ops that put elements elsewhere.

use super::Split;
use super::requantize::rescale;
use crate::accelerator::{Accelerated, Accelerator};
use crate::image::{Model, Tensor};
use crate::memory::{Arena, Block16, Integer, bytes_mut, integers, integers_mut};
use crate::op::{Body, Op};
use fixpoint_kernels::{Limits, rearrange};

/// Ops that move bytes, of whichever elements.
pub(super) fn moved(model: &Model<'_>, op: &Op<'_>, arena: &mut Arena<'_>) -> Option<()> {
    let (others, output) = arena.split(op.output.place())?;
    let input = Split { others, model }.bytes(&op.first);
    match &op.body {
        Body::Rearrange {
            start,
            fill,
            sizes,
            axes,
        } => {
            let width = op.first.element.bytes() as usize;
            let fill = fill.to_le_bytes();
            rearrange::rearrange(input?, width, *start, *sizes, axes, fill, output);
        }
        _ => {
            if let Some(input) = input {
                output.copy_from_slice(input);
            }
        }
    }
    Some(())
}

/// Blocks of memory for the rows of Concat.
const ROOM: usize = 64;

/// The inputs side by side along an axis that has `inner` elements behind it. The espdl arithmetic has
/// them all at one exponent.
pub(super) fn concat<T: Accelerated + Integer>(
    accelerator: &mut dyn Accelerator,
    split: &Split<'_>,
    op: &Op<'_>,
    (inner, axis): (usize, usize),
    output: &mut [u8],
) -> Option<()> {
    let along = |tensor: &Tensor<'_>| tensor.stored()[axis] as usize * inner;
    let (out, width) = (&op.output, size_of::<T>());
    let row = along(out);
    let mut at = 0;
    for input in 0..op.inputs.len() {
        let input = op.inputs.get(split.model, input)?;
        let part = along(&input);
        let x = split.bytes(&input)?;
        if input.exponent == out.exponent {
            rearrange::insert(x, part * width, output, row * width, at * width);
        } else {
            let exponents = (input.exponent, out.exponent);
            let x = integers::<T>(x)?;
            // Several rows at once, so many that the next ones begin at a multiple of 16 bytes again.
            let bytes = part * width;
            let mut rows = ROOM * 16 / bytes;
            if !bytes.is_multiple_of(16) {
                rows -= rows % 16;
            }
            if rows > 1 {
                let mut room = [Block16::ZERO; ROOM];
                let lines = output.chunks_mut(rows * row * width);
                for (x, y) in x.chunks(rows * part).zip(lines) {
                    let room = bytes_mut(&mut room).get_mut(..size_of_val(x))?;
                    rescale(
                        accelerator,
                        Some(x),
                        integers_mut(room)?,
                        exponents,
                        Limits::ALL,
                    );
                    rearrange::insert(room, bytes, y, row * width, at * width);
                }
            } else {
                let y = integers_mut::<T>(output)?.chunks_exact_mut(row);
                for (x, y) in x.chunks_exact(part).zip(y) {
                    let y = y.get_mut(at..at + part)?;
                    rescale(accelerator, Some(x), y, exponents, Limits::ALL);
                }
            }
        }
        at += part;
    }
    Some(())
}
