//! Element-wise tasks cut into stretches for the unit's model give the bits of the portable kernels.
#![cfg(feature = "model")]

#[allow(dead_code, reason = "made for convolutions")]
mod task;

use fixpoint_kernels::elementwise::Operation;
use fixpoint_kernels::fixpoint::{Binary, mean};
use fixpoint_kernels::pool::{average_pool, max_pool};
use fixpoint_kernels::{Element, Hwc, Limits, Window};
use fixpoint_runtime::accelerator::{Accelerator, Averaging, Combination, Part, Pooling};
use fixpoint_vector::{Model, Vector};
use task::{Elements, Random};

const OPERATIONS: [Operation; 5] = [
    Operation::Add,
    Operation::Sub,
    Operation::Mul,
    Operation::Max,
    Operation::Min,
];

/// Whether the unit did it.
fn agrees<T: Element + std::fmt::Debug>(
    random: &mut Random,
    combine: fn(&Combination<'_, T>, &mut [T]) -> bool,
) -> bool {
    let operation = random.pick(&OPERATIONS);
    let bits = 8 * size_of::<T>() as i64;
    let [a, b] = [0; 2].map(|_| random.between(-9, 0) as i8);
    let sum = match operation {
        Operation::Mul => i64::from(a + b) + bits - 1,
        _ => i64::from(a.max(b)),
    };
    let out = (sum + random.between(-3, 6)) as i8;
    let high = random.pick(&[T::MAX, T::saturate(6), T::saturate(100)]);
    let low = random.pick(&[T::MIN, T::saturate(0), T::saturate(-3)]);
    let binary = Binary::new(operation, a, b, out, Limits { low, high });

    let period = random.between(1, 70) as usize;
    let repeats = random.between(1, 9) as usize;
    let length = period * repeats;
    let mut values = |count: usize| -> Elements<T> {
        let extreme = random.pick(&[true, false]);
        let values: Vec<i16> = (0..count)
            .map(|_| match extreme {
                true => random
                    .pick(&[T::MIN, T::MAX, T::saturate(-1), T::saturate(0)])
                    .into(),
                false => random.between(T::MIN.into(), T::MAX.into()) as i16,
            })
            .collect();
        Elements::new(&values)
    };
    let (large, small) = (values(length), values(period));
    let place = random.between(0, 3);
    let swap = random.pick(&[true, false]);
    // Of the same size, one repeated, or one in place.
    let other = if place == 0 { &large } else { &small };
    let mut output = Elements::<T>::new(&vec![0; length]);
    let in_place = place > 1 && length > period;
    if in_place {
        output.get_mut().copy_from_slice(large.get());
    }
    let first = Part {
        values: (!in_place).then_some(large.get()),
        period: length,
    };
    let second = Part {
        values: Some(other.get()),
        period: other.get().len(),
    };
    let (a, b) = if swap {
        (&second, &first)
    } else {
        (&first, &second)
    };
    let before = output.get().to_vec();
    let task = Combination {
        binary: &binary,
        a,
        b,
    };
    if !combine(&task, output.get_mut()) {
        assert_eq!(output.get(), before, "touched: {binary:?}");
        return false;
    }
    for (at, y) in output.get().iter().enumerate() {
        let of = |part: &Part<'_, T>| part.values.unwrap_or(large.get())[at % part.period];
        assert_eq!(
            *y,
            binary.apply(of(a), of(b)),
            "{at} of {length}: {binary:?}"
        );
    }
    true
}

#[test]
fn the_model_has_the_portable_bits() {
    let mut random = Random(5);
    let (mut narrow, mut wide) = (0, 0);
    for _ in 0..4000 {
        let done = agrees::<i8>(&mut random, |task, y| Vector(Model).combine_i8(task, y));
        narrow += usize::from(done);
        let done = agrees::<i16>(&mut random, |task, y| Vector(Model).combine_i16(task, y));
        wide += usize::from(done);
    }
    // Products brought up, and what has not one vector, are left to the portable kernels.
    println!("{narrow} and {wide} of 4000");
    assert!(narrow > 2500 && wide > 2500, "{narrow} and {wide}");
}

#[test]
fn sums_over_pixels_are_exact() {
    let mut random = Random(6);
    for _ in 0..400 {
        let channels = random.between(1, 70) as usize;
        let pixels = random.pick(&[1, 2, 9, 100, 4095]);
        let extreme = random.pick(&[true, false]);
        let values: Vec<i16> = (0..channels * pixels)
            .map(|_| {
                if extreme {
                    -128
                } else {
                    random.between(-128, 127) as i16
                }
            })
            .collect();
        let (narrow, wide) = (Elements::<i8>::new(&values), Elements::<i16>::new(&values));
        for first in (0..channels).step_by(16) {
            let count = (channels - first).min(16);
            let expected: Vec<i32> = (first..first + count)
                .map(|c| {
                    values
                        .iter()
                        .skip(c)
                        .step_by(channels)
                        .map(|x| i32::from(*x))
                        .sum()
                })
                .collect();
            let mut sums = vec![1; count];
            assert!(Vector(Model).sum_pixels_i8(narrow.get(), channels, first, &mut sums));
            assert_eq!(sums, expected);
            sums.fill(1);
            assert!(Vector(Model).sum_pixels_i16(wide.get(), channels, first, &mut sums));
            assert_eq!(sums, expected);
        }
        let mut sums = [7];
        if pixels == 4095 {
            let long = Elements::<i8>::new(&vec![-128; 4096 * channels]);
            assert!(!Vector(Model).sum_pixels_i8(long.get(), channels, 0, &mut sums));
            assert_eq!(sums, [7], "touched");
        }
    }
}

#[test]
fn lookups_have_the_portable_bits() {
    let mut random = Random(7);
    for length in (0..100).chain([1000]) {
        let mut draw = |count: usize| -> Vec<i16> {
            (0..count)
                .map(|_| random.between(-128, 127) as i16)
                .collect()
        };
        let (input, table) = (
            Elements::<i8>::new(&draw(length)),
            Elements::<i8>::new(&draw(256)),
        );
        let expected: Vec<i8> = (input.get().iter())
            .map(|x| fixpoint_kernels::lookup::lookup(*x, table.get(), 0))
            .collect();
        let mut output = Elements::<i8>::new(&vec![0; length]);
        assert!(Vector(Model).lookup_i8(Some(input.get()), table.get(), output.get_mut()));
        assert_eq!(output.get(), expected);
        output.get_mut().copy_from_slice(input.get());
        assert!(Vector(Model).lookup_i8(None, table.get(), output.get_mut()));
        assert_eq!(output.get(), expected, "in place");
    }
}

/// Windows over an input, and as many elements.
struct Windows<T> {
    window: Window,
    shape: Hwc,
    out: Hwc,
    input: Elements<T>,
}

impl<T: Element + std::fmt::Debug> Windows<T> {
    fn draw(random: &mut Random) -> Option<Self> {
        let mut draw = |low, high| random.between(low, high) as u16;
        let window = Window::new(draw(1, 4), draw(1, 4))
            .stride(draw(1, 3), draw(1, 3))
            .dilation(draw(1, 3), draw(1, 3))
            .pads(draw(0, 3), draw(0, 3), draw(0, 3), draw(0, 3));
        let (h, w) = (draw(1, 9).into(), draw(1, 9).into());
        let c = random.pick(&[1u32, 3, 7, 8, 12, 16, 17, 24, 32, 37, 48]);
        let (out_h, out_w) = window.output(h, w)?;
        let (low, high) = (T::MIN.into(), T::MAX.into());
        // Of all sizes, or the extremes alone.
        let extremes = [low, high];
        let (first, last) = random.pick(&[(0, 0), (0, 0), (0, 1), (1, 2), (0, 2)]);
        let extremes = &extremes[first..last];
        let values: Vec<i16> = (0..h * w * c)
            .map(|_| match extremes {
                [] => random.between(low, high) as i16,
                _ => random.pick(extremes) as i16,
            })
            .collect();
        Some(Self {
            window,
            shape: Hwc { h, w, c },
            out: Hwc {
                h: out_h,
                w: out_w,
                c,
            },
            input: Elements::new(&values),
        })
    }

    fn task(&self) -> Pooling<'_, T> {
        Pooling {
            input: self.input.get(),
            shape: self.shape,
            window: &self.window,
            out: self.out,
        }
    }

    /// Whether the unit did it: then as `portable` does, else nothing.
    fn agree(&self, unit: impl Fn(&mut [T]) -> bool, portable: impl Fn(&mut [T])) -> bool {
        let length = self.out.h * self.out.w * self.out.c;
        let mut output = Elements::<T>::new(&vec![1; length as usize]);
        let before = output.get().to_vec();
        let (window, shape) = (&self.window, self.shape);
        if !unit(output.get_mut()) {
            assert_eq!(output.get(), before, "touched: {window:?}");
            return false;
        }
        let mut expected = before;
        portable(&mut expected);
        assert_eq!(output.get(), expected, "{window:?} over {shape:?}");
        true
    }
}

/// Whether the unit did it.
fn pools<T: Element + std::fmt::Debug>(
    random: &mut Random,
    pool: fn(&Pooling<'_, T>, &mut [T]) -> bool,
) -> bool {
    let Some(windows) = Windows::<T>::draw(random) else {
        return false;
    };
    let task = windows.task();
    windows.agree(
        |y| pool(&task, y),
        |y| max_pool(task.input, task.shape, task.window, y, task.out),
    )
}

/// Whether the unit did it.
fn averages<T: Element + std::fmt::Debug>(
    random: &mut Random,
    pool: fn(&Averaging<'_, T>, &mut [T]) -> bool,
) -> bool {
    let Some(windows) = Windows::<T>::draw(random) else {
        return false;
    };
    let (count_include_pad, shift) = (random.pick(&[false, true]), random.between(-3, 4) as i32);
    let pooling = windows.task();
    let task = Averaging {
        pooling,
        count_include_pad,
        shift,
    };
    windows.agree(
        |y| pool(&task, y),
        |y| {
            let (x, shape, window, out) =
                (pooling.input, pooling.shape, pooling.window, pooling.out);
            let mean = |sum, count| mean(sum, count, shift);
            average_pool(x, shape, window, count_include_pad, y, out, mean);
        },
    )
}

#[test]
fn means_have_the_portable_bits() {
    let mut random = Random(10);
    let (mut narrow, mut wide) = (0, 0);
    for _ in 0..3000 {
        narrow += usize::from(averages::<i8>(&mut random, |t, y| {
            Vector(Model).average_pool_i8(t, y)
        }));
        wide += usize::from(averages::<i16>(&mut random, |t, y| {
            Vector(Model).average_pool_i16(t, y)
        }));
    }
    println!("{narrow} and {wide} of 3000");
    assert!(narrow > 700 && wide > 700, "{narrow} and {wide}");
}

#[test]
fn windows_have_the_portable_bits() {
    let mut random = Random(8);
    let (mut narrow, mut wide) = (0, 0);
    for _ in 0..3000 {
        narrow += usize::from(pools::<i8>(&mut random, |t, y| {
            Vector(Model).max_pool_i8(t, y)
        }));
        wide += usize::from(pools::<i16>(&mut random, |t, y| {
            Vector(Model).max_pool_i16(t, y)
        }));
    }
    println!("{narrow} and {wide} of 3000");
    assert!(narrow > 700 && wide > 700, "{narrow} and {wide}");
}

#[test]
fn interpolated_lookups_have_the_portable_bits() {
    let mut random = Random(9);
    for step_bits in 1..=13 {
        let mut draw = |count: usize| -> Vec<i16> {
            let extreme = random.pick(&[true, false]);
            (0..count)
                .map(|_| match extreme {
                    true => random.pick(&[i16::MIN, i16::MAX]),
                    false => random.between(i16::MIN.into(), i16::MAX.into()) as i16,
                })
                .collect()
        };
        let entries = fixpoint_kernels::lookup::entries(16, step_bits);
        for _ in 0..4 {
            let mut x = draw(300);
            x.extend([i16::MIN, i16::MAX, -1, 0, 1]);
            let (input, table) = (
                Elements::<i16>::new(&x),
                Elements::<i16>::new(&draw(entries)),
            );
            let expected: Vec<i16> = (x.iter())
                .map(|x| fixpoint_kernels::lookup::lookup(*x, table.get(), step_bits))
                .collect();
            let mut output = Elements::<i16>::new(&x);
            for input in [Some(input.get()), None] {
                let mut unit = Vector(Model);
                assert!(unit.lookup_i16(input, table.get(), step_bits, output.get_mut()));
                assert_eq!(output.get(), expected, "steps of 2^{step_bits}");
                output.get_mut().copy_from_slice(&x);
            }
        }
    }
}
