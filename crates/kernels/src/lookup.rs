//! Any function of one element, as a table.

use crate::elementwise::{unary, unary_in_place};
use crate::number::{Element, round_half_up_shift, round_half_up_shift_narrow};

/// Entries of a table with steps of `2^step_bits` for elements of `bits` bits: with single steps one
/// for each element, else one for each multiple of the step and one past the largest element.
pub fn entries(bits: u32, step_bits: u32) -> usize {
    match step_bits {
        0 => 1 << bits,
        _ => (1 << (bits - step_bits)) + 1,
    }
}

/// The value of `table` at `x`. Entry `i` is the function of `MIN + i * 2^step_bits`; between two
/// entries it is interpolated linearly, rounded half up.
///
/// For a function with |f''| <= d, in output steps per squared input step, the result is off by at
/// most `d * 4^step_bits / 8` and the two roundings, of the entries and of the interpolation: 1.
///
/// # Panics
///
/// If the table is shorter than [`entries`].
#[inline(always)]
pub fn lookup<T: Element>(x: T, table: &[T], step_bits: u32) -> T {
    let (x, min): (i32, i32) = (x.into(), T::MIN.into());
    let from_least = x.wrapping_sub(min) as u32 as usize;
    let at = from_least >> step_bits;
    if step_bits == 0 {
        return table[at];
    }
    if step_bits <= 13 {
        // 17 bits by step_bits, and a sum of two such products.
        let (low, high): (i32, i32) = (table[at].into(), table[at + 1].into());
        let between = (from_least - (at << step_bits)) as i32;
        let weighted = (low << step_bits) + (high - low) * between;
        return T::wrap(round_half_up_shift_narrow(weighted, step_bits as i32).into());
    }
    let (low, high): (i64, i64) = (table[at].into(), table[at + 1].into());
    let between = (from_least - (at << step_bits)) as i64;
    let weighted = (low << step_bits) + (high - low) * between;
    T::wrap(round_half_up_shift(weighted, step_bits as i32))
}

/// [`lookup`] of every element, into another tensor or in place where there is no input.
///
/// # Panics
///
/// As [`lookup`].
pub fn lookup_all<T: Element>(input: Option<&[T]>, table: &[T], step_bits: u32, output: &mut [T]) {
    // An index of 8 bits is within these, and needs no check.
    if let (0, 16, Some(table)) = (step_bits, T::LANES, table.first_chunk::<256>()) {
        let f = |x: T| {
            let x: i32 = x.into();
            table[(x + 128) as usize & 0xff]
        };
        return match input {
            Some(input) => unary(input, output, f),
            None => unary_in_place(output, f),
        };
    }
    let f = |x| lookup(x, table, step_bits);
    match input {
        Some(input) => unary(input, output, f),
        None => unary_in_place(output, f),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_start_at_the_least_element() {
        let mut table = [0i8; 256];
        for (i, y) in table.iter_mut().enumerate() {
            *y = (i as i16 - 128) as i8;
        }
        table[0] = 5;
        assert_eq!(lookup(-128i8, &table, 0), 5);
        assert_eq!(lookup(-127i8, &table, 0), -127);
        assert_eq!(lookup(127i8, &table, 0), 127);
        assert_eq!(entries(8, 0), 256);
        assert_eq!(entries(16, 6), 1025);
        let mut y = [0; 3];
        lookup_all(Some(&[-128i8, -127, 127]), &table, 0, &mut y);
        assert_eq!(y, [5, -127, 127]);
        y[1] = 100;
        lookup_all(None, &table, 0, &mut y);
        assert_eq!(y, [5, 100, 127]);
    }

    #[test]
    fn between_entries_ties_go_up() {
        // Steps of 2^15: -32768, 0, 32768.
        let table = [i16::MIN, 0, i16::MAX];
        assert_eq!(lookup(i16::MIN, &table, 15), i16::MIN);
        assert_eq!(lookup(-1i16, &table, 15), -1);
        assert_eq!(lookup(0i16, &table, 15), 0);
        // 16384 * 32767 / 32768 = 16383.5.
        assert_eq!(lookup(16384i16, &table, 15), 16384);
        let down = [i16::MAX, i16::MIN, 0];
        // The middle of 32767 and -32768 is -0.5.
        assert_eq!(lookup(-16384i16, &down, 15), 0);
        assert_eq!(lookup(-16383i16, &down, 15), -2);
        // Steps of 2^13, the largest for which 32 bits will do: from -1 to 32767 half way, 16383.
        let steep = [
            i16::MAX,
            i16::MIN,
            i16::MAX,
            i16::MIN,
            -1,
            i16::MAX,
            0,
            0,
            0,
        ];
        assert_eq!(lookup(4096i16, &steep, 13), 16383);
        // Ties: (32767 - 32768) / 2 = -0.5.
        assert_eq!(lookup(i16::MIN + 4096, &steep, 13), 0);
        assert_eq!(lookup(i16::MIN + 8191, &steep, 13), -32760);
    }
}
