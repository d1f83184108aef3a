//! Registers as the manual writes them: `q[hi:lo]`.

/// A register of up to 160 bits; bit by bit, as nothing here has to be fast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bits(Vec<bool>);

impl Bits {
    pub(crate) fn new(words: &[u32]) -> Self {
        let bit = |n: usize| words[n / 32] >> (n % 32) & 1 != 0;
        Self((0..32 * words.len()).map(bit).collect())
    }

    pub(crate) fn of(value: u128) -> Self {
        Self::new(&[0, 32, 64, 96].map(|shift| (value >> shift) as u32))
    }

    /// `[hi:lo]`, unsigned.
    pub(crate) fn u(&self, hi: usize, lo: usize) -> i128 {
        (lo..=hi)
            .rev()
            .fold(0, |value, n| value << 1 | i128::from(self.0[n]))
    }

    /// `[hi:lo]` in two's complement.
    pub(crate) fn s(&self, hi: usize, lo: usize) -> i128 {
        let value = self.u(hi, lo);
        if self.0[hi] {
            value - (1 << (hi - lo + 1))
        } else {
            value
        }
    }

    /// `[hi:lo] = value`, of which the low bits count.
    pub(crate) fn put(&mut self, hi: usize, lo: usize, value: i128) {
        for n in lo..=hi {
            self.0[n] = value >> (n - lo) & 1 != 0;
        }
    }

    pub(crate) fn words(&self) -> Vec<u32> {
        let word = |bits: &[bool]| {
            bits.iter()
                .rev()
                .fold(0, |word, bit| word << 1 | u32::from(*bit))
        };
        self.0.chunks(32).map(word).collect()
    }

    pub(crate) fn value(&self) -> u128 {
        let words = self.words();
        words
            .iter()
            .rev()
            .fold(0, |value, word| value << 32 | u128::from(*word))
    }
}
