//! Linear ops: which arithmetic, which accumulator, which kernel.

#[cfg(feature = "espdl")]
use crate::format::EspdlChip;
use crate::format::{Accumulator, Arithmetic};
use crate::memory::{Integer, integers};
use crate::op::{Linear, Sliding};
use fixpoint_kernels::fixpoint::Bias;
use fixpoint_kernels::linear::{Finish, Sweep, conv2d, depthwise_conv2d};
use fixpoint_kernels::{Hwc, fixpoint, number};

/// A convolution whose arithmetic is still to be chosen.
pub(super) enum Convolution<'m> {
    Full(&'m Sweep, Hwc, Hwc),
    Depthwise(&'m Sliding),
}

impl Convolution<'_> {
    /// `None` if an array isn't what it must be, or the arithmetic is not built.
    pub(super) fn run<T: number::Element + Integer, const B: usize>(
        &self,
        arithmetic: Arithmetic,
        linear: &Linear<'_>,
        input: &[T],
        output: &mut [T],
    ) -> Option<()> {
        let weights = integers::<T>(linear.weights)?;
        let narrow = linear.accumulator == Accumulator::Bits32;
        match arithmetic {
            Arithmetic::Fixpoint => {
                let finish = fixpoint::Linear {
                    bias: bias(linear)?,
                    shifts: linear.shifts,
                    leak: linear.activation.leak,
                    limits: linear.activation.bounds.limits(),
                };
                // Sums of 16-bit products seldom fit 32 bits: code for these that do isn't worth its
                // bytes, and wide sums are as exact.
                if narrow && size_of::<T>() == 1 {
                    self.call::<T, i32, _, B>(input, weights, output, &finish);
                } else {
                    self.call::<T, i64, _, B>(input, weights, output, &finish);
                }
            }
            #[cfg(feature = "espdl")]
            Arithmetic::Espdl(chip) => {
                let finish = espdl_finish(chip, linear, B == 16)?;
                if narrow {
                    self.call::<T, i32, _, B>(input, weights, output, &finish);
                } else {
                    self.call::<T, i64, _, B>(input, weights, output, &finish);
                }
            }
            #[cfg(not(feature = "espdl"))]
            Arithmetic::Espdl(_) => return None,
        }
        Some(())
    }

    fn call<T, A, F, const B: usize>(
        &self,
        input: &[T],
        weights: &[T],
        output: &mut [T],
        finish: &F,
    ) where
        T: number::Element,
        A: number::Accumulator,
        F: Finish<T, A, B>,
    {
        match self {
            Self::Full(sweep, shape, out) => {
                conv2d::<T, A, F, B>(input, *shape, sweep, weights, output, *out, finish);
            }
            Self::Depthwise(Sliding {
                window,
                input: shape,
                output: out,
            }) => {
                depthwise_conv2d::<T, A, F, B>(
                    input, *shape, window, weights, output, *out, finish,
                );
            }
        }
    }
}

/// The biases, in the fixpoint arithmetic.
fn bias<'a>(linear: &Linear<'a>) -> Option<Bias<'a>> {
    Some(match linear.accumulator {
        Accumulator::Bits32 => Bias::Narrow(integers(linear.bias)?),
        Accumulator::Bits40 | Accumulator::Bits64 => Bias::Wide(integers(linear.bias)?),
    })
}

#[cfg(feature = "espdl")]
fn espdl_finish<'a, T: number::Element>(
    chip: EspdlChip,
    linear: &Linear<'a>,
    int8: bool,
) -> Option<fixpoint_kernels::espdl::Linear<'a, T>> {
    use fixpoint_kernels::espdl::{self, Sum};
    Some(espdl::Linear {
        bias: integers(linear.bias)?,
        shifts: linear.shifts,
        leak: linear.activation.leak,
        limits: linear.activation.bounds.limits(),
        sum: match (chip, int8) {
            (EspdlChip::S3, true) => Sum::Clip20,
            (EspdlChip::S3, false) => Sum::Clip40,
            (EspdlChip::C, _) => Sum::Wrap32,
        },
    })
}
