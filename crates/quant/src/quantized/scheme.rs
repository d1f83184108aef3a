//! How a tensor of a quantized file is scaled, and whether the chip's integers can follow it.

use std::fmt;

use crate::exponent::pow2;
use crate::options::Bits;

/// The integer type of a quantized tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    I8,
    U8,
    I16,
    U16,
    I32,
}

impl Kind {
    pub(super) fn range(self) -> (i64, i64) {
        match self {
            Kind::I8 => (-128, 127),
            Kind::U8 => (0, 255),
            Kind::I16 => (-32768, 32767),
            Kind::U16 => (0, 65535),
            Kind::I32 => (i32::MIN.into(), i32::MAX.into()),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::I8 => "int8",
            Kind::U8 => "uint8",
            Kind::I16 => "int16",
            Kind::U16 => "uint16",
            Kind::I32 => "int32",
        }
    }
}

/// real = (integer - zero point) * scale, by tensor or along an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scheme {
    pub(super) kind: Kind,
    /// One, or one for each index along `axis`.
    pub(super) scales: Vec<f32>,
    /// As many as scales, or one.
    pub(super) zeros: Vec<i64>,
    pub(super) axis: i64,
}

/// Signed integers around zero, with powers of two as scales.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ours {
    pub(super) kind: Kind,
    pub(super) exponents: Vec<i32>,
}

/// Why a scheme is not ours, in words that follow "it has".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Other {
    ZeroPoint,
    Scale,
    Channels,
}

impl Scheme {
    fn zero(&self, i: usize) -> i64 {
        self.zeros[i % self.zeros.len()]
    }

    /// The real value of an integer of channel `c`, as ONNX defines it.
    pub(super) fn real(&self, integer: i64, c: usize) -> f32 {
        let c = c % self.scales.len();
        (integer - self.zero(c)) as f32 * self.scales[c]
    }

    /// The integer for a real value of channel `c`: nearest, ties to even, saturated.
    pub(super) fn integer(&self, real: f32, c: usize) -> i64 {
        let c = c % self.scales.len();
        let (low, high) = self.kind.range();
        let nearest = f64::from(real / self.scales[c]).round_ties_even() as i64;
        nearest.saturating_add(self.zero(c)).clamp(low, high)
    }

    /// The real values that the integers reach, when the smallest integer is the zero point: a
    /// scheme for what is not negative, which an exporter may have left a Relu out for.
    pub(super) fn not_negative(&self) -> Option<(f32, f32)> {
        let (low, high) = self.kind.range();
        (self.scales.len() == 1 && self.zero(0) == low).then(|| (0.0, self.real(high, 0)))
    }

    /// The same scheme with signed integers around zero and exponents, if that is what it is. An
    /// unsigned type with its middle as zero point is the signed type shifted by that.
    pub(super) fn ours(&self) -> Result<Ours, Other> {
        let (kind, zero) = match self.kind {
            Kind::U8 => (Kind::I8, 128),
            Kind::U16 => (Kind::I16, 32768),
            signed => (signed, 0),
        };
        if self.zeros.iter().any(|z| *z != zero) {
            return Err(Other::ZeroPoint);
        }
        let exponents = self.scales.iter().map(|s| exponent_of(*s));
        match exponents.collect::<Option<Vec<_>>>() {
            Some(exponents) => Ok(Ours { kind, exponents }),
            None => Err(Other::Scale),
        }
    }

    /// What the zero point of a signed type would be subtracted from: 128 for uint8.
    pub(super) fn offset(&self) -> i64 {
        match self.kind {
            Kind::U8 => 128,
            Kind::U16 => 32768,
            _ => 0,
        }
    }
}

/// e where `scale` is exactly 2^e.
fn exponent_of(scale: f32) -> Option<i32> {
    let e = (i32::try_from(f64::from(scale).to_bits() >> 52).ok()?) - 1023;
    ((-120..=120).contains(&e) && pow2(e) == f64::from(scale)).then_some(e)
}

impl Ours {
    /// The width of an activation; None for int32.
    pub(super) fn bits(&self) -> Option<Bits> {
        match self.kind {
            Kind::I8 => Some(Bits::I8),
            Kind::I16 => Some(Bits::I16),
            _ => None,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with ", self.kind.name())?;
        let numbers = |f: &mut fmt::Formatter<'_>, what: &str, list: &[String]| match list {
            [one] => write!(f, "{what} {one}"),
            [one, ..] => write!(f, "{} {what}s ({one}, ...)", list.len()),
            [] => write!(f, "no {what}"),
        };
        let texts: Vec<String> = self.scales.iter().map(ToString::to_string).collect();
        numbers(f, "scale", &texts)?;
        write!(f, " and ")?;
        let mut zeros = self.zeros.clone();
        if zeros.iter().all(|z| *z == zeros[0]) {
            zeros.truncate(1);
        }
        let texts: Vec<String> = zeros.iter().map(ToString::to_string).collect();
        numbers(f, "zero point", &texts)
    }
}

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Other::ZeroPoint => "a zero point",
            Other::Scale => "a scale that is no power of two",
            Other::Channels => "scales of their own for its channels",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scheme(kind: Kind, scale: f32, zero: i64) -> Scheme {
        Scheme {
            kind,
            scales: vec![scale],
            zeros: vec![zero],
            axis: 1,
        }
    }

    #[test]
    fn only_exact_powers_of_two_are_exponents() {
        assert_eq!(exponent_of(1.0), Some(0));
        assert_eq!(exponent_of(0.0078125), Some(-7));
        assert_eq!(
            exponent_of(f32::from_bits(0.0078125f32.to_bits() + 1)),
            None
        );
        assert_eq!(
            exponent_of(f32::from_bits(0.0078125f32.to_bits() - 1)),
            None
        );
        assert_eq!(exponent_of(-0.5), None);
        assert_eq!(exponent_of(0.0), None);
        assert_eq!(exponent_of(f32::NAN), None);
        assert_eq!(exponent_of(f32::INFINITY), None);
    }

    #[test]
    fn unsigned_around_its_middle_is_signed() {
        let ours = scheme(Kind::U8, 0.5, 128).ours().unwrap();
        assert_eq!((ours.kind, ours.exponents), (Kind::I8, vec![-1]));
        assert_eq!(scheme(Kind::U8, 0.5, 0).ours(), Err(Other::ZeroPoint));
        assert_eq!(scheme(Kind::I8, 0.5, 128).ours(), Err(Other::ZeroPoint));
        assert_eq!(scheme(Kind::I8, 0.3, 0).ours(), Err(Other::Scale));
    }

    #[test]
    fn integers_round_half_to_even_and_saturate() {
        // ONNX's own example of QuantizeLinear: scale 2, zero point 128, uint8.
        let s = scheme(Kind::U8, 2.0, 128);
        let of = |x: f32| s.integer(x, 0);
        assert_eq!(
            [0.0, 2.0, 3.0, 1000.0, -254.0, -1000.0].map(of),
            [128, 129, 130, 255, 1, 0]
        );
        assert_eq!(s.real(0, 0), -256.0);
    }

    #[test]
    fn text_names_scale_and_zero_point() {
        assert_eq!(
            scheme(Kind::U8, 0.018658448, 114).to_string(),
            "uint8 with scale 0.018658448 and zero point 114"
        );
        let channels = Scheme {
            scales: vec![0.5, 0.25],
            zeros: vec![0, 0],
            ..scheme(Kind::I8, 1.0, 0)
        };
        assert_eq!(
            channels.to_string(),
            "int8 with 2 scales (0.5, ...) and zero point 0"
        );
    }
}
