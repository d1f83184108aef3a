//! Which nodes run together as one layer: an activation inside the layer before it, and functions
//! of one number, however many nodes they are written with, as one table.

use std::collections::BTreeSet;

use crate::graph::{Graph, Node};
use crate::ops::{Binary, Function, scalar};
use crate::options::Arithmetic;

/// What becomes of a node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Role {
    /// A layer of its own.
    Layer,
    /// A layer with the activation that this other node computes.
    Activated(usize),
    /// Part of another node's layer, or needed by nobody.
    Inside,
    /// The last node of a function of one tensor.
    Table(Program),
}

/// A function of one number as a sequence of steps.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Program {
    /// The tensor it is a function of.
    pub(crate) source: String,
    /// Operators in order, for people.
    pub(crate) ops: Vec<String>,
    steps: Vec<Step>,
}

/// Operand 0 is the argument, operand `i + 1` the result of step `i`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Constant(f64),
    Function(Function, usize),
    Binary(Binary, usize, usize),
    Quotient(usize, usize),
}

impl Program {
    /// Its value; not finite where the function has none.
    pub(crate) fn at(&self, x: f64) -> f64 {
        let mut values = vec![x];
        for step in &self.steps {
            values.push(match *step {
                Step::Constant(v) => v,
                Step::Function(f, a) => f.at(values[a]),
                Step::Binary(op, a, b) => op.at(values[a], values[b]),
                Step::Quotient(a, b) => values[a] / values[b],
            });
        }
        values[values.len() - 1]
    }

    /// Whether lines between some of its values are no good.
    pub(crate) fn jumps(&self) -> bool {
        (self.steps.iter()).any(|step| matches!(step, Step::Function(f, _) if f.jumps()))
    }

    /// Its only step, if that is a function.
    pub(crate) fn function(&self) -> Option<Function> {
        match *self.steps {
            [Step::Function(f, 0)] => Some(f),
            _ => None,
        }
    }

    /// Its only step, if that is a clamp: low and high.
    pub(crate) fn clip(&self) -> Option<(f64, f64)> {
        match *self.steps {
            [Step::Function(Function::Clip { low, high }, 0)] => Some((low, high)),
            _ => None,
        }
    }
}

/// Most nodes of one table; longer chains are cut.
const MAX_STEPS: usize = 64;

/// The roles of all nodes, in their order. Shapes must be known. In the espdl arithmetic every
/// function is a layer of its own, as in ESP-DL.
pub(crate) fn roles(graph: &Graph, arithmetic: Arithmetic) -> Vec<Role> {
    let mut roles = vec![Role::Layer; graph.nodes.len()];
    for i in 0..graph.nodes.len() {
        if linear(&graph.nodes[i])
            && let Some(a) = activation(graph, i).filter(|a| joins(graph, *a, arithmetic))
        {
            roles[i] = Role::Activated(a);
            roles[a] = Role::Inside;
        }
    }
    match arithmetic {
        Arithmetic::Fixpoint => tables(graph, &mut roles),
        Arithmetic::Espdl => single_tables(graph, &mut roles),
    }
    for i in 0..graph.nodes.len() {
        if roles[i] == Role::Layer
            && Binary::of(&graph.nodes[i].op).is_some()
            && let Some(a) = activation(graph, i).filter(|a| roles[*a] == Role::Layer)
        {
            roles[i] = Role::Activated(a);
            roles[a] = Role::Inside;
        }
    }
    roles
}

fn linear(node: &Node) -> bool {
    matches!(
        node.op.as_str(),
        "Conv" | "ConvTranspose" | "Gemm" | "MatMul"
    )
}

/// Whether an activation becomes part of the layer in front of it. In the fixpoint arithmetic a slope is a layer
/// of its own, as other functions are: the vector unit's convolutions clamp, but don't multiply their sums
/// again. Where the exponents are those of a file or of the toolkit's table, there is none for what would be
/// in between, or one that is made for what comes after it.
fn joins(graph: &Graph, activation: usize, arithmetic: Arithmetic) -> bool {
    let bends = matches!(graph.nodes[activation].op.as_str(), "LeakyRelu" | "PRelu");
    !bends || arithmetic == Arithmetic::Espdl || !graph.given.is_empty() || !graph.tabled.is_empty()
}

/// The node that only clamps or bends what node `i` computes: read by nobody else in between.
fn activation(graph: &Graph, i: usize) -> Option<usize> {
    let node = &graph.nodes[i];
    if !graph.is_read_once(node.output()) {
        return None;
    }
    let next = *graph.consumers(node.output()).first()?;
    // A quantized file may round in between. Clamping commutes with that at one scale only.
    let given = |i: usize| graph.given.exponent(graph.nodes[i].output());
    if given(i).is_some() {
        let clamps = matches!(graph.nodes[next].op.as_str(), "Relu" | "Clip");
        if !clamps || given(i) != given(next) {
            return None;
        }
    }
    let fits = match graph.nodes[next].op.as_str() {
        "Relu" => true,
        "Clip" => Function::of(graph, &graph.nodes[next]).is_some_and(sound_limits),
        "LeakyRelu" | "PRelu" => linear(node) && node.op != "MatMul",
        _ => false,
    };
    (fits && graph.nodes[next].input(0) == Some(node.output())).then_some(next)
}

fn sound_limits(f: Function) -> bool {
    matches!(f, Function::Clip { low, high } if low <= high && (low.is_finite() || high.is_finite()))
}

/// How a node is a function of one computed tensor of its own shape.
fn step(graph: &Graph, node: &Node) -> Option<Vec<String>> {
    let same_shape = |name: &str| graph.shape(name) == graph.shape(node.output());
    graph.shape(node.output())?;
    let operands: Vec<String> = match node.op.as_str() {
        "Add" | "Sub" | "Mul" | "Max" | "Min" | "Div" => {
            let computed: Vec<String> = (node.inputs.iter())
                .filter(|n| scalar(graph, n).is_none())
                .cloned()
                .collect();
            let any = computed.iter().all(|n| !graph.constants.contains_key(n));
            (any && node.inputs.len() == 2 && !computed.is_empty()).then_some(computed)?
        }
        _ => {
            Function::of(graph, node)?;
            vec![node.input(0)?.to_owned()]
        }
    };
    let fits = (operands.iter()).all(|n| same_shape(n) && !graph.constants.contains_key(n));
    fits.then_some(operands)
}

/// Operators that ESP-DL's toolkit has and which keep their own layer unless others join in.
fn plain(op: &str) -> bool {
    matches!(
        op,
        "Add" | "Sub" | "Mul" | "Max" | "Min" | "Relu" | "LeakyRelu"
    )
}

/// One table for each function of one number.
fn single_tables(graph: &Graph, roles: &mut [Role]) {
    for (node, role) in graph.nodes.iter().zip(roles) {
        let operands = match role {
            Role::Layer => step(graph, node),
            _ => None,
        };
        let Some([source]) = operands.as_deref() else {
            continue;
        };
        let program = (graph.producer_of(node.output()))
            .filter(|_| !plain(&node.op))
            .and_then(|i| program(graph, i, source));
        if let Some(program) = program {
            *role = Role::Table(program);
        }
    }
}

fn tables(graph: &Graph, roles: &mut [Role]) {
    let producer = |name: &str| graph.producer_of(name);
    // For every computed tensor the tensors that it is a function of, itself first: each decides
    // it alone.
    let mut deciders: Vec<Vec<String>> = Vec::with_capacity(graph.nodes.len());
    for (i, node) in graph.nodes.iter().enumerate() {
        let mut list = vec![node.output().to_owned()];
        let operands = match roles[i] {
            Role::Layer => step(graph, node),
            _ => None,
        };
        if let Some(operands) = operands {
            // What a quantized file rounds is not passed over.
            let rounded = |name: &String| graph.given.exponent(name).is_some();
            let of = |name: &String| match producer(name) {
                Some(p) if p < i && !rounded(name) => deciders[p].clone(),
                _ => vec![name.clone()],
            };
            let mut common = of(&operands[0]);
            for other in operands.iter().skip(1) {
                let theirs = of(other);
                common.retain(|n| theirs.contains(n));
            }
            list.extend(common);
        }
        deciders.push(list);
    }
    // From the end: what is needed, and as a function of what.
    let mut needed: BTreeSet<String> = graph.outputs.iter().cloned().collect();
    for i in (0..graph.nodes.len()).rev() {
        let node = &graph.nodes[i];
        let out = match roles[i] {
            Role::Activated(a) => graph.nodes[a].output(),
            _ => node.output(),
        };
        if roles[i] == Role::Inside {
            continue;
        }
        if !needed.contains(out) {
            // Every other node is needed: dead ones are gone by now.
            if roles[i] == Role::Layer && deciders[i].len() > 1 {
                roles[i] = Role::Inside;
                continue;
            }
        }
        let program = (deciders[i].iter().skip(1).rev())
            .find_map(|source| program(graph, i, source))
            .filter(|p| !p.ops.iter().all(|op| plain(op)));
        match program {
            Some(program) => {
                needed.insert(program.source.clone());
                roles[i] = Role::Table(program);
            }
            None => needed.extend(node.inputs.iter().cloned()),
        }
    }
}

/// The nodes between `source` and the output of node `last`, as steps.
fn program(graph: &Graph, last: usize, source: &str) -> Option<Program> {
    let mut inside: BTreeSet<usize> = BTreeSet::new();
    let mut open = vec![last];
    while let Some(i) = open.pop() {
        if !inside.insert(i) {
            continue;
        }
        if inside.len() > MAX_STEPS {
            return None;
        }
        for name in step(graph, &graph.nodes[i])? {
            if name != source {
                open.push(graph.producer_of(&name)?);
            }
        }
    }
    let mut program = Program {
        source: source.to_owned(),
        ops: Vec::new(),
        steps: Vec::new(),
    };
    let mut place = std::collections::BTreeMap::from([(source.to_owned(), 0)]);
    for i in inside {
        let node = &graph.nodes[i];
        let operand = |program: &mut Program, name: &str| -> Option<usize> {
            if let Some(at) = place.get(name) {
                return Some(*at);
            }
            program.steps.push(Step::Constant(scalar(graph, name)?));
            Some(program.steps.len())
        };
        let a = operand(&mut program, node.input(0)?)?;
        let step = match (Binary::of(&node.op), node.op.as_str()) {
            (Some(op), _) => Step::Binary(op, a, operand(&mut program, node.input(1)?)?),
            (None, "Div") => Step::Quotient(a, operand(&mut program, node.input(1)?)?),
            _ => Step::Function(Function::of(graph, node)?, a),
        };
        program.steps.push(step);
        program.ops.push(node.op.clone());
        place.insert(node.output().to_owned(), program.steps.len());
    }
    Some(program)
}
