//! LSTM and GRU, written out step by step: dense layers, tables and products. Every step is a few layers
//! with weights of its own in the image, so it is meant for short sequences, and for models that get one
//! step at a time and their state as inputs.

use super::compound::Writer;
use crate::graph::{Constant, Data, Graph, Node};

/// The most steps that are written out.
const MAX_STEPS: usize = 64;

/// The parts of one direction's parameters.
struct Direction {
    /// `W` of all gates with what is added to its product, and `R` with its own if that is apart.
    input: [String; 2],
    state: [Option<String>; 2],
    /// `R` of a GRU's candidate, where that is apart.
    candidate: Option<String>,
}

/// What both operators have in common.
struct Shape {
    steps: usize,
    hidden: usize,
    inputs: usize,
    directions: usize,
    gates: usize,
}

/// The nodes that an LSTM or GRU becomes. None where it has what is not written out: batches, lengths,
/// peepholes, limits, other functions, computed weights.
pub(super) fn rewrite(graph: &mut Graph, whole: &Node) -> Option<(Vec<Node>, String)> {
    let lstm = whole.op == "LSTM";
    let shape = shape(graph, whole, if lstm { 4 } else { 3 })?;
    let (steps, hidden) = (shape.steps, shape.hidden);
    let backwards: &[bool] = match whole.str("direction", "forward").as_str() {
        "forward" => &[false],
        "reverse" => &[true],
        "bidirectional" => &[false, true],
        _ => return None,
    };
    // Before its candidate a GRU either scales the state or, as PyTorch does, the state's product.
    let after = whole.int("linear_before_reset", 0) != 0;
    if backwards.len() != shape.directions {
        return None;
    }
    let used = |i: usize| whole.outputs.get(i).filter(|name| !name.is_empty());
    let mut writer = Writer::new(graph, whole);
    let rows = writer.shape(&[steps, shape.inputs], "rows");
    let x = writer.step("Reshape", &[whole.input(0)?, &rows], "x");
    let mut all = Vec::new();
    let mut last = Vec::new();
    for (d, &backwards) in backwards.iter().enumerate() {
        let weights = direction(writer.graph, whole, &shape, d, lstm || after)?;
        let part = |what: &str| format!("direction_{d}/{what}");
        let [w, b] = &weights.input;
        let from_input = writer.step("Gemm", &[&x, w, b], &part("input"));
        writer.set("transB", 1);
        let mut state = initial(&mut writer, whole, &shape, d, 5, &part("h"))?;
        let mut cell = match lstm {
            true => initial(&mut writer, whole, &shape, d, 6, &part("c"))?,
            false => None,
        };
        let mut rows = vec![String::new(); steps];
        for k in 0..steps {
            let t = if backwards { steps - 1 - k } else { k };
            let part = |what: &str| format!("direction_{d}/step_{t}/{what}");
            let row = writer.slice(&from_input, 0, (t, t + 1), &part("row"));
            let from_state = match &state {
                Some(state) => {
                    let mut inputs = vec![state.clone()];
                    inputs.extend(weights.state.iter().flatten().cloned());
                    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
                    let product = writer.step("Gemm", &inputs, &part("state"));
                    writer.set("transB", 1);
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

fn shape(graph: &Graph, whole: &Node, gates: usize) -> Option<Shape> {
    let &[steps, 1, inputs] = graph.shape(whole.input(0)?)? else {
        return None;
    };
    let &[directions, rows, width] = graph.shape(whole.input(2)?)? else {
        return None;
    };
    let plain = ["activations", "activation_alpha", "activation_beta", "clip"];
    // Lengths of sequences, and peepholes.
    let more = [4, 7].iter().any(|i| whole.input(*i).is_some());
    let fits = rows == gates * width
        && graph.shape(whole.input(1)?)? == [directions, rows, inputs]
        && (1..=MAX_STEPS).contains(&steps);
    let others = plain.iter().any(|name| whole.attrs.contains_key(*name));
    let odd = whole.int("layout", 0) != 0 || whole.int("input_forget", 0) != 0;
    (fits && !more && !others && !odd).then_some(Shape {
        steps,
        hidden: width,
        inputs,
        directions,
        gates,
    })
}

/// The stored parameters of direction `d`. The two biases of a gate are one where nothing is between them.
/// `whole_product`: whether the state is multiplied by all of `R` at once.
fn direction(
    graph: &mut Graph,
    whole: &Node,
    shape: &Shape,
    d: usize,
    whole_product: bool,
) -> Option<Direction> {
    let rows = shape.gates * shape.hidden;
    let values = |graph: &Graph, i: usize| -> Option<Vec<f32>> {
        let all = graph.floats(whole.input(i)?)?;
        let each = all.len() / shape.directions;
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

/// The state before the first step as one row; the inner None where it is zero.
fn initial(
    writer: &mut Writer<'_>,
    whole: &Node,
    shape: &Shape,
    d: usize,
    i: usize,
    part: &str,
) -> Option<Option<String>> {
    let Some(name) = whole.input(i) else {
        return Some(None);
    };
    if let Some(values) = writer.graph.floats(name) {
        let row = values.get(d * shape.hidden..)?.get(..shape.hidden)?;
        // A stored state that is not zero would be an operand that is a constant row.
        return row.iter().all(|v| *v == 0.0).then_some(None);
    }
    let rows = writer.shape(&[shape.directions, shape.hidden], &format!("{part}/rows"));
    let all = writer.step("Reshape", &[name, &rows], &format!("{part}/all"));
    Some(Some(match shape.directions {
        1 => all,
        _ => writer.slice(&all, 0, (d, d + 1), part),
    }))
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
                writer.set("transB", 1);
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

/// All states `[steps][directions][1][hidden]`, the last ones and the last cells `[directions][1][hidden]`.
fn outputs(
    writer: &mut Writer<'_>,
    shape: &Shape,
    wanted: [Option<&String>; 3],
    all: &[Vec<String>],
    last: &[(String, Option<String>)],
) -> Option<()> {
    let mut joined = |names: Vec<&str>, dims: &[usize], what: &str, output: &str| {
        let rows = match names[..] {
            [one] => one.to_owned(),
            _ => {
                let rows = writer.step("Concat", &names, what);
                writer.set("axis", 0);
                rows
            }
        };
        let dims = writer.shape(dims, &format!("{what}_shape"));
        writer.write("Reshape", &[&rows, &dims], output);
    };
    let (steps, hidden, directions) = (shape.steps, shape.hidden, shape.directions);
    if let Some(output) = wanted[0] {
        let rows = (0..steps).flat_map(|t| all.iter().map(move |rows| rows[t].as_str()));
        joined(
            rows.collect(),
            &[steps, directions, 1, hidden],
            "all",
            output,
        );
    }
    if let Some(output) = wanted[1] {
        let rows = last.iter().map(|(state, _)| state.as_str());
        joined(rows.collect(), &[directions, 1, hidden], "last", output);
    }
    if let Some(output) = wanted[2] {
        let rows = last.iter().map(|(_, cell)| cell.as_deref());
        let rows = rows.collect::<Option<Vec<_>>>()?;
        joined(rows, &[directions, 1, hidden], "cells", output);
    }
    Some(())
}
