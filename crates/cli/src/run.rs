//! `fixpoint run`: samples through the model on a board.

use std::path::PathBuf;

use fixpoint_protocol::host::{self, Board, Event, Inference, LinkClient};
use fixpoint_quant::{Port as Converter, TensorInfo};

use crate::data::{self, PreprocessArgs};
use crate::failure::Failure;
use crate::files::{self, Batch};
use crate::flash::describe;
use crate::port::Port;
use crate::simulate;
use crate::terminal::{Bar, note};
use crate::trace::Trace;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Serial port, or tcp://HOST:PORT for a bridge or 'fixpoint emulate'
    #[arg(long, value_name = "PORT")]
    port: String,
    /// Samples, along axis 0; of a model with several inputs an .npz with one array for each, called
    /// as the input is or x_0, x_1, ...
    #[arg(long, value_name = "X.npy|X.npz")]
    input: PathBuf,
    /// Where the first output (.npy) or all outputs by name (.npz) go
    #[arg(long, value_name = "Y.npy|Y.npz")]
    output: PathBuf,
    /// Integers in (in the model's input exponent, ONNX order) and integers out
    #[arg(long)]
    raw: bool,
    /// Stop behind every layer of the first sample and write its output there: NUMBER.npy, integers, with channels as
    /// the board stores them; with '--compare' in the order of the ONNX file
    #[arg(long, value_name = "DIR")]
    pub(crate) dump: Option<PathBuf>,
    /// Stop behind every layer and compare its output with the simulator's
    #[arg(long, value_name = "MODEL.fxp")]
    pub(crate) compare: Option<PathBuf>,
    #[command(flatten)]
    preprocess: PreprocessArgs,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    files::check_array_path(&args.output)?;
    let mut port = Port::open(&args.port)?;
    let mut client = LinkClient::default();
    client.connect();
    converse(&mut port, &mut client)?;
    let board = match client.board() {
        Some(board) => board.clone(),
        None => return Err(Failure::new("no board answered")),
    };
    note(&describe(&board));
    let model = match &board.model {
        Ok(model) => model.clone(),
        Err(problem) => return Err(Failure::new(problem.to_string())),
    };
    let inputs = converters(&model.inputs, &board)?;
    let outputs = converters(&model.outputs, &board)?;
    let samples = read_samples(args, &inputs)?;

    client.describe_layers();
    let layers = match converse(&mut port, &mut client)? {
        Some(Event::Layers(layers)) => layers,
        _ => Vec::new(),
    };

    let mut trace = Trace::new(args, model.id, &layers)?;
    let mut batches: Vec<Batch> = Vec::new();
    let mut runs = Vec::new();
    let mut bar = Bar::new("running");
    let count = samples.len();
    for (number, bytes) in samples.into_iter().enumerate() {
        bar.show(number, count);
        let layer_by_layer = trace.wants(number);
        if layer_by_layer {
            client.trace(bytes.clone(), layers.iter().map(|l| l.bytes).collect());
        } else {
            client.infer(bytes.clone());
        }
        let mut outputs_of_layers = Vec::new();
        let last = converse_with(&mut port, &mut client, |bytes| {
            outputs_of_layers.push(bytes)
        });
        let last = last.map_err(|error| match layer_by_layer {
            true => error.help(
                "a board with older firmware can't stop behind a layer: 'fixpoint flash' brings it up to date",
            ),
            false => error,
        })?;
        let Some(Event::Inference(inference)) = last else {
            return Err(Failure::new("the board gave no result").help("try again"));
        };
        trace.take(number, &bytes, &outputs_of_layers)?;
        let decoded = (outputs.iter().zip(&inference.outputs))
            .map(|(converter, bytes)| converter.decode(bytes))
            .collect::<Result<Vec<_>, _>>()?;
        if batches.is_empty() {
            batches = decoded
                .iter()
                .map(|one| simulate::empty(one, args.raw))
                .collect();
        }
        for (batch, one) in batches.iter_mut().zip(&decoded) {
            simulate::append(batch, one);
        }
        runs.push(inference);
    }
    drop(bar);
    files::write_outputs(&args.output, &batches)?;
    print_times(&board, &layers, &runs);
    trace.finish()
}

fn converse(port: &mut Port, client: &mut LinkClient) -> Result<Option<Event>, Failure> {
    converse_with(port, client, |_| ())
}

/// Runs the client's job; console text goes to stderr, outputs of layers to `layer`. The last event that
/// is none of these and no progress.
fn converse_with(
    port: &mut Port,
    client: &mut LinkClient,
    mut layer: impl FnMut(Vec<u8>),
) -> Result<Option<Event>, Failure> {
    let mut last = None;
    let outcome = port.converse(client, |event| match event {
        Event::Console(text) => eprint!("{text}"),
        Event::Progress { .. } => {}
        Event::LayerOutput { bytes, .. } => layer(bytes),
        other => last = Some(other),
    })?;
    outcome.map_err(|error| Failure::new(error.to_string()))?;
    Ok(last)
}

/// Conversion of each tensor between floats in ONNX order and the board's bytes.
fn converters(tensors: &[host::Tensor], board: &Board) -> Result<Vec<Converter>, Failure> {
    let convert = |tensor: &host::Tensor| {
        let width = u32::from(tensor.element.bytes());
        let elements = tensor
            .dims
            .iter()
            .try_fold(1u32, |product, &dim| product.checked_mul(dim));
        // What a board says decides about memory here, so it is checked against what it has.
        let sound = elements.and_then(|count| count.checked_mul(width)) == Some(tensor.bytes)
            && tensor.bytes <= board.arena_available
            && (!tensor.channels_last || matches!(tensor.dims.len(), 3 | 4));
        if !sound {
            let name = &tensor.name;
            return Err(Failure::new(format!(
                "the board describes tensor '{name}' inconsistently"
            ))
            .help("flash it again with 'fixpoint flash'"));
        }
        let info = TensorInfo {
            name: tensor.name.clone(),
            dims: tensor.dims.iter().map(|&dim| dim as usize).collect(),
            exponent: tensor.exponent.into(),
            bits: 8 * width,
        };
        Ok(Converter::of(info, tensor.channels_last))
    };
    tensors.iter().map(convert).collect()
}

/// Every sample as the board wants it, input by input, read by the rules of `fixpoint simulate`.
fn read_samples(args: &Args, converters: &[Converter]) -> Result<Vec<Vec<Vec<u8>>>, Failure> {
    let infos = converters.iter().map(Converter::info);
    let inputs = data::inputs(infos.map(|info| (&*info.name, Some(&info.dims[..]))))?;
    let samples = data::load(&args.input, &inputs, &args.preprocess, None)?;
    let integers = simulate::raw_integers(args.raw, &samples, "integers");
    let encoded = |number: usize| -> Result<Vec<Vec<u8>>, fixpoint_quant::SimulateError> {
        if integers {
            (converters.iter().zip(samples.integers(number)))
                .map(|(converter, values)| converter.encode_integers(&values))
                .collect()
        } else {
            (converters.iter().zip(samples.sample(number)))
                .map(|(converter, values)| converter.encode(values))
                .collect()
        }
    };
    (0..samples.len())
        .map(|number| encoded(number).map_err(|error| Failure::from(error).about(&args.input)))
        .collect()
}

/// Milliseconds per sample and cycles per layer, on stdout.
fn print_times(board: &Board, layers: &[host::Layer], runs: &[Inference]) {
    if board.virtual_board {
        note("a virtual board measures no time");
        return;
    }
    let ms = |cycles: u64| cycles as f64 * 1000.0 / f64::from(board.cpu_hz.max(1));
    for (number, run) in runs.iter().enumerate() {
        println!(
            "sample {number}: {:.3} ms ({} cycles)",
            ms(run.cycles),
            run.cycles
        );
    }
    let count = (runs.len() as u64).max(1);
    let total = runs.iter().map(|run| run.cycles).sum::<u64>() / count;
    println!(
        "{:>5} {:<18} {:>12} {:>9} {:>6}  name",
        "layer", "operator", "cycles", "ms", "%"
    );
    let row = |number: &str, operator: &str, cycles: u64, name: &str| {
        println!(
            "{number:>5} {operator:<18} {cycles:>12} {:>9.3} {:>6.1}  {name}",
            ms(cycles),
            cycles as f64 * 100.0 / total.max(1) as f64
        );
    };
    for (at, layer) in layers.iter().enumerate() {
        let counts = runs.iter().filter_map(|run| run.layer_cycles.get(at));
        let sum: u64 = counts.map(|&cycles| u64::from(cycles)).sum();
        row(&at.to_string(), &layer.operator, sum / count, &layer.name);
    }
    row("all", "", total, "average of all samples");
}
