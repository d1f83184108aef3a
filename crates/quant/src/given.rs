//! What the file of an already quantized model says of its integers. The graph itself holds their
//! values as floats; where the scheme is ours, this is what they are taken back from, exactly.

use std::collections::BTreeMap;

use crate::options::{Bits, Granularity};

/// Exponents that came with the model instead of from calibration. Empty for float models and for
/// those that are quantized anew.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Given {
    /// By name of the computed tensor.
    pub(crate) activations: BTreeMap<String, i32>,
    /// By name of the constant.
    pub(crate) constants: BTreeMap<String, GivenConstant>,
    /// Width of the activations; None when nothing is given.
    pub(crate) bits: Option<Bits>,
}

/// A constant that the file holds as integers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GivenConstant {
    /// The dimension that the exponents go along, where there are several.
    pub(crate) axis: usize,
    /// One, or one for each index along `axis`.
    pub(crate) exponents: Vec<i32>,
    /// The integers of a vector that floats may not hold: biases of 32 bits.
    pub(crate) integers: Option<Vec<i64>>,
}

impl Given {
    /// True for models whose file says nothing of integers.
    pub(crate) fn is_empty(&self) -> bool {
        self.bits.is_none()
    }

    /// The exponent that the file gives a computed tensor.
    pub(crate) fn exponent(&self, name: &str) -> Option<i32> {
        self.activations.get(name).copied()
    }

    /// Whether weights have an exponent for each channel.
    pub(crate) fn granularity(&self) -> Granularity {
        let vectors = self.constants.values().filter(|c| c.integers.is_none());
        match vectors.into_iter().any(|c| c.exponents.len() > 1) {
            true => Granularity::PerChannel,
            false => Granularity::PerTensor,
        }
    }

    /// Tensor `gone` is to be replaced by `kept`, which has the same values: true, and `kept` has
    /// the exponent, unless both have one and they differ.
    pub(crate) fn merge(&mut self, gone: &str, kept: &str) -> bool {
        match (self.exponent(gone), self.exponent(kept)) {
            (Some(a), Some(b)) if a != b => return false,
            (Some(e), None) => {
                self.activations.insert(kept.to_owned(), e);
            }
            _ => {}
        }
        self.activations.remove(gone);
        true
    }

    /// One exponent for each of `outputs` channels of the weights `name`, whose channels are its
    /// dimension `axis` or, in groups, repeat that. None where the file gives none like that.
    pub(crate) fn of_channels(&self, name: &str, axis: usize, outputs: usize) -> Option<Vec<i32>> {
        let constant = self.constants.get(name)?;
        let several = constant.exponents.len();
        match several {
            1 => {}
            n if constant.axis == axis && n > 0 && outputs.is_multiple_of(n) => {}
            _ => return None,
        }
        Some(
            (0..outputs)
                .map(|c| constant.exponents[c % several])
                .collect(),
        )
    }
}
