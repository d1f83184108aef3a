//! Resize: which input elements an output element is made of.

use super::{Op, Refusal, Resolved, refuse, window::image_input};
use crate::graph::{Graph, Node};

/// One axis: how output places are mapped to the input.
pub(super) struct Axis {
    pub(super) input: usize,
    pub(super) output: usize,
    pub(super) scale: f64,
}

impl Axis {
    pub(super) fn place(&self, at: usize, transformation: &str) -> Option<f64> {
        let (x, n, m) = (at as f64, self.input as f64, self.output as f64);
        // The output's size before it is made whole.
        let exact = self.scale * n;
        Some(match transformation {
            "asymmetric" => x / self.scale,
            "align_corners" if self.output == 1 => 0.0,
            "align_corners" => x * (n - 1.0) / (exact - 1.0),
            "half_pixel" => (x + 0.5) / self.scale - 0.5,
            // Of opset 11 only.
            "tf_half_pixel_for_nn" => (x + 0.5) / self.scale,
            "pytorch_half_pixel" if self.output == 1 => 0.0,
            "pytorch_half_pixel" => (x + 0.5) / self.scale - 0.5,
            "half_pixel_symmetric" => {
                // The centre of what is left of the output stays the input's centre.
                let adjustment = m / exact;
                let offset = n / 2.0 * (1.0 - adjustment);
                offset + (x + 0.5) / self.scale - 0.5
            }
            _ => return None,
        })
    }

    fn nearest(&self, transformation: &str, rounding: &str) -> Option<Vec<Option<usize>>> {
        (0..self.output)
            .map(|at| {
                let x = self.place(at, transformation)?;
                let rounded = match rounding {
                    "round_prefer_floor" => (x - 0.5).ceil(),
                    "round_prefer_ceil" => (x + 0.5).floor(),
                    "floor" => x.floor(),
                    "ceil" => x.ceil(),
                    _ => return None,
                };
                Some(Some(rounded.clamp(0.0, (self.input - 1) as f64) as usize))
            })
            .collect()
    }

    fn linear(&self, transformation: &str) -> Option<Vec<(usize, f64)>> {
        (0..self.output)
            .map(|at| {
                let x = self.place(at, transformation)?;
                let x = x.clamp(0.0, (self.input - 1) as f64);
                let first = (x.floor() as usize).min(self.input.saturating_sub(2));
                Some((first, x - first as f64))
            })
            .collect()
    }
}

/// Output sizes and scales by dimension.
pub(super) fn targets(
    graph: &Graph,
    node: &Node,
    dims: &[usize],
) -> Result<Vec<(usize, f64)>, Refusal> {
    let rank = dims.len();
    let axes: Vec<usize> = match node.ints("axes") {
        Some(axes) => (axes.iter())
            .map(|a| usize::try_from(if *a < 0 { a + rank as i64 } else { *a }).unwrap_or(rank))
            .collect(),
        None => (0..rank).collect(),
    };
    let mut targets: Vec<(usize, f64)> = dims.iter().map(|d| (*d, 1.0)).collect();
    let at_run_time = "its target size is computed at run time. Simplify the model with onnxsim.";
    // Upsample and Resize of opset 10 have the scales second.
    let scales_at = if graph.opset < 11 { 1 } else { 2 };
    let sizes = (node.input(3).filter(|_| graph.opset >= 11)).map(|n| graph.int_values(n));
    let scales = node.input(scales_at).map(|n| graph.floats(n));
    match (sizes, scales) {
        (Some(Some(sizes)), _) if sizes.len() == axes.len() => {
            let policy = node.str("keep_aspect_ratio_policy", "stretch");
            let scales = (axes.iter().zip(sizes))
                .map(|(axis, size)| *size as f64 / dims.get(*axis).copied().unwrap_or(1) as f64);
            // One scale for all axes: the smallest or largest that a size asks for.
            let scale = match policy.as_str() {
                "stretch" => None,
                "not_larger" => scales.reduce(f64::min),
                "not_smaller" => scales.reduce(f64::max),
                other => {
                    return refuse(format!(
                        "its keep_aspect_ratio_policy '{other}' is not known."
                    ));
                }
            };
            for (axis, size) in axes.iter().zip(sizes) {
                let size = usize::try_from(*size)
                    .ok()
                    .filter(|s| (1..=1 << 20).contains(s));
                match (targets.get_mut(*axis), size) {
                    (Some(t), Some(_)) if let Some(scale) = scale => {
                        let size = ((t.0 as f64 * scale + 0.5).floor() as usize).max(1);
                        *t = (size, scale);
                    }
                    (Some(t), Some(size)) => *t = (size, size as f64 / t.0 as f64),
                    _ => return refuse("its sizes are not valid."),
                }
            }
        }
        (Some(None), _) | (None, Some(None)) => return refuse(at_run_time),
        (None, Some(Some(scales))) if scales.len() == axes.len() => {
            for (axis, scale) in axes.iter().zip(scales) {
                let scale = f64::from(*scale);
                match targets.get_mut(*axis) {
                    Some(t) if scale > 0.0 && scale < 4096.0 => {
                        *t = (((t.0 as f64 * scale).floor() as usize).max(1), scale);
                    }
                    _ => return refuse("its scales are not valid."),
                }
            }
        }
        _ => return refuse("it has neither sizes nor scales for its axes."),
    }
    Ok(targets)
}

pub(super) fn resize(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let dims = super::data_input(graph, node)?.to_vec();
    let targets = targets(graph, node, &dims)?;
    let out: Vec<usize> = targets.iter().map(|(size, _)| *size).collect();
    // Before anything is made for each place of an axis.
    if !super::fits(&out) {
        return refuse(format!(
            "its output of {out:?} is more than any device holds. Check its sizes or scales."
        ));
    }
    let shrinks = (out.iter().zip(&dims)).any(|(a, b)| a < b);
    if node.int("antialias", 0) != 0 && shrinks {
        return refuse(
            "antialiasing is supported in linear and cubic mode, of rows and columns. Export it with antialias=0.",
        );
    }
    let axis = |d: usize| Axis {
        input: dims[d],
        output: targets[d].0,
        scale: targets[d].1,
    };
    let (transformation, rounding) = match graph.opset {
        ..11 => ("asymmetric", "floor"),
        _ => ("half_pixel", "round_prefer_floor"),
    };
    let transformation = node.str("coordinate_transformation_mode", transformation);
    let rounding = node.str("nearest_mode", rounding);
    let op = match node.str("mode", "nearest").as_str() {
        "nearest" => (0..dims.len())
            .map(|d| axis(d).nearest(&transformation, &rounding))
            .collect::<Option<_>>()
            .map(|axes| Op::Select { axes, fill: 0.0 }),
        "linear" | "bilinear" => {
            image_input(graph, node)?;
            if node.str("keep_aspect_ratio_policy", "stretch") != "stretch" {
                return refuse(
                    "keep_aspect_ratio_policy is supported for the nearest pixel only. Export it \
                     with the sizes that it leads to.",
                );
            }
            if out[..2] != dims[..2] {
                return refuse(
                    "it resizes the batch or the channels; only rows and columns can be.",
                );
            }
            let rows = match dims.len() {
                4 => axis(2).linear(&transformation),
                _ => Some(vec![(0, 0.0)]),
            };
            let columns = axis(dims.len() - 1).linear(&transformation);
            (rows.zip(columns)).map(|(rows, columns)| Op::ResizeLinear { rows, columns })
        }
        // What can be has become matrices.
        "cubic" => {
            return refuse(
                "its mode 'cubic' is supported for rows and columns, at half_pixel, asymmetric or align_corners. \
                 Export it with these.",
            );
        }
        other => {
            return refuse(format!(
                "its mode '{other}' is not supported; nearest, linear and cubic are."
            ));
        }
    };
    match op {
        Some(op) => Ok((op, out)),
        None => refuse(format!(
            "its coordinates ({transformation}, {rounding}) are not supported. Use half_pixel, \
             asymmetric or align_corners."
        )),
    }
}
