//! Files and log of the real toolkit, byte for byte, and the tables they are made from.

#[path = "support/onnx.rs"]
mod onnx;
mod support;
#[path = "support/toolkit.rs"]
mod toolkit;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fixpoint_quant::{
    Bits, Chip, Export, ExportError, FloatModel, Granularity, SavedOptions, SavedTable, Table,
    TableError, export_espdl,
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

/// The number of files compared, for the net as it was exported and as the toolkit's optimizer left it.
fn compare(folder: &Path) -> usize {
    let files = ["model.onnx", "model_optimized.onnx"].map(|f| folder.join(f));
    (files.iter().filter(|f| f.exists()))
        .map(|file| compare_model(folder, file))
        .sum()
}

fn compare_model(folder: &Path, file_of_model: &Path) -> usize {
    let net = folder.file_name().unwrap().to_str().unwrap();
    let model = FloatModel::from_onnx(&std::fs::read(file_of_model).unwrap()).unwrap();
    assert_eq!(model.problems(), [] as [String; 0], "{net}");
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
    for net in toolkit::NETS.into_iter().chain(["resized"]) {
        let compared = compare(&support::fixture(net));
        assert_eq!(compared, 12, "{net}");
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
    let files = |folder: &Path, part: &str| -> usize {
        let names = std::fs::read_dir(folder).unwrap();
        let names = names.map(|f| f.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(part)).count()
    };
    for folder in &folders {
        // None of the toolkit's files is left out.
        let wanted = files(folder, "coef_") * files(folder, "model");
        assert!(wanted >= 12 && files(folder, "model.onnx") == 1);
        assert_eq!(compare(folder), wanted, "{}", folder.display());
    }
}

/// Every file of MD5SUMS.txt, and the same from a report of our own.
#[test]
fn mnist_is_written_byte_for_byte() {
    let Some(mnist) = support::Mnist::load() else {
        return;
    };
    let model = FloatModel::from_onnx(&mnist.model).unwrap();
    let sums = std::fs::read_to_string(mnist.folder.join("MD5SUMS.txt")).unwrap();
    let mut whole = 0;
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
        // Four of them are there as a whole.
        let folder = mnist.folder.join(format!("{mode}_{}", chip.name()));
        if folder.exists() {
            whole += 1;
            let cpp = support::gunzip(&folder.join("mnist_coefficient.cpp.gz"));
            let hpp = std::fs::read(folder.join("mnist_coefficient.hpp")).unwrap();
            assert!(
                file(&export, "mnist_coefficient.cpp").as_bytes() == cpp,
                "{path}"
            );
            assert!(
                file(&export, "mnist_coefficient.hpp").as_bytes() == hpp,
                "{path}"
            );
        }
    }
    assert_eq!((sums.lines().count(), whole), (14, 4));
}

/// Scales as the toolkit's pickle holds them give the same table as exponents.
#[test]
fn scales_and_exponents_are_the_same_table() {
    let folder = support::fixture("mlp");
    let model = FloatModel::from_onnx(&std::fs::read(folder.join("model.onnx")).unwrap()).unwrap();
    for (bits, granularity) in MODES {
        let mode = format!("{}_{}_minmax", bits.name(), granularity.name());
        let table = table(&model, &folder.join(format!("exponents_{mode}.json")));
        let arrays = model.table_arrays(granularity);
        let again = Table::from_scales(&table.scales(), &arrays, &model, None).unwrap();
        assert_eq!(again, table);
    }
    let none = BTreeSet::new();
    let one = |name: &str, scale: f64| BTreeMap::from([(name.to_owned(), vec![scale])]);
    let error = Table::from_scales(&one("x", 0.1), &none, &model, Some(Bits::I8)).unwrap_err();
    assert!(matches!(error, TableError::Scale { .. }), "{error}");
    let zero = Table::from_scales(&one("x", 0.0), &none, &model, Some(Bits::I8)).unwrap();
    assert_eq!(zero.exponents["x"], [-7]);
    assert!(
        zero.warnings
            .iter()
            .any(|w| w.contains("scale of 'x' is 0"))
    );
    let error = Table::from_scales(&one("x", 1.0), &none, &model, None).unwrap_err();
    assert_eq!(error, TableError::Width);
}

/// Such values once ran into f64's ends or i32's.
#[test]
fn exponents_no_tensor_has_and_other_widths_are_refused() {
    let folder = support::fixture("mlp");
    let model = FloatModel::from_onnx(&std::fs::read(folder.join("model.onnx")).unwrap()).unwrap();
    let options = SavedOptions {
        bits: Bits::I8,
        granularity: Granularity::PerTensor,
    };
    let report = |tensors| SavedTable::Report {
        options: options.clone(),
        tensors,
    };
    for exponent in [-2000, -101, 101, 2000, i32::MAX, i32::MIN] {
        let tensors = BTreeMap::from([("w1".to_owned(), vec![-7, exponent])]);
        for saved in [report(tensors.clone()), SavedTable::Exponents(tensors)] {
            let error = Table::from_saved(saved, &model, None).unwrap_err();
            let name = "w1".to_owned();
            assert_eq!(error, TableError::Exponent { name, exponent });
        }
    }
    let edges = BTreeMap::from([("w1".to_owned(), vec![-100, 100])]);
    assert!(Table::from_saved(report(edges.clone()), &model, Some(Bits::I8)).is_ok());
    let error = Table::from_saved(report(edges), &model, Some(Bits::I16)).unwrap_err();
    let (table, asked) = (Bits::I8, Bits::I16);
    assert_eq!(error, TableError::Bits { table, asked });
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

/// Lines as the toolkit printed them for such networks: an activation stands for what is before it, so
/// that a layer which others read too is named twice, and one whose only reader is an activation not by
/// itself.
#[test]
fn the_log_names_what_activations_follow() {
    let lines = |net: Net, names: &[&str]| -> Vec<String> {
        let model = FloatModel::from_onnx(&net.encode()).unwrap();
        let exponents = (names.iter()).map(|n| ((*n).to_owned(), vec![-7]));
        let saved = SavedTable::Exponents(exponents.collect());
        let table = Table::from_saved(saved, &model, Some(Bits::I8)).unwrap();
        let export = export_espdl(&model, &table, Chip::Esp32S3, "", "net").unwrap();
        (export.log.lines())
            .filter_map(|line| Some(line.split_once(" layer name: ")?.0.to_owned()))
            .collect()
    };
    let conv = || {
        let net = Net::new(&[1, 2, 4, 4]).random_weights("w", &[2, 2, 1, 1], 0.5);
        net.node("Conv", &["x", "w"], "c", &[])
    };
    let names = [
        "x",
        "w",
        "c",
        "r",
        "s",
        "t",
        "p",
        "l_alpha",
        "LeakyRelu_1_alpha",
    ];
    let shared = conv()
        .node("Relu", &["c"], "r", &[])
        .node("Add", &["c", "r"], "s", &[])
        .output("s");
    assert_eq!(lines(shared, &names), ["Conv", "Conv", "Add"]);
    let chain = conv()
        .node("Relu", &["c"], "r", &[])
        .node("Relu", &["r"], "s", &[])
        .output("s");
    assert_eq!(lines(chain, &names), ["Relu"]);
    let forked = conv()
        .node("Relu", &["c"], "r", &[])
        .node("Relu", &["r"], "s", &[])
        .node("Max", &["r", "s"], "t", &[])
        .output("t");
    assert_eq!(lines(forked, &names), ["Conv", "Relu", "Max"]);
    // The padding goes into the pool, and keeps its line at its place.
    let pool = [("kernel_shape", Value::Ints(vec![2, 2]))];
    let padded = Net::new(&[1, 2, 4, 4])
        .random_weights("w", &[2, 2, 1, 1], 0.5)
        .ints("pads", &[0, 0, 1, 1, 0, 0, 0, 0])
        .node("Pad", &["x", "pads"], "p", &[])
        .node("Conv", &["x", "w"], "c", &[])
        .node("AveragePool", &["p"], "s", &pool)
        .output("c")
        .output("s");
    assert_eq!(lines(padded, &names), ["Pad", "Conv", "AveragePool"]);
    // One that pads nothing, between two outputs of the model.
    let idle = conv()
        .ints("pads", &[0; 8])
        .node("Pad", &["c", "pads"], "p", &[])
        .output("c")
        .output("p");
    assert_eq!(lines(idle, &names), ["Conv", "Pad"]);
}

/// What the toolkit wrote for such names, for the bias of a MatMul that is a row, and of two transposes that
/// cancel: letters of any script stay, and a row keeps both its dimensions,
/// slopes their first one.
#[test]
fn names_and_shapes_are_the_toolkits() {
    let perm = |p: [i64; 4]| [("perm", Value::Ints(p.to_vec()))];
    let net = Net::new(&[1, 2, 1, 2])
        .random_weights("w", &[2, 2, 1, 1], 0.5)
        .random_weights("f", &[4, 3], 0.5)
        .random_weights("b", &[1, 3], 0.5)
        .named_node("İx", "Conv", &["x", "w"], "c", &[])
        .named_node("²conv", "Conv", &["c", "w"], "d", &[])
        .named_node("中/a\u{301}", "Conv", &["d", "w"], "e", &[])
        .named_node("1", "Transpose", &["e"], "t", &perm([0, 2, 3, 1]))
        .named_node("2", "Transpose", &["t"], "u", &perm([0, 3, 1, 2]))
        .named_node("flat", "Flatten", &["u"], "g", &[])
        .named_node("m", "MatMul", &["g", "f"], "h", &[])
        .random_weights("slopes", &[1, 3], 0.5)
        .named_node("a", "Add", &["h", "b"], "s", &[])
        .named_node("p", "PRelu", &["s", "slopes"], "y", &[])
        .output("y");
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    let names = [
        "x", "w", "c", "d", "e", "t", "u", "g", "f", "b", "s", "slopes", "y",
    ];
    let saved = SavedTable::Exponents(names.map(|n| (n.to_owned(), vec![-7])).into());
    let table = Table::from_saved(saved, &model, Some(Bits::I8)).unwrap();
    let export = export_espdl(&model, &table, Chip::Esp32S3, "", "net").unwrap();
    for name in ["i\u{307}x", "_²conv", "中_a_", "fused_gemm_0"] {
        let accessor = format!(" *get_{name}_filter();");
        assert!(file(&export, "net.hpp").contains(&accessor), "{name}");
    }
    let bias = "fused_gemm_0_bias(fused_gemm_0_bias_element, -7, {1, 3});";
    assert!(file(&export, "net.cpp").contains(bias));
    let slopes = "(PReLU, fused_gemm_0_activation_element, -7, {1,});";
    assert!(file(&export, "net.cpp").contains(slopes));
    let moved = (export.log.lines()).filter(|line| line.starts_with("Transpose layer name: "));
    assert_eq!(moved.count(), 2);
}

/// The toolkit writes the slope of a LeakyRelu behind a sum where the last activation behind a Conv is
/// one too, even with other layers in between.
#[test]
fn slopes_behind_a_sum_are_written_after_others_of_their_kind() {
    let net = |first: &str| {
        let net = Net::new(&[1, 2, 3, 3])
            .random_weights("w", &[2, 2, 1, 1], 0.5)
            .node("Conv", &["x", "w"], "c", &[])
            .named_node("", first, &["c"], "a", &[])
            .node("Conv", &["a", "w"], "b", &[])
            .node("Add", &["b", "x"], "s", &[]);
        let alpha = [("alpha", Value::Float(0.25))];
        net.named_node("leak", "LeakyRelu", &["s"], "y", &alpha)
            .output("y")
    };
    for (first, written) in [("LeakyRelu", true), ("Relu", false)] {
        let model = FloatModel::from_onnx(&net(first).encode()).unwrap();
        let names = ["x", "w", "c", "a", "b", "s", "y", "_alpha", "leak_alpha"];
        let saved = SavedTable::Exponents(names.map(|n| (n.to_owned(), vec![-7])).into());
        let table = Table::from_saved(saved, &model, Some(Bits::I8)).unwrap();
        let export = export_espdl(&model, &table, Chip::Esp32S3, "", "net").unwrap();
        assert_eq!(
            file(&export, "net.hpp").contains("get_leak_activation()"),
            written,
            "{first}"
        );
    }
}

/// What the toolkit gets wrong is said: a bias that two layers share, and Gemm's factors.
#[test]
fn where_the_toolkit_is_wrong_is_said() {
    let warnings = |net: Net, entries: &[(&str, i32)]| -> Vec<String> {
        let model = FloatModel::from_onnx(&net.encode()).unwrap();
        let exponents = (entries.iter()).map(|(name, e)| ((*name).to_owned(), vec![*e]));
        let saved = SavedTable::Exponents(exponents.collect());
        let table = Table::from_saved(saved, &model, Some(Bits::I8)).unwrap();
        let export = export_espdl(&model, &table, Chip::Esp32S3, "", "net").unwrap();
        export.warnings
    };
    let shared = Net::new(&[1, 2, 4, 4])
        .random_weights("w", &[2, 2, 1, 1], 0.5)
        .random_weights("b", &[2], 0.5)
        .node("Conv", &["x", "w", "b"], "c", &[])
        .node("Conv", &["c", "w", "b"], "y", &[])
        .output("y");
    let said = warnings(
        shared,
        &[("x", -7), ("w", -8), ("b", -5), ("c", -6), ("y", -5)],
    );
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("Give each layer a bias of its own"),
        "{said:?}"
    );
    let gemm = Net::new(&[1, 4])
        .random_weights("w", &[4, 3], 0.5)
        .node("Gemm", &["x", "w"], "y", &[("alpha", Value::Float(0.5))])
        .output("y");
    let said = warnings(gemm, &[("x", -7), ("w", -8), ("y", -6)]);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("has alpha or beta other than 1"),
        "{said:?}"
    );
}

/// Layers of ESP-DL v1 beside the arithmetic ones. Files like these compile against its headers
/// (`include` at af7808ba), of which `dl_layer_avg_pool2d.hpp` needs the base class before it.
#[test]
fn functions_and_pads_are_in_the_class() {
    let pool = [("kernel_shape", Value::Ints(vec![2, 2]))];
    let net = Net::new(&[1, 2, 4, 4])
        .random_weights("w", &[2, 2, 1, 1], 0.5)
        .ints("pads", &[0, 0, 1, 0, 0, 1, 2, 3])
        .node("Conv", &["x", "w"], "c", &[])
        .node("Sigmoid", &["c"], "s", &[])
        .node("Pad", &["s", "pads"], "p", &[])
        .node("Tanh", &["p"], "t", &[])
        .node("AveragePool", &["t"], "y", &pool)
        .output("y");
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    let exponents = ["x", "w", "c", "s", "p", "t", "y"].map(|n| (n.to_owned(), vec![-7]));
    let saved = SavedTable::Exponents(exponents.into());
    let table = Table::from_saved(saved, &model, Some(Bits::I8)).unwrap();
    let export = export_espdl(&model, &table, Chip::Esp32C3, "", "net").unwrap();
    assert_eq!(export.warnings, [] as [String; 0]);
    let class = file(&export, "net_model.hpp");
    for part in [
        "Sigmoid<int8_t, int8_t, QIQO>",
        "TanH<int8_t, int8_t, QIQO>",
        // Rows, columns, channels: before and after each.
        "({1, 2, 0, 3, 0, 1}, {0}, dl::PADDING_CONSTANT, \"n_p\")",
    ] {
        assert!(class.contains(part), "{part}: {class}");
    }
    let at = |header: &str| {
        class
            .find(&format!("#include \"dl_layer_{header}.hpp\""))
            .unwrap()
    };
    assert!(at("base") < at("avg_pool2d"));
}
