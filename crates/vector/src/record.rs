//! What the runs of a block share, as `crate::prepare` has written it and an image holds it.
//!
//! | at | what |
//! |---|---|
//! | 0 | u8: the first shift of the drain, less than [`IS_SPARSE`], which is added if the u32 at 8 isn't 0; u8: how many shifts by one follow, less than [`STEPS`]; u8: what stands for 1 at the split, 0 if lanes aren't split; u8: vectors that are kept, at most [`LIST`] |
//! | 4 | u32: how lanes that are split join ([`crate::Run::join_shift`]) |
//! | 8 | u32: 0, or a bit for each shift by one behind the first that is a lane's, of which there are at most `SPARSE`: depthwise 3x3 kernels then shift by more than one, and leave out the others |
//! | 12 | u8: at how many vectors there is what [`crate::Kernel::Dots`] reads, or 0: that doesn't do the layer; 3 zeros |
//! | 16 | the image at the start (`crate::image`): the biases, or their lower bits |
//! | 64 | the *bounds* of the drain's first step: the largest result in the lanes whose shift this is, and the least number in the others |
//! | 80 | the smallest result in all lanes |
//! | 96 | the bounds of the other steps |
//! | .. | if lanes are split, the biases' upper bits: so many vectors as are kept, to be added times what stands for 1; or, if none are, the image at the end |
//!
//! For [`crate::Kernel::Dots`], of each output channel: i64: the bias and 2^e, so that no sum is negative or above
//! 2^(e + 1); u32: the shift; u32: what that makes of 2^e; then its weights, as many vectors for a pixel as `crate::convolution::dots` says, zeros for elements that were in the part before.
//!
//! The greatest of the smallest result and of each step's lesser of lanes and bounds is the result.

use crate::image::IMAGE;
use crate::unit::{Kernel, LIST, Run, SCRATCH};

/// Bytes of a vector register.
pub(crate) const VECTOR: usize = 16;
/// Bytes in front of the image at the start.
pub(crate) const HEADER: usize = 16;
/// Where the bounds begin, from the image at the start on.
pub(crate) const BOUNDS: usize = IMAGE;
/// More steps than a drain has; more than there are lanes, less than there are shifts.
pub(crate) const STEPS: usize = 24;

/// In the first byte of a record that says which steps are a lane's.
pub(crate) const IS_SPARSE: u8 = 0x80;

pub(crate) const WORD: usize = size_of::<u32>();

/// Words where a vector may be loaded from, their bytes as in the unit's memory.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub struct Aligned<const N: usize>([u32; N]);

/// What kernels write to.
pub(crate) type Scratch = Aligned<{ SCRATCH / WORD }>;

/// The block's part of a [`crate::Run`].
pub(crate) struct Record {
    pub(crate) start: *const u8,
    pub(crate) above: *const u8,
    pub(crate) first_shift: u32,
    pub(crate) more_shifts: u32,
    pub(crate) join_shift: u32,
    pub(crate) one_split: u8,
    pub(crate) kept: u32,
    /// Whether there are more shifts than kernels over 3x3 taps do.
    pub(crate) far: bool,
}

impl Record {
    /// `None` if these bytes are none.
    #[inline(always)]
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let [what, join_shift, ..] = *header(bytes)?;
        let [first, more, one_split, kept] = what.to_le_bytes();
        let (more, kept) = (usize::from(more), usize::from(kept));
        let behind = HEADER + BOUNDS + (more + 2) * VECTOR;
        let above = match (one_split, kept) {
            (0, _) => 0,
            (_, 0) => IMAGE,
            _ => kept * VECTOR,
        };
        let whole = behind + above <= bytes.len() && more < STEPS && kept <= LIST;
        whole.then_some(Self {
            start: bytes.as_ptr().wrapping_add(HEADER),
            above: bytes.as_ptr().wrapping_add(behind),
            first_shift: (first & !IS_SPARSE).into(),
            more_shifts: more as u32,
            join_shift,
            one_split,
            kept: kept as u32,
            far: more > Kernel::MOST_3X3_SHIFTS as usize && first < IS_SPARSE,
        })
    }

    /// Whether a record says that lanes are split, of which no more is looked at.
    #[inline(always)]
    pub(crate) fn says_split(bytes: &[u8]) -> bool {
        bytes.get(2).is_some_and(|one_split| *one_split != 0)
    }

    /// Whether lanes aren't split, nothing is kept, and at most so many shifts by one follow.
    #[inline(always)]
    pub(crate) fn is_plain(bytes: &[u8], most: u32) -> bool {
        header(bytes).is_some_and(|[what, ..]| what >> u8::BITS <= most)
    }

    /// Whether a record whose first word this is says that lanes aren't split, nothing is kept, and the shifts are those
    /// that kernels over 3x3 taps do.
    #[inline(always)]
    pub(crate) fn is_of_3x3(what: u32, run: &Run) -> bool {
        let sparse = what as u8 >= IS_SPARSE && what >> u8::BITS <= run.most_sparse;
        what <= run.most_shifts || sparse
    }

    /// Where in a record there is what [`Kernel::Dots`] reads.
    #[inline(always)]
    pub(crate) fn dots(bytes: &[u8]) -> Option<usize> {
        let [_, _, _, dots] = *header(bytes)?;
        let at = (dots & 0xff) as usize * VECTOR;
        (at > 0).then_some(at)
    }

    /// Fills in what a run says of the block whose record these bytes are; whether lanes are split.
    #[inline(never)]
    pub(crate) fn begin(bytes: &[u8], run: &mut Run) -> Option<bool> {
        let record = Self::read(bytes)?;
        run.record = record.start;
        run.above = record.above;
        run.first_shift = record.first_shift;
        run.more_shifts = record.more_shifts;
        run.join_shift = record.join_shift;
        run.one_split = record.one_split;
        run.kept = record.kept;
        run.far = record.far;
        Some(record.one_split != 0)
    }
}

/// The words of a record's header; `None` if there are fewer, or not at a multiple of four: bytes would take longer.
#[inline(always)]
fn header(bytes: &[u8]) -> Option<&[u32; HEADER / WORD]> {
    let words: *const [u32; HEADER / WORD] = bytes.as_ptr().cast();
    let there = words.is_aligned() && bytes.len() >= HEADER;
    // SAFETY: they are there, aligned, and any bytes are words.
    there.then(|| unsafe { &*words })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of that many bytes with this header.
    fn record(header: [u8; 4], bytes: usize) -> Option<Record> {
        let mut words = Aligned([0; 256]);
        words.0[0] = u32::from_le_bytes(header);
        // SAFETY: integers without padding.
        let (_, record, _) = unsafe { words.0.align_to() };
        Record::read(&record[..bytes])
    }

    fn reads(header: [u8; 4], bytes: usize) -> bool {
        record(header, bytes).is_some()
    }

    #[test]
    fn a_record_holds_what_its_header_says() {
        // Header, image, two vectors.
        assert!(reads([9, 0, 0, 0], 96) && !reads([9, 0, 0, 0], 80));
        assert!(reads([9, 3, 0, 0], 144) && !reads([9, 3, 0, 0], 128));
        // Behind them an image, or what is kept.
        assert!(reads([0, 0, 1, 0], 144) && !reads([0, 0, 1, 0], 128));
        assert!(reads([0, 0, 1, 2], 128) && !reads([0, 0, 1, 2], 112));
        assert!(!reads([0, 24, 0, 0], 1024) && reads([0, 23, 0, 0], 1024));
        assert!(!reads([0, 0, 1, 25], 1024) && reads([0, 0, 1, 24], 1024));
        assert!(!reads([0; 4], 15));
    }

    #[test]
    fn more_than_eight_shifts_by_one_are_far_unless_it_says_which() {
        let read = |header: [u8; 4]| {
            let record = record(header, 1024).expect("a record");
            (record.first_shift, record.far)
        };
        assert_eq!(read([5, 8, 0, 0]), (5, false));
        assert_eq!(read([5, 9, 0, 0]), (5, true));
        assert_eq!(read([0x85, 9, 0, 0]), (5, false));
    }
}
