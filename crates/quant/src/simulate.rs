//! The exact simulator: an image, the runtime's own kernels, floats or integers in ONNX order
//! outside.

use fixpoint_runtime::format::checksum;
use fixpoint_runtime::{
    AlignedBytes, Arithmetic, Block16, Element, EspdlChip, Model, Observer, Storage, Tensor, run,
};
use serde::{Deserialize, Serialize};

use crate::error::SimulateError;
use crate::exponent;
use crate::image::in_order;
use crate::imitation::Imitation;
use crate::options::{Bits, Chip};
use crate::plan::{Layout, onnx_index};

/// A float output by name, ONNX order.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    pub name: String,
    pub dims: Vec<usize>,
    pub data: Vec<f32>,
}

/// An output's integers, ONNX order; real value = integer * 2^exponent.
#[derive(Clone, Debug, PartialEq)]
pub struct RawOutput {
    pub name: String,
    pub dims: Vec<usize>,
    pub exponent: i32,
    /// Element width: 8 or 16.
    pub bits: u32,
    pub data: Vec<i32>,
}

impl RawOutput {
    /// The same values as floats.
    pub fn to_float(&self) -> Output {
        let scale = exponent::pow2(self.exponent);
        Output {
            name: self.name.clone(),
            dims: self.dims.clone(),
            data: (self.data.iter())
                .map(|v| (f64::from(*v) * scale) as f32)
                .collect(),
        }
    }
}

/// A model input or output of an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TensorInfo {
    pub name: String,
    /// ONNX order, batch 1.
    pub dims: Vec<usize>,
    pub exponent: i32,
    /// Element width: 8 or 16.
    pub bits: u32,
}

/// Floats to a board's bytes and back, for one input or output: the rounding, clipping and order
/// that the simulator uses, also for hosts that know a board but not its image.
#[derive(Clone, Debug)]
pub struct Port {
    info: TensorInfo,
    bits: Bits,
    index: Vec<usize>,
}

impl Port {
    fn new(tensor: &Tensor<'_>) -> Port {
        let info = TensorInfo {
            name: tensor.name.to_owned(),
            dims: tensor.dims().iter().map(|d| *d as usize).collect(),
            exponent: tensor.exponent.into(),
            bits: 8 * tensor.element.bytes(),
        };
        Port::of(info, tensor.storage == Storage::ChannelsLast)
    }

    /// `channels_last`: the bytes hold (H, W, C) for dims (1, C, H, W), or (L, C) for (1, C, L).
    /// Holds one index for each element, so the caller checks dimensions that it doesn't trust.
    pub fn of(info: TensorInfo, channels_last: bool) -> Port {
        let layout = match channels_last && info.dims.len() > 1 {
            true => Layout::ChannelsLast,
            false => Layout::AsOnnx,
        };
        let bits = match info.bits {
            8 => Bits::I8,
            _ => Bits::I16,
        };
        Port {
            index: onnx_index(layout, &info.dims),
            info,
            bits,
        }
    }

    /// The same where channels are stored in this order.
    pub fn ordered(mut self, order: &[usize]) -> Port {
        self.index = in_order(&self.index, order);
        self
    }

    /// What it is called and how it is scaled.
    pub fn info(&self) -> &TensorInfo {
        &self.info
    }

    /// ONNX-ordered floats as the board stores them.
    pub fn encode(&self, values: &[f32]) -> Result<Vec<u8>, SimulateError> {
        self.encode_integers(&self.quantize(values)?)
    }

    /// ONNX-ordered integers as the board stores them; out of range: clipped.
    pub fn encode_integers(&self, values: &[i32]) -> Result<Vec<u8>, SimulateError> {
        let mut bytes = vec![0; values.len() * self.bits.width() as usize / 8];
        self.store(values, &mut bytes)?;
        Ok(bytes)
    }

    /// The board's bytes as integers in ONNX order.
    pub fn decode(&self, bytes: &[u8]) -> Result<RawOutput, SimulateError> {
        let want = self.index.len() * self.bits.width() as usize / 8;
        if bytes.len() != want {
            return Err(SimulateError::Run(format!(
                "'{}' has {want} bytes, {} came",
                self.info.name,
                bytes.len()
            )));
        }
        Ok(self.load(bytes))
    }

    fn check(&self, len: usize) -> Result<(), SimulateError> {
        if len == self.index.len() {
            return Ok(());
        }
        Err(SimulateError::InputSize {
            name: self.info.name.clone(),
            want: self.index.len(),
            got: len,
        })
    }

    fn quantize(&self, values: &[f32]) -> Result<Vec<i32>, SimulateError> {
        self.check(values.len())?;
        if values.iter().any(|v| v.is_nan()) {
            return Err(SimulateError::NotANumber {
                name: self.info.name.clone(),
            });
        }
        Ok((values.iter())
            .map(|v| exponent::quantize(*v, self.info.exponent, self.bits))
            .collect())
    }

    /// ONNX-ordered integers to stored bytes; clips to the type.
    fn store(&self, values: &[i32], bytes: &mut [u8]) -> Result<(), SimulateError> {
        self.check(values.len())?;
        let width = self.bits.width() as usize / 8;
        for (place, at) in bytes.chunks_exact_mut(width).zip(&self.index) {
            let v = values[*at].clamp(self.bits.min(), self.bits.max());
            place.copy_from_slice(&v.to_le_bytes()[..width]);
        }
        Ok(())
    }

    fn load(&self, bytes: &[u8]) -> RawOutput {
        let mut data = vec![0; self.index.len()];
        for (value, at) in integers(bytes, self.info.bits).zip(&self.index) {
            data[*at] = value;
        }
        RawOutput {
            name: self.info.name.clone(),
            dims: self.info.dims.clone(),
            exponent: self.info.exponent,
            bits: self.info.bits,
            data,
        }
    }
}

/// Little-endian integers of 8 or 16 bits.
pub(crate) fn integers(bytes: &[u8], bits: u32) -> impl ExactSizeIterator<Item = i32> {
    bytes.chunks_exact(bits as usize / 8).map(|b| match *b {
        [a, b] => i16::from_le_bytes([a, b]).into(),
        _ => (b[0] as i8).into(),
    })
}

/// Runs a model image with the kernels that run on the chip.
#[derive(Clone, Debug)]
pub struct Simulator {
    image: AlignedBytes,
    arena: AlignedBytes,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    input_infos: Vec<TensorInfo>,
    output_infos: Vec<TensorInfo>,
    id: u32,
}

/// Where an image's header has the chip of the espdl arithmetic, and the checksum.
const CHIP_AT: usize = 21;
const CRC_AT: usize = 12;

fn refused(e: impl std::fmt::Display) -> SimulateError {
    SimulateError::Image(e.to_string())
}

impl Simulator {
    /// Refuses a file that is no image but [`Imitation`]'s, and says so.
    pub fn check(file: &[u8]) -> Result<(), SimulateError> {
        if Imitation::is(file) {
            return Err(refused(
                "it holds what ESP-DL's evaluator computes, which no chip does. Quantize without \
                 --mimic-evaluator.",
            ));
        }
        Ok(())
    }

    /// Takes any bytes; refuses what is not a sound image.
    pub fn new(image: &[u8]) -> Result<Simulator, SimulateError> {
        Self::check(image)?;
        let image = AlignedBytes::new(image);
        let model = Model::parse(image.as_ref()).map_err(refused)?;
        let inputs: Vec<Port> = model.inputs().map(|t| Port::new(&t)).collect();
        let outputs: Vec<Port> = model.outputs().map(|t| Port::new(&t)).collect();
        let arena = AlignedBytes::zeroed(model.arena_bytes() as usize);
        Ok(Simulator {
            id: model.id(),
            input_infos: inputs.iter().map(|p| p.info.clone()).collect(),
            output_infos: outputs.iter().map(|p| p.info.clone()).collect(),
            inputs,
            outputs,
            arena,
            image,
        })
    }

    pub(crate) fn image(&self) -> &[u8] {
        self.image.as_ref()
    }

    /// The image, and memory to run it in.
    pub(crate) fn parts(&mut self) -> (&[u8], &mut [Block16]) {
        (self.image.as_ref(), self.arena.blocks_mut())
    }

    /// Bytes that a run needs for its tensors.
    pub fn arena_bytes(&self) -> usize {
        size_of_val(self.arena.blocks())
    }

    /// As [`Simulator::new`], for an image in the espdl arithmetic, with the sums of `chip` instead
    /// of those of the chip it was made for. An image for the ESP32-S3 serves every chip; one for
    /// the others need not hold the S3's wider sums.
    pub fn for_chip(image: &[u8], chip: Chip) -> Result<Simulator, SimulateError> {
        let made_for = {
            let aligned = AlignedBytes::new(image);
            let model = Model::parse(aligned.as_ref()).map_err(refused)?;
            model.arithmetic()
        };
        let refuse = |why| {
            let chip = chip.name();
            Err(SimulateError::Chip { chip, why })
        };
        match (made_for, chip) {
            (Arithmetic::Fixpoint, _) => {
                refuse("it is made for the fixpoint arithmetic. Quantize with --arithmetic espdl.")
            }
            (Arithmetic::Espdl(EspdlChip::S3), Chip::Esp32S3) => Simulator::new(image),
            (Arithmetic::Espdl(EspdlChip::C), Chip::Esp32S3) => {
                refuse("it is made for a chip with 32-bit sums. Quantize with --chip esp32s3.")
            }
            (Arithmetic::Espdl(EspdlChip::C), _) => Simulator::new(image),
            (Arithmetic::Espdl(EspdlChip::S3), _) => {
                let mut image = image.to_vec();
                image[CHIP_AT] = 2;
                let crc = checksum(&image).unwrap_or_default();
                image[CRC_AT..][..4].copy_from_slice(&crc.to_le_bytes());
                Simulator::new(&image)
            }
        }
    }

    /// The image's CRC-32, by which the board names it.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The image's inputs.
    pub fn inputs(&self) -> &[TensorInfo] {
        &self.input_infos
    }

    /// The image's outputs.
    pub fn outputs(&self) -> &[TensorInfo] {
        &self.output_infos
    }

    /// One sample, floats in ONNX order in and out: quantize, run, scale.
    pub fn run(&mut self, inputs: &[&[f32]]) -> Result<Vec<Output>, SimulateError> {
        let raw = self.run_raw(inputs)?;
        Ok(raw.iter().map(RawOutput::to_float).collect())
    }

    /// One sample, floats in, the outputs' integers out.
    pub fn run_raw(&mut self, inputs: &[&[f32]]) -> Result<Vec<RawOutput>, SimulateError> {
        self.session()?.run_observed(inputs, &mut ())
    }

    /// One sample given as integers in ONNX order (out of range: clipped), integers out.
    pub fn run_integers(&mut self, inputs: &[&[i32]]) -> Result<Vec<RawOutput>, SimulateError> {
        self.session()?.execute(inputs, &mut ())
    }

    /// For many samples in a row: the image is checked once for all of them.
    pub(crate) fn session(&mut self) -> Result<Session<'_>, SimulateError> {
        Ok(Session {
            model: Model::parse(self.image.as_ref()).map_err(refused)?,
            arena: self.arena.blocks_mut(),
            inputs: &self.inputs,
            outputs: &self.outputs,
        })
    }

    /// Widths and exponents of the ops' outputs, in execution order.
    pub(crate) fn layer_formats(&self) -> Result<Vec<(Bits, i32)>, SimulateError> {
        let model = Model::parse(self.image.as_ref()).map_err(refused)?;
        Ok((model.layers())
            .filter_map(|l| model.tensor(l.output))
            .map(|t| match t.element {
                Element::I8 => (Bits::I8, t.exponent.into()),
                Element::I16 => (Bits::I16, t.exponent.into()),
            })
            .collect())
    }

    /// The bytes that the board gets for input `i`: quantized, in the image's storage order.
    pub fn input_bytes(&self, i: usize, values: &[f32]) -> Result<Vec<u8>, SimulateError> {
        let port = self.inputs.get(i).ok_or(SimulateError::InputCount {
            want: self.inputs.len(),
            got: i + 1,
        })?;
        port.encode(values)
    }

    /// The integers, in ONNX order, of output `i` as bytes that came from the board.
    pub fn decode_output(&self, i: usize, bytes: &[u8]) -> Result<RawOutput, SimulateError> {
        let port = self
            .outputs
            .get(i)
            .ok_or_else(|| SimulateError::Run(format!("the image has no output {i}")))?;
        port.decode(bytes)
    }
}

/// A checked image with its arena.
pub(crate) struct Session<'a> {
    model: Model<'a>,
    arena: &'a mut [Block16],
    inputs: &'a [Port],
    outputs: &'a [Port],
}

impl Session<'_> {
    pub(crate) fn run_raw(&mut self, inputs: &[&[f32]]) -> Result<Vec<RawOutput>, SimulateError> {
        self.run_observed(inputs, &mut ())
    }

    pub(crate) fn run_observed(
        &mut self,
        inputs: &[&[f32]],
        observer: &mut impl Observer,
    ) -> Result<Vec<RawOutput>, SimulateError> {
        self.check_count(inputs.len())?;
        let integers = (self.inputs.iter().zip(inputs))
            .map(|(port, values)| port.quantize(values))
            .collect::<Result<Vec<_>, _>>()?;
        let slices: Vec<&[i32]> = integers.iter().map(Vec::as_slice).collect();
        self.execute(&slices, observer)
    }

    fn check_count(&self, got: usize) -> Result<(), SimulateError> {
        let want = self.inputs.len();
        if got == want {
            return Ok(());
        }
        Err(SimulateError::InputCount { want, got })
    }

    fn execute(
        &mut self,
        inputs: &[&[i32]],
        observer: &mut impl Observer,
    ) -> Result<Vec<RawOutput>, SimulateError> {
        self.check_count(inputs.len())?;
        let failed = |what: &str| SimulateError::Run(what.to_owned());
        for (i, (port, values)) in self.inputs.iter().zip(inputs).enumerate() {
            let place = self.model.input_mut(self.arena, i);
            port.store(values, place.ok_or_else(|| failed("no such input"))?)?;
        }
        run(&self.model, self.arena, observer).map_err(|e| failed(&e.to_string()))?;
        (self.outputs.iter().enumerate())
            .map(|(i, port)| {
                let bytes = self.model.output(self.arena, i);
                Ok(port.load(bytes.ok_or_else(|| failed("no such output"))?))
            })
            .collect()
    }
}
