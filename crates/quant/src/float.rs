//! The float reference: the graph as tract runs it, with every intermediate tensor if wanted.
//! tract computes floats only; no integer of the image depends on it except through the ranges.

mod proto;

use std::fmt;
use std::sync::Arc;

use tract_onnx::prelude::{
    Framework, InferenceModelExt, IntoRunnable, TValue, Tensor, TypedModel, TypedRunnableModel,
    tvec,
};

use crate::error::QuantError;
use crate::graph::Graph;

/// Dims and elements of one tensor.
pub(crate) type Values = (Vec<usize>, Vec<f32>);

/// A model ready to run in float.
#[derive(Clone)]
pub(crate) struct Reference {
    plan: Arc<TypedRunnableModel>,
    inputs: Vec<(String, Vec<usize>)>,
    outputs: Vec<String>,
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reference")
            .field("outputs", &self.outputs)
            .finish()
    }
}

fn float_error(e: impl fmt::Display) -> QuantError {
    QuantError::Float(e.to_string())
}

impl Reference {
    /// Prepares `graph` with the tensors `outputs` as outputs, in that order.
    pub(crate) fn new(graph: &Graph, outputs: &[String]) -> Result<Reference, QuantError> {
        let proto = proto::model(graph, outputs);
        let inputs = (graph.inputs.iter())
            .map(|name| {
                let dims = graph.shape(name).ok_or_else(|| {
                    QuantError::Float(format!("the shape of the input '{name}' is not known"))
                })?;
                Ok((name.clone(), dims.to_vec()))
            })
            .collect::<Result<Vec<_>, QuantError>>()?;
        let read = || tract_onnx::onnx().model_for_proto_model(&proto);
        // tract's optimizer may fail, or leave a node behind that can't run: of two layers without anything
        // in between whose results are both wanted. The model as it is runs.
        let optimized = read().and_then(|m| m.into_optimized());
        let runs = |m: &TypedModel| m.nodes().iter().all(|n| n.op.name() != "Dummy");
        let plan = (optimized.ok().filter(runs))
            .map_or_else(|| read()?.into_typed(), Ok)
            .and_then(|m| m.into_runnable())
            .map_err(|e| QuantError::Float(format!("{e:#}")))?;
        Ok(Reference {
            plan,
            inputs,
            outputs: outputs.to_vec(),
        })
    }

    pub(crate) fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// Runs one sample; gives the dims and values of every output.
    pub(crate) fn run(&self, inputs: &[&[f32]]) -> Result<Vec<Values>, QuantError> {
        if inputs.len() != self.inputs.len() {
            return Err(QuantError::Samples(format!(
                "The model has {} inputs, the samples have {}.",
                self.inputs.len(),
                inputs.len()
            )));
        }
        let mut values = tvec!();
        for (data, (name, dims)) in inputs.iter().zip(&self.inputs) {
            let want: usize = dims.iter().product();
            if data.len() != want {
                return Err(QuantError::Samples(format!(
                    "The input '{name}' has {want} elements {dims:?}, the sample has {}. Check \
                     the size, channels and layout of the samples.",
                    data.len()
                )));
            }
            if data.iter().any(|v| !v.is_finite()) {
                return Err(QuantError::Samples(format!(
                    "A sample for the input '{name}' holds a value that is not a finite number. \
                     Check the normalisation."
                )));
            }
            let tensor = Tensor::from_shape(dims, data).map_err(float_error)?;
            values.push(TValue::from(tensor));
        }
        let results = self
            .plan
            .run(values)
            .map_err(|e| QuantError::Float(format!("{e:#}")))?;
        results
            .iter()
            .map(|t| {
                let tensor = t.cast_to::<f32>().map_err(float_error)?;
                let view = tensor.to_plain_array_view::<f32>().map_err(float_error)?;
                Ok((tensor.shape().to_vec(), view.iter().copied().collect()))
            })
            .collect()
    }
}
