//! Random convolutions, and what the portable kernels make of them.

use fixpoint_kernels::fixpoint::{self, Bias};
use fixpoint_kernels::linear::{Direction, Sweep, conv2d, depthwise_conv2d};
use fixpoint_kernels::number::rounding_constant;
use fixpoint_kernels::{Element, Hwc, Limits, Shifts, Window};
use fixpoint_runtime::accelerator::{Convolution, Prepared, Sums};
use fixpoint_runtime::format::Element as Format;
use fixpoint_runtime::memory::{Block16, bytes, bytes_mut};
use fixpoint_vector::{Channel, prepare, prove};

/// SplitMix64.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        low + (z % (high - low + 1) as u64) as i64
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.between(0, choices.len() as i64 - 1) as usize]
    }
}

/// Elements at a multiple of 16.
pub(crate) struct Elements<T> {
    blocks: Vec<Block16>,
    count: usize,
    kind: std::marker::PhantomData<T>,
}

impl<T: Element> Elements<T> {
    pub(crate) fn new(values: &[i16]) -> Self {
        let width = size_of::<T>();
        let mut blocks = vec![Block16::ZERO; (values.len() * width).div_ceil(16)];
        for (place, value) in bytes_mut(&mut blocks).chunks_exact_mut(width).zip(values) {
            place.copy_from_slice(&value.to_le_bytes()[..width]);
        }
        Self {
            blocks,
            count: values.len(),
            kind: std::marker::PhantomData,
        }
    }

    pub(crate) fn get(&self) -> &[T] {
        let (_, elements, _) = unsafe { bytes(&self.blocks).align_to::<T>() };
        &elements[..self.count]
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &bytes(&self.blocks)[..self.count * size_of::<T>()]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytes_mut(&mut self.blocks)[..self.count * size_of::<T>()]
    }

    pub(crate) fn get_mut(&mut self) -> &mut [T] {
        let (_, elements, _) = unsafe { bytes_mut(&mut self.blocks).align_to_mut::<T>() };
        &mut elements[..self.count]
    }
}

/// A task with memory of its own.
pub(crate) struct Task<T> {
    pub(crate) name: String,
    input: Elements<T>,
    weights: Elements<T>,
    shape: Hwc,
    out: Hwc,
    window: Window,
    bias: Vec<i64>,
    shifts: Vec<i8>,
    uniform: bool,
    limits: Limits<T>,
    depthwise: bool,
    sums: Sums,
    records: Vec<Block16>,
    /// Bytes of a record.
    each: usize,
}

/// What a random task is drawn from.
pub(crate) struct Draw {
    pub(crate) shape: Hwc,
    pub(crate) outputs: u32,
    pub(crate) window: Window,
    pub(crate) depthwise: bool,
    /// Weights are between this and its negative.
    pub(crate) most: i16,
    pub(crate) not_negative: bool,
    /// Least shift, and how far shifts lie apart.
    pub(crate) shift: i8,
    pub(crate) spread: i8,
    pub(crate) bias: i64,
    pub(crate) limits: (i16, i16),
}

impl<T: Element> Task<T> {
    pub(crate) fn new(random: &mut Random, draw: &Draw) -> Self {
        let (shape, window) = (draw.shape, draw.window);
        let (h, w) = window.output(shape.h, shape.w).expect("a window that fits");
        let outputs = if draw.depthwise {
            shape.c
        } else {
            draw.outputs
        };
        let out = Hwc { h, w, c: outputs };
        let (low, high): (i64, i64) = (T::MIN.into(), T::MAX.into());
        let low = if draw.not_negative { 0 } else { low };
        let extreme = random.between(0, 5);
        let input: Vec<i16> = (0..shape.h * shape.w * shape.c)
            .map(|_| match extreme {
                0 => low as i16,
                1 => high as i16,
                2 => random.pick(&[low, high]) as i16,
                _ => random.between(low, high) as i16,
            })
            .collect();
        let inner = if draw.depthwise { 1 } else { shape.c as usize };
        let taps = usize::from(window.kernel_h) * usize::from(window.kernel_w);
        let outputs = outputs as usize;
        let most = i64::from(draw.most);
        // One channel after another, rows of the kernel inside.
        // In some blocks weights are smaller, so that those aren't split where others are.
        let mut plain: Vec<i16> = Vec::new();
        for first in (0..outputs).step_by(T::LANES) {
            let most = random.pick(&[most, most, most / 16 + 1]);
            let channels = T::LANES.min(outputs - first);
            plain.extend((0..channels * taps * inner).map(|_| random.between(-most, most) as i16));
        }
        let padded = outputs.next_multiple_of(T::LANES);
        let mut blocked = vec![0; padded * taps * inner];
        for (channel, weights) in plain.chunks_exact(taps * inner).enumerate() {
            let (block, lane) = (channel / T::LANES, channel % T::LANES);
            for (at, weight) in weights.iter().enumerate() {
                blocked[(block * taps * inner + at) * T::LANES + lane] = *weight;
            }
        }
        let uniform = draw.spread == 0;
        let mut shifts: Vec<i8> = (0..outputs)
            .map(|_| draw.shift + random.between(0, draw.spread.into()) as i8)
            .collect();
        let mut bias: Vec<i64> = (shifts.iter())
            .map(|shift| random.between(-draw.bias, draw.bias) + rounding_constant((*shift).into()))
            .collect();
        let channels: Vec<Channel<'_>> = (plain.chunks_exact(taps * inner).zip(&bias).zip(&shifts))
            .map(|((weights, bias), shift)| Channel {
                weights,
                bias: *bias,
                shift: (*shift).into(),
            })
            .collect();
        let range = if draw.not_negative {
            [0, 127]
        } else {
            [-128, 127]
        };
        let prove = |channels: &[Channel<'_>]| {
            prove(channels, window.kernel_h.into(), range, draw.depthwise)
        };
        let sums = match T::LANES {
            // What is not proved must come out as well.
            16 if random.between(0, 5) == 0 => Sums::Unproved,
            16 => prove(&channels),
            _ => Sums::Whole,
        };
        let whole: Vec<bool> = (channels.chunks(T::LANES))
            .map(|block| T::LANES == 16 && sums != Sums::Unproved && prove(block) == Sums::Whole)
            .collect();
        bias.resize(padded, 0);
        shifts.resize(padded, 0);
        let mut task = Self {
            name: format!(
                "{shape:?} to {outputs}, {window:?}, depthwise {}, weights up to {most}, \
                 shifts {}+{}, {sums:?}",
                draw.depthwise, draw.shift, draw.spread
            ),
            input: Elements::new(&input),
            weights: Elements::new(&blocked),
            shape,
            out,
            window,
            bias,
            shifts,
            uniform,
            limits: Limits {
                low: T::saturate(draw.limits.0.into()),
                high: T::saturate(draw.limits.1.into()),
            },
            depthwise: draw.depthwise,
            sums,
            records: Vec::new(),
            each: 0,
        };
        let mut records = Vec::new();
        let prepared = prepare(
            &task.task(),
            &task.finish(),
            |block| whole[block],
            |record| records.push(record.to_vec()),
        );
        if prepared.is_some() {
            task.each = records.iter().map(Vec::len).max().unwrap_or(0);
            let each = task.each;
            let all = records.iter().flat_map(|record| {
                let mut record = record.clone();
                record.resize(each, 0);
                record
            });
            let all: Vec<u8> = all.collect();
            task.records = (all.as_chunks::<16>().0.iter())
                .map(|vector| Block16(*vector))
                .collect();
        }
        task
    }

    fn shifts(&self) -> Shifts<'_> {
        match self.uniform {
            true => Shifts::Uniform(self.shifts[0]),
            false => Shifts::PerChannel(&self.shifts),
        }
    }

    pub(crate) fn task(&self) -> Convolution<'_> {
        Convolution {
            element: match T::LANES {
                16 => Format::I8,
                _ => Format::I16,
            },
            input: self.input.bytes(),
            shape: self.shape,
            window: &self.window,
            weights: self.weights.bytes(),
            out: self.out,
            rows: 0..self.out.h,
            depthwise: self.depthwise,
            sums: self.sums,
            prepared: Prepared {
                bytes: bytes(&self.records),
                each: self.each,
            },
        }
    }

    /// Elements of an output row.
    pub(crate) fn row(&self) -> usize {
        (self.out.w * self.out.c) as usize
    }

    pub(crate) fn rows(&self) -> u32 {
        self.out.h
    }

    pub(crate) fn sums(&self) -> Sums {
        self.sums
    }

    /// An output of something else than what comes out.
    pub(crate) fn blank(&self) -> Elements<T> {
        Elements::new(&vec![0x55; (self.out.h * self.out.w * self.out.c) as usize])
    }

    /// What the portable kernel gives.
    pub(crate) fn expected(&self) -> Elements<T> {
        let mut output = self.blank();
        match T::LANES {
            16 => self.portable::<16>(output.get_mut()),
            _ => self.portable::<8>(output.get_mut()),
        }
        output
    }

    /// What becomes of its sums.
    fn finish(&self) -> fixpoint::Linear<'_, T> {
        fixpoint::Linear {
            bias: Bias::Wide(&self.bias),
            shifts: self.shifts(),
            leak: None,
            limits: self.limits,
        }
    }

    fn portable<const B: usize>(&self, output: &mut [T]) {
        let finish = self.finish();
        let (input, weights) = (self.input.get(), self.weights.get());
        if self.depthwise {
            let window = &self.window;
            depthwise_conv2d::<T, i64, _, B>(
                input, self.shape, window, weights, output, self.out, &finish,
            );
        } else {
            let sweep = Sweep {
                window: self.window,
                direction: Direction::Forward,
                groups: 1,
            };
            conv2d::<T, i64, _, B>(
                input, self.shape, &sweep, weights, output, self.out, &finish,
            );
        }
    }
}

/// A task of any kind, in `round` of a series.
pub(crate) fn draw(random: &mut Random, round: usize, i8_elements: bool) -> Draw {
    let depthwise = round % 3 == 2;
    let mut c = random.pick(&[1, 3, 8, 15, 16, 16, 17, 24, 32, 32, 40, 48, 64]);
    if round.is_multiple_of(18) {
        // Many parts of few outputs.
        c = random.pick(&[80, 96, 128, 160, 256]);
    }
    let (mut h, mut w) = (random.between(1, 7) as u32, random.between(1, 9) as u32);
    // More than is staged at once.
    match c {
        8 if depthwise && random.between(0, 2) == 0 => {
            (h, w) = (random.between(4, 13) as u32, random.between(30, 120) as u32);
        }
        16 if depthwise && random.between(0, 3) == 0 => {
            (h, w) = (random.between(10, 25) as u32, random.between(3, 14) as u32);
        }
        _ => {}
    }
    let mut rows = random.between(0, 1) == 0;
    let window = loop {
        let mut any = |low, high| random.between(low, high) as u16;
        let window = match round % 6 {
            0 => Window::new(1, 1),
            1 | 2 => Window::new(3, 3).stride(any(1, 2), any(1, 2)).pads(
                any(0, 1),
                any(0, 1),
                any(0, 1),
                any(0, 1),
            ),
            5 if rows => Window::new(any(1, 7), 5 + 2 * any(0, 1))
                .stride(any(1, 3), any(1, 3))
                .pads(any(0, 4), any(0, 4), any(0, 4), any(0, 4)),
            _ => Window::new(any(1, 5), any(1, 5))
                .stride(any(1, 3), any(1, 3))
                .dilation(any(1, 2), any(1, 3))
                .pads(any(0, 3), any(0, 3), any(0, 3), any(0, 3)),
        };
        if window.output(h, w).is_some() {
            break window;
        }
        rows = false;
        if round % 6 == 1 || round % 6 == 2 {
            break Window::new(1, 1);
        }
    };
    let shift = match i8_elements {
        true => random.pick(&[0, 4, 7, 8, 9, 10, 11, 12, 13]),
        false => random.pick(&[0, 8, 14, 16, 20]),
    };
    let (low, high) = if i8_elements {
        (-128, 127)
    } else {
        (i16::MIN, i16::MAX)
    };
    Draw {
        shape: Hwc { h, w, c },
        outputs: random.pick(&[1, 7, 8, 16, 16, 19, 32, 33, 48]),
        window,
        depthwise,
        most: random.pick(&[1, 7, 31, 64, high]),
        not_negative: random.between(0, 1) == 0,
        shift,
        spread: random.pick(&[0, 0, 1, 3, 6, 11]),
        bias: 1 << (shift + 6),
        limits: random.pick(&[(low, high), (0, high), (0, 96), (-5, 5)]),
    }
}
