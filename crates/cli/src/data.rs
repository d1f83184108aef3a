//! Samples from the paths on the command line.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use clap::{Args, ValueEnum};
use fixpoint_dataset::{
    self as dataset, Arrays, Channels, InputOf, InputShape, Layout, LoadOptions, NamedFile,
    Preprocess, Resize, SampleSet, load_several, load_with,
};
use fixpoint_quant as quant;

use crate::failure::Failure;
use crate::terminal::{Bar, note};

/// How samples become input values; the defaults follow the model's input shape.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Preprocessing: (pixel * scale - mean) / std")]
pub(crate) struct PreprocessArgs {
    /// Factor on pixel values [default: 1/255]
    #[arg(long, value_name = "F")]
    scale: Option<f32>,
    /// Subtracted after scaling: one value, or one per channel
    #[arg(
        long,
        value_name = "F,..",
        value_delimiter = ',',
        allow_negative_numbers = true
    )]
    mean: Option<Vec<f32>>,
    /// Divided by: one value, or one per channel
    #[arg(long, value_name = "F,..", value_delimiter = ',')]
    std: Option<Vec<f32>>,
    /// Channels of the model's input [default: grey or rgb]
    #[arg(long)]
    channels: Option<ChannelsArg>,
    /// Place of the channels in the model's input
    #[arg(long)]
    layout: Option<LayoutArg>,
    /// How images of another size are brought to the input's [default: stretch]
    #[arg(long)]
    resize: Option<ResizeArg>,
    /// Which arrays hold pixels [default: none, or uint8 when --scale, --mean or --std is given]
    #[arg(long)]
    arrays: Option<ArraysArg>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ChannelsArg {
    Grey,
    Rgb,
    Bgr,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LayoutArg {
    Nchw,
    Nhwc,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ResizeArg {
    Stretch,
    CropCenter,
    Pad,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ArraysArg {
    /// Arrays hold input values
    Values,
    /// Arrays of uint8 hold pixels
    BytesArePixels,
    /// All arrays hold pixels
    Pixels,
}

/// An input of a model, of a model image or of what a board runs.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) name: String,
    /// ONNX order, batch 1.
    pub(crate) dims: Vec<usize>,
}

/// Samples as every command takes them: one array of values for each input.
#[derive(Debug)]
pub(crate) struct Data {
    set: SampleSet,
}

impl Data {
    pub(crate) fn len(&self) -> usize {
        self.set.len()
    }

    pub(crate) fn labels(&self) -> Option<&[u32]> {
        self.set.labels.as_deref()
    }

    /// Whether all values are whole numbers as they were stored.
    pub(crate) fn is_integers(&self) -> bool {
        self.set.inputs.iter().all(|input| input.integers)
    }

    /// Sample `i`, one slice for each input.
    pub(crate) fn sample(&self, i: usize) -> Vec<&[f32]> {
        self.set.sample(i)
    }

    /// Sample `i` of integers; at most 16 bits, which f32 carries exactly.
    pub(crate) fn integers(&self, i: usize) -> Vec<Vec<i32>> {
        let whole = |values: &&[f32]| values.iter().map(|&v| v as i32).collect();
        self.sample(i).iter().map(whole).collect()
    }

    /// The samples as the quantizer takes them.
    pub(crate) fn view(&self) -> Result<quant::Samples<'_>, Failure> {
        let inputs = (self.set.inputs.iter())
            .map(|input| (&input.data[..], input.size()))
            .collect();
        quant::Samples::new(inputs)
            .ok_or_else(|| Failure::new("the samples don't fill the model's inputs"))
    }
}

impl PreprocessArgs {
    fn settings(&self, dims: &[usize]) -> Preprocess {
        let mut settings = Preprocess::default_for(dims);
        if let Some(channels) = self.channels {
            settings.channels = match channels {
                ChannelsArg::Grey => Channels::Grey,
                ChannelsArg::Rgb => Channels::Rgb,
                ChannelsArg::Bgr => Channels::Bgr,
            };
            settings.mean = vec![0.0];
            settings.std = vec![1.0];
        }
        match self.layout {
            Some(LayoutArg::Nchw) => settings.layout = Layout::Nchw,
            Some(LayoutArg::Nhwc) => settings.layout = Layout::Nhwc,
            None => {}
        }
        settings.resize = match self.resize {
            Some(ResizeArg::CropCenter) => Resize::CropCenter,
            Some(ResizeArg::Pad) => Resize::Pad,
            Some(ResizeArg::Stretch) | None => Resize::Stretch,
        };
        let asked = self.scale.is_some() || self.mean.is_some() || self.std.is_some();
        settings.arrays = match self.arrays {
            Some(ArraysArg::Pixels) => Arrays::Pixels,
            Some(ArraysArg::BytesArePixels) => Arrays::BytesArePixels,
            Some(ArraysArg::Values) => Arrays::Values,
            // A script that gives an array means its values, of whatever type they are.
            None if asked => Arrays::BytesArePixels,
            None => Arrays::Values,
        };
        settings.scale = self.scale.unwrap_or(settings.scale);
        settings.mean = self.mean.clone().unwrap_or(settings.mean);
        settings.std = self.std.clone().unwrap_or(settings.std);
        settings
    }
}

/// Reads the samples at `path` (a file or a folder) for `inputs`, and says on stderr what was left
/// out.
pub(crate) fn load(
    path: &Path,
    inputs: &[Input],
    preprocess: &PreprocessArgs,
    limit: Option<usize>,
) -> Result<Data, Failure> {
    if limit == Some(0) {
        return Err(Failure::usage("--limit 0 leaves no samples"));
    }
    let files = read(path)?;
    let set = match inputs {
        [] => Err(Failure::new("the model has no input")),
        [input] => load_one(files, &input.dims, preprocess, limit),
        several => load_many(files, several, preprocess, limit),
    }
    .map_err(|failure| failure.about(path))?;
    tell(&set, inputs);
    Ok(Data { set })
}

/// What became of the files, on stderr.
fn tell(set: &SampleSet, inputs: &[Input]) {
    for text in &set.notes {
        note(text);
    }
    for (read, input) in set.inputs.iter().zip(inputs) {
        let Some(rule) = &read.pixels else { continue };
        let of = match inputs.len() {
            1 => String::new(),
            _ => format!(" of input '{}'", input.name),
        };
        note(&format!(
            "pixels from 0 to 255 became the values{of} by {rule} (--scale, --mean, --std, --arrays)"
        ));
    }
    const SHOWN: usize = 5;
    for skipped in set.skipped.iter().take(SHOWN) {
        note(&format!("left out: {skipped}"));
    }
    if set.skipped.len() > SHOWN {
        note(&format!("left out: {} more", set.skipped.len() - SHOWN));
    }
}

fn load_many(
    files: Vec<NamedFile>,
    inputs: &[Input],
    preprocess: &PreprocessArgs,
    limit: Option<usize>,
) -> Result<SampleSet, Failure> {
    let wanted: Vec<InputOf<'_>> = (inputs.iter())
        .map(|input| InputOf {
            preprocess: preprocess.settings(&input.dims),
            ..InputOf::new(&input.name, &input.dims)
        })
        .collect();
    Ok(load_several(files, &wanted, &LoadOptions { limit })?)
}

fn load_one(
    files: Vec<NamedFile>,
    dims: &[usize],
    preprocess: &PreprocessArgs,
    limit: Option<usize>,
) -> Result<SampleSet, Failure> {
    let mut bar = Bar::new("reading");
    let samples = load_with(
        files,
        &InputShape::new(dims),
        &preprocess.settings(dims),
        &LoadOptions { limit },
        &mut |done, total| bar.show(done, total),
    );
    Ok(samples?.into())
}

/// The inputs by name and shape, or which of them has no known shape.
pub(crate) fn inputs<'a>(
    inputs: impl IntoIterator<Item = (&'a str, Option<&'a [usize]>)>,
) -> Result<Vec<Input>, Failure> {
    (inputs.into_iter())
        .map(|(name, dims)| match dims {
            Some(dims) => Ok(Input {
                name: name.to_owned(),
                dims: dims.to_vec(),
            }),
            None => Err(Failure::new(format!(
                "the shape of the model's input '{name}' is not known"
            ))
            .help("export the model with a fixed input shape; only the batch may be open")),
        })
        .collect()
}

/// The inputs of a float model.
pub(crate) fn inputs_of(model: &quant::FloatModel) -> Result<Vec<Input>, Failure> {
    inputs((model.inputs().iter()).map(|v| (v.name.as_str(), v.dims.as_deref())))
}

fn read(path: &Path) -> Result<Vec<NamedFile>, Failure> {
    let failed = |e| Failure::io("read", path, &e);
    let mut files = Vec::new();
    if fs::metadata(path).map_err(failed)?.is_dir() {
        read_folder(path, "", &mut files)?;
        return Ok(files);
    }
    let name = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned();
    let bytes = fs::read(path).map_err(failed)?;
    let labels = dataset::labels_beside(&name).filter(|l| *l != name);
    files.push(NamedFile { path: name, bytes });
    if let Some(labels) = labels {
        let beside = path.with_file_name(&labels);
        match fs::read(&beside) {
            Ok(bytes) => files.push(NamedFile {
                path: labels,
                bytes,
            }),
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(Failure::io("read", &beside, &e)),
        }
    }
    Ok(files)
}

fn read_folder(folder: &Path, below: &str, files: &mut Vec<NamedFile>) -> Result<(), Failure> {
    let failed = |e| Failure::io("read", folder, &e);
    let entries: Result<Vec<_>, _> = fs::read_dir(folder).map_err(failed)?.collect();
    let mut entries = entries.map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let path = format!("{below}{name}");
        let kind = entry.file_type().map_err(failed)?;
        // A link to a file is as good as the file; a link to a folder could lead round in circles.
        if kind.is_dir() {
            read_folder(&entry.path(), &format!("{path}/"), files)?;
        } else if entry.path().is_file() {
            let bytes =
                fs::read(entry.path()).map_err(|e| Failure::io("read", &entry.path(), &e))?;
            files.push(NamedFile { path, bytes });
        }
    }
    Ok(())
}
