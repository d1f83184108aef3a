//! Whatever the bytes are, loading ends in samples or in an error.

use std::io::{Cursor, Write};

use fixpoint_dataset::npy::{self, Values};
use fixpoint_dataset::{InputShape, NamedFile, Preprocess, load};
use image::{DynamicImage, ImageFormat};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// xorshift64: the same damage on every run.
struct Damage(u64);

impl Damage {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % n.max(1)
    }

    /// Flips, overwrites, cuts, repeats or drops a few bytes.
    fn to(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..=self.below(4) {
            if bytes.is_empty() {
                break;
            }
            let at = self.below(bytes.len());
            match self.below(6) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
                2 => bytes.truncate(at),
                3 => {
                    let end = (at + self.below(16)).min(bytes.len());
                    bytes.drain(at..end);
                }
                4 => {
                    let end = (at + 8).min(bytes.len());
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
                _ => {
                    let end = (at + 4).min(bytes.len());
                    bytes[at..end].fill(0xff);
                }
            }
        }
        bytes
    }
}

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let noise = |i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8;
    let rgb = image::RgbImage::from_fn(19, 11, |x, y| {
        image::Rgb([noise(x), noise(y * 7 + x), noise(x * y)])
    });
    let grey = image::DynamicImage::from(rgb.clone()).into_luma8();
    let encode = |image: DynamicImage, format| {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    let x = npy::write(&[2, 4, 4], Values::F32(&[0.25; 32]));
    let y = npy::write(&[2], Values::I32(&[1, 0]));
    let mut idx = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 4];
    idx.extend([9; 32]);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&idx).unwrap();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in [("x.npy", &x), ("y.npy", &y)] {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    vec![
        ("a.png", encode(rgb.clone().into(), ImageFormat::Png)),
        ("g.png", encode(grey.clone().into(), ImageFormat::Png)),
        ("a.jpg", encode(rgb.clone().into(), ImageFormat::Jpeg)),
        ("g.jpg", encode(grey.into(), ImageFormat::Jpeg)),
        ("a.bmp", encode(rgb.into(), ImageFormat::Bmp)),
        ("x.npy", x),
        ("a.npz", zip.finish().unwrap().into_inner()),
        ("images-idx3-ubyte", idx),
        ("images-idx3-ubyte.gz", gz.finish().unwrap()),
        ("labels.csv", b"a.png,1\nb.png,2\n".to_vec()),
    ]
}

#[test]
fn damaged_files_never_panic() {
    let target = InputShape::new(&[1, 4, 4]);
    let preprocess = Preprocess::default_for(&[1, 4, 4]);
    let mut damage = Damage(0x9e37_79b9_7f4a_7c15);
    let (mut loaded, mut refused) = (0, 0);
    for (path, bytes) in seeds() {
        let whole = NamedFile {
            path: path.into(),
            bytes: bytes.clone(),
        };
        assert_eq!(
            load(vec![whole], &target, &preprocess).is_ok(),
            path != "labels.csv",
            "{path}"
        );
        for _ in 0..400 {
            let bytes = damage.to(bytes.clone());
            match load(
                vec![NamedFile {
                    path: path.into(),
                    bytes,
                }],
                &target,
                &preprocess,
            ) {
                Ok(samples) => {
                    assert_eq!(samples.data.len(), samples.len() * 16, "{path}");
                    assert!(samples.data.iter().all(|v| v.is_finite()), "{path}");
                    loaded += 1;
                }
                Err(e) => {
                    assert!(!e.to_string().is_empty());
                    refused += 1;
                }
            }
        }
    }
    println!("{loaded} damaged files still loaded, {refused} were refused");
    assert!(
        loaded > 0 && refused > 0,
        "the damage reaches both ways out"
    );
}
