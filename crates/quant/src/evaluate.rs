//! Accuracy over labelled samples.

use serde::{Deserialize, Serialize};

use crate::error::{QuantError, SimulateError};
use crate::model::FloatModel;
use crate::samples::Samples;
use crate::simulate::Simulator;

/// Accuracy over samples: arg-max of the first output against the labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Fraction 0..1 of right answers; None without labels.
    pub accuracy: Option<f64>,
    pub n: usize,
    /// Fraction 0..1 of answers equal to the reference's; None without a reference.
    pub agreement: Option<f64>,
    /// Arg-max of the first output for every sample; the first one where several are largest.
    pub predictions: Vec<u32>,
}

fn arg_max<T: PartialOrd>(values: impl IntoIterator<Item = T>) -> u32 {
    let mut best: Option<(u32, T)> = None;
    for (i, v) in (0u32..).zip(values) {
        if best.as_ref().is_none_or(|(_, b)| v > *b) {
            best = Some((i, v));
        }
    }
    best.map_or(0, |(i, _)| i)
}

fn fraction_equal(predictions: &[u32], wanted: &[u32]) -> Option<f64> {
    let equal = predictions
        .iter()
        .zip(wanted)
        .filter(|(a, b)| a == b)
        .count();
    (!predictions.is_empty()).then(|| equal as f64 / predictions.len() as f64)
}

fn summary(predictions: Vec<u32>, labels: Option<&[u32]>, reference: Option<&[u32]>) -> Evaluation {
    Evaluation {
        accuracy: labels.and_then(|l| fraction_equal(&predictions, l)),
        n: predictions.len(),
        agreement: reference.and_then(|r| fraction_equal(&predictions, r)),
        predictions,
    }
}

fn check_counts(samples: &Samples<'_>, labels: Option<&[u32]>) -> Result<(), SimulateError> {
    match labels {
        Some(l) if l.len() != samples.len() => Err(SimulateError::Labels {
            labels: l.len(),
            samples: samples.len(),
        }),
        _ => Ok(()),
    }
}

/// Accuracy of the float model. `progress(done, total)` is called before every sample.
pub fn evaluate_float(
    model: &FloatModel,
    samples: &Samples<'_>,
    labels: Option<&[u32]>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Evaluation, QuantError> {
    check_counts(samples, labels)?;
    let runner = model.runner()?;
    let mut predictions = Vec::with_capacity(samples.len());
    for i in 0..samples.len() {
        progress(i, samples.len());
        let outputs = runner.run(&samples.get(i))?;
        let first = outputs.first().map_or(&[][..], |o| &o.data);
        predictions.push(arg_max(first.iter().copied()));
    }
    progress(samples.len(), samples.len());
    Ok(summary(predictions, labels, None))
}

/// Accuracy of an image, and how often it agrees with `reference` (the float model's predictions).
pub fn evaluate(
    simulator: &mut Simulator,
    samples: &Samples<'_>,
    labels: Option<&[u32]>,
    reference: Option<&[u32]>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Evaluation, SimulateError> {
    check_counts(samples, labels)?;
    check_counts(samples, reference)?;
    let mut session = simulator.session()?;
    let mut predictions = Vec::with_capacity(samples.len());
    for i in 0..samples.len() {
        progress(i, samples.len());
        let outputs = session.run_raw(&samples.get(i))?;
        let first = outputs.first().map_or(&[][..], |o| &o.data);
        predictions.push(arg_max(first.iter().copied()));
    }
    progress(samples.len(), samples.len());
    Ok(summary(predictions, labels, reference))
}
