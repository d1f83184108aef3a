//! Whole networks: the page's own samples, and the public models of `shared/data`, each with what
//! there is to calibrate and to measure it by.

use std::boxed::Box;
use std::error::Error;
use std::format;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec::Vec;
use std::{env, fs};

use fixpoint_dataset::{Arrays, InputShape, LoadOptions, NamedFile, Preprocess, load_with, npy};
use fixpoint_quant::{FloatModel, Samples};

use crate::random::Random;

/// Samples that the page calibrates its own networks with.
const PAGE_CALIBRATION: usize = 100;
/// Images made up for a network that has none here.
const MADE_UP: usize = 132;
/// Those of them that calibrate.
const MADE_UP_CALIBRATION: usize = 32;
/// Without labels: at most so many of the samples calibrate, so that others are left to measure on.
const UNLABELLED_CALIBRATION: usize = 20;

/// What a network is measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Labelled samples that calibration did not see.
    Labelled,
    /// Samples without labels that calibration did not see.
    Unseen,
    /// There are only the samples of the calibration.
    Calibration,
    /// Smooth noise in the input's range: there are no samples of this network here.
    MadeUp,
}

impl Kind {
    /// A few words for a table.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Labelled => "labelled",
            Self::Unseen => "unlabelled",
            Self::Calibration => "calibration",
            Self::MadeUp => "made up",
        }
    }
}

/// A network with its samples, `elements` floats each, in the order of its input.
#[derive(Clone, Debug)]
pub struct Network {
    pub name: String,
    pub model: FloatModel,
    pub elements: usize,
    pub calibration: Vec<f32>,
    pub evaluation: Vec<f32>,
    /// One for each sample of `evaluation`, when it is [`Kind::Labelled`].
    pub labels: Option<Vec<u32>>,
    pub kind: Kind,
}

impl Network {
    fn read(name: String, onnx: &Path) -> Result<(Self, Vec<usize>), Box<dyn Error>> {
        let model = FloatModel::from_onnx(&fs::read(onnx)?)?;
        let [input] = model.inputs() else {
            return Err(format!("{name} has {} inputs", model.inputs().len()).into());
        };
        let dims = (input.dims.clone()).ok_or_else(|| format!("{name}: unknown input shape"))?;
        let network = Self {
            name,
            elements: dims.iter().product(),
            model,
            calibration: Vec::new(),
            evaluation: Vec::new(),
            labels: None,
            kind: Kind::Labelled,
        };
        Ok((network, dims))
    }

    /// The samples to calibrate with.
    pub fn calibration(&self) -> Samples<'_> {
        self.view(&self.calibration)
    }

    /// The samples to measure on.
    pub fn evaluation(&self) -> Samples<'_> {
        self.view(&self.evaluation)
    }

    fn view<'a>(&self, data: &'a [f32]) -> Samples<'a> {
        Samples::single(data, self.elements).expect("whole samples")
    }
}

/// `shared/` beside the checkout, or where `FIXPOINT_SHARED` says.
pub fn shared() -> PathBuf {
    env::var_os("FIXPOINT_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from)
}

/// The checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The networks of `shared/data/models`, by folder, those as exported (`FOLDER/raw`) behind the
/// simplified ones; `None` when there is no such folder.
pub fn public_names() -> Option<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(shared().join("data/models")).ok()? {
        let folder = entry.ok()?.path();
        let name = folder.file_name()?.to_string_lossy().into_owned();
        if folder.join("model_raw.onnx").exists() {
            names.push(format!("{name}/raw"));
        }
        if folder.join("model.onnx").exists() {
            names.push(name);
        }
    }
    names.sort();
    Some(names)
}

/// A network of [`public_names`].
///
/// # Errors
/// When a file of it can't be read.
pub fn public(name: &str) -> Result<Network, Box<dyn Error>> {
    let (folder, file) = match name.strip_suffix("/raw") {
        Some(folder) => (folder, "model_raw.onnx"),
        None => (name, "model.onnx"),
    };
    let folder = shared().join("data/models").join(folder);
    let (mut network, dims) = Network::read(name.to_string(), &folder.join(file))?;
    let samples = |file: &str| samples(&[folder.join(file)], &dims, None);
    let calib = folder.join("calib.npz");
    let reference = folder.join("ref.npz");
    if folder.join("eval.npz").exists() {
        network.calibration = samples("calib.npz")?.data;
        let evaluation = samples("eval.npz")?;
        network.evaluation = evaluation.data;
        network.labels = evaluation.labels;
    } else if calib.exists() {
        let mut all = samples("calib.npz")?.data;
        let count = all.len() / network.elements;
        let kept = UNLABELLED_CALIBRATION.min(count.div_ceil(2)) * network.elements;
        network.evaluation = all.split_off(kept);
        if reference.exists() {
            network.evaluation.extend(inputs_of(&reference)?);
        }
        network.calibration = all;
        network.kind = Kind::Unseen;
    } else if reference.exists() {
        network.calibration = inputs_of(&reference)?;
        network.evaluation = network.calibration.clone();
        network.kind = Kind::Calibration;
    } else {
        let mut all = made_up(&dims, MADE_UP);
        network.evaluation = all.split_off(MADE_UP_CALIBRATION * network.elements);
        network.calibration = all;
        network.kind = Kind::MadeUp;
    }
    Ok(network)
}

/// The name of [`tutorial`]'s network.
pub const TUTORIAL: &str = "espdl_mnist";

/// The network of ESP-DL's tutorial in `shared/data/espdl`, calibrated as there: every 50th of the
/// first 5,000 test images.
///
/// # Errors
/// When a file of it can't be read.
pub fn tutorial() -> Result<Network, Box<dyn Error>> {
    let folder = shared().join("data/espdl/mnist");
    let onnx = folder.join("mnist_model_example.onnx");
    let (mut network, dims) = Network::read(TUTORIAL.to_string(), &onnx)?;
    let files = ["t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"];
    let samples = samples(&files.map(|file| folder.join(file)), &dims, None)?;
    let images = samples.data.chunks_exact(network.elements);
    let chosen = images.take(5_000).step_by(50).flatten();
    network.calibration = chosen.copied().collect();
    network.evaluation = samples.data;
    network.labels = samples.labels;
    Ok(network)
}

/// The networks that the page ships: `NAME.onnx`, with samples that are called `STEM-calib.npz` and
/// `STEM-eval.npz`, where the network's name begins with `STEM-`.
///
/// # Errors
/// When there is none, or a file of one is missing or can't be read.
pub fn samples_of_the_page() -> Result<Vec<Network>, Box<dyn Error>> {
    let folder = root().join("web/public/samples");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|e| e == "onnx"));
    files.sort();
    let network = |onnx: &PathBuf| {
        let name = onnx.file_stem().unwrap_or_default().to_string_lossy();
        let stem = name.split('-').next().unwrap_or_default().to_string();
        let (mut network, dims) = Network::read(name.to_string(), onnx)?;
        let read =
            |what: &str, limit| samples(&[folder.join(format!("{stem}-{what}.npz"))], &dims, limit);
        network.calibration = read("calib", Some(PAGE_CALIBRATION))?.data;
        let evaluation = read("eval", None)?;
        network.evaluation = evaluation.data;
        network.labels = evaluation.labels;
        Ok(network)
    };
    let networks: Result<Vec<Network>, Box<dyn Error>> = files.iter().map(network).collect();
    networks.and_then(|networks| match networks.is_empty() {
        true => Err(format!("no networks in {}", folder.display()).into()),
        false => Ok(networks),
    })
}

/// Samples from files, by the rules of the command line: numbers in arrays are the input's values.
fn samples(
    files: &[PathBuf],
    dims: &[usize],
    limit: Option<usize>,
) -> Result<fixpoint_dataset::Samples, Box<dyn Error>> {
    let named = |path: &PathBuf| {
        let bytes = fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(NamedFile {
            path: path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into(),
            bytes,
        })
    };
    let files: Result<Vec<_>, Box<dyn Error>> = files.iter().map(named).collect();
    let preprocess = Preprocess {
        arrays: Arrays::Values,
        ..Preprocess::default_for(dims)
    };
    let options = LoadOptions { limit };
    let shape = InputShape::new(dims);
    Ok(load_with(
        files?,
        &shape,
        &preprocess,
        &options,
        &mut |_, _| (),
    )?)
}

/// The first input of every pair in a `ref.npz` (`inI_0`), one after another.
fn inputs_of(reference: &Path) -> Result<Vec<f32>, Box<dyn Error>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(fs::read(reference)?))?;
    let mut inputs = Vec::new();
    for pair in 0.. {
        let Ok(mut file) = archive.by_name(&format!("in{pair}_0.npy")) else {
            break;
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let array = npy::Array::from_npy(bytes)?;
        inputs.extend(array.floats(0, array.len()));
    }
    Ok(inputs)
}

/// Images of values 0 to 1: grey levels on a coarse grid, linearly between, a little noise on top. They
/// have the smoothness of photographs and nothing else of them.
fn made_up(dims: &[usize], count: usize) -> Vec<f32> {
    const GRID: usize = 6;
    let mut random = Random(17);
    let mut unit = move || (random.bits() >> 40) as f32 / (1u64 << 24) as f32;
    // (1, C, H, W) or (1, H, W, C): the channels are the axis of at most four.
    let channels_last = dims.last().is_some_and(|&c| c <= 4);
    let [c, h, w] = match (channels_last, dims) {
        (true, &[_, h, w, c]) => [c, h, w],
        (false, &[_, c, h, w]) => [c, h, w],
        _ => [1, 1, dims.iter().product()],
    };
    let mut data = Vec::with_capacity(count * c * h * w);
    for _ in 0..count {
        let grid: Vec<f32> = (0..c * GRID * GRID).map(|_| unit()).collect();
        let mut value = |channel: usize, y: usize, x: usize| {
            let at = |i: usize, size: usize| i as f32 * (GRID - 1) as f32 / size as f32;
            let (gy, gx) = (at(y, h), at(x, w));
            let (iy, ix) = (gy as usize, gx as usize);
            let (fy, fx) = (gy - iy as f32, gx - ix as f32);
            let knot = |y: usize, x: usize| grid[(channel * GRID + y) * GRID + x];
            let row = |y: usize| knot(y, ix) * (1.0 - fx) + knot(y, ix + 1) * fx;
            let smooth = row(iy) * (1.0 - fy) + row(iy + 1) * fy;
            (0.95 * smooth + 0.05 * unit()).clamp(0.0, 1.0)
        };
        for i in 0..c * h * w {
            data.push(match channels_last {
                true => value(i % c, i / c / w, i / c % w),
                false => value(i / (h * w), i / w % h, i % w),
            });
        }
    }
    data
}
