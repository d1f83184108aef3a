//! Means of windows, as `fixpoint_kernels::fixpoint::mean` defines them: `floor(S * 2^-shift / n + 1/2)`,
//! without a division.
//!
//! Write `S'` for the sum times `2^up` and `N` for `n * 2^down`, where one of `up` and `down` is the shift and
//! the other 0: the mean is `floor(v)` with `v = S' / N + 1/2`.
//!
//! # 8-bit elements
//!
//! Sums fit 16 bits. They are multiplied by a reciprocal `M` of 15 bits: `floor((S' * M + R) / 2^s)`. `v` is a
//! multiple of `1 / 2N`; with an odd `N` it is at least that far from an integer, and with an even one it is if
//! `1 / 2N` is added, which changes no floor. So the result is right if what is shifted differs from
//! `2^s * v` by less than `2^s / 2N` for every sum whose mean fits: [`Mean::narrow`] looks whether it does.
//! Larger sums give larger results, which saturate alike.
//!
//! # 16-bit elements
//!
//! Sums have up to 39 bits. `2^a` is the least power that is at least `N`; `T = floor(S' / 2^a)` and then
//! `q = floor(T * M / 2^14)`, both saturated to 16 bits, with `M` the rounded `2^(14 + a) / N`. `M`'s error
//! brings at most 1, `T`'s floor less than 2 (and a little) and `q`'s less than 1, so `-1 < S' / N - q < 4.01`
//! and the mean is `q` and a number between -1 and 4. The rest `r = S' - N * q` tells which: it is compared
//! with the halves of `N` between. Where `q` is saturated, or should be, `r` is as well or leads there.

use fixpoint_kernels::Element;
use fixpoint_runtime::accelerator::Averaging;

use crate::pixels::{Windowed, windows};

/// How a kernel in assembly makes means of sums; the offsets are part of the contract.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Mean {
    /// 0: of 8-bit elements the reciprocal, two whose product is the rounding constant, the least and the
    /// largest element; of 16-bit ones `2^up`, the reciprocal, `-N`, the least rest that doesn't take one
    /// off, and the largest rests that add nothing, one, two and three.
    pub values: [i16; 8],
    /// 16: of 8-bit elements the shift; of 16-bit ones `a`, and 14.
    pub shifts: [u32; 2],
}

/// The least power of two that is at least this: its logarithm.
fn log_ceil(number: u32) -> u32 {
    32 - (number - 1).leading_zeros()
}

/// Power of two by which sums are raised, and `N`.
fn ratio(count: u32, shift: i32) -> Option<(u32, u32)> {
    let (up, down) = (shift.min(0).unsigned_abs(), shift.max(0).unsigned_abs());
    let most = 1 << 15;
    let divisor = count.checked_mul(1u32.checked_shl(down)?)?;
    (up <= 14 && (1..=most).contains(&count) && divisor <= most).then_some((up, divisor))
}

impl Mean {
    /// Of `count` 8-bit elements at an exponent larger by `shift`; `None` if that isn't exact.
    fn narrow(count: u32, shift: i32) -> Option<Self> {
        let (up, divisor) = ratio(count, shift)?;
        // Sums of this many fit 16 bits.
        (count <= 255).then_some(())?;
        let scale = 14 + log_ceil(divisor);
        let factor = ((1 << scale) + divisor / 2) / divisor;
        let half = 1u32 << (scale - 1);
        let even = divisor.is_multiple_of(2);
        let wanted = half + if even { half / divisor } else { 0 };
        // A number of at most 15 bits times a power of two.
        let power = wanted.ilog2().saturating_sub(14).max(up);
        let rounding = (wanted + (1 << power >> 1)) >> power;
        let shift = scale.checked_sub(up)?;

        let [n, one] = [divisor.into(), 1i64 << scale];
        let off = i64::from(factor) * n - one;
        let rounds = (i64::from(rounding) << power) * n - one / 2 * n;
        let rounds = rounds - if even { one / 2 } else { 0 };
        let most = (i64::from(count) << (7 + up)).min(130 * n);
        (most * off.abs() + rounds.abs() < one / 2).then_some(())?;
        let small = |value: u32| i16::try_from(value).ok();
        Some(Self {
            values: [
                small(factor)?,
                small(rounding)?,
                small(1 << (power - up))?,
                i8::MIN.into(),
                i8::MAX.into(),
                0,
                0,
                0,
            ],
            shifts: [shift, 0],
        })
    }

    /// The same for 16-bit elements.
    fn wide(count: u32, shift: i32) -> Option<Self> {
        let (up, divisor) = ratio(count, shift)?;
        // Sums stay within the lanes, and what rests are compared with within 16 bits.
        (count << up < 1 << 23 && divisor <= 9362).then_some(())?;
        let small = |value: u32| i16::try_from(value).ok();
        let first = log_ceil(divisor);
        let factor = ((1 << (14 + first)) + divisor / 2) / divisor;
        let n = small(divisor)?;
        let adds_less_than = |j: u32| small(((2 * j - 1) * divisor).div_ceil(2) - 1);
        Some(Self {
            values: [
                1 << up,
                small(factor)?,
                -n,
                -(n / 2),
                adds_less_than(1)?,
                adds_less_than(2)?,
                adds_less_than(3)?,
                adds_less_than(4)?,
            ],
            shifts: [first, 14],
        })
    }
}

/// Does the whole task, or nothing and answers `None`.
pub(crate) fn average_pool<T: Element>(
    task: &Averaging<'_, T>,
    output: &mut [T],
    mut call: impl FnMut(&Windowed, &Mean),
) -> Option<()> {
    let window = task.pooling.window;
    let area = u32::from(window.kernel_h) * u32::from(window.kernel_w);
    let mut means = Means {
        width: size_of::<T>(),
        shift: task.shift,
        area: task.count_include_pad.then_some(area),
        made: [(0, Mean::default()); KEPT],
    };
    means.are_exact(area).then_some(())?;
    windows(&task.pooling, output, &mut |taps| {
        call(taps, means.of(taps))
    })
}

/// Largest window, for which the means of all smaller ones are looked at.
const MOST: u32 = 255;
/// Means that are kept: windows at borders have other counts, row by row.
const KEPT: usize = 8;

/// The means of a task.
struct Means {
    width: usize,
    shift: i32,
    /// How many elements count, if not those inside.
    area: Option<u32>,
    /// By how many elements, counted modulo their number.
    made: [(u32, Mean); KEPT],
}

impl Means {
    /// Whether those of windows with so many elements at most can be made.
    fn are_exact(&self, area: u32) -> bool {
        let mut counts = self.area.unwrap_or(1)..=area;
        area <= MOST && counts.all(|count| self.by(count).is_some())
    }

    // Once for both widths, and by itself: it is large.
    #[inline(never)]
    fn by(&self, count: u32) -> Option<Mean> {
        match self.width {
            1 => Mean::narrow(count, self.shift),
            _ => Mean::wide(count, self.shift),
        }
    }

    fn of(&mut self, taps: &Windowed) -> &Mean {
        let count = self.area.unwrap_or(taps.rows * taps.columns);
        let at = count as usize % KEPT;
        if self.made[at].0 != count {
            self.made[at] = (count, self.by(count).unwrap_or_default());
        }
        &self.made[at].1
    }
}

#[cfg(test)]
mod tests {
    use fixpoint_kernels::fixpoint::mean;

    use super::Mean;

    #[test]
    fn most_windows_have_an_exact_reciprocal() {
        for count in 1..=126 {
            for shift in 0..=4 {
                assert!(Mean::narrow(count, shift).is_some(), "{count} at {shift}");
            }
            for shift in -4..=4 {
                assert!(Mean::wide(count, shift).is_some(), "{count} at {shift}");
            }
        }
        assert!(Mean::narrow(256, 0).is_none() && Mean::wide(9363, 0).is_none());
        assert!(Mean::narrow(0, 0).is_none() && Mean::wide(1, 32).is_none());
    }

    /// Every sum that there is.
    #[test]
    fn narrow_means_are_exact() {
        for (count, shift) in (1..=255).flat_map(|count| (-3..=5).map(move |shift| (count, shift)))
        {
            let Some(made) = Mean::narrow(count, shift) else {
                continue;
            };
            let [factor, first, second, ..] = made.values.map(i64::from);
            for sum in -128 * i64::from(count)..=127 * i64::from(count) {
                let got = (sum * factor + first * second) >> made.shifts[0];
                let got = got.clamp(-128, 127) as i8;
                assert_eq!(
                    got,
                    mean(sum as i32, count, shift),
                    "{sum} of {count} at {shift}"
                );
            }
        }
    }
}
