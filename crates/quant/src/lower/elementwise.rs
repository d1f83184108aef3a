//! Activations by themselves, and functions as tables.

use fixpoint_kernels::Limits;
use fixpoint_kernels::fixpoint::leaky;

use super::{Context, LayerFacts, espdl};
use crate::error::QuantError;
use crate::exponent;
use crate::fusion::Program;
use crate::image::{self, Activation};
use crate::options::Bits;
use crate::plan::Layer;

/// Intervals of an int16 table, as powers of two: what is tried, in order.
const INTERVALS: std::ops::RangeInclusive<u32> = 6..=13;

impl Context<'_> {
    /// Relu, LeakyRelu and PRelu that follow no layer that takes them in.
    pub(super) fn bend(&self, layer: &Layer) -> Result<image::Op, QuantError> {
        let Some(node) = layer.node.map(|i| &self.graph.nodes[i]) else {
            return self.fail(layer, "it has no node.");
        };
        let dims = &self.plan.tensors[layer.output].dims;
        let channels = dims.get(1).copied().unwrap_or(1);
        let mut activation = self.activation_of(layer, node, channels)?;
        if let Activation::PRelu { slopes, exponent } = &activation
            && slopes.iter().all(|s| *s == slopes[0])
        {
            activation = Activation::LeakyRelu {
                slope: slopes[0],
                exponent: *exponent,
            };
        }
        if let Activation::LeakyRelu { slope, exponent } = activation
            && self.options.bits == Bits::I8
            && !self.espdl()
        {
            let shift = self.exponent(layer.output) - self.exponent(layer.inputs[0]);
            return Ok(image::Op::Lookup {
                table: leaky_table(slope, exponent, shift),
            });
        }
        Ok(image::Op::Requantize { activation })
    }

    /// A function of one number. One that only clamps needs no table.
    pub(super) fn table(
        &self,
        layer: &Layer,
        program: &Program,
        facts: &mut LayerFacts,
    ) -> Result<image::Op, QuantError> {
        if let Some((low, high)) = program.clip().filter(|(low, high)| low <= high) {
            return Ok(image::Op::Requantize {
                activation: self.clip(layer, low, high),
            });
        }
        let (from, to) = (self.exponent(layer.inputs[0]), self.exponent(layer.output));
        let bits = self.options.bits;
        let device = program.function().filter(|_| self.espdl());
        if let Some(table) = device.and_then(|f| espdl::table(f, from, to, bits)) {
            facts.weight_bytes = table.len() * bits.width() as usize / 8;
            return Ok(image::Op::Lookup { table });
        }
        let (from, to) = (exponent::pow2(from), exponent::pow2(-to));
        let value = |q: i32| {
            let y = program.at(f64::from(q) * from) * to;
            let low = f64::from(bits.min());
            // Where the function has no value, calibration has seen none either.
            if y.is_nan() {
                0.0
            } else {
                y.clamp(low, f64::from(bits.max()))
            }
        };
        let entry = |q: i32| value(q).round_ties_even() as i16;
        let table: Vec<i16> = match bits {
            Bits::I8 => (bits.min()..=bits.max()).map(entry).collect(),
            // An entry for each of all integers: 128 KiB.
            Bits::I16 if program.jumps() => (bits.min()..=bits.max()).map(entry).collect(),
            Bits::I16 => {
                let exact: Vec<f64> = (bits.min()..=bits.max() + 1).map(value).collect();
                let (table, error) = interpolated(&exact);
                if error > 2.0 {
                    facts.warnings.push(format!(
                        "the table of {} is off by up to {error:.0} steps of its output where the \
                         function bends",
                        program.ops.join(", ")
                    ));
                }
                table
            }
        };
        facts.weight_bytes = table.len() * bits.width() as usize / 8;
        Ok(image::Op::Lookup { table })
    }
}

/// A LeakyRelu of bytes, as the kernel for activations by themselves would compute it, which the table is
/// faster than.
fn leaky_table(slope: i16, exponent: i8, shift: i32) -> Vec<i16> {
    let limits = Limits::<i8>::ALL;
    (Bits::I8.min()..=Bits::I8.max())
        .map(|x| limits.clamp(leaky(x.into(), shift, slope, exponent)).into())
        .collect()
}

/// The shortest table whose straight lines stay within a step of `exact`, the values for -32768 to
/// 32768; if there is none, the longest that is tried. And the largest error in steps.
fn interpolated(exact: &[f64]) -> (Vec<i16>, f64) {
    let mut last = (Vec::new(), f64::INFINITY);
    for log in INTERVALS {
        let step = 1usize << (16 - log);
        let table: Vec<i16> = (exact.iter().step_by(step))
            .map(|v| v.round_ties_even() as i16)
            .collect();
        let error = (exact.iter().take(1 << 16).enumerate())
            .map(|(i, exact)| {
                let (at, between) = (i / step, (i % step) as f64 / step as f64);
                let (low, high) = (f64::from(table[at]), f64::from(table[at + 1]));
                (low + (high - low) * between - exact).abs()
            })
            .fold(0.0, f64::max);
        last = (table, error);
        if error <= 1.0 {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_line_needs_the_shortest_table() {
        let line: Vec<f64> = (-32768..=32768).map(|q| f64::from(q) / 2.0).collect();
        let (table, error) = interpolated(&line);
        assert_eq!(table.len(), 65);
        assert_eq!((table[0], table[64]), (-16384, 16384));
        assert!(error <= 0.5);
    }

    #[test]
    fn a_bend_needs_a_longer_one() {
        let bend: Vec<f64> = (-32768..=32768).map(|q| f64::from(q.max(100))).collect();
        let (table, error) = interpolated(&bend);
        assert_eq!(table.len(), (1 << 13) + 1);
        assert!(error <= 2.0, "{error}");
    }
}
