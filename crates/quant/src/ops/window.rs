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

/// A window whose elements are spread over the output, as a transposed convolution does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transposed {
    /// As it slides over the output; the pads are what is cut off the output.
    pub(crate) window: Window,
    pub(crate) groups: usize,
}

/// Dims (1, C, H, W), or (1, C, L) with one row, as C, rows, columns.
pub(super) fn image_input(graph: &Graph, node: &Node) -> Result<[usize; 3], Refusal> {
    match *data_input(graph, node)? {
        [1, c, h, w] => Ok([c, h, w]),
        [1, c, l] => Ok([c, 1, l]),
        [n, _, _, _] | [n, _, _] => refuse(format!(
            "its input has a fixed batch of {n}. Export the model with batch 1."
        )),
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
        // Rounded up, unless the last window would start behind the input.
        let last = output[i] * stride[i];
        if ceil && room % stride[i] != 0 && last < input[i] + pads[i] {
            output[i] += 1;
            pads[i + 2] += last + span[i] - padded;
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
    let groups = groups(node, c, outputs)?;
    if per_group * groups != c {
        return refuse(format!(
            "its weights take {per_group} channels in each of {groups} groups, its input has {c}."
        ));
    }
    let op = match groups {
        g if g > 1 && g == c && outputs == c => Op::DepthwiseConv(window),
        groups => Op::Conv { window, groups },
    };
    Ok((op, out))
}

fn groups(node: &Node, inputs: usize, outputs: usize) -> Result<usize, Refusal> {
    let given = node.int("group", 1);
    match usize::try_from(given) {
        Ok(g) if g > 0 && inputs.is_multiple_of(g) && outputs.is_multiple_of(g) => Ok(g),
        _ => refuse(format!(
            "its {given} groups don't divide {inputs} input and {outputs} output channels."
        )),
    }
}

pub(super) fn conv_transpose(graph: &Graph, node: &Node) -> Result<Resolved, Refusal> {
    let [c, h, w] = image_input(graph, node)?;
    let (dims, _) = weights(graph, node, 1)?;
    let spatial = input_dims(graph, node, 0)?.len() - 2;
    let (inputs, per_group, kernel) = match *dims {
        [i, o, kh, kw] if spatial == 2 => (i, o, [kh, kw]),
        [i, o, kw] if spatial == 1 => (i, o, [1, kw]),
        ref d => return refuse(format!("its weights have the shape {d:?}.")),
    };
    let groups = groups(node, inputs, inputs)?;
    let outputs = per_group * groups;
    if inputs != c || dims.contains(&0) {
        return refuse(format!(
            "its weights take {inputs} channels, its input has {c}."
        ));
    }
    check_bias(graph, node, 2, outputs)?;
    if node.ints("kernel_shape").is_some() && pair(node, "kernel_shape", spatial, 1)? != kernel {
        return refuse("its kernel_shape differs from its weights.");
    }
    let stride = pair(node, "strides", spatial, 1)?;
    let dilation = pair(node, "dilations", spatial, 1)?;
    let small = |name: &str, n: usize| -> Result<Option<Vec<usize>>, Refusal> {
        let Some(given) = node.ints(name) else {
            return Ok(None);
        };
        let values = (given.iter())
            .map(|v| usize::try_from(*v).ok().filter(|v| *v <= 65535))
            .collect::<Option<Vec<_>>>();
        match values {
            Some(v) if v.len() == n => Ok(Some(v)),
            _ => refuse(format!("its {name} {given:?} is not valid here.")),
        }
    };
    let extra = small("output_padding", spatial)?.unwrap_or_else(|| vec![0; spatial]);
    let wanted = small("output_shape", spatial)?;
    let pads = small("pads", 2 * spatial)?.unwrap_or_else(|| vec![0; 2 * spatial]);
    let auto = node.str("auto_pad", "NOTSET");
    let (mut cut, mut output) = ([0; 4], [1; 2]);
    for i in 2 - spatial..2 {
        let k = i + spatial - 2;
        let full = ([h, w][i] - 1) * stride[i] + (kernel[i] - 1) * dilation[i] + 1 + extra[k];
        let goal = match (&wanted, auto.as_str()) {
            (Some(wanted), _) => Some(wanted[k]),
            (None, "SAME_UPPER" | "SAME_LOWER") => Some([h, w][i] * stride[i]),
            (None, "NOTSET" | "VALID" | "") => None,
            (None, other) => return refuse(format!("its auto_pad '{other}' is not known.")),
        };
        let (before, after) = match goal {
            // More than there is: nothing is added at the end, as output_padding does it.
            Some(goal) if goal > full && goal - full + extra[k] < stride[i] => {
                (cut[i], cut[i + 2], output[i]) = (0, 0, goal);
                continue;
            }
            Some(goal) => {
                let Some(total) = full.checked_sub(goal).filter(|_| goal > 0) else {
                    return refuse(format!("its output size {goal} can't be reached."));
                };
                match auto.as_str() {
                    "SAME_UPPER" => (total / 2, total - total / 2),
                    _ => (total - total / 2, total / 2),
                }
            }
            None if auto == "VALID" => (0, 0),
            None => (pads[k], pads[k + spatial]),
        };
        let Some(size) = full.checked_sub(before + after).filter(|s| *s > 0) else {
            return refuse("its pads cut away the whole output.");
        };
        if extra[k] >= stride[i] {
            return refuse("its output_padding is not smaller than its stride.");
        }
        (cut[i], cut[i + 2], output[i]) = (before, after, size);
    }
    let window = Window {
        kernel,
        stride,
        dilation,
        pads: cut,
    };
    let out = like_input(graph, node, outputs, output[0], output[1])?;
    Ok((Op::ConvTranspose(Transposed { window, groups }), out))
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
    let count_pads = node.int("count_include_pad", 0) != 0 && window.pads != [0; 4];
    if count_pads && node.int("ceil_mode", 0) != 0 {
        return refuse(
            "counting the padding (count_include_pad) together with ceil_mode is not supported. \
             Export it with ceil_mode=0.",
        );
    }
    let op = Op::AveragePool { window, count_pads };
    Ok((op, like_input(graph, node, c, h, w)?))
}

pub(super) fn global(graph: &Graph, node: &Node) -> Result<Vec<usize>, Refusal> {
    let [c, _, _] = image_input(graph, node)?;
    like_input(graph, node, c, 1, 1)
}
