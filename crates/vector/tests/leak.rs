//! Leaky activations by themselves, done by the unit's model, give the bits of the portable kernel.
#![cfg(feature = "model")]

#[allow(dead_code, reason = "made for convolutions")]
mod task;

use fixpoint_kernels::fixpoint::{Leak, leaky};
use fixpoint_kernels::{Element, Limits, Slopes};
use fixpoint_runtime::accelerator::{Accelerator, Bending};
use fixpoint_vector::{Model, Vector};
use task::{Elements, Random};

/// How many elements the unit did.
fn agrees<T: Element + std::fmt::Debug>(
    random: &mut Random,
    bend: fn(&Bending<'_, T>, &mut [T]) -> usize,
) -> usize {
    let channels = random.between(1, 70) as usize;
    let length = channels * random.between(1, 60) as usize;
    let values = |random: &mut Random, count: usize| -> Vec<i16> {
        let extreme = random.pick(&[true, false]);
        let all = T::MIN.into()..=T::MAX.into();
        (0..count)
            .map(|_| match extreme {
                true => random.pick(&[*all.start(), *all.end(), -1, 0, 1]) as i16,
                false => random.between(*all.start(), *all.end()) as i16,
            })
            .collect()
    };
    let x = values(random, length);
    let slopes = values(random, channels);
    let leak = Leak {
        slopes: match random.pick(&[true, false]) {
            true => Slopes::Uniform(slopes[0]),
            false => Slopes::PerChannel(&slopes),
        },
        exponent: random.between(-13, 0) as i8,
    };
    let high = random.pick(&[T::MAX, T::saturate(100)]);
    let low = random.pick(&[T::MIN, T::saturate(0), T::saturate(-3)]);
    let task = Bending {
        leak: &leak,
        channels,
        shift: random.between(-3, 5) as i32,
        limits: Limits { low, high },
    };
    let mut output = Elements::<T>::new(&x);
    let done = bend(&task, output.get_mut());
    for (at, (x, y)) in x.iter().zip(output.get()).enumerate() {
        let exact = leaky(
            (*x).into(),
            task.shift,
            leak.slopes.of(at % channels),
            leak.exponent,
        );
        let expected = match at < done {
            true => task.limits.clamp(exact),
            // Nothing is left half done.
            false => T::saturate((*x).into()),
        };
        assert_eq!(*y, expected, "{at} of {task:?}");
    }
    done
}

#[test]
fn leaks_are_exact() {
    let mut random = Random(71);
    let mut done = [0; 2];
    for _ in 0..3000 {
        let narrow = agrees::<i8>(&mut random, |task, y| Vector(Model).bend_i8(task, y));
        let wide = agrees::<i16>(&mut random, |task, y| Vector(Model).bend_i16(task, y));
        done[0] += usize::from(narrow > 0);
        done[1] += usize::from(wide > 0);
    }
    // The others have less than a vector, or shifts that the unit has no rounding for.
    assert!(done[0] > 2000 && done[1] > 2500, "{done:?}");
}

#[test]
fn slopes_wider_than_elements_are_left_to_the_portable_kernel() {
    let leak = Leak {
        slopes: Slopes::Uniform(128),
        exponent: -7,
    };
    let task = Bending {
        leak: &leak,
        channels: 16,
        shift: 0,
        limits: Limits::ALL,
    };
    let mut output = Elements::<i8>::new(&[-5; 64]);
    assert_eq!(Vector(Model).bend_i8(&task, output.get_mut()), 0);
    assert_eq!(output.get(), [-5; 64]);
}
