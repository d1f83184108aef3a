//! The executor: decodes each op, finds its tensors in the arena, calls the kernel.

use crate::error::{ImageError, RunError};
#[cfg(feature = "espdl")]
use crate::format::EspdlChip;
use crate::format::{Accumulator, Arithmetic, Element};
use crate::image::{Model, Tensor};
use crate::memory::{self, Block16, Integer, integers, integers_mut};
use crate::op::{Activation, Body, Linear, Op, Sliding};
use fixpoint_kernels::linear::{Finish, conv2d, depthwise_conv2d};
use fixpoint_kernels::{elementwise, fixpoint, number, pool, softmax, transpose};

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
    if model.arithmetic() != Arithmetic::Fixpoint && cfg!(not(feature = "espdl")) {
        return Err(RunError::ArithmeticNotBuilt);
    }
    let bytes = memory::bytes_mut(arena);
    let need = model.arena_bytes();
    let have = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let bytes = bytes
        .get_mut(..need as usize)
        .ok_or(RunError::ArenaTooSmall { have, need })?;
    let mut offset = 0;
    for index in 0..model.ops {
        let op = Op::decode(model, index, offset).map_err(RunError::ImageChanged)?;
        offset += op.length;
        observer.layer_start(index.into());
        let done = execute_op(model, &op, bytes);
        let output =
            done.and_then(|()| bytes.get(op.output.offset as usize..op.output.end() as usize));
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
    Ok(())
}

/// Not generic, so that the kernels are compiled once, here, whatever watches the run.
fn execute_op(model: &Model<'_>, op: &Op<'_>, arena: &mut [u8]) -> Option<()> {
    match op.output.element {
        Element::I8 => execute::<i8, 16>(model, op, arena),
        Element::I16 => execute::<i16, 8>(model, op, arena),
    }
}

/// The arena, split around an op's output.
struct Split<'m> {
    before: &'m [u8],
    after: &'m [u8],
    output: Tensor<'m>,
    image: &'m [u8],
}

impl<'m> Split<'m> {
    /// `None` if the tensor is the output's own memory.
    fn view<T: Integer>(&self, tensor: &Tensor<'_>) -> Option<&'m [T]> {
        let (memory, start) = if tensor.constant {
            (self.image, tensor.offset)
        } else if tensor.end() <= self.output.offset {
            (self.before, tensor.offset)
        } else {
            (self.after, tensor.offset.checked_sub(self.output.end())?)
        };
        integers(crate::bytes::slice(memory, start, tensor.bytes)?)
    }
}

/// `None` if a tensor or array isn't where it must be, which a parsed model rules out.
fn execute<T, const B: usize>(model: &Model<'_>, op: &Op<'_>, arena: &mut [u8]) -> Option<()>
where
    T: number::Element + Integer,
{
    let (before, rest) = arena.split_at_mut_checked(op.output.offset as usize)?;
    let (output, after) = rest.split_at_mut_checked(op.output.bytes as usize)?;
    let split = Split {
        before,
        after,
        output: op.output,
        image: model.image(),
    };
    let y = integers_mut::<T>(output)?;
    let first = op.inputs[0]?;
    let a = split.view::<T>(&first);
    let up = i32::from(op.output.exponent) - i32::from(first.exponent);
    let arithmetic = model.arithmetic();
    match &op.body {
        Body::Conv2d(linear, sliding) => {
            let task = Convolution {
                input: a?,
                sliding,
                depthwise: false,
            };
            task.run::<B>(arithmetic, linear, y)?;
        }
        Body::DepthwiseConv2d(linear, sliding) => {
            let task = Convolution {
                input: a?,
                sliding,
                depthwise: true,
            };
            task.run::<B>(arithmetic, linear, y)?;
        }
        Body::MaxPool(s) => pool::max_pool(a?, s.input, &s.window, y, s.output),
        Body::AveragePool(s, count_include_pad) => {
            let area = u32::from(s.window.kernel_h) * u32::from(s.window.kernel_w);
            let (a, window, count) = (a?, &s.window, *count_include_pad);
            with_mean(arithmetic, area, &op.output, up, |mean| {
                pool::average_pool(a, s.input, window, count, y, s.output, mean);
            });
        }
        Body::GlobalAveragePool(shape) => {
            let a = a?;
            with_mean(arithmetic, shape.h * shape.w, &op.output, up, |mean| {
                pool::global_average_pool(a, *shape, y, mean);
            });
        }
        Body::Add { relu } => {
            let second = op.inputs[1]?;
            let b = split.view::<T>(&second);
            let (ea, eb, ey) = (first.exponent, second.exponent, op.output.exponent);
            match arithmetic {
                Arithmetic::Fixpoint => {
                    let sum = fixpoint::Add::new(ea, eb, ey, *relu);
                    add(a, b, y, |a, b| sum.apply(a, b));
                }
                #[cfg(feature = "espdl")]
                Arithmetic::Espdl(_) => {
                    let sum = fixpoint_kernels::espdl::Add::new(ea, eb, ey, *relu);
                    add(a, b, y, |a, b| sum.apply(a, b));
                }
                #[cfg(not(feature = "espdl"))]
                Arithmetic::Espdl(_) => return None,
            }
        }
        Body::Requantize { relu } => match arithmetic {
            Arithmetic::Fixpoint => unary(a, y, |x| fixpoint::requantize(x, up, *relu)),
            #[cfg(feature = "espdl")]
            Arithmetic::Espdl(_) => {
                unary(a, y, |x| fixpoint_kernels::espdl::requantize(x, up, *relu));
            }
            #[cfg(not(feature = "espdl"))]
            Arithmetic::Espdl(_) => return None,
        },
        Body::Softmax { group } => {
            softmax::softmax(a?, *group, first.exponent, y, op.output.exponent);
        }
        Body::Reshape => {
            if let Some(a) = a {
                y.copy_from_slice(a);
            }
        }
        Body::Transpose(dims, permutation) => {
            transpose::transpose(a?, *dims, *permutation, y);
        }
    }
    Some(())
}

fn unary<T: Copy>(input: Option<&[T]>, output: &mut [T], f: impl Fn(T) -> T) {
    match input {
        Some(input) => elementwise::unary(input, output, f),
        None => elementwise::unary_in_place(output, f),
    }
}

fn add<T: Copy>(a: Option<&[T]>, b: Option<&[T]>, output: &mut [T], f: impl Fn(T, T) -> T) {
    match (a, b) {
        (Some(a), Some(b)) => elementwise::binary(a, b, output, f),
        (None, Some(b)) => elementwise::binary_in_place(output, b, f),
        (Some(a), None) => elementwise::binary_in_place(output, a, |y, a| f(a, y)),
        (None, None) => elementwise::unary_in_place(output, |x| f(x, x)),
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

/// A convolution whose arithmetic is still to be chosen.
struct Convolution<'m, T> {
    input: &'m [T],
    sliding: &'m Sliding,
    depthwise: bool,
}

impl<T: number::Element + Integer> Convolution<'_, T> {
    fn run<const B: usize>(
        &self,
        arithmetic: Arithmetic,
        linear: &Linear<'_>,
        output: &mut [T],
    ) -> Option<()> {
        let weights = integers::<T>(linear.weights)?;
        let narrow = linear.accumulator == Accumulator::Bits32;
        match arithmetic {
            Arithmetic::Fixpoint => {
                let relu = matches!(linear.activation, Activation::Relu);
                let shifts = linear.shifts;
                if narrow {
                    let bias = integers::<i32>(linear.bias)?;
                    let finish = fixpoint::Linear { bias, shifts, relu };
                    self.call::<i32, _, B>(weights, output, &finish);
                } else {
                    let bias = integers::<i64>(linear.bias)?;
                    let finish = fixpoint::Linear { bias, shifts, relu };
                    self.call::<i64, _, B>(weights, output, &finish);
                }
            }
            #[cfg(feature = "espdl")]
            Arithmetic::Espdl(chip) => {
                let finish = espdl_finish(chip, linear, B == 16)?;
                if narrow {
                    self.call::<i32, _, B>(weights, output, &finish);
                } else {
                    self.call::<i64, _, B>(weights, output, &finish);
                }
            }
            #[cfg(not(feature = "espdl"))]
            Arithmetic::Espdl(_) => return None,
        }
        Some(())
    }

    fn call<A, F, const B: usize>(&self, weights: &[T], output: &mut [T], finish: &F)
    where
        A: number::Accumulator,
        F: Finish<T, A, B>,
    {
        let Sliding {
            window,
            input: shape,
            output: out,
        } = self.sliding;
        let kernel = if self.depthwise {
            depthwise_conv2d::<T, A, F, B>
        } else {
            conv2d::<T, A, F, B>
        };
        kernel(self.input, *shape, window, weights, output, *out, finish);
    }
}

#[cfg(feature = "espdl")]
fn espdl_finish<'a>(
    chip: EspdlChip,
    linear: &Linear<'a>,
    int8: bool,
) -> Option<fixpoint_kernels::espdl::Linear<'a>> {
    use fixpoint_kernels::espdl;
    Some(espdl::Linear {
        bias: integers(linear.bias)?,
        shifts: linear.shifts,
        activation: match linear.activation {
            Activation::None => espdl::Activation::None,
            Activation::Relu => espdl::Activation::Relu,
            Activation::LeakyRelu(slope, exponent) => {
                espdl::Activation::LeakyRelu { slope, exponent }
            }
            Activation::PRelu(slopes, exponent) => espdl::Activation::PRelu { slopes, exponent },
        },
        sum: match (chip, int8) {
            (EspdlChip::S3, true) => espdl::Sum::Clip20,
            (EspdlChip::S3, false) => espdl::Sum::Clip40,
            (EspdlChip::C, _) => espdl::Sum::Wrap32,
        },
    })
}
