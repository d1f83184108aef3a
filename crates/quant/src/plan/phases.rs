//! Transposed convolutions as ordinary ones, where the arithmetic is ours: the vector unit has no others.

use super::{Builder, Kind, Layer, Layout};
use crate::image::{Phases, Spread};
use crate::ops::Transposed;
use crate::options::Arithmetic;

impl Builder<'_> {
    /// Node `i`, with the activation inside it, as an ordinary convolution and what brings its elements to their
    /// places; false if it has to stay what it is. The input is channels last.
    pub(super) fn phases(
        &mut self,
        i: usize,
        activation: Option<usize>,
        transposed: &Transposed,
        input: usize,
        dims: &[usize],
    ) -> bool {
        if self.arithmetic != Arithmetic::Fixpoint {
            return false;
        }
        let from = self.dims(input).to_vec();
        let Some(phases) = phases(transposed, &from, dims) else {
            return false;
        };
        let source = self.source(i, activation);
        let [all, h, w] = phases.shape(dims[1]);
        let between = match dims.len() {
            3 => vec![1, all, w],
            _ => vec![1, all, h, w],
        };
        let joins = phases.rearrange(dims[1]).is_some();
        let name = match joins {
            true => self.made_up(&format!("{source}/phases")),
            false => source.to_owned(),
        };
        let kind = Kind::Phases(*transposed, phases.clone());
        let last = Layout::ChannelsLast;
        let apart = self.layer(i, activation, kind, vec![input], &name, between, last);
        if joins {
            let output = self.tensor(source, source, dims.to_vec(), last);
            self.plan.layers.push(Layer {
                name: format!("{}/pixels", self.graph.nodes[i].name),
                kind: Kind::Join(phases),
                node: None,
                activation: None,
                inputs: vec![apart],
                output,
            });
        }
        true
    }
}

/// From `(1, C, H, W)` or `(1, C, L)` to the output's dims.
fn phases(transposed: &Transposed, from: &[usize], to: &[usize]) -> Option<Phases> {
    let window = &transposed.window;
    let sizes = |dims: &[usize]| match *dims {
        [_, _, h, w] => Some([h, w]),
        [_, _, l] => Some([1, l]),
        _ => None,
    };
    let (from, to) = (sizes(from)?, sizes(to)?);
    let axis = |axis: usize| Spread {
        kernel: window.kernel[axis],
        stride: window.stride[axis],
        dilation: window.dilation[axis],
        pad: window.pads[axis],
        input: from[axis],
        output: to[axis],
    };
    Phases::new(&axis(0), &axis(1), transposed.groups)
}
