//! The public models that the operators allow: converted, simulated, accuracy printed.

mod support;

use fixpoint_quant::{
    Bits, FloatModel, Granularity, Options, Samples, Simulator, evaluate, evaluate_float, quantize,
};

const SAMPLES: usize = 200;

fn accuracy(folder: &str, file: &str, channels_last: Option<[usize; 3]>, least: f64) {
    let Some(models) = support::shared("data/models") else {
        return;
    };
    let folder = models.join(folder);
    let model = FloatModel::from_onnx(&std::fs::read(folder.join(file)).unwrap()).unwrap();
    let elements: usize = model.inputs()[0].dims.as_ref().unwrap().iter().product();
    let reorder = |data: Vec<f32>| match channels_last {
        None => data,
        Some([c, h, w]) => (data.chunks(c * h * w))
            .flat_map(|x| (0..x.len()).map(move |i| x[i % c * h * w + i / c]))
            .collect(),
    };
    let mut calib = support::npz(&folder.join("calib.npz"));
    let mut eval = support::npz(&folder.join("eval.npz"));
    let calib = reorder(calib.remove("x").unwrap().data);
    let data = reorder(eval.remove("x").unwrap().data);
    let labels: Vec<u32> = (eval["y"].data.iter().take(SAMPLES))
        .map(|v| *v as u32)
        .collect();
    let calibration = Samples::single(&calib, elements).unwrap();
    let samples = Samples::single(&data, elements).unwrap().take(SAMPLES);
    let float = evaluate_float(&model, &samples, Some(&labels), &mut |_, _| ()).unwrap();
    let base = float.accuracy.unwrap();
    for (bits, granularity, loss) in [
        (Bits::I16, Granularity::PerTensor, 0.01),
        (Bits::I8, Granularity::PerTensor, least),
        (Bits::I8, Granularity::PerChannel, least),
    ] {
        let options = Options {
            bits,
            granularity,
            ..Options::default()
        };
        let q = quantize(&model, &calibration, &options, &mut |_| ()).unwrap();
        let mut simulator = Simulator::new(&q.image).unwrap();
        let e = evaluate(
            &mut simulator,
            &samples,
            Some(&labels),
            Some(&float.predictions),
            &mut |_, _| (),
        )
        .unwrap();
        let got = e.accuracy.unwrap();
        support::note(&format!(
            "{}/{file} {} {}: {got:.3} of {SAMPLES} (float {base:.3}), agreement {:.3}, image {} B, arena {} B",
            folder.file_name().unwrap().display(),
            bits.name(),
            granularity.name(),
            e.agreement.unwrap(),
            q.report.image_bytes,
            q.report.arena_bytes
        ));
        assert!(got >= base - loss, "{got} against {base}");
    }
}

#[test]
fn resnet8() {
    accuracy("mlperf_ic_resnet8", "model.onnx", None, 0.1);
}

#[test]
fn resnet8_as_exported() {
    accuracy(
        "mlperf_ic_resnet8",
        "model_raw.onnx",
        Some([3, 32, 32]),
        0.1,
    );
}

#[test]
fn dscnn() {
    accuracy("mlperf_kws_dscnn", "model.onnx", None, 0.1);
}

#[test]
fn dscnn_as_exported() {
    accuracy("mlperf_kws_dscnn", "model_raw.onnx", None, 0.1);
}

/// Models without labels: calibrated on what there is, compared with onnxruntime's outputs.
fn outputs(name: &str, least_db: f64) {
    let Some(models) = support::shared("data/models") else {
        return;
    };
    let folder = models.join(name);
    let model = FloatModel::from_onnx(&std::fs::read(folder.join("model.onnx")).unwrap()).unwrap();
    let elements: usize = model.inputs()[0].dims.as_ref().unwrap().iter().product();
    let reference = support::npz(&folder.join("ref.npz"));
    let pairs: Vec<_> = (0..)
        .map_while(|i| reference.get(&format!("in{i}_0")))
        .collect();
    let calib = match folder.join("calib.npz") {
        path if path.exists() => support::npz(&path).remove("x").unwrap().data,
        _ => pairs.iter().flat_map(|a| a.data.iter().copied()).collect(),
    };
    let calibration = Samples::single(&calib, elements).unwrap().take(20);
    for bits in [Bits::I16, Bits::I8] {
        let options = Options {
            bits,
            ..Options::default()
        };
        let q = quantize(&model, &calibration, &options, &mut |_| ()).unwrap();
        let mut simulator = Simulator::new(&q.image).unwrap();
        let count = simulator.outputs().len();
        let (mut signal, mut noise) = (vec![0.0f64; count], vec![0.0f64; count]);
        for (i, input) in pairs.iter().take(4).enumerate() {
            for (k, output) in simulator.run(&[&input.data]).unwrap().iter().enumerate() {
                let want = &reference[&format!("out{i}_{k}")].data;
                assert_eq!(output.data.len(), want.len());
                for (a, b) in output.data.iter().zip(want) {
                    signal[k] += f64::from(b * b);
                    noise[k] += f64::from((a - b) * (a - b));
                }
            }
        }
        let db: Vec<f64> = (signal.iter().zip(&noise))
            .map(|(s, n)| 10.0 * libm::log10(s / n))
            .collect();
        support::note(&format!(
            "{name} {}: {db:.1?} dB against onnxruntime, image {} B, arena {} B",
            bits.name(),
            q.report.image_bytes,
            q.report.arena_bytes
        ));
        if bits == Bits::I16 {
            assert!(db.iter().all(|d| *d >= least_db), "{db:?}");
        }
    }
}

#[test]
fn streaming_network() {
    outputs("espdl_stream", 50.0);
}

#[test]
fn text_direction() {
    outputs("pp_ocr_cls", 30.0);
}

#[test]
fn face_detector() {
    outputs("ulf_slim_320", 30.0);
}
