//! Resizing in integers: the same pixels on every machine.
//!
//! A triangle filter, widened by the ratio when it shrinks (so that every source pixel counts),
//! in two passes of 8-bit pixels with 22-bit weights, each rounded half up. Training pipelines
//! mostly resize so: the result is that of Pillow's `BILINEAR`.

use crate::preprocess::Resize;

const WEIGHT_BITS: u32 = 22;

/// Eight-bit pixels, channels together, rows from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pixels {
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) data: Vec<u8>,
}

/// The source pixels that one output pixel is made of.
struct Tap {
    first: usize,
    weights: Vec<i32>,
}

impl Pixels {
    /// Brings an image to `height` x `width`.
    pub(crate) fn fit(self, height: usize, width: usize, how: Resize) -> Self {
        if (self.height, self.width) == (height, width) {
            return self;
        }
        match how {
            Resize::Stretch => self.stretch(height, width),
            Resize::CropCenter => {
                let (h, w) = inside(height, width, self.height, self.width);
                let (top, left) = ((self.height - h) / 2, (self.width - w) / 2);
                self.crop(top, left, h, w).stretch(height, width)
            }
            Resize::Pad => {
                let (h, w) = inside(self.height, self.width, height, width);
                let (top, left) = ((height - h) / 2, (width - w) / 2);
                self.stretch(h, w).pad(top, left, height, width)
            }
        }
    }

    fn stretch(self, height: usize, width: usize) -> Self {
        self.resize_rows(width).resize_columns(height)
    }

    fn resize_rows(self, width: usize) -> Self {
        if self.width == width {
            return self;
        }
        let taps = taps(self.width, width);
        let c = self.channels;
        let mut data = Vec::with_capacity(self.height * width * c);
        for row in self.data.chunks_exact(self.width * c) {
            for tap in &taps {
                for channel in 0..c {
                    let source = row[tap.first * c + channel..].iter().step_by(c);
                    data.push(tap.apply(source));
                }
            }
        }
        Self {
            width,
            data,
            ..self
        }
    }

    fn resize_columns(self, height: usize) -> Self {
        if self.height == height {
            return self;
        }
        let taps = taps(self.height, height);
        let stride = self.width * self.channels;
        let mut data = Vec::with_capacity(height * stride);
        for tap in &taps {
            for x in 0..stride {
                let source = self.data[tap.first * stride + x..].iter().step_by(stride);
                data.push(tap.apply(source));
            }
        }
        Self {
            height,
            data,
            ..self
        }
    }

    fn crop(self, top: usize, left: usize, height: usize, width: usize) -> Self {
        let c = self.channels;
        let rows = self
            .data
            .chunks_exact(self.width * c)
            .skip(top)
            .take(height);
        let data = rows
            .flat_map(|row| &row[left * c..][..width * c])
            .copied()
            .collect();
        Self {
            height,
            width,
            data,
            channels: c,
        }
    }

    fn pad(self, top: usize, left: usize, height: usize, width: usize) -> Self {
        let c = self.channels;
        let mut data = vec![0; height * width * c];
        for (y, row) in self.data.chunks_exact(self.width * c).enumerate() {
            data[((top + y) * width + left) * c..][..row.len()].copy_from_slice(row);
        }
        Self {
            height,
            width,
            data,
            channels: c,
        }
    }
}

impl Tap {
    fn apply<'a>(&self, source: impl Iterator<Item = &'a u8>) -> u8 {
        let sum: i32 = self
            .weights
            .iter()
            .zip(source)
            .map(|(w, &p)| w * i32::from(p))
            .sum();
        ((sum + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS).clamp(0, 255) as u8
    }
}

/// Largest size with the aspect ratio of `height` x `width` inside the given box, each side at
/// least 1, rounded half up.
fn inside(height: usize, width: usize, max_height: usize, max_width: usize) -> (usize, usize) {
    let round = |a: usize, b: usize, c: usize| {
        let (a, b, c) = (a as u64, b as u64, c as u64);
        (((2 * a * b + c) / (2 * c)) as usize).max(1)
    };
    if max_width as u64 * height as u64 >= max_height as u64 * width as u64 {
        (max_height, round(width, max_height, height).min(max_width))
    } else {
        (round(height, max_width, width).min(max_height), max_width)
    }
}

fn taps(from: usize, to: usize) -> Vec<Tap> {
    // Sums, products and quotients of f64 only: IEEE gives them the same bits everywhere.
    let scale = from as f64 / to as f64;
    let reach = scale.max(1.0);
    (0..to)
        .map(|i| {
            let centre = (i as f64 + 0.5) * scale;
            let first = (centre - reach + 0.5).max(0.0) as usize;
            let end = ((centre + reach + 0.5) as usize).min(from);
            let raw: Vec<f64> = (first..end)
                .map(|x| (1.0 - ((x as f64 + 0.5 - centre) / reach).abs()).max(0.0))
                .collect();
            let total: f64 = raw.iter().sum();
            let one = f64::from(1 << WEIGHT_BITS);
            let weights = raw.iter().map(|w| (w / total * one + 0.5) as i32).collect();
            Tap { first, weights }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(height: usize, width: usize, data: &[u8]) -> Pixels {
        Pixels {
            channels: 1,
            height,
            width,
            data: data.to_vec(),
        }
    }

    #[test]
    fn the_same_size_is_the_same_image() {
        let image = grey(2, 2, &[1, 2, 3, 4]);
        assert_eq!(image.clone().fit(2, 2, Resize::Stretch), image);
    }

    #[test]
    fn flat_stays_flat_at_any_ratio() {
        for (h, w) in [(1, 1), (3, 7), (64, 2), (5, 40)] {
            for how in [Resize::Stretch, Resize::CropCenter] {
                let image = grey(9, 5, &[201; 45]).fit(h, w, how);
                assert_eq!(image, grey(h, w, &vec![201; h * w]), "{h}x{w} {how:?}");
            }
        }
    }

    // Computed with Pillow 13: Image.fromarray(a).resize((w, h), Image.BILINEAR), with
    // a[y, x] = (37 y + 101 x) % 256.
    #[test]
    fn agrees_with_pillow() {
        let ramp = |h: usize, w: usize| -> Vec<u8> {
            (0..h * w)
                .map(|i| ((37 * (i / w) + 101 * (i % w)) % 256) as u8)
                .collect()
        };
        let small = grey(7, 5, &ramp(7, 5)).fit(3, 2, Resize::Stretch);
        assert_eq!(small.data, PILLOW_7X5_TO_3X2);
        let large = grey(2, 3, &ramp(2, 3)).fit(5, 4, Resize::Stretch);
        assert_eq!(large.data, PILLOW_2X3_TO_5X4);
    }

    const PILLOW_7X5_TO_3X2: [u8; 6] = [108, 136, 139, 115, 135, 121];
    const PILLOW_2X3_TO_5X4: [u8; 20] = [
        0, 63, 139, 202, 4, 67, 143, 206, 19, 82, 158, 221, 33, 96, 172, 235, 37, 100, 176, 239,
    ];

    #[test]
    fn crop_takes_the_middle_and_pad_adds_black() {
        let wide = grey(1, 5, &[1, 2, 3, 4, 5]);
        assert_eq!(wide.clone().fit(1, 3, Resize::CropCenter).data, [2, 3, 4]);
        assert_eq!(
            wide.fit(3, 5, Resize::Pad).data,
            [0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 0, 0, 0, 0, 0]
        );
        let tall = grey(4, 1, &[10, 10, 30, 30]);
        assert_eq!(
            tall.fit(2, 2, Resize::Pad).data,
            [13, 0, 27, 0],
            "(3 * 10 + 3 * 10 + 30) / 7"
        );
    }

    #[test]
    fn sides_never_vanish() {
        assert_eq!(inside(1, 1000, 10, 10), (1, 10));
        assert_eq!(inside(1000, 1, 10, 10), (10, 1));
        assert_eq!(
            grey(1, 100, &[9; 100]).fit(4, 4, Resize::Pad).data[4..8],
            [9; 4]
        );
    }

    #[test]
    fn channels_stay_apart() {
        let data: Vec<u8> = [10, 20, 30].repeat(12);
        let image = Pixels {
            channels: 3,
            height: 4,
            width: 3,
            data,
        };
        assert_eq!(
            image.fit(2, 5, Resize::Stretch).data,
            [10, 20, 30].repeat(10)
        );
    }
}
