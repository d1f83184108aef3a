//! A model image written by hand from the format's specification: two inputs of 3 x 20 x 30 elements (i16),
//! `total = relu(a + b)` over the memory of `a`, `half = total / 2`. Outputs: `half`, `total`.

use fixpoint_runtime::format::{VERSION, checksum};

pub(crate) const DIMS: [u32; 4] = [1, 3, 20, 30];
pub(crate) const BYTES: usize = 3 * 20 * 30 * 2;
pub(crate) const ARENA_BYTES: usize = 3 * BYTES;

/// The image; its CRC is its id.
pub(crate) fn image() -> Vec<u8> {
    in_two(0)
}

/// The same, of whose arena so many bytes, the first, may be in another memory than the rest.
pub(crate) fn in_two(near: usize) -> Vec<u8> {
    let mut names = Vec::new();
    let mut name = |text: &str| {
        let at = names.len() as u32;
        names.extend((text.len() as u16).to_le_bytes());
        names.extend(text.as_bytes());
        at
    };
    let bytes = BYTES as u32;
    let tensors = [
        (name("a"), 0, -4i8),
        (name("b"), bytes, -4),
        (name("total"), 0, -4),
        (name("half"), 2 * bytes, -3),
    ];
    let (model, add, halve) = (name("adder"), name("add"), name("halve"));

    let mut image = vec![0; 64];
    for (name, offset, exponent) in tensors {
        for word in [name, offset, bytes] {
            image.extend(word.to_le_bytes());
        }
        // i16, exponent, arena, channels last; rank 4.
        image.extend([2, exponent as u8, 0, 1, 4, 0, 0, 0]);
        for dim in DIMS.into_iter().chain([1, 1]) {
            image.extend(dim.to_le_bytes());
        }
        image.extend([0; 4]);
    }
    let ops = image.len() as u32;
    // A sum from 0 up; without a leak, any result.
    let sum = [0, 0, 0, 0, 0xff, 0x7f, 0, 0, 0, 0, 0, 0];
    let requantize = [0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x7f, 0, 0];
    for (kind, inputs, name, indices, body) in [
        (7u16, 2u8, add, &[0u16, 1, 2, 0][..], sum),
        (9, 1, halve, &[2, 3], requantize),
    ] {
        image.extend(kind.to_le_bytes());
        image.extend([inputs, 1]);
        for word in [if inputs == 2 { 48 } else { 32 }, name, 0] {
            image.extend(word.to_le_bytes());
        }
        image.extend(indices.iter().flat_map(|index| index.to_le_bytes()));
        image.extend(body);
        image.resize(image.len().next_multiple_of(16), 0);
    }
    let op_bytes = image.len() as u32 - ops;
    let outputs = image.len() as u32;
    image.extend([3, 0, 2, 0]);
    image.resize(image.len().next_multiple_of(16), 0);
    let names_at = image.len() as u32;
    image.extend(&names);
    image.resize(image.len().next_multiple_of(16), 0);

    let length = image.len() as u32;
    image[..4].copy_from_slice(b"FXPM");
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(4, &VERSION.to_le_bytes());
    put(6, &64u16.to_le_bytes());
    put(8, &length.to_le_bytes());
    put(16, &(ARENA_BYTES as u32).to_le_bytes());
    for (at, count) in [(24, 4u16), (26, 2), (28, 2), (30, 2)] {
        put(at, &count.to_le_bytes());
    }
    let table = [
        64,
        ops,
        op_bytes,
        outputs,
        names_at,
        names.len() as u32,
        model,
    ];
    for (index, word) in table.iter().enumerate() {
        put(32 + 4 * index, &word.to_le_bytes());
    }
    put(60, &(near as u32).to_le_bytes());
    let crc = checksum(&image).unwrap();
    image[12..16].copy_from_slice(&crc.to_le_bytes());
    image
}

fn values(seed: u32) -> Vec<i16> {
    (0..BYTES as u32 / 2)
        .map(|at| (at.wrapping_mul(40_503).wrapping_add(seed) >> 3) as i16 >> 1)
        .collect()
}

fn bytes(values: impl IntoIterator<Item = i16>) -> Vec<u8> {
    values.into_iter().flat_map(i16::to_le_bytes).collect()
}

/// Two inputs as the board stores them.
pub(crate) fn inputs(seed: u32) -> Vec<Vec<u8>> {
    vec![bytes(values(seed)), bytes(values(!seed))]
}

/// What the model makes of them.
pub(crate) fn outputs(seed: u32) -> Vec<Vec<u8>> {
    let sums: Vec<i16> = values(seed)
        .into_iter()
        .zip(values(!seed))
        .map(|(a, b)| a.saturating_add(b).max(0))
        .collect();
    let halves = sums.iter().map(|&sum| ((i32::from(sum) + 1) >> 1) as i16);
    vec![bytes(halves), bytes(sums.iter().copied())]
}

/// The same model with `tail` behind its names: another id, and as long as is wanted.
#[allow(dead_code, reason = "each test file uses its own part")]
pub(crate) fn with_tail(tail: &[u8]) -> Vec<u8> {
    let mut image = image();
    image.extend(tail);
    image.resize(image.len().next_multiple_of(16), 0);
    let names = u32::from_le_bytes([image[48], image[49], image[50], image[51]]);
    let whole = image.len() as u32;
    image[8..12].copy_from_slice(&whole.to_le_bytes());
    image[52..56].copy_from_slice(&(whole - names).to_le_bytes());
    let crc = checksum(&image).unwrap();
    image[12..16].copy_from_slice(&crc.to_le_bytes());
    image
}

/// The same model, saying that it wants `bytes` for its tensors.
#[allow(dead_code, reason = "each test file uses its own part")]
pub(crate) fn with_arena(bytes: u32) -> Vec<u8> {
    let mut image = image();
    image[16..20].copy_from_slice(&bytes.to_le_bytes());
    let crc = checksum(&image).unwrap();
    image[12..16].copy_from_slice(&crc.to_le_bytes());
    image
}
