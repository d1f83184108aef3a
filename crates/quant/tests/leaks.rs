//! Where slopes are computed: behind a convolution in the fixpoint arithmetic, inside it in ESP-DL's.

mod support;

use fixpoint_quant::{
    Arithmetic, Bits, FloatModel, Granularity, Options, Quantized, Samples, Table, quantize,
};
use support::fixture;

const NET: &str = "conv_relu_dw_prelu_fc";

fn model() -> FloatModel {
    FloatModel::from_onnx(&std::fs::read(fixture(NET).join("model.onnx")).unwrap()).unwrap()
}

fn quantized(model: &FloatModel, arithmetic: Arithmetic, bits: Bits) -> Quantized {
    let elements = model.inputs()[0].dims.as_ref().unwrap().iter().product();
    let calib = support::npy(&fixture(NET).join("input.npy")).data;
    let samples = Samples::single(&calib, elements).unwrap();
    let options = Options {
        arithmetic,
        bits,
        granularity: Granularity::PerTensor,
        ..Options::default()
    };
    quantize(model, &samples, &options, &mut |_| ()).unwrap()
}

/// Operators of the layers with a slope, and whether it is inside another one.
fn slopes(quantized: &Quantized) -> Vec<(&str, bool)> {
    (quantized.report.layers.iter())
        .filter_map(|layer| {
            let inside = layer.activation.as_deref() == Some("PRelu");
            (inside || layer.op == "PRelu").then_some((layer.op.as_str(), inside))
        })
        .collect()
}

#[test]
fn a_slope_is_a_layer_that_the_vector_unit_has() {
    for bits in [Bits::I8, Bits::I16] {
        let fixpoint = quantized(&model(), Arithmetic::Fixpoint, bits);
        assert_eq!(slopes(&fixpoint), [("PRelu", false)]);
        let espdl = quantized(&model(), Arithmetic::Espdl, bits);
        assert_eq!(slopes(&espdl), [("DepthwiseConv", true)]);
    }
}

#[test]
fn under_the_toolkits_exponents_it_stays_inside() {
    let report = quantized(&model(), Arithmetic::Espdl, Bits::I8).report;
    let tabled = model().with_table(&Table::from(&report)).unwrap();
    let found = quantized(&tabled, Arithmetic::Fixpoint, Bits::I8);
    assert_eq!(slopes(&found), [("DepthwiseConv", true)]);
}
