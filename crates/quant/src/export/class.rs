//! `<name>_model.hpp`: the model's class, which the toolkit's tutorial has one write by hand: layers
//! as members, constructor, `build` and `call`, which frees each tensor after its last reader.
//!
//! Layers and their parameters: `include/layer` of ESP-DL v1. Its tensors are images (rows, columns,
//! channels) without a batch axis, which is how the plan stores them too.

mod layers;

use std::fmt::Write;

use super::{Context, ExportError};
use crate::plan::{Layout, PlanTensor};

/// A header and the class in it.
pub(super) struct Class {
    pub(super) name: String,
    pub(super) text: String,
}

/// One member: `<class><arguments of the template> l<number>(<arguments>)`.
struct Member {
    /// `Conv2D`, and the header's name after `dl_layer_`.
    class: &'static str,
    header: &'static str,
    template: String,
    arguments: String,
    inputs: Vec<Value>,
    /// Takes its inputs as one list.
    list: bool,
    comment: String,
}

/// Where a tensor of the plan is found in C++.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Input,
    /// Output of a member, by its number.
    Member(usize),
}

impl Value {
    fn text(self) -> String {
        match self {
            Value::Input => "input".to_owned(),
            Value::Member(i) => format!("this->l{}.get_output()", i + 1),
        }
    }
}

struct Writer<'a> {
    context: &'a Context<'a>,
    members: Vec<Member>,
    /// Slopes that the coefficient files don't have, as definitions.
    slopes: Vec<String>,
    /// By tensor of the plan: where it is, and its shape there.
    values: Vec<Option<(Value, Vec<usize>)>>,
}

/// Shape of a tensor in ESP-DL.
pub(super) fn shape(tensor: &PlanTensor) -> Vec<usize> {
    let dims = &tensor.dims;
    match (tensor.layout, &dims[..]) {
        (Layout::ChannelsLast, &[_, c, h, w]) => vec![h, w, c],
        (Layout::ChannelsLast, &[_, c, l]) => vec![1, l, c],
        (_, [1, rest @ ..]) if !rest.is_empty() => rest.to_vec(),
        _ => dims.clone(),
    }
}

/// The class; the inner error says why ESP-DL can't run the model.
pub(super) fn class(context: &Context<'_>) -> Result<Result<Class, String>, ExportError> {
    let plan = context.plan;
    let [input] = plan.inputs[..] else {
        return Ok(Err("ESP-DL's models have one input.".to_owned()));
    };
    let mut writer = Writer {
        context,
        members: Vec::new(),
        slopes: Vec::new(),
        values: vec![None; plan.tensors.len()],
    };
    writer.values[input] = Some((Value::Input, shape(&plan.tensors[input])));
    for layer in &plan.layers {
        if let Err(why) = writer.layer(layer)? {
            return Ok(Err(format!("'{}': {why}", layer.name)));
        }
    }
    let outputs: Vec<Value> = (plan.outputs.iter())
        .filter_map(|i| writer.values[*i].as_ref())
        .map(|(value, _)| *value)
        .collect();
    if outputs.contains(&Value::Input) {
        return Ok(Err("an output is the input.".to_owned()));
    }
    Ok(Ok(Class {
        name: class_name(context.name),
        text: text(context, &writer, &outputs),
    }))
}

/// `mnist_coefficient` to `MnistCoefficientModel`.
fn class_name(name: &str) -> String {
    let mut class: String = (name.split('_'))
        .filter_map(|word| {
            let mut letters = word.chars();
            let first = letters.next()?.to_ascii_uppercase();
            Some(format!("{first}{}", letters.as_str()))
        })
        .collect();
    if class.starts_with(|c: char| c.is_ascii_digit()) {
        class.insert(0, '_');
    }
    class + "Model"
}

fn text(context: &Context<'_>, writer: &Writer<'_>, outputs: &[Value]) -> String {
    let members = &writer.members;
    let (element, class) = (context.element(), class_name(context.name));
    let mut headers: Vec<&str> = members.iter().map(|m| m.header).collect();
    headers.sort_unstable();
    headers.dedup();
    let mut text = String::from(
        "#pragma once\n\n#include <stdint.h>\n#include \"dl_layer_model.hpp\"\n#include \"dl_layer_base.hpp\"\n",
    );
    // Writing to a String never fails.
    for header in headers {
        let _ = writeln!(text, "#include \"dl_layer_{header}.hpp\"");
    }
    let _ = write!(
        text,
        "#include \"{}.hpp\"\n\n{}class {class} : public dl::layer::Model<{element}>\n{{\nprivate:\n",
        context.name,
        writer
            .slopes
            .iter()
            .map(|s| format!("{s}\n\n"))
            .collect::<String>()
    );
    for (i, m) in members.iter().enumerate() {
        let comment = m.comment.replace(['\n', '\r', '\\'], "_");
        let _ = writeln!(
            text,
            "    dl::layer::{}<{}> l{}; // {comment}",
            m.class,
            m.template,
            i + 1
        );
    }
    let initial: Vec<String> = (members.iter().enumerate())
        .map(|(i, m)| format!("          l{}({})", i + 1, m.arguments))
        .collect();
    let _ = write!(
        text,
        "\npublic:\n    {class}()\n        : {}\n    {{\n    }}\n",
        initial.join(",\n").trim_start()
    );
    for (k, output) in outputs.iter().enumerate() {
        let number = if outputs.len() > 1 {
            format!("_{k}")
        } else {
            String::new()
        };
        let _ = write!(
            text,
            "\n    dl::Tensor<{element}> &get_output{number}()\n    {{\n        return {};\n    }}\n",
            output.text()
        );
    }
    let _ = write!(
        text,
        "\n    void build(dl::Tensor<{element}> &input)\n    {{\n"
    );
    for (i, m) in members.iter().enumerate() {
        let _ = writeln!(text, "        this->l{}.build({});", i + 1, inputs(m));
    }
    let _ = write!(
        text,
        "    }}\n\n    void call(dl::Tensor<{element}> &input)\n    {{\n"
    );
    for (i, m) in members.iter().enumerate() {
        let _ = writeln!(text, "        this->l{}.call({});", i + 1, inputs(m));
        let mut freed: Vec<Value> = Vec::new();
        for &value in &m.inputs {
            let again = members[i + 1..].iter().any(|m| m.inputs.contains(&value));
            if !again && !outputs.contains(&value) && !freed.contains(&value) {
                let _ = writeln!(text, "        {}.free_element();", value.text());
                freed.push(value);
            }
        }
    }
    text.push_str("    }\n};\n");
    text
}

fn inputs(member: &Member) -> String {
    let values = member.inputs.iter().map(|v| v.text());
    match member.list {
        false => values.collect::<Vec<_>>().join(", "),
        true => {
            let addresses: Vec<String> = values.map(|v| format!("&{v}")).collect();
            format!("{{{}}}", addresses.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_in_cpp() {
        assert_eq!(class_name("mnist_coefficient"), "MnistCoefficientModel");
        assert_eq!(class_name("_2d"), "_2dModel");
    }
}
