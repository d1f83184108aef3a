//! Windows of convolutions and pools, and the operators that slide one.

use super::{Op, Refusal, Resolved, check_bias, data_input, input_dims, refuse, weights};
use crate::graph::{Graph, Node};

/// A sliding window over rows and columns; 1-D operators have one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    /// Top, left, bottom, right.
    pub(crate) pads: [usize; 4],
}

/// Dims (1, C, H, W), or (1, C, L) with one row, as C, rows, columns.
fn image_input(graph: &Graph, node: &Node) -> Result<[usize; 3], Refusal> {
    match *data_input(graph, node)? {
        [1, c, h, w] => Ok([c, h, w]),
        [1, c, l] => Ok([c, 1, l]),
        ref dims => refuse(format!(
            "its input has the shape {dims:?}; (1, C, H, W) or (1, C, L) is needed."
        )),
    }
}

fn like_input(
    graph: &Graph,
    node: &Node,
    c: usize,
    h: usize,
    w: usize,
) -> Result<Vec<usize>, Refusal> {
    Ok(match input_dims(graph, node, 0)?.len() {
        3 => vec![1, c, w],
        _ => vec![1, c, h, w],
    })
}

fn pair(node: &Node, name: &str, spatial: usize, default: i64) -> Result<[usize; 2], Refusal> {
    let defaults = [default; 2];
    let values = node.ints(name).unwrap_or(&defaults[..spatial]);
    let small = |v: i64| usize::try_from(v).ok().filter(|v| (1..=65535).contains(v));
    let pair = match (values, spatial) {
        (&[h, w], 2) => small(h).zip(small(w)),
        (&[w], 1) => small(w).map(|w| (1, w)),
        _ => None,
    };
    match pair {
        Some((h, w)) => Ok([h, w]),
        None => refuse(format!("its {name} {values:?} is not valid here.")),
    }
}

/// The window of a convolution or pool, and its output rows and columns.
fn window(
    graph: &Graph,
    node: &Node,
    kernel: Option<[usize; 2]>,
) -> Result<(Window, [usize; 2]), Refusal> {
    let [_, h, w] = image_input(graph, node)?;
    let spatial = input_dims(graph, node, 0)?.len() - 2;
    let kernel = match (kernel, node.ints("kernel_shape")) {
        (Some(k), None) => k,
        (None, None) => return refuse("its kernel_shape is missing."),
        (known, Some(_)) => {
            let given = pair(node, "kernel_shape", spatial, 1)?;
            if known.is_some_and(|k| k != given) {
                return refuse("its kernel_shape differs from its weights.");
            }
            given
        }
    };
    let stride = pair(node, "strides", spatial, 1)?;
    let dilation = pair(node, "dilations", spatial, 1)?;
    let input = [h, w];
    let span = [0, 1].map(|i| (kernel[i] - 1) as u64 * dilation[i] as u64 + 1);
    let Some(span) = usize::try_from(span[0])
        .ok()
        .zip(usize::try_from(span[1]).ok())
    else {
        return refuse("its window is too large.");
    };
    let span = [span.0, span.1];
    if span.iter().any(|s| *s > 1 << 24) {
        return refuse("its window is too large.");
    }
    let mut pads = [0; 4];
    match node.str("auto_pad", "NOTSET").as_str() {
        "NOTSET" | "" => {
            if let Some(given) = node.ints("pads") {
                let small = (given.iter())
                    .map(|&p| usize::try_from(p).ok().filter(|p| *p <= 65535))
                    .collect::<Option<Vec<_>>>();
                pads = match (small.as_deref(), spatial) {
                    (Some(&[t, l, b, r]), 2) => [t, l, b, r],
                    (Some(&[l, r]), 1) => [0, l, 0, r],
                    _ => return refuse(format!("its pads {given:?} are not valid here.")),
                };
            }
        }
        "VALID" => {}
        same @ ("SAME_UPPER" | "SAME_LOWER") => {
            for i in 0..2 {
                let out = input[i].div_ceil(stride[i]);
                let total = ((out - 1) * stride[i] + span[i]).saturating_sub(input[i]);
                let (less, more) = (total / 2, total - total / 2);
                let (before, after) = if same == "SAME_UPPER" {
                    (less, more)
                } else {
                    (more, less)
                };
                pads[i] = before;
                pads[i + 2] = after;
            }
        }
        other => return refuse(format!("its auto_pad '{other}' is not known.")),
    }
    let ceil = node.int("ceil_mode", 0) != 0;
    let mut output = [0; 2];
    for i in 0..2 {
        let padded = input[i] + pads[i] + pads[i + 2];
        let Some(room) = padded.checked_sub(span[i]) else {
            return refuse(format!(
                "its window of {} does not fit its padded input of {padded}.",
                span[i]
            ));
        };
        output[i] = room / stride[i] + 1;
        if ceil && room % stride[i] != 0 {
            return refuse(
                "rounding the output size up (ceil_mode) is not supported. Export with \
                 ceil_mode=0 or pad the input.",
            );
        }
    }
    Ok((
        Window {
            kernel,
            stride,
            dilation,
            pads,
        },
        output,
    ))
}

pub(super) fn conv(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let [c, _, _] = image_input(graph, node)?;
    let (dims, _) = weights(graph, node, 1)?;
    let (outputs, per_group, kernel) = match *dims {
        [o, i, h, w] => (o, i, [h, w]),
        [o, i, w] => (o, i, [1, w]),
        ref d => return refuse(format!("its weights have the shape {d:?}.")),
    };
    if dims.len() != input_dims(graph, node, 0)?.len() || outputs == 0 || dims.contains(&0) {
        return refuse("its weights don't fit its input.");
    }
    check_bias(graph, node, 2, outputs)?;
    let (window, [h, w]) = window(graph, node, Some(kernel))?;
    let out = like_input(graph, node, outputs, h, w)?;
    match node.int("group", 1) {
        1 if per_group == c => Ok((Op::Conv(window), out)),
        g if g as usize == c && per_group == 1 && outputs == c => {
            Ok((Op::DepthwiseConv(window), out))
        }
        1 => refuse(format!(
            "its weights take {per_group} channels, its input has {c}."
        )),
        g => refuse(format!(
            "a convolution with {g} groups over {c} channels is not supported yet; only 1 group \
             and depthwise (groups = input channels = output channels) are."
        )),
    }
}

pub(super) fn max_pool(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let [c, _, _] = image_input(graph, node)?;
    if node.outputs.get(1).is_some_and(|o| !o.is_empty()) {
        return refuse("its second output (indices) is not supported.");
    }
    let (window, [h, w]) = window(graph, node, None)?;
    Ok((Op::MaxPool(window), like_input(graph, node, c, h, w)?))
}

pub(super) fn average_pool(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let [c, _, _] = image_input(graph, node)?;
    let (window, [h, w]) = window(graph, node, None)?;
    let op = Op::AveragePool {
        window,
        count_pads: node.int("count_include_pad", 0) != 0,
    };
    Ok((op, like_input(graph, node, c, h, w)?))
}

pub(super) fn global(graph: &Graph, node: &Node) -> Result<Vec<usize>, Refusal> {
    let [c, _, _] = image_input(graph, node)?;
    like_input(graph, node, c, 1, 1)
}
