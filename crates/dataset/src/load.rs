//! From a heap of files to samples: sorting out what each file is, and putting the parts together.

use std::collections::BTreeMap;

use crate::arrays::{self, Named, Part};
use crate::error::DatasetError;
use crate::npy::Array;
use crate::picture::{self, Format};
use crate::preprocess::{Channels, Layout, Preprocess};
use crate::resample::Pixels;
use crate::shape::{InputShape, Plane};
use crate::unpack::unpack;
use crate::{LoadOptions, NamedFile, Samples, Skipped, check_amount, idx, labels, pickle};

/// What there is to read, by kind; paths stay sorted.
#[derive(Default)]
pub(crate) struct Sorted {
    pub(crate) images: Vec<(NamedFile, Format)>,
    /// By folder or archive.
    pub(crate) arrays: BTreeMap<String, Vec<Named>>,
    pub(crate) idx: Vec<(String, Array)>,
    tables: Vec<NamedFile>,
    pub(crate) skipped: Vec<Skipped>,
}

struct Loader<'a> {
    target: &'a InputShape,
    preprocess: &'a Preprocess,
    /// Samples that may still be added.
    left: usize,
    parts: Vec<Part>,
    skipped: Vec<Skipped>,
    notes: Vec<String>,
    progress: &'a mut dyn FnMut(usize, usize),
    done: usize,
    total: usize,
}

/// See [`crate::load_with`].
pub(crate) fn load(
    files: Vec<NamedFile>,
    target: &InputShape,
    preprocess: &Preprocess,
    options: &LoadOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Samples, DatasetError> {
    preprocess.check()?;
    let size = target.values()?;
    let (files, skipped) = unpack(files);
    let mut sorted = sort(files);
    sorted.skipped.splice(0..0, skipped);

    let left = options.limit.unwrap_or(usize::MAX);
    let images = sorted.images.len().min(left);
    let mut loader = Loader {
        target,
        preprocess,
        left,
        parts: Vec::new(),
        skipped: std::mem::take(&mut sorted.skipped),
        notes: Vec::new(),
        progress,
        done: 0,
        total: images + sorted.arrays.len() + sorted.idx.len(),
    };
    (loader.progress)(0, loader.total);
    for group in sorted.arrays.into_values() {
        loader.add_arrays(group);
        loader.step();
    }
    loader.add_idx(sorted.idx);
    let no_image = loader.add_images(sorted.images, sorted.tables)?;
    loader.finish(size, no_image)
}

pub(crate) fn sort(files: Vec<NamedFile>) -> Sorted {
    let mut sorted = Sorted::default();
    for file in files {
        let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
        let skip = |path: &str, reason: String| Skipped {
            path: path.into(),
            reason,
        };
        if let Some(format) = picture::format(&file.bytes) {
            sorted.images.push((file, format));
        } else if file.bytes.starts_with(b"\x93NUMPY") {
            let stem = name.strip_suffix(".npy").unwrap_or(name).to_owned();
            let folder = folder.to_owned();
            match Array::from_npy(file.bytes) {
                Ok(array) => sorted.arrays.entry(folder).or_default().push(Named {
                    path: file.path,
                    stem,
                    array,
                }),
                Err(e) => sorted.skipped.push(skip(&file.path, e.to_string())),
            }
        } else if is_pickle(name, &file.bytes) {
            match pickle::read(&file.bytes).map(pickle::arrays) {
                Ok(arrays) if arrays.is_empty() => {
                    let reason = "is a pickle without NumPy arrays".to_owned();
                    sorted.skipped.push(skip(&file.path, reason));
                }
                Ok(arrays) => {
                    let named = |(stem, array)| Named {
                        path: format!("{}/{stem}", file.path),
                        stem,
                        array,
                    };
                    let group = arrays.into_iter().map(named).collect();
                    sorted.arrays.insert(file.path.clone(), group);
                }
                Err(e) => sorted.skipped.push(skip(&file.path, e.to_string())),
            }
        } else if idx::is_idx(&file.bytes) {
            match idx::read(file.bytes) {
                Ok(array) => sorted.idx.push((file.path, array)),
                Err(reason) => sorted.skipped.push(skip(&file.path, reason)),
            }
        } else if name.eq_ignore_ascii_case("labels.csv") {
            sorted.tables.push(file);
        } else {
            let reason = unknown(name, &file.bytes).to_owned();
            sorted.skipped.push(skip(&file.path, reason));
        }
    }
    sorted
}

/// Protocols 2 and later by their first opcode, the older ones, which have none, by name.
fn is_pickle(name: &str, bytes: &[u8]) -> bool {
    let extension = name.rsplit_once('.').map(|(_, e)| e.to_lowercase());
    matches!(bytes, [0x80, 2..=5, ..]) || matches!(extension.as_deref(), Some("pickle" | "pkl"))
}

/// Why a file that is none of ours can't be used.
fn unknown(name: &str, bytes: &[u8]) -> &'static str {
    match bytes {
        [] => "is empty",
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => "is a WebP image; save it as PNG or JPEG",
        [b'G', b'I', b'F', b'8', ..] => "is a GIF image; save it as PNG or JPEG",
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => {
            "is a TIFF image; save it as PNG or JPEG"
        }
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => {
            "is a HEIC or AVIF image or a video; save it as PNG or JPEG"
        }
        [b'R', b'a', b'r', b'!', ..] | [b'7', b'z', 0xbc, 0xaf, ..] => {
            "is an archive of another kind; use zip"
        }
        [0x89, b'H', b'D', b'F', ..] => "is an HDF5 file; save the arrays with numpy.savez",
        _ if name
            .rsplit_once('.')
            .is_some_and(|(_, e)| e.eq_ignore_ascii_case("onnx")) =>
        {
            "is a model and not data"
        }
        _ => "is not an image, array, idx file or archive that is known",
    }
}

impl Loader<'_> {
    fn step(&mut self) {
        self.done += 1;
        (self.progress)(self.done, self.total);
    }

    fn skip(&mut self, path: String, reason: impl Into<String>) {
        self.skipped.push(Skipped {
            path,
            reason: reason.into(),
        });
    }

    fn add(&mut self, part: Part) {
        self.left -= part.names.len();
        self.parts.push(part);
    }

    fn add_arrays(&mut self, group: Vec<Named>) {
        let (data, labels, rest) = arrays::pick(group);
        for other in rest {
            self.skip(
                other.path,
                "is not used: another array beside it holds the samples",
            );
        }
        // Labels belong to one array of samples.
        let labels = labels.filter(|_| data.len() == 1);
        for array in data {
            if self.left == 0 {
                return;
            }
            let made = arrays::samples(
                &array,
                labels.as_ref(),
                self.target,
                self.preprocess,
                self.left,
            );
            match made {
                Ok((part, notes)) => {
                    (self.notes).extend(notes.iter().map(|n| format!("{}: {n}.", array.path)));
                    self.add(part);
                }
                Err(reason) => self.skip(array.path, reason),
            }
        }
    }

    fn add_idx(&mut self, files: Vec<(String, Array)>) {
        let (mut labels, data): (Vec<_>, Vec<_>) = files
            .into_iter()
            .partition(|(_, array)| array.dims().len() == 1);
        let alone = data.len() == 1 && labels.len() == 1;
        for (path, array) in data {
            let wanted = idx::labels_beside(&path);
            let found = labels
                .iter()
                .position(|(p, _)| alone || Some(p) == wanted.as_ref());
            let found = found.map(|i| labels.swap_remove(i));
            let named = |(path, array)| Named {
                path,
                stem: String::new(),
                array,
            };
            let labels = found.map(named);
            self.step();
            if self.left > 0 {
                let data = named((path, array));
                match self.idx_part(&data, labels.as_ref()) {
                    Ok(part) => self.add(part),
                    Err(reason) => self.skip(data.path, reason),
                }
            }
        }
        for (path, _) in labels {
            self.skip(
                path,
                "holds labels, but the file of images that belongs to it is missing",
            );
        }
    }

    /// idx files hold grey images of 8 bits, or arrays; images are resized like any other.
    fn idx_part(&self, data: &Named, labels: Option<&Named>) -> Result<Part, String> {
        let as_pixels = Preprocess {
            arrays: crate::Arrays::Pixels,
            ..self.preprocess.clone()
        };
        let fitted = arrays::samples(data, labels, self.target, &as_pixels, self.left);
        let (&[count, height, width], Ok(plane)) =
            (data.array.dims(), self.target.plane(self.preprocess))
        else {
            return fitted.map(|(part, _)| part);
        };
        if fitted.is_ok()
            || data.array.element() != crate::npy::Element::U8
            || count == 0
            || height * width == 0
        {
            return fitted.map(|(part, _)| part);
        }
        let taken = count.min(self.left);
        let size = plane.channels * plane.height * plane.width;
        check_amount(taken, size, self.target).map_err(|e| e.to_string())?;
        let labels = labels
            .map(|y| labels::of_array(&y.array, count))
            .transpose()?;
        let mut part = Part {
            names: (0..taken).map(|i| format!("{}[{i}]", data.path)).collect(),
            labels: labels.map(|all| all[..taken].to_vec()),
            pixels: true,
            ..Part::default()
        };
        for i in 0..taken {
            let area = height * width;
            let grey = data
                .array
                .floats(i * area, (i + 1) * area)
                .map(|v| v as u8)
                .collect();
            let image = Pixels {
                channels: 1,
                height,
                width,
                data: grey,
            };
            self.place(image, &plane, &mut part.data);
        }
        Ok(part)
    }

    /// Returns why images can't be used at all, if that is so and there are some.
    fn add_images(
        &mut self,
        images: Vec<(NamedFile, Format)>,
        tables: Vec<NamedFile>,
    ) -> Result<Option<DatasetError>, DatasetError> {
        let plane = match self.target.plane(self.preprocess) {
            Ok(plane) => plane,
            Err(e) if !images.is_empty() => {
                for (file, _) in images {
                    self.skip(
                        file.path,
                        "is an image, which doesn't fit the model's input",
                    );
                }
                return Ok(Some(e));
            }
            Err(_) => return Ok(None),
        };
        let paths: Vec<&str> = images.iter().map(|(f, _)| f.path.as_str()).collect();
        let mut found = labels::from_folders(&paths);
        for table in tables {
            match labels::from_csv(&table.path, &table.bytes, &paths) {
                Ok(labels) => found = Some(labels),
                Err(reason) => self.skip(table.path, reason),
            }
        }
        let order = turns(
            images.len(),
            found.as_ref().map(|l| &l.numbers[..]),
            self.left,
        );
        check_amount(
            order.len(),
            plane.channels * plane.height * plane.width,
            self.target,
        )?;

        let mut part = Part {
            pixels: true,
            ..Part::default()
        };
        let mut numbers = Vec::new();
        for i in order {
            let (file, format) = &images[i];
            let grey = self.preprocess.channels == Channels::Grey;
            match picture::decode(&file.bytes, *format, grey) {
                Ok(image) => {
                    self.place(image, &plane, &mut part.data);
                    part.names.push(file.path.clone());
                    numbers.extend(found.as_ref().map(|l| l.numbers[i]));
                }
                Err(reason) => self.skip(file.path.clone(), reason),
            }
            self.step();
        }
        if let Some(found) = found {
            part.labels = Some(numbers);
            part.class_names = found.class_names;
        }
        if !part.names.is_empty() {
            self.add(part);
        }
        Ok(None)
    }

    /// Resizes an image and appends its values in the order of the input.
    fn place(&self, image: Pixels, plane: &Plane, out: &mut Vec<f32>) {
        let image = image.fit(plane.height, plane.width, self.preprocess.resize);
        let area = plane.height * plane.width;
        let value = |place: usize, c: usize| {
            let source = match (image.channels, self.preprocess.channels) {
                (1, _) => 0,
                (_, Channels::Bgr) => 2 - c,
                _ => c,
            };
            let pixel = image.data[place * image.channels + source];
            self.preprocess.value(f32::from(pixel), c)
        };
        match plane.layout {
            Layout::Nchw => {
                out.extend(
                    (0..plane.channels)
                        .flat_map(|c| (0..area).map(move |p| (p, c)))
                        .map(|(p, c)| value(p, c)),
                );
            }
            Layout::Nhwc => {
                out.extend(
                    (0..area)
                        .flat_map(|p| (0..plane.channels).map(move |c| (p, c)))
                        .map(|(p, c)| value(p, c)),
                );
            }
        }
    }

    fn finish(
        mut self,
        size: usize,
        no_image: Option<DatasetError>,
    ) -> Result<Samples, DatasetError> {
        if self.parts.is_empty() {
            return Err(match (no_image, self.skipped.is_empty()) {
                (Some(e), _) => e,
                (None, true) => DatasetError::NoFiles,
                (None, false) => DatasetError::NothingUsable {
                    skipped: self.skipped,
                },
            });
        }
        let count = self.parts.iter().map(|p| p.names.len()).sum();
        check_amount(count, size, self.target)?;
        let names: Vec<&Vec<String>> = self.parts.iter().map(|p| &p.class_names).collect();
        let alike = names.iter().all(|n| *n == names[0]);
        let labelled = self.parts.iter().filter(|p| p.labels.is_some()).count();
        let usable = labelled == self.parts.len() && alike;
        if labelled > 0 && !usable {
            self.notes.push(if alike {
                "Some of the files have labels and others have none, so labels are not used.".into()
            } else {
                "The files name their classes differently, so labels are not used.".into()
            });
        }
        let mut samples = Samples {
            integers: self.parts.iter().all(|p| p.integers),
            pixels: (self.parts.iter().any(|p| p.pixels)).then(|| self.preprocess.rule()),
            dims: self.target.dims().to_vec(),
            labels: usable.then(Vec::new),
            class_names: if usable { names[0].clone() } else { Vec::new() },
            skipped: self.skipped,
            notes: self.notes,
            ..Samples::default()
        };
        for mut part in self.parts {
            if samples.data.is_empty() {
                samples.data = part.data;
            } else {
                samples.data.append(&mut part.data);
            }
            samples.names.append(&mut part.names);
            if let (Some(all), Some(mut some)) = (&mut samples.labels, part.labels) {
                all.append(&mut some);
            }
        }
        Ok(samples)
    }
}

/// Which images to read, in order: all, or, under a limit, one of each class in turn.
fn turns(images: usize, labels: Option<&[u32]>, limit: usize) -> Vec<usize> {
    if images <= limit {
        return (0..images).collect();
    }
    let Some(labels) = labels else {
        return (0..limit).collect();
    };
    let mut classes: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (i, &label) in labels.iter().enumerate() {
        classes.entry(label).or_default().push(i);
    }
    let mut turns: Vec<(usize, usize)> = classes
        .values()
        .flat_map(|members| members.iter().enumerate().map(|(turn, &i)| (turn, i)))
        .collect();
    turns.sort_unstable();
    turns.truncate(limit);
    let mut order: Vec<usize> = turns.into_iter().map(|(_, i)| i).collect();
    order.sort_unstable();
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_takes_from_every_class() {
        assert_eq!(turns(3, None, 9), [0, 1, 2]);
        assert_eq!(turns(5, None, 2), [0, 1]);
        assert_eq!(turns(6, Some(&[0, 0, 0, 0, 1, 2]), 4), [0, 1, 4, 5]);
    }
}
