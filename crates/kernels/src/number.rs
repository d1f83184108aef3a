//! Elements, accumulators, and every rounding rule, each in one place.

/// An activation or weight integer: `i8` or `i16`.
pub trait Element: Copy + Default + Ord + Into<i16> + Into<i32> + Into<i64> + 'static {
    /// Smallest value.
    const MIN: Self;
    /// Largest value.
    const MAX: Self;

    /// The nearest value of this type.
    fn saturate(value: i64) -> Self;

    /// The low bits of `value`.
    fn wrap(value: i64) -> Self;

    /// Elements in sixteen bytes: `B` of the kernels.
    const LANES: usize;

    // The innermost loops of `linear` are methods, so that they are compiled with this crate and
    // not, like generic functions, with whatever calls them: in the firmware the rest is made small.

    /// `sums[lane] += x[k] * w[k][lane]` over all `k`, for [`Self::LANES`] lanes.
    fn add_rows_i32(sums: &mut [i32], x: &[Self], w: &[Self]);

    /// The same with wide sums.
    fn add_rows_i64(sums: &mut [i64], x: &[Self], w: &[Self]);

    /// `sums[lane] += x[lane] * w[lane]`, for as many lanes as `x` has.
    fn add_lanes_i32(sums: &mut [i32], x: &[Self], w: &[Self]);

    /// The same with wide sums.
    fn add_lanes_i64(sums: &mut [i64], x: &[Self], w: &[Self]);
}

fn add_rows<T: Element, A: Accumulator, const B: usize>(sums: &mut [A], x: &[T], w: &[T]) {
    let Some(sums) = sums.first_chunk_mut::<B>() else {
        return;
    };
    // A copy that never leaves registers: through the reference, every step would store.
    let mut local = *sums;
    let (rows, _) = w.as_chunks::<B>();
    for (x, row) in x.iter().zip(rows) {
        let x: i16 = (*x).into();
        for lane in 0..B {
            local[lane] = local[lane].add_product(x, row[lane].into());
        }
    }
    *sums = local;
}

fn add_lanes<T: Element, A: Accumulator>(sums: &mut [A], x: &[T], w: &[T]) {
    for ((sum, x), w) in sums.iter_mut().zip(x).zip(w) {
        *sum = sum.add_product((*x).into(), (*w).into());
    }
}

impl Element for i8 {
    const MIN: Self = i8::MIN;
    const MAX: Self = i8::MAX;

    fn saturate(value: i64) -> Self {
        value.clamp(i8::MIN.into(), i8::MAX.into()) as i8
    }

    fn wrap(value: i64) -> Self {
        value as i8
    }

    const LANES: usize = 16;

    fn add_rows_i32(sums: &mut [i32], x: &[Self], w: &[Self]) {
        add_rows::<_, _, 16>(sums, x, w);
    }

    fn add_rows_i64(sums: &mut [i64], x: &[Self], w: &[Self]) {
        add_rows::<_, _, 16>(sums, x, w);
    }

    fn add_lanes_i32(sums: &mut [i32], x: &[Self], w: &[Self]) {
        add_lanes(sums, x, w);
    }

    fn add_lanes_i64(sums: &mut [i64], x: &[Self], w: &[Self]) {
        add_lanes(sums, x, w);
    }
}

impl Element for i16 {
    const MIN: Self = i16::MIN;
    const MAX: Self = i16::MAX;

    fn saturate(value: i64) -> Self {
        value.clamp(i16::MIN.into(), i16::MAX.into()) as i16
    }

    fn wrap(value: i64) -> Self {
        value as i16
    }

    const LANES: usize = 8;

    fn add_rows_i32(sums: &mut [i32], x: &[Self], w: &[Self]) {
        add_rows::<_, _, 8>(sums, x, w);
    }

    fn add_rows_i64(sums: &mut [i64], x: &[Self], w: &[Self]) {
        add_rows::<_, _, 8>(sums, x, w);
    }

    fn add_lanes_i32(sums: &mut [i32], x: &[Self], w: &[Self]) {
        add_lanes(sums, x, w);
    }

    fn add_lanes_i64(sums: &mut [i64], x: &[Self], w: &[Self]) {
        add_lanes(sums, x, w);
    }
}

/// The results that an op may give: all of the element type, or a part of it. Saturation, ReLU and
/// Clip are one and the same clamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits<T> {
    pub low: T,
    /// Not below `low`.
    pub high: T,
}

impl<T: Element> Limits<T> {
    /// The whole type: nothing but saturation.
    pub const ALL: Self = Self {
        low: T::MIN,
        high: T::MAX,
    };

    /// [`Self::clamp`] of 32 bits.
    #[inline(always)]
    pub fn clamp_narrow(self, value: i32) -> T {
        value.to_element(self)
    }

    /// The nearest value inside.
    #[inline(always)]
    pub fn clamp(self, value: i64) -> T {
        T::wrap(value.min(self.high.into()).max(self.low.into()))
    }
}

/// A sum of products: `i32` or `i64`.
///
/// The quantizer proves that sums fit; if it didn't, they wrap, in every build alike.
pub trait Accumulator: Copy + Into<i64> + 'static {
    /// The empty sum.
    const ZERO: Self;

    /// The low bits of a value.
    fn wrap(value: i64) -> Self;

    /// `self + x * w`; the product of two 16-bit integers fits 32 bits.
    fn add_product(self, x: i16, w: i16) -> Self;

    /// [`Element::add_rows_i32`] for this type.
    fn add_rows<T: Element>(sums: &mut [Self], x: &[T], w: &[T]);

    /// [`Element::add_lanes_i32`] for this type.
    fn add_lanes<T: Element>(sums: &mut [Self], x: &[T], w: &[T]);

    /// [`floor_shift`], saturating at this type's range.
    fn floor_shift(self, shift: i32) -> Self;

    /// [`Limits::clamp`] without widening first.
    fn to_element<T: Element>(self, limits: Limits<T>) -> T;
}

impl Accumulator for i32 {
    const ZERO: Self = 0;

    #[inline(always)]
    fn wrap(value: i64) -> Self {
        value as Self
    }

    #[inline(always)]
    fn add_product(self, x: i16, w: i16) -> Self {
        self.wrapping_add(i32::from(x) * i32::from(w))
    }

    fn add_rows<T: Element>(sums: &mut [Self], x: &[T], w: &[T]) {
        T::add_rows_i32(sums, x, w);
    }

    fn add_lanes<T: Element>(sums: &mut [Self], x: &[T], w: &[T]) {
        T::add_lanes_i32(sums, x, w);
    }

    #[inline(always)]
    fn floor_shift(self, shift: i32) -> Self {
        if shift >= 0 {
            self >> shift.min(31)
        } else {
            floor_shift(self.into(), shift).clamp(i32::MIN.into(), i32::MAX.into()) as i32
        }
    }

    #[inline(always)]
    fn to_element<T: Element>(self, limits: Limits<T>) -> T {
        let (low, high): (i32, i32) = (limits.low.into(), limits.high.into());
        T::wrap(self.min(high).max(low).into())
    }
}

impl Accumulator for i64 {
    const ZERO: Self = 0;

    #[inline(always)]
    fn wrap(value: i64) -> Self {
        value
    }

    #[inline(always)]
    fn add_product(self, x: i16, w: i16) -> Self {
        self.wrapping_add(i64::from(i32::from(x) * i32::from(w)))
    }

    fn add_rows<T: Element>(sums: &mut [Self], x: &[T], w: &[T]) {
        T::add_rows_i64(sums, x, w);
    }

    fn add_lanes<T: Element>(sums: &mut [Self], x: &[T], w: &[T]) {
        T::add_lanes_i64(sums, x, w);
    }

    #[inline(always)]
    fn floor_shift(self, shift: i32) -> Self {
        floor_shift(self, shift)
    }

    #[inline(always)]
    fn to_element<T: Element>(self, limits: Limits<T>) -> T {
        limits.clamp(self)
    }
}

/// `floor(value / 2^shift)`: an arithmetic right shift. A negative shift multiplies, saturating.
#[inline(always)]
pub fn floor_shift(value: i64, shift: i32) -> i64 {
    if shift >= 0 {
        value >> shift.min(63)
    } else {
        saturating_left(value, shift.unsigned_abs())
    }
}

/// By itself: it is long where it takes two registers for a value, and rare.
#[inline(never)]
fn saturating_left(value: i64, left: u32) -> i64 {
    let left = left.min(63);
    let limit = i64::MAX >> left;
    if value > limit {
        i64::MAX
    } else if value < -limit - 1 {
        i64::MIN
    } else {
        value << left
    }
}

/// What is added before a floor shift to round half up: half of the last place, nothing if the
/// shift drops no bits.
pub fn rounding_constant(shift: i32) -> i64 {
    match shift {
        1..=62 => 1 << (shift - 1),
        _ => 0,
    }
}

/// `floor(value / 2^shift + 1/2)`: to nearest, ties towards plus infinity.
// Once, rather than in every kernel: 64-bit shifts are long on 32-bit chips.
#[inline(never)]
pub fn round_half_up_shift(value: i64, shift: i32) -> i64 {
    if shift > 62 {
        // Every |value| < 2^62 rounds to zero; no operand here is larger.
        return 0;
    }
    floor_shift(value.saturating_add(rounding_constant(shift)), shift)
}

/// [`round_half_up_shift`] where everything fits 32 bits: `value` plus the rounding constant, or
/// `value * 2^-shift`. `shift` is between -31 and 31.
#[inline(always)]
pub fn round_half_up_shift_narrow(value: i32, shift: i32) -> i32 {
    if shift > 0 {
        value.wrapping_add(1 << (shift - 1)) >> shift
    } else {
        value << -shift
    }
}

/// `floor(numerator / denominator + 1/2)` for a positive denominator.
pub fn div_round_half_up(numerator: i64, denominator: i64) -> i64 {
    // One division, without signs: chips have none of 64 bits.
    let (size, by) = (numerator.unsigned_abs(), denominator.unsigned_abs());
    let quotient = size / by;
    let rest = size - quotient * by;
    let up = rest > by - rest || (rest == by - rest && numerator >= 0);
    let rounded = (quotient + u64::from(up)).cast_signed();
    if numerator < 0 {
        rounded.wrapping_neg()
    } else {
        rounded
    }
}

/// [`div_round_half_up`] of 32 bits, for which chips have an instruction.
pub fn div_round_half_up_narrow(numerator: i32, denominator: i32) -> i32 {
    let quotient = numerator.div_euclid(denominator);
    let rest = numerator - quotient * denominator;
    quotient + i32::from(rest >= denominator - rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_rules_are_the_wide_ones() {
        for value in [
            -(1 << 30),
            -32769,
            -7,
            -6,
            -5,
            -2,
            -1,
            0,
            1,
            2,
            3,
            6,
            1 << 29,
        ] {
            for shift in -1..=30 {
                assert_eq!(
                    i64::from(round_half_up_shift_narrow(value, shift)),
                    round_half_up_shift(value.into(), shift),
                    "{value} >> {shift}"
                );
            }
            for denominator in [1, 2, 3, 4, 7, 65536, i32::MAX] {
                assert_eq!(
                    i64::from(div_round_half_up_narrow(value, denominator)),
                    div_round_half_up(value.into(), denominator.into()),
                    "{value} / {denominator}"
                );
            }
        }
        assert_eq!(div_round_half_up_narrow(i32::MIN, 1), i32::MIN);
        assert_eq!(div_round_half_up_narrow(i32::MAX, i32::MAX), 1);
        assert_eq!(round_half_up_shift_narrow(i32::MAX - (1 << 30), 31), 0);
        assert_eq!(round_half_up_shift_narrow(-1, -31), i32::MIN);
    }

    #[test]
    fn floor_shift_goes_down_and_saturates_up() {
        for (value, shift, expected) in [
            (i64::MIN, 63, -1),
            (i64::MAX, 63, 0),
            (i64::MIN, 200, -1),
            (-1, 1, -1),
            (-2, 1, -1),
            (-3, 1, -2),
            (3, 1, 1),
            (0, -31, 0),
            (1, -62, 1 << 62),
            (1, -63, i64::MAX),
            (-1, -63, i64::MIN),
            (-2, -63, i64::MIN),
            (i64::MAX, -1, i64::MAX),
            (i64::MIN, -1, i64::MIN),
            (i64::MAX, 0, i64::MAX),
        ] {
            assert_eq!(floor_shift(value, shift), expected, "{value} >> {shift}");
        }
        assert_eq!(Accumulator::floor_shift(i32::MIN, 31), -1);
        assert_eq!(Accumulator::floor_shift(i32::MIN, 40), -1);
        assert_eq!(Accumulator::floor_shift(1i32, -31), i32::MAX);
        assert_eq!(Accumulator::floor_shift(-1i32, -31), i32::MIN);
        assert_eq!(Accumulator::floor_shift(-3i32, -4), -48);
    }

    #[test]
    fn half_up_sends_ties_to_plus_infinity() {
        for (value, shift, expected) in [
            (-3, 1, -1),
            (-1, 1, 0),
            (1, 1, 1),
            (3, 1, 2),
            (-6, 2, -1),
            (-7, 2, -2),
            (6, 2, 2),
            (5, 2, 1),
            (5, 0, 5),
            (5, -2, 20),
            (1 << 61, 62, 1),
            ((1 << 61) - 1, 62, 0),
            (-(1 << 61), 62, 0),
            (1 << 40, 100, 0),
            (-(1 << 40), 100, 0),
        ] {
            assert_eq!(
                round_half_up_shift(value, shift),
                expected,
                "{value} >> {shift}"
            );
        }
    }

    #[test]
    fn division_rounds_like_the_shift() {
        for (numerator, denominator, expected) in [
            (-3, 2, -1),
            (-1, 2, 0),
            (1, 2, 1),
            (3, 2, 2),
            (4, 3, 1),
            (5, 3, 2),
            (-4, 3, -1),
            (-5, 3, -2),
            (7, 1, 7),
            (i64::MAX, 1, i64::MAX),
            (i64::MIN, 1, i64::MIN),
            (0, 1 << 62, 0),
        ] {
            assert_eq!(
                div_round_half_up(numerator, denominator),
                expected,
                "{numerator}/{denominator}"
            );
        }
        for value in -70..70 {
            assert_eq!(div_round_half_up(value, 8), round_half_up_shift(value, 3));
        }
    }

    #[test]
    fn saturation_keeps_the_range() {
        assert_eq!(i8::saturate(127), 127);
        assert_eq!(i8::saturate(128), 127);
        assert_eq!(i8::saturate(-129), -128);
        assert_eq!(i16::saturate(i64::MAX), i16::MAX);
        assert_eq!(i16::saturate(i64::MIN), i16::MIN);
        assert_eq!(i8::wrap(-129), 127);
        let relu = Limits { low: 0, high: 127 };
        assert_eq!(Accumulator::to_element::<i8>(-5i32, relu), 0);
        assert_eq!(Accumulator::to_element::<i8>(i32::MAX, relu), 127);
        assert_eq!(Accumulator::to_element::<i8>(-500i64, Limits::ALL), -128);
        let clip = Limits { low: -3, high: 5 };
        assert_eq!(Accumulator::to_element::<i16>(i32::MIN, clip), -3);
        assert_eq!(clip.clamp(i64::MAX), 5i16);
    }
}
