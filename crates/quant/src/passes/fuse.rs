//! Neighbouring nodes become one.

use crate::graph::{Absorbed, Attr, Constant, Graph, Node};
use crate::ops;

/// Input `i` of `node` as floats, if it is a constant of finite values.
fn floats<'g>(graph: &'g Graph, node: &Node, i: usize) -> Option<&'g [f32]> {
    (graph.floats(node.input(i)?)).filter(|v| v.iter().all(|v| v.is_finite()))
}

/// The layer that writes `name`, if it is a Conv or Gemm whose output nobody else reads.
fn linear_producer(graph: &Graph, name: &str) -> Option<usize> {
    let i = graph.producer_of(name)?;
    (matches!(graph.nodes[i].op.as_str(), "Conv" | "Gemm") && graph.is_private(name)).then_some(i)
}

/// Output channels of a Conv or Gemm.
fn output_channels(graph: &Graph, node: &Node) -> Option<usize> {
    let dims = graph.shape(node.input(1)?)?;
    let at = usize::from(node.op == "Gemm" && node.int("transB", 0) == 0);
    dims.get(at).copied()
}

/// Takes the output of node `remove` over to node `keep` and removes the former.
fn absorb(graph: &mut Graph, keep: usize, remove: usize) {
    let out = graph.nodes[remove].output().to_owned();
    if let Some(place) = graph.places.get(graph.nodes[keep].output()) {
        graph.places.insert(out.clone(), *place);
    }
    let old = std::mem::replace(&mut graph.nodes[keep].outputs[0], out);
    graph.shapes.remove(&old);
    graph.nodes.remove(remove);
}

/// What was taken into what, by names, or by what is written where there is none yet.
fn into(node: &Node, by: &Node) -> String {
    let [node, by] = [node, by].map(|n| match n.name.as_str() {
        "" => format!("the {} that writes '{}'", n.op, n.output()),
        name => format!("'{name}'"),
    });
    format!("{node} into {by}")
}

pub(super) fn pads(graph: &mut Graph) -> Vec<String> {
    let mut changes = Vec::new();
    let mut i = 0;
    while i < graph.nodes.len() {
        match fuse_pad(graph, i) {
            Some(change) => changes.push(change),
            None => i += 1,
        }
    }
    changes
}

fn fuse_pad(graph: &mut Graph, i: usize) -> Option<String> {
    let pad = &graph.nodes[i];
    if pad.op != "Pad" || pad.str("mode", "constant") != "constant" {
        return None;
    }
    let value = match pad.input(2) {
        Some(name) => *graph.floats(name)?.first()?,
        None => pad.float("value", 0.0),
    };
    let amounts = ops::pad_amounts(graph, pad)?;
    let rank = amounts.len() / 2;
    let spatial = rank.checked_sub(2)?;
    let outside = (0..2).any(|d| amounts[d] != 0 || amounts[d + rank] != 0);
    if value != 0.0 || outside || amounts.iter().any(|a| *a < 0) {
        return None;
    }
    let added: Vec<i64> = (2..rank)
        .map(|d| amounts[d])
        .chain((2..rank).map(|d| amounts[d + rank]))
        .collect();
    if !graph.is_private(pad.output()) {
        return None;
    }
    let user = *graph.consumers(pad.output()).first()?;
    let next = &graph.nodes[user];
    if !matches!(
        next.str("auto_pad", "NOTSET").as_str(),
        "NOTSET" | "VALID" | ""
    ) {
        return None;
    }
    let old = match next.ints("pads") {
        Some(p) if p.len() == 2 * spatial => p.to_vec(),
        Some(_) => return None,
        None => vec![0; 2 * spatial],
    };
    let count_zeros = match next.op.as_str() {
        "Conv" => false,
        // Zeros that were part of the input count in the mean.
        "AveragePool" if old.iter().all(|p| *p == 0) && next.int("ceil_mode", 0) == 0 => true,
        // Zeros never win over values that are not negative.
        "MaxPool" => {
            let producer = &graph.nodes[graph.producer_of(pad.input(0)?)?];
            let kernel = next.ints("kernel_shape")?;
            let covered = (added.iter().enumerate()).all(|(k, a)| *a < kernel[k % spatial]);
            if producer.op != "Relu" || !covered || old.iter().any(|p| *p != 0) {
                return None;
            }
            false
        }
        _ => return None,
    };
    let total: Vec<i64> = old.iter().zip(&added).map(|(a, b)| a + b).collect();
    let change = into(pad, next);
    let source = pad.input(0)?.to_owned();
    let next = &mut graph.nodes[user];
    next.inputs[0] = source;
    next.attrs.remove("auto_pad");
    next.attrs.insert("pads".into(), Attr::Ints(total));
    if count_zeros {
        next.attrs.insert("count_include_pad".into(), Attr::Int(1));
    }
    let into = next.name.clone();
    let convolution = next.op == "Conv";
    let node = graph.nodes.remove(i);
    if !convolution {
        graph.absorbed.push(Absorbed { node, into });
    }
    Some(change)
}

pub(super) fn matmul_to_gemm(graph: &mut Graph) -> Vec<String> {
    let mut changes = Vec::new();
    for i in 0..graph.nodes.len() {
        let Some(node) = graph.nodes.get(i) else {
            break;
        };
        if node.op != "MatMul" || floats(graph, node, 1).is_none() {
            continue;
        }
        let flat = node
            .input(0)
            .and_then(|n| graph.shape(n))
            .is_some_and(|d| d.len() == 2);
        let outputs = match node.input(1).and_then(|n| graph.shape(n)) {
            Some(&[_, o]) if flat => o,
            _ => continue,
        };
        let name = node.name.clone();
        let bias = gemm_bias(graph, i, outputs);
        let node = &mut graph.nodes[i];
        node.op = "Gemm".into();
        match bias {
            Some((add, bias)) => {
                node.inputs.push(bias);
                // The merged node is neither of the two; it gets a name of its own later.
                node.name = String::new();
                changes.push(format!("'{name}' and '{}'", graph.nodes[add].name));
                absorb(graph, i, add);
            }
            None => changes.push(format!("'{name}'")),
        }
    }
    changes
}

/// The Add after MatMul `i` and its constant, when that can be the bias.
fn gemm_bias(graph: &Graph, i: usize, outputs: usize) -> Option<(usize, String)> {
    let out = graph.nodes[i].output();
    if !graph.is_private(out) {
        return None;
    }
    let add = *graph.consumers(out).first()?;
    let node = &graph.nodes[add];
    if node.op != "Add" {
        return None;
    }
    let bias = node.inputs.iter().find(|n| *n != out)?;
    let values = graph.constants.get(bias)?;
    let row = match *values.dims {
        [n] | [1, n] => n == outputs,
        _ => false,
    };
    (row && values.as_floats().is_some()).then(|| (add, bias.clone()))
}

pub(super) fn add_bias(graph: &mut Graph) -> Vec<String> {
    let mut changes = Vec::new();
    let mut i = 0;
    while i < graph.nodes.len() {
        match fuse_bias(graph, i) {
            Some(change) => changes.push(change),
            None => i += 1,
        }
    }
    changes
}

fn fuse_bias(graph: &mut Graph, add: usize) -> Option<String> {
    let node = &graph.nodes[add];
    if node.op != "Add" {
        return None;
    }
    let (data, bias) = match (node.input(0)?, node.input(1)?) {
        (a, b) if graph.constants.contains_key(b) => (a, b),
        (a, b) if graph.constants.contains_key(a) => (b, a),
        _ => return None,
    };
    let (data, bias) = (data.to_owned(), bias.to_owned());
    let layer = linear_producer(graph, &data)?;
    let outputs = output_channels(graph, &graph.nodes[layer]).filter(|o| *o > 0)?;
    let constant = graph.constants.get(&bias)?;
    let values = constant.as_floats()?;
    // A single value, or one per channel: dimension 1 of the layer's output.
    let rank = graph.shape(&data)?.len();
    let channel = constant.dims.len() + 1 >= rank
        && (constant.dims.iter().enumerate())
            .all(|(d, n)| *n == 1 || d + rank == constant.dims.len() + 1);
    if !(values.len() == 1 || values.len() == outputs && channel) {
        return None;
    }
    let added: Vec<f32> = (0..outputs).map(|c| values[c % values.len()]).collect();
    let change = into(&graph.nodes[add], &graph.nodes[layer]);
    let old =
        (floats(graph, &graph.nodes[layer], 2).filter(|o| o.len() == outputs)).map(<[f32]>::to_vec);
    if graph.nodes[layer].input(2).is_some() && old.is_none() {
        return None;
    }
    let name = match old {
        None if constant.dims == [outputs] => bias,
        _ => {
            let sum = (added.iter().enumerate())
                .map(|(c, v)| v + old.as_ref().map_or(0.0, |o| o[c]))
                .collect();
            let name = graph.fresh_name(&format!("{bias}_bias"));
            graph.add_constant(&name, Constant::float(vec![outputs], sum));
            name
        }
    };
    set_input(&mut graph.nodes[layer], 2, name);
    absorb(graph, layer, add);
    Some(change)
}

fn set_input(node: &mut Node, i: usize, name: String) {
    if node.inputs.len() <= i {
        node.inputs.resize(i + 1, String::new());
    }
    node.inputs[i] = name;
}

pub(super) fn batch_normalization(graph: &mut Graph) -> Vec<String> {
    let mut changes = Vec::new();
    let mut i = 0;
    while i < graph.nodes.len() {
        match fuse_batch_normalization(graph, i) {
            Some(change) => changes.push(change),
            None => i += 1,
        }
    }
    changes
}

fn fuse_batch_normalization(graph: &mut Graph, bn: usize) -> Option<String> {
    let node = graph.nodes[bn].clone();
    if node.op != "BatchNormalization" {
        return None;
    }
    let layer = linear_producer(graph, node.input(0)?)?;
    let linear = graph.nodes[layer].clone();
    let outputs = output_channels(graph, &linear).filter(|o| *o > 0)?;
    let [scale, offset, mean, variance] =
        [1, 2, 3, 4].map(|k| floats(graph, &node, k).filter(|v| v.len() == outputs));
    let (scale, offset, mean, variance) = (scale?, offset?, mean?, variance?);
    let epsilon = node.float("epsilon", 1e-5);
    let factor: Vec<f32> = (scale.iter().zip(variance))
        .map(|(s, v)| s / libm::sqrtf(v + epsilon))
        .collect();
    let old = match linear.input(2) {
        Some(_) => Some(floats(graph, &linear, 2).filter(|o| o.len() == outputs)?),
        None => None,
    };
    let bias: Vec<f32> = (0..outputs)
        .map(|c| {
            let b = old.map_or(0.0, |o| o[c]);
            (b - mean[c]) * factor[c] + offset[c]
        })
        .collect();
    let weight = linear.input(1)?;
    let constant = graph.constants.get(weight)?;
    let values = floats(graph, &linear, 1)?;
    let by_row = linear.op == "Conv" || linear.int("transB", 0) != 0;
    let channel = |i: usize| match by_row {
        true => i / (values.len() / outputs),
        false => i % outputs,
    };
    let scaled = (values.iter().enumerate())
        .map(|(i, w)| w * factor[channel(i)])
        .collect();
    let scaled = Constant::float(constant.dims.clone(), scaled);
    // The ESP-DL toolkit fuses into a Conv by ONNX's optimizer, which numbers what it makes and keeps the
    // Conv's output, and into a Gemm by a rule of its own.
    let by_optimizer = linear.op == "Conv";
    let (weight_name, bias_name) = if by_optimizer {
        (graph.numbered_name(), graph.numbered_name())
    } else {
        // Another layer may use the same weights unscaled.
        let weight_name = match graph.consumers(weight).len() {
            1 => weight.to_owned(),
            _ => graph.fresh_name(&format!("{weight}_bn")),
        };
        let bias_name = match linear.input(2) {
            Some(name) if graph.consumers(name).len() == 1 => name.to_owned(),
            Some(name) => graph.fresh_name(&format!("{name}_bn")),
            None => graph.fresh_name(&format!("{}_bias", linear.name)),
        };
        (weight_name, bias_name)
    };
    graph.add_constant(&weight_name, scaled);
    graph.add_constant(&bias_name, Constant::float(vec![outputs], bias));
    set_input(&mut graph.nodes[layer], 1, weight_name);
    set_input(&mut graph.nodes[layer], 2, bias_name);
    let change = into(&node, &linear);
    let (before, after) = (linear.output(), node.output());
    if by_optimizer && graph.is_output(after) {
        // What the Conv wrote before is numbered as well.
        graph.numbered += 1;
    }
    if by_optimizer && !graph.is_output(after) && graph.given.exponent(after).is_none() {
        graph.rewire(after, before);
        graph.shapes.remove(after);
        graph.nodes.remove(bn);
    } else {
        absorb(graph, layer, bn);
    }
    Some(change)
}

pub(super) fn gemm_scale(graph: &mut Graph) -> Vec<String> {
    let mut changes = Vec::new();
    for i in 0..graph.nodes.len() {
        let node = graph.nodes[i].clone();
        if node.op != "Gemm" {
            continue;
        }
        for (input, attr) in [(1, "alpha"), (2, "beta")] {
            let factor = node.float(attr, 1.0);
            if factor == 1.0 || !factor.is_finite() {
                continue;
            }
            if node.input(input).is_none() {
                graph.nodes[i].attrs.remove(attr);
                continue;
            }
            let Some(values) = floats(graph, &node, input) else {
                continue;
            };
            let scaled = values.iter().map(|v| v * factor).collect();
            let old = &node.inputs[input];
            let dims = graph.constants[old].dims.clone();
            let name = match graph.consumers(old).len() {
                1 => old.clone(),
                _ => graph.fresh_name(&format!("{old}_{attr}")),
            };
            graph.add_constant(&name, Constant::float(dims, scaled));
            graph.nodes[i].inputs[input] = name;
            graph.nodes[i].attrs.remove(attr);
            changes.push(format!("{attr} = {factor} of '{}'", node.name));
            graph.scaled.push(graph.nodes[i].output().to_owned());
        }
    }
    changes
}
