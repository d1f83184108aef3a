//! Functions of one number: which an operator is, and its value in double precision.
//!
//! What runs on the device is a table of these values, so they have to come out the same on every
//! machine: `libm` computes them.

use crate::graph::{Graph, Node};

/// A function from numbers to numbers, parameters included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Function {
    Abs,
    Ceil,
    Celu {
        alpha: f64,
    },
    Clip {
        low: f64,
        high: f64,
    },
    Elu {
        alpha: f64,
    },
    Erf,
    Exp,
    Floor,
    Gelu {
        tanh: bool,
    },
    HardSigmoid {
        alpha: f64,
        beta: f64,
    },
    HardSwish,
    LeakyRelu {
        alpha: f64,
    },
    Log,
    Mish,
    Neg,
    Pow {
        exponent: f64,
    },
    Reciprocal,
    Relu,
    /// To the nearest whole number, ties to even ones.
    Round,
    Selu {
        alpha: f64,
        gamma: f64,
    },
    Sigmoid,
    Sign,
    Softplus,
    Softsign,
    Sqrt,
    Swish {
        alpha: f64,
    },
    Tanh,
    ThresholdedRelu {
        alpha: f64,
    },
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

impl Function {
    /// The function that `node` computes, if it is one of a single number. None also where a
    /// parameter is computed by other nodes.
    pub(crate) fn of(graph: &Graph, node: &Node) -> Option<Function> {
        let parameter = |name: &str, default: f32| f64::from(node.float(name, default));
        Some(match node.op.as_str() {
            "Abs" => Function::Abs,
            "Ceil" => Function::Ceil,
            "Celu" => Function::Celu {
                alpha: parameter("alpha", 1.0),
            },
            "Clip" => {
                let (low, high) = clip_limits(graph, node)?;
                Function::Clip { low, high }
            }
            "Elu" => Function::Elu {
                alpha: parameter("alpha", 1.0),
            },
            "Erf" => Function::Erf,
            "Exp" => Function::Exp,
            "Floor" => Function::Floor,
            "Gelu" => Function::Gelu {
                tanh: node.str("approximate", "none") == "tanh",
            },
            "HardSigmoid" => Function::HardSigmoid {
                alpha: parameter("alpha", 0.2),
                beta: parameter("beta", 0.5),
            },
            "HardSwish" => Function::HardSwish,
            "LeakyRelu" => Function::LeakyRelu {
                alpha: parameter("alpha", 0.01),
            },
            "Log" => Function::Log,
            "Mish" => Function::Mish,
            "Neg" => Function::Neg,
            "Pow" => Function::Pow {
                exponent: match graph.int_values(node.input(1)?) {
                    Some(&[whole]) => whole as f64,
                    _ => scalar(graph, node.input(1)?)?,
                },
            },
            "Reciprocal" => Function::Reciprocal,
            "Relu" => Function::Relu,
            "Round" => Function::Round,
            "Selu" => Function::Selu {
                alpha: parameter("alpha", 1.673_263_2),
                gamma: parameter("gamma", 1.050_701),
            },
            "Sigmoid" => Function::Sigmoid,
            "Sign" => Function::Sign,
            "Softplus" => Function::Softplus,
            "Softsign" => Function::Softsign,
            "Sqrt" => Function::Sqrt,
            "Swish" => Function::Swish {
                alpha: parameter("alpha", 1.0),
            },
            "Tanh" => Function::Tanh,
            "ThresholdedRelu" => Function::ThresholdedRelu {
                alpha: parameter("alpha", 1.0),
            },
            _ => return None,
        })
    }

    /// Whether it goes from one value to another without those between, at many places.
    pub(crate) fn jumps(self) -> bool {
        use Function::{Ceil, Floor, Round, Sign};
        matches!(self, Ceil | Floor | Round | Sign)
    }

    /// Its value; not finite where the function has none.
    pub(crate) fn at(self, x: f64) -> f64 {
        match self {
            Function::Abs => x.abs(),
            Function::Ceil => libm::ceil(x),
            Function::Celu { alpha } => x.max(0.0) + (alpha * libm::expm1(x / alpha)).min(0.0),
            // Not f64::clamp, which panics on limits that ONNX allows: the upper one wins.
            Function::Clip { low, high } => x.max(low).min(high),
            Function::Elu { alpha } if x < 0.0 => alpha * libm::expm1(x),
            Function::Elu { .. } => x,
            Function::Erf => libm::erf(x),
            Function::Exp => libm::exp(x),
            Function::Floor => libm::floor(x),
            Function::Gelu { tanh: false } => {
                0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2))
            }
            Function::Gelu { tanh: true } => {
                let inner = x + 0.044715 * x * x * x;
                let factor = std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
                0.5 * x * (1.0 + libm::tanh(factor * inner))
            }
            Function::HardSigmoid { alpha, beta } => (alpha * x + beta).clamp(0.0, 1.0),
            Function::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Function::LeakyRelu { .. } if x >= 0.0 => x,
            Function::LeakyRelu { alpha } => alpha * x,
            Function::ThresholdedRelu { alpha } if x > alpha => x,
            Function::ThresholdedRelu { .. } => 0.0,
            Function::Log => libm::log(x),
            Function::Mish => x * libm::tanh(softplus(x)),
            Function::Neg => -x,
            Function::Pow { exponent } => libm::pow(x, exponent),
            Function::Reciprocal => 1.0 / x,
            Function::Relu => x.max(0.0),
            Function::Round => x.round_ties_even(),
            Function::Selu { alpha, gamma } if x < 0.0 => gamma * alpha * libm::expm1(x),
            Function::Selu { gamma, .. } => gamma * x,
            Function::Sigmoid => sigmoid(x),
            Function::Sign if x == 0.0 => 0.0,
            Function::Sign => x.signum(),
            Function::Softplus => softplus(x),
            Function::Softsign => x / (1.0 + x.abs()),
            Function::Sqrt => libm::sqrt(x),
            Function::Swish { alpha } => x * sigmoid(alpha * x),
            Function::Tanh => libm::tanh(x),
        }
    }
}

/// A constant of one finite element.
pub(crate) fn scalar(graph: &Graph, name: &str) -> Option<f64> {
    match *graph.floats(name)? {
        [v] if v.is_finite() => Some(f64::from(v)),
        _ => None,
    }
}

/// The limits of a Clip: attributes (opset below 11) or constant inputs.
fn clip_limits(graph: &Graph, node: &Node) -> Option<(f64, f64)> {
    let limit = |i: usize, attr: &str, none: f64| match node.input(i) {
        Some(name) => match *graph.floats(name)? {
            [v] if !v.is_nan() => Some(f64::from(v)),
            _ => None,
        },
        None if node.attrs.contains_key(attr) => Some(f64::from(node.float(attr, 0.0))),
        None => Some(none),
    };
    Some((
        limit(1, "min", f64::NEG_INFINITY)?,
        limit(2, "max", f64::INFINITY)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(f: Function, x: f64, want: f64) {
        let got = f.at(x);
        assert!((got - want).abs() < 1e-6, "{f:?} at {x}: {got}, not {want}");
    }

    /// Values from the operators' definitions, worked out by hand or from tables.
    #[test]
    fn functions_have_their_textbook_values() {
        near(Function::Sigmoid, 0.0, 0.5);
        near(Function::Sigmoid, 2.0, 0.880_797_078);
        near(Function::Tanh, 0.5, 0.462_117_157);
        near(Function::Erf, 1.0, 0.842_700_793);
        near(Function::Gelu { tanh: false }, 1.0, 0.841_344_746);
        near(Function::Gelu { tanh: true }, 1.0, 0.841_191_990);
        near(Function::HardSwish, 3.0, 3.0);
        near(Function::HardSwish, -3.0, 0.0);
        near(Function::HardSwish, 1.0, 2.0 / 3.0);
        let hard = Function::HardSigmoid {
            alpha: 0.2,
            beta: 0.5,
        };
        near(hard, 1.0, 0.7);
        near(hard, 5.0, 1.0);
        near(Function::Elu { alpha: 2.0 }, -1.0, -1.264_241_117);
        near(Function::Softplus, 1.0, 1.313_261_688);
        near(Function::Softplus, 800.0, 800.0);
        near(Function::Mish, 1.0, 0.865_098_388);
        near(Function::ThresholdedRelu { alpha: 1.0 }, 1.0, 0.0);
        near(Function::ThresholdedRelu { alpha: -1.0 }, -0.5, -0.5);
        near(Function::Pow { exponent: 3.0 }, -2.0, -8.0);
        let clip = Function::Clip {
            low: 2.0,
            high: 1.0,
        };
        near(clip, 5.0, 1.0);
        near(Function::Round, -2.5, -2.0);
        near(Function::Round, 3.5, 4.0);
        near(Function::Sign, -0.25, -1.0);
        near(Function::Sign, -0.0, 0.0);
        near(Function::Floor, -0.25, -1.0);
        near(Function::Ceil, -0.25, 0.0);
        assert!(Function::Log.at(0.0).is_infinite());
        assert!(Function::Sqrt.at(-1.0).is_nan());
    }
}
