//! The suite on the host, and what must hold for any bytes.
#![cfg(not(target_arch = "wasm32"))]

use fixpoint_quant::image::{Arithmetic, Element, ImageBuilder, Op, Storage, TensorDef};
use fixpoint_runtime::format::checksum;
use fixpoint_runtime::{AlignedBytes, Model, run};
use fixpoint_tests::random::Random;
use fixpoint_tests::runner::arena_bytes;
use fixpoint_tests::{cases, run_vectors};

#[test]
fn every_case_has_the_oracles_bits() {
    let cases = cases::all();
    let vectors = AlignedBytes::new(&cases::encode(&cases));
    let arena = arena_bytes(vectors.as_ref()).expect("vectors");
    let mut arena = AlignedBytes::zeroed(arena as usize);
    let summary = run_vectors(vectors.as_ref(), arena.blocks_mut(), &mut ())
        .unwrap_or_else(|failure| panic!("{failure}"));
    println!("{} cases, {} bytes", cases.len(), vectors.as_ref().len());
    assert_eq!(summary.passed as usize, cases.len(), "{summary:?}");
    assert!(
        cases.len() > 200 && vectors.as_ref().len() <= 7 << 19,
        "{} bytes",
        vectors.as_ref().len()
    );
}

#[test]
fn a_wrong_expectation_is_found() {
    let mut cases = cases::all();
    cases.truncate(5);
    cases[3].outputs[0][0] ^= 1;
    let name = cases[3].name.clone();
    let vectors = AlignedBytes::new(&cases::encode(&cases));
    let mut arena = AlignedBytes::zeroed(1 << 20);
    let failure =
        run_vectors(vectors.as_ref(), arena.blocks_mut(), &mut ()).expect_err("a bit is wrong");
    assert_eq!(failure.case, name);
}

/// As many as there may be, in a row or a square: their mean is 1.5, which rounds up.
#[test]
fn global_pools_are_of_up_to_65536_pixels() {
    for [rows, columns] in [[1, 65536], [65536, 1], [256, 256], [1, 65535]] {
        let tensor = |name: &str, rows, columns| TensorDef {
            name: name.to_owned(),
            dims: vec![1, 1, rows, columns],
            storage: Storage::ChannelsLast,
            element: Element::I8,
            exponent: 0,
        };
        let mut builder = ImageBuilder::new("global", Arithmetic::Fixpoint);
        let x = builder.input(tensor("x", rows, columns));
        let y = builder.op("y", Op::GlobalAveragePool, &[x], tensor("y", 1, 1));
        builder.output(y);
        let image = AlignedBytes::new(&builder.to_bytes().expect("an image"));
        let model = Model::parse(image.as_ref()).expect("an image of ours");
        let mut arena = AlignedBytes::zeroed(model.arena_bytes() as usize);
        let input = model.input_mut(arena.blocks_mut(), 0).expect("an input");
        for (at, x) in input.iter_mut().enumerate() {
            *x = at as u8 % 4;
        }
        run(&model, arena.blocks_mut(), &mut ()).expect("a parsed model runs");
        let output = model.output(arena.blocks(), 0);
        // The last of 65535 is left out: a little less than a half comes off.
        let mean = if columns == 65535 { 1 } else { 2 };
        assert_eq!(output, Some(&[mean][..]), "{rows} x {columns}");
    }
}

/// Parses, and runs if it can be; returns whether it was accepted.
fn survive(bytes: &[u8]) -> bool {
    let image = AlignedBytes::new(bytes);
    let Ok(model) = Model::parse(image.as_ref()) else {
        return false;
    };
    for layer in model.layers() {
        assert!(model.tensor(layer.output).is_some(), "layer {}", layer.name);
    }
    // A mutated header may ask for gigabytes.
    if model.arena_bytes() < 1 << 20 {
        let mut arena = AlignedBytes::zeroed(model.arena_bytes() as usize);
        run(&model, arena.blocks_mut(), &mut ()).expect("a parsed model runs");
        for index in 0..model.outputs().len() {
            let _ = model.output(arena.blocks(), index);
        }
    }
    true
}

fn seal(bytes: &mut [u8]) {
    if let Some(crc) = checksum(bytes)
        && let Some(field) = bytes.get_mut(12..16)
    {
        field.copy_from_slice(&crc.to_le_bytes());
    }
}

#[test]
fn mutated_images_are_refused_or_run() {
    let cases = cases::all();
    let mut random = Random(4);
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..20_000 {
        let mut bytes = cases[round % cases.len()].image.clone();
        for _ in 0..random.between(1, 4) {
            // Half of the hits go where the structure is: the header and the tables at the end.
            let last = bytes.len() as i64 - 1;
            let at = match random.between(0, 3) {
                0 => random.between(0, 63),
                1 | 2 => random.between((last - 600).max(0), last),
                _ => random.between(0, last),
            } as usize;
            bytes[at] = match random.between(0, 3) {
                0 => random.pick(&[0, 1, 0x7f, 0x80, 0xff]),
                1 => bytes[at] ^ (1 << random.between(0, 7)),
                2 => bytes[at].wrapping_add(random.between(-2, 2) as u8),
                _ => random.bits() as u8,
            };
        }
        seal(&mut bytes);
        match survive(&bytes) {
            true => accepted += 1,
            false => refused += 1,
        }
    }
    println!("{accepted} ran, {refused} were refused");
    assert!(accepted > 1000 && refused > 1000);
}

#[test]
fn damaged_and_truncated_images_are_refused() {
    let cases = cases::all();
    for case in cases.iter().step_by(29) {
        assert!(survive(&case.image), "{}", case.name);
        for length in 0..case.image.len() {
            assert!(!survive(&case.image[..length]), "{} at {length}", case.name);
        }
        for at in (0..case.image.len()).step_by(7) {
            let mut bytes = case.image.clone();
            bytes[at] ^= 0x10;
            assert!(!survive(&bytes), "{} with byte {at} changed", case.name);
        }
    }
}

#[test]
fn a_misaligned_image_and_a_small_arena_are_told() {
    let image = &cases::all()[0].image;
    let mut shifted = AlignedBytes::zeroed(image.len() + 1);
    shifted.as_mut()[1..].copy_from_slice(image);
    assert_eq!(
        Model::parse(&shifted.as_ref()[1..]).err(),
        Some(fixpoint_runtime::ImageError::Misaligned)
    );
    let image = AlignedBytes::new(image);
    let model = Model::parse(image.as_ref()).expect("an image");
    assert!(run(&model, &mut [], &mut ()).is_err());
    assert!(model.input_mut(&mut [], 0).is_none());
}

#[test]
fn what_the_quantizer_lets_grow_fits_the_place_of_a_model() {
    let slots: Vec<u32> = (fixpoint_flash::partition::default_layout().iter())
        .filter(|partition| partition.kind == fixpoint_flash::partition::MODEL_TYPE)
        .map(|partition| partition.size)
        .collect();
    let sector = fixpoint_protocol::slot::RECORD_SECTOR;
    assert!(
        slots
            .iter()
            .all(|size| *size - sector == fixpoint_quant::image::MODEL_ROOM)
    );
    assert_eq!(slots.len(), 2);
}
