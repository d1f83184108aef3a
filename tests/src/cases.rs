//! The cases: small models of one op each, and a few graphs, with what the oracle expects of them.
//!
//! Shapes and integers come from a fixed seed; a share of the integers is extreme (smallest, largest,
//! around zero), and channel counts lie around the block sizes.

mod binary;
mod channelwise;
mod graphs;
mod heads;
mod linear;
mod movement;
mod plain;
mod reductions;
mod rows;
mod tables;
mod vector;

use crate::oracle::{Activation, Chw, Geometry, Nd, Rules};
use crate::random::Random;
use crate::runner::MAGIC;
use fixpoint_quant::image::{
    Arithmetic, Element, EspdlChip, ImageBuilder, Storage, TensorDef, Window,
};
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

/// One model with inputs and expected outputs, as stored.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub image: Vec<u8>,
    pub inputs: Vec<Vec<u8>>,
    pub outputs: Vec<Vec<u8>>,
    /// Bytes of memory that its tensors need.
    pub arena: u32,
}

/// Every case.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    linear::add_to(&mut cases);
    plain::add_to(&mut cases);
    binary::add_to(&mut cases);
    tables::add_to(&mut cases);
    movement::add_to(&mut cases);
    reductions::add_to(&mut cases);
    graphs::add_to(&mut cases);
    vector::add_to(&mut cases);
    channelwise::add_to(&mut cases);
    rows::add_to(&mut cases);
    heads::add_to(&mut cases);
    cases
}

/// One vector file of all the cases, for [`crate::run_vectors`].
pub fn encode(cases: &[Case]) -> Vec<u8> {
    let mut out = Vec::new();
    let arena = cases.iter().map(|case| case.arena).max().unwrap_or(0);
    let magic = u32::from_le_bytes(MAGIC);
    numbers(&mut out, [magic, 1, cases.len() as u32, arena]);
    for case in cases {
        let counts = [
            case.name.len(),
            case.image.len(),
            case.inputs.len(),
            case.outputs.len(),
        ];
        numbers(&mut out, counts.map(|count| count as u32));
        item(&mut out, case.name.as_bytes());
        item(&mut out, &case.image);
        for bytes in case.inputs.iter().chain(&case.outputs) {
            numbers(&mut out, [bytes.len() as u32, 0, 0, 0]);
            item(&mut out, bytes);
        }
    }
    out
}

fn numbers(out: &mut Vec<u8>, numbers: [u32; 4]) {
    out.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}

fn item(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(bytes);
    out.resize(out.len().next_multiple_of(16), 0);
}

/// Element type and arithmetic of a case.
#[derive(Clone, Copy)]
struct Setting {
    bits: u32,
    rules: Rules,
}

const SETTINGS: [Setting; 6] = [
    Setting {
        bits: 8,
        rules: Rules::Fixpoint,
    },
    Setting {
        bits: 16,
        rules: Rules::Fixpoint,
    },
    Setting {
        bits: 8,
        rules: Rules::EspdlS3,
    },
    Setting {
        bits: 16,
        rules: Rules::EspdlS3,
    },
    Setting {
        bits: 8,
        rules: Rules::EspdlC,
    },
    Setting {
        bits: 16,
        rules: Rules::EspdlC,
    },
];

impl Setting {
    fn builder(self, name: &str) -> ImageBuilder {
        ImageBuilder::new(
            name,
            match self.rules {
                Rules::Fixpoint => Arithmetic::Fixpoint,
                Rules::EspdlS3 => Arithmetic::Espdl(EspdlChip::S3),
                Rules::EspdlC => Arithmetic::Espdl(EspdlChip::C),
            },
        )
    }

    fn element(self) -> Element {
        if self.bits == 8 {
            Element::I8
        } else {
            Element::I16
        }
    }

    fn range(self) -> (i64, i64) {
        (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1)
    }

    /// An integer that is often extreme.
    fn value(self, random: &mut Random) -> i64 {
        let (low, high) = self.range();
        match random.between(0, 9) {
            0 => random.pick(&[low, high, low + 1, 0, 1, -1]),
            1 => random.between(-3, 3),
            _ => random.between(low, high),
        }
    }

    fn values(self, random: &mut Random, count: usize) -> Vec<i64> {
        // Now and then a tensor of nothing but extremes, for the largest sums.
        match random.between(0, 7) {
            0 => vec![self.range().0; count],
            1 => (0..count)
                .map(|_| random.pick(&[self.range().0, self.range().1]))
                .collect(),
            _ => (0..count).map(|_| self.value(random)).collect(),
        }
    }

    fn chw(self, random: &mut Random, [c, h, w]: [usize; 3]) -> Chw {
        let values = self.values(random, c * h * w);
        Chw { c, h, w, values }
    }

    fn bytes(self, values: &[i64]) -> Vec<u8> {
        match self.bits {
            8 => values.iter().map(|v| *v as i8 as u8).collect(),
            _ => values
                .iter()
                .flat_map(|v| (*v as i16).to_le_bytes())
                .collect(),
        }
    }

    /// A channels-last tensor of ONNX shape (1, C, H, W).
    fn image(self, name: &str, chw: &Chw, exponent: i32) -> TensorDef {
        TensorDef {
            name: name.to_string(),
            dims: vec![1, chw.c, chw.h, chw.w],
            storage: Storage::ChannelsLast,
            element: self.element(),
            exponent,
        }
    }

    /// A tensor of any shape; channels-last if `last`.
    fn tensor(self, name: &str, dims: &[usize], last: bool, exponent: i32) -> TensorDef {
        TensorDef {
            name: name.to_string(),
            dims: dims.to_vec(),
            storage: match last {
                true => Storage::ChannelsLast,
                false => Storage::AsOnnx,
            },
            element: self.element(),
            exponent,
        }
    }

    fn nd(self, random: &mut Random, dims: &[usize]) -> Nd {
        Nd {
            dims: dims.to_vec(),
            values: self.values(random, dims.iter().product()),
        }
    }

    /// No activation but saturation, or ReLU.
    fn activation(self, relu: bool) -> Activation {
        let (low, high) = self.range();
        Activation {
            low: if relu { 0 } else { low },
            high,
            slopes: None,
        }
    }

    fn row(self, name: &str, length: usize, exponent: i32) -> TensorDef {
        TensorDef {
            name: name.to_string(),
            dims: vec![1, length],
            storage: Storage::AsOnnx,
            element: self.element(),
            exponent,
        }
    }

    /// Finishes a case; inputs and outputs as stored.
    fn case(
        self,
        builder: &ImageBuilder,
        name: String,
        inputs: &[&[i64]],
        outputs: &[&[i64]],
    ) -> Case {
        let label = format!("{name} {:?} i{}", self.rules, self.bits);
        let image = match builder.clone().finish() {
            Ok(image) => image,
            Err(error) => panic!("{label}: {error}"),
        };
        Case {
            name: label,
            arena: image.plan.arena_bytes,
            image: image.bytes,
            inputs: inputs.iter().map(|values| self.bytes(values)).collect(),
            outputs: outputs.iter().map(|values| self.bytes(values)).collect(),
        }
    }
}

/// In the order of the memory.
fn stored(x: &Nd, last: bool) -> Vec<i64> {
    match last {
        true => x.channels_last(),
        false => x.values.clone(),
    }
}

const CHANNELS: [usize; 9] = [1, 3, 5, 8, 15, 16, 17, 24, 33];

/// A window that fits an input of `h` x `w`, with strides, dilations and uneven pads.
fn geometry(random: &mut Random, h: usize, w: usize) -> Geometry {
    loop {
        let mut any = |low, high| random.between(low, high) as usize;
        let kernel = [any(1, 4), any(1, 4)];
        let g = Geometry {
            kernel,
            stride: [any(1, 3), any(1, 3)],
            dilation: [any(1, 2), any(1, 3)],
            pads: [any(0, 2), any(0, 2), any(0, 3), any(0, 3)],
        };
        if g.output(h, w).is_some() {
            return g;
        }
    }
}

fn window(g: &Geometry) -> Window {
    let [kh, kw] = g.kernel.map(|v| v as u16);
    let [sh, sw] = g.stride.map(|v| v as u16);
    let [dh, dw] = g.dilation.map(|v| v as u16);
    let [top, left, bottom, right] = g.pads.map(|v| v as u16);
    Window::new(kh, kw)
        .stride(sh, sw)
        .dilation(dh, dw)
        .pads(top, left, bottom, right)
}
