//! Ranges from the samples, and from them the exponent of every activation.

use std::collections::BTreeMap;

use crate::error::QuantError;
use crate::exponent;
use crate::float::Reference;
use crate::graph::Graph;
use crate::options::{Method, Options};
use crate::samples::Samples;
use crate::scaling;

/// Smallest and largest value of a tensor over the calibration samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Range {
    pub(crate) min: f32,
    pub(crate) max: f32,
}

impl Range {
    fn of(values: &[f32]) -> Range {
        let empty = Range {
            min: f32::INFINITY,
            max: f32::NEG_INFINITY,
        };
        (values.iter()).fold(empty, |r, v| r.join(Range { min: *v, max: *v }))
    }

    fn join(self, other: Range) -> Range {
        Range {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }

    /// max|x|, what the exponent follows from.
    pub(crate) fn magnitude(self) -> f32 {
        self.min.abs().max(self.max.abs())
    }
}

/// The names of all computed tensors in execution order: what the reference has to show.
pub(crate) fn computed_tensors(graph: &Graph) -> Vec<String> {
    graph.nodes.iter().map(|n| n.output().to_owned()).collect()
}

/// Runs every sample through the float reference.
pub(crate) fn ranges(
    graph: &Graph,
    reference: &Reference,
    samples: &Samples<'_>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<BTreeMap<String, Range>, QuantError> {
    if samples.is_empty() {
        return Err(QuantError::NoSamples);
    }
    let mut ranges: BTreeMap<String, Range> = BTreeMap::new();
    let mut take = |name: &str, values: &[f32]| -> Result<(), QuantError> {
        if values.iter().any(|v| !v.is_finite()) {
            return Err(QuantError::Float(format!(
                "the tensor '{name}' is not finite for one of the samples. Check the \
                 normalisation and the weights"
            )));
        }
        let range = Range::of(values);
        let joined = ranges.get(name).map_or(range, |r| r.join(range));
        ranges.insert(name.to_owned(), joined);
        Ok(())
    };
    for i in 0..samples.len() {
        progress(i, samples.len());
        let sample = samples.get(i);
        let values = reference.run(&sample)?;
        for (name, data) in graph.inputs.iter().zip(&sample) {
            take(name, data)?;
        }
        for (name, (_, data)) in reference.outputs().iter().zip(&values) {
            take(name, data)?;
        }
    }
    progress(samples.len(), samples.len());
    Ok(ranges)
}

/// Exponents of all activations by tensor name, and what is odd about them.
pub(crate) struct Exponents {
    pub(crate) by_name: BTreeMap<String, i32>,
    pub(crate) warnings: Vec<String>,
}

/// The toolkit's rules: the input rounds to nearest, what only moves or selects values copies its
/// input, everything else takes the ceiling, and a fused activation decides for its producer.
pub(crate) fn exponents(
    graph: &Graph,
    ranges: &BTreeMap<String, Range>,
    options: &Options,
) -> Result<Exponents, QuantError> {
    if options.method != Method::MinMax {
        return Err(QuantError::NotYet(
            format!("Calibration by {}", options.method.name()),
            "Use minmax.".to_owned(),
        ));
    }
    let bits = options.bits;
    let mut found = Exponents {
        by_name: BTreeMap::new(),
        warnings: Vec::new(),
    };
    let magnitude = |name: &str| ranges.get(name).map_or(0.0, |r| r.magnitude());
    let zero = |name: &str, warnings: &mut Vec<String>| {
        warnings.push(format!(
            "'{name}' is zero for every calibration sample; it gets the range of -1 to 1. Are \
             the samples right?"
        ));
        exponent::of_zeros(bits)
    };
    let mut warnings = Vec::new();
    found.by_name = scaling::assign(graph, options.arithmetic, &mut |name, input| {
        let e = match options.input_exponent {
            Some(e) if input => Some(i32::from(e)),
            _ if input => exponent::round(magnitude(name), bits),
            _ => exponent::ceil(magnitude(name), bits),
        };
        e.unwrap_or_else(|| zero(name, &mut warnings))
    });
    found.warnings = warnings;
    Ok(found)
}
