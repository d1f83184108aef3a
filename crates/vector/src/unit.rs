//! What a kernel in assembly is given. Offsets of the fields are part of the contract: they are
//! those of a target with 32-bit pointers, and the assembly has them as numbers
//! (`firmware/asm/parts.inc`).

use core::ptr;

use fixpoint_runtime::format::Element;

use crate::record::STEPS;

/// One block of output channels for a rectangle of pixels whose windows are clipped alike.
///
/// The products of a pixel are *pieces*, elements and weights that both lie one after another; all
/// pieces are alike, and they lie in groups of equal steps. A step is from the first of one to the
/// first of the next, in bytes; a *gap* is from behind the last.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Run {
    /// 0: the first pixel's first element. In front of a [`Self::head`], it is so far before that the
    /// head ends a whole vector that begins here.
    pub x: *const u8,
    /// 4: from one pixel to the next.
    pub x_step: i32,
    /// 8: from behind a row's last pixel to the next row.
    pub x_gap: i32,
    /// 12: the first pixel's elements of the block.
    pub y: *mut u8,
    /// 16
    pub y_step: i32,
    /// 20
    pub y_gap: i32,
    /// 24: of a row, at least one.
    pub pixels: u32,
    /// 28: of pixels, at least one.
    pub rows: u32,
    /// 32: those of the first product.
    pub weights: *const u8,
    /// 36: of a group, at least one; in a depthwise run, rows of taps, or none.
    pub pieces: u32,
    /// 40: at least one; one in a depthwise run.
    pub groups: u32,
    /// 44: whole vectors of a piece; in a depthwise run, the taps of a row.
    pub vectors: u32,
    /// 48: elements in front of them, at least one and at most a vector of them, in an unaligned run
    /// that is not depthwise; else 0.
    pub head: u32,
    /// 52: step from piece to piece.
    pub x_piece: i32,
    /// 56: gap from piece to piece; none if there is more than one group. In a [`Kernel::is_point`] run, step from
    /// block to block, and so in one over rows of taps.
    pub w_gap: i32,
    /// 60: what comes to the steps and gaps of a group's pieces for the next group.
    pub x_group: i32,
    /// 64
    pub w_group: i32,
    /// 68: the block's image at the start, and behind it the bounds (`crate::record`).
    pub record: *const u8,
    /// 72: the first shift of the drain.
    pub first_shift: u32,
    /// 76: how many shifts by one follow.
    pub more_shifts: u32,
    /// 80: elements of a pixel that count, and are stored.
    pub lanes: u32,
    /// 84: [`Self::y_step`] if `y` is a multiple of 16 for each pixel and `lanes` are all; the negative of it if
    /// `y` is a multiple of 8 and they are eight bytes; else 0. In a [`Kernel::Depthwise3x3Any`] run, elements that
    /// are stored: `lanes`, or more up to a multiple of 4.
    pub whole: i32,
    /// 88: [`SCRATCH`] bytes, at a multiple of 16.
    pub scratch: *mut u8,
    /// 92: from one tap to the next of a depthwise run's row.
    pub x_tap: i32,
    /// 96: most vectors, the head one of them, between two splits of a piece; in an aligned run between
    /// any two.
    pub part_vectors: u32,
    /// 100: pieces between two splits; in an aligned run 0 if there is one between any two pieces, or all
    /// bits.
    pub part_pieces: u32,
    /// 104: by how much lanes are shifted when they join; if [`Self::kept`] is 0, it is [`LONG`] and by how
    /// much the rest is shifted, or nothing more: the rest is left out.
    pub join_shift: u32,
    /// 108: what stands for 1 at the split, after that shift. Then 1.
    pub one_split: u8,
    pub one: u8,
    /// 112: vectors that are to be added as if splits had kept them: the upper bits of the biases. If 0,
    /// these are an image.
    pub kept: u32,
    /// 116: where they are.
    pub above: *const u8,
    /// 120: blocks of channels, at least one. Only kernels that do [`Kernel::does_blocks`] do more, one after
    /// another, before the first whose record says that lanes are split or of too many shifts; then this is
    /// what is left. Outputs are 16 bytes further then, weights those of all taps, or as [`Self::w_gap`] says;
    /// all else but the following is the same.
    pub blocks: u32,
    /// 124: of a depthwise run, from block to block of the elements, unless they are staged or padded.
    pub x_block: i32,
    /// 128: of the records. Shifts are read from their headers, 16 bytes in front of them.
    pub record_step: u32,
    /// 132: from the first pixel's elements to those behind the last row and its gap; not 0.
    pub x_span: i32,
    /// 136: what is to be copied for each block before it is done, 16 bytes further for the next, or null.
    pub staging: *mut Staging,
    /// 140: the greatest first word of a record's header that the kernels over 3x3 taps do (`crate::record`): so many
    /// shifts by one, at most [`Kernel::MOST_3X3_SHIFTS`], in its second byte.
    pub most_shifts: u32,
    /// 144: the rows of [`Kernel::Depthwise3x3Halves`].
    pub ring: *mut Ring,
    /// 148: shifts by one whose bounds a record holds: [`Kernel::is_point`] kernels and [`Kernel::DepthwiseFives`] do as
    /// many.
    pub most_sparse: u32,
    /// Whether shifts are farther apart than kernels over 3x3 taps can do.
    pub(crate) far: bool,
}

impl Run {
    /// One block whose lanes aren't split, of no pixels yet. Who makes it should say where weights and record are, even if
    /// that is said again for each block: more zeros in a row would be written by a call.
    #[inline(always)]
    pub(crate) fn new(scratch: *mut u8, record_bytes: usize, lanes: usize) -> Self {
        Self {
            x: ptr::null(),
            x_step: 0,
            x_gap: 0,
            y: ptr::null_mut(),
            y_step: 0,
            y_gap: 0,
            pixels: 0,
            rows: 1,
            weights: ptr::null(),
            pieces: 1,
            groups: 1,
            vectors: 0,
            head: 0,
            x_piece: 0,
            w_gap: 0,
            x_group: 0,
            w_group: 0,
            record: ptr::null(),
            first_shift: 0,
            more_shifts: 0,
            lanes: lanes as u32,
            whole: 0,
            scratch,
            x_tap: 0,
            part_vectors: 0,
            part_pieces: 0,
            join_shift: 0,
            one_split: 1,
            one: 1,
            kept: 0,
            above: ptr::null(),
            blocks: 1,
            x_block: 0,
            record_step: record_bytes as u32,
            x_span: 0,
            staging: ptr::null_mut(),
            ring: ptr::null_mut(),
            most_shifts: 0,
            most_sparse: 0,
            far: false,
        }
    }

    /// [`Self::most_shifts`] where records have room for so many shifts by one.
    #[inline(always)]
    pub(crate) fn shifts_3x3(room: u32) -> u32 {
        room.min(Kernel::MOST_3X3_SHIFTS) << 8 | 0xff
    }

    /// [`Self::most_sparse`] there.
    #[inline(always)]
    pub(crate) fn sparse(room: u32) -> u32 {
        room.min(STEPS as u32 - 1)
    }

    /// In [`Run::head`] of [`Kernel::Depthwise3x3Padded`]: the bytes of the weights that a pixel without a last column
    /// leaves out, and more than them.
    pub const LAST: u32 = 64;
    pub const FIRST: u32 = 256;
}

/// Pixels that are to be copied, a vector each (see `crate::convolution::rows`). Offsets are part of the
/// contract here, too.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Staging {
    /// 0: the first pixel's elements, at a multiple of 16, or in [`Staging::HALVES`] of 8.
    pub from: *const u8,
    /// 4: at a multiple of 16.
    pub to: *mut u8,
    /// 8: bytes from one pixel to the next; to the copy's next it is 16.
    pub step: u32,
    /// 12: of a row; there may be none.
    pub pixels: u32,
    /// 16: there may be none.
    pub rows: u32,
    /// 20: from behind a row's last pixel to the next row.
    pub from_gap: i32,
    /// 24
    pub to_gap: i32,
    /// 28: [`Staging::ANY`] or [`Staging::HALVES`].
    pub kind: u32,
}

impl Staging {
    pub const ANY: u32 = 0;
    /// As `ANY`, a vector's halves by themselves.
    pub const HALVES: u32 = u32::MAX;
}

/// Rows that are copied to a ring of three, from [`Run::x`] on and [`Run::x_piece`] bytes each, as windows come to
/// them (see `crate::convolution::halves`). Each position along a row is a vector, whose halves are copied by
/// themselves. Offsets are part of the contract here, too.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Ring {
    /// 0: the first half of the first row's first position, at a multiple of 8; that may lie outside the
    /// input, and is not read then. 16 bytes further for the next block.
    pub from: *const u8,
    /// 4: from row to row.
    pub row: u32,
    /// 8: from position to position.
    pub pixel: u32,
    /// 12: from a position's first half to its second.
    pub other: i32,
    /// 16: positions that have only the second half in the input; those behind them that have both; and
    /// those behind that have only the first. Or [`Ring::ANY`]: all have both, and vectors are at any address.
    pub head: u32,
    /// 20
    pub both: u32,
    /// 24
    pub tail: u32,
    /// 28: where the first position is in a row of the ring, in bytes. What lies beside the halves that are
    /// copied is zero already.
    pub before: u32,
    /// 32: which row of the input the first one is, negative in the padding above.
    pub at: i32,
    /// 36: rows of the input; zeros are in the place of others.
    pub inside: u32,
    /// 40: rows from one row of windows to the next, one to three.
    pub stride: u32,
    /// 44: from half to half of a vector of weights and bounds: 8, or 0 if both are the first, as they are of
    /// the lanes then.
    pub half: u32,
    /// 48: half a vector of zeros.
    pub zeros: *const u8,
}

impl Ring {
    /// In [`Ring::head`].
    pub const ANY: u32 = u32::MAX;
}

/// Bytes of scratch: an image of the lanes, a list of [`LIST`] vectors, and another image.
pub const SCRATCH: usize = 48 + 16 * LIST + 48;
/// Vectors in the list of what splits keep.
pub const LIST: usize = 24;
/// In [`Run::join_shift`] where nothing is [`Run::kept`].
pub const LONG: u32 = 1 << 31;
/// Lanes are split at this bit.
pub const SPLIT: u32 = 12;

/// Shifts by more than one that the kernels over 3x3 taps do.
pub const SPARSE: u32 = 14;

/// Which kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// One piece, elements at multiples of 16, whole vectors stored, block after block.
    Point,
    /// As `Point`, of 8 bits, results at multiples of 8: whole vectors, or eight results of the last block.
    PointHalves,
    /// As `PointHalves`, the piece is a [`Run::head`] of eight elements at a multiple of 8.
    PointEights,
    /// Elements at multiples of 16, no heads.
    Aligned,
    /// Anything, with a head.
    Unaligned,
    /// As `Unaligned`, of 8 bits: three pieces without gaps, of heads of nine elements only, and
    /// [`Run::whole`] is not 0. It is what 3x3 taps of three channels are.
    Nines,
    /// As `Aligned`, of 8 bits, lanes are split.
    AlignedSplit,
    /// As `Unaligned`, of 8 bits, lanes are split.
    UnalignedSplit,
    /// 3x3 taps, elements at multiples of 16, whole vectors stored. [`Run::vectors`] has a bit for each tap that is inside,
    /// the first in the lowest; the elements of the others are read, but count as zero. The steps from tap
    /// to tap of a row are [`Run::x_tap`] and [`Run::x_group`], from row to row [`Run::x_piece`] and
    /// [`Run::w_gap`]; the weights are those of all taps.
    Depthwise3x3,
    /// As `Depthwise3x3`, of the rows of [`Run::ring`], no tap is clipped. Halves of a vector are stored by
    /// themselves: the first at [`Run::y`], then the second [`Run::x_tap`] before it, which is negative;
    /// [`Run::y_step`] is from the first to the next pixel's second.
    Depthwise3x3Halves,
    /// As `Depthwise3x3`, for windows of which a row or column of taps may be in the padding: if [`Run::pieces`] is 1 the
    /// first row of windows leaves out its first taps, if [`Run::groups`] is 1 the last row its last, and between them are
    /// [`Run::rows`]. [`Run::head`] is [`Run::LAST`], if the last window of each row leaves out its last column, less
    /// [`Run::FIRST`], if the first leaves out its first; between them are [`Run::pixels`]. There is at least one row and
    /// one pixel that leave out nothing. Results have no gaps. [`Run::x`] is the first tap that is inside, and
    /// [`Run::x_gap`] is from behind a row's last pixel, or its third column if that is left out, to the first tap that is
    /// inside of the next row; to a row from one whose first taps were left out it is a row less. Steps are [`Run::x_piece`] from row to row of taps,
    /// [`Run::x_tap`] from the third tap of a column to the first of the next, [`Run::x_group`] from the last one to the
    /// next pixel's first.
    Depthwise3x3Padded,
    /// As `Depthwise3x3`, of 8 bits and of the rows of [`Run::ring`], no tap is clipped; elements and results
    /// are anywhere.
    Depthwise3x3Any,
    /// Rows of five taps next to each other; each block is staged. [`Run::pieces`] are rows of the window.
    /// [`Run::x_group`] is the row that the first windows begin with, negative in the padding, of [`Run::w_group`] rows
    /// that are staged; at least one is inside for each row of windows. [`Run::x`] is where the first window's first tap
    /// is or would be, [`Run::x_piece`] is from row to row, and windows are [`Run::groups`] rows one below another.
    /// Outputs are at multiples of 8: [`Run::head`] is how many bytes there are of a pixel's from the first block on,
    /// for each block 8 or at least 16. [`Run::w_gap`] is from block to block of the weights.
    DepthwiseFives,
    /// Elements at multiples of 16. Without pieces it is any convolution whose window lies in the
    /// padding.
    DepthwiseAligned,
    /// Anything depthwise.
    DepthwiseUnaligned,
    /// Anything depthwise of 8 bits, lanes are split.
    DepthwiseSplit,
    /// Pixels are pieces, elements at multiples of 16. Lanes are input channels: [`Run::lanes`] is how many output
    /// channels there are, and [`Run::record`] where the record begins for this kernel (`crate::record`).
    /// [`Run::pieces`] are parts of four vectors in front of the last part, of [`Run::vectors`], which begins
    /// [`Run::x_group`] bytes behind the pixel's first; [`Run::w_gap`] is how many bytes an element has. One row of
    /// pixels; the one that is [`Run::x_step`] behind the last is read as well. If there are parts, the scratch has 8
    /// bytes for each pixel.
    Dots,
}

impl Kernel {
    /// Shifts by one in [`Kernel::Depthwise3x3`] unless the record says which are a lane's.
    pub const MOST_3X3_SHIFTS: u32 = 8;

    /// Whether lanes are split.
    pub fn splits(self) -> bool {
        matches!(
            self,
            Self::AlignedSplit | Self::UnalignedSplit | Self::DepthwiseSplit
        )
    }

    /// Whether it is over 3x3 taps.
    pub fn is_3x3(self) -> bool {
        matches!(
            self,
            Self::Depthwise3x3
                | Self::Depthwise3x3Halves
                | Self::Depthwise3x3Any
                | Self::Depthwise3x3Padded
        )
    }

    /// Whether pixels are pieces.
    pub fn is_point(self) -> bool {
        matches!(self, Self::Point | Self::PointHalves | Self::PointEights)
    }

    /// Whether it does block after block ([`Run::blocks`]).
    pub fn does_blocks(self) -> bool {
        self.is_point() || self.is_3x3() || self == Self::DepthwiseFives
    }

    /// Whether products are channel by channel.
    pub fn is_depthwise(self) -> bool {
        let others = [
            Self::DepthwiseAligned,
            Self::DepthwiseUnaligned,
            Self::DepthwiseSplit,
        ];
        self.is_3x3() || self == Self::DepthwiseFives || others.contains(&self)
    }
}

/// The kernels of a target.
pub trait Unit {
    /// Does a run. Of one that does block after block it changes where elements, outputs, weights, records and
    /// what is staged are, and the number of blocks.
    ///
    /// # Safety
    ///
    /// What the run points to is there: input, output, weights and record for every block, pixel and piece,
    /// what is staged and room for it, and the scratch. A kernel may read whole vectors of which only a part counts, and two vectors
    /// past the end of the weights and the record.
    unsafe fn run(&mut self, element: Element, kernel: Kernel, run: &mut Run);

    /// Writes vectors of zeros, from a multiple of 16 on.
    ///
    /// # Safety
    ///
    /// There is room for them.
    unsafe fn clear(&mut self, to: *mut u8, vectors: u32);
}
