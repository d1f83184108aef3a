//! An image of one convolution behind a ReLU, as in a network.

use fixpoint_quant::image::{
    Activation, Arithmetic, Element, ImageBuilder, Linear, Op, Storage, TensorDef, Window,
};
use fixpoint_tests::random::Random;

/// The shape of a layer.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) element: Element,
    /// Channels, rows, columns.
    pub(crate) input: [usize; 3],
    pub(crate) outputs: usize,
    pub(crate) window: Window,
    pub(crate) depthwise: bool,
}

impl Shape {
    /// The same channel by channel.
    pub(crate) fn depthwise(self) -> Self {
        Self {
            depthwise: true,
            ..self
        }
    }

    /// The element's name in a table.
    pub(crate) fn element_name(&self) -> &'static str {
        if self.element == Element::I8 {
            "i8"
        } else {
            "i16"
        }
    }

    /// What goes in and comes out, for a table.
    pub(crate) fn sizes(&self) -> String {
        let [c, h, w] = self.input;
        format!("{c}x{h}x{w} to {}", self.outputs)
    }

    /// Bits of an element.
    pub(crate) fn bits(&self) -> usize {
        if self.element == Element::I8 { 8 } else { 16 }
    }

    /// The largest element.
    pub(crate) fn high(&self) -> i64 {
        (1 << (self.bits() - 1)) - 1
    }

    /// Products of one output.
    pub(crate) fn products(&self) -> usize {
        let taps = usize::from(self.window.kernel_h) * usize::from(self.window.kernel_w);
        taps * if self.depthwise { 1 } else { self.input[0] }
    }

    /// Channels, rows and columns of the output.
    pub(crate) fn output(&self) -> [usize; 3] {
        let [_, h, w] = self.input;
        let (h, w) = (self.window.output(h as u32, w as u32)).expect("a window that fits");
        [self.outputs, h as usize, w as usize]
    }

    /// The image of the layer, and random input as stored, of the type's whole range.
    pub(crate) fn build(&self, linear: Linear, random: &mut Random) -> (Vec<u8>, Vec<u8>) {
        let tensor = |name: &str, dims: [usize; 3]| TensorDef {
            name: name.to_owned(),
            dims: vec![1, dims[0], dims[1], dims[2]],
            storage: Storage::ChannelsLast,
            element: self.element,
            exponent: 0,
        };
        let mut builder = ImageBuilder::new("shape", Arithmetic::Fixpoint);
        let x = builder.input(tensor("x", self.input));
        let relu = Op::Requantize {
            activation: Activation::Relu,
        };
        let x = builder.op("relu", relu, &[x], tensor("r", self.input));
        let window = self.window;
        let op = if self.depthwise {
            Op::DepthwiseConv2d { linear, window }
        } else {
            Op::Conv2d {
                linear,
                window,
                groups: 1,
            }
        };
        let y = builder.op("layer", op, &[x], tensor("y", self.output()));
        builder.output(y);
        let image = builder.to_bytes().expect("an image");
        let (high, bytes) = (self.high(), self.bits() / 8);
        let input = (0..self.input.iter().product())
            .flat_map(|_: usize| {
                (random.between(-high - 1, high) as i16).to_le_bytes()[..bytes].to_vec()
            })
            .collect();
        (image, input)
    }
}
