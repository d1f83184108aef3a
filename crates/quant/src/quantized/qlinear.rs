//! Operators on integers, and the float operators that they stand for.

/// Where an operator has its tensors; each operand is followed by its scale and zero point.
#[derive(Clone, Copy, Debug)]
pub(super) struct QLinear {
    /// The float operator.
    pub(super) op: &'static str,
    /// Operands by position.
    pub(super) operands: &'static [usize],
    /// A bias of int32, at the product of the first two scales.
    pub(super) bias: Option<usize>,
    /// Scale of the result; its zero point follows.
    pub(super) result: usize,
    /// Operands go on to the end, three inputs each.
    pub(super) many: bool,
}

/// The operator called `op`, of ONNX or of onnxruntime's domain.
pub(super) fn of(op: &str) -> Option<QLinear> {
    let form = |op, operands, result| QLinear {
        op,
        operands,
        bias: None,
        result,
        many: false,
    };
    Some(match op {
        "QLinearConv" => QLinear {
            bias: Some(8),
            ..form("Conv", &[0, 3], 6)
        },
        "QGemm" => QLinear {
            bias: Some(6),
            ..form("Gemm", &[0, 3], 7)
        },
        "QLinearMatMul" => form("MatMul", &[0, 3], 6),
        "QLinearAdd" => form("Add", &[0, 3], 6),
        "QLinearMul" => form("Mul", &[0, 3], 6),
        "QLinearSigmoid" => form("Sigmoid", &[0], 3),
        "QLinearLeakyRelu" => form("LeakyRelu", &[0], 3),
        "QLinearSoftmax" => form("Softmax", &[0], 3),
        "QLinearAveragePool" => form("AveragePool", &[0], 3),
        "QLinearGlobalAveragePool" => form("GlobalAveragePool", &[0], 3),
        "QLinearReduceMean" => form("ReduceMean", &[0], 3),
        "QLinearConcat" => QLinear {
            many: true,
            ..form("Concat", &[], 0)
        },
        _ => return None,
    })
}
