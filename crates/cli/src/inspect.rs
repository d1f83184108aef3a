//! `fixpoint inspect`: what is in an ONNX file, and what would become of it.

use std::path::PathBuf;

use fixpoint_quant::{Fate, Inspection, NodeInfo, ValueInfo};

use crate::failure::Failure;
use crate::model::SizeArgs;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// Show what 'quantize --requantize' would do with a model that is quantized already
    #[arg(long)]
    requantize: bool,
    #[command(flatten)]
    sizes: SizeArgs,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let inspection = args.sizes.read(&args.model, args.requantize)?.inspect();
    if args.json {
        let json = serde_json::to_string_pretty(&inspection);
        let json = json.map_err(|e| Failure::new(format!("can't print the model: {e}")))?;
        println!("{json}");
    } else {
        print!("{}", text(&inspection));
    }
    Ok(())
}

fn text(model: &Inspection) -> String {
    let mut lines = vec![format!(
        "{} (opset {}, {} parameters, {} multiply-accumulates{})",
        if model.name.is_empty() {
            "unnamed graph"
        } else {
            &model.name
        },
        model.opset,
        model.parameters,
        model.macs,
        if model.producer.is_empty() {
            String::new()
        } else {
            format!(", by {}", model.producer)
        },
    )];
    for (title, values) in [("input", &model.inputs), ("output", &model.outputs)] {
        lines.extend(values.iter().map(|v| format!("{title}  {}", value(v))));
    }
    if let Some(found) = &model.quantization {
        let fate = match found.fate {
            Fate::Taken => "taken as it is",
            Fate::Requantized => "to be quantized anew",
            Fate::Refused => "not ours; see below",
        };
        lines.push(format!(
            "quantized already ({}: {}): {fate}",
            found.form, found.scheme
        ));
    }
    lines.push(format!(
        "\nnodes ({} in the file, {} after the passes)",
        model.original.len(),
        model.nodes.len()
    ));
    lines.extend(model.nodes.iter().map(node));
    for pass in model.passes.iter().filter(|p| !p.changes.is_empty()) {
        let (before, after) = (pass.nodes_before, pass.nodes_after);
        let nodes = match before == after {
            true => format!("{before} nodes"),
            false => format!("{before} nodes to {after}"),
        };
        let title = format!("\n{} ({nodes}): {}", pass.name, pass.description);
        lines.push(title);
        lines.extend(pass.changes.iter().map(|c| format!("  {c}")));
    }
    lines.push(String::new());
    if model.problems.is_empty() {
        lines.push("This model can be quantized.".into());
    } else {
        lines.push("This model can't be quantized as it is:".into());
        lines.extend(model.problems.iter().map(|p| format!("  {p}")));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn node(node: &NodeInfo) -> String {
    let outputs: Vec<String> = node.outputs.iter().map(value).collect();
    let reason = node
        .reason
        .as_deref()
        .map(|r| format!("  not supported: {r}"));
    format!(
        "  {:<20} {:<28} {}{}",
        node.op,
        node.name,
        outputs.join(", "),
        reason.unwrap_or_default()
    )
}

fn value(value: &ValueInfo) -> String {
    let dims = value.dims.as_ref().map(|dims| {
        let parts: Vec<String> = dims.iter().map(ToString::to_string).collect();
        parts.join("x")
    });
    format!(
        "{} {}",
        value.name,
        dims.as_deref().unwrap_or("(shape not known)")
    )
}
