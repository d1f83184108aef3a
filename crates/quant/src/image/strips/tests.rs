//! Strips against whole layers, op by op, for random chains.

use super::super::range::Ranges;
use super::super::{Activation, Arithmetic, Element, encode, linear, plan};
use super::*;
use crate::Simulator;

/// Of xorshift, in a range.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % limit
    }

    fn linear(&mut self, products: usize, channels: usize) -> Linear {
        Linear {
            weights: (0..products * channels)
                .map(|_| self.below(120) as i16 - 60)
                .collect(),
            bias: (0..channels)
                .map(|_| self.below(2000) as i64 - 1000)
                .collect(),
            shifts: Shifts::PerChannel((0..channels).map(|_| 3 + self.below(6) as i32).collect()),
            activation: Activation::Relu,
            accumulator: None,
        }
    }

    /// Any that gives a row and a column at least.
    fn window(&mut self, h: usize, w: usize) -> (Window, usize, usize) {
        loop {
            let mut small = |limit: usize| self.below(limit) as u16;
            let window = Window::new(1 + small(5), 1 + small(3))
                .stride(1 + small(3), 1 + small(2))
                .dilation(1 + small(2), 1)
                .pads(small(4), small(2), small(4), small(2));
            if let Some((h, w)) = window.output(h as u32, w as u32) {
                return (window, h as usize, w as usize);
            }
        }
    }
}

fn tensor(element: Element, [c, h, w]: [usize; 3]) -> TensorDef {
    TensorDef {
        name: "t".to_owned(),
        dims: vec![1, c, h, w],
        storage: Storage::ChannelsLast,
        element,
        exponent: -4,
    }
}

/// A chain of every kind of op that can be in one.
fn chain(random: &mut Random, element: Element, length: usize) -> ImageBuilder {
    let mut builder = ImageBuilder::new("chain", Arithmetic::Fixpoint);
    let [mut c, mut h, mut w] = [
        1 + random.below(20),
        9 + random.below(12),
        3 + random.below(5),
    ];
    let mut id = builder.input(tensor(element, [c, h, w]));
    for at in 0..length {
        let kind = random.below(5);
        let op = if kind < 3 {
            let (window, rows, columns) = random.window(h, w);
            (h, w) = (rows, columns);
            let taps = usize::from(window.kernel_h) * usize::from(window.kernel_w);
            match kind {
                0 => {
                    let outputs = 1 + random.below(20);
                    let linear = random.linear(taps * c, outputs);
                    c = outputs;
                    Op::Conv2d {
                        linear,
                        window,
                        groups: 1,
                    }
                }
                1 => Op::DepthwiseConv2d {
                    linear: random.linear(taps, c),
                    window,
                },
                _ => Op::MaxPool { window },
            }
        } else if kind == 3 {
            let activation = Activation::Clip { low: -3, high: 100 };
            Op::Requantize { activation }
        } else {
            let entries = if element == Element::I8 { 256 } else { 257 };
            let table = (0..entries).map(|_| random.below(250) as i16 - 125);
            Op::Lookup {
                table: table.collect(),
            }
        };
        id = builder.op(&format!("op {at}"), op, &[id], tensor(element, [c, h, w]));
    }
    builder.output(id);
    builder
}

/// What each op of an image gives for bytes.
fn run(image: &[u8], random: &mut Random) -> Vec<Vec<u8>> {
    let mut simulator = Simulator::new(image).expect("an image");
    let [input] = simulator.inputs() else {
        panic!("one input");
    };
    let bytes = input.dims.iter().product::<usize>() * input.bits as usize / 8;
    let input: Vec<u8> = (0..bytes).map(|_| random.below(256) as u8).collect();
    simulator.layer_bytes(&[&input]).expect("a run")
}

#[test]
fn strips_give_what_whole_layers_do() {
    let mut random = Random(7);
    let (mut done, mut refused) = (0, 0);
    while done < 300 {
        let element = [Element::I8, Element::I16][random.below(2)];
        let length = 2 + random.below(5);
        let builder = chain(&mut random, element, length);
        let first = random.below(length - 1);
        let last = first + 1 + random.below(length - first - 1);
        let (rows, _) = rows_of(builder.def(builder.nodes[last].output)).expect("rows");
        let strips = 1 + random.below(rows.min(6));
        let chain = Chain {
            first,
            last,
            strips,
        };
        let Some((cut, steps)) = cut(&builder, &[chain]) else {
            refused += 1;
            continue;
        };
        done += 1;
        let ranges = Ranges::new(&builder);
        let lowered: Vec<_> = (builder.nodes.iter())
            .map(|node| linear::lower(&builder, &ranges, node).expect("a layer"))
            .collect();
        let whole: Vec<_> = lowered.iter().map(Option::as_ref).collect();
        let image = encode::encode(&builder, &whole, &plan::plan(&builder), false);
        let parts: Vec<_> = (steps.iter().zip(&cut.nodes))
            .map(|(step, node)| whole[step.op].filter(|_| node.op.is_linear()))
            .collect();
        let image_of_strips = encode::encode(&cut, &parts, &plan::plan(&cut), true);
        let seed = random.below(1 << 20) as u64 + 1;
        let expected = run(&image.expect("an image"), &mut Random(seed));
        let got = run(&image_of_strips.expect("an image"), &mut Random(seed));
        let width = element.bytes() as usize;
        for (step, output) in steps.iter().zip(&got) {
            let Some(at) = step.first else { continue };
            let (at, layer) = (at * width, &expected[step.op]);
            assert_eq!(output, &layer[at..at + output.len()], "{chain:?}, {step:?}");
        }
        // The last of the chain is whole again, and so is what follows.
        let whole = steps.iter().zip(&got).filter(|(step, _)| step.op >= last);
        let lengths: Vec<_> = (whole.filter(|(step, _)| step.first.is_some()))
            .map(|(_, output)| output.len())
            .collect();
        let all: Vec<_> = expected[last..].iter().map(Vec::len).collect();
        assert_eq!(lengths, all, "{chain:?}");
    }
    assert!(refused < done, "{refused} chains were not taken");
}

#[test]
fn rows_are_those_that_windows_see() {
    let mut random = Random(3);
    for _ in 0..2000 {
        let h = 1 + random.below(20);
        let (window, out, _) = random.window(h, 4);
        let first = random.below(out);
        let rows = Rows {
            first,
            count: 1 + random.below(out - first),
        };
        let taps = |row: usize| {
            (0..usize::from(window.kernel_h)).map(move |tap| {
                (row * usize::from(window.stride_h) + tap * usize::from(window.dilation_h)) as i64
                    - i64::from(window.pad_top)
            })
        };
        let (low, high) = (rows.first, rows.first + rows.count - 1);
        let (least, most) = (taps(low).min().unwrap(), taps(high).max().unwrap());
        let end = (most + 1).min(h as i64);
        match rows.seen(&window, h) {
            Some((seen, [above, below])) => {
                let expected = (least.max(0), end - least.max(0));
                assert_eq!((seen.first as i64, seen.count as i64), expected);
                let pads = ((-least).max(0), (most + 1 - h as i64).max(0));
                assert_eq!((i64::from(above), i64::from(below)), pads);
            }
            None => assert!(end <= least.max(0), "{rows:?} of {h} by {window:?}"),
        }
    }
}
