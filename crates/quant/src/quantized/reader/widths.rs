//! Files whose tensors are of two widths, and files whose weights alone are integers.
//!
//! An image has activations of one width. int8 among int16 are the same integers in 16 bits, as long as
//! nothing leaves the range of 8: so each of them is clamped to it where it is made.

use crate::graph::{Attr, Constant, Node};
use crate::options::Bits;

use super::{Reader, named};

impl Reader<'_> {
    /// The width of the whole model: the wider of its activations', or that of its weights where
    /// activations have none.
    pub(super) fn settle_widths(&mut self) {
        if self.anew || !self.others.is_empty() {
            return;
        }
        let wide = self.widths.values().any(|bits| *bits == Bits::I16);
        let narrow: Vec<String> = (self.widths.iter())
            .filter(|(_, bits)| wide && **bits == Bits::I8)
            .map(|(name, _)| name.clone())
            .collect();
        for name in &narrow {
            self.narrow(name);
        }
        self.mixed = !narrow.is_empty();
        self.given.bits = match (self.widths.is_empty(), wide) {
            (true, _) => self.weights,
            (false, true) => Some(Bits::I16),
            (false, false) => Some(Bits::I8),
        };
    }

    /// Keeps a tensor within the range of int8.
    fn narrow(&mut self, name: &str) {
        let Some(&e) = self.given.activations.get(name) else {
            return;
        };
        let open = self.graph.fresh_name(&format!("{name}/int16"));
        let (input, output, at) = match self.graph.producer_of(name) {
            Some(i) => {
                for written in &mut self.graph.nodes[i].outputs {
                    if written == name {
                        *written = open.clone();
                    }
                }
                (open.clone(), name.to_owned(), i + 1)
            }
            // One of the model's inputs.
            None => {
                self.graph.rewire(name, &open);
                (name.to_owned(), open.clone(), 0)
            }
        };
        let mut clip = Node {
            name: self.graph.fresh_name(&format!("{name}/int8")),
            op: "Clip".into(),
            inputs: vec![input],
            outputs: vec![output],
            attrs: Default::default(),
        };
        for (limit, value) in [("min", -128.0), ("max", 127.0)] {
            let value = libm::ldexpf(value, e);
            if self.graph.opset < 11 {
                clip.attrs.insert(limit.into(), Attr::Float(value));
                continue;
            }
            let stored = self.graph.fresh_name(&format!("{name}/{limit}"));
            self.graph
                .add_constant(&stored, Constant::float(vec![], vec![value]));
            clip.inputs.push(stored);
        }
        self.found.changes.push(format!(
            "'{}' keeps '{name}' in the range of int8",
            named(&clip)
        ));
        self.graph.nodes.insert(at, clip);
        self.given.activations.insert(open, e);
    }
}
