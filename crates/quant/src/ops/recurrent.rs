//! LSTM and GRU: what of them is written out step by step, and what is not.

use super::{Refusal, input_dims, refuse, weights};
use crate::graph::{Attr, Graph, Node};

/// The most steps of one of them.
const MAX_STEPS: usize = 64;

/// The most steps of a whole model, each direction counted. Every step is some ten layers, and the time that
/// the host and the chip take to check that many grows faster than with their square.
const MAX_STEPS_OF_ALL: usize = 128;

/// An LSTM or GRU that can be written out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recurrent {
    pub(crate) steps: usize,
    pub(crate) batch: usize,
    pub(crate) inputs: usize,
    pub(crate) hidden: usize,
    /// Parts of `W` and `R`: 4, of a GRU 3.
    pub(crate) gates: usize,
    /// By direction, whether it runs from the last step to the first.
    pub(crate) backwards: &'static [bool],
    /// The batch comes before the steps (layout 1).
    pub(crate) batch_first: bool,
}

impl Recurrent {
    pub(crate) fn directions(&self) -> usize {
        self.backwards.len()
    }

    /// Steps of all directions.
    pub(crate) fn all_steps(&self) -> usize {
        self.steps * self.directions()
    }
}

/// Checks a node; the shape of its input must be known.
pub(crate) fn recurrent(graph: &Graph, node: &Node) -> Result<Recurrent, Refusal> {
    let lstm = node.op == "LSTM";
    let batch_first = match node.int("layout", 0) {
        0 => false,
        1 => true,
        other => return refuse(format!("its layout {other} is not known.")),
    };
    let &[first, second, inputs] = input_dims(graph, node, 0)? else {
        return refuse("its input is no sequence (steps, batch, values).");
    };
    let (steps, batch) = if batch_first {
        (second, first)
    } else {
        (first, second)
    };
    let backwards: &[bool] = match node.str("direction", "forward").as_str() {
        "forward" => &[false],
        "reverse" => &[true],
        "bidirectional" => &[false, true],
        other => return refuse(format!("its direction '{other}' is not known.")),
    };
    let gates = if lstm { 4 } else { 3 };
    let (w, r) = (weights(graph, node, 1)?.0, weights(graph, node, 2)?.0);
    let hidden = r.last().copied().unwrap_or(0);
    let directions = backwards.len();
    if w != [directions, gates * hidden, inputs] || r != [directions, gates * hidden, hidden] {
        return refuse(format!(
            "its weights {w:?} and {r:?} don't fit its input of {inputs} values and {directions} direction{}.",
            if directions == 1 { "" } else { "s" }
        ));
    }
    if node.input(3).is_some()
        && weights(graph, node, 3)?.1.len() != directions * 2 * gates * hidden
    {
        return refuse("its biases don't fit its weights.");
    }
    let zeros = |i: usize| {
        let stored = node.input(i).and_then(|name| graph.floats(name));
        stored.map(|values| values.iter().all(|v| *v == 0.0))
    };
    if let Some(name) = node.input(4) {
        let lengths = graph.int_values(name);
        if lengths.is_none_or(|l| l.iter().any(|l| usize::try_from(*l) != Ok(steps))) {
            return refuse(format!(
                "its sequence_lens are not all the {steps} steps of its input. Export it without them."
            ));
        }
    }
    for (i, what) in [(5, "initial_h"), (6, "initial_c")] {
        if zeros(i) == Some(false) {
            return refuse(format!(
                "its {what} is stored and not zero. Make it an input of the model, or start from zeros."
            ));
        }
    }
    if node.input(7).is_some() && zeros(7) != Some(true) {
        return refuse("its peepholes (P) are not supported. Train it without them.");
    }
    functions(node, directions)?;
    if node.attrs.contains_key("clip") {
        return refuse("its clip is not supported. Train it without one.");
    }
    if node.int("input_forget", 0) != 0 {
        return refuse("its input_forget is not supported. Train it without.");
    }
    let found = Recurrent {
        steps,
        batch,
        inputs,
        hidden,
        gates,
        backwards,
        batch_first,
    };
    if steps > MAX_STEPS {
        return refuse(format!(
            "it has {steps} steps, each of which is written out; {MAX_STEPS} is the most. Shorten the sequence, or \
             export the model for one step, with its state as inputs and outputs."
        ));
    }
    let all = graph.written_steps + found.all_steps();
    if all > MAX_STEPS_OF_ALL {
        return refuse(format!(
            "with it {all} steps of LSTM and GRU would be written out (each direction counted); {MAX_STEPS_OF_ALL} is \
             the most of a model, as the time to check them grows faster than their square. Shorten the sequence, use \
             fewer of these layers, or export the model for one step, with its state as inputs and outputs."
        ));
    }
    Ok(found)
}

/// Only the functions that the operators have without `activations`; then its numbers don't matter.
fn functions(node: &Node, directions: usize) -> Result<(), Refusal> {
    let usual: &[&str] = match node.op.as_str() {
        "LSTM" => &["Sigmoid", "Tanh", "Tanh"],
        _ => &["Sigmoid", "Tanh"],
    };
    let given = match node.attrs.get("activations") {
        None => return Ok(()),
        Some(Attr::Strings(given)) => &given[..],
        Some(_) => &[],
    };
    let count = directions * usual.len();
    let mut pairs = given.iter().zip(usual.iter().cycle());
    if given.len() != count {
        return refuse(format!(
            "its activations are {} names, where {} belong.",
            given.len(),
            count
        ));
    }
    match pairs.find(|(given, wanted)| !given.eq_ignore_ascii_case(wanted)) {
        None => Ok(()),
        Some((given, wanted)) => refuse(format!(
            "its activations have '{given}' in place of {wanted}; only {} are supported. Train it with those.",
            usual.join(", ")
        )),
    }
}
