//! An ONNX file, read.

use std::path::Path;

use fixpoint_quant::{FloatModel, Reading};

use crate::failure::Failure;
use crate::files;

/// Sizes that an ONNX file leaves open.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct SizeArgs {
    /// A size of the input that the ONNX file leaves open, by the name that 'fixpoint inspect' says; may be given
    /// several times
    #[arg(long = "size", value_name = "NAME=N", value_parser = size)]
    sizes: Vec<(String, usize)>,
}

fn size(words: &str) -> Result<(String, usize), String> {
    let parts = words
        .rsplit_once('=')
        .and_then(|(name, size)| Some((name, size.trim().parse().ok()?)));
    match parts {
        Some((name, size)) if !name.is_empty() => Ok((name.to_owned(), size)),
        _ => Err("a name and a whole number are needed, as in height=96".to_owned()),
    }
}

impl SizeArgs {
    pub(crate) fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// `anew`: of a model that is quantized already only the values of its weights are kept.
    pub(crate) fn read(&self, path: &Path, anew: bool) -> Result<FloatModel, Failure> {
        self.parse(&files::read(path)?, path, anew)
    }

    /// As [`SizeArgs::read`], of what is in the file.
    pub(crate) fn parse(
        &self,
        bytes: &[u8],
        path: &Path,
        anew: bool,
    ) -> Result<FloatModel, Failure> {
        let reading = Reading {
            anew,
            sizes: self.sizes.iter().cloned().collect(),
        };
        FloatModel::from_onnx_as(bytes, &reading).map_err(|e| Failure::from(e).about(path))
    }
}
