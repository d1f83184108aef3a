//! An image of a pool over windows behind a ReLU, as in a network.

use fixpoint_quant::image::{
    Activation, Arithmetic, Element, ImageBuilder, Op, Storage, TensorDef, Window,
};
use fixpoint_tests::random::Random;

/// The shape of a pool.
#[derive(Clone, Copy)]
pub(crate) struct Pool {
    pub(crate) name: &'static str,
    pub(crate) element: Element,
    /// Channels, rows, columns.
    pub(crate) input: [usize; 3],
    pub(crate) window: Window,
    pub(crate) average: bool,
    /// Most instructions for each element of each window: what has been reached, and a little more.
    pub(crate) limit: f64,
}

pub(crate) fn pools() -> Vec<Pool> {
    use Element::{I8, I16};
    let pool = |name, element, input, window, average, limit| Pool {
        name,
        element,
        input,
        window,
        average,
        limit,
    };
    let padded = Window::new(3, 3).pads(1, 1, 1, 1);
    let halved = Window::new(2, 2).stride(2, 2);
    vec![
        pool("max pool 2x2 s2", I8, [32, 24, 24], halved, false, 0.67),
        pool("average pool 2x2 s2", I8, [32, 24, 24], halved, true, 1.31),
        pool("average pool 3x3", I8, [32, 24, 24], padded, true, 0.73),
        pool("average pool 3x3", I8, [24, 24, 24], padded, true, 1.34),
        pool(
            "global average pool",
            I8,
            [256, 3, 3],
            Window::new(3, 3),
            true,
            2.14,
        ),
        pool("average pool 2x2 s2", I16, [32, 24, 24], halved, true, 2.28),
        pool("average pool 3x3", I16, [32, 24, 24], padded, true, 1.17),
    ]
}

impl Pool {
    /// The element's name in a table.
    pub(crate) fn element_name(&self) -> &'static str {
        if self.element == Element::I8 {
            "i8"
        } else {
            "i16"
        }
    }

    /// What goes in, for a table.
    pub(crate) fn sizes(&self) -> String {
        let [c, h, w] = self.input;
        format!("{c}x{h}x{w}")
    }

    /// The image, inputs as stored, and the elements of all windows.
    pub(crate) fn build(&self, random: &mut Random) -> (Vec<u8>, Vec<u8>, u64) {
        let [channels, rows, columns] = self.input;
        let window = self.window;
        let out = window.output(rows as u32, columns as u32);
        let (out_rows, out_columns) = out.expect("a window that fits");
        let tensor = |name: &str, rows, columns| TensorDef {
            name: name.to_owned(),
            dims: vec![1, channels, rows, columns],
            storage: Storage::ChannelsLast,
            element: self.element,
            exponent: 0,
        };
        let mut builder = ImageBuilder::new("pool", Arithmetic::Fixpoint);
        let x = builder.input(tensor("x", rows, columns));
        let relu = Op::Requantize {
            activation: Activation::Relu,
        };
        let x = builder.op("relu", relu, &[x], tensor("r", rows, columns));
        let op = match self.average {
            true => Op::AveragePool {
                window,
                count_include_pad: false,
            },
            false => Op::MaxPool { window },
        };
        let y = tensor("y", out_rows as usize, out_columns as usize);
        let y = builder.op("layer", op, &[x], y);
        builder.output(y);
        let image = builder.to_bytes().expect("an image");
        let bytes = if self.element == Element::I8 { 1 } else { 2 };
        let high = (1 << (8 * bytes - 1)) - 1;
        let input = (0..channels * rows * columns)
            .flat_map(|_| (random.between(-high - 1, high) as i16).to_le_bytes()[..bytes].to_vec())
            .collect();
        let taps = u64::from(window.kernel_h) * u64::from(window.kernel_w);
        let windows = u64::from(out_rows) * u64::from(out_columns) * channels as u64;
        (image, input, windows * taps)
    }
}
