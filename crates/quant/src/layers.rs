//! Layer by layer: what each gives in the simulator, and how far something else is from that.

use fixpoint_runtime::{Element, Model, Observer, Storage, run};

use crate::error::SimulateError;
use crate::image::Orders;
use crate::simulate::{Simulator, TensorInfo, integers};

/// A layer of an image, in the order of execution.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    pub name: String,
    /// What it does: `Conv2D`, `Add`...
    pub operator: String,
    /// Multiply-accumulates in one run.
    pub macs: u64,
    pub output: TensorInfo,
    /// Whether the output's bytes hold (H, W, C) for dims (1, C, H, W), or (L, C) for (1, C, L).
    pub channels_last: bool,
    /// For each place of a channel in memory, or of the innermost dimension, which one of the ONNX file's it is;
    /// `None` if they are in its order.
    pub order: Option<Vec<usize>>,
}

/// How far one tensor's integers are from another's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    pub elements: usize,
    /// Elements that differ.
    pub differing: usize,
    /// The largest distance, in units of the tensor's exponent.
    pub largest: i32,
}

impl Difference {
    /// Between two tensors of `bits` wide elements as they are stored; all of what only one of
    /// them has differs.
    pub fn between(bits: u32, one: &[u8], other: &[u8]) -> Self {
        let elements = one.len().max(other.len()) * 8 / bits as usize;
        let mut found = Self {
            elements,
            differing: one.len().abs_diff(other.len()) * 8 / bits as usize,
            largest: 0,
        };
        for (a, b) in integers(one, bits).zip(integers(other, bits)) {
            found.differing += usize::from(a != b);
            found.largest = found.largest.max((a - b).abs());
        }
        found
    }
}

/// Collects what layers give.
struct Outputs(Vec<Vec<u8>>);

impl Observer for Outputs {
    fn layer_done(&mut self, _index: usize, output: &[u8]) {
        self.0.push(output.to_vec());
    }
}

fn failed(what: impl std::fmt::Display) -> SimulateError {
    SimulateError::Run(what.to_string())
}

impl Simulator {
    /// The image's layers.
    pub fn layers(&self) -> Result<Vec<Layer>, SimulateError> {
        let model = Model::parse(self.image()).map_err(failed)?;
        let orders = Orders::of(self.image());
        let layers = model.layers().filter_map(|layer| {
            let output = model.tensor(layer.output)?;
            Some(Layer {
                name: layer.name.to_owned(),
                operator: layer.operator.to_owned(),
                macs: layer.macs,
                output: TensorInfo {
                    name: output.name.to_owned(),
                    dims: output.dims().iter().map(|dim| *dim as usize).collect(),
                    exponent: output.exponent.into(),
                    bits: match output.element {
                        Element::I8 => 8,
                        Element::I16 => 16,
                    },
                },
                channels_last: output.storage == Storage::ChannelsLast,
                order: orders.of_tensor(layer.output).cloned(),
            })
        });
        Ok(layers.collect())
    }

    /// Runs one sample given as the bytes that a board gets, and keeps every layer's output as a board
    /// stores it.
    pub fn layer_bytes(&mut self, inputs: &[&[u8]]) -> Result<Vec<Vec<u8>>, SimulateError> {
        let (image, arena) = self.parts();
        let model = Model::parse(image).map_err(failed)?;
        let want = model.inputs().len();
        if inputs.len() != want {
            let got = inputs.len();
            return Err(SimulateError::InputCount { want, got });
        }
        for (index, bytes) in inputs.iter().enumerate() {
            let place = model.input_mut(arena, index).unwrap_or_default();
            if place.len() != bytes.len() {
                let (want, got) = (place.len(), bytes.len());
                return Err(failed(format!(
                    "input {index} has {want} bytes, {got} came"
                )));
            }
            place.copy_from_slice(bytes);
        }
        let mut outputs = Outputs(Vec::new());
        run(&model, arena, &mut outputs).map_err(failed)?;
        Ok(outputs.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Difference;

    #[test]
    fn differences_are_counted_in_elements() {
        let same = Difference::between(8, &[1, 2, 255], &[1, 2, 255]);
        assert_eq!((same.elements, same.differing, same.largest), (3, 0, 0));
        // 127 against -128, and one element too many.
        let far = Difference::between(8, &[127, 5], &[128, 5, 9]);
        assert_eq!((far.elements, far.differing, far.largest), (3, 2, 255));
        let wide = Difference::between(16, &[0, 1, 0, 0], &[255, 0, 0, 0]);
        assert_eq!((wide.elements, wide.differing, wide.largest), (2, 1, 1));
    }
}
