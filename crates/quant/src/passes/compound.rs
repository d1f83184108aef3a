//! Operators that are made of several which run: normalisations, norms, LogSoftmax, quotients.

use super::simplify::{axis_in, ints, node, slice};
use crate::graph::{Attr, Constant, Graph, Node};
use crate::ops;

/// Writes one node after another, with tensors named after an output.
pub(super) struct Writer<'g> {
    pub(super) graph: &'g mut Graph,
    stem: String,
    pub(super) output: String,
    pub(super) nodes: Vec<Node>,
}

impl<'g> Writer<'g> {
    pub(super) fn new(graph: &'g mut Graph, whole: &Node) -> Writer<'g> {
        Writer {
            graph,
            stem: whole.name.clone(),
            output: whole.output().to_owned(),
            nodes: Vec::new(),
        }
    }

    /// A node whose output is called `part`; its name.
    pub(super) fn step(&mut self, op: &str, inputs: &[&str], part: &str) -> String {
        let name = self.graph.fresh_name(&format!("{}/{part}", self.output));
        self.write(op, inputs, &name);
        name
    }

    /// The same, under the name of another output of the whole, if that is wanted.
    fn step_or(&mut self, op: &str, inputs: &[&str], part: &str, wanted: Option<&str>) -> String {
        let Some(output) = wanted else {
            return self.step(op, inputs, part);
        };
        self.write(op, inputs, output);
        output.to_owned()
    }

    /// A node that writes `output`.
    pub(super) fn write(&mut self, op: &str, inputs: &[&str], output: &str) {
        let mut step = node(self.graph, &self.stem, op, inputs, output);
        if output != self.output {
            // The operator alone may be there more than once.
            step.name = self
                .graph
                .fresh_name(&format!("{output}/{}", op.to_lowercase()));
        }
        self.nodes.push(step);
    }

    /// The node that writes the output of the whole.
    fn last(mut self, op: &str, inputs: &[&str]) -> Vec<Node> {
        let output = self.output.clone();
        self.write(op, inputs, &output);
        self.nodes
    }

    /// A reduction that keeps its dimensions.
    fn reduce(&mut self, op: &str, input: &str, axes: &[usize], part: &str) -> String {
        self.reduce_or(op, input, axes, part, None)
    }

    fn reduce_or(
        &mut self,
        op: &str,
        input: &str,
        axes: &[usize],
        part: &str,
        wanted: Option<&str>,
    ) -> String {
        let output = self.step_or(op, &[input], part, wanted);
        self.set_axes(axes, true);
        output
    }

    /// Axes of the reduction that was written last, as the graph's opset has them.
    fn set_axes(&mut self, axes: &[usize], keep: bool) {
        let axes: Vec<i64> = axes.iter().map(|a| *a as i64).collect();
        let Some(last) = self.nodes.last_mut() else {
            return;
        };
        let since = if last.op == "ReduceSum" { 13 } else { 18 };
        if self.graph.opset < since {
            last.attrs.insert("axes".into(), Attr::Ints(axes));
        } else {
            let stem = format!("{}/axes", last.output());
            last.inputs.push(ints(self.graph, &stem, axes));
        }
        (last.attrs).insert("keepdims".into(), Attr::Int(keep.into()));
    }

    /// An attribute of the node that was written last.
    pub(super) fn set(&mut self, name: &str, value: Attr) {
        if let Some(last) = self.nodes.last_mut() {
            last.attrs.insert(name.into(), value);
        }
    }

    /// Indices `range` of `axis`.
    pub(super) fn slice(
        &mut self,
        input: &str,
        axis: usize,
        range: (usize, usize),
        part: &str,
    ) -> String {
        let output = self.graph.fresh_name(&format!("{}/{part}", self.output));
        let range = (range.0 as i64, range.1 as i64);
        let slice = slice(self.graph, &self.stem, input, &output, axis as i64, range);
        self.nodes.push(slice);
        output
    }

    fn number(&mut self, value: f32, part: &str) -> String {
        let name = self.graph.fresh_name(&format!("{}/{part}", self.output));
        (self.graph).add_constant(&name, Constant::float(vec![], vec![value]));
        name
    }

    pub(super) fn shape(&mut self, dims: &[usize], part: &str) -> String {
        let dims = dims.iter().map(|d| *d as i64).collect();
        let stem = format!("{}/{part}", self.output);
        ints(self.graph, &stem, dims)
    }
}

fn computed(graph: &Graph, name: &str) -> bool {
    !graph.constants.contains_key(name)
}

/// A Resize that takes matrices: the columns times one, and the rows, which take their place meanwhile.
pub(super) fn resize(graph: &mut Graph, resize: &Node) -> Option<(Vec<Node>, String)> {
    let [rows, columns] = ops::matrices(graph, resize)?;
    let mut current = resize.input(0)?.to_owned();
    let mut writer = Writer::new(graph, resize);
    let change = format!("'{}' became products of matrices", resize.name);
    let product = |writer: &mut Writer<'_>, current: &mut String, matrix: ops::Matrix, part| {
        let name = (writer.graph).fresh_name(&format!("{}/{part}/weights", writer.output));
        let weights = Constant::float(vec![matrix.input, matrix.output], matrix.weights);
        writer.graph.add_constant(&name, weights);
        *current = writer.step("MatMul", &[current, &name], part);
    };
    if let Some(columns) = columns {
        product(&mut writer, &mut current, columns, "columns");
    }
    if let Some(rows) = rows {
        let turned = Attr::Ints(vec![0, 1, 3, 2]);
        current = writer.step("Transpose", &[&current], "turned");
        writer.set("perm", turned.clone());
        product(&mut writer, &mut current, rows, "rows");
        current = writer.step("Transpose", &[&current], "back");
        writer.set("perm", turned);
    }
    Some((writer.last("Identity", &[&current]), change))
}

/// x - m - ln(sum of exp(x - m)) with the largest element m, along `axis`; before opset 13 along all
/// dimensions from there on.
pub(super) fn log_softmax(graph: &mut Graph, log: &Node) -> Option<(Vec<Node>, String)> {
    let input = log.input(0)?.to_owned();
    let dims = graph.shape(&input)?.to_vec();
    let (old, default) = (graph.opset < 13, if graph.opset < 13 { 1 } else { -1 });
    let axis = axis_in(log.int("axis", default), dims.len())?;
    let mut writer = Writer::new(graph, log);
    let lines = old && dims[axis + 1..].iter().any(|d| *d != 1);
    let (from, along) = if lines {
        let outer = dims[..axis].iter().product();
        let flat = [outer, dims[axis..].iter().product()];
        let flat = writer.shape(&flat, "lines");
        (writer.step("Reshape", &[&input, &flat], "flat"), 1)
    } else {
        (input, axis)
    };
    let largest = writer.reduce("ReduceMax", &from, &[along], "largest");
    let below = writer.step("Sub", &[&from, &largest], "below");
    let exp = writer.step("Exp", &[&below], "exp");
    let sum = writer.reduce("ReduceSum", &exp, &[along], "sum");
    let ln = writer.step("Log", &[&sum], "log");
    let new = if lines {
        let flat = writer.step("Sub", &[&below, &ln], "result");
        let shape = writer.shape(&dims, "shape");
        writer.last("Reshape", &[&flat, &shape])
    } else {
        writer.last("Sub", &[&below, &ln])
    };
    let change = format!("LogSoftmax '{}' became Exp, ReduceSum and Log", log.name);
    Some((new, change))
}

/// LayerNormalization and InstanceNormalization: (x - mean) / sqrt(variance + epsilon), times a stored
/// scale, plus a stored bias.
pub(super) fn normalization(graph: &mut Graph, whole: &Node) -> Option<(Vec<Node>, String)> {
    let input = whole.input(0)?.to_owned();
    let dims = graph.shape(&input)?.to_vec();
    // The mean and the reciprocal of the deviation may be outputs too.
    let wanted = |i: usize| {
        let name = whole.outputs.get(i).map(String::as_str);
        name.filter(|name| !name.is_empty())
    };
    let axes: Vec<usize> = match whole.op.as_str() {
        "LayerNormalization" => (axis_in(whole.int("axis", -1), dims.len())?..dims.len()).collect(),
        _ => (2..dims.len()).collect(),
    };
    if axes.is_empty() {
        return None;
    }
    // What belongs to channels stands in front of the dimensions behind them.
    let behind = match whole.op.as_str() {
        "InstanceNormalization" => dims.len() - 2,
        _ => 0,
    };
    let operand = |graph: &mut Graph, k: usize| -> Option<Option<String>> {
        let Some(name) = whole.input(k) else {
            return Some(None);
        };
        let values = graph.floats(name)?.to_vec();
        let mut shape = graph.shape(name)?.to_vec();
        shape.extend(std::iter::repeat_n(1, behind));
        let column = graph.fresh_name(&format!("{}/operand_{k}", whole.output()));
        graph.add_constant(&column, Constant::float(shape, values));
        Some(Some(column))
    };
    let (scale, bias) = (operand(graph, 1)??, operand(graph, 2)?);
    let epsilon = whole.float("epsilon", 1e-5);
    let mut writer = Writer::new(graph, whole);
    let mean = writer.reduce_or("ReduceMean", &input, &axes, "mean", wanted(1));
    let centred = writer.step("Sub", &[&input, &mean], "centred");
    let square = writer.step("Mul", &[&centred, &centred], "square");
    let variance = writer.reduce("ReduceMean", &square, &axes, "variance");
    let epsilon = writer.number(epsilon, "epsilon");
    let sum = writer.step("Add", &[&variance, &epsilon], "sum");
    let deviation = writer.step("Sqrt", &[&sum], "deviation");
    let inverse = writer.step_or("Reciprocal", &[&deviation], "inverse", wanted(2));
    let normal = writer.step("Mul", &[&centred, &inverse], "normal");
    let new = match bias {
        Some(bias) => {
            let scaled = writer.step("Mul", &[&normal, &scale], "scaled");
            writer.last("Add", &[&scaled, &bias])
        }
        None => writer.last("Mul", &[&normal, &scale]),
    };
    let change = format!("{} '{}' became its steps", whole.op, whole.name);
    Some((new, change))
}

/// ReduceL1, ReduceL2 and ReduceSumSquare: sums of absolute values or squares.
pub(super) fn norm(graph: &mut Graph, norm: &Node) -> Option<(Vec<Node>, String)> {
    let input = norm.input(0)?.to_owned();
    let dims = graph.shape(&input)?.to_vec();
    let (axes, keep) = ops::reduce_axes(graph, norm, dims.len())?;
    if axes.is_empty() {
        return None;
    }
    let mut writer = Writer::new(graph, norm);
    let term = match norm.op.as_str() {
        "ReduceL1" => writer.step("Abs", &[&input], "term"),
        _ => writer.step("Mul", &[&input, &input], "term"),
    };
    let new = if norm.op == "ReduceL2" {
        let sum = writer.step("ReduceSum", &[&term], "sum");
        writer.set_axes(&axes, keep);
        writer.last("Sqrt", &[&sum])
    } else {
        let output = writer.output.clone();
        writer.write("ReduceSum", &[&term], &output);
        writer.set_axes(&axes, keep);
        writer.nodes
    };
    Some((new, format!("{} '{}' became ReduceSum", norm.op, norm.name)))
}

/// LpNormalization: by the sum of absolute values or the root of that of squares.
pub(super) fn unit_length(graph: &mut Graph, whole: &Node) -> Option<(Vec<Node>, String)> {
    let input = whole.input(0)?.to_owned();
    let dims = graph.shape(&input)?.to_vec();
    let axis = axis_in(whole.int("axis", -1), dims.len())?;
    let op = match whole.int("p", 2) {
        1 => "ReduceL1",
        2 => "ReduceL2",
        _ => return None,
    };
    let mut writer = Writer::new(graph, whole);
    let length = writer.reduce(op, &input, &[axis], "length");
    let new = writer.last("Div", &[&input, &length]);
    Some((new, format!("LpNormalization '{}' became Div", whole.name)))
}

/// Division by a computed tensor is a product with its reciprocal.
pub(super) fn quotient(graph: &mut Graph, div: &Node) -> Option<(Vec<Node>, String)> {
    let (a, b) = (div.input(0)?.to_owned(), div.input(1)?.to_owned());
    if !computed(graph, &a) || !computed(graph, &b) || graph.shape(&b).is_none() {
        return None;
    }
    let mut writer = Writer::new(graph, div);
    let inverse = writer.step("Reciprocal", &[&b], "reciprocal");
    let new = writer.last("Mul", &[&a, &inverse]);
    let change = format!("Div '{}' became Mul with a reciprocal", div.name);
    Some((new, change))
}
