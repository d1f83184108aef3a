//! The idx format of MNIST and its relatives: magic `00 00 type rank`, axis lengths, elements,
//! all big-endian. Format: the description beside the original files, yann.lecun.com/exdb/mnist.

use crate::npy::{Array, Element, NpyError};

/// The bytes look like an idx file: two zeros, a known type, 1 to 4 axes.
pub(crate) fn is_idx(bytes: &[u8]) -> bool {
    matches!(bytes, [0, 0, code, 1..=4, ..] if element(*code).is_some())
}

/// Reads a whole file for which [`is_idx`] holds.
pub(crate) fn read(file: Vec<u8>) -> Result<Array, String> {
    let [0, 0, code, rank, ..] = file[..] else {
        return Err("is not an idx file".into());
    };
    let element = element(code).ok_or("is an idx file with elements of an unknown type")?;
    let start = 4 + 4 * usize::from(rank);
    let axes = file
        .get(4..start)
        .ok_or("is an idx file that ends inside its header")?;
    let dims = axes
        .chunks_exact(4)
        .map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize)
        .collect();
    Array::new(dims, element, file, start, true, false).map_err(|e: NpyError| e.to_string())
}

/// The name of the labels file that belongs to a file of images, by the names MNIST uses:
/// `t10k-labels-idx1-ubyte.gz` for `t10k-images-idx3-ubyte.gz`. `None` for other names.
#[must_use]
pub fn labels_beside(images: &str) -> Option<String> {
    images.contains("images").then(|| {
        images
            .replace("images", "labels")
            .replace("idx3", "idx1")
            .replace("idx4", "idx1")
    })
}

fn element(code: u8) -> Option<Element> {
    Some(match code {
        0x08 => Element::U8,
        0x09 => Element::I8,
        0x0b => Element::I16,
        0x0c => Element::I32,
        0x0d => Element::F32,
        0x0e => Element::F64,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_and_elements_are_big_endian() {
        let array = read(vec![
            0, 0, 0x0b, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 0, 0xff, 0xff,
        ])
        .unwrap();
        assert_eq!(array.dims(), [1, 2]);
        assert_eq!(array.integers().unwrap(), [256, -1]);
    }

    #[test]
    fn a_cut_file_says_so() {
        assert!(read(vec![0, 0, 8, 3, 0, 0]).unwrap_err().contains("header"));
        assert!(
            read(vec![0, 0, 8, 1, 0, 0, 0, 2, 9])
                .unwrap_err()
                .contains("ends early")
        );
    }

    #[test]
    fn labels_lie_beside_images() {
        let names = [
            ("t10k-images-idx3-ubyte", Some("t10k-labels-idx1-ubyte")),
            ("train-images.idx3-ubyte", Some("train-labels.idx1-ubyte")),
            ("x.npy", None),
        ];
        for (images, labels) in names {
            assert_eq!(labels_beside(images).as_deref(), labels, "{images}");
        }
    }
}
