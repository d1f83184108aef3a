//! The espdl arithmetic against the toolkit's evaluator, and against a naive oracle where the
//! evaluator's float32 is not exact.

#[path = "support/onnx.rs"]
mod onnx;
#[path = "support/oracle.rs"]
mod oracle;
mod support;
#[path = "support/toolkit.rs"]
mod toolkit;

use std::collections::BTreeMap;
use std::path::Path;

use fixpoint_quant::{
    Arithmetic, Bits, Chip, FloatModel, Granularity, Imitation, Method, Options, QuantError,
    Quantized, Samples, Simulator, quantize,
};
use oracle::{Oracle, Rules};
use toolkit::{MODES, NETS};

struct Net {
    model: FloatModel,
    calib: Vec<f32>,
    input: Vec<f32>,
    elements: usize,
}

impl Net {
    fn load(folder: &Path) -> Net {
        let file = folder.join("model.onnx");
        let model = FloatModel::from_onnx(&std::fs::read(file).unwrap()).unwrap();
        assert_eq!(model.problems(), [] as [String; 0], "{}", folder.display());
        // Nets without calib.npy were calibrated with their evaluation input.
        let calib = ["calib.npy", "input.npy"].map(|f| folder.join(f));
        let calib = support::npy(calib.iter().find(|p| p.exists()).unwrap()).data;
        Net {
            elements: model.inputs()[0].dims.as_ref().unwrap().iter().product(),
            input: support::npy(&folder.join("input.npy")).data,
            model,
            calib,
        }
    }

    fn quantized(&self, options: &Options) -> Result<Quantized, QuantError> {
        let samples = Samples::single(&self.calib, self.elements).unwrap();
        quantize(&self.model, &samples, options, &mut |_| ())
    }

    /// All samples of each output in a row.
    fn imitated(&self, options: &Options) -> Vec<fixpoint_quant::Output> {
        let imitation = self.quantized(options).unwrap().imitation.unwrap();
        let mut all: Vec<fixpoint_quant::Output> = Vec::new();
        for x in self.input.chunks(self.elements) {
            let outputs = imitation.run_raw(&[x]).unwrap();
            match all.is_empty() {
                true => all = outputs,
                false => (all.iter_mut().zip(outputs)).for_each(|(a, o)| a.data.extend(o.data)),
            }
        }
        all
    }

    fn integers(&self, options: &Options) -> Result<Vec<i32>, QuantError> {
        let mut simulator = Simulator::new(&self.quantized(options)?.image).unwrap();
        Ok((self.input.chunks(self.elements))
            .flat_map(|x| simulator.run_raw(&[x]).unwrap().remove(0).data)
            .collect())
    }
}

fn options((bits, granularity, method): (Bits, Granularity, Method)) -> Options {
    Options {
        bits,
        granularity,
        method,
        arithmetic: Arithmetic::Espdl,
        ..Options::default()
    }
}

fn file(
    folder: &Path,
    kind: &str,
    (bits, granularity, method): (Bits, Granularity, Method),
    end: &str,
) -> std::path::PathBuf {
    folder.join(format!(
        "{kind}_{}_{}_{}.{end}",
        bits.name(),
        granularity.name(),
        method.name()
    ))
}

fn oracle(folder: &Path, mode: (Bits, Granularity, Method), evaluator: bool) -> Oracle {
    let rules = Rules {
        bits: mode.0.width(),
        per_channel: mode.1 == Granularity::PerChannel,
        evaluator,
    };
    let table = support::exponents(&file(folder, "exponents", mode, "json"));
    Oracle::new(&folder.join("model.onnx"), table, rules)
}

fn different(got: &[i32], want: impl IntoIterator<Item = i64>, tolerance: i64) -> usize {
    let mut count = 0;
    let pairs = got.iter().zip(want).filter(|(a, b)| {
        count += 1;
        (i64::from(**a) - b).abs() > tolerance
    });
    let different = pairs.count();
    assert_eq!(count, got.len());
    different
}

/// Outputs of all samples in a row: int8 values bit by bit, int16 to within its float32.
fn imitated(
    outputs: &[fixpoint_quant::Output],
    want: &BTreeMap<String, support::Array>,
    bits: Bits,
    name: &str,
) {
    assert_eq!(outputs.len(), want.len());
    for output in outputs {
        let want = &want[&output.name].data;
        assert_eq!(output.data.len(), want.len());
        for (got, want) in output.data.iter().zip(want) {
            let off = f64::from((got - want).abs()) / f64::from(want.abs() / 32768.0).max(1.0);
            let allowed = if bits == Bits::I16 { 6.0 } else { 0.0 };
            assert!(off <= allowed, "{name} {bits:?}: {got} for {want}");
        }
    }
}

/// Values out of range and between integers, and weights that are scaled twice, as the evaluator has
/// them; through the file that is made of them.
#[test]
fn what_no_image_holds_equals_the_evaluator() {
    for name in ["unscaled", "shared_weights", "kept_as_they_are"] {
        let folder = support::fixture("evaluator").join(name);
        let net = Net::load(&folder);
        for mode in MODES {
            let mimic = Options {
                mimic_evaluator: true,
                ..options(mode)
            };
            let want = support::npz(&file(&folder, "evaluator", mode, "npz"));
            imitated(&net.imitated(&mimic), &want, mode.0, name);
        }
        let onnx = std::fs::read(folder.join("model.onnx")).unwrap();
        let mimic = Options {
            mimic_evaluator: true,
            ..options(MODES[2])
        };
        let made = net.quantized(&mimic).unwrap().imitation.unwrap();
        let bytes = made.to_bytes(&onnx);
        let read = Imitation::from_bytes(&bytes).unwrap();
        let sample = &net.input[..net.elements];
        assert_eq!(read.run_raw(&[sample]), made.run_raw(&[sample]));
        assert!(Simulator::new(&bytes).is_err());
        for cut in [8, 11, 12, 40, bytes.len() / 2] {
            let error = Imitation::from_bytes(&bytes[..cut]).unwrap_err();
            assert!(error.to_string().contains("cut off or damaged"), "{error}");
        }
        // The header with other exponents, or without them.
        let length = u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize;
        let changed = |change: &dyn Fn(&mut Vec<serde_json::Value>)| {
            let mut header: serde_json::Value =
                serde_json::from_slice(&bytes[12..12 + length]).unwrap();
            let tensors = header["tensors"].as_object_mut().unwrap();
            for exponents in tensors.values_mut() {
                change(exponents.as_array_mut().unwrap());
            }
            let header = serde_json::to_vec(&header).unwrap();
            let length = (header.len() as u32).to_le_bytes();
            let file = [&bytes[..8], &length, &header, &onnx].concat();
            Imitation::from_bytes(&file).unwrap_err().to_string()
        };
        let far = changed(&|list| list.fill(i32::MAX.into()));
        assert!(far.contains("not between -100 and 100"), "{far}");
        let none = changed(&|list| list.clear());
        assert!(none.contains("no exponent for"), "{none}");
    }
}

/// What the evaluator refuses is refused.
#[test]
fn the_evaluator_takes_no_constants_and_no_softmax() {
    let product = onnx::Net::new(&[1, 2])
        .weights("c", &[2], vec![0.5, 0.75])
        .node("Mul", &["x", "c"], "y", &[])
        .output("y");
    let softmax = onnx::Net::new(&[1, 2])
        .node("Sub", &["x", "x"], "d", &[])
        .node("Add", &["x", "d"], "a", &[])
        .node("Softmax", &["a"], "y", &[("axis", onnx::Value::Int(1))])
        .output("y");
    for net in [product, softmax] {
        let mimic = Options {
            mimic_evaluator: true,
            ..options(MODES[0])
        };
        let error = single(&net, &[0.5, -1.0]).quantized(&mimic).unwrap_err();
        assert!(
            error.to_string().contains("evaluator doesn't take"),
            "{error}"
        );
    }
}

/// What the evaluator printed: all int8 values, int16 to within its own float32.
fn compare(folder: &Path) {
    let net = Net::load(folder);
    let name = folder.file_name().unwrap().to_str().unwrap();
    for mode in MODES {
        let want = file(folder, "evaluator", mode, "npy");
        let mimic = Options {
            mimic_evaluator: true,
            ..options(mode)
        };
        // Sub and Mul leave the range of the type there, which no image can hold.
        if name == "sub_mul" {
            if want.exists() {
                let outputs = net.imitated(&mimic);
                let want = BTreeMap::from([(outputs[0].name.clone(), support::npy(&want))]);
                imitated(&outputs, &want, mode.0, name);
            }
        } else {
            let got = net.integers(&mimic).unwrap();
            let want = support::npy(&want).data;
            let tolerance = if mode.0 == Bits::I16 { 6 } else { 0 };
            let want = want.iter().map(|v| *v as i64);
            assert_eq!(different(&got, want, tolerance), 0, "{name} {mode:?}");
        }
        if let Ok(log) = std::fs::read_to_string(file(folder, "log", mode, "txt")) {
            let info = log
                .split("\n\n")
                .find(|part| part.starts_with("Quantized model info:"));
            let printed = net.quantized(&options(mode)).unwrap().log;
            // The toolkit's entropy logs are empty.
            assert!(
                info.is_none_or(|info| printed.trim_end() == info),
                "{printed}"
            );
        }
        // Device truth, exactly: also int16, and also where the evaluator has its own ways.
        let got = net.integers(&options(mode)).unwrap();
        let exact = oracle(folder, mode, false);
        let want = (net.input.chunks(net.elements)).flat_map(|x| exact.run(x));
        assert_eq!(different(&got, want, 0), 0, "{name} {mode:?}");
    }
}

#[test]
fn fixture_nets_equal_the_evaluator() {
    NETS.iter().for_each(|net| compare(&support::fixture(net)));
}

#[test]
fn shared_nets_equal_the_evaluator() {
    if let Some(nets) = support::shared("data/espdl/nets") {
        NETS.iter().for_each(|net| compare(&nets.join(net)));
    }
}

/// The oracle itself against the evaluator, Sub and Mul included: what it says of those that no
/// device output exists for is what the toolkit computes.
#[test]
fn the_oracle_knows_the_evaluator() {
    let Some(nets) = support::shared("data/espdl/nets") else {
        return;
    };
    for name in NETS {
        let folder = nets.join(name);
        for mode in MODES {
            // What the evaluator's float32 loses of int16.
            let tolerance = if mode.0 == Bits::I16 { 6 } else { 0 };
            let want = support::npy(&file(&folder, "evaluator", mode, "npy")).data;
            let input = support::npy(&folder.join("input.npy"));
            let elements = input.data.len() / input.shape[0];
            let oracle = oracle(&folder, mode, true);
            let got: Vec<i32> = (input.data.chunks(elements))
                .flat_map(|x| oracle.run(x))
                .map(|v| v as i32)
                .collect();
            assert_eq!(
                different(&got, want.iter().map(|v| *v as i64), tolerance),
                0,
                "{name} {mode:?}"
            );
        }
    }
}

/// 64 products of 127 * 127 are 1,032,256: more than the S3's 20 bits hold, and 126 after a shift
/// by 13.
#[test]
fn sums_saturate_on_the_s3_only() {
    let net = onnx::Net::new(&[1, 64])
        .weights("w", &[64, 1], vec![127.0 / 128.0; 64])
        .node("Gemm", &["x", "w"], "y", &[])
        .output("y");
    let net = Net {
        model: FloatModel::from_onnx(&net.encode()).unwrap(),
        calib: vec![1.0; 64],
        input: vec![1.0; 64],
        elements: 64,
    };
    for (chip, want) in [(Chip::Esp32S3, 0x7ffff >> 13), (Chip::Esp32C3, 126)] {
        let options = Options {
            chip,
            ..options(MODES[0])
        };
        assert_eq!(net.integers(&options), Ok(vec![want]), "{}", chip.name());
    }
    // An S3's image serves other chips too; not the other way round.
    let samples = Samples::single(&net.calib, 64).unwrap();
    let image = |chip| {
        let options = Options {
            chip,
            ..options(MODES[0])
        };
        let made = quantize(&net.model, &samples, &options, &mut |_| ());
        made.unwrap().image
    };
    let (s3, c3) = (image(Chip::Esp32S3), image(Chip::Esp32C3));
    let run = |image: &[u8], chip| {
        let raw = Simulator::for_chip(image, chip)?.run_raw(&[&net.input])?;
        Ok::<_, fixpoint_quant::SimulateError>(raw[0].data.clone())
    };
    assert_eq!(run(&s3, Chip::Esp32S3), Ok(vec![0x7ffff >> 13]));
    for chip in [Chip::Esp32, Chip::Esp32S2, Chip::Esp32C3] {
        assert_eq!(run(&s3, chip), Ok(vec![126]), "{}", chip.name());
        assert_eq!(run(&c3, chip), Ok(vec![126]), "{}", chip.name());
    }
    assert!(run(&c3, Chip::Esp32S3).is_err());
}

/// Other chips sum in 32 bits and don't saturate; these nets stay below that, so their integers are
/// the S3's wherever its 20-bit sums did not saturate.
#[test]
fn other_chips_give_the_same_where_nothing_saturates() {
    let net = Net::load(&support::fixture("mlp"));
    let s3 = options(MODES[0]);
    for chip in [Chip::Esp32, Chip::Esp32S2, Chip::Esp32C3] {
        let other = Options { chip, ..s3.clone() };
        assert_eq!(net.integers(&other), net.integers(&s3), "{}", chip.name());
        let mimic = Options {
            mimic_evaluator: true,
            ..other
        };
        assert!(matches!(net.integers(&mimic), Err(QuantError::Options(_))));
    }
}

fn single(net: &onnx::Net, sample: &[f32]) -> Net {
    Net {
        model: FloatModel::from_onnx(&net.encode()).unwrap(),
        calib: sample.to_vec(),
        input: sample.to_vec(),
        elements: sample.len(),
    }
}

/// The chip's slope acts on the sum, the evaluator's on what int8 holds of it: the sum is -2 at
/// 2^-12, -16256 >> 1 = -8128. Chip: -8128 * 64 >> 13. Evaluator: -128 * 1 >> 7.
#[test]
fn the_evaluator_saturates_before_a_slope() {
    let net = onnx::Net::new(&[1, 2])
        .weights("w", &[2, 1], vec![-1.0; 2])
        .node("Gemm", &["x", "w"], "g", &[])
        .node(
            "LeakyRelu",
            &["g"],
            "y",
            &[("alpha", onnx::Value::Float(0.0078125))],
        )
        .output("y");
    let net = single(&net, &[1.0; 2]);
    assert_eq!(net.integers(&options(MODES[0])), Ok(vec![-64]));
    let mimic = Options {
        mimic_evaluator: true,
        ..options(MODES[0])
    };
    assert_eq!(net.integers(&mimic), Ok(vec![-1]));
}

/// ESP-DL has no layer for it. 65 / 4 - 128 * 3 / 4 = -79.75, and 65 * 3 / 4 - 128 / 4 = 16.75.
#[test]
fn what_lies_between_pixels_is_rounded_to_the_nearest() {
    let scales = vec![1.0, 1.0, 1.0, 2.0];
    let mode = onnx::Value::Str("linear");
    let net = onnx::Net::new(&[1, 1, 1, 2])
        .weights("scales", &[4], scales)
        .node("Resize", &["x", "", "scales"], "y", &[("mode", mode)])
        .output("y");
    // At 2^-8 the integers -128 and 65.
    let net = single(&net, &[-0.5, 65.0 / 256.0]);
    assert_eq!(
        net.integers(&options(MODES[0])),
        Ok(vec![-128, -80, 17, 65])
    );
}

/// Max and Concat take integers as they are: 1 at 2^-6 and 4 at 2^-4 are both 127 * 64 >> 7 = 63.
#[test]
fn operands_at_other_exponents_are_taken_as_they_are() {
    let net = onnx::Net::new(&[1, 1])
        .weights("one", &[1, 1], vec![1.0])
        .weights("four", &[1, 1], vec![4.0])
        .node("Gemm", &["x", "one"], "a", &[])
        .node("Gemm", &["x", "four"], "b", &[])
        .node("Max", &["a", "b"], "y", &[])
        .output("y");
    let net = single(&net, &[1.0]);
    assert_eq!(net.integers(&options(MODES[0])), Ok(vec![63]));
    let report = net.quantized(&options(MODES[0])).unwrap().report;
    assert_eq!(report.outputs[0].exponent, -6);
    assert!(
        report
            .warnings
            .iter()
            .any(|w| w.contains("inputs of 'n_y'"))
    );
}

/// A model that ends in Softmax can be predicted, whatever the last place.
#[test]
fn softmax_is_predicted_in_integers() {
    let net = onnx::Net::new(&[1, 3])
        .node("Softmax", &["x"], "y", &[("axis", onnx::Value::Int(1))])
        .output("y");
    let net = single(&net, &[0.0, 0.0, 1.0]);
    // 1 is 127/128: e^0.992 / (e^0.992 + 2) = 0.5742, 1 / (...) = 0.2129, at 2^-7.
    assert_eq!(net.integers(&options(MODES[0])), Ok(vec![27, 27, 73]));
}
