//! Samples from the paths on the command line.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use clap::{Args, ValueEnum};
use fixpoint_dataset::{
    self as dataset, Arrays, Channels, InputShape, Layout, LoadOptions, NamedFile, Preprocess,
    Resize, Samples, load_with,
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

/// Reads the samples at `path` (a file or a folder) for an input of shape `dims`, and says on
/// stderr what was left out.
pub(crate) fn load(
    path: &Path,
    dims: &[usize],
    preprocess: &PreprocessArgs,
    limit: Option<usize>,
) -> Result<Samples, Failure> {
    if limit == Some(0) {
        return Err(Failure::usage("--limit 0 leaves no samples"));
    }
    let files = read(path)?;
    let mut bar = Bar::new("reading");
    let samples = load_with(
        files,
        &InputShape::new(dims),
        &preprocess.settings(dims),
        &LoadOptions { limit },
        &mut |done, total| bar.show(done, total),
    );
    drop(bar);
    let samples = samples.map_err(|e| Failure::from(e).about(path))?;
    for text in &samples.notes {
        note(text);
    }
    const SHOWN: usize = 5;
    for skipped in samples.skipped.iter().take(SHOWN) {
        note(&format!("left out: {skipped}"));
    }
    if samples.skipped.len() > SHOWN {
        note(&format!("left out: {} more", samples.skipped.len() - SHOWN));
    }
    Ok(samples)
}

/// The samples as the quantizer takes them.
pub(crate) fn view(samples: &Samples) -> Result<quant::Samples<'_>, Failure> {
    let size = samples.dims.iter().product();
    quant::Samples::single(&samples.data, size)
        .ok_or_else(|| Failure::new("the samples don't fill the model's input"))
}

/// The dimensions of the only input, or why there is no such thing.
pub(crate) fn only_input(dims: &[Option<&[usize]>]) -> Result<Vec<usize>, Failure> {
    match dims {
        [Some(dims)] => Ok(dims.to_vec()),
        [None] => Err(Failure::new("the shape of the model's input is not known")
            .help("export the model with a fixed input shape; only the batch may be open")),
        [] => Err(Failure::new("the model has no input")),
        _ => Err(Failure::not_yet(&format!(
            "data for a model with {} inputs",
            dims.len()
        ))),
    }
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
