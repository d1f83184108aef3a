//! The suite with convolutions cut into runs for a vector unit, and the unit's model: the bits of
//! the oracle, and every kernel is met.
#![cfg(not(target_arch = "wasm32"))]

use std::collections::BTreeMap;

use fixpoint_runtime::AlignedBytes;
use fixpoint_runtime::format::Element;
use fixpoint_tests::runner::arena_bytes;
use fixpoint_tests::{cases, run_vectors};
use fixpoint_vector::{
    Column, Combine, ElementUnit, Kernel, LONG, Mean, Model, Run, Spread, Stretch, Unit, Vector,
    Windowed,
};

/// The model, counting its kernels by element and how split lanes join.
#[derive(Default)]
struct Counting(BTreeMap<String, usize>);

impl Unit for Counting {
    unsafe fn run(&mut self, element: Element, kernel: Kernel, run: &mut Run) {
        let join = match (run.kept, run.join_shift) {
            _ if !kernel.splits() => "",
            (0, LONG) => " long",
            (0, _) => " long, with a rest",
            _ => " short",
        };
        let key = format!("{element:?} {kernel:?}{join}");
        *self.0.entry(key).or_default() += 1;
        if kernel == Kernel::AlignedSplit
            && run.part_pieces != 0
            && !run.part_vectors.is_multiple_of(run.vectors)
        {
            self.count(element, "AlignedSplit across pieces");
        }
        // SAFETY: the caller's promise, as below.
        if let Some(staging) = unsafe { run.staging.as_ref() } {
            let rows = if staging.rows > 1 { "rows" } else { "row" };
            *self.0.entry(format!("Staged {rows}")).or_default() += 1;
        }
        if run.blocks > 1 {
            self.count(element, &format!("{kernel:?} of several blocks"));
        }
        // SAFETY: the caller's promise.
        unsafe { Model.run(element, kernel, run) }
        if (kernel.is_3x3() || kernel == Kernel::DepthwiseFives) && run.blocks > 0 {
            self.count(element, &format!("{kernel:?} up to another kind"));
        }
    }

    unsafe fn clear(&mut self, to: *mut u8, vectors: u32) {
        // SAFETY: the caller's promise.
        unsafe { Model.clear(to, vectors) }
    }
}

impl Counting {
    fn count(&mut self, element: Element, kernel: &str) {
        *self.0.entry(format!("{element:?} {kernel}")).or_default() += 1;
    }
}

impl ElementUnit for Counting {
    unsafe fn combine_i8(&mut self, kernel: Combine, stretch: &Stretch) {
        self.count(Element::I8, &format!("{kernel:?}"));
        // SAFETY: the caller's promise.
        unsafe { Model.combine_i8(kernel, stretch) }
    }

    unsafe fn combine_i16(&mut self, kernel: Combine, stretch: &Stretch) {
        self.count(Element::I16, &format!("{kernel:?}"));
        // SAFETY: the caller's promise.
        unsafe { Model.combine_i16(kernel, stretch) }
    }

    unsafe fn max_i8(&mut self, window: &Windowed) {
        self.count(Element::I8, "Max");
        // SAFETY: the caller's promise.
        unsafe { Model.max_i8(window) }
    }

    unsafe fn max_i16(&mut self, window: &Windowed) {
        self.count(Element::I16, "Max");
        // SAFETY: the caller's promise.
        unsafe { Model.max_i16(window) }
    }

    unsafe fn mean_i8(&mut self, window: &Windowed, mean: &Mean) {
        self.count(Element::I8, "Mean");
        // SAFETY: the caller's promise.
        unsafe { Model.mean_i8(window, mean) }
    }

    unsafe fn mean_i16(&mut self, window: &Windowed, mean: &Mean) {
        self.count(Element::I16, "Mean");
        // SAFETY: the caller's promise.
        unsafe { Model.mean_i16(window, mean) }
    }

    unsafe fn lookup_i8(
        &mut self,
        x: *const i8,
        table: *const i8,
        y: *mut i8,
        vectors: u32,
        room: *mut Spread,
    ) {
        self.count(Element::I8, "Lookup");
        // SAFETY: the caller's promise.
        unsafe { Model.lookup_i8(x, table, y, vectors, room) }
    }

    unsafe fn lookup_i16(
        &mut self,
        x: *const i16,
        table: *const i16,
        y: *mut i16,
        count: u32,
        step_bits: u32,
    ) {
        self.count(Element::I16, "Lookup");
        // SAFETY: the caller's promise.
        unsafe { Model.lookup_i16(x, table, y, count, step_bits) }
    }

    unsafe fn sum_i8(&mut self, column: &mut Column) {
        self.count(Element::I8, "Pixels");
        // SAFETY: the caller's promise.
        unsafe { Model.sum_i8(column) }
    }

    unsafe fn sum_i16(&mut self, column: &mut Column) {
        self.count(Element::I16, "Pixels");
        // SAFETY: the caller's promise.
        unsafe { Model.sum_i16(column) }
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
    let both = [
        "Point",
        "Aligned",
        "Unaligned",
        "Depthwise3x3",
        "DepthwiseFives",
        "DepthwiseAligned",
        "DepthwiseUnaligned",
    ];
    let split = ["AlignedSplit", "UnalignedSplit", "DepthwiseSplit"];
    let mut keys: Vec<String> = both
        .iter()
        .flat_map(|kernel| [format!("I8 {kernel}"), format!("I16 {kernel}")])
        .collect();
    keys.extend(split.iter().map(|kernel| format!("I8 {kernel} short")));
    keys.extend(
        split
            .iter()
            .map(|kernel| format!("I8 {kernel} long, with a rest")),
    );
    for kernel in [
        "Sum", "Product", "Largest", "Smallest", "Pixels", "Max", "Mean", "Lookup",
    ] {
        keys.extend([format!("I8 {kernel}"), format!("I16 {kernel}")]);
    }
    keys.extend(
        [
            "I8 Nines",
            "I8 PointHalves",
            "I8 PointEights",
            "I8 Depthwise3x3Halves",
            "I16 Depthwise3x3Halves",
            "I8 Depthwise3x3Any",
            "I8 Depthwise3x3Padded",
            "I16 Depthwise3x3Padded",
            "Staged rows",
        ]
        .map(str::to_owned),
    );
    keys.push("I8 AlignedSplit across pieces".to_owned());
    keys.push("I16 DepthwiseFives of several blocks".to_owned());
    for kernel in ["Depthwise3x3", "Depthwise3x3Padded", "DepthwiseFives"] {
        keys.push(format!("I8 {kernel} of several blocks"));
        keys.push(format!("I8 {kernel} up to another kind"));
    }
    keys.push("I8 AlignedSplit long".to_owned());
    keys.push("I8 UnalignedSplit long".to_owned());
    for key in keys {
        assert!(unit.0.0.contains_key(&key), "{key} is never met");
    }
}
