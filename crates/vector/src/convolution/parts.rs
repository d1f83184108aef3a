//! How much is added before lanes are split (`crate::prove`).

use fixpoint_runtime::accelerator::Sums;
use fixpoint_runtime::format::Element;

use super::Layer;
use crate::record::VECTOR;

/// Most products of 8-bit elements, of whatever value, that a lane holds on top of a rest.
const SAFE_PRODUCTS: usize = 31;

/// How much is added before lanes are split.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Parts {
    /// Rows of the kernel.
    Rows(usize),
    /// Vectors within a row.
    Vectors(usize),
    /// Vectors, from the first of all on; where a window is clipped, as many rows as they are at least.
    Across(usize),
}

impl Parts {
    /// For so many products of a row of the kernel; `None` if the unit can't do it, `Some(None)` if lanes aren't split.
    #[inline(always)]
    pub(super) fn of(
        element: Element,
        row: usize,
        depthwise: bool,
        sums: Sums,
    ) -> Option<Option<Self>> {
        if element == Element::I16 {
            return (sums == Sums::Whole).then_some(None);
        }
        Some(Some(match sums {
            Sums::Whole => return Some(None),
            Sums::Rows(rows) if rows > 0 => Self::Rows(rows.into()),
            Sums::Vectors(vectors) if vectors > 0 && !depthwise => {
                let vectors = usize::from(vectors);
                match row.is_multiple_of(VECTOR) && vectors >= row / VECTOR {
                    true => Self::Across(vectors),
                    false => Self::Vectors(vectors),
                }
            }
            _ if row <= SAFE_PRODUCTS => Self::Rows(SAFE_PRODUCTS / row),
            _ if depthwise => return None,
            _ => Self::Vectors(1),
        }))
    }
}

impl Layer<'_> {
    #[inline(always)]
    pub(super) fn parts_of(&self, sums: Sums) -> Option<Option<Parts>> {
        let row = usize::from(self.window.kernel_w) * self.products();
        Parts::of(self.element, row, self.depthwise, sums)
    }

    /// How often the lanes are split, at most; `None` if they are not.
    pub(crate) fn splits(&self) -> Option<usize> {
        let kernel_h = usize::from(self.window.kernel_h);
        let row = usize::from(self.window.kernel_w) * self.products();
        let parts = match self.parts? {
            Parts::Rows(rows) => kernel_h.div_ceil(rows),
            // There are no fewer rows in as many.
            Parts::Across(vectors) => kernel_h.div_ceil(vectors / (row / VECTOR)),
            Parts::Vectors(vectors) => {
                let (pieces, piece) = match self.pieces_apart() {
                    true => (self.window.kernel_w.into(), self.products()),
                    false => (1, row),
                };
                // A head and its vectors may begin a part of their own.
                kernel_h * pieces * (piece.div_ceil(self.lanes()) + 1).div_ceil(vectors)
            }
        };
        Some(parts)
    }
}
