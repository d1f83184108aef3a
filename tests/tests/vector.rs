//! The suite with convolutions cut into runs for a vector unit, and the unit's model: the bits of
//! the oracle, and every kernel is met.
#![cfg(not(target_arch = "wasm32"))]

use std::collections::BTreeMap;

use fixpoint_runtime::AlignedBytes;
use fixpoint_tests::runner::arena_bytes;
use fixpoint_tests::{cases, run_vectors};
use fixpoint_vector::{Kernel, Model, Run, Unit, Vector};

/// The model, counting its kernels by element width and whether lanes were split.
#[derive(Default)]
struct Counting(BTreeMap<(u8, String, bool), usize>);

impl Counting {
    fn count(&mut self, bits: u8, kernel: Kernel, run: &Run) {
        let key = (bits, format!("{kernel:?}"), run.split > 0);
        *self.0.entry(key).or_default() += 1;
    }
}

impl Unit for Counting {
    unsafe fn run_i8(&mut self, kernel: Kernel, run: &Run) {
        self.count(8, kernel, run);
        // SAFETY: the caller's promise.
        unsafe { Model.run_i8(kernel, run) }
    }

    unsafe fn run_i16(&mut self, kernel: Kernel, run: &Run) {
        self.count(16, kernel, run);
        // SAFETY: the caller's promise.
        unsafe { Model.run_i16(kernel, run) }
    }
}

#[test]
fn the_units_model_has_the_oracles_bits() {
    let cases = cases::all();
    let vectors = AlignedBytes::new(&cases::encode(&cases));
    let arena = arena_bytes(vectors.as_ref()).expect("vectors");
    let mut arena = AlignedBytes::zeroed(arena as usize);
    let mut unit = Vector(Counting::default());
    let summary = run_vectors(vectors.as_ref(), arena.blocks_mut(), &mut unit)
        .unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(summary.passed as usize, cases.len(), "{summary:?}");
    println!("{:#?}", unit.0.0);
    for bits in [8, 16] {
        for kernel in [
            Kernel::Point,
            Kernel::Aligned,
            Kernel::Unaligned,
            Kernel::Depthwise3x3,
            Kernel::DepthwiseAligned,
            Kernel::DepthwiseUnaligned,
        ] {
            let key = (bits, format!("{kernel:?}"), false);
            assert!(unit.0.0.contains_key(&key), "{key:?} is never met");
        }
    }
    for kernel in [Kernel::Aligned, Kernel::Unaligned] {
        let key = (8, format!("{kernel:?}"), true);
        assert!(unit.0.0.contains_key(&key), "{key:?} is never met");
    }
}
