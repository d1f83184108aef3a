//! What a builder must hold before anything is made of it.

use super::{BuildError, ImageBuilder, Source, TensorId};
use fixpoint_runtime::format::MAX_RANK;

impl ImageBuilder {
    /// Tensors within the format's limits, ops that read what is there before them, outputs that there are.
    pub(super) fn check(&self) -> Result<(), BuildError> {
        for (def, source) in &self.tensors {
            let bad = |reason: &str| Err(BuildError::new(&def.name, reason));
            if def.dims.len() > MAX_RANK || def.dims.contains(&0) {
                return bad("a tensor has at most 6 dimensions, none of them 0");
            }
            if def.elements() > i32::MAX as u64 / 2 {
                return bad("the tensor is too large");
            }
            if i8::try_from(def.exponent).is_err() {
                return bad("the exponent is not between -128 and 127");
            }
            if let Source::Constant(values) = source {
                let (low, high) = def.element.range();
                if values.len() as u64 != def.elements()
                    || values
                        .iter()
                        .any(|v| !(low..=high).contains(&i32::from(*v)))
                {
                    return bad("the constant's values don't fit its shape or type");
                }
            }
        }
        let known = |id: &TensorId, limit: usize| id.0 < limit;
        for node in &self.nodes {
            if !node.inputs.iter().all(|id| known(id, node.output.0)) {
                return Err(BuildError::new(&node.name, "an input is not known yet"));
            }
        }
        if self
            .outputs
            .iter()
            .any(|id| !known(id, self.tensors.len()) || self.is_constant(*id))
        {
            return Err(BuildError::new(
                &self.name,
                "an output is unknown or constant",
            ));
        }
        if self.tensors.len() > usize::from(u16::MAX) || self.outputs.len() > usize::from(u16::MAX)
        {
            return Err(BuildError::new(&self.name, "there are too many tensors"));
        }
        Ok(())
    }
}
