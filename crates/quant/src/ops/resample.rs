//! Resize where an output element is made of more than two input elements of an axis, or of how many
//! depends on the scale: as a matrix for each axis.
//!
//! Source: the ONNX operator's text for opset 19.

use super::resize::{Axis, targets};
use super::window::image_input;
use crate::graph::{Graph, Node};

/// What an axis is multiplied with: `[input][output]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Matrix {
    pub(crate) input: usize,
    pub(crate) output: usize,
    pub(crate) weights: Vec<f32>,
}

/// What a neighbour weighs by its distance.
#[derive(Clone, Copy)]
enum Kernel {
    Linear,
    /// Keys' kernel with this coefficient.
    Cubic(f64),
}

impl Kernel {
    /// Neighbours on each side.
    fn reach(self) -> f64 {
        match self {
            Kernel::Linear => 1.0,
            Kernel::Cubic(_) => 2.0,
        }
    }

    fn at(self, distance: f64) -> f64 {
        let x = distance.abs();
        match self {
            Kernel::Linear => (1.0 - x).max(0.0),
            Kernel::Cubic(a) if x <= 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
            Kernel::Cubic(a) if x < 2.0 => a * (((x - 5.0) * x + 8.0) * x - 4.0),
            Kernel::Cubic(_) => 0.0,
        }
    }
}

/// Matrices for rows and columns of an image, None for those that stay; None as a whole if [`super::resize`]
/// knows the Resize as it is, or nobody does.
pub(crate) fn matrices(graph: &Graph, node: &Node) -> Option<[Option<Matrix>; 2]> {
    let [_, height, width] = image_input(graph, node).ok()?;
    let dims = graph.shape(node.input(0)?)?.to_vec();
    let targets = targets(graph, node, &dims).ok()?;
    let out: Vec<usize> = targets.iter().map(|(size, _)| *size).collect();
    let shrinks = out.iter().zip(&dims).any(|(a, b)| a < b);
    let antialias = node.int("antialias", 0) != 0 && shrinks;
    let aspect = node.str("keep_aspect_ratio_policy", "stretch") != "stretch";
    let kernel = match node.str("mode", "nearest").as_str() {
        "cubic" => Kernel::Cubic(f64::from(node.float("cubic_coeff_a", -0.75))),
        "linear" | "bilinear" if antialias || aspect => Kernel::Linear,
        _ => return None,
    };
    if out[..2] != dims[..2] || !super::fits(&out) {
        return None;
    }
    let transformation = match graph.opset {
        ..11 => "asymmetric",
        _ => "half_pixel",
    };
    let transformation = node.str("coordinate_transformation_mode", transformation);
    let excludes = node.int("exclude_outside", 0) != 0;
    let matrix = |input: usize, (output, scale): (usize, f64)| -> Option<Option<Matrix>> {
        if input == output && scale == 1.0 {
            return Some(None);
        }
        let axis = Axis {
            input,
            output,
            scale,
        };
        let stretch = if antialias { scale.min(1.0) } else { 1.0 };
        let mut weights = vec![0.0f64; input * output];
        for to in 0..output {
            let x = axis.place(to, &transformation)?;
            // An element that is met exactly is the one to the right of what lies between.
            let base = x.ceil() - 1.0;
            let first = (-kernel.reach() / stretch).floor() + 1.0;
            let mut column = vec![0.0; input];
            for k in first as i64..=1 - first as i64 {
                let from = base as i64 + k;
                let inside = (0..input as i64).contains(&from);
                if inside || !excludes {
                    let distance = base + k as f64 - x;
                    let at = from.clamp(0, input as i64 - 1) as usize;
                    column[at] += kernel.at(distance * stretch);
                }
            }
            let total: f64 = column.iter().sum();
            for (from, weight) in column.iter().enumerate() {
                weights[from * output + to] = weight / total;
            }
        }
        (weights.iter().all(|w| w.is_finite())).then(|| {
            Some(Matrix {
                input,
                output,
                weights: weights.iter().map(|w| *w as f32).collect(),
            })
        })
    };
    let rows = match dims.len() {
        4 => matrix(height, targets[2])?,
        _ => None,
    };
    let columns = matrix(width, targets[dims.len() - 1])?;
    Some([rows, columns])
}
