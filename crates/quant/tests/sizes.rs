//! Sizes of the input that a file leaves open.

#[path = "support/onnx.rs"]
mod onnx;

use fixpoint_quant::{FloatModel, Reading, ValueInfo};
use onnx::Net;
use tract_onnx::pb;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;

/// Calls open dimensions of an input by these words.
fn name(net: &mut Net, input: usize, words: &[&str]) {
    let Some(pb::type_proto::Value::TensorType(tensor)) =
        &mut net.graph().input[input].r#type.as_mut().unwrap().value
    else {
        unreachable!()
    };
    let dims = &mut tensor.shape.as_mut().unwrap().dim;
    for (dim, word) in dims.iter_mut().zip(words) {
        if let Some(Dim::DimParam(old)) = &mut dim.value {
            *old = (*word).to_owned();
        }
    }
}

fn relu(input: &[i64]) -> Net {
    Net::new(input).node("Relu", &["x"], "y", &[]).output("y")
}

/// Two inputs with sizes of one name, and one without a name.
fn open() -> Net {
    let mut net = Net::new(&[-1, 2, -1, 6])
        .input("z", &[1, 2, -1, -1])
        .node("Shape", &["x"], "s", &[])
        .node("Expand", &["x", "s"], "e", &[])
        .node("Relu", &["e"], "y", &[])
        .node("Relu", &["z"], "u", &[])
        .output("y")
        .output("u");
    name(&mut net, 0, &["batch", "", "rows", ""]);
    name(&mut net, 1, &["", "", "rows", ""]);
    net
}

fn with_sizes(net: &Net, sizes: &[(&str, usize)]) -> FloatModel {
    let reading = Reading {
        sizes: sizes
            .iter()
            .map(|(n, size)| ((*n).to_owned(), *size))
            .collect(),
        ..Reading::default()
    };
    FloatModel::from_onnx_as(&net.encode(), &reading).unwrap()
}

#[test]
fn open_sizes_are_asked_for() {
    let problems = with_sizes(&open(), &[]).problems().to_vec();
    assert_eq!(problems.len(), 1, "{problems:?}");
    for words in [
        "'rows' (dimension 2 of the input 'x'), 'z[3]' (dimension 3 of the input 'z')",
        "--size rows=N --size z[3]=N",
    ] {
        assert!(problems[0].contains(words), "{problems:?}");
    }
    // A word that others have for the batch.
    let said = with_sizes(&relu(&[1, 3, -1]), &[]).problems().join("\n");
    assert!(
        said.contains("'N' (dimension 2 of the input 'x')"),
        "{said}"
    );
    let seen = with_sizes(&open(), &[("rows", 5)]);
    assert_eq!(seen.problems().len(), 1);
    let open: Vec<_> = (seen.inspect().open.into_iter())
        .map(|o| (o.name, o.size))
        .collect();
    assert_eq!(
        open,
        [("rows".to_owned(), Some(5)), ("z[3]".to_owned(), None)]
    );
}

#[test]
fn sizes_that_are_given_are_used() {
    let model = with_sizes(&open(), &[("rows", 5), ("z[3]", 3)]);
    assert_eq!(model.problems(), [] as [String; 0]);
    let dims = |values: &[ValueInfo]| -> Vec<_> {
        values
            .iter()
            .map(|value| value.dims.clone().unwrap())
            .collect()
    };
    let seen = model.inspect();
    assert_eq!(dims(&seen.inputs), [[1, 2, 5, 6], [1, 2, 5, 3]]);
    assert_eq!(dims(&seen.outputs), [[1, 2, 5, 6], [1, 2, 5, 3]]);
    // A batch is 1 wherever it is, and said to be.
    let mut state = relu(&[1, -1, 3]);
    name(&mut state, 0, &["", "batch_size", ""]);
    let model = with_sizes(&state, &[]);
    assert_eq!(model.problems(), [] as [String; 0]);
    assert_eq!(model.inspect().open[0].size, Some(1));
    // It may be said too.
    let model = with_sizes(&open(), &[("rows", 5), ("z[3]", 3), ("batch", 1)]);
    assert_eq!(model.problems(), [] as [String; 0]);
}

#[test]
fn sizes_that_do_not_fit_the_file_are_explained() {
    let found = |sizes: &[(&str, usize)]| with_sizes(&open(), sizes).problems().join("\n");
    let said = found(&[("rows", 5), ("z[3]", 3), ("columns", 3)]);
    assert!(
        said.contains("'columns'") && said.contains("'rows', 'z[3]', 'batch'"),
        "{said}"
    );
    let said = found(&[("rows", 0), ("z[3]", 3)]);
    assert!(
        said.contains("'rows' was given as 0; it must be 1 to 1048576"),
        "{said}"
    );
    assert!(!said.contains("open"), "{said}");
    let said = with_sizes(&relu(&[2_000_000, 2]), &[])
        .problems()
        .join("\n");
    assert!(
        said.contains("Dimension 0 of the input 'x' is 2000000"),
        "{said}"
    );
    let said = with_sizes(&relu(&[-1, 2]), &[("rows", 2)])
        .problems()
        .join("\n");
    assert!(said.contains("the file leaves open 'N'"), "{said}");
}
