//! Class numbers: from sub-folder names, from a `labels.csv`, from arrays.

use std::collections::{BTreeSet, HashMap};

use crate::npy::Array;

/// Labels for all of a list of images, and the names of the classes (empty when the labels are
/// only numbers).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Labels {
    pub(crate) numbers: Vec<u32>,
    pub(crate) class_names: Vec<String>,
}

/// Labels from folders: the name of the folder that an image lies in, when the images lie in two
/// folders or more below the one that holds them all. An archive counts as a folder.
pub(crate) fn from_folders(paths: &[&str]) -> Option<Labels> {
    let folders: Vec<&str> = paths
        .iter()
        .map(|p| p.rsplit_once('/').map_or("", |(f, _)| f))
        .collect();
    let first: Vec<&str> = folders.first()?.split('/').collect();
    let shared = folders
        .iter()
        .map(|f| {
            f.split('/')
                .zip(&first)
                .take_while(|(a, b)| a == *b)
                .count()
        })
        .min()?;
    let texts: Option<Vec<&str>> = folders
        .iter()
        .map(|f| f.split('/').skip(shared).last())
        .map(|name| {
            name.map(|n| n.strip_suffix(".zip").unwrap_or(n))
                .filter(|n| !n.is_empty())
        })
        .collect();
    texts.map(|texts| number(&texts))
}

/// Labels from a table of lines `path,label` (a header line is passed over). A path may be the
/// whole path, the path below the table's folder, or the file's name.
pub(crate) fn from_csv(csv_path: &str, csv: &[u8], paths: &[&str]) -> Result<Labels, String> {
    let text = std::str::from_utf8(csv).map_err(|_| "is not UTF-8 text")?;
    let folder = csv_path
        .rsplit_once('/')
        .map_or(String::new(), |(f, _)| format!("{f}/"));
    let mut table = HashMap::new();
    for line in text.trim_start_matches('\u{feff}').lines() {
        let mut fields = line
            .split([',', ';', '\t'])
            .map(|f| f.trim().trim_matches('"'));
        if let (Some(path), Some(label)) = (fields.next(), fields.next()) {
            table.insert(path.trim_start_matches("./"), label);
        }
    }
    let mut texts = Vec::with_capacity(paths.len());
    for path in paths {
        let below = path.strip_prefix(&folder).unwrap_or(path);
        let name = path.rsplit('/').next().unwrap_or(path);
        let label = [path, below, name]
            .into_iter()
            .find_map(|key| table.get(key).copied());
        texts.push(label.ok_or_else(|| format!("has no line for {path}"))?);
    }
    Ok(number(&texts))
}

/// One label per sample from an array: class numbers, or rows with one value for each class
/// (one-hot or scores; the largest counts).
pub(crate) fn of_array(array: &Array, samples: usize) -> Result<Vec<u32>, String> {
    let dims: Vec<usize> = array
        .dims()
        .iter()
        .copied()
        .enumerate()
        .filter(|&(axis, d)| axis == 0 || d != 1)
        .map(|(_, d)| d)
        .collect();
    let found = dims.first().copied().unwrap_or(1);
    if found != samples {
        return Err(format!(
            "holds {samples} samples, but there are {found} labels for them"
        ));
    }
    match dims[..] {
        [] | [_] => {
            let numbers = array
                .integers()
                .ok_or("has labels that are not whole numbers")?;
            numbers
                .into_iter()
                .map(|n| {
                    u32::try_from(n)
                        .map_err(|_| format!("has {n} for a label; classes count from 0"))
                })
                .collect()
        }
        [_, classes] => {
            let values: Vec<f32> = array.floats(0, array.len()).collect();
            let largest = |row: &[f32]| {
                let best =
                    (1..classes).fold(0, |best, c| if row[c] > row[best] { c } else { best });
                u32::try_from(best).unwrap_or(u32::MAX)
            };
            Ok(values.chunks_exact(classes.max(1)).map(largest).collect())
        }
        _ => Err("has labels with more than two axes".into()),
    }
}

/// Class names that are all numbers are the class numbers; others are numbered in sorted order.
fn number(texts: &[&str]) -> Labels {
    if let Ok(numbers) = texts.iter().map(|t| t.parse()).collect() {
        return Labels {
            numbers,
            class_names: Vec::new(),
        };
    }
    let names: BTreeSet<&str> = texts.iter().copied().collect();
    let numbers = texts
        .iter()
        .map(|t| u32::try_from(names.range(..*t).count()).unwrap_or(u32::MAX))
        .collect();
    Labels {
        numbers,
        class_names: names.into_iter().map(Into::into).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(paths: &[&str]) -> Option<(Vec<u32>, Vec<String>)> {
        from_folders(paths).map(|l| (l.numbers, l.class_names))
    }

    #[test]
    fn folders_name_classes_in_sorted_order() {
        let (numbers, names) =
            folders(&["set/dog/1.png", "set/cat/2.png", "set/dog/3.png"]).unwrap();
        assert_eq!(numbers, [1, 0, 1]);
        assert_eq!(names, ["cat", "dog"]);
        let (numbers, _) = folders(&["cat.zip/1.png", "dog.zip/a/../1.png"]).unwrap();
        assert_eq!(
            numbers,
            [1, 0],
            "the last folder counts: '..' sorts before 'cat'"
        );
    }

    #[test]
    fn folders_of_numbers_are_the_numbers() {
        let (numbers, names) = folders(&["10/a.png", "9/b.png", "3/c.png"]).unwrap();
        assert_eq!((numbers, names), (vec![10, 9, 3], vec![]));
    }

    #[test]
    fn one_folder_is_no_label() {
        assert_eq!(folders(&["a.png", "b.png"]), None);
        assert_eq!(folders(&["calib/a.png", "calib/b.png"]), None);
        assert_eq!(
            folders(&["calib/a.png", "calib/cat/b.png"]),
            None,
            "a.png has none"
        );
        assert_eq!(folders(&[]), None);
    }

    #[test]
    fn a_table_finds_images_by_path_or_name() {
        let csv = b"\xef\xbb\xbffile,label\r\na.png,7\r\n\"sub/b.png\",2\r\n";
        let labels = from_csv("d/labels.csv", csv, &["d/sub/b.png", "d/x/a.png"]).unwrap();
        assert_eq!(labels.numbers, [2, 7]);
        let missing = from_csv("labels.csv", b"a.png,7", &["b.png"]).unwrap_err();
        assert_eq!(missing, "has no line for b.png");
    }
}
