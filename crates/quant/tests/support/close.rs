//! Integers against the float engine on the file as it is.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test binary uses a part of it"
)]

use fixpoint_quant::{
    Arithmetic, Bits, FloatModel, Granularity, Options, Quantized, Samples, Simulator, quantize,
};

use crate::onnx::{Net, Random};

/// What has to hold for a net.
pub struct Close {
    /// Least signal to noise of all outputs, in dB, for int16 and int8.
    pub least: [f64; 2],
    /// Smallest and largest input value.
    pub range: [f32; 2],
}

impl Default for Close {
    fn default() -> Self {
        Close {
            least: [60.0, 16.0],
            range: [-1.0, 1.0],
        }
    }
}

impl Close {
    /// Quantizes on random samples and compares; gives the int16 and int8 results, per tensor.
    pub fn check(&self, net: &Net, dims: &[&[usize]]) -> [Quantized; 2] {
        let model = FloatModel::from_onnx(&net.encode()).unwrap();
        assert_eq!(model.problems(), [] as [String; 0]);
        let elements: Vec<usize> = dims.iter().map(|d| d.iter().product()).collect();
        let [low, high] = self.range;
        let mut random = Random(5);
        let data: Vec<Vec<f32>> = (elements.iter())
            .map(|n| {
                (random.many(6 * n).iter())
                    .map(|v| low + (v + 1.0) / 2.0 * (high - low))
                    .collect()
            })
            .collect();
        let views = data.iter().map(|d| &d[..]).zip(elements.iter().copied());
        let samples = Samples::new(views.collect()).unwrap();
        let dims: Vec<Vec<usize>> = dims.iter().map(|d| d.to_vec()).collect();
        let runner = model.runner().unwrap();
        for i in 0..samples.len() {
            let x = samples.get(i);
            for (got, want) in runner.run(&x).unwrap().iter().zip(net.run_all(&dims, &x)) {
                assert_eq!(got.data.len(), want.len());
                for (a, b) in got.data.iter().zip(&want) {
                    assert!((a - b).abs() <= 1e-4 * b.abs().max(1.0), "float {a} {b}");
                }
            }
        }
        let mut results = Vec::new();
        for (bits, least) in [(Bits::I16, self.least[0]), (Bits::I8, self.least[1])] {
            for granularity in [Granularity::PerTensor, Granularity::PerChannel] {
                let options = Options {
                    bits,
                    granularity,
                    arithmetic: Arithmetic::Fixpoint,
                    ..Options::default()
                };
                let q = quantize(&model, &samples, &options, &mut |_| ()).unwrap();
                let mut simulator = Simulator::new(&q.image).unwrap();
                for i in 0..samples.len() {
                    let x = samples.get(i);
                    let want = net.run_all(&dims, &x);
                    let got = simulator.run(&x).unwrap();
                    assert_eq!(got.len(), want.len());
                    for (g, w) in got.iter().zip(&want) {
                        assert_eq!(g.data.len(), w.len());
                        let (mut signal, mut noise) = (0.0f64, 0.0f64);
                        for (a, b) in g.data.iter().zip(w) {
                            signal += f64::from(b * b);
                            noise += f64::from((a - b) * (a - b));
                        }
                        let db = 10.0 * libm::log10(signal / noise);
                        assert!(
                            noise == 0.0 || db >= least,
                            "{bits:?} {granularity:?} '{}': {db:.1} dB\n{:?}\n{w:?}",
                            g.name,
                            g.data
                        );
                    }
                }
                if granularity == Granularity::PerTensor {
                    results.push(q);
                }
            }
        }
        results.try_into().unwrap()
    }
}

/// [`Close::check`] with the usual demands.
pub fn close(net: &Net, dims: &[&[usize]]) -> [Quantized; 2] {
    Close::default().check(net, dims)
}
