//! From dropped files to plain ones: archives opened, junk passed over.

use std::io::{Cursor, Read};

use flate2::read::MultiGzDecoder;
use zip::ZipArchive;

use crate::{NamedFile, Skipped};

/// Most bytes that come out of all archives together.
const MAX_UNPACKED: u64 = 1 << 30;
const MAX_ENTRIES: usize = 1 << 20;

/// All plain files, sorted by path, and those that were left out.
///
/// A file inside an archive is called `archive.zip/path`. Archives inside archives stay closed.
pub(crate) fn unpack(files: Vec<NamedFile>) -> (Vec<NamedFile>, Vec<Skipped>) {
    let mut unpacker = Unpacker {
        plain: Vec::new(),
        skipped: Vec::new(),
        left: MAX_UNPACKED,
    };
    for file in files {
        let path = file.path.replace('\\', "/");
        let path = path
            .trim_start_matches("./")
            .trim_start_matches('/')
            .to_owned();
        if !is_junk(&path) {
            unpacker.add(NamedFile { path, ..file }, true);
        }
    }
    unpacker.plain.sort_by(|a, b| a.path.cmp(&b.path));
    unpacker.skipped.sort_by(|a, b| a.path.cmp(&b.path));
    (unpacker.plain, unpacker.skipped)
}

struct Unpacker {
    plain: Vec<NamedFile>,
    skipped: Vec<Skipped>,
    /// Bytes that may still be unpacked.
    left: u64,
}

impl Unpacker {
    fn add(&mut self, file: NamedFile, archives: bool) {
        match file.bytes[..] {
            [b'P', b'K', 3 | 5, 4 | 6, ..] if archives => self.open_zip(file),
            [b'P', b'K', 3 | 5, 4 | 6, ..] => {
                self.skip(
                    file.path,
                    "is an archive inside an archive; unpack it first",
                );
            }
            [0x1f, 0x8b, ..] => self.open_gzip(file),
            _ => self.plain.push(file),
        }
    }

    fn open_zip(&mut self, file: NamedFile) {
        let mut archive = match ZipArchive::new(Cursor::new(file.bytes)) {
            Ok(archive) if archive.len() <= MAX_ENTRIES => archive,
            Ok(_) => return self.skip(file.path, "is an archive with too many files"),
            Err(e) => return self.skip(file.path, format!("is a damaged zip archive: {e}")),
        };
        for i in 0..archive.len() {
            let (name, contents) = match archive.by_index(i) {
                Ok(entry) if entry.is_dir() => continue,
                Ok(mut entry) => {
                    let name = String::from_utf8_lossy(entry.name_raw()).replace('\\', "/");
                    if is_junk(&name) {
                        continue;
                    }
                    (name, read_limited(&mut entry, &mut self.left))
                }
                Err(e) => (
                    format!("file {}", i + 1),
                    Err(format!("can't be unpacked: {e}")),
                ),
            };
            let path = format!("{}/{name}", file.path);
            match contents {
                Ok(bytes) => self.add(NamedFile { path, bytes }, false),
                Err(reason) => self.skip(path, reason),
            }
        }
    }

    fn open_gzip(&mut self, file: NamedFile) {
        let mut decoder = MultiGzDecoder::new(&file.bytes[..]);
        match read_limited(&mut decoder, &mut self.left) {
            Ok(bytes) => {
                let path = file
                    .path
                    .strip_suffix(".gz")
                    .unwrap_or(&file.path)
                    .to_owned();
                self.plain.push(NamedFile { path, bytes });
            }
            Err(reason) => self.skip(file.path, reason),
        }
    }

    fn skip(&mut self, path: String, reason: impl Into<String>) {
        self.skipped.push(Skipped {
            path,
            reason: reason.into(),
        });
    }
}

/// Reads to the end, counting the bytes that really come and not those that a header promises.
fn read_limited(source: &mut impl Read, left: &mut u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = source.take(*left + 1).read_to_end(&mut bytes);
    let over = bytes.len() as u64 > *left;
    *left = left.saturating_sub(bytes.len() as u64);
    if over {
        return Err(format!(
            "unpacks to more than the {} MB that are read",
            MAX_UNPACKED >> 20
        ));
    }
    read.map_err(|e| format!("can't be unpacked: {e}"))?;
    Ok(bytes)
}

/// Files that systems leave in folders: not samples, and not worth a word.
fn is_junk(path: &str) -> bool {
    path.split('/').any(|part| {
        part.starts_with('.')
            || matches!(
                part,
                "__MACOSX" | "Thumbs.db" | "desktop.ini" | "ehthumbs.db"
            )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junk_is_what_systems_leave() {
        for path in [".DS_Store", "a/.git/x", "__MACOSX/a/._1.png", "a/Thumbs.db"] {
            assert!(is_junk(path), "{path}");
        }
        assert!(!is_junk("a/b.c/d.png"));
    }

    #[test]
    fn a_bomb_is_stopped_by_what_comes_out() {
        let mut left = 10;
        assert_eq!(
            read_limited(&mut &[1u8; 10][..], &mut left),
            Ok(vec![1; 10])
        );
        assert_eq!(left, 0);
        let mut left = 10;
        let reason = read_limited(&mut std::io::repeat(0), &mut left).unwrap_err();
        assert!(reason.starts_with("unpacks to more"), "{reason}");
        assert_eq!(left, 0);
    }
}
