//! Tasks cut into runs for the unit's model give the bits of the portable kernels.
#![cfg(feature = "model")]

mod task;

use std::collections::BTreeMap;

use fixpoint_runtime::accelerator::{Accelerator, Convolution, Sums};
use fixpoint_vector::{Model, Vector};
use task::{Random, Task, draw};

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
        let done = unit.convolve_i8(&task.task(), output.get_mut());
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
            unit.convolve_i16(&task.task(), output.get_mut()),
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
        let (upper, lower) = output.get_mut().split_at_mut(half as usize * task.row());
        let mut part = |rows, output| {
            let whole = task.task();
            unit.convolve_i8(&Convolution { rows, ..whole }, output)
        };
        let done = [part(0..half, upper), part(half..task.rows(), lower)];
        assert_eq!(done[0], done[1], "{}", task.name);
        if done[0] {
            parts += 1;
            assert_eq!(output.get(), task.expected().get(), "{}", task.name);
        }
        let whole = task.task();
        let beyond = Convolution {
            rows: 1..task.rows() + 1,
            ..whole
        };
        assert!(
            !unit.convolve_i8(&beyond, output.get_mut()),
            "{}",
            task.name
        );
    }
    assert!(parts > 200, "{parts}");
}
