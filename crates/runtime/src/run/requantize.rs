//! Elements from one exponent to another.

use crate::accelerator::{Accelerated, Accelerator, Bending, Combination, Part};
use crate::format::{Arithmetic, Operation};
use crate::op::Activation;
use fixpoint_kernels::{Limits, elementwise, fixpoint};

/// Whether the accelerator brought elements from one exponent to another, in the fixpoint arithmetic: as half
/// of their sum with themselves. `None` is the output's own memory.
fn rescaled<T: Accelerated>(
    accelerator: &mut dyn Accelerator,
    input: Option<&[T]>,
    output: &mut [T],
    (from, to): (i8, i8),
    limits: Limits<T>,
) -> bool {
    let Some(to) = to.checked_add(1) else {
        return false;
    };
    let both = Part::new(input, output.len());
    let task = Combination {
        binary: &fixpoint::Binary::new(Operation::Add, from, from, to, limits),
        a: &both,
        b: &both,
    };
    T::combine(accelerator, &task, output)
}

/// [`rescaled`], or without it.
#[inline(never)]
pub(super) fn rescale<T: Accelerated>(
    accelerator: &mut dyn Accelerator,
    input: Option<&[T]>,
    output: &mut [T],
    exponents: (i8, i8),
    limits: Limits<T>,
) {
    if !rescaled(accelerator, input, output, exponents, limits) {
        let shift = i32::from(exponents.1) - i32::from(exponents.0);
        unary(input, output, |x| fixpoint::requantize(x, shift, limits));
    }
}

fn unary<T: Copy>(input: Option<&[T]>, output: &mut [T], f: impl Fn(T) -> T) {
    match input {
        Some(input) => elementwise::unary(input, output, f),
        None => elementwise::unary_in_place(output, f),
    }
}

pub(super) fn requantize<T: Accelerated>(
    accelerator: &mut dyn Accelerator,
    arithmetic: Arithmetic,
    activation: &Activation<'_>,
    input: Option<&[T]>,
    exponents: (i8, i8),
    channels: usize,
    output: &mut [T],
) -> Option<()> {
    let limits = activation.bounds.limits::<T>();
    let shift = i32::from(exponents.1) - i32::from(exponents.0);
    let Some(leak) = activation.leak else {
        match arithmetic {
            Arithmetic::Fixpoint => {
                rescale(accelerator, input, output, exponents, limits);
            }
            #[cfg(feature = "espdl")]
            Arithmetic::Espdl(_) => unary(input, output, |x| {
                fixpoint_kernels::espdl::requantize(x, shift, limits)
            }),
            #[cfg(not(feature = "espdl"))]
            Arithmetic::Espdl(_) => return None,
        }
        return Some(());
    };
    if let Some(input) = input {
        output.copy_from_slice(input);
    }
    let task = Bending {
        leak: &leak,
        channels,
        shift,
        limits,
    };
    let done = match arithmetic {
        Arithmetic::Fixpoint => T::bend(accelerator, &task, output),
        Arithmetic::Espdl(_) => 0,
    };
    for (at, y) in output.iter_mut().enumerate().skip(done) {
        let slope = leak.slopes.of(at % channels);
        *y = match arithmetic {
            Arithmetic::Fixpoint => {
                let x = (*y).into();
                limits.clamp(fixpoint::leaky(x, shift, slope, leak.exponent))
            }
            #[cfg(feature = "espdl")]
            Arithmetic::Espdl(_) => {
                let leaked = fixpoint_kernels::espdl::leaky(*y, slope, leak.exponent);
                limits.clamp(leaked.into())
            }
            #[cfg(not(feature = "espdl"))]
            Arithmetic::Espdl(_) => return None,
        };
    }
    Some(())
}
