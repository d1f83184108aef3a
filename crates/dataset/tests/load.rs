//! Whole files in, samples out. Every file is made here, so that what is in it can be read.

use std::io::{Cursor, Write};

use fixpoint_dataset::npy::{self, Values};
use fixpoint_dataset::{
    Arrays, Channels, DatasetError, InputShape, Layout, LoadOptions, NamedFile, Preprocess, Resize,
    Samples, load, load_with,
};
use image::{DynamicImage, ImageFormat};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn file(path: &str, bytes: impl Into<Vec<u8>>) -> NamedFile {
    NamedFile {
        path: path.into(),
        bytes: bytes.into(),
    }
}

fn zipped(files: &[NamedFile]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for f in files {
        writer
            .start_file(f.path.as_str(), SimpleFileOptions::default())
            .unwrap();
        writer.write_all(&f.bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn grey_png(width: u32, height: u32, pixels: &[u8]) -> Vec<u8> {
    let image = image::GrayImage::from_raw(width, height, pixels.to_vec()).unwrap();
    encoded(image, ImageFormat::Png)
}

fn rgb(width: u32, height: u32, pixels: &[u8]) -> image::RgbImage {
    image::RgbImage::from_raw(width, height, pixels.to_vec()).unwrap()
}

fn idx(dims: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, u8::try_from(dims.len()).unwrap()];
    bytes.extend(dims.iter().flat_map(|d| d.to_be_bytes()));
    bytes.extend(data);
    bytes
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn u8_npy(dims: &[usize], data: &[u8]) -> Vec<u8> {
    let signed: Vec<i8> = data.iter().map(|&b| b.cast_signed()).collect();
    let file = npy::write(dims, Values::I8(&signed));
    let at = file.windows(3).position(|w| w == b"|i1").unwrap();
    let mut file = file;
    file[at + 1] = b'u';
    file
}

fn defaults(files: Vec<NamedFile>, dims: &[usize]) -> Result<Samples, DatasetError> {
    load(
        files,
        &InputShape::new(dims),
        &Preprocess::default_for(dims),
    )
}

/// Pixels as they are: scale 1.
fn raw(dims: &[usize]) -> Preprocess {
    Preprocess {
        scale: 1.0,
        ..Preprocess::default_for(dims)
    }
}

#[test]
fn defaults_follow_the_shape() {
    let of = |dims: &[usize]| {
        let p = Preprocess::default_for(dims);
        (p.channels, p.layout)
    };
    assert_eq!(of(&[1, 28, 28]), (Channels::Grey, Layout::Nchw));
    assert_eq!(of(&[0, 3, 32, 32]), (Channels::Rgb, Layout::Nchw));
    assert_eq!(of(&[1, 19, 15, 3]), (Channels::Rgb, Layout::Nhwc));
    assert_eq!(of(&[1, 49, 10, 1]), (Channels::Grey, Layout::Nhwc));
    assert_eq!(of(&[1, 784]), (Channels::Grey, Layout::Nchw));
    assert_eq!(of(&[1, 3072]), (Channels::Rgb, Layout::Nchw));
    let json = serde_json::to_value(Preprocess::default_for(&[1, 3, 8, 8])).unwrap();
    assert_eq!(json["channels"], "rgb");
    assert_eq!(json["layout"], "nchw");
    assert_eq!(json["resize"], "stretch");
    assert_eq!(json["mean"], serde_json::json!([0.0, 0.0, 0.0]));
    let part: Preprocess = serde_json::from_str(r#"{"channels":"bgr","scale":1}"#).unwrap();
    assert_eq!(
        (part.channels, part.scale, part.std),
        (Channels::Bgr, 1.0, vec![1.0])
    );
}

#[test]
fn pixels_go_through_scale_mean_and_std_in_both_layouts() {
    let image = rgb(2, 1, &[0, 51, 255, 255, 102, 0]);
    let mut pre = Preprocess::default_for(&[1, 3, 1, 2]);
    pre.mean = vec![0.0, 0.5, 1.0];
    pre.std = vec![1.0, 0.5, 2.0];
    let want = |r: f32, g: f32, b: f32| {
        let s = 1.0f32 / 255.0;
        [(r * s) / 1.0, (g * s - 0.5) / 0.5, (b * s - 1.0) / 2.0]
    };
    let (first, second) = (want(0.0, 51.0, 255.0), want(255.0, 102.0, 0.0));
    let png = encoded(image, ImageFormat::Png);
    let samples = load(
        vec![file("a.png", png.clone())],
        &InputShape::new(&[1, 3, 1, 2]),
        &pre,
    )
    .unwrap();
    let nchw = [
        first[0], second[0], first[1], second[1], first[2], second[2],
    ];
    assert_eq!(samples.data, nchw);
    assert_eq!(samples.dims, [1, 3, 1, 2]);

    pre.layout = Layout::Nhwc;
    let samples = load(
        vec![file("a.png", png.clone())],
        &InputShape::new(&[1, 1, 2, 3]),
        &pre,
    )
    .unwrap();
    assert_eq!(samples.data, [first, second].concat());

    let pre = Preprocess {
        channels: Channels::Bgr,
        layout: Layout::Nhwc,
        ..raw(&[1, 1, 2, 3])
    };
    let samples = load(
        vec![file("a.png", png)],
        &InputShape::new(&[1, 1, 2, 3]),
        &pre,
    )
    .unwrap();
    assert_eq!(samples.data, [255.0, 51.0, 0.0, 0.0, 102.0, 255.0]);
}

#[test]
fn grey_and_colour_convert_into_each_other() {
    let colours = rgb(3, 1, &[255, 0, 0, 0, 255, 0, 0, 0, 255]);
    for format in [ImageFormat::Png, ImageFormat::Bmp] {
        let shape = [1, 1, 1, 3];
        let bytes = encoded(colours.clone(), format);
        let pre = raw(&shape);
        let samples = load(vec![file("a", bytes)], &InputShape::new(&shape), &pre).unwrap();
        assert_eq!(samples.data, [76.0, 150.0, 29.0], "BT.601 weights");
    }
    let shape = [1, 3, 1, 2];
    let grey = file("g.png", grey_png(2, 1, &[7, 9]));
    let samples = load(vec![grey], &InputShape::new(&shape), &raw(&shape)).unwrap();
    assert_eq!(samples.data, [7.0, 9.0, 7.0, 9.0, 7.0, 9.0]);
    let wide = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(2, 1, vec![0u16, 0xffff]);
    let deep = file("d.png", encoded(wide.unwrap(), ImageFormat::Png));
    let samples = load(
        vec![deep],
        &InputShape::new(&[1, 1, 1, 2]),
        &raw(&[1, 1, 1, 2]),
    )
    .unwrap();
    assert_eq!(samples.data, [0.0, 255.0], "16 bits become 8");
}

#[test]
fn a_flat_jpeg_keeps_its_colour() {
    let bytes = encoded(rgb(16, 16, &[200, 100, 50].repeat(256)), ImageFormat::Jpeg);
    let shape = [1, 3, 4, 4];
    let samples = load(
        vec![file("a.jpg", bytes)],
        &InputShape::new(&shape),
        &raw(&shape),
    )
    .unwrap();
    for (c, want) in [200.0, 100.0, 50.0].into_iter().enumerate() {
        for &v in &samples.data[c * 16..][..16] {
            assert!((v - want).abs() <= 3.0, "channel {c}: {v} for {want}");
        }
    }
}

#[test]
fn other_sizes_are_resized_as_asked() {
    let png = grey_png(4, 2, &[10, 20, 30, 40, 10, 20, 30, 40]);
    let with = |resize| {
        let pre = Preprocess {
            resize,
            ..raw(&[1, 1, 2, 2])
        };
        load(
            vec![file("a.png", png.clone())],
            &InputShape::new(&[1, 1, 2, 2]),
            &pre,
        )
        .unwrap()
        .data
    };
    assert_eq!(with(Resize::CropCenter), [20.0, 30.0, 20.0, 30.0]);
    assert_eq!(with(Resize::Stretch), [17.0, 33.0, 17.0, 33.0]);
    assert_eq!(with(Resize::Pad), [17.0, 33.0, 0.0, 0.0]);
}

#[test]
fn folders_and_zips_give_labels() {
    let png = |v| grey_png(2, 2, &[v; 4]);
    let tree = [
        file("set/dog/2.png", png(4)),
        file("set/cat/1.png", png(1)),
        file("set/dog/1.png", png(3)),
        file("set/.hidden/1.png", png(9)),
        file("set/notes.txt", "hello"),
    ];
    let archive = zipped(&[&tree[..], &[file("__MACOSX/set/dog/._1.png", "x")]].concat());
    for files in [tree.to_vec(), vec![file("my.zip", archive)]] {
        let samples = load(files, &InputShape::new(&[1, 2, 2]), &raw(&[1, 2, 2])).unwrap();
        assert_eq!(samples.labels, Some(vec![0, 1, 1]));
        assert_eq!(samples.class_names, ["cat", "dog"]);
        assert_eq!(
            [
                samples.sample(0)[0],
                samples.sample(1)[0],
                samples.sample(2)[0]
            ],
            [1.0, 3.0, 4.0]
        );
        assert_eq!(samples.skipped.len(), 1, "{:?}", samples.skipped);
        assert!(
            samples.skipped[0]
                .to_string()
                .ends_with("notes.txt is not an image, array, idx file or archive that is known")
        );
    }
}

#[test]
fn a_table_gives_labels_too() {
    let files = vec![
        file("d/a.png", grey_png(1, 1, &[1])),
        file("d/b.png", grey_png(1, 1, &[2])),
        file("d/labels.csv", "file,label\na.png,3\nb.png,1\n"),
    ];
    let samples = defaults(files, &[1, 1, 1, 1]).unwrap();
    assert_eq!(samples.labels, Some(vec![3, 1]));
}

#[test]
fn npz_holds_samples_and_labels() {
    let x: Vec<f32> = (0..8).map(|v| v as f32 / 10.0).collect();
    let npz = zipped(&[
        file("x.npy", npy::write(&[2, 2, 2], Values::F32(&x))),
        file("y.npy", npy::write(&[2], Values::I32(&[4, 2]))),
    ]);
    let samples = defaults(vec![file("calib.npz", npz)], &[1, 2, 2]).unwrap();
    assert_eq!(samples.data, x, "float32 is taken as it is");
    assert_eq!(samples.labels, Some(vec![4, 2]));
    assert_eq!(samples.names, ["calib.npz/x.npy[0]", "calib.npz/x.npy[1]"]);
    assert_eq!(samples.len(), 2);
}

#[test]
fn which_arrays_are_pixels_can_be_chosen() {
    let bytes = u8_npy(&[1, 2], &[0, 255]);
    let floats = npy::write(&[1, 2], Values::F32(&[0.0, 255.0]));
    let with = |bytes: &Vec<u8>, arrays| {
        let pre = Preprocess {
            arrays,
            ..Preprocess::default_for(&[1, 2])
        };
        load(
            vec![file("a.npy", bytes.clone())],
            &InputShape::new(&[1, 2]),
            &pre,
        )
        .unwrap()
        .data
    };
    assert_eq!(
        with(&bytes, Arrays::BytesArePixels),
        [0.0, 255.0 * (1.0 / 255.0f32)]
    );
    assert_eq!(with(&floats, Arrays::BytesArePixels), [0.0, 255.0]);
    assert_eq!(
        with(&floats, Arrays::Pixels),
        [0.0, 255.0 * (1.0 / 255.0f32)]
    );
    assert_eq!(with(&bytes, Arrays::Values), [0.0, 255.0]);
}

#[test]
fn channels_last_arrays_are_turned_and_said_so() {
    let x: Vec<f32> = (0..12).map(|v| v as f32).collect();
    let npy = npy::write(&[1, 2, 2, 3], Values::F32(&x));
    let samples = defaults(vec![file("a.npy", npy)], &[1, 3, 2, 2]).unwrap();
    assert_eq!(
        samples.data,
        [0.0, 3.0, 6.0, 9.0, 1.0, 4.0, 7.0, 10.0, 2.0, 5.0, 8.0, 11.0]
    );
    assert_eq!(samples.notes.len(), 1);
    let npy = npy::write(&[1, 3, 2, 2], Values::F32(&samples.data));
    let back = defaults(vec![file("a.npy", npy)], &[1, 2, 2, 3]).unwrap();
    assert_eq!(back.data, x);
}

#[test]
fn idx_files_find_their_labels() {
    let images = idx(&[2, 1, 2], &[0, 255, 51, 102]);
    let labels = idx(&[2], &[7, 1]);
    let files = vec![
        file("t10k-images-idx3-ubyte.gz", gzip(&images)),
        file("t10k-labels-idx1-ubyte.gz", gzip(&labels)),
    ];
    let samples = defaults(files, &[1, 1, 2]).unwrap();
    assert_eq!(samples.labels, Some(vec![7, 1]));
    let s = 1.0f32 / 255.0;
    assert_eq!(samples.data, [0.0, 255.0 * s, 51.0 * s, 102.0 * s]);
    let resized = load(
        vec![file("i", images)],
        &InputShape::new(&[1, 3, 2, 4]),
        &raw(&[1, 3, 2, 4]),
    );
    let resized = resized.unwrap();
    assert_eq!((resized.len(), resized.labels), (2, None));
    assert_eq!(
        resized.data[..4],
        [0.0, 64.0, 191.0, 255.0],
        "widened, and grey three times"
    );
    assert_eq!(resized.data[..8], resized.data[8..16]);
    let lonely = defaults(vec![file("labels", labels)], &[1, 1, 2]).unwrap_err();
    assert!(
        lonely.to_string().starts_with("labels holds labels"),
        "{lonely}"
    );
}

#[test]
fn one_bad_file_does_not_spoil_the_rest() {
    let mut cut = grey_png(8, 8, &[5; 64]);
    cut.truncate(cut.len() / 2);
    let files = vec![
        file("bad.png", cut),
        file("empty.png", ""),
        file("good.png", grey_png(8, 8, &[5; 64])),
        file("photo.webp", &b"RIFF\0\0\0\0WEBPVP8 "[..]),
        file("other.npy", npy::write(&[3, 5, 5], Values::F32(&[0.0; 75]))),
    ];
    let samples = defaults(files, &[1, 8, 8]).unwrap();
    assert_eq!(samples.names, ["good.png"]);
    let mut skipped: Vec<String> = samples.skipped.iter().map(ToString::to_string).collect();
    skipped.sort();
    assert!(
        skipped[0].starts_with("bad.png is a damaged image"),
        "{skipped:?}"
    );
    assert_eq!(skipped[1], "empty.png is empty");
    assert!(
        skipped[2]
            .starts_with("other.npy holds an array of shape 3x5x5, but the model's input is 1x8x8"),
        "{skipped:?}"
    );
    assert_eq!(
        skipped[3],
        "photo.webp is a WebP image; save it as PNG or JPEG"
    );
}

#[test]
fn nothing_usable_is_an_error_that_names_the_reason() {
    assert_eq!(defaults(vec![], &[1, 8, 8]), Err(DatasetError::NoFiles));
    let junk = vec![file(".DS_Store", "x")];
    assert_eq!(defaults(junk, &[1, 8, 8]), Err(DatasetError::NoFiles));
    let one = defaults(vec![file("a.txt", "hi")], &[1, 8, 8]).unwrap_err();
    assert_eq!(
        one.to_string(),
        "a.txt is not an image, array, idx file or archive that is known"
    );
    assert!(one.help().unwrap().contains("PNG"));
    let images = defaults(vec![file("a.png", grey_png(1, 1, &[0]))], &[1, 16, 20, 20]).unwrap_err();
    assert_eq!(
        images.to_string(),
        "images can't be used for an input of shape 1x16x20x20: read as NCHW it has 16 channels, and grey images have 1; change the channels or the layout"
    );
    let x = npy::write(&[2, 2], Values::F32(&[0.0, f32::NAN, 0.0, 0.0]));
    let nan = defaults(vec![file("x.npy", x)], &[1, 2]).unwrap_err();
    assert_eq!(
        nan.to_string(),
        "x.npy holds NaN in sample 0; a model needs finite numbers"
    );
    let zero = Preprocess {
        std: vec![0.0],
        ..Preprocess::default()
    };
    let zero = load(vec![], &InputShape::new(&[1, 2]), &zero).unwrap_err();
    assert!(matches!(zero, DatasetError::Preprocess(_)), "{zero}");
}

#[test]
fn labels_that_don_t_match_are_refused() {
    let npz = |y: Vec<u8>| {
        let x = npy::write(&[2, 2], Values::F32(&[0.0; 4]));
        defaults(
            vec![file("a.npz", zipped(&[file("x.npy", x), file("y.npy", y)]))],
            &[1, 2],
        )
    };
    let short = npz(npy::write(&[3], Values::I32(&[0, 1, 2])))
        .unwrap_err()
        .to_string();
    assert_eq!(
        short,
        "a.npz/x.npy holds 2 samples, but there are 3 labels for them"
    );
    let negative = npz(npy::write(&[2], Values::I32(&[0, -1])))
        .unwrap_err()
        .to_string();
    assert_eq!(
        negative,
        "a.npz/x.npy has -1 for a label; classes count from 0"
    );
    let hot = npz(npy::write(
        &[2, 3],
        Values::F32(&[0.0, 0.0, 1.0, 1.0, 0.0, 0.0]),
    ))
    .unwrap();
    assert_eq!(hot.labels, Some(vec![2, 0]), "one-hot rows");
    let column = npz(npy::write(&[2, 1], Values::I32(&[5, 6]))).unwrap();
    assert_eq!(column.labels, Some(vec![5, 6]), "a column");
}

#[test]
fn a_limit_is_kept_and_progress_ends_full() {
    let x: Vec<f32> = (0..10).map(|v| v as f32).collect();
    let files = || {
        vec![
            file("x.npy", npy::write(&[5, 2], Values::F32(&x))),
            file("y.npy", npy::write(&[5], Values::I32(&[0, 1, 2, 3, 4]))),
        ]
    };
    let target = InputShape::new(&[1, 2]);
    let pre = Preprocess::default_for(&[1, 2]);
    let mut seen = Vec::new();
    let options = LoadOptions { limit: Some(3) };
    let samples = load_with(files(), &target, &pre, &options, &mut |d, t| {
        seen.push((d, t))
    });
    let samples = samples.unwrap();
    assert_eq!((samples.len(), samples.labels), (3, Some(vec![0, 1, 2])));
    assert_eq!(samples.data, x[..6]);
    assert_eq!(seen.first(), Some(&(0, 1)));
    assert_eq!(seen.last(), Some(&(1, 1)));
}

#[test]
fn archives_inside_archives_stay_closed() {
    let inner = zipped(&[file("a.png", grey_png(1, 1, &[0]))]);
    let outer = zipped(&[
        file("inner.zip", inner),
        file("b.png", grey_png(1, 1, &[0])),
    ]);
    let samples = defaults(vec![file("o.zip", outer)], &[1, 1, 1, 1]).unwrap();
    assert_eq!(samples.names, ["o.zip/b.png"]);
    assert!(
        samples.skipped[0]
            .to_string()
            .starts_with("o.zip/inner.zip is an archive inside")
    );
}

#[test]
fn giant_images_are_refused_by_their_header() {
    // A PNG header of 40000 x 40000 pixels, and nothing behind it.
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    png.extend(40_000u32.to_be_bytes());
    png.extend(40_000u32.to_be_bytes());
    png.extend([8, 2, 0, 0, 0]);
    let crc = png[12..].iter().fold(!0u32, |crc, &b| {
        (0..8).fold(crc ^ u32::from(b), |c, _| {
            if c & 1 == 1 {
                c >> 1 ^ 0xedb8_8320
            } else {
                c >> 1
            }
        })
    });
    png.extend((!crc).to_be_bytes());
    png.extend(b"\0\0\0\x01IDAT\0\0\0\0\0");
    let reason = defaults(vec![file("huge.png", png)], &[1, 3, 8, 8])
        .unwrap_err()
        .to_string();
    assert_eq!(
        reason,
        "huge.png is an image of 40000 x 40000 pixels; the limit is 64 megapixels"
    );
}
