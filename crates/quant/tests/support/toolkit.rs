//! Which fixtures the ESP-DL toolkit has made something of, and in which ways.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test binary uses a part of it"
)]

use fixpoint_quant::{Bits, Granularity, Method};

pub const NETS: [&str; 6] = [
    "mlp",
    "maxpool_chain",
    "conv_relu_dw_prelu_fc",
    "tf2onnx_cnn",
    "concat3_input",
    "sub_mul",
];

pub const MODES: [(Bits, Granularity, Method); 5] = [
    (Bits::I8, Granularity::PerTensor, Method::MinMax),
    (Bits::I8, Granularity::PerTensor, Method::Entropy),
    (Bits::I8, Granularity::PerChannel, Method::MinMax),
    (Bits::I8, Granularity::PerChannel, Method::Entropy),
    (Bits::I16, Granularity::PerTensor, Method::MinMax),
];
