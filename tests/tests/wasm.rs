//! The suite in a browser.
#![cfg(target_arch = "wasm32")]

use fixpoint_runtime::Block16;
use fixpoint_tests::run_vectors;
use fixpoint_tests::runner::arena_bytes;
use wasm_bindgen_test::{console_log, wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

static VECTORS: &[u8] = include_bytes!(env!("FIXPOINT_VECTORS_FILE"));

#[wasm_bindgen_test]
fn every_case_has_the_oracles_bits() {
    let mut blocks = vec![Block16::ZERO; VECTORS.len().div_ceil(16)];
    fixpoint_runtime::memory::bytes_mut(&mut blocks)[..VECTORS.len()].copy_from_slice(VECTORS);
    let vectors = fixpoint_runtime::memory::bytes(&blocks);
    let arena = arena_bytes(vectors).expect("vectors") as usize;
    let mut arena = vec![Block16::ZERO; arena / 16];
    let summary =
        run_vectors(vectors, &mut arena, &mut ()).unwrap_or_else(|failure| panic!("{failure}"));
    console_log!("{} cases passed", summary.passed);
    assert!(summary.passed > 200 && summary.skipped == 0, "{summary:?}");
}
