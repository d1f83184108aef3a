//! The executor: decodes each op, finds its tensors in the arena, calls the kernel.

mod direct;
mod linear;
mod moves;
mod requantize;

use self::requantize::requantize;
use crate::accelerator::{Accelerated, Accelerator, Averaging, Combination, Part, Pooling};
use crate::error::{ImageError, RunError};
use crate::format::{Arithmetic, Element, Operation, Reduction};
use crate::image::{Model, Tensor};
use crate::memory::{Arena, Block16, Integer, Others, integers, integers_mut};
use crate::op::{Along, Body, Bounds, Depth, Op};
use fixpoint_kernels::elementwise::{self, Operand, Row};
use fixpoint_kernels::number::{self, round_half_up_shift};
use fixpoint_kernels::shape::repeated_strides;
use fixpoint_kernels::{RANK, fixpoint, lookup, matmul, pool, reduce, resize, softmax};

/// Watches a run, layer by layer.
pub trait Observer {
    /// Before layer `index` is read from the image, and runs.
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

/// How far a run has come: the layer that is next. A run starts at the first one, the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    layer: u16,
    /// Where its record begins.
    record: u32,
}

impl Position {
    /// Layers that have run.
    pub fn layer(self) -> usize {
        self.layer.into()
    }
}

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
    run_on(&mut (), model, arena, observer)
}

/// [`run`] with a target's own kernels: the same bits.
///
/// # Errors
///
/// As [`run`].
pub fn run_on(
    accelerator: &mut dyn Accelerator,
    model: &Model<'_>,
    arena: &mut [Block16],
    observer: &mut impl Observer,
) -> Result<(), RunError> {
    let end = model.ops.into();
    run_to(
        accelerator,
        model,
        &mut arena.into(),
        observer,
        Position::default(),
        end,
    )
    .map(|_| ())
}

/// Part of a run: the layers from `position` up to `end`, with the arena as the layers before left
/// it. Where it has come then; at `end` at once if that lies behind.
///
/// # Errors
///
/// As [`run`].
pub fn run_to(
    accelerator: &mut dyn Accelerator,
    model: &Model<'_>,
    arena: &mut Arena<'_>,
    observer: &mut impl Observer,
    mut position: Position,
    end: usize,
) -> Result<Position, RunError> {
    if model.arithmetic() != Arithmetic::Fixpoint && cfg!(not(feature = "espdl")) {
        return Err(RunError::ArithmeticNotBuilt);
    }
    let need = model.arena_bytes();
    let have = u32::try_from(arena.len()).unwrap_or(u32::MAX);
    if have < need {
        return Err(RunError::ArenaTooSmall { have, need });
    }
    while position.layer < model.ops && position.layer() < end {
        let index = position.layer;
        observer.layer_start(index.into());
        if let Some((length, output)) = direct::run(accelerator, model, position.record, arena) {
            position = Position {
                layer: index + 1,
                record: position.record.saturating_add(length),
            };
            observer.layer_done(index.into(), output);
            continue;
        }
        // Parsing has looked at every element. Not by `?`, which would copy it.
        let decoded = Op::decode(model, index, position.record, Depth::Record);
        let op = match &decoded {
            Ok(op) => op,
            Err(refusal) => return Err(RunError::ImageChanged(refusal.of(index))),
        };
        position = Position {
            layer: index + 1,
            record: position.record + op.length,
        };
        let done = execute_op(accelerator, model, op, arena);
        let output = done.and_then(|()| arena.tensor(&op.output));
        match output {
            Some(output) => observer.layer_done(index.into(), output),
            None => {
                return Err(RunError::ImageChanged(ImageError::Op {
                    index: op.index,
                    reason: "its tensors are not where they were",
                }));
            }
        }
    }
    Ok(position)
}

/// Not generic, so that the kernels are compiled once, here, whatever watches the run.
fn execute_op(
    accelerator: &mut dyn Accelerator,
    model: &Model<'_>,
    op: &Op<'_>,
    arena: &mut Arena<'_>,
) -> Option<()> {
    if let Body::Reshape | Body::Rearrange { .. } = &op.body {
        return moves::moved(model, op, arena);
    }
    match op.first.element {
        Element::I8 => execute::<i8, 16>(accelerator, model, op, arena),
        Element::I16 => execute::<i16, 8>(accelerator, model, op, arena),
    }
}

/// What an op reads.
struct Split<'m> {
    others: Others<'m>,
    model: &'m Model<'m>,
}

impl<'m> Split<'m> {
    /// `None` if the tensor is the output's own memory.
    fn bytes(&self, tensor: &Tensor<'_>) -> Option<&'m [u8]> {
        match tensor.constant {
            true => self.model.slice(tensor.offset, tensor.bytes),
            false => self.others.tensor(tensor.place()),
        }
    }

    /// Likewise.
    fn view<T: Integer>(&self, tensor: &Tensor<'_>) -> Option<&'m [T]> {
        integers(self.bytes(tensor)?)
    }
}

/// `None` if a tensor or array isn't where it must be, which a parsed model rules out.
// By itself: the compiler for the chip gives up on frames that are too large.
#[inline(never)]
fn execute<T, const B: usize>(
    accelerator: &mut dyn Accelerator,
    model: &Model<'_>,
    op: &Op<'_>,
    arena: &mut Arena<'_>,
) -> Option<()>
where
    T: Accelerated + Integer,
{
    let (others, output) = arena.split(op.output.place())?;
    let split = Split { others, model };
    let first = &op.first;
    let a = split.view::<T>(first);
    match &op.body {
        Body::ArgMax(along, last) => {
            return arg_max(a?, along, *last, op.output.element, output);
        }
        Body::Concat { inner, axis } => {
            return moves::concat::<T>(accelerator, &split, op, (*inner, *axis), output);
        }
        _ => {}
    }
    let y = integers_mut::<T>(output)?;
    let out = &op.output;
    let up = i32::from(out.exponent) - i32::from(first.exponent);
    let arithmetic = model.arithmetic();
    match &op.body {
        Body::Conv2d(l, sweep, shape, out) => {
            let task = linear::Convolution::Full(sweep, *shape, *out);
            task.run::<T, B>(arithmetic, l, a?, y)?;
        }
        Body::DepthwiseConv2d(l, sliding) => {
            let task = linear::Convolution::Depthwise(sliding);
            task.run::<T, B>(arithmetic, l, a?, y)?;
        }
        Body::MatMul => {
            let second = op.inputs.get(model, 1)?;
            let (a, b) = (a?, split.view::<T>(&second)?);
            let shift = up - i32::from(second.exponent);
            let finish = |sum| T::saturate(round_half_up_shift(sum, shift));
            // One of the two for each T; a branch that the compiler takes out.
            let product = match size_of::<T>() {
                1 => matmul::matmul::<T, i32>,
                _ => matmul::matmul::<T, i64>,
            };
            let (dims, b_dims) = (first.stored(), second.stored());
            product(a, dims, b, b_dims, y, out.stored(), &finish);
        }
        Body::MaxPool(s) => {
            let task = Pooling {
                input: a?,
                shape: s.input,
                window: &s.window,
                out: s.output,
            };
            if !T::max_pool(accelerator, &task, y) {
                pool::max_pool(task.input, s.input, &s.window, y, s.output);
            }
        }
        Body::AveragePool(s, count_include_pad) => {
            let area = u32::from(s.window.kernel_h) * u32::from(s.window.kernel_w);
            let (a, window, count) = (a?, &s.window, *count_include_pad);
            let task = Averaging {
                pooling: Pooling {
                    input: a,
                    shape: s.input,
                    window,
                    out: s.output,
                },
                count_include_pad: count,
                shift: up,
            };
            if arithmetic == Arithmetic::Fixpoint && T::average_pool(accelerator, &task, y) {
                return Some(());
            }
            with_mean(arithmetic, area, out, up, |mean| {
                if s.is_global() {
                    let channels = s.input.c as usize;
                    let sum = |first: usize, sums: &mut [i32]| {
                        if !T::sum_pixels(accelerator, a, channels, first, sums) {
                            pool::sum_pixels(a, channels, first, sums);
                        }
                    };
                    pool::global_average_pool(s.input, y, sum, mean);
                } else {
                    pool::average_pool(a, s.input, window, count, y, s.output, mean);
                }
            });
        }
        Body::Binary(operation, bounds) => {
            let second = op.inputs.get(model, 1)?;
            let operands = Operands {
                a: (a, *first),
                b: (split.view::<T>(&second), second),
            };
            operands.run(accelerator, arithmetic, *operation, *bounds, y, out)?;
        }
        Body::Requantize(activation) => {
            let channels = first.stored()[RANK - 1] as usize;
            let exponents = (first.exponent, out.exponent);
            requantize(
                accelerator,
                arithmetic,
                activation,
                a,
                exponents,
                channels,
                y,
            )?;
        }
        Body::Lookup(table, step_bits) => {
            let table = integers::<T>(table)?;
            if !T::lookup(accelerator, a, table, *step_bits, y) {
                lookup::lookup_all(a, table, *step_bits, y);
            }
        }
        Body::Softmax(Along { length, inner }) => {
            let (from, to) = (first.exponent, out.exponent);
            softmax::softmax(a?, *length, *inner, from, y, to);
        }
        Body::Reduce(reduction, axes) => {
            let (a, dims) = (a?, first.stored());
            let mut call = |finish: &dyn Fn(i32, u32) -> T| {
                reduce::reduce(*reduction, a, dims, *axes, y, finish);
            };
            match reduction {
                Reduction::Mean => with_mean(
                    arithmetic,
                    first.elements() / out.elements(),
                    out,
                    up,
                    |mean| call(mean),
                ),
                _ => call(&|value, _| T::saturate(round_half_up_shift(value.into(), up))),
            }
        }
        Body::ResizeLinear(shape, rows, columns) => {
            let shift = up + 2 * resize::WEIGHT_BITS as i32;
            resize::resize_linear(a?, *shape, rows, columns, y, shift);
        }
        Body::ArgMax(..) | Body::Concat { .. } | Body::Reshape | Body::Rearrange { .. } => {
            return None;
        }
    }
    Some(())
}

fn arg_max<T: number::Element>(
    input: &[T],
    along: &Along,
    last: bool,
    element: Element,
    output: &mut [u8],
) -> Option<()> {
    let Along { length, inner } = *along;
    match element {
        Element::I8 => {
            let mut y = integers_mut::<i8>(output)?.iter_mut();
            reduce::arg_max(input, length, inner, last, |at| {
                if let Some(y) = y.next() {
                    *y = at as i8;
                }
            });
        }
        Element::I16 => {
            let mut y = integers_mut::<i16>(output)?.iter_mut();
            reduce::arg_max(input, length, inner, last, |at| {
                if let Some(y) = y.next() {
                    *y = at as i16;
                }
            });
        }
    }
    Some(())
}

/// Two operands and what is known of them.
struct Operands<'m, T> {
    a: (Option<&'m [T]>, Tensor<'m>),
    b: (Option<&'m [T]>, Tensor<'m>),
}

impl<T: Accelerated> Operands<'_, T> {
    fn run(
        &self,
        accelerator: &mut dyn Accelerator,
        arithmetic: Arithmetic,
        operation: Operation,
        bounds: Bounds,
        y: &mut [T],
        out: &Tensor<'_>,
    ) -> Option<()> {
        let (ea, eb, ey) = (self.a.1.exponent, self.b.1.exponent, out.exponent);
        let limits = bounds.limits::<T>();
        match arithmetic {
            Arithmetic::Fixpoint => {
                let binary = &fixpoint::Binary::new(operation, ea, eb, ey, limits);
                let (dims, [a, b]) = self.operands(out);
                if let (Some(period_a), Some(period_b)) = (a.period(dims), b.period(dims)) {
                    let task = Combination {
                        binary,
                        a: &Part::new(a.values, period_a),
                        b: &Part::new(b.values, period_b),
                    };
                    if T::combine(accelerator, &task, y) {
                        return Some(());
                    }
                    if period_a == y.len() && period_b == y.len() {
                        let row = |values| Row { values, step: 1 };
                        binary.row(&row(a.values), &row(b.values), y);
                        return Some(());
                    }
                }
                elementwise::rows(dims, a, b, y, &mut |a, b, y| binary.row(&a, &b, y));
            }
            #[cfg(feature = "espdl")]
            Arithmetic::Espdl(_) => {
                use fixpoint_kernels::espdl;
                let binary = espdl::Binary::new(operation, ea, eb, ey, limits);
                let (dims, [a, b]) = self.operands(out);
                elementwise::broadcast(dims, a, b, y, &|a, b| binary.apply(a, b));
            }
            #[cfg(not(feature = "espdl"))]
            Arithmetic::Espdl(_) => return None,
        }
        Some(())
    }

    /// The output's dimensions, and how the operands lie in them.
    fn operands(&self, out: &Tensor<'_>) -> ([u32; RANK], [Operand<'_, T>; 2]) {
        let dims = out.stored();
        let operand = |(values, tensor): (Option<_>, Tensor<'_>)| Operand {
            values,
            strides: repeated_strides(tensor.stored(), dims),
        };
        (dims, [operand(self.a), operand(self.b)])
    }
}

/// Hands the arithmetic's rule for means to `pool`.
fn with_mean<T: number::Element>(
    arithmetic: Arithmetic,
    area: u32,
    output: &Tensor<'_>,
    shift: i32,
    pool: impl FnOnce(&dyn Fn(i32, u32) -> T),
) {
    match arithmetic {
        Arithmetic::Fixpoint => pool(&|sum, count| fixpoint::mean(sum, count, shift)),
        #[cfg(feature = "espdl")]
        Arithmetic::Espdl(_) => {
            let (_, max) = output.element.range();
            let mean = fixpoint_kernels::espdl::Mean::new(area, max, shift);
            pool(&|sum, count| mean.apply(sum, count));
        }
        #[cfg(not(feature = "espdl"))]
        Arithmetic::Espdl(_) => {
            let _ = (area, output);
        }
    }
}
