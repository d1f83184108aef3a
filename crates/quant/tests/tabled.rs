//! Models with the exponents of a quantization table instead of calibrated ones.

#[path = "support/onnx.rs"]
mod onnx;
mod support;
#[path = "support/toolkit.rs"]
mod toolkit;

use std::collections::BTreeMap;

use fixpoint_quant::{
    Arithmetic, Bits, FloatModel, Granularity, Method, Options, QuantError, Quantized, Samples,
    SavedTable, Table, TableError, quantize,
};
use support::fixture;
use toolkit::{MODES, NETS};

fn model(net: &str) -> FloatModel {
    FloatModel::from_onnx(&std::fs::read(fixture(net).join("model.onnx")).unwrap()).unwrap()
}

/// The toolkit's exponents.
fn saved(net: &str, (bits, granularity, method): (Bits, Granularity, Method)) -> SavedTable {
    let [bits, granularity, method] = [bits.name(), granularity.name(), method.name()];
    let file = fixture(net).join(format!("exponents_{bits}_{granularity}_{method}.json"));
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn by_table(model: &FloatModel, table: &Table, options: &Options) -> Result<Quantized, QuantError> {
    let tabled = model.clone().with_table(table).unwrap();
    assert!(tabled.is_settled() && !tabled.is_given());
    quantize(&tabled, &Samples::none(), options, &mut |_| ())
}

#[test]
fn the_toolkits_table_makes_the_image_that_calibration_makes() {
    for net in NETS {
        let model = model(net);
        let elements = model.inputs()[0].dims.as_ref().unwrap().iter().product();
        let calib = ["calib.npy", "input.npy"].map(|file| fixture(net).join(file));
        let calib = support::npy(calib.iter().find(|path| path.exists()).unwrap()).data;
        for mode in MODES {
            let (bits, granularity, method) = mode;
            let table = Table::from_saved(saved(net, mode), &model, None).unwrap();
            let options = Options {
                bits,
                granularity,
                method,
                arithmetic: Arithmetic::Espdl,
                ..Options::default()
            };
            let samples = Samples::single(&calib, elements).unwrap();
            let calibrated = quantize(&model, &samples, &options, &mut |_| ()).unwrap();
            // Width and granularity come with the table, whatever is asked for.
            let asked = Options {
                arithmetic: Arithmetic::Espdl,
                ..Options::default()
            };
            let found = by_table(&model, &table, &asked).unwrap();
            assert_eq!(found.image, calibrated.image, "{net} {mode:?}");
            assert_eq!(
                found.report.tensors, calibrated.report.tensors,
                "{net} {mode:?}"
            );
            assert_eq!(found.report.calibration_samples, 0);
        }
    }
}

#[test]
fn exponents_are_the_tables_in_the_fixpoint_arithmetic_too() {
    let mode = MODES[2];
    let SavedTable::Exponents(mut exponents) = saved("mlp", mode) else {
        panic!("exponents by name")
    };
    let model = model("mlp");
    let plain = Table::from_saved(SavedTable::Exponents(exponents.clone()), &model, None).unwrap();
    let before = by_table(&model, &plain, &Options::default())
        .unwrap()
        .report;
    // Coarser by hand: one output, and one channel of its weights.
    let last = before.layers.last().unwrap();
    let (output, weights) = (last.output.clone(), last.weight_exponents.clone());
    let (name, list) = (exponents.iter_mut())
        .find(|(_, list)| **list == weights)
        .unwrap();
    let name = name.clone();
    list[0] += 1;
    exponents.get_mut(&output).unwrap()[0] += 2;
    let table = Table::from_saved(
        SavedTable::Exponents(exponents.clone()),
        &model,
        Some(Bits::I8),
    )
    .unwrap();
    let after = by_table(&model, &table, &Options::default())
        .unwrap()
        .report;
    let last = after.layers.last().unwrap();
    assert_eq!(last.weight_exponents[0], weights[0] + 1);
    assert_eq!(last.weight_exponents[1..], weights[1..]);
    assert_eq!(after.tensors[&name], exponents[&name]);
    let exponent = |report: &fixpoint_quant::Report| report.outputs[0].exponent;
    assert_eq!(exponent(&after), exponent(&before) + 2);
}

#[test]
fn a_table_that_does_not_fit_is_refused() {
    let net = model("mlp");
    let SavedTable::Exponents(mut exponents) = saved("mlp", MODES[2]) else {
        panic!("exponents by name")
    };
    let table = |exponents: &BTreeMap<String, Vec<i32>>| Table {
        bits: Bits::I8,
        granularity: Granularity::PerChannel,
        exponents: exponents.clone(),
        warnings: Vec::new(),
    };
    let input = net.inputs()[0].name.clone();
    let entry = exponents.remove(&input).unwrap();
    let error = by_table(&net, &table(&exponents), &Options::default()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&format!("The table has no exponent for '{input}'")),
        "{text}"
    );
    exponents.insert(input, entry);
    let name = "w1".to_owned();
    exponents.get_mut(&name).unwrap().push(0);
    let got = exponents[&name].len();
    let error = net.with_table(&table(&exponents)).unwrap_err();
    let want = got - 1;
    assert_eq!(error, TableError::Count { name, want, got });

    let quantized = model("quantized/ort_int16");
    let error = quantized.with_table(&table(&exponents));
    assert_eq!(error.unwrap_err(), TableError::Quantized);
}

#[test]
fn what_passes_made_has_the_exponent_of_what_it_was_made_of() {
    let net = onnx::Net::new(&[1, 4])
        .random_weights("w", &[4, 4], 0.5)
        .random_weights("v", &[4, 4], 0.5)
        .node("Gemm", &["x", "w"], "a", &[])
        .node("Gemm", &["x", "v"], "b", &[])
        .node("Max", &["a", "b", "x"], "y", &[])
        .output("y");
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    // The toolkit knows one Max, and nothing between its operands.
    let exponents = [
        ("x", -6),
        ("a", -5),
        ("b", -4),
        ("y", -5),
        ("w", -8),
        ("v", -8),
    ];
    let saved = exponents.map(|(name, e)| (name.to_owned(), vec![e]));
    let saved = SavedTable::Exponents(saved.into());
    let table = Table::from_saved(saved, &model, Some(Bits::I8)).unwrap();
    let chip = fixpoint_quant::Chip::Esp32S3;
    assert!(fixpoint_quant::export_espdl(&model, &table, chip, "", "net").is_ok());
    let options = Options {
        arithmetic: Arithmetic::Espdl,
        ..Options::default()
    };
    let found = by_table(&model, &table, &options).unwrap();
    assert_eq!(found.report.tensors["y"], [-5]);
}

/// The toolkit's scales for such a layer are the same either way, what it writes is not.
#[test]
fn a_granularity_that_a_table_does_not_tell_can_be_said() {
    let net = onnx::Net::new(&[1, 1, 2, 2])
        .weights("w", &[1, 1, 1, 1], vec![0.75])
        .node("Conv", &["x", "w"], "y", &[])
        .output("y");
    let single = FloatModel::from_onnx(&net.encode()).unwrap();
    let per_channel = saved("mlp", MODES[2]);
    let saved = [("x", -5), ("y", -4), ("w", -7)].map(|(name, e)| (name.to_owned(), vec![e]));
    let table = Table::from_saved(SavedTable::Exponents(saved.into()), &single, None).unwrap();
    let chip = fixpoint_quant::Chip::Esp32S3;
    for (granularity, written) in [
        (
            Granularity::PerTensor,
            "_filter_element, -7, {1, 1, 1, 1}, {1, 1});",
        ),
        (Granularity::PerChannel, "_filter_exponent[] = {-7};"),
    ] {
        let table = table.clone().of_granularity(granularity, &single).unwrap();
        let export = fixpoint_quant::export_espdl(&single, &table, chip, "", "net").unwrap();
        let said = format!("to int8 {} quantization for esp32s3", granularity.name());
        assert!(export.log.contains(&said), "{}", export.log);
        let cpp = export.files.iter().find(|f| f.name == "net.cpp").unwrap();
        assert!(cpp.contents.contains(written), "{}", cpp.contents);
    }
    let model = model("mlp");
    let table = Table::from_saved(per_channel, &model, None).unwrap();
    let error = (table.of_granularity(Granularity::PerTensor, &model)).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("made per-channel, not per-tensor"),
        "{error}"
    );
}
