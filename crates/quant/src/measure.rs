//! How well the integers follow the float model, layer by layer.

use fixpoint_runtime::Observer;

use crate::equalize::Scales;
use crate::error::QuantError;
use crate::exponent::pow2;
use crate::float::Reference;
use crate::image::{Step, in_order};
use crate::lower::Lowered;
use crate::options::Bits;
use crate::plan::Plan;
use crate::samples::Samples;
use crate::simulate::{Simulator, integers};

/// Error sums of one layer's output.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quality {
    signal: f64,
    noise: f64,
    clipped: u64,
    elements: u64,
}

impl Quality {
    /// Signal to noise in dB, to a hundredth; None without signal or without noise.
    pub(crate) fn sqnr_db(&self) -> Option<f64> {
        (self.signal > 0.0 && self.noise > 0.0)
            .then(|| (1000.0 * libm::log10(self.signal / self.noise)).round_ties_even() / 100.0)
    }

    /// Fraction of elements clipped at an end of the integer range, to a millionth.
    pub(crate) fn saturation(&self) -> f64 {
        let millionths = self.clipped as f64 * 1e6 / self.elements.max(1) as f64;
        millionths.round_ties_even() / 1e6
    }

    fn take(&mut self, exact: f64, integer: i32, scale: f64, bits: Bits) {
        let got = f64::from(integer) * scale;
        self.signal += exact * exact;
        self.noise += (exact - got) * (exact - got);
        self.elements += 1;
        let above = integer == bits.max() && exact > got;
        let below = integer == bits.min() && exact < got;
        self.clipped += u64::from(above || below);
    }
}

struct Recorder<'a> {
    /// What of the plan each op of the image is.
    steps: &'a [Step],
    /// One per layer of the plan: exponent, where each stored element is in ONNX order, values.
    layers: &'a mut [Tracked],
}

struct Tracked {
    bits: Bits,
    scale: f64,
    index: Vec<usize>,
    /// Position of the tensor among the reference's outputs.
    source: Option<usize>,
    exact: Vec<f32>,
    /// Elements of this sample's output that have been seen: some are in two strips.
    seen: usize,
    quality: Quality,
}

impl Observer for Recorder<'_> {
    fn layer_done(&mut self, index: usize, output: &[u8]) {
        let Some((first, layer)) = (self.steps.get(index))
            .and_then(|step| Some((step.first?, self.layers.get_mut(step.op)?)))
        else {
            return;
        };
        let values = integers(output, layer.bits.width());
        let (end, seen) = (first + values.len(), layer.seen);
        layer.seen = end.max(seen);
        let places = layer.index.iter().skip(seen.max(first));
        for (integer, at) in values.skip(seen.saturating_sub(first)).zip(places) {
            if let Some(exact) = layer.exact.get(*at) {
                layer
                    .quality
                    .take(f64::from(*exact), integer, layer.scale, layer.bits);
            }
        }
    }
}

/// Runs the samples through both, layer by layer. In the order of the plan's layers. The reference's
/// values are multiplied as the image's are, which is exact.
pub(crate) fn measure(
    lowered: &Lowered,
    plan: &Plan,
    reference: &Reference,
    scales: &Scales,
    samples: &Samples<'_>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Quality>, QuantError> {
    let mut simulator = Simulator::new(&lowered.image.bytes)?;
    let steps = &lowered.image.steps;
    // All ops that are parts of a layer have its format and order.
    let (formats, orders) = (simulator.layer_formats()?, simulator.layers()?);
    let mut known = vec![None; plan.layers.len()];
    for ((step, format), layer) in steps.iter().zip(formats).zip(orders) {
        if let (Some(_), Some(place)) = (step.first, known.get_mut(step.op)) {
            *place = Some((format, layer.order));
        }
    }
    let mut layers: Vec<Tracked> = (plan.layers.iter().zip(known.into_iter().flatten()))
        .map(|(layer, ((bits, exponent), order))| {
            let tensor = &plan.tensors[layer.output];
            let apart = tensor.apart(&layer.kind);
            let comparable = tensor.in_order || apart.is_some();
            let index = apart.unwrap_or_else(|| tensor.onnx_index());
            Tracked {
                bits,
                scale: pow2(exponent),
                source: (reference.outputs().iter())
                    .position(|n| comparable && *n == tensor.source),
                index: match order {
                    Some(order) => in_order(&index, &order),
                    None => index,
                },
                exact: Vec::new(),
                seen: 0,
                quality: Quality::default(),
            }
        })
        .collect();
    let mut session = simulator.session()?;
    for i in 0..samples.len() {
        progress(i, samples.len());
        let sample = samples.get(i);
        let values = reference.run(&sample)?;
        for layer in &mut layers {
            layer.exact.clear();
            layer.seen = 0;
            let Some(k) = layer.source else { continue };
            match scales.scaled(&reference.outputs()[k], &values[k].1) {
                Some(scaled) => layer.exact = scaled,
                None => layer.exact.extend_from_slice(&values[k].1),
            }
        }
        let mut recorder = Recorder {
            steps,
            layers: &mut layers,
        };
        session.run_observed(&sample, &mut recorder)?;
    }
    progress(samples.len(), samples.len());
    Ok(layers.iter().map(|l| l.quality).collect())
}
