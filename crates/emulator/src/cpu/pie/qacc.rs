//! QACC, 320 bits that instructions see as sixteen lanes of 20 bits or eight of 40.

/// Bits of a lane for products of bytes.
pub(super) const NARROW: u32 = 20;
/// Bits of a lane for products of halfwords.
pub(super) const WIDE: u32 = 40;

/// QACC_L and QACC_H. Kept in the lanes that were used last, as programs seldom change between them.
#[derive(Clone, Debug, Default)]
pub struct Qacc {
    /// Bits above the twentieth are zero.
    narrow: [u32; 16],
    /// Bits above the fortieth are zero.
    wide: [u64; 8],
    /// Which of the two holds.
    is_wide: bool,
}

impl PartialEq for Qacc {
    fn eq(&self, other: &Self) -> bool {
        self.as_wide() == other.as_wide()
    }
}

impl Eq for Qacc {}

impl Qacc {
    /// The lanes of 20 bits, QACC_L's first; whoever changes one leaves the bits above zero.
    #[inline]
    pub fn narrow(&mut self) -> &mut [u32; 16] {
        if self.is_wide {
            let wide = self.wide;
            let bits = |lane: usize| (wide[lane / 2] >> (NARROW as usize * (lane % 2))) as u32;
            self.narrow = std::array::from_fn(|lane| bits(lane) & ((1 << NARROW) - 1));
            self.is_wide = false;
        }
        &mut self.narrow
    }

    /// The lanes of 40 bits, QACC_L's first; whoever changes one leaves the bits above zero.
    #[inline]
    pub fn wide(&mut self) -> &mut [u64; 8] {
        if !self.is_wide {
            self.wide = self.as_wide();
            self.is_wide = true;
        }
        &mut self.wide
    }

    fn as_wide(&self) -> [u64; 8] {
        if self.is_wide {
            return self.wide;
        }
        let pair = |lane: usize| [self.narrow[2 * lane], self.narrow[2 * lane + 1]].map(u64::from);
        std::array::from_fn(|lane| {
            let [low, high] = pair(lane);
            low | high << NARROW
        })
    }

    /// A half as 160 bits in words, the least significant first. QACC_L is half 0, QACC_H half 1.
    pub fn words(&self, half: usize) -> [u32; 5] {
        let wide = self.as_wide();
        let mut bytes = [0; 20];
        for (lane, place) in wide[4 * half..][..4].iter().zip(bytes.chunks_exact_mut(5)) {
            place.copy_from_slice(&lane.to_le_bytes()[..5]);
        }
        let word = |index: usize| {
            let bytes = &bytes[4 * index..][..4];
            u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
        };
        std::array::from_fn(word)
    }

    /// Sets a half from its words.
    pub fn set_words(&mut self, half: usize, words: [u32; 5]) {
        let mut bytes = [0; 20];
        for (word, place) in words.iter().zip(bytes.chunks_exact_mut(4)) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let wide = &mut self.wide()[4 * half..][..4];
        for (lane, bytes) in wide.iter_mut().zip(bytes.chunks_exact(5)) {
            let mut whole = [0; 8];
            whole[..5].copy_from_slice(bytes);
            *lane = u64::from_le_bytes(whole);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Qacc;

    /// Lanes lie in the halves from bit 0 up, two narrow ones in a wide one.
    #[test]
    fn lanes_and_words_are_the_same_bits() {
        let mut qacc = Qacc::default();
        qacc.narrow()[0] = 0x12345;
        qacc.narrow()[1] = 0xABCDE;
        qacc.narrow()[15] = 0xFFFFF;
        assert_eq!(qacc.words(0), [0xCDE1_2345, 0xAB, 0, 0, 0]);
        assert_eq!(qacc.words(1), [0, 0, 0, 0, 0xFFFF_F000]);
        assert_eq!(qacc.wide()[0], 0xAB_CDE1_2345);
        assert_eq!(qacc.wide()[7], 0xFF_FFF0_0000);
        let words = [1, 2, 3, 4, 5];
        qacc.set_words(1, words);
        assert_eq!(qacc.words(1), words);
        assert_eq!(qacc.narrow()[8], 1);
        assert_eq!(qacc.narrow()[9], 0x2000);
        let mut other = qacc.clone();
        other.wide();
        assert_eq!(qacc, other);
    }
}
