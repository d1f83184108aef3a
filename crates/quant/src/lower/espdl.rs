//! Sigmoid and Tanh as ESP-DL v1's layers compute them on the chip: in float32, cut off towards zero.
//!
//! Source: ESP-DL's `dl_layer_sigmoid.hpp`, `dl_layer_tanh.hpp` and `dl_math.hpp` at its last v1
//! commit (af7808ba). No golden output of a chip exists for them.

use crate::exponent::pow2;
use crate::ops::Function;
use crate::options::Bits;

/// (1 + x/256)^256 by eight squarings, which is what its layers take for e^x.
fn exp_fast(x: f32) -> f32 {
    let base = 1.0 + x / 256.0;
    (0..8).fold(base, |y, _| y * y)
}

/// A table with an entry for each element, for a function that ESP-DL has a layer for.
pub(super) fn table(function: Function, from: i32, to: i32, bits: Bits) -> Option<Vec<i16>> {
    let value = |q: i32| -> f32 {
        let x = q as f32 * pow2(from) as f32;
        match function {
            Function::Sigmoid => {
                let e = exp_fast(x);
                e / (e + 1.0)
            }
            _ => {
                let e = libm::expf(2.0 * x);
                // Past the end of float32 the chip's quotient is no number.
                if e.is_infinite() {
                    1.0
                } else {
                    (e - 1.0) / (e + 1.0)
                }
            }
        }
    };
    if !matches!(function, Function::Sigmoid | Function::Tanh) {
        return None;
    }
    let scale = pow2(-to) as f32;
    let entry = |q: i32| {
        let cut = libm::truncf(value(q) * scale);
        cut.clamp(bits.min() as f32, bits.max() as f32) as i16
    };
    Some((bits.min()..=bits.max()).map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// espdl-legacy.md 1.7, "computed in float on device"; numbers from numpy in float32. Rounding
    /// the functions' own values gives 29, 66 and 126 for the first, -128 to 8 for the second.
    #[test]
    fn values_are_cut_off_towards_zero() {
        let at = |table: &[i16], q: i32| table[(q + 128) as usize];
        let inputs = [-128, -64, -20, -1, 0, 1, 20, 64, 127];
        let sigmoid = table(Function::Sigmoid, -4, -7, Bits::I8).unwrap();
        assert_eq!(
            inputs.map(|q| at(&sigmoid, q)),
            [0, 2, 28, 62, 64, 65, 99, 125, 127]
        );
        let tanh = table(Function::Tanh, -4, -7, Bits::I8).unwrap();
        assert_eq!(
            inputs.map(|q| at(&tanh, q)),
            [-127, -127, -108, -7, 0, 7, 108, 127, 127]
        );
        let wide = table(Function::Tanh, -8, -15, Bits::I16).unwrap();
        assert_eq!((wide.len(), wide[32768], wide[65535]), (65536, 0, 32767));
        assert_eq!(table(Function::Exp, 0, 0, Bits::I8), None);
    }
}
