//! Pickles that Python and NumPy wrote, and such that mean harm.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use fixpoint_dataset::pickle::{
    PickleError, Scales, Value, read, read_scales, read_table, write_scales, write_table,
};
use fixpoint_dataset::{InputShape, NamedFile, Preprocess, Samples, load};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/pickle")
        .join(name)
}

fn versions(stem: &str) -> Vec<(String, Vec<u8>)> {
    let names = (0..12).map(|i| format!("{stem}-numpy{}-protocol{}.pickle", 1 + i / 6, i % 6));
    names
        .map(|name| (name.clone(), fs::read(fixture(&name)).unwrap()))
        .collect()
}

fn samples(path: &str, bytes: Vec<u8>, dims: &[usize]) -> Samples {
    let file = NamedFile {
        path: path.to_owned(),
        bytes,
    };
    let target = InputShape::new(dims);
    let mut preprocess = Preprocess::default_for(dims);
    preprocess.arrays = fixpoint_dataset::Arrays::Values;
    load(vec![file], &target, &preprocess).unwrap()
}

#[test]
fn tables_of_every_protocol_are_read() {
    for (name, bytes) in versions("table") {
        let table = read_scales(&bytes).unwrap_or_else(|e| panic!("{name} {e}"));
        let found: Vec<_> = table.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
        assert_eq!(
            found,
            [
                ("b", vec![0.0625]),
                ("conv/w", vec![0.03125, 1.0 / 32768.0, 8.0]),
                ("leaky_alpha", vec![0.001953125]),
                ("x", vec![0.0078125]),
            ],
            "{name}"
        );
    }
}

#[test]
fn calibration_data_of_every_protocol_is_read() {
    for (name, bytes) in versions("samples") {
        let found = samples(&name, bytes, &[1, 1, 2, 4]);
        assert_eq!(found.len(), 3, "{name}");
        assert_eq!(found.labels, Some(vec![2, 0, 1]), "{name}");
        let want: Vec<f32> = (0..24).map(|i| (i * 11 % 256) as f32).collect();
        assert_eq!(found.data, want, "{name}");
    }
}

#[test]
fn big_endian_fortran_arrays_and_lists_of_labels_are_read() {
    for name in ["dict-numpy1.pickle", "dict-numpy2.pickle"] {
        let found = samples(name, fs::read(fixture(name)).unwrap(), &[1, 4, 3]);
        let want: Vec<f32> = (0..24).map(|i| i as f32 / 8.0).collect();
        assert_eq!(
            (found.data, found.labels),
            (want, Some(vec![1, 0])),
            "{name}"
        );
    }
}

#[test]
fn written_tables_are_read_back() {
    let table = [
        ("x", Scales::One(0.0078125)),
        ("w", Scales::Many(vec![0.5, 4.0])),
        ("é", Scales::Many(vec![])),
    ];
    let read = read_scales(&write_scales(table)).unwrap();
    assert_eq!(read["x"], [0.0078125]);
    assert_eq!(read["w"], [0.5, 4.0]);
    assert_eq!(read["é"], [] as [f64; 0]);
    let scales = BTreeMap::from([("x".to_owned(), vec![0.5]), ("w".to_owned(), vec![2.0])]);
    let arrays = BTreeSet::from(["w".to_owned()]);
    let read = read_table(&write_table(&scales, &arrays)).unwrap();
    assert_eq!(read, (scales, arrays));
}

/// What Python wrote for `os.system("...")`, in the two spellings.
#[test]
fn nothing_is_called() {
    for bytes in [
        &b"cposix\nsystem\n(S'echo hurt'\ntR."[..],
        b"\x80\x04\x95\x20\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93\x8c\x04hurt\x85R.",
        b"\x80\x02c__builtin__\neval\nX\x01\x00\x00\x001\x85R.",
    ] {
        let error = read(bytes).unwrap_err();
        assert!(matches!(error, PickleError::Call(_)), "{error:?}");
    }
    // Objects of classes, persistent ids, extension codes: opcodes that aren't there at all.
    for opcode in [0x81, b'i', b'o', b'Q', b'P', 0x82, 0x92, 0x97] {
        let bytes = [0x80, 2, b')', b')', opcode, b'.'];
        assert_eq!(read(&bytes), Err(PickleError::Opcode(opcode)));
    }
}

#[test]
fn what_is_wrong_is_said() {
    let said = |bytes: &[u8]| read_scales(bytes).unwrap_err().to_string();
    assert_eq!(
        said(b""),
        "is a pickle that ends early; copy the file again"
    );
    assert!(said(b"\x80\x02].").contains("no dictionary"));
    assert!(said(b"\x80\x02}X\x01\x00\x00\x00xX\x01\x00\x00\x00ys.").contains("'x' is no number"));
    assert!(said(b"\x80\x02}K\x01K\x02s.").contains("a key is no name"));
    // An array whose shape promises more than its bytes.
    let array = b"cnumpy\nndarray\n0cnumpy.core.numeric\n_frombuffer\n(C\x01\x00cnumpy\ndtype\n\
                  X\x02\x00\x00\x00f8\x85RJ\xff\xff\xff\x7f\x85X\x01\x00\x00\x00CtR.";
    assert!(matches!(read(array), Err(PickleError::Array(_))));
    let object = b"cnumpy\ndtype\nX\x02\x00\x00\x00O8\x85R.";
    assert!(
        read(object)
            .unwrap_err()
            .to_string()
            .contains("elements of type O8")
    );
}

/// Lists that hold themselves, and lists of lists of lists that double each time.
#[test]
fn repetition_ends() {
    assert_eq!(read(b"\x80\x02]q\x00h\x00a."), Err(PickleError::TooMuch));
    let mut doubling = b"\x80\x02]".to_vec();
    for i in 0..40 {
        doubling.extend([b'q', i, b'0', b'h', i, b'h', i, 0x86]);
    }
    doubling.push(b'.');
    assert_eq!(read(&doubling), Err(PickleError::TooMuch));
    let deep = [&b"\x80\x02"[..], &[b']'; 100], &[b'a'; 99], b"."].concat();
    assert_eq!(read(&deep), Err(PickleError::TooMuch));
    assert_eq!(read(b"]]a."), Ok(Value::List(vec![Value::List(vec![])])));
}

/// Any damage ends in a value or in an error.
#[test]
fn damage_is_answered() {
    for (_, bytes) in versions("table").into_iter().chain(versions("samples")) {
        for at in 0..bytes.len() {
            let _ = read_scales(&bytes[..at]);
            for value in [
                0,
                b'.',
                b'R',
                b'b',
                b'u',
                0x80,
                0xff,
                bytes[at] ^ 1,
                bytes[at] ^ 0x20,
            ] {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                let _ = read_scales(&damaged);
            }
        }
    }
}
