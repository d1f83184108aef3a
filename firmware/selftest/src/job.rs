//! A job: a model image and inputs to run it on. Host and chip run this same file, so that the only
//! thing that can make their texts differ is arithmetic.
//!
//! ```text
//! 0   "FXJB"
//! 4   u32  bytes of the image
//! 8   u32  number of cases
//! 12  u32  bytes of one case: its inputs as the arena holds them, one after another
//! 16  the image, zeros up to a multiple of 16, then the cases
//! ```
//! Little-endian. The text has one line per layer with a hash of its output, one per output with
//! its bytes in hexadecimal, per case.

use core::fmt::{self, Write};

use fixpoint_runtime::accelerator::Accelerator;
use fixpoint_runtime::{Block16, ImageError, Model, Observer, RunError, run_on};

/// Why a job could not be done.
#[derive(Debug)]
pub enum JobError {
    /// The bytes are no job, or end too early.
    Malformed,
    /// The image was refused.
    Image(ImageError),
    /// The arena given is too small, or a case has another size than the inputs.
    Size,
    /// The run stopped.
    Run(RunError),
    /// The text could not be written.
    Text,
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the job is malformed"),
            Self::Image(error) => write!(f, "{error}"),
            Self::Size => f.write_str("the job does not fit the model or the arena"),
            Self::Run(error) => write!(f, "{error}"),
            Self::Text => f.write_str("the text could not be written"),
        }
    }
}

impl From<fmt::Error> for JobError {
    fn from(_: fmt::Error) -> Self {
        Self::Text
    }
}

/// Does the job in `job`, which may be longer than it needs, and writes the text into `text`. `mark`
/// is called before and after each layer, the decoding of its record included, and once more.
///
/// # Errors
/// See [`JobError`]; any bytes are answered with a text or an error.
pub fn run(
    job: &[u8],
    arena: &mut [Block16],
    accelerator: &mut dyn Accelerator,
    mark: fn(),
    text: &mut impl Write,
) -> Result<(), JobError> {
    let (header, rest) = job.split_at_checked(16).ok_or(JobError::Malformed)?;
    let &[b'F', b'X', b'J', b'B', ref numbers @ ..] = header else {
        return Err(JobError::Malformed);
    };
    let mut numbers = numbers
        .chunks_exact(4)
        .map(|n| u32::from_le_bytes([n[0], n[1], n[2], n[3]]) as usize);
    let mut number = || numbers.next().ok_or(JobError::Malformed);
    let (image_bytes, cases, case_bytes) = (number()?, number()?, number()?);

    let model = Model::parse(rest.get(..image_bytes).ok_or(JobError::Malformed)?)
        .map_err(JobError::Image)?;
    if model.arena_bytes() as usize > size_of_val(arena) {
        return Err(JobError::Size);
    }
    let mut data = rest
        .get(image_bytes.next_multiple_of(16)..)
        .ok_or(JobError::Malformed)?;
    for case in 0..cases {
        let mut inputs;
        (inputs, data) = data
            .split_at_checked(case_bytes)
            .ok_or(JobError::Malformed)?;
        for index in 0..model.inputs().len() {
            let place = model.input_mut(arena, index).ok_or(JobError::Size)?;
            let input;
            (input, inputs) = inputs.split_at_checked(place.len()).ok_or(JobError::Size)?;
            place.copy_from_slice(input);
        }
        writeln!(text, "case {case}")?;
        let mut hashes = Hashes {
            mark,
            text,
            failed: false,
        };
        mark();
        run_on(accelerator, &model, arena, &mut hashes).map_err(JobError::Run)?;
        if hashes.failed {
            return Err(JobError::Text);
        }
        for index in 0..model.outputs().len() {
            let output = model.output(arena, index).ok_or(JobError::Size)?;
            write!(text, "output {index} ")?;
            for byte in output {
                write!(text, "{byte:02x}")?;
            }
            writeln!(text)?;
        }
    }
    Ok(())
}

/// Writes a line with the FNV-1a hash of every layer's output.
struct Hashes<'t, W> {
    mark: fn(),
    text: &'t mut W,
    failed: bool,
}

impl<W: Write> Observer for Hashes<'_, W> {
    fn layer_done(&mut self, index: usize, output: &[u8]) {
        (self.mark)();
        let hash = output
            .iter()
            .fold(0xCBF2_9CE4_8422_2325, |hash: u64, &byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3)
            });
        self.failed |= writeln!(self.text, "layer {index} {hash:016x}").is_err();
        (self.mark)();
    }
}
