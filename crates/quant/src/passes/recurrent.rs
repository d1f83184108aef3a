//! LSTM and GRU, written out step by step: dense layers, tables and products. Every step is a few layers
//! with weights of its own in the image, so it is meant for short sequences, and for models that get one
//! step at a time and their state as inputs.

use super::compound::Writer;
use crate::graph::{Attr, Constant, Data, Graph, Node};
use crate::ops::{self, Recurrent};

/// The parts of one direction's parameters.
struct Direction {
    /// `W` of all gates with what is added to its product, and `R` with its own if that is apart.
    input: [String; 2],
    state: [Option<String>; 2],
    /// `R` of a GRU's candidate, where that is apart.
    candidate: Option<String>,
}

/// The nodes that an LSTM or GRU becomes. None where it has what is not written out.
pub(super) fn rewrite(graph: &mut Graph, whole: &Node) -> Option<(Vec<Node>, String)> {
    let shape = ops::recurrent(graph, whole).ok()?;
    graph.written_steps += shape.all_steps();
    let lstm = whole.op == "LSTM";
    let (steps, hidden, batch) = (shape.steps, shape.hidden, shape.batch);
    // Before its candidate a GRU either scales the state or, as PyTorch does, the state's product.
    let after = whole.int("linear_before_reset", 0) != 0;
    let used = |i: usize| whole.outputs.get(i).filter(|name| !name.is_empty());
    let mut writer = Writer::new(graph, whole);
    let steps_first = turned(&mut writer, &shape, whole.input(0)?, "steps_first");
    let rows = writer.shape(&[steps * batch, shape.inputs], "rows");
    let x = writer.step("Reshape", &[&steps_first, &rows], "x");
    let mut all = Vec::new();
    let mut last = Vec::new();
    for (d, &backwards) in shape.backwards.iter().enumerate() {
        let weights = direction(writer.graph, whole, &shape, d, lstm || after)?;
        let part = |what: &str| format!("direction_{d}/{what}");
        let [w, b] = &weights.input;
        let from_input = writer.step("Gemm", &[&x, w, b], &part("input"));
        writer.set("transB", Attr::Int(1));
        let mut state = initial(&mut writer, whole, &shape, d, 5, &part("h"));
        let mut cell = match lstm {
            true => initial(&mut writer, whole, &shape, d, 6, &part("c")),
            false => None,
        };
        let mut rows = vec![String::new(); steps];
        for k in 0..steps {
            let t = if backwards { steps - 1 - k } else { k };
            let part = |what: &str| format!("direction_{d}/step_{t}/{what}");
            let row = writer.slice(&from_input, 0, (t * batch, (t + 1) * batch), &part("row"));
            let from_state = match &state {
                Some(state) => {
                    let mut inputs = vec![state.clone()];
                    inputs.extend(weights.state.iter().flatten().cloned());
                    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
                    let product = writer.step("Gemm", &inputs, &part("state"));
                    writer.set("transB", Attr::Int(1));
                    Some(product)
                }
                // A state of zeros leaves the bias.
                None => weights.state[1].clone(),
            };
            let step = Step {
                row: &row,
                from_state: from_state.as_deref(),
                candidate: weights.candidate.as_deref(),
                hidden,
                part: &part,
            };
            let (next, next_cell) = match lstm {
                true => step.lstm(&mut writer, cell.as_deref()),
                false => (step.gru(&mut writer, state.as_deref())?, None),
            };
            rows[t] = next.clone();
            (state, cell) = (Some(next), next_cell);
        }
        all.push(rows);
        last.push((state?, cell));
    }
    outputs(
        &mut writer,
        &shape,
        [used(0), used(1), used(2)],
        &all,
        &last,
    )?;
    let change = format!(
        "{} '{}' of {steps} steps became its steps",
        whole.op, whole.name
    );
    Some((writer.nodes, change))
}

/// An input of three dimensions with the second one first, where the batch is that.
fn turned(writer: &mut Writer<'_>, shape: &Recurrent, name: &str, part: &str) -> String {
    if !shape.batch_first || shape.batch == 1 {
        return name.to_owned();
    }
    let turned = writer.step("Transpose", &[name], part);
    writer.set("perm", Attr::Ints(vec![1, 0, 2]));
    turned
}

/// The stored parameters of direction `d`. The two biases of a gate are one where nothing is between them.
/// `whole_product`: whether the state is multiplied by all of `R` at once.
fn direction(
    graph: &mut Graph,
    whole: &Node,
    shape: &Recurrent,
    d: usize,
    whole_product: bool,
) -> Option<Direction> {
    let rows = shape.gates * shape.hidden;
    let values = |graph: &Graph, i: usize| -> Option<Vec<f32>> {
        let all = graph.floats(whole.input(i)?)?;
        let each = all.len() / shape.directions();
        Some(all.get(d * each..)?.get(..each)?.to_vec())
    };
    let (w, r) = (values(graph, 1)?, values(graph, 2)?);
    let (mut of_input, mut of_state) = (vec![0.0; rows], vec![0.0; rows]);
    if whole.input(3).is_some() {
        let both = values(graph, 3)?;
        if both.len() != 2 * rows {
            return None;
        }
        (of_input, of_state) = (both[..rows].to_vec(), both[rows..].to_vec());
    }
    // Only the last gate of a GRU has something between its two biases.
    let apart = if whole.op == "GRU" && whole_product {
        rows - shape.hidden
    } else {
        rows
    };
    for k in 0..apart {
        of_input[k] += std::mem::take(&mut of_state[k]);
    }
    let mut store = |what: &str, dims: Vec<usize>, data: Vec<f32>| {
        let name = graph.fresh_name(&format!("{}/direction_{d}/{what}", whole.output()));
        let data = Data::Float(data);
        graph.add_constant(&name, Constant { dims, data });
        name
    };
    let input = [
        store("w", vec![rows, shape.inputs], w),
        store("w_bias", vec![rows], of_input),
    ];
    let before = if whole_product {
        rows
    } else {
        rows - shape.hidden
    };
    let (gates, rest) = r.split_at(before * shape.hidden);
    let r = store("r", vec![before, shape.hidden], gates.to_vec());
    let candidate =
        (!rest.is_empty()).then(|| store("r_new", vec![shape.hidden, shape.hidden], rest.to_vec()));
    let bias = (apart < rows).then(|| store("r_bias", vec![rows], of_state));
    Some(Direction {
        input,
        state: [Some(r), bias],
        candidate,
    })
}

/// The state before the first step, `[batch][hidden]`; None where it is zero, as a stored one is.
fn initial(
    writer: &mut Writer<'_>,
    whole: &Node,
    shape: &Recurrent,
    d: usize,
    i: usize,
    part: &str,
) -> Option<String> {
    let name = whole.input(i)?;
    if writer.graph.constants.contains_key(name) {
        return None;
    }
    let (directions, batch) = (shape.directions(), shape.batch);
    let first = turned(writer, shape, name, &format!("{part}/direction_first"));
    let rows = writer.shape(&[directions * batch, shape.hidden], &format!("{part}/rows"));
    let all = writer.step("Reshape", &[&first, &rows], &format!("{part}/all"));
    Some(match directions {
        1 => all,
        _ => writer.slice(&all, 0, (d * batch, (d + 1) * batch), part),
    })
}

/// One step: what comes of its input, and of the state before it.
struct Step<'s> {
    row: &'s str,
    from_state: Option<&'s str>,
    /// Weights of a GRU's candidate, where the state is scaled before their product.
    candidate: Option<&'s str>,
    hidden: usize,
    part: &'s dyn Fn(&str) -> String,
}

impl Step<'_> {
    fn sum(&self, writer: &mut Writer<'_>, a: &str, b: Option<&str>, what: &str) -> String {
        match b {
            Some(b) => writer.step("Add", &[a, b], &(self.part)(what)),
            None => a.to_owned(),
        }
    }

    fn gate(&self, writer: &mut Writer<'_>, from: &str, gates: [usize; 2], what: &str) -> String {
        let range = (gates[0] * self.hidden, gates[1] * self.hidden);
        writer.slice(from, 1, range, &(self.part)(what))
    }

    /// c' = f c + i g, h' = o tanh(c'): the new state and cell. Gates are in the order i, o, f, g.
    fn lstm(&self, writer: &mut Writer<'_>, cell: Option<&str>) -> (String, Option<String>) {
        let part = self.part;
        let sum = self.sum(writer, self.row, self.from_state, "sum");
        let open = self.gate(writer, &sum, [0, 3], "open");
        let open = writer.step("Sigmoid", &[&open], &part("gates"));
        let [i, o, f] = [("i", 0), ("o", 1), ("f", 2)]
            .map(|(name, k)| self.gate(writer, &open, [k, k + 1], name));
        let new = self.gate(writer, &sum, [3, 4], "new");
        let new = writer.step("Tanh", &[&new], &part("g"));
        let mut next = writer.step("Mul", &[&i, &new], &part("added"));
        if let Some(cell) = cell {
            let kept = writer.step("Mul", &[&f, cell], &part("kept"));
            next = writer.step("Add", &[&kept, &next], &part("c"));
        }
        let bent = writer.step("Tanh", &[&next], &part("bent"));
        let state = writer.step("Mul", &[&o, &bent], &part("h"));
        (state, Some(next))
    }

    /// n = tanh(x + r (h R + b)) or tanh(x + (r h) R), h' = n + z (h - n). Gates are in the order z, r, n.
    fn gru(&self, writer: &mut Writer<'_>, state: Option<&str>) -> Option<String> {
        let part = self.part;
        let row = self.gate(writer, self.row, [0, 2], "row_gates");
        let candidate = self.gate(writer, self.row, [2, 3], "row_new");
        let gates = match (state, self.from_state) {
            (Some(_), Some(product)) => Some(self.gate(writer, product, [0, 2], "state_gates")),
            _ => None,
        };
        let sum = self.sum(writer, &row, gates.as_deref(), "sum");
        let open = writer.step("Sigmoid", &[&sum], &part("gates"));
        let z = self.gate(writer, &open, [0, 1], "z");
        let r = self.gate(writer, &open, [1, 2], "r");
        let reset = match (self.candidate, state) {
            (Some(weights), Some(state)) => {
                let scaled = writer.step("Mul", &[&r, state], &part("reset"));
                let product = writer.step("Gemm", &[&scaled, weights], &part("reset_new"));
                writer.set("transB", Attr::Int(1));
                Some(product)
            }
            (Some(_), None) => None,
            (None, Some(_)) => {
                let new = self.gate(writer, self.from_state?, [2, 3], "state_new");
                Some(writer.step("Mul", &[&r, &new], &part("reset")))
            }
            // A state of zeros: of its product the bias of the last gate is left.
            (None, None) => {
                let values = writer.graph.floats(self.from_state?)?;
                let values = values.get(2 * self.hidden..)?.to_vec();
                let name = format!("{}/{}", writer.output, part("bias"));
                let name = writer.graph.fresh_name(&name);
                let values = Constant::float(vec![1, self.hidden], values);
                writer.graph.add_constant(&name, values);
                Some(writer.step("Mul", &[&r, &name], &part("reset")))
            }
        };
        let new = self.sum(writer, &candidate, reset.as_deref(), "new");
        let new = writer.step("Tanh", &[&new], &part("n"));
        let Some(state) = state else {
            let moved = writer.step("Mul", &[&z, &new], &part("moved"));
            return Some(writer.step("Sub", &[&new, &moved], &part("h")));
        };
        let way = writer.step("Sub", &[state, &new], &part("way"));
        let moved = writer.step("Mul", &[&z, &way], &part("moved"));
        Some(writer.step("Add", &[&new, &moved], &part("h")))
    }
}

/// All states `[steps][directions][batch][hidden]`, the last ones and the last cells
/// `[directions][batch][hidden]`; where the batch is first, that is their first dimension.
fn outputs(
    writer: &mut Writer<'_>,
    shape: &Recurrent,
    wanted: [Option<&String>; 3],
    all: &[Vec<String>],
    last: &[(String, Option<String>)],
) -> Option<()> {
    let mut joined = |names: Vec<&str>, dims: &[usize], what: &str, output: &str| {
        let rows = match names[..] {
            [one] => one.to_owned(),
            _ => {
                let rows = writer.step("Concat", &names, what);
                writer.set("axis", Attr::Int(0));
                rows
            }
        };
        let (batch, before) = (dims.len() - 2, 0..dims.len() - 2);
        let perm: Vec<usize> = [batch]
            .into_iter()
            .chain(before)
            .chain([batch + 1])
            .collect();
        let turn = shape.batch_first && shape.batch > 1;
        let dims = match shape.batch_first && !turn {
            true => perm.iter().map(|i| dims[*i]).collect(),
            false => dims.to_vec(),
        };
        let dims = writer.shape(&dims, &format!("{what}_shape"));
        if turn {
            let rows = writer.step("Reshape", &[&rows, &dims], &format!("{what}_apart"));
            writer.write("Transpose", &[&rows], output);
            let perm = perm.iter().map(|i| *i as i64).collect();
            writer.set("perm", Attr::Ints(perm));
        } else {
            writer.write("Reshape", &[&rows, &dims], output);
        }
    };
    let (steps, directions) = (shape.steps, shape.directions());
    let (batch, hidden) = (shape.batch, shape.hidden);
    if let Some(output) = wanted[0] {
        let rows = (0..steps).flat_map(|t| all.iter().map(move |rows| rows[t].as_str()));
        let dims = [steps, directions, batch, hidden];
        joined(rows.collect(), &dims, "all", output);
    }
    let dims = [directions, batch, hidden];
    if let Some(output) = wanted[1] {
        let rows = last.iter().map(|(state, _)| state.as_str());
        joined(rows.collect(), &dims, "last", output);
    }
    if let Some(output) = wanted[2] {
        let rows = last.iter().map(|(_, cell)| cell.as_deref());
        let rows = rows.collect::<Option<Vec<_>>>()?;
        joined(rows, &dims, "cells", output);
    }
    Some(())
}
