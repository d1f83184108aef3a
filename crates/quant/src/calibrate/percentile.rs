//! The exponent that leaves all but one in ten thousand values unclipped.

use crate::exponent;
use crate::options::Bits;

/// One value in this many may be clipped: the 99.99 % that is usual for int8 activations.
const ONE_IN: u64 = 10_000;

/// How many values need each exponent. Which value is the percentile matters only through its
/// exponent, so nothing finer is kept and the result is exact.
#[derive(Clone, Debug)]
pub(crate) struct Needs {
    bits: Bits,
    /// By exponent, [`exponent::MIN_EXPONENT`] first; no f32 needs one of 128.
    counts: Vec<u64>,
    values: u64,
}

impl Needs {
    pub(crate) fn new(bits: Bits) -> Self {
        Needs {
            bits,
            counts: vec![0; (128 - exponent::MIN_EXPONENT) as usize],
            values: 0,
        }
    }

    pub(crate) fn take(&mut self, values: &[f32]) {
        self.values += values.len() as u64;
        for e in values.iter().filter_map(|v| exponent::ceil(*v, self.bits)) {
            self.counts[(e - exponent::MIN_EXPONENT) as usize] += 1;
        }
    }

    /// The smallest exponent at which no more than the allowed values are clipped; None when all
    /// values that count are zero.
    pub(crate) fn exponent(&self) -> Option<i32> {
        let allowed = self.values / ONE_IN;
        let mut clipped = 0;
        for (i, count) in self.counts.iter().enumerate().rev() {
            clipped += count;
            if clipped > allowed {
                return Some(exponent::MIN_EXPONENT + i as i32);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_one_in_ten_thousand_and_no_more() {
        // 19 999 values up to 1 and outliers of 50: one may go, of two both stay.
        let mut values = vec![0.99f32; 19_999];
        values[3] = 50.0;
        let mut needs = Needs::new(Bits::I8);
        needs.take(&values[..10_000]);
        needs.take(&values[10_000..]);
        assert_eq!(needs.exponent(), Some(-7));
        needs.take(&[50.0]);
        assert_eq!(needs.exponent(), Some(-7));
        needs.take(&[-50.0]);
        assert_eq!(needs.exponent(), Some(-1));
    }

    #[test]
    fn small_sets_are_not_clipped_and_zeros_have_no_exponent() {
        let mut needs = Needs::new(Bits::I16);
        needs.take(&[0.0; 100]);
        assert_eq!(needs.exponent(), None);
        needs.take(&[f32::MAX, f32::from_bits(1)]);
        assert_eq!(needs.exponent(), exponent::ceil(f32::MAX, Bits::I16));
    }
}
