//! What layers cost on the chip: instructions that the firmware's own code, vector kernels included,
//! executes in the emulator, for a whole layer with everything around the kernel. More than a budget
//! allows fails the test.
//!
//! `cargo xtask bench device` prints the table; without the Xtensa build this is skipped.
#![cfg(not(target_arch = "wasm32"))]

use std::path::PathBuf;
use std::{env, fs};

use fixpoint_emulator::elf::Elf;
use fixpoint_quant::image::{Activation, Element, Linear, Shifts, Window};
use fixpoint_runtime::{AlignedBytes, Model};
use fixpoint_tests::random::Random;

mod layer;
mod measure;
mod pool;
use layer::Shape;
use measure::{HZ, job_of, measured, on_host};
use pool::pools;

/// One layer of a table.
#[derive(Clone, Copy)]
struct Row {
    layer: Shape,
    relu: bool,
    /// Instructions per multiply-accumulate that are aimed at.
    goal: Option<f64>,
    /// Most that are allowed: what has been reached, and a little more.
    limit: Option<f64>,
    /// Microseconds that others have published for it on this chip at 240 MHz.
    published: Option<f64>,
}

fn rows() -> Vec<Row> {
    use Element::{I8, I16};
    let row = |name, element, input, outputs, window| Row {
        layer: Shape {
            name,
            element,
            input,
            outputs,
            window,
            depthwise: false,
        },
        relu: false,
        goal: None,
        limit: None,
        published: None,
    };
    let depthwise = |row: Row| Row {
        layer: row.layer.depthwise(),
        ..row
    };
    let square = |kernel, stride| Window::new(kernel, kernel).stride(stride, stride);
    let mut rows = vec![
        Row {
            published: Some(422.0),
            limit: Some(0.1631),
            ..row("conv 1x1", I8, [16, 20, 20], 32, square(1, 1))
        },
        Row {
            goal: Some(0.10),
            limit: Some(0.0904),
            ..row("conv 1x1", I8, [64, 20, 20], 64, square(1, 1))
        },
        Row {
            goal: Some(0.10),
            limit: Some(0.0908),
            ..row("conv 1x1", I8, [256, 6, 6], 256, square(1, 1))
        },
        Row {
            goal: Some(0.10),
            published: Some(482.0),
            limit: Some(0.0950),
            ..row("conv 3x3 s2", I8, [32, 19, 23], 16, square(3, 2))
        },
        Row {
            goal: Some(0.10),
            relu: true,
            published: Some(974.0),
            limit: Some(0.0938),
            ..row("conv 5x5 s2", I8, [16, 22, 22], 32, square(5, 2))
        },
        Row {
            goal: Some(0.10),
            relu: true,
            limit: Some(0.0857),
            ..row(
                "conv 3x3 padded",
                I8,
                [64, 12, 12],
                64,
                square(3, 1).pads(1, 1, 1, 1),
            )
        },
        Row {
            goal: Some(0.20),
            published: Some(3447.0),
            limit: Some(0.1759),
            ..row("conv 3x3", I8, [22, 19, 23], 33, square(3, 1))
        },
        Row {
            goal: Some(0.20),
            limit: Some(0.1821),
            ..row("conv 1x1", I8, [72, 20, 20], 33, square(1, 1))
        },
        Row {
            relu: true,
            goal: Some(0.30),
            published: Some(5542.0),
            limit: Some(0.2285),
            ..depthwise(row("depthwise 3x3", I8, [32, 100, 50], 32, square(3, 1)))
        },
        Row {
            relu: true,
            goal: Some(0.30),
            limit: Some(0.2285),
            ..depthwise(row(
                "depthwise 3x3 padded",
                I8,
                [64, 24, 24],
                64,
                square(3, 1).pads(1, 1, 1, 1),
            ))
        },
        Row {
            limit: Some(0.3081),
            ..row(
                "first layer 3x3 s2",
                I8,
                [3, 96, 96],
                8,
                square(3, 2).pads(0, 0, 1, 1),
            )
        },
        Row {
            goal: Some(0.22),
            limit: Some(0.1715),
            ..row("conv 1x1", I16, [64, 20, 20], 64, square(1, 1))
        },
        Row {
            goal: Some(0.22),
            limit: Some(0.1662),
            ..row("conv 3x3 s2", I16, [32, 19, 23], 16, square(3, 2))
        },
        Row {
            goal: Some(0.22),
            relu: true,
            limit: Some(0.1546),
            ..row(
                "conv 3x3 padded",
                I16,
                [32, 12, 12],
                32,
                square(3, 1).pads(1, 1, 1, 1),
            )
        },
        Row {
            goal: Some(0.10),
            relu: true,
            limit: Some(0.0894),
            ..row(
                "conv 3x3 s2 padded",
                I8,
                [64, 20, 20],
                64,
                square(3, 2).pads(0, 0, 1, 1),
            )
        },
        Row {
            goal: Some(0.10),
            relu: true,
            limit: Some(0.0891),
            ..row(
                "conv 3x3 padded",
                I8,
                [16, 32, 32],
                16,
                square(3, 1).pads(1, 1, 1, 1),
            )
        },
        Row {
            goal: Some(0.10),
            limit: Some(0.0934),
            ..row("conv 1x1", I8, [64, 20, 20], 16, square(1, 1))
        },
        Row {
            goal: Some(0.10),
            relu: true,
            limit: Some(0.0796),
            ..row("conv 1x1", I8, [128, 10, 10], 128, square(1, 1))
        },
        Row {
            limit: Some(0.1019),
            ..row("fully connected", I8, [1024, 1, 1], 128, square(1, 1))
        },
        Row {
            goal: Some(0.30),
            relu: true,
            limit: Some(0.2425),
            ..depthwise(row(
                "depthwise 3x3 s2 padded",
                I8,
                [64, 24, 24],
                64,
                square(3, 2).pads(0, 0, 1, 1),
            ))
        },
        Row {
            goal: Some(0.30),
            relu: true,
            limit: Some(0.2268),
            ..depthwise(row(
                "depthwise 3x3 padded",
                I8,
                [16, 48, 48],
                16,
                square(3, 1).pads(1, 1, 1, 1),
            ))
        },
        Row {
            goal: Some(0.30),
            relu: true,
            limit: Some(0.2600),
            ..depthwise(row(
                "depthwise 3x3 padded",
                I8,
                [256, 6, 6],
                256,
                square(3, 1).pads(1, 1, 1, 1),
            ))
        },
        Row {
            goal: Some(0.30),
            relu: true,
            limit: Some(0.2975),
            ..depthwise(row(
                "depthwise 3x3 padded",
                I8,
                [24, 24, 24],
                24,
                square(3, 1).pads(1, 1, 1, 1),
            ))
        },
        Row {
            goal: Some(0.30),
            relu: true,
            limit: Some(0.2878),
            ..depthwise(row(
                "depthwise 3x3 padded",
                I8,
                [72, 20, 20],
                72,
                square(3, 1).pads(1, 1, 1, 1),
            ))
        },
        Row {
            goal: Some(0.30),
            relu: true,
            limit: Some(0.4520),
            ..depthwise(row(
                "depthwise 3x3 padded",
                I8,
                [33, 24, 24],
                33,
                square(3, 1).pads(1, 1, 1, 1),
            ))
        },
        Row {
            relu: true,
            limit: Some(0.3310),
            ..depthwise(row(
                "depthwise 3x3 padded",
                I16,
                [32, 24, 24],
                32,
                square(3, 1).pads(1, 1, 1, 1),
            ))
        },
        Row {
            relu: true,
            limit: Some(0.1493),
            ..row(
                "first layer 3x3 s2",
                I8,
                [3, 96, 96],
                16,
                square(3, 2).pads(0, 0, 1, 1),
            )
        },
        Row {
            limit: Some(0.1930),
            ..row("fully connected", I16, [784, 1, 1], 100, square(1, 1))
        },
        Row {
            goal: Some(0.10),
            relu: true,
            limit: Some(0.0816),
            ..row("conv 1x1", I8, [128, 6, 6], 128, square(1, 1))
        },
        Row {
            goal: Some(0.10),
            relu: true,
            limit: Some(0.0957),
            ..row("conv 1x1", I8, [256, 3, 3], 256, square(1, 1))
        },
        Row {
            goal: Some(0.10),
            relu: true,
            limit: Some(0.0835),
            ..row(
                "conv 3x3 padded",
                I8,
                [64, 6, 6],
                64,
                square(3, 1).pads(1, 1, 1, 1),
            )
        },
        Row {
            goal: Some(0.10),
            relu: true,
            limit: Some(0.0862),
            ..row(
                "conv 3x3 padded",
                I8,
                [64, 4, 4],
                64,
                square(3, 1).pads(1, 1, 1, 1),
            )
        },
        Row {
            goal: Some(0.30),
            relu: true,
            limit: Some(0.2630),
            ..depthwise(row("depthwise 3x3", I8, [256, 8, 8], 256, square(3, 1)))
        },
        Row {
            goal: Some(0.30),
            relu: true,
            limit: Some(0.2340),
            ..depthwise(row(
                "depthwise 3x3 padded",
                I8,
                [128, 12, 12],
                128,
                square(3, 1).pads(1, 1, 1, 1),
            ))
        },
        Row {
            goal: Some(0.30),
            relu: true,
            limit: Some(0.2426),
            ..depthwise(row(
                "depthwise 3x3 s2 padded",
                I8,
                [128, 20, 20],
                128,
                square(3, 2).pads(0, 0, 1, 1),
            ))
        },
        Row {
            goal: Some(0.10),
            relu: true,
            limit: Some(0.0971),
            ..row("conv 1x1", I8, [64, 6, 6], 64, square(1, 1))
        },
        Row {
            relu: true,
            limit: Some(0.1174),
            ..row("conv 1x1", I8, [64, 3, 3], 64, square(1, 1))
        },
    ];
    // Strides, goal, limit.
    let fives = [
        (I8, [88, 3, 96], [1, 1], Some(0.20), 0.1605),
        (I8, [200, 2, 96], [1, 1], Some(0.20), 0.1262),
        (I8, [104, 3, 96], [2, 1], Some(0.20), 0.1644),
        (I8, [32, 6, 96], [2, 1], Some(0.20), 0.1945),
        (I8, [48, 3, 96], [1, 1], Some(0.20), 0.1478),
        (I8, [64, 24, 24], [1, 1], None, 0.2038),
        (I8, [120, 12, 12], [1, 1], None, 0.2114),
        (I8, [240, 6, 6], [1, 1], Some(0.20), 0.1960),
        (I8, [40, 24, 24], [2, 2], None, 0.3370),
        (I8, [64, 24, 24], [2, 2], None, 0.2612),
        (I16, [88, 3, 96], [1, 1], None, 0.2402),
        (I16, [64, 12, 12], [1, 1], None, 0.3440),
    ];
    rows.extend(fives.map(|(element, input, [down, right], goal, limit)| {
        let name = match [down, right] {
            [1, 1] => "depthwise 5x5 padded",
            [2, 1] => "depthwise 5x5 s2x1 padded",
            _ => "depthwise 5x5 s2 padded",
        };
        let window = Window::new(5, 5).stride(down, right).pads(2, 2, 2, 2);
        Row {
            goal,
            relu: true,
            limit: Some(limit),
            ..depthwise(row(name, element, input, input[0], window))
        }
    }));
    // Few output channels, as in the heads of detectors.
    let heads = [
        (I8, [64, 30, 40], 6, 0.20, 0.1675),
        (I8, [128, 15, 20], 4, 0.20, 0.1485),
        (I8, [256, 8, 10], 4, 0.20, 0.1420),
        (I16, [64, 30, 40], 6, 0.22, 0.2825),
        (I16, [128, 15, 20], 4, 0.22, 0.2525),
    ];
    rows.extend(heads.map(|(element, input, outputs, goal, limit)| Row {
        goal: Some(goal),
        limit: Some(limit),
        ..row("conv 1x1", element, input, outputs, square(1, 1))
    }));
    // Of one pixel, where what is around the kernel takes most.
    let pixels = [
        (I8, 88, 22, 0.760),
        (I8, 200, 50, 0.295),
        (I8, 64, 10, 1.71),
        (I16, 88, 22, 0.895),
        (I16, 200, 50, 0.384),
    ];
    rows.extend(pixels.map(|(element, inputs, outputs, limit)| Row {
        relu: true,
        limit: Some(limit),
        ..row("conv 1x1", element, [inputs, 1, 1], outputs, square(1, 1))
    }));
    rows
}

impl Row {
    /// The image, inputs as stored, and the layer's multiply-accumulates. Weights are about normal, of
    /// the type's whole range; in 8 bits their exponents, one for each channel, spread over four
    /// neighbours.
    fn build(&self, random: &mut Random) -> (Vec<u8>, Vec<u8>, u64) {
        let (layer, outputs) = (&self.layer, self.layer.outputs);
        let each = layer.products();
        let high = layer.high();
        let about_normal = |random: &mut Random| -> i16 {
            let sum: i64 = (0..6).map(|_| random.between(-high, high)).sum();
            (sum / 4).clamp(-high, high) as i16
        };
        let weights = (0..outputs * each).map(|_| about_normal(random)).collect();
        // Sums of so many products with inputs that are half zeros.
        let grown = each.ilog2().div_ceil(2);
        let shift = (layer.bits() - 2) as i32 + grown as i32;
        let shifts = match layer.bits() {
            8 => Shifts::PerChannel(
                (0..outputs)
                    .map(|_| shift + random.between(-1, 2) as i32)
                    .collect(),
            ),
            _ => Shifts::PerTensor(shift),
        };
        let linear = Linear {
            weights,
            bias: (0..outputs)
                .map(|_| random.between(-1 << shift, 1 << shift))
                .collect(),
            shifts,
            activation: if self.relu {
                Activation::Relu
            } else {
                Activation::None
            },
            accumulator: None,
        };
        let (image, inputs) = layer.build(linear, random);
        let macs = (layer.output().iter().product::<usize>() * each) as u64;
        (image, inputs, macs)
    }
}

#[test]
fn layers_stay_within_their_instructions() {
    let Some(elf) = env::var_os("FIXPOINT_SELFTEST").map(PathBuf::from) else {
        println!("skipped: no Xtensa build; run `cargo xtask bench device`");
        return;
    };
    let file = fs::read(elf).expect("the selftest");
    let elf = Elf::parse(&file).expect("an ELF of ours");
    let mut random = Random(11);
    let mut over = Vec::new();
    println!(
        "{:<23} {:<4} {:<18} {:>10} {:>11} {:>9} {:>7} {:>10} {:>10}",
        "layer", "type", "shape", "MAC", "instr.", "instr/MAC", "goal", "us (est.)", "published"
    );
    for row in rows() {
        let shape = &row.layer;
        let (image, inputs, macs) = row.build(&mut random);
        let job = job_of(&image, &inputs);
        let measured = measured(&elf, &job);
        assert_eq!(measured.text, on_host(&job), "{}", shape.name);
        let layer = measured.layers.last().copied().expect("layers");
        let each = layer.instructions as f64 / macs as f64;
        let number = |value: Option<f64>| value.map_or("-".to_owned(), |v| v.to_string());
        println!(
            "{:<23} {:<4} {:<18} {:>10} {:>11} {:>9.4} {:>7} {:>10.0} {:>10}",
            shape.name,
            shape.element_name(),
            shape.sizes(),
            macs,
            layer.instructions,
            each,
            number(row.goal),
            layer.cycles as f64 / HZ * 1e6,
            number(row.published),
        );
        if row.limit.is_some_and(|limit| each > limit) {
            over.push(format!("{} {:?}: {each:.4}", shape.name, shape.input));
        }
        Model::parse(AlignedBytes::new(&image).as_ref()).expect("an image of ours");
    }
    // In the same table, by the elements of all windows.
    for pool in pools() {
        let (image, inputs, elements) = pool.build(&mut random);
        let job = job_of(&image, &inputs);
        let measured = measured(&elf, &job);
        assert_eq!(measured.text, on_host(&job), "{}", pool.name);
        let layer = measured.layers.last().copied().expect("layers");
        let each = layer.instructions as f64 / elements as f64;
        println!(
            "{:<23} {:<4} {:<18} {elements:>10} {:>11} {each:>9.4} {:>7} {:>10.0} {:>10}",
            pool.name,
            pool.element_name(),
            pool.sizes(),
            layer.instructions,
            "-",
            layer.cycles as f64 / HZ * 1e6,
            "-",
        );
        if each > pool.limit {
            over.push(format!("{} {:?}: {each:.4}", pool.name, pool.input));
        }
    }
    assert!(over.is_empty(), "over budget: {over:#?}");
}
