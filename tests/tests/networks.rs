//! What whole networks cost on the chip: the public models of `shared/`, quantized as by default, every
//! layer executed in the emulator by the firmware's own code, bit for bit as on the host.
//!
//! `cargo xtask bench device` prints the table, with `--layers` every layer; without the Xtensa build
//! or without `shared/` this is skipped. Models that have no samples beside them are calibrated with
//! random ones, and are marked: what they cost hardly depends on that.
#![cfg(not(target_arch = "wasm32"))]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use fixpoint_dataset::{InputShape, LoadOptions, NamedFile, Preprocess, load_with};
use fixpoint_emulator::elf::Elf;
use fixpoint_quant::{Bits, FloatModel, Request, Samples, Simulator, quantize};
use fixpoint_runtime::{AlignedBytes, Model};
use fixpoint_tests::random::Random;

mod goal;
mod measure;
use goal::Goals;
use measure::{HZ, Layer, Measured, job_of, measured, on_host};

/// Samples for calibration.
const SAMPLES: usize = 32;

/// What is known of a network from elsewhere.
struct Known {
    folder: &'static str,
    bits: Bits,
    /// Milliseconds published for it on this chip at 240 MHz.
    published: Option<f64>,
    /// Milliseconds that are aimed at.
    goal: Option<f64>,
    /// Most instructions, in thousands, that are allowed: what has been reached, and a little more.
    limit: Option<u64>,
}

/// MobileNetV1-0.25: TensorFlow Lite Micro's person detection, 96x96 (esp-tflite-micro's README).
/// The MLP: ESP-DL's tutorial prints 7,243 us.
const KNOWN: [Known; 3] = [
    Known {
        folder: "mlperf_vww_mobilenet",
        bits: Bits::I8,
        published: Some(54.0),
        goal: Some(12.0),
        limit: Some(905),
    },
    Known {
        folder: "mnist",
        bits: Bits::I16,
        published: Some(7.243),
        goal: Some(1.5),
        limit: Some(20),
    },
    Known {
        folder: "mnist",
        bits: Bits::I8,
        published: None,
        goal: None,
        limit: Some(15),
    },
];

struct Network {
    /// The folder's name.
    name: String,
    onnx: Vec<u8>,
    /// A file of samples.
    samples: Option<NamedFile>,
}

fn networks() -> Vec<Network> {
    let shared = env::var_os("FIXPOINT_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let file = |path: PathBuf| -> Option<NamedFile> {
        let name = path.file_name()?.to_str()?.to_owned();
        let bytes = fs::read(&path).ok()?;
        Some(NamedFile { path: name, bytes })
    };
    let mut found = Vec::new();
    let mnist = shared.join("data/espdl/mnist");
    if let Ok(onnx) = fs::read(mnist.join("mnist_model_example.onnx")) {
        found.push(Network {
            name: "mnist".to_owned(),
            onnx,
            samples: file(mnist.join("t10k-images-idx3-ubyte.gz")),
        });
    }
    let mut folders: Vec<PathBuf> = (fs::read_dir(shared.join("data/models")).into_iter())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    folders.sort();
    for folder in folders {
        let Ok(onnx) = fs::read(folder.join("model.onnx")) else {
            continue;
        };
        let name = folder.file_name().unwrap_or_default();
        found.push(Network {
            name: name.to_string_lossy().into_owned(),
            onnx,
            samples: file(folder.join("calib.npz")),
        });
    }
    found
}

impl Network {
    /// Samples of its one input.
    fn data(&self, dims: &[usize]) -> Vec<f32> {
        if let Some(file) = &self.samples {
            let preprocess = Preprocess {
                channels: fixpoint_dataset::Channels::Grey,
                ..Preprocess::default()
            };
            let options = LoadOptions {
                limit: Some(SAMPLES),
            };
            let target = InputShape::new(dims);
            let files = vec![file.clone()];
            let loaded = load_with(files, &target, &preprocess, &options, &mut |_, _| ());
            return loaded.expect("samples for the model beside them").data;
        }
        let mut random = Random(3);
        let elements: usize = dims.iter().product();
        (0..4 * elements)
            .map(|_| random.between(0, 1000) as f32 / 1000.0)
            .collect()
    }

    /// Image and the first sample as the image has it.
    fn quantized(&self, bits: Bits) -> (Vec<u8>, Vec<u8>) {
        let model = FloatModel::from_onnx(&self.onnx).expect("a model that can be read");
        let dims: Vec<usize> = (model.inputs()[0].dims.clone()).expect("dimensions");
        let data = self.data(&dims);
        let samples = Samples::single(&data, dims.iter().product()).expect("whole samples");
        let request = Request {
            bits: Some(bits),
            ..Request::default()
        };
        let quantized = quantize(&model, &samples, &request.options(), &mut |_| ());
        let image = quantized.expect("a model that can be taken").image;
        let simulator = Simulator::new(&image).expect("an image of ours");
        let input = simulator.input_bytes(0, samples.get(0)[0]);
        (image, input.expect("its own input"))
    }
}

fn shown(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

fn ratio(instructions: u64, macs: u64) -> String {
    match macs {
        0 => "-".to_owned(),
        _ => format!("{:.3}", instructions as f64 / macs as f64),
    }
}

/// The layers with their goals, which are noted, and under them the kinds of layer with their parts of the whole.
fn print_layers(
    network: &str,
    model: &Model<'_>,
    layers: &[Layer],
    total: Layer,
    goals: &mut Goals,
) {
    println!(
        "  {:>3} {:<18} {:<34} {:<14} {:>9} {:>10} {:>9} {:>4} {:>9} {:>6} {:>6}",
        "",
        "operator",
        "name",
        "output",
        "MAC",
        "instr.",
        "instr/MAC",
        "goal",
        "us (est.)",
        "part",
        "unit"
    );
    let mut kinds: BTreeMap<&str, Layer> = BTreeMap::new();
    let part = |layer: &Layer| 100.0 * layer.cycles as f64 / total.cycles as f64;
    for (layer, cost) in model.layers().zip(layers) {
        let output = model.tensor(layer.output).expect("an output");
        let dims: Vec<String> = output.dims().iter().map(ToString::to_string).collect();
        let name: String = layer.name.chars().rev().take(34).collect();
        let name: String = name.chars().rev().collect();
        let goal = goal::goal(model, &layer);
        if let Some(goal) = goal {
            let name = format!("{network} {} {name}", layer.index);
            goals.note(&name, goal, cost.instructions, layer.macs);
        }
        println!(
            "  {:>3} {:<18} {:<34} {:<14} {:>9} {:>10} {:>9} {:>4} {:>9.1} {:>5.1}% {:>5.0}%",
            layer.index,
            layer.operator,
            name,
            dims.join("x"),
            layer.macs,
            cost.instructions,
            ratio(cost.instructions, layer.macs),
            goal.map_or("-".to_owned(), |goal| format!("{goal:.2}")),
            cost.cycles as f64 / HZ * 1e6,
            part(cost),
            100.0 * cost.vector as f64 / cost.instructions as f64,
        );
        let kind = kinds.entry(layer.operator).or_default();
        kind.instructions += cost.instructions;
        kind.cycles += cost.cycles;
    }
    for (kind, cost) in kinds {
        println!("  all {kind}: {:.1}% of the cycles", part(&cost));
    }
}

/// The functions that took most, all layers together.
fn print_functions(elf: &Elf<'_>, blocks: &BTreeMap<u32, u64>, total: Layer) {
    let mut functions: BTreeMap<&str, u64> = BTreeMap::new();
    for (address, cycles) in blocks {
        let behind = elf
            .symbols
            .partition_point(|symbol| symbol.address <= *address);
        let name = match behind.checked_sub(1) {
            Some(at) => elf.symbols[at].name.as_str(),
            None => "?",
        };
        *functions.entry(name).or_default() += cycles;
    }
    let mut functions: Vec<_> = functions.into_iter().collect();
    functions.sort_by_key(|(name, cycles)| (std::cmp::Reverse(*cycles), *name));
    for (name, cycles) in functions.iter().take(12) {
        let part = 100.0 * *cycles as f64 / total.cycles as f64;
        println!("  {part:>5.1}% in {name}");
    }
}

#[test]
fn networks_stay_within_their_instructions() {
    let Some(elf) = env::var_os("FIXPOINT_SELFTEST").map(PathBuf::from) else {
        println!("skipped: no Xtensa build; run `cargo xtask bench device`");
        return;
    };
    let every_layer = env::var_os("FIXPOINT_LAYERS").is_some();
    let networks = networks();
    println!(
        "{:<22} {:<5} {:>10} {:>11} {:>9} {:>10} {:>9} {:>9} {:>8} {:>8}",
        "network",
        "type",
        "MAC",
        "instr.",
        "instr/MAC",
        "ms (est.)",
        "published",
        "goal",
        "image",
        "arena"
    );
    if networks.is_empty() {
        println!("skipped: networks, as there is no folder shared/ beside the checkout");
        return;
    }
    let file = fs::read(elf).expect("the selftest");
    let elf = Elf::parse(&file).expect("an ELF of ours");
    let mut over = Vec::new();
    let mut goals = Goals::default();
    for network in &networks {
        for bits in [Bits::I8, Bits::I16] {
            let (image, input) = network.quantized(bits);
            let job = job_of(&image, &input);
            let Measured {
                text,
                layers,
                blocks,
            } = measured(&elf, &job);
            assert_eq!(text, on_host(&job), "{} {}", network.name, bits.name());
            let aligned = AlignedBytes::new(&image);
            let model = Model::parse(aligned.as_ref()).expect("an image of ours");
            assert_eq!(layers.len(), model.layers().len());
            let mut total = Layer::default();
            for layer in &layers {
                total.instructions += layer.instructions;
                total.cycles += layer.cycles;
            }
            let macs: u64 = model.layers().map(|layer| layer.macs).sum();
            let known =
                (KNOWN.iter()).find(|known| known.folder == network.name && known.bits == bits);
            println!(
                "{:<22} {:<5} {:>10} {:>11} {:>9} {:>10.3} {:>9} {:>9} {:>8} {:>8}{}",
                network.name,
                bits.name(),
                macs,
                total.instructions,
                ratio(total.instructions, macs),
                total.cycles as f64 / HZ * 1e3,
                shown(known.and_then(|known| known.published)),
                shown(known.and_then(|known| known.goal)),
                image.len(),
                model.arena_bytes(),
                match network.samples {
                    Some(_) => "",
                    None => "  (random inputs)",
                }
            );
            if every_layer {
                let network = format!("{} {}", network.name, bits.name());
                print_layers(&network, &model, &layers, total, &mut goals);
                print_functions(&elf, &blocks, total);
            }
            let limit = known.and_then(|known| known.limit);
            if limit.is_some_and(|limit| total.instructions > 1000 * limit) {
                over.push(format!(
                    "{} {}: {} instructions",
                    network.name,
                    bits.name(),
                    total.instructions
                ));
            }
        }
    }
    if every_layer {
        println!("{}", goals.summary());
    }
    assert!(over.is_empty(), "over budget: {over:#?}");
}
