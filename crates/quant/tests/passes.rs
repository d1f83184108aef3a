//! Every pass changes the graph and not what it computes.

#[path = "support/onnx.rs"]
mod onnx;
mod support;

use fixpoint_quant::{FloatModel, Inspection};
use onnx::{Net, Random, Value};

/// The passes' result computes what the file computes; gives what is seen of it.
fn same(net: &Net, dims: &[usize]) -> Inspection {
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    assert_eq!(model.problems(), [] as [String; 0]);
    let runner = model.runner().unwrap();
    let mut random = Random(3);
    for _ in 0..3 {
        let x = random.many(dims.iter().product());
        let want = net.run(dims, &x);
        let got = runner.run(&[&x]).unwrap();
        assert_eq!(got.len(), want.len());
        for (g, w) in got.iter().zip(&want) {
            assert_eq!(g.data.len(), w.len());
            for (a, b) in g.data.iter().zip(w) {
                assert!((a - b).abs() < 1e-4 * b.abs().max(1.0), "{a} {b}");
            }
        }
    }
    model.inspect()
}

fn ops(seen: &Inspection) -> Vec<&str> {
    seen.nodes.iter().map(|n| n.op.as_str()).collect()
}

fn changes<'a>(seen: &'a Inspection, pass: &str) -> &'a [String] {
    &seen.passes.iter().find(|p| p.name == pass).unwrap().changes
}

#[test]
fn identities_go() {
    let net = Net::new(&[-1, 2, 6, 6])
        .random_weights("w", &[4, 2, 3, 3], 0.3)
        .node("Identity", &["x"], "i", &[])
        .node("Conv", &["i", "w"], "c", &[])
        .node("Dropout", &["c"], "d", &[])
        .node("Relu", &["d"], "r", &[])
        .node("Identity", &["r"], "y", &[])
        .output("y");
    let seen = same(&net, &[1, 2, 6, 6]);
    assert_eq!(ops(&seen), ["Conv", "Relu"]);
    assert_eq!(changes(&seen, "eliminate_identity").len(), 3);
    let counts = |pass: &str| {
        let pass = seen.passes.iter().find(|p| p.name == pass).unwrap();
        (pass.nodes_before, pass.nodes_after)
    };
    assert_eq!(counts("eliminate_identity"), (5, 2));
    assert_eq!(counts("fold_constants"), (2, 2));
    assert_eq!(counts("fuse_activation"), (2, 1));
    assert_eq!(counts("layout"), (1, 1));
    assert_eq!(seen.outputs[0].name, "y");
}

#[test]
fn batch_normalization_moves_into_weights() {
    let bn = |net: Net, name: &str, c: i64| {
        let positive = Random(11)
            .many(c as usize)
            .iter()
            .map(|v| v.abs() + 0.1)
            .collect();
        net.random_weights(&format!("{name}_s"), &[c], 1.5)
            .random_weights(&format!("{name}_o"), &[c], 0.5)
            .random_weights(&format!("{name}_m"), &[c], 0.5)
            .weights(&format!("{name}_v"), &[c], positive)
    };
    let net = Net::new(&[1, 3, 7, 7])
        .random_weights("w", &[5, 3, 3, 3], 0.3)
        .random_weights("w2", &[5, 1, 3, 3], 0.3)
        .random_weights("b2", &[5], 0.3)
        .random_weights("w3", &[45, 6], 0.3);
    let net = bn(bn(bn(net, "p", 5), "q", 5), "r", 6)
        .node("Conv", &["x", "w"], "c", &[])
        .node(
            "BatchNormalization",
            &["c", "p_s", "p_o", "p_m", "p_v"],
            "cb",
            &[],
        )
        .node("Relu", &["cb"], "cr", &[])
        .node(
            "Conv",
            &["cr", "w2", "b2"],
            "d",
            &[("group", Value::Int(5))],
        )
        .node(
            "BatchNormalization",
            &["d", "q_s", "q_o", "q_m", "q_v"],
            "db",
            &[],
        )
        .node("Flatten", &["db"], "f", &[])
        .node("Gemm", &["f", "w3"], "g", &[])
        .node(
            "BatchNormalization",
            &["g", "r_s", "r_o", "r_m", "r_v"],
            "y",
            &[("epsilon", Value::Float(0.01))],
        )
        .output("y");
    let seen = same(&net, &[1, 3, 7, 7]);
    assert_eq!(ops(&seen), ["Conv", "Relu", "Conv", "Flatten", "Gemm"]);
    assert_eq!(changes(&seen, "fuse_batch_normalization").len(), 3);
}

#[test]
fn added_constants_become_biases() {
    let net = Net::new(&[1, 3, 5, 5])
        .random_weights("w", &[4, 3, 1, 1], 0.3)
        .random_weights("b", &[1, 4, 1, 1], 0.3)
        .random_weights("k", &[4, 1, 1], 0.3)
        .node("Conv", &["x", "w"], "c", &[])
        .node("Add", &["c", "b"], "cb", &[])
        .node("Add", &["k", "cb"], "y", &[])
        .output("y");
    let seen = same(&net, &[1, 3, 5, 5]);
    assert_eq!(ops(&seen), ["Conv"]);
    assert_eq!(changes(&seen, "fuse_add_bias").len(), 2);
}

#[test]
fn pads_move_into_the_next_window() {
    let net = Net::new(&[1, 2, 6, 6])
        .random_weights("w", &[4, 2, 3, 3], 0.3)
        .ints("p", &[0, 0, 1, 1, 0, 0, 2, 1])
        .node("Pad", &["x", "p"], "xp", &[])
        .node(
            "Conv",
            &["xp", "w"],
            "c",
            &[("strides", Value::Ints(vec![2, 2]))],
        )
        .node("Relu", &["c"], "r", &[])
        .ints("q", &[0, 0, 1, 1, 0, 0, 0, 0])
        .node("Pad", &["r", "q"], "rp", &[])
        .node(
            "MaxPool",
            &["rp"],
            "m",
            &[("kernel_shape", Value::Ints(vec![2, 2]))],
        )
        .node("Pad", &["m", "q"], "mp", &[])
        .node(
            "AveragePool",
            &["mp"],
            "y",
            &[("kernel_shape", Value::Ints(vec![2, 2]))],
        )
        .output("y");
    let seen = same(&net, &[1, 2, 6, 6]);
    assert_eq!(ops(&seen), ["Conv", "Relu", "MaxPool", "AveragePool"]);
    assert_eq!(changes(&seen, "fuse_pad").len(), 3);
}

#[test]
fn a_pad_that_could_win_in_a_max_pool_stays() {
    let net = Net::new(&[1, 2, 6, 6])
        .ints("q", &[0, 0, 1, 1, 0, 0, 0, 0])
        .node("Pad", &["x", "q"], "p", &[])
        .node(
            "MaxPool",
            &["p"],
            "y",
            &[("kernel_shape", Value::Ints(vec![2, 2]))],
        )
        .output("y");
    let seen = same(&net, &[1, 2, 6, 6]);
    assert_eq!(ops(&seen), ["Pad", "MaxPool"]);
}

#[test]
fn matmul_and_add_become_numbered_gemms() {
    let net = Net::new(&[-1, 3, 4])
        .ints("s", &[-1, 12])
        .random_weights("w0", &[12, 6], 0.3)
        .random_weights("b0", &[6], 0.3)
        .random_weights("w1", &[6, 5], 0.3)
        .random_weights("w2", &[5, 3], 0.3)
        .random_weights("b2", &[1, 3], 0.3)
        .node("Reshape", &["x", "s"], "f", &[])
        .node("MatMul", &["f", "w0"], "m0", &[])
        .node("Add", &["b0", "m0"], "a0", &[])
        .node("Relu", &["a0"], "r0", &[])
        .node("MatMul", &["r0", "w1"], "m1", &[])
        .node("MatMul", &["m1", "w2"], "m2", &[])
        .node("Add", &["m2", "b2"], "y", &[])
        .output("y");
    let seen = same(&net, &[1, 3, 4]);
    let names: Vec<_> = seen.nodes.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(
        names,
        ["n_f", "fused_gemm_0", "n_r0", "n_m1", "fused_gemm_1"]
    );
}

#[test]
fn alpha_and_beta_move_into_the_weights() {
    let net = Net::new(&[1, 6])
        .random_weights("w", &[4, 6], 0.3)
        .random_weights("b", &[4], 0.3)
        .node(
            "Gemm",
            &["x", "w", "b"],
            "y",
            &[
                ("transB", Value::Int(1)),
                ("alpha", Value::Float(0.5)),
                ("beta", Value::Float(2.0)),
            ],
        )
        .output("y");
    assert_eq!(changes(&same(&net, &[1, 6]), "fold_gemm_scale").len(), 2);
}

#[test]
fn shape_arithmetic_and_transposed_weights_are_computed() {
    let net = Net::new(&[-1, 2, 3, 3])
        .random_weights("w", &[4, 18], 0.3)
        .ints("zero", &[0])
        .ints("rest", &[-1])
        .node("Shape", &["x"], "shape", &[])
        .node("Gather", &["shape", "zero"], "batch", &[])
        .node(
            "Concat",
            &["batch", "rest"],
            "target",
            &[("axis", Value::Int(0))],
        )
        .node("Reshape", &["x", "target"], "f", &[])
        .node(
            "Transpose",
            &["w"],
            "wt",
            &[("perm", Value::Ints(vec![1, 0]))],
        )
        .node("MatMul", &["f", "wt"], "y", &[])
        .output("y");
    let seen = same(&net, &[1, 2, 3, 3]);
    assert_eq!(ops(&seen), ["Reshape", "Gemm"]);
    assert_eq!(changes(&seen, "fold_constants").len(), 4);
}

#[test]
fn mean_over_rows_and_columns_is_a_global_pool() {
    for keep in [0, 1] {
        let net = Net::new(&[1, 3, 4, 5])
            .random_weights("w", &[3, 2], 0.3)
            .node(
                "ReduceMean",
                &["x"],
                "m",
                &[
                    ("axes", Value::Ints(vec![2, 3])),
                    ("keepdims", Value::Int(keep)),
                ],
            )
            .node("Flatten", &["m"], "f", &[])
            .node("Gemm", &["f", "w"], "y", &[])
            .output("y");
        assert_eq!(ops(&same(&net, &[1, 3, 4, 5]))[0], "GlobalAveragePool");
    }
}

#[test]
fn transposes_that_cancel_go() {
    let nhwc = || ("perm", Value::Ints(vec![0, 2, 3, 1]));
    let nchw = || ("perm", Value::Ints(vec![0, 3, 1, 2]));
    let net = Net::new(&[1, 2, 5, 5])
        .random_weights("w", &[3, 2, 3, 3], 0.3)
        .random_weights("v", &[2, 3, 1, 1], 0.3)
        .node("Conv", &["x", "w"], "c", &[])
        .node("Transpose", &["c"], "t", &[nhwc()])
        .node("Transpose", &["t"], "u", &[nchw()])
        .node("Conv", &["u", "v"], "y", &[])
        .output("y");
    // The toolkit lists both; neither moves anything.
    let made = same(&net, &[1, 2, 5, 5]);
    assert_eq!(ops(&made), ["Conv", "Transpose", "Transpose", "Conv"]);
    let net = Net::new(&[1, 2, 5, 5])
        .random_weights("w", &[3, 2, 3, 3], 0.3)
        .random_weights("v", &[2, 3, 1, 1], 0.3)
        .node("Conv", &["x", "w"], "c", &[])
        .node("Transpose", &["c"], "t", &[nhwc()])
        .node("Transpose", &["t"], "u", &[nchw()])
        .node("Elu", &["u"], "e", &[])
        .node("Conv", &["e", "v"], "y", &[])
        .output("y");
    assert_eq!(ops(&same(&net, &[1, 2, 5, 5])), ["Conv", "Elu", "Conv"]);
}
