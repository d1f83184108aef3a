//! Models that were exported with a batch of several samples.

use tract_onnx::pb;
use tract_onnx::pb::tensor_shape_proto::dimension::Value;

use crate::graph::{Data, Graph};
use crate::inspect::PassInfo;

/// A size that the file gives to the first dimension of all its inputs and outputs.
pub(crate) struct Batch {
    size: usize,
    /// The outputs' other dimensions, None where they are open.
    outputs: Vec<Vec<Option<usize>>>,
}

/// Dims of a declared tensor, None where they are open.
fn declared(info: &pb::ValueInfoProto) -> Option<Vec<Option<usize>>> {
    let pb::type_proto::Value::TensorType(tensor) = info.r#type.as_ref()?.value.as_ref()?;
    let dims = tensor.shape.as_ref()?.dim.iter().map(|d| match d.value {
        Some(Value::DimValue(v)) => usize::try_from(v).ok(),
        _ => None,
    });
    Some(dims.collect())
}

/// The batch of a file, if it has a fixed one of more than 1.
pub(crate) fn fixed(model: &pb::ModelProto) -> Option<Batch> {
    let graph = model.graph.as_ref()?;
    let stored = |name: &str| graph.initializer.iter().any(|t| t.name == name);
    let inputs = graph.input.iter().filter(|i| !stored(&i.name));
    let mut size = None;
    let mut outputs = Vec::new();
    let all = inputs.map(|i| (i, false));
    for (info, output) in all.chain(graph.output.iter().map(|o| (o, true))) {
        let dims = declared(info)?;
        let (first, rest) = dims.split_first()?;
        let first = (*first)?;
        if *size.get_or_insert(first) != first || first < 2 {
            return None;
        }
        if output {
            outputs.push(rest.to_vec());
        }
    }
    Some(Batch {
        size: size?,
        outputs,
    })
}

impl Batch {
    /// One sample in place of the batch, also where a Reshape names it.
    pub(crate) fn taken_singly(&self, graph: &mut Graph) {
        for name in &graph.inputs {
            if let Some(first) = graph.shapes.get_mut(name).and_then(|d| d.first_mut()) {
                *first = 1;
            }
        }
        for node in graph.nodes.iter().filter(|n| n.op == "Reshape") {
            let shape = node.input(1).and_then(|n| graph.constants.get_mut(n));
            if let Some(Data::Int(shape)) = shape.map(|c| &mut c.data)
                && let Some(first) = shape.first_mut()
                && usize::try_from(*first) == Ok(self.size)
            {
                *first = 1;
            }
        }
    }

    /// Whether the outputs are one sample of what the file says of them.
    pub(crate) fn is_as_declared(&self, graph: &Graph) -> bool {
        graph.outputs.len() == self.outputs.len()
            && (graph.outputs.iter().zip(&self.outputs)).all(|(name, rest)| {
                let dims = graph.shape(name).and_then(|d| d.split_first());
                dims.is_some_and(|(first, dims)| {
                    *first == 1
                        && dims.len() == rest.len()
                        && (dims.iter().zip(rest)).all(|(d, r)| r.is_none_or(|r| r == *d))
                })
            })
    }

    pub(crate) fn pass(&self, nodes: usize) -> PassInfo {
        PassInfo {
            name: "take_samples_singly".into(),
            description: "A batch that the file fixes is taken one sample at a time.".into(),
            changes: vec![format!("the batch of {} became 1", self.size)],
            nodes_before: nodes,
            nodes_after: nodes,
        }
    }
}
