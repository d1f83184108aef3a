//! Every exponent that the ESP-DL toolkit wrote for the oracle nets and for MNIST.

mod support;

use std::path::Path;

use fixpoint_quant::{
    Arithmetic, Bits, FloatModel, Granularity, Method, Options, Samples, quantization_table,
};

const MODES: [(Bits, Granularity, Method); 5] = [
    (Bits::I8, Granularity::PerTensor, Method::MinMax),
    (Bits::I8, Granularity::PerChannel, Method::MinMax),
    (Bits::I16, Granularity::PerTensor, Method::MinMax),
    (Bits::I8, Granularity::PerTensor, Method::Entropy),
    (Bits::I8, Granularity::PerChannel, Method::Entropy),
];

fn compare(
    model: &FloatModel,
    calibration: &Samples<'_>,
    path: &dyn Fn(&str) -> std::path::PathBuf,
) {
    for (bits, granularity, method) in MODES {
        let options = Options {
            bits,
            granularity,
            method,
            arithmetic: Arithmetic::Espdl,
            ..Options::default()
        };
        let mode = format!("{}_{}_{}", bits.name(), granularity.name(), method.name());
        let table = quantization_table(model, calibration, &options).unwrap();
        let expected = support::exponents(&path(&mode));
        assert_eq!(table, expected, "{mode}");
    }
}

fn net(folder: &Path) {
    let name = folder.file_name().unwrap().to_str().unwrap();
    let model = FloatModel::from_onnx(&std::fs::read(folder.join("model.onnx")).unwrap()).unwrap();
    let elements: usize = model.inputs()[0].dims.as_ref().unwrap().iter().product();
    // Nets without calib.npy were calibrated with their evaluation input.
    let calib = ["calib.npy", "input.npy"].map(|f| folder.join(f));
    let calib = support::npy(calib.iter().find(|p| p.exists()).unwrap());
    let samples = Samples::single(&calib.data, elements).unwrap();
    assert_eq!(model.problems(), [] as [String; 0], "{name}");
    compare(&model, &samples, &|mode| {
        folder.join(format!("exponents_{mode}.json"))
    });
}

#[test]
fn fixture_nets_equal_the_toolkit() {
    for name in [
        "mlp",
        "maxpool_chain",
        "conv_relu_dw_prelu_fc",
        "tf2onnx_cnn",
    ] {
        net(&support::fixture(name));
    }
}

#[test]
fn shared_nets_equal_the_toolkit() {
    let Some(nets) = support::shared("data/espdl/nets") else {
        return;
    };
    let mut folders: Vec<_> = (std::fs::read_dir(nets).unwrap())
        .map(|f| f.unwrap().path())
        .collect();
    folders.sort();
    assert!(folders.len() >= 6);
    for folder in folders {
        net(&folder);
    }
}

#[test]
fn mnist_equals_the_toolkit() {
    let Some(mnist) = support::Mnist::load() else {
        return;
    };
    let model = FloatModel::from_onnx(&mnist.model).unwrap();
    let calibration = mnist.calibration();
    let samples = Samples::single(&calibration, 784).unwrap();
    assert_eq!(samples.len(), 100);
    compare(&model, &samples, &|mode| {
        mnist
            .folder
            .join(format!("calib_new_{mode}.exponents.json"))
    });
}
