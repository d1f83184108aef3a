//! Channels of hidden tensors in another order: the same results, and what is hidden can be put back.

use fixpoint_quant::image::{
    Activation, Arithmetic, Element, ImageBuilder, Linear, Op, Operation, Shifts, Storage,
    TensorDef, TensorId, Window,
};
use fixpoint_quant::{Layer, Port, Simulator};

/// Of xorshift, in a range.
struct Random(u64);

impl Random {
    fn value(&mut self, low: i64, high: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        low + (self.0 >> 33) as i64 % (high - low + 1)
    }

    fn linear(&mut self, element: Element, products: usize, channels: usize) -> Linear {
        let (low, most) = match element {
            Element::I8 => (3, 60),
            Element::I16 => (9, 6000),
        };
        // Some channels whose sums no lane of 20 bits holds, and some that no input changes.
        let bias = |random: &mut Self| match random.value(0, 7) {
            0 => random.value(-700_000, 700_000),
            _ => random.value(-900, 900),
        };
        Linear {
            weights: (0..products * channels)
                .map(|_| self.value(-most, most) as i16)
                .collect(),
            bias: (0..channels).map(|_| bias(self)).collect(),
            shifts: Shifts::PerChannel(
                (0..channels)
                    .map(|_| self.value(low, low + 6) as i32)
                    .collect(),
            ),
            activation: Activation::None,
            accumulator: None,
        }
    }
}

fn tensor(element: Element, channels: usize, size: usize) -> TensorDef {
    TensorDef {
        name: String::new(),
        dims: vec![1, channels, size, size],
        storage: Storage::ChannelsLast,
        element,
        exponent: -4,
    }
}

/// Rows and columns.
const SIZE: usize = 6;

/// Adds to a net what reads one of its tensors.
type End<'a> = dyn Fn(&mut ImageBuilder, TensorId) + 'a;

/// A net of every op that keeps channels apart, with 40 of them, and at its end those given.
fn net(element: Element, reorder: bool, seed: u64, end: &End<'_>) -> Vec<u8> {
    let mut random = Random(seed);
    let mut builder = ImageBuilder::new("ordered", Arithmetic::Fixpoint);
    builder.reorder_channels(reorder);
    let of = |channels, size| tensor(element, channels, size);
    let padded = Window {
        pad_top: 1,
        pad_left: 1,
        pad_bottom: 1,
        pad_right: 1,
        ..Window::new(3, 3)
    };
    let point = || Window::new(1, 1);
    let x = builder.input(of(5, SIZE));
    let linear = random.linear(element, 5, 40);
    let conv = |linear, window| Op::Conv2d {
        linear,
        window,
        groups: 1,
    };
    let first = builder.op("first", conv(linear, point()), &[x], of(40, SIZE));
    let linear = random.linear(element, 9, 40);
    let depthwise = Op::DepthwiseConv2d {
        linear,
        window: padded,
    };
    let depthwise = builder.op("depthwise", depthwise, &[first], of(40, SIZE));
    let slopes = (0..40).map(|_| random.value(1, 60) as i16).collect();
    let activation = Activation::PRelu {
        slopes,
        exponent: -6,
    };
    let bent = builder.op(
        "bent",
        Op::Requantize { activation },
        &[depthwise],
        of(40, SIZE),
    );
    // As squeeze and excite.
    let mean = builder.op("mean", Op::GlobalAveragePool, &[bent], of(40, 1));
    let linear = random.linear(element, 40, 24);
    let squeezed = builder.op("squeezed", conv(linear, point()), &[mean], of(24, 1));
    let linear = random.linear(element, 24, 40);
    let excited = builder.op("excited", conv(linear, point()), &[squeezed], of(40, 1));
    let binary = |operation| Op::Binary {
        operation,
        activation: Activation::Relu,
    };
    let scaled = builder.op(
        "scaled",
        binary(Operation::Mul),
        &[bent, excited],
        of(40, SIZE),
    );
    let values = (0..40).map(|_| random.value(-100, 100) as i16).collect();
    let constant = builder.constant(of(40, 1), values);
    let moved = builder.op(
        "moved",
        binary(Operation::Add),
        &[scaled, constant],
        of(40, SIZE),
    );
    let linear = random.linear(element, 9 * 40, 40);
    let again = builder.op("again", conv(linear, padded), &[moved], of(40, SIZE));
    // A residual: both have their channels in one order.
    let sum = builder.op("sum", binary(Operation::Add), &[again, first], of(40, SIZE));
    let pooled = Op::MaxPool {
        window: Window {
            stride_h: 2,
            stride_w: 2,
            ..Window::new(2, 2)
        },
    };
    let pooled = builder.op("pooled", pooled, &[sum], of(40, SIZE / 2));
    end(&mut builder, pooled);
    // A dense layer behind it takes all elements.
    let linear = random.linear(element, 40 * 9, 7);
    let flat = TensorDef {
        dims: vec![1, 7],
        storage: Storage::AsOnnx,
        ..of(1, 1)
    };
    let y = builder.op("dense", Op::FullyConnected { linear }, &[pooled], flat);
    builder.output(y);
    builder.to_bytes().unwrap()
}

/// What each layer gives, in ONNX order.
fn outputs(image: &[u8], seed: u64) -> (Vec<Layer>, Vec<Vec<i32>>) {
    let mut simulator = Simulator::new(image).unwrap();
    let layers = simulator.layers().unwrap();
    let width = simulator.inputs()[0].bits as usize / 8;
    let mut random = Random(seed);
    let input: Vec<u8> = (0..5 * SIZE * SIZE * width)
        .map(|_| random.value(0, 255) as u8)
        .collect();
    let bytes = simulator.layer_bytes(&[&input]).unwrap();
    let values = layers.iter().zip(&bytes).map(|(layer, bytes)| {
        let port = Port::of(layer.output.clone(), layer.channels_last);
        let port = match &layer.order {
            Some(order) => port.ordered(order),
            None => port,
        };
        port.decode(bytes).unwrap().data
    });
    let values = values.collect();
    (layers, values)
}

fn ordered(layers: &[Layer]) -> Vec<&str> {
    (layers.iter())
        .filter(|layer| layer.order.is_some())
        .map(|layer| layer.name.as_str())
        .collect()
}

#[test]
fn the_order_of_hidden_channels_changes_no_result() {
    for element in [Element::I8, Element::I16] {
        for seed in 1..40 {
            let nothing = |_: &mut ImageBuilder, _| ();
            let (plain, expected) = outputs(&net(element, false, seed, &nothing), seed);
            let (layers, values) = outputs(&net(element, true, seed, &nothing), seed);
            assert_eq!(values, expected, "seed {seed}");
            assert!(ordered(&plain).is_empty());
            // 24 channels are two blocks, of which half of one is left out of what is sorted in 8 bits.
            let mut names = ordered(&layers);
            names.retain(|name| *name != "squeezed");
            assert_eq!(
                names,
                [
                    "first",
                    "depthwise",
                    "bent",
                    "mean",
                    "excited",
                    "scaled",
                    "moved",
                    "again",
                    "sum",
                    "pooled"
                ],
                "seed {seed}"
            );
        }
    }
}

#[test]
fn what_can_be_seen_keeps_its_order() {
    // An output of the model, and what takes channels for positions.
    let output = |builder: &mut ImageBuilder, id| builder.output(id);
    let softmax = |builder: &mut ImageBuilder, id| {
        let mut def = tensor(Element::I8, 40, SIZE / 2);
        def.exponent = -7;
        let y = builder.op("softmax", Op::Softmax { axis: 1 }, &[id], def);
        builder.output(y);
    };
    for end in [&output as &End<'_>, &softmax] {
        for seed in 1..10 {
            let (_, expected) = outputs(&net(Element::I8, false, seed, end), seed);
            let (layers, values) = outputs(&net(Element::I8, true, seed, end), seed);
            assert_eq!(values, expected, "seed {seed}");
            let mut names = ordered(&layers);
            names.retain(|name| *name != "squeezed");
            assert!(names.is_empty(), "{names:?}");
        }
    }
}

#[test]
fn other_ends_of_an_image_are_no_table() {
    let image = net(Element::I8, true, 1, &|_, _| ());
    let orders = |image: &[u8]| {
        let simulator = Simulator::new(image).unwrap();
        ordered(&simulator.layers().unwrap()).len()
    };
    assert!(orders(&image) >= 10);
    // The runtime refuses an image whose sum is wrong, so it is mended: a table that is too long, a channel twice.
    let end = image.len();
    for (at, value) in [(end - 8, 0xff), (end - 1, 0), (end - 5, 0x7f)] {
        let mut other = image.clone();
        other[at] = value;
        let crc = fixpoint_runtime::format::checksum(&other).unwrap();
        other[12..16].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(orders(&other), 0, "byte {at}");
    }
}
