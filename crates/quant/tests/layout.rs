//! Integers follow the float model whatever the layout: int16 keeps every output close, so that a
//! permuted channel or column can't hide.

#[path = "support/onnx.rs"]
mod onnx;
mod support;

use fixpoint_quant::{
    Bits, FloatModel, Granularity, Options, Quantized, Samples, SavedTable, Simulator, Table,
    quantize,
};
use onnx::{Net, Random, Value};

/// Quantizes on random samples and compares with the float engine; gives the last result.
fn close(net: &Net, dims: &[usize], moves: usize) -> Quantized {
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    assert_eq!(model.problems(), [] as [String; 0]);
    let elements = dims.iter().product();
    let data = Random(5).many(8 * elements);
    let samples = Samples::single(&data, elements).unwrap();
    let mut last = None;
    for (bits, granularity, least_db) in [
        (Bits::I16, Granularity::PerTensor, 60.0),
        (Bits::I16, Granularity::PerChannel, 60.0),
        (Bits::I8, Granularity::PerTensor, 16.0),
        (Bits::I8, Granularity::PerChannel, 16.0),
    ] {
        let options = Options {
            bits,
            granularity,
            ..Options::default()
        };
        let q = quantize(&model, &samples, &options, &mut |_| ()).unwrap();
        let mut simulator = Simulator::new(&q.image).unwrap();
        let (mut signal, mut noise) = (0.0f64, 0.0f64);
        for i in 0..samples.len() {
            let x = samples.get(i);
            let want = net.run(dims, x[0]);
            let got = simulator.run(&x).unwrap();
            assert_eq!(got.len(), want.len());
            for (g, w) in got.iter().zip(&want) {
                assert_eq!(g.data.len(), w.len());
                for (a, b) in g.data.iter().zip(w) {
                    signal += f64::from(b * b);
                    noise += f64::from((a - b) * (a - b));
                }
            }
        }
        assert!(
            signal > noise * libm::pow(10.0, least_db / 10.0),
            "{bits:?} {granularity:?}: {:.1} dB",
            10.0 * libm::log10(signal / noise)
        );
        let moved = q.report.layers.iter().filter(|l| l.inserted).count();
        assert_eq!(moved, moves, "{:?}", q.report.layers);
        last = Some(q);
    }
    last.unwrap()
}

fn perm(p: [i64; 4]) -> (&'static str, Value) {
    ("perm", Value::Ints(p.to_vec()))
}

fn pool(k: i64) -> Vec<(&'static str, Value)> {
    vec![
        ("kernel_shape", Value::Ints(vec![k, k])),
        ("strides", Value::Ints(vec![k, k])),
    ]
}

#[test]
fn flatten_of_channels_first_into_gemm_reorders_columns() {
    let net = Net::new(&[-1, 3, 8, 6])
        .random_weights("w", &[20, 3, 3, 3], 0.3)
        .random_weights("b", &[20], 0.3)
        .random_weights("v", &[240, 7], 0.1)
        .node(
            "Conv",
            &["x", "w", "b"],
            "c",
            &[("pads", Value::Ints(vec![1, 1, 1, 1]))],
        )
        .node("Relu", &["c"], "r", &[])
        .node("MaxPool", &["r"], "p", &pool(2))
        .node("Flatten", &["p"], "f", &[])
        .node("Gemm", &["f", "v"], "y", &[])
        .output("y");
    close(&net, &[1, 3, 8, 6], 0);
}

#[test]
fn flattened_output_is_put_in_order() {
    let net = Net::new(&[1, 3, 5, 4])
        .random_weights("w", &[5, 3, 2, 2], 0.3)
        .node("Conv", &["x", "w"], "c", &[])
        .node("Flatten", &["c"], "y", &[])
        .output("y");
    close(&net, &[1, 3, 5, 4], 1);
}

#[test]
fn channels_last_models_move_nothing() {
    let net = Net::new(&[-1, 6, 5, 3])
        .random_weights("w", &[4, 3, 3, 3], 0.3)
        .random_weights("d", &[4, 1, 3, 3], 0.4)
        .ints("s", &[-1, 8])
        .random_weights("v", &[8, 5], 0.4)
        .node("Transpose", &["x"], "t", &[perm([0, 3, 1, 2])])
        .node(
            "Conv",
            &["t", "w"],
            "c",
            &[("auto_pad", Value::Str("SAME_UPPER"))],
        )
        .node("Relu", &["c"], "r", &[])
        .node(
            "Conv",
            &["r", "d"],
            "e",
            &[
                ("group", Value::Int(4)),
                ("strides", Value::Ints(vec![2, 2])),
            ],
        )
        .node("Transpose", &["e"], "u", &[perm([0, 2, 3, 1])])
        .node("Reshape", &["u", "s"], "f", &[])
        .node("MatMul", &["f", "v"], "y", &[])
        .output("y");
    let q = close_with_reshape(&net);
    assert!(q.report.layers.iter().all(|l| !l.inserted));
}

/// (6, 5) with stride 2 and no padding gives (2, 2) of 4 channels: 16 values.
fn close_with_reshape(net: &Net) -> Quantized {
    // The reshape target above is for half of them; rebuild it with the right size.
    let mut model = net.model.clone();
    let graph = model.graph.as_mut().unwrap();
    let shape = graph
        .initializer
        .iter_mut()
        .find(|t| t.name == "s")
        .unwrap();
    shape.int64_data = vec![-1, 16];
    graph.initializer.retain(|t| t.name != "v");
    let net = Net {
        model,
        random: Random(9),
    }
    .random_weights("v", &[16, 5], 0.4);
    close(&net, &[1, 6, 5, 3], 0)
}

#[test]
fn transposes_that_must_move_do() {
    let net = Net::new(&[1, 4, 6])
        .ints("s", &[1, 2, 4, 3])
        .node(
            "Transpose",
            &["x"],
            "t",
            &[("perm", Value::Ints(vec![0, 2, 1]))],
        )
        .node("Reshape", &["t", "s"], "r", &[])
        .node("Transpose", &["r"], "y", &[perm([0, 3, 1, 2])])
        .output("y");
    close(&net, &[1, 4, 6], 0);
}

#[test]
fn residual_blocks_pools_and_softmax() {
    let net = Net::new(&[1, 3, 8, 8])
        .random_weights("w", &[6, 3, 3, 3], 0.3)
        .random_weights("v", &[6, 6, 3, 3], 0.2)
        .random_weights("u", &[6, 4], 3.0)
        .node(
            "Conv",
            &["x", "w"],
            "a",
            &[("pads", Value::Ints(vec![1, 1, 1, 1]))],
        )
        .node("Relu", &["a"], "ar", &[])
        .node(
            "Conv",
            &["ar", "v"],
            "b",
            &[("pads", Value::Ints(vec![1, 1, 1, 1]))],
        )
        .node("Add", &["ar", "b"], "s", &[])
        .node("Relu", &["s"], "sr", &[])
        .node("AveragePool", &["sr"], "p", &pool(2))
        .node("GlobalAveragePool", &["p"], "g", &[])
        .node("Flatten", &["g"], "f", &[])
        .node("Gemm", &["f", "u"], "l", &[])
        .node("Softmax", &["l"], "y", &[("axis", Value::Int(-1))])
        .output("y");
    close(&net, &[1, 3, 8, 8], 0);
}

#[test]
fn one_dimensional_convolutions() {
    let net = Net::new(&[1, 4, 12])
        .random_weights("w", &[6, 4, 3], 0.4)
        .random_weights("d", &[6, 1, 3], 0.5)
        .node(
            "Conv",
            &["x", "w"],
            "c",
            &[("pads", Value::Ints(vec![2, 0]))],
        )
        .node("Relu", &["c"], "r", &[])
        .node(
            "Conv",
            &["r", "d"],
            "y",
            &[
                ("group", Value::Int(6)),
                ("dilations", Value::Ints(vec![2])),
                ("pads", Value::Ints(vec![4, 0])),
            ],
        )
        .output("y");
    close(&net, &[1, 4, 12], 0);
}

/// A transposed convolution with a ReLU, `stride` 2, of `size` x `size` pixels; quantized in int8.
fn transposed(channels: [i64; 2], size: usize) -> Quantized {
    let [from, to] = channels;
    let net = Net::new(&[1, from, size as i64, size as i64])
        .random_weights("w", &[from, to, 3, 3], 0.3)
        .random_weights("b", &[to], 0.3)
        .node(
            "ConvTranspose",
            &["x", "w", "b"],
            "t",
            &[
                ("strides", Value::Ints(vec![2, 2])),
                ("pads", Value::Ints(vec![1; 4])),
                ("output_padding", Value::Ints(vec![1, 1])),
            ],
        )
        .node("Relu", &["t"], "y", &[])
        .output("y");
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    let elements = from as usize * size * size;
    let data = Random(5).many(elements);
    let samples = Samples::single(&data, elements).unwrap();
    quantize(&model, &samples, &Options::default(), &mut |_| ()).unwrap()
}

#[test]
fn a_transposed_convolution_is_an_ordinary_one_whose_pixels_take_their_places() {
    let q = transposed([5, 3], 7);
    let [phases, pixels] = &q.report.layers[..] else {
        panic!("{:?}", q.report.layers);
    };
    assert_eq!((&phases.op[..], phases.inserted), ("ConvTranspose", false));
    assert_eq!(phases.activation.as_deref(), Some("Relu"));
    assert_eq!((&phases.output_dims[..]), [1, 12, 7, 7]);
    // Without the zeros of phases that have fewer taps.
    assert_eq!(phases.weight_exponents.len(), 3);
    assert_eq!(phases.weight_bytes, 5 * 3 * 9 + 3 * 4);
    assert_eq!((&pixels.op[..], pixels.inserted), ("DepthToSpace", true));
    assert_eq!((&pixels.output_dims[..]), [1, 3, 14, 14]);
    assert_eq!(pixels.macs, 0);
    // Each element of the one is an element of the other.
    assert!(phases.sqnr_db.is_some_and(|db| db > 20.0));
    assert_eq!(phases.sqnr_db, pixels.sqnr_db);
    assert_eq!(phases.saturation, pixels.saturation);
    let image = Simulator::new(&q.image).unwrap().layers().unwrap();
    let operators: Vec<&str> = image.iter().map(|l| l.operator.as_str()).collect();
    assert_eq!(operators, ["Conv2D", "Rearrange"]);
}

/// The output and what it is made of are 640 KB, the output and the input 360.
#[test]
fn a_transposed_convolution_that_needs_the_memory_stays_one() {
    let q = transposed([4, 8], 100);
    let layers: Vec<&str> = q.report.layers.iter().map(|l| l.op.as_str()).collect();
    assert_eq!(layers, ["ConvTranspose"]);
    assert_eq!(q.report.arena_bytes, 360_000);
    assert!(q.report.layers[0].sqnr_db.is_some_and(|db| db > 20.0));
}

/// Tensors of a model may be called as those that the plan adds are.
#[test]
fn names_that_the_plan_would_take_stay_the_models() {
    let stride = [("strides", Value::Ints(vec![2, 2]))];
    let net = Net::new(&[1, 4, 6, 6])
        .random_weights("a", &[16, 4, 1, 1], 0.5)
        .random_weights("w", &[4, 4, 2, 2], 0.5)
        .random_weights("b", &[4, 16, 1, 1], 0.3)
        .node("Conv", &["x", "a"], "y/phases", &[])
        .node("ConvTranspose", &["x", "w"], "y", &stride)
        .node("Conv", &["y/phases", "b"], "z", &[])
        .output("y")
        .output("z");
    close(&net, &[1, 4, 6, 6], 1);
}

#[test]
fn names_that_reordered_copies_would_take_stay_the_models() {
    // The matrix product wants 'c' as the model has it, the second convolution wants 'm' channels last.
    let net = Net::new(&[1, 3, 5, 4])
        .random_weights("a", &[3, 3, 1, 1], 0.5)
        .random_weights("b", &[3, 3, 1, 1], 0.5)
        .random_weights("v", &[4, 4], 0.5)
        .node("Conv", &["x", "a"], "c", &[])
        .node("Conv", &["x", "b"], "c/as_onnx", &[])
        .node("Conv", &["x", "b"], "m/channels_last", &[])
        .node("MatMul", &["c", "v"], "m", &[])
        .node("Conv", &["m", "a"], "y", &[])
        .node("Add", &["c/as_onnx", "m/channels_last"], "s", &[])
        .output("y")
        .output("s");
    close(&net, &[1, 3, 5, 4], 4);
}

/// The second output and what it is made of are 512 KB, the first 128.
#[test]
fn only_the_transposed_convolution_that_needs_the_memory_stays_one() {
    let stride = [("strides", Value::Ints(vec![2, 2]))];
    let net = Net::new(&[1, 4, 64, 64])
        .random_weights("v", &[4, 4, 2, 2], 0.5)
        .random_weights("w", &[4, 4, 2, 2], 0.5)
        .node("ConvTranspose", &["x", "v"], "t", &stride)
        .node("ConvTranspose", &["t", "w"], "y", &stride)
        .output("y");
    let layers = whose_operators(&net, 4 * 64 * 64);
    assert_eq!(layers, ["Conv2D", "Rearrange", "ConvTranspose2D"]);
}

/// The second one has 16,384 phases of 65,536 elements, of which its pads leave 64: no image holds a tensor of 2^30. A
/// table tells the exponents, as tract would make that tensor.
#[test]
fn a_transposed_convolution_that_no_image_holds_as_an_ordinary_one_stays_one() {
    let strides = |stride| ("strides", Value::Ints(vec![stride; 2]));
    let pads = ("pads", Value::Ints(vec![16_384, 16_384, 16_376, 16_376]));
    let net = Net::new(&[1, 1, 128, 128])
        .random_weights("v", &[1, 1, 2, 2], 0.5)
        .random_weights("w", &[1, 1, 128, 128], 0.5)
        .node("ConvTranspose", &["x", "v"], "t", &[strides(2)])
        .node("ConvTranspose", &["t", "w"], "y", &[strides(128), pads])
        .output("y");
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    let exponents = ["x", "v", "t", "w", "y"].map(|name| (name.to_owned(), vec![-7]));
    let saved = SavedTable::Exponents(exponents.into());
    let table = Table::from_saved(saved, &model, Some(Bits::I8)).unwrap();
    let model = model.with_table(&table).unwrap();
    let operators = operators(&model, &Samples::none());
    assert_eq!(operators, ["Conv2D", "Rearrange", "ConvTranspose2D"]);
}

/// The operators of the int8 image of a model with inputs of so many elements.
fn whose_operators(net: &Net, elements: usize) -> Vec<String> {
    let model = FloatModel::from_onnx(&net.encode()).unwrap();
    let data = Random(5).many(elements);
    operators(&model, &Samples::single(&data, elements).unwrap())
}

fn operators(model: &FloatModel, samples: &Samples<'_>) -> Vec<String> {
    let q = quantize(model, samples, &Options::default(), &mut |_| ()).unwrap();
    let image = Simulator::new(&q.image).unwrap().layers().unwrap();
    image.into_iter().map(|l| l.operator).collect()
}

/// Three layers whose tensors are all of one size need two of them at a time, the input among them.
#[test]
fn the_memory_of_the_input_is_used_again() {
    let net = Net::new(&[1, 16, 20, 20])
        .random_weights("a", &[16, 16, 1, 1], 0.3)
        .random_weights("b", &[16, 16, 1, 1], 0.3)
        .random_weights("c", &[16, 16, 1, 1], 0.3)
        .node("Conv", &["x", "a"], "first", &[])
        .node("Conv", &["first", "b"], "second", &[])
        .node("Conv", &["second", "c"], "y", &[])
        .output("y");
    let q = close(&net, &[1, 16, 20, 20], 0);
    assert_eq!(q.report.arena_bytes, 2 * 16 * 20 * 20);
}
