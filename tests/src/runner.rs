//! Plays vectors. Needs only the runtime: no allocation, so that it runs on the chip.
//!
//! A vector file is little-endian, and starts at a 16-byte aligned address: `FXPV`, u32 version 1,
//! u32 number of cases, u32 arena bytes that suffice for all. Then each case: u32 length of the name,
//! u32 length of the image, u32 inputs, u32 outputs, then name, image, inputs, outputs; each input
//! and output has a u32 length of its own in front. Every item starts at a multiple of 16.

use core::fmt;
use fixpoint_runtime::accelerator::Accelerator;
use fixpoint_runtime::{Block16, ImageError, Model, RunError, run_on};

/// First bytes of a vector file.
pub const MAGIC: [u8; 4] = *b"FXPV";

/// What was played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Cases whose outputs all agree.
    pub passed: u32,
    /// Cases in an arithmetic that this build leaves out.
    pub skipped: u32,
}

/// The first case that went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure<'a> {
    /// Its name.
    pub case: &'a str,
    pub reason: Reason,
}

/// How a case can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The vectors themselves are cut short or misaligned.
    Vectors,
    Image(ImageError),
    Run(RunError),
    /// The model's inputs or outputs are not the case's.
    Shape,
    /// First byte of an output that differs.
    Differs {
        output: u32,
        byte: u32,
        got: u8,
        expected: u8,
    },
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "case {}: ", self.case)?;
        match self.reason {
            Reason::Vectors => f.write_str("the vectors are cut short"),
            Reason::Image(error) => error.fmt(f),
            Reason::Run(error) => error.fmt(f),
            Reason::Shape => f.write_str("inputs or outputs are not the model's"),
            Reason::Differs {
                output,
                byte,
                got,
                expected,
            } => write!(
                f,
                "output {output}, byte {byte} is {got}, expected {expected}"
            ),
        }
    }
}

struct Items<'a> {
    rest: &'a [u8],
}

impl<'a> Items<'a> {
    fn item(&mut self, length: u32) -> Option<&'a [u8]> {
        let length = length as usize;
        let padded = length.checked_next_multiple_of(16)?;
        let item = self.rest.get(..length)?;
        self.rest = self.rest.get(padded..)?;
        Some(item)
    }

    fn numbers(&mut self) -> Option<[u32; 4]> {
        let mut numbers = [0; 4];
        let (words, _) = self.item(16)?.as_chunks();
        for (number, word) in numbers.iter_mut().zip(words) {
            *number = u32::from_le_bytes(*word);
        }
        Some(numbers)
    }

    fn sized(&mut self) -> Option<&'a [u8]> {
        let [length, ..] = self.numbers()?;
        self.item(length)
    }
}

/// Arena bytes that suffice for all cases; `None` if these are no vectors.
pub fn arena_bytes(vectors: &[u8]) -> Option<u32> {
    (vectors.get(..4)? == MAGIC).then_some(())?;
    let [_, _, _, arena] = Items { rest: vectors }.numbers()?;
    Some(arena)
}

/// Plays every case and stops at the first failure.
///
/// Each model runs twice on the same inputs, over memory that was dirty before.
pub fn run_vectors<'a>(
    vectors: &'a [u8],
    arena: &mut [Block16],
    accelerator: &mut dyn Accelerator,
) -> Result<Summary, Failure<'a>> {
    let broken = Failure {
        case: "",
        reason: Reason::Vectors,
    };
    let need = arena_bytes(vectors).ok_or(broken)? as usize;
    // No more than that: every case makes it dirty first.
    let arena = arena.get_mut(..need.div_ceil(16)).ok_or(broken)?;
    let mut items = Items { rest: vectors };
    let [_, version, cases, _] = items.numbers().ok_or(broken)?;
    if version != 1 {
        return Err(broken);
    }
    let mut summary = Summary::default();
    for _ in 0..cases {
        let [name, image, inputs, outputs] = items.numbers().ok_or(broken)?;
        let name = items
            .item(name)
            .and_then(|name| core::str::from_utf8(name).ok());
        let case = name.ok_or(broken)?;
        let image = items.item(image).ok_or(broken)?;
        match play(&mut items, image, [inputs, outputs], arena, accelerator) {
            Ok(true) => summary.passed += 1,
            Ok(false) => summary.skipped += 1,
            Err(reason) => return Err(Failure { case, reason }),
        }
    }
    Ok(summary)
}

fn play(
    items: &mut Items<'_>,
    image: &[u8],
    [inputs, outputs]: [u32; 2],
    arena: &mut [Block16],
    accelerator: &mut dyn Accelerator,
) -> Result<bool, Reason> {
    let model = Model::parse(image).map_err(Reason::Image)?;
    arena.fill(Block16([0xa5; 16]));
    if model.inputs().len() != inputs as usize || model.outputs().len() != outputs as usize {
        return Err(Reason::Shape);
    }
    for index in 0..inputs as usize {
        let input = items.sized().ok_or(Reason::Vectors)?;
        let place = model.input_mut(arena, index).ok_or(Reason::Shape)?;
        if place.len() != input.len() {
            return Err(Reason::Shape);
        }
        place.copy_from_slice(input);
    }
    let mut built = true;
    for _ in 0..if model.keeps_inputs() { 2 } else { 1 } {
        match run_on(accelerator, &model, arena, &mut ()) {
            Ok(()) => {}
            Err(RunError::ArithmeticNotBuilt) => built = false,
            Err(error) => return Err(Reason::Run(error)),
        }
    }
    for output in 0..outputs {
        let expected = items.sized().ok_or(Reason::Vectors)?;
        if !built {
            continue;
        }
        let got = model.output(arena, output as usize).ok_or(Reason::Shape)?;
        if got.len() != expected.len() {
            return Err(Reason::Shape);
        }
        let mut pairs = got.iter().zip(expected);
        if let Some(byte) = pairs.position(|(got, expected)| got != expected) {
            return Err(Reason::Differs {
                output,
                byte: byte as u32,
                got: got[byte],
                expected: expected[byte],
            });
        }
    }
    Ok(built)
}
