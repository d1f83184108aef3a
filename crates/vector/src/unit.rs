//! What a kernel in assembly is given. Offsets of the fields are part of the contract: they are
//! those of a target with 32-bit pointers, and the assembly has them as numbers.

/// Elements and weights that both lie one after another: `vectors` whole vectors of elements, after
/// `head` elements fewer than one vector.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Piece {
    /// 0: where the elements begin, in bytes from the pixel's [`Run::x`]. If there is a head, it is
    /// the end of the vector that begins there. In a depthwise run, the first tap's elements.
    pub x: i32,
    /// 4: the first product's weights.
    pub weights: *const u8,
    /// 8
    pub head: u32,
    /// 12: in a depthwise run, the number of taps.
    pub vectors: u32,
    /// 16: 1 if the lanes are split after this piece.
    pub split: u32,
}

/// Neighbouring pixels of one block of output channels.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Run {
    /// 0
    pub x: *const u8,
    /// 4: bytes of input from one pixel to the next.
    pub x_step: i32,
    /// 8: at least one.
    pub pixels: u32,
    /// 12
    pub pieces: *const Piece,
    /// 16: none if the window lies in the padding.
    pub piece_count: u32,
    /// 20: an image of the lanes at the start (see [`crate::record`]) and behind it the masks of the
    /// drain; in a [`Kernel::Depthwise3x3`] run the nine vectors of weights come between.
    pub record: *const u8,
    /// 24: the first shift of the drain.
    pub first_shift: u32,
    /// 28: how many shifts by one follow.
    pub more_shifts: u32,
    /// 32 and 34: smallest and largest result.
    pub low: i16,
    pub high: i16,
    /// 36
    pub y: *mut u8,
    /// 40: bytes of output from one pixel to the next.
    pub y_step: u32,
    /// 44: elements of a pixel that are stored.
    pub lanes: u32,
    /// 48: 1 if `y` is a multiple of 16 for each pixel and `lanes` are all.
    pub whole: u32,
    /// 52: room for an image of the lanes (48 bytes) and a vector for each split.
    pub scratch: *mut u8,
    /// 56: the shift that splits the lanes, 0 if none.
    pub split: u32,
    /// 60: a mask in the form of an image of the lanes: what a split leaves in them.
    pub rest: *const u8,
    /// 64: an image of the lanes for the end of a run that is split.
    pub high_start: *const u8,
    /// 68: 1.
    pub one: u32,
    /// 72: bytes from one tap to the next, of a depthwise run.
    pub tap_step: i32,
    /// 76: bytes from the last tap of a row to the first of the next, and from the very last to the
    /// next pixel's first, of a [`Kernel::Depthwise3x3`] run.
    pub row_step: i32,
    /// 80
    pub pixel_step: i32,
}

/// Which kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// One piece without a head, elements at multiples of 16, whole vectors stored, no split.
    Point,
    /// Elements at multiples of 16, pieces without heads.
    Aligned,
    /// Anything.
    Unaligned,
    /// 3x3 taps of which each is inside, elements at multiples of 16, whole vectors stored, at most
    /// [`Kernel::MOST_3X3_SHIFTS`] shifts by one.
    Depthwise3x3,
    /// Elements at multiples of 16.
    DepthwiseAligned,
    /// Anything depthwise.
    DepthwiseUnaligned,
}

impl Kernel {
    /// Shifts by one in [`Kernel::Depthwise3x3`].
    pub const MOST_3X3_SHIFTS: u32 = 8;
}

/// The kernels of a target.
pub trait Unit {
    /// Does a run of 8-bit elements.
    ///
    /// # Safety
    ///
    /// What the run points to is there: input, output, weights and record for every pixel and piece.
    /// A kernel may read whole vectors of which only a part counts, and two vectors past the end of
    /// the weights and the masks.
    unsafe fn run_i8(&mut self, kernel: Kernel, run: &Run);

    /// Does a run of 16-bit elements.
    ///
    /// # Safety
    ///
    /// As for [`Self::run_i8`].
    unsafe fn run_i16(&mut self, kernel: Kernel, run: &Run);
}
