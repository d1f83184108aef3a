//! What is aimed at: instructions per multiply-accumulate of a whole layer, by what it is. Many are what the vector
//! unit must do for it beside the products, so that layers with few of these have none.

use fixpoint_runtime::{Element, Layer, Model, OpKind};

/// Fewest products of an output for which a convolution has a goal.
const LEAST_PRODUCTS: u64 = 64;
/// Taps of a depthwise convolution that has one.
const TAPS: u64 = 9;
/// Multiply-accumulates below which a layer is small: two cores don't share it, and what it takes once, for its
/// record and for each block of channels, is as much as its products.
const SMALL: u64 = fixpoint_vector::LEAST;

/// The goal of a layer, if it has one.
pub(crate) fn goal(model: &Model<'_>, layer: &Layer<'_>) -> Option<f64> {
    let input = model.tensor(layer.input)?;
    let output = model.tensor(layer.output)?;
    let elements: u64 = output.dims().iter().map(|dim| u64::from(*dim)).product();
    let products = layer.macs / elements.max(1);
    match (layer.kind, output.element) {
        (OpKind::DepthwiseConv2d, Element::I8) => (products == TAPS).then_some(0.30),
        (OpKind::Conv2d, _) if products < LEAST_PRODUCTS => None,
        (OpKind::Conv2d, Element::I16) => Some(0.22),
        (OpKind::Conv2d, Element::I8) => {
            let channels = [input.dims().get(1)?, output.dims().get(1)?];
            let aligned = channels.iter().all(|channels| channels.is_multiple_of(16));
            Some(if aligned { 0.10 } else { 0.20 })
        }
        _ => None,
    }
}

/// How many layers have a goal, and which of them miss it.
#[derive(Debug, Default)]
pub(crate) struct Goals {
    met: usize,
    missed: Vec<String>,
    /// Small layers that miss theirs.
    small: Vec<String>,
}

impl Goals {
    /// Notes the instructions of a layer of so many multiply-accumulates.
    pub(crate) fn note(&mut self, name: &str, goal: f64, instructions: u64, macs: u64) {
        let each = instructions as f64 / macs as f64;
        if each <= goal {
            self.met += 1;
            return;
        }
        let missed = format!("{name} ({each:.3} of {goal:.2})");
        match macs < SMALL {
            true => self.small.push(missed),
            false => self.missed.push(missed),
        }
    }

    /// Some lines about all of them.
    pub(crate) fn summary(&self) -> String {
        let all = self.met + self.missed.len() + self.small.len();
        let those = |names: &[String]| match names {
            [] => "none".to_owned(),
            names => format!("{}: {}", names.len(), names.join(", ")),
        };
        format!(
            "goals: {all} layers have one, {} meet it\nmiss it: {}\nmiss it with fewer than {SMALL} multiply-accumulates: {}",
            self.met,
            those(&self.missed),
            those(&self.small),
        )
    }
}
