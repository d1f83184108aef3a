//! Tasks cut into runs for the unit's model give the bits of the portable kernels.
#![cfg(feature = "model")]

mod task;

use std::collections::BTreeMap;
use std::thread;

use fixpoint_kernels::Element;
use fixpoint_kernels::lookup::lookup_all;
use fixpoint_runtime::accelerator::{Accelerator, Convolution, Prepared, Sums};
use fixpoint_vector::{Cores, Job, Model, TwoVectors, Vector};
use task::{Elements, Random, Task, draw};

#[test]
fn the_model_has_the_portable_bits() {
    let mut random = Random(1);
    let mut unit = Vector(Model);
    let mut proved = BTreeMap::new();
    for round in 0..2000 {
        let drawn = draw(&mut random, round, true);
        let task = Task::<i8>::new(&mut random, &drawn);
        let mut output = task.blank();
        let kind = match task.sums() {
            Sums::Unproved => "unproved",
            Sums::Whole => "whole",
            Sums::Rows(_) => "rows",
            Sums::Vectors(_) => "vectors",
        };
        let done = unit.convolve(&task.task(), output.bytes_mut());
        *proved.entry((kind, done)).or_insert(0) += 1;
        if done {
            assert_eq!(output.get(), task.expected().get(), "{}", task.name);
        }
    }
    println!("{proved:?}");
    for kind in ["unproved", "whole", "rows", "vectors"] {
        assert!(proved[&(kind, true)] > 20, "{proved:?}");
    }
    for round in 0..1000 {
        let drawn = draw(&mut random, round, false);
        let task = Task::<i16>::new(&mut random, &drawn);
        let mut output = task.blank();
        assert!(
            unit.convolve(&task.task(), output.bytes_mut()),
            "{}",
            task.name
        );
        assert_eq!(output.get(), task.expected().get(), "{}", task.name);
    }
}

#[test]
fn parts_of_a_task_give_the_bits_of_the_whole() {
    let mut random = Random(2);
    let mut unit = Vector(Model);
    let mut parts = 0;
    for round in 0..600 {
        let drawn = draw(&mut random, round, true);
        let task = Task::<i8>::new(&mut random, &drawn);
        let mut output = task.blank();
        let half = random.between(0, task.rows().into()) as u32;
        let (upper, lower) = output.bytes_mut().split_at_mut(half as usize * task.row());
        let mut part = |rows, output| {
            let whole = task.task();
            unit.convolve(&Convolution { rows, ..whole }, output)
        };
        let done = [part(0..half, upper), part(half..task.rows(), lower)];
        // Nothing is done whatever it is.
        let empty = half == 0 || half == task.rows();
        assert!(empty || done[0] == done[1], "{}", task.name);
        if done == [true; 2] {
            parts += 1;
            assert_eq!(output.get(), task.expected().get(), "{}", task.name);
        }
        let whole = task.task();
        let beyond = Convolution {
            rows: 1..task.rows() + 1,
            ..whole
        };
        assert!(!unit.convolve(&beyond, output.bytes_mut()), "{}", task.name);
    }
    assert!(parts > 200, "{parts}");
}

/// All of it but its last bytes.
fn shorter(bytes: &[u8], by: usize) -> &[u8] {
    &bytes[..bytes.len() - by]
}

#[test]
fn arrays_that_are_too_short_are_refused() {
    let mut random = Random(4);
    let mut unit = Vector(Model);
    let mut points = 0;
    for round in 0..300 {
        let drawn = draw(&mut random, round, false);
        let task = Task::<i16>::new(&mut random, &drawn);
        let mut output = task.blank();
        let whole = task.task();
        points += usize::from(whole.window.kernel_h == 1 && whole.window.kernel_w == 1);
        let prepared = |bytes| Prepared {
            bytes,
            ..whole.prepared
        };
        let mut convolve = |task: Convolution<'_>| unit.convolve(&task, output.bytes_mut());
        let refused = [
            convolve(Convolution {
                input: shorter(whole.input, 2),
                ..whole.clone()
            }),
            convolve(Convolution {
                weights: shorter(whole.weights, 16),
                ..whole.clone()
            }),
            convolve(Convolution {
                prepared: prepared(shorter(whole.prepared.bytes, 16)),
                ..whole.clone()
            }),
            convolve(Convolution {
                input: &whole.input[1..],
                ..whole.clone()
            }),
        ];
        assert_eq!(refused, [false; 4], "{}", task.name);
        let bytes = output.bytes_mut();
        let less = bytes.len() - 2;
        assert!(!unit.convolve(&whole, &mut bytes[..less]), "{}", task.name);
    }
    assert!(points > 10, "{points}");
}

/// Two threads, or the second job given up once and done again.
struct Threads {
    two: bool,
    gives_up: bool,
    shared: usize,
}

impl Cores for Threads {
    fn are_two(&self) -> bool {
        self.two
    }

    fn both(&mut self, first: Job<'_>, second: Job<'_>) {
        self.shared += 1;
        thread::scope(|scope| {
            scope.spawn(&mut *second);
            first();
        });
        if self.gives_up {
            second();
        }
    }
}

fn cores(two: bool, gives_up: bool) -> TwoVectors<Threads, Model> {
    TwoVectors {
        cores: Threads {
            two,
            gives_up,
            shared: 0,
        },
        unit: Model,
        least: 0,
    }
}

#[test]
fn two_cores_have_the_portable_bits() {
    let mut random = Random(3);
    let (mut pair, mut twice) = (cores(true, false), cores(true, true));
    let mut alone = cores(false, false);
    for round in 0..400 {
        for cores in [&mut pair, &mut twice, &mut alone] {
            let drawn = draw(&mut random, round, true);
            let task = Task::<i8>::new(&mut random, &drawn);
            let mut output = task.blank();
            // What the unit doesn't take, it takes in no part either.
            let taken = Vector(Model).convolve(&task.task(), task.blank().bytes_mut());
            let done = cores.convolve(&task.task(), output.bytes_mut());
            assert_eq!(done, taken, "{}", task.name);
            if done {
                assert_eq!(output.get(), task.expected().get(), "{}", task.name);
            }
            let drawn = draw(&mut random, round, false);
            let task = Task::<i16>::new(&mut random, &drawn);
            let mut output = task.blank();
            assert!(cores.convolve(&task.task(), output.bytes_mut()));
            assert_eq!(output.get(), task.expected().get(), "{}", task.name);
        }
    }
    let shared = [pair, twice, alone].map(|cores| cores.cores.shared);
    println!("{shared:?} of 800 tasks were shared");
    assert!(
        shared[0] > 400 && shared[1] > 400 && shared[2] == 0,
        "{shared:?}"
    );
}

/// Elements of any value.
fn elements<T: Element>(random: &mut Random, count: usize) -> Elements<T> {
    let (low, high): (i64, i64) = (T::MIN.into(), T::MAX.into());
    let elements: Vec<i16> = (0..count)
        .map(|_| random.between(low, high) as i16)
        .collect();
    Elements::new(&elements)
}

#[test]
fn lookups_on_two_cores_have_the_portable_bits() {
    let mut random = Random(4);
    let (mut pair, mut twice) = (cores(true, false), cores(true, true));
    let mut alone = cores(false, false);
    for count in (0..70).chain([1000, 1001]) {
        let (x, table) = (
            elements::<i8>(&mut random, count),
            elements(&mut random, 256),
        );
        let (wide, entries) = (
            elements::<i16>(&mut random, count),
            elements(&mut random, 65),
        );
        let mut expected = Elements::<i8>::new(&vec![0; count]);
        lookup_all(Some(x.get()), table.get(), 0, expected.get_mut());
        let mut wide_expected = Elements::<i16>::new(&vec![0; count]);
        lookup_all(Some(wide.get()), entries.get(), 10, wide_expected.get_mut());
        for cores in [&mut pair, &mut twice, &mut alone] {
            let mut y = Elements::<i8>::new(&vec![0; count]);
            assert!(cores.lookup_i8(Some(x.get()), table.get(), y.get_mut()));
            assert_eq!(y.get(), expected.get(), "{count}");
            let mut y = Elements::<i16>::new(&vec![0; count]);
            assert!(cores.lookup_i16(Some(wide.get()), entries.get(), 10, y.get_mut()));
            assert_eq!(y.get(), wide_expected.get(), "{count}");
        }
        for cores in [&mut pair, &mut alone] {
            let mut y = Elements::<i8>::new(&vec![0; count]);
            y.get_mut().copy_from_slice(x.get());
            assert!(cores.lookup_i8(None, table.get(), y.get_mut()));
            assert_eq!(y.get(), expected.get(), "{count} in place");
            let mut y = Elements::<i16>::new(&vec![0; count]);
            y.get_mut().copy_from_slice(wide.get());
            assert!(cores.lookup_i16(None, entries.get(), 10, y.get_mut()));
            assert_eq!(y.get(), wide_expected.get(), "{count} in place");
        }
    }
    let shared = [pair, twice, alone].map(|cores| cores.cores.shared);
    assert!(
        shared[0] > 100 && shared[1] > 50 && shared[2] == 0,
        "{shared:?}"
    );
}

#[test]
#[should_panic = "a core has stopped"]
fn a_lookup_in_place_is_not_begun_again() {
    let mut random = Random(5);
    let (mut x, table) = (elements::<i8>(&mut random, 100), elements(&mut random, 256));
    cores(true, true).lookup_i8(None, table.get(), x.get_mut());
}
