//! The tutorial's model end to end: exponents of the documentation, accuracy on t10k, the device's
//! and the toolkit evaluator's integers.

mod support;

use fixpoint_quant::{
    Arithmetic, Bits, FloatModel, Granularity, Method, Options, Quantized, Samples, Simulator,
    evaluate, evaluate_float, quantize,
};
use support::Mnist;

/// Min-max, as the toolkit by default.
fn options(bits: Bits, granularity: Granularity, arithmetic: Arithmetic) -> Options {
    Options {
        bits,
        granularity,
        method: Method::MinMax,
        arithmetic,
        ..Options::default()
    }
}

fn quantized(mnist: &Mnist, options: &Options) -> Quantized {
    let model = FloatModel::from_onnx(&mnist.model).unwrap();
    let calibration = mnist.calibration();
    let samples = Samples::single(&calibration, 784).unwrap();
    quantize(&model, &samples, options, &mut |_| ()).unwrap()
}

#[test]
fn exponents_and_log_are_the_documented_ones() {
    let Some(mnist) = Mnist::load() else { return };
    for (bits, want) in [
        (Bits::I16, [-15, -15, -11, -11, -9]),
        (Bits::I8, [-7, -7, -3, -2, -1]),
    ] {
        let q = quantized(
            &mnist,
            &options(bits, Granularity::PerTensor, Arithmetic::Fixpoint),
        );
        let found: Vec<i32> = (q.report.inputs.iter().map(|i| i.exponent))
            .chain(q.report.layers.iter().map(|l| l.output_exponent))
            .collect();
        assert_eq!(found, want);
        let lines = [
            "Quantized model info:".to_owned(),
            format!("model input name: input, exponent: {}", want[0]),
            format!(
                "Reshape layer name: sequential/flatten/Reshape, output_exponent: {}",
                want[1]
            ),
            format!(
                "Gemm layer name: fused_gemm_0, output_exponent: {}",
                want[2]
            ),
            format!(
                "Gemm layer name: fused_gemm_1, output_exponent: {}",
                want[3]
            ),
            format!(
                "Gemm layer name: fused_gemm_2, output_exponent: {}",
                want[4]
            ),
        ];
        assert_eq!(q.log.lines().collect::<Vec<_>>(), lines);
        assert_eq!(q.report.macs, 109_184);
        assert_eq!(q.report.image_bytes, q.image.len());
        let gemm = &q.report.layers[1];
        assert_eq!(gemm.activation.as_deref(), Some("Relu"));
        let enough = if bits == Bits::I16 { 70.0 } else { 20.0 };
        assert!(gemm.sqnr_db.unwrap() > enough, "{:?}", gemm.sqnr_db);
    }
}

#[test]
fn same_model_gives_the_same_bytes() {
    let Some(mnist) = Mnist::load() else { return };
    let o = options(Bits::I8, Granularity::PerChannel, Arithmetic::Fixpoint);
    assert_eq!(quantized(&mnist, &o).image, quantized(&mnist, &o).image);
}

#[test]
fn accuracy_on_t10k() {
    let Some(mnist) = Mnist::load() else { return };
    let samples = Samples::single(&mnist.images, 784).unwrap();
    let labels = Some(&mnist.labels[..]);
    let model = FloatModel::from_onnx(&mnist.model).unwrap();
    let float = evaluate_float(&model, &samples, labels, &mut |_, _| ()).unwrap();
    assert_eq!((float.n, float.accuracy), (10_000, Some(0.9770)));
    use Arithmetic::{Espdl, Fixpoint};
    use Bits::{I8, I16};
    use Granularity::{PerChannel, PerTensor};
    use Method::{Entropy, MinMax, Mse, Percentile};
    // The espdl rows are the real toolkit's evaluator, to the digit.
    for (bits, granularity, method, arithmetic, least, most) in [
        (I16, PerTensor, MinMax, Fixpoint, 0.9770, 0.9770),
        (I8, PerTensor, MinMax, Fixpoint, 0.9750, 1.0),
        (I8, PerChannel, MinMax, Fixpoint, 0.9750, 1.0),
        (I8, PerChannel, Mse, Fixpoint, 0.9760, 1.0),
        (I8, PerChannel, Percentile, Fixpoint, 0.9750, 1.0),
        (I8, PerChannel, Entropy, Fixpoint, 0.9750, 1.0),
        (I16, PerTensor, MinMax, Espdl, 0.9770, 0.9770),
        (I8, PerTensor, MinMax, Espdl, 0.9754, 0.9754),
        (I8, PerTensor, Entropy, Espdl, 0.9767, 0.9767),
        (I8, PerChannel, MinMax, Espdl, 0.9760, 0.9760),
        (I8, PerChannel, Entropy, Espdl, 0.9766, 0.9766),
    ] {
        let options = Options {
            method,
            ..options(bits, granularity, arithmetic)
        };
        let q = quantized(&mnist, &options);
        let mut simulator = Simulator::new(&q.image).unwrap();
        let e = evaluate(
            &mut simulator,
            &samples,
            labels,
            Some(&float.predictions),
            &mut |_, _| (),
        )
        .unwrap();
        let accuracy = e.accuracy.unwrap();
        support::note(&format!(
            "MNIST {} {} {} {}: accuracy {accuracy:.4}, agreement {:.4}, image {} B, arena {} B",
            bits.name(),
            granularity.name(),
            method.name(),
            arithmetic.name(),
            e.agreement.unwrap(),
            q.report.image_bytes,
            q.report.arena_bytes
        ));
        assert!((least..=most).contains(&accuracy), "{accuracy}");
    }
}

/// Ten logits printed by an ESP32-S3. The device quantizes its input by truncation (the values are
/// never negative), so integers go in.
#[test]
fn device_logits_in_espdl_arithmetic() {
    let Some(mnist) = Mnist::load() else { return };
    let golden = support::npz(&mnist.folder.join("device_golden_s3_int16.npz"));
    let o = options(Bits::I16, Granularity::PerTensor, Arithmetic::Espdl);
    let mut simulator = Simulator::new(&quantized(&mnist, &o).image).unwrap();
    let input: Vec<i32> = (golden["image_u8"].data.iter())
        .map(|v| ((v / 255.0 * 32768.0) as i32).min(32767))
        .collect();
    let raw = simulator.run_integers(&[&input]).unwrap();
    let want: Vec<i32> = golden["logits_i16"]
        .data
        .iter()
        .map(|v| *v as i32)
        .collect();
    assert_eq!(raw[0].data, want);
    assert_eq!(raw[0].exponent, -9);
}

/// Every integer of the toolkit's int8 evaluator; int16 is compared where its float32 is exact
/// enough, which is to within a few units.
#[test]
fn evaluator_outputs_in_espdl_arithmetic() {
    let Some(mnist) = Mnist::load() else { return };
    use Bits::{I8, I16};
    use Granularity::{PerChannel, PerTensor};
    for (bits, granularity, method, tolerance) in [
        (I8, PerTensor, Method::MinMax, 0),
        (I8, PerTensor, Method::Entropy, 0),
        (I8, PerChannel, Method::MinMax, 0),
        (I8, PerChannel, Method::Entropy, 0),
        (I16, PerTensor, Method::MinMax, 6),
    ] {
        let options = Options {
            method,
            ..options(bits, granularity, Arithmetic::Espdl)
        };
        let file = format!(
            "ev_{}_{}_{}.npy",
            bits.name(),
            granularity.name(),
            method.name()
        );
        let q = quantized(&mnist, &options);
        let mut simulator = Simulator::new(&q.image).unwrap();
        let want = support::npy(&mnist.folder.join(&file));
        assert_eq!(want.shape, [10_000, 10]);
        let samples = Samples::single(&mnist.images, 784).unwrap();
        let mut different = 0;
        for i in 0..samples.len() {
            let raw = simulator.run_raw(&samples.get(i)).unwrap();
            for (a, b) in raw[0].data.iter().zip(&want.data[i * 10..]) {
                different += usize::from((a - *b as i32).abs() > tolerance);
            }
        }
        assert_eq!(different, 0, "{file}");
    }
}
