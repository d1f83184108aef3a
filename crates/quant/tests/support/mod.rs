//! Test data: the repository's own fixtures, and `shared/` where it is there.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test binary uses a part of it"
)]

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use ndarray_npy::ReadNpyExt;

/// The repository's fixtures.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures")
        .join(name)
}

/// A folder of `shared/`, or None with a visible note.
pub fn shared(path: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("FIXPOINT_SHARED") {
        Some(p) => PathBuf::from(p),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let full = root.join(path);
    if full.exists() {
        return Some(full);
    }
    // Straight to stderr, so that the note is seen without --nocapture.
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "skipped: shared/{path} not there");
    None
}

/// A printed line that is seen without --nocapture.
pub fn note(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}

pub struct Array {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

/// A .npy of any numeric type that occurs here, as f32.
pub fn npy_bytes(bytes: &[u8]) -> Array {
    macro_rules! read_as {
        ($($t:ty),*) => {$(
            if let Ok(a) = ndarray::ArrayD::<$t>::read_npy(Cursor::new(bytes)) {
                return Array {
                    shape: a.shape().to_vec(),
                    data: a.iter().map(|v| *v as f32).collect(),
                };
            }
        )*};
    }
    read_as!(f32, f64, i64, i32, i16, i8, u8);
    panic!("unknown npy type");
}

pub fn npy(path: &Path) -> Array {
    npy_bytes(&std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

/// The arrays of an .npz, those of text left out.
pub fn npz(path: &Path) -> BTreeMap<String, Array> {
    (npz_files(path).into_iter())
        .filter(|(_, bytes)| !header(bytes).contains("'<U"))
        .map(|(name, bytes)| (name, npy_bytes(&bytes)))
        .collect()
}

/// An array of text in an .npz.
pub fn strings(path: &Path, name: &str) -> Vec<String> {
    let bytes = &npz_files(path)[name];
    let (_, width) = header(bytes).split_once("'<U").unwrap();
    let width: usize = width.split('\'').next().unwrap().parse().unwrap();
    let data = &bytes[10 + header(bytes).len()..];
    (data.chunks_exact(4 * width))
        .map(|text| {
            (text.chunks_exact(4))
                .map(|c| char::from_u32(u32::from_le_bytes(c.try_into().unwrap())).unwrap())
                .filter(|c| *c != '\0')
                .collect()
        })
        .collect()
}

/// An array of f64 in an .npz.
pub fn doubles(path: &Path, name: &str) -> Vec<f64> {
    let bytes = &npz_files(path)[name];
    let array = ndarray::ArrayD::<f64>::read_npy(Cursor::new(bytes)).unwrap();
    array.iter().copied().collect()
}

/// The text in front of the data of a .npy, version 1.
fn header(bytes: &[u8]) -> &str {
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    std::str::from_utf8(&bytes[10..10 + length]).unwrap()
}

fn npz_files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut zip = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    (0..zip.len())
        .map(|i| {
            let mut file = zip.by_index(i).unwrap();
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            let name = file.name().unwrap().trim_end_matches(".npy").to_owned();
            (name, bytes)
        })
        .collect()
}

/// A gzip file without extra header fields.
pub fn gunzip(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    let mut at = 10;
    if bytes[3] & 8 != 0 {
        while bytes[at] != 0 {
            at += 1;
        }
        at += 1;
    }
    miniz_oxide::inflate::decompress_to_vec(&bytes[at..bytes.len() - 8]).unwrap()
}

/// An exponents file of the toolkit.
pub fn exponents(path: &Path) -> BTreeMap<String, Vec<i32>> {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The tutorial's model with MNIST's test images as 0..1 floats.
pub struct Mnist {
    pub model: Vec<u8>,
    pub images: Vec<f32>,
    pub labels: Vec<u32>,
    pub folder: PathBuf,
}

impl Mnist {
    pub fn load() -> Option<Mnist> {
        let folder = shared("data/espdl/mnist")?;
        let raw = gunzip(&folder.join("t10k-images-idx3-ubyte.gz"));
        let labels = gunzip(&folder.join("t10k-labels-idx1-ubyte.gz"));
        Some(Mnist {
            model: std::fs::read(folder.join("mnist_model_example.onnx")).unwrap(),
            images: raw[16..].iter().map(|v| f32::from(*v) / 255.0).collect(),
            labels: labels[8..].iter().map(|v| u32::from(*v)).collect(),
            folder,
        })
    }

    /// `test_images[0:5000:50]`, which the tutorial calibrates with.
    pub fn calibration(&self) -> Vec<f32> {
        (0..5000)
            .step_by(50)
            .flat_map(|i| self.images[i * 784..(i + 1) * 784].iter().copied())
            .collect()
    }
}
