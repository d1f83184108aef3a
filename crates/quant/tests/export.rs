//! Files and log of the real toolkit, byte for byte, and the tables they are made from.

#[path = "support/onnx.rs"]
mod onnx;
mod support;

use std::collections::BTreeMap;
use std::path::Path;

use fixpoint_quant::{
    Bits, Chip, Export, ExportError, FloatModel, Granularity, SavedTable, Table, TableError,
    export_espdl,
};
use md5::{Digest, Md5};
use onnx::{Net, Value};

const MODES: [(Bits, Granularity); 3] = [
    (Bits::I16, Granularity::PerTensor),
    (Bits::I8, Granularity::PerChannel),
    (Bits::I8, Granularity::PerTensor),
];

const CHIPS: [Chip; 4] = [Chip::Esp32S3, Chip::Esp32C3, Chip::Esp32, Chip::Esp32S2];

/// The table that the toolkit's exponents make, width and granularity found out from the model.
fn table(model: &FloatModel, path: &Path) -> Table {
    let saved: SavedTable = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    Table::from_saved(saved, model, None).unwrap()
}

fn file<'e>(export: &'e Export, name: &str) -> &'e str {
    let found = export.files.iter().find(|f| f.name == name);
    &found.unwrap_or_else(|| panic!("no {name}")).contents
}

/// A file, or the same packed.
fn unpacked(path: &Path) -> Option<Vec<u8>> {
    let packed = path.with_extension("cpp.gz");
    match std::fs::read(path) {
        Ok(bytes) => Some(bytes),
        Err(_) if packed.exists() => Some(support::gunzip(&packed)),
        Err(_) => None,
    }
}

/// The number of files compared; 0 for a net with operators that are still to come.
fn compare(folder: &Path) -> usize {
    let net = folder.file_name().unwrap().to_str().unwrap();
    let model = FloatModel::from_onnx(&std::fs::read(folder.join("model.onnx")).unwrap()).unwrap();
    if !model.problems().is_empty() {
        support::note(&format!("waiting: {net}: {}", model.problems().join(" ")));
        return 0;
    }
    let mut compared = 0;
    for (bits, granularity) in MODES {
        let mode = format!("{}_{}_minmax", bits.name(), granularity.name());
        let table = table(&model, &folder.join(format!("exponents_{mode}.json")));
        assert_eq!(
            (table.bits, table.granularity),
            (bits, granularity),
            "{net}"
        );
        let wanted_log = std::fs::read_to_string(folder.join(format!("log_{mode}.txt"))).unwrap();
        let mut log = String::new();
        for chip in CHIPS {
            let name = format!(
                "coef_{}_{}_{}",
                bits.name(),
                granularity.name().replace('-', "_"),
                chip.name()
            );
            let at = if wanted_log.contains(" ./coef") {
                "."
            } else {
                ""
            };
            let export = export_espdl(&model, &table, chip, at, &name).unwrap();
            if wanted_log.contains(&format!("{name}.cpp")) {
                // The toolkit was asked for its model information once, for the S3.
                let lines = if chip == Chip::Esp32S3 { usize::MAX } else { 2 };
                let said = export.log.split_inclusive('\n').take(lines);
                log.extend(said);
            }
            for suffix in ["cpp", "hpp"] {
                let full = format!("{name}.{suffix}");
                let Some(want) = unpacked(&folder.join(&full)) else {
                    continue;
                };
                let same = file(&export, &full).as_bytes() == want;
                assert!(same, "{net}/{full} differs");
                compared += 1;
            }
        }
        assert_eq!(log, wanted_log, "{net} {mode}");
    }
    compared
}

#[test]
fn fixture_nets_are_written_byte_for_byte() {
    for net in [
        "mlp",
        "maxpool_chain",
        "conv_relu_dw_prelu_fc",
        "tf2onnx_cnn",
        "concat3_input",
        "sub_mul",
    ] {
        let compared = compare(&support::fixture(net));
        assert!(matches!(compared, 0 | 12), "{net}: {compared}");
    }
}

#[test]
fn shared_nets_are_written_byte_for_byte() {
    let Some(nets) = support::shared("data/espdl/nets") else {
        return;
    };
    let mut folders: Vec<_> = (std::fs::read_dir(nets).unwrap())
        .map(|f| f.unwrap().path())
        .collect();
    folders.sort();
    let compared: usize = folders.iter().map(|f| compare(f)).sum();
    assert!(compared >= 2 * 12 + 2 * 18, "{compared}");
}

/// Every file of MD5SUMS.txt, and the same from a report of our own.
#[test]
fn mnist_is_written_byte_for_byte() {
    let Some(mnist) = support::Mnist::load() else {
        return;
    };
    let model = FloatModel::from_onnx(&mnist.model).unwrap();
    let sums = std::fs::read_to_string(mnist.folder.join("MD5SUMS.txt")).unwrap();
    for line in sums.lines() {
        let (sum, path) = line.split_once("  ").unwrap();
        let (mode, chip) = (path.trim_start_matches("out_new_"))
            .split_once("/")
            .and_then(|(folder, _)| folder.rsplit_once('_'))
            .unwrap();
        let chip = *CHIPS.iter().find(|c| c.name() == chip).unwrap();
        let table = table(
            &model,
            &mnist
                .folder
                .join(format!("calib_new_{mode}.exponents.json")),
        );
        let export = export_espdl(&model, &table, chip, ".", "mnist_coefficient").unwrap();
        let got: String = (Md5::digest(file(&export, "mnist_coefficient.cpp")).iter())
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(got, sum, "{path}");
    }
    assert_eq!(sums.lines().count(), 14);
}

/// Scales as the toolkit's pickle holds them give the same table as exponents.
#[test]
fn scales_and_exponents_are_the_same_table() {
    let folder = support::fixture("mlp");
    let model = FloatModel::from_onnx(&std::fs::read(folder.join("model.onnx")).unwrap()).unwrap();
    for (bits, granularity) in MODES {
        let mode = format!("{}_{}_minmax", bits.name(), granularity.name());
        let table = table(&model, &folder.join(format!("exponents_{mode}.json")));
        let again = Table::from_scales(&table.scales(), &model, None).unwrap();
        assert_eq!(again, table);
    }
    let one = |name: &str, scale: f64| BTreeMap::from([(name.to_owned(), vec![scale])]);
    let error = Table::from_scales(&one("x", 0.1), &model, Some(Bits::I8)).unwrap_err();
    assert!(matches!(error, TableError::Scale { .. }), "{error}");
    let zero = Table::from_scales(&one("x", 0.0), &model, Some(Bits::I8)).unwrap();
    assert_eq!(zero.exponents["x"], [-7]);
    assert!(
        zero.warnings
            .iter()
            .any(|w| w.contains("scale of 'x' is 0"))
    );
    let error = Table::from_scales(&one("x", 1.0), &model, None).unwrap_err();
    assert_eq!(error, TableError::Width);
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = support::fixture("mlp");
    let model = FloatModel::from_onnx(&std::fs::read(folder.join("model.onnx")).unwrap()).unwrap();
    let good = table(
        &model,
        &folder.join("exponents_int8_per-channel_minmax.json"),
    );
    let attempt = |table: &Table, name: &str| {
        export_espdl(&model, table, Chip::Esp32S3, "", name).unwrap_err()
    };
    assert_eq!(attempt(&good, "my-net"), ExportError::Name("my-net".into()));
    let mut wide = good.clone();
    wide.bits = Bits::I16;
    assert_eq!(attempt(&wide, "net"), ExportError::Int16PerChannel);
    let mut short = good.clone();
    short.exponents.remove("b1");
    let missing = ExportError::Table(TableError::Missing("b1".into()));
    assert_eq!(attempt(&short, "net"), missing);
    let mut count = good.clone();
    count.exponents.insert("w1".into(), vec![-7, -7]);
    let error = attempt(&count, "net");
    assert!(
        matches!(error, ExportError::Table(TableError::Count { .. })),
        "{error}"
    );
}

/// A Flatten of an image: the coefficients are the toolkit's, the class turns the image.
#[test]
fn a_flattened_image_is_warned_of_and_turned() {
    let net = Net::new(&[1, 3, 4, 5])
        .random_weights("w", &[60, 2], 0.5)
        .node(
            "MaxPool",
            &["x"],
            "p",
            &[("kernel_shape", Value::Ints(vec![1, 1]))],
        )
        .node("Flatten", &["p"], "f", &[])
        .node("Gemm", &["f", "w"], "y", &[])
        .output("y");
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    let exponents = ["x", "p", "f", "y", "w"].map(|n| (n.to_owned(), vec![-7]));
    let saved = SavedTable::Exponents(exponents.into());
    let table = Table::from_saved(saved, &model, Some(Bits::I8)).unwrap();
    let export = export_espdl(&model, &table, Chip::Esp32S3, "out", "net").unwrap();
    assert!(
        export.warnings[0].contains("'n_y' reads a flattened image"),
        "{:?}",
        export.warnings
    );
    let class = file(&export, "net_model.hpp");
    assert!(class.contains("({20, 3}, \"n_y\")"), "{class}");
    assert!(class.contains("Transpose<int8_t>"), "{class}");
    let app = file(&export, "app_main.cpp");
    assert!(app.contains("set_shape({4, 5, 3})"), "{app}");
    assert!(export.log.contains("out/net.cpp, out/net.hpp\n"));
}

/// Weights that the toolkit's optimizer gave other names, as it does where it merges a
/// BatchNormalization: the table still tells the width, and the files are the same.
#[test]
fn weights_under_other_names_are_found_by_their_exponents() {
    let folder = support::fixture("mlp");
    let model = FloatModel::from_onnx(&std::fs::read(folder.join("model.onnx")).unwrap()).unwrap();
    for (bits, granularity) in MODES {
        let mode = format!("{}_{}_minmax", bits.name(), granularity.name());
        let full = table(&model, &folder.join(format!("exponents_{mode}.json")));
        let mut renamed = full.exponents.clone();
        for (i, name) in ["w1", "b1", "w2", "b2"].into_iter().enumerate() {
            let list = renamed.remove(name).unwrap();
            renamed.insert(format!("{}", 19 + i), list);
        }
        let found = Table::from_saved(SavedTable::Exponents(renamed), &model, None).unwrap();
        assert_eq!(found.bits, bits);
        if granularity == Granularity::PerTensor {
            for name in ["w1", "b1", "w2", "b2"] {
                assert_eq!(found.exponents[name], full.exponents[name], "{mode} {name}");
            }
        }
        assert_eq!(found.warnings.len(), 1);
    }
}

/// The toolkit's files have no slopes but those right behind a Conv or Gemm, and its log no
/// activation at all.
#[test]
fn slopes_behind_a_sum_are_in_the_class() {
    let net = Net::new(&[1, 2, 3, 3])
        .weights("slope", &[2, 1, 1], vec![0.5, 0.25])
        .random_weights("w", &[2, 2, 1, 1], 0.5)
        .node("Conv", &["x", "w"], "c", &[])
        .node("Add", &["c", "x"], "s", &[])
        .node("PRelu", &["s", "slope"], "p", &[])
        .node("Conv", &["p", "w"], "y", &[])
        .output("y");
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    let exponents = ["x", "c", "s", "p", "y", "w", "slope"].map(|n| (n.to_owned(), vec![-7]));
    let saved = SavedTable::Exponents(exponents.into());
    let table = Table::from_saved(saved, &model, Some(Bits::I8)).unwrap();
    let export = export_espdl(&model, &table, Chip::Esp32S3, "", "net").unwrap();
    assert!(!file(&export, "net.hpp").contains("activation"));
    assert!(!export.log.contains("PRelu"), "{}", export.log);
    let class = file(&export, "net_model.hpp");
    assert!(
        class.contains("n_p_slopes[] __attribute__((aligned(16))) = {64, 32};"),
        "{class}"
    );
}
