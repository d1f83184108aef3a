//! Ranges from the samples, and from them the exponent of every activation.
//!
//! The samples run through the float reference once for the ranges and, for every method but
//! min-max, once more for what the method counts. Nothing is kept of a sample, so the memory needed
//! doesn't depend on how many there are.

mod entropy;
mod percentile;
pub(crate) mod squares;

use std::collections::BTreeMap;

use crate::equalize::{Scales, Search};
use crate::error::QuantError;
use crate::exponent;
use crate::float::Reference;
use crate::graph::Graph;
use crate::options::{Arithmetic, Method, Options};
use crate::samples::Samples;
use crate::scaling;

use entropy::Histogram;
use percentile::Needs;
use squares::SquaredErrors;

/// Smallest and largest value of a tensor over the calibration samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Range {
    pub(crate) min: f32,
    pub(crate) max: f32,
    /// min|x|
    smallest: f32,
}

impl Range {
    /// Of no value.
    pub(crate) const NOTHING: Range = Range {
        min: f32::INFINITY,
        max: f32::NEG_INFINITY,
        smallest: f32::INFINITY,
    };

    pub(crate) fn of(values: &[f32]) -> Range {
        (values.iter()).fold(Range::NOTHING, |r, v| {
            r.join(Range {
                min: *v,
                max: *v,
                smallest: v.abs(),
            })
        })
    }

    pub(crate) fn join(self, other: Range) -> Range {
        Range {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            smallest: self.smallest.min(other.smallest),
        }
    }

    /// Of the values times a positive factor.
    pub(crate) fn scaled(self, factor: f32) -> Range {
        Range {
            min: self.min * factor,
            max: self.max * factor,
            smallest: self.smallest * factor,
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

/// What calibration found: the range of every tensor, and what the method chose from its values.
pub(crate) struct Observed {
    pub(crate) ranges: BTreeMap<String, Range>,
    /// By tensor: the method's exponent, or why it has none. Empty for min-max.
    chosen: BTreeMap<String, Result<i32, String>>,
    /// Channels multiplied by powers of two for the fixpoint arithmetic, and what the method chose
    /// from the products.
    pub(crate) scales: Scales,
    rescaled: BTreeMap<String, Result<i32, String>>,
}

impl Observed {
    /// Of no samples at all.
    pub(crate) fn nothing() -> Self {
        Observed {
            ranges: BTreeMap::new(),
            chosen: BTreeMap::new(),
            scales: Scales::default(),
            rescaled: BTreeMap::new(),
        }
    }

    /// The range of a tensor as the image of `arithmetic` has it.
    pub(crate) fn range(&self, name: &str, arithmetic: Arithmetic) -> Option<Range> {
        let scaled = match arithmetic {
            Arithmetic::Fixpoint => self.scales.range(name),
            Arithmetic::Espdl => None,
        };
        scaled.or_else(|| self.ranges.get(name).copied())
    }

    fn chosen(&self, name: &str, arithmetic: Arithmetic) -> Option<&Result<i32, String>> {
        let rescaled = match arithmetic {
            Arithmetic::Fixpoint => self.rescaled.get(name),
            Arithmetic::Espdl => None,
        };
        rescaled.or_else(|| self.chosen.get(name))
    }
}

/// Runs every sample through the float reference, twice where the method needs it.
/// `progress(done, total)` counts runs of samples.
pub(crate) fn observe(
    graph: &Graph,
    reference: &Reference,
    samples: &Samples<'_>,
    options: &Options,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Observed, QuantError> {
    if samples.is_empty() {
        return Err(QuantError::NoSamples);
    }
    let runs = match options.method {
        Method::MinMax => samples.len(),
        _ => 2 * samples.len(),
    };
    let mut done = 0;
    let mut each_run = |take: &mut dyn FnMut(&str, &[f32])| -> Result<(), QuantError> {
        for i in 0..samples.len() {
            progress(done, runs);
            done += 1;
            let sample = samples.get(i);
            let values = reference.run(&sample)?;
            let inputs = graph.inputs.iter().zip(sample.iter().copied());
            let computed = (reference.outputs().iter()).zip(values.iter().map(|(_, d)| &d[..]));
            for (name, data) in inputs.chain(computed) {
                if data.iter().any(|v| !v.is_finite()) {
                    return Err(not_finite(name));
                }
                take(name, data);
            }
        }
        Ok(())
    };
    let mut search = Search::new(graph, options);
    let mut ranges: BTreeMap<String, Range> = BTreeMap::new();
    each_run(&mut |name, values| {
        let range = Range::of(values);
        let joined = ranges.get(name).map_or(range, |r| r.join(range));
        ranges.insert(name.to_owned(), joined);
        search.take(name, values);
    })?;
    let scales = search.scales();
    let counters = |ranges: &BTreeMap<String, Range>| -> BTreeMap<String, Counts> {
        (ranges.iter())
            .filter_map(|(name, range)| Some((name.clone(), Counts::new(*range, options)?)))
            .collect()
    };
    let (mut counts, mut recounts) = (counters(&ranges), counters(&scales.ranges()));
    if options.method != Method::MinMax {
        each_run(&mut |name, values| {
            if let Some(counts) = counts.get_mut(name) {
                counts.take(values);
            }
            if let Some(counts) = recounts.get_mut(name)
                && let Some(values) = scales.scaled(name, values)
            {
                counts.take(&values);
            }
        })?;
    }
    progress(runs, runs);
    Ok(Observed {
        chosen: chosen(counts),
        ranges,
        rescaled: chosen(recounts),
        scales,
    })
}

fn chosen(counts: BTreeMap<String, Counts>) -> BTreeMap<String, Result<i32, String>> {
    (counts.into_iter())
        .filter_map(|(name, c)| Some((name, c.exponent().transpose()?)))
        .collect()
}

fn not_finite(name: &str) -> QuantError {
    QuantError::Float(format!(
        "the tensor '{name}' is not finite for one of the samples. Check the normalisation and the \
         weights"
    ))
}

/// What a method counts of one tensor's values.
enum Counts {
    Entropy(Histogram),
    Percentile(Needs),
    Mse(SquaredErrors),
}

impl Counts {
    /// None where the range alone decides: min-max, and tensors of zeros.
    fn new(range: Range, options: &Options) -> Option<Counts> {
        let bits = options.bits;
        if range.magnitude() == 0.0 {
            return None;
        }
        match options.method {
            Method::MinMax => None,
            Method::Entropy => Some(Counts::Entropy(Histogram::new(range))),
            Method::Percentile => Some(Counts::Percentile(Needs::new(bits))),
            Method::Mse => SquaredErrors::new(range.magnitude(), bits).map(Counts::Mse),
        }
    }

    fn take(&mut self, values: &[f32]) {
        match self {
            Counts::Entropy(c) => c.take(values),
            Counts::Percentile(c) => c.take(values),
            Counts::Mse(c) => c.take(values),
        }
    }

    fn exponent(&self) -> Result<Option<i32>, String> {
        match self {
            Counts::Entropy(c) => (c.threshold())
                .map(|t| Some(exponent::of_threshold(t)))
                .map_err(|why| why.to_string()),
            Counts::Percentile(c) => Ok(c.exponent()),
            Counts::Mse(c) => Ok(Some(c.exponent())),
        }
    }
}

/// Exponents of all activations by tensor name, and what is odd about them.
pub(crate) struct Exponents {
    pub(crate) by_name: BTreeMap<String, i32>,
    pub(crate) warnings: Vec<String>,
}

/// Tensors whose exponents neither the file nor a table settles.
pub(crate) fn open(graph: &Graph, options: &Options) -> Vec<String> {
    let mut open = Vec::new();
    scaling::assign(graph, options.arithmetic, &mut |name, _| {
        graph.settled_exponent(name).unwrap_or_else(|| {
            open.push(name.to_owned());
            0
        })
    });
    open
}

/// A tensor that doesn't get the exponent that the file gives it, with both.
pub(crate) fn not_as_given<'g>(
    graph: &'g Graph,
    exponents: &Exponents,
) -> Option<(&'g str, i32, i32)> {
    (graph.given.activations.iter()).find_map(|(name, given)| {
        let got = *exponents.by_name.get(name)?;
        (got != *given).then_some((name.as_str(), *given, got))
    })
}

/// The toolkit's rules: the input rounds to nearest (in the fixpoint arithmetic it isn't clipped),
/// what only moves or selects values copies its input, everything else takes the ceiling or what the
/// method chose, and a fused activation decides for its producer. The input's exponent is the
/// method's only under mse. What the file of a quantized model or a table says comes before all that.
pub(crate) fn exponents(graph: &Graph, observed: &Observed, options: &Options) -> Exponents {
    let (bits, arithmetic) = (options.bits, options.arithmetic);
    let mut found = Exponents {
        by_name: BTreeMap::new(),
        warnings: Vec::new(),
    };
    let magnitude = |name: &str| {
        let range = observed.range(name, arithmetic);
        range.map_or(0.0, Range::magnitude)
    };
    let zero = |name: &str, warnings: &mut Vec<String>| {
        warnings.push(format!(
            "'{name}' is zero for every calibration sample; it gets the range of -1 to 1. Are \
             the samples right?"
        ));
        exponent::of_zeros(bits)
    };
    let own = |name: &str, warnings: &mut Vec<String>| match observed.chosen(name, arithmetic) {
        Some(Ok(e)) => *e,
        failed => {
            if let Some(Err(why)) = failed {
                warnings.push(format!(
                    "'{name}' gets its exponent from its whole range: {} can't be applied because \
                     {why}.",
                    options.method.name()
                ));
            }
            exponent::ceil(magnitude(name), bits).unwrap_or_else(|| zero(name, warnings))
        }
    };
    let mut warnings = Vec::new();
    found.by_name = scaling::assign(graph, options.arithmetic, &mut |name, input| match (
        graph.settled_exponent(name),
        input,
        options.input_exponent,
        options.method,
    ) {
        (Some(e), ..) => e,
        (None, true, Some(e), _) => i32::from(e),
        (None, true, None, Method::MinMax | Method::Entropy | Method::Percentile) => {
            let rule = match arithmetic {
                Arithmetic::Espdl => exponent::round,
                Arithmetic::Fixpoint => exponent::within_a_step,
            };
            rule(magnitude(name), bits).unwrap_or_else(|| zero(name, &mut warnings))
        }
        _ => own(name, &mut warnings),
    });
    found.warnings = warnings;
    found
}
