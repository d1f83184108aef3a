//! LSTM and GRU: what is written out, against the float engine on the file as it is, and why the rest is not.

#[path = "support/close.rs"]
mod close;
#[path = "support/onnx.rs"]
mod onnx;

use close::Close;
use fixpoint_quant::FloatModel;
use onnx::{Net, Random, Value};

const INPUTS: i64 = 3;
const HIDDEN: i64 = 5;

/// What differs from net to net.
struct Kind {
    op: &'static str,
    steps: i64,
    batch: i64,
    directions: i64,
}

const LSTM: Kind = Kind {
    op: "LSTM",
    steps: 4,
    batch: 1,
    directions: 1,
};
const GRU: Kind = Kind { op: "GRU", ..LSTM };

impl Kind {
    fn attrs<'a>(&self, more: Vec<(&'a str, Value)>) -> Vec<(&'a str, Value)> {
        let mut all = more;
        all.push(("hidden_size", Value::Int(HIDDEN)));
        if self.directions == 2 {
            all.push(("direction", Value::Str("bidirectional")));
        }
        all
    }

    /// The input `x` and the parameters, of a net that takes `dims`.
    fn parameters(&self, dims: &[i64]) -> Net {
        let gates = if self.op == "LSTM" { 4 } else { 3 };
        Net::new(dims)
            .random_weights("w", &[self.directions, gates * HIDDEN, INPUTS], 0.5)
            .random_weights("r", &[self.directions, gates * HIDDEN, HIDDEN], 0.5)
            .random_weights("b", &[self.directions, 2 * gates * HIDDEN], 0.3)
    }

    /// Inputs and attributes beside the usual ones; all outputs are the net's.
    fn net(&self, inputs: &[&str], more: Vec<(&str, Value)>) -> Net {
        let inputs = [&["x", "w", "r", "b"], inputs].concat();
        let outputs = if self.op == "LSTM" {
            &["y", "h", "c"][..]
        } else {
            &["y", "h"]
        };
        let net = self
            .parameters(&[self.steps, self.batch, INPUTS])
            .opset(14)
            .node_many(self.op, &inputs, outputs, &self.attrs(more));
        outputs.iter().fold(net, |net, name| net.output(name))
    }

    fn dims(&self) -> [usize; 3] {
        [self.steps as usize, self.batch as usize, INPUTS as usize]
    }
}

fn close(net: &Net, dims: &[&[usize]]) {
    let least = Close {
        least: [60.0, 14.0],
        ..Close::default()
    };
    least.check(net, dims);
}

fn refused(net: &Net, words: &[&str]) {
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    let [problem] = model.problems() else {
        panic!("{:?}", model.problems());
    };
    for word in words {
        assert!(problem.contains(word), "{word} not in: {problem}");
    }
}

#[test]
fn the_usual_functions_may_be_named() {
    for (kind, names) in [
        (LSTM, vec!["Sigmoid", "Tanh", "Tanh"]),
        (GRU, vec!["Sigmoid", "Tanh"]),
    ] {
        for directions in [1, 2] {
            let kind = Kind { directions, ..kind };
            let names = names.repeat(directions as usize);
            let net = kind.net(&[], vec![("activations", Value::Strs(names))]);
            close(&net, &[&kind.dims()]);
        }
    }
}

#[test]
fn lengths_of_the_whole_sequence_are_none() {
    for kind in [LSTM, GRU] {
        let net = kind.net(&["n"], vec![]).ints("n", &[4]);
        // The float engine doesn't take lengths.
        let without = kind.net(&[], vec![]);
        let x = Random(3).many(12);
        let model = FloatModel::from_onnx(&net.encode()).unwrap();
        let got = model.runner().unwrap().run(&[&x]).unwrap();
        let want = without.run_all(&[kind.dims().to_vec()], &[&x]);
        for (got, want) in got.iter().zip(&want) {
            equal(&got.data, want);
        }
        refused(
            &kind.net(&["n"], vec![]).ints("n", &[3]),
            &["'n_y'", "sequence_lens", "4 steps"],
        );
    }
}

fn equal(got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len());
    for (a, b) in got.iter().zip(want) {
        assert!((a - b).abs() < 1e-5, "{a} instead of {b}");
    }
}

#[test]
fn sequences_may_come_in_batches() {
    for op in ["LSTM", "GRU"] {
        for directions in [1, 2] {
            let kind = Kind {
                op,
                batch: 3,
                directions,
                ..LSTM
            };
            close(&kind.net(&[], vec![]), &[&kind.dims()]);
            let state = [directions, 3, HIDDEN];
            let names = if op == "LSTM" {
                &["", "h0", "c0"][..]
            } else {
                &["", "h0"]
            };
            let mut net = kind.net(names, vec![]);
            let state_dims = state.map(|d| d as usize);
            let mut dims = vec![kind.dims()];
            for name in &names[1..] {
                net = net.input(name, &state);
                dims.push(state_dims);
            }
            let dims: Vec<&[usize]> = dims.iter().map(|d| &d[..]).collect();
            close(&net, &dims);
        }
    }
}

/// With layout 1 the batch is first everywhere: the same as layout 0 between transposes.
#[test]
fn the_batch_may_come_first() {
    for batch in [1, 3] {
        for directions in [1, 2] {
            let kind = Kind {
                batch,
                directions,
                ..LSTM
            };
            let input = [batch, kind.steps, INPUTS];
            let state = [batch, directions, HIDDEN];
            let start = || {
                let net = kind.parameters(&input).opset(14);
                net.input("h0", &state).input("c0", &state)
            };
            let finish = |net: Net| net.output("y").output("h").output("c");
            let net = finish(start().node_many(
                "LSTM",
                &["x", "w", "r", "b", "", "h0", "c0"],
                &["y", "h", "c"],
                &kind.attrs(vec![("layout", Value::Int(1))]),
            ));
            let turn = |net: Net, from: &str, to: &str, perm: &[i64]| {
                net.node(
                    "Transpose",
                    &[from],
                    to,
                    &[("perm", Value::Ints(perm.to_vec()))],
                )
            };
            let mut plain = turn(start(), "x", "xt", &[1, 0, 2]);
            plain = turn(plain, "h0", "ht", &[1, 0, 2]);
            plain = turn(plain, "c0", "ct", &[1, 0, 2]);
            plain = plain.node_many(
                "LSTM",
                &["xt", "w", "r", "b", "", "ht", "ct"],
                &["yt", "hn", "cn"],
                &kind.attrs(vec![]),
            );
            plain = turn(plain, "yt", "y", &[2, 0, 1, 3]);
            plain = turn(plain, "hn", "h", &[1, 0, 2]);
            let plain = finish(turn(plain, "cn", "c", &[1, 0, 2]));
            let mut random = Random(9);
            let dims = [input, state, state].map(|d| d.map(|d| d as usize));
            let data = dims.map(|d| random.many(d.iter().product()));
            let data: Vec<&[f32]> = data.iter().map(|d| &d[..]).collect();
            let model = FloatModel::from_onnx(&net.encode()).unwrap();
            assert_eq!(model.problems(), [] as [String; 0]);
            let got = model.runner().unwrap().run(&data).unwrap();
            let want = plain.run_all(&dims.map(|d| d.to_vec()), &data);
            let batch = batch as usize;
            let (steps, directions) = (kind.steps as usize, directions as usize);
            assert_eq!(got[0].dims, [batch, steps, directions, HIDDEN as usize]);
            assert_eq!(got[1].dims, [batch, directions, HIDDEN as usize]);
            for (got, want) in got.iter().zip(&want) {
                equal(&got.data, want);
            }
        }
    }
}

#[test]
fn what_is_not_written_out_is_named() {
    let strs = |names: &[&'static str]| vec![("activations", Value::Strs(names.to_vec()))];
    refused(
        &LSTM.net(&[], strs(&["Sigmoid", "Relu", "Tanh"])),
        &["'n_y' (LSTM)", "'Relu' in place of Tanh", "Train it"],
    );
    refused(
        &GRU.net(&[], strs(&["HardSigmoid", "Tanh"])),
        &["'n_y' (GRU)", "'HardSigmoid' in place of Sigmoid"],
    );
    refused(&GRU.net(&[], strs(&["Sigmoid"])), &["1 names, where 2"]);
    let number = |name, value| vec![(name, value)];
    refused(
        &LSTM.net(&[], number("clip", Value::Float(3.0))),
        &["its clip"],
    );
    refused(
        &LSTM.net(&[], number("input_forget", Value::Int(1))),
        &["its input_forget"],
    );
    refused(
        &LSTM.net(&[], number("direction", Value::Str("sideways"))),
        &["'sideways'"],
    );
    let state = LSTM
        .net(&["", "h0", "c0"], vec![])
        .weights("h0", &[1, 1, 5], vec![0.0; 5])
        .weights("c0", &[1, 1, 5], vec![0.5; 5]);
    refused(&state, &["its initial_c is stored and not zero"]);
    let peepholes = LSTM
        .net(&["", "", "", "p"], vec![])
        .random_weights("p", &[1, 15], 0.5);
    refused(&peepholes, &["peepholes"]);
    let narrow = Net::new(&[4, 1, 2])
        .random_weights("w", &[1, 20, 3], 0.5)
        .random_weights("r", &[1, 20, 5], 0.5)
        .node("LSTM", &["x", "w", "r"], "y", &[])
        .output("y");
    refused(&narrow, &["[1, 20, 3]", "input of 2 values"]);
    let computed = Net::new(&[4, 1, 3])
        .input("w", &[1, 20, 3])
        .random_weights("r", &[1, 20, 5], 0.5)
        .node("LSTM", &["x", "w", "r"], "y", &[])
        .output("y");
    refused(&computed, &["weights 'w' are computed"]);
}

#[test]
fn steps_are_counted_over_the_whole_model() {
    let steps = |steps| Kind { steps, ..GRU };
    refused(&steps(65).net(&[], vec![]), &["65 steps", "64 is the most"]);
    // Two layers of 64 are as many as there may be.
    let chain = |layers: usize| {
        let kind = steps(64);
        let mut net = kind
            .parameters(&[64, 1, INPUTS])
            .opset(14)
            .random_weights("v", &[1, 3 * HIDDEN, HIDDEN], 0.5)
            .ints("s", &[64, 1, HIDDEN]);
        let mut from = "x".to_owned();
        for i in 0..layers {
            let w = if i == 0 { "w" } else { "v" };
            let (all, rows) = (format!("y{i}"), format!("z{i}"));
            net = net
                .node("GRU", &[&from, w, "r", "b"], &all, &kind.attrs(vec![]))
                .node("Reshape", &[&all, "s"], &rows, &[]);
            from = rows;
        }
        net.output(&from)
    };
    let most = FloatModel::from_onnx(&chain(2).encode()).unwrap();
    assert_eq!(most.problems(), [] as [String; 0]);
    refused(
        &chain(3),
        &["'n_y2' (GRU)", "192 steps", "128 is the most", "one step"],
    );
}
